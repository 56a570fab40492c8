"""
Reading whole answers of Chat Completions, and lists of models.

Rule 1: any field but the HTTP status may be missing, null, empty or of another type; nothing here is indexed unseen.
Rule 2: a good status proves nothing: an error object inside it is an error.

Source: OpenAI API reference, "Create chat completion", and recorded traffic of some thirty compatible servers; 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llmkit.dialects.base import WireError, request_id
from llmkit.dialects.openai_faults import is_text, load_json, refuse_errors
from llmkit.dialects.wire_json import count, label, word
from llmkit.models.content import Message, Text
from llmkit.models.fault import Fault
from llmkit.models.request import CompletionRequest
from llmkit.models.response import CompletionResponse, FinishReason
from llmkit.models.usage import Usage
from llmkit.transport.base import HttpResponse

if TYPE_CHECKING:
    from llmkit.dialects.openai_pieces import Quirks
    from llmkit.models.info import ModelInfo

__all__ = ["BROKEN_OFF", "decode", "decode_models", "finish_reason", "is_stream", "read_usage", "refuse_broken_off", "usage_in"]

FINISH_REASONS: Mapping[str, FinishReason] = {
    "stop": FinishReason.STOP,
    "eos": FinishReason.STOP,
    "eos_token": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "end_turn": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "tool_use": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
    "sensitive": FinishReason.CONTENT_FILTER,
    "refusal": FinishReason.REFUSAL,
    "error": FinishReason.ERROR,
    "network_error": FinishReason.ERROR,
    "insufficient_system_resource": FinishReason.ERROR,
}

# Reasons that say the server broke off: the answer is none, whatever text came before.
BROKEN_OFF: Mapping[str, str] = {"insufficient_system_resource": "overloaded", "network_error": "server"}


# What else a message may bring than its text.
_BEYOND_TEXT = ("tool_calls", "function_call", "refusal", "reasoning_content", "reasoning", "reasoning_details")


def is_stream(response: HttpResponse) -> bool:
    """Whether the body of *response* is a stream of events, whatever it is labelled as."""
    return "event-stream" in response.headers.get("content-type", "") or response.body.lstrip().startswith((b"data:", b"event:"))


def decode(quirks: Quirks, response: HttpResponse, request: CompletionRequest) -> CompletionResponse:
    answer = load_json(response.body, response)
    refuse_errors(answer, response)
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise WireError.malformed("The reply has no choices.", response)
    choice = choices[0]
    refuse_errors({"error": choice.get("error")}, response)
    message = choice.get("message")
    if not isinstance(message, dict):
        raise WireError.malformed("The reply's first choice has no message.", response)
    raw_reason = choice.get("finish_reason")
    refuse_broken_off(raw_reason, response)
    answer_id = label(answer.get("id"))
    text = message.get("content")
    tagged = quirks.think_tags and isinstance(text, str) and "<think>" in text
    if isinstance(text, str) and text and not tagged and not any(map(message.get, _BEYOND_TEXT)):
        # The common answer, which is text and nothing else.
        said, called, refused = Message("assistant", (Text(text),)), False, False
    else:
        from llmkit.dialects.openai_pieces import ChoiceInMaking

        made = ChoiceInMaking(quirks)
        made.add_whole(message)
        said, called, refused = made.message(answer_id), made.has_calls(), bool(made.refusals)
    return CompletionResponse(
        message=said,
        finish_reason=finish_reason(raw_reason, called=called, refused=refused),
        raw_finish_reason=raw_reason if is_text(raw_reason) else None,
        usage=read_usage(usage_in(answer), quirks.hidden_output),
        id=answer_id,
        model=word(answer.get("model")) or request.model,
        request_id=request_id(response.headers),
        raw=answer,
    )


def finish_reason(raw: Any, *, called: bool, refused: bool) -> FinishReason:
    """Return *raw* in our words. Beside calls or a refusal servers may say anything, and without either they may say nothing."""
    reason = FINISH_REASONS.get(raw, FinishReason.UNKNOWN) if is_text(raw) else FinishReason.STOP
    if reason in (FinishReason.LENGTH, FinishReason.CONTENT_FILTER, FinishReason.ERROR):
        return reason  # a call may be cut here, so it is not offered as one
    if called:
        return FinishReason.TOOL_CALLS
    return FinishReason.REFUSAL if refused else reason


def refuse_broken_off(raw: Any, response: HttpResponse) -> None:
    kind = BROKEN_OFF.get(raw) if isinstance(raw, str) else None
    if kind is None:
        return
    message = f"The server broke the answer off: {raw}."
    headers = response.headers
    raise WireError(Fault(status=response.status, kind=kind, code=raw, message=message, request_id=request_id(headers), headers=headers))


def usage_in(answer: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the usage of an answer or an event, wherever this server puts it; None where it says none."""
    usage = answer.get("usage")
    if not usage or not isinstance(usage, dict):
        extra = answer.get("x_groq")
        usage = extra.get("usage") if isinstance(extra, dict) else None
    return usage if usage and isinstance(usage, dict) else None


def read_usage(usage: Mapping[str, Any] | None, hidden_output: bool = False) -> Usage:
    """Return *usage* in our meaning, from any of the spellings servers have for it."""
    if usage is None:
        return Usage(reported=False)
    given = usage.get("prompt_tokens_details")
    taken = usage.get("completion_tokens_details")
    details = given if isinstance(given, dict) else {}
    spent = taken if isinstance(taken, dict) else {}
    prompt, completion = count(usage.get("prompt_tokens")), count(usage.get("completion_tokens"))
    total = count(usage.get("total_tokens"))
    if hidden_output and total > prompt + completion:
        completion = total - prompt
    cached = min(count(details.get("cached_tokens") or usage.get("prompt_cache_hit_tokens") or usage.get("cached_tokens")), prompt)
    written = details.get("cache_write_tokens") or details.get("cache_creation_input_tokens") or usage.get("cache_creation_input_tokens")
    return Usage(
        input_tokens=prompt,
        output_tokens=completion,
        cache_read_tokens=cached,
        cache_write_tokens=min(count(written), prompt - cached),
        reasoning_tokens=min(count(spent.get("reasoning_tokens") or usage.get("reasoning_tokens")), completion),
    )


def decode_models(response: HttpResponse) -> list[ModelInfo]:
    rows = load_json(response.body, response, kinds=(dict, list))
    if isinstance(rows, dict):
        refuse_errors(rows, response)
        # Null is an empty list, written by a server in Go.
        rows = (rows.get("data") or rows.get("models") or []) if "data" in rows or "models" in rows else None
    if not isinstance(rows, list):
        raise WireError.malformed("The reply lists no models.", response)
    return [model for row in rows if isinstance(row, dict) and (model := _model(row)).id]


def _model(row: Mapping[str, Any]) -> ModelInfo:
    window = row.get("context_window") or row.get("context_length") or row.get("max_model_len") or row.get("max_context_length")
    from llmkit.models.info import ModelInfo  # not needed by those who only want answers

    return ModelInfo(
        id=word(row.get("id")) or word(row.get("model_id")) or word(row.get("name")),
        owned_by=word(row.get("owned_by")) or None,
        created=count(row.get("created")) or None,
        context_window=count(window) or None,
        raw=row,
    )

"""
Reading Gemini's answers, whole or put together from a stream, and lists of models.

Rule 1: any field may be missing, null, empty or of another type; nothing here is indexed unseen.
Rule 2: what the model has to get back (seals, ids, parts that only it understands) is kept as it came.
Rule 3: a good status proves nothing: a blocked prompt has one, and an error may.

Source: Google AI for Developers, "Generating content", ``GenerateContentResponse``; google-genai 3.4.0; recorded traffic; 2026-11-21.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from llmkit.dialects.base import WireError, request_id
from llmkit.dialects.gemini_contents import SEALS_NOTHING, SEALS_TEXT
from llmkit.dialects.gemini_faults import load, refuse_error, table
from llmkit.dialects.wire_json import count, made_up_id, word
from llmkit.models.content import Message, Native, Part, Text, Thinking, ToolCall
from llmkit.models.info import ModelInfo
from llmkit.models.reading import decode_arguments
from llmkit.models.request import CompletionRequest
from llmkit.models.response import CompletionResponse, FinishReason
from llmkit.models.usage import UNREPORTED, Usage
from llmkit.transport.base import HttpResponse

__all__ = ["arguments_text", "block_reason", "decode", "decode_models", "finish_reason", "made", "read_call", "read_usage"]

FINISH_REASONS: Mapping[str, FinishReason] = {
    "STOP": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    "CONTINUATION": FinishReason.PAUSE,
    **dict.fromkeys(
        (
            *("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR", "ESCALATION", "PUP_LIMITED_DISABLED"),
            *("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"),
        ),
        FinishReason.CONTENT_FILTER,
    ),
    **dict.fromkeys(
        (
            *("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE"),
            *("MALFORMED_RESPONSE", "LANGUAGE", "NO_IMAGE", "IMAGE_OTHER"),
        ),
        FinishReason.ERROR,
    ),
}


def decode(owner: str, response: HttpResponse, request: CompletionRequest) -> CompletionResponse:
    answer = load(response.body, response)
    if isinstance(answer, list) or (isinstance(answer, dict) and answer.get("error")):
        refuse_error(answer, response)
    if isinstance(answer, list):
        # What a stream without events is: a list of its pieces.
        from llmkit.dialects.gemini_stream import joined

        answer = joined(owner, answer, response, request)
    if not isinstance(answer, dict):
        raise WireError.malformed("The reply is no JSON object.", response)
    candidate = _first(answer)
    if candidate is None and not block_reason(answer):
        raise WireError.malformed("The reply has no candidates.", response)
    if candidate is not None and not word(candidate.get("finishReason")) and not _parts(candidate):
        raise WireError.malformed("The reply's candidate has neither content nor a reason for its end.", response)
    return made(owner, answer, response, request.model)


def made(owner: str, answer: dict[str, Any], response: HttpResponse, asked: str, *, ended: bool = True) -> CompletionResponse:
    """
    Return what *answer* says.

    Args:
        asked: The model that was asked, for an answer that does not name its own.
        ended: Whether it is known to be complete; else it is the part of a stream that has come.
    """
    candidate = _first(answer)
    answer_id = word(answer.get("responseId")) or None
    message = _message(owner, _parts(candidate) if candidate is not None else (), answer_id)
    raw_reason = (word(candidate.get("finishReason")) if candidate is not None else "") or block_reason(answer)
    blocked = candidate is None and raw_reason
    reason = FinishReason.CONTENT_FILTER if blocked else finish_reason(raw_reason, called=ended and bool(message.tool_calls))
    return CompletionResponse(
        message=message,
        finish_reason=reason,
        raw_finish_reason=raw_reason or None,
        usage=read_usage(answer.get("usageMetadata")),
        id=answer_id,
        model=word(answer.get("modelVersion")) or asked,
        # The service has no header for it; its support asks for this id.
        request_id=request_id(response.headers) or answer_id,
        raw=answer,
    )


def block_reason(answer: Mapping[str, Any]) -> str:
    """Return why the prompt was refused; empty where it was not."""
    return word(table(answer.get("promptFeedback")).get("blockReason"))


def finish_reason(raw: str, *, called: bool) -> FinishReason:
    """Return *raw* in our words. Beside calls the service says ``STOP``, as beside a text."""
    reason = FINISH_REASONS.get(raw, FinishReason.UNKNOWN)
    if called and reason in (FinishReason.STOP, FinishReason.UNKNOWN):
        return FinishReason.TOOL_CALLS
    return reason  # where the answer was cut or refused, a call may be cut too, so it is not offered as one


def read_usage(usage: Any) -> Usage:
    """
    Return *usage* in our meaning.

    The prompt's tokens include those read from a cache and leave out those that built-in tools brought; the candidates' leave out the
    thoughts.
    """
    if not isinstance(usage, dict) or not ("promptTokenCount" in usage or "totalTokenCount" in usage):
        return UNREPORTED  # of a blocked prompt there may be only the kind of traffic
    given = count(usage.get("promptTokenCount")) + count(usage.get("toolUsePromptTokenCount"))
    thoughts = count(usage.get("thoughtsTokenCount"))
    return Usage(
        input_tokens=given,
        output_tokens=count(usage.get("candidatesTokenCount")) + thoughts,
        cache_read_tokens=min(count(usage.get("cachedContentTokenCount")), given),
        reasoning_tokens=thoughts,
    )


def _first(answer: Mapping[str, Any]) -> dict[str, Any] | None:
    candidates = answer.get("candidates")
    return candidates[0] if isinstance(candidates, list) and candidates and isinstance(candidates[0], dict) else None


def _parts(candidate: Mapping[str, Any]) -> Sequence[Any]:
    # A candidate may have no content, an empty one, or one without parts.
    parts = table(candidate.get("content")).get("parts")
    return parts if isinstance(parts, list) else ()


def _message(owner: str, wire: Sequence[Any], answer_id: str | None) -> Message:
    parts: list[Part] = []
    calls = 0
    for part in wire:
        if not isinstance(part, dict) or not part:
            continue
        call = part.get("functionCall")
        if isinstance(call, dict) and word(call.get("name")):
            parts.append(read_call(owner, part, calls, answer_id))
            calls += 1
        elif isinstance(part.get("text"), str):
            _add_text(owner, part, parts)
        else:
            parts.append(Native(owner, part))
    return Message("assistant", parts)


def _add_text(owner: str, part: Mapping[str, Any], parts: list[Part]) -> None:
    text = part["text"]
    seal = word(part.get("thoughtSignature")) or None
    if part.get("thought") is True:
        if text or seal:
            parts.append(Thinking(text, seal, provider=owner))
        return
    if text:
        parts.append(Text(text))
    if seal:
        parts.append(Thinking("", seal, provider=owner, data=SEALS_TEXT if text else SEALS_NOTHING))


def read_call(owner: str, part: Mapping[str, Any], index: int, answer_id: str | None) -> ToolCall:
    """
    Return the call in *part*, which is the call number *index* of its answer, counted from 0.

    Some models give no id. One is made of what is known, so that the same bytes always give the same, and the call remembers that it
    came without.
    """
    wire = part["functionCall"]
    arguments, text, invalid = decode_arguments(wire.get("args"))
    name, call_id = wire["name"], word(wire.get("id"))
    kept = {key: value for key, value in part.items() if key != "functionCall"}
    if not call_id:
        kept["id"] = None
        call_id = made_up_id(answer_id, index, name, arguments_text(wire.get("args")))
    return ToolCall(call_id, name, arguments, text=text, invalid=invalid, data={"provider": owner, **kept} if kept else None)


def arguments_text(args: Any) -> str:
    """Return the arguments of a call as JSON text."""
    try:
        return json.dumps(args, ensure_ascii=False)
    except RecursionError:
        return "…"  # as little JSON as what cannot be read


def decode_models(response: HttpResponse) -> list[ModelInfo]:
    answer = load(response.body, response)
    refuse_error(answer, response)
    rows = table(answer).get("models", table(answer).get("publisherModels"))
    if rows is None and answer == {}:
        rows = []  # an empty list is left out, as proto3's JSON mapping has it
    if not isinstance(rows, list):
        raise WireError.malformed("The reply lists no models.", response)
    return [model for row in rows if isinstance(row, dict) and (model := _model(row)).id]


def _model(row: Mapping[str, Any]) -> ModelInfo:
    name = word(row.get("name"))
    kind, _, rest = name.rpartition("models/")
    publisher = kind.removeprefix("publishers/").strip("/")
    return ModelInfo(
        id=name if kind.startswith("tuned") else rest,
        owned_by=publisher or None,
        context_window=count(row.get("inputTokenLimit")) or None,
        raw=row,
    )

"""
Reading answers of the Responses wire.

Rule 1: any field may be missing, null, empty or of another type; nothing here is indexed unseen.
Rule 2: what a model has to get back (sealed thoughts, items of tools that the server runs itself, ids) is kept as it came.

Source: OpenAI API reference, "The response object", and recorded traffic of compatible servers; 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmkit.dialects.base import WireError, request_id
from llmkit.dialects.openai_faults import load_json, refuse_errors
from llmkit.dialects.openai_responses_items import texts_of
from llmkit.dialects.wire_json import at, count, label, made_up_id, objects, word
from llmkit.models.content import Message, Native, Part, Text, Thinking, ToolCall
from llmkit.models.reading import decode_arguments
from llmkit.models.response import CompletionResponse, FinishReason
from llmkit.models.usage import UNREPORTED, Usage
from llmkit.transport.base import HttpResponse

__all__ = ["decode", "finish_reason", "is_stream", "read_answer", "read_usage", "refuse_failure"]

# Why an answer is incomplete, in the wire's words.
INCOMPLETE: Mapping[str, FinishReason] = {
    "max_output_tokens": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
}
# A response that runs in the background has not finished when it is first heard of; its id tells where it goes on.
UNFINISHED = ("queued", "in_progress")
BROKEN = ("failed", "cancelled")

_OF_A_CALL = frozenset({"type", "call_id", "name", "arguments"})
_PARAGRAPH = "\n\n"


def is_stream(response: HttpResponse) -> bool:
    """Whether the body of *response* is a stream of events, whatever it is labelled as."""
    return "event-stream" in response.headers.get("content-type", "") or response.body.lstrip().startswith((b"data:", b"event:"))


def decode(owner: str, response: HttpResponse, asked: str) -> CompletionResponse:
    """Return the answer in a good reply; *asked* is the model, for a server that does not say which it was."""
    answer = load_json(response.body, response)
    refuse_errors(answer, response)
    refuse_failure(answer, response)
    return read_answer(owner, answer, response, asked)


def refuse_failure(answer: Mapping[str, Any], response: HttpResponse) -> None:
    """Raise ``WireError`` if *answer* is one that came to nothing, though it does not say why."""
    status = answer.get("status")
    if status not in BROKEN:
        return
    error = answer.get("error")
    told = error if isinstance(error, dict) and error else {"code": status, "message": f"The response {_ENDS[status]}."}
    refuse_errors({"error": told}, response)


_ENDS = {"failed": "failed, and the server does not say why", "cancelled": "was cancelled"}


def read_answer(owner: str, answer: Mapping[str, Any], response: HttpResponse, asked: str) -> CompletionResponse:
    """Return the answer that the wire's response *answer* is; *owner* is whose thoughts and native items these are."""
    output = answer.get("output")
    if not isinstance(output, list):
        raise WireError.malformed("The reply has no output.", response)
    answer_id = label(answer.get("id"))
    parts: tuple[Part, ...]
    raw_reason: str | None
    text = _plain_text(output)
    if text and answer.get("status") == "completed":
        # The common answer, which is text and nothing else.
        parts, reason, raw_reason = (Text(text),), FinishReason.STOP, "completed"
    else:
        items = objects(output)
        parts = _read_items(owner, items, answer_id)
        reason, raw_reason = finish_reason(answer, items)
    return CompletionResponse(
        message=Message("assistant", parts),
        finish_reason=reason,
        raw_finish_reason=raw_reason,
        usage=read_usage(answer.get("usage")),
        id=answer_id,
        model=word(answer.get("model")) or asked,
        request_id=request_id(response.headers),
        raw=answer,
    )


def _plain_text(output: list[Any]) -> str:
    """Return the text of an output that is one message with one text, of which nothing else is worth keeping; else nothing."""
    item = output[0] if len(output) == 1 else None
    if item.__class__ is not dict or item.get("type") != "message" or item.get("phase"):
        return ""
    content = item.get("content")
    piece = content[0] if content.__class__ is list and len(content) == 1 else None
    if piece.__class__ is not dict or piece.get("type") != "output_text" or piece.get("annotations"):
        return ""
    return word(piece.get("text"))


def finish_reason(answer: Mapping[str, Any], items: list[dict[str, Any]]) -> tuple[FinishReason, str | None]:
    """Return why *answer*, whose output is *items*, ended: in our words and in the wire's."""
    status = word(answer.get("status")) or None
    if status == "incomplete":
        why = word(at(answer.get("incomplete_details"), "reason"))
        return INCOMPLETE.get(why, FinishReason.UNKNOWN), why or status  # a call may be cut here, so it is not offered as one
    if status in UNFINISHED:
        return FinishReason.PAUSE, status
    if any(item.get("type") == "function_call" for item in items):
        return FinishReason.TOOL_CALLS, status
    if any(_refusals(item) for item in items):
        return FinishReason.REFUSAL, status
    return (FinishReason.STOP if status in ("completed", None) else FinishReason.UNKNOWN), status


def _read_items(owner: str, items: list[dict[str, Any]], answer_id: str | None) -> tuple[Part, ...]:
    parts: list[Part] = []
    reasoned = any(item.get("type") == "reasoning" for item in items)
    for index, item in enumerate(items):
        kind = item.get("type")
        if kind == "message":
            texts = texts_of(item)
            if texts and (reasoned or _is_more_than_text(item)):
                parts.append(Native(owner, item))
            parts += map(Text, texts)
        elif kind == "function_call":
            parts.append(_read_call(owner, item, f"{answer_id}/{index}"))
        elif kind == "reasoning":
            parts.append(_read_thought(owner, item))
        else:
            parts.append(Native(owner, item))
    return tuple(parts)


def _is_more_than_text(item: Mapping[str, Any]) -> bool:
    pieces = objects(item.get("content"))
    return bool(item.get("phase") or _refusals(item) or any(piece.get("annotations") for piece in pieces))


def _refusals(item: Mapping[str, Any]) -> bool:
    return item.get("type") == "message" and any(piece.get("type") == "refusal" for piece in objects(item.get("content")))


def _read_thought(owner: str, item: Mapping[str, Any]) -> Thinking:
    told = [*objects(item.get("summary")), *objects(item.get("content"))]
    text = _PARAGRAPH.join(text for piece in told if (text := word(piece.get("text"))))
    kept = {key: value for key, value in item.items() if key != "encrypted_content"}
    return Thinking(text, word(item.get("encrypted_content")) or None, provider=owner, data=kept)


def _read_call(owner: str, item: Mapping[str, Any], seed: str) -> ToolCall:
    arguments, text, invalid = decode_arguments(item.get("arguments"))
    extra = {key: value for key, value in item.items() if key not in _OF_A_CALL and value is not None}
    return ToolCall(
        word(item.get("call_id")) or word(item.get("id")) or made_up_id(seed),
        word(item.get("name")),
        arguments,
        text=text,
        invalid=invalid,
        data={"provider": owner, **extra} if extra else None,
    )


def read_usage(usage: Any) -> Usage:
    """Return *usage* in our meaning, which is the wire's own: input holds what was cached, output what was thought."""
    if not isinstance(usage, dict) or not usage:
        return UNREPORTED
    given, taken = usage.get("input_tokens_details"), usage.get("output_tokens_details")
    sent, came = count(usage.get("input_tokens")), count(usage.get("output_tokens"))
    cached = min(count(at(given, "cached_tokens")), sent)
    return Usage(
        input_tokens=sent,
        output_tokens=came,
        cache_read_tokens=cached,
        cache_write_tokens=min(count(at(given, "cache_write_tokens")), sent - cached),
        reasoning_tokens=min(count(at(taken, "reasoning_tokens")), came),
    )

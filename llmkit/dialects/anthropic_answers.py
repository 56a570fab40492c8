"""
Reading whole answers of the Messages wire, its errors, and its lists of models.

Rule 1: any field but the HTTP status may be missing, null, empty or of another type; nothing here is indexed unseen.
Rule 2: a good status proves nothing: an error object inside it is an error.
Rule 3: what the provider wants back (seals, ids, blocks of its own tools, citations) is kept as it came.

Citations are kept beside the text that they are of, as a native part ``{"citations": […]}``, which only this wire understands.

Source: Anthropic API reference, "Create a Message", "Errors" and "List Models", and recorded traffic; read 2026-11-21.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from llmkit.dialects.base import WireError, request_id
from llmkit.dialects.framing import FramingError, loads
from llmkit.dialects.wire_json import at, beginning, count, label, made_up_id, object_in, word
from llmkit.models.content import Message, Native, Part, Text, Thinking, ToolCall
from llmkit.models.fault import Fault
from llmkit.models.info import ModelInfo
from llmkit.models.response import CompletionResponse, FinishReason
from llmkit.models.usage import UNREPORTED, Usage
from llmkit.transport.base import HttpResponse

__all__ = [
    "decode",
    "decode_models",
    "finish_reason",
    "is_stream",
    "read_answer",
    "read_arguments",
    "read_fault",
    "read_usage",
    "refuse_errors",
    "written",
]

FINISH_REASONS: Mapping[str, FinishReason] = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "pause_turn": FinishReason.PAUSE,
    "compaction": FinishReason.PAUSE,
    "refusal": FinishReason.REFUSAL,
}
_OF_A_CALL = frozenset({"type", "id", "name", "input", "cache_control"})
_OF_A_THOUGHT = frozenset({"type", "thinking", "signature"})


# -- errors


def read_fault(response: HttpResponse) -> Fault:
    """Return what a bad reply says. Its body may be of any shape, or no JSON at all."""
    try:
        body = loads(response.body)
    except FramingError:
        body = None
    return _fault(body, response, response.body.decode("utf-8", "replace"))


def refuse_errors(answer: Mapping[str, Any], response: HttpResponse, text: str | None = None) -> None:
    """Raise ``WireError`` if a good reply, or an event of a stream read from *text*, is an error in truth."""
    if answer.get("type") == "error" or answer.get("error"):
        raise WireError(_fault(answer, response, response.body.decode("utf-8", "replace") if text is None else text))


def _fault(body: Any, response: HttpResponse, text: str) -> Fault:
    # Hosts of this wire answer in forms of their own when the model was never reached: a list of one error, or an error alone.
    if isinstance(body, list) and body:
        body = body[0]
    inner = at(body, "error")
    error = inner if isinstance(inner, dict) else body if isinstance(body, dict) else {}
    return Fault(
        status=response.status,
        message=word(error.get("message")) or word(inner) or beginning(text),
        code=label(at(error.get("details"), "error_code")) or label(error.get("code")),
        type=label(error.get("type")) or label(error.get("status")),
        request_id=request_id(response.headers) or label(at(body, "request_id")),
        headers=response.headers,
        error=error,
        body=text,
    )


# -- answers


def is_stream(response: HttpResponse) -> bool:
    """Whether the body of *response* is a stream of events, whatever it is labelled as."""
    return "event-stream" in response.headers.get("content-type", "") or response.body.lstrip().startswith((b"event:", b"data:"))


def decode(owner: str, response: HttpResponse, asked: str) -> CompletionResponse:
    """Return the answer in a good reply; *asked* is the model, for a server that does not say which it was."""
    answer = object_in(response)
    refuse_errors(answer, response)
    return read_answer(owner, answer, response, asked)


def read_answer(
    owner: str, answer: Mapping[str, Any], response: HttpResponse, asked: str, texts: Mapping[int, str] | None = None
) -> CompletionResponse:
    """
    Return the answer that the wire's message *answer* is.

    Args:
        owner: Whose thoughts and native blocks these are.
        texts: The arguments of calls as the model wrote them, by the index of their blocks, where that is known.
    """
    blocks = answer.get("content")
    if not isinstance(blocks, list):
        raise WireError.malformed("The reply has no content.", response)
    answer_id = label(answer.get("id"))
    parts = _read_parts(owner, blocks, response, answer_id, texts or {})
    raw_reason = answer.get("stop_reason")
    return CompletionResponse(
        message=Message("assistant", parts),
        finish_reason=finish_reason(raw_reason, called=any(isinstance(part, ToolCall) for part in parts)),
        raw_finish_reason=word(raw_reason) or None,
        usage=read_usage(answer.get("usage")),
        id=answer_id,
        model=word(answer.get("model")) or asked,
        request_id=request_id(response.headers),
        raw=answer,
    )


def finish_reason(raw: Any, *, called: bool) -> FinishReason:
    """Return *raw* in our words. Look-alikes of the wire may end a turn in which tools are called like any other."""
    reason = FINISH_REASONS.get(word(raw), FinishReason.UNKNOWN)
    return FinishReason.TOOL_CALLS if called and reason is FinishReason.STOP else reason


def _read_parts(owner: str, blocks: list[Any], response: HttpResponse, answer_id: str | None, texts: Mapping[int, str]) -> tuple[Part, ...]:
    parts: list[Part] = []
    for index, block in enumerate(blocks):
        if not isinstance(block, dict):
            raise WireError.malformed("A block of the content is no JSON object.", response)
        kind = block.get("type")
        if kind == "text":
            parts += _read_text(owner, block)
        elif kind == "thinking":
            extra = None if block.keys() <= _OF_A_THOUGHT else block
            parts.append(Thinking(word(block.get("thinking")), word(block.get("signature")) or None, provider=owner, data=extra))
        elif kind == "redacted_thinking":
            parts.append(Thinking(provider=owner, data=block))
        elif kind == "tool_use":
            parts.append(_read_call(owner, block, texts.get(index), f"{answer_id}/{index}"))
        else:
            parts.append(Native(owner, block))
    return tuple(parts)


def _read_text(owner: str, block: Mapping[str, Any]) -> Iterable[Part]:
    text = word(block.get("text"))
    if not text:
        return ()
    citations = block.get("citations")
    return (Text(text), Native(owner, {"citations": citations})) if citations else (Text(text),)


def _read_call(owner: str, block: Mapping[str, Any], text: str | None, seed: str) -> ToolCall:
    given = block.get("input") if text is None else text
    arguments, kept, invalid = read_arguments(given)
    extra = {key: value for key, value in block.items() if key not in _OF_A_CALL and value is not None}
    return ToolCall(
        word(block.get("id")) or made_up_id(seed),
        word(block.get("name")),
        arguments,
        text=kept,
        invalid=invalid,
        data={"provider": owner, **extra} if extra else None,
    )


def read_arguments(given: Any) -> tuple[Mapping[str, Any], str | None, str | None]:
    """Return a call's arguments as ``(decoded, text, why not)``, from an object, or from text that should be one."""
    if isinstance(given, dict):
        return given, None, None
    if given is None or given == "":
        return {}, None, None
    if not isinstance(given, str):
        return {}, written(given), f"the arguments are a JSON {type(given).__name__}, not an object"
    try:
        decoded = loads(given)
    except FramingError as error:
        return {}, given, f"the arguments are not JSON: {error}"
    if not isinstance(decoded, dict):
        return {}, given, f"the arguments are a JSON {type(decoded).__name__}, not an object"
    return decoded, given, None


def written(value: Any) -> str:
    """Return *value*, which came as JSON, as JSON text."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "…"  # as little JSON as what cannot be read: the call says that its arguments are invalid


def read_usage(usage: Any) -> Usage:
    """
    Return *usage* in our meaning: the wire's ``input_tokens`` are those that the cache had no part in.

    The tokens of a compaction stand apart from the sums, and are paid for.
    """
    if not isinstance(usage, dict) or not usage:
        return UNREPORTED
    total = _counted(usage)
    steps = usage.get("iterations")
    for step in steps if isinstance(steps, list) else ():
        if at(step, "type") == "compaction":
            total = total + _counted(step)
    return total


def _counted(usage: Mapping[str, Any]) -> Usage:
    read, written = count(usage.get("cache_read_input_tokens")), count(usage.get("cache_creation_input_tokens"))
    output = count(usage.get("output_tokens"))
    return Usage(
        input_tokens=count(usage.get("input_tokens")) + read + written,
        output_tokens=output,
        cache_read_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=min(count(at(usage.get("cache_creation"), "ephemeral_1h_input_tokens")), written),
        reasoning_tokens=min(count(at(usage.get("output_tokens_details"), "thinking_tokens")), output),
    )


# -- models


def decode_models(response: HttpResponse) -> list[ModelInfo]:
    answer = object_in(response)
    refuse_errors(answer, response)
    rows = answer.get("data")
    if not isinstance(rows, list):
        raise WireError.malformed("The reply lists no models.", response)
    return [
        ModelInfo(
            id=word(row.get("id")),
            created=_unix_time(word(row.get("created_at"))),
            context_window=count(row.get("max_input_tokens")) or None,
            raw=row,
        )
        for row in rows
        if isinstance(row, dict) and word(row.get("id"))
    ]


_MOMENT = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.\d+)?Z", re.ASCII)


def _unix_time(moment: str) -> int | None:
    """
    Return an RFC 3339 time in UTC as seconds since 1970; None for anything else, and for 1970 itself, which stands for "not known".

    Source of the count of days: the Julian day number of a Gregorian date.
    """
    found = _MOMENT.fullmatch(moment)
    if found is None:
        return None
    year, month, day, hours, minutes, seconds = map(int, found.groups())
    # Years that begin in March have their leap day last.
    since_march = (month + 9) % 12
    years = year - (month < 3)
    days = 365 * years + years // 4 - years // 100 + years // 400 + (153 * since_march + 2) // 5 + day - 1 - 719_468
    return max(((days * 24 + hours) * 60 + minutes) * 60 + seconds, 0) or None

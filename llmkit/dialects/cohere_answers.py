"""
Reading Cohere's whole answers, its errors and its list of models.

Rule 1: any field but the HTTP status may be missing, null, empty or of another type; nothing here is indexed unseen.
Rule 2: an answer that was broken off by the server is none, whatever text came before.
Rule 3: what a model has to get back (ids, arguments, plans, citations) is kept as it came.

Source: Cohere API reference, "Chat API (v2)" and "Errors", the package cohere 7.3.1, and recorded traffic; read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmkit.dialects.base import WireError, request_id
from llmkit.dialects.cohere_turns import PLAN, wire_names
from llmkit.dialects.framing import FramingError, loads
from llmkit.dialects.wire_json import at, beginning, count, label, made_up_id, object_in, objects, word
from llmkit.models.content import Message, Native, Part, Text, Thinking, ToolCall
from llmkit.models.fault import Fault
from llmkit.models.info import ModelInfo
from llmkit.models.reading import decode_arguments
from llmkit.models.request import CompletionRequest
from llmkit.models.response import CompletionResponse, FinishReason
from llmkit.models.usage import Usage
from llmkit.transport.base import HttpResponse

__all__ = [
    "Call",
    "decode",
    "decode_models",
    "finish_reason",
    "message_of",
    "names_of",
    "read_fault",
    "read_usage",
    "refuse_broken_off",
    "refuse_error",
]

FINISH_REASONS: Mapping[str, FinishReason] = {
    "COMPLETE": FinishReason.STOP,
    "STOP_SEQUENCE": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    "TOOL_CALL": FinishReason.TOOL_CALLS,
    "ERROR_TOXIC": FinishReason.CONTENT_FILTER,
}

# Reasons that say the server broke off, and what kind of failure that is.
BROKEN_OFF: Mapping[str, str] = {"ERROR": "server", "TIMEOUT": "timeout"}


def decode(owner: str, response: HttpResponse, request: CompletionRequest) -> CompletionResponse:
    answer = object_in(response)
    message = answer.get("message")
    if not isinstance(message, dict):
        refuse_error(answer, response)
        raise WireError.malformed("The reply has no message.", response)
    reason = answer.get("finish_reason")
    refuse_broken_off(reason, None, response)
    calls = [
        Call(word(call.get("id")), word(at(call.get("function"), "name")), at(call.get("function"), "arguments"))
        for call in objects(message.get("tool_calls"))
    ]
    answer_id = label(answer.get("id"))
    content = message.get("content")
    return CompletionResponse(
        message=message_of(
            owner,
            blocks=[{"type": "text", "text": content}] if isinstance(content, str) else objects(content),
            plan=word(message.get(PLAN)),
            calls=calls,
            citations=message.get("citations"),
            answer_id=answer_id,
            names=names_of(request),
        ),
        finish_reason=finish_reason(reason, called=any(call.name for call in calls)),
        raw_finish_reason=word(reason) or None,
        usage=read_usage(answer.get("usage")),
        id=answer_id,
        model=request.model,  # the answer does not say it
        request_id=request_id(response.headers),
        raw=answer,
    )


class Call:
    """A tool call as it came: ``arguments`` is JSON text, or what a server writes in its place."""

    __slots__ = ("arguments", "id", "name")

    def __init__(self, call_id: str, name: str, arguments: Any) -> None:
        self.id = call_id
        self.name = name
        self.arguments = arguments

    def made(self, index: int, answer_id: str | None, names: Mapping[str, str]) -> ToolCall:
        given = self.arguments
        # Null and nothing are how it says that a tool takes no arguments.
        arguments, text, invalid = decode_arguments(None if isinstance(given, str) and given.strip() in ("", "null") else given)
        call_id = self.id or made_up_id(answer_id, index, self.name, given)
        return ToolCall(call_id, names.get(self.name, self.name), arguments, text=text, invalid=invalid)


def names_of(request: CompletionRequest) -> dict[str, str]:
    """Return the caller's names of tools by those that they have on the wire, where they differ."""
    return {wire: name for name, wire in wire_names(request.tools).items()} if request.tools else {}


def message_of(
    owner: str,
    *,
    blocks: list[dict[str, Any]],
    plan: str,
    calls: list[Call],
    citations: Any,
    answer_id: str | None,
    names: Mapping[str, str],
) -> Message:
    """Return the message that is made of all these. A block of a kind that is not known goes back as it came."""
    parts: list[Part] = []
    for block in blocks:
        kind = block.get("type")
        if kind == "text":
            parts += [Text(text)] if (text := word(block.get("text"))) else []
        elif kind == "thinking":
            parts += [Thinking(text, provider=owner)] if (text := word(block.get("thinking"))) else []
        else:
            parts.append(Native(owner, block))
    if plan:
        parts.append(Thinking(plan, provider=owner, data={"field": PLAN}))
    parts += [call.made(index, answer_id, names) for index, call in enumerate(calls) if call.name]
    if isinstance(citations, list) and citations:
        parts.append(Native(owner, {"citations": citations}))
    return Message("assistant", parts)


def finish_reason(raw: Any, *, called: bool) -> FinishReason:
    reason = FINISH_REASONS.get(raw, FinishReason.UNKNOWN) if isinstance(raw, str) else FinishReason.UNKNOWN
    # A call may be cut at the bound, and is then not offered as one.
    return FinishReason.TOOL_CALLS if called and reason in (FinishReason.STOP, FinishReason.UNKNOWN) else reason


def read_usage(usage: Any) -> Usage:
    """
    Return *usage* in our meaning: what the model has read and written. What is charged for (``billed_units``) may be less.

    Source: Cohere documentation, "How does Cohere's pricing work?", and recorded traffic; read 2026-11-21.
    """
    tokens, billed = at(usage, "tokens"), at(usage, "billed_units")
    counted = tokens if isinstance(tokens, dict) and tokens else billed
    if not isinstance(counted, dict) or not counted:
        return Usage(reported=False)
    given = count(counted.get("input_tokens"))
    cached = min(count(usage.get("cached_tokens")), given)
    return Usage(input_tokens=given, output_tokens=count(counted.get("output_tokens")), cache_read_tokens=cached)


# -- errors


def read_fault(response: HttpResponse) -> Fault:
    """Return what a bad reply says. Its body may be of any shape, or no JSON at all."""
    try:
        body = loads(response.body)
    except FramingError:
        body = None
    return _fault(body, response, response.body.decode("utf-8", "replace"))


def refuse_error(answer: Mapping[str, Any], response: HttpResponse, text: str | None = None) -> None:
    """Raise ``WireError`` if *answer*, which was read from *text* where that is not the whole body, is an error in truth."""
    if isinstance(answer.get("message"), str) or answer.get("error"):
        raise WireError(_fault(answer, response, response.body.decode("utf-8", "replace") if text is None else text))


def refuse_broken_off(reason: Any, error: Any, response: HttpResponse) -> None:
    """Raise ``WireError`` if *reason*, with which an answer ended, or the *error* beside it says that there is no answer."""
    kind = BROKEN_OFF.get(reason) if isinstance(reason, str) else None
    if kind is None and not word(error):
        return
    message = word(error) or f"The server broke the answer off: {reason}."
    # What it says of itself may tell more than that it failed.
    kind = None if word(error) and kind != "timeout" else kind
    headers = response.headers
    fault = Fault(status=response.status, kind=kind, code=label(reason), message=message, request_id=request_id(headers), headers=headers)
    raise WireError(fault)


def _fault(body: Any, response: HttpResponse, text: str) -> Fault:
    error = body if isinstance(body, dict) else {}
    # What stands before it, and its OpenAI-compatible host, says the error as an object.
    inner = error.get("error")
    if isinstance(inner, dict):
        error = inner
    message = word(error.get("message")) or word(inner) or word(error.get("detail"))
    return Fault(
        status=response.status,
        message=message or beginning(text),
        code=label(error.get("code")),
        type=label(error.get("type")),
        param=label(error.get("param")),
        request_id=request_id(response.headers) or label(at(body, "id")),
        headers=response.headers,
        error=error,
        body=text,
    )


# -- models


def decode_models(response: HttpResponse) -> list[ModelInfo]:
    answer = object_in(response)
    refuse_error(answer, response)
    rows = answer.get("models")
    if not isinstance(rows, list):
        raise WireError.malformed("The reply lists no models.", response)
    return [
        ModelInfo(id=name, context_window=count(row.get("context_length")) or None, raw=row)
        for row in objects(rows)
        if (name := word(row.get("name")))
    ]

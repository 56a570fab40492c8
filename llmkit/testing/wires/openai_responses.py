"""
Responses, as OpenAI and those who speak it too send them.

Source: OpenAI API reference and recorded traffic, read 2026-11-21.
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import frozen

from llmkit.testing.replies import RecordedRequest, Reply
from llmkit.testing.wires.base import Rendered, Route, Wire, sse
from llmkit.testing.wires.openai_answers import Answer, answer, cut_words
from llmkit.testing.wires.openai_chat import body_of, render_error, streamed, unauthorized, whole, written_out
from llmkit.testing.wires.openai_checks import mapping, rows
from llmkit.testing.wires.openai_responses_checks import check_count, check_responses, sealed, wants_seals
from llmkit.testing.wires.words import RESPONSES

__all__ = ["WIRE"]

_numbers = itertools.count(1)
_ARGUMENT_PIECE = 12  # characters of a tool call's arguments per stream event
_TEXTS = ("input_text", "output_text")
# How the other wire's finish reasons are said here.
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


def render_responses(request: RecordedRequest, reply: Reply) -> Rendered:
    """Return a response, whole or as a stream, as the request asks."""
    written = written_out(request, reply)
    if written is not None:
        return written
    body = body_of(request)
    model = str(body.get("model") or "")
    said = answer(_as_chat(body), reply, model=model)
    reason = _INCOMPLETE.get(said.finish_reason)
    response = {
        "id": reply.id if reply.id is not None else f"resp_fake{next(_numbers):08d}",
        "object": "response",
        "created_at": int(time.time()),
        "status": "completed" if reason is None else "incomplete",
        "error": None,
        "incomplete_details": None if reason is None else {"reason": reason},
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "model": model if reply.model is None else reply.model,
        "output": list(_output(said, body, cut=reason is not None)),
        "parallel_tool_calls": body.get("parallel_tool_calls", True),
        "store": body.get("store", True),
        "text": body.get("text") or {"format": {"type": "text"}},
        "tool_choice": body.get("tool_choice") or "auto",
        "tools": body.get("tools") or [],
        "usage": _usage(said, reply),
    }
    if body.get("stream"):
        return streamed(request, reply, _events(response, said))
    return whole(request, reply, response)


def render_count(request: RecordedRequest, reply: Reply) -> Rendered:
    """Return how many tokens a request would be."""
    said = answer(_as_chat(body_of(request)), reply, model="")
    count = {"object": "response.input_tokens", "input_tokens": said.usage["prompt_tokens"]}
    return written_out(request, reply) or whole(request, reply, count)


def _as_chat(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what *body* asks in the words of Chat Completions, as far as it shapes a fake's answer."""
    given = body.get("input")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else rows(given)
    wanted = mapping(mapping(body.get("text")).get("format"))
    choice = body.get("tool_choice")
    return {
        "messages": [{"role": item.get("role"), "content": _texts(item.get("content"))} for item in items if "role" in item],
        "tools": [{"type": "function", "function": tool} for tool in rows(body.get("tools")) if tool.get("type") == "function"],
        "tool_choice": {"type": "function", "function": choice} if isinstance(choice, dict) else choice,
        "response_format": {**wanted, "json_schema": wanted},
        "max_completion_tokens": body.get("max_output_tokens"),
    }


def _texts(content: Any) -> Any:
    if not isinstance(content, list):
        return content
    return [{"type": "text", "text": part.get("text")} for part in rows(content) if part.get("type") in _TEXTS]


def _output(said: Answer, body: dict[str, Any], *, cut: bool) -> Iterator[dict[str, Any]]:
    status = "incomplete" if cut else "completed"
    number = next(_numbers)
    if said.thinking:
        seal = {"encrypted_content": sealed(said.thinking)} if wants_seals(body) else {}
        yield {"id": f"rs_{number}", "type": "reasoning", **seal, "summary": [{"type": "summary_text", "text": said.thinking}]}
    content: list[dict[str, Any]] = []
    if said.text is not None:
        content.append({"type": "output_text", "annotations": [], "logprobs": [], "text": said.text})
    if said.refusal is not None:
        content.append({"type": "refusal", "refusal": said.refusal})
    if content:
        yield {"id": f"msg_{number}", "type": "message", "status": status, "content": content, "role": "assistant"}
    for index, call in enumerate(said.calls):
        yield {
            "id": f"fc_{number}_{index}",
            "type": "function_call",
            "status": status,
            "arguments": call.arguments_text,
            "call_id": call.id,
            "name": call.name,
        }


def _usage(said: Answer, reply: Reply) -> dict[str, Any]:
    asked, answered = said.usage["prompt_tokens"], said.usage["completion_tokens"]
    usage: dict[str, Any] = {
        "input_tokens": asked,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": answered,
        "output_tokens_details": {"reasoning_tokens": len(cut_words(said.thinking))},
        **(reply.usage or {}),
    }
    return {**usage, "total_tokens": usage["input_tokens"] + usage["output_tokens"]}


# Streams.


@frozen
class _Place:
    """Where an item stands in the output, and how it is called."""

    index: int
    item: Mapping[str, Any]

    def event(self, kind: str, **more: Any) -> dict[str, Any]:
        return {"type": kind, "item_id": self.item["id"], "output_index": self.index, **more}

    def item_event(self, moment: str, **changes: Any) -> dict[str, Any]:
        return {"type": f"response.output_item.{moment}", "output_index": self.index, "item": {**self.item, **changes}}


def _events(response: dict[str, Any], said: Answer) -> Iterator[bytes]:
    """Yield the numbered events of *response*, each with its name."""
    numbers = itertools.count()
    for event in _bare_events(response, said):
        kind = event["type"]
        yield b"event: %b\n%b" % (kind.encode(), sse({"type": kind, "sequence_number": next(numbers), **event}))


def _bare_events(response: dict[str, Any], said: Answer) -> Iterator[dict[str, Any]]:
    begun = {**response, "status": "in_progress", "incomplete_details": None, "output": [], "usage": None}
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for index, item in enumerate(response["output"]):
        place = _Place(index, item)
        if item["type"] == "reasoning":
            yield from _thought_events(place)
        elif item["type"] == "message":
            yield from _message_events(place, said)
        else:
            yield from _call_events(place)
        yield place.item_event("done")
    yield {"type": f"response.{response['status']}", "response": response}


def _thought_events(place: _Place) -> Iterator[dict[str, Any]]:
    # The seal of the beginning is not that of the end.
    early = {"encrypted_content": "gAAAAAB-early"} if "encrypted_content" in place.item else {}
    yield place.item_event("added", summary=[], **early)
    for index, part in enumerate(place.item["summary"]):
        yield place.event("response.reasoning_summary_part.added", summary_index=index, part={**part, "text": ""})
        for piece in cut_words(part["text"]):
            yield place.event("response.reasoning_summary_text.delta", summary_index=index, delta=piece)
        yield place.event("response.reasoning_summary_text.done", summary_index=index, text=part["text"])
        yield place.event("response.reasoning_summary_part.done", summary_index=index, part=part)


def _message_events(place: _Place, said: Answer) -> Iterator[dict[str, Any]]:
    yield place.item_event("added", status="in_progress", content=[])
    for index, part in enumerate(place.item["content"]):
        name = "text" if part["type"] == "output_text" else "refusal"
        pieces = (said.pieces or ()) if name == "text" else cut_words(part[name])
        stem = f"response.{part['type']}"
        extra: dict[str, Any] = {"logprobs": []} if name == "text" else {}
        yield place.event("response.content_part.added", content_index=index, part={**part, name: ""})
        for piece in pieces:
            yield place.event(f"{stem}.delta", content_index=index, delta=piece, **extra)
        yield place.event(f"{stem}.done", content_index=index, **{name: part[name]}, **extra)
        yield place.event("response.content_part.done", content_index=index, part=part)


def _call_events(place: _Place) -> Iterator[dict[str, Any]]:
    yield place.item_event("added", status="in_progress", arguments="")
    text = place.item["arguments"]
    for start in range(0, len(text), _ARGUMENT_PIECE):
        yield place.event("response.function_call_arguments.delta", delta=text[start : start + _ARGUMENT_PIECE])
    yield place.event("response.function_call_arguments.done", name=place.item["name"], arguments=text)


WIRE = Wire(
    routes=(
        Route(method="POST", path=re.compile(r".*/responses"), check=check_responses, render=render_responses),
        Route(method="POST", path=re.compile(r".*/responses/input_tokens"), check=check_count, render=render_count),
    ),
    render_error=render_error,
    words=RESPONSES,
    unauthorized=unauthorized,
)

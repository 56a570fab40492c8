"""
The Messages API, with models and counting of tokens, as Anthropic sends it.

Source: Anthropic API reference, "Create a Message", "Streaming Messages", "Count Message tokens", "List Models" and "Errors", and
recorded traffic, read 2026-11-21.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import evolve, frozen

from llmkit.testing.replies import Event, Failure, RecordedRequest, Reply, ToolUse
from llmkit.testing.wires.anthropic_checks import check_count, check_messages, check_model, check_version
from llmkit.testing.wires.anthropic_history import blocks_of, sealed
from llmkit.testing.wires.anthropic_models import MODELS, model_named
from llmkit.testing.wires.base import Rendered, Route, Wire, json_bytes, sse
from llmkit.testing.wires.openai_answers import Answer, answer, cut_words
from llmkit.testing.wires.openai_checks import mapping, rows, text_of
from llmkit.testing.wires.words import ANTHROPIC

__all__ = ["WIRE", "render_error", "render_message", "unauthorized", "whole", "written_out"]

_MODEL = re.compile(r".*/v1/models/([^/]+)")
_CREATED = "2026-09-29T00:00:00Z"
_INPUT_PIECE = 12  # characters of a tool call's input per stream event
_PAGE = 20  # models that are listed where nobody asks for more

_numbers = itertools.count(1)

# Status: type and message, for errors of which the script says no more.
_ERRORS: dict[int, tuple[str, str]] = {
    400: ("invalid_request_error", "The request is invalid."),
    401: ("authentication_error", "invalid x-api-key"),
    402: ("billing_error", "There is an issue with your billing or payment information."),
    403: ("permission_error", "Your API key does not have permission to use the specified resource."),
    404: ("not_found_error", "Not found"),
    409: ("conflict_error", "The request conflicts with another one."),
    413: ("request_too_large", "Request exceeds the maximum size"),
    429: ("rate_limit_error", "This request would exceed your organization's rate limit of 50 requests per minute."),
    500: ("api_error", "Internal server error"),
    504: ("timeout_error", "The request timed out."),
    529: ("overloaded_error", "Overloaded"),
}
_LIMITS = {
    f"anthropic-ratelimit-{what}-{name}": value
    for what, limit in (("requests", 4000), ("tokens", 480_000), ("input-tokens", 400_000), ("output-tokens", 80_000))
    for name, value in (("limit", str(limit)), ("remaining", str(limit - 1)), ("reset", "2026-11-21T09:00:01Z"))
}
_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}


def _request_id(reply: Reply) -> str:
    return reply.request_id or f"req_fake{next(_numbers):08d}"


def whole(reply: Reply, data: Any, *, request_id: str | None = None) -> Rendered:
    """Return a JSON answer; without *data*, one without a body."""
    headers = {"request-id": request_id or _request_id(reply), "anthropic-organization-id": "fake", **_LIMITS}
    return Rendered(status=reply.status, headers=headers, body=() if data is None else (json_bytes(data),))


def _streamed(reply: Reply, events: Iterator[bytes]) -> Rendered:
    return Rendered(
        status=reply.status,
        content_type="text/event-stream; charset=utf-8",
        headers={"request-id": _request_id(reply), "anthropic-organization-id": "fake", "cache-control": "no-cache", **_LIMITS},
        body=tuple(events),
        streamed=True,
    )


def event(data: Event) -> bytes:
    """Return one event, named as its type is; text and bytes that end with a newline are sent as they are."""
    if isinstance(data, Mapping) and "type" in data:
        return b"event: %b\n%b" % (str(data["type"]).encode(), sse(data))
    return sse(data)


def written_out(reply: Reply) -> Rendered | None:
    """Return what the script wants sent as it is, if anything."""
    if reply.events is not None:
        return _streamed(reply, map(event, reply.events))
    if reply.raw is not None:
        return whole(reply, reply.raw)
    if reply.status < 200 or reply.status == 204 or 300 <= reply.status < 400:
        return whole(reply, None)
    return None


# Errors.


def render_error(_: RecordedRequest, reply: Reply) -> Rendered:
    """Return an error in the provider's form; a code of the script's is the error's ``error_code``."""
    written = written_out(reply)
    if written is not None:
        return written
    failure = reply.failure or Failure()
    kind, message = _ERRORS.get(reply.status, _ERRORS[500 if reply.status >= 500 else 400])
    request_id = _request_id(reply)
    error: dict[str, Any] = {
        "type": kind if failure.type is None else failure.type,
        "message": message if failure.message is None else failure.message,
    }
    if failure.code is not None:
        error["details"] = {"error_code": failure.code}
    return whole(reply, {"type": "error", "error": error, "request_id": request_id}, request_id=request_id)


def unauthorized(request: RecordedRequest) -> Reply:
    """Return the refusal of a missing or unknown key."""
    message = "x-api-key header is required" if request.key is None else "invalid x-api-key"
    return Reply(status=401, failure=Failure(type="authentication_error", message=message))


# Messages.


def render_message(request: RecordedRequest, reply: Reply) -> Rendered:
    """Return a message, whole or as a stream, as the request asks."""
    written = written_out(reply)
    if written is not None:
        return written
    body = _body(request)
    said = _said(body, reply)
    message = _Message(
        top={
            "id": reply.id if reply.id is not None else f"msg_fake{next(_numbers):08d}",
            "type": "message",
            "role": "assistant",
            "model": str(body.get("model", "")) if reply.model is None else reply.model,
        },
        said=said,
        blocks=tuple(_blocks(said, body)),
        end=_end(said, reply, body),
        usage=_usage(said, reply, body),
    )
    return _streamed(reply, message.events()) if body.get("stream") else whole(reply, message.whole())


def _body(request: RecordedRequest) -> dict[str, Any]:
    """Return the decoded body; whatever is none counts as empty, since a script may answer it all the same."""
    try:
        body = request.json
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _said(body: dict[str, Any], reply: Reply) -> Answer:
    """Return what the model says, which is the same on every wire, to what it is asked in the words of another."""
    tools = [
        {"function": {"name": tool.get("name"), "parameters": tool["input_schema"]}}
        for tool in rows(body.get("tools"))
        if "input_schema" in tool
    ]
    choice = mapping(body.get("tool_choice"))
    asked: dict[str, Any] = {
        "messages": [{"role": "user", "content": _last_words(body)}],
        "tools": tools,
        "tool_choice": {"any": "required", "tool": {"function": {"name": choice.get("name")}}}.get(str(choice.get("type"))),
        "stop": body.get("stop_sequences"),
        "max_tokens": body.get("max_tokens"),
    }
    wanted = mapping(mapping(body.get("output_config")).get("format"))
    if "schema" in wanted:
        asked["response_format"] = {"type": "json_schema", "json_schema": {"schema": wanted["schema"]}}
    # Native ids, also for the calls that come to the model by itself.
    known = evolve(reply, tool_calls=map(_with_id, reply.tool_calls))
    said = answer(asked, known, model=str(body.get("model", "")))
    return said if known.tool_calls else evolve(said, calls=tuple(_with_id(evolve(call, id=None)) for call in said.calls))


def _with_id(call: ToolUse) -> ToolUse:
    return call if call.id is not None else evolve(call, id=f"toolu_fake{next(_numbers):08d}")


def _last_words(body: dict[str, Any]) -> str:
    texts = [text_of(blocks_of(turn.get("content"))) for turn in rows(body.get("messages")) if turn.get("role") == "user"]
    return next((text for text in reversed(texts) if text), "")


def _blocks(said: Answer, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if said.thinking:
        display = mapping(body.get("thinking")).get("display")
        hidden = display == "omitted" or (display is None and model_named(str(body.get("model", ""))).hides_thoughts)
        shown = "" if hidden else said.thinking
        yield {"type": "thinking", "thinking": shown, "signature": sealed(shown)}
    if said.text and said.refusal is None:
        yield {"type": "text", "text": said.text}
    for call in said.calls:
        # Arguments that are no JSON can be shown in a stream only.
        yield {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments if isinstance(call.arguments, Mapping) else {}}


def _end(said: Answer, reply: Reply, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return why the message ends, as it stands in it."""
    if said.refusal is not None:
        details = {"type": "refusal", "category": None, "explanation": said.refusal}
        return {"stop_reason": reply.finish_reason or "refusal", "stop_sequence": None, "stop_details": details}
    reason = said.finish_reason if reply.finish_reason else _REASONS[said.finish_reason]
    stop = None
    if reason == "end_turn" and not reply.says_something:
        whole = f"You said: {_last_words(dict(body))}"
        stop = next((one for one in body.get("stop_sequences") or () if one in whole), None)
    return {"stop_reason": "stop_sequence" if stop else reason, "stop_sequence": stop, "stop_details": None}


def _usage(said: Answer, reply: Reply, body: Mapping[str, Any]) -> dict[str, Any]:
    usage: dict[str, Any] = {
        "input_tokens": _counted(body),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": said.usage["completion_tokens"],
        "service_tier": "standard",
        "inference_geo": "global",
    }
    if said.thinking:
        usage["output_tokens_details"] = {"thinking_tokens": len(cut_words(said.thinking))}
    return {**usage, **(reply.usage or {})}


def _counted(body: Mapping[str, Any]) -> int:
    contents = [*([body["system"]] if body.get("system") else []), *(turn.get("content") for turn in rows(body.get("messages")))]
    return sum(text_of(blocks_of(content)).count(" ") + 4 for content in contents)


@frozen(kw_only=True)
class _Message:
    """One message, which can be sent in two ways."""

    top: dict[str, Any]
    said: Answer
    blocks: tuple[dict[str, Any], ...]
    end: dict[str, Any]
    usage: dict[str, Any]

    def whole(self) -> dict[str, Any]:
        return {**self.top, "content": list(self.blocks), **self.end, "usage": self.usage}

    def events(self) -> Iterator[bytes]:
        nothing = dict.fromkeys(self.end)
        begun = {**self.top, "content": [], **nothing, "usage": {**self.usage, "output_tokens": 1}}
        yield event({"type": "message_start", "message": begun})
        for index, block in enumerate(self.blocks):
            yield from self._block(index, block)
            if index == 0:
                yield event({"type": "ping"})
        told = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens", "output_tokens_details")
        usage = {name: self.usage[name] for name in told if name in self.usage}
        yield event({"type": "message_delta", "delta": self.end, "usage": usage})
        yield event({"type": "message_stop"})

    def _block(self, index: int, block: dict[str, Any]) -> Iterator[bytes]:
        kind = block["type"]
        blank: dict[str, dict[str, Any]] = {
            "text": {"text": ""},
            "thinking": {"thinking": "", "signature": ""},
            "tool_use": {"input": {}},
        }
        yield event({"type": "content_block_start", "index": index, "content_block": {**block, **blank[kind]}})
        for delta in {"text": self._text, "thinking": self._thoughts, "tool_use": self._input}[kind](block):
            yield event({"type": "content_block_delta", "index": index, "delta": delta})
        yield event({"type": "content_block_stop", "index": index})

    def _text(self, _: dict[str, Any]) -> Iterator[dict[str, Any]]:
        return ({"type": "text_delta", "text": piece} for piece in self.said.pieces or ())

    def _thoughts(self, block: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield from ({"type": "thinking_delta", "thinking": piece} for piece in cut_words(block["thinking"]))
        yield {"type": "signature_delta", "signature": block["signature"]}

    def _input(self, block: dict[str, Any]) -> Iterator[dict[str, Any]]:
        text = next(call.arguments_text for call in self.said.calls if call.id == block["id"])
        pieces = ["", *(text[start : start + _INPUT_PIECE] for start in range(0, len(text), _INPUT_PIECE))] if text != "{}" else [""]
        return ({"type": "input_json_delta", "partial_json": piece} for piece in pieces)


# Tokens and models.


def render_count(request: RecordedRequest, reply: Reply) -> Rendered:
    """Return how many tokens a request would have."""
    return written_out(reply) or whole(reply, {"input_tokens": _counted(_body(request))})


def render_models(request: RecordedRequest, reply: Reply) -> Rendered:
    """Return a page of the list of models."""
    written = written_out(reply)
    if written is not None:
        return written
    after = request.query.get("after_id")
    names = MODELS[MODELS.index(after) + 1 :] if after in MODELS else MODELS
    page = names[: int(request.query.get("limit", _PAGE))]
    ends = {"first_id": page[0] if page else None, "last_id": page[-1] if page else None}
    return whole(reply, {"data": [_row(name) for name in page], "has_more": len(page) < len(names), **ends})


def check_one_model(request: RecordedRequest) -> Reply | None:
    """Refuse a model that does not exist."""
    return check_version(request) or check_model(_named(request))


def render_model(request: RecordedRequest, reply: Reply) -> Rendered:
    """Return what is known of one model."""
    return written_out(reply) or whole(reply, _row(_named(request)))


def _named(request: RecordedRequest) -> str:
    found = _MODEL.fullmatch(request.endpoint)
    return found[1] if found else ""


def _row(name: str) -> dict[str, Any]:
    model = model_named(name)
    types = {kind: {"supported": kind in model.thinking} for kind in ("adaptive", "enabled", "disabled", "between_tools")}
    return {
        "type": "model",
        "id": name,
        "display_name": name.replace("-", " ").title(),
        "created_at": _CREATED,
        "deprecated_at": None,
        "retires_at": None,
        "lifecycle": "active",
        "line": model.family or None,
        "max_input_tokens": 200_000 if model.version == (4, 5) else 1_000_000,
        "max_tokens": model.max_tokens,
        "capabilities": {"image_input": {"supported": True}, "thinking": {"supported": True, "types": types}},
    }


WIRE = Wire(
    routes=(
        Route(method="POST", path=re.compile(r".*/v1/messages"), check=check_messages, render=render_message),
        Route(method="POST", path=re.compile(r".*/v1/messages/count_tokens"), check=check_count, render=render_count),
        Route(method="GET", path=re.compile(r".*/v1/models"), check=check_version, render=render_models),
        Route(method="GET", path=_MODEL, check=check_one_model, render=render_model),
    ),
    render_error=render_error,
    unauthorized=unauthorized,
    words=ANTHROPIC,
    providers=frozenset({"anthropic"}),
    bases={"anthropic": ""},
)

"""
Chat Completions, with models and embeddings, as OpenAI and its look-alikes send them.

Source: OpenAI API reference and recorded traffic, read 2026-11-21.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import struct
import time
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import frozen

from llmkit.testing.replies import Failure, RecordedRequest, Reply
from llmkit.testing.wires.base import Rendered, Route, Wire, json_bytes, sse
from llmkit.testing.wires.openai_answers import Answer, answer, cut_words
from llmkit.testing.wires.openai_checks import check_chat, check_embeddings, check_model, mapping, model_of
from llmkit.testing.wires.openai_habits import Habits, error_body, habits_of

__all__ = ["WIRE", "body_of", "packed", "render_chat", "render_error", "streamed", "unauthorized", "vector", "whole", "written_out"]

MODELS = ("gpt-4o", "gpt-4o-mini", "gpt-5", "gpt-5-mini", "o4-mini", "text-embedding-3-small", "text-embedding-3-large")

_MODEL = re.compile(r".*/models/(.+)")
_CREATED = 1_700_000_000  # when the models were made, in the fake's world
_DIMENSIONS = 8
_ARGUMENT_PIECE = 12  # characters of a tool call's arguments per stream event
_MARK = "\x00"
_DONE = b"data: [DONE]\n\n"
_SHOWN = 4  # characters at either end of a refused key, which OpenAI shows too

_numbers = itertools.count(1)

# Status: type, code, message, for errors of which the script says no more.
_ERRORS: dict[int, tuple[str, str | None, str]] = {
    400: ("invalid_request_error", None, "The request is invalid."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    402: ("insufficient_quota", "insufficient_quota", "Insufficient balance."),
    403: (
        "invalid_request_error",
        "unsupported_country_region_territory",
        "Country, region, or territory not supported",
    ),
    404: ("invalid_request_error", "model_not_found", "The model does not exist or you do not have access to it."),
    408: ("server_error", None, "Request timed out."),
    409: ("invalid_request_error", None, "The request conflicts with another one."),
    413: ("invalid_request_error", None, "Request too large."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached on requests per min (RPM). Please try again in 20ms."),
    500: ("server_error", None, "The server had an error while processing your request. Sorry about that!"),
    502: ("server_error", None, "Bad gateway."),
    503: ("server_error", None, "The engine is currently overloaded, please try again later"),
    504: ("server_error", None, "Gateway timeout."),
}
_LIMITS = {
    "x-ratelimit-limit-requests": "10000",
    "x-ratelimit-limit-tokens": "200000",
    "x-ratelimit-remaining-requests": "9999",
    "x-ratelimit-remaining-tokens": "199980",
    "x-ratelimit-reset-requests": "6ms",
    "x-ratelimit-reset-tokens": "1m0.5s",
}
_OWN_HEADERS = {"openai-organization": "fake", "openai-processing-ms": "5", "openai-version": "2020-10-01"}


def _headers(request: RecordedRequest, reply: Reply) -> dict[str, str]:
    request_id = reply.request_id or f"req_fake{next(_numbers):08d}"
    own = _OWN_HEADERS if request.provider == "openai" else {}
    return {"x-request-id": request_id, **own, **_LIMITS}


def whole(request: RecordedRequest, reply: Reply, data: Any) -> Rendered:
    """Return a JSON answer; without *data*, one without a body."""
    body = () if data is None else (json_bytes(data),)
    return Rendered(status=reply.status, headers=_headers(request, reply), body=body)


def streamed(request: RecordedRequest, reply: Reply, events: Iterator[bytes]) -> Rendered:
    return Rendered(
        status=reply.status,
        content_type="text/event-stream; charset=utf-8",
        headers={**_headers(request, reply), "cache-control": "no-cache"},
        body=tuple(events),
        streamed=True,
    )


def written_out(request: RecordedRequest, reply: Reply) -> Rendered | None:
    """Return what the script wants sent as it is, if anything."""
    if reply.events is not None:
        return streamed(request, reply, map(sse, reply.events))
    if reply.raw is not None:
        return whole(request, reply, reply.raw)
    if reply.status < 200 or reply.status == 204 or 300 <= reply.status < 400:
        return whole(request, reply, None)
    return None


# Errors.


def render_error(request: RecordedRequest, reply: Reply) -> Rendered:
    """Return an error in the provider's form."""
    written = written_out(request, reply)
    if written is not None:
        return written
    failure = reply.failure or Failure()
    kind, code, message = _ERRORS.get(reply.status, _ERRORS[500 if reply.status >= 500 else 400])
    bare = failure.type is None and failure.message is None
    error = {
        "message": message if failure.message is None else failure.message,
        "type": kind if failure.type is None else failure.type,
        "param": failure.param,
        "code": code if failure.code is None and bare else failure.code,
    }
    return whole(request, reply, error_body(habits_of(request.provider), status=reply.status, error=error))


def unauthorized(request: RecordedRequest) -> Reply:
    """Return the refusal of a missing or unknown key."""
    if request.key is None:
        message = "You didn't provide an API key. Send it in an Authorization header as a Bearer token."
        return Reply(status=401, failure=Failure(type="invalid_request_error", message=message))
    shown = f"{request.key[:_SHOWN]}****{request.key[-_SHOWN:]}" if len(request.key) > 2 * _SHOWN else "****"
    message = f"Incorrect API key provided: {shown}."
    return Reply(status=401, failure=Failure(type="invalid_request_error", code="invalid_api_key", message=message))


# Chat.


def render_chat(request: RecordedRequest, reply: Reply) -> Rendered:
    """Return a completion, whole or as a stream, as the request asks."""
    written = written_out(request, reply)
    if written is not None:
        return written
    body = body_of(request)
    asked_model = model_of(request, body)
    said = answer(body, reply, model=asked_model)
    streaming = bool(body.get("stream"))
    top = {
        "id": reply.id if reply.id is not None else f"chatcmpl-fake{next(_numbers):08d}",
        "object": "chat.completion.chunk" if streaming else "chat.completion",
        "created": int(time.time()),
        "model": asked_model if reply.model is None else reply.model,
        "service_tier": "default",
        "system_fingerprint": "fp_fake",
    }
    habits = habits_of(request.provider)
    if streaming:
        return streamed(request, reply, _Stream(top=top, said=said, habits=habits, body=body).events())
    choices = [_choice(index, said, habits, body) for index in range(body.get("n") or 1)]
    return whole(request, reply, {**top, "choices": choices, "usage": said.usage})


def body_of(request: RecordedRequest) -> dict[str, Any]:
    """Return the decoded body; whatever is none counts as empty, since a script may answer it all the same."""
    try:
        body = request.json
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _choice(index: int, said: Answer, habits: Habits, body: Mapping[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": said.text, "refusal": said.refusal, "annotations": []}
    if said.thinking:
        _add_thinking(message, said, habits)
    if said.calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments_text}} for call in said.calls
        ]
    logprobs = None
    if body.get("logprobs"):
        logprobs = {"content": [_logprob(piece, body) for piece in said.pieces or ()], "refusal": None}
    return {
        "index": index,
        "message": message,
        "logprobs": logprobs,
        "finish_reason": said.finish_reason,
    }


def _add_thinking(message: dict[str, Any], said: Answer, habits: Habits) -> None:
    if habits.thinking == "parts":
        message["content"] = [_thinking_part(said.thinking), {"type": "text", "text": said.text or ""}]
    elif habits.thinking == "tag":
        message["content"] = f"<think>{said.thinking}</think>{said.text or ''}"
    else:
        message[habits.thinking] = said.thinking


def _thinking_part(text: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": [{"type": "text", "text": text}]}


def _logprob(piece: str, body: Mapping[str, Any]) -> dict[str, Any]:
    entry = {"token": piece, "logprob": -0.25, "bytes": list(piece.encode())}
    return {**entry, "top_logprobs": [entry] * min(body.get("top_logprobs") or 0, 1)}


@frozen(kw_only=True)
class _Stream:
    """A completion as a row of chunks: role, thoughts, text, tool calls, finish, usage, end."""

    top: dict[str, Any]
    said: Answer
    habits: Habits
    body: Mapping[str, Any]

    def events(self) -> Iterator[bytes]:
        for index in range(self.body.get("n") or 1):
            yield self._event(index, {"role": "assistant", "content": None if self.said.pieces is None else "", "refusal": None})
            yield from self._thoughts(index)
            yield from self._text(index)
            if self.said.refusal is not None:
                yield self._event(index, {"refusal": self.said.refusal})
            yield from self._calls(index)
            yield self._event(index, {}, finish=self.said.finish_reason)
        if self._usage_apart:
            yield sse({**self.top, "choices": [], "usage": self.said.usage})
        yield _DONE

    @property
    def _usage_apart(self) -> bool:
        asked = bool(mapping(self.body.get("stream_options")).get("include_usage"))
        return self.habits.usage == "always" or (self.habits.usage == "asked" and asked)

    def _event(self, index: int, delta: dict[str, Any], *, finish: str | None = None, logprobs: Any = None) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        chunk = {**self.top, "choices": [choice]}
        if self.habits.usage == "finish" and finish is not None:
            chunk["usage"] = self.said.usage
        elif self._usage_apart:
            chunk["usage"] = None
        return sse(chunk)

    def _texts(self, index: int, delta: Mapping[str, Any], pieces: tuple[str, ...]) -> Iterator[bytes]:
        """Yield one event per piece; only the place of `_MARK` in *delta* differs, so the rest is written once."""
        before, after = self._event(index, dict(delta)).split(json.dumps(_MARK).encode())
        for piece in pieces:
            yield b"%b%b%b" % (before, json.dumps(piece).encode(), after)

    def _thoughts(self, index: int) -> Iterator[bytes]:
        if not self.said.thinking:
            return
        style, text = self.habits.thinking, self.said.thinking
        if style == "parts":
            yield from self._texts(index, {"content": [_thinking_part(_MARK)]}, (text,))
        elif style == "tag":
            yield from self._texts(index, {"content": _MARK}, (f"<think>{text}</think>",))
        else:
            yield from self._texts(index, {"content": None, style: _MARK}, cut_words(text))

    def _text(self, index: int) -> Iterator[bytes]:
        pieces = self.said.pieces or ()
        if not self.body.get("logprobs"):
            yield from self._texts(index, {"content": _MARK}, pieces)
            return
        for piece in pieces:
            logprobs = {"content": [_logprob(piece, self.body)], "refusal": None}
            yield self._event(index, {"content": piece}, logprobs=logprobs)

    def _calls(self, index: int) -> Iterator[bytes]:
        for number, call in enumerate(self.said.calls):
            first = {
                "index": number,
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": ""},
            }
            yield self._event(index, {"tool_calls": [first]})
            text = call.arguments_text
            pieces = tuple(text[start : start + _ARGUMENT_PIECE] for start in range(0, len(text), _ARGUMENT_PIECE))
            delta = {"tool_calls": [{"index": number, "function": {"arguments": _MARK}}]}
            yield from self._texts(index, delta, pieces)


# Models and embeddings.


def render_models(request: RecordedRequest, reply: Reply) -> Rendered:
    """Return the list of models."""
    written = written_out(request, reply)
    return written or whole(request, reply, {"object": "list", "data": [_model_row(name) for name in MODELS]})


def check_one_model(request: RecordedRequest) -> Reply | None:
    """Refuse a model that does not exist."""
    return check_model(_named_model(request))


def render_model(request: RecordedRequest, reply: Reply) -> Rendered:
    """Return what is known of one model."""
    return written_out(request, reply) or whole(request, reply, _model_row(_named_model(request)))


def _named_model(request: RecordedRequest) -> str:
    named = _MODEL.fullmatch(request.endpoint)
    return named.group(1) if named else ""


def _model_row(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": "fake"}


def render_embeddings(request: RecordedRequest, reply: Reply) -> Rendered:
    """Return a vector of length one for each input, the same for the same input."""
    written = written_out(request, reply)
    if written is not None:
        return written
    body = body_of(request)
    given = body.get("input", "")
    inputs = given if isinstance(given, list) and given and isinstance(given[0], (str, list)) else [given]
    encoded = body.get("encoding_format") == "base64"
    vectors = [vector(one, body.get("dimensions") or _DIMENSIONS) for one in inputs]
    rows = [
        {"object": "embedding", "index": index, "embedding": packed(numbers) if encoded else numbers}
        for index, numbers in enumerate(vectors)
    ]
    tokens = sum(len(one) if isinstance(one, list) else str(one).count(" ") + 1 for one in inputs)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens, **(reply.usage or {})}
    model = model_of(request, body) if reply.model is None else reply.model
    return whole(request, reply, {"object": "list", "data": rows, "model": model, "usage": usage})


def vector(given: Any, dimensions: int) -> list[float]:
    """Return a vector of length one for *given*: the same for the same."""
    text = json.dumps(given).encode()
    blocks = (hashlib.blake2b(text, salt=struct.pack("<q", number)).digest() for number in itertools.count())
    numbers = [byte - 127.5 for byte in itertools.islice(itertools.chain.from_iterable(blocks), dimensions)]
    length = sum(number * number for number in numbers) ** 0.5
    # As float32, so that both encodings carry the same numbers.
    return list(struct.unpack(f"<{dimensions}f", struct.pack(f"<{dimensions}f", *(number / length for number in numbers))))


def packed(vector: list[float]) -> str:
    """Return *vector* as base64 of 32-bit floats."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


WIRE = Wire(
    routes=(
        Route(method="POST", path=re.compile(r".*/chat/completions"), check=check_chat, render=render_chat),
        Route(method="POST", path=re.compile(r".*/embeddings"), check=check_embeddings, render=render_embeddings),
        Route(method="GET", path=re.compile(r".*/models"), render=render_models),
        Route(method="GET", path=_MODEL, check=check_one_model, render=render_model),
    ),
    render_error=render_error,
    unauthorized=unauthorized,
    bases={"azure": "", "azure_openai": "", "perplexity": ""},
)

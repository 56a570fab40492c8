"""
The wire of a local provider, which is none: the request is handed on as it is, and so is what comes back.

What is handed on looks like a request and a response of HTTP, so that everything between a call and a network is the same here.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import attrs
from attrs import evolve, field

from llmkit.dialects.base import Place, StreamDecoder, WireError
from llmkit.models.chunk import CompletionChunk, ToolCallDelta
from llmkit.models.content import Message, Part, Text, Thinking, ToolCall
from llmkit.models.fault import Fault
from llmkit.models.info import ModelInfo
from llmkit.models.reading import decode_arguments
from llmkit.models.request import CompletionRequest
from llmkit.models.response import CompletionResponse, FinishReason
from llmkit.models.usage import UNREPORTED, Usage
from llmkit.transport.base import HttpRequest, HttpResponse
from llmkit.values import define, frozen

__all__ = ["END", "LocalDecoder", "LocalDialect", "LocalRequest", "LocalResponse", "Piece", "answer_of", "as_piece"]

# What says nothing of the question: how it travels, and what is known of the model.
_UNSAID = frozenset({"facts", "stream"})


@define(kw_only=True)
class LocalRequest(HttpRequest):
    """A request that is handed on as it is. Its ``body`` says the same as JSON, for those who look at it or compare it."""

    request: CompletionRequest


@define(kw_only=True)
class LocalResponse(HttpResponse):
    """A whole answer, handed back as it is."""

    answer: CompletionResponse


class Piece(bytes):
    """A chunk of a stream, where bytes are looked for; without one, the proof that the provider had said all."""

    chunk: CompletionChunk | None = None


END = Piece()


def as_piece(given: object) -> Piece:
    """
    Return what a provider yielded as a piece of a stream.

    Raises:
        TypeError: If it is neither a chunk nor text.
    """
    if not isinstance(given, (str, CompletionChunk)):
        msg = f"A local provider streams CompletionChunks and strings, not {type(given).__name__}."
        raise TypeError(msg)
    piece = Piece()
    piece.chunk = CompletionChunk(given) if isinstance(given, str) else given
    return piece


def answer_of(given: object, request: CompletionRequest) -> CompletionResponse:
    """
    Return what a provider returned as an answer of our own, which nobody else holds.

    Raises:
        TypeError: If it is neither an answer nor text.
    """
    if isinstance(given, str):
        return CompletionResponse(message=Message("assistant", given), finish_reason=FinishReason.STOP, model=request.model)
    if not isinstance(given, CompletionResponse):
        msg = f"A local provider returns a CompletionResponse or a string, not {type(given).__name__}."
        raise TypeError(msg)
    return evolve(given, model=given.model or request.model)


@frozen(kw_only=True)
class LocalDialect:
    """Hands requests on and answers back."""

    owner: str
    parameters: frozenset[str]
    name: str = "local"

    def encode(self, request: CompletionRequest, place: Place) -> HttpRequest:
        said = {one.name: getattr(request, one.name) for one in attrs.fields(CompletionRequest) if one.name not in _UNSAID}
        body = {name: value for name, value in said.items() if value not in (None, ())}
        return LocalRequest(
            method="CALL", url=place.base_url, body=json.dumps(body, default=_plain, ensure_ascii=False).encode(), request=request
        )

    def decode(self, response: HttpResponse, request: CompletionRequest) -> CompletionResponse:
        assert isinstance(response, LocalResponse)  # nobody else answers
        return response.answer

    def decoder(self, response: HttpResponse, request: CompletionRequest) -> StreamDecoder:
        return LocalDecoder(model=request.model, whole=response.answer if isinstance(response, LocalResponse) else None)

    def fault(self, response: HttpResponse) -> Fault:
        return Fault(status=response.status)

    def concession(self, fault: Fault, request: CompletionRequest) -> str | None:
        return None

    def encode_models(self, place: Place) -> HttpRequest | None:
        return None

    def decode_models(self, response: HttpResponse) -> list[ModelInfo]:
        return []


def _plain(value: Any) -> Any:
    """Return *value*, of a request, as JSON can say it."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, Mapping):
        return dict(value)
    if not attrs.has(type(value)):
        return repr(value)
    named = {one.name: getattr(value, one.name) for one in attrs.fields(type(value)) if one.name != "function"}
    return {"kind": type(value).__name__, **named}


@define(kw_only=True)
class LocalDecoder:
    """Puts the chunks of a stream together. *whole* is the answer of a provider that does not stream."""

    model: str
    whole: CompletionResponse | None = None
    ended: bool = field(default=False, init=False)
    _texts: list[str] = field(factory=list, init=False)
    _thoughts: list[str] = field(factory=list, init=False)
    _calls: dict[int, ToolCallDelta] = field(factory=dict, init=False)
    _reason: FinishReason | None = field(default=None, init=False)
    _usage: Usage = field(default=UNREPORTED, init=False)

    def feed(self, data: bytes) -> list[CompletionChunk]:
        if not isinstance(data, Piece):
            return []  # the empty body beside an answer that is handed back whole
        chunk = data.chunk
        if chunk is None:
            self.ended = True
            self._reason = self._reason or (FinishReason.TOOL_CALLS if self._calls else FinishReason.STOP)
            return []
        if chunk.text:
            self._texts.append(chunk.text)
        if chunk.thinking:
            self._thoughts.append(chunk.thinking)
        if chunk.tool_call is not None:
            self._add_call(chunk.tool_call)
        self._reason = chunk.finish_reason or self._reason
        self._usage = chunk.usage or self._usage
        return [chunk]

    def _add_call(self, new: ToolCallDelta) -> None:
        old = self._calls.get(new.index)
        if old is not None:
            new = ToolCallDelta(new.index, old.id or new.id, old.name or new.name, old.arguments + new.arguments)
        self._calls[new.index] = new

    def finish(self) -> list[CompletionChunk]:
        if self.ended:
            return []
        whole = self.whole
        if whole is None:
            raise WireError.truncated("The stream of the provider did not come to its end.")
        self.ended = True
        calls = [
            CompletionChunk(tool_call=ToolCallDelta(index, call.id, call.name, json.dumps(dict(call.arguments))))
            for index, call in enumerate(whole.tool_calls)
        ]
        return [*calls, CompletionChunk(whole.text, whole.thinking, None, whole.finish_reason, whole.usage)]

    def response(self) -> CompletionResponse:
        if self.whole is not None:
            return self.whole
        parts: list[Part] = [Thinking("".join(self._thoughts))] if self._thoughts else []
        if self._texts:
            parts.append(Text("".join(self._texts)))
        parts += [_call(self._calls[index]) for index in sorted(self._calls)]
        reason = self._reason or FinishReason.UNKNOWN
        return CompletionResponse(message=Message("assistant", parts), finish_reason=reason, usage=self._usage, model=self.model)


def _call(delta: ToolCallDelta) -> ToolCall:
    arguments, text, invalid = decode_arguments(delta.arguments)
    return ToolCall(delta.id or f"call_{delta.index}", delta.name or "", arguments, text=text, invalid=invalid)

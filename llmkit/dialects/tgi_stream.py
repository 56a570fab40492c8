"""
Reading Text Generation Inference's streams: one event per token.

Rule: a stream is complete when an event has the whole text; bytes ending is no proof.

Source: huggingface/text-generation-inference at db931fcf, ``router/src/lib.rs`` and ``server.rs``, read 2026-11-21.
"""

from __future__ import annotations

from typing import Any

from attrs import field

from llmkit.dialects.base import StreamDecoder, WireError
from llmkit.dialects.framing import loads
from llmkit.dialects.framing.sse import SSEDecoder, SSEEvent
from llmkit.dialects.reading import StreamReader
from llmkit.dialects.tgi_answers import decode, finish_reason, made, read_usage, refuse_error
from llmkit.dialects.whole import WholeAnswer
from llmkit.dialects.wire_json import at, word
from llmkit.models.chunk import CompletionChunk
from llmkit.models.request import CompletionRequest
from llmkit.models.response import CompletionResponse
from llmkit.transport.base import HttpResponse
from llmkit.values import define

__all__ = ["TokenStream", "decoder"]


def decoder(response: HttpResponse, request: CompletionRequest) -> StreamDecoder:
    if "json" in response.headers.get("content-type", ""):
        return WholeAnswer(answer_to=response, asked=request.model, read=lambda whole: decode(whole, request))
    return TokenStream(answer_to=response, asked=request.model)


@define(kw_only=True)
class TokenStream(StreamReader):
    """The decoder of a stream."""

    asked: str
    _sse: SSEDecoder = field(factory=SSEDecoder, init=False)
    _texts: list[str] = field(factory=list, init=False)
    _tokens: list[Any] = field(factory=list, init=False)
    _details: dict[str, Any] = field(factory=dict, init=False)
    _whole: str | None = field(default=None, init=False)

    def _read(self, data: bytes, chunks: list[CompletionChunk]) -> None:
        self._read_events(self._sse.feed(data), chunks)

    def _finish(self, chunks: list[CompletionChunk]) -> None:
        self._read_events(self._sse.finish(), chunks)
        if not self.ended:
            message = "The stream ended before the answer was complete: no event had the whole text."
            raise WireError.truncated(message, self.answer_to)

    def _read_events(self, events: list[SSEEvent], chunks: list[CompletionChunk]) -> None:
        for _, data in events:
            if data.startswith("[DONE]"):
                continue  # of a gateway's; the last event was the proof
            event = loads(data)
            if event.__class__ is not dict:
                raise WireError.malformed("An event of the stream is no JSON object.", self.answer_to)
            refuse_error(event, self.answer_to, data)
            self._read_token(event, chunks)
            whole = event.get("generated_text")
            if isinstance(whole, str):
                self._end(whole, event, chunks)
                break

    def _read_token(self, event: dict[str, Any], chunks: list[CompletionChunk]) -> None:
        token = event.get("token")
        if token.__class__ is not dict:
            return
        self._tokens.append(token)
        text = word(token.get("text"))
        if text and token.get("special") is not True:  # such as the mark of the end
            self._texts.append(text)
            chunks.append(CompletionChunk(text, "", None, None, None, event))

    def _end(self, whole: str, event: dict[str, Any], chunks: list[CompletionChunk]) -> None:
        self.ended = True
        self._whole = whole
        details = event.get("details")
        self._details = details if isinstance(details, dict) else {}
        rest = "" if self._texts else whole  # some servers send no tokens, only the end
        self._texts += [rest] if rest else []
        usage = read_usage(details)
        reason = finish_reason(word(at(details, "finish_reason")))
        chunks.append(CompletionChunk(rest, "", None, reason, usage if usage.reported else None, event))

    def response(self) -> CompletionResponse:
        details = {**self._details, "tokens": self._tokens}
        raw = {"generated_text": "".join(self._texts) if self._whole is None else self._whole, "details": details}
        return made("".join(self._texts), self._details, self.answer_to, self.asked, raw)

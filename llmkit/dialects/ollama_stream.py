"""
Reading Ollama's streams: one JSON object per line, each with what is new.

Rule: a stream is complete when a line says ``done``; bytes ending is no proof.

Source: Ollama, docs/api/streaming.mdx and server/routes.go at fb3076099 (August 2026), read 2026-11-21.
"""

from __future__ import annotations

from typing import Any

from attrs import field

from llmkit.dialects.base import WireError, request_id
from llmkit.dialects.framing import FramingError, loads
from llmkit.dialects.framing.ndjson import NDJSONDecoder
from llmkit.dialects.ollama_answers import MessageInMaking, finish_reason, read_usage, refuse_error
from llmkit.dialects.reading import StreamReader
from llmkit.dialects.wire_json import word
from llmkit.models.chunk import CompletionChunk
from llmkit.models.request import CompletionRequest
from llmkit.models.response import CompletionResponse, FinishReason
from llmkit.models.usage import UNREPORTED, Usage
from llmkit.transport.base import HttpResponse
from llmkit.values import define

__all__ = ["ChatLines", "decode_as_whole"]


def decode_as_whole(owner: str, response: HttpResponse, request: CompletionRequest) -> CompletionResponse:
    """Return the answer of a server that streams whether asked to or not."""
    return ChatLines(owner=owner, answer_to=response, asked=request.model).whole()


@define(kw_only=True)
class ChatLines(StreamReader):
    """The decoder of a stream. An answer that came whole, in one line, is a stream of one."""

    owner: str
    asked: str
    _over: bool = field(default=False, init=False)  # whether no more bytes come
    _lines: NDJSONDecoder = field(factory=NDJSONDecoder, init=False)
    _made: MessageInMaking = field(init=False)
    _last: dict[str, Any] = field(factory=dict, init=False)  # the line that was read last
    _logprobs: list[Any] = field(factory=list, init=False)
    _usage: Usage = field(default=UNREPORTED, init=False)
    _reason: FinishReason = field(default=FinishReason.UNKNOWN, init=False)

    def __attrs_post_init__(self) -> None:
        self._made = MessageInMaking(self.owner)

    def _read(self, data: bytes, chunks: list[CompletionChunk]) -> None:
        self._read_lines(self._lines.feed(data), chunks)

    def _finish(self, chunks: list[CompletionChunk]) -> None:
        self._over = True
        self._read_lines(self._lines.finish(), chunks)
        if not self.ended:
            raise self._cut_off()

    def _after(self, chunks: list[CompletionChunk], error: FramingError | WireError) -> WireError:
        if isinstance(error, FramingError):
            error = WireError.malformed(f"The reply is no stream of JSON lines: {error}.", self.answer_to)
        return super()._after(chunks, error)

    def _cut_off(self) -> WireError:
        return WireError.truncated("The stream ended before the answer was complete: no line said that it is done.", self.answer_to)

    def _read_lines(self, lines: list[str], chunks: list[CompletionChunk]) -> None:
        for line in lines:
            try:
                event = loads(line)
            except FramingError:
                self._refuse_half(line)
                raise
            if event.__class__ is not dict:
                raise WireError.malformed("A line of the stream is no JSON object.", self.answer_to)
            if "error" in event:
                refuse_error(event, self.answer_to, line)
            self._last = event
            self._read_message(event, chunks)
            if event.get("done") is True:
                self._end(event, chunks)
                break

    def _refuse_half(self, line: str) -> None:
        # What stands at the end of all bytes is the beginning of a line, if lines came before it or it begins as one does.
        if self._over and (self._last or line.startswith("{")):
            raise self._cut_off() from None

    def _read_message(self, event: dict[str, Any], chunks: list[CompletionChunk]) -> None:
        message = event.get("message")
        if message.__class__ is not dict:
            raise WireError.malformed("A line of the stream has no message.", self.answer_to)
        text, thoughts, deltas = self._made.add(message, event.get("created_at"))
        if text or thoughts:
            chunks.append(CompletionChunk(text, thoughts, None, None, None, event))
        if deltas:
            chunks.extend(CompletionChunk("", "", delta, None, None, event) for delta in deltas)
        if "logprobs" in event and isinstance(event["logprobs"], list):
            self._logprobs += event["logprobs"]

    def _end(self, event: dict[str, Any], chunks: list[CompletionChunk]) -> None:
        self.ended = True
        text, thoughts = self._made.end()
        self._usage = read_usage(event)
        self._reason = finish_reason(word(event.get("done_reason")), called=bool(self._made.calls))
        chunks.append(CompletionChunk(text, thoughts, None, self._reason, self._usage if self._usage.reported else None, event))

    def response(self) -> CompletionResponse:
        rest = {"logprobs": self._logprobs} if self._logprobs else {}
        return CompletionResponse(
            message=self._made.message(),
            finish_reason=self._reason,
            raw_finish_reason=word(self._last.get("done_reason")) or None,
            usage=self._usage,
            model=word(self._last.get("model")) or self.asked,
            request_id=request_id(self.answer_to.headers),
            raw={**self._last, "message": self._made.raw(), **rest},
        )

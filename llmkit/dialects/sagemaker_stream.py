"""
SageMaker's streams: the container's bytes in the frames of an AWS event stream.

A part ends anywhere: inside a line, inside a character. So what is in the frames is put together again and read by the decoder of the
container's wire, which also knows what proves an answer complete.

Source: AWS, "InvokeEndpointWithResponseStream", and Text Generation Inference 3.3, ``router/src/server.rs``; read 2026-11-21.
"""

from __future__ import annotations

from attrs import field

from llmkit.dialects.aws_faults import exception_in, protocol_error
from llmkit.dialects.base import Dialect, StreamDecoder, WireError
from llmkit.dialects.framing import FramingError
from llmkit.dialects.framing.eventstream import EventStreamDecoder
from llmkit.models.chunk import CompletionChunk
from llmkit.models.content import Message
from llmkit.models.request import CompletionRequest
from llmkit.models.response import CompletionResponse
from llmkit.transport.base import HttpResponse
from llmkit.values import define

__all__ = ["PayloadParts"]

LINES = ("jsonlines", "jsonl", "ndjson")  # how containers call one JSON object per line


@define(kw_only=True, eq=False)
class PayloadParts:
    """The decoder of a stream: takes the frames off, and has the rest read by the container's."""

    container: Dialect
    answer_to: HttpResponse
    request: CompletionRequest
    _frames: EventStreamDecoder = field(factory=EventStreamDecoder, init=False)
    _inner: StreamDecoder | None = field(default=None, init=False)
    _lines: LinesAsEvents | None = field(default=None, init=False)
    _has_events: bool = field(default=False, init=False)  # whether it began as events do
    _blank: bytes = field(default=b"", init=False)  # white space before anything that tells what the container speaks

    @property
    def ended(self) -> bool:
        return self._inner is not None and self._inner.ended

    def feed(self, data: bytes) -> list[CompletionChunk]:
        chunks: list[CompletionChunk] = []
        try:
            self._read_frames(data, chunks)
        except FramingError as error:
            raise _after(chunks, protocol_error(error, self.answer_to)) from None
        except WireError as error:
            raise _after(chunks, error) from None
        return chunks

    def finish(self) -> list[CompletionChunk]:
        if self.ended:
            return []
        if self._inner is None:
            raise self._cut_off()
        try:
            return self._inner.finish()
        except WireError as error:
            # Half an event is no bad event, nor half a document a bad one where the frames around it end too early.
            if error.fault.kind == "malformed" and (self._frames.leftover or self._has_events):
                raise _after(error.chunks, self._cut_off()) from None
            raise

    def response(self) -> CompletionResponse:
        if self._inner is None:
            return CompletionResponse(message=Message("assistant"), model=self.request.model)
        return self._inner.response()

    def _cut_off(self) -> WireError:
        return WireError.truncated("The stream ended before the answer was complete.", self.answer_to)

    def _read_frames(self, data: bytes, chunks: list[CompletionChunk]) -> None:
        frames = [] if self.ended else self._frames.feed(data)
        for frame in frames:
            failure = exception_in(frame, self.answer_to)
            if failure is not None:
                raise failure
            if frame.headers.get(":event-type") == "PayloadPart" and frame.payload:
                chunks += self._read_part(frame.payload)
            if self.ended:
                return
        if frames:
            self._frames.feed(b"")  # what is wrong behind these frames is told at once

    def _read_part(self, part: bytes) -> list[CompletionChunk]:
        if self._inner is None:
            part = self._blank + part
            if not part.strip():
                self._blank = part
                return []
            self._inner = self._begin(part.lstrip()[:1])
        return self._inner.feed(part if self._lines is None else self._lines.feed(part))

    def _begin(self, first: bytes) -> StreamDecoder:
        """Return the container's decoder for an answer that begins with the byte *first*: labels are often wrong or missing."""
        said = self.answer_to.headers.get("x-amzn-sagemaker-content-type", "").lower()
        is_json = first in (b"{", b"[")
        if is_json and ("json" not in said or any(name in said for name in LINES)):
            self._lines = LinesAsEvents()
        self._has_events = self._lines is not None or first in (b"d", b"e", b":")
        kind = "application/json" if is_json and self._lines is None else "text/event-stream"
        head = HttpResponse(status=self.answer_to.status, headers={**self.answer_to.headers, "content-type": kind})
        return self.container.decoder(head, self.request)


@define(eq=False)
class LinesAsEvents:
    """Turns lines of JSON, cut anywhere, into server-sent events: some containers leave out ``data:``."""

    _inside: bool = field(default=False, init=False)  # a line that has begun

    def feed(self, data: bytes) -> bytes:
        made = bytearray()
        for line in data.splitlines(keepends=True):
            text = (line if self._inside else line.lstrip()).rstrip(b"\r\n")
            if text:
                made += text if self._inside else b"data: " + text
                self._inside = True
            if line.endswith((b"\r", b"\n")) and self._inside:
                made += b"\n\n"
                self._inside = False
        return bytes(made)


def _after(chunks: list[CompletionChunk], error: WireError) -> WireError:
    """Return *error* with *chunks* before those that it brings itself."""
    if error.chunks is not chunks:
        error.chunks = [*chunks, *error.chunks]
    return error

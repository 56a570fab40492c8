"""
Reading streams of the Messages wire in the frames of AWS: each is a chunk with one event in base64.

Source: AWS, "Amazon Bedrock API reference", InvokeModelWithResponseStream, by botocore 1.44.5; anthropic 2.12, ``lib/bedrock``; read
2026-11-21.
"""

from __future__ import annotations

import binascii
from typing import Any

from attrs import field

from llmkit.dialects.anthropic_answers import decode, refuse_errors
from llmkit.dialects.anthropic_stream import Assembly
from llmkit.dialects.aws_stream import FramedEvents
from llmkit.dialects.base import StreamDecoder, WireError
from llmkit.dialects.framing import loads
from llmkit.dialects.reading import StreamReader
from llmkit.dialects.whole import WholeAnswer
from llmkit.dialects.wire_json import word
from llmkit.models.chunk import CompletionChunk
from llmkit.models.response import CompletionResponse
from llmkit.transport.base import HttpResponse
from llmkit.values import define

__all__ = ["FramedMessage", "decode_as_whole", "decoder"]


def decode_as_whole(owner: str, response: HttpResponse, asked: str) -> CompletionResponse:
    """Return the answer of a server that streams though it was not asked to."""
    return FramedMessage(owner=owner, answer_to=response, asked=asked).whole()


def decoder(owner: str, response: HttpResponse, asked: str) -> StreamDecoder:
    if "json" in response.headers.get("content-type", ""):
        return WholeAnswer(answer_to=response, asked=asked, read=lambda whole: decode(owner, whole, asked))
    return FramedMessage(owner=owner, answer_to=response, asked=asked)


@define(kw_only=True)
class FramedMessage(StreamReader):
    """The decoder of a stream of chunks."""

    owner: str
    asked: str
    _frames: FramedEvents = field(init=False)
    _made: Assembly = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._frames = FramedEvents(self.answer_to)
        self._made = Assembly(owner=self.owner, answer_to=self.answer_to, asked=self.asked)

    def _read(self, data: bytes, chunks: list[CompletionChunk]) -> None:
        for kind, chunk in self._frames.read(data):
            if kind == "chunk":
                self._made.take(self._event(chunk), chunks)
            if self._made.stopped:
                self.ended = True
                break

    def _finish(self, chunks: list[CompletionChunk]) -> None:
        self._read(b"", chunks)
        if not self._made.is_complete:
            message = "The stream ended before the answer was complete: neither a stop reason nor message_stop came."
            raise WireError.truncated(message, self.answer_to)

    def _event(self, chunk: dict[str, Any]) -> dict[str, Any]:
        try:
            data = binascii.a2b_base64(word(chunk.get("bytes")))
            event = loads(data)
        except ValueError:  # framing's errors and base64's are such
            raise WireError.malformed("A chunk of the stream holds no event.", self.answer_to) from None
        if event.__class__ is not dict:
            raise WireError.malformed("An event of the stream is no JSON object.", self.answer_to)
        found: dict[str, Any] = event
        refuse_errors(found, self.answer_to, data.decode("utf-8", "replace"))
        return found

    def response(self) -> CompletionResponse:
        return self._made.response()

"""
How the bytes of a stream become chunks, whatever its events say.

Rule: what the bytes brought before something went wrong in them is put on the error, and given out first.
"""

from __future__ import annotations

from collections.abc import Callable

from llmkit.dialects.base import WireError
from llmkit.dialects.framing import FramingError
from llmkit.dialects.framing.sse import SSEDecoder
from llmkit.models.chunk import CompletionChunk
from llmkit.models.response import CompletionResponse
from llmkit.transport.base import HttpResponse
from llmkit.values import define

__all__ = ["StreamReader", "cut_off"]


@define(kw_only=True)
class StreamReader:
    """What all decoders of streams share. One of its own wire says how bytes are read, and what has to be there when they end."""

    answer_to: HttpResponse
    ended: bool = False

    def feed(self, data: bytes) -> list[CompletionChunk]:
        chunks: list[CompletionChunk] = []
        if not self.ended:
            try:
                self._read(data, chunks)
            except (FramingError, WireError) as error:
                raise self._after(chunks, error) from None
        return chunks

    def finish(self) -> list[CompletionChunk]:
        chunks: list[CompletionChunk] = []
        if not self.ended:
            try:
                self._finish(chunks)
            except (FramingError, WireError) as error:
                raise self._after(chunks, error) from None
            self.ended = True
        return chunks

    def whole(self) -> CompletionResponse:
        """Return the answer in the body of a reply that is a stream though nobody asked for one."""
        self.feed(self.answer_to.body)
        self.finish()
        return self.response()

    def response(self) -> CompletionResponse:
        """Return the answer as far as it has come."""
        raise NotImplementedError

    def _read(self, data: bytes, chunks: list[CompletionChunk]) -> None:
        """Add to *chunks* what *data* brings. May raise ``FramingError`` or ``WireError``."""
        raise NotImplementedError

    def _finish(self, chunks: list[CompletionChunk]) -> None:
        """Add what is left, since no more comes; raise ``WireError`` if the answer is not complete."""
        raise NotImplementedError

    def _after(self, chunks: list[CompletionChunk], error: FramingError | WireError) -> WireError:
        fault = error if isinstance(error, WireError) else WireError.malformed(str(error), self.answer_to)
        fault.chunks = chunks
        return fault


def cut_off(
    answer_to: HttpResponse, sse: SSEDecoder, message: str, *, has_begun: bool, refuse: Callable[[HttpResponse], object]
) -> WireError:
    """
    Return the error of server-sent events that ended without their proof of completeness.

    Args:
        answer_to: The reply's head.
        sse: What read them.
        message: What is missing.
        has_begun: Whether the answer had.
        refuse: Raises ``WireError`` if a body that is no stream is an error's.
    """
    rest = sse.leftover
    if has_begun or not rest or sse.stops_inside:
        return WireError.truncated(message, answer_to)
    whole = HttpResponse(status=answer_to.status, headers=answer_to.headers, body=rest)
    try:
        refuse(whole)
    except WireError as error:
        return error
    return WireError.malformed("The reply is no stream of events.", whole)

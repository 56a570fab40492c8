"""The streamed answer of the sync face."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from llmkit.errors import ConfigurationError, LLMKitError
from llmkit.hedging import raced

if TYPE_CHECKING:
    from llmkit.cache.calls import CachedCall
    from llmkit.call import Call
    from llmkit.client import Client
    from llmkit.exchange import Exchange
    from llmkit.models.chunk import CompletionChunk
    from llmkit.models.response import CompletionResponse

__all__ = ["CompletionStream", "more"]


class CompletionStream:
    """
    A streamed answer: iterate it for chunks, ``text_iter()`` for text only; ``response`` is the whole of it afterwards.

    Leaving the loop, ``close()``, the end of a ``with`` and garbage collection all close the connection and give the key back.
    """

    def __init__(self, client: Client, call: Call[CompletionResponse]) -> None:
        self._client = client
        self._call = call
        cached = client._router.cached(call)
        self._chunks = self._read() if cached is None else self._replay(cached)
        self._response: CompletionResponse | None = None

    @property
    def response(self) -> CompletionResponse:
        """The whole answer, once the last chunk was read. Raises ``ConfigurationError`` before that."""
        if self._response is None:
            msg = "The stream has not been read to its end: iterate it first, or call collect()."
            raise ConfigurationError(msg)
        return self._response

    def collect(self) -> CompletionResponse:
        """Read what is left and return the whole answer."""
        for _ in self._chunks:
            pass
        return self.response

    def text_iter(self) -> Iterator[str]:
        """Yield the text of each chunk that has some."""
        for chunk in self:
            if chunk.text:
                yield chunk.text

    def partial(self) -> Iterator[Any]:
        """
        Yield the answer as ``response_format`` wants it while it grows, and in the end ``response.parsed``, whole and checked.

        What has not come yet is its field's default, or None; a text grows, everything else is there when it is whole. Nothing but the
        last has passed the type's own checks.

        Raises:
            ConfigurationError: If no ``response_format`` was asked for.
            StructuredOutputError: By the end of the iteration, if the answer does not fit.
        """
        growth = self._call.growth()
        for chunk in self:
            if chunk.text and growth.feed(chunk.text):
                yield growth.value
        if not self.response.tool_calls:
            yield self.response.parsed

    def __iter__(self) -> Iterator[CompletionChunk]:
        # A generator of its own: when a loop is left, it is dropped, and the stream with it.
        try:
            yield from self._chunks
        finally:
            self.close()

    def __next__(self) -> CompletionChunk:
        return next(self._chunks)

    def _read(self) -> Generator[CompletionChunk, None, None]:
        exchange = raced(self._client._open, self._call)
        with exchange:
            yield from exchange.ready
            exchange.ready = []
            while not exchange.ended:
                yield from more(exchange)
            if exchange.stream is not None:
                exchange.stream.drain()
        yield from exchange.ready
        self._response = exchange.result()

    def _replay(self, cached: CachedCall) -> Generator[CompletionChunk, None, None]:
        """Yield the answer that is kept, else the stream, whose answer is kept then."""
        found = cached.find()
        if found is None:
            chunks = self._read()
            begun = False
            try:
                for chunk in chunks:
                    begun = True
                    yield chunk
                cached.keep(self.response)
                return
            except LLMKitError as error:
                found = None if begun else cached.rescue(error)
                if found is None:
                    raise
            finally:
                chunks.close()
        yield from cached.replay(found)
        self._response = found

    def close(self) -> None:
        """Close the connection and give the key back. Idempotent."""
        self._chunks.close()

    def __enter__(self) -> CompletionStream:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def more(exchange: Exchange[Any]) -> list[CompletionChunk]:
    """Return the chunks that the next piece of the body brings."""
    stream = exchange.stream
    assert stream is not None  # else all was read already
    stream.expire_in(exchange.patience())
    data = next(exchange.pieces, None)
    stream.expire_in(None)
    return exchange.take(data)

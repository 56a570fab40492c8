"""The streamed answer of the asyncio face: ``llmkit.streaming`` with ``await`` in it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

from llmkit.errors import ConfigurationError, LLMKitError
from llmkit_async._cached import aside
from llmkit_async.hedging import raced

if TYPE_CHECKING:
    from llmkit.cache.calls import CachedCall
    from llmkit.call import Call
    from llmkit.exchange import Exchange
    from llmkit.models.chunk import CompletionChunk
    from llmkit.models.response import CompletionResponse
    from llmkit_async.client import AsyncClient

__all__ = ["AsyncCompletionStream", "more"]


class AsyncCompletionStream:
    """
    A streamed answer: iterate it for chunks, ``text_iter()`` for text only; ``response`` is the whole of it afterwards.

    Leaving the loop, ``close()``, the end of a ``with`` and garbage collection all close the connection and give the key back.
    """

    def __init__(self, client: AsyncClient, call: Call[CompletionResponse]) -> None:
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

    async def collect(self) -> CompletionResponse:
        """Read what is left and return the whole answer."""
        async for _ in self._chunks:
            pass
        return self.response

    async def text_iter(self) -> AsyncGenerator[str, None]:
        """Yield the text of each chunk that has some."""
        async for chunk in self:
            if chunk.text:
                yield chunk.text

    async def partial(self) -> AsyncGenerator[Any, None]:
        """
        Yield the answer as ``response_format`` wants it while it grows, and in the end ``response.parsed``, whole and checked.

        What has not come yet is its field's default, or None; a text grows, everything else is there when it is whole. Nothing but the
        last has passed the type's own checks.

        Raises:
            ConfigurationError: If no ``response_format`` was asked for.
            StructuredOutputError: By the end of the iteration, if the answer does not fit.
        """
        growth = self._call.growth()
        async for chunk in self:
            if chunk.text and growth.feed(chunk.text):
                yield growth.value
        if not self.response.tool_calls:
            yield self.response.parsed

    async def __aiter__(self) -> AsyncGenerator[CompletionChunk, None]:
        # A generator of its own: when a loop is left, it is dropped, and the stream with it.
        try:
            async for chunk in self._chunks:
                yield chunk
        finally:
            await self.close()

    async def __anext__(self) -> CompletionChunk:
        return await self._chunks.__anext__()

    async def _read(self) -> AsyncGenerator[CompletionChunk, None]:
        exchange = await raced(self._client._open, self._call)
        with exchange:
            for chunk in exchange.ready:
                yield chunk
            exchange.ready = []
            while not exchange.ended:
                for chunk in await more(exchange):
                    yield chunk
            if exchange.astream is not None:
                await exchange.astream.drain()
        for chunk in exchange.ready:
            yield chunk
        self._response = exchange.result()

    async def _replay(self, cached: CachedCall) -> AsyncGenerator[CompletionChunk, None]:
        """Yield the answer that is kept, else the stream, whose answer is kept then."""
        found = await aside(cached, cached.find)
        if found is None:
            chunks = self._read()
            begun = False
            try:
                async for chunk in chunks:
                    begun = True
                    yield chunk
                await aside(cached, partial(cached.keep, self.response))
                return
            except LLMKitError as error:
                found = None if begun else cached.rescue(error)
                if found is None:
                    raise
            finally:
                await chunks.aclose()
        for chunk in cached.replay(found):
            yield chunk
        self._response = found

    async def close(self) -> None:
        """Close the connection and give the key back. Idempotent."""
        await self._chunks.aclose()

    async def __aenter__(self) -> AsyncCompletionStream:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()


async def more(exchange: Exchange[Any]) -> list[CompletionChunk]:
    """Return the chunks that the next piece of the body brings."""
    stream = exchange.astream
    assert stream is not None  # else all was read already
    stream.expire_in(exchange.patience())
    data = await anext(exchange.pieces, None)
    stream.expire_in(None)
    return exchange.take(data)

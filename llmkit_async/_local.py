"""How a local provider is asked: as ``llmkit.providers.local_transport`` does, and on the loop where the provider is made for one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from contextlib import aclosing, suppress
from functools import partial
from typing import Any

from llmkit.models.request import CompletionRequest
from llmkit.models.response import CompletionResponse
from llmkit.providers.local import LocalProvider
from llmkit.providers.local_transport import AHEAD, Pump, bounded, completed, expired, in_thread, request_of, told
from llmkit.providers.local_wire import END, LocalDecoder, LocalResponse, Piece, answer_of, as_piece
from llmkit.resilience.deadline import deadline
from llmkit.transport.base import HttpRequest, HttpResponse, Timeout

__all__ = ["AsyncLocalTransport"]


class AsyncLocalTransport:
    """Asks *local*, whatever the address says."""

    def __init__(self, local: LocalProvider) -> None:
        self._local = local

    async def send(self, request: HttpRequest, *, timeout: Timeout, stream: bool = False) -> HttpResponse:
        asked, local = request_of(request), self._local
        if stream and local.implements("astream"):
            return HttpResponse(status=200, astream=_Stream(partial(_TaskPump, lambda: local.astream(asked)), timeout))
        if stream and local.implements("stream"):
            return HttpResponse(status=200, astream=_Stream(partial(Pump, lambda: local.stream(asked)), timeout))
        if local.implements("acomplete") or local.implements("astream"):
            answered = await _in_time(_completed(local, asked, timeout.total), timeout.total)
        else:
            answered = await _in_thread(bounded(lambda: completed(local, asked), timeout.total), timeout.total)
        return LocalResponse(status=200, answer=answered)

    async def close(self) -> None:
        """Do nothing: there is nothing open."""


async def _completed(local: LocalProvider, request: CompletionRequest, seconds: float | None) -> CompletionResponse:
    if seconds is not None and seconds > 0:
        with deadline(seconds):
            return await _completed(local, request, None)
    if local.implements("acomplete"):
        return answer_of(await local.acomplete(request), request)
    decoder = LocalDecoder(model=request.model)
    async for chunk in local.astream(request):
        decoder.feed(as_piece(chunk))
    decoder.feed(END)
    return decoder.response()


async def _in_time(work: Any, seconds: float | None) -> Any:
    """Return what *work* returns, or raise what it raises in the policies' words; it is cancelled when *seconds* are over."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        await _cancel(task)
        raise
    if not task.done():
        await _cancel(task)
        raise expired()
    if task.cancelled():
        raise asyncio.CancelledError
    failure = task.exception()
    if failure is not None:
        raise _told(failure)
    return task.result()


def _told(failure: BaseException) -> BaseException:
    # A time-out of asyncio is none of the builtin ones before Python 3.11.
    return told(TimeoutError(*failure.args) if isinstance(failure, asyncio.TimeoutError) else failure)


async def _cancel(task: asyncio.Future[Any]) -> None:
    task.cancel()
    await asyncio.wait({task})


async def _in_thread(work: Callable[[], CompletionResponse], seconds: float | None) -> CompletionResponse:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()

    def settle(outcome: tuple[Any, BaseException | None]) -> None:
        if not future.done():
            future.set_result(outcome)

    def done(result: Any, failure: BaseException | None) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, (result, failure))

    in_thread(work, done, name="llmkit-local")
    await asyncio.wait({future}, timeout=seconds)
    if not future.done():
        raise expired()
    result, failure = future.result()
    if failure is not None:
        raise _told(failure)
    answer: CompletionResponse = result
    return answer


class _TaskPump:
    """A stream that runs in a task of its own: what a generator enters, it must leave in the same one. As ``Pump`` in all else."""

    def __init__(self, produce: Callable[[], AsyncIterable[Any]], on_change: Callable[[], object]) -> None:
        self._produce = produce
        self._on_change = on_change
        self._room = asyncio.Event()
        self._pieces: deque[Piece] = deque()
        self._is_over = False
        self._failure: BaseException | None = None
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            async with aclosing(_generator(self._produce())) as chunks:
                async for chunk in chunks:
                    self._pieces.append(as_piece(chunk))
                    self._on_change()
                    while len(self._pieces) >= AHEAD:
                        self._room.clear()
                        await self._room.wait()
            self._pieces.append(END)
        except BaseException as error:  # noqa: BLE001 - handed over to whoever reads
            self._failure = error
        self._is_over = True
        self._on_change()

    @property
    def has_news(self) -> bool:
        return bool(self._pieces) or self._is_over

    def take(self) -> Piece | None:
        """Return the next piece, None at the end; ask only where there is news. Raises what the provider raised."""
        if self._pieces:
            self._room.set()
            return self._pieces.popleft()
        if self._failure is not None:
            raise _told(self._failure)
        return None

    def leave(self) -> None:
        """End the stream where it is. Idempotent."""
        self._task.cancel()

    async def ended(self) -> None:
        """Wait until it has ended."""
        await asyncio.wait({self._task})


async def _generator(chunks: AsyncIterable[Any]) -> AsyncGenerator[Any, None]:
    async for chunk in chunks:
        yield chunk


class _Stream:
    """An ``AsyncByteStream`` whose pieces are chunks."""

    def __init__(self, pump: Callable[[Callable[[], object]], Pump | _TaskPump], timeout: Timeout) -> None:
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._seconds = timeout.total
        self._pump = pump(self._tell)

    def _tell(self) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._news.set)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            while not self._pump.has_news:
                await self._wait()
            piece = self._pump.take()
            if piece is None:
                return
            yield piece

    async def _wait(self) -> None:
        self._news.clear()
        if self._pump.has_news:
            return
        try:
            await asyncio.wait_for(self._news.wait(), self._seconds)
        except asyncio.TimeoutError:
            raise expired() from None

    def expire_in(self, seconds: float | None) -> None:
        self._seconds = seconds

    async def drain(self) -> None:
        await self.close()

    async def close(self) -> None:
        self._pump.leave()
        if isinstance(self._pump, _TaskPump):
            await self._pump.ended()

    def abort(self) -> None:
        self._pump.leave()

"""The twin of ``CachedCall.answer``: the same steps, awaited; what may block is done in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from llmkit.errors import LLMKitError

if TYPE_CHECKING:
    from llmkit.cache.calls import CachedCall
    from llmkit.call import Call
    from llmkit.models.response import CompletionResponse

__all__ = ["answered", "aside"]

Result = TypeVar("Result")


async def aside(cached: CachedCall, work: Callable[[], Result]) -> Result:
    """Return what *work* does, which is done in a thread if it may block."""
    if not cached.blocks:
        return work()
    return await asyncio.get_running_loop().run_in_executor(None, work)


async def answered(cached: CachedCall, send: Callable[[Call[CompletionResponse]], Awaitable[CompletionResponse]]) -> CompletionResponse:
    """Return the answer to *cached* from its cache, else from another call that has asked already, else from *send*."""
    found = await aside(cached, cached.find)
    if found is not None:
        return found
    loop = asyncio.get_running_loop()
    woken: asyncio.Future[None] = loop.create_future()

    def wake() -> bool:
        try:
            loop.call_soon_threadsafe(_set, woken)
        except RuntimeError:  # the loop is closed
            return False
        return True

    with cached.boarded(wake) as seat:
        if seat.role == "waits":
            task = asyncio.current_task()
            assert task is not None  # a coroutine that waits is run by one
            cached.ends_by(partial(loop.call_soon_threadsafe, task.cancel))
            await asyncio.wait((woken,), timeout=cached.patience())
        found = await aside(cached, partial(cached.again, seat))
        if found is not None:
            return found
        try:
            answer = await send(cached.call)
        except LLMKitError as error:
            found = cached.rescue(error, seat)
            if found is None:
                raise
            return found
        await aside(cached, partial(cached.keep, answer, seat))
        return answer


def _set(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)

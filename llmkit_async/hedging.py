"""A race between a call and its rival: ``llmkit.hedging`` with tasks in place of threads."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from llmkit.call import Call

__all__ = ["raced"]

Answer = TypeVar("Answer")
Result = TypeVar("Result")


async def raced(send: Callable[[Call[Answer]], Awaitable[Result]], call: Call[Answer]) -> Result:
    """Return what *send* makes of *call*, or of its rival if that is sooner; a call without one is just sent."""
    delay = call.hedge_after
    if delay is None:
        return await send(call)
    call.racing = True
    running: dict[asyncio.Future[Result], Call[Answer]] = {asyncio.ensure_future(send(call)): call}
    try:
        return await _first(send, call, delay, running)
    except BaseException as error:
        call.decided(error=error)
        raise
    finally:
        for task, one in running.items():
            _abandon(task, one)


async def _first(
    send: Callable[[Call[Answer]], Awaitable[Result]],
    call: Call[Answer],
    delay: float,
    running: dict[asyncio.Future[Result], Call[Answer]],
) -> Result:
    done, _ = await asyncio.wait(running, timeout=delay)
    if not done:
        rival = call.rival()
        if rival is not None:
            running[asyncio.ensure_future(send(rival))] = rival
    error: BaseException | None = None
    while running:
        done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            failed = asyncio.CancelledError() if task.cancelled() else task.exception()
            if failed is None:
                running.pop(task).decided(task.result())
                return task.result()
            del running[task]
            # The other may still do better; if not, the first error is the one to tell.
            error = error or failed
    assert error is not None  # nobody won
    raise error


def _abandon(task: asyncio.Future[Any], call: Call[Any]) -> None:
    def discard(task: asyncio.Future[Any]) -> None:
        if not task.cancelled() and task.exception() is None:
            call.discard(task.result())

    task.add_done_callback(discard)
    task.cancel()

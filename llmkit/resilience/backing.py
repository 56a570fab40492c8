"""
The loop around a client's ``send``: the only home of ``backoff``.

The policy has decided before this is asked: ``Again`` says that there is to be another try, and after how many seconds. Everything
else passes through.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from llmkit.cancelling import Cut

__all__ = ["Again", "Turn", "abacked_off", "backed_off"]

Client = TypeVar("Client")
Result = TypeVar("Result")


class Abandoned(Protocol):
    """What is sent."""

    def abandon(self, error: BaseException) -> None:
        """Take note that nobody goes on with it."""


Work = TypeVar("Work", bound=Abandoned)


class Turn(Protocol):
    """A place in a queue."""

    def on_grant(self, callback: Callable[[], object]) -> None:
        """Call *callback* once it is this one's turn, from whatever thread; at once if it is already."""


class Again(Exception):
    """
    Not an error but an order: try once more, after ``wait`` seconds, or as soon as it is the turn of ``turn``; None waits for that
    alone. ``cut`` ends the wait.
    """

    def __init__(self, wait: float | None, *, cut: Cut | None = None, turn: Turn | None = None) -> None:
        super().__init__(wait)
        self.wait = wait
        self.cut = cut
        self.turn = turn


def backed_off(send: Callable[[Client, Work], Result]) -> Callable[[Client, Work], Result]:
    """
    Return *send*, tried again as long as it raises ``Again``, with the waits that it asks for.

    ``backoff`` is imported when the first call fails: it brings asyncio, which costs more than many a script's whole work.
    """

    @functools.wraps(send)
    def sending(client: Client, work: Work) -> Result:
        try:
            return send(client, work)
        except Again as order:
            first = order
        pending = [first]

        def once_more() -> Result:
            if pending:
                raise pending.pop()
            return send(client, work)

        try:
            result: Result = _decorator(_pause)(once_more)()
        except BaseException as error:
            work.abandon(error)
            raise
        return result

    return sending


def abacked_off(send: Callable[[Client, Work], Awaitable[Result]]) -> Callable[[Client, Work], Awaitable[Result]]:
    """The twin of ``backed_off`` for coroutine functions."""

    @functools.wraps(send)
    async def sending(client: Client, work: Work) -> Result:
        try:
            return await send(client, work)
        except Again as order:
            first = order
        pending = [first]

        async def once_more() -> Result:
            if pending:
                raise pending.pop()
            return await send(client, work)

        try:
            result: Result = await _decorator(_apause)(once_more)()
        except BaseException as error:
            work.abandon(error)
            raise
        return result

    return sending


def _decorator(pause: Callable[[Any], Any]) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    import backoff

    # The waiting is done in on_backoff, since backoff's own sleep cannot be ended by another thread; its value is what is left, nothing.
    # jitter=None: backoff's own would shorten a Retry-After. logger=None: the ledger and our own log say it better. No max_time: it
    # is no deadline (half a second was seen to take 1.6), and no max_tries: whoever raises Again has counted.
    return backoff.on_exception(backoff.runtime, Again, value=_nothing, on_backoff=pause, jitter=None, logger=None)


def _nothing(order: Any) -> float:
    return 0.0


def _pause(details: Any) -> None:
    order: Again = details["exception"]
    if order.wait is not None and order.wait <= 0:
        return
    over = threading.Event()
    if order.turn is not None:
        order.turn.on_grant(over.set)
    if order.cut is not None:
        order.cut.arm(over.set)
    over.wait(order.wait)


async def _apause(details: Any) -> None:
    import asyncio

    order: Again = details["exception"]
    if order.turn is None:
        if order.wait:
            await asyncio.sleep(order.wait)
        return
    loop = asyncio.get_running_loop()
    over = asyncio.Event()

    def wake() -> None:
        # Granted from a thread when the loop is gone: nobody waits any longer.
        if not loop.is_closed():
            loop.call_soon_threadsafe(over.set)

    order.turn.on_grant(wake)
    try:
        await asyncio.wait_for(over.wait(), order.wait)
    except asyncio.TimeoutError:
        return

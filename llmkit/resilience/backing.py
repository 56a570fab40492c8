"""
The loop around a client's ``send``: the only home of ``backoff``.

The policy has decided before this is asked: ``Again`` says that there is to be another try, and after how many seconds. Everything
else passes through.
"""

from __future__ import annotations

import contextlib
import functools
import math
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
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
        """Call *callback*, from whatever thread, once it is this one's turn or that is nearer than it was; at once if it is already."""

    def delay(self) -> float | None:
        """Return the seconds until to ask again, 0.0 when it is this one's turn; None if only ``on_grant`` will tell."""


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
            result: Result = _decorator(_pause, _by_hand)(once_more)()
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
            result: Result = await _decorator(_apause, _aby_hand)(once_more)()
        except BaseException as error:
            work.abandon(error)
            raise
        return result

    return sending


def _decorator(pause: Callable[[Any], Any], by_hand: Callable[[Any, Any], Any]) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    try:
        import backoff
    except OSError:  # no descriptor is left to read it with, which may be why a call failed
        return lambda once_more: functools.partial(by_hand, once_more, pause)
    # The waiting is done in on_backoff, since backoff's own sleep cannot be ended by another thread; its value is what is left, nothing.
    # jitter=None: backoff's own would shorten a Retry-After. logger=None: the ledger and our own log say it better. No max_time: it
    # is no deadline (half a second was seen to take 1.6), and no max_tries: whoever raises Again has counted.
    return backoff.on_exception(backoff.runtime, Again, value=_nothing, on_backoff=pause, jitter=None, logger=None)


def _by_hand(once_more: Callable[[], Result], pause: Callable[[Any], None]) -> Result:
    while True:
        try:
            return once_more()
        except Again as order:
            pause({"exception": order})


async def _aby_hand(once_more: Callable[[], Awaitable[Result]], pause: Callable[[Any], Awaitable[None]]) -> Result:
    while True:
        try:
            return await once_more()
        except Again as order:
            ordered = order
        await pause({"exception": ordered})


def _nothing(order: Any) -> float:
    return 0.0


def _pause(details: Any) -> None:
    order: Again = details["exception"]
    if order.wait is not None and order.wait <= 0:
        return
    over = threading.Event()
    if order.cut is not None:
        order.cut.arm(over.set)
    if order.turn is None:
        over.wait(order.wait)
        return
    for nap in _naps(order, order.turn, over):
        over.wait(nap)


async def _apause(details: Any) -> None:
    import asyncio

    order: Again = details["exception"]
    if order.turn is None:
        if order.wait:
            await asyncio.sleep(order.wait)
        return
    over = _LoopEvent(asyncio.get_running_loop(), asyncio.Event())
    for nap in _naps(order, order.turn, over):
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(over.event.wait(), nap)


class _LoopEvent:
    """An ``asyncio.Event`` that other threads may set."""

    def __init__(self, loop: Any, event: Any) -> None:
        self._loop = loop
        self.event = event
        self.clear = event.clear

    def set(self) -> None:
        self._loop.call_soon_threadsafe(self.event.set)


def _naps(order: Again, turn: Turn, over: threading.Event | _LoopEvent) -> Iterator[float | None]:
    """Yield for how long to wait for *over*, again and again, until it is the turn of *turn*, or the order's time or its call is over."""
    until = math.inf if order.wait is None else time.monotonic() + order.wait
    while not (order.cut is not None and order.cut.is_made):
        over.clear()
        turn.on_grant(over.set)
        delay = turn.delay()
        left = until - time.monotonic()
        if delay == 0.0 or left <= 0:
            return
        nap = min(left, math.inf if delay is None else delay)
        yield None if nap == math.inf else nap

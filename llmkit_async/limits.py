"""Waiting for a rate limit on an event loop. The limits themselves are the sync package's, and may be shared with it."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from typing import TYPE_CHECKING, Any

from llmkit.resilience.rates import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.resilience.limits import Limiter, Ticket
    from llmkit.resilience.rates import Dimensions

__all__ = ["AsyncTokenBucket", "granted"]


async def granted(ticket: Ticket, timeout: float | None = None) -> bool:
    """
    Wait until *ticket* is granted, for *timeout* seconds at most, and return whether it is: the twin of ``Ticket.wait``.

    It stays in the line if it is not, and also when the task is cancelled: then, too, the caller gives it back.
    """
    if ticket.granted:
        return True
    loop = asyncio.get_running_loop()
    thread = threading.get_ident()
    until = math.inf if timeout is None else loop.time() + timeout
    while True:
        waiter = loop.create_future()

        def wake(waiter: asyncio.Future[None] = waiter) -> None:
            if threading.get_ident() == thread:
                _finish(waiter)
            else:
                loop.call_soon_threadsafe(_finish, waiter)

        # First this and then the delay: what changes in between is not missed.
        ticket.on_grant(wake)
        delay = ticket.delay()
        left = until - loop.time()
        if delay == 0.0 or left <= 0:
            return ticket.granted
        pause = left if delay is None else min(left, delay)
        timer = None if pause == math.inf else loop.call_later(pause, _finish, waiter)
        try:
            await waiter
        except BaseException:
            ticket.on_grant(_nobody)
            raise
        finally:
            if timer is not None:
                timer.cancel()


def _nobody() -> None:
    """The waiter has left: there is nobody to wake, and its loop may be closed."""


def _finish(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class AsyncTokenBucket:
    """
    A bucket of *capacity* tokens that starts full and gets *refill_rate* more each second.

    Safe to share between tasks, event loops and clients: ``AsyncClient(rate_limit=AsyncTokenBucket(10, 2))`` takes one token for each
    request sent, retries included. Those who wait are served in the order in which they came.

    Raises:
        ConfigurationError: If *capacity* is no number above zero, or *refill_rate* none of at least zero.
    """

    def __init__(self, capacity: float, refill_rate: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._bucket = TokenBucket(capacity, refill_rate, clock=clock)
        self.capacity = capacity
        self.refill_rate = refill_rate

    @property
    def tokens(self) -> float:
        """How many can be had now."""
        return self._bucket.tokens

    async def acquire(self, tokens: float = 1, timeout: float | None = None) -> bool:
        """
        Take *tokens*, waiting for them if need be, and return True. A task that is cancelled meanwhile takes none.

        Args:
            tokens: How many; none are taken before all can be.
            timeout: The longest wait in seconds; None for as long as it takes.

        Raises:
            RateLimitTimeoutError: At once, if it would take longer than *timeout*, or is more than the bucket ever holds; it says
                after how many seconds they can be had.
            ConfigurationError: If *tokens* is no number above zero, or *timeout* none of at least zero.
        """
        ticket = self.enter(tokens, timeout)
        try:
            in_time = await granted(ticket, timeout)
        except BaseException:
            ticket.cancel()
            raise
        if in_time:
            return True
        error = ticket.too_late()
        ticket.cancel()
        raise error

    async def try_acquire(self, tokens: float = 1) -> bool:
        """Take *tokens* and return True if they can be had now and nobody waits for some; else take none and return False."""
        return self._bucket.try_acquire(tokens)

    def enter(self, tokens: float, timeout: float | None) -> Ticket:
        """Return the place in the line of one who wants *tokens*; what ``acquire`` begins with."""
        return self._bucket.enter(tokens, timeout)

    def make(self) -> Limiter:
        """Return the limiter in it: the same for everyone who asks, so that they share the bucket."""
        return self._bucket.make()

    def dimensions(self) -> Dimensions:
        """Return what it limits, with a full bucket of its own."""
        return self._bucket.dimensions()

    def __repr__(self) -> str:
        return f"AsyncTokenBucket({self.capacity:g}, {self.refill_rate:g})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Another process has another bucket, which starts full.
        return AsyncTokenBucket, (self.capacity, self.refill_rate)

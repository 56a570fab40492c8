"""A place in the line of a limiter. What is decided about it is decided there, under the limiter's lock."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Protocol

from llmkit.errors import RateLimitTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.resilience.buckets import Bucket
    from llmkit.resilience.limits import Limiter

__all__ = ["GRANTED", "OVER", "WAITING", "Admission", "Ticket"]

LONGEST_NAP = 3600.0  # seconds: a lock of the platform cannot wait for any number of them

WAITING, GRANTED, OVER = range(3)


class Admission(Protocol):
    """What a call needs of a ticket, be it of this process's own limiter or of one shared with others."""

    @property
    def granted(self) -> bool:
        """Whether it may be used."""

    def claim(self) -> bool:
        """Ask for it if it is time to, and return whether it is granted. May block, and raise ``RateLimitTimeoutError``."""

    def delay(self) -> float | None:
        """Return the seconds until to ask again, 0.0 when it is time; None if only ``on_grant`` will tell."""

    def on_grant(self, callback: Callable[[], object]) -> None:
        """Have *callback* called once it is time, or that is nearer than it was."""

    def sent(self) -> None:
        """Something has gone out."""

    def cancel(self) -> None:
        """Give it back unused."""

    def settle(self, tokens_used: float | None = None) -> None:
        """Give it back after use."""


class Ticket:
    """
    A place in the line of a limiter, and leave to send once it is granted.

    Wait for it with ``wait``; on an event loop with ``on_grant`` first, and then ``delay``, again and again until it is granted.
    Give it back in a ``finally``: with ``cancel``, or ``settle`` once something was sent. Both may be called more than once.
    """

    __slots__ = ("_limiter", "_look_at", "_needs", "_process", "_requests", "_returned", "_sent", "_state", "_tokens", "_wake")

    _look_at: float  # while it waits: the moment at which its waiter looks by itself
    _needs: list[tuple[Bucket, float, float]]  # while it waits: of what, how much, and all that had entered its line by then

    def __init__(self, limiter: Limiter, requests: float, tokens: float) -> None:
        self._limiter = limiter
        self._requests = requests
        self._tokens = tokens
        self._state = WAITING
        self._sent = False
        self._returned = False
        self._process = limiter._process
        self._wake: Callable[[], object] | None = None

    @property
    def granted(self) -> bool:
        """Whether it may be used: granted, and not given back yet."""
        return self._state == GRANTED and not self._returned

    def claim(self) -> bool:
        """Return whether it is granted: its limiter has no need to be asked."""
        return self.granted

    def delay(self) -> float | None:
        """
        Return the seconds until to ask again: 0.0 when there is nothing to wait for, as it is granted or given back.

        None says that no time is known, since too much is under way: wait to be woken.
        """
        return 0.0 if self._state != WAITING else self._limiter._look(self, None)

    def on_grant(self, callback: Callable[[], object]) -> None:
        """
        Have *callback* called once: when the ticket is granted, or ``delay`` has become shorter; at once if it waits no more.

        It comes in whatever thread brought it about, and must neither block nor take a ticket. If it raises, its waiter is taken to
        be gone, and the ticket is cancelled. A later one replaces it.
        """
        if self._state == WAITING and self._limiter._listen(self, callback):
            return
        callback()

    def wait(self, timeout: float | None = None) -> bool:
        """Block until it is granted, for *timeout* seconds at most, and return whether it is. It stays in the line if not."""
        if self._state != WAITING:
            return self.granted
        limiter = self._limiter
        until = math.inf if timeout is None else limiter._clock() + timeout
        while True:
            alarm = threading.Lock()
            alarm.acquire()
            delay = limiter._look(self, alarm.release)
            if self._state != WAITING:
                return self.granted
            left = until - limiter._clock()
            if left <= 0:
                return False
            alarm.acquire(timeout=min(LONGEST_NAP, left, LONGEST_NAP if delay is None else delay))

    def too_late(self) -> RateLimitTimeoutError:
        """Return the error for one who has waited for as long as he could."""
        delay = self.delay()
        when = "and nobody knows when there will be" if delay is None else f"and none for {delay:.3g} s more"
        return RateLimitTimeoutError(f"The limit set on this client left no room in time, {when}.", retry_after=delay)

    def sent(self) -> None:
        """Something has gone out: from now on its request is spent."""
        self._sent = True

    def cancel(self) -> None:
        """Give it back: out of the line; or all it took, if nothing was sent; else as ``settle``."""
        self._end(None, refunded=not self._sent)

    def settle(self, tokens_used: float | None = None) -> None:
        """Give it back after use. None says that nobody knows how many tokens were used: then what was foreseen counts."""
        self._end(tokens_used, refunded=False)

    def _end(self, used: float | None, *, refunded: bool) -> None:
        if self._returned:
            return
        self._returned = True
        self._limiter._returned.append((self, refunded, used))
        self._limiter._take_back()

    def __repr__(self) -> str:
        return f"Ticket({'given back' if self._returned else ('waiting', 'granted', 'over')[self._state]})"

"""
A limit on what a client sends: requests and tokens in time, and requests at once.

Rule 1: who wants to send takes a ticket. A ticket is granted in all dimensions together or not at all; before that it holds nothing.
Rule 2: first come, first served. Only the head of the line can be granted, however little those behind it need.
Rule 3: what can never be had, or not in the time that the caller has, is refused at once.
Rule 4: a ticket given back before anything was sent returns all it took. After that its request is spent, and its tokens are corrected
        to those that were used; more than were foreseen leave the bucket in debt.
Rule 5: the lock guards the bookkeeping only. Nobody waits with it, and waiters are woken outside of it.
Rule 6: there is no timer. Everyone in the line knows when to look next; who looks grants what can be granted from the head on, be it
        others'. A waiter is woken when it is granted, or when it is at the head and its time has come nearer: nobody else is.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from llmkit._fork import renewed_in_child
from llmkit.errors import RateLimitTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.resilience.buckets import Bucket

__all__ = ["Limiter", "Ticket"]

logger = logging.getLogger("llmkit.limits")

LONGEST_NAP = 3600.0  # seconds: a lock of the platform cannot wait for any number of them
NEARER = 1e-4  # seconds by which its time must have come nearer for a waiter to be woken

_WAITING, _GRANTED, _SENT, _OVER = range(4)

Woken = Sequence[tuple["Ticket", "Callable[[], object]"]]  # whose waiters are to be called, and how


class Ticket:
    """
    A place in the line of a limiter, and leave to send once it is granted.

    Wait for it with ``wait``; on an event loop with ``on_grant`` first, and then ``delay``, again and again until it is granted.
    Give it back in a ``finally``: with ``cancel``, or ``settle`` once something was sent. Both may be called more than once.
    """

    __slots__ = ("_limiter", "_look_at", "_marks", "_process", "_requests", "_state", "_tokens", "_wake")

    _look_at: float  # while it waits: the moment at which its waiter looks by itself
    _marks: list[float]  # while it waits: what had entered each bucket's line by then, its own included

    def __init__(self, limiter: Limiter, requests: float, tokens: float) -> None:
        self._limiter = limiter
        self._requests = requests
        self._tokens = tokens
        self._state = _WAITING
        self._process = limiter._process
        self._wake: Callable[[], object] | None = None

    @property
    def granted(self) -> bool:
        """Whether it may be used: granted, and not given back yet."""
        return self._state == _GRANTED or self._state == _SENT

    def delay(self) -> float | None:
        """
        Return the seconds until to ask again: 0.0 when there is nothing to wait for, as it is granted or given back.

        None says that no time is known, since too much is under way: wait to be woken.
        """
        return 0.0 if self._state != _WAITING else self._limiter._look(self, None)

    def on_grant(self, callback: Callable[[], object]) -> None:
        """
        Have *callback* called once: when the ticket is granted, or ``delay`` has become shorter; at once if it waits no more.

        It comes in whatever thread brought it about, and must neither block nor take a ticket. If it raises, its waiter is taken to
        be gone, and the ticket is cancelled. A later one replaces it.
        """
        if self._state == _WAITING and self._limiter._listen(self, callback):
            return
        callback()

    def wait(self, timeout: float | None = None) -> bool:
        """Block until it is granted, for *timeout* seconds at most, and return whether it is. It stays in the line if not."""
        if self._state != _WAITING:
            return self.granted
        limiter = self._limiter
        until = math.inf if timeout is None else limiter._clock() + timeout
        while True:
            alarm = threading.Lock()
            alarm.acquire()
            delay = limiter._look(self, alarm.release)
            if self._state != _WAITING:
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
        with self._limiter._lock:
            if self._state == _GRANTED:
                self._state = _SENT

    def cancel(self) -> None:
        """Give it back: out of the line; or all it took, if nothing was sent; else as ``settle``."""
        if self._state != _OVER:
            self._limiter._end(self, refunded=True, used=None)

    def settle(self, tokens_used: float | None = None) -> None:
        """Give it back after use. None says that nobody knows how many tokens were used: then what was foreseen counts."""
        if self._state != _OVER:
            self._limiter._end(self, refunded=False, used=tokens_used)

    def __repr__(self) -> str:
        return f"Ticket({('waiting', 'granted', 'sent', 'over')[self._state]})"


class Limiter:
    """
    Requests and tokens as buckets, requests under way as a count; a dimension that is None has no limit.

    Safe to share between threads, tasks and event loops. Each forked process goes on with one of its own.
    """

    def __init__(
        self,
        *,
        requests: Bucket | None = None,
        tokens: Bucket | None = None,
        concurrency: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._requests = requests
        self._tokens = tokens
        self._buckets = tuple(bucket for bucket in (requests, tokens) if bucket is not None)
        self._concurrency = math.inf if concurrency is None else concurrency
        self._free = self._concurrency
        self._clock = clock
        self._line: OrderedDict[Ticket, None] = OrderedDict()
        self._process = 0  # counts forks: a ticket of the parent is none in the child
        self._lock = threading.Lock()
        renewed_in_child(self)

    def enter(self, tokens: float = 0, deadline_in: float | None = None, *, requests: float = 1) -> Ticket:
        """
        Return a ticket: granted, if nobody waits and there is enough of everything, else in the line.

        Args:
            tokens: How many the call will use, as far as can be foreseen.
            deadline_in: The seconds that the caller can wait; None for any time.
            requests: How many it is.

        Raises:
            RateLimitTimeoutError: If it can never be granted, or not in *deadline_in* seconds by what is known now. Nothing is taken;
                ``retry_after`` says when it could be.
        """
        woken: Woken = ()
        ticket = Ticket(self, requests, tokens)
        refusal = None
        with self._lock:
            now = self._clock()
            if self._line:
                woken = self._advance(now)
            else:
                for bucket in self._buckets:
                    bucket.refill(now)
            if not self._line and self._has_room(ticket):
                self._take(ticket)
            else:
                refusal = self._line_up(ticket, deadline_in, now)
        for each, wake in woken:
            _tell(each, wake)
        if refusal is not None:
            raise refusal
        return ticket

    def drained(self, dimension: Literal["requests", "tokens"], until_in: float = 0.0) -> None:
        """
        The other side says that nothing is left of *dimension*: it is empty here too, and fills again after *until_in* seconds.

        It is held for as long as a whole filling takes at most, and what fills it after that is its own rate.
        """
        bucket = self._requests if dimension == "requests" else self._tokens
        if bucket is None:
            return
        with self._lock:
            now = self._clock()
            bucket.refill(now)
            bucket.drain(now, max(0.0, until_in))

    def snapshot(self) -> dict[str, Any]:
        """Return what it knows, as plain values; None for a dimension without a limit."""
        with self._lock:
            now = self._clock()
            for bucket in self._buckets:
                bucket.refill(now)
            return {
                "requests": None if self._requests is None else self._requests.level,
                "tokens": None if self._tokens is None else self._tokens.level,
                "concurrency": None if self._concurrency == math.inf else int(self._free),
                "waiting": len(self._line),
            }

    def renew(self) -> None:
        """Take a new lock, an empty line and all places: in a forked child those who wait and send are not there."""
        self._lock = threading.Lock()
        self._process += 1
        for ticket in self._line:
            ticket._state = _OVER
        self._line = OrderedDict()
        self._free = self._concurrency
        for bucket in self._buckets:
            bucket.entered = bucket.gone = 0.0

    def __repr__(self) -> str:
        state = self.snapshot()
        shown = ", ".join(f"{name}={value:g}" for name, value in state.items() if value is not None)
        return f"Limiter({shown})"

    # What follows is for tickets; each takes the lock.

    def _look(self, ticket: Ticket, wake: Callable[[], object] | None) -> float | None:
        """Grant what can be granted, and return when *ticket*'s waiter is to look again; *wake* is how to reach it before."""
        with self._lock:
            now = self._clock()
            if wake is not None:
                ticket._wake = wake
            ticket._look_at = -math.inf  # it is looking
            woken = self._advance(now)
            delay: float | None = 0.0
            if ticket._state == _WAITING:
                delay = self._delay_of(ticket, now)
                ticket._look_at = math.inf if delay is None else now + delay
        for each, its_wake in woken:
            _tell(each, its_wake)
        return delay

    def _listen(self, ticket: Ticket, callback: Callable[[], object]) -> bool:
        """Keep *callback* to wake the waiter of *ticket*, and return True; False if it waits no more."""
        with self._lock:
            if ticket._state != _WAITING:
                return False
            ticket._wake = callback
            return True

    def _end(self, ticket: Ticket, *, refunded: bool, used: float | None) -> None:
        woken: Woken = ()
        with self._lock:
            state, ticket._state = ticket._state, _OVER
            # Asked again under the lock, since two threads may give back the same ticket.
            if state == _OVER or ticket._process != self._process:
                return
            if state == _WAITING:
                self._leave(ticket)
            else:
                self._give_back(ticket, refunded and state == _GRANTED, used)
            if self._line:
                woken = self._advance(self._clock())
        for each, wake in woken:
            _tell(each, wake)

    # What follows needs the lock.

    def _has_room(self, ticket: Ticket) -> bool:
        return (
            self._free > 0
            and (self._requests is None or self._requests.has(ticket._requests))
            and (self._tokens is None or self._tokens.has(ticket._tokens))
        )

    def _take(self, ticket: Ticket) -> None:
        ticket._state = _GRANTED
        self._free -= 1
        if self._requests is not None:
            self._requests.level -= ticket._requests
        if self._tokens is not None:
            self._tokens.level -= ticket._tokens

    def _give_back(self, ticket: Ticket, all_of_it: bool, used: float | None) -> None:
        self._free += 1
        if not all_of_it and (used is None or self._tokens is None):
            return
        now = self._clock()
        for bucket in self._buckets:
            bucket.refill(now)
        if all_of_it and self._requests is not None:
            self._requests.give(ticket._requests)
        if self._tokens is not None:
            self._tokens.give(ticket._tokens if all_of_it or used is None else ticket._tokens - used)

    def _line_up(self, ticket: Ticket, deadline_in: float | None, now: float) -> RateLimitTimeoutError | None:
        """Put *ticket* at the end of the line; or return why not."""
        needs = self._needs(ticket)
        for bucket, need in needs:
            if need > bucket.capacity + bucket.slack:
                return self._never(bucket, need)
        # Who comes last gets its own when all before it have theirs.
        wait = max((bucket.wait_for(bucket.entered - bucket.gone + need, now) for bucket, need in needs), default=0.0)
        if wait == math.inf or (deadline_in is not None and wait > deadline_in):
            return _too_long(wait, deadline_in)
        for bucket, need in needs:
            bucket.entered += need
        ticket._marks = [bucket.entered for bucket, _ in needs]
        ticket._look_at = math.inf
        self._line[ticket] = None
        return None

    def _leave(self, ticket: Ticket) -> None:
        """Take *ticket* out of the line, granted or not."""
        del self._line[ticket]
        for bucket, need in self._needs(ticket):
            # From zero when nobody waits, so that errors of rounding do not grow.
            bucket.gone = bucket.gone + need if self._line else 0.0
            bucket.entered = bucket.entered if self._line else 0.0

    def _advance(self, now: float) -> Woken:
        """Grant from the head of the line on, as far as there is enough; return whose waiters are to be woken."""
        for bucket in self._buckets:
            bucket.refill(now)
        woken: list[tuple[Ticket, Callable[[], object]]] = []
        line = self._line
        while line:
            head = next(iter(line))
            if self._has_room(head):
                self._leave(head)
                self._take(head)
            elif not self._comes_nearer(head, now):
                break
            wake, head._wake = head._wake, None
            if wake is not None:
                woken.append((head, wake))
            if head._state == _WAITING:
                break
        return woken

    def _comes_nearer(self, head: Ticket, now: float) -> bool:
        """Whether the waiter of *head* would look too late."""
        if head._wake is None or head._look_at <= now + NEARER:
            return False
        delay = self._delay_of(head, now)
        return delay is not None and now + delay < head._look_at - NEARER

    def _delay_of(self, ticket: Ticket, now: float) -> float | None:
        """Return the seconds after which *ticket* can be granted at the earliest; None where that is not a matter of time."""
        if self._free <= 0:
            return None
        head = next(iter(self._line))
        delay = max((bucket.wait_for(need, now) for bucket, need in self._needs(head)), default=0.0)
        if ticket is not head:
            # Too little where somebody behind it has left the line; never too much.
            for (bucket, _), mark in zip(self._needs(ticket), ticket._marks, strict=True):
                delay = max(delay, bucket.wait_for(mark - bucket.gone, now))
        return None if delay == math.inf else delay

    def _needs(self, ticket: Ticket) -> list[tuple[Bucket, float]]:
        found = []
        if self._requests is not None:
            found.append((self._requests, ticket._requests))
        if self._tokens is not None:
            found.append((self._tokens, ticket._tokens))
        return found

    def _never(self, bucket: Bucket, need: float) -> RateLimitTimeoutError:
        what = "requests" if bucket is self._requests else "tokens"
        msg = (
            f"This needs {need:g} {what} at once, and the limit set on this client never has more than {bucket.capacity:g}: "
            "raise the limit, or ask for less."
        )
        return RateLimitTimeoutError(msg, retryable=False)


def _too_long(wait: float, deadline_in: float | None) -> RateLimitTimeoutError:
    if wait == math.inf:
        return RateLimitTimeoutError("The limit set on this client is used up and never fills again.", retryable=False)
    allowed = f", and only {max(0.0, deadline_in or 0.0):.3g} s are allowed" if deadline_in is not None else ""
    return RateLimitTimeoutError(f"The limit set on this client leaves no room for {wait:.3g} s{allowed}.", retry_after=wait)


def _tell(ticket: Ticket, wake: Callable[[], object]) -> None:
    """Wake the waiter of *ticket*. Without the lock."""
    try:
        wake()
    except Exception:
        logger.warning("a waiter for the rate limit is gone, its event loop perhaps closed; the next one has its place", exc_info=True)
        ticket.cancel()

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
Rule 7: giving back never blocks. It may be the garbage collector that does it, in the midst of anything, and so with the lock held.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from llmkit._fork import renewed_in_child
from llmkit.errors import RateLimitTimeoutError
from llmkit.resilience.tickets import GRANTED, OVER, WAITING, Ticket

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.resilience.buckets import Bucket
    from llmkit.resilience.tickets import Admission

__all__ = ["Limiter", "Limiting", "Ticket", "never", "too_long"]

logger = logging.getLogger("llmkit.limits")

NEARER = 1e-4  # seconds by which its time must have come nearer for a waiter to be woken

Return = tuple[Ticket, bool, "float | None"]  # whether all it took is refunded, and how many tokens were used
Woken = Sequence[tuple[Ticket, "Callable[[], object]"]]  # whose waiters are to be called, and how


class Limiting(Protocol):
    """What a call needs of a limiter, be it this process's own or shared with others."""

    @property
    def counts_tokens(self) -> bool:
        """Whether it matters how many tokens a request will use."""

    @property
    def most_tokens(self) -> float | None:
        """The most tokens that one request may use; None where they are not limited."""

    def enter(self, tokens: float = 0, deadline_in: float | None = None) -> Admission:
        """Return a ticket, or raise ``RateLimitTimeoutError``."""

    def drained(self, dimension: Literal["requests", "tokens"], until_in: float = 0.0) -> None:
        """The other side says that nothing is left of *dimension*, for so many seconds."""

    def snapshot(self) -> dict[str, Any]:
        """Return what is known, as plain values."""


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
        self._returned: deque[Return] = deque()  # given back, but not yet taken back
        self._process = 0  # counts forks: a ticket of the parent is none in the child
        self._lock = threading.Lock()
        renewed_in_child(self)

    @property
    def counts_tokens(self) -> bool:
        """Whether it matters how many tokens a request will use."""
        return self._tokens is not None

    @property
    def most_tokens(self) -> float | None:
        """The most tokens that one request may use; None where they are not limited."""
        return None if self._tokens is None else self._tokens.capacity

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
        if woken or self._returned:
            self._tell(woken)
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
        self._take_back()

    def snapshot(self) -> dict[str, Any]:
        """Return what it knows, as plain values; None for a dimension without a limit."""
        with self._lock:
            now = self._clock()
            for bucket in self._buckets:
                bucket.refill(now)
            state = {
                "requests": None if self._requests is None else self._requests.level,
                "tokens": None if self._tokens is None else self._tokens.level,
                "concurrency": None if self._concurrency == math.inf else int(self._free),
                "waiting": len(self._line),
            }
        self._take_back()
        return state

    def renew(self) -> None:
        """Take a new lock, an empty line and all places: in a forked child those who wait and send are not there."""
        self._lock = threading.Lock()
        self._process += 1
        for ticket in self._line:
            ticket._state = OVER
        self._line = OrderedDict()
        self._returned = deque()
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
            if ticket._state == WAITING:
                delay = self._delay_of(ticket, now)
                ticket._look_at = math.inf if delay is None else now + delay
        self._tell(woken)
        return delay

    def _listen(self, ticket: Ticket, callback: Callable[[], object]) -> bool:
        """Keep *callback* to wake the waiter of *ticket*, and return True; False if it waits no more."""
        with self._lock:
            waits = ticket._state == WAITING
            if waits:
                ticket._wake = callback
        self._take_back()
        return waits

    def _tell(self, woken: Woken) -> None:
        """Wake the waiters, and take back what was given back meanwhile. Without the lock."""
        self._call(woken)
        self._take_back()

    def _call(self, woken: Woken) -> None:
        for ticket, wake in woken:
            try:
                wake()
            except Exception:
                logger.warning("a waiter for the rate limit is gone, with its event loop perhaps: the next has its place", exc_info=True)
                if not ticket._returned:
                    ticket._returned = True
                    self._returned.append((ticket, True, None))

    def _take_back(self) -> None:
        """
        Work off what was given back, unless another is at work.

        Whoever has held the lock comes here after it, so that nothing is left lying.
        """
        while self._returned and self._lock.acquire(blocking=False):
            woken: list[tuple[Ticket, Callable[[], object]]] = []
            try:
                while self._returned:
                    ticket, refunded, used = self._returned.popleft()
                    self._end(ticket, refunded, used, woken)
                if self._line:
                    woken.extend(self._advance(self._clock()))
            finally:
                self._lock.release()
            self._call(woken)

    # What follows needs the lock.

    def _has_room(self, ticket: Ticket) -> bool:
        return (
            self._free > 0
            and (self._requests is None or self._requests.has(ticket._requests))
            and (self._tokens is None or self._tokens.has(ticket._tokens))
        )

    def _take(self, ticket: Ticket) -> None:
        ticket._state = GRANTED
        self._free -= 1
        if self._requests is not None:
            self._requests.level -= ticket._requests
        if self._tokens is not None:
            self._tokens.level -= ticket._tokens

    def _end(self, ticket: Ticket, refunded: bool, used: float | None, woken: list[tuple[Ticket, Callable[[], object]]]) -> None:
        """Take *ticket* back, and note its waiter among the *woken* if it still waits."""
        state, ticket._state = ticket._state, OVER
        # Two threads may have given back the same ticket.
        if state == OVER or ticket._process != self._process:
            return
        if state == WAITING:
            self._leave(ticket)
            if ticket._wake is not None:
                woken.append((ticket, ticket._wake))
            return
        self._free += 1
        if not refunded and (used is None or self._tokens is None):
            return
        now = self._clock()
        for bucket in self._buckets:
            bucket.refill(now)
        if refunded and self._requests is not None:
            self._requests.give(ticket._requests)
        if self._tokens is not None:
            self._tokens.give(ticket._tokens if refunded or used is None else ticket._tokens - used)

    def _line_up(self, ticket: Ticket, deadline_in: float | None, now: float) -> RateLimitTimeoutError | None:
        """Put *ticket* at the end of the line; or return why not."""
        needs: list[tuple[Bucket, float]] = []
        if self._requests is not None:
            needs.append((self._requests, ticket._requests))
        if self._tokens is not None:
            needs.append((self._tokens, ticket._tokens))
        wait = 0.0
        for bucket, need in needs:
            if need > bucket.capacity + bucket.slack:
                return never("requests" if bucket is self._requests else "tokens", need, bucket.capacity)
            # Who comes last gets its own when all before it have theirs.
            wait = max(wait, bucket.wait_for(bucket.entered - bucket.gone + need, now))
        if wait == math.inf or (deadline_in is not None and wait > deadline_in):
            return too_long(wait, deadline_in)
        for bucket, need in needs:
            bucket.entered += need
        ticket._needs = [(bucket, need, bucket.entered) for bucket, need in needs]
        ticket._look_at = math.inf
        self._line[ticket] = None
        return None

    def _leave(self, ticket: Ticket) -> None:
        """Take *ticket* out of the line, granted or not."""
        line = self._line
        del line[ticket]
        for bucket, need, _ in ticket._needs:
            if line:
                bucket.gone += need
            else:
                # From zero when nobody waits, so that errors of rounding do not grow.
                bucket.entered = bucket.gone = 0.0

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
            if head._state == WAITING:
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
        delay = 0.0
        for bucket, need, _ in head._needs:
            delay = max(delay, bucket.wait_for(need, now))
        if ticket is not head:
            # Too little where somebody behind it has left the line; never too much.
            for bucket, _, mark in ticket._needs:
                delay = max(delay, bucket.wait_for(mark - bucket.gone, now))
        return None if delay == math.inf else delay


def never(what: str, need: float, capacity: float) -> RateLimitTimeoutError:
    """Return the error for one who needs more of *what* at once than a limit ever has."""
    msg = (
        f"This needs {need:g} {what} at once, and the limit set on this client never has more than {capacity:g}: "
        "raise the limit, or ask for less."
    )
    return RateLimitTimeoutError(msg, retryable=False)


def too_long(wait: float, deadline_in: float | None) -> RateLimitTimeoutError:
    """Return the error for one who would have to wait for *wait* seconds, which may be ``inf``, and has *deadline_in*."""
    if wait == math.inf:
        return RateLimitTimeoutError("The limit set on this client is used up and never fills again.", retryable=False)
    allowed = f", and only {max(0.0, deadline_in or 0.0):.3g} s are allowed" if deadline_in is not None else ""
    return RateLimitTimeoutError(f"The limit set on this client leaves no room for {wait:.3g} s{allowed}.", retry_after=wait)

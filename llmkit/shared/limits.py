"""
A limit that many processes keep together.

Rule 1: in a process it is first come, first served: those who wait stand in its own line, and only the head of that line asks Redis.
Rule 2: what the head is to have in a while is promised to it at once, and comes off what others can have; it waits on its own clock
        and asks no more. So nobody is overtaken in time; a place among those at once is asked for again and again, and those who ask
        get them in the order in which they first asked.
Rule 3: where Redis is lost, the process has its share of each limit: one part in as many as there were processes, of what was left
        and of what comes back. When Redis is back, it learns what the process has used meanwhile, and goes on from the lower level.
Rule 4: giving back never blocks. It may be the garbage collector that does it, in the midst of anything, and so with the lock held.
Rule 5: only whoever may block calls ``enter`` and ``claim``; all else is bookkeeping of this process.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import OrderedDict, deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from llmkit._fork import renewed_in_child
from llmkit.errors import RateLimitTimeoutError
from llmkit.resilience.buckets import Bucket
from llmkit.resilience.limits import Limiter, never, too_long
from llmkit.resilience.tickets import GRANTED, OVER, WAITING
from llmkit.shared.scripts import DRAIN, ENTER, GIVE, HOLD_PLACES
from llmkit.shared.store import Lost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llmkit.resilience.tickets import Ticket
    from llmkit.shared.store import Store

__all__ = ["SharedLimiter", "SharedTicket"]

logger = logging.getLogger("llmkit.limits")

HOLD = 60.0  # seconds after which a place is free again whose process has died
RETRY = 0.25  # seconds after which to look whether Redis is back

AFTER, LATER, NOT_IN_TIME, NEVER = range(4)  # the answers of ENTER

Woken = list[tuple["SharedTicket", "Callable[[], object]"]]


class SharedTicket:
    """A place in the line of a shared limiter, used as a ``Ticket`` is."""

    __slots__ = (
        "_asked",
        "_at",
        "_identity",
        "_inner",
        "_limiter",
        "_process",
        "_requests",
        "_returned",
        "_sent",
        "_state",
        "_taken",
        "_tokens",
        "_until",
        "_wake",
    )

    def __init__(self, limiter: SharedLimiter, requests: float, tokens: float, until: float) -> None:
        self._limiter = limiter
        self._requests = requests
        self._tokens = tokens
        self._until = until  # the moment after which it is of no use
        self._identity = limiter._store.identity()
        self._process = limiter._process
        self._state = WAITING
        self._at = -math.inf  # at the head: when to ask, or when to have what is promised
        self._asked = False  # stands in line in Redis
        self._taken = False  # out of what Redis counts; promised or granted
        self._inner: Ticket | None = None  # of the process's own share, where Redis is lost
        self._sent = False
        self._returned = False
        self._wake: Callable[[], object] | None = None

    @property
    def granted(self) -> bool:
        """Whether it may be used: granted, and not given back yet."""
        return self._state == GRANTED and not self._returned

    def claim(self) -> bool:
        """
        Ask for it if it is time to, and return whether it is granted. Blocks.

        Raises:
            RateLimitTimeoutError: If it will not be granted in the time that its caller has.
            SharedStateError: If Redis is lost, and the process is not to go on by itself.
        """
        return self.granted if self._state != WAITING else self._limiter._claim(self)

    def delay(self) -> float | None:
        """Return the seconds until to ``claim``: 0.0 when it is time, or over; None where it stands behind others."""
        return 0.0 if self._state != WAITING else self._limiter._delay(self)

    def on_grant(self, callback: Callable[[], object]) -> None:
        """Have *callback* called once, from whatever thread, when ``delay`` has become shorter; at once if it waits no more."""
        if self._state == WAITING and self._limiter._listen(self, callback):
            return
        callback()

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
        if not self._returned:
            self._returned = True
            self._limiter._return(self, used, refunded=refunded)

    def __repr__(self) -> str:
        return f"SharedTicket({'given back' if self._returned else ('waiting', 'granted', 'over')[self._state]})"


class SharedLimiter:
    """
    Requests and tokens as buckets, requests under way as a count, common to all who give the same *name* and *store*.

    It has the uses of a ``Limiter``. Each forked process goes on with a line of its own.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        *,
        requests: Bucket | None,
        tokens: Bucket | None,
        concurrency: int | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._keys = tuple(store.name(name, part) for part in ("limit", "sending", "line", "asked"))
        self._requests = requests  # as Redis told last
        self._tokens = tokens
        self._concurrency = concurrency
        self._clock = clock
        self._line: OrderedDict[SharedTicket, None] = OrderedDict()
        self._holders: set[str] = set()  # those who send, where they are counted
        self._returned: deque[tuple[SharedTicket, float, float]] = deque()  # given back, with how much, but not yet taken back
        self._share: Limiter | None = None  # while Redis is lost
        self._process = 0
        self._lock = threading.Lock()
        store.keep(self)
        renewed_in_child(self)

    @property
    def counts_tokens(self) -> bool:
        """Whether it matters how many tokens a request will use."""
        return self._tokens is not None

    @property
    def most_tokens(self) -> float | None:
        """The most tokens that one request may use; None where they are not limited."""
        return None if self._tokens is None else self._tokens.capacity

    def enter(self, tokens: float = 0, deadline_in: float | None = None, *, requests: float = 1) -> SharedTicket:
        """
        Return a ticket: granted, if there is enough of everything and nobody waits, else in the line. Blocks.

        Raises:
            RateLimitTimeoutError: If it can never be granted, or not in *deadline_in* seconds by what is known now.
            SharedStateError: If Redis is lost, and the process is not to go on by itself.
        """
        until = math.inf if deadline_in is None else self._clock() + deadline_in
        ticket = SharedTicket(self, requests, tokens, until)
        with self._changing():
            refusal = self._refusal(ticket, deadline_in)
            if refusal is None:
                self._line[ticket] = None
        if refusal is not None:
            raise refusal
        try:
            ticket.claim()
        except BaseException:
            ticket.cancel()
            raise
        return ticket

    def drained(self, dimension: Literal["requests", "tokens"], until_in: float = 0.0) -> None:
        """The other side says that nothing is left of *dimension*: it is empty for everyone, and fills again after *until_in* seconds."""
        bucket = self._requests if dimension == "requests" else self._tokens
        if bucket is None:
            return
        hold = max(0.0, until_in)
        with self._changing():
            now = self._clock()
            bucket.refill(now)
            bucket.drain(now, hold)
            share = self._share
        if share is not None:
            share.drained(dimension, hold)
        self._store.note(DRAIN, self._keys, [dimension, hold, bucket.capacity, bucket.rate])

    def snapshot(self) -> dict[str, Any]:
        """Return what this process knows, as plain values; None for a dimension without a limit."""
        with self._changing():
            now = self._clock()
            for bucket in self._buckets():
                bucket.refill(now)
            return {
                "requests": None if self._requests is None else self._requests.level,
                "tokens": None if self._tokens is None else self._tokens.level,
                "concurrency": None if self._concurrency is None else self._concurrency - len(self._holders),
                "waiting": len(self._line),
            }

    def beat(self) -> None:
        """Hold the places of those who send."""
        holders = list(self._holders)
        if holders:
            self._store.note(HOLD_PLACES, self._keys[1:2], [HOLD, *holders])

    def renew(self) -> None:
        """Take a new lock and an empty line: in a forked child those who wait and send are not there."""
        self._lock = threading.Lock()
        self._process += 1
        for ticket in self._line:
            ticket._state = OVER
        self._line = OrderedDict()
        self._holders = set()
        self._returned = deque()

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value:g}" for name, value in self.snapshot().items() if value is not None)
        return f"SharedLimiter({shown})"

    # What follows is for tickets; each takes the lock.

    def _claim(self, ticket: SharedTicket) -> bool:
        with self._changing() as woken:
            if ticket._state != WAITING or self._head() is not ticket or self._clock() < ticket._at:
                return ticket.granted
            if ticket._taken:
                self._grant(ticket, woken)
                return True
        # Without the lock, and by no one but the caller of the head of the line.
        if self._share is not None and self._store.is_lost:
            return self._claim_share(ticket)
        try:
            answer = self._store.decide(ENTER, self._keys, self._question(ticket))
        except Lost:
            return self._claim_share(ticket)
        self._learn(ticket, answer)
        return ticket.granted

    def _delay(self, ticket: SharedTicket) -> float | None:
        with self._changing():
            if ticket._state != WAITING:
                return 0.0
            return max(0.0, ticket._at - self._clock()) if self._head() is ticket else None

    def _listen(self, ticket: SharedTicket, callback: Callable[[], object]) -> bool:
        with self._changing():
            waits = ticket._state == WAITING
            if waits:
                ticket._wake = callback
        return waits

    def _return(self, ticket: SharedTicket, used: float | None, *, refunded: bool) -> None:
        requests = ticket._requests if refunded else 0.0
        tokens = ticket._tokens if refunded else 0.0 if used is None else ticket._tokens - used
        if ticket._inner is not None:
            if refunded:
                ticket._inner.cancel()
            else:
                ticket._inner.settle(used)
        if ticket._process == self._process:
            self._returned.append((ticket, requests, tokens))
            self._take_back()

    # -- asking Redis

    def _question(self, ticket: SharedTicket) -> list[str | int | float]:
        with self._changing():
            now = self._clock()
            inner, ticket._inner = ticket._inner, None
            if inner is not None:
                inner.cancel()
            share, self._share = self._share, None
            alone = share is not None
            if share is not None:
                self._add_up(share, now)
            patience = -1.0 if ticket._until == math.inf else max(0.0, ticket._until - now)
            values: list[str | int | float] = [ticket._identity, patience, self._concurrency or 0, HOLD, int(alone)]
            for bucket, need in ((self._requests, ticket._requests), (self._tokens, ticket._tokens)):
                if bucket is None:
                    values += [0, 0, 0, 0, 0]
                else:
                    bucket.refill(now)
                    values += [need, bucket.capacity, bucket.rate, bucket.level, bucket.at - now]
            return values

    def _learn(self, ticket: SharedTicket, answer: list[Any]) -> None:
        """Take in what Redis said to *ticket*."""
        what = int(answer[0])
        wait, *levels = (float(value) for value in answer[1:])
        told = ((self._requests, levels[0], levels[1]), (self._tokens, levels[2], levels[3]))
        with self._changing() as woken:
            now = self._clock()
            if what != NEVER:
                for bucket, level, ahead in told:
                    if bucket is not None:
                        bucket.level, bucket.at = level, now + ahead
            ticket._at = now + wait
            ticket._asked = what == LATER
            ticket._taken = what == AFTER
            if ticket._state == OVER:
                # Given up meanwhile.
                self._give(ticket, ticket._requests if ticket._taken else 0.0, ticket._tokens if ticket._taken else 0.0)
                return
            if ticket._taken and self._concurrency is not None:
                self._holders.add(ticket._identity)
            if ticket._taken and wait <= 0.0:
                self._grant(ticket, woken)
        if what in (NOT_IN_TIME, NEVER):
            raise too_long(math.inf if what == NEVER else wait, ticket._until - now)

    # -- going on without it

    def _claim_share(self, ticket: SharedTicket) -> bool:
        """Ask for *ticket* out of this process's own share."""
        with self._changing() as woken:
            now = self._clock()
            if self._share is None:
                self._share = self._own_share(now)
            if self._concurrency is not None and len(self._holders) >= max(1, self._concurrency // self._store.processes):
                ticket._at = now + RETRY
                return False
            if ticket._inner is None:
                ticket._inner = self._enter_share(self._share, ticket, now)
            delay = ticket._inner.delay()
            if delay != 0.0:
                ticket._at = now + min(RETRY, RETRY if delay is None else delay)
                return False
            if self._concurrency is not None:
                self._holders.add(ticket._identity)
            self._grant(ticket, woken)
            return ticket.granted

    def _enter_share(self, share: Limiter, ticket: SharedTicket, now: float) -> Ticket:
        # A request that is larger than the share takes the whole of it, and what it has used beyond that is paid off afterwards.
        tokens = min(ticket._tokens, self._tokens.capacity / self._store.processes) if self._tokens is not None else 0.0
        return share.enter(tokens, None if ticket._until == math.inf else max(0.0, ticket._until - now), requests=ticket._requests)

    def _own_share(self, now: float) -> Limiter:
        """Return a limiter of one part in as many as there are processes, of what was left as well."""
        parts = self._store.processes
        shares = []
        for bucket in (self._requests, self._tokens):
            share = None
            if bucket is not None:
                bucket.refill(now)
                # One that holds less than one request would never let one through.
                least = 1.0 if bucket is self._requests else 0.0
                share = Bucket(max(least, bucket.capacity / parts), bucket.rate / parts)
                share.level, share.at = min(share.capacity, bucket.level / parts), bucket.at
            shares.append(share)
        return Limiter(requests=shares[0], tokens=shares[1], clock=self._clock)

    def _add_up(self, share: Limiter, now: float) -> None:
        """Reckon what is left for all from what is left of this process's share."""
        left = share.snapshot()
        for bucket, level in ((self._requests, left["requests"]), (self._tokens, left["tokens"])):
            if bucket is not None:
                bucket.level, bucket.at = min(bucket.capacity, level * self._store.processes), max(bucket.at, now)

    # What follows needs the lock.

    @contextmanager
    def _changing(self) -> Iterator[Woken]:
        """Hold the lock; afterwards call those who were woken, and take back what was given back meanwhile."""
        woken: Woken = []
        try:
            with self._lock:
                yield woken
        finally:
            self._call(woken)
            self._take_back()

    def _buckets(self) -> Iterator[Bucket]:
        return (bucket for bucket in (self._requests, self._tokens) if bucket is not None)

    def _head(self) -> SharedTicket | None:
        return next(iter(self._line), None)

    def _grant(self, ticket: SharedTicket, woken: Woken) -> None:
        ticket._state = GRANTED
        self._leave(ticket, woken)

    def _leave(self, ticket: SharedTicket, woken: Woken) -> None:
        was_head = self._head() is ticket
        self._line.pop(ticket, None)
        if was_head:
            self._rouse(woken)

    def _rouse(self, woken: Woken) -> None:
        """Have the head of the line ask now."""
        head = self._head()
        if head is None or head._taken:
            return
        head._at = -math.inf
        wake, head._wake = head._wake, None
        if wake is not None:
            woken.append((head, wake))

    def _refusal(self, ticket: SharedTicket, deadline_in: float | None) -> RateLimitTimeoutError | None:
        now = self._clock()
        wait = 0.0
        for bucket, need, ahead in (
            (self._requests, ticket._requests, [each._requests for each in self._line if not each._taken]),
            (self._tokens, ticket._tokens, [each._tokens for each in self._line if not each._taken]),
        ):
            if bucket is None:
                continue
            if need > bucket.capacity + bucket.slack:
                return never("requests" if bucket is self._requests else "tokens", need, bucket.capacity)
            if deadline_in is not None and ahead:
                bucket.refill(now)
                wait = max(wait, bucket.wait_for(sum(ahead) + need, now))
        return too_long(wait, deadline_in) if deadline_in is not None and wait > deadline_in else None

    # Taking back.

    def _call(self, woken: Woken) -> None:
        for ticket, wake in woken:
            try:
                wake()
            except Exception:
                logger.warning("a waiter for the rate limit is gone, with its event loop perhaps: the next has its place", exc_info=True)
                ticket.cancel()

    def _take_back(self) -> None:
        """Work off what was given back, unless another is at work: whoever has held the lock comes here after it."""
        while self._returned and self._lock.acquire(blocking=False):
            woken: Woken = []
            try:
                while self._returned:
                    ticket, requests, tokens = self._returned.popleft()
                    self._end(ticket, requests, tokens, woken)
            finally:
                self._lock.release()
            self._call(woken)

    def _end(self, ticket: SharedTicket, requests: float, tokens: float, woken: Woken) -> None:
        state, ticket._state = ticket._state, OVER
        if state == OVER:
            return
        if state == WAITING:
            self._leave(ticket, woken)
        counts = self._concurrency is not None
        if ticket._taken:
            for bucket, amount in ((self._requests, requests), (self._tokens, tokens)):
                if bucket is not None:
                    bucket.give(amount)
        if ticket._asked or counts or (ticket._taken and (requests or tokens)):
            self._give(ticket, requests if ticket._taken else 0.0, tokens if ticket._taken else 0.0)
        if counts:
            self._holders.discard(ticket._identity)
            self._rouse(woken)

    def _give(self, ticket: SharedTicket, requests: float, tokens: float) -> None:
        values: list[str | int | float] = [ticket._identity]
        for bucket, amount in ((self._requests, requests), (self._tokens, tokens)):
            values += [0, 0, 0] if bucket is None else [amount, bucket.capacity, bucket.rate]
        self._store.note(GIVE, self._keys, values)

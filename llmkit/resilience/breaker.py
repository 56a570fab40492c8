"""
A circuit breaker: leaves an endpoint alone that fails, and asks it carefully whether it is well again.

Rule 1: CLOSED lets every call through. After so many failures in a row, or at such a share of failures in a window, it is OPEN.
Rule 2: OPEN lets no call through for a time, which doubles (up to a bound) each time it opens again before it was closed.
Rule 3: HALF_OPEN lets few calls through at once. So many successes close it; any failure opens it again.
Rule 4: a neutral result says nothing about the endpoint: it neither counts nor resets, and frees the place of a probe.
Rule 5: a result counts only in the period in which its call was let through.
Rule 6: the lock guards the bookkeeping, never a call; observers run outside of it.

The names are those of M. Nygard, "Release It!", and of resilience4j.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable
from enum import Enum
from typing import TYPE_CHECKING, Any

from llmkit._fork import renewed_in_child
from llmkit.errors import CircuitOpenError
from llmkit.resilience.checks import number, whole
from llmkit.values import frozen

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["CircuitBreaker", "CircuitBreakerConfig", "CircuitState", "Observer", "Period", "Permit"]

logger = logging.getLogger("llmkit.breaker")

# A share of the open time that is added at random, so that many processes do not send their probes in the same moment.
OPEN_JITTER = 0.1

# The window of the failure rate is counted in so many slices: it forgets one at a time, and its memory does not grow with the calls.
SLICES = 10


class CircuitState(str, Enum):
    """What a breaker does with the next call."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"

    def __str__(self) -> str:
        return self.value


@frozen(kw_only=True)
class CircuitBreakerConfig:
    """
    When a breaker opens, for how long, and what closes it.

    It opens after ``failure_threshold`` failures in a row; where ``failure_rate`` is set, also at that share of failures among at
    least ``min_calls`` calls of the last ``window`` seconds. It stays open for ``reset_time`` seconds and up to a tenth longer, then
    for twice as long and so on up to ``max_reset_time``. After that ``half_open_max_calls`` probes at a time go through, each for
    at most ``lease_timeout`` seconds, and ``success_threshold`` successes close it.

    Raises:
        ConfigurationError: If a value is out of range; it names the field.
    """

    failure_threshold: int = 5
    reset_time: float = 60.0  # seconds
    success_threshold: int = 2
    half_open_max_calls: int = 1
    failure_rate: float | None = None
    window: float = 60.0  # seconds
    min_calls: int = 20
    lease_timeout: float = 90.0  # seconds
    max_reset_time: float = 600.0  # seconds

    def __attrs_post_init__(self) -> None:
        whole("failure_threshold", self.failure_threshold, least=1)
        number("reset_time", self.reset_time, above=0.0)
        whole("success_threshold", self.success_threshold, least=1)
        whole("half_open_max_calls", self.half_open_max_calls, least=1)
        if self.failure_rate is not None:
            number("failure_rate", self.failure_rate, above=0.0, most=1.0)
        number("window", self.window, above=0.0)
        whole("min_calls", self.min_calls, least=1)
        number("lease_timeout", self.lease_timeout, above=0.0)
        number("max_reset_time", self.max_reset_time, above=0.0)

    def open_time(self, openings: int, chance: float) -> float:
        """Return the seconds it stays open the time number *openings* (from 1) in a row; *chance* is from 0 to 1."""
        longest = max(self.reset_time, self.max_reset_time)
        # Sixty doublings reach any bound, and more would overflow.
        return min(longest, self.reset_time * 2.0 ** min(openings - 1, 60)) * (1 + OPEN_JITTER * chance)


class Permit:
    """
    Leave to make one call. Exactly one of ``success``, ``failure`` and ``neutral`` counts: the first.

    As a context manager it tells a success from a failure by the exception that leaves its block; what is no ``Exception`` (a
    cancelled task, Ctrl-C) is neutral.
    """

    __slots__ = ("_breaker", "_done", "_period")

    def __init__(self, breaker: CircuitBreaker, period: Period) -> None:
        self._breaker = breaker
        self._period = period
        self._done = False

    def success(self) -> None:
        """The endpoint answered as it should."""
        period = self._period
        # The healthy endpoint's path, without the lock: there is nothing to reset and nothing to count.
        if period.is_quiet and not self._done:
            self._done = True
            return
        self._breaker._settle(self, True)

    def failure(self) -> None:
        """The endpoint failed."""
        self._breaker._settle(self, False)

    def neutral(self) -> None:
        """The call says nothing about the endpoint."""
        self._breaker._settle(self, None)

    def __enter__(self) -> Permit:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            self.success()
        elif isinstance(error, Exception):
            self.failure()
        else:
            self.neutral()


class Period:
    """The time a breaker spends in one state. A permit belongs to the period that gave it."""

    __slots__ = ("failures", "leases", "slices", "state", "successes", "until")

    def __init__(self, state: CircuitState, *, until: float = 0.0, counts_calls: bool = False) -> None:
        self.state = state
        self.until = until  # OPEN: the moment it ends
        self.failures = 0  # CLOSED: in a row
        self.successes = 0  # HALF_OPEN
        self.leases: dict[Permit, float] = {}  # HALF_OPEN: probes under way, and when their place is given to another
        # CLOSED, with a failure rate: number of the slice, calls, failures
        self.slices: list[list[int]] | None = [] if counts_calls else None

    @property
    def is_quiet(self) -> bool:
        """Whether a success changes nothing."""
        return self.failures == 0 and self.slices is None and self.state is CircuitState.CLOSED


Observer = Callable[["CircuitBreaker", CircuitState, CircuitState], None]


class CircuitBreaker:
    """
    The breaker of one endpoint. Safe to share between threads and tasks; it never waits.

    ``acquire`` gives a ``Permit`` or raises; the permit is told how the call ended. Every observer in *on_change* is called with the
    breaker, the old and the new state; what it raises is logged.
    """

    def __init__(
        self,
        config: CircuitBreakerConfig | None = None,
        *,
        name: str = "",
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
        on_change: Iterable[Observer] = (),
    ) -> None:
        self.config = CircuitBreakerConfig() if config is None else config
        self.name = name
        self._clock = clock
        self._chance = chance
        self._observers = tuple(on_change)
        self._lock = threading.RLock()
        self._openings = 0  # in a row, without having been closed
        self._period = self._closed()
        renewed_in_child(self)

    def acquire(self) -> Permit:
        """
        Return leave to make one call.

        Raises:
            CircuitOpenError: If the endpoint is being left alone; ``retry_after`` says for how many seconds.
        """
        period = self._period
        if period.state is CircuitState.CLOSED:
            return Permit(self, period)
        return self._probe()

    def allows(self) -> bool:
        """Whether ``acquire`` would give a permit now; takes none."""
        return self.retry_after == 0.0

    @property
    def state(self) -> CircuitState:
        """What it does with the next call: a breaker whose open time is over is HALF_OPEN, though no probe was sent yet."""
        period = self._period
        if period.state is CircuitState.OPEN and self._clock() >= period.until:
            return CircuitState.HALF_OPEN
        return period.state

    @property
    def retry_after(self) -> float:
        """The seconds until a call may be let through, 0.0 if one may now. While a probe is under way: until it times out."""
        if self._period.state is CircuitState.CLOSED:
            return 0.0
        with self._lock:
            return self._closed_for(self._clock())

    def snapshot(self) -> dict[str, Any]:
        """Return what it knows, as plain values."""
        retry_after = self.retry_after
        state = self.state
        with self._lock:
            period = self._period
            calls, failures = self._window_sums(period)
            return {
                "name": self.name,
                "state": state.value,
                "retry_after": retry_after,
                "failures_in_a_row": period.failures,
                "successes": period.successes,
                "probes": len(period.leases),
                "openings": self._openings,
                "window_calls": calls,
                "window_failures": failures,
            }

    def renew(self) -> None:
        """Take a new lock and forget the probes under way: in a forked child their threads are not there."""
        self._lock = threading.RLock()
        self._period.leases.clear()

    def __repr__(self) -> str:
        return f"CircuitBreaker({self.name!r}, {self.state.value})"

    def _probe(self) -> Permit:
        change = None
        with self._lock:
            now = self._clock()
            wait = self._closed_for(now)
            if wait == 0.0:
                if self._period.state is CircuitState.OPEN:
                    change = self._enter(Period(CircuitState.HALF_OPEN))
                permit = Permit(self, self._period)
                if self._period.state is CircuitState.HALF_OPEN:
                    self._period.leases[permit] = now + self.config.lease_timeout
        if wait > 0.0:
            msg = f"The circuit breaker{f' of {self.name}' if self.name else ''} is open."
            raise CircuitOpenError(msg, retry_after=wait)
        self._tell(change)
        return permit

    def _closed_for(self, now: float) -> float:
        """Return the seconds for which no call is let through. Needs the lock; takes their places from probes that are overdue."""
        period = self._period
        if period.state is CircuitState.OPEN:
            return max(0.0, period.until - now)
        if period.state is CircuitState.CLOSED or len(period.leases) < self.config.half_open_max_calls:
            return 0.0
        for permit in [permit for permit, until in period.leases.items() if until <= now]:
            del period.leases[permit]
        if len(period.leases) < self.config.half_open_max_calls:
            return 0.0
        return min(period.leases.values()) - now

    def _settle(self, permit: Permit, succeeded: bool | None) -> None:
        """Take in the result of *permit*; None is neutral."""
        with self._lock:
            if permit._done:
                return
            permit._done = True
            period = permit._period
            if period is not self._period:
                return
            if period.state is CircuitState.HALF_OPEN:
                change = self._settle_probe(permit, succeeded)
            elif succeeded is None:
                change = None
            else:
                change = self._settle_call(period, succeeded)
        self._tell(change)

    def _settle_probe(self, permit: Permit, succeeded: bool | None) -> tuple[CircuitState, CircuitState] | None:
        period = self._period
        # A probe that was overdue has lost its place, and its say with it.
        if period.leases.pop(permit, None) is None or succeeded is None:
            return None
        if not succeeded:
            return self._open()
        period.successes += 1
        if period.successes < self.config.success_threshold:
            return None
        self._openings = 0
        return self._enter(self._closed())

    def _settle_call(self, period: Period, succeeded: bool) -> tuple[CircuitState, CircuitState] | None:
        period.failures = 0 if succeeded else period.failures + 1
        if period.slices is not None:
            self._count(period.slices, succeeded)
        if succeeded or not (period.failures >= self.config.failure_threshold or self._fails_too_often(period)):
            return None
        return self._open()

    def _count(self, slices: list[list[int]], succeeded: bool) -> None:
        number_of_slice = self._slice_now()
        if not slices or slices[-1][0] != number_of_slice:
            slices.append([number_of_slice, 0, 0])
            while slices[0][0] <= number_of_slice - SLICES:
                del slices[0]
        slices[-1][1] += 1
        slices[-1][2] += not succeeded

    def _slice_now(self) -> int:
        return int(self._clock() * SLICES // self.config.window)

    def _window_sums(self, period: Period) -> tuple[int, int]:
        oldest = self._slice_now() - SLICES
        held = [entry for entry in period.slices or () if entry[0] > oldest]
        return sum(entry[1] for entry in held), sum(entry[2] for entry in held)

    def _fails_too_often(self, period: Period) -> bool:
        if self.config.failure_rate is None:
            return False
        calls, failures = self._window_sums(period)
        return calls >= self.config.min_calls and failures >= self.config.failure_rate * calls

    def _open(self) -> tuple[CircuitState, CircuitState]:
        self._openings += 1
        until = self._clock() + self.config.open_time(self._openings, self._chance())
        return self._enter(Period(CircuitState.OPEN, until=until))

    def _closed(self) -> Period:
        return Period(CircuitState.CLOSED, counts_calls=self.config.failure_rate is not None)

    def _enter(self, period: Period) -> tuple[CircuitState, CircuitState]:
        change = (self._period.state, period.state)
        self._period = period
        return change

    def _tell(self, change: tuple[CircuitState, CircuitState] | None) -> None:
        if change is None:
            return
        old, new = change
        logger.warning("circuit breaker %s: %s, was %s", self.name or "without a name", new.value, old.value)
        for observer in self._observers:
            try:
                observer(self, old, new)
            except Exception:
                logger.exception("an observer of circuit breaker %s failed", self.name or "without a name")

"""
A circuit breaker that many processes share.

Rule 1: it is a ``CircuitBreaker`` of this process that knows what the others know: before each call it takes over what Redis says.
Rule 2: what a call came to is counted here at once, and noted for the others; who opens and who closes it for all is decided there.
Rule 3: the places of probes are given out by Redis alone: there are never more of them than one breaker would have let through.
Rule 4: where Redis is lost, or has lost what it knew, this process's own breaker goes on from what it knew last.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from llmkit.errors import CircuitOpenError
from llmkit.resilience.breaker import OPEN_JITTER, SLICES, CircuitBreaker, CircuitState, Period, Permit
from llmkit.shared.scripts import PROBE, SETTLE_CALL
from llmkit.shared.store import Lost

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmkit.resilience.breaker import CircuitBreakerConfig, Observer
    from llmkit.shared.store import Store

__all__ = ["SharedBreaker"]


class _SharedPeriod(Period):
    """A period that has a number in Redis, by which all processes know it."""

    __slots__ = ("number",)

    def __init__(self, state: CircuitState, number: int, *, until: float = 0.0, counts_calls: bool = False) -> None:
        super().__init__(state, until=until, counts_calls=counts_calls)
        self.number = number


class _Probe(Permit):
    """A permit that has a place in Redis."""

    __slots__ = ("identity",)

    def __init__(self, breaker: CircuitBreaker, period: Period, identity: str) -> None:
        super().__init__(breaker, period)
        self.identity = identity


class SharedBreaker(CircuitBreaker):
    """The breaker of one endpoint, common to all who give the same *key* and *store*. Only ``acquire`` may block."""

    def __init__(
        self,
        config: CircuitBreakerConfig,
        *,
        store: Store,
        key: str,
        name: str,
        on_change: Iterable[Observer] = (),
    ) -> None:
        self._store = store
        self.keys = (key, f"{key}:probes", f"{key}:window")
        self._number = 0
        super().__init__(config, name=name, on_change=on_change)

    def take_over(self, told: Sequence[Any]) -> None:
        """
        Take over what Redis told; nothing, if it knows nothing.

        That is number, state, seconds until its end, failures, successes and openings.
        """
        if not told:
            return
        number, state, wait = int(told[0]), CircuitState(told[1].decode()), float(told[2])
        change = None
        with self._lock:
            period = self._period
            if not (isinstance(period, _SharedPeriod) and period.number == number and period.state is state):
                self._number = number
                counts = state is CircuitState.CLOSED and self.config.failure_rate is not None
                period = _SharedPeriod(state, number, counts_calls=counts)
                old, new = self._enter(period)
                change = (old, new) if old is not new else None
            if state is CircuitState.OPEN:
                period.until = self._clock() + wait
            period.failures, period.successes, self._openings = int(told[3]), int(told[4]), int(told[5])
        self._tell(change)

    def _probe(self) -> Permit:
        identity = self._store.identity()
        try:
            told = self._store.decide(PROBE, self.keys, [identity, self.config.lease_timeout, self.config.half_open_max_calls])
        except Lost:
            return super()._probe()
        wait, number, *facts = told
        if not int(number):
            # It knows of nothing: what this process knows stands.
            return super()._probe()
        wait = float(wait)
        self.take_over((number, facts[0], wait, *facts[1:]))
        if wait > 0.0:
            msg = f"The circuit breaker of {self.name} is open."
            raise CircuitOpenError(msg, retry_after=wait)
        with self._lock:
            permit = _Probe(self, self._period, identity)
            if self._period.state is CircuitState.HALF_OPEN:
                self._period.leases[permit] = self._clock() + self.config.lease_timeout
        return permit

    def _settle(self, permit: Permit, succeeded: bool | None) -> None:
        if permit._done:
            return
        period = permit._period
        super()._settle(permit, succeeded)
        if not isinstance(period, _SharedPeriod) or (succeeded is None and period.state is CircuitState.CLOSED):
            return
        outcome = "neutral" if succeeded is None else "success" if succeeded else "failure"
        config = self.config
        self._store.note(
            SETTLE_CALL,
            self.keys,
            [
                *(period.number, outcome, permit.identity if isinstance(permit, _Probe) else ""),
                *(config.failure_threshold, config.success_threshold),
                *(config.reset_time, config.max_reset_time, OPEN_JITTER * random.random()),  # noqa: S311 - no secret
                *(config.failure_rate or 0, config.window, SLICES, config.min_calls),
            ],
        )

    def _fails_too_often(self, period: Period) -> bool:
        # Its own calls are a part of those in the window, which is counted in Redis.
        return self._store.is_lost and super()._fails_too_often(period)

    def _closed(self) -> Period:
        return _SharedPeriod(CircuitState.CLOSED, self._number, counts_calls=self.config.failure_rate is not None)

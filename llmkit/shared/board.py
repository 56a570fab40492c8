"""What a client shares with those of other processes: its policies, with their counterparts in Redis. They are chosen here."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING
from urllib.parse import quote

from llmkit._fork import renewed_in_child
from llmkit.resilience.budget import Budget, Reservation
from llmkit.resilience.rates import RateLimit, TokenBucket
from llmkit.shared.breaker import SharedBreaker
from llmkit.shared.budget import SharedLedger, reserve_together
from llmkit.shared.keys import SharedPool
from llmkit.shared.limits import SharedLimiter
from llmkit.shared.quota import SharedQuota
from llmkit.shared.scripts import LOOK
from llmkit.shared.store import Lost, Store

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmkit.resilience.breaker import CircuitBreaker, CircuitBreakerConfig, Observer
    from llmkit.resilience.budget import Amount
    from llmkit.resilience.keys import APIKeyPool
    from llmkit.resilience.quota import RetryQuota
    from llmkit.shared.address import Shared

__all__ = ["Board", "Sharing", "sharing_of"]


class Board:
    """
    What the processes know of one endpoint, as Redis holds it.

    ``look`` takes it over into the policies of this process, which are then asked without Redis.
    """

    def __init__(
        self,
        store: Store,
        *,
        breakers: tuple[CircuitBreaker | None, CircuitBreaker | None],
        pool: APIKeyPool | None,
        quota: RetryQuota | None,
        nothing: str,
    ) -> None:
        self._store = store
        self._breakers = tuple(each if isinstance(each, SharedBreaker) else None for each in breakers)
        self._pool = pool if isinstance(pool, SharedPool) else None
        self._quota = quota if isinstance(quota, SharedQuota) else None
        self._keys = (
            *(each.keys[0] if each is not None else nothing for each in self._breakers),
            self._pool.name if self._pool is not None else nothing,
            self._quota.key if self._quota is not None else nothing,
        )

    def look(self) -> None:
        """
        Take over what is known. Blocks, and changes nothing where Redis is lost.

        Raises:
            SharedStateError: If Redis is lost, and the process is not to go on by itself.
        """
        try:
            told = self._store.decide(LOOK, self._keys, [self._pool.version if self._pool is not None else ""])
        except Lost:
            return
        for breaker, record in zip(self._breakers, told[:2], strict=True):
            if breaker is not None:
                breaker.take_over(record)
        if self._pool is not None:
            self._pool.take_over(told[2].decode(), told[3])
        if self._quota is not None:
            self._quota.take_over(told[4])


class Sharing:
    """The shared counterparts of policies, for all clients of this process that share the same."""

    def __init__(self, shared: Shared) -> None:
        self.store = Store(shared)
        self._limiters: dict[TokenBucket | str, tuple[RateLimit | TokenBucket, SharedLimiter]] = {}
        self._ledgers: weakref.WeakKeyDictionary[Budget, SharedLedger] = weakref.WeakKeyDictionary()
        self._named: dict[str, SharedLedger] = {}
        self.renew()
        renewed_in_child(self)

    def renew(self) -> None:
        """Take a new lock: in a forked child the old one may be held by a thread that is not there."""
        self._lock = threading.Lock()

    @property
    def where(self) -> str:
        """The address, to be shown."""
        return self.store.where

    def breaker(
        self, config: CircuitBreakerConfig, *, place: str, of: str = "", name: str, on_change: Iterable[Observer] = ()
    ) -> SharedBreaker:
        """Return the breaker of *of* at *place*, or of the place itself."""
        key = self.store.name(place, "breaker", _plain(of)) if of else self.store.name(place, "breaker")
        return SharedBreaker(config, store=self.store, key=key, name=name, on_change=on_change)

    def limiter(self, limit: RateLimit | TokenBucket, *, place: str) -> SharedLimiter:
        """Return the limiter at *place*: a ``RateLimit`` has one for each, a ``TokenBucket`` is one, named by where it was used first."""
        what: TokenBucket | str = limit if isinstance(limit, TokenBucket) else place
        with self._lock:
            found = self._limiters.get(what)
            if found is None or found[0] != limit:
                name = f"{'bucket' if isinstance(limit, TokenBucket) else 'limit'} {place}"
                found = self._limiters[what] = (limit, SharedLimiter(self.store, name, **limit.dimensions()))
            return found[1]

    def pool(self, pool: APIKeyPool, *, place: str, of: str) -> SharedPool:
        """Return *pool*, with what is known of its keys at *of*."""
        return SharedPool(pool, store=self.store, name=self.store.name(place, "keys", _plain(of)))

    def quota(self, *, place: str, of: str) -> SharedQuota:
        """Return the quota of retries of *of* at *place*."""
        return SharedQuota(self.store, self.store.name(place, "quota", _plain(of)))

    def board(
        self,
        *,
        place: str,
        breaker: CircuitBreaker | None,
        site_breaker: CircuitBreaker | None,
        pool: APIKeyPool | None,
        quota: RetryQuota | None,
    ) -> Board:
        """Return what is known of an endpoint with these policies."""
        nothing = self.store.name(place, "nothing")
        return Board(self.store, breakers=(breaker, site_breaker), pool=pool, quota=quota, nothing=nothing)

    def reserve(self, own: tuple[Budget, str] | None, estimate: Amount | None, budgets: Iterable[Budget], *, what: str) -> Reservation:
        """Set *estimate* aside in *budgets*, for all processes in those that have a name; *own* has one if it has none itself."""
        held = tuple(budgets)
        for budget in held:
            name = budget.name
            if name is None and own is not None and budget is own[0]:
                name = own[1]
            if name is not None and budget not in self._ledgers:
                self._join(budget, name)
        return reserve_together(self._ledgers, estimate, held, what=what)

    def _join(self, budget: Budget, name: str) -> None:
        with self._lock:
            key = f"{name} {budget.limit}"
            if key not in self._named:
                self._named[key] = SharedLedger(self.store, f"budget {_plain(name)}", budget.units)
            self._ledgers[budget] = self._named[key]

    def flush(self) -> None:
        """Wait until what was noted is written, a second at most."""
        self.store.flush()


def _plain(name: str) -> str:
    """Return *name* with nothing in it that means something in the name of a key."""
    return quote(name, safe="/@ ")


class _Registry:
    """What this process shares, as long as a client lives that does."""

    def __init__(self) -> None:
        self.found: weakref.WeakValueDictionary[Shared, Sharing] = weakref.WeakValueDictionary()
        self.renew()

    def renew(self) -> None:
        """Take a new lock: in a forked child the old one may be held by a thread that is not there."""
        self.lock = threading.Lock()


_registry = renewed_in_child(_Registry())


def sharing_of(shared: Shared) -> Sharing:
    """
    Return what this process shares through *shared*.

    Raises:
        ConfigurationError: If the package ``redis`` is missing, or does not know an option of the address.
    """
    with _registry.lock:
        found = _registry.found.get(shared)
        if found is None:
            found = _registry.found[shared] = Sharing(shared)
        return found

"""
What every cache has in common: ages, faults and counts. A subclass says where the bytes lie.

Rule 1: a cache never fails a call: what goes wrong with it is a miss, and one warning.
Rule 2: what is kept are bytes, so that no two callers ever hold the same mutable thing.
Rule 3: an age is told by one clock: a monotonic one in memory, the wall clock wherever entries outlive the process. An entry from the
        future has no age that could be trusted: it is expired.
"""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from decimal import Decimal
from typing import Any

from attrs import field, frozen

from llmkit._fork import renewed_in_child
from llmkit.cache.flight import Flights
from llmkit.errors import ConfigurationError
from llmkit.models.usage import Usage
from llmkit.resilience.checks import number

__all__ = ["CacheFault", "CacheStats", "Kept", "ResponseCache"]

logger = logging.getLogger("llmkit.cache")


class CacheFault(Exception):
    """What holds the entries cannot be read or written. Never leaves a cache."""


@frozen
class Kept:
    """What was found: an answer in bytes, and whether it is past its time and good only for want of a better."""

    payload: bytes
    stale: bool = False


@frozen(kw_only=True)
class CacheStats:
    """
    What a cache has done since it was made, in this process, and what it holds.

    ``hits`` are answers that cost no request, also those that came from a request of another call that was on its way; ``stale``
    counts those of them that were past their time. ``misses`` are requests sent. ``entries`` and ``bytes`` are what it holds now,
    None where that is not counted. ``saved`` are the tokens of all hits, ``saved_cost`` US dollars, as far as prices were known.
    """

    hits: int = 0
    misses: int = 0
    stale: int = 0
    entries: int | None = None
    bytes: int | None = None
    saved: Usage = field(factory=Usage)
    saved_cost: Decimal = Decimal(0)

    @property
    def hit_rate(self) -> float:
        """The share of hits, from 0 to 1; 0 where nothing was asked."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else 0.0


class ResponseCache(ABC):
    """
    A cache of answers, for any number of clients, threads and tasks.

    Args:
        ttl: Seconds that an answer is good for; None for ever.
        stale_if_error: Seconds beyond that in which it is still given where the endpoint is down; None for none.

    A cache of your own has the five methods with an underscore; they raise ``CacheFault`` where they cannot do their work.

    Raises:
        ConfigurationError: If one of the numbers is not above zero, or ``stale_if_error`` is given without ``ttl``.
    """

    blocking = False  # whether reading or writing may wait for a disk or a network: an event loop then has it done in a thread

    def __init__(self, *, ttl: float | None = None, stale_if_error: float | None = None) -> None:
        for name, seconds in (("ttl", ttl), ("stale_if_error", stale_if_error)):
            if seconds is not None:
                number(name, seconds, above=0.0)
        if stale_if_error is not None and ttl is None:
            msg = "stale_if_error says nothing without ttl: an answer that is good for ever is never past its time."
            raise ConfigurationError(msg)
        self.ttl = ttl
        self.stale_if_error = stale_if_error
        self.flights = Flights()
        self._counting = threading.Lock()
        self._hits = self._misses = self._stale = self._input_tokens = self._output_tokens = 0
        self._cost = Decimal(0)
        self._has_complained = False
        renewed_in_child(self)

    def renew(self) -> None:
        """Take a new lock: in a forked child the old one may be held by a thread that is not there."""
        self._counting = threading.Lock()

    # -- entries

    @property
    def keeps_for(self) -> float | None:
        """Seconds after which an entry is of no more use; None for never."""
        return None if self.ttl is None else self.ttl + (self.stale_if_error or 0.0)

    def get(self, key: str) -> Kept | None:
        """Return what is kept for *key*, unless it is too old. Counts nothing."""
        try:
            found = self._load(key)
            if found is None:
                return None
            payload, age = found
            if age < 0.0 or (self.keeps_for is not None and age >= self.keeps_for):
                self._drop(key)
                return None
        except CacheFault as fault:
            self.complain(f"could not be read: {fault}")
            return None
        return Kept(payload, stale=self.ttl is not None and age >= self.ttl)

    def put(self, key: str, payload: bytes) -> None:
        """Keep *payload* for *key*, in place of what was there; what was used longest ago gives way."""
        try:
            self._save(key, payload)
        except CacheFault as fault:
            self.complain(f"could not be written: {fault}")

    def delete(self, key: str) -> None:
        """Forget what is kept for *key*."""
        try:
            self._drop(key)
        except CacheFault as fault:
            self.complain(f"could not be written: {fault}")

    def clear(self) -> None:
        """Forget everything. The counts go on."""
        try:
            self._drop_all()
        except CacheFault as fault:
            self.complain(f"could not be cleared: {fault}")

    def secret(self) -> bytes | None:
        """Return the secret of these entries' keys: who does not know it cannot tell what a key stands for. None if it cannot be had."""
        try:
            return self._secret()
        except CacheFault as fault:
            self.complain(f"could not be opened: {fault}")
            return None

    def close(self) -> None:
        """Give back what is open; it is opened again when it is needed. Idempotent."""
        return

    # -- counts

    def count_hit(self, usage: Usage, cost: Decimal | None, *, stale: bool) -> None:
        """Count an answer that cost no request: *usage* and *cost* are those of the request that once brought it."""
        with self._counting:
            self._hits += 1
            self._stale += stale
            self._input_tokens += usage.input_tokens
            self._output_tokens += usage.output_tokens
            if cost is not None:
                self._cost += cost

    def count_miss(self) -> None:
        """Count a request."""
        with self._counting:
            self._misses += 1

    def stats(self) -> CacheStats:
        """Return what was done and what is held."""
        entries = size = None
        try:
            entries, size = self._holds()
        except CacheFault as fault:
            self.complain(f"could not be read: {fault}")
        with self._counting:
            return CacheStats(
                hits=self._hits,
                misses=self._misses,
                stale=self._stale,
                entries=entries,
                bytes=size,
                saved=Usage(input_tokens=self._input_tokens, output_tokens=self._output_tokens),
                saved_cost=self._cost,
            )

    def complain(self, what: str) -> None:
        """Warn that something is wrong, once: the calls go on, and would else say it each time."""
        level = logging.DEBUG if self._has_complained else logging.WARNING
        self._has_complained = True
        logger.log(level, "%r %s; calls go on without it", self, what)

    # -- where the bytes lie

    @abstractmethod
    def _load(self, key: str) -> tuple[bytes, float] | None:
        """Return what was saved, and its age in seconds, which is negative where it comes from the future."""

    @abstractmethod
    def _save(self, key: str, payload: bytes) -> None: ...

    @abstractmethod
    def _drop(self, key: str) -> None: ...

    @abstractmethod
    def _drop_all(self) -> None: ...

    @abstractmethod
    def _secret(self) -> bytes:
        """Return 32 bytes, made at random, that live as long as the entries."""

    def _holds(self) -> tuple[int | None, int | None]:
        """Return the number of entries and of their bytes."""
        return None, None

    def __reduce__(self) -> tuple[Any, ...]:
        # A process of its own has a cache of its own; what is on a disk or in a Redis they share.
        return _remade, (type(self), self._configuration())

    def _configuration(self) -> dict[str, Any]:
        """Return the arguments that make another like this."""
        return {"ttl": self.ttl, "stale_if_error": self.stale_if_error}


def _remade(cls: type[ResponseCache], configuration: dict[str, Any]) -> ResponseCache:
    return cls(**configuration)

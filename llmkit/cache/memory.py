"""A cache in memory, gone with its process: the least recently used answer gives way first."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from llmkit.cache.base import ResponseCache
from llmkit.resilience.checks import whole

__all__ = ["LLMCache"]

MAX_BYTES = 64 * 1024 * 1024


class LLMCache(ResponseCache):
    """
    Answers in memory.

    Args:
        max_size: Answers kept at most.
        ttl: Seconds that an answer is good for; None for ever.
        max_bytes: Their size at most; one that is larger alone is not kept.
        stale_if_error: Seconds beyond ``ttl`` in which an answer is still given where the endpoint is down.
        clock: Gives seconds, and never goes back.

    Raises:
        ConfigurationError: If a number is not what it must be.
    """

    def __init__(
        self,
        max_size: int = 1000,
        ttl: float | None = None,
        *,
        max_bytes: int = MAX_BYTES,
        stale_if_error: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        whole("max_size", max_size, least=1)
        whole("max_bytes", max_bytes, least=1)
        self.max_size = max_size
        self.max_bytes = max_bytes
        self._clock = clock
        self._entries: OrderedDict[str, tuple[bytes, float]] = OrderedDict()  # the one used longest ago comes first
        self._bytes = 0
        self._lock = threading.Lock()
        self._own_secret = os.urandom(32)
        super().__init__(ttl=ttl, stale_if_error=stale_if_error)

    def renew(self) -> None:
        """Take new locks in a forked child, and drop the entries if a thread of the parent was just changing them."""
        super().renew()
        if self._lock.locked():
            self._entries, self._bytes = OrderedDict(), 0
        self._lock = threading.Lock()

    def _load(self, key: str) -> tuple[bytes, float] | None:
        with self._lock:
            found = self._entries.get(key)
            if found is None:
                return None
            self._entries.move_to_end(key)
        payload, at = found
        return payload, self._clock() - at

    def _save(self, key: str, payload: bytes) -> None:
        with self._lock:
            self._remove(key)
            if len(payload) > self.max_bytes:
                return
            self._entries[key] = payload, self._clock()
            self._bytes += len(payload)
            while len(self._entries) > self.max_size or self._bytes > self.max_bytes:
                _, (gone, _) = self._entries.popitem(last=False)
                self._bytes -= len(gone)

    def _drop(self, key: str) -> None:
        with self._lock:
            self._remove(key)

    def _remove(self, key: str) -> None:
        found = self._entries.pop(key, None)
        if found is not None:
            self._bytes -= len(found[0])

    def _drop_all(self) -> None:
        with self._lock:
            self._entries, self._bytes = OrderedDict(), 0

    def _secret(self) -> bytes:
        return self._own_secret

    def _holds(self) -> tuple[int | None, int | None]:
        return len(self._entries), self._bytes

    def _configuration(self) -> dict[str, Any]:
        return {**super()._configuration(), "max_size": self.max_size, "max_bytes": self.max_bytes}

    def __repr__(self) -> str:
        return f"LLMCache(max_size={self.max_size}, ttl={self.ttl})"

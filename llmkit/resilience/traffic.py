"""
What an endpoint is doing and how fast it has been: for those who choose between endpoints, and for hedging.

Rule 1: a latency is the time to the first content of an answer; a failure has none.
Rule 2: what is remembered is bounded, and old answers give way to new ones.
"""

from __future__ import annotations

import threading
from collections import deque

from llmkit._fork import renewed_in_child

__all__ = ["Traffic"]

REMEMBERED = 256  # latencies: enough for a 99th percentile, few enough to follow a change within minutes
SMOOTHING = 0.2  # the share of the newest in the average


class Traffic:
    """The calls at one endpoint. Safe to share between threads and tasks; it never waits."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._latencies: deque[float] = deque(maxlen=REMEMBERED)
        self._in_flight = 0
        self._average: float | None = None
        renewed_in_child(self)

    @property
    def in_flight(self) -> int:
        """The attempts under way."""
        return self._in_flight

    @property
    def average(self) -> float | None:
        """The seconds to the first content, newer answers weighing more; None before the first."""
        return self._average

    def begin(self) -> None:
        """Take note of an attempt."""
        with self._lock:
            self._in_flight += 1

    def end(self, latency: float | None) -> None:
        """Take note of its end; *latency* in seconds, None if it brought no content."""
        with self._lock:
            self._in_flight -= 1
            if latency is not None:
                self._latencies.append(latency)
                self._average = latency if self._average is None else self._average + SMOOTHING * (latency - self._average)

    def quantile(self, share: float, *, of_at_least: int) -> float | None:
        """Return the seconds within which *share* of the latencies remembered lie; None if they are fewer than *of_at_least*."""
        with self._lock:
            held = sorted(self._latencies)
        if len(held) < max(of_at_least, 1):
            return None
        return held[min(len(held) - 1, int(share * len(held)))]

    def renew(self) -> None:
        """Forget what is under way: in a forked child it is not there."""
        self._lock = threading.RLock()
        self._in_flight = 0

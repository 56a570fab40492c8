"""
A budget of retries per endpoint, so that an outage is not multiplied by everyone who meets it.

Rule 1: a retry costs, a retry after a time-out costs more; the first try of a call costs nothing.
Rule 2: a success gives back what its own retry cost, or a little when it needed none.
Rule 3: when nothing is left, calls fail with their first error instead of knocking again.

Source of the four numbers: botocore's standard retry mode, ``botocore/retries/standard.py``.
"""

from __future__ import annotations

import threading

from llmkit._fork import renewed_in_child
from llmkit.resilience.checks import whole

__all__ = ["RetryQuota"]


class RetryQuota:
    """The retries an endpoint may still see. Safe to share between threads and tasks; it never waits."""

    def __init__(self, capacity: int = 500, retry_cost: int = 5, timeout_cost: int = 10, income: int = 1) -> None:
        whole("capacity", capacity)
        whole("retry_cost", retry_cost)
        whole("timeout_cost", timeout_cost)
        whole("income", income)
        self._capacity = capacity
        self._retry_cost = retry_cost
        self._timeout_cost = timeout_cost
        self._income = income
        self._left = capacity
        self._lock = threading.RLock()
        renewed_in_child(self)

    @property
    def left(self) -> int:
        """What may still be spent."""
        return self._left

    def spend(self, timed_out: bool) -> int | None:
        """Return what a retry cost, to be handed to ``earn`` when it succeeds; None if it cannot be paid: do not retry."""
        cost = self._timeout_cost if timed_out else self._retry_cost
        with self._lock:
            if cost > self._left:
                return None
            self._left -= cost
            return cost

    def earn(self, last_cost: int | None) -> None:
        """Take in a success: *last_cost* is what its last retry cost, None if the first try succeeded."""
        # Nearly every call of a healthy endpoint ends here, without the lock.
        if self._left == self._capacity:
            return
        with self._lock:
            self._left = min(self._capacity, self._left + (self._income if last_cost is None else last_cost))

    def renew(self) -> None:
        """Take a new lock: in a forked child the old one may be held by a thread that is not there."""
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"RetryQuota({self._left} of {self._capacity} left)"

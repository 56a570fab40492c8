"""A quota of retries that many processes share: each spends by what it was told last, and what it spent is taken off for all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkit.resilience.quota import RetryQuota
from llmkit.shared.scripts import ADD_TO_QUOTA

if TYPE_CHECKING:
    from llmkit.shared.store import Store

__all__ = ["SharedQuota"]

LASTS = 3600  # seconds: an outage that long ago says nothing any more


class SharedQuota(RetryQuota):
    """The retries an endpoint may still see from all who give the same *key* and *store*. It never waits."""

    def __init__(self, store: Store, key: str) -> None:
        super().__init__()
        self._store = store
        self.key = key

    def take_over(self, left: bytes) -> None:
        """Take over what Redis told; nothing, if it knows nothing."""
        if left:
            with self._lock:
                self._left = min(self._capacity, int(left))

    def spend(self, timed_out: bool) -> int | None:
        cost = super().spend(timed_out)
        if cost is not None:
            self._add(-cost)
        return cost

    def earn(self, last_cost: int | None) -> None:
        before = self._left
        super().earn(last_cost)
        if before != self._capacity:
            self._add(self._income if last_cost is None else last_cost)

    def _add(self, amount: int) -> None:
        self._store.note(ADD_TO_QUOTA, [self.key], [amount, self._capacity, LASTS])

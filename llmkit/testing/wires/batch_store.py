"""What the fake providers keep between two requests: files, and batches on their way."""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from typing import Any, Generic, TypeVar

__all__ = ["Store"]

KEPT = 4096  # of each kind, in one process; the oldest is forgotten

Kept = TypeVar("Kept")


class Store(Generic[Kept]):
    """Things by the ids that they were given, which begin with *prefix*."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._numbers = itertools.count(1)
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, thing: Kept) -> str:
        with self._lock:
            name = f"{self._prefix}{next(self._numbers):08d}"
            self._kept[name] = thing
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return name

    def find(self, name: Any) -> Kept | None:
        with self._lock:
            return self._kept.get(name) if isinstance(name, str) else None

    def all(self) -> list[tuple[str, Kept]]:
        """Return all that is kept with their ids, the latest first."""
        with self._lock:
            return list(reversed(self._kept.items()))

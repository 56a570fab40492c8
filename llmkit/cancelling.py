"""How another thread ends what a call is doing: a read, a pause, a place in a queue."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

__all__ = ["Cancellable", "Cut", "cancelled"]

_lock = threading.Lock()  # one for all: it is taken when something is cut, or has been, and at no other time


class Cancellable(Protocol):
    """What another thread can end."""

    def cancel(self) -> None: ...


class Cut:
    """
    The means to end one call from outside.

    Whoever does something long for the call leaves behind, with ``arm``, what ends it at once; ``now`` does so. What is armed after
    that ends at once as well, so that no moment between two steps is missed.
    """

    __slots__ = ("_end", "is_made")

    def __init__(self) -> None:
        self._end: Callable[[], object] | None = None
        self.is_made = False

    def arm(self, end: Callable[[], object] | None) -> None:
        """Let *end*, in place of what was armed before, be called by ``now``; None when there is nothing to end."""
        self._end = end
        if self.is_made and end is not None:
            self._fire()

    def now(self) -> None:
        """End what is being done, and whatever is begun later. Idempotent."""
        self.is_made = True
        self._fire()

    def _fire(self) -> None:
        with _lock:
            end, self._end = self._end, None
        if end is not None:
            end()


def cancelled() -> BaseException:
    """Return what a cancelled call raises in a thread: the native exception, as everywhere."""
    from concurrent.futures import CancelledError

    return CancelledError()

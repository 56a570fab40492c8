"""
One moment by which a call must be over, whatever it is doing then.

Rule 1: a deadline is a moment on a monotonic clock, taken once, at entry; it is passed down, never taken again.
Rule 2: of several deadlines the tightest holds.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from llmkit.resilience.checks import number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Deadline", "current_deadline", "deadline", "held_to"]


class Deadline:
    """A moment on *clock*, in its seconds."""

    __slots__ = ("at", "clock")

    def __init__(self, at: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.at = at
        self.clock = clock

    @classmethod
    def after(cls, seconds: float, clock: Callable[[], float] = time.monotonic) -> Deadline:
        """
        Return the moment *seconds* from now.

        Raises:
            ConfigurationError: If *seconds* is not a finite number above zero.
        """
        number("deadline", seconds, above=0.0)
        return cls(at=clock() + seconds, clock=clock)

    @staticmethod
    def tightest(*deadlines: Deadline | None) -> Deadline | None:
        """Return the one that leaves least time; None stands for no deadline."""
        held = [each for each in deadlines if each is not None]
        return min(held, key=Deadline.remaining) if held else None

    def remaining(self) -> float:
        """Return the seconds left, 0.0 once it has passed."""
        return max(0.0, self.at - self.clock())

    @property
    def passed(self) -> bool:
        return self.clock() >= self.at

    def allows(self, seconds: float) -> bool:
        """Whether a wait of *seconds*, begun now, ends before it."""
        return self.clock() + seconds < self.at


_ambient: ContextVar[Deadline | None] = ContextVar("llmkit_deadline", default=None)


def deadline(seconds: float, *, clock: Callable[[], float] = time.monotonic) -> AbstractContextManager[Deadline]:
    """
    Return a context manager inside which every call is over *seconds* after it was entered.

    Nested ones only tighten. It holds for the running thread or task and for tasks made inside, as context variables do; a thread
    started inside has it only if it runs in a ``contextvars.copy_context()``.

    Raises:
        ConfigurationError: If *seconds* is not a finite number above zero.
    """
    number("deadline", seconds, above=0.0)
    return _held(seconds, clock)


@contextmanager
def _held(seconds: float, clock: Callable[[], float]) -> Iterator[Deadline]:
    with held_to(Deadline.after(seconds, clock)) as tightest:
        yield tightest


@contextmanager
def held_to(own: Deadline) -> Iterator[Deadline]:
    """Return a context manager inside which every call is over when *own* passes; it gives the tightest that holds there."""
    tightest = Deadline.tightest(_ambient.get(), own) or own
    token = _ambient.set(tightest)
    try:
        yield tightest
    finally:
        _ambient.reset(token)


def current_deadline() -> Deadline | None:
    """Return the deadline that holds here, None if there is none."""
    return _ambient.get()

"""
Threads that do one piece of some work after the other, for the thread that waits for all of it.

Rule 1: what holds for that thread (a deadline, a budget, whatever is in its context) holds in each of them.
Rule 2: after the first failure, whoever's, no further piece is begun, and what is under way is waited for as long as the work says.
Rule 3: they are daemons: after a second Ctrl-C the process ends, whatever is under way.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import copy_context
from typing import Generic, Protocol, TypeVar

from llmkit.errors import LLMKitError

__all__ = ["Work", "carried_out"]

Piece = TypeVar("Piece")


class Work(Protocol[Piece]):
    """What is done in pieces."""

    def next(self) -> Piece | None:
        """Return a piece to be done; None if there is none, or no more is to be begun."""
        ...

    def arrived(self, piece: Piece, /) -> None:
        """Take note, in the thread that waits, that *piece* is done."""

    def leave(self) -> float:
        """Begin no more; return the seconds for which to wait for what is under way. Idempotent."""
        ...

    def give_up(self) -> None:
        """End what is still under way after that, as far as it can be ended."""

    def tell(self, error: LLMKitError, /) -> None:
        """Tell *error*, with which it ended, how far it was."""


def carried_out(work: Work[Piece], do: Callable[[Piece], object], size: int, name: str, *, alone: bool = False) -> None:
    """
    Have *do* done with every piece of *work*.

    Args:
        size: How many threads.
        name: What they are called.
        alone: Do it in this thread instead.

    Raises:
        BaseException: The first that was raised, by whatever thread, or here while waiting.
    """
    team = Team(work, do, 0 if alone else size, name)
    try:
        for piece in _done_here(work, do) if alone else team.done():
            work.arrived(piece)
    except BaseException as error:
        try:
            team.wait(work.leave())
        finally:
            work.give_up()
            if isinstance(error, LLMKitError):
                work.tell(error)
        raise


def _done_here(work: Work[Piece], do: Callable[[Piece], object]) -> Iterator[Piece]:
    while (piece := work.next()) is not None:
        do(piece)
        yield piece


class Team(Generic[Piece]):
    """So many threads."""

    def __init__(self, work: Work[Piece], do: Callable[[Piece], object], size: int, name: str) -> None:
        self._work = work
        self._do = do
        self._back: queue.SimpleQueue[tuple[Piece | None, BaseException | None]] = queue.SimpleQueue()
        # Each in a context of its own: one can be entered only once at a time.
        self._threads = [
            threading.Thread(target=copy_context().run, args=(self._run,), name=f"{name}-{number}", daemon=True) for number in range(size)
        ]

    def done(self) -> Iterator[Piece]:
        """Start, and yield each piece when it is done. Raises the first failure."""
        for thread in self._threads:
            thread.start()
        left = len(self._threads)
        while left:
            piece, error = self._back.get()
            if error is not None:
                raise error
            if piece is None:
                left -= 1
            else:
                yield piece

    def wait(self, seconds: float) -> None:
        """Wait until none has anything under way, or *seconds* are over."""
        until = time.monotonic() + seconds
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, until - time.monotonic()))

    def _run(self) -> None:
        try:
            while (piece := self._work.next()) is not None:
                self._do(piece)
                self._back.put((piece, None))
        except BaseException as error:  # noqa: BLE001 - handed over to the thread that waits
            self._work.leave()
            self._back.put((None, error))
        else:
            self._back.put((None, None))

"""
How the steps of a batch at the provider are taken: a call is sent, whose answer comes back, and a pause is waited for.

Rule: what ends the waiting (Ctrl-C, ``cancel_all``, a deadline) ends it within a pause too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import field, frozen

from llmkit.cancelling import Cancellable, Cut, cancelled
from llmkit.errors import LLMKitError

if TYPE_CHECKING:
    from llmkit.batch.items import BatchItem
    from llmkit.batch.provider import Desk
    from llmkit.batch.questions import Question
    from llmkit.call import Call

__all__ = ["Pause", "Steps", "Window"]


@frozen(eq=False)
class Pause:
    """Not a call, but a wait of so many seconds. ``active`` is where it is noted for ``cancel_all``."""

    seconds: float
    active: set[Cancellable]
    cut: Cut = field(factory=Cut, init=False)

    def cancel(self) -> None:
        """End it from another thread."""
        self.cut.now()

    @contextmanager
    def noted(self, end: Callable[[], object]) -> Iterator[None]:
        """Return a context manager for the time of the pause: *end* is called when it is cancelled."""
        self.cut.arm(end)
        self.active.add(self)
        try:
            yield
        finally:
            self.active.discard(self)
            self.cut.arm(None)


Steps: TypeAlias = "Generator[Call[Any] | Pause, Any, Any]"


def performed(send: Callable[[Call[Any]], Any], steps: Steps) -> Any:
    """Return what *steps* come to, with the calls sent by *send*."""
    value: Any = None
    failure: LLMKitError | None = None
    try:
        while True:
            try:
                step = steps.send(value) if failure is None else steps.throw(failure)
            except StopIteration as end:
                return end.value
            value, failure = None, None
            if isinstance(step, Pause):
                _rest(step)
                continue
            try:
                value = send(step)
            except LLMKitError as error:
                failure = error
    finally:
        steps.close()  # now, and not when it is found by chance: it has to give money back


def _rest(pause: Pause) -> None:
    over = threading.Event()
    with pause.noted(over.set):
        if over.wait(pause.seconds):
            raise cancelled()


class Window:
    """Those at the provider who ask, for ``llmkit.batch.threads``."""

    def __init__(self, desk: Desk, send: Callable[[Call[Any]], Any]) -> None:
        self._desk = desk
        self._send = send

    @property
    def under_way(self) -> int:
        return self._desk.under_way

    @property
    def has_news(self) -> bool:
        """To look costs a request."""
        return False

    def hand(self, question: Question) -> None:
        self._desk.take(question)

    def flush(self) -> None:
        performed(self._send, self._desk.submit())

    def collect(self) -> list[BatchItem]:
        items: list[BatchItem] = performed(self._send, self._desk.collect())
        return items

    def leave(self) -> None:
        """What is there goes on there."""

    def wait(self, seconds: float) -> None:
        performed(self._send, self._desk.give_up())

"""What the threads of a race leave behind; what a race is for, and its twin, are tested on clients."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from llmkit import hedging


class Runner:
    """A call, as a race sees it."""

    def __init__(self, rival: Runner | None = None) -> None:
        self.hedge_after = 0.0
        self.other = rival
        self.discarded: list[object] = []
        self.is_cancelled = False
        self.racing = False
        self.came_to: object = None

    def rival(self) -> Runner | None:
        return self.other

    def cancel(self) -> None:
        self.is_cancelled = True

    def decided(self, result: object = None, *, error: BaseException | None = None) -> None:
        self.came_to = result if error is None else error

    def discard(self, result: object) -> None:
        self.discarded.append(result)


def eventually(condition: Callable[[], object]) -> None:
    until = time.monotonic() + 2
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.001)


def test_one_that_arrives_in_the_same_moment_is_discarded_too() -> None:
    """Both results were there before the race was over: the second holds a connection, a key and a place that nobody else gives back."""
    second = Runner()
    first: Any = Runner(second)
    race: Any = hedging._Race(lambda call: "first" if call is first else "second")

    result = race.run(first, 5)
    race._start(second)
    eventually(lambda: race._results.qsize())
    race.end()

    assert "first" == result
    assert ["second"] == second.discarded


def test_one_that_arrives_later_is_cancelled_and_discarded() -> None:
    """By its own thread, which nobody waits for."""
    second = Runner()
    first: Any = Runner(second)

    def send(call: Any) -> str:
        if call is second:
            return "second"
        eventually(lambda: first.is_cancelled)
        return "first"

    assert "second" == hedging.raced(send, first)
    assert "second" == second.came_to
    eventually(lambda: first.discarded)
    assert ["first"] == first.discarded

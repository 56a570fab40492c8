"""Threads that do the pieces of one work."""

from __future__ import annotations

import threading
import time
from contextvars import ContextVar

import pytest

from llmkit.errors import LLMKitError
from llmkit.team import carried_out


class Numbers:
    """A work of so many numbers, which notes what it is told; what is under way when it is left may go on for *patience* seconds."""

    def __init__(self, count: int, patience: float = 5.0) -> None:
        self.left = list(range(count))[::-1]
        self.arrived_in: dict[int, str] = {}
        self.given_up = threading.Event()
        self.told: list[LLMKitError] = []
        self._patience = patience
        self._is_left = False

    def next(self) -> int | None:
        return self.left.pop() if self.left and not self._is_left else None

    def arrived(self, piece: int) -> None:
        self.arrived_in[piece] = threading.current_thread().name

    def leave(self) -> float:
        self._is_left = True
        return self._patience

    def give_up(self) -> None:
        self.given_up.set()

    def tell(self, error: LLMKitError) -> None:
        self.told.append(error)


@pytest.mark.parametrize("size", [1, 3])
def test_every_piece_is_done_and_told_to_who_waits(size: int) -> None:
    """In its thread, while others do it; and nothing is given up."""
    work, done = Numbers(20), []

    carried_out(work, lambda piece: done.append((piece, threading.current_thread().name)), size, "team")

    assert set(range(20)) == {piece for piece, _ in done} == set(work.arrived_in)
    assert {name for _, name in done} <= {f"team-{number}" for number in range(size)}
    assert {threading.current_thread().name} == set(work.arrived_in.values())
    assert not work.given_up.is_set()


def test_it_can_be_done_alone() -> None:
    """Without a thread."""
    work, names = Numbers(3), set()

    carried_out(work, lambda piece: names.add(threading.current_thread().name), 5, "team", alone=True)

    assert {threading.current_thread().name} == names
    assert 3 == len(work.arrived_in)


def test_as_many_are_under_way_as_there_are_threads() -> None:
    """No fewer."""
    three = threading.Barrier(3, timeout=5)

    carried_out(Numbers(9), lambda piece: three.wait(), 3, "team")

    assert not three.broken


def test_what_holds_outside_holds_inside() -> None:
    """In each of them."""
    word = ContextVar("word", default="nobody")
    word.set("somebody")
    seen: list[str] = []

    carried_out(Numbers(4), lambda piece: seen.append(word.get()), 2, "team")

    assert ["somebody"] * 4 == seen


@pytest.mark.parametrize("alone", [False, True])
def test_the_first_failure_ends_it(alone: bool) -> None:
    """Nothing is begun after it, and it is told how far it was."""
    work, begun = Numbers(100), []
    failure = LLMKitError("no")

    def do(piece: int) -> None:
        begun.append(piece)
        if piece == 5:
            raise failure

    with pytest.raises(LLMKitError) as caught:
        carried_out(work, do, 1, "team", alone=alone)

    assert failure is caught.value
    assert ([0, 1, 2, 3, 4, 5], [failure]) == (begun, work.told)
    assert work.given_up.is_set()


def test_what_is_under_way_is_waited_for() -> None:
    """As long as the work has patience, and not a moment longer than it takes."""
    both, done = threading.Barrier(2, timeout=5), []
    work = Numbers(2)

    def do(piece: int) -> None:
        both.wait()
        if piece == 0:
            msg = "no"
            raise ValueError(msg)
        time.sleep(0.03)
        done.append(piece)

    with pytest.raises(ValueError, match="no"):
        carried_out(work, do, 2, "team")

    assert [1] == done
    assert [] == work.told


def test_who_has_no_patience_is_not_kept() -> None:
    """What is under way is given up, and ends by itself."""
    both, over = threading.Barrier(2, timeout=5), threading.Event()
    work = Numbers(2, patience=0.0)

    def do(piece: int) -> None:
        both.wait()
        if piece == 0:
            msg = "no"
            raise ValueError(msg)
        assert work.given_up.wait(5)
        over.set()

    with pytest.raises(ValueError, match="no"):
        carried_out(work, do, 2, "team")

    assert over.wait(5)


def test_an_interrupt_is_raised_when_what_is_under_way_is_done() -> None:
    """And nothing more is begun: no thread is left."""
    done: list[int] = []

    class Interrupted(Numbers):
        def arrived(self, piece: int) -> None:
            raise KeyboardInterrupt

    def do(piece: int) -> None:
        time.sleep(0.001)
        done.append(piece)

    with pytest.raises(KeyboardInterrupt):
        carried_out(Interrupted(1000), do, 4, "team")

    assert len(done) < 1000
    assert [] == [thread for thread in threading.enumerate() if thread.name.startswith("team-")]

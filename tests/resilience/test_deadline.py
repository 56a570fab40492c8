from __future__ import annotations

import asyncio
import contextvars
import math
import threading
from typing import Any

import pytest

from llmkit.errors import ConfigurationError
from llmkit.resilience.deadline import Deadline, current_deadline, deadline


def test_time_runs_out(clock: Any) -> None:
    """What remains goes to zero and not below."""
    own = Deadline.after(10, clock)

    clock.advance(4)
    assert (6.0, False) == (own.remaining(), own.passed)

    clock.advance(7)
    assert (0.0, True) == (own.remaining(), own.passed)


def test_a_wait_is_allowed_only_if_it_ends_before(clock: Any) -> None:
    """A wait that ends with the deadline leaves no time for the attempt it was for."""
    own = Deadline.after(10, clock)

    assert (True, False) == (own.allows(9.9), own.allows(10))


def test_the_tightest_holds(clock: Any) -> None:
    """None stands for no deadline."""
    far, near = Deadline.after(10, clock), Deadline.after(5, clock)

    assert (near, far, None) == (Deadline.tightest(far, None, near), Deadline.tightest(None, far), Deadline.tightest(None))


@pytest.mark.parametrize("seconds", [0, -1, True, math.nan, math.inf, "10", None])
def test_seconds_that_are_none_are_refused_before_the_block(seconds: float) -> None:
    """The mistake is reported where it was made, not where it is entered."""
    with pytest.raises(ConfigurationError, match=r"^deadline must be"):
        deadline(seconds)
    with pytest.raises(ConfigurationError, match=r"^deadline must be"):
        Deadline.after(seconds)


def test_an_ambient_deadline_holds_inside_its_block_only(clock: Any) -> None:
    """After the block it is as if there had been none, whatever left the block."""
    with deadline(10, clock=clock) as own:
        assert own == current_deadline()
    with pytest.raises(ZeroDivisionError), deadline(10, clock=clock):
        raise ZeroDivisionError

    assert current_deadline() is None


def test_it_begins_when_it_is_entered(clock: Any) -> None:
    """A block may be prepared long before."""
    prepared = deadline(10, clock=clock)
    clock.advance(8)

    with prepared as own:
        assert 10.0 == own.remaining()


def test_an_inner_deadline_only_tightens(clock: Any) -> None:
    """A longer one inside does not lengthen, a shorter one ends with its block."""
    with deadline(10, clock=clock) as outer:
        with deadline(60, clock=clock) as longer:
            assert outer == longer == current_deadline()
        with deadline(2, clock=clock) as shorter:
            assert shorter == current_deadline()
            assert 2.0 == shorter.remaining()
        assert outer == current_deadline()


def test_tasks_inherit_it_and_keep_their_own() -> None:
    """A task made inside has it; what a task sets, its neighbour does not see."""

    async def inner(seconds: float) -> tuple[float, float]:
        before = current_deadline()
        with deadline(seconds):
            await asyncio.sleep(0)
            now = current_deadline()
            assert before is not None
            assert now is not None
            return before.remaining(), now.remaining()

    async def main() -> list[tuple[float, float]]:
        with deadline(50):
            return list(await asyncio.gather(inner(10), inner(20)))

    (outer_a, a), (outer_b, b) = asyncio.run(main())

    assert a <= 10 < b <= 20 < min(outer_a, outer_b)


def test_a_thread_has_it_only_in_a_copied_context() -> None:
    """A bare thread begins with an empty context, as everywhere in Python before 3.14."""
    seen: list[Deadline | None] = []
    with deadline(50) as own:
        context = contextvars.copy_context()
        copied = threading.Thread(target=context.run, args=(lambda: seen.append(current_deadline()),))
        copied.start()
        copied.join()

    assert [own] == seen

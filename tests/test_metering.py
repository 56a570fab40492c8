"""Counting what is used."""

from __future__ import annotations

import os
from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit import Usage, UsageEstimator
from llmkit.metering import Tracker, current_trackers, track

ANSWERS = st.lists(
    st.tuples(
        st.sampled_from(["a/1", "a/2", "b/1"]),
        st.builds(Usage, input_tokens=st.integers(0, 10**6), output_tokens=st.integers(0, 10**6)),
        st.none() | st.decimals(0, 100, places=9),
    ),
    max_size=20,
)


@given(answers=ANSWERS)
def test_the_whole_is_the_sum_of_the_models(answers: list[tuple[str, Usage, Decimal | None]]) -> None:
    """Exactly, whatever the caller's own arithmetic keeps."""
    tracker = Tracker()
    with localcontext() as context:
        context.prec = 3
        for label, usage, cost in answers:
            tracker.add(label, usage, cost)
    with localcontext() as context:
        context.prec = 60
        total = tracker.snapshot()
        parts = total.by_model.values()

        assert sum(usage.input_tokens for _, usage, _ in answers) == total.input_tokens == sum(part.input_tokens for part in parts)
        assert len(answers) == total.answers == sum(part.answers for part in parts)
        assert sum(cost is None for _, _, cost in answers) == total.unpriced
        if total.estimated_cost is not None:
            assert sum((cost or Decimal(0) for _, _, cost in answers), Decimal(0)) == total.estimated_cost


def test_what_is_unknown_is_not_nothing() -> None:
    """No cost at all where none is known; else the sum of those that are, and how many are missing."""
    tracker = Tracker()

    costs = [tracker.estimated_cost]
    for cost in (None, Decimal("0.5"), None):
        tracker.add("a/1", Usage(input_tokens=1), cost)
        costs.append(tracker.estimated_cost)

    assert [Decimal(0), None, Decimal("0.5"), Decimal("0.5")] == costs
    assert 2 == tracker.snapshot().unpriced


def test_a_picture_stays_as_it_was() -> None:
    """What is counted later is in the next one."""
    tracker = Tracker()
    tracker.add("a/1", Usage(input_tokens=1, output_tokens=2), Decimal(1))

    picture = tracker.snapshot()
    tracker.add("a/1", Usage(input_tokens=5), Decimal(1))

    assert (1, 2, Decimal(1)) == (picture.input_tokens, picture.output_tokens, picture.estimated_cost)
    assert 1 == picture.by_model["a/1"].input_tokens
    assert 6 == tracker.by_model["a/1"].input_tokens
    assert "input_tokens=6, output_tokens=2" in repr(tracker)


def test_an_estimator_is_made_of_three_numbers() -> None:
    """By their places, as documented."""
    made = UsageEstimator(1, 2, Decimal(3))

    assert (1, 2, Decimal(3)) == (made.input_tokens, made.output_tokens, made.estimated_cost)


def test_scopes_end_where_they_end() -> None:
    """Also by an error."""
    with pytest.raises(ZeroDivisionError), track() as outer:
        assert (outer,) == current_trackers()
        with track() as inner:
            assert (outer, inner) == current_trackers()
        _ = 1 / 0

    assert () == current_trackers()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_counts_on() -> None:
    """Though another thread may have held the lock when it was forked."""
    tracker = Tracker()
    tracker.add("a/1", Usage(input_tokens=1), None)
    with tracker._lock:
        child = os.fork()
        if child == 0:
            tracker.add("a/1", Usage(input_tokens=1), None)
            os._exit(tracker.input_tokens)

    assert 2 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

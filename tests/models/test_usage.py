"""Tokens counted."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.models.usage import TokenCount, Usage

USAGES = st.builds(
    Usage,
    input_tokens=st.integers(0, 10**9),
    output_tokens=st.integers(0, 10**9),
    cache_read_tokens=st.integers(0, 10**9),
    cache_write_tokens=st.integers(0, 10**9),
    reasoning_tokens=st.integers(0, 10**9),
    reported=st.booleans(),
)


@given(one=USAGES, other=USAGES, third=USAGES)
def test_adding_is_adding_each_number(one: Usage, other: Usage, third: Usage) -> None:
    """In any order and grouping; what was not reported in one part is not reported of the whole."""
    total = one + other

    assert (one.input_tokens + other.input_tokens, one.output_tokens + other.output_tokens) == (total.input_tokens, total.output_tokens)
    assert one.total_tokens + other.total_tokens == total.total_tokens
    assert one.cache_write_tokens + other.cache_write_tokens == total.cache_write_tokens
    assert (one.reported and other.reported) == total.reported
    assert (one + other) + third == one + (other + third) == sum([third, other, one])


@given(usage=USAGES)
def test_nothing_added_changes_nothing(usage: Usage) -> None:
    """An empty usage is the zero of this addition."""
    assert usage == usage + Usage() == Usage() + usage


@pytest.mark.parametrize("other", [5, None, "x"])
def test_only_usages_are_added(other: object) -> None:
    """All else is Python's own TypeError."""
    with pytest.raises(TypeError):
        Usage() + other  # type: ignore[operator]  # the point of the test
    with pytest.raises(TypeError):
        other + Usage()  # type: ignore[operator]


def test_a_count_is_a_number_that_says_where_it_is_from() -> None:
    """It adds, compares and travels as one."""
    count = TokenCount(7, estimated=False, source="acme")

    again = pickle.loads(pickle.dumps(count))

    assert 7 == count
    assert "7" == f"{count}"
    assert (7, False, "acme") == (again, again.estimated, again.source)
    assert (True, "estimate") == (TokenCount(7).estimated, TokenCount(7).source)

"""Texts cut into requests, and answers put together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.dialects.embedding import Limits
from llmkit.embedding.cutting import check_not_empty, cut
from llmkit.errors import ConfigurationError


@given(st.lists(st.text(max_size=40), min_size=1, max_size=60).map(tuple), st.integers(1, 10), st.none() | st.integers(1, 50))
def test_nothing_is_lost_doubled_or_moved(inputs: tuple[str, ...], most: int, tokens: int | None) -> None:
    """And no piece is too large, or empty."""
    groups = [inputs[group] for group in cut(inputs, Limits(most, tokens), "m")]

    assert inputs == tuple(text for group in groups for text in group)
    assert all(1 <= len(group) <= most for group in groups)


def test_inputs_are_cut_by_their_number() -> None:
    """Where that is what limits them."""
    assert [2, 2, 1] == [group.stop - group.start for group in cut(("a",) * 5, Limits(2), "m")]


@pytest.mark.parametrize(
    ("text", "tokens"), [("word " * 100, 101), ("字" * 100, 100), ("1234567890 " * 10, 50)], ids=["english", "chinese", "digits"]
)
def test_inputs_are_cut_by_their_tokens(text: str, tokens: int) -> None:
    """With room to spare, since it is an estimate. (The numbers are those of cl100k_base.)"""
    inputs = (text,) * 50

    groups = [inputs[group] for group in cut(inputs, Limits(1000, 1000), "text-embedding-3-small")]

    assert len(groups) > 2
    assert all(len(group) * tokens <= 1000 for group in groups)


def test_a_text_that_is_too_long_stands_alone() -> None:
    """Its model says whether it really is."""
    long = "word " * 5000

    assert [1, 1, 2] == [group.stop - group.start for group in cut(("a", long, "b", "c"), Limits(10, 1000), "m")]


def test_nothing_is_cut_into_nothing() -> None:
    """There is no empty request."""
    assert [] == list(cut((), Limits(10), "m"))


def test_an_empty_input_is_refused_by_its_place() -> None:
    """Where the provider refuses it."""
    check_not_empty(["a", "b"], "openai")

    with pytest.raises(ConfigurationError, match=r"inputs\[1\] is empty, which openai refuses"):
        check_not_empty(["a", ""], "openai")

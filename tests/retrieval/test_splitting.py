"""Long texts as short ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit import ConfigurationError
from llmkit.retrieval import split


def test_a_piece_ends_where_a_word_does() -> None:
    """And the next begins with the end of it."""
    assert ["one two ", "wo three ", "ee four"] == split("one two three four", size=9, overlap=3)


def test_a_short_text_is_one_piece() -> None:
    """And white space is none."""
    assert ["short"] == split("short")
    assert [] == split("") == split(" \n ")


def test_a_text_without_white_space_is_cut_anyway() -> None:
    """At the size that was asked for."""
    assert ["aaaa", "aaaa", "aa"] == split("a" * 10, size=4, overlap=0)


@pytest.mark.parametrize(("size", "overlap"), [(0, 0), (10, 6), (10, -1), (True, 0), (1.5, 0)])
def test_sizes_that_would_never_end_are_refused(size: int, overlap: int) -> None:
    """By name."""
    with pytest.raises(ConfigurationError, match=r"size|overlap"):
        split("text", size=size, overlap=overlap)


@given(st.lists(st.booleans(), max_size=200), st.integers(1, 30), st.integers(0, 15))
def test_nothing_is_lost_and_nothing_is_too_long(spaces: list[bool], size: int, overlap: int) -> None:
    """Every letter stands in a piece, every piece in the text, and each goes further than the one before."""
    text = "".join(" " if space else chr(0x4E00 + index) for index, space in enumerate(spaces))

    pieces = split(text, size, min(overlap, size // 2))

    assert all(len(piece) <= size and piece in text for piece in pieces)
    assert set(text) - {" "} == {letter for piece in pieces for letter in piece} - {" "}
    assert sorted(pieces, key=max) == pieces

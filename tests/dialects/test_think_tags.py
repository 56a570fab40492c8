"""Thoughts between tags at the beginning of a text."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.dialects.think_tags import ThinkTags


def told_apart(pieces: list[str]) -> tuple[str, str]:
    """Return thoughts and answer of a text that comes in *pieces*."""
    tags = ThinkTags()
    found = [tags.feed(piece) for piece in pieces]
    found.append(tags.held())
    return "".join(thoughts for thoughts, _ in found), "".join(answer for _, answer in found)


@pytest.mark.parametrize(
    ("text", "thoughts", "answer"),
    [
        ("Hello", "", "Hello"),
        ("", "", ""),
        ("<think>Hm</think>Hello", "Hm", "Hello"),
        (" \n<think>\n\nHm\n\nhm\n</think>\n\nHello\n", "Hm\n\nhm", "Hello\n"),
        ("<think></think>Hello", "", "Hello"),
        ("<think>Hm", "Hm", ""),
        ("<think>Hm</thin", "Hm</thin", ""),
        ("<think>Hm\n", "Hm", ""),
        ("<think>a < b </ c</think> <think>no</think>", "a < b </ c", " <think>no</think>"),
        ("Say <think>x</think>", "", "Say <think>x</think>"),
        (" <thin", "", " <thin"),
        ("<thinking>x", "", "<thinking>x"),
        (" \n Hello", "", " \n Hello"),
        ("<think>Hm</think>\n\n", "Hm", ""),
    ],
)
def test_thoughts_and_answer_are_told_apart(text: str, thoughts: str, answer: str) -> None:
    """Whole and character by character; line feeds beside the tags belong to neither, and what never closes is all thought."""
    assert (thoughts, answer) == told_apart([text]) == told_apart(list(text))


TEXTS = st.lists(st.sampled_from(["<think>", "</think>", "<", "</", "<th", "ink>", "\n", " ", "a", "b\n", "think>"]), max_size=10).map(
    "".join
)


@given(text=TEXTS, data=st.data())
def test_any_pieces_give_the_same(text: str, data: st.DataObject) -> None:
    """Wherever the text is cut."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))

    assert told_apart([text]) == told_apart([text[a:b] for a, b in pairwise([0, *cuts, len(text)])])


@given(text=TEXTS, data=st.data())
def test_what_was_given_out_is_never_taken_back(text: str, data: st.DataObject) -> None:
    """Thoughts and answer so far are always the beginning of those of the whole."""
    middle = data.draw(st.integers(0, len(text)))
    tags = ThinkTags()

    thoughts, answer = tags.feed(text[:middle])

    whole = told_apart([text])
    assert (True, True) == (whole[0].startswith(thoughts), whole[1].startswith(answer))


def test_it_is_over_when_the_answer_has_begun() -> None:
    """From then on nobody has to look for tags."""
    tags = ThinkTags()
    seen = [(tags.feed(piece), tags.is_over)[1] for piece in ("<think>", "Hm", "</think>", "\n", "Hello")]

    assert [False, False, False, False, True] == seen

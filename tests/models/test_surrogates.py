"""Halves of surrogate pairs, which no server would take."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.models.surrogates import sayable, with_whole_escapes

TEXTS = st.text(alphabet=st.one_of(st.characters(), st.characters(categories=["Cs"]), st.just("\\")), max_size=12)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ""),
        ("é漢😀", "é漢😀"),
        ("a\ud800b", "a\ufffdb"),
        ("\udce9", "\ufffd"),
        ("\ud83d\ude00", "😀"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
    ],
)
def test_a_half_is_replaced_and_a_pair_is_joined(text: str, said: str) -> None:
    """What can be said stays as it is."""
    assert said == sayable(text)


@given(TEXTS)
def test_every_text_can_be_said(text: str) -> None:
    """It can be encoded, and saying it twice changes nothing more."""
    said = sayable(text)

    assert said == said.encode().decode() == sayable(said)


@given(TEXTS)
def test_what_is_escaped_comes_to_the_same(text: str) -> None:
    """Read from JSON, it has no half either, and the offsets in the JSON stay."""
    escaped = json.dumps(text)

    whole = with_whole_escapes(escaped)

    assert len(escaped) == len(whole)
    assert sayable(text).replace("\ufffd", "") == json.loads(whole).replace("\ufffd", "")
    json.loads(whole).encode()

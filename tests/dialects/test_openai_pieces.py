"""Putting answers together. What single servers send is shown with the streams; here are the rules alone."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from llmkit.dialects.openai_pieces import Calls, ChoiceInMaking, joined
from llmkit.models.content import Text, Thinking


@frozen(kw_only=True)
class Server:
    """What reading must know of a server."""

    owner: str = "acme"
    think_tags: bool = False
    hidden_output: bool = False


def text(words: str, **rest: Any) -> dict[str, Any]:
    return {"type": "reasoning.text", "text": words, **rest}


@pytest.mark.parametrize(
    ("fragments", "blocks"),
    [
        ([], []),
        ([text("a")], [text("a")]),
        ([text("a"), text("b")], [text("ab")]),
        ([text("a", index=0), text("b", index=0), text("c", index=1)], [text("ab", index=0), text("c", index=1)]),
        ([text("a", id="x"), text("b"), text("c", id="y")], [text("ab", id="x"), text("c", id="y")]),
        ([text("a", signature=None), text("", signature="s"), text("b", signature="")], [text("ab", signature="s")]),
        ([text("a"), {"type": "reasoning.text", "signature": "s"}], [text("a", signature="s")]),
        ([text("a"), {"type": "reasoning.summary", "summary": "b"}], [text("a"), {"type": "reasoning.summary", "summary": "b"}]),
        ([{"type": "e", "data": "1"}, {"type": "e", "data": "2"}], [{"type": "e", "data": "1"}, {"type": "e", "data": "2"}]),
        ([5, None, "x", text("a"), [1]], [5, None, "x", text("a"), [1]]),
        ([text("a"), text(5)], [{"type": "reasoning.text", "text": 5}]),  # type: ignore[arg-type]  # of another type
        (
            [
                {"type": "thinking", "thinking": [{"type": "text", "text": "a"}]},
                {"type": "thinking", "thinking": [{"type": "text", "text": "b"}]},
            ],
            [{"type": "thinking", "thinking": [{"type": "text", "text": "ab"}]}],
        ),
    ],
)
def test_fragments_are_joined_to_the_blocks_they_are_of(fragments: list[Any], blocks: list[Any]) -> None:
    """Neighbours of one type, index and id; sealed ones come whole."""
    assert blocks == joined(fragments)


@given(words=st.lists(st.text(max_size=4), min_size=1, max_size=6), sealed=st.booleans())
def test_however_a_block_is_cut_it_is_the_same_again(words: list[str], sealed: bool) -> None:
    """Whole blocks are what the provider takes back; what was sent is not changed by joining."""
    fragments = [text(word, index=0) for word in words]
    if sealed:
        fragments[-1]["signature"] = "s"
    before = [dict(fragment) for fragment in fragments]

    (block,) = joined(fragments)

    assert ("".join(words), "s" if sealed else None) == (block["text"], block.get("signature"))
    assert before == fragments
    assert [block] == joined([block])


def test_a_call_has_its_place_among_the_others() -> None:
    """In the order in which they began."""
    calls = Calls()

    found = [calls.find({"index": index, "function": {"name": "f"}}).index for index in (3, 0, 3, 7)]

    assert [0, 1, 0, 2] == found


def test_a_choice_is_read_as_far_as_it_has_come() -> None:
    """Held back or not: what was received is never lost."""
    choice = ChoiceInMaking(Server(think_tags=True))
    choice.add({"content": "<think>Hm</thi"})

    assert (Thinking("Hm</thi", provider="acme"),) == choice.message(None).content
    assert ("Hm</thi", None) == (choice.raw(0)["message"]["reasoning_content"], choice.raw(0)["message"]["content"])
    choice.add({"content": "nk>Yes"})
    assert (Thinking("Hm", provider="acme"), Text("Yes")) == choice.message(None).content
    assert (("", ""), (Thinking("Hm", provider="acme"), Text("Yes"))) == (choice.end(), choice.message(None).content)

"""
Tokens estimated, against tokens counted.

``tests/samples/tokens/counts.json`` holds three texts of our own and what the families' tokenizers made of them on 2026-11-21.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.catalogue.tokens import estimate_request, estimate_tokens
from llmkit.models.content import Audio, Document, Image, Message, Native, Thinking, ToolCall, assistant, tool_result, user
from llmkit.models.request import make_request

SAMPLES: dict[str, Any] = json.loads((Path(__file__).parents[1] / "samples" / "tokens" / "counts.json").read_text("utf-8"))


@pytest.mark.parametrize("kind", ["english", "chinese", "code"])
@pytest.mark.parametrize("row", SAMPLES["counts"], ids=lambda row: row["model"])
def test_an_estimate_is_within_15_percent(row: dict[str, Any], kind: str) -> None:
    """Of what the model's own tokenizer counts."""
    assert row[kind] == pytest.approx(estimate_tokens(SAMPLES["texts"][kind], row["model"]), rel=0.15)


def test_claude_is_within_15_percent_of_a_recorded_count() -> None:
    """1,114 input tokens with the frame of two messages: claude-sonnet-4-5, recorded by pydantic-ai, read 2026-11-21."""
    text = "Please explain what Python is and its main use cases. " * 100

    assert 1114 == pytest.approx(estimate_tokens(text, "claude-sonnet-4-5") + 14, rel=0.15)


def test_a_later_claude_needs_more_for_english_and_not_for_chinese() -> None:
    """Words cost more with it since 4.7; nothing else does."""
    texts = SAMPLES["texts"]

    assert estimate_tokens(texts["english"], "claude-opus-5") > 1.2 * estimate_tokens(texts["english"], "claude-opus-4-6")
    assert estimate_tokens(texts["chinese"], "claude-opus-5") == estimate_tokens(texts["chinese"], "claude-opus-4-6")


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), ("a", 1), (" ", 1), ("Hello world", 2), ("HTTPResponse", 2), ("1234567", 4), ("\n\n\n", 1), ("日本", 1), ("👍", 3)],
)
def test_small_texts(text: str, tokens: int) -> None:
    """Nothing is nothing, and anything is at least one."""
    assert tokens == estimate_tokens(text)


@given(st.text(), st.text())
def test_more_text_is_not_fewer_tokens(first: str, second: str) -> None:
    """But for what a seam joins."""
    assert estimate_tokens(first) <= estimate_tokens(first + "\n" + second) + 1


@given(st.text(max_size=200), st.sampled_from([row["model"] for row in SAMPLES["counts"]]))
def test_any_text_has_an_estimate(text: str, model: str) -> None:
    """Whatever is in it; never more than its bytes and a few."""
    assert (1 if text else 0) <= estimate_tokens(text, model) <= 3 * len(text) + 2


def cost(*messages: Message, **parameters: Any) -> int:
    return estimate_request(make_request(list(messages), model="gpt-4o", **parameters))


def test_a_message_is_its_text_and_a_frame() -> None:
    """Four tokens."""
    assert 4 + estimate_tokens("How are you?") == cost(user("How are you?"))


@pytest.mark.parametrize(
    ("part", "tokens"),
    [
        (Image(url="https://example.com/cat.png"), 1000),
        (Image(url="https://example.com/cat.png", detail="low"), 85),
        (Document(data=b"one two three", media_type="text/plain"), 3),
        (Document(data=b"%PDF" + bytes(149_999), media_type="application/pdf"), 6000),
        (Document(url="https://example.com/paper.pdf"), 2000),
        (Audio(data=bytes(500_000), media_type="audio/wav"), 500),
        (Audio(data=b"RIFF", media_type="audio/wav"), 100),
    ],
    ids=lambda value: getattr(value, "media_type", None) or type(value).__name__,
)
def test_what_is_no_text_is_counted_by_rule(part: Any, tokens: int) -> None:
    """As the module's docstring has it."""
    assert 4 + tokens == cost(user(part))


def test_calls_and_results_are_counted_with_what_is_in_them() -> None:
    """Also the thoughts beside them, and blocks of a provider's own."""
    call = ToolCall("call_1", "weather", {"city": "Paris"})

    history = cost(user("Hi"), assistant(Thinking("Let me see."), call, Native("acme", {"a": 1})), tool_result(call, "sunny"))

    inside = sum(map(estimate_tokens, ("Hi", "Let me see.", "weather", '{"city": "Paris"}', '{"a": 1}', "sunny")))
    assert 3 * 4 + 8 + 4 + inside == history


def test_arguments_are_counted_as_they_were_written() -> None:
    """The text goes back, not what was read from it."""
    call = ToolCall("call_1", "weather", {}, text='{"city":   "Paris"}')

    assert 4 + 8 + estimate_tokens("weather") + estimate_tokens('{"city":   "Paris"}') == cost(assistant(call))


def test_tools_and_schemas_cost_too() -> None:
    """And Claude's bring a system prompt."""

    def weather(city: str) -> str:
        """Return the weather in a city."""
        return city

    plain = cost(user("Hi"))
    tooled = cost(user("Hi"), tools=[weather])
    shaped = cost(user("Hi"), response_format={"type": "object", "properties": {"city": {"type": "string"}}})
    asked = make_request("Hi", model="claude-sonnet-4-5", tools=[weather])

    assert 20 < tooled - plain < 80
    assert 10 < shaped - plain < 40
    assert estimate_request(asked) > 346 + tooled - 10


def test_any_json_is_the_same_as_plain_text_to_it() -> None:
    """A mode without a schema sends none."""
    assert cost(user("Hi")) == cost(user("Hi"), response_format="json")

"""What comes back."""

from __future__ import annotations

from typing import Any

import pytest

from llmkit.models.chunk import CompletionChunk, ToolCallDelta
from llmkit.models.content import Message, Text, Thinking, ToolCall, assistant
from llmkit.models.response import CompletionResponse, FinishReason


def test_a_response_shows_its_message() -> None:
    """Text, thoughts and calls are the message's."""
    call = ToolCall("a", "f", {"x": 1})
    response = CompletionResponse(message=assistant(Thinking("Hm"), "Hi ", Text("you"), call))

    assert ("Hi you", "Hm", (call,)) == (response.text, response.thinking, response.tool_calls)


def test_an_empty_response_says_that_it_knows_nothing() -> None:
    """No reason, no counted tokens, no price."""
    response = CompletionResponse(message=Message("assistant"))

    assert ("", "unknown", False, None) == (response.text, response.finish_reason, response.usage.reported, response.cost)


@pytest.mark.parametrize("reason", FinishReason)
def test_a_reason_is_its_word(reason: FinishReason) -> None:
    """It compares, prints and formats as the word."""
    assert reason.value == reason
    assert reason.value == f"{reason}" == str(reason)


def test_reasons_are_those_of_the_contract() -> None:
    """Users write them down."""
    wanted = ["stop", "length", "tool_calls", "content_filter", "refusal", "pause", "error", "unknown"]

    assert wanted == [reason.value for reason in FinishReason]


def test_a_response_renders_as_markdown() -> None:
    """A notebook shows the answer, and the calls where there are some."""
    assert "**Hi**" == CompletionResponse(message=assistant("**Hi**"))._repr_markdown_()
    assert "`f({'x': 1})`" in CompletionResponse(message=assistant(ToolCall("a", "f", {"x": 1})))._repr_markdown_()


def test_raw_is_neither_shown_nor_compared() -> None:
    """It is large, and two equal answers may differ in it."""
    one, other = (CompletionResponse(message=assistant("a"), raw={"id": word}) for word in ("canary", "x"))

    assert one == other
    assert "canary" not in repr(one)


@pytest.mark.parametrize(
    ("chunk", "set_"),
    [
        (CompletionChunk(), {}),
        (CompletionChunk("a"), {"text": "a"}),
        (CompletionChunk(tool_call=ToolCallDelta(0, "a", "f")), {"tool_call": ToolCallDelta(0, "a", "f", "")}),
    ],
)
def test_a_chunk_has_only_what_it_brings(chunk: CompletionChunk, set_: dict[str, Any]) -> None:
    """All else is empty."""
    empty = {"text": "", "thinking": "", "tool_call": None, "finish_reason": None, "usage": None}

    assert {**empty, **set_} == {name: getattr(chunk, name) for name in empty}

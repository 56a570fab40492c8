"""Tools told in words: what is read as a call, what is refused, what a stream shows."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit import Image, Message, Text, Thinking, ToolCall, assistant, tool_result, user
from llmkit.loop.prompting import Curtain, instructions, read_calls, rendered
from llmkit.tools import as_tool

CALL = {"name": "look", "arguments": {"city": "Paris"}}
PICTURE = Image(data=b"\x89PNG", media_type="image/png")


def look(city: str) -> str:
    """Look up the weather."""
    return city


def fenced(body: Any) -> str:
    text = body if isinstance(body, str) else json.dumps(body)
    return f"```tool_calls\n{text}\n```"


def read(text: str) -> tuple[str, list[tuple[str, str, dict[str, Any]]], str | None]:
    message, fault = read_calls(assistant(text), first=7)
    return message.text, [(call.id, call.name, dict(call.arguments)) for call in message.tool_calls], fault


def test_the_model_is_told_of_the_tools_behind_its_system_message() -> None:
    """With the form of a call, and each tool's schema on a line of its own."""
    text = instructions([as_tool(look)], "Be brief.")

    assert text.startswith("Be brief.\n\nYou can use the tools below.")
    assert {"name": "look", "description": "Look up the weather."}.items() <= json.loads(text.splitlines()[-1]).items()
    assert ("Be brief.", "") == (instructions([], "Be brief."), instructions([], None))


@pytest.mark.parametrize(
    "text",
    [
        fenced([CALL]),
        fenced(CALL),
        f"I look.\n\n{fenced([CALL])}",
        f"{fenced(json.dumps([CALL], indent=2))}\nThe weather is nice.",
        "  ``` tool_calls \r\n" + json.dumps([CALL]) + "\r\n  ```\r\n",
    ],
)
def test_a_block_is_read_as_calls(text: str) -> None:
    """What stands before it is the answer's text, what follows is the model's imagination."""
    said, calls, fault = read(text)

    assert ("I look." if text.startswith("I") else "", [("call_7", "look", {"city": "Paris"})], None) == (said, calls, fault)


def test_several_blocks_and_calls_are_read_in_their_order() -> None:
    """Each with an id of its own; no arguments are an empty object."""
    _, calls, _ = read(f"{fenced([CALL, {'name': 'wait'}])}\nand\n{fenced(CALL)}")

    assert [("call_7", "look"), ("call_8", "wait"), ("call_9", "look")] == [call[:2] for call in calls]
    assert {} == calls[1][2]


@pytest.mark.parametrize(
    "text",
    [
        "Just text.",
        '```json\n[{"name": "look", "arguments": {}}]\n```',
        '[{"name": "look", "arguments": {}}]',
        "Write ```tool_calls in a line.",
        "```tool_calls_of_mine\n[]\n```",
    ],
)
def test_anything_else_is_an_answer(text: str) -> None:
    """JSON that was asked for is not taken for a call."""
    message = assistant(text)

    assert (message, None) == read_calls(message, first=1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (fenced("[{name: look}]"), "Expecting property name"),
        (fenced("[]"), "empty list"),
        (fenced("[3]"), "each call is an object"),
        (fenced('"look"'), "each call is an object"),
        (fenced([{"name": 3}]), "each call is an object"),
        (fenced([{"name": "look", "arguments": [1]}]), "each call is an object"),
        (fenced([{**CALL, "id": 1}]), 'here is "id"'),
        (fenced('[{"name": "look", "arguments": {"x": NaN}}]'), "NaN is no JSON value"),
        (fenced("[" * 100_000), "nested too deeply|Expecting value"),
        ('```tool_calls\n[{"name": "look"', "not closed"),
        (f"{fenced([CALL])}\n{fenced('nonsense')}", "Expecting value"),
    ],
)
def test_what_is_not_exactly_right_is_told(text: str, words: str) -> None:
    """And the answer stays as it was said."""
    message, fault = read_calls(assistant(text), first=1)

    assert assistant(text) == message
    assert fault is not None

    assert re.search(words, fault)


def test_thoughts_are_kept() -> None:
    """Only the text is read."""
    message, _ = read_calls(assistant(Thinking("Hm."), fenced(CALL)), first=1)

    assert [Thinking, ToolCall] == [type(part) for part in message.content]


def test_a_transcript_is_rendered_in_words() -> None:
    """Calls as blocks, results of one answer as one message of the user's, pictures in it."""
    calls = [ToolCall("call_1", "look", {"city": "Paris"}), ToolCall("call_2", "draw")]
    results = [tool_result(calls[0], "rain"), tool_result(calls[1], ["Here:", PICTURE], is_error=True)]

    turns = rendered([user("Hi"), assistant("I look.", *calls), *results, user("And?"), tool_result("call_9", "late")])

    assert ["user", "assistant", "user", "user", "user"] == [turn.role for turn in turns]
    assert read_calls(turns[1], first=1)[0] == assistant("I look.", *calls)
    assert [
        Text("Result of the tool look (call_1):\nrain\n"),
        Text("Error from the tool draw (call_2):\nHere:\n"),
        PICTURE,
    ] == list(turns[2].content)
    assert "Result of call_9:\nlate\n" == turns[4].text


ARGUMENTS = st.dictionaries(st.text(max_size=5), st.text() | st.integers() | st.none() | st.lists(st.text()), max_size=3)


@given(st.lists(st.tuples(st.text(min_size=1), ARGUMENTS), min_size=1, max_size=3))
def test_what_is_rendered_is_read_as_the_same(wishes: list[tuple[str, dict[str, Any]]]) -> None:
    """Whatever stands in names and arguments, fences too."""
    calls = [ToolCall(f"call_{number}", name, arguments) for number, (name, arguments) in enumerate(wishes, start=1)]

    (turn,) = rendered([Message("assistant", calls)])

    assert (Message("assistant", calls), None) == read_calls(turn, first=1)


PIECES = st.sampled_from(["```", "tool_calls", "\n", " ", "`", "json", "text", "[]", "\r\n", "```tool_calls\n", "\n```\n", "t"])


@given(st.lists(PIECES, max_size=12).map("".join), st.data())
def test_a_curtain_shows_what_stands_before_the_first_block(text: str, data: st.DataObject) -> None:
    """However the stream is cut."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    curtain = Curtain()

    shown = "".join(curtain.feed(text[start:end]) for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)) + curtain.end()

    whole = Curtain()
    assert whole.feed(text) + whole.end() == shown
    message, fault = read_calls(assistant(text), first=1) if text else (None, None)
    if message is not None and fault is None and not message.tool_calls:
        assert text == shown
    else:
        assert text.startswith(shown)
        assert not re.search(r"^[ \t]*```[ \t]*tool_calls[ \t]*\r?\n", shown, re.MULTILINE)


def test_a_curtain_holds_back_no_more_than_a_line() -> None:
    """What cannot become a block is shown at once."""
    curtain = Curtain()

    assert ["I ", "look\n", "", "", "", ""] == [
        curtain.feed(piece) for piece in ("I ", "look\n", "``", "`tool", "_calls\n", "[]\n```\nmore")
    ]
    assert "" == curtain.end()

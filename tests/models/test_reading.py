"""Reading what complete() is given as messages."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit.errors import ConfigurationError
from llmkit.models.content import (
    Audio,
    Document,
    Image,
    Message,
    Native,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    assistant,
    system,
    user,
)
from llmkit.models.reading import as_messages, decode_arguments

PNG = "data:image/png;base64,iVBORw=="
DATA = b"\x89PNG"


def part(value: Any) -> Any:
    """Return what one content part of a dict reads as."""
    return as_messages([{"role": "user", "content": [value]}])[0].content[0]


@pytest.mark.parametrize("messages", ["Hi", user("Hi"), Text("Hi"), [user("Hi")], iter([{"role": "user", "content": "Hi"}])])
def test_many_ways_of_asking_are_one_message(messages: Any) -> None:
    """A string, a part, a message, or any iterable of messages and dicts."""
    assert (user("Hi"),) == as_messages(messages)


@pytest.mark.parametrize("messages", ["", [], (), None, 5, {"role": "user", "content": "Hi"}, b"Hi", [None], ["Hi"], [5]])
def test_what_is_no_message_is_refused(messages: Any) -> None:
    """Nothing to ask, or nothing that can be asked."""
    with pytest.raises(ConfigurationError, match="messages"):
        as_messages(messages)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("a", Text("a")),
        (Text("a"), Text("a")),
        ({"type": "text", "text": "a"}, Text("a")),
        ({"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}, Text("a", cache=True)),
        ({"type": "input_text", "text": "a"}, Text("a")),
        ({"type": "output_text", "text": "a", "annotations": []}, Text("a")),
        ({"type": "refusal", "refusal": "No."}, Text("No.")),
        ({"type": "image_url", "image_url": "https://x.example/a"}, Image(url="https://x.example/a")),
        ({"type": "image_url", "image_url": {"url": PNG, "detail": "low"}}, Image(data=DATA, media_type="image/png", detail="low")),
        ({"type": "image_url", "image_url": {"url": "data:;base64,iVBORw=="}}, Image(data=DATA, media_type="application/octet-stream")),
        ({"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}, Audio(data=b"RIFF", media_type="audio/wav")),
        (
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERg==", "filename": "a.pdf"}},
            Document(data=b"%PDF", media_type="application/pdf", name="a.pdf"),
        ),
        ({"type": "file", "file": {"file_data": "JVBERg=="}}, Document(data=b"%PDF", media_type="application/pdf")),
        ({"type": "file", "file": {"file_id": "f"}}, Native("openai", {"type": "file", "file": {"file_id": "f"}})),
        (
            {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]},
            Thinking("Hm", data={"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}]}),
        ),
    ],
)
def test_a_part_of_a_dict_is_one_of_ours(value: Any, wanted: Any) -> None:
    """In each form that OpenAI's API and its look-alikes have."""
    assert wanted == part(value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (5, "string, a part or a dict, not int"),
        ({}, "has the type None; known are text"),
        ({"type": "video"}, "has the type 'video'"),
        ({"type": ["text"]}, "has the type"),
        ({"type": "text"}, "looks like"),
        ({"type": "text", "text": 5}, "looks like"),
        ({"type": "image_url", "image_url": None}, "looks like"),
        ({"type": "image_url", "image_url": {"url": PNG, "detail": 5}}, "looks like"),
        ({"type": "image_url", "image_url": {"url": "data:image/png,raw"}}, "must be in base64"),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,?"}}, "not base64"),
        ({"type": "input_audio", "input_audio": {"format": "wav"}}, "looks like"),
        ({"type": "file", "file": {}}, "looks like"),
    ],
)
def test_a_part_that_is_none_is_refused_with_its_place(value: Any, words: str) -> None:
    """Which message and which part, and what is wrong."""
    with pytest.raises(ConfigurationError, match=rf"messages\[1\]\.content\[1\].*{words}"):
        as_messages([user("Hi"), {"role": "user", "content": ["a", value]}])


def test_a_conversation_with_tools_is_read() -> None:
    """Arguments decoded and kept as text; the result gets the name of its call."""
    call = {"id": "a", "type": "function", "function": {"name": "look", "arguments": '{"n": 1}'}}

    first, second = as_messages(
        [{"role": "assistant", "content": None, "tool_calls": [call]}, {"role": "tool", "tool_call_id": "a", "content": "Sunny"}]
    )

    assert assistant(ToolCall("a", "look", {"n": 1})) == first
    assert '{"n": 1}' == first.tool_calls[0].text
    assert Message("tool", ToolResult("a", "look", "Sunny")) == second


def test_what_the_openai_package_dumps_is_read() -> None:
    """Its messages have every field, most of them null or empty."""
    dump = {
        "role": "assistant",
        "content": "Hi",
        "refusal": None,
        "annotations": [],
        "audio": None,
        "function_call": None,
        "tool_calls": None,
        "name": None,
    }

    assert (assistant("Hi"),) == as_messages([dump])


@pytest.mark.parametrize(
    ("item", "wanted"),
    [
        ({"role": "developer", "content": "a"}, system("a")),
        ({"role": "assistant", "content": None, "refusal": "No."}, assistant("No.")),
        ({"role": "assistant", "content": "", "refusal": ""}, assistant()),
        ({"role": "assistant", "content": "a", "reasoning_content": "Hm"}, assistant(Thinking("Hm"), "a")),
        ({"role": "assistant", "content": "a", "reasoning_details": [1]}, assistant(Thinking("", data={"reasoning_details": [1]}), "a")),
        ({"role": "assistant", "content": "a", "reasoning_details": "x", "reasoning": 5}, assistant("a")),
        ({"role": "user", "content": "a", "name": "ann"}, Message("user", "a", name="ann")),
        ({"role": "assistant", "function_call": {"name": "f", "arguments": ""}}, assistant(ToolCall("f", "f"))),
        ({"role": "function", "name": "f", "content": "x"}, Message("tool", ToolResult("f", "f", "x"))),
    ],
)
def test_words_old_and_new_are_understood(item: dict[str, Any], wanted: Message) -> None:
    """Roles that were renamed, refusals, thoughts, calls from before there were several."""
    assert (wanted,) == as_messages([item])


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ({"content": "a"}, "no 'role'"),
        ({"role": 5, "content": "a"}, "no 'role'"),
        ({"role": "boss", "content": "a"}, "role is one of"),
        ({"role": "user"}, "no 'content'"),
        ({"role": "user", "content": ""}, "no 'content'"),
        ({"role": "user", "content": 5}, "'content' is a string or a list"),
        ({"role": "user", "content": {"type": "text"}}, "'content' is a string or a list"),
        ({"role": "user", "content": "a", "name": 5}, "'name' is a string"),
        ({"role": "tool", "content": "a"}, "tool_call_id"),
        ({"role": "tool", "tool_call_id": "", "content": "a"}, "tool_call_id"),
        ({"role": "assistant", "tool_calls": 5}, "'tool_calls' is a list"),
        ({"role": "assistant", "tool_calls": "abc"}, "'tool_calls' is a list"),
        ({"role": "assistant", "tool_calls": [5]}, "a tool call has"),
        ({"role": "assistant", "tool_calls": [{"id": "a"}]}, "a tool call has"),
        ({"role": "assistant", "tool_calls": [{"id": "a", "function": {"arguments": "{}"}}]}, "a tool call has"),
    ],
)
def test_a_dict_that_is_no_message_is_refused_with_its_place(item: dict[str, Any], words: str) -> None:
    """The error says which of them, and what it lacks."""
    with pytest.raises(ConfigurationError, match=rf"messages\[0\].*{words}"):
        as_messages([item])


@pytest.mark.parametrize(
    ("given_", "decoded", "text", "invalid"),
    [
        ('{"a": 1}', {"a": 1}, '{"a": 1}', None),
        ({"a": 1}, {"a": 1}, None, None),
        ("", {}, None, None),
        (None, {}, None, None),
        ("{", {}, "{", "not JSON"),
        ("[1]", {}, "[1]", "JSON list"),
        ([1], {}, "[1]", "JSON list"),
        (5, {}, "5", "JSON int"),
        ("[" * 100_000, {}, "[" * 100_000, "not JSON"),
        ("1" * 5000, {}, "1" * 5000, "JSON|digits"),
        ({1}, {}, "{1}", "not JSON"),
        ('{"a": NaN}', {}, '{"a": NaN}', "NaN is no JSON value"),
        ('{"a": -Infinity}', {}, '{"a": -Infinity}', "no JSON value"),
        (r'{"a": "b\ud83d"}', {"a": "b\ufffd"}, r'{"a": "b\ud83d"}', None),
        (r'{"a": "\ud83d\ude00 \\ud83d"}', {"a": r"😀 \ud83d"}, r'{"a": "\ud83d\ude00 \\ud83d"}', None),
        ('{"a": NaN}', {}, '{"a": NaN}', "NaN"),
        ('{"a": [-Infinity]}', {}, '{"a": [-Infinity]}', "Infinity"),
        ('{"a": 1e999}', {}, '{"a": 1e999}', "1e999"),
        ('{"a": [1.5, 2e3]}', {"a": [1.5, 2000.0]}, '{"a": [1.5, 2e3]}', None),
        ('{"\\ud83d": ["a\\uD83D"]}', {"\ufffd": ["a\ufffd"]}, '{"\\ud83d": ["a\\uD83D"]}', None),
        ('{"a": "\\ud83d\\ude00"}', {"a": "😀"}, '{"a": "\\ud83d\\ude00"}', None),
    ],
)
def test_arguments_come_in_many_forms(given_: Any, decoded: Any, text: str | None, invalid: str | None) -> None:
    """What is no object is kept as text, with the reason."""
    found = decode_arguments(given_)

    assert (decoded, text) == found[:2]
    assert (invalid is None) == (found[2] is None)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.binary(max_size=3)
    | st.sets(st.integers(), max_size=1),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "id", "name", "function", "image_url", "url", "file", "input_audio", "data"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
PART = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "refusal", "image_url", "input_audio", "file", "thinking", "x"])},
    optional=dict.fromkeys(("text", "refusal", "image_url", "input_audio", "file", "thinking"), JSON),
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant", "tool", "function", "developer"]) | JSON},
    optional={
        "content": JSON | st.lists(PART | JSON, max_size=2),
        "tool_calls": JSON
        | st.lists(st.fixed_dictionaries({"id": JSON, "function": st.fixed_dictionaries({"name": JSON, "arguments": JSON})})),
        "function_call": JSON,
        "tool_call_id": JSON,
        "name": JSON,
        "reasoning": JSON,
        "reasoning_details": JSON,
        "refusal": JSON,
    },
)


@settings(max_examples=300)
@given(messages=JSON | st.lists(MESSAGE | JSON, min_size=1, max_size=3))
def test_anything_is_read_or_refused(messages: Any) -> None:
    """Whatever is given: messages, or an error of configuration, and no other."""
    try:
        found = as_messages(messages)
    except ConfigurationError:
        return
    assert all(isinstance(message, Message) and isinstance(message.text, str) for message in found)

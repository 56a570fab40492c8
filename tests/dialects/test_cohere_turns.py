"""Conversations as Cohere wants them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit.dialects.cohere_turns import Turns, wire_names
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
    tool_result,
    user,
)
from llmkit.tools import Tool

PNG = Image(data=b"\x89PNG", media_type="image/png")
NOTE = Document(data=b"Penguins are tall.", media_type="text/markdown", name="birds.md")
PARIS = ToolCall("call_1", "look", {"city": "Paris"})
ROME = ToolCall("call_2", "look", {"city": "Rome"})


def written(*messages: Message, names: dict[str, str] | None = None, inline: bool = False) -> Turns:
    turns = Turns("cohere", names or {}, documents_inline=inline)
    for message in messages:
        turns.add(message)
    return turns


def turns(*messages: Message, **rest: Any) -> list[dict[str, Any]]:
    """Return *messages* as they are sent."""
    return written(*messages, **rest).finished()


# -- what is said


def test_systems_stand_first_in_their_order() -> None:
    """The others keep theirs."""
    wire = turns(user("a"), system("Be brief."), assistant("b"), system("Be kind."), user("c"))

    expected = [("system", "Be brief."), ("system", "Be kind."), ("user", "a"), ("assistant", "b"), ("user", "c")]
    assert expected == [(turn["role"], turn["content"]) for turn in wire]


def test_one_text_is_a_string_and_several_parts_are_a_list() -> None:
    """A picture with its link or data, and how closely it is looked at."""
    link = Image(url="https://pictures.example/cat.png", detail="low")

    wire = turns(user("a"), user("b", "c"), user("What?", PNG, link))

    assert "a" == wire[0]["content"]
    assert [{"type": "text", "text": "b"}, {"type": "text", "text": "c"}] == wire[1]["content"]
    assert [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
        {"type": "image_url", "image_url": {"url": "https://pictures.example/cat.png", "detail": "low"}},
    ] == wire[2]["content"][1:]


def test_texts_of_nothing_are_left_out() -> None:
    """They are refused there."""
    wire = turns(user("a", ""), assistant("", "b"))

    assert ["a", "b"] == [turn["content"] for turn in wire]


def test_a_document_stands_beside_the_messages() -> None:
    """With its name, in the order in which they came."""
    more = Document(data=b"And fat.", media_type="text/plain")

    asked = written(user("Read", NOTE), assistant("Yes"), user("This too", more))

    assert ["Read", "Yes", "This too"] == [turn["content"] for turn in asked.finished()]
    assert [{"data": {"title": "birds.md", "text": "Penguins are tall."}}, {"data": {"text": "And fat."}}] == asked.documents


def test_a_document_alone_is_what_is_said() -> None:
    """A message of nothing else would be refused."""
    alone = written(user(NOTE))

    assert "Penguins are tall." == alone.finished()[0]["content"]
    assert [] == alone.documents


def test_documents_may_be_wanted_as_texts() -> None:
    """Once, where they were given."""
    inside = written(user("Read", NOTE, "well"), inline=True)

    assert ["Read", "Penguins are tall.", "well"] == [piece["text"] for piece in inside.finished()[0]["content"]]
    assert [] == inside.documents


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (user(""), "nothing in it"),
        (user(Thinking("Hm")), "nothing in it"),
        (system(), "nothing in it"),
        (user(Native("openai", {"type": "file"})), "nothing in it"),
        (user("x", Document(data=b"%PDF", media_type="application/pdf")), "documents only as text"),
        (user("x", Document(url="https://papers.example/a.txt")), "documents only as text"),
        (user("x", Audio(data=b"RIFF", media_type="audio/wav")), "a Audio cannot stand"),
        (user("x", PARIS), "a ToolCall cannot stand"),
        (user("x", Native("cohere", "text")), "as a dict"),
        (assistant(PNG), "cannot hold a Image"),
        (Message("user", "Hi", name="Ann"), "name='Ann'"),
        (Message("assistant", "Hi", name="Bot"), "name='Bot'"),
        (Message("tool", ()), "made of tool results"),
        (Message("tool", [ToolResult("c", "f", "x"), Text("y")]), "made of tool results"),
        (assistant(), "No message has anything in it"),
    ],
)
def test_what_cannot_be_said_is_refused_by_name(message: Message, words: str) -> None:
    """Here rather than by the server, or in silence."""
    with pytest.raises(ConfigurationError, match=words):
        turns(message)


def test_native_parts_are_pieces_or_fields_for_it_alone() -> None:
    """Those of others stay at home."""
    citations = [{"start": 0, "end": 3}]

    wire = turns(
        user(
            "Hi", Native("cohere", {"type": "image_url", "image_url": {"url": "x"}}), Native("cohere", {"extra": 1}), Native("openai", {})
        ),
        assistant("Yes.", Native("cohere", {"citations": citations}), Native("anthropic", {"type": "server_tool_use"})),
        assistant(Native("cohere", {"type": "future", "x": 1})),
    )

    assert {"type": "image_url", "image_url": {"url": "x"}} == wire[0]["content"][1]
    assert 1 == wire[0]["extra"]
    assert {"role": "assistant", "content": "Yes.", "citations": citations} == wire[1]
    assert [{"type": "future", "x": 1}] == wire[2]["content"]


# -- thinking


def test_own_thoughts_go_back_and_those_of_others_do_not() -> None:
    """Its plan in the plan's place; thoughts of nobody in particular are the caller's own."""
    plan = Thinking("I will look.", provider="cohere", data={"field": "tool_plan"})

    wire = turns(
        user("Hi"),
        assistant(Thinking("Mine.", provider="cohere"), plan, Thinking("Secret.", "seal", provider="anthropic"), Thinking("Free."), PARIS),
    )

    pieces = [{"type": "thinking", "thinking": "Mine."}, {"type": "thinking", "thinking": "Free."}]
    call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"city":"Paris"}'}}
    assert {"role": "assistant", "content": pieces, "tool_calls": [call], "tool_plan": "I will look."} == wire[1]


def test_an_answer_of_which_nothing_is_left_is_left_out() -> None:
    """It would be refused."""
    wire = turns(user("a"), assistant(Thinking("Secret.", provider="google"), Native("google", {"x": 1})), user("b"))

    assert ["user", "user"] == [turn["role"] for turn in wire]


# -- tools


def test_calls_go_back_as_they_were_written() -> None:
    """Without content, where none was said."""
    spaced = ToolCall("c", "look", {"a": 1}, text='{ "a": 1 }')

    wire = turns(user("Go"), Message("assistant", spaced), tool_result(spaced, "sun"))

    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": '{ "a": 1 }'}}
    assert {"role": "assistant", "tool_calls": [call]} == wire[1]
    assert {"role": "tool", "tool_call_id": "c", "content": "sun"} == wire[2]


def test_each_result_is_a_message_of_its_own() -> None:
    """Given together or apart."""
    together = Message("tool", [ToolResult("call_1", "look", "sun"), ToolResult("call_2", "look", "rain")])

    apart = turns(user("Go"), assistant(PARIS, ROME), tool_result(PARIS, "sun"), tool_result(ROME, "rain"))

    assert [("call_1", "sun"), ("call_2", "rain")] == [(turn["tool_call_id"], turn["content"]) for turn in apart[2:]]
    assert apart == turns(user("Go"), assistant(PARIS, ROME), together)


def test_a_result_may_hold_documents() -> None:
    """Beside its text."""
    wire = turns(user("Go"), assistant(PARIS), tool_result(PARIS, ["Found:", NOTE]))

    document = {"type": "document", "document": {"data": {"title": "birds.md", "text": "Penguins are tall."}}}
    assert [{"type": "text", "text": "Found:"}, document] == wire[2]["content"]


def test_pictures_of_tools_come_after_all_results() -> None:
    """In a message of the user's, which says whose they are."""
    wire = turns(user("Go"), assistant(PARIS, ROME), tool_result(PARIS, [PNG]), tool_result(ROME, "rain"), user("Well?"))

    assert ["user", "assistant", "tool", "tool", "user", "user"] == [turn["role"] for turn in wire]
    assert "(no output)" == wire[2]["content"]
    assert "call_1" in wire[4]["content"][0]["text"]
    assert "image_url" == wire[4]["content"][1]["type"]
    assert wire[:5] == turns(user("Go"), assistant(PARIS, ROME), tool_result(PARIS, [PNG]), tool_result(ROME, "rain"))


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (tool_result(PARIS, ""), "(no output)"),
        (tool_result(PARIS, "no", True), "Error: no"),
        (tool_result(PARIS, "Error: no", True), "Error: no"),
        (tool_result(PARIS, {"a": 1}), '{"a": 1}'),
    ],
)
def test_results_are_never_empty_and_failures_say_so(result: Message, said: str) -> None:
    """The wire has no flag for it."""
    assert said == turns(user("Go"), assistant(PARIS), result)[2]["content"]


def test_native_pieces_of_a_result_are_kept() -> None:
    """Those that have a type."""
    wire = turns(user("Go"), assistant(PARIS), tool_result(PARIS, ["a", Native("cohere", {"type": "text", "text": "b"}), Thinking("x")]))

    assert ["a", "b"] == [piece["text"] for piece in wire[2]["content"]]


def test_results_and_words_in_one_message_are_two() -> None:
    """The results first, as they answer what came before."""
    wire = turns(user("Go"), assistant(PARIS), Message("user", [Text("Well?"), ToolResult("call_1", "look", "sun")]))

    assert [("tool", "sun"), ("user", "Well?")] == [(turn["role"], turn["content"]) for turn in wire[2:]]


def test_ids_that_come_twice_are_made_different() -> None:
    """Some servers number their calls anew each turn; each result goes to the call before it, and all come out alike every time."""
    history = [
        user("Go"),
        assistant(ToolCall("0", "a")),
        tool_result("0", "first"),
        assistant(ToolCall("0", "b"), ToolCall("", "c"), ToolCall("0_2", "d")),
        tool_result("0", "second"),
        tool_result("", "third"),
        tool_result("0_2", "fourth"),
        assistant(ToolCall("0", "e"), ToolCall("0", "f")),
        tool_result("0", "fifth"),
        tool_result("0", ["sixth", PNG]),
    ]

    wire = turns(*history)

    calls = [call["id"] for turn in wire for call in turn.get("tool_calls", ())]
    assert ["0", "0_2", "call_2", "0_2_2", "0_3", "0_4"] == calls
    assert list(zip(calls, ["first", "second", "third", "fourth", "fifth", "sixth"], strict=True)) == [
        (turn["tool_call_id"], turn["content"]) for turn in wire if turn["role"] == "tool"
    ]
    assert "What the tool call 0_4 gave beside its text:" == wire[-1]["content"][0]["text"]
    assert wire == turns(*history)


def test_names_of_tools_are_those_they_have_there() -> None:
    """Of tools that are no longer offered, what can be taken."""
    wire = turns(
        user("Go"), assistant(ToolCall("1", "get-time"), ToolCall("2", "old.tool"), ToolCall("3", "7up")), names={"get-time": "get_time_2"}
    )

    assert ["get_time_2", "old_tool", "_7up"] == [call["function"]["name"] for call in wire[1]["tool_calls"]]


def test_unfit_names_get_others() -> None:
    """No two the same; those that fit keep theirs."""
    tools = [Tool(name=name) for name in ("get-time", "get_time", "a", "9-lives", "get_time-", "get-time_")]

    assert {"get-time": "get_time_2", "9-lives": "_9_lives", "get_time-": "get_time_", "get-time_": "get_time__2"} == wire_names(tools)
    assert {} == wire_names([Tool(name="a"), Tool(name="B_1")])


PARTS = st.one_of(
    st.builds(Text, st.text(max_size=3)),
    st.builds(Thinking, st.text(max_size=3), provider=st.sampled_from([None, "cohere", "google"])),
    st.builds(ToolCall, st.text(max_size=2), st.just("look"), st.dictionaries(st.text(max_size=2), st.integers(), max_size=2)),
    st.builds(ToolResult, st.text(max_size=2), st.text(max_size=3), st.text(max_size=3)),
    st.builds(
        Native, st.sampled_from(["cohere", "openai"]), st.one_of(st.none(), st.dictionaries(st.sampled_from(["a", "type"]), st.text()))
    ),
    st.sampled_from([PNG, NOTE]),
)


@settings(max_examples=300)
@given(st.lists(st.builds(Message, st.sampled_from(["system", "user", "assistant", "tool"]), st.lists(PARTS, max_size=4)), min_size=1))
def test_any_history_is_said_or_refused(history: list[Message]) -> None:
    """With contents that are not empty, and ids that are one call's each."""
    try:
        wire = turns(*history)
    except ConfigurationError:
        return

    assert all(turn.get("content") or turn.get("tool_calls") for turn in wire)
    calls = [call["id"] for turn in wire for call in turn.get("tool_calls", ())]
    assert len(calls) == len(set(calls))
    assert all(calls)
    results = sum(isinstance(part, ToolResult) for message in history for part in message.content)
    assert results == sum(turn["role"] == "tool" for turn in wire)
    roles = [turn["role"] for turn in wire]
    assert roles.count("system") == len(roles[: roles.count("system")]) == sum(role == "system" for role in roles[: roles.count("system")])

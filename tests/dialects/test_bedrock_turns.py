"""Conversations in Converse's shape: roles, what goes round, and what may stand beside what."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from llmkit.catalogue.facts import facts_of
from llmkit.dialects.bedrock_turns import write_turns
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
from llmkit.models.converse import UNKNOWN_FAMILY, ConverseRules
from llmkit.models.request import make_request

PNG = Image(data=b"png", media_type="image/png")
PDF = Document(data=b"pdf", media_type="application/pdf", name="a.pdf")
TXT = Document(data=b"txt", media_type="text/plain", name="b.txt", cache=True)
SEALED = ConverseRules(thoughts="sealed", beside_results={"text", "image"})
POINT = {"cachePoint": {"type": "default"}}


def turns(*messages: Message, rules: ConverseRules = UNKNOWN_FAMILY, model: str = "m") -> list[dict[str, Any]]:
    request = make_request(list(messages), model=model, facts=facts_of(model))
    return write_turns(request, owner="bedrock", rules=rules).turns


def prompt(*messages: Message) -> list[dict[str, Any]]:
    return write_turns(make_request(list(messages), model="m"), owner="bedrock", rules=UNKNOWN_FAMILY).system


def shape(wire: list[dict[str, Any]]) -> list[tuple[str, list[str]]]:
    """Return roles and the kinds of blocks."""
    return [(turn["role"], [next(iter(block)) for block in turn["content"]]) for turn in wire]


# -- roles


def test_neighbours_of_one_role_are_one_turn() -> None:
    """The service would refuse two."""
    assert [
        {"role": "user", "content": [{"text": "a"}, {"text": "b"}]},
        {"role": "assistant", "content": [{"text": "c"}, {"text": "d"}]},
        {"role": "user", "content": [{"text": "e"}]},
    ] == turns(user("a"), user("b"), assistant("c"), assistant("d"), user("e"))


def test_the_first_turn_is_the_users() -> None:
    """One is made where the assistant speaks first."""
    wire = turns(assistant("c"), user("e"))

    assert ["user", "assistant", "user"] == [turn["role"] for turn in wire]


def test_the_system_prompt_stands_apart() -> None:
    """With its breakpoints; a later one is told to the user."""
    parts = prompt(system("a", Text("b", cache=True)), system("c"), user("Hi"))

    assert [{"text": "a"}, {"text": "b"}, POINT, {"text": "c"}] == parts
    assert [{"text": "Hi"}, {"text": "<system-reminder>\nd\n</system-reminder>"}] == turns(user("Hi"), system("d"))[0]["content"]


def test_a_later_system_message_stays_where_the_model_takes_it() -> None:
    """Behind a user's turn, unless the user goes on."""
    messages = [user("Hi"), system("d")]

    stays = turns(*messages, assistant("ok"), user("go"), model="anthropic.claude-opus-5-v1")
    moves = turns(*messages, user("more"), model="anthropic.claude-opus-5-v1")

    assert ["user", "system", "assistant", "user"] == [turn["role"] for turn in stays]
    assert [("user", ["text", "text", "text"])] == shape(moves)


def test_empty_texts_are_left_out() -> None:
    """And so is white space; a message of nothing else is refused."""
    assert [{"text": "a"}] == turns(user("", " \n", "a"))[0]["content"]
    with pytest.raises(ConfigurationError, match="nothing in it"):
        turns(user(" "))
    with pytest.raises(ConfigurationError, match="no message but the system's"):
        turns(system("a"))


@pytest.mark.parametrize(
    ("message", "match"),
    [
        (Message("user", "Hi", name="ann"), "names for speakers"),
        (Message("system", PNG), "only text in a system message"),
        (Message("assistant", PNG), "no Image in an assistant's message"),
        (Message("user", ToolCall("a", "f")), "no place for a ToolCall"),
        (Message("tool", "x"), "made of tool results"),
    ],
)
def test_what_has_no_place_is_refused(message: Message, match: str) -> None:
    """By name."""
    with pytest.raises(ConfigurationError, match=match):
        turns(user("a"), message)


# -- an answer that goes on


def test_an_answer_that_was_begun_ends_without_white_space() -> None:
    """Where the model goes on with one at all."""
    assert {"text": "Once"} == turns(user("a"), assistant("Once \n"))[-1]["content"][-1]
    with pytest.raises(ConfigurationError, match="does not go on"):
        turns(user("a"), assistant("Once"), model="anthropic.claude-opus-4-7-v1")


# -- calls and results


def call(call_id: str, name: str = "f", **arguments: Any) -> ToolCall:
    return ToolCall(call_id, name, arguments)


def test_results_are_merged_into_the_next_turn() -> None:
    """Before what the user says there."""
    wire = turns(user("a"), assistant("b", call("t1", x=1), call("t2")), tool_result("t1", "one"), tool_result("t2", {"n": 2}), user("c"))

    assert [
        {"text": "b"},
        {"toolUse": {"toolUseId": "t1", "name": "f", "input": {"x": 1}}},
        {"toolUse": {"toolUseId": "t2", "name": "f", "input": {}}},
    ] == wire[1]["content"]
    assert [
        {"toolResult": {"toolUseId": "t1", "content": [{"text": "one"}]}},
        {"toolResult": {"toolUseId": "t2", "content": [{"text": '{"n": 2}'}]}},
        {"text": "c"},
    ] == wire[2]["content"]


def test_a_result_may_be_empty_failed_or_a_picture() -> None:
    """In words, where the family has no status."""
    results = [
        Message("tool", (ToolResult("t1", "f", ""), ToolResult("t2", "f", (PNG, PDF)), ToolResult("t3", "f", "no", is_error=True))),
    ]
    history = [user("a"), assistant(call("t1"), call("t2"), call("t3"))]

    first, second, third = (block["toolResult"] for block in turns(*history, *results)[-1]["content"])
    wordless = turns(*history, *results, rules=ConverseRules(says_status=False))[-1]["content"][2]["toolResult"]

    assert [{"text": "."}] == first["content"]
    assert ["image", "document"] == [next(iter(block)) for block in second["content"]]
    assert ("error", [{"text": "no"}]) == (third["status"], third["content"])
    assert ("status" in wordless, [{"text": "The tool failed:"}, {"text": "no"}]) == (False, wordless["content"])


def test_results_may_be_wanted_as_json() -> None:
    """An object as it is, anything else inside one; pictures stay what they are."""
    rules = ConverseRules(json_results=True)
    history = [user("a"), assistant(call("t1"), call("t2"), call("t3"))]

    wire = turns(*history, tool_result("t1", {"a": 1}), tool_result("t2", "rain"), tool_result("t3", [PNG]), rules=rules)

    contents = [block["toolResult"]["content"] for block in wire[-1]["content"]]
    assert [[{"json": {"a": 1}}], [{"json": {"result": "rain"}}]] == contents[:2]
    assert "image" in contents[2][0]


def test_ids_and_names_are_made_to_fit() -> None:
    """Alike for a call and its result, each once, and the same on every retry."""
    long, odd = "x" * 80, "call/é"
    history = [
        user("a"),
        assistant(call(long, "a.b"), call(odd, ""), call("same"), call("same")),
        tool_result(long, "1"),
        tool_result(odd, "2"),
        tool_result("same", "3"),
        tool_result("same", "4"),
    ]

    wire = turns(*history)

    uses = [block["toolUse"] for block in wire[1]["content"]]
    ids = [use["toolUseId"] for use in uses]
    assert ["a_b", "_"] == [use["name"] for use in uses[:2]]
    assert ids == [block["toolResult"]["toolUseId"] for block in wire[2]["content"]]
    assert 4 == len(set(ids))
    assert all(re.fullmatch(r"[a-zA-Z0-9_.:-]{1,64}", one) for one in ids)
    assert wire == turns(*history)


def test_arguments_that_were_no_json_go_back_all_the_same() -> None:
    """Under a name for it."""
    broken = ToolCall("t", "f", text='{"a', invalid="cut")

    wire = turns(user("a"), assistant(broken), tool_result("t", "?"))

    assert {"INVALID_JSON": '{"a'} == wire[1]["content"][0]["toolUse"]["input"]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (UNKNOWN_FAMILY, [("user", ["toolResult", "text", "image", "document"])]),
        (SEALED, [("user", ["toolResult"]), ("assistant", ["text"]), ("user", ["text", "image", "document"])]),
        (ConverseRules(beside_results=()), [("user", ["toolResult"]), ("assistant", ["text"]), ("user", ["text", "image", "document"])]),
    ],
)
def test_what_may_not_stand_beside_results_follows_apart(rules: ConverseRules, expected: Any) -> None:
    """Behind a word of the assistant's."""
    wire = turns(user("a"), assistant(call("t")), tool_result("t", "x"), user("c", PNG, PDF), rules=rules)

    assert expected == shape(wire)[2:]


def test_text_and_pictures_may_stand_beside_claudes_results() -> None:
    """Together with a breakpoint."""
    wire = turns(user("a"), assistant(call("t")), tool_result("t", "x"), user(PNG, Text("c", cache=True)), rules=SEALED)

    assert [("user", ["toolResult", "image", "text", "cachePoint"])] == shape(wire)[2:]


# -- thoughts and native blocks


def test_thoughts_go_back_byte_for_byte() -> None:
    """With their seals, in their place; what only a seal is left of too."""
    redacted = {"reasoningContent": {"redactedContent": "aGk="}}
    thoughts = (
        Thinking("a", "s1", provider="bedrock"),
        Thinking(provider="bedrock", data=redacted),
        Thinking("", "s2", provider="bedrock"),
    )

    wire = turns(user("a"), assistant(*thoughts, "b", call("t")), tool_result("t", "x"), rules=SEALED)

    assert [
        {"reasoningContent": {"reasoningText": {"text": "a", "signature": "s1"}}},
        redacted,
        {"reasoningContent": {"reasoningText": {"text": "", "signature": "s2"}}},
        {"text": "b"},
    ] == wire[1]["content"][:-1]


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [("sealed", ["sealed", "given"]), (None, ["sealed", "given"]), ("bare", ["bare"]), ("none", [])],
)
def test_each_family_gets_the_thoughts_it_takes(wanted: Any, kept: list[str]) -> None:
    """Those of other providers never."""
    thoughts = (
        Thinking("sealed", "s", provider="bedrock"),
        Thinking("bare", provider="bedrock"),
        Thinking("other", "s", provider="anthropic"),
        Thinking("given", "s"),
        Thinking("loose"),
    )

    wire = turns(user("a"), assistant(*thoughts, "b"), user("c"), rules=ConverseRules(thoughts=wanted))

    found = [block["reasoningContent"]["reasoningText"] for block in wire[1]["content"] if "reasoningContent" in block]
    assert kept == [one["text"] for one in found]
    assert all(("signature" in one) == (wanted != "bare") for one in found)


def test_native_blocks_go_back_to_their_provider() -> None:
    """As they came; a message in which nothing else was is none for others."""
    block = {"toolUse": {"toolUseId": "s", "name": "nova_code_interpreter", "type": "server_tool_use", "input": {}}}

    own = turns(user("a"), assistant(Native("bedrock", block)), user("b"))
    foreign = turns(user("a"), assistant(Native("google", block)), user("b"))

    assert [block] == own[1]["content"]
    assert [{"role": "user", "content": [{"text": "a"}, {"text": "b"}]}] == foreign


def test_citations_go_back_around_their_text() -> None:
    """Unless that was changed."""
    block = {"citationsContent": {"content": [{"text": "they "}, {"text": "are"}], "citations": [{"title": "x"}]}}

    kept = turns(user("a"), assistant("So ", "they are", Native("bedrock", block)), user("b"))
    changed = turns(user("a"), assistant("we are", Native("bedrock", block)), user("b"))

    assert [{"text": "So "}, block] == kept[1]["content"]
    assert [{"text": "we are"}] == changed[1]["content"]


# -- documents and breakpoints


def test_a_document_never_stands_alone() -> None:
    """A text stands with it."""
    assert [("user", ["text", "document"])] == shape(turns(user(PDF)))
    assert [("user", ["text", "document"])] == shape(turns(user("a", PDF)))


def test_names_of_documents_are_each_used_once() -> None:
    """In the whole conversation, results included."""
    wire = turns(user("a", PDF, PDF), assistant(call("t")), tool_result("t", [PDF]))

    names = [block["document"]["name"] for block in wire[0]["content"][1:]]
    names.append(wire[2]["content"][0]["toolResult"]["content"][0]["document"]["name"])
    assert ["a", "a 2", "a 3"] == names


def test_breakpoints_stand_behind_their_part() -> None:
    """Of a result, behind all of it; right behind a document that is text they are refused, so a word stands between."""
    results = Message("tool", ToolResult("t", "f", (Text("x", cache=True),)))

    wire = turns(user(evolve(PNG, cache=True), TXT), assistant(call("t")), results)

    assert [("user", ["image", "cachePoint", "document", "text", "cachePoint"])] == shape(wire)[:1]
    assert ["toolResult", "cachePoint"] == shape(wire)[2][1]
    assert [{"text": "x"}] == wire[2]["content"][0]["toolResult"]["content"]


def test_there_are_never_more_breakpoints_than_are_taken() -> None:
    """The first and the last are kept."""
    wire = turns(*(user(Text(str(n), cache=True)) for n in range(7)))

    marked = [before["text"] for before, after in zip(wire[0]["content"], wire[0]["content"][1:], strict=False) if after == POINT]
    assert ["0", "4", "5", "6"] == marked


def test_who_knows_no_breakpoints_gets_none() -> None:
    """It would refuse them."""
    assert [("user", ["text"])] == shape(turns(user(Text("a", cache=True)), rules=ConverseRules(caches=False)))


def test_sounds_have_a_place() -> None:
    """Whether the model listens it says itself."""
    assert [{"audio": {"format": "mp3", "source": {"bytes": "bXAz"}}}] == turns(user(Audio(data=b"mp3", media_type="audio/mpeg")))[0][
        "content"
    ]


PARTS = st.sampled_from([Text("a"), Text(" "), Text("b", cache=True), PNG, PDF, TXT])


@given(st.lists(st.tuples(st.sampled_from(["user", "assistant", "call", "system"]), st.lists(PARTS, max_size=3)), max_size=6))
def test_turns_always_alternate_and_only_grow(steps: list[tuple[str, Any]]) -> None:
    """Whatever is said; and the same bytes come out each time."""
    messages = [user("start")]
    for number, (kind, parts) in enumerate(steps):
        if kind == "call":
            messages += [assistant(call(f"t{number}")), tool_result(f"t{number}", "x")]
        elif kind == "user":
            messages.append(user("u", *parts))
        else:
            messages.append(Message("system" if kind == "system" else "assistant", ["s", *(one for one in parts if isinstance(one, Text))]))

    wire = turns(*messages, user("end"), rules=SEALED)

    roles = [turn["role"] for turn in wire]
    assert roles[::2] == ["user"] * len(roles[::2])
    assert roles[1::2] == ["assistant"] * len(roles[1::2])
    assert all(turn["content"] for turn in wire)
    assert json.dumps(wire) == json.dumps(turns(*messages, user("end"), rules=SEALED))

"""Conversations on the Messages wire: order, grouping, what goes back as it came and what is left out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.catalogue.facts import facts_of
from llmkit.dialects.anthropic_turns import OPENING, write_turns
from llmkit.errors import ConfigurationError
from llmkit.models.content import (
    Audio,
    Document,
    Image,
    Message,
    Native,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    assistant,
    system,
    tool_result,
    user,
)
from llmkit.models.request import make_request
from llmkit.testing.wires.anthropic_history import check_history, sealed
from llmkit.testing.wires.anthropic_models import model_named

OWN = "anthropic"
PARIS = ToolCall("toolu_1", "look", {"city": "Paris"})
ROME = ToolCall("toolu_2", "look", {"city": "Rome"})
PNG = Image(data=b"\x89PNG", media_type="image/png")
MARK = {"type": "ephemeral"}


def written(messages: Any, *, model: str = "claude-sonnet-4-5", instruction: str | None = None) -> tuple[Any, list[dict[str, Any]]]:
    request = make_request(messages, model=model, facts=facts_of(model))
    return write_turns(request, owner=OWN, inline_media=False, instruction=instruction)


def turns(*messages: Message, model: str = "claude-sonnet-4-5") -> list[dict[str, Any]]:
    return written(list(messages), model=model)[1]


def result(call_id: str, text: str) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call_id, "content": text}


def use(call_id: str, city: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": "look", "input": {"city": city}}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


# -- order and grouping


def test_neighbours_of_one_role_are_one_turn() -> None:
    """As the API itself joins them."""
    sent = turns(user("One."), user("Two."), assistant("Yes?"), assistant("Go on."), user("Three."))

    assert [
        {"role": "user", "content": [text("One."), text("Two.")]},
        {"role": "assistant", "content": [text("Yes?"), text("Go on.")]},
        {"role": "user", "content": "Three."},
    ] == sent


def test_results_stand_first_in_one_turn_of_the_users() -> None:
    """All that answer one turn of calls, whatever the user says beside them."""
    sent = turns(user("?"), assistant(PARIS, ROME), tool_result(PARIS, "Sun"), user("And?"), tool_result(ROME, "Rain"))

    assert {"role": "assistant", "content": [use("toolu_1", "Paris"), use("toolu_2", "Rome")]} == sent[1]
    assert {"role": "user", "content": [result("toolu_1", "Sun"), result("toolu_2", "Rain"), text("And?")]} == sent[2]


def test_a_result_may_be_the_users_own_part() -> None:
    """Whoever writes messages by hand may write them like the wire."""
    sent = turns(user("?"), assistant(PARIS), Message("user", ["Here.", ToolResult("toolu_1", "look", "Sun")]))

    assert {"role": "user", "content": [result("toolu_1", "Sun"), text("Here.")]} == sent[2]


def test_a_conversation_that_the_assistant_began_gets_a_beginning() -> None:
    """The API wants a user's turn first; a greeting is not thrown away for that."""
    sent = turns(assistant("Welcome!"), user("Hi"))

    assert [("user", OPENING), ("assistant", "Welcome!"), ("user", "Hi")] == [(turn["role"], turn["content"]) for turn in sent]


def test_an_empty_conversation_is_refused() -> None:
    """The API wants a message that is not the system's."""
    with pytest.raises(ConfigurationError, match="no message but the system's"):
        written([system("Be kind.")])


def test_what_is_empty_is_left_out() -> None:
    """The API refuses texts of nothing but white space, which its own models write."""
    sent = turns(user("Hi"), assistant("\n\n", PARIS), tool_result(PARIS, ""), Message("assistant"), user("So?", " "))

    assert [use("toolu_1", "Paris")] == sent[1]["content"]
    assert [{"type": "tool_result", "tool_use_id": "toolu_1"}, text("So?")] == sent[2]["content"]


def test_a_message_of_nothing_is_refused() -> None:
    """There would be nothing to ask."""
    for message in (user(" "), user(), user(Native("openai", {"type": "file"}))):
        with pytest.raises(ConfigurationError, match="nothing in it that anthropic can read"):
            turns(message)


def test_a_tools_message_is_made_of_results() -> None:
    """And of nothing else."""
    with pytest.raises(ConfigurationError, match="made of tool results"):
        turns(user("?"), assistant(PARIS), Message("tool", ["Sun"]))


def test_a_call_without_a_name_has_one() -> None:
    """Some models name no tool; the API takes no such history."""
    sent = turns(user("Go"), assistant(ToolCall("1", "")), tool_result("1", "There is no such tool."))

    assert "_" == sent[1]["content"][0]["name"]


def test_names_of_speakers_cannot_be_said() -> None:
    """It is said rather than dropped."""
    with pytest.raises(ConfigurationError, match="name='Ann'"):
        turns(Message("user", "Hi", name="Ann"))


# -- the system


def test_system_messages_at_the_beginning_are_the_prompt() -> None:
    """One text is a string, more are blocks."""
    assert "Be kind." == written([system("Be kind."), user("Hi")])[0]
    assert [text("Be kind."), text("Be brief.")] == written([system("Be kind."), system("Be brief."), user("Hi")])[0]
    assert written([user("Hi")])[0] is None


def test_an_instruction_stands_last() -> None:
    """What is before it stays as it was, for the cache."""
    assert "As JSON." == written("Hi", instruction="As JSON.")[0]
    assert [text("Be kind."), text("As JSON.")] == written([system("Be kind."), user("Hi")], instruction="As JSON.")[0]


@pytest.mark.parametrize("model", ["claude-opus-5", "claude-opus-4-8"])
def test_a_later_system_message_stays_where_it_is(model: str) -> None:
    """Where the model takes it there: behind a user's turn, at the end or before an assistant's."""
    begun = [user("Hi"), system("In French."), system("Briefly.")]

    last = turns(*begun, model=model)
    between = turns(*begun, assistant("Salut."), user("Again"), model=model)

    assert [{"role": "user", "content": "Hi"}, {"role": "system", "content": [text("In French."), text("Briefly.")]}] == last
    assert last == between[:2]


@pytest.mark.parametrize(
    ("model", "messages", "expected"),
    [
        ("claude-sonnet-4-5", [user("Hi"), system("Now.")], ["user"]),
        ("claude-opus-5", [user("Hi"), system("Now."), user("So?")], ["user"]),
        ("claude-opus-5", [user("Hi"), assistant("Yes?"), system("Now."), user("So?")], ["user", "assistant", "user"]),
        ("claude-opus-5", [user("Hi"), assistant("Yes?"), system("Now.")], ["user", "assistant", "user"]),
    ],
)
def test_elsewhere_it_is_a_reminder_to_the_user(model: str, messages: list[Message], expected: list[str]) -> None:
    """Nothing of it is lost."""
    sent = turns(*messages, model=model)

    assert expected == [turn["role"] for turn in sent]
    assert "<system-reminder>\\nNow.\\n</system-reminder>" in json.dumps(sent[-1])


def test_a_system_message_between_call_and_result_does_not_part_them() -> None:
    """Results stand first in their turn."""
    sent = turns(user("?"), assistant(PARIS), system("Now."), tool_result(PARIS, "Sun"), model="claude-opus-5")

    assert [result("toolu_1", "Sun"), text("<system-reminder>\nNow.\n</system-reminder>")] == sent[2]["content"]


def test_a_system_message_is_text() -> None:
    """Pictures are shown by users."""
    with pytest.raises(ConfigurationError, match="only text in a system message, not an Image"):
        written([system(PNG), user("Hi")])


def test_a_system_message_may_be_a_block_of_the_providers_own() -> None:
    """Verbatim; one of nothing is none."""
    block = {"type": "mid_conversation", "x": 1}

    assert [block, text("Be kind.")] == written([system(Native(OWN, block), "Be kind."), user("Hi")])[0]
    assert [{"role": "user", "content": "Hi"}] == turns(user("Hi"), system(" "))
    assert [text("Hi"), block] == turns(user("Hi"), system(Native(OWN, block)))[0]["content"]


# -- parts


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (PNG, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw=="}}),
        (
            Image(data=b"x", media_type="image/jpg"),
            {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "eA=="}},
        ),
        (Image(url="https://a.example/x.png"), {"type": "image", "source": {"type": "url", "url": "https://a.example/x.png"}}),
        (
            Image(url="data:image/gif;base64,eA=="),
            {"type": "image", "source": {"type": "base64", "media_type": "image/gif", "data": "eA=="}},
        ),
        (
            Document(data=b"%PDF", media_type="application/pdf", name="a.pdf"),
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="}, "title": "a.pdf"},
        ),
        (
            Document(data="Grüße".encode(), media_type="text/markdown"),
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Grüße"}},
        ),
        (Document(url="https://a.example/x.pdf"), {"type": "document", "source": {"type": "url", "url": "https://a.example/x.pdf"}}),
        (Native(OWN, {"type": "container_upload", "file_id": "f"}), {"type": "container_upload", "file_id": "f"}),
    ],
)
def test_parts_have_their_blocks(part: Part, expected: dict[str, Any]) -> None:
    """In the order in which they were given."""
    assert [{"role": "user", "content": [text("See:"), expected]}] == turns(user("See:", part))


@pytest.mark.parametrize(
    ("part", "match"),
    [
        (Audio(data=b"x", media_type="audio/wav"), "takes no audio"),
        (Image(data=b"x", media_type="image/svg+xml"), "not as image/svg"),
        (Image(url="data:image/png,x"), "base64 only"),
        (Document(data=b"x", media_type="application/msword"), "not as application/msword"),
        (PARIS, "no place for a ToolCall in this message"),
    ],
)
def test_parts_that_cannot_be_said_are_refused(part: Part, match: str) -> None:
    """By what they are."""
    with pytest.raises(ConfigurationError, match=match):
        turns(user("See:", part))


def test_a_thought_among_the_users_parts_stays_behind() -> None:
    """It is the assistant's to think."""
    assert "Hi" == turns(user(Thinking("Hm.", "s"), "Hi"))[0]["content"]


def test_a_host_that_fetches_nothing_takes_no_links() -> None:
    """A link that holds the data is none."""
    request = make_request(user(Image(url="data:image/gif;base64,eA=="), Image(url="https://a.example/x.png")), model="m")

    with pytest.raises(ConfigurationError, match="as data, not by URL"):
        write_turns(request, owner=OWN, inline_media=True)


def test_the_assistant_shows_no_pictures() -> None:
    """The API has no block for one there."""
    with pytest.raises(ConfigurationError, match="no Image in an assistant's message"):
        turns(user("Hi"), assistant(PNG), user("So?"))


def test_results_hold_pictures_and_failures() -> None:
    """One text is a string; more is blocks."""
    sent = turns(user("?"), assistant(PARIS), Message("tool", ToolResult("toolu_1", "look", ["Look:", PNG], is_error=True)))

    (block,) = sent[2]["content"]
    assert ([text("Look:")["type"], "image"], True) == ([inner["type"] for inner in block["content"]], block["is_error"])


# -- what goes round


def test_thoughts_go_back_as_they_came_and_in_their_place() -> None:
    """Seals byte for byte, sealed thoughts whole, between what stood around them."""
    sealed_block = {"type": "redacted_thinking", "data": "EmwK"}
    odd = {"type": "thinking", "thinking": "b", "signature": "s2", "colour": "red"}
    answer = assistant(
        Thinking("a", "s1", provider=OWN),
        Thinking(provider=OWN, data=sealed_block),
        "Wait.",
        Thinking("", "s0", provider=OWN),
        Thinking("b", "s2", provider=OWN, data=odd),
        PARIS,
    )

    sent = turns(user("?"), answer, tool_result(PARIS, "Sun"))

    assert [
        {"type": "thinking", "thinking": "a", "signature": "s1"},
        sealed_block,
        text("Wait."),
        {"type": "thinking", "thinking": "", "signature": "s0"},
        odd,
        use("toolu_1", "Paris"),
    ] == sent[1]["content"]


@pytest.mark.parametrize(
    "thought",
    [
        Thinking("Hm."),
        Thinking("Hm.", provider=OWN),
        Thinking("Hm.", "s", provider="google"),
        Thinking("Hm.", provider="openrouter", data={"type": "redacted_thinking", "data": "x"}),
        Thinking("Hm.", data={"content": [{"type": "thinking", "thinking": "Hm."}]}),
    ],
)
def test_thoughts_without_this_providers_seal_stay_behind(thought: Thinking) -> None:
    """They would be refused."""
    assert "Hello." == turns(user("Hi"), assistant(thought, "Hello."), user("So?"))[1]["content"]


def test_a_sealed_thought_in_a_dict_is_read() -> None:
    """Histories come in OpenAI's form too."""
    block = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
    dicts = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": [block, {"type": "text", "text": "Yes."}]}]

    sent = written([*dicts, {"role": "user", "content": "So?"}])[1]

    assert [block, text("Yes.")] == sent[1]["content"]


def test_blocks_of_the_servers_own_tools_go_back_verbatim() -> None:
    """With citations on the text that they are of; another provider's stay behind."""
    search = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}}
    answer = assistant(
        Native(OWN, search), "Found.", Native(OWN, {"citations": [{"url": "u"}]}), Native("openai", {"type": "web_search_call"})
    )

    sent = turns(user("?"), answer, user("So?"))

    assert [search, {**text("Found."), "citations": [{"url": "u"}]}] == sent[1]["content"]


def test_citations_of_nothing_are_left_out() -> None:
    """There must be a text for them to be of."""
    sent = turns(user("?"), assistant(Native(OWN, {"citations": [1]}), Native(OWN, "odd"), "Yes."), user("So?"))

    assert "Yes." == sent[1]["content"]


def test_a_turn_of_which_nothing_can_go_back_is_left_out() -> None:
    """What stood around it becomes one."""
    sent = turns(user("Hi"), assistant(Thinking("Hm.", provider="google")), user("So?"))

    assert [{"role": "user", "content": [text("Hi"), text("So?")]}] == sent


def test_what_came_with_a_call_goes_back_with_it() -> None:
    """To the provider that sent it, and to no other."""
    own = ToolCall("a", "look", {}, data={"provider": OWN, "caller": {"type": "direct"}})
    foreign = ToolCall("b", "look", {}, data={"provider": None, "extra_content": {"google": 1}})

    calls = turns(user("?"), assistant(own, foreign), tool_result(own, "1"), tool_result(foreign, "2"))[1]["content"]

    assert [{"type": "tool_use", "id": "a", "name": "look", "input": {}, "caller": {"type": "direct"}}] == calls[:1]
    assert {"type": "tool_use", "id": "b", "name": "look", "input": {}} == calls[1]


def test_arguments_that_were_no_json_go_back_inside_some() -> None:
    """The input must be an object; the guide to fine-grained streaming says how."""
    broken = ToolCall("a", "look", {}, text='{"ci', invalid="the arguments are not JSON")

    (call,) = turns(user("?"), assistant(broken), tool_result(broken, "No.", is_error=True))[1]["content"]

    assert {"INVALID_JSON": '{"ci'} == call["input"]


def test_ids_of_other_wires_are_made_to_fit() -> None:
    """In call and result alike, and the same on every request."""
    call = ToolCall("functions.look:0", "files.look", {})
    history = [user("?"), assistant(call), tool_result(call, "1")]

    first, again = turns(*history), turns(*history, assistant("So."), user("And?"))

    assert first == again[:3]
    assert first[1]["content"][0]["id"] == first[2]["content"][0]["tool_use_id"]
    assert first[1]["content"][0]["id"].replace("_", "").isalnum()
    assert "files_look" == first[1]["content"][0]["name"]


def test_calls_that_share_an_id_are_told_apart() -> None:
    """On some wires a function's name is all the id there is; results follow in the order of the calls."""
    one, two = ToolCall("look", "look", {"n": 1}), ToolCall("look", "look", {"n": 2})

    sent = turns(
        *[user("?"), assistant(one, two), tool_result(one, "1"), tool_result(two, "2")],
        *[assistant(one), tool_result(one, "3")],
    )

    assert ["look", "look-2"] == [block["id"] for block in sent[1]["content"]]
    assert [("look", "1"), ("look-2", "2")] == [(block["tool_use_id"], block["content"]) for block in sent[2]["content"]]
    assert ("look-3", "look-3") == (sent[3]["content"][0]["id"], sent[4]["content"][0]["tool_use_id"])


# -- the end


def test_a_prefilled_answer_ends_without_white_space() -> None:
    """The API refuses it, and the model writes its own."""
    assert "The answer is" == turns(user("?"), assistant("The answer is "))[-1]["content"]


def test_a_call_at_the_end_stays_as_it_is() -> None:
    """That its result is missing is for the API to say."""
    assert [use("toolu_1", "Paris")] == turns(user("?"), assistant("Hm. ", PARIS))[-1]["content"][1:]


def test_a_model_that_takes_no_prefill_is_not_given_one() -> None:
    """It would answer with an error."""
    with pytest.raises(ConfigurationError, match="does not go on with an answer that was begun"):
        turns(user("?"), assistant("The answer is"), model="claude-opus-5")


def test_a_paused_turn_goes_on_with_any_model() -> None:
    """It is no prefill: its last word was a tool of the server's, or came after one."""
    search = Native(OWN, {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}})

    assert 2 == len(turns(user("?"), assistant("Wait.", search), model="claude-opus-5"))
    assert 2 == len(turns(user("?"), assistant(search, "Wait."), model="claude-opus-5"))


# -- the cache


def test_a_breakpoint_stands_on_its_block() -> None:
    """In the system prompt as in a message; a text with one is no string."""
    prompt, sent = written(
        [system(Text("Be kind.", cache=True)), user(Text("Hi", cache=True), Image(url="https://a.example/x.png", cache=True))]
    )

    assert [{**text("Be kind."), "cache_control": MARK}] == prompt
    assert [MARK, MARK] == [block["cache_control"] for block in sent[0]["content"]]


def test_a_breakpoint_inside_a_result_is_the_results() -> None:
    """The API knows none further down."""
    sent = turns(
        user("?"), assistant(PARIS), Message("tool", ToolResult("toolu_1", "look", [Text("Sun", cache=True), Text("!", cache=True)]))
    )

    assert [{**result("toolu_1", ""), "content": [text("Sun"), text("!")], "cache_control": MARK}] == sent[2]["content"]


def test_no_more_than_four_breakpoints_are_sent() -> None:
    """The first, which holds what never changes, and the last, which reach furthest."""
    history = [turn for number in range(6) for turn in (user(Text(f"q{number}", cache=True)), assistant("a"))]

    prompt, sent = written([system(Text("Be kind.", cache=True)), *history, user("So?")])

    marked = [turn["content"][0]["text"] for turn in sent if turn["content"][0] and "cache_control" in turn["content"][0]]
    assert "cache_control" in prompt[0]
    assert ["q3", "q4", "q5"] == marked


# -- all of it


CALLS = st.builds(ToolCall, st.sampled_from(["a", "b", "c:1", ""]), st.sampled_from(["look", "f.g"]), st.just({"x": 1}))
OWN_THOUGHTS = st.text(max_size=3).map(lambda said: Thinking(said, sealed(said), provider=OWN))
FOREIGN = st.sampled_from([Thinking("Hm.", "x", provider="google"), Native("openai", {"type": "x"}), Text(" "), Text("a\n")])


@st.composite
def histories(draw: st.DrawFn) -> list[Message]:
    """Histories as a program may have them: turns in any order of roles, but each call answered at once."""
    messages: list[Message] = [user("Hi")]
    for _ in range(draw(st.integers(0, 6))):
        kind = draw(st.sampled_from(["user", "system", "assistant", "calls"]))
        if kind == "user":
            messages.append(user("So?", draw(st.sampled_from(["", "!"]))))
        elif kind == "system":
            messages.append(system("Now."))
        elif kind == "assistant":
            messages.append(assistant(*draw(st.lists(OWN_THOUGHTS | FOREIGN, max_size=3))))
        else:
            calls = draw(st.lists(CALLS, min_size=1, max_size=3))
            messages.append(assistant(*draw(st.lists(OWN_THOUGHTS | FOREIGN, max_size=2)), *calls))
            messages += [tool_result(call, "1") for call in calls]
    return [*messages, user("End.")]


@given(histories(), st.sampled_from(["claude-sonnet-4-5", "claude-opus-5"]))
def test_whatever_the_history_the_api_takes_it(history: list[Message], model: str) -> None:
    """The strict checks of the fake find nothing to refuse."""
    _, sent = written(history, model=model)

    refusal = check_history({"messages": sent}, model_named(model))

    assert refusal is None, refusal

"""What is sent to Ollama."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit.catalogue.facts import facts_of
from llmkit.dialects.base import Place
from llmkit.dialects.ollama import PARAMETERS_SAID, OllamaChat
from llmkit.errors import ConfigurationError, UnsupportedParameterError
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
from llmkit.models.fault import Fault
from llmkit.models.request import make_request
from llmkit.tools import Tool
from llmkit.transport.base import HttpRequest, HttpResponse

DIALECT = OllamaChat()
PLACE = Place(base_url="http://127.0.0.1:11434")
PNG = b"\x89PNG picture"
LOOK = Tool(
    name="look",
    description="Look at a city.",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False},
)
PARIS = ToolCall("call_1", "look", {"city": "Paris"})
ROME = ToolCall("call_2", "look", {"city": "Rome"})
SHAPE = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def encoded(messages: Any = "Hi", **parameters: Any) -> HttpRequest:
    return DIALECT.encode(make_request(messages, model="llama3.2", **parameters), PLACE)


def body(messages: Any = "Hi", **parameters: Any) -> dict[str, Any]:
    """Return the body of that request."""
    read: dict[str, Any] = json.loads(encoded(messages, **parameters).body)
    return read


def turns(*messages: Message) -> list[dict[str, Any]]:
    """Return *messages* as they are sent."""
    sent: list[dict[str, Any]] = body(list(messages))["messages"]
    return sent


# -- the whole


def test_a_plain_request_says_what_the_caller_said() -> None:
    """And the two switches whose defaults would hurt: streaming, and cutting a long prompt in silence."""
    request = encoded()

    expected = {"model": "llama3.2", "messages": [{"role": "user", "content": "Hi"}], "stream": False, "truncate": False}
    assert expected == json.loads(request.body)
    assert ("POST", "http://127.0.0.1:11434/api/chat") == (request.method, request.url)
    assert {"Content-Type": "application/json", "Accept": "application/json"} == dict(request.headers)


def test_a_stream_is_asked_for() -> None:
    """In the body and in the header."""
    request = encoded(stream=True)

    assert json.loads(request.body)["stream"] is True
    assert "application/x-ndjson" == request.headers["Accept"]


def test_the_models_are_listed_under_tags() -> None:
    """The whole request is its address."""
    request = DIALECT.encode_models(PLACE)

    assert request is not None
    assert ("GET", "http://127.0.0.1:11434/api/tags", b"") == (request.method, request.url, request.body)


def test_extra_body_and_headers_have_the_last_word() -> None:
    """Objects are merged key by key, so that options of its own stand beside ours."""
    extra = {"options": {"num_ctx": 8192, "seed": 2}, "keep_alive": "10m", "truncate": True}

    request = encoded(seed=1, top_k=3, extra_body=extra, extra_headers={"X-Mine": "1"})

    sent = json.loads(request.body)
    assert {"seed": 2, "top_k": 3, "num_ctx": 8192} == sent["options"]
    assert ("10m", True) == (sent["keep_alive"], sent["truncate"])
    assert "1" == request.headers["X-Mine"]


def test_parameters_go_into_the_options_under_their_names_there() -> None:
    """Zero is a value like any other."""
    sent = body(
        temperature=0.0, top_p=0.5, top_k=10, max_tokens=7, seed=0, frequency_penalty=0.1, presence_penalty=-0.2, stop=["END", "STOP"]
    )

    expected = {"temperature": 0.0, "top_p": 0.5, "top_k": 10, "num_predict": 7, "seed": 0}
    assert {**expected, "frequency_penalty": 0.1, "presence_penalty": -0.2, "stop": ["END", "STOP"]} == sent["options"]


def test_what_it_has_no_word_for_is_not_among_its_parameters() -> None:
    """So that the caller is told before anything is sent."""
    everything = PARAMETERS_SAID | {"parallel_tool_calls", "user", "metadata"}

    assert everything - {"parallel_tool_calls", "user", "metadata"} == DIALECT.parameters


def test_nothing_is_ever_conceded() -> None:
    """It passes over what it does not know."""
    fault = Fault(status=400, message="truncate?")

    assert DIALECT.concession(fault, make_request("Hi", model="m")) is None


@pytest.mark.parametrize("broken", ["\ud800", float("nan")])
def test_what_json_cannot_say_is_refused_by_name(broken: Any) -> None:
    """Before anything is sent."""
    with pytest.raises(ConfigurationError, match="cannot be written as JSON"):
        encoded([user("Hi")], extra_body={"x": broken})


# -- thinking


@pytest.mark.parametrize(
    ("reasoning", "think"), [("none", False), (0, False), ("minimal", "low"), ("low", "low"), ("medium", "medium"), ("high", "high")]
)
def test_efforts_are_said_as_think(reasoning: Any, think: Any) -> None:
    """Its least effort is low; no thinking is a switch."""
    assert think == body(reasoning=reasoning)["think"]


def test_a_budget_in_tokens_cannot_be_said() -> None:
    """It is refused rather than guessed."""
    with pytest.raises(UnsupportedParameterError, match="no budget in tokens"):
        body(reasoning=1024)


def test_a_model_that_always_thinks_cannot_be_stopped() -> None:
    """The server would ignore it in silence."""
    request = make_request("Hi", model="gpt-oss:20b", facts=facts_of("gpt-oss:20b"), reasoning="none")

    with pytest.raises(UnsupportedParameterError, match="gpt-oss:20b cannot be kept from thinking: reasoning is one of low, medium, high"):
        DIALECT.encode(request, PLACE)


def test_own_thoughts_go_back_and_those_of_others_do_not() -> None:
    """Thoughts of nobody in particular are the caller's own words."""
    turn = turns(
        user("Hi"),
        assistant(
            Thinking("Mine.", provider="ollama"),
            Thinking(" Theirs.", "seal", provider="anthropic"),
            Thinking(" Anyone's."),
            "Hello",
        ),
        user("Bye"),
    )[1]

    assert {"role": "assistant", "content": "Hello", "thinking": "Mine. Anyone's."} == turn


# -- tools


def test_tools_are_offered_in_the_few_words_that_reach_the_model() -> None:
    """Closed objects go without saying."""
    shown = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}

    function = {"name": "look", "description": "Look at a city.", "parameters": shown}
    assert [{"type": "function", "function": function}] == body(tools=[LOOK])["tools"]


@pytest.mark.parametrize(("choice", "offered"), [(None, True), ("auto", True), ("none", False)])
def test_a_choice_is_free_or_none(choice: str | None, offered: bool) -> None:
    """Tools that may not be called are not offered, and no field says so."""
    sent = body(tools=[LOOK], tool_choice=choice)

    assert offered == ("tools" in sent)
    assert "tool_choice" not in sent


@pytest.mark.parametrize("choice", ["required", "look"])
def test_a_call_cannot_be_demanded(choice: str) -> None:
    """The wire has no word for it."""
    with pytest.raises(UnsupportedParameterError, match="cannot make a model call a tool"):
        body(tools=[LOOK], tool_choice=choice)


def test_calls_go_back_with_their_arguments_as_objects() -> None:
    """And with their ids, beside an empty text."""
    turn = turns(user("Go"), Message("assistant", [PARIS, ROME]), tool_result(PARIS, "sun"), tool_result(ROME, "rain"))[1]

    calls = [
        {"id": "call_1", "function": {"name": "look", "arguments": {"city": "Paris"}}},
        {"id": "call_2", "function": {"name": "look", "arguments": {"city": "Rome"}}},
    ]
    assert {"role": "assistant", "content": "", "tool_calls": calls} == turn


def test_arguments_that_are_no_object_stay_to_be_seen() -> None:
    """Text in their place would be refused."""
    broken = ToolCall("c", "look", text='{"city": "Par', invalid="not JSON")

    turn = turns(user("Go"), Message("assistant", broken), tool_result(broken, "bad", is_error=True))[1]

    assert {"invalid_arguments": '{"city": "Par'} == turn["tool_calls"][0]["function"]["arguments"]


def test_results_come_in_the_order_of_their_calls() -> None:
    """Most templates tell them apart by nothing else; one message each, be they given together or apart."""
    apart = turns(user("Go"), Message("assistant", [PARIS, ROME]), tool_result(ROME, "rain"), tool_result(PARIS, "sun"))
    together = turns(
        user("Go"),
        Message("assistant", [PARIS, ROME]),
        Message("tool", [ToolResult("call_2", "look", "rain"), ToolResult("call_1", "look", "sun")]),
    )

    expected = [
        {"role": "tool", "content": "sun", "tool_name": "look", "tool_call_id": "call_1"},
        {"role": "tool", "content": "rain", "tool_name": "look", "tool_call_id": "call_2"},
    ]
    assert expected == apart[2:]
    assert expected == together[2:]


def test_a_result_learns_its_tools_name_from_its_call() -> None:
    """The OpenAI form leaves it out; of a call that is not in the history nothing is known."""
    known = turns(user("Go"), Message("assistant", PARIS), tool_result("call_1", "sun"))[2]
    unknown = turns(user("Go"), tool_result("call_9", "sun"))[1]

    assert "look" == known["tool_name"]
    assert {"role": "tool", "content": "sun", "tool_call_id": "call_9"} == unknown


def test_results_of_a_later_turn_keep_to_that_turn() -> None:
    """Even where a server numbers its calls anew each time."""
    again = ToolCall("call_1", "other", {})

    wire = turns(
        user("Go"), Message("assistant", PARIS), tool_result("call_1", "a"), Message("assistant", [ROME, again]),
        tool_result("call_1", "b"), tool_result("call_2", "c"),
    )  # fmt: skip

    assert [("a", "look"), ("c", "look"), ("b", "other")] == [
        (turn["content"], turn["tool_name"]) for turn in wire if turn["role"] == "tool"
    ]


def test_a_failed_tool_says_so_in_words() -> None:
    """Once: a text that says it already is left alone."""
    wire = turns(user("Go"), Message("assistant", [PARIS, ROME]), tool_result(PARIS, "no", True), tool_result(ROME, "Error: no", True))

    assert ["Error: no", "Error: no"] == [turn["content"] for turn in wire[2:]]


def test_a_tool_may_return_pictures() -> None:
    """They stand in the tool's own message."""
    picture = Image(data=PNG, media_type="image/png")

    turn = turns(user("Go"), Message("assistant", PARIS), tool_result(PARIS, ["Here:", picture]))[2]

    assert ("Here:", [base64.b64encode(PNG).decode()]) == (turn["content"], turn["images"])


def test_results_and_words_in_one_message_are_two() -> None:
    """The results first, as they answer what came before."""
    wire = turns(user("Go"), Message("assistant", PARIS), Message("user", [Text("Well?"), ToolResult("call_1", "look", "sun")]))

    assert [("tool", "sun"), ("user", "Well?")] == [(turn["role"], turn["content"]) for turn in wire[2:]]


@pytest.mark.parametrize("parts", [(), (Text("x"),), (ToolResult("c", "look", "x"), Text("y"))])
def test_a_tools_message_is_made_of_results(parts: Any) -> None:
    """Nothing else can be said in that role."""
    with pytest.raises(ConfigurationError, match="made of tool results"):
        turns(user("Go"), Message("tool", parts))


# -- content


def test_roles_and_texts_go_as_they_are() -> None:
    """Several texts are several lines; no role is moved or merged."""
    wire = turns(system("Be brief."), user("a", "b"), assistant("c", "d"), system("Now long."), user("e"))

    assert [("system", "Be brief."), ("user", "a\nb"), ("assistant", "cd"), ("system", "Now long."), ("user", "e")] == [
        (turn["role"], turn["content"]) for turn in wire
    ]


def test_pictures_go_beside_the_text() -> None:
    """In plain base64."""
    turn = turns(user("What is this?", Image(data=PNG, media_type="image/png"), Image(data=b"2", media_type="image/jpeg")))[0]

    assert {"role": "user", "content": "What is this?", "images": [base64.b64encode(PNG).decode(), "Mg=="]} == turn


def test_a_document_of_text_is_a_text() -> None:
    """Of any kind of text."""
    assert "Read:\n# Title" == turns(user("Read:", Document(data=b"# Title", media_type="text/markdown")))[0]["content"]


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (Image(url="https://pictures.example/cat.png"), "pictures as data only"),
        (Document(data=b"%PDF", media_type="application/pdf"), "documents only as text"),
        (Document(url="https://papers.example/a.txt"), "documents only as text"),
        (Audio(data=b"RIFF", media_type="audio/wav"), "a Audio cannot stand"),
        (PARIS, "a ToolCall cannot stand"),
        (Native("ollama", "x"), "as a dict"),
    ],
)
def test_what_cannot_be_said_is_refused_by_name(part: Any, words: str) -> None:
    """Here rather than by the server, or in silence."""
    with pytest.raises(ConfigurationError, match=words):
        turns(user("Look", part))


def test_a_picture_cannot_be_the_assistants() -> None:
    """Its messages are text, thoughts and calls."""
    with pytest.raises(ConfigurationError, match="cannot hold a Image"):
        turns(user("Hi"), assistant(Image(data=PNG, media_type="image/png")))


@pytest.mark.parametrize("role", ["user", "assistant"])
def test_a_speaker_has_no_name(role: Any) -> None:
    """Leaving it out would change who said what."""
    with pytest.raises(ConfigurationError, match="name='Ann'"):
        turns(Message(role, "Hi", name="Ann"))


def test_native_parts_are_further_fields_for_it_alone() -> None:
    """Those of others stay at home."""
    wire = turns(
        user("Hi", Native("ollama", {"images": ["QQ=="]}), Native("anthropic", {"type": "server_tool_use"})),
        assistant("Yes", Native("ollama", {"x": 1}), Native("google", {})),
    )

    assert {"role": "user", "content": "Hi", "images": ["QQ=="]} == wire[0]
    assert {"role": "assistant", "content": "Yes", "x": 1} == wire[1]


# -- structured output


def test_a_schema_is_the_format() -> None:
    """Nothing is added to what the caller said."""
    sent = body(response_format=SHAPE)

    assert SHAPE == sent["format"]
    assert [{"role": "user", "content": "Hi"}] == sent["messages"]


def test_json_is_a_word() -> None:
    """Of any shape."""
    assert "json" == body(response_format="json")["format"]


def test_beside_tools_the_shape_is_told_in_words() -> None:
    """A format would bind the text of calls too. The words end what the user said last, so that no system message is displaced."""
    history = [user("First"), assistant("Yes"), user("Second"), Message("assistant", PARIS), tool_result(PARIS, "sun")]

    sent = body(history, tools=[LOOK], response_format=SHAPE)

    assert "format" not in sent
    assert ["user", "assistant", "user", "assistant", "tool"] == [turn["role"] for turn in sent["messages"]]
    assert "First" == sent["messages"][0]["content"]
    question, schema = sent["messages"][2]["content"].split("\n\n")[0], sent["messages"][2]["content"].split("\n")[-1]
    assert "Second" == question
    assert SHAPE == json.loads(schema)


def test_tools_that_may_not_be_called_leave_the_format() -> None:
    """They are not offered."""
    assert SHAPE == body(tools=[LOOK], tool_choice="none", response_format=SHAPE)["format"]


def test_words_find_a_place_where_no_user_spoke() -> None:
    """As a message of their own; JSON of any shape is asked for in words too."""
    alone = body([system("Be brief.")], tools=[LOOK], response_format="json")["messages"]
    silent = body([user(Image(data=PNG, media_type="image/png"))], tools=[LOOK], response_format="json")["messages"]

    assert ("user", "When you have all you need, answer with JSON and nothing else.") == (alone[-1]["role"], alone[-1]["content"])
    assert "When you have all you need, answer with JSON and nothing else." == silent[0]["content"]


# -- whatever the history


PARTS = st.one_of(
    st.builds(Text, st.text(max_size=5)),
    st.builds(Thinking, st.text(max_size=5), provider=st.sampled_from([None, "ollama", "google"])),
    st.builds(ToolCall, st.text(max_size=3), st.just("look"), st.dictionaries(st.text(max_size=2), st.integers(), max_size=2)),
    st.builds(ToolResult, st.text(max_size=3), st.text(max_size=3), st.text(max_size=3)),
    st.builds(Native, st.sampled_from(["ollama", "openai"]), st.one_of(st.none(), st.dictionaries(st.text(max_size=2), st.none()))),
    st.just(Image(data=PNG, media_type="image/png")),
)


@settings(max_examples=200)
@given(st.lists(st.builds(Message, st.sampled_from(["system", "user", "assistant", "tool"]), st.lists(PARTS, max_size=4)), min_size=1))
def test_any_history_is_said_or_refused(history: list[Message]) -> None:
    """With a list of messages whose contents are strings, or a ConfigurationError and nothing else."""
    try:
        sent = body(history)
    except ConfigurationError:
        return

    assert all(isinstance(turn["content"], str) for turn in sent["messages"])
    results = sum(isinstance(part, ToolResult) for message in history for part in message.content)
    assert results == sum(turn["role"] == "tool" for turn in sent["messages"])


def test_what_comes_back_is_read_by_its_readers() -> None:
    """Answers, streams, errors and models each have a file of their own."""
    line = b'{"model": "m", "message": {"role": "assistant", "content": "Hello"}, "done": true}\n'
    request = make_request("Hi", model="m")
    whole = HttpResponse(status=200, headers={"content-type": "application/json"}, body=line)
    unasked = HttpResponse(status=200, headers={"content-type": "application/x-ndjson"}, body=line)

    decoder = DIALECT.decoder(HttpResponse(status=200), request)
    chunks = decoder.feed(line)

    assert ["Hello"] * 3 == [DIALECT.decode(whole, request).text, DIALECT.decode(unasked, request).text, chunks[0].text]
    assert "no" == DIALECT.fault(HttpResponse(status=400, body=b'{"error": "no"}')).message
    assert ["x"] == [model.id for model in DIALECT.decode_models(HttpResponse(status=200, body=b'{"models": [{"name": "x"}]}'))]

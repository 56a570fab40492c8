"""What is asked of Cohere."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmkit.catalogue.facts import facts_of
from llmkit.dialects.base import Place
from llmkit.dialects.cohere import PARAMETERS_SAID, CohereChat
from llmkit.errors import UnsupportedParameterError
from llmkit.models.content import Document, user
from llmkit.models.fault import Fault
from llmkit.models.request import make_request
from llmkit.tools import Tool
from llmkit.transport.base import HttpRequest, HttpResponse

DIALECT = CohereChat()
PLACE = Place(base_url="https://api.cohere.com")
CITY = {"type": "object", "properties": {"city": {"type": "string", "minLength": 2}}, "required": ["city"]}
LOOK = Tool(name="look", description="Look at a city.", parameters=CITY)
TIME = Tool(name="get-time", parameters={"type": "object", "properties": {}})
SHAPE = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}


def encoded(messages: Any = "Hi", *, model: str = "command-x", **parameters: Any) -> HttpRequest:
    return DIALECT.encode(make_request(messages, model=model, facts=facts_of(model), **parameters), PLACE)


def body(messages: Any = "Hi", **parameters: Any) -> dict[str, Any]:
    """Return the body of that request."""
    read: dict[str, Any] = json.loads(encoded(messages, **parameters).body)
    return read


# -- the whole


def test_a_plain_request_says_what_the_caller_said() -> None:
    """And whether it is to be streamed, as the official package does."""
    request = encoded()

    assert {"model": "command-x", "messages": [{"role": "user", "content": "Hi"}], "stream": False} == json.loads(request.body)
    assert ("POST", "https://api.cohere.com/v2/chat") == (request.method, request.url)
    assert {"Content-Type": "application/json", "Accept": "application/json"} == dict(request.headers)


def test_a_stream_is_asked_for() -> None:
    """In the body and in the header."""
    request = encoded(stream=True)

    assert json.loads(request.body)["stream"] is True
    assert "text/event-stream" == request.headers["Accept"]


def test_the_models_that_chat_are_listed_on_one_page() -> None:
    """As long as it may be."""
    request = DIALECT.encode_models(PLACE)

    assert request is not None
    assert ("GET", "https://api.cohere.com/v1/models?endpoint=chat&page_size=1000") == (request.method, request.url)


def test_extra_body_and_headers_have_the_last_word() -> None:
    """What it alone knows is said in its own words."""
    request = encoded(top_p=0.5, extra_body={"p": 0.7, "safety_mode": "OFF"}, extra_headers={"X-Client-Name": "me"})

    sent = json.loads(request.body)
    assert (0.7, "OFF", "me") == (sent["p"], sent["safety_mode"], request.headers["X-Client-Name"])


def test_parameters_have_their_names_there() -> None:
    """Zero is a value like any other."""
    sent = body(temperature=0.0, top_p=0.5, top_k=10, max_tokens=7, seed=0, frequency_penalty=0.1, presence_penalty=0, stop=["END", "STOP"])

    expected = {"temperature": 0.0, "p": 0.5, "k": 10, "max_tokens": 7, "seed": 0, "frequency_penalty": 0.1, "presence_penalty": 0}
    assert {**expected, "stop_sequences": ["END", "STOP"]} == {
        key: value for key, value in sent.items() if key not in ("model", "messages", "stream")
    }


@pytest.mark.parametrize(("given", "said"), [(1.0, 0.99), (0.0, 0.01), (0.99, 0.99), (0.4, 0.4)])
def test_the_ends_of_the_nucleus_are_the_next_that_are_taken(given: float, said: float) -> None:
    """They themselves are refused."""
    assert said == body(top_p=given)["p"]


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"frequency_penalty": -0.1}, "frequency_penalty from 0 to 1, not -0.1"),
        ({"presence_penalty": 1.5}, "presence_penalty from 0 to 1, not 1.5"),
        ({"stop": list("abcdef")}, "at most 5 stop sequences, not 6"),
    ],
)
def test_what_is_out_of_its_range_is_refused(parameters: dict[str, Any], words: str) -> None:
    """By name."""
    with pytest.raises(UnsupportedParameterError, match=words):
        body(**parameters)


def test_what_it_has_no_word_for_is_not_among_its_parameters() -> None:
    """So that the caller is told before anything is sent."""
    assert set() == DIALECT.parameters & {"parallel_tool_calls", "user", "metadata"}
    assert PARAMETERS_SAID == DIALECT.parameters


def test_nothing_is_ever_conceded() -> None:
    """Nothing is sent that the user did not ask for."""
    assert DIALECT.concession(Fault(status=400), make_request("Hi", model="m")) is None


# -- thinking


@pytest.mark.parametrize(
    ("reasoning", "said"),
    [
        ("none", {"type": "disabled"}),
        (0, {"type": "disabled"}),
        ("minimal", {"type": "enabled", "token_budget": 512}),
        ("low", {"type": "enabled", "token_budget": 2048}),
        ("medium", {"type": "enabled", "token_budget": 8192}),
        ("high", {"type": "enabled"}),
        (300, {"type": "enabled", "token_budget": 300}),
    ],
)
@pytest.mark.parametrize("model", ["command-x", "command-a-reasoning-08-2025"])
def test_reasoning_is_a_switch_with_a_budget(model: str, reasoning: Any, said: dict[str, Any]) -> None:
    """The highest effort is not bounded."""
    assert said == body(model=model, reasoning=reasoning)["thinking"]


def test_a_model_that_does_not_think_is_not_told_to() -> None:
    """Nor told not to: it would refuse both."""
    assert "thinking" not in body(model="command-a-03-2025", reasoning="none")
    with pytest.raises(UnsupportedParameterError, match="no reasoning for command-a-03-2025"):
        body(model="command-a-03-2025", reasoning="low")


# -- tools


def test_tools_have_openais_form() -> None:
    """A name that it would not take is written so that it does."""
    tools = body(tools=[LOOK, TIME])["tools"]

    assert {"type": "function", "function": {"name": "look", "description": "Look at a city.", "parameters": CITY}} == tools[0]
    assert {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}}} == tools[1]


@pytest.mark.parametrize(
    ("choice", "said", "offered"),
    [
        (None, None, ["look", "get_time"]),
        ("auto", None, ["look", "get_time"]),
        ("none", "NONE", ["look", "get_time"]),
        ("required", "REQUIRED", ["look", "get_time"]),
        ("get-time", "REQUIRED", ["get_time"]),
    ],
)
def test_choices(choice: str | None, said: str | None, offered: list[str]) -> None:
    """A named tool is the only one that is offered."""
    sent = body(tools=[LOOK, TIME], tool_choice=choice)

    assert said == sent.get("tool_choice")
    assert offered == [tool["function"]["name"] for tool in sent["tools"]]


def test_older_models_know_no_choice() -> None:
    """None of the tools can be kept away only by not offering them."""
    assert "tools" in body(model="command-r-08-2024", tools=[LOOK], tool_choice="auto")
    assert {"tools", "tool_choice"}.isdisjoint(body(model="command-r-08-2024", tools=[LOOK], tool_choice="none"))
    with pytest.raises(UnsupportedParameterError, match="cannot make command-r-plus call a tool"):
        body(model="command-r-plus", tools=[LOOK], tool_choice="required")


def test_strictness_is_one_switch_for_all() -> None:
    """Limits that it does not know are then told; a tool that needs nothing cannot be held to it."""
    strict = Tool(name="strict", parameters=CITY, strict=True)

    held = body(tools=[strict, LOOK])
    loose = body(tools=[strict, TIME])

    assert held["strict_tools"] is True
    assert {"city": {"type": "string", "description": "minLength: 2"}} == held["tools"][0]["function"]["parameters"]["properties"]
    assert "strict_tools" not in loose
    assert CITY == loose["tools"][0]["function"]["parameters"]


def test_a_strict_tool_that_cannot_be_held_keeps_its_schema() -> None:
    """It says what it says."""
    free = {"type": "object", "properties": {"any": {"type": "object"}}, "required": ["any"]}

    assert free == body(tools=[Tool(name="f", parameters=free, strict=True)])["tools"][0]["function"]["parameters"]


# -- structured output


def test_a_schema_is_held() -> None:
    """Under its own key, without a name."""
    assert {"type": "json_object", "json_schema": SHAPE} == body(response_format=SHAPE)["response_format"]


def test_json_is_a_type() -> None:
    """Of any shape."""
    sent = body(response_format="json")

    assert {"type": "json_object"} == sent["response_format"]
    assert 1 == len(sent["messages"])


def test_a_schema_that_cannot_be_held_is_told() -> None:
    """In a system message before all others."""
    free = {"type": "object", "additionalProperties": {"type": "integer"}}

    sent = body([user("Count")], system="Be brief.", response_format=free)

    assert {"type": "json_object"} == sent["response_format"]
    assert ["system", "system", "user"] == [turn["role"] for turn in sent["messages"]]
    assert free == json.loads(sent["messages"][0]["content"].split("\n")[-1])


@pytest.mark.parametrize(("wanted", "words"), [(SHAPE, "one JSON object"), ("json", "answer with JSON")])
def test_beside_tools_the_shape_is_told_in_words(wanted: Any, words: str) -> None:
    """Both at once are refused."""
    sent = body(tools=[LOOK], response_format=wanted)

    assert "response_format" not in sent
    assert words in sent["messages"][0]["content"]


def test_documents_stand_beside_the_messages_unless_json_is_wanted() -> None:
    """Both at once are refused: then they are texts."""
    question = [user("Read", Document(data=b"Penguins are tall.", media_type="text/plain", name="birds.txt"))]

    beside, inside = body(question), body(question, response_format=SHAPE)

    assert [{"data": {"title": "birds.txt", "text": "Penguins are tall."}}] == beside["documents"]
    assert "Read" == beside["messages"][0]["content"]
    assert "documents" not in inside
    assert ["Read", "Penguins are tall."] == [piece["text"] for piece in inside["messages"][0]["content"]]


# -- what comes back


def test_what_comes_back_is_read_by_its_readers() -> None:
    """Answers, streams, errors and models each have a file of their own."""
    answer = {"id": "a", "finish_reason": "COMPLETE", "message": {"role": "assistant", "content": [{"type": "text", "text": "Hello"}]}}
    request = make_request("Hi", model="m")
    whole = HttpResponse(status=200, headers={"content-type": "application/json"}, body=json.dumps(answer).encode())
    events = (
        b'data: {"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"Hello"}}}}\n\n'
        b'data: {"type":"message-end","delta":{"finish_reason":"COMPLETE"}}\n\n'
    )
    unasked = HttpResponse(status=200, headers={"content-type": "text/event-stream"}, body=events)

    chunks = DIALECT.decoder(HttpResponse(status=200), request).feed(events)

    assert ["Hello"] * 3 == [DIALECT.decode(whole, request).text, DIALECT.decode(unasked, request).text, chunks[0].text]
    assert "no" == DIALECT.fault(HttpResponse(status=400, body=b'{"message": "no"}')).message
    assert ["x"] == [model.id for model in DIALECT.decode_models(HttpResponse(status=200, body=b'{"models": [{"name": "x"}]}'))]

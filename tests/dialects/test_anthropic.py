"""The Messages wire: what a request looks like, model by model and host by host."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmkit.catalogue.facts import facts_of
from llmkit.dialects.anthropic import AnthropicMessages
from llmkit.dialects.base import Place
from llmkit.errors import ConfigurationError, UnsupportedParameterError
from llmkit.models.content import Document, Image, user
from llmkit.models.fault import Fault
from llmkit.models.request import PARAMETERS, make_request
from llmkit.tools import Tool
from llmkit.transport.base import HttpRequest, HttpResponse

PLACE = Place(base_url="https://host.example")
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"]}
FREE = {"type": "object", "properties": {"words": {"type": "object", "additionalProperties": {"type": "integer"}}}}
LOOK = Tool(name="look", description="Look out.", parameters={"type": "object", "properties": {"city": {"type": "string"}}})
VERTEX = AnthropicMessages(
    path="/models/{model}:rawPredict",
    stream_path="/models/{model}:streamRawPredict",
    models_path=None,
    model_in_body=False,
    version_in_body="vertex-2023-10-16",
)
BEDROCK = AnthropicMessages(
    path="/model/{model}/invoke",
    stream_path="/model/{model}/invoke-with-response-stream",
    models_path=None,
    model_in_body=False,
    stream_in_body=False,
    version_in_body="bedrock-2023-05-31",
    betas_in_body=True,
    inline_media=True,
)


def encoded(
    messages: Any = "Hi",
    *,
    model: str = "claude-sonnet-4-5",
    dialect: AnthropicMessages | None = None,
    place: Place = PLACE,
    **parameters: Any,
) -> HttpRequest:
    request = make_request(messages, model=model, facts=facts_of(model), **parameters)
    return (dialect or AnthropicMessages()).encode(request, place)


def body(messages: Any = "Hi", **rest: Any) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(encoded(messages, **rest).body)
    return read


# -- the whole


def test_a_plain_request_says_what_is_demanded_and_nothing_else() -> None:
    """The wire demands a bound for the answer: it is the model's own."""
    sent = encoded("Hi")

    assert ("POST", "https://host.example/v1/messages") == (sent.method, sent.url)
    assert {"Content-Type": "application/json", "Accept": "application/json"} == dict(sent.headers)
    assert {"model": "claude-sonnet-4-5", "max_tokens": 64_000, "messages": [{"role": "user", "content": "Hi"}]} == json.loads(sent.body)


def test_a_stream_is_asked_for_in_the_body() -> None:
    """And in the header that says what is understood."""
    sent = encoded("Hi", stream=True)

    assert json.loads(sent.body)["stream"] is True
    assert "text/event-stream" == sent.headers["Accept"]


def test_every_parameter_has_its_place() -> None:
    """The user's id is what metadata is for; stop sequences have a name of their own."""
    sent = body(model="claude-opus-4-0", temperature=0.5, top_p=0.9, top_k=40, max_tokens=7, stop="END", user="u-1")

    assert {"temperature": 0.5, "top_p": 0.9, "top_k": 40, "max_tokens": 7} == {
        key: sent[key] for key in ("temperature", "top_p", "top_k", "max_tokens")
    }
    assert (["END"], {"user_id": "u-1"}) == (sent["stop_sequences"], sent["metadata"])


def test_what_the_wire_has_no_word_for_is_no_parameter_of_it() -> None:
    """So that it is refused by name before anything is sent."""
    dialect = AnthropicMessages(withholds={"top_k"})

    assert {"seed", "frequency_penalty", "presence_penalty", "metadata", "top_k"} == frozenset(PARAMETERS) - dialect.parameters


def test_a_temperature_above_one_is_refused_by_name() -> None:
    """Other wires go up to two."""
    with pytest.raises(UnsupportedParameterError, match=r"temperature from 0 to 1, not 1\.5"):
        body(temperature=1.5)


def test_two_samplers_are_refused_where_the_model_takes_one() -> None:
    """It would answer with an error."""
    with pytest.raises(UnsupportedParameterError, match="temperature or top_p for claude-sonnet-4-5, not both"):
        body(temperature=0.5, top_p=0.9)


def test_extra_body_has_the_last_word() -> None:
    """Objects are merged key by key, so that one part of the thinking can be said in the provider's own words."""
    sent = body(model="claude-opus-5", reasoning="low", extra_body={"thinking": {"display": "summarized"}, "max_tokens": 9})

    assert ({"type": "adaptive", "display": "summarized"}, 9) == (sent["thinking"], sent["max_tokens"])


def test_what_cannot_be_json_is_refused() -> None:
    """Before anything is sent."""
    with pytest.raises(ConfigurationError, match="cannot be written as JSON"):
        body(extra_body={"x": object()})


# -- the bound


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("claude-opus-5", 128_000),
        ("claude-haiku-4-5", 64_000),
        ("claude-3-5-haiku-latest", 8192),
        ("claude-tomorrow-9", 64_000),
        ("llama", 4096),
    ],
)
def test_the_bound_is_the_models_own(model: str, expected: int) -> None:
    """Of an unknown model it is what every Claude can write."""
    assert expected == body(model=model)["max_tokens"]


def test_a_budget_for_an_unknown_model_comes_on_top() -> None:
    """Thoughts count, and must leave room for the answer."""
    sent = body(model="llama", reasoning=8000)

    assert (12_096, 8000) == (sent["max_tokens"], sent["thinking"]["budget_tokens"])


# -- thinking


@pytest.mark.parametrize(
    ("model", "reasoning", "thinking", "effort"),
    [
        ("claude-opus-5", "minimal", {"type": "adaptive"}, "low"),
        ("claude-opus-5", "high", {"type": "adaptive"}, "high"),
        ("claude-opus-5", "none", {"type": "disabled"}, None),
        ("claude-opus-5", 0, {"type": "disabled"}, None),
        ("claude-sonnet-5-5", "none", {"type": "between_tools"}, None),
        ("claude-opus-4-7", "none", None, None),
        ("claude-opus-4-6", "medium", {"type": "adaptive"}, "medium"),
        ("claude-opus-4-6", 2000, {"type": "enabled", "budget_tokens": 2000}, None),
        ("claude-opus-4-5", "medium", {"type": "enabled", "budget_tokens": 10_000}, "medium"),
        ("claude-sonnet-4-5", "low", {"type": "enabled", "budget_tokens": 2048}, None),
        ("claude-sonnet-4-5", 63_999, {"type": "enabled", "budget_tokens": 63_999}, None),
        ("claude-3-5-haiku-latest", "none", None, None),
        ("some-claude-of-tomorrow", "high", {"type": "adaptive"}, "high"),
        ("some-claude-of-tomorrow", "none", {"type": "disabled"}, None),
    ],
)
def test_reasoning_is_said_in_the_models_way(model: str, reasoning: Any, thinking: Any, effort: str | None) -> None:
    """By effort where it thinks as it sees fit, within a budget where it does not; silence is enough where silence means no."""
    sent = body(model=model, reasoning=reasoning)

    assert thinking == sent.get("thinking")
    assert effort == sent.get("output_config", {}).get("effort")


@pytest.mark.parametrize(
    ("model", "parameters", "match"),
    [
        ("claude-opus-5-5", {"reasoning": "none"}, "no reasoning='none' for claude-opus-5-5, which always thinks"),
        ("claude-opus-5-5", {"reasoning": 2000}, "no budget in tokens"),
        ("claude-3-5-haiku-latest", {"reasoning": "low"}, "does not think"),
        ("claude-sonnet-4-5", {"reasoning": 500}, "within 1024 tokens or more.*500 does not fit"),
        ("claude-sonnet-4-5", {"reasoning": 2000, "max_tokens": 2000}, r"fewer than max_tokens \(2000\)"),
        ("claude-sonnet-4-5", {"reasoning": "high", "max_tokens": 1024}, "1024 does not fit"),
    ],
)
def test_reasoning_that_cannot_be_is_refused(model: str, parameters: dict[str, Any], match: str) -> None:
    """By name, with what would do."""
    with pytest.raises(UnsupportedParameterError, match=match):
        body(model=model, **parameters)


def test_an_effort_leaves_room_for_the_answer() -> None:
    """A budget made of an effort is never more than three quarters of the bound."""
    assert 1500 == body(reasoning="high", max_tokens=2000)["thinking"]["budget_tokens"]


# -- tools


def test_tools_have_no_wrapper() -> None:
    """Name, description, schema."""
    expected = {"name": "look", "description": "Look out.", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}

    assert [expected] == body(tools=[LOOK])["tools"]
    assert "tool_choice" not in body(tools=[LOOK])


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"tool_choice": "auto"}, {"type": "auto"}),
        ({"tool_choice": "none"}, {"type": "none"}),
        ({"tool_choice": "required"}, {"type": "any"}),
        ({"tool_choice": "look"}, {"type": "tool", "name": "look"}),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        ({"parallel_tool_calls": True}, None),
        ({"tool_choice": "required", "parallel_tool_calls": False}, {"type": "any", "disable_parallel_tool_use": True}),
        ({"tool_choice": "none", "parallel_tool_calls": False}, {"type": "none"}),
    ],
)
def test_choices_are_objects(said: dict[str, Any], expected: Any) -> None:
    """The flag against parallel calls lives inside them, except where no tool may be called."""
    assert expected == body(tools=[LOOK], **said).get("tool_choice")


def test_a_model_that_cannot_be_forced_is_not_asked_to() -> None:
    """It would answer with an error."""
    with pytest.raises(UnsupportedParameterError, match="cannot make claude-opus-5-5 call a tool"):
        body(model="claude-opus-5-5", tools=[LOOK], tool_choice="look")


def test_a_model_that_thinks_within_a_budget_cannot_be_forced() -> None:
    """One that thinks as it sees fit can."""
    with pytest.raises(UnsupportedParameterError, match="while it thinks"):
        body(tools=[LOOK], tool_choice="required", reasoning="low")

    assert {"type": "any"} == body(model="claude-opus-4-6", tools=[LOOK], tool_choice="required", reasoning="low")["tool_choice"]


def test_a_strict_tool_is_held_to_its_schema() -> None:
    """Which is closed for that, and tells in words what the API does not know."""
    tool = Tool(name="count", parameters=SCHEMA, strict=True)

    (sent,) = body(tools=[tool])["tools"]

    assert sent["strict"] is True
    assert {
        "type": "object",
        "properties": {"n": {"type": "integer", "description": "minimum: 1"}},
        "required": ["n"],
        "additionalProperties": False,
    } == sent["input_schema"]


def test_a_strict_tool_that_cannot_be_held_is_refused() -> None:
    """By its name."""
    with pytest.raises(UnsupportedParameterError, match="parameters of free"):
        body(tools=[Tool(name="free", parameters=FREE, strict=True)])


def test_an_old_model_gets_the_schema_as_it_is() -> None:
    """It can be held to none, so strict is a wish that it cannot hear."""
    (sent,) = body(model="claude-sonnet-4-0", tools=[Tool(name="count", parameters=SCHEMA, strict=True)])["tools"]

    assert {"name": "count", "input_schema": SCHEMA} == sent


# -- answers in a shape


def test_a_schema_goes_beside_the_effort() -> None:
    """Both are about the output."""
    sent = body(model="claude-opus-5", response_format=SCHEMA, reasoning="low")

    assert "low" == sent["output_config"]["effort"]
    assert "json_schema" == sent["output_config"]["format"]["type"]
    assert sent["output_config"]["format"]["schema"]["additionalProperties"] is False
    assert "system" not in sent


def test_a_description_of_the_shape_is_kept() -> None:
    """The wire has no place for it but the schema."""
    wanted = {"type": "json_schema", "json_schema": {"name": "count", "description": "How many.", "schema": SCHEMA}}

    assert "How many." == body(response_format=wanted)["output_config"]["format"]["schema"]["description"]


@pytest.mark.parametrize(
    ("model", "wanted", "words", "more"),
    [
        ("claude-sonnet-4-5", "json", "Answer with one JSON object and nothing else.", {}),
        ("claude-sonnet-4-5", FREE, '"additionalProperties":{"type":"integer"}', {"reasoning": 2000}),
        ("claude-3-5-haiku-latest", SCHEMA, '"minimum":1', {"tools": [Tool(name="count")]}),
        ("some-model-or-other", FREE, '"additionalProperties":{"type":"integer"}', {}),
        ("claude-sonnet-4-5", {"type": "json_schema", "json_schema": {"schema": SCHEMA, "strict": False}}, '"minimum":1', {}),
    ],
)
def test_a_shape_that_nothing_else_can_ask_for_is_asked_for_in_words(model: str, wanted: Any, words: str, more: Any) -> None:
    """At the end of the system prompt, so that what stands before it stays cached."""
    turns = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]

    sent = body(turns, model=model, response_format=wanted, **more)

    assert "output_config" not in sent
    assert ["Be kind.", True] == [sent["system"][0]["text"], words in sent["system"][1]["text"]]


@pytest.mark.parametrize(("model", "wanted"), [("claude-3-5-haiku-latest", SCHEMA), ("claude-sonnet-4-5", FREE)])
def test_a_shape_that_cannot_be_held_is_asked_for_by_a_tool(model: str, wanted: Any) -> None:
    """Where the model can be made to call one."""
    sent = body(model=model, response_format=wanted)

    assert {"output_config", "system"} & set(sent) == set()
    assert [("response", wanted["properties"])] == [(tool["name"], tool["input_schema"]["properties"]) for tool in sent["tools"]]
    assert {"type": "tool", "name": "response"} == sent["tool_choice"]


def test_a_host_without_schemas_is_told_in_words() -> None:
    """And gets no strict tools."""
    sent = body(
        dialect=AnthropicMessages(takes_schemas=False), response_format=SCHEMA, tools=[Tool(name="count", parameters=SCHEMA, strict=True)]
    )

    assert "output_config" not in sent
    assert "strict" not in sent["tools"][0]


# -- hosts and places


def test_betas_are_a_header() -> None:
    """Joined by commas, without spaces."""
    sent = encoded(place=Place(base_url="https://host.example", options={"beta": "one-1, two-2"}))

    assert "one-1,two-2" == sent.headers["anthropic-beta"]


def test_a_beta_that_is_no_header_is_refused() -> None:
    """A line break would begin another header."""
    with pytest.raises(ConfigurationError, match="'beta'"):
        encoded(place=Place(base_url="https://host.example", options={"beta": "one\r\nx: y"}))


def test_headers_of_the_caller_go_along() -> None:
    """Over ours."""
    assert "mine" == encoded(extra_headers={"anthropic-beta": "mine"}).headers["anthropic-beta"]


@pytest.mark.parametrize(("stream", "end"), [(False, "rawPredict"), (True, "streamRawPredict")])
def test_a_host_may_name_the_model_in_the_path(stream: bool, end: str) -> None:
    """And the version in the body, where the model then is not."""
    sent = encoded(dialect=VERTEX, model="claude-sonnet-4-5@20250929", stream=stream, max_tokens=5)

    expected = {"anthropic_version": "vertex-2023-10-16", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}
    assert f"https://host.example/models/claude-sonnet-4-5@20250929:{end}" == sent.url
    assert ({**expected, "stream": True} if stream else expected) == json.loads(sent.body)


def test_a_host_may_have_all_of_it_in_the_body() -> None:
    """Betas too; but not the stream, which has a path of its own."""
    model = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"

    sent = encoded(dialect=BEDROCK, model=model, stream=True, max_tokens=5, place=Place(base_url="https://h", options={"beta": "a,b"}))

    assert "https://h/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/invoke-with-response-stream" == sent.url
    assert "anthropic-beta" not in sent.headers
    assert {
        "anthropic_version": "bedrock-2023-05-31",
        "anthropic_beta": ["a", "b"],
        "max_tokens": 5,
        "messages": [{"role": "user", "content": "Hi"}],
    } == json.loads(sent.body)


def test_a_host_may_fetch_nothing() -> None:
    """Pictures and documents must then come as data."""
    for part in (Image(url="https://a.example/x.png"), Document(url="https://a.example/x.pdf")):
        with pytest.raises(ConfigurationError, match="not by URL"):
            encoded(user(part), dialect=BEDROCK)


def test_models_are_listed_on_one_page() -> None:
    """A page is of twenty unless asked otherwise."""
    sent = AnthropicMessages().encode_models(PLACE)

    assert sent is not None
    assert ("GET", "https://host.example/v1/models?limit=1000") == (sent.method, sent.url)
    assert BEDROCK.encode_models(PLACE) is None


def test_nothing_is_sent_that_could_be_left_out() -> None:
    """So there is nothing to concede."""
    fault = Fault(status=400, message="stream_options: Extra inputs are not permitted")

    assert AnthropicMessages().concession(fault, make_request("Hi", model="m", stream=True)) is None


# -- what comes back


def test_answers_streams_errors_and_lists_are_read() -> None:
    """Each by the module that is for it."""
    dialect, asked = AnthropicMessages(), make_request("Hi", model="m")
    start = 'data: {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "Hi"}}'
    events = f'{start}\n\ndata: {{"type": "message_stop"}}\n\n'.encode()
    whole = HttpResponse(status=200, headers={}, body=b'{"content": [{"type": "text", "text": "Hi"}]}')
    streamed = HttpResponse(status=200, headers={"content-type": "text/event-stream"}, body=events)
    listed = HttpResponse(status=200, headers={}, body=b'{"data": [{"id": "claude-1"}]}')
    decoder = dialect.decoder(streamed, asked)

    decoder.feed(events)

    assert ["Hi"] * 3 == [dialect.decode(whole, asked).text, dialect.decode(streamed, asked).text, decoder.response().text]
    assert "No." == dialect.fault(HttpResponse(status=400, headers={}, body=b'{"error": {"message": "No."}}')).message
    assert ["claude-1"] == [model.id for model in dialect.decode_models(listed)]

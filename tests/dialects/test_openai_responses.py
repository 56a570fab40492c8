"""Requests of the Responses wire: what each of our words is on it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmkit.dialects.base import Place
from llmkit.dialects.openai_responses import OpenAIResponses
from llmkit.errors import UnsupportedParameterError
from llmkit.models.facts import ModelFacts
from llmkit.models.fault import Fault
from llmkit.models.request import make_request
from llmkit.tools import Tool
from llmkit.transport.base import HttpRequest

DIALECT = OpenAIResponses()
PLACE = Place(base_url="https://host.example/v1")
SEALS = ["reasoning.encrypted_content"]
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}
LOOSE: dict[str, Any] = {"type": "object"}
LOOK = Tool(name="look", description="Looks.", parameters=SCHEMA)
PLAIN: dict[str, Any] = {"model": "m", "input": [{"role": "user", "content": "Hi"}], "store": False, "include": SEALS}


def request(messages: Any = "Hi", dialect: OpenAIResponses = DIALECT, place: Place = PLACE, **parameters: Any) -> HttpRequest:
    return dialect.encode(make_request(messages, model="m", **parameters), place)


def body(messages: Any = "Hi", dialect: OpenAIResponses = DIALECT, place: Place = PLACE, **parameters: Any) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(request(messages, dialect, place, **parameters).body)
    return read


def test_a_plain_question_is_a_plain_request() -> None:
    """Nothing is left with the server, and thoughts are asked for sealed, so that they can go back."""
    sent = request()

    assert ("POST", "https://host.example/v1/responses") == (sent.method, sent.url)
    assert {"Content-Type": "application/json", "Accept": "application/json"} == dict(sent.headers)
    assert PLAIN == json.loads(sent.body)


@pytest.mark.parametrize(
    ("parameters", "wire"),
    [
        ({"temperature": 0}, {"temperature": 0}),
        ({"top_p": 0.9}, {"top_p": 0.9}),
        ({"max_tokens": 7}, {"max_output_tokens": 7}),
        ({"user": "u"}, {"user": "u"}),
        ({"metadata": {"a": "b"}}, {"metadata": {"a": "b"}}),
        ({"reasoning": "minimal"}, {"reasoning": {"effort": "minimal"}}),
        ({"reasoning": "none"}, {"reasoning": {"effort": "none"}}),
        ({"stream": True}, {"stream": True}),
        ({"system": "Be kind."}, {"instructions": "Be kind."}),
        ({"extra_body": {"truncation": "auto", "model": "other"}}, {"truncation": "auto", "model": "other"}),
        ({"reasoning": "low", "extra_body": {"reasoning": {"summary": "auto"}}}, {"reasoning": {"effort": "low", "summary": "auto"}}),
        ({"extra_body": {"include": ["web_search_call.results"]}}, {"include": ["web_search_call.results", *SEALS]}),
        ({"extra_body": {"include": SEALS}}, {"include": SEALS}),
    ],
)
def test_a_parameter_has_its_word_on_the_wire(parameters: dict[str, Any], wire: dict[str, Any]) -> None:
    """Each is sent as it was set, and nothing beside it."""
    assert {**PLAIN, **wire} == body(**parameters)


@pytest.mark.parametrize("name", ["top_k", "stop", "seed", "frequency_penalty", "presence_penalty"])
def test_what_the_wire_cannot_say_is_not_a_parameter(name: str) -> None:
    """Chat Completions knows more of them."""
    assert name not in DIALECT.parameters
    assert {"temperature", "tools", "reasoning"} <= DIALECT.parameters


def test_a_budget_is_refused() -> None:
    """The wire has efforts only."""
    with pytest.raises(UnsupportedParameterError, match="no budget in tokens"):
        body(reasoning=900)


def test_the_lowest_effort_of_a_model_is_asked_for_in_its_word() -> None:
    """Later models have nothing below low."""
    facts = ModelFacts(efforts=("low", "high"))

    assert {"effort": "low"} == body(reasoning="minimal", facts=facts)["reasoning"]


# -- sealed thoughts


def test_seals_are_not_asked_of_who_does_not_think() -> None:
    """Such a model refuses the question; so may one of which nothing is known, and is then asked without."""
    plain = {key: value for key, value in PLAIN.items() if key != "include"}

    assert plain == body(facts=ModelFacts(thinking="none"))
    assert plain == body(place=Place(base_url="http://h", refused=frozenset({"include"})))
    assert plain == body(dialect=OpenAIResponses(seals=False))


@pytest.mark.parametrize(
    ("fault", "extra", "expected"),
    [
        (Fault(status=400, param="include", message="Encrypted content is not supported with this model."), None, "include"),
        (Fault(status=400, message="Encrypted content is not supported with this model."), None, "include"),
        (Fault(status=400, param="include[0]", message="Invalid value."), None, "include"),
        (Fault(status=400, param="include", message="No."), {"include": ["x"]}, None),
        (Fault(status=500, param="include", message="No."), None, None),
        (Fault(status=400, param="input", message="No."), None, None),
    ],
)
def test_a_refusal_of_seals_is_given_in_to(fault: Fault, extra: Any, expected: str | None) -> None:
    """Unless the caller asked for them."""
    assert expected == DIALECT.concession(fault, make_request("Hi", model="m", extra_body=extra))


def test_what_the_server_keeps_needs_no_seals() -> None:
    """The caller may have it keep answers."""
    sent = body(extra_body={"store": True, "previous_response_id": "resp_1"})

    assert (True, "resp_1", None) == (sent["store"], sent["previous_response_id"], sent.get("include"))


# -- tools and shapes


def test_tools_are_flat() -> None:
    """Strictness is said, since the wire takes it for granted."""
    strict = Tool(name="s", parameters={"type": "object", "properties": {"n": {"type": "integer"}}}, strict=True)

    sent = body(tools=[LOOK, strict], parallel_tool_calls=False)

    first, second = sent["tools"]
    assert {"type": "function", "name": "look", "description": "Looks.", "parameters": SCHEMA, "strict": False} == first
    assert (True, ["n"], False) == (second["strict"], second["parameters"]["required"], second["parameters"]["additionalProperties"])
    assert sent["parallel_tool_calls"] is False


@pytest.mark.parametrize("choice", ["auto", "none", "required"])
def test_a_choice_is_a_word(choice: str) -> None:
    """The same in both tongues."""
    assert choice == body(tools=[LOOK], tool_choice=choice)["tool_choice"]


def test_a_tool_is_chosen_by_its_name() -> None:
    """Flat, too."""
    assert {"type": "function", "name": "look"} == body(tools=[LOOK], tool_choice="look")["tool_choice"]


def test_json_mode_is_asked_for_with_its_word() -> None:
    """It is refused where no item has the word "json"; that it is in the instructions does not count."""
    wire = {"text": {"format": {"type": "json_object"}}}

    plain, told, said = (
        body(messages, response_format="json", **system)
        for messages, system in (("Hi", {}), ("Hi", {"system": "Say JSON."}), ("JSON!", {}))
    )

    for sent in (plain, told):
        assert ("system", "user") == tuple(item["role"] for item in sent["input"])
        assert "JSON" in sent["input"][0]["content"]
    assert {**PLAIN, **wire, "input": [{"role": "user", "content": "JSON!"}]} == said


def test_a_schema_is_flat_and_strict_where_it_can_be() -> None:
    """Named, and closed."""
    strict = body(response_format=SCHEMA)["text"]["format"]
    loose = body(response_format=LOOSE)["text"]["format"]

    assert {"type": "json_schema", "name": strict["name"], "schema": SCHEMA, "strict": True} == strict
    assert ("json_schema", False) == (loose["type"], loose["strict"])


def test_a_schema_may_have_to_be_said_in_words() -> None:
    """Behind the caller's own instructions."""
    dialect = OpenAIResponses(schema="json_object")

    alone, behind = body(dialect=dialect, response_format=SCHEMA), body(dialect=dialect, system="Be kind.", response_format=SCHEMA)

    assert {"format": {"type": "json_object"}} == alone["text"] == behind["text"]
    assert json.dumps(SCHEMA, separators=(",", ":")) == alone["instructions"].splitlines()[-1]
    assert f"Be kind.\n\n{alone['instructions']}" == behind["instructions"]


# -- place


def test_the_deployment_counts_as_the_model() -> None:
    """Where a row says so."""
    dialect = OpenAIResponses(path="/openai/v1/responses", model_option="deployment")
    place = Place(base_url="https://h", options={"deployment": "mine"})

    sent = dialect.encode(make_request("Hi", model="m"), place)

    assert ("https://h/openai/v1/responses", "mine") == (sent.url, json.loads(sent.body)["model"])
    assert "m" == body(dialect=dialect)["model"]


def test_models_are_listed_where_the_row_says() -> None:
    """Or nowhere."""
    found = DIALECT.encode_models(PLACE)

    assert found is not None
    assert ("GET", "https://host.example/v1/models") == (found.method, found.url)
    assert OpenAIResponses(models_path=None).encode_models(PLACE) is None


def test_extra_headers_go_along() -> None:
    """Beside the usual ones."""
    assert "text/event-stream" == request(stream=True, extra_headers={"X-A": "b"}).headers["Accept"]
    assert "b" == request(extra_headers={"X-A": "b"}).headers["X-A"]

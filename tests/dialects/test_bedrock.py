"""Requests of Converse: where they go, and what they say in whose words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from attrs import frozen

from llmkit.catalogue.converse import converse_rules
from llmkit.catalogue.facts import facts_of
from llmkit.dialects.base import Place
from llmkit.dialects.bedrock import BedrockConverse
from llmkit.errors import ConfigurationError, UnsupportedParameterError
from llmkit.models.content import Message, ToolCall, tool_result, user
from llmkit.models.fault import Fault
from llmkit.models.request import make_request
from llmkit.tools import Tool

DIALECT = BedrockConverse(rules=converse_rules)
RUNTIME = "https://bedrock-runtime.us-east-1.amazonaws.com"
CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
OPUS = "us.anthropic.claude-opus-4-7-v1"
NOVA = "amazon.nova-lite-v1:0"
NOVA_2 = "us.amazon.nova-2-lite-v1:0"
OSS = "openai.gpt-oss-120b-1:0"
LLAMA = "us.meta.llama3-3-70b-instruct-v1:0"
MISTRAL = "mistral.mistral-large-2407-v1:0"
PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/mi1dadi0g15f"


@frozen
class City:
    """A city."""

    name: str
    people: int = 0


def look(city: str) -> str:
    """Look."""
    return city


def encoded(messages: Any = "Hi", *, model: str = CLAUDE, options: dict[str, str] | None = None, **parameters: Any) -> Any:
    request = make_request(messages, model=model, facts=facts_of(model), **parameters)
    return DIALECT.encode(request, Place(base_url=RUNTIME, options=options or {}))


def body(messages: Any = "Hi", **parameters: Any) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(encoded(messages, **parameters).body)
    return said


# -- where


@pytest.mark.parametrize(
    ("model", "path"),
    [
        (CLAUDE, "us.anthropic.claude-sonnet-4-5-20250929-v1%3A0"),
        (PROFILE, "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fmi1dadi0g15f"),
        ("a b?c#d%é", "a%20b%3Fc%23d%25%C3%A9"),
    ],
)
def test_the_model_is_one_segment_of_the_path(model: str, path: str) -> None:
    """With every character quoted that could be taken for something else."""
    assert f"{RUNTIME}/model/{path}/converse" == encoded(model=model).url
    assert f"{RUNTIME}/model/{path}/converse-stream" == encoded(model=model, stream=True).url


def test_a_plain_request() -> None:
    """Nothing is said that was not asked for; the model and the stream are in the path alone."""
    request = encoded("Hi", stream=True)

    assert {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]} == json.loads(request.body)
    assert ("POST", {"Content-Type": "application/json", "Accept": "application/json"}) == (request.method, dict(request.headers))


@pytest.mark.parametrize(
    ("base", "url"),
    [
        (RUNTIME, "https://bedrock.us-east-1.amazonaws.com/foundation-models"),
        ("https://bedrock-runtime-fips.us-east-1.amazonaws.com", "https://bedrock-fips.us-east-1.amazonaws.com/foundation-models"),
        ("https://bedrock-runtime.cn-north-1.amazonaws.com.cn", "https://bedrock.cn-north-1.amazonaws.com.cn/foundation-models"),
        ("http://127.0.0.1:8000/bedrock", "http://127.0.0.1:8000/bedrock/foundation-models"),
        ("https://proxy.example/bedrock-runtime", "https://proxy.example/bedrock-runtime/foundation-models"),
    ],
)
def test_models_are_listed_by_the_control_plane(base: str, url: str) -> None:
    """Which is a host beside the runtime's; an address of one's own is both."""
    request = DIALECT.encode_models(Place(base_url=base))

    assert request is not None
    assert ("GET", url) == (request.method, request.url)


# -- parameters


def test_sampling_is_inference_config() -> None:
    """In names of its own."""
    said = body(max_tokens=10, temperature=0.5, stop=["END"], metadata={"team": "a"}, model=NOVA, top_p=0.9)

    assert {"maxTokens": 10, "temperature": 0.5, "topP": 0.9, "stopSequences": ["END"]} == said["inferenceConfig"]
    assert {"team": "a"} == said["requestMetadata"]


def test_what_it_has_no_word_for_is_no_parameter() -> None:
    """A client refuses these before anything is written."""
    assert set() == {"seed", "frequency_penalty", "presence_penalty", "parallel_tool_calls", "user"} & DIALECT.parameters
    assert {"top_k", "reasoning", "metadata", "stop", "tools", "tool_choice"} <= DIALECT.parameters


@pytest.mark.parametrize(
    ("model", "more"),
    [(CLAUDE, {"top_k": 5}), (NOVA, {"inferenceConfig": {"topK": 5}}), ("cohere.command-r-plus-v1:0", {"k": 5})],
)
def test_top_k_is_said_in_the_words_of_the_family(model: str, more: dict[str, Any]) -> None:
    """Beside what Converse has words for."""
    assert more == body(model=model, top_k=5)["additionalModelRequestFields"]


@pytest.mark.parametrize(
    ("model", "reasoning", "more"),
    [
        (CLAUDE, 2000, {"thinking": {"type": "enabled", "budget_tokens": 2000}}),
        (CLAUDE, "low", {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
        (CLAUDE, "none", None),
        (OPUS, "high", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}),
        ("global.anthropic.claude-opus-5-v1", "none", {"thinking": {"type": "disabled"}}),
        (NOVA_2, "minimal", {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}}),
        (NOVA_2, "none", {"reasoningConfig": {"type": "disabled"}}),
        (NOVA, "none", None),
        (OSS, "medium", {"reasoning_effort": "medium"}),
        ("qwen.qwen3-32b-v1:0", "high", {"reasoning_config": "high"}),
        ("qwen.qwen3-32b-v1:0", 0, None),
    ],
)
def test_reasoning_is_said_in_the_words_of_the_family(model: str, reasoning: Any, more: Any) -> None:
    """Or not at all, where that is what was asked for."""
    assert more == body(model=model, reasoning=reasoning).get("additionalModelRequestFields")


@pytest.mark.parametrize(
    ("model", "parameters", "match"),
    [
        (NOVA, {"temperature": 1.5}, "from 0 to 1"),
        (CLAUDE, {"temperature": 0.5, "top_p": 0.5}, "not both"),
        (LLAMA, {"top_k": 5}, "no word for top_k.*additionalModelRequestFields"),
        (PROFILE, {"reasoning": "low"}, "no word for reasoning.*additionalModelRequestFields"),
        (NOVA, {"reasoning": "low"}, "no word for reasoning"),
        (NOVA_2, {"reasoning": 500}, "no budget in tokens"),
        (OSS, {"reasoning": "none"}, "always thinks"),
        (OPUS, {"reasoning": 2000}, "no budget in tokens"),
        (CLAUDE, {"reasoning": 2000, "max_tokens": 1500}, "does not fit"),
        (CLAUDE, {"reasoning": 2000, "tools": [look], "tool_choice": "required"}, "while it thinks"),
        ("us.anthropic.claude-opus-5-5-v1", {"tools": [look], "tool_choice": "required"}, "cannot make"),
        (LLAMA, {"tools": [look], "tool_choice": "required"}, "cannot make"),
        (NOVA, {"extra_body": {"a": float("nan")}}, "JSON"),
    ],
)
def test_what_cannot_be_said_is_refused_by_name(model: str, parameters: dict[str, Any], match: str) -> None:
    """Before anything is sent."""
    with pytest.raises((ConfigurationError, UnsupportedParameterError), match=match):
        body(model=model, **parameters)


def test_betas_go_to_claude() -> None:
    """As fields of the model; other families have none."""
    said = json.loads(encoded(options={"beta": "a-1, b-2"}, top_k=1).body)

    assert {"top_k": 1, "anthropic_beta": ["a-1", "b-2"]} == said["additionalModelRequestFields"]
    with pytest.raises(UnsupportedParameterError, match="beta"):
        encoded(model=NOVA, options={"beta": "a"})


def test_extra_body_has_the_last_word() -> None:
    """Key by key: guardrails, tiers, latency and whatever the model knows beside."""
    extra = {
        "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"},
        "serviceTier": {"type": "flex"},
        "performanceConfig": {"latency": "optimized"},
        "additionalModelRequestFields": {"thinking": {"budget_tokens": 3000}},
    }

    said = body(reasoning=2000, extra_body=extra)

    assert {**extra, "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 3000}}} == {
        key: value for key, value in said.items() if key != "messages"
    }


def test_headers_may_be_added() -> None:
    """Such as those of tracing."""
    assert "1" == encoded(extra_headers={"X-Trace": "1"}).headers["X-Trace"]


def test_nothing_is_conceded() -> None:
    """All that is sent was asked for."""
    assert DIALECT.concession(Fault(status=400, message="no"), make_request("Hi", model=NOVA)) is None


# -- shapes


def test_an_answer_is_held_to_its_schema() -> None:
    """Which goes as a text, with objects closed and unknown words told in descriptions."""
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3}}, "required": ["n"], "title": "Count"}

    said = body(response_format=schema)
    shape = said["outputConfig"]["textFormat"]

    assert ("json_schema", {"schema", "name"}) == (shape["type"], set(shape["structure"]["jsonSchema"]))
    assert {
        "type": "object",
        "title": "Count",
        "properties": {"n": {"type": "integer", "description": "minimum: 3"}},
        "required": ["n"],
        "additionalProperties": False,
    } == json.loads(shape["structure"]["jsonSchema"]["schema"])


def test_a_type_brings_its_name_and_description() -> None:
    """As the model sees them."""
    shape = body(response_format=City, model=OSS)["outputConfig"]["textFormat"]["structure"]["jsonSchema"]

    assert ("City", "A city.") == (shape["name"], shape.get("description") or json.loads(shape["schema"])["description"])


@pytest.mark.parametrize(("model", "more"), [(LLAMA, {}), (PROFILE, {}), (OPUS, {"reasoning": "low"}), (NOVA, {"tools": [look]})])
def test_who_cannot_be_held_is_told_the_schema(model: str, more: Any) -> None:
    """At the end of the system prompt."""
    said = body([Message("system", "Be brief."), user("Hi")], model=model, response_format=City, **more)

    assert "outputConfig" not in said
    assert ["Be brief."] == [block["text"] for block in said["system"][:-1]]
    assert "JSON Schema" in said["system"][-1]["text"]
    assert '"people"' in said["system"][-1]["text"]


@pytest.mark.parametrize("model", [OPUS, NOVA, "us.anthropic.claude-3-7-sonnet-20250219-v1:0"])
def test_who_cannot_be_held_but_made_to_call_is_asked_by_a_tool(model: str) -> None:
    """Its arguments are the answer."""
    said = body(model=model, response_format=City)

    assert "outputConfig" not in said
    assert ["City"] == [tool["toolSpec"]["name"] for tool in said["toolConfig"]["tools"]]
    assert {"tool": {"name": "City"}} == said["toolConfig"]["toolChoice"]


def test_a_caller_may_know_better_of_an_unknown_model() -> None:
    """By asking for strictness."""
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": {"type": "object", "properties": {}}}}

    assert "outputConfig" in body(model=PROFILE, response_format=wanted)
    assert "outputConfig" not in body(model=NOVA, response_format=wanted)
    assert "outputConfig" not in body(model=CLAUDE, response_format={**wanted, "json_schema": {**wanted["json_schema"], "strict": False}})


def test_any_json_is_asked_for_in_words() -> None:
    """It has no word for it."""
    assert "JSON object" in body(response_format="json")["system"][0]["text"]


# -- tools


def test_tools_are_specs() -> None:
    """Whose description is left out where there is none."""
    bare = Tool(name="bare", parameters={"type": "object", "properties": {}})

    said = body(tools=[look, bare])["toolConfig"]

    first, second = (tool["toolSpec"] for tool in said["tools"])
    assert ("look", "Look.", "object") == (first["name"], first["description"], first["inputSchema"]["json"]["type"])
    assert {"name": "bare", "inputSchema": {"json": {"type": "object", "properties": {}}}} == second
    assert "toolChoice" not in said


def test_novas_tools_have_roots_of_three_words() -> None:
    """Others are refused there."""
    spec = body(tools=[look], model=NOVA)["toolConfig"]["tools"][0]["toolSpec"]

    assert {"type", "properties", "required"} == set(spec["inputSchema"]["json"])


def test_strict_tools_are_held_where_the_model_can_be() -> None:
    """And are plain ones elsewhere; a shape that cannot be held is refused by name."""
    strict = Tool(name="t", parameters={"type": "object", "properties": {"n": {"type": "integer", "maximum": 3}}}, strict=True)
    free = Tool(name="free", parameters={"type": "object", "additionalProperties": True}, strict=True)

    held = body(tools=[strict])["toolConfig"]["tools"][0]["toolSpec"]

    assert (True, False) == (held["strict"], held["inputSchema"]["json"]["additionalProperties"])
    assert {"type": "integer", "description": "maximum: 3"} == held["inputSchema"]["json"]["properties"]["n"]
    assert "strict" not in body(tools=[strict], model=LLAMA)["toolConfig"]["tools"][0]["toolSpec"]
    with pytest.raises(UnsupportedParameterError, match="free"):
        body(tools=[free])


@pytest.mark.parametrize(
    ("model", "choice", "expected"),
    [
        (CLAUDE, "auto", {"auto": {}}),
        (CLAUDE, "required", {"any": {}}),
        (CLAUDE, "look", {"tool": {"name": "look"}}),
        (PROFILE, "look", {"tool": {"name": "look"}}),
        (LLAMA, "auto", {"auto": {}}),
        ("cohere.command-r-plus-v1:0", "auto", None),
        (MISTRAL, "required", {"any": {}}),
        (MISTRAL, "look", {"any": {}}),
    ],
)
def test_choices_are_those_of_the_family(model: str, choice: str, expected: Any) -> None:
    """Where one among several cannot be named, the others are not offered."""
    other = Tool(name="other", parameters={"type": "object", "properties": {}})

    said = body(model=model, tools=[look, other], tool_choice=choice)["toolConfig"]

    assert expected == said.get("toolChoice")
    names = ["look"] if (model, choice) == (MISTRAL, "look") else ["look", "other"]
    assert names == [tool["toolSpec"]["name"] for tool in said["tools"]]


HISTORY = [user("Look"), Message("assistant", ToolCall("t1", "look", {"city": "Rome"})), tool_result("t1", "rain")]


def test_what_is_not_to_be_called_is_not_offered() -> None:
    """While nothing was called."""
    assert "toolConfig" not in body(tools=[look], tool_choice="none")


def test_a_history_with_calls_keeps_its_tools() -> None:
    """It is refused without: they are offered again, and the model is told not to call them."""
    offered = body(HISTORY, tools=[look], tool_choice="none")
    bare = body(HISTORY)
    calling = body(HISTORY, tools=[look])

    assert ["look"] == [tool["toolSpec"]["name"] for tool in offered["toolConfig"]["tools"]]
    assert {"tools": [{"toolSpec": {"name": "look", "inputSchema": {"json": {"type": "object"}}}}]} == bare["toolConfig"]
    reminder = {"text": "Answer without calling a tool."}
    assert reminder == offered["messages"][-1]["content"][-1] == bare["messages"][-1]["content"][-1]
    assert reminder not in calling["messages"][-1]["content"]

"""What single servers want otherwise than OpenAI does: each test shows the wire of the row that asks for it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmkit.dialects.base import Place
from llmkit.dialects.openai_chat import OpenAIChat
from llmkit.errors import ConfigurationError, UnsupportedParameterError
from llmkit.models.content import Image, Message, Text, Thinking, ToolCall, ToolResult, assistant, system, tool_result, user
from llmkit.models.request import make_request
from llmkit.providers import ROWS, find_provider
from llmkit.secrets import Headers
from llmkit.tools import Tool
from llmkit.transport.base import HttpRequest, HttpResponse

CALL = ToolCall("call_0123456789", "look", {"city": "Paris"})
LOOK = Tool(
    name="look",
    parameters={
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "city": {"type": "string", "enum": ["$schema", "Paris"]},
            "$schema": {"type": "object", "properties": {"x": {"type": "integer"}}, "additionalProperties": False},
            "more": {"type": "object", "additionalProperties": {"type": "string"}},
        },
        "required": ["city"],
        "additionalProperties": False,
    },
    strict=True,
)
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}


def encoded(name: str, messages: Any = "Hi", *, options: dict[str, str] | None = None, **parameters: Any) -> HttpRequest:
    """Return the request as the row *name* says it."""
    row = find_provider(name)
    force = {**{key: option.default for key, option in row.options.items() if option.default is not None}, **(options or {})}
    request = make_request(messages, model="m", **parameters)
    return row.dialect_for(force).encode(request, Place(base_url="https://host.example/v1", options=force))


def body(name: str, messages: Any = "Hi", **rest: Any) -> dict[str, Any]:
    """Return the body of that request."""
    read: dict[str, Any] = json.loads(encoded(name, messages, **rest).body)
    return read


def history(*thoughts: Thinking) -> list[Message]:
    """Return a conversation in which a tool was called, silently but for *thoughts*."""
    return [user("Weather?"), Message("assistant", [*thoughts, CALL]), tool_result(CALL, "Sunny"), user("Thanks")]


# -- every row


@pytest.mark.parametrize("name", [row.name for row in ROWS if isinstance(row.dialect, OpenAIChat)])
def test_every_row_can_say_a_plain_request(name: str) -> None:
    """Model, message and bound are there, and nothing the caller did not set but the row's own switches."""
    options = {"api_version": "v1"} if name == "azure" else None

    sent = body(name, max_tokens=5, options=options)

    dialect = find_provider(name).dialect
    assert isinstance(dialect, OpenAIChat)
    assert {"model": "m", "messages": [{"role": "user", "content": "Hi"}], dialect.max_tokens_field: 5, **dialect.extras} == sent


@pytest.mark.parametrize("name", ["azure", "openai", "cerebras", "minimax", "snowflake", "helicone-proxy"])
def test_the_newer_bound_goes_where_it_is_known(name: str) -> None:
    """All others honour the older one, and some ignore the newer in silence."""
    newer = {row.name for row in ROWS if getattr(row.dialect, "max_tokens_field", "") == "max_completion_tokens"}

    assert name in newer
    assert {"azure", "openai", "cerebras", "minimax", "snowflake", "helicone-proxy"} == newer


@pytest.mark.parametrize(
    ("name", "withheld"),
    [
        ("perplexity", {"tools", "tool_choice", "parallel_tool_calls", "stop", "seed"}),
        ("vllm", {"parallel_tool_calls", "user"}),
        ("mistral", {"user", "top_k"}),
        ("fastchat", {"tools", "tool_choice", "parallel_tool_calls"}),
        ("openai", {"top_k"}),
        ("custom", set()),
    ],
)
def test_what_a_server_refuses_or_ignores_is_withheld(name: str, withheld: set[str]) -> None:
    """So that the caller is told before anything is sent."""
    everything = find_provider("custom").dialect.parameters

    assert withheld == everything - find_provider(name).dialect.parameters


def test_ollamas_compatible_route_withholds_what_it_ignores() -> None:
    """It is another wire than Ollama's own, and chosen by an option."""
    everything = find_provider("custom").dialect.parameters

    known = find_provider("ollama").dialect_for({"api": "chat"}).parameters

    assert {"tool_choice", "parallel_tool_calls", "user", "metadata", "top_k"} == everything - known


@pytest.mark.parametrize("name", ["xai", "mistral", "perplexity", "groq", "zhipu", "fastchat"])
def test_usage_is_not_asked_for_where_it_comes_anyway(name: str) -> None:
    """Or where the question is not understood."""
    row = find_provider(name)
    request = make_request("Hi", model="m", stream=True)

    sent = json.loads(row.dialect.encode(request, Place(base_url="https://host.example/v1")).body)

    assert sent["stream"] is True
    assert "stream_options" not in sent


# -- addresses and headers


def test_azure_names_its_deployment_in_the_body() -> None:
    """The caller's model stays the model; the server is told the deployment."""
    sent = encoded("azure", options={"deployment": "prod-4o"})

    assert "https://host.example/v1/openai/v1/chat/completions" == sent.url
    assert "prod-4o" == json.loads(sent.body)["model"]


def test_azure_names_its_deployment_in_the_path_of_dated_versions() -> None:
    """The version is escaped as the rest of the URL is."""
    sent = encoded("azure", options={"deployment": "prod/4o", "api_version": "2024-10-21&x=1"})

    assert "https://host.example/v1/openai/deployments/prod%2F4o/chat/completions?api-version=2024-10-21%26x%3D1" == sent.url


def test_snowflake_is_told_what_its_token_is() -> None:
    """A programmatic access token, unless said otherwise."""
    kinds = [
        encoded("snowflake", options=options).headers["X-Snowflake-Authorization-Token-Type"]
        for options in ({}, {"token_type": "KEYPAIR_JWT"})
    ]

    assert ["PROGRAMMATIC_ACCESS_TOKEN", "KEYPAIR_JWT"] == kinds


@pytest.mark.parametrize(
    ("name", "option", "header"),
    [
        ("portkey", "provider", "x-portkey-provider"),
        ("portkey", "config", "x-portkey-config"),
        ("cloudflare", "gateway", "cf-aig-gateway-id"),
        ("qianfan", "appid", "appid"),
    ],
)
def test_an_option_may_be_a_header(name: str, option: str, header: str) -> None:
    """It goes along when it is given, and is not there when it is not."""
    with_it = encoded(name, options={option: "it"}).headers
    without = encoded(name).headers

    assert "it" == with_it[header]
    assert header not in without


def test_a_list_of_models_carries_the_same_headers() -> None:
    """The gateway that takes requests takes this one too."""
    dialect = find_provider("portkey").dialect

    request = dialect.encode_models(Place(base_url="https://host.example/v1", options={"provider": "@openai"}))

    assert request is not None
    assert "@openai" == request.headers["x-portkey-provider"]


def test_an_option_with_a_line_break_is_no_header() -> None:
    """It could bring a header of its own."""
    with pytest.raises(ConfigurationError, match="x-portkey-config"):
        encoded("portkey", options={"config": "a\r\nx-evil: 1"})


def test_extra_headers_have_the_last_word() -> None:
    """What the caller says for one request wins over an option."""
    sent = encoded("portkey", options={"provider": "@openai"}, extra_headers={"x-portkey-provider": "@mine"})

    assert "@mine" == sent.headers["x-portkey-provider"]


def test_minimax_is_asked_to_split_its_thoughts() -> None:
    """Otherwise they stand in the text; the caller may still say no."""
    assert body("minimax")["reasoning_split"] is True
    assert body("minimax", extra_body={"reasoning_split": False})["reasoning_split"] is False


def test_heroku_lists_models_as_a_bare_list() -> None:
    """Beside the path of everything else, and by another field."""
    dialect = find_provider("heroku").dialect
    request = dialect.encode_models(Place(base_url="https://us.inference.heroku.com"))
    reply = HttpResponse(
        status=200, headers=Headers(), body=b'[{"model_id": "claude-4-sonnet", "regions": ["us"], "type": ["text-to-text"]}]'
    )

    models = dialect.decode_models(reply)

    assert request is not None
    assert "https://us.inference.heroku.com/available-models" == request.url
    assert ["claude-4-sonnet"] == [model.id for model in models]


# -- tools


def test_mistral_says_any_for_required() -> None:
    """Its own word; the others are OpenAI's."""
    tool = Tool(name="look", parameters=LOOK.parameters)

    assert "any" == body("mistral", tools=[tool], tool_choice="required")["tool_choice"]
    assert "required" == body("openai", tools=[tool], tool_choice="required")["tool_choice"]
    assert "none" == body("mistral", tools=[tool], tool_choice="none")["tool_choice"]


def test_mistral_gets_short_ids_on_both_sides() -> None:
    """Nine letters and digits, the same for a call and its result."""
    turns = body("mistral", history())["messages"]

    made = turns[1]["tool_calls"][0]["id"]
    assert 9 == len(made)
    assert made.isalnum()
    assert made == turns[2]["tool_call_id"]


def test_mistral_hears_the_assistant_between_tool_and_user() -> None:
    """A user right after a tool is refused there; elsewhere nothing is put in."""
    assert ["user", "assistant", "tool", "assistant", "user"] == [turn["role"] for turn in body("mistral", history())["messages"]]
    assert ["user", "assistant", "tool", "user"] == [turn["role"] for turn in body("openai", history())["messages"]]


def test_mistral_hears_it_before_pictures_out_of_tools_too() -> None:
    """They go as a user's message, since a tool's cannot hold them."""
    picture = Image(data=b"x", media_type="image/png")
    turns = [user("Draw"), Message("assistant", [CALL]), Message("tool", [ToolResult(CALL.id, "look", [Text("Done"), picture])])]

    assert ["user", "assistant", "tool", "assistant", "user"] == [turn["role"] for turn in body("mistral", turns)["messages"]]


def test_mistral_calls_the_seed_random() -> None:
    """The one parameter with a name of its own."""
    sent = body("mistral", seed=7)

    assert 7 == sent["random_seed"]
    assert "seed" not in sent


def test_xai_gets_schemas_without_closed_objects() -> None:
    """Neither strict nor additionalProperties: false, at any depth; a schema for further properties stays."""
    function = body("xai", tools=[LOOK])["tools"][0]["function"]

    assert "strict" not in function
    parameters = function["parameters"]
    assert "additionalProperties" not in parameters
    assert "additionalProperties" not in parameters["properties"]["$schema"]
    assert {"type": "string"} == parameters["properties"]["more"]["additionalProperties"]


@pytest.mark.parametrize("name", ["moonshot", "codestral"])
def test_keywords_are_left_out_but_not_properties_of_that_name(name: str) -> None:
    """Nor values that look like them; what the caller holds is not changed."""
    tool = Tool(name="look", parameters=LOOK.parameters)

    parameters = body(name, tools=[tool])["tools"][0]["function"]["parameters"]

    assert "$schema" not in parameters
    assert {"city", "$schema", "more"} == set(parameters["properties"])
    assert ["$schema", "Paris"] == parameters["properties"]["city"]["enum"]
    assert "$schema" in tool.parameters


# -- structured answers


def test_tgi_has_the_schema_under_value() -> None:
    """Plain JSON is any object there."""
    assert {"type": "json_object", "value": SCHEMA} == body("tgi", response_format=SCHEMA)["response_format"]
    assert {"type": "json_object", "value": {"type": "object"}} == body("tgi", response_format="json")["response_format"]


@pytest.mark.parametrize("name", ["lmstudio", "perplexity"])
def test_json_mode_is_a_schema_where_it_is_refused(name: str) -> None:
    """Any object fits it; real schemas go as everywhere."""
    plain = body(name, response_format="json")["response_format"]
    shaped = body(name, response_format=SCHEMA)["response_format"]

    assert ("json_schema", {"type": "object"}, False) == (plain["type"], plain["json_schema"]["schema"], plain["json_schema"]["strict"])
    assert ("json_schema", SCHEMA) == (shaped["type"], shaped["json_schema"]["schema"])


@pytest.mark.parametrize("name", ["deepseek", "zhipu", "siliconflow", "minimax"])
def test_a_schema_is_told_in_words_where_only_json_is_known(name: str) -> None:
    """With the word "json" in it, which JSON mode demands."""
    sent = body(name, response_format=SCHEMA)

    assert {"type": "json_object"} == sent["response_format"]
    assert "system" == sent["messages"][0]["role"]
    assert "JSON" in sent["messages"][0]["content"]
    assert json.dumps(SCHEMA) in sent["messages"][0]["content"]


# -- thoughts


@pytest.mark.parametrize(
    ("name", "reasoning", "expected"),
    [
        ("openai", "low", {"reasoning_effort": "low"}),
        ("openrouter", "high", {"reasoning": {"effort": "high"}}),
        ("openrouter", 2000, {"reasoning": {"max_tokens": 2000}}),
        ("vercel", "high", {"reasoning": {"effort": "high"}}),
        ("snowflake", 1024, {"reasoning": {"max_tokens": 1024}}),
        ("deepseek", "high", {"thinking": {"type": "enabled"}}),
        ("zhipu", "none", {"thinking": {"type": "disabled"}}),
        ("moonshot", "low", {"thinking": {"type": "enabled"}}),
        ("ark", "low", {"thinking": {"type": "enabled"}, "reasoning_effort": "low"}),
        ("ark", "none", {"thinking": {"type": "disabled"}}),
        ("dashscope", 500, {"enable_thinking": True, "thinking_budget": 500}),
        ("siliconflow", "none", {"enable_thinking": False}),
    ],
)
def test_an_effort_is_said_in_the_servers_words(name: str, reasoning: str | int, expected: dict[str, Any]) -> None:
    """And in no others beside them."""
    sent = body(name, reasoning=reasoning)

    assert expected == {key: value for key, value in sent.items() if key not in ("model", "messages", "reasoning_split")}


def test_a_budget_is_refused_where_there_is_none() -> None:
    """Also by those that take an effort beside the switch."""
    with pytest.raises(UnsupportedParameterError, match="no budget in tokens"):
        body("ark", reasoning=2000)


@pytest.mark.parametrize("name", ["deepseek", "moonshot"])
def test_thoughts_go_back_with_calls(name: str) -> None:
    """Its own as they were; blank ones where they were another's, since none at all is refused."""
    own = body(name, history(Thinking("I look.", provider=name)))["messages"][1]
    foreign = body(name, history(Thinking("Secret.", provider="anthropic")))["messages"][1]
    spoken = body(name, [user("Hi"), assistant("Hello"), user("Bye")])["messages"][1]

    assert "I look." == own["reasoning_content"]
    assert " " == foreign["reasoning_content"]
    assert "reasoning_content" not in spoken


@pytest.mark.parametrize("name", ["ollama", "vllm"])
def test_thoughts_go_back_as_reasoning(name: str) -> None:
    """Under the name they came by."""
    turns = body(name, history(Thinking("Hm.", provider=name)), options={"api": "chat"})["messages"]

    assert "Hm." == turns[1]["reasoning"]


# -- content


@pytest.mark.parametrize(
    ("name", "expected"),
    [("openai", {"content": None}), ("groq", {}), ("databricks", {}), ("cloudflare", {"content": ""})],
)
def test_a_silent_turn_has_the_content_its_server_takes(name: str, expected: dict[str, Any]) -> None:
    """Null is refused by some, an empty string by others."""
    turn = body(name, history())["messages"][1]

    assert expected == {key: value for key, value in turn.items() if key == "content"}
    assert "look" == turn["tool_calls"][0]["function"]["name"]


@pytest.mark.parametrize("name", ["heroku", "cloudflare", "moonshot", "fastchat"])
def test_texts_go_as_one_string_where_lists_are_refused(name: str) -> None:
    """Two parts are two lines."""
    assert "a\nb" == body(name, [user("a", "b")])["messages"][0]["content"]


@pytest.mark.parametrize("name", ["heroku", "cloudflare"])
def test_a_picture_is_refused_where_content_is_a_string(name: str) -> None:
    """Here rather than by the server."""
    with pytest.raises(ConfigurationError, match="takes text only"):
        body(name, [user("Look", Image(data=b"x", media_type="image/png"))])


@pytest.mark.parametrize("name", ["moonshot", "fastchat"])
def test_a_picture_makes_it_a_list(name: str) -> None:
    """Models that see take one."""
    content = body(name, [user("Look", Image(data=b"x", media_type="image/png"))])["messages"][0]["content"]

    assert ["text", "image_url"] == [piece["type"] for piece in content]


@pytest.mark.parametrize("name", ["ollama", "moonshot"])
def test_a_linked_picture_is_refused_where_links_are_not_followed(name: str) -> None:
    """The error says what to give instead."""
    with pytest.raises(ConfigurationError, match="as data only"):
        body(name, [user(Image(url="https://pictures.example/cat.png"))], options={"api": "chat"})


@pytest.mark.parametrize("name", ["mistral", "codestral", "databricks"])
@pytest.mark.parametrize("role", ["user", "assistant"])
def test_a_speakers_name_is_refused_where_the_server_would(name: str, role: Any) -> None:
    """Leaving it out would change who said what."""
    with pytest.raises(ConfigurationError, match="name='Ann'"):
        body(name, [user("Hi"), Message(role, [Text("I am here")], name="Ann")])


def test_databricks_gets_one_system_message() -> None:
    """At the beginning, in their order."""
    turns = body("databricks", [system("Be brief."), user("Hi"), system("Be kind.")])["messages"]

    assert [{"role": "system", "content": "Be brief.\n\nBe kind."}, {"role": "user", "content": "Hi"}] == turns


def test_a_lone_system_message_comes_first_there() -> None:
    """Even one that came later; content in parts stays in parts."""
    late = body("databricks", [user("Hi"), system("Be kind.")])["messages"]
    mixed = body("databricks", [system("Be brief."), system("a", "b"), user("Hi")])["messages"]

    assert ["system", "user"] == [turn["role"] for turn in late]
    assert ["Be brief.", "a", "b"] == [piece["text"] for piece in mixed[0]["content"]]


def test_openrouter_marks_what_to_cache() -> None:
    """On the part, as its reference says; others never see the mark."""
    turns = [user(Text("long", cache=True), "short")]

    assert {"type": "ephemeral"} == body("openrouter", turns)["messages"][0]["content"][0]["cache_control"]
    assert "cache_control" not in body("openai", turns)["messages"][0]["content"][0]


# -- answers


def answer(name: str, message: dict[str, Any], usage: dict[str, Any] | None = None) -> Any:
    """Return what the row *name* reads in an answer with *message*."""
    whole = {"id": "1", "model": "m", "choices": [{"index": 0, "finish_reason": "stop", "message": message}], "usage": usage}
    reply = HttpResponse(status=200, headers=Headers({"content-type": "application/json"}), body=json.dumps(whole).encode())
    return find_provider(name).dialect.decode(reply, make_request("Hi", model="m"))


@pytest.mark.parametrize(("name", "expected"), [("xai", 253), ("gemini-openai", 253), ("openai", 26)])
def test_thoughts_outside_the_count_are_counted(name: str, expected: int) -> None:
    """Where the total is more than its parts, the rest was thought. Figures: recorded traffic of xAI."""
    usage = {
        "prompt_tokens": 307,
        "completion_tokens": 26,
        "total_tokens": 560,
        "completion_tokens_details": {"reasoning_tokens": 227},
    }

    assert expected == answer(name, {"content": "Hi"}, usage).usage.output_tokens


@pytest.mark.parametrize("name", ["minimax", "together", "huggingface", "perplexity", "portkey"])
def test_thoughts_in_the_text_are_taken_out_of_it(name: str) -> None:
    """Where servers write them there."""
    read = answer(name, {"content": "<think>Hm.</think>\nHello"})

    assert ("Hm.", "Hello") == (read.thinking, read.text)

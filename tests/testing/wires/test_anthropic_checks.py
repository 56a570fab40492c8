"""What the Messages API refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit.testing.replies import RecordedRequest, Reply
from llmkit.testing.wires.anthropic_checks import check_count, check_messages
from llmkit.testing.wires.anthropic_history import sealed

USER = {"role": "user", "content": "Say hi"}
CALLS = {
    "role": "assistant",
    "content": [
        {"type": "tool_use", "id": "a", "name": "look", "input": {}},
        {"type": "tool_use", "id": "b", "name": "look", "input": {}},
    ],
}
TOOL = {"name": "look", "input_schema": {"type": "object"}}
OPEN = {"type": "object", "properties": {}}
MARKED = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}


def results(*ids: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": one, "content": "1"} for one in ids]}


def said(*blocks: Any, role: str = "assistant") -> dict[str, Any]:
    return {"role": role, "content": list(blocks)}


def shape(**schema: Any) -> dict[str, Any]:
    return {"format": {"type": "json_schema", "schema": schema}}


def asked(body: Any, *, version: str | None = "2023-06-01") -> RecordedRequest:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {} if version is None else {"anthropic-version": version}
    return RecordedRequest(
        method="POST", path="/anthropic/v1/messages", provider="anthropic", endpoint="/v1/messages", body=data, headers=headers
    )


def refusal(*, version: str | None = "2023-06-01", **body: Any) -> tuple[int, str] | None:
    """Return status and message of the refusal of a request that is good but for *body*; a value of ... is left out."""
    good = {"model": "claude-sonnet-4-5", "max_tokens": 100, "messages": [USER]}
    whole = {key: value for key, value in {**good, **body}.items() if value is not ...}
    reply = check_messages(asked(whole, version=version))
    return None if reply is None or reply.failure is None else (reply.status, str(reply.failure.message))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"model": ...}, "model: Field required"),
        ({"max_tokens": ...}, "max_tokens: Field required"),
        ({"max_tokens": True}, "max_tokens: Input should be of another type than bool"),
        ({"max_tokens": -1}, "max_tokens: Input should be greater than or equal to 0"),
        ({"max_tokens": 64_001}, "max_tokens: 64001 > 64000"),
        ({"messages": ...}, "messages: Field required"),
        ({"messages": []}, "messages: at least one message is required"),
        ({"seed": 1}, "seed: Extra inputs are not permitted"),
        ({"metadata": {"team": "x"}}, "metadata.team: Extra inputs are not permitted"),
        ({"stop_sequences": [" "]}, "stop_sequences: each stop sequence must contain non-whitespace"),
        ({"system": [{"type": "image"}]}, "system.0: Input tag 'image'"),
        ({"system": " "}, "system: text content blocks must be non-empty"),
        ({"temperature": 1.5}, "temperature: range: 0..1"),
        ({"top_p": 1.5}, "top_p: range: 0..1"),
        ({"temperature": 1, "top_p": 1}, "`temperature` and `top_p` cannot both be specified"),
        ({"model": "claude-opus-5", "top_k": 3}, "`top_k` is not supported for this model."),
        ({"version": "2026-10-21", "temperature": 1}, "temperature: Extra inputs are not permitted"),
        ({"version": None}, "anthropic-version: header is required"),
        ({"version": "2020-01-01"}, 'anthropic-version: "2020-01-01" is not a valid version'),
    ],
)
def test_a_wrong_request_is_refused(body: dict[str, Any], expected: str) -> None:
    """With the field and the reason that the API names."""
    found = refusal(**body)

    assert found is not None
    assert (400, expected) == (found[0], found[1][: len(expected)])


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        (["Hi"], "messages.0: Input should be an object"),
        ([{**USER, "name": "Ann"}], "messages.0.name: Extra inputs are not permitted"),
        ([{"role": "tool", "content": "1"}], "messages.0.role: Input should be 'user' or 'assistant'"),
        ([{"role": "user"}], "messages.0.content: Field required"),
        ([{"role": "user", "content": 7}], "messages.0.content: Input should be a valid list"),
        ([{"role": "user", "content": ""}], "messages.0: all messages must have non-empty content"),
        ([said("Hi", role="user")], "messages.0.content.0: Input should be an object"),
        ([said({"type": "text"}, role="user")], "messages.0.content.0.text.text: Field required"),
        ([said({"type": "text", "text": ""}, role="user")], "messages: text content blocks must be non-empty"),
        ([said({"type": "text", "text": " \n"}, role="user")], "messages: text content blocks must contain non-whitespace text"),
        ([said({"type": "text", "text": "x", "y": 1}, role="user")], "messages.0.content.0.text.y: Extra inputs"),
        ([said({"type": "image_url"}, role="user")], "messages.0.content.0: Input tag 'image_url' found"),
        ([said({"type": "image", "source": {"type": "text"}}, role="user")], "messages.0.content.0.image.source: Input tag 'text'"),
        (
            [said({"type": "image", "source": {"type": "base64", "media_type": "image/bmp", "data": ""}}, role="user")],
            "messages.0.content.0.image.source.base64.media_type: Input should be 'image/gif'",
        ),
        (
            [said({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "?"}}, role="user")],
            "messages.0.content.0.image.source.base64.data: Invalid base64 data",
        ),
        (
            [said({"type": "document", "source": {"type": "text", "media_type": "text/html", "data": ""}}, role="user")],
            "messages.0.content.0.document.source.text.media_type: Input should be 'text/plain'",
        ),
        (
            [said({"type": "image", "source": {"type": "url", "url": "http://x"}}, role="user")],
            "messages.0.content.0.image.source.url.url: Only HTTPS",
        ),
        ([said({"type": "text", "text": "Hi"}), USER], 'messages: first message must use the "user" role'),
        ([{"role": "system", "content": "x"}, USER], "messages.0: use the top-level 'system' parameter"),
        ([USER, {"role": "system", "content": "x"}], "messages.1: role 'system' is not supported on this model"),
        ([USER, said({"type": "text", "text": "Hi "})], "messages: final assistant content cannot end with trailing whitespace"),
        ([USER, said({"type": "tool_result", "tool_use_id": "a"})], "messages.1.content.0: Input tag 'tool_result' found"),
        (
            [USER, said({"type": "tool_use", "id": "a:1", "name": "x", "input": {}})],
            "messages.1.content.0.tool_use.id: String should match",
        ),
        (
            [USER, said({"type": "tool_use", "id": "a", "name": "x.y", "input": {}})],
            "messages.1.content.0.tool_use.name: String should match",
        ),
        ([USER, said({"type": "tool_use", "id": "a", "name": "x", "input": "{}"})], "messages.1.content.0.tool_use.input: Input should be"),
        ([USER, CALLS, results("a", "b"), CALLS, results("a", "b")], "messages.3: `tool_use` ids must be unique"),
        ([USER, CALLS], "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: a, b"),
        ([USER, CALLS, results("a")], "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: b"),
        (
            [USER, CALLS, said({"type": "text", "text": "x"}, *results("a", "b")["content"], role="user")],
            "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: b",
        ),
        ([USER, CALLS, USER], "messages.1: `tool_use` ids were found without"),
        ([USER, CALLS, results("a", "b", "c")], "messages.2.content: unexpected `tool_use_id` found in `tool_result` blocks: c"),
        ([results("a")], "messages.0.content: unexpected `tool_use_id`"),
        ([USER, CALLS, results("a b")], "messages.2.content.0.tool_result.tool_use_id: String should match"),
        (
            [USER, CALLS, said({"type": "tool_result", "tool_use_id": "a", "content": []}, role="user")],
            "messages.2.content.0.tool_result.content: List should have at least 1 item",
        ),
        (
            [USER, CALLS, said({"type": "tool_result", "tool_use_id": "a", "content": 7}, role="user")],
            "messages.2.content.0.tool_result.content: Input should be a valid list",
        ),
        (
            [USER, CALLS, said({"type": "tool_result", "tool_use_id": "a", "content": [{"type": "tool_use"}]}, role="user")],
            "messages.2.content.0.tool_result.content.0: Input tag 'tool_use'",
        ),
        ([USER, said({"type": "thinking"}), USER], "messages.1.content.0.thinking.thinking: Field required"),
        ([USER, said({"type": "thinking", "thinking": "x"}), USER], "messages.1.content.0.thinking.signature: Field required"),
        (
            [USER, said({"type": "thinking", "thinking": "y", "signature": sealed("x")}), USER],
            "messages.1.content.0: Invalid `signature` in `thinking` block",
        ),
        ([USER, said({"type": "redacted_thinking"}), USER], "messages.1.content.0.redacted_thinking.data: Field required"),
    ],
)
def test_a_wrong_history_is_refused(messages: list[Any], expected: str) -> None:
    """At the place where it is wrong."""
    found = refusal(messages=messages)

    assert found is not None
    assert (400, expected) == (found[0], found[1][: len(expected)])


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"messages": [USER, said({"type": "text", "text": "x"})]}, "This model does not support assistant message prefill."),
        ({"messages": [USER, {"role": "system", "content": "x"}, USER]}, "messages.1: a system message must follow a user turn"),
        (
            {"messages": [USER, said({"type": "text", "text": "x"}), {"role": "system", "content": "x"}]},
            "messages.2: a system message must follow a user turn",
        ),
        ({"messages": [USER, said({"type": "image"}, role="system")]}, "messages.1.content.0: Input tag 'image'"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, '"thinking.type.enabled" is not supported for this model.'),
        ({"model": "claude-opus-5-5", "thinking": {"type": "disabled"}}, '"thinking.type.disabled" is not supported'),
        ({"model": "claude-opus-5-5", "tools": [TOOL], "tool_choice": {"type": "any"}}, "tool_choice: type 'any' is not supported for"),
    ],
)
def test_newer_models_refuse_more(body: dict[str, Any], expected: str) -> None:
    """Each in its own words."""
    found = refusal(**{"model": "claude-opus-5", **body})

    assert found is not None
    assert expected == found[1][: len(expected)]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"thinking": {"type": "adaptive"}}, '"thinking.type.adaptive" is not supported for this model. Supported: enabled, disabled.'),
        ({"thinking": {"type": "enabled"}}, "thinking.enabled.budget_tokens: Field required"),
        ({"thinking": {"type": "disabled", "budget_tokens": 1}}, "thinking.disabled.budget_tokens: Extra inputs"),
        ({"thinking": {"type": "enabled", "budget_tokens": "many"}}, "thinking.enabled.budget_tokens: Input should be a valid integer"),
        ({"model": "claude-sonnet-5-5", "thinking": {"type": "disabled"}}, '"thinking.type.disabled" is not supported'),
        ({"model": "claude-fable-5-1", "tools": [TOOL], "tool_choice": {"type": "any"}}, "tool_choice: type 'any' is not supported"),
        ({"model": "claude-opus-4-5", "output_config": {"effort": "max"}}, "This model does not support effort level 'max'."),
        ({"thinking": {"type": "enabled", "budget_tokens": 1000}}, "thinking.enabled.budget_tokens: Input should be greater"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "`max_tokens` must be greater than `thinking.budget_tokens`."),
        (
            {"max_tokens": 3000, "thinking": {"type": "enabled", "budget_tokens": 2000}, "temperature": 0.5},
            "`temperature` may only be set to 1",
        ),
        ({"output_config": {"effort": "low"}}, "This model does not support the effort parameter."),
        (
            {"model": "claude-opus-4-6", "output_config": {"effort": "xhigh"}},
            "This model does not support effort level 'xhigh'. Supported levels: high, low, max, medium.",
        ),
        ({"output_config": {"format": {"type": "json_object"}}}, "output_config.format: Input should be"),
        ({"output_config": shape(**OPEN)}, "output_config.format.schema: For 'object' type, 'additionalProperties' must be"),
        ({"output_config": shape(type="integer", minimum=1)}, "output_config.format.schema: For 'integer' type, property 'minimum'"),
        ({"output_config": shape(type="array", minItems=2)}, "output_config.format.schema: For 'array' type, 'minItems' values"),
        ({"output_config": shape(type="string", format="path")}, "output_config.format.schema: For 'string' type, 'format' value 'path'"),
        ({"output_config": shape(**{"$ref": "#/$defs/A", "title": "x"})}, "output_config.format.schema: Nothing may stand beside"),
        ({"output_config": shape(anyOf=[{}])}, "output_config.format.schema: Schema must have a 'type'"),
        ({"output_config": shape(type="array", items=True)}, "output_config.format.schema: Input should be an object"),
        ({"output_config": shape(**{"type": "null", "$defs": {"A": OPEN}})}, "output_config.format.schema: For 'object' type"),
        ({"tools": [{"type": "function", "function": {}}], "tool_choice": {"type": "yes"}}, "tool_choice: Input tag 'yes'"),
        ({"tools": [{**TOOL, "parameters": {}}]}, "tools.0.custom.parameters: Extra inputs"),
        ({"tools": [{**TOOL, "name": "x.y"}]}, "tools.0.custom.name: String should match"),
        ({"tools": [{"name": "x", "input_schema": {}}]}, "tools.0.custom.input_schema.type: Input should be 'object'"),
        ({"tools": [{"name": "x", "input_schema": OPEN, "strict": True}]}, "tools.0.custom.input_schema: For 'object' type"),
        ({"tools": [TOOL, TOOL]}, "tools: Tool names must be unique."),
        ({"tool_choice": {"type": "auto"}}, "tool_choice: may only be specified while providing tools"),
        ({"tools": [TOOL], "tool_choice": {"type": "none", "disable_parallel_tool_use": True}}, "tool_choice.none.disable_parallel"),
        ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "x"}}, "tool_choice.tool: Tool 'x' not found"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "any"}, "max_tokens": 3000, "thinking": {"type": "enabled", "budget_tokens": 2000}},
            "Thinking may not be enabled when tool_choice forces tool use.",
        ),
        ({"system": [MARKED] * 3, "messages": [said(MARKED, MARKED, role="user")]}, "A maximum of 4 blocks with cache_control"),
    ],
)
def test_wrong_switches_are_refused(body: dict[str, Any], expected: str) -> None:
    """Thinking, output, tools and cache."""
    found = refusal(**body)

    assert found is not None
    assert expected == found[1][: len(expected)]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"max_tokens": 0},
        {"messages": [said({"type": "image", "source": {"type": "url", "url": "https://x"}}, role="user")]},
        {"model": "claude-opus-4-6", "temperature": 1, "top_k": 3, "output_config": {"effort": "max"}},
        {"model": "claude-novel-7", "max_tokens": 10**6, "thinking": {"type": "between_tools"}, "output_config": {"effort": "max"}},
        {"model": "claude-opus-5", "messages": [USER, {"role": "system", "content": "x"}, said({"type": "text", "text": "y"}), USER]},
        {"messages": [USER, USER, CALLS, results("a"), results("b"), said({"type": "text", "text": "y"})]},
        {
            "messages": [
                USER,
                said({"type": "thinking", "thinking": "x", "signature": sealed("x")}, {"type": "redacted_thinking", "data": "x"}),
                USER,
            ]
        },
        {
            "model": "claude-opus-5",
            "messages": [USER, said({"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}})],
        },
        {"tools": [{"type": "web_search_20260318", "name": "web_search"}, TOOL], "tool_choice": {"type": "tool", "name": "web_search"}},
        {"system": [MARKED], "messages": [said(MARKED, MARKED, MARKED, role="user")]},
        {"output_config": shape(type="object", properties={"a": {"enum": [1]}}, additionalProperties=False)},
        {"version": "2026-10-21", "metadata": {"user_id": "u"}, "stop_sequences": ["x"]},
    ],
)
def test_a_good_request_is_taken(body: dict[str, Any]) -> None:
    """Whatever the API takes."""
    assert refusal(**body) is None


def test_a_model_that_does_not_exist_is_not_found() -> None:
    """By its name alone."""
    assert (404, "model: no-such-model") == refusal(model="no-such-model")


def test_a_body_that_is_no_object_is_refused() -> None:
    """Whatever else it is."""
    for body in (b"", b"{", b"[]"):
        found = check_messages(asked(body))
        assert found is not None
        assert 400 == found.status


def test_counting_takes_less() -> None:
    """What has nothing to do with the input is refused."""
    assert check_count(asked({"model": "m", "messages": [USER]})) is None
    found = check_count(asked({"model": "m", "messages": [USER], "max_tokens": 5}))
    assert found is not None
    assert found.failure is not None
    assert "max_tokens: Extra inputs are not permitted" == found.failure.message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 5) | st.sampled_from(["text", "user", "assistant", "tool_use", "any", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "role", "content", "name", "id", "input", "source", "items", "schema"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["system", "tools", "tool_choice", "thinking", "output_config", "temperature", "metadata", "messages", "stop_sequences"]
)


@settings(max_examples=300)
@given(st.dictionaries(FIELDS, JSON, max_size=3), st.lists(JSON, max_size=3))
def test_strange_requests_are_refused_or_taken(body: dict[str, Any], messages: list[Any]) -> None:
    """The checks never fail themselves."""
    whole = {"model": "claude-sonnet-4-5", "max_tokens": 5, "messages": [USER, *messages], **body}

    found = check_messages(asked(whole))

    assert found is None or isinstance(found, Reply)

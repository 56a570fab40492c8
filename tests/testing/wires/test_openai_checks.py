"""What Chat Completions refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit.testing.replies import RecordedRequest, Reply
from llmkit.testing.wires import openai_chat
from llmkit.testing.wires.openai_checks import check_chat, check_embeddings

USER = {"role": "user", "content": "Say hi"}
CALL = {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function"}]}
OPEN = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
LOOSE = {"type": "object", "properties": {"a": {"type": "string"}}, "required": [], "additionalProperties": False}


def asked(body: Any, *, provider: str = "openai", endpoint: str = "/v1/chat/completions") -> RecordedRequest:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return RecordedRequest(method="POST", path=f"/{provider}{endpoint}", provider=provider, endpoint=endpoint, body=data)


def refusal(*, provider: str = "openai", **body: Any) -> tuple[int, Any, Any] | None:
    """Return status, code and parameter of the refusal of a request that is good but for *body*."""
    reply = check_chat(asked({"model": "gpt-4o", "messages": [USER], **body}, provider=provider))
    return None if reply is None or reply.failure is None else (reply.status, reply.failure.code, reply.failure.param)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"model": None}, (400, None, None)),
        ({"model": "no-such-model"}, (404, "model_not_found", None)),
        ({"messages": None}, (400, "missing_required_parameter", "messages")),
        ({"messages": []}, (400, "empty_array", "messages")),
        ({"messages": "Say hi"}, (400, "invalid_type", "messages")),
        ({"messages": ["Say hi"]}, (400, "invalid_type", "messages[0]")),
        ({"messages": [USER, {"role": "robot", "content": ""}]}, (400, "invalid_value", "messages[1].role")),
        ({"messages": [{"role": "user", "content": None}]}, (400, None, "messages.[0].content")),
        ({"messages": [{"role": "assistant", "content": None}]}, (400, None, "messages.[0].content")),
        ({"messages": [USER, {"role": "tool", "tool_call_id": "c1", "content": ""}]}, (400, None, "messages.[1].role")),
        ({"messages": [USER, CALL]}, (400, None, "messages.[1].role")),
        ({"messages": [USER, CALL, USER]}, (400, None, "messages.[2].role")),
        ({"top_k": 3}, (400, None, None)),
        ({"temperature": 2.1}, (400, "decimal_above_max_value", "temperature")),
        ({"temperature": -1}, (400, "decimal_below_min_value", "temperature")),
        ({"temperature": "hot"}, (400, "invalid_type", "temperature")),
        ({"n": "two"}, (400, "invalid_type", "n")),
        ({"stop": list("abcde")}, (400, "array_above_max_length", "stop")),
        ({"stream_options": {"include_usage": True}}, (400, None, "stream_options")),
        ({"tool_choice": "auto"}, (400, None, "tool_choice")),
        ({"model": "o3-mini", "max_tokens": 5}, (400, "unsupported_parameter", "max_tokens")),
        ({"model": "gpt-5.1", "max_tokens": 5}, (400, "unsupported_parameter", "max_tokens")),
        ({"response_format": {"type": "json_object"}}, (400, None, "messages")),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": OPEN}}},
            (400, None, "response_format"),
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": LOOSE}}},
            (400, None, "response_format"),
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "strict": True, "parameters": OPEN}}]},
            (400, "invalid_function_parameters", "tools[0].function.parameters"),
        ),
    ],
)
def test_a_wrong_request_is_refused(body: dict[str, Any], expected: Any) -> None:
    """Each with the code and the parameter that OpenAI names."""
    assert expected == refusal(**body)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"messages": [USER, CALL, {"role": "tool", "tool_call_id": "c1", "content": "x"}]},
        {"temperature": 0, "stop": list("abcd"), "max_tokens": 5, "n": 1},
        {"model": "gpt-5", "max_completion_tokens": 5},
        {
            "messages": [{"role": "developer", "content": "Answer in JSON."}, USER],
            "response_format": {"type": "json_object"},
        },
        {"stream": True, "stream_options": {"include_usage": True}},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "x", "strict": True, "schema": {**OPEN, "additionalProperties": False}},
            }
        },
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": LOOSE}}], "tool_choice": "auto"},
    ],
)
def test_a_good_request_is_not_refused(body: dict[str, Any]) -> None:
    """Neither by OpenAI nor by a look-alike."""
    assert refusal(**body) is None
    assert refusal(provider="acme", **body) is None


def test_look_alikes_do_not_share_the_rules_of_openais_service() -> None:
    """They ignore what they do not know."""
    assert refusal(provider="vllm", top_k=3, model="openai/gpt-5", max_tokens=5, response_format={"type": "json_object"}) is None


def test_the_first_strict_fault_is_named() -> None:
    """With its place in the schema, however deep."""
    nested = {"type": "object", "properties": {"b": OPEN}, "required": ["b"], "additionalProperties": False}
    spec = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": nested}}

    reply = check_chat(asked({"model": "m", "messages": [USER], "response_format": spec}))

    assert reply is not None
    assert reply.failure is not None
    assert (
        "Invalid schema for response_format 'x': In context=('properties', 'b'), "
        "'additionalProperties' is required to be supplied and to be false."
    ) == reply.failure.message


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff"])
def test_a_body_that_is_no_object_is_refused(data: bytes) -> None:
    """It could not be parsed."""
    reply = check_chat(asked(data))

    assert reply is not None
    assert 400 == reply.status


def test_a_deployment_in_the_path_is_a_model() -> None:
    """As Azure names it."""
    path = "/openai/deployments/mine/chat/completions"

    assert check_chat(asked({"messages": [USER]}, provider="azure", endpoint=path)) is None


@pytest.mark.parametrize("given", [None, "", [], ["a", ""], 7, {"a": 1}, ["a"] * 2049])
def test_wrong_inputs_of_embeddings_are_refused(given: Any) -> None:
    """Empty, of another type, or too many."""
    reply = check_embeddings(asked({"model": "m", "input": given}))

    assert reply is not None
    assert 400 == reply.status


@pytest.mark.parametrize("given", ["a", ["a", "b"], [1, 2], [[1], [2, 3]]])
def test_good_inputs_of_embeddings_are_not(given: Any) -> None:
    """Text, tokens, or many of either."""
    assert check_embeddings(asked({"model": "m", "input": given})) is None


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False) | st.sampled_from(["", "user", "tool", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "type", "function", "json_schema", "id"]), inner, max_size=3)
    ),
    max_leaves=8,
)
_names = [
    "model",
    "messages",
    "tools",
    "tool_choice",
    "response_format",
    "stop",
    "stream",
    "stream_options",
    "n",
    "input",
]


@settings(max_examples=300)
@given(body=_json | st.dictionaries(st.sampled_from(_names), _json), good=st.booleans())
def test_whatever_comes_is_judged_and_answered(body: Any, good: bool) -> None:
    """No body makes the fake itself fail."""
    if good and isinstance(body, dict):
        body = {**body, "model": "m", "messages": [USER]}
    request = asked(body)

    refused = check_chat(request)
    rendered = openai_chat.render_error(request, refused) if refused else openai_chat.render_chat(request, Reply())

    assert (refused.status if refused else 200) == rendered.status
    assert rendered.body

"""What Cohere refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit.testing.replies import RecordedRequest, Reply
from llmkit.testing.wires import find
from llmkit.testing.wires.cohere_checks import check_chat, check_embed, check_rerank, check_tokenize

USER = {"role": "user", "content": "Say hi"}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLING = {"role": "assistant", "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "x"}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
THINKER = "command-a-reasoning-08-2025"


def asked(body: Any, path: str = "/v2/chat") -> RecordedRequest:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return RecordedRequest(method="POST", path=f"/cohere{path}", provider="cohere", endpoint=path, body=data)


def told(reply: Reply | None) -> tuple[int, str] | None:
    return None if reply is None or reply.failure is None else (reply.status, str(reply.failure.message))


def refusal(**body: Any) -> tuple[int, str] | None:
    """Return status and message of the refusal of a request that is good but for *body*."""
    return told(check_chat(asked({"model": "command-a-03-2025", "messages": [USER], **body})))


def shape(**schema: Any) -> dict[str, Any]:
    return {"response_format": {"type": "json_object", "json_schema": {"type": "object", "required": ["a"], "properties": {"a": schema}}}}


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"top_p": 0.5}, 422, "unknown field: parameter 'top_p'"),
        ({"model": None}, 400, "model is required"),
        ({"model": "no-such-model"}, 404, "model 'no-such-model' not found, make sure"),
        ({"messages": []}, 400, "must have a message"),
        ({"messages": "Hi"}, 400, "must have a message"),
        ({"messages": ["Hi"]}, 400, "invalid role"),
        ({"messages": [{"role": "developer", "content": "x"}]}, 400, "invalid role"),
        ({"messages": [USER, {"role": "system", "content": "x"}]}, 400, "system turn must be the first in the list"),
        ({"messages": [{"role": "user", "content": ""}]}, 400, "non-empty content"),
        ({"messages": [USER, {"role": "assistant", "content": []}]}, 400, "non-empty content"),
        ({"messages": [{"role": "user", "content": {"a": 1}}]}, 422, "invalid type"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]}, 400, "empty piece of text"),
        ({"messages": [{"role": "user", "content": [{"type": "document"}]}]}, 400, "piece of type 'document'"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, 400, "piece of type None"),
        ({"messages": [USER, RESULT]}, 400, "tool call id not found in previous tool calls"),
        ({"messages": [USER, CALLING]}, 400, "tool calls without a result: c1"),
        ({"messages": [USER, CALLING, RESULT, RESULT]}, 400, "duplicate tool call id 'c1'"),
        ({"messages": [USER, CALLING, RESULT, CALLING, RESULT]}, 400, "tool call id 'c1' is empty or not unique"),
        ({"messages": [USER, {"role": "assistant", "tool_calls": [{**CALL, "id": ""}]}]}, 400, "empty or not unique"),
        ({"messages": [USER, {"role": "assistant", "tool_calls": [{**CALL, "function": {"arguments": {}}}]}]}, 422, "must be a string"),
        ({"tools": [{"function": {"name": "get-time", "parameters": {}}}]}, 400, "tool name 'get-time' must have only"),
        ({"tools": [{"function": {"name": "7up", "parameters": {}}}]}, 400, "start with no digit"),
        ({"tools": [{"function": {"name": "f"}}]}, 400, "has no parameters"),
        ({"tools": [TOOL], "strict_tools": True}, 400, "at least one required parameter"),
        ({"tools": [TOOL], "tool_choice": "AUTO"}, 422, "one of REQUIRED, NONE"),
        ({"tool_choice": "REQUIRED"}, 400, "only be specified with tools"),
        ({"temperature": 1.5}, 400, "temperature must be between 0 and 1 inclusive."),
        ({"p": 1.0}, 400, "p must be between 0.01 and 0.99"),
        ({"k": 501}, 400, "k must be between 0 and 500"),
        ({"frequency_penalty": -0.5}, 400, "frequency_penalty must be between"),
        ({"presence_penalty": "much"}, 422, "presence_penalty is of type str but should be a number"),
        ({"stop_sequences": list("abcdef")}, 400, "at most 5"),
        ({"stop_sequences": "a"}, 400, "at most 5"),
        ({"thinking": {"type": "enabled"}}, 400, "thinking is not supported for model 'command-a-03-2025'"),
        ({"model": THINKER, "thinking": {"token_budget": 5}}, 400, "thinking type must be one of"),
        ({"documents": "x"}, 422, "documents must be a list"),
        ({"documents": [{"text": "x"}]}, 400, "must be a string or have data"),
        ({"documents": ["x"], "response_format": {"type": "json_object"}}, 400, "not supported with RAG"),
        ({"tools": [TOOL], "response_format": {"type": "json_object"}}, 400, "not supported with tools"),
        ({"response_format": {"type": "json_schema"}}, 400, "one of text, json_object"),
        ({"response_format": {"type": "json_object", "json_schema": {"type": "array"}}}, 400, "top level must be an object"),
        ({"response_format": {"type": "json_object", "json_schema": {"type": "object"}}}, 400, "at least one required field"),
        (shape(type="integer", minimum=1), 400, "keyword 'minimum' is not supported"),
        (shape(type="string", format="email"), 400, "format 'email' is not supported"),
        (shape(type="string", pattern="^a$"), 400, "is not supported"),
        (shape(anyOf=[{"type": "object"}]), 400, "at least one required field"),
        (shape(type="array", items={"type": "array", "minItems": 1}), 400, "keyword 'minItems'"),
    ],
)
def test_a_wrong_request_is_refused(body: dict[str, Any], status: int, words: str) -> None:
    """Each with a sentence of its own."""
    found = refusal(**body)

    assert found is not None
    assert status == found[0]
    assert words in found[1]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"messages": [{"role": "system", "content": "a"}, {"role": "system", "content": "b"}, USER]},
        {"messages": [USER, CALLING, RESULT, {"role": "assistant", "content": [{"type": "thinking", "thinking": "x"}]}]},
        {"messages": [USER, CALLING, {**RESULT, "content": [{"type": "document", "document": {"data": "x"}}]}, USER]},
        {"temperature": 0, "p": 0.99, "k": 0, "seed": 1, "stop_sequences": list("abcde"), "max_tokens": 5, "stream": True},
        {"tools": [TOOL], "tool_choice": "NONE"},
        {"documents": ["x", {"data": {"text": "y"}}, {"id": "a", "data": "z"}]},
        {"model": THINKER, "thinking": {"type": "enabled", "token_budget": 5}},
        {"response_format": {"type": "text"}, "tools": [TOOL]},
        {"response_format": {"type": "json_object"}},
        shape(type="string", format="date", pattern="[a-z]+"),
    ],
)
def test_a_good_request_is_not_refused(body: dict[str, Any]) -> None:
    """Nothing in it is wrong."""
    assert refusal(**body) is None


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"5"])
def test_a_body_that_is_none_is_refused(data: bytes) -> None:
    """On every route."""
    for check in (check_chat, check_embed, check_rerank, check_tokenize):
        found = told(check(asked(data)))

        assert found is not None
        assert 400 == found[0]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"texts": ["a"]}, "valid input_type"),
        ({"input_type": "clustering"}, "one of texts, images or inputs"),
        ({"input_type": "clustering", "texts": []}, "one of texts, images or inputs"),
        ({"input_type": "clustering", "texts": ["a"] * 97}, "at most 96 - received 97"),
    ],
)
def test_wrong_requests_for_embeddings_are_refused(body: dict[str, Any], words: str) -> None:
    """The type of input is demanded."""
    found = told(check_embed(asked({"model": "embed-v4.0", **body})))

    assert found is not None
    assert words in found[1]
    assert check_embed(asked({"model": "embed-v4.0", "input_type": "image", "images": ["data:x"]})) is None


def test_wrong_requests_for_ranks_and_tokens_are_refused() -> None:
    """What is needed must be there."""
    assert told(check_rerank(asked({"model": "m", "query": "x", "documents": []}))) is not None
    assert check_rerank(asked({"model": "m", "query": "x", "documents": ["a"]})) is None
    assert told(check_tokenize(asked({"model": "m", "text": ""}))) is not None
    assert check_tokenize(asked({"model": "m", "text": "a"})) is None


def test_a_model_that_does_not_exist_is_not_shown() -> None:
    """By its path."""
    route = find("cohere", "GET", "/v1/models/no-such-model").route

    assert route is not None
    request = RecordedRequest(method="GET", path="/cohere/v1/models/no-such-model", provider="cohere", endpoint="/v1/models/no-such-model")
    assert 404 == (told(route.check(request)) or (0, ""))[0]


WORDS = ["model", "messages", "role", "content", "type", "text", "tool_calls", "id", "function", "name", "parameters", "tools", "documents"]
WORDS += ["response_format", "json_schema", "properties", "required", "thinking", "stop_sequences", "p", "texts", "input_type", "query"]
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.sampled_from(["user", "assistant", "tool", "text", "json_object", "object", ""])),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(WORDS), inner, max_size=4)),
    max_leaves=10,
)


@settings(max_examples=300)
@given(st.one_of(JSON, st.builds(lambda rest: {"model": "m", "messages": [USER], **rest}, st.dictionaries(st.sampled_from(WORDS), JSON))))
def test_no_body_breaks_the_checks(body: Any) -> None:
    """Whatever it is, it is refused or not."""
    for check in (check_chat, check_embed, check_rerank, check_tokenize):
        reply = check(asked(body))

        assert reply is None or 400 <= reply.status < 500

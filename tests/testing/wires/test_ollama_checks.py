"""What Ollama refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit.testing.replies import RecordedRequest, Reply
from llmkit.testing.wires.ollama_checks import check_chat, check_embed, check_show, context_of

USER = {"role": "user", "content": "Say hi"}
ARGUMENTS = "ChatRequest.messages.tool_calls.function.arguments"
CALL = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]}


def asked(body: Any) -> RecordedRequest:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return RecordedRequest(method="POST", path="/ollama/api/chat", provider="ollama", endpoint="/api/chat", body=data)


def told(reply: Reply | None) -> tuple[int, str] | None:
    return None if reply is None or reply.failure is None else (reply.status, str(reply.failure.message))


def refusal(**body: Any) -> tuple[int, str] | None:
    """Return status and message of the refusal of a request that is good but for *body*."""
    return told(check_chat(asked({"model": "mine", "messages": [USER], **body})))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"model": None}, "model is required"),
        ({"model": ""}, "model is required"),
        ({"model": 5}, "json: cannot unmarshal number into Go struct field ChatRequest.model of type string"),
        ({"messages": "Say hi"}, "json: cannot unmarshal string into Go struct field ChatRequest.messages of type array"),
        ({"messages": ["Say hi"]}, "json: cannot unmarshal string into Go struct field ChatRequest.messages of type api.Message"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]},
            "json: cannot unmarshal array into Go struct field ChatRequest.messages.content of type string",
        ),
        ({"messages": [{"role": "developer", "content": ""}]}, 'invalid role: must be one of ["system", "user", "assistant", "tool"]'),
        (
            {"messages": [{**CALL, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}]},
            f"json: cannot unmarshal string into Go struct field {ARGUMENTS} of type api.ToolCallFunctionArguments",
        ),
        ({"messages": [{**USER, "images": ["https://x.example/a.png"]}]}, "illegal base64 data at input byte 4"),
        (
            {"messages": [{**USER, "images": [{"url": "x"}]}]},
            "json: cannot unmarshal object into Go struct field ChatRequest.messages.images of type api.ImageData",
        ),
        ({"format": "yaml"}, "invalid format: 'yaml'; expected \"json\" or a valid JSON Schema object"),
        ({"think": "maximal"}, 'invalid think value: \'maximal\' (must be "low", "medium", "high", "max", true, or false)'),
        ({"options": {"num_ctx": "8k"}}, 'option "num_ctx" must be of type integer'),
        ({"options": {"temperature": "hot"}}, 'option "temperature" must be of type float32'),
        ({"options": {"seed": True}}, 'option "seed" must be of type integer'),
        ({"options": {"stop": "END"}}, 'option "stop" must be of type array'),
        ({"options": {"stop": [1]}}, 'option "stop" must be of an array of strings'),
        ({"options": []}, "json: cannot unmarshal array into Go struct field ChatRequest.options of type object"),
        ({"stream": "yes"}, "json: cannot unmarshal string into Go struct field ChatRequest.stream of type bool"),
        (
            {"tools": [{"function": {"parameters": {"properties": {"x": True}}}}]},
            "json: cannot unmarshal bool into Go struct field ChatRequest.tools.function.parameters.properties of type api.ToolProperty",
        ),
        (
            {"tools": [{"function": {"parameters": {"type": ["object"]}}}]},
            "json: cannot unmarshal array into Go struct field ChatRequest.tools.function.parameters.type of type string",
        ),
        ({"model": "llama3.2", "think": True}, '"llama3.2" does not support thinking'),
        ({"model": "library/llama3.2:1b", "think": "low"}, '"library/llama3.2:1b" does not support thinking'),
        ({"model": "gemma3:4b", "tools": [{"function": {}}]}, '"gemma3:4b" does not support tools'),
        ({"model": "nomic-embed-text"}, '"nomic-embed-text" does not support chat'),
        (
            {"truncate": False, "options": {"num_ctx": 1}},
            "the prompt is longer than the context length (1 > 1): shorten it or raise num_ctx",
        ),
    ],
)
def test_a_wrong_request_is_refused(body: dict[str, Any], expected: str) -> None:
    """Each with the words of Ollama, or of Go's decoder."""
    if "num_ctx" in (body.get("options") or ()) and "truncate" in body:
        body = {**body, "messages": [{"role": "user", "content": "x" * 8}]}
        expected = expected.replace("(1 > 1)", "(2 > 1)")

    assert (400, expected) == refusal(**body)


def test_a_model_that_was_not_pulled_is_not_found() -> None:
    """As every other one that is named so."""
    assert (404, "model 'no-such-model' not found") == refusal(model="no-such-model")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"messages": []},
        {"messages": None},
        {"messages": [{"role": "USER", "content": "x"}, CALL, {"role": "tool", "content": "1", "tool_name": "f", "tool_call_id": "c"}]},
        {"messages": [{**USER, "images": ["QUJD"]}], "think": False, "format": {"type": "object"}},
        {"format": "json", "think": "max", "stream": True, "keep_alive": 0, "unknown": [1]},
        {"options": {"num_ctx": 8192.0, "temperature": 1, "stop": ["a"], "mine": "x", "seed": None}},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"x": {}}}}}]},
        {"model": "llama3.2", "think": False, "tools": [{"function": {}}]},
        {"truncate": False},
        {"options": {"num_ctx": 1}, "messages": [{"role": "user", "content": "cut in silence"}]},
    ],
)
def test_a_good_request_is_not_refused(body: dict[str, Any]) -> None:
    """Go passes over what it does not know."""
    assert refusal(**body) is None


@pytest.mark.parametrize(
    ("data", "words"), [(b"", "missing request body"), (b"{", "invalid character"), (b"[]", "cannot unmarshal array into Go value")]
)
def test_a_body_that_is_none_is_refused(data: bytes, words: str) -> None:
    """On every route."""
    for check in (check_chat, check_embed, check_show):
        refused = told(check(asked(data)))

        assert refused is not None
        assert 400 == refused[0]
        assert words in refused[1]


@pytest.mark.parametrize("given_input", [5, [1], {"a": 1}])
def test_only_texts_are_embedded(given_input: Any) -> None:
    """One, or a list."""
    assert (400, "invalid input type") == told(check_embed(asked({"model": "m", "input": given_input})))
    assert check_embed(asked({"model": "m", "input": ["a"]})) is None


def test_models_are_shown_by_name() -> None:
    """Which must be said, and exist."""
    assert (400, "model is required") == told(check_show(asked({})))
    assert (404, "model 'no-such-model' not found") == told(check_show(asked({"model": "no-such-model"})))
    assert check_show(asked({"model": "qwen3"})) is None


def test_windows_are_known_by_the_bare_name() -> None:
    """Without namespace and tag."""
    assert (131072, 40960, 4096) == (context_of("library/llama3.2:1b"), context_of("qwen3"), context_of("mine"))


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(
            st.sampled_from(
                ["model", "messages", "role", "content", "images", "tool_calls", "function", "parameters", "properties", "options", "stop"]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=10,
)


@settings(max_examples=300)
@given(JSON)
def test_no_body_breaks_the_checks(body: Any) -> None:
    """Whatever it is, it is refused or not."""
    for check in (check_chat, check_embed, check_show):
        reply = check(asked(body))

        assert reply is None or 400 <= reply.status < 500

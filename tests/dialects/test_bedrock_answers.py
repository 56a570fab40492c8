"""Converse's whole answers, Bedrock's refusals and its list of models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit.dialects.base import WireError
from llmkit.dialects.bedrock import BedrockConverse
from llmkit.models.content import Native, Text, Thinking, ToolCall
from llmkit.models.request import make_request
from llmkit.models.response import CompletionResponse, FinishReason
from llmkit.resilience.classify import classify
from llmkit.transport.base import HttpResponse

SAMPLES = Path(__file__).parent.parent / "samples" / "bedrock"
INDEX: dict[str, Any] = json.loads((SAMPLES / "index.json").read_text())["samples"]
ANSWERS = sorted(name for name in INDEX if name.endswith(".json"))
ERRORS: list[Any] = json.loads((SAMPLES / "errors.json").read_text())["errors"]
ASKED = make_request("Hi", model="asked")
DIALECT = BedrockConverse()


def read(body: Any, **headers: str) -> CompletionResponse:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return DIALECT.decode(HttpResponse(status=200, headers={"x-amzn-requestid": "r-1", **headers}, body=raw), ASKED)


def said(*content: Any, reason: Any = "end_turn", **more: Any) -> dict[str, Any]:
    return {"output": {"message": {"role": "assistant", "content": list(content)}}, "stopReason": reason, **more}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_recorded_answer_is_read(name: str) -> None:
    """Text, thoughts, calls, why it ended and tokens, and the wire's own shape untouched."""
    expect = INDEX[name]["expect"]
    body = (SAMPLES / name).read_bytes()

    answer = read(body)

    assert (expect.get("text", ""), expect.get("thinking", "")) == (answer.text, answer.thinking)
    assert expect.get("calls", []) == [[call.id, call.name, call.arguments] for call in answer.tool_calls]
    assert expect.get("natives", 0) == sum(isinstance(part, Native) for part in answer.message.content)
    usage = answer.usage
    assert expect["usage"] == [usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_write_tokens]
    assert (expect["finish"], "asked", "r-1") == (answer.finish_reason.value, answer.model, answer.request_id)
    assert json.loads(body) == answer.raw


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("end_turn", FinishReason.STOP),
        ("stop_sequence", FinishReason.STOP),
        ("max_tokens", FinishReason.LENGTH),
        ("model_context_window_exceeded", FinishReason.LENGTH),
        ("tool_use", FinishReason.TOOL_CALLS),
        ("guardrail_intervened", FinishReason.CONTENT_FILTER),
        ("content_filtered", FinishReason.CONTENT_FILTER),
        ("malformed_model_output", FinishReason.ERROR),
        ("malformed_tool_use", FinishReason.ERROR),
        ("refusal", FinishReason.REFUSAL),
        ("something_new", FinishReason.UNKNOWN),
        (None, FinishReason.UNKNOWN),
    ],
)
def test_reasons_have_our_words(raw: Any, reason: FinishReason) -> None:
    """And keep their own."""
    answer = read(said({"text": "x"}, reason=raw))

    assert (reason, raw) == (answer.finish_reason, answer.raw_finish_reason)


def test_a_call_counts_whatever_the_reason_says() -> None:
    """Some models end such a turn like any other."""
    answer = read(said({"toolUse": {"toolUseId": "t", "name": "f", "input": {"a": 1}}}))

    assert (FinishReason.TOOL_CALLS, (ToolCall("t", "f", {"a": 1}),)) == (answer.finish_reason, answer.tool_calls)


def test_thoughts_keep_their_seals() -> None:
    """A thought may have no text, or nothing but a seal's content; what is not known goes along whole."""
    strange = {"reasoningContent": {"reasoningText": {"text": "a", "signature": "s", "new": 1}}}

    answer = read(
        said(
            {"reasoningContent": {"reasoningText": {"text": "", "signature": "s0"}}},
            {"reasoningContent": {"redactedContent": "aGk="}},
            strange,
        )
    )

    assert (
        Thinking("", "s0", provider="bedrock"),
        Thinking(provider="bedrock", data={"reasoningContent": {"redactedContent": "aGk="}}),
        Thinking("a", "s", provider="bedrock", data=strange),
    ) == answer.message.content


def test_a_text_with_citations_is_a_text() -> None:
    """With the block behind it, for this provider only; one without a text is nothing."""
    block = {"citationsContent": {"content": [{"text": "they "}, {"text": "are"}], "citations": [{"title": "x"}]}}

    answer = read(said(block, {"citationsContent": {"content": [], "citations": []}}))

    assert (Text("they are"), Native("bedrock", block)) == answer.message.content


def test_a_call_without_an_id_gets_one() -> None:
    """The same for the same answer."""
    one, other = (read(said({"toolUse": {"name": "f", "input": None}})).tool_calls[0] for _ in range(2))

    assert one == other
    assert one.id.startswith("call_")


@pytest.mark.parametrize("usage", [None, {}, 7, []])
def test_no_usage_is_not_zero(usage: Any) -> None:
    """It is not known."""
    assert read(said({"text": "x"}, usage=usage)).usage.reported is False


@pytest.mark.parametrize(
    "body",
    [b"", b" ", b"<html>", b"[]", b"{}", {"output": None}, {"output": {"message": {}}}, said(7), {"message": "Too many requests"}],
)
def test_what_is_no_answer_is_malformed(body: Any) -> None:
    """With the reply's own words kept."""
    with pytest.raises(WireError) as caught:
        read(body)

    assert ("malformed", "r-1") == (caught.value.fault.kind, caught.value.fault.request_id)


def test_an_error_with_a_good_status_is_an_error() -> None:
    """As for an operation that is not there."""
    with pytest.raises(WireError) as caught:
        read({"Output": {"__type": "com.amazon.coral.service#UnknownOperationException"}, "Version": "1.0"})

    assert "UnknownOperationException" == caught.value.fault.type


@settings(max_examples=200)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(
                st.sampled_from(["text", "toolUse", "reasoningContent", "reasoningText", "citationsContent", "content", "type", "input"]),
                inner,
                max_size=3,
            )
        ),
        max_leaves=8,
    )
)
def test_strange_answers_raise_nothing_strange(value: Any) -> None:
    """Whatever stands where something else should."""
    for body in (said(value), said(*value if isinstance(value, list) else ()), {"output": value, "usage": value, "stopReason": value}):
        try:
            answer = read(body)
        except WireError:
            continue
        assert "assistant" == answer.message.role


# -- refusals


@pytest.mark.parametrize(("status", "name", "body", "kind"), ERRORS)
def test_a_refusal_is_read(status: int, name: str | None, body: dict[str, Any], kind: str) -> None:
    """Its name from the header, its message, and what kind of failure it is."""
    headers = {"x-amzn-requestid": "r-1", **({"x-amzn-errortype": f"{name}:http://internal.amazon.com/coral/x/"} if name else {})}

    fault = DIALECT.fault(HttpResponse(status=status, headers=headers, body=json.dumps(body).encode()))

    assert (name, body.get("message") or body.get("Message"), "r-1", kind) == (
        fault.type,
        fault.message,
        fault.request_id,
        fault.kind or classify(fault),
    )


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"__type": "com.amazonaws.bedrock#ThrottlingException", "message": "Slow down"}', ("ThrottlingException", "Slow down")),
        (b'{"code": "ThrottlingException"}', ("ThrottlingException", "ThrottlingException")),
        (b"<html>Bad   gateway</html>", (None, "<html>Bad gateway</html>")),
        (b"", (None, "")),
        (b"[1]", (None, "[1]")),
        (b'{"message": {"a": 1}}', (None, '{"message": {"a": 1}}')),
    ],
)
def test_a_refusal_of_any_shape_is_read(body: bytes, expected: Any) -> None:
    """The name may be in the body, or nowhere."""
    fault = DIALECT.fault(HttpResponse(status=502, headers={}, body=body))

    assert expected == (fault.type, fault.message)


# -- models


def test_models_are_listed() -> None:
    """With their makers."""
    models = DIALECT.decode_models(HttpResponse(status=200, body=(SAMPLES / "models.json").read_bytes()))

    assert [("anthropic.claude-sonnet-4-5-20250929-v1:0", "Anthropic"), ("amazon.titan-embed-text-v2:0", "Amazon")] == [
        (model.id, model.owned_by) for model in models
    ]


@pytest.mark.parametrize("body", [b"{}", b'{"modelSummaries": {}}', b"[]", b""])
def test_a_list_without_models_is_malformed(body: bytes) -> None:
    """It is none."""
    with pytest.raises(WireError):
        DIALECT.decode_models(HttpResponse(status=200, body=body))


def test_rows_without_an_id_are_passed_over() -> None:
    """They name no model."""
    body = json.dumps({"modelSummaries": [7, {}, {"modelId": None}, {"modelId": "m"}]}).encode()

    assert ["m"] == [model.id for model in DIALECT.decode_models(HttpResponse(status=200, body=body))]

"""Whole answers, errors and lists of models of Gemini's wire: what each sample says, and what may be wrong with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit.dialects.base import WireError
from llmkit.dialects.gemini import Gemini
from llmkit.models.content import Native, Text, Thinking, ToolCall
from llmkit.models.request import make_request
from llmkit.models.response import CompletionResponse, FinishReason
from llmkit.resilience.classify import classify
from llmkit.resilience.hints import retry_after
from llmkit.transport.base import HttpResponse

SAMPLES = Path(__file__).parent.parent / "samples" / "gemini"
INDEX: dict[str, Any] = json.loads((SAMPLES / "index.json").read_text())
WHOLE = sorted(name for name in INDEX["answers"] if name.endswith(".json"))
ASKED = make_request("Hi", model="asked")
GEMINI = Gemini()


def decoded(answer: Any) -> CompletionResponse:
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return GEMINI.decode(HttpResponse(status=200, body=body), ASKED)


def answer(*parts: Any, reason: Any = "STOP", **rest: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"role": "model", "parts": [*parts]}, "finishReason": reason, "index": 0}], **rest}


def told(reply: CompletionResponse) -> dict[str, Any]:
    """Return what an index says of an answer."""
    usage = reply.usage
    found: dict[str, Any] = {
        "text": reply.text,
        "thinking": reply.thinking,
        "calls": [["" if call.id.startswith("call_") else call.id, call.name, dict(call.arguments)] for call in reply.tool_calls],
        "finish": reply.finish_reason.value,
        "usage": [usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.reasoning_tokens],
        "natives": sum(isinstance(part, Native) for part in reply.message.content),
    }
    return found


NOTHING: dict[str, Any] = {"text": "", "thinking": "", "calls": [], "natives": 0}


@pytest.mark.parametrize("name", WHOLE)
def test_each_sample_reads_as_its_index_says(name: str) -> None:
    """Text, thoughts, calls, reason and usage are those written beside the recording."""
    reply = decoded((SAMPLES / name).read_bytes())

    assert {**NOTHING, **INDEX["answers"][name]} == told(reply)


@pytest.mark.parametrize("name", [name for name in WHOLE if name != "list.json"])
def test_the_raw_answer_is_untouched(name: str) -> None:
    """What we have no word for can be found there."""
    body = (SAMPLES / name).read_bytes()

    assert json.loads(body) == decoded(body).raw


def test_seals_stay_where_they_were() -> None:
    """A text's, a thought's and a call's seal are each kept beside it."""
    reply = decoded(
        answer(
            {"text": "Hm.", "thought": True, "thoughtSignature": "A=="},
            {"text": "Well.", "thoughtSignature": "B=="},
            {"functionCall": {"name": "look", "args": {}, "id": "c1"}, "thoughtSignature": "C=="},
            {"text": "", "thoughtSignature": "D=="},
        )
    )

    thought, text, seal, call, last = reply.message.content
    assert Thinking("Hm.", "A==", provider="google") == thought
    assert Text("Well.") == text
    assert Thinking("", "B==", provider="google", data={"seals": "text"}) == seal
    assert ToolCall("c1", "look", {}, data={"provider": "google", "thoughtSignature": "C=="}) == call
    assert Thinking("", "D==", provider="google", data={"seals": "nothing"}) == last
    assert ("Hm.", "Well.") == (reply.thinking, reply.text)


def test_calls_without_ids_get_the_same_ones_each_time() -> None:
    """Two equal calls get different ids, and the same bytes the same ones."""
    call = {"functionCall": {"name": "look", "args": {"city": "Paris"}}}

    first, second = (decoded(answer(call, call, responseId="r1")).tool_calls for _ in range(2))

    assert first == second
    assert first[0].id != first[1].id
    assert all(one.id.startswith("call_") for one in first)


def test_a_call_keeps_what_stands_beside_it() -> None:
    """A field that nobody knows yet goes back with the call."""
    reply = decoded(answer({"functionCall": {"name": "look", "args": None, "id": "c1"}, "partMetadata": {"a": 1}}))

    assert {"provider": "google", "partMetadata": {"a": 1}} == reply.tool_calls[0].data
    assert {} == reply.tool_calls[0].arguments


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("STOP", FinishReason.STOP),
        ("MAX_TOKENS", FinishReason.LENGTH),
        ("RECITATION", FinishReason.CONTENT_FILTER),
        ("IMAGE_SAFETY", FinishReason.CONTENT_FILTER),
        ("UNEXPECTED_TOOL_CALL", FinishReason.ERROR),
        ("CONTINUATION", FinishReason.PAUSE),
        ("OTHER", FinishReason.UNKNOWN),
        ("SOMETHING_NEW", FinishReason.UNKNOWN),
        (None, FinishReason.UNKNOWN),
        (7, FinishReason.UNKNOWN),
    ],
)
def test_reasons_are_told_in_our_words(reason: Any, expected: FinishReason) -> None:
    """And in the service's own beside them."""
    reply = decoded(answer({"text": "x"}, reason=reason))

    assert expected is reply.finish_reason
    assert (reason if isinstance(reason, str) else None) == reply.raw_finish_reason


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("STOP", FinishReason.TOOL_CALLS),
        ("OTHER", FinishReason.TOOL_CALLS),
        ("MAX_TOKENS", FinishReason.LENGTH),
        ("SAFETY", FinishReason.CONTENT_FILTER),
        ("MALFORMED_FUNCTION_CALL", FinishReason.ERROR),
    ],
)
def test_a_call_in_a_cut_answer_is_not_offered_as_one(reason: str, expected: FinishReason) -> None:
    """Beside calls the service says STOP; where it says more, that counts."""
    assert expected is decoded(answer({"functionCall": {"name": "look", "args": {}}}, reason=reason)).finish_reason


def test_the_id_of_the_answer_is_what_support_asks_for() -> None:
    """There is no header with one; where a gateway sends one, that counts."""
    body = json.dumps(answer({"text": "x"}, responseId="r1", modelVersion="gemini-3")).encode()

    plain = GEMINI.decode(HttpResponse(status=200, body=body), ASKED)
    routed = GEMINI.decode(HttpResponse(status=200, headers={"x-request-id": "req_7"}, body=body), ASKED)

    assert ("r1", "r1", "gemini-3") == (plain.id, plain.request_id, plain.model)
    assert ("r1", "req_7") == (routed.id, routed.request_id)


def test_usage_that_was_not_reported_says_so() -> None:
    """Zero is a count, and nothing is none."""
    assert not decoded(answer({"text": "x"})).usage.reported
    assert not decoded(answer({"text": "x"}, usageMetadata={"trafficType": "ON_DEMAND"})).usage.reported
    assert decoded(answer({"text": "x"}, usageMetadata={"promptTokenCount": 0, "totalTokenCount": 0})).usage.reported


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"  ", b"<html>", b"null", b'"x"', b"[]", b"{}", b'{"candidates":[]}', b'{"candidates":[7]}', b'{"candidates":[{}]}'),
        *(b'{"candidates":[{"content":{},"index":0}]}', b'{"promptFeedback":{"safetyRatings":[]}}', b"[7]", b'{"candidates":NaN}'),
    ],
)
def test_what_is_no_answer_is_refused(body: bytes) -> None:
    """An empty success would be taken for an empty answer."""
    with pytest.raises(WireError) as raised:
        decoded(body)

    assert raised.value.fault.kind in ("malformed", "truncated")


@pytest.mark.parametrize("wrap", [lambda error: error, lambda error: [error]])
def test_an_error_with_a_good_status_is_an_error(wrap: Any) -> None:
    """Alone, or as the only piece of a list."""
    with pytest.raises(WireError) as raised:
        decoded(wrap({"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}))

    assert "overloaded" == classify(raised.value.fault)
    assert "The model is overloaded." == raised.value.fault.message


# -- errors


@pytest.mark.parametrize("name", sorted(INDEX["errors"]))
def test_each_error_is_what_its_index_says(name: str) -> None:
    """Its kind, its most telling code, and how long it asks to wait."""
    expected = INDEX["errors"][name]
    response = HttpResponse(status=expected["status"], body=(SAMPLES / name).read_bytes())

    fault = GEMINI.fault(response)

    hint = retry_after(fault.headers, fault.error, fault.message, now=0.0)
    assert {**expected} == {"status": fault.status, "kind": classify(fault), "code": fault.code, "retry_after": hint}
    assert fault.message


def test_an_error_names_the_field_it_complains_of() -> None:
    """Google says it in the details."""
    fault = GEMINI.fault(HttpResponse(status=400, body=(SAMPLES / "error_argument.json").read_bytes()))

    assert ("foo", "INVALID_ARGUMENT") == (fault.param, fault.type)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"null", b"[]", b"\xff", b'[{"error":null}]', b'{"error":"invalid_grant","error_description":"Bad."}'),
        *(b'{"error":{"details":7}}', b'{"error":{"details":[7,{"reason":7,"fieldViolations":[7,{"field":7}]}],"code":true,"message":[]}}'),
    ],
)
def test_a_fault_is_read_from_any_body(body: bytes) -> None:
    """Reading an error must never be another."""
    assert 418 == GEMINI.fault(HttpResponse(status=418, body=body)).status


# -- lists of models


def test_models_are_listed_by_their_bare_names() -> None:
    """As both services write them; a tuned one keeps the word that it is asked by."""
    mine = {
        "models": [
            {"name": "models/gemini-3.8-flash", "inputTokenLimit": 1048576},
            {"name": "tunedModels/mine"},
            {"displayName": "nameless"},
            7,
        ]
    }
    cloud = {"publisherModels": [{"name": "publishers/google/models/gemini-2.5-pro"}]}

    first = GEMINI.decode_models(HttpResponse(status=200, body=json.dumps(mine).encode()))
    second = GEMINI.decode_models(HttpResponse(status=200, body=json.dumps(cloud).encode()))

    assert [("gemini-3.8-flash", 1048576), ("tunedModels/mine", None)] == [(model.id, model.context_window) for model in first]
    assert [("gemini-2.5-pro", "google")] == [(model.id, model.owned_by) for model in second]
    assert [] == GEMINI.decode_models(HttpResponse(status=200, body=b"{}"))


@pytest.mark.parametrize("body", [b"", b"[]", b'{"models":7}', b'{"data":[]}', b'{"error":{"code":500}}'])
def test_what_is_no_list_is_refused(body: bytes) -> None:
    """An empty list would say that the key can use nothing."""
    with pytest.raises(WireError):
        GEMINI.decode_models(HttpResponse(status=200, body=body))


# -- anything at all

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["text", "thought", "thoughtSignature", "functionCall", "name", "args", "id", "parts", "content", "role"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=150)
@given(parts=st.lists(JSON, max_size=4), reason=JSON, usage=JSON, extra=JSON)
def test_whatever_comes_is_an_answer_or_a_wire_error(parts: list[Any], reason: Any, usage: Any, extra: Any) -> None:
    """Nothing else leaves the decoder."""
    data = {
        "candidates": [{"content": {"parts": parts}, "finishReason": reason}, extra],
        "usageMetadata": usage,
        "promptFeedback": extra,
        "responseId": extra,
    }

    try:
        reply = decoded(data)
    except WireError:
        return

    assert reply.usage.total_tokens >= 0

"""Whole answers of the Responses wire, and what goes back of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit.dialects.base import Place, WireError
from llmkit.dialects.openai_responses import OpenAIResponses
from llmkit.models.content import Native, Text, user
from llmkit.models.fault import Fault
from llmkit.models.request import make_request
from llmkit.models.response import CompletionResponse
from llmkit.resilience.classify import classify
from llmkit.transport.base import HttpResponse

SAMPLES = Path(__file__).parent.parent / "samples" / "openai_responses"
INDEX: dict[str, Any] = json.loads((SAMPLES / "index.json").read_text())["samples"]
WHOLE = sorted(name for name in INDEX if name.endswith(".json"))
GOOD = [name for name in WHOLE if "error" not in INDEX[name]["expect"]]
ASKED = make_request("Hi", model="asked")
DIALECT = OpenAIResponses()


def decode(body: Any) -> CompletionResponse:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return DIALECT.decode(HttpResponse(status=200, headers={"x-request-id": "req_7"}, body=data), ASKED)


def refused(body: Any) -> Fault:
    with pytest.raises(WireError) as caught:
        decode(body)
    return caught.value.fault


def answer(*output: Any, **more: Any) -> CompletionResponse:
    return decode({"id": "resp_1", "status": "completed", "output": list(output), **more})


@pytest.mark.parametrize("name", GOOD)
def test_each_sample_reads_as_its_index_says(name: str) -> None:
    """Text, thoughts, calls, native items, reason and usage are those written beside it."""
    expected = INDEX[name]["expect"]

    found = decode((SAMPLES / name).read_bytes())

    usage = found.usage
    assert expected.get("text", "") == found.text
    assert expected.get("thinking", "") == found.thinking
    assert expected.get("calls", []) == [[call.id, call.name, call.text] for call in found.tool_calls]
    assert expected["finish"] == found.finish_reason.value
    assert expected["usage"] == [
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
        usage.reasoning_tokens,
    ]
    assert ("req_7", found.raw["model"], found.raw["id"]) == (found.request_id, found.model, found.id)
    if "native" in expected:
        assert expected["native"] == [part.data["type"] for part in found.message.content if isinstance(part, Native)]


@pytest.mark.parametrize("name", ["deepseek_raw_thoughts.json", "reasoning_and_calls.json", "sealed_thoughts.json", "web_search.json"])
def test_what_was_thought_out_goes_back_as_it_came(name: str) -> None:
    """Item by item: seals, ids, order, arguments; only nulls are left out."""
    found = decode((SAMPLES / name).read_bytes())

    sent = json.loads(DIALECT.encode(make_request([user("Hi"), found.message], model="m"), Place(base_url="http://h")).body)

    assert [{key: value for key, value in item.items() if value is not None} for item in found.raw["output"]] == sent["input"][1:]


def test_a_plain_answer_is_plain_text() -> None:
    """Nothing is kept of a message that has nothing but its text."""
    assert (Text("The capital of France is Paris. Ça va?"),) == decode((SAMPLES / "text.json").read_bytes()).message.content


def test_a_failure_is_an_error() -> None:
    """Though the status was good."""
    expected = INDEX["failed.json"]["expect"]

    fault = refused((SAMPLES / "failed.json").read_bytes())

    assert expected["error"] == {"code": fault.code, "message": fault.message}
    assert expected["class"] == classify(fault)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "malformed"),
        (b"[]", "malformed"),
        (b"<html>", "malformed"),
        ({"id": "resp_1"}, "malformed"),
        ({"output": None, "status": "completed"}, "malformed"),
        ({"status": "cancelled", "output": []}, None),
        ({"status": "failed", "output": [], "error": None}, None),
        ({"code": "c", "error": "The service is currently unavailable"}, None),
    ],
)
def test_what_is_no_answer_is_refused(body: Any, kind: str | None) -> None:
    """By kind, or in the server's words."""
    fault = refused(body)

    assert (kind, 200) == (fault.kind, fault.status)
    assert fault.message


@pytest.mark.parametrize(
    ("more", "reason", "raw"),
    [
        ({}, "stop", "completed"),
        ({"status": None}, "stop", None),
        ({"status": "queued"}, "pause", "queued"),
        ({"status": "in_progress"}, "pause", "in_progress"),
        ({"status": "odd"}, "unknown", "odd"),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length", "max_output_tokens"),
        ({"status": "incomplete", "incomplete_details": {"reason": "odd"}}, "unknown", "odd"),
        ({"status": "incomplete", "incomplete_details": None}, "unknown", "incomplete"),
    ],
)
def test_why_it_ended(more: dict[str, Any], reason: str, raw: str | None) -> None:
    """In our words and in the wire's."""
    found = answer(**more)

    assert (reason, raw) == (found.finish_reason.value, found.raw_finish_reason)


def test_a_call_without_an_id_gets_one() -> None:
    """The same for the same bytes; an item's own id does where there is no other."""
    bare = {"type": "function_call", "name": "f", "arguments": "{}"}

    first, again = answer(bare).tool_calls[0], answer(bare).tool_calls[0]

    assert first.id == again.id != answer({}, bare).tool_calls[0].id
    assert "fc_1" == answer({**bare, "id": "fc_1"}).tool_calls[0].id


def test_usage_is_bounded_by_its_sums() -> None:
    """Parts are never more than the whole, and what is unsaid is unreported."""
    usage = answer(usage={"input_tokens": 5, "input_tokens_details": {"cached_tokens": 9}, "output_tokens": 1}).usage

    assert (5, 5, 1, True) == (usage.input_tokens, usage.cache_read_tokens, usage.output_tokens, usage.reported)
    assert not answer().usage.reported


def test_models_are_listed() -> None:
    """As on the other wire."""
    body = b'{"object":"list","data":[{"id":"gpt-5","object":"model","created":1,"owned_by":"openai"}]}'

    assert ["gpt-5"] == [model.id for model in DIALECT.decode_models(HttpResponse(status=200, headers={}, body=body))]


def test_a_fault_reads_like_any_other_of_the_family() -> None:
    """Message, code, type and param."""
    body = b'{"error":{"code":null,"message":"Item \'rs_1\' ...","param":"input","type":"invalid_request_error"}}'

    fault = DIALECT.fault(HttpResponse(status=400, headers={"x-request-id": "req_7"}, body=body))

    assert (400, "invalid_request_error", "input", "req_7") == (fault.status, fault.type, fault.param, fault.request_id)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4), lambda inner: st.lists(inner, max_size=3), max_leaves=4
)
NAMES = ("type", "id", "call_id", "name", "arguments", "content", "summary", "encrypted_content", "status", "text", "refusal", "phase")
TYPES = st.sampled_from(["message", "function_call", "reasoning", "output_text", "refusal", "web_search_call"])
OBJECTS = st.dictionaries(st.sampled_from(NAMES), VALUES | TYPES, max_size=6)
ITEMS = st.dictionaries(st.sampled_from(NAMES), st.lists(OBJECTS, max_size=2) | TYPES | VALUES, max_size=6)
TOP = ("status", "error", "incomplete_details", "usage", "model", "id", "object")


@settings(max_examples=300)
@given(output=st.lists(ITEMS | VALUES, max_size=4), more=st.dictionaries(st.sampled_from(TOP), VALUES | OBJECTS, max_size=3))
def test_nothing_but_our_errors_comes_out(output: list[Any], more: dict[str, Any]) -> None:
    """And whatever was read can be sent back."""
    try:
        found = answer(*output, **more)
    except WireError:
        return

    DIALECT.encode(make_request([user("Hi"), found.message], model="m"), Place(base_url="http://h"))

"""Cohere's whole answers, errors and models."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit.dialects.base import Place, WireError
from llmkit.dialects.cohere import CohereChat
from llmkit.models.content import Native, Text, Thinking, ToolCall, tool_result, user
from llmkit.models.request import make_request
from llmkit.models.response import CompletionResponse, FinishReason
from llmkit.resilience.classify import classify
from llmkit.tools import Tool
from llmkit.transport.base import HttpResponse

SAMPLES = Path(__file__).parent.parent / "samples" / "cohere"
INDEX: dict[str, Any] = json.loads((SAMPLES / "index.json").read_text())["samples"]
ANSWERS = sorted(name for name in INDEX if name.endswith(".json") and "status" not in INDEX[name])
ERRORS = sorted(name for name in INDEX if "status" in INDEX[name])
ASKED = make_request("Hi", model="asked")
DIALECT = CohereChat()
JSON_TYPE = {"content-type": "application/json", "x-debug-trace-id": "trace-1"}


def reply(body: Any, status: int = 200) -> HttpResponse:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpResponse(status=status, headers=JSON_TYPE, body=data)


def read(body: Any, request: Any = ASKED) -> CompletionResponse:
    return DIALECT.decode(reply(body), request)


def answer(reason: Any = "COMPLETE", usage: Any = None, **message: Any) -> dict[str, Any]:
    return {"id": "a1", "finish_reason": reason, "message": {"role": "assistant", **message}, **({"usage": usage} if usage else {})}


def said(*texts: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text} for text in texts]


def call(name: Any = "f", arguments: Any = "{}", call_id: Any = "c1") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


@pytest.mark.parametrize("name", ANSWERS)
def test_each_sample_reads_as_its_index_says(name: str) -> None:
    """Text, thoughts, calls, reason, usage and citations are those written beside it; the raw answer is untouched."""
    expected, sample = INDEX[name]["expect"], (SAMPLES / name).read_bytes()

    found = read(sample)

    calls = [[call.id, call.name, call.text or ""] for call in found.tool_calls]
    assert (expected.get("text", ""), expected.get("thinking", ""), expected.get("calls", [])) == (found.text, found.thinking, calls)
    usage = found.usage
    counts = [usage.input_tokens, usage.output_tokens, usage.cache_read_tokens] if usage.reported else None
    assert (expected["finish"], expected["usage"]) == (found.finish_reason.value, counts)
    natives = [part.data for part in found.message.content if isinstance(part, Native)]
    assert expected.get("citations", 0) == len(natives) == sum(len(data["citations"]) for data in natives)
    assert json.loads(sample) == found.raw
    assert ("104628b4-8a3c-4c9c-9d5b-2f1f6a1f0c11", "asked", "trace-1") == (found.id, found.model, found.request_id)


@pytest.mark.parametrize("name", ERRORS)
def test_each_error_is_understood(name: str) -> None:
    """Its sentence is the message, and its kind the right one."""
    expected, status = INDEX[name]["expect"]["error"], INDEX[name]["status"]

    fault = DIALECT.fault(reply((SAMPLES / name).read_bytes(), status))

    assert (expected["message"], expected["kind"]) == (fault.message, classify(fault))
    assert (status, "trace-1") == (fault.status, fault.request_id)


def test_the_id_of_an_error_is_one_for_the_support() -> None:
    """Where no header has it."""
    fault = DIALECT.fault(HttpResponse(status=400, body=b'{"id": "e1", "message": "no"}'))

    assert "e1" == fault.request_id


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>Bad gateway</html>", "<html>Bad gateway</html>"),
        (b"", ""),
        (b"[1]", "[1]"),
        (b'{"error": {"message": "no", "type": "t", "code": 5, "param": "p"}}', "no"),
        (b'{"error": "flat"}', "flat"),
        (b'{"detail": "not here"}', "not here"),
        (b'{"message": null}', '{"message": null}'),
    ],
)
def test_an_error_of_any_shape_is_read(body: bytes, message: str) -> None:
    """What stands before a server has its own ways."""
    fault = DIALECT.fault(reply(body, 502))

    assert (502, message) == (fault.status, fault.message)


def test_parts_stand_in_the_order_of_the_wire() -> None:
    """Contents, plan, calls, citations; a block that nobody knows in its place."""
    blocks = [{"type": "thinking", "thinking": "Hm"}, {"type": "future", "x": 1}, *said("Hi", "")]

    found = read(answer("TOOL_CALL", content=blocks, tool_plan="I will.", tool_calls=[call()], citations=[{"start": 0}]))

    assert (
        Thinking("Hm", provider="cohere"),
        Native("cohere", {"type": "future", "x": 1}),
        Text("Hi"),
        Thinking("I will.", provider="cohere", data={"field": "tool_plan"}),
        ToolCall("c1", "f", {}),
        Native("cohere", {"citations": [{"start": 0}]}),
    ) == found.message.content


def test_content_may_be_a_string() -> None:
    """As it may in requests."""
    assert "Hi" == read(answer(content="Hi")).text


def test_an_answer_goes_back_as_it_came() -> None:
    """Thoughts, plan, ids, arguments and their order; a call without arguments says so."""
    sample = json.loads((SAMPLES / "parallel_tool_calls.json").read_text())
    found = read(sample)
    history = [user("Go"), found.message, *(tool_result(call, "sun") for call in found.tool_calls)]

    sent = json.loads(DIALECT.encode(make_request(history, model="m"), Place(base_url="http://h")).body)["messages"]

    message = sample["message"]
    message["tool_calls"][1]["function"]["arguments"] = "{}"
    assert message == sent[1]
    assert ["get_weather_a1", "get_time_b2"] == [turn["tool_call_id"] for turn in sent[2:]]


def test_citations_go_back_too() -> None:
    """With the text they are about."""
    sample = json.loads((SAMPLES / "citations.json").read_text())
    history = [user("Go"), read(sample).message, user("More")]

    sent = json.loads(DIALECT.encode(make_request(history, model="m"), Place(base_url="http://h")).body)["messages"]

    text = sample["message"]["content"][0]["text"]
    assert {"role": "assistant", "content": text, "citations": sample["message"]["citations"]} == sent[1]


def test_names_are_read_back() -> None:
    """A tool is called by the name that the caller gave it."""
    request = make_request("Hi", model="m", tools=[Tool(name="get-time"), Tool(name="look")])

    found = read(
        answer("TOOL_CALL", tool_calls=[call("get_time", call_id="1"), call("look", call_id="2"), call("else", call_id="3")]), request
    )

    assert ["get-time", "look", "else"] == [call.name for call in found.tool_calls]


@pytest.mark.parametrize("arguments", ["", "null", " null ", None, "{}", {}])
def test_a_call_without_arguments_has_an_empty_object(arguments: Any) -> None:
    """However it is said."""
    (found,) = read(answer("TOOL_CALL", tool_calls=[call(arguments=arguments)])).tool_calls

    assert ({}, None) == (dict(found.arguments), found.invalid)


def test_calls_of_any_shape_are_read() -> None:
    """Nonsense is kept, and said to be; without an id one is made, without a name there is none."""
    calls: list[Any] = [call(arguments="{nonsense"), call(arguments={"a": 1}, call_id=None), call(""), call(None), {"id": "x"}, None, 5]

    found = read(answer("TOOL_CALL", tool_calls=calls)).tool_calls

    assert ["c1"] == [call.id for call in found if call.invalid]
    assert ("{nonsense", {"a": 1}, 2) == (found[0].text, dict(found[1].arguments), len(found))
    assert found[1].id.startswith("call_")


@pytest.mark.parametrize(
    ("reason", "called", "expected"),
    [
        ("COMPLETE", False, FinishReason.STOP),
        ("STOP_SEQUENCE", False, FinishReason.STOP),
        ("MAX_TOKENS", False, FinishReason.LENGTH),
        ("MAX_TOKENS", True, FinishReason.LENGTH),
        ("TOOL_CALL", True, FinishReason.TOOL_CALLS),
        ("COMPLETE", True, FinishReason.TOOL_CALLS),
        ("ERROR_TOXIC", False, FinishReason.CONTENT_FILTER),
        ("TOMORROW", False, FinishReason.UNKNOWN),
        (None, True, FinishReason.TOOL_CALLS),
        (7, False, FinishReason.UNKNOWN),
    ],
)
def test_reasons(reason: Any, called: bool, expected: FinishReason) -> None:
    """A call beside a bound may be cut."""
    found = read(answer(reason, content=said("x"), tool_calls=[call()] if called else []))

    assert expected is found.finish_reason
    assert (reason if isinstance(reason, str) else None) == found.raw_finish_reason


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, None),
        ({}, None),
        ([], None),
        ({"tokens": {}}, None),
        ({"tokens": {"input_tokens": 13.0, "output_tokens": 2.0}}, (13, 2, 0)),
        ({"tokens": {"input_tokens": 10}, "cached_tokens": 50}, (10, 0, 10)),
        ({"billed_units": {"input_tokens": 3, "output_tokens": 1}, "tokens": {"input_tokens": 9, "output_tokens": 2}}, (9, 2, 0)),
        ({"billed_units": {"input_tokens": 3, "output_tokens": 1}}, (3, 1, 0)),
        ({"tokens": {"input_tokens": "x", "output_tokens": -1}, "cached_tokens": None}, (0, 0, 0)),
    ],
)
def test_usage_is_what_the_model_read_and_wrote(usage: Any, expected: Any) -> None:
    """What is billed stands in only where nothing else is said."""
    found = read({**answer(content=said("x")), "usage": usage}).usage

    assert expected == ((found.input_tokens, found.output_tokens, found.cache_read_tokens) if found.reported else None)


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (b"", "malformed", "empty"),
        (b"<html>", "malformed", "not JSON"),
        (b"[]", "malformed", "no JSON object"),
        ({}, "malformed", "no message"),
        ({"message": 5}, "malformed", "no message"),
        ({"message": "internal server error"}, "server", "internal server error"),
        ({"error": {"message": "odd"}}, "server", "odd"),
        (answer("ERROR", content=said("Once")), "server", "broke the answer off: ERROR"),
        (answer("TIMEOUT"), "timeout", "broke the answer off: TIMEOUT"),
    ],
)
def test_what_is_no_answer_is_refused(body: Any, kind: str, words: str) -> None:
    """Whatever its status says."""
    with pytest.raises(WireError) as caught:
        read(body)

    assert kind == classify(caught.value.fault)
    assert words in caught.value.fault.message
    assert "trace-1" == caught.value.fault.request_id


def test_an_answer_that_streams_unasked_is_read() -> None:
    """A proxy may not know better."""
    response = HttpResponse(status=200, headers={"content-type": "text/event-stream"}, body=(SAMPLES / "thinking.sse").read_bytes())

    found = DIALECT.decode(response, ASKED)

    assert ("Yes, prime.", "17 has no divisors.", 1257) == (found.text, found.thinking, found.usage.output_tokens)


def test_models_are_listed() -> None:
    """With their windows."""
    found = DIALECT.decode_models(reply((SAMPLES / "models.json").read_bytes()))

    assert [("command-a-03-2025", 288000), ("command-r7b-12-2024", 132000)] == [(model.id, model.context_window) for model in found]
    assert [] == DIALECT.decode_models(reply({"models": [{"x": 1}, 5]}))


@pytest.mark.parametrize("body", [{"models": None}, {}, [], b"?", {"message": "no"}])
def test_a_list_of_models_that_is_none_is_refused(body: Any) -> None:
    """Rather than read as an empty one."""
    with pytest.raises(WireError):
        DIALECT.decode_models(reply(body))


WORDS = ["message", "content", "type", "text", "thinking", "tool_calls", "tool_plan", "function", "name", "arguments", "citations"]
WORDS += ["finish_reason", "usage", "tokens", "billed_units", "input_tokens", "cached_tokens", "id", "models", "error"]
JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.sampled_from(["text", "thinking", "null", ""]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(WORDS), inner, max_size=4)),
    max_leaves=12,
)


@settings(max_examples=300)
@given(st.one_of(JSON.map(lambda value: json.dumps(value).encode()), st.binary(max_size=40)))
def test_whatever_comes_only_a_wire_error_does(data: bytes) -> None:
    """Whole answers, errors, and lists of models."""
    for attempt in (lambda: read(data), lambda: DIALECT.decode_models(reply(data))):
        with contextlib.suppress(WireError):
            attempt()
    assert 500 == DIALECT.fault(reply(data, 500)).status


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from(WORDS), JSON, max_size=5))
def test_whatever_message_comes_it_is_read(message: dict[str, Any]) -> None:
    """It has whatever can be understood of it."""
    assert "assistant" == read({"id": "a", "finish_reason": "COMPLETE", "message": message}).message.role

"""Whole answers of the Messages wire, its errors and its lists of models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit.dialects.anthropic import AnthropicMessages
from llmkit.dialects.anthropic_answers import written
from llmkit.dialects.anthropic_turns import write_turns
from llmkit.dialects.base import WireError
from llmkit.models.content import Native, Text, Thinking, ToolCall, tool_result, user
from llmkit.models.request import make_request
from llmkit.models.response import CompletionResponse, FinishReason
from llmkit.resilience.classify import classify
from llmkit.transport.base import HttpResponse

SAMPLES = Path(__file__).parent.parent / "samples" / "anthropic"
INDEX: dict[str, Any] = json.loads((SAMPLES / "index.json").read_text())["samples"]
WHOLE = sorted(name for name in INDEX if name.endswith(".json"))
ERRORS: dict[str, Any] = json.loads((SAMPLES / "errors.json").read_text())["errors"]
DIALECT = AnthropicMessages()
ASKED = make_request("Hi", model="asked")


def reply(body: Any, *, status: int = 200, **headers: str) -> HttpResponse:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(status=status, headers={"content-type": "application/json", "request-id": "req_7", **named}, body=data)


def sample(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((SAMPLES / name).read_text())
    return read


def decoded(body: Any) -> CompletionResponse:
    return DIALECT.decode(reply(body), ASKED)


def message(*content: Any, **facts: Any) -> dict[str, Any]:
    return {"id": "msg_1", "type": "message", "role": "assistant", "content": list(content), "stop_reason": "end_turn", **facts}


# -- answers


@pytest.mark.parametrize("name", WHOLE)
def test_a_recorded_answer_is_read(name: str) -> None:
    """Text, thoughts, calls, why it ended, and tokens in the meaning of all providers."""
    expect = INDEX[name]["expect"]

    answer = decoded(sample(name))

    usage = answer.usage
    counted = [usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_write_tokens, usage.reasoning_tokens]
    assert (expect["text"], expect.get("thinking", "")) == (answer.text, answer.thinking)
    assert expect.get("calls", []) == [[call.id, call.name, call.arguments] for call in answer.tool_calls]
    assert (expect["finish"], expect["usage"]) == (answer.finish_reason.value, counted)
    assert sample(name) == answer.raw
    assert ("req_7", sample(name)["id"], sample(name)["model"]) == (answer.request_id, answer.id, answer.model)
    assert sample(name)["stop_reason"] == answer.raw_finish_reason


@pytest.mark.parametrize("name", [name for name in WHOLE if sample(name)["content"]])
def test_an_answer_goes_back_as_it_came(name: str) -> None:
    """Ids, order, seals, citations and blocks of the server's own tools: every block is the one that was sent."""
    answer = decoded(sample(name))
    results = [tool_result(call, "1") for call in answer.tool_calls]
    history = make_request([user("?"), answer.message, *results, user("So?")], model="claude-sonnet-4-5")

    _, turns = write_turns(history, owner="anthropic", inline_media=False)

    sent = turns[1]["content"]
    assert sample(name)["content"] == ([{"type": "text", "text": sent}] if isinstance(sent, str) else sent)


def test_parts_stand_in_the_order_of_their_blocks() -> None:
    """Each as what it is to the rest of the library."""
    search = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
    cited = {"type": "text", "text": "It is.", "citations": [{"url": "u"}]}
    answer = decoded(
        message(
            {"type": "thinking", "thinking": "Hm.", "signature": "s"},
            {"type": "redacted_thinking", "data": "x"},
            search,
            cited,
            {"type": "text", "text": ""},
            {"type": "tool_use", "id": "t", "name": "look", "input": {"a": 1}, "caller": {"type": "direct"}, "toolset_name": None},
        )
    )

    assert (
        Thinking("Hm.", "s", provider="anthropic"),
        Thinking(provider="anthropic", data={"type": "redacted_thinking", "data": "x"}),
        Native("anthropic", search),
        Text("It is."),
        Native("anthropic", {"citations": [{"url": "u"}]}),
        ToolCall("t", "look", {"a": 1}, data={"provider": "anthropic", "caller": {"type": "direct"}}),
    ) == answer.message.content


def test_what_is_whose_follows_the_owner() -> None:
    """Another host of the wire owns its own seals."""
    answer = AnthropicMessages(owner="vertex").decode(reply(message({"type": "thinking", "thinking": "", "signature": "s"})), ASKED)

    assert (Thinking("", "s", provider="vertex"),) == answer.message.content


@pytest.mark.parametrize(
    ("raw", "called", "expected"),
    [
        ("end_turn", False, FinishReason.STOP),
        ("end_turn", True, FinishReason.TOOL_CALLS),
        ("max_tokens", True, FinishReason.LENGTH),
        ("model_context_window_exceeded", False, FinishReason.LENGTH),
        ("pause_turn", False, FinishReason.PAUSE),
        ("refusal", False, FinishReason.REFUSAL),
        ("tomorrow", False, FinishReason.UNKNOWN),
        (None, False, FinishReason.UNKNOWN),
        (7, False, FinishReason.UNKNOWN),
    ],
)
def test_reasons_are_put_in_our_words(raw: Any, called: bool, expected: FinishReason) -> None:
    """A look-alike may end a turn with calls like any other; a cut call is not offered as one."""
    blocks = [{"type": "tool_use", "id": "t", "name": "look", "input": {}}] if called else []

    assert expected is decoded(message(*blocks, stop_reason=raw)).finish_reason


@pytest.mark.parametrize(
    ("given_input", "arguments", "text", "why"),
    [
        ({"a": 1}, {"a": 1}, None, None),
        (None, {}, None, None),
        ('{"a": 1}', {"a": 1}, '{"a": 1}', None),
        ('{"a"', {}, '{"a"', "the arguments are not JSON: "),
        ("[1]", {}, "[1]", "the arguments are a JSON list, not an object"),
        ([1], {}, "[1]", "the arguments are a JSON list, not an object"),
    ],
)
def test_arguments_of_any_kind_are_kept(given_input: Any, arguments: dict[str, Any], text: str | None, why: str | None) -> None:
    """What is no object is told, and never lost."""
    (call,) = decoded(message({"type": "tool_use", "id": "t", "name": "look", "input": given_input})).tool_calls

    assert (arguments, text) == (call.arguments, call.text)
    assert (call.invalid or "").startswith(why or "")
    assert (why is None) is (call.invalid is None)


def test_a_call_without_an_id_gets_one() -> None:
    """The same for the same bytes, another for another call."""
    blocks = [{"type": "tool_use", "name": "look", "input": {}}] * 2

    first, second = decoded(message(*blocks)).tool_calls

    assert (first.id, second.id) == tuple(call.id for call in decoded(message(*blocks)).tool_calls)
    assert first.id != second.id


def test_usage_that_is_not_said_is_not_made_up() -> None:
    """Zeros that are not known are marked as such."""
    assert decoded(message()).usage.reported is False
    assert decoded(message(usage={"input_tokens": 3})).usage.reported is True


def test_a_compaction_is_paid_for() -> None:
    """Its tokens stand apart from the sums."""
    steps = [{"type": "compaction", "input_tokens": 100, "cache_read_input_tokens": 10, "output_tokens": 30}, {"type": "message"}, "odd"]

    usage = decoded(message(usage={"input_tokens": 5, "output_tokens": 3, "iterations": steps})).usage

    assert (115, 10, 33) == (usage.input_tokens, usage.cache_read_tokens, usage.output_tokens)


def test_json_goes_back_to_text_at_any_depth() -> None:
    """What is nested deeper than can be written is told to be unreadable."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]

    assert ("…", "a", '{"é":1}') == (written(deep), written("a"), written({"é": 1}).replace(" ", ""))


def test_a_stream_that_nobody_asked_for_is_read_all_the_same() -> None:
    """By gateways that stream always."""
    whole = HttpResponse(status=200, headers={"content-type": "text/event-stream"}, body=(SAMPLES / "text.sse").read_bytes())

    assert INDEX["text.sse"]["expect"]["text"] == DIALECT.decode(whole, ASKED).text


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "malformed"),
        (b"<html>", "malformed"),
        ([], "malformed"),
        ({"id": "x"}, "malformed"),
        ({"content": "text"}, "malformed"),
        (message("text"), "malformed"),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "overloaded"),
    ],
)
def test_a_good_status_proves_nothing(body: Any, kind: str) -> None:
    """An answer that is none is an error, and an error is one whatever its status."""
    with pytest.raises(WireError) as caught:
        decoded(body)

    assert kind == classify(caught.value.fault)


KEYS = [
    *("type", "text", "thinking", "signature", "id", "name", "input", "content", "citations", "usage", "error", "details", "message"),
    *("stop_reason", "input_tokens", "output_tokens", "output_tokens_details", "thinking_tokens", "iterations", "data", "error_code"),
]
WORDS = ["text", "tool_use", "thinking", "refusal", "\ud800"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 10**16) | st.floats() | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=12,
)


@settings(max_examples=200)
@given(JSON, JSON)
def test_strange_answers_raise_nothing_strange(one: Any, other: Any) -> None:
    """Whatever the bytes, there is an answer or a ``WireError``; a fault is always read."""
    bodies = [
        one,
        {"content": one, "usage": other},
        {"content": [one, other]},
        {"content": [{"type": "tool_use", "input": one, "id": other}]},
    ]
    for body in bodies:
        try:
            DIALECT.decode(reply(body), ASKED)
            DIALECT.decode_models(reply(body))
        except WireError as error:
            classify(error.fault)
        classify(DIALECT.fault(reply(body, status=400)))


# -- errors


@pytest.mark.parametrize("name", ERRORS)
def test_a_recorded_error_is_read_and_classed(name: str) -> None:
    """Type, sentence, code, id and hint; and what it is taken for."""
    told = ERRORS[name]
    expect = told["expect"]

    fault = DIALECT.fault(HttpResponse(status=told["status"], headers=told["headers"], body=json.dumps(told["body"]).encode()))

    assert (expect["type"], expect["message"], expect.get("code"), "req_011CAbc") == (
        fault.type,
        fault.message,
        fault.code,
        fault.request_id,
    )
    assert expect["kind"] == classify(fault)


def test_a_hint_to_wait_goes_along() -> None:
    """It stands in the headers."""
    told = ERRORS["rate"]

    fault = DIALECT.fault(HttpResponse(status=429, headers=told["headers"], body=json.dumps(told["body"]).encode()))

    assert "12" == fault.headers["retry-after"]


@pytest.mark.parametrize(
    ("body", "message_told"),
    [
        (b"", ""),
        (b"<html><body>Bad gateway</body>", "<html><body>Bad gateway</body>"),
        (b'{"error": "no"}', "no"),
        (b'[{"error": {"code": 404, "message": "Publisher model not found.", "status": "NOT_FOUND"}}]', "Publisher model not found."),
        (b'{"message": "The security token is invalid."}', "The security token is invalid."),
        (b'{"type": "error", "error": null}', '{"type": "error", "error": null}'),
    ],
)
def test_an_error_of_any_shape_says_something(body: bytes, message_told: str) -> None:
    """Hosts and gateways have forms of their own."""
    assert message_told == DIALECT.fault(reply(body, status=502)).message


def test_the_id_of_a_failed_request_may_be_in_its_body() -> None:
    """Where the headers do not have it."""
    told = HttpResponse(status=500, headers={}, body=json.dumps({"error": {}, "request_id": "req_9"}).encode())

    assert "req_9" == DIALECT.fault(told).request_id


# -- models


def test_models_are_listed() -> None:
    """With the time of their making and the size of their window."""
    rows = [
        {"type": "model", "id": "claude-sonnet-4-5", "created_at": "2025-09-29T00:00:00Z", "max_input_tokens": 200_000},
        {"type": "model", "id": "claude-old", "created_at": "1970-01-01T00:00:00Z"},
        {"type": "model"},
        "odd",
    ]

    first, second = DIALECT.decode_models(reply({"data": rows, "has_more": False}))

    assert ("claude-sonnet-4-5", 1_759_104_000, 200_000, rows[0]) == (first.id, first.created, first.context_window, first.raw)
    assert ("claude-old", None, None) == (second.id, second.created, second.context_window)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2024-02-29T23:59:59Z", 1_709_251_199),
        ("2000-03-01T00:00:00.5Z", 951_868_800),
        ("yesterday", None),
        (7, None),
        ("2025-09-29", None),
    ],
)
def test_moments_are_read_as_unix_time(moment: Any, expected: int | None) -> None:
    """Leap years and fractions included; what is no moment is none."""
    (model,) = DIALECT.decode_models(reply({"data": [{"id": "m", "created_at": moment}]}))

    assert expected == model.created


def test_a_list_that_is_none_is_an_error() -> None:
    """An empty one is a list."""
    assert [] == DIALECT.decode_models(reply({"data": []}))
    with pytest.raises(WireError):
        DIALECT.decode_models(reply({"models": []}))

"""Ollama's whole answers, errors and models."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit.dialects.base import Place, WireError
from llmkit.dialects.ollama import OllamaChat
from llmkit.dialects.ollama_answers import MessageInMaking
from llmkit.models.content import Text, Thinking, ToolCall, tool_result, user
from llmkit.models.request import make_request
from llmkit.models.response import CompletionResponse, FinishReason
from llmkit.resilience.classify import classify
from llmkit.transport.base import HttpResponse

SAMPLES = Path(__file__).parent.parent / "samples" / "ollama"
INDEX: dict[str, Any] = json.loads((SAMPLES / "index.json").read_text())["samples"]
ANSWERS = sorted(name for name in INDEX if name.endswith(".json") and "status" not in INDEX[name])
ERRORS = sorted(name for name in INDEX if "status" in INDEX[name])
ASKED = make_request("Hi", model="asked")
DIALECT = OllamaChat()
JSON_TYPE = {"content-type": "application/json; charset=utf-8"}


def reply(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> HttpResponse:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpResponse(status=status, headers=JSON_TYPE if headers is None else headers, body=data)


def read(body: Any) -> CompletionResponse:
    return DIALECT.decode(reply(body), ASKED)


def answer(**fields: Any) -> dict[str, Any]:
    """Return a good answer with *fields* in place of its own."""
    return {
        "model": "m",
        "created_at": "t",
        "message": {"role": "assistant", "content": "Hi"},
        "done": True,
        "done_reason": "stop",
        **fields,
    }


def wrong(body: Any) -> tuple[str | None, str]:
    """Return what is wrong with *body*."""
    with pytest.raises(WireError) as caught:
        read(body)
    return caught.value.fault.kind, caught.value.fault.message


@pytest.mark.parametrize("name", ANSWERS)
def test_each_sample_reads_as_its_index_says(name: str) -> None:
    """Text, thoughts, calls, reason and usage are those written beside it; the raw answer is untouched."""
    expected, sample = INDEX[name]["expect"], (SAMPLES / name).read_bytes()

    found = read(sample)

    calls = [[call.id, call.name, dict(call.arguments)] for call in found.tool_calls]
    if any(not call[0] for call in expected.get("calls", ())):
        assert all(call[0].startswith("call_") for call in calls)
        calls = [["", *call[1:]] for call in calls]
    assert (expected.get("text", ""), expected.get("thinking", ""), expected.get("calls", [])) == (found.text, found.thinking, calls)
    assert expected["finish"] == found.finish_reason.value
    usage = found.usage
    assert expected["usage"] == ([usage.input_tokens, usage.output_tokens] if usage.reported else None)
    assert json.loads(sample) == found.raw
    assert json.loads(sample)["model"] == found.model


@pytest.mark.parametrize("name", ERRORS)
def test_each_error_is_understood(name: str) -> None:
    """Its sentence is the message, and its kind the right one."""
    expected, status = INDEX[name]["expect"]["error"], INDEX[name]["status"]
    response = reply((SAMPLES / name).read_bytes(), status, {"x-request-id": "r1"})

    fault = DIALECT.fault(response)

    assert (expected["message"], expected["kind"]) == (fault.message, classify(fault))
    assert (status, "r1", {"x-request-id": "r1"}) == (fault.status, fault.request_id, fault.headers)
    assert (SAMPLES / name).read_text() == fault.body


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>Bad gateway</html>", "<html>Bad gateway</html>"),
        (b"", ""),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"[1]", "[1]"),
        (b'{"error": {"message": "no", "type": "t", "code": 5, "param": "p"}}', "no"),
        (b'{"message": "gateway says no"}', "gateway says no"),
        (b'{"detail": "not here"}', "not here"),
        (b'{"error": null}', '{"error": null}'),
        (b"word " * 400, ("word " * 100).strip() + " …"),
    ],
)
def test_an_error_of_any_shape_is_read(body: bytes, message: str) -> None:
    """What stands before a server has its own ways."""
    fault = DIALECT.fault(reply(body, 502))

    assert (502, message) == (fault.status, fault.message)


def test_an_error_in_other_words_keeps_them() -> None:
    """The OpenAI-compatible route on the same host says more."""
    fault = DIALECT.fault(reply({"error": {"message": "no", "type": "t", "code": 5, "param": "p"}}, 400))

    assert ("5", "t", "p") == (fault.code, fault.type, fault.param)


def test_the_common_answer_and_others_are_read_alike() -> None:
    """A text comes to the same with and without further fields."""
    plain = read(answer())
    more = read(answer(message={"role": "assistant", "content": "Hi", "tool_calls": None, "images": None}))

    assert (Text("Hi"),) == plain.message.content
    assert plain == more


def test_parts_stand_in_the_order_of_the_wire() -> None:
    """Thoughts, text, calls."""
    call = {"id": "c", "function": {"name": "f", "arguments": {"a": 1}}}

    found = read(answer(message={"role": "assistant", "content": "Hi", "thinking": "Hm", "tool_calls": [call]}))

    assert (Thinking("Hm", provider="ollama"), Text("Hi"), ToolCall("c", "f", {"a": 1})) == found.message.content


@pytest.mark.parametrize(
    ("reason", "called", "expected"),
    [
        ("stop", False, FinishReason.STOP),
        ("stop", True, FinishReason.TOOL_CALLS),
        ("", True, FinishReason.TOOL_CALLS),
        (None, False, FinishReason.STOP),
        ("length", True, FinishReason.LENGTH),
        ("load", False, FinishReason.STOP),
        ("unload", False, FinishReason.STOP),
        ("tomorrow", False, FinishReason.UNKNOWN),
        ("tomorrow", True, FinishReason.TOOL_CALLS),
        (7, False, FinishReason.STOP),
    ],
)
def test_reasons(reason: Any, called: bool, expected: FinishReason) -> None:
    """Ollama never says that it stopped for calls; a call beside a length may be cut."""
    calls = [{"id": "c", "function": {"name": "f", "arguments": {}}}] if called else []

    found = read(answer(done_reason=reason, message={"role": "assistant", "content": "", "tool_calls": calls}))

    assert expected is found.finish_reason
    assert (reason if isinstance(reason, str) and reason else None) == found.raw_finish_reason


def test_calls_without_an_id_get_one_that_stays() -> None:
    """The same bytes give the same ids; two calls of one answer, and the same call of another, give different ones."""
    call = {"function": {"name": "f", "arguments": {"a": 1}}}
    message = {"role": "assistant", "content": "", "tool_calls": [call, call]}

    first, again, later = read(answer(message=message)), read(answer(message=message)), read(answer(message=message, created_at="later"))

    ids = [call.id for call in first.tool_calls]
    assert ids == [call.id for call in again.tool_calls]
    assert 4 == len({*ids, *(call.id for call in later.tool_calls)})


def test_calls_of_any_shape_are_read() -> None:
    """Arguments as text, of no object, or missing; without a name there is no call."""
    calls: list[Any] = [
        {"id": 5, "function": {"name": "a", "arguments": '{"x": 1}'}},
        {"id": "b", "function": {"name": "b", "arguments": "nonsense"}},
        {"id": "c", "function": {"name": "c"}},
        {"id": "d", "function": {"arguments": {}}},
        {"id": "e"},
        "f",
        None,
    ]

    found = read(answer(message={"role": "assistant", "content": "", "tool_calls": calls})).tool_calls

    assert [("5", {"x": 1}), ("b", {}), ("c", {})] == [(call.id, dict(call.arguments)) for call in found]
    assert ("nonsense", "the arguments are not JSON") == (found[1].text, (found[1].invalid or "").partition(":")[0])


def test_an_answer_goes_back_as_it_came() -> None:
    """Thoughts, ids, arguments and their order."""
    sample = json.loads((SAMPLES / "parallel_tool_calls.json").read_text())
    found = read(sample)
    history = [user("Go"), found.message, *(tool_result(call, "sun") for call in found.tool_calls)]

    sent = json.loads(DIALECT.encode(make_request(history, model="m"), Place(base_url="http://h")).body)["messages"]

    message = sample["message"]
    assert (message["content"], message["thinking"]) == (sent[1]["content"], sent[1]["thinking"])
    calls = [(call["id"], call["function"]["name"], call["function"]["arguments"]) for call in message["tool_calls"]]
    assert calls == [(call["id"], call["function"]["name"], call["function"]["arguments"]) for call in sent[1]["tool_calls"]]
    assert [call[0] for call in calls] == [turn["tool_call_id"] for turn in sent[2:]]


def test_numbers_of_tokens_may_be_odd() -> None:
    """What is no number counts for nothing."""
    usage = read(answer(prompt_eval_count=12.0, eval_count="many")).usage

    assert (12, 0, True) == (usage.input_tokens, usage.output_tokens, usage.reported)


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (b"", "malformed", "empty"),
        (b"  \n", "malformed", "empty"),
        (b"<html>", "malformed", "not JSON"),
        (b"[]", "malformed", "no JSON object"),
        ({}, "malformed", "no message"),
        (answer(message="Hi"), "malformed", "no message"),
        (answer(done=False), "truncated", "not marked as done"),
        (answer(done=1), "truncated", "not marked as done"),
        ({"error": "server busy"}, None, "server busy"),
    ],
)
def test_what_is_no_answer_is_refused(body: Any, kind: str | None, words: str) -> None:
    """Whatever its status says."""
    found, message = wrong(body)

    assert kind == found
    assert words in message


def test_a_null_error_is_none() -> None:
    """Some servers write every field."""
    assert "Hi" == read(answer(error=None)).text


def test_an_answer_that_streams_unasked_is_read() -> None:
    """A proxy may not know better."""
    response = reply((SAMPLES / "thinking.ndjson").read_bytes(), 200, {"content-type": "application/x-ndjson"})

    found = DIALECT.decode(response, ASKED)

    assert ("Hello you", "Okay, the user", 282) == (found.text, found.thinking, found.usage.output_tokens)


def test_models_are_listed() -> None:
    """With the window where the server knows it."""
    found = DIALECT.decode_models(reply((SAMPLES / "tags.json").read_bytes()))

    assert [("deepseek-r1:latest", None), ("gpt-oss:120b-cloud", 131072)] == [(model.id, model.context_window) for model in found]
    assert "qwen2" == found[0].raw["details"]["family"]


@pytest.mark.parametrize("body", [{"models": None}, {}, {"models": []}, {"models": ["x", {"size": 1}]}])
def test_no_models_are_an_empty_list(body: Any) -> None:
    """Null is how Go writes one; rows without a name are none."""
    assert [] == DIALECT.decode_models(reply(body))


@pytest.mark.parametrize("body", [{"models": "x"}, [], b"?", {"error": "no"}])
def test_a_list_of_models_that_is_none_is_refused(body: Any) -> None:
    """Rather than read as an empty one."""
    with pytest.raises(WireError):
        DIALECT.decode_models(reply(body))


def test_arguments_nested_too_deeply_to_be_written_are_kept() -> None:
    """The call has them; only its text is short."""
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    made = MessageInMaking("ollama")

    _, _, deltas = made.add({"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": deep}}]}, "t")

    assert "{}" == deltas[0].arguments
    assert {"a"} == set(made.calls[0][0].arguments)


def test_a_message_can_be_asked_for_before_its_end() -> None:
    """What is held back, since it may become a tag, is in it; in the end it is given out."""
    made = MessageInMaking("ollama")

    given = [made.add({"content": piece}, "t")[:2] for piece in ("<thi", "nk>Hm", " </thi")]

    assert [("", ""), ("", "Hm"), ("", " ")] == given
    assert "Hm" in made.message().thinking
    text, thoughts = made.end()
    assert ("", True) == (text, thoughts.endswith("</thi"))
    assert "<think>Hm </thi" == made.raw()["content"]


def test_a_raw_message_has_what_came() -> None:
    """Text that was held back as the beginning of a tag, and calls as they were."""
    call = {"id": "c", "function": {"name": "f", "arguments": {}}}
    made = MessageInMaking("ollama")
    made.add({"content": "<th", "tool_calls": [call]}, "t")

    assert ("<th", "") == made.end()

    assert {"role": "assistant", "content": "<th", "tool_calls": [call]} == made.raw()
    assert "<th" == made.message().text


def test_thoughts_of_both_kinds_are_one() -> None:
    """Those in tags that came first, then those that the server tells apart."""
    made = MessageInMaking("ollama")

    made.add({"content": "<think>a"}, "t")
    made.add({"thinking": "b"}, "t")

    assert "ab" == made.message().thinking
    assert ("<think>a", "b") == (made.raw()["content"], made.raw()["thinking"])


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                [
                    "message",
                    "content",
                    "thinking",
                    "tool_calls",
                    "function",
                    "name",
                    "arguments",
                    "done",
                    "done_reason",
                    "error",
                    "models",
                    "details",
                ]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


@settings(max_examples=300)
@given(st.one_of(JSON.map(lambda value: json.dumps(value).encode()), st.binary(max_size=40)))
def test_whatever_comes_only_a_wire_error_does(data: bytes) -> None:
    """Whole answers, errors, and lists of models."""
    for attempt in (lambda: DIALECT.decode(reply(data), ASKED), lambda: DIALECT.decode_models(reply(data))):
        with contextlib.suppress(WireError):
            attempt()
    assert 500 == DIALECT.fault(reply(data, 500)).status


@settings(max_examples=200)
@given(JSON)
def test_whatever_message_comes_it_is_read(message: Any) -> None:
    """An answer that is done has whatever can be understood of it."""
    if isinstance(message, dict):
        assert "assistant" == read(answer(message=message)).message.role

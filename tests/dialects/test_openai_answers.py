"""Whole answers of Chat Completions, and lists of models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import example, given
from hypothesis import strategies as st

from llmkit.dialects.base import Place, WireError
from llmkit.dialects.openai_chat import OpenAIChat
from llmkit.models.content import Text, Thinking, user
from llmkit.models.fault import Fault
from llmkit.models.request import make_request
from llmkit.models.response import CompletionResponse
from llmkit.models.usage import Usage
from llmkit.transport.base import HttpResponse

SAMPLES = Path(__file__).parent.parent / "samples" / "openai_chat"
INDEX: dict[str, Any] = json.loads((SAMPLES / "index.json").read_text())["samples"]
ANSWERS = sorted(name for name in INDEX if name.endswith(".json"))
GOOD = [name for name in ANSWERS if "error" not in INDEX[name]["expect"]]
ASKED = make_request("Hi", model="asked")
OPENAI = OpenAIChat()


def dialect_of(name: str) -> OpenAIChat:
    return OpenAIChat(**INDEX[name]["quirks"])


def reply(body: Any) -> HttpResponse:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpResponse(status=200, headers={"content-type": "application/json", "x-request-id": "req_7"}, body=content)


def decode(body: Any, dialect: OpenAIChat = OPENAI) -> CompletionResponse:
    return dialect.decode(reply(body), ASKED)


def fault_of(body: Any, dialect: OpenAIChat = OPENAI) -> Fault:
    with pytest.raises(WireError) as refused:
        decode(body, dialect)
    return refused.value.fault


def answer(finish: Any = "stop", usage: Any = None, **message: Any) -> dict[str, Any]:
    return {"id": "1", "model": "m", "choices": [{"message": message, "finish_reason": finish}], "usage": usage}


def streamed(body: dict[str, Any], dialect: OpenAIChat) -> CompletionResponse:
    """Return the same answer as a server would have streamed it: text and thoughts in pieces, each call in two."""
    head = {key: value for key, value in body.items() if key not in ("choices", "usage")}
    choice = body["choices"][0]
    message = {key: value for key, value in choice["message"].items() if value is not None}
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    for key in ("reasoning", "reasoning_content", "content", "refusal"):
        value = message.get(key)
        if isinstance(value, str):
            deltas += [{key: value[n : n + 3]} for n in range(0, len(value), 3)]
        elif isinstance(value, list):
            deltas += [{key: [block]} for block in value]
    if details := message.get("reasoning_details"):
        # OpenRouter says both in one delta.
        deltas = [delta for delta in deltas if "reasoning" not in delta]
        deltas += [
            {"reasoning": message["reasoning"], "reasoning_details": details[:1]},
            *({"reasoning_details": [item]} for item in details[1:]),
        ]
    for index, call in enumerate(message.get("tool_calls", [])):
        function, rest = call["function"], {key: value for key, value in call.items() if key not in ("function", "index")}
        half = len(function["arguments"]) // 2
        deltas.append({"tool_calls": [{**rest, "index": index, "function": {**function, "arguments": function["arguments"][:half]}}]})
        deltas.append({"tool_calls": [{"index": index, "function": {"arguments": function["arguments"][half:]}}]})
    events = [{**head, "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    events.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}], "usage": body["usage"]})
    stream = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
    decoder = dialect.decoder(HttpResponse(status=200, headers={"content-type": "text/event-stream"}), ASKED)
    decoder.feed(stream.encode())
    return decoder.response()


# -- what servers answer


@pytest.mark.parametrize("name", GOOD)
def test_each_sample_reads_as_its_index_says(name: str) -> None:
    """Text, thoughts, calls, reason and usage are those written beside the recording, and raw is the recording."""
    expected = INDEX[name]["expect"]
    body = (SAMPLES / name).read_bytes()

    found = decode(body, dialect_of(name))

    usage = found.usage
    calls = [
        [call.id if wanted[0] else "", call.name, call.text]
        for call, wanted in zip(found.tool_calls, expected.get("calls", []), strict=True)
    ]
    assert [expected.get("text", ""), expected.get("thinking", ""), expected.get("calls", [])] == [found.text, found.thinking, calls]
    assert expected["usage"] == [usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.reasoning_tokens]
    assert (expected["finish"], json.loads(body), "req_7") == (found.finish_reason, found.raw, found.request_id)


@pytest.mark.parametrize("name", [name for name in ANSWERS if name not in GOOD])
def test_an_error_with_a_good_status_is_an_error(name: str) -> None:
    """Wherever in the reply it stands."""
    wanted = INDEX[name]["expect"]["error"]

    fault = fault_of((SAMPLES / name).read_bytes(), dialect_of(name))

    assert wanted == {key: getattr(fault, key) for key in wanted}
    assert (200, "req_7") == (fault.status, fault.request_id)


@pytest.mark.parametrize("name", GOOD)
def test_an_answer_and_its_stream_are_equal(name: str) -> None:
    """Message, reason, usage and id do not depend on whether the answer was streamed."""
    dialect, body = dialect_of(name), json.loads((SAMPLES / name).read_bytes())

    whole, pieced = decode(body, dialect), streamed(body, dialect)

    assert (whole.message, whole.finish_reason, whole.usage) == (pieced.message, pieced.finish_reason, pieced.usage)
    assert (whole.id, whole.model, [call.text for call in whole.tool_calls]) == (
        pieced.id,
        pieced.model,
        [call.text for call in pieced.tool_calls],
    )


@pytest.mark.parametrize("name", GOOD)
def test_what_was_answered_goes_back_as_it_came(name: str) -> None:
    """The message, appended to the history, has its ids, order, arguments and thoughts as the provider gave them."""
    dialect, body = dialect_of(name), json.loads((SAMPLES / name).read_bytes())
    said = body["choices"][0]["message"]
    message = decode(body, dialect).message

    turn = json.loads(dialect.encode(make_request([user("Hi"), message], model="m"), Place(base_url="http://h")).body)["messages"][-1]

    calls = [(call["function"]["name"], call["function"]["arguments"], call.get("extra_content")) for call in turn.get("tool_calls", [])]
    assert [(c["function"]["name"], c["function"]["arguments"], c.get("extra_content")) for c in said.get("tool_calls") or []] == calls
    ids = [call["id"] for call in turn.get("tool_calls", [])]
    assert [call["id"] or made for call, made in zip(said.get("tool_calls") or [], ids, strict=True)] == ids
    if dialect.replay != "none":
        assert said[dialect.replay] == turn[dialect.replay]


# -- fields and their oddities


@pytest.mark.parametrize(
    ("details", "wanted"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 6, "cache_write_tokens": 3}}, (10, 5, 6, 3, 0)),
        ({"prompt_tokens_details": {"cached_tokens": 60, "cache_creation_input_tokens": 9}}, (10, 5, 10, 0, 0)),
        ({"prompt_cache_hit_tokens": 4}, (10, 5, 4, 0, 0)),
        ({"cached_tokens": 4, "prompt_tokens_details": None}, (10, 5, 4, 0, 0)),
        ({"cache_creation_input_tokens": 2}, (10, 5, 0, 2, 0)),
        ({"completion_tokens_details": {"reasoning_tokens": 4}}, (10, 5, 0, 0, 4)),
        ({"reasoning_tokens": 99, "completion_tokens_details": []}, (10, 5, 0, 0, 5)),
        ({"prompt_tokens": None, "completion_tokens": "5", "total_tokens": True}, (0, 0, 0, 0, 0)),
        ({"prompt_tokens": -3, "completion_tokens": 5.0}, (0, 5, 0, 0, 0)),
        ({"total_tokens": 100}, (10, 5, 0, 0, 0)),
    ],
)
def test_usage_has_one_meaning(details: dict[str, Any], wanted: tuple[int, ...]) -> None:
    """Whatever servers call it, input includes what was cached, output the reasoning; no part is larger than its whole."""
    found = decode(answer(usage={"prompt_tokens": 10, "completion_tokens": 5, **details}, content="a")).usage

    assert wanted == (found.input_tokens, found.output_tokens, found.cache_read_tokens, found.cache_write_tokens, found.reasoning_tokens)


def test_output_that_a_server_hides_is_counted() -> None:
    """xAI's completion_tokens leave the reasoning out, its total does not."""
    usage = {"prompt_tokens": 307, "completion_tokens": 26, "total_tokens": 560, "completion_tokens_details": {"reasoning_tokens": 227}}

    found = decode(answer(usage=usage, content="a"), evolve(OPENAI, hidden_output=True)).usage

    assert (253, 227, 560) == (found.output_tokens, found.reasoning_tokens, found.total_tokens)


@pytest.mark.parametrize("usage", [None, {}, [], "none", 5])
def test_usage_that_is_none_is_not_reported(usage: Any) -> None:
    """Zero is then no number that anybody counted."""
    assert Usage(reported=False) == decode(answer(usage=usage, content="a")).usage


@pytest.mark.parametrize(
    ("raw", "message", "wanted"),
    [
        ("stop", {"content": "a"}, "stop"),
        (None, {"content": "a"}, "stop"),
        ("", {"content": "a"}, "stop"),
        (5, {"content": "a"}, "stop"),
        ("stop", {"tool_calls": [{"id": "x", "function": {"name": "f"}}]}, "tool_calls"),
        (None, {"function_call": {"name": "f", "arguments": "{}"}}, "tool_calls"),
        ("tool_calls", {"content": "a"}, "tool_calls"),
        ("length", {"tool_calls": [{"id": "x", "function": {"name": "f"}}]}, "length"),
        ("model_length", {"content": "a"}, "length"),
        ("content_filter", {"content": ""}, "content_filter"),
        ("stop", {"content": None, "refusal": "No."}, "refusal"),
        ("error", {"content": "a"}, "error"),
        ("astonishing", {"content": "a"}, "unknown"),
    ],
)
def test_the_reason_is_one_of_ours(raw: Any, message: dict[str, Any], wanted: str) -> None:
    """Missing, empty or wrong beside calls: the reason is told from what came."""
    found = decode(answer(raw, **message))

    assert (wanted, raw if isinstance(raw, str) and raw else None) == (found.finish_reason, found.raw_finish_reason)


@pytest.mark.parametrize(("reason", "kind"), [("insufficient_system_resource", "overloaded"), ("network_error", "server")])
def test_an_answer_that_was_broken_off_is_none(reason: str, kind: str) -> None:
    """DeepSeek and Z.ai say with the reason that they failed; the text before it is no answer."""
    fault = fault_of(answer(reason, content="Hal"))

    assert (kind, reason, "req_7") == (fault.kind, fault.code, fault.request_id)


@pytest.mark.parametrize("arguments", ['{"a": 1}', {"a": 1}])
def test_arguments_may_come_as_text_or_object(arguments: Any) -> None:
    """Both are the same call, and go back as text."""
    (call,) = decode(answer(tool_calls=[{"id": "x", "function": {"name": "f", "arguments": arguments}}])).tool_calls

    assert ({"a": 1}, '{"a": 1}', None) == (call.arguments, call.text, call.invalid)


@pytest.mark.parametrize("arguments", [None, "", {}])
def test_no_arguments_are_an_empty_object(arguments: Any) -> None:
    """Null, an empty text and an empty object all mean it."""
    (call,) = decode(answer(tool_calls=[{"id": "x", "function": {"name": "f", "arguments": arguments}}])).tool_calls

    assert ({}, None) == (call.arguments, call.invalid)


def test_equal_ids_do_not_make_two_calls_one() -> None:
    """In a whole answer each entry is a call, whatever it is called."""
    calls = [{"id": "same", "index": 0, "function": {"name": "f", "arguments": f'{{"a":{n}}}'}} for n in (1, 2)]

    assert [{"a": 1}, {"a": 2}] == [call.arguments for call in decode(answer(tool_calls=calls)).tool_calls]


@pytest.mark.parametrize("call_id", [None, "", "null", 7])
def test_a_call_without_id_gets_one_of_its_own(call_id: Any) -> None:
    """The same bytes give the same ids, and no two calls of an answer the same."""
    body = answer(tool_calls=[{"id": call_id, "function": {"name": "f", "arguments": "{}"}}] * 2)

    first, second = decode(body).tool_calls

    assert first.id.startswith("call_")
    assert first.id != second.id
    assert [first.id, second.id] == [call.id for call in decode(body).tool_calls]


def test_thoughts_that_are_said_twice_count_once() -> None:
    """OpenRouter gives them as text and as details; both are kept for the way back."""
    details = [{"type": "reasoning.text", "text": "Hm"}, {"type": "reasoning.text", "text": "m"}]

    message = decode(answer(content="a", reasoning="Hmm", reasoning_details=details)).message

    assert (Thinking("Hmm", provider="openai", data={"reasoning_details": details}), Text("a")) == message.content


def test_content_may_be_a_list() -> None:
    """Blocks of thinking, in any of their forms, and texts, in theirs."""
    thoughts = [{"type": "thinking", "thinking": [{"type": "text", "text": "A"}, "B", 5]}, {"type": "reasoning", "summary": "C"}]
    content = ["x", *thoughts, {"type": "text", "text": "y"}, {"type": "refusal", "refusal": "z"}, None, {"type": "image", "data": 1}]

    found = decode(answer(content=content))

    assert ("ABC", "xyz") == (found.thinking, found.text)
    assert {"content": thoughts} == found.message.content[0].data  # type: ignore[union-attr]  # it is the thinking


@pytest.mark.parametrize("answer_id", [12, "12"])
def test_an_id_may_be_a_number(answer_id: Any) -> None:
    """It is text here."""
    assert "12" == decode({**answer(content="a"), "id": answer_id}).id


@pytest.mark.parametrize(
    "body",
    [b"", b" \n", b"{", b"[]", b"null", b"<html>", b'{"choices": []}', b'{"choices": [5]}', b'{"choices": [{}]}', b"[" * 100_000, b"\xff"],
)
def test_a_reply_that_is_no_answer_is_malformed(body: bytes) -> None:
    """Empty, cut, no JSON, nested without end, or of another shape; it is kept for whoever has to find out."""
    fault = fault_of(body)

    assert ("malformed", 200, "req_7") == (fault.kind, fault.status, fault.request_id)
    assert body[:9].decode("utf-8", "replace") == fault.body[:9]


# -- models


def listed(body: Any) -> list[Any]:
    return [(model.id, model.owned_by, model.created, model.context_window) for model in OPENAI.decode_models(reply(body))]


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ({"data": [{"id": "a", "owned_by": "o", "created": 5, "max_model_len": 8}]}, [("a", "o", 5, 8)]),
        ([{"model_id": "a"}, {"name": "b", "context_length": 9.0}], [("a", None, None, None), ("b", None, None, 9)]),
        ({"models": [{"id": "a", "created": 1e999, "context_window": "big"}]}, [("a", None, None, None)]),
        ({"data": [{"id": ""}, {}, "x", None, {"id": 5}]}, []),
        ({"object": "list", "data": None}, []),
    ],
)
def test_models_are_listed_in_many_shapes(body: Any, wanted: list[Any]) -> None:
    """Under data or models, or bare; what has no name is no model."""
    content = json.dumps(body).replace("Infinity", "1e999").encode()

    assert wanted == listed(content)


@pytest.mark.parametrize("body", [b"", b"{}", b"5", b'{"data": 5}', b'{"data": {"a": 1}}', b'{"error": "No"}'])
def test_a_list_that_is_none_is_an_error(body: bytes) -> None:
    """A page or an error is not an empty list."""
    with pytest.raises(WireError):
        OPENAI.decode_models(reply(body))


# -- whatever the fields

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "text", "id", "function", "data"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(body=st.binary(max_size=100))
@example(b"data: [DONE]")
def test_no_bytes_break_the_reading(body: bytes) -> None:
    """Random bytes are malformed, as an answer and as a list of models."""
    for read in (lambda: decode(body), lambda: OPENAI.decode_models(reply(body))):
        with pytest.raises(WireError):
            read()

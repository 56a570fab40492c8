"""Streams of the Responses wire: what is sent, cut anyhow, and what may go wrong in it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit.dialects.base import WireError
from llmkit.dialects.openai_responses import OpenAIResponses
from llmkit.models.chunk import CompletionChunk
from llmkit.models.content import Native
from llmkit.models.fault import Fault
from llmkit.models.request import make_request
from llmkit.models.response import CompletionResponse
from llmkit.resilience.classify import classify
from llmkit.transport.base import HttpResponse

SAMPLES = Path(__file__).parent.parent / "samples" / "openai_responses"
INDEX: dict[str, Any] = json.loads((SAMPLES / "index.json").read_text())["samples"]
STREAMS = sorted(name for name in INDEX if name.endswith(".sse"))
PAIRED = [name for name in STREAMS if name.replace(".sse", ".json") in INDEX]
EVENTS = {"content-type": "text/event-stream", "x-request-id": "req_7"}
ASKED = make_request("Hi", model="asked", stream=True)
DIALECT = OpenAIResponses()


def read(pieces: Iterable[bytes], headers: dict[str, str] | None = None) -> tuple[list[CompletionChunk], CompletionResponse, Fault | None]:
    """Return the chunks of a stream, the answer as far as it came, and what went wrong."""
    decoder = DIALECT.decoder(HttpResponse(status=200, headers=EVENTS if headers is None else headers), ASKED)
    chunks: list[CompletionChunk] = []
    fault = None
    try:
        for piece in pieces:
            chunks += decoder.feed(piece)
            if decoder.ended:
                break
        else:
            chunks += decoder.finish()
    except WireError as error:
        chunks += error.chunks
        fault = error.fault
    return chunks, decoder.response(), fault


def sse(*events: Any) -> bytes:
    """Return *events* as a stream: those that are no string as JSON."""
    return "".join(f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n" for event in events).encode()


def completed(*output: Any, **more: Any) -> dict[str, Any]:
    return {"type": "response.completed", "response": {"id": "resp_1", "status": "completed", "output": list(output), **more}}


def as_calls(chunks: list[CompletionChunk]) -> list[list[str]]:
    """Return the calls that the chunks' deltas make."""
    calls: dict[int, list[str]] = {}
    for chunk in chunks:
        if chunk.tool_call is not None:
            delta = chunk.tool_call
            call = calls.setdefault(delta.index, ["", "", ""])
            call[0], call[1], call[2] = call[0] or delta.id or "", call[1] or delta.name or "", call[2] + delta.arguments
    return [calls[index] for index in sorted(calls)]


# -- what servers send


@pytest.mark.parametrize("name", STREAMS)
def test_each_sample_reads_as_its_index_says(name: str) -> None:
    """Text, thoughts, calls, reason and usage are those written beside it; the chunks say the same as the answer."""
    expected = INDEX[name]["expect"]

    chunks, answer, fault = read([(SAMPLES / name).read_bytes()])

    usage = answer.usage
    assert expected.get("text", "") == answer.text == "".join(chunk.text for chunk in chunks)
    assert expected.get("thinking", "") == answer.thinking == "".join(chunk.thinking for chunk in chunks)
    assert expected.get("calls", []) == [[call.id, call.name, call.text] for call in answer.tool_calls] == as_calls(chunks)
    assert expected.get("usage", [0] * 5) == [
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
        usage.reasoning_tokens,
    ]
    assert expected.get("finish", "unknown") == answer.finish_reason.value
    wrong = expected.get("error")
    assert wrong == (wrong and {key: getattr(fault, key) for key in wrong})
    assert (wrong is None) == (fault is None)
    assert "req_7" == answer.request_id


@pytest.mark.parametrize("name", [name for name in STREAMS if "class" in INDEX[name]["expect"]])
def test_an_error_in_a_stream_is_classed_like_any_other(name: str) -> None:
    """Though the status was good."""
    fault = read([(SAMPLES / name).read_bytes()])[2]

    assert fault is not None
    assert INDEX[name]["expect"]["class"] == classify(fault)


@pytest.mark.parametrize("name", PAIRED)
def test_a_stream_and_a_whole_answer_say_the_same(name: str) -> None:
    """Every part of the message, and the raw answer too."""
    reply = HttpResponse(status=200, headers={"x-request-id": "req_7"}, body=(SAMPLES / name.replace(".sse", ".json")).read_bytes())

    whole = DIALECT.decode(reply, ASKED)

    _, streamed, _ = read([(SAMPLES / name).read_bytes()])
    assert whole == streamed
    assert whole.raw == streamed.raw


def test_done_is_no_proof() -> None:
    """Some servers write it behind whatever they have."""
    _, answer, fault = read([sse({"type": "response.output_text.delta", "output_index": 0, "delta": "Hi"}, "[DONE]")])

    assert ("Hi", "truncated") == (answer.text, fault and fault.kind)


# -- leniency and its bounds


def test_items_may_come_without_a_beginning() -> None:
    """What only the item's last event has is given out then."""
    text = {"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}
    call = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a":1}'}
    stream = sse(
        {"type": "response.output_item.done", "output_index": 0, "item": text},
        {"type": "response.output_item.done", "output_index": 1, "item": call},
        completed(),
    )

    chunks, answer, fault = read([stream])

    assert fault is None
    assert ("Hi", [["c1", "f", '{"a":1}']]) == ("".join(chunk.text for chunk in chunks), as_calls(chunks))
    assert ("Hi", {"a": 1}) == (answer.text, dict(answer.tool_calls[0].arguments))


def test_arguments_that_come_at_once_are_given_out_once() -> None:
    """With the call's beginning, then again whenever something ends."""
    call = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a":1}'}
    stream = sse(
        {"type": "response.output_item.added", "output_index": 0, "item": call},
        {"type": "response.function_call_arguments.done", "output_index": 0, "arguments": '{"a":1}'},
        {"type": "response.output_item.done", "output_index": 0, "item": call},
        completed(call),
    )

    assert [["c1", "f", '{"a":1}']] == as_calls(read([stream])[0])


def test_the_final_seal_counts() -> None:
    """That of the item's beginning is another."""
    _, answer, _ = read([(SAMPLES / "reasoning_and_calls.sse").read_bytes()])

    assert "gAAAAABoxsealed==" == answer.message.content[0].signature  # type: ignore[union-attr]


def test_items_of_other_tools_are_kept() -> None:
    """As they came, in their place."""
    _, answer, _ = read([(SAMPLES / "web_search.sse").read_bytes()])

    kept = [part.data["type"] for part in answer.message.content if isinstance(part, Native)]
    assert INDEX["web_search.sse"]["expect"]["native"] == kept


@pytest.mark.parametrize(("kind", "reason"), [("completed", "stop"), ("incomplete", "unknown")])
@pytest.mark.parametrize("status", [None, "", "in_progress", 7])
def test_the_last_event_knows_that_it_is_the_last(kind: str, reason: str, status: Any) -> None:
    """Whatever the response in it says of its status."""
    _, answer, fault = read([sse({"type": f"response.{kind}", "response": {"id": "resp_1", "status": status, "output": []}})])

    assert (None, reason, kind) == (fault, answer.finish_reason.value, answer.raw_finish_reason)


@pytest.mark.parametrize(
    ("stream", "kind"),
    [
        (b"", "truncated"),
        (b"data: 1\n\n", "malformed"),
        (b"data: {\n\n", "malformed"),
        (b"<html>Bad gateway</html>", "malformed"),
        (sse({"type": "response.completed"}), "malformed"),
        (sse({"type": "response.output_item.added", "output_index": 0}), "malformed"),
        (sse({"type": "response.output_item.done", "output_index": 0}), "malformed"),
        (sse({"type": "response.function_call_arguments.delta", "output_index": 0, "delta": "{"}), "malformed"),
        (sse({"type": "response.output_text.delta", "output_index": "x", "delta": "a"}), "malformed"),
    ],
)
def test_what_is_no_stream_is_refused(stream: bytes, kind: str) -> None:
    """By kind."""
    fault = read([stream])[2]

    assert fault is not None
    assert kind == fault.kind


@pytest.mark.parametrize(
    ("stream", "code"),
    [
        (b'event: error\ndata: {"message":"m","code":"c"}\n\n', "c"),
        (b'{"error":{"message":"m","code":"c"}}', "c"),
        (sse({"error": {"message": "m", "code": "c"}}), "c"),
        (sse({"type": "response.failed", "response": {"status": "failed", "error": None}}), "failed"),
        (sse({"type": "response.failed", "response": {"error": {"code": "c", "message": "m"}}}), "c"),
        (sse({"type": "response.cancelled", "response": {"status": "cancelled"}}), "cancelled"),
    ],
)
def test_errors_are_found_wherever_they_are(stream: bytes, code: str) -> None:
    """Named or not, nested or flat, or in place of a stream."""
    fault = read([stream])[2]

    assert fault is not None
    assert (code, 200) == (fault.code, fault.status)


def test_a_stream_may_be_answered_with_one_document() -> None:
    """Its chunks bring all that it has."""
    body = (SAMPLES / "parallel_calls.json").read_bytes()

    chunks, answer, fault = read([body[:100], body[100:]], {"content-type": "application/json"})

    assert (None, "I look.") == (fault, "".join(chunk.text for chunk in chunks))
    assert INDEX["parallel_calls.json"]["expect"]["calls"] == as_calls(chunks)
    assert answer == DIALECT.decode(HttpResponse(status=200, headers={}, body=body), ASKED)


def test_a_document_may_be_a_stream() -> None:
    """Some servers stream whether asked to or not."""
    stream = (SAMPLES / "text.sse").read_bytes()

    answer = DIALECT.decode(HttpResponse(status=200, headers=EVENTS, body=stream), ASKED)

    assert read([stream])[1] == answer == read([stream], {"content-type": "application/json", "x-request-id": "req_7"})[1]


def test_arguments_may_come_with_the_end_of_their_call_only() -> None:
    """They are given out then."""
    call = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": ""}
    stream = sse(
        {"type": "response.output_item.added", "output_index": 0, "item": call},
        {"type": "response.output_item.done", "output_index": 0, "item": {**call, "arguments": '{"a":1}'}},
        completed(),
    )

    assert [["c1", "f", '{"a":1}']] == as_calls(read([stream])[0])


@pytest.mark.parametrize("kind", ["text/event-stream", "application/json"])
def test_nothing_comes_behind_the_end(kind: str) -> None:
    """And before it there is an answer already, which says nothing."""
    decoder = DIALECT.decoder(HttpResponse(status=200, headers={"content-type": kind}), ASKED)
    before = decoder.response()

    chunks = [*decoder.feed((SAMPLES / "text.sse").read_bytes()), *decoder.finish()]

    assert ("", "asked", "unknown") == (before.text, before.model, before.finish_reason.value)
    assert chunks
    assert decoder.ended
    assert [] == decoder.finish()


def test_a_document_in_place_of_a_stream_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has none would fill the memory."""
    monkeypatch.setattr("llmkit.dialects.whole.BODY_LIMIT", 10)

    fault = read([b"{" * 11], {"content-type": "application/json"})[2]

    assert fault is not None
    assert "response_too_large" == fault.kind


def test_a_document_that_is_labelled_as_a_stream_is_no_answer() -> None:
    """Nobody promised that it is whole."""
    fault = read([(SAMPLES / "text.json").read_bytes()])[2]

    assert fault is not None
    assert "malformed" == fault.kind


# -- whatever comes

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4), lambda inner: st.lists(inner, max_size=3), max_leaves=4
)
KINDS = sorted({json.loads(line[6:])["type"] for name in STREAMS for line in (SAMPLES / name).read_text().splitlines() if line[6:7] == "{"})
FIELDS = (
    "item",
    "response",
    "delta",
    "text",
    "arguments",
    "output_index",
    "content_index",
    "summary_index",
    "part",
    "error",
    "output",
    "status",
)
INNER = (
    "type",
    "id",
    "call_id",
    "name",
    "arguments",
    "content",
    "summary",
    "status",
    "output",
    "usage",
    "error",
    "incomplete_details",
    "text",
)
OBJECTS = st.dictionaries(st.sampled_from(INNER), VALUES | st.sampled_from(["message", "function_call", "reasoning", "failed"]), max_size=5)
ITEMS = OBJECTS | st.dictionaries(st.sampled_from(INNER), st.lists(OBJECTS, max_size=2) | OBJECTS, max_size=4)
FUZZ = st.builds(
    lambda kind, rest: {"type": kind, **rest}, st.sampled_from(KINDS) | VALUES, st.dictionaries(st.sampled_from(FIELDS), ITEMS | VALUES)
)


@settings(max_examples=400)
@given(events=st.lists(FUZZ, max_size=6))
def test_nothing_but_our_errors_comes_out(events: list[Any]) -> None:
    """Whatever the fields hold; what came so far can always be asked for."""
    _, answer, fault = read([sse(*events)])

    assert fault is not None or answer.raw["output"] is not None

"""Cohere's streams: what is sent, cut anyhow, and what may go wrong in it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit.dialects import cohere_stream
from llmkit.dialects import whole as whole_answers
from llmkit.dialects.base import WireError
from llmkit.dialects.cohere import CohereChat
from llmkit.models.chunk import CompletionChunk
from llmkit.models.content import Native
from llmkit.models.fault import Fault
from llmkit.models.request import make_request
from llmkit.models.response import CompletionResponse, FinishReason
from llmkit.resilience.classify import classify
from llmkit.tools import Tool
from llmkit.transport.base import HttpResponse

SAMPLES = Path(__file__).parent.parent / "samples" / "cohere"
INDEX: dict[str, Any] = json.loads((SAMPLES / "index.json").read_text())["samples"]
STREAMS = sorted(name for name in INDEX if name.endswith(".sse"))
GOOD = [name for name in STREAMS if "error" not in INDEX[name]["expect"]]
EVENTS = {"content-type": "text/event-stream", "x-debug-trace-id": "trace-1"}
ASKED = make_request("Hi", model="asked", stream=True)
DIALECT = CohereChat()


def read(
    pieces: Iterable[bytes], request: Any = ASKED, headers: dict[str, str] = EVENTS
) -> tuple[list[CompletionChunk], CompletionResponse, Fault | None]:
    """Return the chunks of a stream, the answer as far as it came, and what went wrong."""
    decoder = DIALECT.decoder(HttpResponse(status=200, headers=headers), request)
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
    return "".join(f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n" for event in events).encode()


def content(text: Any = "x", index: Any = 0, kind: str = "text") -> dict[str, Any]:
    return {"type": "content-delta", "index": index, "delta": {"message": {"content": {kind: text}}}}


def piece(name: str, index: Any, **fields: Any) -> dict[str, Any]:
    return {"type": f"tool-call-{name}", "index": index, "delta": {"message": {"tool_calls": fields}}}


def begun(index: Any, call_id: str, name: str, arguments: str = "") -> dict[str, Any]:
    return piece("start", index, id=call_id, type="function", function={"name": name, "arguments": arguments})


def grown(index: Any, arguments: Any) -> dict[str, Any]:
    return piece("delta", index, function={"arguments": arguments})


def end(reason: Any = "COMPLETE", **delta: Any) -> dict[str, Any]:
    return {"type": "message-end", "delta": {"finish_reason": reason, **delta}}


@pytest.mark.parametrize("name", STREAMS)
def test_each_sample_reads_as_its_index_says(name: str) -> None:
    """Text, thoughts, calls, reason, usage, citations and fault are those written beside it; chunks say the same in pieces."""
    expected = INDEX[name]["expect"]

    chunks, answer, fault = read([(SAMPLES / name).read_bytes()])

    calls = [[call.id, call.name, call.text or ""] for call in answer.tool_calls]
    assert (expected.get("text", ""), expected.get("thinking", ""), expected.get("calls", [])) == (answer.text, answer.thinking, calls)
    usage = answer.usage
    counts = [usage.input_tokens, usage.output_tokens, usage.cache_read_tokens] if usage.reported else None
    assert (expected["finish"], expected["usage"]) == (answer.finish_reason.value, counts)
    assert (answer.text, answer.thinking) == ("".join(c.text for c in chunks), "".join(c.thinking for c in chunks))
    natives = [part.data["citations"] for part in answer.message.content if isinstance(part, Native)]
    assert expected.get("citations", 0) == sum(map(len, natives))
    pieces: dict[int, str] = {}
    for chunk in chunks:
        if chunk.tool_call is not None:
            pieces[chunk.tool_call.index] = pieces.get(chunk.tool_call.index, "") + chunk.tool_call.arguments
    assert dict(enumerate(call[2] for call in calls)) == pieces
    wrong = expected.get("error")
    assert (wrong is None) == (fault is None)
    if fault is not None:
        assert wrong == {"message": fault.message, "kind": classify(fault)} if "message" in wrong else {"kind": fault.kind}
        assert "trace-1" == fault.request_id


@pytest.mark.parametrize("name", GOOD)
def test_a_stream_comes_to_what_its_whole_answer_would_be(name: str) -> None:
    """Its raw form, read as a whole answer, is the same answer."""
    _, streamed, _ = read([(SAMPLES / name).read_bytes()])

    whole = DIALECT.decode(HttpResponse(status=200, headers={"x-debug-trace-id": "trace-1"}, body=json.dumps(streamed.raw).encode()), ASKED)

    assert streamed == whole


def test_the_last_chunk_has_reason_and_usage() -> None:
    """No other has."""
    chunks, answer, _ = read([(SAMPLES / "text.sse").read_bytes()])

    assert {None} == {chunk.finish_reason for chunk in chunks[:-1]} == {chunk.usage for chunk in chunks[:-1]}
    assert (FinishReason.STOP, answer.usage) == (chunks[-1].finish_reason, chunks[-1].usage)
    assert ("2941521a-6f0f-4c3f-8f6b-1c1d1e1f2a2b", "trace-1") == (answer.id, answer.request_id)


def test_calls_are_numbered_in_their_order() -> None:
    """Whatever number they have on the wire; id and name come first."""
    chunks, _, _ = read([(SAMPLES / "tool_calls.sse").read_bytes()])

    deltas = [chunk.tool_call for chunk in chunks if chunk.tool_call is not None]
    assert [(0, "cityAttractions_pyxssbwnq9fq", "cityAttractions", "")] == [(d.index, d.id, d.name, d.arguments) for d in deltas[:1]]
    assert [0, 0, 0, 0, 1, 1, 1] == [delta.index for delta in deltas]
    assert {None} == {delta.id for delta in deltas[1:4]}


def test_names_are_read_back() -> None:
    """In chunks and in the answer."""
    request = make_request("Hi", model="m", stream=True, tools=[Tool(name="get-time")])

    chunks, answer, _ = read([sse(begun(0, "c", "get_time"), end("TOOL_CALL"))], request)

    assert "get-time" == answer.tool_calls[0].name
    assert ["get-time"] == [chunk.tool_call.name for chunk in chunks if chunk.tool_call is not None]


def test_calls_of_any_order_are_put_together() -> None:
    """Pieces find theirs by number; one that comes twice begins another; without a number it is the last."""
    stream = sse(
        begun(0, "a", "f"), begun(1, "b", "g"), grown(0, '{"x":'), grown(1, "{}"), grown(0, "1}"),
        begun(1, "c", "h"), grown(None, '{"y": 2}'), end("TOOL_CALL"),
    )  # fmt: skip

    _, answer, _ = read([stream])

    assert [("a", "f", {"x": 1}), ("b", "g", {}), ("c", "h", {"y": 2})] == [(c.id, c.name, dict(c.arguments)) for c in answer.tool_calls]


def test_calls_may_come_as_the_list_that_the_name_promises() -> None:
    """One in each event; what is none, or has no name, is no call."""
    listed = {"type": "tool-call-start", "index": 0, "delta": {"message": {"tool_calls": [{"id": "a", "function": {"name": "f"}}]}}}
    empty = {"type": "tool-call-start", "index": 1, "delta": {"message": {"tool_calls": []}}}

    chunks, answer, _ = read([sse(listed, empty, grown(7, "x"), piece("start", 8), end("COMPLETE"))])

    assert ["a"] == [call.id for call in answer.tool_calls]
    assert FinishReason.TOOL_CALLS is answer.finish_reason
    assert 3 == len(chunks)


def test_contents_are_told_apart_by_their_index() -> None:
    """And by what they bring, where their beginning was lost; kinds that nobody knows are kept."""
    stream = sse(
        content("b", 2), content("Hm", 1, "thinking"), content("c", 2), content("?", None),
        {"type": "content-start", "index": 3, "delta": {"message": {"content": {"type": "future", "x": "1", "n": 1}}}},
        content("2", 3, "x"), content(5, 4), {"type": "content-delta", "index": 0, "delta": {"message": {"content": "text"}}}, end(),
    )  # fmt: skip

    _, answer, fault = read([stream])

    assert (None, "?bc", "Hm") == (fault, answer.text, answer.thinking)
    assert Native("cohere", {"type": "future", "n": 1, "x": "12"}) in answer.message.content


def test_probabilities_are_kept_raw() -> None:
    """Those of all pieces."""
    one, more = {**content("a"), "logprobs": {"text": "a"}}, {**content("b"), "logprobs": [{"text": "b"}]}

    _, answer, _ = read([sse(one, more, end())])

    assert [{"text": "a"}, {"text": "b"}] == answer.raw["logprobs"]


def test_kinds_may_be_told_by_the_events_name() -> None:
    """Should the data leave it out."""
    unnamed = {key: value for key, value in content("Hi").items() if key != "type"}
    stream = b"event: content-delta\n" + sse(unnamed) + b"event: message-end\n" + sse({"id": "m1", "delta": {"finish_reason": "COMPLETE"}})

    _, answer, fault = read([stream])

    assert (None, "Hi", "m1") == (fault, answer.text, answer.id)


def test_nothing_is_read_behind_the_end() -> None:
    """Be it nonsense."""
    decoder = DIALECT.decoder(HttpResponse(status=200, headers=EVENTS), ASKED)

    chunks = decoder.feed(sse(content("Hi"), end(), "nonsense"))

    assert decoder.ended
    assert 2 == len(chunks)
    assert [] == decoder.feed(b"more") == decoder.finish()


def test_a_whole_body_of_events_is_an_answer() -> None:
    """For those who did not ask for a stream."""
    response = HttpResponse(status=200, headers=EVENTS, body=(SAMPLES / "text.sse").read_bytes())

    assert "Hello, Zürich!" == cohere_stream.decode_as_whole("cohere", response, ASKED).text


def test_an_answer_in_one_document_is_given_out_at_its_end() -> None:
    """Calls first, then what was said."""
    headers = {**EVENTS, "content-type": "application/json"}

    chunks, answer, fault = read([(SAMPLES / "parallel_tool_calls.json").read_bytes()], headers=headers)

    assert fault is None
    assert ["get_weather_a1", "get_time_b2", None] == [chunk.tool_call and chunk.tool_call.id for chunk in chunks]
    assert (answer.thinking, answer.usage, answer.finish_reason) == (chunks[-1].thinking, chunks[-1].usage, chunks[-1].finish_reason)


def test_a_document_that_is_an_error_is_one() -> None:
    """And before its end there is nothing."""
    headers = {**EVENTS, "content-type": "application/json"}

    _, answer, fault = read([b'{"message": "too many tokens: 5"}'], headers=headers)

    assert fault is not None
    assert ("context_length", "", "asked") == (classify(fault), answer.text, answer.model)


def test_a_document_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the limit of a body."""
    monkeypatch.setattr(whole_answers, "BODY_LIMIT", 10)

    _, _, fault = read([b"x" * 8, b"x" * 8], headers={"content-type": "application/json"})

    assert "response_too_large" == (fault and fault.kind)


@pytest.mark.parametrize(
    ("stream", "kind", "words"),
    [
        (b"", "truncated", "no message-end"),
        (sse("[DONE]"), "truncated", "no message-end"),
        (sse(content("Hi"), "[DONE]"), "truncated", "no message-end"),
        (sse("[1]"), "malformed", "no JSON object"),
        (sse("{nonsense}"), "malformed", "not JSON"),
        (b"<html>Bad gateway</html>", "malformed", "not JSON"),
        (b'{"a": 1}', "malformed", "no stream of events"),
        (b'{"message": "overloaded"}', "overloaded", "overloaded"),
        (sse({"message": "internal server error"}), "server", "internal server error"),
        (sse(content("Hi"), end("COMPLETE", error="generation failed")), "server", "generation failed"),
        (sse(end("ERROR", error="too many tokens: 5")), "context_length", "too many tokens"),
        (sse(end("TIMEOUT", error="slow")), "timeout", "slow"),
    ],
)
def test_what_is_no_stream_is_refused(stream: bytes, kind: str, words: str) -> None:
    """Whatever its status said."""
    _, _, fault = read([stream])

    assert fault is not None
    assert kind == classify(fault)
    assert words in fault.message


WORDS = [
    "type",
    "index",
    "delta",
    "message",
    "content",
    "text",
    "thinking",
    "tool_calls",
    "tool_plan",
    "function",
    "name",
    "arguments",
    "id",
]
WORDS += ["citations", "finish_reason", "usage", "tokens", "error", "logprobs"]
KINDS = [
    "message-start",
    "content-start",
    "content-delta",
    "tool-plan-delta",
    "tool-call-start",
    "tool-call-delta",
    "citation-start",
    "message-end",
    "debug",
]
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-2, 2), st.sampled_from([*KINDS, "COMPLETE", "text", "thinking", ""])),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(WORDS), inner, max_size=4)),
    max_leaves=10,
)
ODD_EVENTS = st.builds(
    lambda kind, index, inner, rest: {"type": kind, "index": index, "delta": {"message": inner}, **rest},
    st.sampled_from(KINDS),
    JSON,
    JSON,
    st.dictionaries(st.sampled_from(["delta", "id", "logprobs", "index"]), JSON, max_size=2),
)


@settings(max_examples=300)
@given(st.lists(ODD_EVENTS, max_size=6))
def test_whatever_events_come_they_are_read(events: list[Any]) -> None:
    """As far as they can be understood."""
    chunks, answer, _ = read([sse(*events)])

    # Blocks stand in the order of their numbers, pieces came in their own.
    assert sorted(answer.text) == sorted("".join(chunk.text for chunk in chunks))
    json.dumps(answer.raw)

"""Streams of the Messages wire: what is sent, cut anyhow, and what may go wrong in it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit.dialects.anthropic import AnthropicMessages
from llmkit.dialects.base import WireError
from llmkit.models.chunk import CompletionChunk
from llmkit.models.content import Native, Text
from llmkit.models.fault import Fault
from llmkit.models.request import make_request
from llmkit.models.response import CompletionResponse, FinishReason
from llmkit.resilience.classify import classify
from llmkit.transport.base import HttpResponse

SAMPLES = Path(__file__).parent.parent / "samples" / "anthropic"
INDEX: dict[str, Any] = json.loads((SAMPLES / "index.json").read_text())["samples"]
STREAMS = sorted(name for name in INDEX if name.endswith(".sse"))
PAIRED = [name for name in STREAMS if name.replace(".sse", ".json") in INDEX]
EVENTS = {"content-type": "text/event-stream; charset=utf-8", "request-id": "req_7"}
ASKED = make_request("Hi", model="asked", stream=True)
DIALECT = AnthropicMessages()


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
    """Return *events* as a stream; dicts are named as their type is."""
    lines = []
    for event in events:
        name = f"event: {event['type']}\n" if isinstance(event, dict) and "type" in event else ""
        lines.append(f"{name}data: {event if isinstance(event, str) else json.dumps(event)}\n\n")
    return "".join(lines).encode()


START = {"type": "message_start", "message": {"id": "msg_1", "model": "m", "content": [], "usage": {"input_tokens": 3, "output_tokens": 1}}}
STOP = {"type": "message_stop"}


def begun(block: Any, index: Any = 0) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: Any = 0, **facts: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": facts}


def ended(reason: Any = "end_turn", **usage: Any) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage}


TEXT = [begun({"type": "text", "text": ""}), delta(type="text_delta", text="Hi")]


# -- what is recorded


@pytest.mark.parametrize("name", STREAMS)
def test_a_recorded_stream_is_read(name: str) -> None:
    """Text, thoughts, calls, why it ended and tokens; or what went wrong, with all that came before."""
    expect = INDEX[name]["expect"]

    chunks, answer, fault = read([(SAMPLES / name).read_bytes()])

    assert (expect["text"], expect.get("thinking", "")) == (answer.text, answer.thinking)
    assert (answer.text, answer.thinking) == ("".join(chunk.text for chunk in chunks), "".join(chunk.thinking for chunk in chunks))
    assert expect.get("calls", []) == [[call.id, call.name, call.arguments] for call in answer.tool_calls]
    assert expect.get("invalid", False) is any(call.invalid for call in answer.tool_calls)
    if "error" in expect:
        assert fault is not None
        assert expect["error"] == {key: getattr(fault, key) for key in expect["error"]}
        return
    usage = answer.usage
    assert fault is None
    assert expect["usage"] == [
        *(usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_write_tokens, usage.reasoning_tokens)
    ]
    assert [expect["finish"]] == [chunk.finish_reason.value for chunk in chunks if chunk.finish_reason is not None]
    assert (expect["finish"], usage) == (answer.finish_reason.value, chunks[-1].usage)
    assert "req_7" == answer.request_id


@pytest.mark.parametrize("name", PAIRED)
def test_a_stream_makes_the_answer_that_would_have_come_whole(name: str) -> None:
    """Message, reason, usage and the wire's own shape are equal, block by block."""
    whole = json.loads((SAMPLES / name.replace(".sse", ".json")).read_text())
    expected = DIALECT.decode(
        HttpResponse(status=200, headers=EVENTS | {"content-type": "application/json"}, body=json.dumps(whole).encode()), ASKED
    )

    _, answer, _ = read([(SAMPLES / name).read_bytes()])

    assert expected == answer
    assert whole["content"] == answer.raw["content"]
    assert {key: value for key, value in whole.items() if key != "usage"} == {
        key: value for key, value in answer.raw.items() if key != "usage"
    }


# -- chunks


def test_calls_come_in_pieces_that_say_whose_they_are() -> None:
    """Id and name first, then fragments that join to JSON; one without arguments says so."""
    chunks, _, _ = read([(SAMPLES / "parallel_tools.sse").read_bytes()])
    calls = [chunk.tool_call for chunk in chunks if chunk.tool_call is not None]
    empty, _, _ = read([(SAMPLES / "thinking_and_tool.sse").read_bytes()])

    assert [(0, "toolu_01EFabcdEFGH1234ijkl5678"), (1, "toolu_01EGabcdEFGH1234ijkl5678")] == [
        (call.index, call.id) for call in calls if call.id is not None
    ]
    assert {"from_currency": "USD", "to_currency": "EUR"} == json.loads("".join(call.arguments for call in calls if call.index == 0))
    assert "{}" == "".join(chunk.tool_call.arguments for chunk in empty if chunk.tool_call is not None)


def test_what_a_block_begins_with_counts() -> None:
    """Look-alikes put the first word there."""
    data = sse(
        *[
            START,
            begun({"type": "text", "text": "Once "}),
            delta(type="text_delta", text="upon"),
            begun({"type": "thinking", "thinking": "Hm"}, 1),
        ],
        *[delta(1, type="thinking_delta", thinking="."), ended(), STOP],
    )

    chunks, answer, _ = read([data])

    assert ("Once upon", "Hm.") == (answer.text, answer.thinking)
    assert ["Once ", "upon", "", "", ""] == [chunk.text for chunk in chunks]


def test_pieces_without_words_make_no_chunk() -> None:
    """Pings, seals, empty deltas and unknown events are no content."""
    seal = delta(type="signature_delta", signature="s")
    data = sse(
        START, {"type": "ping"}, begun({"type": "thinking", "thinking": "", "signature": ""}), seal, {"type": "tomorrow"}, {"odd": 1}
    )

    chunks, answer, _ = read([data])

    assert [] == chunks
    assert "s" == answer.message.content[0].signature  # type: ignore[union-attr]


def test_the_last_numbers_count() -> None:
    """They are sums: what is said later stands for all, what is not said again stays."""
    data = sse(START, *TEXT, ended(None, output_tokens=5), ended(input_tokens=2479, output_tokens=9, cache_read_input_tokens=None), STOP)

    chunks, answer, _ = read([data])

    assert (2479, 9) == (answer.usage.input_tokens, answer.usage.output_tokens)
    assert [None, FinishReason.STOP] == [chunk.finish_reason for chunk in chunks[1:]]


def test_a_later_kind_of_block_is_put_together_all_the_same() -> None:
    """Strings grow, lists grow, the rest is set; its provider gets it back."""
    data = sse(
        START,
        begun({"type": "diary", "note": "a", "pages": [1]}),
        delta(type="diary_delta", note="b", pages=[2], mood=3),
        *[delta(type="citations_delta", citation="c"), delta(type="citations_delta", citation="d"), ended(), STOP],
    )

    _, answer, _ = read([data])

    expected = {"type": "diary", "note": "ab", "pages": [1, 2], "mood": 3, "citations": ["c", "d"]}
    assert (Native("anthropic", expected),) == answer.message.content


# -- the end


def test_a_reason_and_the_end_of_the_bytes_are_proof() -> None:
    """As is the last event, after which nothing is read."""
    assert read([sse(START, *TEXT, ended())])[2] is None
    assert read([sse(START, *TEXT, STOP)])[2] is None
    assert "Hi" == read([sse(START, *TEXT, ended(), STOP, "garbage")])[1].text


def test_after_the_end_nothing_counts() -> None:
    """Neither more bytes nor their end."""
    decoder = DIALECT.decoder(HttpResponse(status=200, headers=EVENTS), ASKED)
    decoder.feed(sse(START, *TEXT, ended(), STOP))

    assert decoder.ended
    assert ([], []) == (decoder.feed(b"data: x\n\n"), decoder.finish())


def test_a_partial_answer_has_what_came() -> None:
    """For whoever can use half of it."""
    _, answer, fault = read([sse(START, *TEXT, begun({"type": "tool_use", "id": "t", "name": "look", "input": {}}, 1))])

    assert fault is not None
    assert ("Hi", "look", FinishReason.UNKNOWN) == (answer.text, answer.tool_calls[0].name, answer.finish_reason)


# -- what is no stream


def test_an_error_in_the_stream_says_what_it_is() -> None:
    """Its status was 200; its kind is that of its type."""
    _, _, fault = read([(SAMPLES / "overloaded_in_the_middle.sse").read_bytes()])

    assert fault is not None
    assert (200, "overloaded", "req_7") == (fault.status, classify(fault), fault.request_id)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "truncated"),
        (b'{"type": "error", "error": {"type": "api_error", "message": "x"}}', "server"),
        (b"<html>", "malformed"),
        (b'{"id": "msg_1"}', "malformed"),
        (sse("[1]"), "malformed"),
        (sse("{x"), "malformed"),
        (sse(START, delta(type="text_delta", text="Hi")), "malformed"),
        (sse(START, delta([], type="text_delta", text="Hi")), "malformed"),
        (sse(START, begun("text")), "malformed"),
        (sse(START, begun({"type": "text"}, "0")), "malformed"),
        (b"event: error\ndata: {}\n\n", "server"),
        (sse({"error": {"type": "rate_limit_error", "message": "x"}}), "rate_limit"),
    ],
)
def test_what_is_no_stream_is_an_error(data: bytes, kind: str) -> None:
    """A hole in a text must not pass for a text."""
    _, _, fault = read([data])

    assert fault is not None
    assert kind == classify(fault)


def test_one_document_in_place_of_a_stream_is_an_answer() -> None:
    """Some gateways answer so."""
    whole = (SAMPLES / "parallel_tools.json").read_bytes()

    chunks, answer, fault = read([whole[:50], whole[50:]], {"content-type": "application/json"})

    assert fault is None
    assert ["toolu_01EFabcdEFGH1234ijkl5678", "toolu_01EGabcdEFGH1234ijkl5678", None] == [
        chunk.tool_call.id if chunk.tool_call else None for chunk in chunks
    ]
    assert ("Let me look both up.", FinishReason.TOOL_CALLS) == (chunks[-1].text, chunks[-1].finish_reason)
    assert {"from_currency": "USD", "to_currency": "EUR"} == json.loads(chunks[0].tool_call.arguments)  # type: ignore[union-attr]
    assert answer.usage == chunks[-1].usage


def test_one_document_may_be_a_stream_or_an_error() -> None:
    """Whatever it is labelled as."""
    labelled = {"content-type": "application/json"}

    _, streamed, _ = read([(SAMPLES / "text.sse").read_bytes()], labelled)
    _, nothing, fault = read([b'{"type": "error", "error": {"type": "overloaded_error", "message": "x"}}'], labelled)

    assert INDEX["text.sse"]["expect"]["text"] == streamed.text
    assert fault is not None
    assert ("overloaded", ()) == (classify(fault), nothing.message.content)


def test_a_document_without_end_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory has a bound."""
    monkeypatch.setattr("llmkit.dialects.whole.BODY_LIMIT", 10)

    _, _, fault = read([b"x" * 11], {"content-type": "application/json"})

    assert fault is not None
    assert "response_too_large" == fault.kind


def test_a_document_is_read_once() -> None:
    """Its end may be told twice."""
    decoder = DIALECT.decoder(HttpResponse(status=200, headers={"content-type": "application/json"}), ASKED)
    decoder.feed((SAMPLES / "text.json").read_bytes())

    assert (1, 0) == (len(decoder.finish()), len(decoder.finish()))


# -- whatever comes


VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-1, 3)
    | st.text(max_size=3)
    | st.lists(st.integers(0, 1), max_size=2)
    | st.just({"type": "text"})
)
FIELDS = st.sampled_from(
    ["text", "thinking", "signature", "partial_json", "citation", "id", "name", "input", "content", "stop_reason", "usage"]
)
BLOCKS = st.dictionaries(FIELDS, VALUES, max_size=4).flatmap(
    lambda block: st.sampled_from(
        ["text", "thinking", "tool_use", "server_tool_use", "text_delta", "input_json_delta", "thinking_delta", "signature_delta", "other"]
    ).map(lambda kind: {**block, "type": kind})
)
KINDS = st.sampled_from(
    ["message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "message_stop", "error", "ping"]
)


@settings(max_examples=300)
@given(st.lists(st.fixed_dictionaries({"type": KINDS | VALUES, "index": st.integers(0, 1) | VALUES, "body": BLOCKS | VALUES}), max_size=8))
def test_strange_streams_raise_nothing_strange(events: list[Any]) -> None:
    """There is an answer or a ``WireError``, and always a partial answer."""
    said = [
        {"type": event["type"], "index": event["index"]}
        | dict.fromkeys(("content_block", "delta", "message", "usage", "error"), event["body"])
        if event["type"] == "error"
        else {"type": event["type"], "index": event["index"]} | dict.fromkeys(("content_block", "delta", "message", "usage"), event["body"])
        for event in events
    ]

    _, answer, fault = read([sse(*said)])

    assert isinstance(answer, CompletionResponse)
    assert fault is None or classify(fault)


def test_text_is_kept_to_the_letter() -> None:
    """Separators of lines that are none of the format's stand in texts."""
    _, answer, _ = read([(SAMPLES / "text.sse").read_bytes()])

    assert (Text("Paris is the capital of France. \u2028 It lies on the Seine."),) == answer.message.content

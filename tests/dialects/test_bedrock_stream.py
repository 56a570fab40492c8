"""Converse's streams: what is sent, cut anyhow, and what may go wrong in it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from struct import pack
from typing import Any
from zlib import crc32

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmkit.dialects.base import WireError
from llmkit.dialects.bedrock import BedrockConverse
from llmkit.models.chunk import CompletionChunk
from llmkit.models.content import Native
from llmkit.models.fault import Fault
from llmkit.models.request import make_request
from llmkit.models.response import CompletionResponse, FinishReason
from llmkit.resilience.classify import classify
from llmkit.transport.base import HttpResponse

SAMPLES = Path(__file__).parent.parent / "samples" / "bedrock"
INDEX: dict[str, Any] = json.loads((SAMPLES / "index.json").read_text())["samples"]
STREAMS = sorted(name for name in INDEX if name.endswith(".bin"))
PAIRED = [name for name in STREAMS if name.replace(".bin", ".json") in INDEX]
EVENTS = {"content-type": "application/vnd.amazon.eventstream", "x-amzn-requestid": "r-7"}
ASKED = make_request("Hi", model="asked", stream=True)
DIALECT = BedrockConverse()


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


def frame(payload: Any, **headers: str) -> bytes:
    """Return one frame; the names of *headers* have underscores for hyphens."""
    head = b"".join(
        pack(">B", len(name) + 1) + b":" + name.replace("_", "-").encode() + pack(">BH", 7, len(value)) + value.encode()
        for name, value in headers.items()
    )
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    prelude = pack(">II", len(head) + len(body) + 16, len(head))
    whole = prelude + pack(">I", crc32(prelude)) + head + body
    return whole + pack(">I", crc32(whole))


def events(*named: tuple[str, Any]) -> bytes:
    return b"".join(frame(payload, message_type="event", event_type=name) for name, payload in named)


def delta(index: Any = 0, **facts: Any) -> tuple[str, Any]:
    return "contentBlockDelta", {"contentBlockIndex": index, "delta": facts}


def begun(index: Any = 0, **facts: Any) -> tuple[str, Any]:
    return "contentBlockStart", {"contentBlockIndex": index, "start": facts}


def stopped(index: Any = 0) -> tuple[str, Any]:
    return "contentBlockStop", {"contentBlockIndex": index}


END = ("messageStop", {"stopReason": "end_turn"})
USAGE = ("metadata", {"usage": {"inputTokens": 1, "outputTokens": 2}, "metrics": {"latencyMs": 3}})


# -- what is recorded


@pytest.mark.parametrize("name", STREAMS)
def test_a_recorded_stream_is_read(name: str) -> None:
    """Text, thoughts, calls, why it ended and tokens; or what went wrong, with all that came before."""
    expect = INDEX[name]["expect"]

    chunks, answer, fault = read([(SAMPLES / name).read_bytes()])

    assert (expect.get("text", ""), expect.get("thinking", "")) == (answer.text, answer.thinking)
    assert (answer.text, answer.thinking) == ("".join(chunk.text for chunk in chunks), "".join(chunk.thinking for chunk in chunks))
    assert expect.get("calls", []) == [[call.id, call.name, call.arguments] for call in answer.tool_calls]
    assert expect.get("invalid", False) is any(call.invalid for call in answer.tool_calls)
    assert expect.get("natives", 0) == sum(isinstance(part, Native) for part in answer.message.content)
    assert "r-7" == answer.request_id
    if "error" in expect:
        assert fault is not None
        told = {"type": fault.type, "message": fault.message, "kind": fault.kind or classify(fault), "request_id": fault.request_id}
        assert {**expect["error"], "request_id": "r-7"} == {key: told[key] for key in (*expect["error"], "request_id")}
        return
    usage = answer.usage
    assert fault is None
    counted = [usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_write_tokens]
    assert expect["usage"] == (counted if usage.reported else None)
    assert [expect["finish"]] == [chunk.finish_reason.value for chunk in chunks if chunk.finish_reason is not None]
    assert expect["finish"] == answer.finish_reason.value


@pytest.mark.parametrize("name", PAIRED)
def test_a_stream_makes_the_answer_that_would_have_come_whole(name: str) -> None:
    """Message, reason, usage and the wire's own shape are equal, block by block."""
    whole = json.loads((SAMPLES / name.replace(".bin", ".json")).read_text())
    expected = DIALECT.decode(HttpResponse(status=200, headers={"x-amzn-requestid": "r-7"}, body=json.dumps(whole).encode()), ASKED)

    _, answer, _ = read([(SAMPLES / name).read_bytes()])

    assert expected == answer
    assert whole == answer.raw


def test_calls_come_in_deltas_that_make_their_arguments() -> None:
    """Id and name first; a tool without arguments is called with an empty object."""
    chunks, _, _ = read(
        [
            events(
                begun(1, toolUse={"toolUseId": "t1", "name": "a"}),
                delta(1, toolUse={"input": '{"x":'}),
                delta(1, toolUse={"input": "1}"}),
                stopped(1),
                begun(2, toolUse={"toolUseId": "t2", "name": "b"}),
                delta(2, toolUse={}),
                stopped(2),
                END,
            )
        ]
    )

    deltas = [chunk.tool_call for chunk in chunks if chunk.tool_call is not None]

    assert [(0, "t1", "a", ""), (0, None, None, '{"x":'), (0, None, None, "1}"), (1, "t2", "b", ""), (1, None, None, "{}")] == [
        (one.index, one.id, one.name, one.arguments) for one in deltas
    ]
    assert FinishReason.TOOL_CALLS is chunks[-1].finish_reason


def test_a_stream_is_read_to_its_usage() -> None:
    """Which comes behind the end of the message; what follows that is not looked at."""
    decoder = DIALECT.decoder(HttpResponse(status=200, headers=EVENTS), ASKED)

    decoder.feed(events(delta(text="Hi"), stopped(), END))
    waits = not decoder.ended
    chunks = decoder.feed(events(USAGE) + b"garbage")

    assert waits
    assert decoder.ended
    assert [(1, 2)] == [(chunk.usage.input_tokens, chunk.usage.output_tokens) for chunk in chunks if chunk.usage is not None]
    assert [] == decoder.feed(b"more")
    assert [] == decoder.finish()


def test_events_of_tomorrow_are_passed_over() -> None:
    """And so is what has no name."""
    chunks, answer, fault = read([events(("somethingNew", {"a": 1}), ("", {}), delta(text="Hi"), END, USAGE)])

    assert ("Hi", None) == (answer.text, fault)
    assert 3 == len(chunks)


def test_a_picture_of_the_models_is_kept() -> None:
    """As a block that goes back as it came."""
    block = {"image": {"format": "png", "source": {"bytes": "aGk="}}}

    _, answer, _ = read([events(begun(0, image={"format": "png"}), delta(0, image={"source": {"bytes": "aGk="}}), stopped(), END)])

    assert (Native("bedrock", block),) == answer.message.content


# -- what goes wrong


@pytest.mark.parametrize(
    "stream",
    [
        events(delta(0, toolUse={"input": "{}"})),
        events(("contentBlockDelta", {"contentBlockIndex": 0})),
        events(("contentBlockDelta", {"delta": {"text": "x"}})),
        events(("contentBlockStart", {"contentBlockIndex": 0})),
        events(("messageStart", [1])),
        frame(b"{no", message_type="event", event_type="messageStart"),
    ],
)
def test_what_makes_no_sense_is_malformed(stream: bytes) -> None:
    """Whatever came before it is given out."""
    chunks, _, fault = read([events(delta(5, text="Hi")) + stream])

    assert fault is not None
    assert ("malformed", "Hi") == (fault.kind, "".join(chunk.text for chunk in chunks))


def test_a_wrong_checksum_is_told_with_what_came_before_it() -> None:
    """In the same bytes: nobody waits for more of such a stream."""
    decoder = DIALECT.decoder(HttpResponse(status=200, headers=EVENTS), ASKED)
    good, bad = events(delta(text="Hi")), bytearray(events(delta(text="ho")))
    bad[-1] ^= 1

    with pytest.raises(WireError) as caught:
        decoder.feed(good + bytes(bad))

    assert ("protocol", ["Hi"]) == (caught.value.fault.kind, [chunk.text for chunk in caught.value.chunks])
    assert "checksum" in caught.value.fault.message


def test_an_exception_without_words_is_told_by_its_name() -> None:
    """Its payload may be anything."""
    for payload in (b"", b"{", b"[]", b'{"message": 7}'):
        _, _, fault = read([frame(payload, message_type="exception", exception_type="throttlingException")])

        assert fault is not None
        assert ("throttlingException", "throttlingException") == (fault.type, fault.message)


def test_a_page_in_place_of_a_stream_is_no_stream() -> None:
    """Its first bytes have no good checksum."""
    _, _, fault = read([b"<html>Bad gateway, says the proxy</html>"])

    assert fault is not None
    assert "protocol" == fault.kind


def test_nothing_at_all_is_a_cut_stream() -> None:
    """And so is the beginning of a frame."""
    for pieces in ([], [b""], [events(delta(text="Hi"))[:20]]):
        _, _, fault = read(pieces)

        assert fault is not None
        assert "truncated" == fault.kind


def test_a_whole_answer_may_come_to_a_streaming_request() -> None:
    """Of a proxy that does not stream; an error may come so too."""
    whole = (SAMPLES / "text.json").read_bytes()

    chunks, answer, fault = read([whole[:50], whole[50:]], {"content-type": "application/json"})
    _, _, wrong = read([b'{"__type": "x#ThrottlingException", "message": "Slow"}'], {"content-type": "application/json"})

    assert fault is None
    assert answer.text == "".join(chunk.text for chunk in chunks)
    assert wrong is not None
    assert ("ThrottlingException", "Slow") == (wrong.type, wrong.message)


def test_a_stream_may_come_to_a_plain_request() -> None:
    """Of a proxy that always streams."""
    response = HttpResponse(status=200, headers=EVENTS, body=(SAMPLES / "text.bin").read_bytes())

    assert read([response.body])[1] == DIALECT.decode(response, ASKED)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.sampled_from(["text", "toolUse", "end_turn"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["contentBlockIndex", "delta", "start", "text", "toolUse", "input", "reasoningContent", "usage", "citation"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)
NAMES = st.sampled_from(["messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata", "x"])


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(named=st.lists(st.tuples(NAMES, JUNK), max_size=6))
def test_strange_events_raise_nothing_strange(named: list[tuple[str, Any]]) -> None:
    """Whatever stands in them; the answer as far as it came can always be had."""
    _, answer, _ = read([events(*named)])

    assert "assistant" == answer.message.role


@settings(max_examples=150)
@given(name=st.sampled_from(STREAMS), data=st.data())
def test_broken_bytes_raise_nothing_strange(name: str, data: st.DataObject) -> None:
    """A flipped bit anywhere is never a different answer: it is a fault, or behind the end."""
    stream = bytearray((SAMPLES / name).read_bytes())
    stream[data.draw(st.integers(0, len(stream) - 1))] ^= 1 << data.draw(st.integers(0, 7))

    _, _, before = read([(SAMPLES / name).read_bytes()])
    _, answer, fault = read([bytes(stream)])

    assert fault is not None or (before is None and answer is not None)
    if before is None:
        assert fault is not None

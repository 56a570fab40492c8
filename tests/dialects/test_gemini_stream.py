"""Streams of Gemini's wire: what the service sends, cut anyhow, and what may go wrong in it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit.dialects.base import WireError
from llmkit.dialects.gemini import Gemini
from llmkit.models.chunk import CompletionChunk
from llmkit.models.content import Native, Text, Thinking
from llmkit.models.fault import Fault
from llmkit.models.request import make_request
from llmkit.models.response import CompletionResponse, FinishReason
from llmkit.resilience.classify import classify
from llmkit.transport.base import HttpResponse

SAMPLES = Path(__file__).parent.parent / "samples" / "gemini"
INDEX: dict[str, Any] = json.loads((SAMPLES / "index.json").read_text())["answers"]
STREAMS = sorted(name for name in INDEX if name.endswith(".sse"))
EVENTS = {"content-type": "text/event-stream"}
ASKED = make_request("Hi", model="asked", stream=True)
GEMINI = Gemini()


def read(
    pieces: Iterable[bytes], headers: dict[str, str] | None = None, asked: Any = ASKED
) -> tuple[list[CompletionChunk], CompletionResponse, Fault | None]:
    """Return the chunks of a stream, the answer as far as it came, and what went wrong."""
    decoder = GEMINI.decoder(HttpResponse(status=200, headers=EVENTS if headers is None else headers), asked)
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
    return b"".join(b"data: %b\r\n\r\n" % (event if isinstance(event, str) else json.dumps(event)).encode() for event in events)


def piece(*parts: Any, reason: str | None = None, index: int = 0, **rest: Any) -> dict[str, Any]:
    finish = {} if reason is None else {"finishReason": reason}
    return {"candidates": [{"content": {"parts": [*parts], "role": "model"}, **finish, "index": index}], **rest}


def told(reply: CompletionResponse, fault: Fault | None) -> dict[str, Any]:
    """Return what an index says of a stream."""
    usage = reply.usage
    found: dict[str, Any] = {
        "text": reply.text,
        "thinking": reply.thinking,
        "calls": [[call.id, call.name, dict(call.arguments)] for call in reply.tool_calls],
        "finish": reply.finish_reason.value,
        "usage": [usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.reasoning_tokens],
        "natives": sum(isinstance(part, Native) for part in reply.message.content),
        "fault": None if fault is None else classify(fault),
    }
    return found


NOTHING: dict[str, Any] = {"text": "", "thinking": "", "calls": [], "natives": 0, "fault": None}


# -- what the service sends


@pytest.mark.parametrize("name", STREAMS)
def test_each_sample_reads_as_its_index_says(name: str) -> None:
    """Text, thoughts, calls, reason, usage and error are those written beside the recording."""
    _, reply, fault = read([(SAMPLES / name).read_bytes()])

    assert {**NOTHING, **INDEX[name]} == told(reply, fault)


@pytest.mark.parametrize("name", [name for name in STREAMS if "fault" not in INDEX[name]])
def test_the_raw_stream_has_the_shape_of_a_whole_answer(name: str) -> None:
    """Read as one, it says the same."""
    _, reply, _ = read([(SAMPLES / name).read_bytes()])

    again = GEMINI.decode(HttpResponse(status=200, body=json.dumps(reply.raw).encode()), ASKED)

    assert reply == again


# -- parts


def test_a_sealed_part_is_joined_with_no_other() -> None:
    """The seal is of these words alone."""
    stream = sse(
        piece({"text": "a"}),
        piece({"text": "b"}),
        piece({"text": "c", "thoughtSignature": "S=="}),
        piece({"text": "d"}),
        piece({"text": "", "thoughtSignature": "T=="}, reason="STOP"),
    )

    _, reply, _ = read([stream])

    expected = (
        Text("ab"),
        Text("c"),
        Thinking("", "S==", provider="google", data={"seals": "text"}),
        Text("d"),
        Thinking("", "T==", provider="google", data={"seals": "nothing"}),
    )
    assert expected == reply.message.content


def test_thoughts_and_text_take_turns() -> None:
    """Each run is a part of its own, in the order in which it came."""
    stream = sse(
        piece({"text": "t1", "thought": True}),
        piece({"text": "a"}),
        piece({"text": "t2", "thought": True}, {"text": "b"}),
        piece({"text": "c"}, reason="STOP"),
    )

    _, reply, _ = read([stream])

    expected = (Thinking("t1", provider="google"), Text("a"), Thinking("t2", provider="google"), Text("bc"))
    assert expected == reply.message.content


def test_a_call_has_the_id_that_its_chunk_had() -> None:
    """Also where the model gave none: two equal calls in two events get two ids."""
    call = {"functionCall": {"name": "look", "args": {"a": 1}}}
    stream = sse(piece(call, responseId="r1"), piece(call, responseId="r1"), piece({"text": ""}, reason="STOP"))

    chunks, reply, _ = read([stream])

    assert [call.id for call in reply.tool_calls] == [chunk.tool_call.id for chunk in chunks if chunk.tool_call]
    assert 2 == len({call.id for call in reply.tool_calls})


def test_other_candidates_are_found_in_raw() -> None:
    """The first is the answer; all that were asked for are waited for."""
    asked = make_request("Hi", model="m", stream=True, extra_body={"generationConfig": {"candidateCount": 2}})
    stream = [sse(piece({"text": "a"}, reason="STOP")), sse(piece({"text": "b"}, reason="STOP", index=1))]

    chunks, reply, fault = read(stream, asked=asked)

    assert ("a", None) == (reply.text, fault)
    assert "a" == "".join(chunk.text for chunk in chunks)
    assert ["a", "b"] == [candidate["content"]["parts"][0]["text"] for candidate in reply.raw["candidates"]]


# -- the end


def test_a_stream_ends_with_its_reason() -> None:
    """What is behind it is not waited for; what had come with it is read."""
    decoder = GEMINI.decoder(HttpResponse(status=200, headers=EVENTS), ASKED)

    decoder.feed(sse(piece({"text": "a"}, reason="STOP"), piece({"text": "b"}, reason="STOP")))

    assert decoder.ended
    assert "ab" == decoder.response().text
    assert [] == decoder.feed(b"data: nonsense\r\n\r\n") == decoder.finish()


def test_a_stream_without_a_reason_is_never_a_success() -> None:
    """Nor is one that brought nothing at all, or only counts."""
    for body in (b"", sse(piece({"text": "a"})), sse({"usageMetadata": {"promptTokenCount": 3}}), sse("[DONE]")):
        _, reply, fault = read([body])
        assert fault is not None
        assert "truncated" == fault.kind
        assert FinishReason.UNKNOWN is reply.finish_reason


def test_a_last_event_without_its_blank_line_counts() -> None:
    """Its JSON is whole, so nothing is missing."""
    _, reply, fault = read([sse(piece({"text": "a"}, reason="STOP")).rstrip()])

    assert ("a", None) == (reply.text, fault)


def test_one_of_several_candidates_without_a_reason_is_a_cut_answer() -> None:
    """Each that began must end."""
    _, _, fault = read([sse(piece({"text": "b"}, index=1)), sse(piece({"text": "a"}, reason="STOP"))])

    assert fault is not None
    assert "truncated" == fault.kind


# -- errors


@pytest.mark.parametrize("end", [b"", b"\r\n", b"\r\n\r\n", b"\n"])
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("wrapped", [False, True])
def test_bare_json_between_events_is_an_error(end: bytes, indent: int | None, wrapped: bool) -> None:
    """However it is written; what came before it is given out first."""
    error: Any = {"error": {"code": 429, "message": "Resource { exhausted.", "status": "RESOURCE_EXHAUSTED"}}
    body = sse(piece({"text": "a"})) + json.dumps([error] if wrapped else error, indent=indent).encode() + end

    chunks, reply, fault = read([body])

    assert fault is not None
    assert ("rate_limit", "Resource { exhausted.", 200) == (classify(fault), fault.message, fault.status)
    assert ["a"] == [chunk.text for chunk in chunks] == [reply.text]


def test_a_bare_error_is_told_before_the_connection_ends() -> None:
    """The server may keep it open."""
    decoder = GEMINI.decoder(HttpResponse(status=200, headers=EVENTS), ASKED)
    decoder.feed(sse(piece({"text": "a"})))

    with pytest.raises(WireError) as raised:
        decoder.feed(b'{\n  "error": {\n    "code": 500,\n    "message": "x"\n  }\n}\n')

    assert "server" == classify(raised.value.fault)


def test_bare_json_that_breaks_off_is_a_cut_stream() -> None:
    """Half an error proves nothing but that something is missing."""
    _, _, fault = read([sse(piece({"text": "a"})) + b'{"error": {"code": 50'])

    assert fault is not None
    assert "truncated" == fault.kind


def test_an_answer_that_is_no_stream_is_read_all_the_same() -> None:
    """A server that knows no events writes one document, or a list of pieces."""
    whole = json.dumps(piece({"text": "ab"}, reason="STOP")).encode()
    listed = b"[" + b"\n,\r\n".join(json.dumps(one).encode() for one in (piece({"text": "a"}), piece({"text": "b"}, reason="STOP"))) + b"]"

    for body in (whole, listed, b"\r\n" + whole):
        chunks, reply, fault = read([body], headers={"content-type": "application/json"})
        assert ("ab", None) == (reply.text, fault)
        assert "ab" == "".join(chunk.text for chunk in chunks)


@pytest.mark.parametrize(
    "body", [b"<html>\n<p>No.</p>\n</html>", b"data: 7\r\n\r\n", b"data: {\r\n\r\n", b"[7]", b'data: {"candidates":7}\n\n']
)
def test_what_is_no_stream_of_answers_is_malformed(body: bytes) -> None:
    """A page, a number, a torn event."""
    _, _, fault = read([body])

    assert fault is not None
    assert "malformed" == fault.kind


def test_arguments_in_pieces_are_refused_by_name() -> None:
    """They come only to those who ask for them in their own words; guessing at them would lose some."""
    _, _, fault = read([sse(piece({"functionCall": {"name": "look", "willContinue": True}}))])

    assert fault is not None
    assert "streamFunctionCallArguments" in fault.message


# -- anything at all

PIECES = st.sampled_from(
    [
        sse(piece({"text": "a"})),
        sse(piece({"text": "b", "thought": True, "thoughtSignature": "x"})),
        sse(piece({"functionCall": {"name": "f", "args": [1]}})),
        sse(piece({"functionCall": {"name": "f", "args": '{"a":1}'}})),
        sse(piece({"inlineData": {}}, None, 7, {})),
        sse({"candidates": [{"index": True, "content": 7, "finishReason": 3}]}),
        sse({"promptFeedback": {"blockReason": "OTHER"}}),
        sse({"usageMetadata": {"promptTokenCount": "x", "totalTokenCount": -1}}),
        b"data: ",
        b'{"error": 7}',
        b"\n[",
        b"\r\n\r\n",
        b": ping\n\n",
        b'{"text"',
        b"}",
    ]
)


@settings(max_examples=300)
@given(st.lists(PIECES | st.binary(max_size=8), max_size=10))
def test_whatever_comes_is_chunks_or_a_wire_error(pieces: list[bytes]) -> None:
    """Nothing else leaves the decoder, and what it has so far can always be asked for."""
    _, reply, _ = read(pieces)

    assert isinstance(reply, CompletionResponse)


def test_an_error_in_a_last_event_without_its_blank_line_counts() -> None:
    """The connection ended right behind it."""
    error = {"error": {"code": 500, "message": "x", "status": "INTERNAL"}}

    chunks, _, fault = read([sse(piece({"text": "a"})), sse(error).rstrip()])

    assert fault is not None
    assert ("server", ["a"]) == (classify(fault), [chunk.text for chunk in chunks])


def test_an_event_that_never_ends_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """As is bare JSON without an end: memory has one."""
    monkeypatch.setattr("llmkit.dialects.gemini_stream.BODY_LIMIT", 64)
    endless = b"data: " + b"x" * (16 * 1024 * 1024 + 1)

    _, _, event = read([endless])
    _, _, document = read([b'{"a": "', b"x" * 64])

    assert event is not None
    assert document is not None
    assert ("malformed", "response_too_large") == (event.kind, document.kind)

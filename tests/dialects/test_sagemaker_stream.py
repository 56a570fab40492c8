"""SageMaker's streams: frames taken off, however they and what is in them were cut."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit.dialects.base import WireError
from llmkit.dialects.sagemaker_stream import LinesAsEvents
from llmkit.models.chunk import CompletionChunk
from llmkit.models.fault import Fault
from llmkit.models.request import make_request
from llmkit.models.response import CompletionResponse
from llmkit.providers import find_provider
from llmkit.resilience.classify import classify
from llmkit.testing.wires.frames import event_frame, frame
from llmkit.transport.base import HttpResponse

SAMPLES = Path(__file__).parent.parent / "samples" / "sagemaker"
INDEX: dict[str, Any] = json.loads((SAMPLES / "index.json").read_text())["samples"]
STREAMS = [name for name in INDEX if not name.endswith(".json")]
FRAMES = "application/vnd.amazon.eventstream"
ASKED = make_request("Hi", model="my-endpoint", stream=True)


def read(
    pieces: Iterable[bytes], api: str = "chat", said: str | None = "text/event-stream", content_type: str = FRAMES
) -> tuple[list[CompletionChunk], CompletionResponse, Fault | None]:
    """Return the chunks of a stream, the answer as far as it came, and what went wrong."""
    headers = {"content-type": content_type, "x-amzn-requestid": "r-1", **({} if said is None else {"x-amzn-sagemaker-content-type": said})}
    decoder = find_provider("sagemaker").dialect_for({"api": api}).decoder(HttpResponse(status=200, headers=headers), ASKED)
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


def part(payload: bytes) -> bytes:
    return event_frame("PayloadPart", payload, "application/octet-stream")


def framed(data: bytes, *sizes: int) -> bytes:
    """Return *data* in parts of *sizes* bytes, over and over."""
    made, rest = b"", data
    for size in itertools.cycle(sizes or (64,)):
        if not rest:
            return made
        made, rest = made + part(rest[:size]), rest[size:]
    raise AssertionError


def sample(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


def label(name: str) -> str:
    return "text/event-stream" if name.endswith(".sse") else "application/jsonlines"


def summary(found: tuple[list[CompletionChunk], CompletionResponse, Fault | None]) -> Any:
    chunks, answer, fault = found
    return "".join(chunk.text for chunk in chunks), answer, answer.raw, fault


@pytest.mark.parametrize("name", STREAMS)
def test_each_sample_reads_as_its_index_says(name: str) -> None:
    """Text, calls, reason, usage and fault; chunks say the same in pieces."""
    expected = INDEX[name]

    chunks, answer, fault = read([framed(sample(name))], expected["api"], label(name))

    assert expected.get("error") == (None if fault is None else classify(fault))
    assert expected.get("message", "") in ("" if fault is None else fault.message)
    assert expected["text"] == answer.text == "".join(chunk.text for chunk in chunks)
    assert expected.get("calls", []) == [[call.id, call.name, dict(call.arguments)] for call in answer.tool_calls]
    if fault is None:
        assert expected["finish"] == answer.finish_reason
        assert expected.get("usage") == ([answer.usage.input_tokens, answer.usage.output_tokens] if answer.usage.reported else None)
        assert "r-1" == answer.request_id


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("sizes", [(1,), (2, 3), (7, 1, 50), (10_000,)], ids=str)
def test_parts_may_end_anywhere(name: str, sizes: tuple[int, ...]) -> None:
    """Inside a line, inside a character, after two events: nothing changes."""
    api = INDEX[name]["api"]
    whole = summary(read([framed(sample(name))], api, label(name)))

    assert whole == summary(read([framed(sample(name), *sizes)], api, label(name)))


@pytest.mark.parametrize("label", ["text/event-stream", None, "", "application/json", "binary/octet-stream"])
def test_a_wrong_label_does_no_harm(label: str | None) -> None:
    """The first byte tells what the container speaks."""
    chunks, answer, fault = read([framed(sample("chat.sse"))], said=label)

    assert fault is None
    assert ["Grüße", " aus 東京."] == [chunk.text for chunk in chunks if chunk.text]
    assert 17 == answer.usage.total_tokens


@pytest.mark.parametrize("label", ["application/jsonlines", "application/x-ndjson", None, "text/plain"])
def test_lines_without_data_are_read(label: str | None) -> None:
    """As some containers write them."""
    _, answer, fault = read([b"", framed(b" \n" + sample("chat.lines"), 1)], said=label)

    assert fault is None
    assert "Grüße aus 東京." == answer.text


@pytest.mark.parametrize(("api", "name"), [("chat", "chat_tools.json"), ("generate", "generate.json")])
def test_a_container_that_does_not_stream_answers_whole(api: str, name: str) -> None:
    """In parts all the same."""
    chunks, answer, fault = read([framed(sample(name), 11)], api, "application/json")

    assert fault is None
    assert INDEX[name]["text"] == answer.text
    assert INDEX[name]["finish"] == answer.finish_reason == chunks[-1].finish_reason


@pytest.mark.parametrize(("api", "name"), [("chat", "chat.json"), ("generate", "generate.json")])
def test_half_a_document_is_truncated(api: str, name: str) -> None:
    """Where the frame around its end is cut: no bad document."""
    data = framed(sample(name), 40)

    _, _, fault = read([data[:-3]], api, "application/json")

    assert fault is not None
    assert "truncated" == fault.kind


def test_frames_that_a_gateway_took_off_are_not_missed() -> None:
    """The head says what comes."""
    _, answer, fault = read([sample("chat.sse")], said=None, content_type="text/event-stream")

    assert fault is None
    assert "Grüße aus 東京." == answer.text


def exception(kind: str, **payload: str) -> bytes:
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return frame(headers, json.dumps(payload).encode())


@pytest.mark.parametrize(
    ("made", "kind", "named", "message"),
    [
        (
            exception("ModelStreamError", Message="too slow", ErrorCode="ModelInvocationTimeExceeded"),
            "timeout",
            "ModelStreamError",
            "too slow",
        ),
        (exception("ModelStreamError", Message="broke", ErrorCode="StreamBroken"), "server", "ModelStreamError", "broke"),
        (exception("InternalStreamFailure", Message="oh"), "server", "InternalStreamFailure", "oh"),
        (frame({":message-type": "error", ":error-code": "InternalError", ":error-message": "no"}, b""), "server", "InternalError", "no"),
    ],
    ids=["too slow", "broken", "internal", "error"],
)
def test_an_exception_in_the_stream_is_an_error(made: bytes, kind: str, named: str, message: str) -> None:
    """With what had come before it, also in the same bytes."""
    chunks, answer, fault = read([framed(sample("chat_cut.sse")) + made + b"never read"])

    assert fault is not None
    assert (kind, named, message) == (classify(fault), fault.type, fault.message)
    assert "Hi there" == answer.text == "".join(chunk.text for chunk in chunks)
    assert "r-1" == fault.request_id


def test_a_wrong_checksum_ends_the_stream() -> None:
    """What came before it is given out first; what follows is not searched."""
    good, bad = framed(sample("chat_cut.sse")), bytearray(part(b"data: x\n\n"))
    bad[-1] ^= 1

    chunks, _, fault = read([good + bytes(bad) + part(b"data: [DONE]\n\n")])

    assert fault is not None
    assert ("protocol", "Hi there") == (fault.kind, "".join(chunk.text for chunk in chunks))


def test_what_follows_the_proof_is_not_looked_at() -> None:
    """The answer is complete."""
    _, answer, fault = read([framed(sample("chat.sse")) + b"\0" * 40])

    assert fault is None
    assert "Grüße aus 東京." == answer.text


def test_events_of_other_kinds_are_passed_over() -> None:
    """A later version may bring some."""
    _, answer, fault = read([event_frame("initial-response", b"{}") + part(b"") + framed(sample("chat.sse"))])

    assert fault is None
    assert "Grüße aus 東京." == answer.text


@pytest.mark.parametrize("pieces", [[], [b""], [part(b" \n")], [event_frame("PayloadPart", b"")]])
def test_a_stream_of_nothing_is_truncated(pieces: list[bytes]) -> None:
    """It is no empty answer."""
    chunks, answer, fault = read(pieces)

    assert fault is not None
    assert ("truncated", [], "my-endpoint") == (fault.kind, chunks, answer.model)


@settings(max_examples=150)
@given(
    api=st.sampled_from(["chat", "generate"]),
    payloads=st.lists(
        st.binary(max_size=30) | st.sampled_from([b'data: {"choices":[{}]}\n\n', b'{"token":[]}\n', b"data:[]\n\n", b"[", b"{"])
    ),
    rest=st.binary(max_size=20),
    said=st.sampled_from(["application/json", "text/event-stream", None]),
)
def test_no_bytes_raise_anything_else(api: str, payloads: list[bytes], rest: bytes, said: str | None) -> None:
    """Than what the client expects."""
    read([b"".join(map(part, payloads)) + rest], api, said)


@given(st.lists(st.sampled_from([b'{"a":1}', b"\n", b"\r\n", b"{}", b" "])), st.integers(1, 5))
def test_lines_become_events_wherever_they_are_cut(words: list[bytes], size: int) -> None:
    """And blank lines become nothing."""
    data = b"".join(words)
    whole, pieces = LinesAsEvents(), LinesAsEvents()

    at_once = whole.feed(data)
    in_pieces = b"".join(pieces.feed(data[at : at + size]) for at in range(0, len(data), size))

    assert at_once == in_pieces
    assert b"".join(b"data: %b\n\n" % line for line in map(bytes.lstrip, data.splitlines()) if line) in (at_once, at_once + b"\n\n")

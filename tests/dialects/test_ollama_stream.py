"""Ollama's streams: what is sent, cut anyhow, and what may go wrong in it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit.dialects.base import WireError
from llmkit.dialects.framing.cutter import MAX_EVENT
from llmkit.dialects.ollama import OllamaChat
from llmkit.dialects.ollama_stream import decode_as_whole
from llmkit.models.chunk import CompletionChunk
from llmkit.models.fault import Fault
from llmkit.models.request import make_request
from llmkit.models.response import CompletionResponse, FinishReason
from llmkit.resilience.classify import classify
from llmkit.transport.base import HttpResponse

SAMPLES = Path(__file__).parent.parent / "samples" / "ollama"
INDEX: dict[str, Any] = json.loads((SAMPLES / "index.json").read_text())["samples"]
STREAMS = sorted(name for name in INDEX if name.endswith(".ndjson"))
GOOD = [name for name in STREAMS if "error" not in INDEX[name]["expect"]]
LINES = {"content-type": "application/x-ndjson", "x-request-id": "req_7"}
ASKED = make_request("Hi", model="asked", stream=True)
DIALECT = OllamaChat()


def read(pieces: Iterable[bytes]) -> tuple[list[CompletionChunk], CompletionResponse, Fault | None]:
    """Return the chunks of a stream, the answer as far as it came, and what went wrong."""
    decoder = DIALECT.decoder(HttpResponse(status=200, headers=LINES), ASKED)
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


def lines(*events: Any) -> bytes:
    return "".join((event if isinstance(event, str) else json.dumps(event)) + "\n" for event in events).encode()


def event(done: bool = False, **message: Any) -> dict[str, Any]:
    end = {"done_reason": "stop"} if done else {}
    return {"model": "m", "created_at": "t", "message": {"role": "assistant", "content": "", **message}, "done": done, **end}


@pytest.mark.parametrize("name", STREAMS)
def test_each_sample_reads_as_its_index_says(name: str) -> None:
    """Text, thoughts, calls, reason, usage and fault are those written beside it; chunks say the same in pieces."""
    expected = INDEX[name]["expect"]

    chunks, answer, fault = read([(SAMPLES / name).read_bytes()])

    calls = [[call.id, call.name, dict(call.arguments)] for call in answer.tool_calls]
    if any(not call[0] for call in expected.get("calls", ())):
        assert all(call[0].startswith("call_") for call in calls)
        calls = [["", *call[1:]] for call in calls]
    assert (expected.get("text", ""), expected.get("thinking", ""), expected.get("calls", [])) == (answer.text, answer.thinking, calls)
    usage = answer.usage
    counts = [usage.input_tokens, usage.output_tokens] if usage.reported else None
    assert (expected["finish"], expected["usage"]) == (answer.finish_reason.value, counts)
    assert (answer.text, answer.thinking) == ("".join(c.text for c in chunks), "".join(c.thinking for c in chunks))
    deltas = [chunk.tool_call for chunk in chunks if chunk.tool_call is not None]
    assert [(i, call.id, call.name, dict(call.arguments)) for i, call in enumerate(answer.tool_calls)] == [
        (delta.index, delta.id, delta.name, json.loads(delta.arguments)) for delta in deltas
    ]
    wrong = expected.get("error")
    assert (wrong is None) == (fault is None)
    if fault is not None:
        assert wrong == {"message": fault.message, "kind": classify(fault)} if "message" in wrong else {"kind": fault.kind}


@pytest.mark.parametrize("name", GOOD)
def test_a_stream_comes_to_what_its_whole_answer_would_be(name: str) -> None:
    """Its raw form, read as a whole answer, is the same answer; ids that nobody gave aside."""
    _, streamed, _ = read([(SAMPLES / name).read_bytes()])

    whole = DIALECT.decode(HttpResponse(status=200, headers={"x-request-id": "req_7"}, body=json.dumps(streamed.raw).encode()), ASKED)

    assert (streamed.text, streamed.thinking, streamed.usage) == (whole.text, whole.thinking, whole.usage)
    assert (streamed.finish_reason, streamed.model, streamed.request_id) == (whole.finish_reason, whole.model, whole.request_id)
    assert [(call.name, call.arguments) for call in streamed.tool_calls] == [(call.name, call.arguments) for call in whole.tool_calls]


def test_a_last_line_needs_no_line_feed() -> None:
    """Its JSON tells that it is whole."""
    chunks, answer, fault = read([lines(event(content="Hi"), event(True)).rstrip(b"\n")])

    assert (None, "Hi", FinishReason.STOP) == (fault, answer.text, chunks[-1].finish_reason)


def test_the_last_chunk_has_reason_and_usage() -> None:
    """No other has."""
    chunks, _, _ = read([(SAMPLES / "text.ndjson").read_bytes()])

    assert [None] * 5 == [chunk.finish_reason for chunk in chunks[:-1]] == [chunk.usage for chunk in chunks[:-1]]
    last = chunks[-1]
    assert (FinishReason.STOP, 282) == (last.finish_reason, last.usage and last.usage.output_tokens)


def test_each_call_is_a_chunk_of_its_own() -> None:
    """Numbered in their order, whatever index they came with."""
    chunks, _, _ = read([(SAMPLES / "parallel_tool_calls.ndjson").read_bytes()])

    assert [0, 1, 2] == [chunk.tool_call.index for chunk in chunks if chunk.tool_call is not None]
    assert '{"city": "Zürich", "days": 2}' in [chunk.tool_call.arguments for chunk in chunks if chunk.tool_call is not None]


def test_the_raw_answer_has_what_all_lines_said() -> None:
    """Content as it came, tags and all, probabilities of every token, fields that nobody knows."""
    probable = read([(SAMPLES / "logprobs.ndjson").read_bytes()])[1].raw
    tagged = read([(SAMPLES / "think_tags.ndjson").read_bytes()])[1].raw
    strange = read([lines(event(images=["QQ=="]), event(True))])[1].raw

    assert ["A", "B"] == [entry["token"] for entry in probable["logprobs"]]
    assert "<think>\nEasy.\n</think>\n\nFour." == tagged["message"]["content"]
    assert ["QQ=="] == strange["message"]["images"]


def test_thoughts_apart_end_the_search_for_tags() -> None:
    """What was held back as the beginning of one is text."""
    _, answer, _ = read([lines(event(content="<thi"), event(thinking="Hm"), event(content="nk>"), event(True))])

    assert ("<think>", "Hm") == (answer.text, answer.thinking)


def test_what_looks_like_the_beginning_of_a_tag_is_text_in_the_end() -> None:
    """It comes with the last chunk, and stands in what came until then."""
    chunks, answer, _ = read([lines(event(content="<think"), event(True))])
    _, cut, fault = read([lines(event(content="<think"))])

    assert ("<think", "<think") == (chunks[-1].text, answer.text)
    assert ("<think", "truncated") == (cut.text, fault and fault.kind)


def test_thoughts_that_never_close_are_thoughts() -> None:
    """Cut or complete."""
    _, answer, _ = read([lines(event(content="<think>Hm </thin"), event(True))])

    assert ("", "Hm </thin") == (answer.text, answer.thinking)


def test_nothing_is_read_behind_the_end() -> None:
    """Be it nonsense."""
    decoder = DIALECT.decoder(HttpResponse(status=200, headers=LINES), ASKED)

    chunks = decoder.feed(lines(event(content="Hi"), event(True), "nonsense"))

    assert decoder.ended
    assert 2 == len(chunks)
    assert [] == decoder.feed(b"more") == decoder.finish()


def test_an_answer_in_one_document_is_a_stream_of_one_line() -> None:
    """As some proxies send it."""
    chunks, answer, fault = read([(SAMPLES / "parallel_tool_calls.json").read_bytes()])

    assert (None, FinishReason.TOOL_CALLS, 2) == (fault, answer.finish_reason, len(answer.tool_calls))
    assert ["Both cities, so two calls.", "", "", ""] == [chunk.thinking for chunk in chunks]


@pytest.mark.parametrize(
    ("stream", "kind", "words"),
    [
        (b"", "truncated", "no line said that it is done"),
        (b"<html>\nBad gateway\n</html>\n", "malformed", "no stream of JSON lines"),
        (b"<html>Bad gateway</html>", "malformed", "no stream of JSON lines"),
        (b"[1]\n", "malformed", "no JSON object"),
        (b'{"done": true}\n', "malformed", "no message"),
        (b'{"message": "Hi"}\n', "malformed", "no message"),
        (lines(event(content="Hi"), "{nonsense}", event(True)), "malformed", "no stream of JSON lines"),
        (lines({"error": "server busy"}), None, "server busy"),
        (lines({"error": {"message": "odd"}}), None, "odd"),
        (b'{"error": "no line feed"}', None, "no line feed"),
    ],
)
def test_what_is_no_stream_is_refused(stream: bytes, kind: str | None, words: str) -> None:
    """Whatever its status said."""
    _, _, fault = read([stream])

    assert fault is not None
    assert kind == fault.kind
    assert words in fault.message
    assert "req_7" == fault.request_id


def test_a_line_without_end_is_refused() -> None:
    """At the limit of one event."""
    _, _, fault = read([b'{"a": "', *[b"x" * (1 << 20)] * (MAX_EVENT // (1 << 20) + 1)])

    assert fault is not None
    assert "longer than" in fault.message


MESSAGES = st.dictionaries(
    st.sampled_from(["role", "content", "thinking", "tool_calls", "images"]),
    st.recursive(
        st.one_of(st.none(), st.text(max_size=4), st.integers(), st.sampled_from(["<think>", "</think>"])),
        lambda inner: st.one_of(
            st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(["function", "name", "arguments", "id"]), inner)
        ),
        max_leaves=6,
    ),
)


@settings(max_examples=300)
@given(st.lists(MESSAGES, max_size=5), st.booleans())
def test_whatever_messages_come_they_are_read(messages: list[dict[str, Any]], done: bool) -> None:
    """An answer that is done is one; one that is not is truncated, with all that came."""
    stream = lines(*({**event(), "message": message} for message in messages), *([event(True)] if done else []))

    chunks, answer, fault = read([stream])

    assert ("truncated" if not done else None) == (fault and fault.kind)
    assert [call.id for call in answer.tool_calls] == [chunk.tool_call.id for chunk in chunks if chunk.tool_call is not None]


def test_a_whole_body_of_lines_is_an_answer() -> None:
    """For those who did not ask for a stream."""
    response = HttpResponse(status=200, headers=LINES, body=(SAMPLES / "text.ndjson").read_bytes())

    answer = decode_as_whole("ollama", response, ASKED)

    assert ("The sky is blue.", 282) == (answer.text, answer.usage.output_tokens)

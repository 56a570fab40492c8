"""
What every dialect must do with what comes from outside, written once: over all recordings of all wires.

Dialects with frames around another wire's events are given that wire's recordings, framed.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, field, frozen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmkit.dialects.base import Dialect, Place, WireError
from llmkit.dialects.framing.eventstream import EventStreamDecoder
from llmkit.dialects.openai_chat import OpenAIChat
from llmkit.dialects.tgi import TGI
from llmkit.models.chunk import CompletionChunk
from llmkit.models.content import Message
from llmkit.models.fault import Fault
from llmkit.models.request import make_request
from llmkit.models.response import CompletionResponse, FinishReason
from llmkit.providers import find_provider
from llmkit.resilience.classify import classify
from llmkit.testing.wires.frames import event_frame
from llmkit.transport.base import HttpResponse

SAMPLES = Path(__file__).parent.parent / "samples"
SSE = {"content-type": "text/event-stream", "x-request-id": "req_7"}
FRAMES = {"content-type": "application/vnd.amazon.eventstream", "x-amzn-requestid": "req_7"}
LINES = {"content-type": "application/x-ndjson", "x-request-id": "req_7"}
WHOLE = {"content-type": "application/json", "x-request-id": "req_7"}
ASKED = make_request("Hi", model="asked", stream=True)
PLACE = Place(base_url="https://host/v1", options={"region": "us-east-1", "host": "host", "project": "p", "location": "global"})

Found = tuple[list[CompletionChunk], CompletionResponse, Fault | None]


# -- how events stand in a stream


def framed_events(stream: bytes) -> bytes:
    """Return a stream of events in the frames in which Bedrock invokes a model: each a chunk in base64."""
    data = [line.removeprefix(b"data:").strip() for line in stream.split(b"\n") if line.startswith(b"data:")]
    return b"".join(event_frame("chunk", json.dumps({"bytes": base64.b64encode(one).decode()}).encode()) for one in data)


def parts_of_container(stream: bytes) -> bytes:
    """Return a stream in the frames of SageMaker, which end anywhere."""
    return b"".join(event_frame("PayloadPart", stream[at : at + 23], "application/octet-stream") for at in range(0, len(stream), 23))


@frozen(kw_only=True)
class Recording:
    """
    One recorded answer.

    Args:
        name: The wire, and the file.
        dialect: What reads it.
        body: Its bytes.
        headers: Those that came with it.
        frame: Puts a stream of text into the frames in which it comes.
    """

    name: str
    dialect: Dialect
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(factory=lambda: SSE)
    frame: Callable[[bytes], bytes] | None = None

    @property
    def stream(self) -> bytes:
        return self.body if self.frame is None else self.frame(self.body)


def wire(name: str, options: Mapping[str, str] | None = None) -> Dialect:
    return find_provider(name).dialect_for(options or {})


def invoked() -> Dialect:
    return wire("bedrock", {"api": "invoke"})


def dialect_for(folder: str, name: str, said: Mapping[str, Any]) -> Dialect:
    """Return what reads the sample *name*, of which its index has *said* something."""
    if folder == "openai_chat":
        return OpenAIChat(**said.get("quirks", {}))
    if folder == "sagemaker":
        return wire("sagemaker", {"api": said.get("api", "chat")})
    return wire({"openai_responses": "openai-responses", "gemini": "google"}.get(folder, folder))


def index_of(folder: str) -> dict[str, Any]:
    index = json.loads((SAMPLES / folder / "index.json").read_text())
    found: dict[str, Any] = index.get("samples") or index["answers"]
    return found


FOLDERS = ("openai_chat", "openai_responses", "anthropic", "gemini", "bedrock", "cohere", "ollama", "sagemaker")
HEADERS = {".sse": SSE, ".bin": FRAMES, ".ndjson": LINES, ".lines": SSE, ".json": WHOLE}


def recorded() -> Iterator[Recording]:
    for folder in FOLDERS:
        for name, said in index_of(folder).items():
            file = SAMPLES / folder / name
            one = Recording(
                name=f"{folder}/{name}", dialect=dialect_for(folder, name, said), body=file.read_bytes(), headers=HEADERS[file.suffix]
            )
            if folder == "sagemaker" and file.suffix != ".json":
                label = "text/event-stream" if file.suffix == ".sse" else "application/jsonlines"
                one = evolve(one, headers={**FRAMES, "x-amzn-sagemaker-content-type": label}, frame=parts_of_container)
                if said.get("api") == "generate":
                    yield evolve(one, name=f"tgi/{name}", dialect=TGI(), headers=SSE, frame=None)
            if folder == "anthropic" and file.suffix == ".sse":
                yield evolve(one, name=f"bedrock-invoke/{name}", dialect=invoked(), headers=FRAMES, frame=framed_events)
            yield one


RECORDINGS = list(recorded())
STREAMS = [one for one in RECORDINGS if one.headers is not WHOLE]
DIALECTS = list({(one.dialect.name, type(one.dialect).__name__): one.dialect for one in RECORDINGS}.values())


def read(one: Recording, pieces: Iterable[bytes]) -> Found:
    """Return the chunks of a stream, the answer as far as it came, and what went wrong."""
    decoder = one.dialect.decoder(HttpResponse(status=200, headers=dict(one.headers)), ASKED)
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


def shown(found: Found) -> Any:
    """Return all of it, with what equality leaves out."""
    chunks, answer, fault = found
    parts = [(part, getattr(part, "data", None), getattr(part, "text", None)) for part in answer.message.content]
    told = fault and evolve(fault, body=(fault.body or "").strip())
    return [(chunk, chunk.raw) for chunk in chunks], answer, answer.raw, parts, told


every_stream = pytest.mark.parametrize("one", [pytest.param(one, id=one.name) for one in STREAMS])
WHOLE_STREAMS = [one for one in STREAMS if read(one, [one.stream])[2] is None]


def test_there_are_recordings_of_every_wire() -> None:
    """Enough of each to mean something."""
    counts = {one.name.partition("/")[0]: 0 for one in STREAMS}
    for one in STREAMS:
        counts[one.name.partition("/")[0]] += 1

    assert {*FOLDERS, "bedrock-invoke", "tgi"} == set(counts)
    assert all(count >= 4 for count in counts.values()), counts
    assert len(WHOLE_STREAMS) > len(STREAMS) / 2


# -- streams


@every_stream
def test_how_the_network_cuts_makes_no_difference(one: Recording) -> None:
    """Whole, byte by byte, in halves and in slices of chance, with either line end: the same chunks, answer and fault."""
    chance = random.Random(one.name)
    for body in {one.body, one.body.replace(b"\n", b"\r\n") if one.headers is not FRAMES or one.frame else one.body}:
        stream = evolve(one, body=body).stream
        length = len(stream)
        cuts = [[*range(1, length)], *([place] for place in chance.sample(range(1, length), min(20, length - 1)))]
        cuts += [sorted(chance.sample(range(1, length), min(12, length - 1))) for _ in range(6)]

        whole = shown(read(one, [stream]))

        for places in cuts:
            assert whole == shown(read(one, [stream[a:b] for a, b in pairwise([0, *places, length])])), places[:3]


@every_stream
def test_chunks_add_up_to_the_answer(one: Recording) -> None:
    """Text, thoughts and calls, each from its pieces; one reason, with nothing but usage behind it."""
    chunks, answer, fault = read(one, [one.stream])

    assert "".join(chunk.text for chunk in chunks) == answer.text
    assert "".join(chunk.thinking for chunk in chunks) == answer.thinking
    calls: dict[int, list[str]] = {}
    for delta in (chunk.tool_call for chunk in chunks if chunk.tool_call is not None):
        call = calls.setdefault(delta.index, ["", "", ""])
        call[:] = [call[0] or delta.id or "", call[1] or delta.name or "", call[2] + delta.arguments]
    for made, (call_id, name, arguments) in zip(answer.tool_calls, (calls[index] for index in sorted(calls)), strict=True):
        assert (made.name, made.id) == (name, call_id or made.id)
        assert made.invalid is not None or made.arguments == json.loads(arguments or "{}")
    reasons = [chunk.finish_reason for chunk in chunks if chunk.finish_reason is not None]
    assert fault is not None or reasons == [answer.finish_reason]
    assert answer.model


@pytest.mark.parametrize("one", [pytest.param(one, id=one.name) for one in WHOLE_STREAMS])
def test_no_beginning_of_a_stream_is_taken_for_all_of_it(one: Recording) -> None:
    """Cut anywhere it is truncated, without a reason and with all that its chunks had; behind its proof nothing is missed."""
    stream = one.stream
    _, complete, _ = read(one, [stream])

    for end in {*range(0, len(stream), 1 + len(stream) // 400), *range(max(0, len(stream) - 60), len(stream))}:
        chunks, answer, fault = read(one, [stream[:end]])

        if fault is None:
            assert (complete.message, complete.finish_reason) == (answer.message, answer.finish_reason), end
        else:
            assert ("truncated", FinishReason.UNKNOWN) == (fault.kind, answer.finish_reason), (end, fault)
            assert answer.text.startswith("".join(chunk.text for chunk in chunks))
            assert answer.thinking.startswith("".join(chunk.thinking for chunk in chunks))


# -- whatever comes

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6) | st.sampled_from(["error", "stop", "0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "text", "id", "error"]), inner, max_size=3),
    max_leaves=6,
)
ANYHOW = settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths to everything in *value*."""
    inner = list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    return [path, *(found for key, item in inner for found in places(item, (*path, key)))]


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = changed(value[path[0]], path[1:], new)
    return copy


def events_of(one: Recording) -> list[tuple[bytes, Any, bytes]]:
    """Return the pieces of a stream's text with JSON in them: what stands before it, the JSON, what stands behind it."""
    found = []
    for line in one.body.splitlines(keepends=True):
        start = line.find(b"{")
        try:
            found.append((line[:start], json.loads(line[start:]), b"\n")) if start >= 0 else found.append((line, None, b""))
        except ValueError:
            found.append((line, None, b""))
    return found


def of_frames(one: Recording) -> list[tuple[str, Any]]:
    """Return the events of Bedrock's frames, by name."""
    return [
        (str(frame.headers[":event-type"]), json.loads(frame.payload))
        for frame in EventStreamDecoder().feed(one.body)
        if ":event-type" in frame.headers
    ]


def spoilt(one: Recording, data: st.DataObject) -> bytes:
    """Return a stream in which one value of one event is another."""
    new = data.draw(JSON)
    if one.headers is FRAMES and one.frame is None:
        frames = of_frames(one)
        at = data.draw(st.integers(0, len(frames) - 1))
        frames[at] = (frames[at][0], changed(frames[at][1], data.draw(st.sampled_from(places(frames[at][1]))), new))
        return b"".join(event_frame(name, json.dumps(event).encode()) for name, event in frames)
    events = events_of(one)
    at = data.draw(st.sampled_from([number for number, event in enumerate(events) if event[1] is not None]))
    before, event, behind = events[at]
    events[at] = (before, changed(event, data.draw(st.sampled_from(places(event))), new), behind)
    body = b"".join(before + (b"" if event is None else json.dumps(event).encode()) + behind for before, event, behind in events)
    return evolve(one, body=body).stream


def check(found: Found) -> None:
    """Assert that nothing but an answer and a fault came of it, both such as can be shown and kept."""
    _, answer, fault = found
    json.dumps(answer.to_dict())
    assert isinstance(answer.text + answer.thinking, str)
    assert all(isinstance(call.id, str) and call.id and isinstance(call.name, str) for call in answer.tool_calls)
    assert answer.usage.total_tokens >= answer.usage.cache_read_tokens >= 0
    assert fault is None or (classify(fault) and isinstance(fault.message, str))


BROKEN_FRAMES = {"bedrock/bad_checksum.bin", "bedrock/recorded_frames.bin"}  # which are not of events to be changed
CHANGEABLE = [
    one for one in STREAMS if one.name not in BROKEN_FRAMES and (of_frames(one) if one.name.endswith(".bin") else b"{" in one.body)
]


@ANYHOW
@given(one=st.sampled_from(CHANGEABLE), data=st.data())
def test_another_value_in_an_event_raises_nothing_strange(one: Recording, data: st.DataObject) -> None:
    """Anything in place of any field of a real stream: an answer, or a fault, and nothing else."""
    check(read(one, [spoilt(one, data)]))


@ANYHOW
@given(one=st.sampled_from(STREAMS), data=st.data())
def test_damaged_streams_raise_nothing_strange(one: Recording, data: st.DataObject) -> None:
    """Bytes changed, lost or added anywhere; all of it, or what was left."""
    stream = bytearray(one.stream)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(stream)))
        stream[at : at + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=40))
    cut = data.draw(st.integers(0, len(stream)))

    check(read(one, [bytes(stream[:cut]), bytes(stream[cut:])]))


@ANYHOW
@given(one=st.sampled_from(STREAMS), pieces=st.lists(st.binary(max_size=30) | st.sampled_from([b"data: ", b"\n\n", b"{", b"[DONE]"])))
def test_noise_is_no_answer(one: Recording, pieces: list[bytes]) -> None:
    """Random bytes are a fault."""
    found = read(one, pieces)

    check(found)
    assert found[2] is not None


# -- whole answers, errors, lists


def decoded(one: Recording, body: bytes) -> Found:
    response = HttpResponse(status=200, headers=dict(one.headers), body=body)
    try:
        return [], one.dialect.decode(response, ASKED), None
    except WireError as error:
        return [], CompletionResponse(message=Message("assistant")), error.fault


ANSWERS = [one for one in RECORDINGS if one.headers is WHOLE and decoded(one, one.body)[2] is None]


@ANYHOW
@given(one=st.sampled_from(ANSWERS), data=st.data(), new=JSON)
def test_another_value_in_an_answer_raises_nothing_strange(one: Recording, data: st.DataObject, new: Any) -> None:
    """Anything in place of any field of a real answer: an answer, or a fault, and nothing else."""
    body = json.loads(one.body)
    spoilt_body = changed(body, data.draw(st.sampled_from(places(body))), new)

    check(decoded(one, json.dumps(spoilt_body).encode()))


ANY_BODY = st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode())


@ANYHOW
@given(dialect=st.sampled_from(DIALECTS), body=ANY_BODY, status=st.sampled_from([400, 401, 403, 404, 424, 429, 500, 503, 529]))
def test_any_refusal_can_be_read(dialect: Dialect, body: bytes, status: int) -> None:
    """Whatever its body: reading it never raises, and it is of some kind."""
    fault = dialect.fault(HttpResponse(status=status, headers={"x-amzn-errortype": "X", "retry-after": "x"}, body=body))

    assert status == fault.status
    assert classify(fault)
    assert isinstance(fault.message, str)
    assert dialect.concession(fault, ASKED) is None or isinstance(dialect.concession(fault, ASKED), str)


@ANYHOW
@given(dialect=st.sampled_from([dialect for dialect in DIALECTS if dialect.encode_models(PLACE) is not None]), body=ANY_BODY)
def test_any_list_of_models_can_be_read(dialect: Dialect, body: bytes) -> None:
    """Or is a fault."""
    try:
        found = dialect.decode_models(HttpResponse(status=200, headers=WHOLE, body=body))
    except WireError as error:
        assert classify(error.fault)
    else:
        assert all(isinstance(model.id, str) and model.id for model in found)

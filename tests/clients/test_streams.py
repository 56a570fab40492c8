"""Streams: chunks as they come, a whole answer at the end, and nothing left behind."""

from __future__ import annotations

import gzip
import json
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest
from attrs import frozen

from llmkit import (
    APIKeyPool,
    CircuitBreakerConfig,
    CompletionChunk,
    ConfigurationError,
    FinishReason,
    InternalError,
    InvalidRequestError,
    MalformedResponseError,
    OverloadedError,
    QuotaExceededError,
    RetryConfig,
    StreamInterruptedError,
    StructuredOutputError,
)
from llmkit.testing import FakeServer, RecordedRequest, Reply

Connect = Callable[..., Any]

QUICK = RetryConfig(max_retries=2, base_delay=0.001, max_delay=0.002)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
DONE = "[DONE]"


def piece(text: str | None = None, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    """Return one event of a stream."""
    said = {} if text is None else {"content": text}
    return {"id": "chatcmpl-1", "model": "gpt-4o-mini", "choices": [{"index": 0, "delta": {**said, **delta}, "finish_reason": finish}]}


def sse(event: dict[str, Any] | str) -> bytes:
    return b"data: " + (event if isinstance(event, str) else json.dumps(event)).encode() + b"\n\n"


FAILED = {"error": {"message": "Too much to do.", "type": "overloaded_error", "code": "overloaded"}}


@pytest.mark.parametrize("framing", ["chunked", "close", "gzip"])
def test_chunks_come_as_they_are_sent(connect: Connect, talking: Callable[..., Any], framing: str) -> None:
    """The server goes on only after the consumer has had the first piece: nothing is held back."""
    had_first = threading.Event()
    waited: list[bool] = []

    def talk(sock: socket.socket, _: bytes) -> None:
        def send(data: bytes) -> None:
            data = gzip.compress(data) if framing == "gzip" else data
            sock.sendall(b"%x\r\n%b\r\n" % (len(data), data) if framing != "close" else data)

        coding = b"Content-Encoding: gzip\r\n" if framing == "gzip" else b""
        sock.sendall(HEAD + coding + (b"\r\n" if framing == "close" else b"Transfer-Encoding: chunked\r\n\r\n"))
        send(sse(piece("One")))
        waited.append(had_first.wait(5))
        send(sse(piece(" two")) + sse(piece(finish="stop")) + sse(DONE))
        if framing != "close":
            sock.sendall(b"0\r\n\r\n")

    stream = connect(base_url=talking(talk).url).stream("Count")

    first = next(stream)
    had_first.set()
    rest = [chunk.text for chunk in stream]

    assert "One" == first.text
    assert [True] == waited
    assert " two" == "".join(rest)


def test_nothing_is_sent_before_the_first_chunk_is_asked_for(connect: Connect, server: FakeServer) -> None:
    """Making a stream is free."""
    stream = connect().stream("Say hi")

    assert 0 == server.connections
    assert "You said: Say hi" == stream.collect().text


def test_a_chunk_brings_what_is_new(connect: Connect, server: FakeServer) -> None:
    """Text in pieces, why it ended, what it cost, and the event itself."""
    server.enqueue(Reply(chunks=["Good", " morning", "!"]))

    chunks = list(connect().stream("Say hi"))

    assert all(isinstance(chunk, CompletionChunk) for chunk in chunks)
    assert ["Good", " morning", "!"] == [chunk.text for chunk in chunks if chunk.text]
    assert [FinishReason.STOP] == [chunk.finish_reason for chunk in chunks if chunk.finish_reason is not None]
    (usage,) = [chunk.usage for chunk in chunks if chunk.usage is not None]
    assert usage.output_tokens > 0
    assert all("chat.completion.chunk" == chunk.raw["object"] for chunk in chunks)


def test_the_whole_answer_is_there_afterwards(connect: Connect, server: FakeServer) -> None:
    """As if it had not been streamed."""
    server.enqueue(Reply("Good morning!", thinking="Hm.", request_id="req_5"))
    stream = connect().stream("Say hi")

    for _ in stream:
        pass

    answer = stream.response
    assert "Good morning!" == answer.text
    assert "Hm." == answer.thinking
    assert FinishReason.STOP is answer.finish_reason
    assert "openai" == answer.provider
    assert "req_5" == answer.request_id
    assert answer.usage.reported
    assert answer.usage.total_tokens > 0
    assert 1 == len(answer.attempts)
    assert "Good morning!" == answer.raw["choices"][0]["message"]["content"]


def test_tool_calls_come_in_pieces_and_are_put_together(connect: Connect, server: FakeServer) -> None:
    """The first piece has id and name, the others parts of the arguments."""
    server.enqueue(Reply(tool_calls=[("get_weather", {"city": "Paris"}), ("get_time", {"zone": "CET"})]))
    weather = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}
    stream = connect().stream("Weather?", tools=[weather])

    deltas = [chunk.tool_call for chunk in stream if chunk.tool_call is not None]

    assert {0, 1} == {delta.index for delta in deltas}
    assert ["get_weather", "get_time"] == [delta.name for delta in deltas if delta.name]
    assert {"city": "Paris"} == json.loads("".join(delta.arguments for delta in deltas if delta.index == 0))
    assert [{"city": "Paris"}, {"zone": "CET"}] == [dict(call.arguments) for call in stream.response.tool_calls]
    assert FinishReason.TOOL_CALLS is stream.response.finish_reason


def test_text_iter_gives_text_only(connect: Connect, server: FakeServer) -> None:
    """For printing."""
    server.enqueue(Reply(chunks=["Good", " morning"], thinking="Hm."))
    stream = connect().stream("Say hi")

    assert ["Good", " morning"] == list(stream.text_iter())
    assert "Good morning" == stream.response.text


def test_the_answer_is_refused_before_the_end(connect: Connect, server: FakeServer) -> None:
    """Half an answer is none."""
    server.enqueue(Reply("Good morning to you", stall_after=2))

    with connect().stream("Say hi") as stream:
        with pytest.raises(ConfigurationError, match="collect"):
            _ = stream.response
        next(stream)
        with pytest.raises(ConfigurationError, match="collect"):
            _ = stream.response


def test_collect_reads_what_is_left(connect: Connect) -> None:
    """Whatever was read before."""
    stream = connect().stream("Say hi")
    next(stream)

    assert "You said: Say hi" == stream.collect().text
    assert "You said: Say hi" == stream.collect().text
    assert [] == list(stream)


def leave_by_break(stream: Any) -> None:
    for _ in stream:
        break


def leave_by_close(stream: Any) -> None:
    next(stream)
    stream.close()
    stream.close()


def leave_by_with(stream: Any) -> None:
    with stream:
        next(stream)


def raise_inside(stream: Any, error: type[BaseException]) -> None:
    with stream:
        for _ in stream:
            raise error


def leave_by_exception(stream: Any) -> None:
    with pytest.raises(ZeroDivisionError):
        raise_inside(stream, ZeroDivisionError)


def leave_by_interrupt(stream: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        raise_inside(stream, KeyboardInterrupt)


def leave_texts(stream: Any) -> None:
    for _ in stream.text_iter():
        break


def leave_by_forgetting(stream: Any) -> None:
    next(stream)


LEAVING = [leave_by_break, leave_by_close, leave_by_with, leave_by_exception, leave_by_interrupt, leave_texts, leave_by_forgetting]


@pytest.mark.parametrize("leave", LEAVING)
def test_a_stream_that_is_left_leaves_nothing_behind(face: Any, connect: Connect, server: FakeServer, leave: Callable[[Any], None]) -> None:
    """The connection is closed, the key is back, the probe's place is free, and the next call works."""
    server.enqueue(Reply.error(503), Reply("Good morning to you all", stall_after=3))
    pool = APIKeyPool(["sk-first-0001", "sk-second-0002"])
    client = connect(api_keys=pool, retry=None, circuit_breaker=CircuitBreakerConfig(failure_threshold=1, reset_time=1e-6))
    with pytest.raises(OverloadedError):
        client.complete("Say hi")
    stream = client.stream("Say hi")

    leave(stream)
    del stream
    face.settle()

    server.wait_for(lambda server: server.open_connections <= 1)  # the first call's may be kept
    assert [0, 0] == [row["leases"] for row in pool.snapshot()]
    assert 0 == client.breaker().snapshot()["probes"]
    assert "You said: Say more" == client.complete("Say more").text


def test_a_stream_that_was_never_begun_holds_nothing(face: Any, connect: Connect, server: FakeServer) -> None:
    """It may be closed, entered and dropped."""
    pool = APIKeyPool(["sk-first-0001"])
    client = connect(api_keys=pool)

    client.stream("Say hi").close()
    with client.stream("Say hi"):
        pass
    client.stream("Say hi")
    face.settle()

    assert 0 == server.connections
    assert 0 == pool.snapshot()[0]["leases"]


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(lambda stream: stream.collect(), id="collect"),
        pytest.param(lambda stream: list(stream), id="loop"),
        pytest.param(lambda stream: list(stream.text_iter()), id="texts"),
    ],
)
@pytest.mark.parametrize(
    "reply",
    [
        Reply("Good morning"),
        Reply("Good morning", content_encoding="gzip"),
        Reply(events=[piece(finish="stop"), DONE]),
    ],
)
def test_the_connection_of_a_complete_stream_serves_again(
    connect: Connect, server: FakeServer, read: Callable[[Any], Any], reply: Reply
) -> None:
    """Though nobody reads what comes behind the answer's end."""
    server.always(reply)
    client = connect()

    for _ in range(3):
        read(client.stream("Say hi"))

    assert 3 == server.hits
    assert 1 == server.connections


@pytest.mark.parametrize("framing", ["chunked", "close", "length"])
def test_a_cut_stream_is_never_a_success(connect: Connect, server: FakeServer, framing: Any) -> None:
    """However politely it ends: the error carries all that had come, and nothing is sent again."""
    events: list[Any] = [piece("Good"), piece(" morning"), piece(" to you"), piece(finish="stop"), DONE]
    server.enqueue(Reply(events=events, cut=sum(len(sse(event)) for event in events[:2]) + 5, framing=framing))
    stream = connect(retry=QUICK).stream("Say hi")
    had: list[str] = []

    with pytest.raises(StreamInterruptedError) as caught:
        had.extend(stream.text_iter())

    assert ["Good", " morning"] == had
    assert caught.value.partial is not None
    assert "Good morning" == caught.value.partial.text
    assert FinishReason.UNKNOWN is caught.value.partial.finish_reason
    assert "truncated" == caught.value.kind
    assert isinstance(caught.value, ConnectionError)
    assert caught.value.maybe_billed
    assert 1 == server.hits == len(caught.value.attempts)
    with pytest.raises(ConfigurationError):
        _ = stream.response


def test_a_stream_that_is_reset_is_an_interrupted_one(connect: Connect, talking: Callable[..., Any]) -> None:
    """All that the consumer had before is on the error."""
    had_first = threading.Event()

    def talk(sock: socket.socket, _: bytes) -> None:
        sock.sendall(HEAD + b"\r\n" + sse(piece("Good")))
        had_first.wait(5)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    stream = connect(base_url=talking(talk).url, retry=QUICK).stream("Say hi")
    next(stream)
    had_first.set()

    with pytest.raises(StreamInterruptedError) as caught:
        next(stream)

    assert caught.value.partial is not None
    assert "Good" == caught.value.partial.text
    assert 1 == len(caught.value.attempts)


def test_calls_in_pieces_are_on_the_error_of_a_cut_stream(connect: Connect, server: FakeServer) -> None:
    """But they are no tool calls to be run."""
    first = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "pay", "arguments": '{"amou'}}
    server.enqueue(Reply(events=[piece(tool_calls=[first])]))

    with pytest.raises(StreamInterruptedError) as caught:
        connect(retry=QUICK).stream("Pay").collect()

    assert caught.value.partial is not None
    assert FinishReason.UNKNOWN is caught.value.partial.finish_reason
    assert 1 == server.hits


@pytest.mark.parametrize(
    ("bad", "error", "kind"),
    [
        pytest.param(FAILED, OverloadedError, "overloaded", id="error"),
        pytest.param('{"choices": [{"del', MalformedResponseError, "malformed", id="unreadable"),
        pytest.param("[]", MalformedResponseError, "malformed", id="no-object"),
    ],
)
def test_an_error_behind_content_ends_the_stream(
    connect: Connect, talking: Callable[..., Any], bad: Any, error: type[Exception], kind: str
) -> None:
    """An event that cannot be read is one too: passed over, it would leave a hole in the text. Nothing is sent again."""
    had_first = threading.Event()

    def talk(sock: socket.socket, _: bytes) -> None:
        sock.sendall(HEAD + b"\r\n" + sse(piece("Good")))
        had_first.wait(5)
        sock.sendall(sse(bad) + sse(piece(" morning")) + sse(piece(finish="stop")) + sse(DONE))

    server = talking(talk)
    stream = connect(base_url=server.url, retry=QUICK).stream("Say hi")
    next(stream)
    had_first.set()

    with pytest.raises(error) as caught:
        next(stream)

    assert kind == caught.value.kind  # type: ignore[attr-defined]
    assert "Good" == caught.value.partial.text  # type: ignore[attr-defined]
    assert [200] == [row.status for row in caught.value.attempts]  # type: ignore[attr-defined]
    assert 1 == len(server.heads)


@pytest.mark.parametrize("events", [[FAILED], [piece("Good"), FAILED], ["no JSON"], [piece("Good"), "no JSON"]])
def test_the_connection_of_a_failed_stream_is_closed(connect: Connect, server: FakeServer, events: list[Any]) -> None:
    """Also while somebody keeps the error, and whatever hangs on its frames."""
    server.enqueue(Reply(events=[*events, piece("more")], stall_after=len(events)))
    stream = connect(retry=None).stream("Say hi")

    with pytest.raises(InternalError if FAILED in events else MalformedResponseError) as caught:
        stream.collect()

    server.wait_closed()
    assert 1 == len(caught.value.attempts)


def test_an_error_ahead_of_all_content_is_retried(connect: Connect, server: FakeServer) -> None:
    """Nobody has seen anything of that answer."""
    server.enqueue(Reply(events=[piece("", role="assistant"), FAILED]))

    answer = connect(retry=QUICK).stream("Say hi").collect()

    assert "You said: Say hi" == answer.text
    assert ["overloaded", None] == [row.error for row in answer.attempts]


def test_a_final_error_ahead_of_all_content_is_not_retried(connect: Connect, server: FakeServer) -> None:
    """It is judged by what it says, not by its place."""
    server.always(Reply(events=[{"error": {"message": "No credit.", "code": "insufficient_quota"}}]))

    with pytest.raises(QuotaExceededError):
        connect(retry=QUICK).stream("Say hi").collect()

    assert 1 == server.hits


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({}, id="clean-end"),
        pytest.param({"framing": "close"}, id="close-framed"),
        pytest.param({"declared_length": 100_000}, id="short"),
        pytest.param({"declared_length": 100_000, "reset": True}, id="reset"),
        pytest.param({"stall_after": 2}, id="silence"),
    ],
)
def test_what_breaks_after_the_finish_reason_breaks_nothing(connect: Connect, server: FakeServer, fault: dict[str, Any]) -> None:
    """The proof of completeness has come."""
    server.enqueue(Reply(events=[piece("Good morning"), piece(finish="stop")], **fault))
    stream = connect(retry=QUICK, timeout=0.1).stream("Say hi")

    texts = list(stream.text_iter())

    assert ["Good morning"] == texts
    assert FinishReason.STOP is stream.response.finish_reason
    assert [None] == [row.error for row in stream.response.attempts]
    assert 1 == server.hits


def refuses_usage(request: RecordedRequest) -> Reply:
    if "stream_options" in request.json:
        return Reply.error(400, message="Unrecognized request argument supplied: stream_options", param="stream_options")
    return Reply()


@pytest.mark.parametrize("retry", [None, QUICK])
def test_a_server_that_refuses_to_count_is_asked_without(connect: Connect, server: FakeServer, retry: RetryConfig | None) -> None:
    """The user did not ask for it; and it is asked for only once."""
    server.always(refuses_usage)
    client = connect(retry=retry)

    texts = [client.stream("Say hi").collect().text for _ in range(3)]

    assert ["You said: Say hi"] * 3 == texts
    assert [True, False, False, False] == ["stream_options" in request.json for request in server.requests]


def test_two_calls_may_find_out_at_the_same_time(connect: Connect, server: FakeServer) -> None:
    """The one whose refusal comes second is asked again as well."""
    client = connect(retry=None)
    second = client.stream("Say two")

    def script(request: RecordedRequest) -> Reply:
        if "stream_options" in request.json and server.hits == 1:
            # While the first is being refused, the other finds it out: as if by another thread.
            client._router.default.refuses("stream_options")
        return refuses_usage(request)

    server.always(script)

    assert "You said: Say two" == second.collect().text


def test_usage_that_the_user_asked_for_is_not_given_up(connect: Connect, server: FakeServer) -> None:
    """Then the refusal is the answer."""
    server.always(refuses_usage)

    with pytest.raises(InvalidRequestError):
        connect(retry=QUICK).stream("Say hi", extra_body={"stream_options": {"include_usage": True}}).collect()

    assert 1 == server.hits


def test_a_stream_answered_with_one_document_is_one_chunk(connect: Connect, server: FakeServer) -> None:
    """Some servers do not stream, whatever they are asked."""
    whole = {"id": "x", "model": "m", "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}
    server.enqueue(Reply(raw=whole))
    stream = connect().stream("Say hi")

    chunks = list(stream)

    assert ["Hi"] == [chunk.text for chunk in chunks]
    assert "Hi" == stream.response.text


def test_an_error_document_in_place_of_a_stream_is_that_error(connect: Connect, server: FakeServer) -> None:
    """With status 200, as routers send it; it is retried like a refusal."""
    server.always(Reply(raw=FAILED))

    with pytest.raises(OverloadedError):
        connect(retry=QUICK).stream("Say hi").collect()

    assert 3 == server.hits


def test_an_answer_without_text_is_an_answer(connect: Connect, server: FakeServer) -> None:
    """A finish reason is proof enough."""
    server.enqueue(Reply(events=[piece("", role="assistant"), piece(finish="stop"), DONE]))

    answer = connect(retry=QUICK).stream("Say nothing").collect()

    assert "" == answer.text
    assert FinishReason.STOP is answer.finish_reason
    assert 1 == server.hits


@frozen
class Count:
    """What is asked for."""

    n: int


def test_a_typed_stream_is_parsed_at_its_end(connect: Connect, server: FakeServer) -> None:
    """The chunks are text, the answer is what was asked for."""
    server.enqueue(Reply('{"n": 3}'))
    stream = connect().stream("Count", response_format=Count)

    text = "".join(stream.text_iter())

    assert '{"n": 3}' == text
    assert Count(3) == stream.response.parsed


def test_a_typed_stream_that_does_not_fit_is_given_out_first(connect: Connect, server: FakeServer) -> None:
    """Every chunk comes, and then the error."""
    server.enqueue(Reply('{"n": "three"}'))
    pool = APIKeyPool(["sk-first-0001"])
    stream = connect(api_keys=pool).stream("Count", response_format=Count)
    had: list[str] = []

    with pytest.raises(StructuredOutputError) as caught:
        had.extend(stream.text_iter())

    assert '{"n": "three"}' == "".join(had) == caught.value.text
    assert 0 == pool.snapshot()[0]["leases"]
    assert 1 == len(caught.value.attempts)


def test_a_refused_stream_says_why(connect: Connect, server: FakeServer) -> None:
    """The body of a refusal is read though a stream was asked for."""
    server.enqueue(Reply.error(500, message="Down for lunch."))

    with pytest.raises(InternalError, match="Down for lunch"):
        connect(retry=None).stream("Say hi").collect()


def test_a_long_stream_comes_whole(connect: Connect, server: FakeServer) -> None:
    """Thousands of events, cut by the network wherever it likes."""
    server.enqueue(Reply(chunks=[f"{n} ä€𝄞 " for n in range(3000)]))

    answer = connect().stream("Count").collect()

    assert "".join(f"{n} ä€𝄞 " for n in range(3000)) == answer.text


def test_what_came_before_an_error_is_given_out_first(connect: Connect, server: FakeServer) -> None:
    """Also where both arrive in the same bytes; and since it was given out, nothing is asked again."""
    said = b'data: {"id": "1", "choices": [{"index": 0, "delta": {"content": "Hel"}}]}\n\n'
    failed = b'data: {"error": {"message": "The server had an error.", "type": "server_error"}}\n\n'
    server.enqueue(Reply(raw=said + failed, content_type="text/event-stream"))
    stream = connect(retry=QUICK).stream("Say hi")

    texts: list[str] = []
    with pytest.raises(InternalError) as caught:
        texts.extend(chunk.text for chunk in stream)

    assert ["Hel"] == texts
    assert "Hel" == caught.value.partial.text  # type: ignore[attr-defined]  # any error inside a stream carries what had come
    assert 1 == server.hits


def test_a_last_event_without_its_blank_line_does_not_hide_the_break(connect: Connect, server: FakeServer) -> None:
    """It is whole and given out; the answer is not, and says so."""
    deltas = [{"choices": [{"index": 0, "delta": {"content": word}}]} for word in ("Hel", "lo")]
    events = [f"data: {json.dumps(delta)}\n" for delta in deltas]
    server.enqueue(Reply(events=[events[0] + "\n", events[1]], framing="length", declared_length=9999))
    stream = connect(retry=QUICK).stream("Say hi")

    texts: list[str] = []
    with pytest.raises(StreamInterruptedError) as caught:
        texts.extend(chunk.text for chunk in stream)

    assert ["Hel", "lo"] == texts
    assert caught.value.partial is not None
    assert "Hello" == caught.value.partial.text

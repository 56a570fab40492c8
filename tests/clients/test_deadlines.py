"""A call is over when its time is over, whatever the server does; and no sooner."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import pytest

import llmkit
from llmkit import APIKeyPool, DeadlineExceededError, RequestTimeoutError, RetryConfig
from llmkit.testing import FakeServer, Reply

Connect = Callable[..., Any]

QUICK = RetryConfig(max_retries=3, base_delay=0.001, max_delay=0.002)
PING = ": ping\n\n"
EMPTY: dict[str, Any] = {"choices": []}
FINISH = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


def piece(text: str) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}}]}


def sse(event: dict[str, Any] | str) -> bytes:
    return event.encode() if isinstance(event, str) else b"data: " + json.dumps(event).encode() + b"\n\n"


def complete(client: Any, **kwargs: Any) -> Any:
    return client.complete("Say hi", **kwargs)


def stream(client: Any, **kwargs: Any) -> Any:
    return client.stream("Say hi", **kwargs).collect()


DRIPS = [
    pytest.param(complete, Reply("Hello " * 50, drip=0.1, drip_from="head"), id="head"),
    pytest.param(complete, Reply("Hello " * 50, drip=0.1), id="body"),
    pytest.param(stream, Reply("Hello " * 50, drip=0.1), id="stream"),
    pytest.param(stream, Reply(events=[PING] * 50, between=0.1), id="pings"),
]


@pytest.mark.parametrize(("call", "reply"), DRIPS)
def test_a_server_that_drips_does_not_outlast_the_deadline(
    connect: Connect, server: FakeServer, call: Callable[..., Any], reply: Reply
) -> None:
    """A byte now and then is no silence, so that no read ever times out: the deadline cuts it, and the connection with it."""
    server.always(reply)
    client = connect(retry=QUICK)
    began = time.monotonic()

    with pytest.raises(DeadlineExceededError) as caught:
        call(client, deadline=1)

    assert 1.0 <= time.monotonic() - began <= 1.2
    assert isinstance(caught.value, TimeoutError)
    assert "deadline" == caught.value.kind
    assert caught.value.maybe_billed
    assert ["deadline"] == [row.error for row in caught.value.attempts]
    assert 1 == server.hits
    server.wait_closed()


@pytest.mark.parametrize("call", [complete, stream])
def test_silence_does_not_outlast_the_deadline(connect: Connect, server: FakeServer, call: Callable[..., Any]) -> None:
    """Nor is the call tried again; its key is back."""
    server.always(Reply(hang=True))
    pool = APIKeyPool(["sk-first-0001"])
    client = connect(api_keys=pool, retry=QUICK)
    began = time.monotonic()

    with pytest.raises(DeadlineExceededError, match=r"0\.1\d s"):
        call(client, deadline=0.1)

    assert time.monotonic() - began < 0.3
    assert 1 == server.hits
    assert 0 == pool.snapshot()[0]["leases"]
    server.wait_closed()


@pytest.mark.parametrize("call", [complete, stream])
def test_a_client_has_a_deadline_of_its_own(connect: Connect, server: FakeServer, call: Callable[..., Any]) -> None:
    """It holds for each call that is given no other, list and check included."""
    server.always(Reply(hang=True))
    client = connect(deadline=0.1)

    with pytest.raises(DeadlineExceededError):
        call(client)
    with pytest.raises(DeadlineExceededError):
        client.models()

    assert "deadline" == client.check().kind


@pytest.mark.parametrize("call", [complete, stream])
def test_a_deadline_covers_all_calls_of_a_block(connect: Connect, server: FakeServer, call: Callable[..., Any]) -> None:
    """The time that one takes is not there for the next; one that begins too late sends nothing."""
    server.enqueue(Reply("Hi", delay=0.1), Reply(hang=True))
    client = connect(retry=QUICK)
    began = time.monotonic()

    with llmkit.deadline(0.2):
        first = call(client)
        with pytest.raises(DeadlineExceededError):
            call(client)
        took = time.monotonic() - began
        with pytest.raises(DeadlineExceededError) as late:
            call(client)

    assert "Hi" == first.text
    assert 0.2 <= took < 0.35
    assert () == late.value.attempts
    assert 2 == server.hits


def test_the_tightest_deadline_holds(connect: Connect, server: FakeServer) -> None:
    """The call's, the client's, or the block's."""
    server.always(Reply(hang=True))
    client = connect(deadline=5, retry=QUICK)
    began = time.monotonic()

    with llmkit.deadline(0.1), pytest.raises(DeadlineExceededError):
        client.complete("Say hi", deadline=3)
    with llmkit.deadline(3), pytest.raises(DeadlineExceededError):
        client.complete("Say hi", deadline=0.1)

    assert time.monotonic() - began < 0.5


def test_without_a_deadline_only_silence_ends_a_call(connect: Connect, server: FakeServer) -> None:
    """deadline=None."""
    server.enqueue(Reply(hang=True), Reply("Hi"))

    answer = connect(deadline=None, timeout=0.05, retry=QUICK).complete("Say hi")

    assert ["read_timeout", None] == [row.error for row in answer.attempts]


def test_the_wait_for_a_free_connection_counts(connect: Connect, server: FakeServer) -> None:
    """It is a wait like any other."""
    server.enqueue(Reply("Good morning to you", stall_after=3))
    client = connect(max_connections=1, retry=QUICK)

    with client.stream("Say hi") as held:
        next(held)
        began = time.monotonic()
        with pytest.raises(DeadlineExceededError):
            client.complete("Say hi", deadline=0.1)
        took = time.monotonic() - began

    assert 0.1 <= took < 0.3
    assert 1 == server.hits
    assert "You said: Say hi" == client.complete("Say hi").text


@pytest.fixture
def deaf() -> Iterator[str]:
    """A port that takes no connections: its queue is full."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = [socket.socket() for _ in range(4)]
    for filler in fillers:
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    for sock in [*fillers, listener]:
        sock.close()


def test_a_connection_that_does_not_come_about_times_out(connect: Connect, deaf: str) -> None:
    """timeout= bounds it, too."""
    with pytest.raises(RequestTimeoutError) as caught:
        connect(base_url=deaf, timeout=0.1, retry=None).complete("Say hi")

    assert "connect_timeout" == caught.value.kind
    assert not caught.value.maybe_billed


def test_a_connection_that_does_not_come_about_does_not_outlast_the_deadline(connect: Connect, deaf: str) -> None:
    """Of which there is less than the time to connect."""
    began = time.monotonic()

    with pytest.raises(DeadlineExceededError):
        connect(base_url=deaf, retry=QUICK).complete("Say hi", deadline=0.1)

    assert 0.1 <= time.monotonic() - began < 0.3


def test_the_default_deadline_of_a_stream_is_for_its_beginning(connect: Connect, server: FakeServer) -> None:
    """A long answer that comes steadily is not cut."""
    server.enqueue(Reply(chunks=["A", "B", "C", "D"], between=0.05))

    assert "ABCD" == connect(deadline=0.15).stream("Say hi").collect().text


@pytest.mark.parametrize("event", [PING, EMPTY])
def test_a_stream_must_bring_content_before_the_default_deadline(connect: Connect, server: FakeServer, event: Any) -> None:
    """Signs of life are none of an answer."""
    server.enqueue(Reply(events=[event] * 50, between=0.02))
    began = time.monotonic()

    with pytest.raises(DeadlineExceededError) as caught:
        connect(deadline=0.15, retry=QUICK).stream("Say hi").collect()

    assert 0.15 <= time.monotonic() - began < 0.35
    assert caught.value.partial is not None
    assert 1 == server.hits


@pytest.mark.parametrize("ambient", [False, True])
def test_a_deadline_that_was_given_holds_to_the_end_of_a_stream(connect: Connect, server: FakeServer, ambient: bool) -> None:
    """What had come by then is on the error."""
    server.enqueue(Reply(chunks=["A", "B"] * 50, between=0.05))
    client = connect(retry=QUICK)
    had: list[str] = []
    began = time.monotonic()

    with llmkit.deadline(0.25) if ambient else nullcontext():
        stream = client.stream("Say hi", deadline=None if ambient else 0.25)
    with pytest.raises(DeadlineExceededError) as caught:
        had.extend(stream.text_iter())

    assert 0.25 <= time.monotonic() - began < 0.45
    assert had[:2] == ["A", "B"]
    assert caught.value.partial is not None
    assert "".join(had) == caught.value.partial.text
    assert 1 == server.hits
    server.wait_closed()


@pytest.mark.parametrize("event", [PING, EMPTY])
def test_pings_do_not_keep_a_stream_alive(connect: Connect, server: FakeServer, event: Any) -> None:
    """idle_timeout bounds the time without content."""
    server.enqueue(Reply(events=[piece("A"), piece("B"), *[event] * 50], between=0.02))
    began = time.monotonic()

    with pytest.raises(RequestTimeoutError) as caught:
        connect(idle_timeout=0.12, retry=QUICK).stream("Say hi").collect()

    assert 0.12 <= time.monotonic() - began < 0.4
    assert "idle_timeout" == caught.value.kind
    assert "AB" == caught.value.partial.text  # type: ignore[attr-defined]
    assert 1 == server.hits
    server.wait_closed()


def test_pings_between_pieces_do_no_harm(connect: Connect, server: FakeServer) -> None:
    """The silence is counted from the last content."""
    beat: list[Any] = [PING, EMPTY, PING]
    events: list[Any] = [piece("A"), *beat, piece("B"), *beat, piece("C"), *beat, piece("D"), FINISH]
    server.enqueue(Reply(events=events, between=0.02))

    assert "ABCD" == connect(idle_timeout=0.2, timeout=0.2).stream("Say hi").collect().text


def test_a_stream_that_idles_before_its_first_content_is_retried(connect: Connect, server: FakeServer) -> None:
    """Nothing was given out yet."""
    server.enqueue(Reply(events=[PING] * 50, between=0.02))

    answer = connect(idle_timeout=0.1, retry=QUICK).stream("Say hi").collect()

    assert ["idle_timeout", None] == [row.error for row in answer.attempts]


def test_idling_beyond_the_default_deadline_is_idling(connect: Connect, server: FakeServer) -> None:
    """That deadline was for the beginning, and is over."""
    server.enqueue(Reply(events=[piece("A"), *[PING] * 50], between=0.02))

    with pytest.raises(RequestTimeoutError) as caught:
        connect(deadline=0.06, idle_timeout=0.12).stream("Say hi").collect()

    assert "idle_timeout" == caught.value.kind


@pytest.mark.parametrize(
    ("call", "reply"),
    [
        pytest.param(complete, Reply(hang=True), id="head"),
        pytest.param(complete, Reply("Hi", stall_after=0), id="body"),
        pytest.param(stream, Reply(hang=True), id="stream-head"),
        pytest.param(stream, Reply("Hi", stall_after=0), id="stream-body"),
    ],
)
def test_silence_is_a_time_out(connect: Connect, server: FakeServer, call: Callable[..., Any], reply: Reply) -> None:
    """timeout= is the longest silence; it is retried."""
    server.enqueue(reply)

    answer = call(connect(retry=QUICK), timeout=0.08)

    assert ["read_timeout", None] == [row.error for row in answer.attempts]


def test_silence_inside_a_stream_is_a_time_out_with_what_had_come(connect: Connect, server: FakeServer) -> None:
    """And nothing is sent again."""
    server.enqueue(Reply(chunks=["A", "B", "C"], stall_after=3))

    with pytest.raises(RequestTimeoutError) as caught:
        connect(retry=QUICK, timeout=0.08).stream("Say hi").collect()

    assert "read_timeout" == caught.value.kind
    assert "AB" == caught.value.partial.text  # type: ignore[attr-defined]
    assert isinstance(caught.value, TimeoutError)
    assert 1 == server.hits


SMALL = b'{"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}'


@pytest.mark.parametrize(
    ("call", "reply"),
    [
        pytest.param(complete, Reply(raw=SMALL, drip=0.003), id="body"),
        pytest.param(stream, Reply(events=[PING, PING, piece("H"), PING, piece("i"), FINISH], between=0.04), id="stream"),
    ],
)
def test_a_slow_answer_is_no_silence(connect: Connect, server: FakeServer, call: Callable[..., Any], reply: Reply) -> None:
    """Each byte is a sign of life to timeout=."""
    server.enqueue(reply)

    assert "Hi" == call(connect(timeout=0.1)).text


@pytest.mark.parametrize("limit", ["timeout", "idle_timeout", "deadline"])
def test_the_time_that_the_consumer_takes_does_not_count(connect: Connect, talking: Callable[..., Any], limit: str) -> None:
    """Only waiting for the server does."""
    go_on = threading.Event()

    def talk(sock: socket.socket, _: bytes) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + sse(piece("A")))
        go_on.wait(5)
        sock.sendall(sse(piece("B")) + sse(FINISH))

    stream = connect(base_url=talking(talk).url, **{limit: 0.1}).stream("Say hi")
    first = next(stream)
    time.sleep(0.15)
    go_on.set()

    assert "A" == first.text
    assert "AB" == stream.collect().text

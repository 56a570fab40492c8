"""The sync transport against servers that say exactly what they are told, over real sockets."""

from __future__ import annotations

import gc
import gzip
import signal
import socket
import threading
import time
import traceback
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from urllib3.exceptions import HTTPError

from llmkit.secrets import Headers
from llmkit.transport import wire
from llmkit.transport.base import ERROR_BODY_LIMIT, HttpRequest, HttpResponse, Timeout, TransportError
from llmkit.transport.requests import RequestsTransport
from llmkit.transport.settings import TransportSettings

CANARY = "sk-canary-0123456789"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CLOSE_FRAMED = b"HTTP/1.1 200 OK\r\n\r\n"
GZIPPED = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"
QUICK = Timeout(connect=1.0, read=2.0, total=5.0)

Server = Any


@pytest.fixture
def transport() -> Iterator[RequestsTransport]:
    """A transport that looks at no environment."""
    transport = RequestsTransport(TransportSettings(trust_env=False))
    yield transport
    transport.close()


def request_to(server: Server, path: str = "/v1/chat", *, method: str = "POST", body: bytes = b'{"a":1}') -> HttpRequest:
    headers = Headers({"Authorization": f"Bearer {CANARY}", "Content-Type": "application/json"})
    return HttpRequest(method=method, url=f"{server.url}{path}", headers=headers, body=body)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def sized(data: bytes, head: bytes = b"HTTP/1.1 200 OK\r\n") -> bytes:
    return head + b"Content-Length: %d\r\n\r\n" % len(data) + data


def failure_of(action: Callable[[], object]) -> TransportError:
    """Return the error that *action* raises, once it is proven that nothing in it shows the key."""
    with pytest.raises(TransportError) as caught:
        action()
    assert_silent(caught.value)
    return caught.value


def assert_silent(error: BaseException) -> None:
    """No chained exception, no text and no local of a frame holds the canary."""
    assert error.__cause__ is None
    assert error.__context__ is None
    assert CANARY not in f"{error} {error!r} {error.args}"
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if "llmkit" in frame.f_code.co_filename and "tests" not in frame.f_code.co_filename:
            assert CANARY not in repr(frame.f_locals), frame.f_code


# What is sent


def test_a_request_goes_out_as_it_is(raw_server: Any, transport: RequestsTransport) -> None:
    """Method, path with query, headers and body are sent, with Host and Content-Length, and nothing else of the transport's own."""
    server = raw_server([[OK]])

    response = transport.send(request_to(server, "/v1/chat?beta=1"), timeout=QUICK)

    assert (200, b"ok") == (response.status, response.body)
    head, _, body = server.received[0].partition(b"\r\n\r\n")
    assert b'{"a":1}' == body
    assert [
        b"POST /v1/chat?beta=1 HTTP/1.1",
        b"Host: 127.0.0.1:%d" % server.port,
        b"Content-Length: 7",
        b"Authorization: Bearer " + CANARY.encode(),
        b"Content-Type: application/json",
        b"Accept-Encoding: gzip, deflate",
    ] == head.split(b"\r\n")


def test_a_large_body_arrives_whole(raw_server: Any, transport: RequestsTransport) -> None:
    """A body is sent in pieces when it is large, and not a byte is lost."""
    server = raw_server([[OK]])
    body = bytes(range(256)) * 4096

    transport.send(request_to(server, body=body), timeout=QUICK)

    assert body == server.received[0].partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\0b", "key-\u2603"])
def test_a_header_that_is_not_one_header_is_refused(raw_server: Any, transport: RequestsTransport, value: str) -> None:
    """A line break in a header would be a second header; the error does not quote it."""
    server = raw_server([[OK]])
    request = HttpRequest(method="GET", url=f"{server.url}/", headers=Headers({"X-Key": CANARY + value}))

    error = failure_of(lambda: transport.send(request, timeout=QUICK))

    assert ("config", True) == (error.kind, error.fatal)
    assert [] == server.received


@pytest.mark.parametrize("url", ["ftp://host/", "http://host", "/v1", "https:///v1", "http://[::1/v1"])
def test_a_url_that_leads_nowhere_is_a_config_error(transport: RequestsTransport, url: str) -> None:
    """No exception of requests comes out for a bad URL."""
    error = failure_of(lambda: transport.send(HttpRequest(method="GET", url=url), timeout=QUICK))

    assert ("config", True) == (error.kind, error.fatal)


def test_netrc_is_never_read(raw_server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """A password for the host in ~/.netrc neither replaces nor joins the key."""
    server = raw_server([[OK]])
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login user password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    transport = RequestsTransport()

    transport.send(HttpRequest(method="GET", url=f"{server.url}/"), timeout=QUICK)

    assert b"authorization" not in server.received[0].lower()
    transport.close()


def test_cookies_are_not_kept(raw_server: Any, transport: RequestsTransport) -> None:
    """What one reply sets, the next request does not send."""
    server = raw_server([[sized(b"ok", b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\n"), ..., OK]])

    transport.send(request_to(server), timeout=QUICK)
    transport.send(request_to(server), timeout=QUICK)

    assert b"cookie" not in server.received[1].lower()


def test_a_redirect_is_not_followed(raw_server: Any, transport: RequestsTransport) -> None:
    """A 307 is a reply like any other: following it would carry the key elsewhere."""
    other = raw_server([[OK]])
    server = raw_server([[sized(b"", b"HTTP/1.1 307 Go\r\nLocation: %s\r\n" % other.url.encode())]])

    response = transport.send(request_to(server), timeout=QUICK)

    assert 307 == response.status
    assert 0 == other.connections


# What comes back


def test_headers_have_lower_case_names_and_repeated_ones_are_joined(raw_server: Any, transport: RequestsTransport) -> None:
    """Header names compare without case (RFC 9110, 5.1), and values of one name make one list (5.3)."""
    server = raw_server([[sized(b"ok", b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a:2\r\nX-Folded: a\r\n  b\r\n")]])

    response = transport.send(request_to(server), timeout=QUICK)

    assert {"x-a": "1, 2", "x-folded": "a b", "content-length": "2"} == dict(response.headers)


def test_times_are_told(raw_server: Any, transport: RequestsTransport) -> None:
    """The first call says how long connecting took, the second that a kept connection served."""
    server = raw_server([[OK, ..., OK]])

    first = transport.send(request_to(server), timeout=QUICK)
    second = transport.send(request_to(server), timeout=QUICK)

    assert first.connect is not None
    assert first.first_byte is not None
    assert 0 < first.connect <= first.first_byte < 2
    assert second.connect is None
    assert 1 == server.connections


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (sized(b"hello"), b"hello"),
        (CHUNKED + chunk(b"hel") + chunk(b"lo") + b"0\r\n\r\n", b"hello"),
        (CHUNKED + b"5;x=y\r\nhello\r\n0\r\nTrailer: 1\r\n\r\n", b"hello"),
        (CLOSE_FRAMED + b"hello", b"hello"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + sized(b"hello"), b"hello"),
        (b"HTTP/1.0 200 OK\nContent-Length: 5\n\nhello", b"hello"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (sized(gzip.compress(b"hello"), GZIPPED), b"hello"),
        (sized(zlib.compress(b"hello"), b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\n"), b"hello"),
    ],
)
@pytest.mark.parametrize("is_dripped", [False, True])
def test_a_body_is_read_to_its_end(raw_server: Any, transport: RequestsTransport, reply: bytes, expected: bytes, is_dripped: bool) -> None:
    """Every framing and coding gives the same body, in one piece or byte by byte."""
    steps = [reply[n : n + 1] for n in range(len(reply))] if is_dripped else [reply]
    server, other = raw_server([steps]), raw_server([steps])

    whole = transport.send(request_to(server), timeout=QUICK)
    response = transport.send(request_to(other), timeout=QUICK, stream=True)

    assert response.stream is not None
    assert expected == whole.body
    assert expected == b"".join(response.stream)


def test_the_answer_to_head_has_no_body(raw_server: Any, transport: RequestsTransport) -> None:
    """HEAD tells a length and sends nothing (RFC 9110, 9.3.2); the connection serves on."""
    server = raw_server([[b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", ..., OK]])

    head = transport.send(request_to(server, method="HEAD", body=b""), timeout=QUICK)
    transport.send(request_to(server), timeout=QUICK)

    assert b"" == head.body
    assert 1 == server.connections


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (b"", "connection_lost"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "truncated"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", "truncated"),
        (CHUNKED + chunk(b"hello"), "truncated"),
        (CHUNKED + chunk(b"hello") + b"0\r\n", "truncated"),
        (sized(gzip.compress(b"hello" * 99)[:-5], GZIPPED), "truncated"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "protocol"),
        (CHUNKED + b"xyz\r\n", "protocol"),
        (sized(b"not gzip", GZIPPED), "protocol"),
        (sized(b"x", b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n"), "protocol"),
    ],
)
def test_a_broken_reply_is_an_error(raw_server: Any, transport: RequestsTransport, reply: bytes, kind: str) -> None:
    """No cut makes an empty or a short success, and nothing but an attempt was made."""
    server = raw_server([[reply]])

    error = failure_of(lambda: transport.send(request_to(server), timeout=QUICK))

    assert (kind, False, False) == (error.kind, error.reused, error.local)
    assert 1 == server.connections


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\n" + b"X-Flood: 1\r\n" * 9000,
        b"HTTP/1.1 103 Hints\r\n\r\n" * 9000,
    ],
)
def test_a_hostile_head_is_a_fatal_protocol_error(raw_server: Any, transport: RequestsTransport, reply: bytes) -> None:
    """Two lengths, endless headers and endless interim replies are refused for good."""
    server = raw_server([[reply, "hold"]])

    error = failure_of(lambda: transport.send(request_to(server), timeout=QUICK))

    assert ("protocol", True) == (error.kind, error.fatal)


def test_a_reset_is_a_lost_connection(raw_server: Any, transport: RequestsTransport) -> None:
    """A reset before any byte says that no answer began; on a new connection it is not ``reused``."""
    server = raw_server([["reset"]])

    error = failure_of(lambda: transport.send(request_to(server), timeout=QUICK))

    assert ("connection_lost", False, False) == (error.kind, error.reused, error.fatal)
    assert error.connect is not None
    assert error.first_byte is None


def test_too_large_a_body_is_refused(raw_server: Any, transport: RequestsTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    """An announced length is believed at once, any other body is counted as it comes, a bomb as it unfolds."""
    monkeypatch.setattr(wire, "BODY_LIMIT", 1000)
    server = raw_server(
        [
            [b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n", "hold"],
            [CLOSE_FRAMED + b"x" * 1001, "hold"],
            [sized(gzip.compress(b"\0" * 1_000_000), GZIPPED)],
            [sized(b"x" * 1000)],
        ]
    )

    errors = [failure_of(lambda: transport.send(request_to(server), timeout=QUICK)) for _ in range(3)]
    fitting = transport.send(request_to(server), timeout=QUICK)

    assert [("response_too_large", True)] * 3 == [(error.kind, error.fatal) for error in errors]
    assert 1000 == len(fitting.body)


# Replies that are not 2xx


@pytest.mark.parametrize("stream", [False, True])
def test_an_error_reply_is_a_reply(raw_server: Any, transport: RequestsTransport, stream: bool) -> None:
    """Its body is there also when a stream was asked for, and its connection serves on."""
    server = raw_server([[sized(b"no", b"HTTP/1.1 400 Bad\r\n"), ..., OK]])

    response = transport.send(request_to(server), timeout=QUICK, stream=stream)
    transport.send(request_to(server), timeout=QUICK)

    assert (400, b"no", None) == (response.status, response.body, response.stream)
    assert 1 == server.connections


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([b"HTTP/1.1 400 Bad\r\nContent-Length: 99\r\n\r\nbegun"], b"begun"),
        ([b"HTTP/1.1 400 Bad\r\nContent-Length: 99\r\n\r\nbegun", "hold"], b"begun"),
        ([b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\nxyz\r\n"], b"begun"),
        ([b"HTTP/1.1 400 Bad\r\nContent-Encoding: br\r\n\r\nbegun"], b""),
        ([b"HTTP/1.1 500 Bad\r\n\r\n" + b"x" * 100_000, "hold"], b"x" * ERROR_BODY_LIMIT),
        ([sized(gzip.compress(b"x" * 70_000), b"HTTP/1.1 500 Bad\r\nContent-Encoding: gzip\r\n")], None),
    ],
)
def test_an_error_reply_keeps_what_was_got_of_its_body(
    raw_server: Any, transport: RequestsTransport, monkeypatch: pytest.MonkeyPatch, steps: list[Any], expected: bytes | None
) -> None:
    """A 400 stays a 400 whether its body is cut, drips, breaks or never ends; and its connection is not used again."""
    monkeypatch.setattr(wire, "_ERROR_TIME", 0.1)
    server = raw_server([steps, [OK]])

    response = transport.send(request_to(server), timeout=QUICK)
    transport.send(request_to(server), timeout=QUICK)

    assert response.status in (400, 500)
    if expected is not None:
        assert expected == response.body
    assert len(response.body) <= ERROR_BODY_LIMIT
    assert 2 == server.connections


def test_an_early_answer_to_a_large_body_is_read(raw_server: Any, transport: RequestsTransport) -> None:
    """A server that refuses a body without reading it has answered; that it reads no more is no fault."""

    def refuse(peer: Any) -> None:
        peer.sock.recv(100)
        peer.sock.sendall(sized(b"large", b"HTTP/1.1 413 No\r\nConnection: close\r\n"))
        peer.sock.shutdown(socket.SHUT_WR)
        peer.hold()

    server = raw_server([refuse])

    response = transport.send(request_to(server, body=b"x" * 5_000_000), timeout=QUICK)

    assert (413, b"large") == (response.status, response.body)


# Times


@pytest.mark.parametrize(
    "steps",
    [
        ["hold"],
        [b"HTTP/1.1 200 OK\r\n", "hold"],
        [CHUNKED + chunk(b"a"), "hold"],
    ],
)
def test_silence_is_a_read_timeout(raw_server: Any, transport: RequestsTransport, steps: list[Any]) -> None:
    """No byte for ``Timeout.read`` seconds ends the wait, before, in and behind the head, and the connection is closed."""
    server = raw_server([steps])

    error = failure_of(lambda: transport.send(request_to(server), timeout=Timeout(read=0.05)))

    assert ("read_timeout", False) == (error.kind, error.fatal)
    assert server.closed_by_client.acquire(timeout=2)


def drip(*pieces: bytes) -> list[Any]:
    return [step for piece in pieces for step in (piece, 0.02)] * 50


@pytest.mark.parametrize(
    "steps",
    [
        ["hold"],
        [b"HTTP/1.1 200 OK\r\n", *drip(b"X: y\r\n")],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n", *drip(b"x")],
        [CLOSE_FRAMED, *drip(b"x")],
        [CHUNKED, *drip(chunk(b"x"))],
    ],
)
def test_the_total_time_holds_for_a_peer_that_drips(raw_server: Any, transport: RequestsTransport, steps: list[Any]) -> None:
    """A byte now and then does not lengthen ``Timeout.total``; what was cut is no success, and its connection is not kept."""
    server = raw_server([steps, [OK]])

    error = failure_of(lambda: transport.send(request_to(server), timeout=Timeout(read=2, total=0.08)))
    transport.send(request_to(server), timeout=QUICK)

    assert ("expired", False) == (error.kind, error.reused)
    assert 2 == server.connections


def test_a_time_that_is_over_already_sends_nothing(raw_server: Any, transport: RequestsTransport) -> None:
    """No time left is ``expired`` before anything is done."""
    server = raw_server([[OK]])

    error = failure_of(lambda: transport.send(request_to(server), timeout=Timeout(total=0.0)))

    assert "expired" == error.kind
    assert 0 == server.connections


def test_no_bounds_at_all_are_allowed(raw_server: Any, transport: RequestsTransport) -> None:
    """None stands for no bound, three times."""
    server = raw_server([[OK]])

    response = transport.send(request_to(server), timeout=Timeout(connect=None, read=None, total=None))

    assert b"ok" == response.body


def test_the_wait_for_a_connection_is_bounded(raw_server: Any) -> None:
    """When all connections are in use the call waits for its total time and no longer; a freed one serves the next."""
    server = raw_server([[CHUNKED, "hold"], [OK]])
    transport = RequestsTransport(TransportSettings(trust_env=False, max_connections=1))
    held = transport.send(request_to(server), timeout=QUICK, stream=True)
    assert held.stream is not None

    error = failure_of(lambda: transport.send(request_to(server), timeout=Timeout(total=0.05)))
    held.stream.close()
    response = transport.send(request_to(server), timeout=QUICK)

    assert ("expired", True) == (error.kind, error.local)
    assert b"ok" == response.body
    transport.close()


# Connections


def test_a_refused_connection(transport: RequestsTransport) -> None:
    """Nobody listens: ``connect``, worth another try."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    request = HttpRequest(method="GET", url=f"http://127.0.0.1:{port}/", headers=Headers({"X-Key": CANARY}))

    error = failure_of(lambda: transport.send(request, timeout=QUICK))

    assert ("connect", False, False) == (error.kind, error.fatal, error.local)


@pytest.mark.parametrize("is_reset", [False, True])
def test_a_kept_connection_that_dies_is_told_apart(raw_server: Any, transport: RequestsTransport, is_reset: bool) -> None:
    """The server takes the second request and closes: nothing was answered, on a connection that had served before."""
    server = raw_server([[OK, ..., *(["reset"] if is_reset else [])]])
    transport.send(request_to(server), timeout=QUICK)

    error = failure_of(lambda: transport.send(request_to(server), timeout=QUICK))

    assert ("connection_lost", True) == (error.kind, error.reused)


def test_a_kept_connection_that_answers_in_part_is_not_told_reused(raw_server: Any, transport: RequestsTransport) -> None:
    """Once a byte of the answer came, sending again is another's decision."""
    server = raw_server([[OK, ..., b"HTTP/1.1 2"]])
    transport.send(request_to(server), timeout=QUICK)

    error = failure_of(lambda: transport.send(request_to(server), timeout=QUICK))

    assert ("truncated", False) == (error.kind, error.reused)


def test_a_dropped_idle_connection_is_replaced_silently(raw_server: Any, transport: RequestsTransport) -> None:
    """A server that closed while nothing went on is not noticed by the caller."""
    server = raw_server([[OK]])
    transport.send(request_to(server), timeout=QUICK)
    deadline = time.monotonic() + 2
    while server.threads_alive() > 0 and time.monotonic() < deadline:
        time.sleep(0.001)

    response = transport.send(request_to(server), timeout=QUICK)

    assert b"ok" == response.body
    assert 2 == server.connections


@pytest.mark.parametrize(
    "reply",
    [
        sized(b"ok", b"HTTP/1.1 200 OK\r\nConnection: close\r\n"),
        sized(b"ok", b"HTTP/1.0 200 OK\r\n"),
        OK + b"excess",
        CHUNKED + chunk(b"ok") + b"0\r\n\r\nexcess",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_connection_in_doubt_is_not_kept(raw_server: Any, transport: RequestsTransport, reply: bytes, stream: bool) -> None:
    """Where the server says so, or more came than belongs to the answer, the next request goes over a new connection."""
    server = raw_server([[reply, "hold"]])

    response = transport.send(request_to(server), timeout=QUICK, stream=stream)
    body = b"".join(response.stream) if response.stream is not None else response.body

    assert b"ok" == body
    assert server.closed_by_client.acquire(timeout=2)


def test_threads_share_a_transport(raw_server: Any) -> None:
    """Many calls at once, more than there are connections: every answer is its own caller's."""

    def echo(peer: Any) -> None:
        while request := peer.read_request():
            peer.sock.sendall(sized(request.partition(b"\r\n\r\n")[2]))

    server = raw_server([echo])
    transport = RequestsTransport(TransportSettings(trust_env=False, max_connections=4))
    wrong: list[object] = []

    def work(name: int) -> None:
        for turn in range(20):
            body = b"%d-%d" % (name, turn)
            try:
                if body != (got := transport.send(request_to(server, body=body), timeout=QUICK).body):
                    wrong.append((body, got))
            except TransportError as error:
                wrong.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert [] == wrong
    assert server.connections <= 4
    transport.close()


def test_a_closed_transport_sends_nothing(raw_server: Any, transport: RequestsTransport) -> None:
    """After ``close``, which may come twice, every call is a ``config`` error and idle connections are gone."""
    server = raw_server([[OK, "hold"]])
    transport.send(request_to(server), timeout=QUICK)

    transport.close()
    transport.close()
    error = failure_of(lambda: transport.send(request_to(server), timeout=QUICK))

    assert ("config", True) == (error.kind, error.fatal)
    assert server.closed_by_client.acquire(timeout=2)


def test_closing_ends_the_wait_for_a_connection(raw_server: Any) -> None:
    """Who waits for a slot when the transport is closed waits no longer, however many they are."""
    server = raw_server([[CHUNKED, "hold"]])
    transport = RequestsTransport(TransportSettings(trust_env=False, max_connections=1))
    held = streamed(transport, server)
    kinds: list[str] = []
    waiting = threading.Barrier(3)

    def wait() -> None:
        waiting.wait(2)
        kinds.append(failure_of(lambda: transport.send(request_to(server), timeout=Timeout())).kind)

    threads = [threading.Thread(target=wait) for _ in range(2)]
    for thread in threads:
        thread.start()
    waiting.wait(2)
    time.sleep(0.02)
    transport.close()
    for thread in threads:
        thread.join(2)

    assert ["config", "config"] == kinds
    held.close()


def test_a_call_that_meets_a_closing_transport(raw_server: Any, transport: RequestsTransport) -> None:
    """Closed between finding its pool and asking it for a connection, a call fails like any later one."""
    server = raw_server([[OK]])
    transport.send(request_to(server), timeout=QUICK)
    transport._routes[server.url].pool.close()

    error = failure_of(lambda: transport.send(request_to(server), timeout=QUICK))

    assert ("config", True) == (error.kind, error.fatal)


def test_no_exception_of_the_library_comes_out(raw_server: Any, transport: RequestsTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that nobody thought of is an error of ours too, without its text."""
    server = raw_server([[OK]])
    transport.send(request_to(server), timeout=QUICK)

    def fail(*_: object, **__: object) -> None:
        raise HTTPError(CANARY)

    monkeypatch.setattr(transport._routes[server.url].pool, "urlopen", fail)

    assert "connect" == failure_of(lambda: transport.send(request_to(server), timeout=QUICK)).kind


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there is no such timer here")
@pytest.mark.parametrize("stream", [False, True])
def test_an_interrupted_call_leaves_nothing_behind(raw_server: Any, stream: bool) -> None:
    """Ctrl-C passes through; the connection, half read, is closed and its slot is free."""
    server = raw_server([[CHUNKED + chunk(b"a"), "hold"], [OK]])
    transport = RequestsTransport(TransportSettings(trust_env=False, max_connections=1))

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.03)
    try:
        with pytest.raises(KeyboardInterrupt):
            list(transport.send(request_to(server), timeout=QUICK, stream=stream).stream or ())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    response = transport.send(request_to(server), timeout=QUICK)

    assert b"ok" == response.body
    assert server.closed_by_client.acquire(timeout=2)
    transport.close()


def test_a_stream_outlives_its_transport(raw_server: Any, transport: RequestsTransport) -> None:
    """``close`` lets calls in flight end by themselves, and their connections with them."""
    server = raw_server([[CHUNKED + chunk(b"a"), 0.02, chunk(b"b") + b"0\r\n\r\n", "hold"]])
    response = transport.send(request_to(server), timeout=QUICK, stream=True)
    assert response.stream is not None

    transport.close()

    assert b"ab" == b"".join(response.stream)
    assert server.closed_by_client.acquire(timeout=2)


# Streams


def streamed(transport: RequestsTransport, server: Server, timeout: Timeout = QUICK) -> Any:
    response: HttpResponse = transport.send(request_to(server), timeout=timeout, stream=True)
    assert response.stream is not None
    assert b"" == response.body
    return response.stream


@pytest.mark.parametrize(
    ("head", "wrap", "end"),
    [
        (CHUNKED, chunk, b"0\r\n\r\n"),
        (CLOSE_FRAMED, bytes, b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n", bytes, b""),
    ],
)
def test_bytes_are_delivered_as_they_come(raw_server: Any, transport: RequestsTransport, head: bytes, wrap: Any, end: bytes) -> None:
    """The server sends each piece only after the one before was seen by the reader: whoever holds one back waits for ever."""
    seen = threading.Semaphore(0)

    def in_step(peer: Any) -> None:
        peer.read_request()
        for piece in (b"aa", b"bb", b"cc"):
            peer.sock.sendall(head * (piece == b"aa") + wrap(piece))
            assert seen.acquire(timeout=2)
        peer.sock.sendall(end)

    server = raw_server([in_step])

    pieces = []
    for piece in streamed(transport, server):
        pieces.append(piece)
        seen.release()

    assert [b"aa", b"bb", b"cc"] == pieces


def test_a_gzipped_stream_is_delivered_as_it_comes(raw_server: Any, transport: RequestsTransport) -> None:
    """Each flush of the server's compressor reaches the reader."""
    seen = threading.Semaphore(0)

    def in_step(peer: Any) -> None:
        packer = zlib.compressobj(wbits=31)
        peer.read_request()
        peer.sock.sendall(GZIPPED + b"\r\n")
        for piece in (b"aa", b"bb"):
            peer.sock.sendall(packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH))
            assert seen.acquire(timeout=2)
        peer.sock.sendall(packer.flush())

    server = raw_server([in_step])

    pieces = []
    for piece in streamed(transport, server):
        pieces.append(piece)
        seen.release()

    assert [b"aa", b"bb"] == pieces


@pytest.mark.parametrize(
    "steps",
    [
        [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"],
        [CHUNKED + chunk(b"ab")],
        [CHUNKED + chunk(b"ab"), 0.01, "reset"],
        [CLOSE_FRAMED + b"ab", 0.01, "reset"],
        [GZIPPED + b"\r\n" + gzip.compress(b"ab" * 99)[:-4]],
    ],
)
def test_a_cut_stream_is_never_a_success(raw_server: Any, transport: RequestsTransport, steps: list[Any]) -> None:
    """What came is delivered, then ``truncated`` is raised, and again when asked again."""
    server = raw_server([steps])
    stream = streamed(transport, server)

    got: list[bytes] = []
    error = failure_of(lambda: got.extend(stream))
    again = failure_of(lambda: next(iter(stream)))

    assert b"".join(got).startswith(b"ab")
    assert ("truncated", "truncated") == (error.kind, again.kind)


def test_a_silent_stream_times_out(raw_server: Any, transport: RequestsTransport) -> None:
    """``Timeout.read`` holds for a stream too, and the connection is closed."""
    server = raw_server([[CHUNKED + chunk(b"a"), "hold"]])
    stream = streamed(transport, server, Timeout(read=0.05))

    error = failure_of(lambda: list(stream))

    assert "read_timeout" == error.kind
    assert server.closed_by_client.acquire(timeout=2)


@pytest.mark.parametrize("head", [CHUNKED, CLOSE_FRAMED])
def test_the_total_time_holds_for_a_stream(raw_server: Any, transport: RequestsTransport, head: bytes) -> None:
    """A close-framed stream that we cut ourselves is not taken for one that ended."""
    server = raw_server([[head, *drip(chunk(b"x"))]])
    stream = streamed(transport, server, Timeout(read=2, total=0.08))

    error = failure_of(lambda: list(stream))

    assert "expired" == error.kind


def test_the_time_of_a_stream_can_be_moved(raw_server: Any, transport: RequestsTransport) -> None:
    """``expire_in`` replaces the total time: None lifts it, a number sets it anew, from now."""
    server = raw_server([[CHUNKED + chunk(b"a"), 0.1, chunk(b"b"), "hold"]])
    stream = streamed(transport, server, Timeout(read=2, total=0.05))

    stream.expire_in(None)
    got = [next(stream), next(stream)]
    stream.expire_in(0.05)
    error = failure_of(lambda: next(stream))

    assert [b"a", b"b"] == got
    assert "expired" == error.kind


def test_a_finished_stream_gives_its_connection_back(raw_server: Any, transport: RequestsTransport) -> None:
    """Read to the end, a stream's connection serves the next call."""
    server = raw_server([[CHUNKED + chunk(b"a") + b"0\r\n\r\n", ..., OK]])

    assert [b"a"] == list(streamed(transport, server))
    transport.send(request_to(server), timeout=QUICK)

    assert 1 == server.connections


def test_draining_saves_the_connection(raw_server: Any, transport: RequestsTransport) -> None:
    """After the last event only the last chunk is to come; reading it lets the connection serve again."""
    server = raw_server([[CHUNKED + chunk(b"[DONE]"), 0.01, b"0\r\n\r\n", ..., OK]])
    stream = streamed(transport, server)
    next(stream)

    stream.drain()
    transport.send(request_to(server), timeout=QUICK)

    assert 1 == server.connections


@pytest.mark.parametrize("steps", [["hold"], [chunk(b"x" * 40_000) * 3, "hold"], ["reset"], [b"xyz\r\n", "hold"]])
def test_draining_gives_up_soon(raw_server: Any, transport: RequestsTransport, steps: list[Any]) -> None:
    """A stream that does not end within a tenth of a second or 64 KiB is closed, without an error."""
    server = raw_server([[CHUNKED + chunk(b"a"), 0.01, *steps], [OK]])
    stream = streamed(transport, server)
    next(stream)

    stream.drain()
    transport.send(request_to(server), timeout=QUICK)

    assert 2 == server.connections


@pytest.mark.parametrize("how", ["close", "collect"])
def test_an_abandoned_stream_closes_its_connection(raw_server: Any, how: str) -> None:
    """Closed or forgotten, a stream that was not read to its end frees its slot and its connection is not used again."""
    server = raw_server([[CHUNKED + chunk(b"a"), "hold"], [OK]])
    transport = RequestsTransport(TransportSettings(trust_env=False, max_connections=1))
    stream = streamed(transport, server)
    next(stream)

    if how == "close":
        stream.close()
        stream.close()
    else:
        del stream
        gc.collect()
    transport.send(request_to(server), timeout=QUICK)

    assert server.closed_by_client.acquire(timeout=2)
    assert 2 == server.connections
    transport.close()


def test_a_closed_stream_does_not_look_finished(raw_server: Any, transport: RequestsTransport) -> None:
    """Reading on after ``close`` is an error, not an end."""
    server = raw_server([[CHUNKED + chunk(b"a"), "hold"]])
    stream = streamed(transport, server)
    next(stream)

    stream.close()

    assert "config" == failure_of(lambda: next(stream)).kind


def test_closing_frees_a_reader_in_another_thread(raw_server: Any, transport: RequestsTransport) -> None:
    """``close`` from elsewhere ends a read that waits for bytes."""
    server = raw_server([[CLOSE_FRAMED, "hold"]])
    stream = streamed(transport, server)
    errors: list[TransportError] = []

    def read() -> None:
        errors.append(failure_of(lambda: next(stream)))

    reader = threading.Thread(target=read)
    reader.start()
    time.sleep(0.02)
    stream.close()
    reader.join(2)

    assert not reader.is_alive()
    assert ["config"] == [error.kind for error in errors]

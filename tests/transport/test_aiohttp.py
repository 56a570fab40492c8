"""The async transport against servers that say exactly what they are told, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import random
import socket
import sys
import time
import traceback
import zlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from llmkit.secrets import Headers
from llmkit.transport.base import ERROR_BODY_LIMIT, HttpRequest, HttpResponse, Timeout, TransportError
from llmkit.transport.settings import TransportSettings
from llmkit_async import _reply as module
from llmkit_async.transport import AiohttpTransport

CANARY = "sk-canary-0123456789"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CLOSE_FRAMED = b"HTTP/1.1 200 OK\r\n\r\n"
GZIPPED = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"
QUICK = Timeout(connect=1.0, read=2.0, total=5.0)

Server = Any
T = TypeVar("T")


def run(work: Callable[[AiohttpTransport], Awaitable[T]], **settings: Any) -> T:
    """Return what *work* makes of a transport that looks at no environment."""

    async def main() -> T:
        transport = AiohttpTransport(TransportSettings(trust_env=False, **settings))
        try:
            return await work(transport)
        finally:
            await transport.close()

    return asyncio.run(main())


def send_all(*requests: HttpRequest, timeout: Timeout = QUICK, **settings: Any) -> list[HttpResponse]:
    async def work(transport: AiohttpTransport) -> list[HttpResponse]:
        return [await transport.send(request, timeout=timeout) for request in requests]

    return run(work, **settings)


def request_to(server: Server, path: str = "/v1/chat", *, method: str = "POST", body: bytes = b'{"a":1}') -> HttpRequest:
    headers = Headers({"Authorization": f"Bearer {CANARY}", "Content-Type": "application/json"})
    return HttpRequest(method=method, url=f"{server.url}{path}", headers=headers, body=body)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def sized(data: bytes, head: bytes = b"HTTP/1.1 200 OK\r\n") -> bytes:
    return head + b"Content-Length: %d\r\n\r\n" % len(data) + data


async def failure_of(action: Awaitable[object]) -> TransportError:
    """Return the error that *action* raises, once it is proven that nothing in it shows the key."""
    with pytest.raises(TransportError) as caught:
        await action
    assert_silent(caught.value)
    return caught.value


def failure(*requests: HttpRequest, timeout: Timeout = QUICK, **settings: Any) -> TransportError:
    """Return the error of the last of *requests*; the others succeed."""

    async def work(transport: AiohttpTransport) -> TransportError:
        for request in requests[:-1]:
            await transport.send(request, timeout=timeout)
        return await failure_of(transport.send(requests[-1], timeout=timeout))

    return run(work, **settings)


def assert_silent(error: BaseException) -> None:
    """No chained exception, no text and no local of a frame holds the canary, and no frame of aiohttp is left."""
    assert error.__cause__ is None
    assert error.__context__ is None
    assert CANARY not in f"{error} {error!r} {error.args}"
    for frame, _ in traceback.walk_tb(error.__traceback__):
        assert "aiohttp" not in frame.f_code.co_filename.replace("test_aiohttp", "")
        if "tests" not in frame.f_code.co_filename:
            assert CANARY not in repr(frame.f_locals), frame.f_code


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until *is_so*, two seconds at most."""
    deadline = time.monotonic() + 2
    while not is_so():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.002)


# What is sent


def test_a_request_goes_out_as_it_is(raw_server: Any) -> None:
    """Method, path with query, headers and body are sent, with Host, Content-Length and Accept-Encoding, and nothing else."""
    server = raw_server([[OK]])

    (response,) = send_all(request_to(server, "/v1/chat?beta=1"))

    assert (200, b"ok") == (response.status, response.body)
    head, _, body = server.received[0].partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    assert b'{"a":1}' == body
    assert b"POST /v1/chat?beta=1 HTTP/1.1" == first
    assert {
        b"Host: 127.0.0.1:%d" % server.port,
        b"Content-Length: 7",
        b"Authorization: Bearer " + CANARY.encode(),
        b"Content-Type: application/json",
        b"Accept-Encoding: gzip, deflate",
    } == set(lines)


def test_a_given_header_is_not_doubled(raw_server: Any) -> None:
    """A request's own Accept-Encoding, Accept and User-Agent stand, whatever their case."""
    server = raw_server([[OK]])
    names = Headers({"accept-encoding": "identity", "accept": "a/b", "USER-agent": "me", "content-type": "c/d"})

    send_all(HttpRequest(method="POST", url=f"{server.url}/", headers=names, body=b"x"))

    lines = server.received[0].partition(b"\r\n\r\n")[0].lower().split(b"\r\n")
    assert [1, 1, 1, 1] == [sum(line.startswith(name.lower().encode() + b":") for line in lines) for name in names]
    assert b"accept-encoding: identity" in lines


@pytest.mark.parametrize("path", ["/v1/models/a%3Ab%2Fc:x?q=%20%2B+", "/a/../b//c", "/%e4%b8%ad"])
def test_a_url_goes_out_as_it_is(raw_server: Any, path: str) -> None:
    """Nothing is decoded, encoded or made shorter: a signature was made of just this path."""
    server = raw_server([[OK]])

    send_all(request_to(server, path))

    assert path.encode() == server.received[0].split(b" ")[1]


@pytest.mark.parametrize("size", [0, 1024 * 1024, 1024 * 1024 + 1, 5_000_000])
@pytest.mark.filterwarnings("error")
def test_a_body_of_any_size_arrives_whole(raw_server: Any, size: int) -> None:
    """A large body is sent in portions, without a warning of aiohttp's, and its length is told."""
    server = raw_server([[OK]])
    body = random.Random(size).randbytes(size)

    send_all(request_to(server, body=body))

    head, _, received = server.received[0].partition(b"\r\n\r\n")
    assert body == received
    assert b"content-length: %d" % size in head.lower().split(b"\r\n")


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\0b", "key-\u2603"])
def test_a_header_that_is_not_one_header_is_refused(raw_server: Any, value: str) -> None:
    """A line break in a header would be a second header; the error does not quote it."""
    server = raw_server([[OK]])

    error = failure(HttpRequest(method="GET", url=f"{server.url}/", headers=Headers({"X-Key": CANARY + value})))

    assert ("config", True) == (error.kind, error.fatal)
    assert [] == server.received


@pytest.mark.parametrize("url", ["ftp://host/", "http://host", "/v1", "https:///v1", "http://[::1/v1", "http://h/a b", "http://h/\r\nX:1"])
def test_a_url_that_leads_nowhere_is_a_config_error(url: str) -> None:
    """No exception of aiohttp or yarl comes out for a bad URL."""
    error = failure(HttpRequest(method="GET", url=url))

    assert ("config", True) == (error.kind, error.fatal)


def test_netrc_is_never_read(raw_server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """A password for the host in ~/.netrc neither replaces nor joins the key."""
    server = raw_server([[OK]])
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login user password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))

    async def work() -> None:
        transport = AiohttpTransport()
        await transport.send(HttpRequest(method="GET", url=f"{server.url}/"), timeout=QUICK)
        await transport.close()

    asyncio.run(work())

    assert b"authorization" not in server.received[0].lower()


def test_cookies_are_not_kept(raw_server: Any) -> None:
    """What one reply sets, the next request does not send."""
    server = raw_server([[sized(b"ok", b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\n"), ..., OK]])

    # aiohttp's own jar would pass over a server without a name.
    url = f"http://localhost:{server.port}/"

    send_all(HttpRequest(method="GET", url=url), HttpRequest(method="GET", url=url))

    assert b"cookie" not in server.received[1].lower()


def test_a_redirect_is_not_followed(raw_server: Any) -> None:
    """A 307 is a reply like any other: following it would carry the key elsewhere."""
    other = raw_server([[OK]])
    server = raw_server([[sized(b"", b"HTTP/1.1 307 Go\r\nLocation: %s\r\n" % other.url.encode())]])

    (response,) = send_all(request_to(server))

    assert 307 == response.status
    assert 0 == other.connections


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
def test_nothing_is_sent_twice(raw_server: Any, method: str) -> None:
    """aiohttp sends idempotent requests again when a connection dies; a transport makes one attempt."""
    server = raw_server([[OK, ...], [OK]])

    error = failure(request_to(server), request_to(server, method=method))

    assert ("connection_lost", True) == (error.kind, error.reused)
    assert 2 == len(server.received)


# What comes back


def test_headers_have_lower_case_names_and_repeated_ones_are_joined(raw_server: Any) -> None:
    """Header names compare without case (RFC 9110, 5.1), and values of one name make one list (5.3)."""
    server = raw_server([[sized(b"ok", b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a:2\r\nX-Odd: \xe9\r\n")]])

    (response,) = send_all(request_to(server))

    assert {"x-a": "1, 2", "x-odd": "\xe9", "content-length": "2"} == dict(response.headers)


def test_times_are_told(raw_server: Any) -> None:
    """The first call says how long connecting took, the second that a kept connection served."""
    server = raw_server([[OK, ..., OK]])

    first, second = send_all(request_to(server), request_to(server))

    assert first.connect is not None
    assert first.first_byte is not None
    assert second.first_byte is not None
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
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (sized(gzip.compress(b"hello"), GZIPPED), b"hello"),
        (sized(zlib.compress(b"hello"), b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\n"), b"hello"),
    ],
)
@pytest.mark.parametrize("is_dripped", [False, True])
def test_a_body_is_read_to_its_end(raw_server: Any, reply: bytes, expected: bytes, is_dripped: bool) -> None:
    """Every framing and coding gives the same body, in one piece or byte by byte."""
    steps = [reply[n : n + 1] for n in range(len(reply))] if is_dripped else [reply]
    server = raw_server([steps])

    async def streamed(transport: AiohttpTransport) -> bytes:
        response = await transport.send(request_to(server), timeout=QUICK, stream=True)
        assert response.astream is not None
        return b"".join([piece async for piece in response.astream])

    assert expected == send_all(request_to(server))[0].body
    assert expected == run(streamed)


def test_the_answer_to_head_has_no_body(raw_server: Any) -> None:
    """HEAD tells a length and sends nothing (RFC 9110, 9.3.2); the connection serves on."""
    server = raw_server([[b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", ..., OK]])

    head, _ = send_all(request_to(server, method="HEAD", body=b""), request_to(server))

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
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx", "protocol"),
        (CHUNKED + b"xyz\r\n", "protocol"),
        (sized(b"not gzip", GZIPPED), "protocol"),
        (sized(b"x", b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n"), "protocol"),
    ],
)
def test_a_broken_reply_is_an_error(raw_server: Any, reply: bytes, kind: str) -> None:
    """No cut makes an empty or a short success, and nothing but an attempt was made."""
    server = raw_server([[reply]])

    error = failure(request_to(server))

    assert (kind, False, False, False) == (error.kind, error.reused, error.local, error.fatal)
    assert 1 == server.connections


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\n" + b"X-Flood: 1\r\n" * 9000,
        b"HTTP/1.1 200 OK\r\nX-Flood: " + b"1" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"1" * 2000) for n in range(40)) + b"\r\n",
        b"HTTP/1.1 103 Hints\r\n\r\n" * 60_000,
    ],
)
def test_a_hostile_head_is_a_fatal_protocol_error(raw_server: Any, reply: bytes) -> None:
    """Two lengths, endless headers and endless interim replies are refused for good."""
    server = raw_server([[reply, "hold"]])

    error = failure(request_to(server))

    assert ("protocol", True) == (error.kind, error.fatal)


@pytest.mark.parametrize("steps", [["reset"], [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", 0.01, "reset"]])
def test_a_reset_is_told_by_how_far_the_answer_came(raw_server: Any, steps: list[Any]) -> None:
    """Before any byte nothing was answered, after it the answer is cut; on a new connection neither is ``reused``."""
    server = raw_server([steps])

    error = failure(request_to(server))

    assert ("connection_lost" if len(steps) == 1 else "truncated", False, False) == (error.kind, error.reused, error.fatal)
    assert error.connect is not None
    assert (error.first_byte is None) == (len(steps) == 1)


def test_a_reset_does_not_end_a_body_without_a_length(raw_server: Any) -> None:
    """Such a body ends with the connection, but only when the server closes it."""
    server = raw_server([[CLOSE_FRAMED + b"ab", 0.01, "reset"]])

    assert "truncated" == failure(request_to(server)).kind


def test_too_large_a_body_is_refused(raw_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An announced length is believed at once, any other body is counted as it comes, a bomb as it unfolds."""
    monkeypatch.setattr(module, "BODY_LIMIT", 1000)
    server = raw_server(
        [
            [b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n", "hold"],
            [CLOSE_FRAMED + b"x" * 1001, "hold"],
            # A server that closes without a word would be asked once more over the connection that it has just closed.
            [sized(gzip.compress(b"\0" * 1_000_000), GZIPPED + b"Connection: close\r\n")],
            [sized(b"x" * 1000)],
        ]
    )

    async def work(transport: AiohttpTransport) -> tuple[list[TransportError], HttpResponse]:
        errors = [await failure_of(transport.send(request_to(server), timeout=QUICK)) for _ in range(3)]
        return errors, await transport.send(request_to(server), timeout=QUICK)

    errors, fitting = run(work)

    assert [("response_too_large", True)] * 3 == [(error.kind, error.fatal) for error in errors]
    assert 1000 == len(fitting.body)


# Replies that are not 2xx


@pytest.mark.parametrize("stream", [False, True])
def test_an_error_reply_is_a_reply(raw_server: Any, stream: bool) -> None:
    """Its body is there also when a stream was asked for, and its connection serves on."""
    server = raw_server([[sized(b"no", b"HTTP/1.1 400 Bad\r\n"), ..., OK]])

    async def work(transport: AiohttpTransport) -> HttpResponse:
        response = await transport.send(request_to(server), timeout=QUICK, stream=stream)
        await transport.send(request_to(server), timeout=QUICK)
        return response

    response = run(work)

    assert (400, b"no", None) == (response.status, response.body, response.astream)
    assert 1 == server.connections


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([b"HTTP/1.1 400 Bad\r\nContent-Length: 99\r\n\r\nbegun"], b"begun"),
        ([b"HTTP/1.1 400 Bad\r\nContent-Length: 99\r\n\r\nbegun", "hold"], b"begun"),
        ([b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n", 0.02, b"xyz\r\n"], b"begun"),
        ([b"HTTP/1.1 400 Bad\r\nContent-Encoding: br\r\n\r\nbegun"], b""),
        ([b"HTTP/1.1 500 Bad\r\n\r\n" + b"x" * 100_000, "hold"], b"x" * ERROR_BODY_LIMIT),
        ([sized(gzip.compress(b"x" * 70_000), b"HTTP/1.1 500 Bad\r\nContent-Encoding: gzip\r\n")], None),
    ],
)
def test_an_error_reply_keeps_what_was_got_of_its_body(
    raw_server: Any, monkeypatch: pytest.MonkeyPatch, steps: list[Any], expected: bytes | None
) -> None:
    """A 400 stays a 400 whether its body is cut, drips, breaks or never ends; and its connection is not used again."""
    monkeypatch.setattr(module, "ERROR_BODY_TIME", 0.1)
    server = raw_server([steps, [OK]])

    async def work(transport: AiohttpTransport) -> HttpResponse:
        response = await transport.send(request_to(server), timeout=QUICK)
        await asyncio.sleep(0.02)
        await transport.send(request_to(server), timeout=QUICK)
        return response

    response = run(work)

    assert response.status in (400, 500)
    if expected is not None:
        assert expected == response.body
    assert len(response.body) <= ERROR_BODY_LIMIT
    assert 2 == server.connections


def test_an_early_answer_to_a_large_body_is_read(raw_server: Any) -> None:
    """A server that refuses a body without reading it has answered; that it reads no more is no fault."""

    def refuse(peer: Any) -> None:
        peer.sock.recv(100)
        peer.sock.sendall(sized(b"large", b"HTTP/1.1 413 No\r\nConnection: close\r\n"))
        peer.sock.shutdown(socket.SHUT_WR)
        peer.hold()

    server = raw_server([refuse])

    (response,) = send_all(request_to(server, body=b"x" * 5_000_000))

    assert (413, b"large") == (response.status, response.body)


# Times


@pytest.mark.parametrize("steps", [["hold"], [b"HTTP/1.1 200 OK\r\n", "hold"], [CHUNKED + chunk(b"a"), "hold"]])
def test_silence_is_a_read_timeout(raw_server: Any, steps: list[Any]) -> None:
    """No byte for ``Timeout.read`` seconds ends the wait, before, in and behind the head, and the connection is closed."""
    server = raw_server([steps])

    error = failure(request_to(server), timeout=Timeout(read=0.05))

    assert ("read_timeout", False) == (error.kind, error.fatal)
    assert server.closed_by_client.acquire(timeout=2)


def test_a_slow_reply_is_not_silent(raw_server: Any) -> None:
    """Interim replies and single bytes are signs of life, however long the whole takes."""
    drips: list[Any] = [step for n in range(len(OK)) for step in (OK[n : n + 1], 0.002)]
    server = raw_server([[*[b"HTTP/1.1 102 Wait\r\n\r\n", 0.03] * 4, *drips]])

    (response,) = send_all(request_to(server), timeout=Timeout(read=0.08))

    assert b"ok" == response.body


def test_a_slow_upload_is_not_silence(raw_server: Any) -> None:
    """As long as the request is going out, the server is not expected to answer."""

    def read_slowly(peer: Any) -> None:
        turns, last = 0, b""
        while last != b"END":
            peer.server.stopped.wait(0.01 if turns < 30 else 0)
            last = (last + peer.sock.recv(200_000))[-3:]
            turns += 1
        peer.sock.sendall(OK)

    server = raw_server([read_slowly])

    (response,) = send_all(request_to(server, body=b"x" * 12_000_000 + b"END"), timeout=Timeout(read=0.1, total=5))

    assert b"ok" == response.body


def test_a_server_that_reads_nothing_is_silent(raw_server: Any) -> None:
    """An upload that does not move ends like any other silence."""
    server = raw_server([lambda peer: peer.server.stopped.wait(2)])

    error = failure(request_to(server, body=b"x" * 12_000_000), timeout=Timeout(read=0.05, total=2))

    assert "read_timeout" == error.kind


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
def test_the_total_time_holds_for_a_peer_that_drips(raw_server: Any, steps: list[Any]) -> None:
    """A byte now and then does not lengthen ``Timeout.total``; what was cut is no success, and its connection is not kept."""
    server = raw_server([steps, [OK]])

    async def work(transport: AiohttpTransport) -> TransportError:
        error = await failure_of(transport.send(request_to(server), timeout=Timeout(read=2, total=0.08)))
        await transport.send(request_to(server), timeout=QUICK)
        return error

    error = run(work)

    assert ("expired", False) == (error.kind, error.reused)
    assert 2 == server.connections


def test_a_time_that_is_over_already_sends_nothing(raw_server: Any) -> None:
    """No time left is ``expired`` before anything is done."""
    server = raw_server([[OK]])

    error = failure(request_to(server), timeout=Timeout(total=0.0))

    assert "expired" == error.kind
    assert 0 == server.connections


def test_no_bounds_at_all_are_allowed(raw_server: Any) -> None:
    """None stands for no bound, three times."""
    server = raw_server([[OK]])

    (response,) = send_all(request_to(server), timeout=Timeout(connect=None, read=None, total=None))

    assert b"ok" == response.body


def test_the_wait_for_a_connection_is_bounded(raw_server: Any) -> None:
    """When all connections are in use the call waits for its total time and no longer; a freed one serves the next."""
    server = raw_server([[CHUNKED, "hold"], [OK]])

    async def work(transport: AiohttpTransport) -> tuple[TransportError, HttpResponse]:
        held = await transport.send(request_to(server), timeout=QUICK, stream=True)
        assert held.astream is not None
        error = await failure_of(transport.send(request_to(server), timeout=Timeout(connect=0.01, total=0.05)))
        await held.astream.close()
        return error, await transport.send(request_to(server), timeout=QUICK)

    error, response = run(work, max_connections=1)

    assert ("expired", True) == (error.kind, error.local)
    assert b"ok" == response.body


@pytest.mark.parametrize(("timeout", "kind"), [(Timeout(connect=0.05), "connect_timeout"), (Timeout(total=0.05), "expired")])
def test_connecting_is_bounded(raw_server: Any, timeout: Timeout, kind: str) -> None:
    """A peer that takes the connection and says nothing in the TLS handshake does not hold us."""
    server = raw_server([lambda peer: peer.server.stopped.wait(2)])

    error = failure(HttpRequest(method="GET", url=f"https://127.0.0.1:{server.port}/"), timeout=timeout)

    assert (kind, False) == (error.kind, error.fatal)


# Connections


def test_a_refused_connection() -> None:
    """Nobody listens: ``connect``, worth another try."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    error = failure(HttpRequest(method="GET", url=f"http://127.0.0.1:{port}/", headers=Headers({"X-Key": CANARY})))

    assert ("connect", False, False) == (error.kind, error.fatal, error.local)


def test_an_unknown_name_is_a_dns_error() -> None:
    """The top-level domain ``invalid`` never resolves (RFC 6761, 6.4)."""
    error = failure(HttpRequest(method="GET", url="http://host.invalid/", headers=Headers({"X-Key": CANARY})))

    assert "dns" == error.kind


def test_no_descriptor_left_is_our_own_fault(raw_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """EMFILE says nothing about the server."""
    server = raw_server([[OK]])

    def refuse(*_: object, **__: object) -> socket.socket:
        raise OSError(24, "Too many open files")

    async def work(transport: AiohttpTransport) -> TransportError:
        monkeypatch.setattr(socket, "socket", refuse)
        return await failure_of(transport.send(request_to(server), timeout=QUICK))

    error = run(work)

    assert ("connect", True) == (error.kind, error.local)


@pytest.mark.parametrize("is_reset", [False, True])
def test_a_kept_connection_that_dies_is_told_apart(raw_server: Any, is_reset: bool) -> None:
    """The server takes the second request and closes: nothing was answered, on a connection that had served before."""
    server = raw_server([[OK, ..., *(["reset"] if is_reset else [])]])

    error = failure(request_to(server), request_to(server))

    assert ("connection_lost", True) == (error.kind, error.reused)


@pytest.mark.parametrize("is_reset", [False, True])
def test_a_kept_connection_that_answers_in_part_is_not_told_reused(raw_server: Any, is_reset: bool) -> None:
    """Once a byte of the answer came, sending again is another's decision."""
    server = raw_server([[OK, ..., b"HTTP/1.1 2", *([0.01, "reset"] if is_reset else [])]])

    error = failure(request_to(server), request_to(server))

    assert ("truncated", False) == (error.kind, error.reused)


def test_a_dropped_idle_connection_is_replaced_silently(raw_server: Any) -> None:
    """A server that closed while nothing went on is not noticed by the caller."""
    server = raw_server([[OK]])

    async def work(transport: AiohttpTransport) -> HttpResponse:
        await transport.send(request_to(server), timeout=QUICK)
        await asyncio.sleep(0.03)
        return await transport.send(request_to(server), timeout=QUICK)

    assert b"ok" == run(work).body
    assert 2 == server.connections


@pytest.mark.parametrize(
    "steps",
    [
        [sized(b"ok", b"HTTP/1.1 200 OK\r\nConnection: close\r\n")],
        [sized(b"ok", b"HTTP/1.0 200 OK\r\n")],
        [OK, 0.01, sized(b"late", b"HTTP/1.1 408 Request Timeout\r\n")],
        [OK, 0.01, b"excess"],
    ],
)
def test_a_connection_in_doubt_is_not_kept(raw_server: Any, steps: list[Any]) -> None:
    """Where the server says so, or says more than it was asked, the next request goes over a new connection and gets its own answer."""
    server = raw_server([[*steps, "hold"], [sized(b"own")]])

    async def work(transport: AiohttpTransport) -> tuple[bytes, bytes]:
        first = await transport.send(request_to(server), timeout=QUICK)
        await asyncio.sleep(0.05)
        return first.body, (await transport.send(request_to(server), timeout=QUICK)).body

    assert (b"ok", b"own") == run(work)
    assert server.closed_by_client.acquire(timeout=2)


def test_more_calls_than_connections_wait_in_line(raw_server: Any) -> None:
    """200 calls at once over 16 connections: every answer is its own caller's."""

    def echo(peer: Any) -> None:
        while request := peer.read_request():
            peer.sock.sendall(sized(request.partition(b"\r\n\r\n")[2]))

    server = raw_server([echo])

    async def work(transport: AiohttpTransport) -> list[HttpResponse]:
        return await asyncio.gather(*(transport.send(request_to(server, body=b"%d" % n), timeout=Timeout(total=20)) for n in range(200)))

    assert [b"%d" % n for n in range(200)] == [response.body for response in run(work, max_connections=16)]
    assert server.connections <= 16


# Cancellation


async def cancelled(task: asyncio.Task[Any]) -> asyncio.CancelledError:
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    return caught.value


@pytest.mark.parametrize("steps", [["hold"], [b"HTTP/1.1 200 OK\r\n", "hold"], [CHUNKED + chunk(b"a"), "hold"]])
def test_a_cancelled_request_ends_its_connection(raw_server: Any, steps: list[Any]) -> None:
    """Its late reply would answer the next call; and the error shows no key in any frame that is not the test's."""
    server = raw_server([steps, [OK]])

    async def work(transport: AiohttpTransport) -> asyncio.CancelledError:
        task = asyncio.ensure_future(transport.send(request_to(server), timeout=QUICK))
        await until(lambda: bool(server.received))
        error = await cancelled(task)
        await transport.send(request_to(server), timeout=QUICK)
        return error

    error = run(work)

    assert server.closed_by_client.acquire(timeout=2)
    assert 2 == server.connections
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if "tests" not in frame.f_code.co_filename:
            assert CANARY not in repr(frame.f_locals)


@pytest.mark.parametrize(
    "is_sent",
    [
        True,
        pytest.param(False, marks=pytest.mark.skipif(sys.version_info < (3, 11), reason="async_timeout cannot tell the two apart")),
    ],
)
def test_a_cancellation_at_the_moment_of_expiry_stays_one(raw_server: Any, is_sent: bool) -> None:
    """Who cancels a call wants it cancelled, whatever else happens to it then, in connecting and in waiting for the answer."""
    server = raw_server([["hold"]])

    async def once(transport: AiohttpTransport, count: int) -> object:
        loop = asyncio.get_running_loop()
        end = loop.time() + 0.05
        task = asyncio.ensure_future(transport.send(request_to(server), timeout=Timeout(total=0.05)))
        if is_sent:
            await until(lambda: len(server.received) == count)
        else:
            await asyncio.sleep(0)
        # The loop runs timers that are due in one go: this one comes right behind the transport's.
        loop.call_at(end + 0.001, task.cancel)
        time.sleep(max(0.0, end + 0.003 - loop.time()))
        (outcome,) = await asyncio.gather(task, return_exceptions=True)
        return type(outcome)

    async def work(transport: AiohttpTransport) -> list[object]:
        return [await once(transport, n + 1) for n in range(5)]

    assert [asyncio.CancelledError] * 5 == run(work)


def test_cancelling_at_any_moment_leaks_nothing(raw_server: Any) -> None:
    """After 200 calls cancelled anywhere, every connection serves or is closed, and all of the room is free."""

    def slow(peer: Any) -> None:
        with contextlib.suppress(OSError):
            while peer.read_request():
                for piece in (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", b"ab", b"cd"):
                    peer.server.stopped.wait(0.001)
                    peer.sock.sendall(piece)
        peer.server.closed_by_client.release()

    server = raw_server([slow])
    chance = random.Random(7)

    async def work(transport: AiohttpTransport) -> None:
        async def once() -> None:
            response = await transport.send(request_to(server), timeout=QUICK, stream=chance.random() < 0.5)
            if response.astream is not None:
                async for _ in response.astream:
                    pass

        tasks = [asyncio.ensure_future(once()) for _ in range(200)]
        for task in tasks:
            asyncio.get_running_loop().call_later(chance.random() * 0.15, task.cancel)
        await asyncio.gather(*tasks, return_exceptions=True)
        # All eight places are there: eight calls at once need no more than the time of one.
        for _ in range(3):
            bodies = await asyncio.gather(*(transport.send(request_to(server), timeout=QUICK) for _ in range(8)))
            assert [b"abcd"] * 8 == [response.body for response in bodies]

    run(work, max_connections=8)

    for _ in range(server.connections):
        assert server.closed_by_client.acquire(timeout=2)

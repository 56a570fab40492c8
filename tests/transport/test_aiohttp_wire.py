"""What goes over the connections of the async transport: read and written by the house itself, kept by aiohttp."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from llmkit.transport.base import HttpRequest, HttpResponse, Timeout, TransportError
from llmkit.transport.settings import TransportSettings
from llmkit_async.transport import AiohttpTransport

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
QUICK = Timeout(connect=1.0, read=2.0, total=5.0)

Server = Any
T = TypeVar("T")


def run(work: Callable[[AiohttpTransport], Awaitable[T]], **settings: Any) -> T:
    async def main() -> T:
        transport = AiohttpTransport(TransportSettings(trust_env=False, **settings))
        try:
            return await work(transport)
        finally:
            await transport.close()

    return asyncio.run(main())


def request_to(server: Server, body: bytes = b"{}") -> HttpRequest:
    return HttpRequest(method="POST", url=f"{server.url}/v1", body=body)


def block_until(is_so: Callable[[], bool]) -> None:
    """Wait without letting the loop run."""
    deadline = time.monotonic() + 2
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.001)  # the loop must not see what happens meanwhile


# A reply that breaks in its first bytes


def test_a_stream_that_breaks_behind_its_head_has_a_head(raw_server: Any) -> None:
    """Status and headers came; only reading on shows that the body is none."""
    server = raw_server([[CHUNKED + b"xyz\r\n", "hold"]])

    async def work(transport: AiohttpTransport) -> tuple[HttpResponse, TransportError]:
        response = await transport.send(request_to(server), timeout=QUICK, stream=True)
        assert response.astream is not None
        with pytest.raises(TransportError) as caught:
            await response.astream.__aiter__().__anext__()
        return response, caught.value

    response, error = run(work)

    assert 200 == response.status
    assert "protocol" == error.kind
    assert server.closed_by_client.acquire(timeout=2)


def test_a_refusal_that_breaks_behind_its_head_is_a_refusal(raw_server: Any) -> None:
    """A 400 stays a 400, with what made sense of its body."""
    server = raw_server([[b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\nxyz\r\n", "hold"]])

    response = run(lambda transport: transport.send(request_to(server), timeout=QUICK))

    assert (400, b"no") == (response.status, response.body)


# What the loop has not seen yet


@pytest.mark.parametrize("steps", [[], [0.01, b"excess", "hold"]])
def test_what_came_unseen_over_an_idle_connection_is_noticed(raw_server: Any, steps: list[Any]) -> None:
    """The loop had no turn to read the server's goodbye, or what nobody asked for; the request does not fall for it."""
    server = raw_server([[OK, *steps], [OK]])

    async def work(transport: AiohttpTransport) -> HttpResponse:
        await transport.send(request_to(server), timeout=QUICK)
        if steps:
            time.sleep(0.03)  # the loop must not see what comes meanwhile
        else:
            block_until(lambda: server.threads_alive() == 0)
        return await transport.send(request_to(server), timeout=QUICK)

    assert b"ok" == run(work).body
    assert 2 == server.connections


@pytest.mark.parametrize("status", [200, 400])
def test_an_answer_that_is_there_is_not_too_late(raw_server: Any, status: int) -> None:
    """A loop that was busy until the time was over finds the answer, and takes it."""
    server = raw_server([[OK.replace(b"200", b"%d" % status), "hold"]])

    async def work(transport: AiohttpTransport) -> HttpResponse:
        call = asyncio.ensure_future(transport.send(request_to(server), timeout=Timeout(total=0.1)))
        while not server.received:
            await asyncio.sleep(0)
        time.sleep(0.12)  # past the end
        return await call

    response = run(work)

    assert (status, b"ok") == (response.status, response.body)


# Both directions are slow


def test_a_slow_reader_stops_the_server(raw_server: Any) -> None:
    """What the consumer does not take stays in the network, however much the server has to say."""
    sent = []

    def pour(peer: Any) -> None:
        peer.read_request()
        peer.sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(1000):
            peer.sock.sendall(b"x" * 100_000)
            sent.append(100_000)

    server = raw_server([pour])

    async def work(transport: AiohttpTransport) -> tuple[int, int]:
        response = await transport.send(request_to(server), timeout=QUICK, stream=True)
        assert response.astream is not None
        before = -1
        while before < sum(sent):
            before = sum(sent)
            await asyncio.sleep(0.02)
        received = 0
        async for piece in response.astream:
            received += len(piece)
        return before, received

    before, received = run(work)

    # What the system itself takes for both ends is some megabytes.
    assert before < 50_000_000
    assert 100_000_000 == received


def test_a_slow_upload_through_tls_is_not_silence(raw_server: Any, server_tls: ssl.SSLContext, ca_file: str) -> None:
    """TLS hides what is on its way; as long as the request is going out, the server is not expected to answer."""

    def read_slowly(peer: Any) -> None:
        turns, last = 0, b""
        while last != b"END":
            peer.server.stopped.wait(0.01 if turns % 10 == 0 and turns < 300 else 0)
            last = (last + peer.sock.recv(20_000))[-3:]
            turns += 1
        peer.sock.sendall(OK)

    server = raw_server([read_slowly], tls=server_tls)
    body = b"x" * 12_000_000 + b"END"

    response = run(lambda transport: transport.send(request_to(server, body), timeout=Timeout(read=0.1, total=5)), verify=ca_file)

    assert b"ok" == response.body


# Who reads


def test_a_stream_has_one_reader(raw_server: Any) -> None:
    """A second task that reads it at the same time ends it, and neither waits for ever."""
    server = raw_server([[CHUNKED, "hold"]])

    async def work(transport: AiohttpTransport) -> list[object]:
        response = await transport.send(request_to(server), timeout=QUICK, stream=True)
        stream = response.astream
        assert stream is not None
        readers = [asyncio.ensure_future(stream.__aiter__().__anext__()) for _ in range(2)]
        return await asyncio.wait_for(asyncio.gather(*readers, return_exceptions=True), 1)

    assert ["config", "config"] == [getattr(error, "kind", None) for error in run(work)]
    assert server.closed_by_client.acquire(timeout=2)

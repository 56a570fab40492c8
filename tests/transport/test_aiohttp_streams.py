"""Streams of the async transport: bytes as they come, limits that move, and an end that is known to be one."""

from __future__ import annotations

import asyncio
import gc
import gzip
import threading
import zlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from llmkit.secrets import Headers
from llmkit.transport.base import AsyncByteStream, HttpRequest, Timeout, TransportError
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
    async def main() -> T:
        transport = AiohttpTransport(TransportSettings(trust_env=False, **settings))
        try:
            return await work(transport)
        finally:
            await transport.close()

    return asyncio.run(main())


def request_to(server: Server) -> HttpRequest:
    return HttpRequest(method="POST", url=f"{server.url}/v1", headers=Headers({"Authorization": f"Bearer {CANARY}"}), body=b"{}")


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


async def streamed(transport: AiohttpTransport, server: Server, timeout: Timeout = QUICK) -> AsyncByteStream:
    response = await transport.send(request_to(server), timeout=timeout, stream=True)
    assert response.astream is not None
    assert b"" == response.body
    return response.astream


async def read(stream: AsyncByteStream) -> list[bytes]:
    return [piece async for piece in stream]


async def next_of(stream: AsyncByteStream) -> bytes:
    return await stream.__aiter__().__anext__()


async def failure_of(action: Awaitable[object]) -> TransportError:
    with pytest.raises(TransportError) as caught:
        await action
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert CANARY not in repr(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("head", "wrap", "end"),
    [
        (CHUNKED, chunk, b"0\r\n\r\n"),
        (CLOSE_FRAMED, bytes, b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n", bytes, b""),
    ],
)
def test_bytes_are_delivered_as_they_come(raw_server: Any, head: bytes, wrap: Any, end: bytes) -> None:
    """The server sends each piece only after the one before was seen by the reader: whoever holds one back waits for ever."""
    seen = threading.Semaphore(0)

    def in_step(peer: Any) -> None:
        peer.read_request()
        for piece in (b"aa", b"bb", b"cc"):
            peer.sock.sendall(head * (piece == b"aa") + wrap(piece))
            assert seen.acquire(timeout=2)
        peer.sock.sendall(end)

    server = raw_server([in_step])

    async def work(transport: AiohttpTransport) -> list[bytes]:
        pieces = []
        async for piece in await streamed(transport, server):
            pieces.append(piece)
            seen.release()
        return pieces

    assert [b"aa", b"bb", b"cc"] == run(work)


def test_a_gzipped_stream_is_delivered_as_it_comes(raw_server: Any) -> None:
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

    async def work(transport: AiohttpTransport) -> list[bytes]:
        pieces = []
        async for piece in await streamed(transport, server):
            pieces.append(piece)
            seen.release()
        return pieces

    assert [b"aa", b"bb"] == run(work)


def test_a_bomb_unfolds_in_steps(raw_server: Any) -> None:
    """A coded stream has no bound in all, but no piece of it is larger than a step unfolds to."""
    body = gzip.compress(b"\0" * 60_000_000)
    server = raw_server([[GZIPPED + b"Content-Length: %d\r\n\r\n" % len(body) + body]])

    async def work(transport: AiohttpTransport) -> list[int]:
        return [len(piece) async for piece in await streamed(transport, server)]

    sizes = run(work)

    assert 60_000_000 == sum(sizes)
    assert max(sizes) <= 1032 * module.DECODE_STEP


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
@pytest.mark.parametrize("is_late", [False, True])
def test_a_cut_stream_is_never_a_success(raw_server: Any, steps: list[Any], is_late: bool) -> None:
    """What came is delivered, also to a reader who comes late, then ``truncated`` is raised, and again when asked again."""
    server = raw_server([steps])

    async def work(transport: AiohttpTransport) -> tuple[bytes, TransportError, TransportError]:
        stream = await streamed(transport, server)
        if is_late:
            await asyncio.sleep(0.05)
        got = await next_of(stream)
        return got, await failure_of(read(stream)), await failure_of(read(stream))

    got, error, again = run(work)

    assert got.startswith(b"ab")
    assert ("truncated", "truncated") == (error.kind, again.kind)


@pytest.mark.parametrize("is_late", [False, True])
def test_chunks_that_make_no_sense_are_a_protocol_error(raw_server: Any, is_late: bool) -> None:
    """The reader is told at once, behind what made sense."""
    server = raw_server([[CHUNKED + chunk(b"ab"), 0.02, b"xyz\r\n", "hold"]])

    async def work(transport: AiohttpTransport) -> tuple[bytes, TransportError]:
        stream = await streamed(transport, server, Timeout(read=None))
        if is_late:
            await asyncio.sleep(0.05)
        return await next_of(stream), await failure_of(read(stream))

    got, error = run(work)

    assert b"ab" == got
    assert "protocol" == error.kind


def test_a_broken_stream_behind_a_stalled_upload_is_told_at_once(raw_server: Any) -> None:
    """Closing such a connection politely would take as long as the server likes."""

    def stall(peer: Any) -> None:
        peer.sock.recv(100)
        peer.sock.sendall(CHUNKED + chunk(b"ab"))
        peer.server.stopped.wait(0.02)
        peer.sock.sendall(b"xyz\r\n")
        peer.server.stopped.wait(2)

    server = raw_server([stall])

    async def work(transport: AiohttpTransport) -> TransportError:
        request = HttpRequest(method="POST", url=f"{server.url}/", body=b"x" * 12_000_000)
        response = await transport.send(request, timeout=Timeout(read=None), stream=True)
        assert response.astream is not None
        return await failure_of(asyncio.wait_for(read(response.astream), 1.5))

    assert "protocol" == run(work).kind


def test_a_silent_stream_times_out(raw_server: Any) -> None:
    """``Timeout.read`` holds for a stream too, and the connection is closed."""
    server = raw_server([[CHUNKED + chunk(b"a"), "hold"]])

    async def work(transport: AiohttpTransport) -> TransportError:
        return await failure_of(read(await streamed(transport, server, Timeout(read=0.05))))

    assert "read_timeout" == run(work).kind
    assert server.closed_by_client.acquire(timeout=2)


def test_the_consumers_own_time_is_not_silence(raw_server: Any) -> None:
    """What the reader does between two pieces counts for no limit, and what came meanwhile is not lost."""
    server = raw_server([[CHUNKED + chunk(b"a"), 0.02, chunk(b"b"), 0.15, chunk(b"c") + b"0\r\n\r\n"]])

    async def work(transport: AiohttpTransport) -> list[bytes]:
        stream = await streamed(transport, server, Timeout(read=0.1))
        stream.expire_in(0.1)
        first = await next_of(stream)
        await asyncio.sleep(0.13)
        stream.expire_in(0.1)
        return [first, *await read(stream)]

    assert [b"a", b"b", b"c"] == run(work)


def drip(*pieces: bytes) -> list[Any]:
    return [step for piece in pieces for step in (piece, 0.02)] * 50


@pytest.mark.parametrize("head", [CHUNKED, CLOSE_FRAMED])
def test_the_total_time_holds_for_a_stream(raw_server: Any, head: bytes) -> None:
    """A close-framed stream that we cut ourselves is not taken for one that ended."""
    server = raw_server([[head, *drip(chunk(b"x"))]])

    async def work(transport: AiohttpTransport) -> TransportError:
        return await failure_of(read(await streamed(transport, server, Timeout(read=2, total=0.08))))

    assert "expired" == run(work).kind


def test_the_time_of_a_stream_can_be_moved(raw_server: Any) -> None:
    """``expire_in`` replaces the total time: None lifts it, a number sets it anew, from now."""
    server = raw_server([[CHUNKED + chunk(b"a"), 0.1, chunk(b"b"), "hold"]])

    async def work(transport: AiohttpTransport) -> tuple[list[bytes], TransportError]:
        stream = await streamed(transport, server, Timeout(read=2, total=0.05))
        stream.expire_in(None)
        got = [await next_of(stream), await next_of(stream)]
        stream.expire_in(0.05)
        return got, await failure_of(read(stream))

    got, error = run(work)

    assert [b"a", b"b"] == got
    assert "expired" == error.kind


def test_a_limit_can_be_moved_while_somebody_waits(raw_server: Any) -> None:
    """A shorter time holds for the read that is under way, too."""
    server = raw_server([[CHUNKED, "hold"]])

    async def work(transport: AiohttpTransport) -> TransportError:
        stream = await streamed(transport, server)
        reader = asyncio.ensure_future(next_of(stream))
        await asyncio.sleep(0.01)
        stream.expire_in(0.02)
        return await failure_of(asyncio.wait_for(reader, 1))

    assert "expired" == run(work).kind


@pytest.mark.parametrize("how", ["expire", "close", "abort"])
def test_a_whole_stream_leaves_its_connection_to_the_next(raw_server: Any, how: str) -> None:
    """When all has come, the connection serves another call; what then becomes of the stream is no matter of that call."""
    server = raw_server([[CHUNKED + chunk(b"a") + b"0\r\n\r\n", ..., 0.05, OK]])

    async def work(transport: AiohttpTransport) -> bytes:
        stream = await streamed(transport, server)
        await asyncio.sleep(0.02)
        call = asyncio.ensure_future(transport.send(request_to(server), timeout=QUICK))
        while len(server.received) < 2:
            await asyncio.sleep(0.002)
        if how == "expire":
            stream.expire_in(0)
            assert "expired" == (await failure_of(next_of(stream))).kind
        elif how == "close":
            await stream.close()
        else:
            stream.abort()
        return (await call).body

    assert b"ok" == run(work)
    assert 1 == server.connections


def test_a_finished_stream_gives_its_connection_back(raw_server: Any) -> None:
    """Read to the end, a stream's connection serves the next call."""
    server = raw_server([[CHUNKED + chunk(b"a") + b"0\r\n\r\n", ..., OK]])

    async def work(transport: AiohttpTransport) -> list[bytes]:
        pieces = await read(await streamed(transport, server))
        await transport.send(request_to(server), timeout=QUICK)
        return pieces

    assert [b"a"] == run(work)
    assert 1 == server.connections


def test_draining_saves_the_connection(raw_server: Any) -> None:
    """After the last event only the last chunk is to come; reading it lets the connection serve again."""
    server = raw_server([[CHUNKED + chunk(b"[DONE]"), 0.01, b"0\r\n\r\n", ..., OK]])

    async def work(transport: AiohttpTransport) -> None:
        stream = await streamed(transport, server)
        await next_of(stream)
        await stream.drain()
        await transport.send(request_to(server), timeout=QUICK)

    run(work)

    assert 1 == server.connections


@pytest.mark.parametrize("steps", [["hold"], [chunk(b"x" * 40_000) * 3, "hold"], ["reset"], [b"xyz\r\n", "hold"]])
def test_draining_gives_up_soon(raw_server: Any, steps: list[Any]) -> None:
    """A stream that does not end within a tenth of a second or 64 KiB is closed, without an error."""
    server = raw_server([[CHUNKED + chunk(b"a"), 0.01, *steps], [OK]])

    async def work(transport: AiohttpTransport) -> None:
        stream = await streamed(transport, server)
        await next_of(stream)
        await stream.drain()
        await transport.send(request_to(server), timeout=QUICK)

    run(work)

    assert 2 == server.connections


@pytest.mark.parametrize("how", ["close", "abort", "collect", "cancel", "break"])
def test_an_abandoned_stream_closes_its_connection(raw_server: Any, how: str) -> None:
    """However it is left, a stream that was not read to its end frees its place and its connection is not used again."""
    server = raw_server([[CHUNKED + chunk(b"a"), "hold"], [OK]])

    async def work(transport: AiohttpTransport) -> None:
        stream = await streamed(transport, server)
        await next_of(stream)
        if how == "close":
            await stream.close()
            await stream.close()
        elif how == "abort":
            stream.abort()
            stream.abort()
        elif how == "cancel":
            reader = asyncio.ensure_future(next_of(stream))
            await asyncio.sleep(0.01)
            reader.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reader
        else:
            del stream
            gc.collect()
        await transport.send(request_to(server), timeout=QUICK)

    run(work, max_connections=1)

    assert server.closed_by_client.acquire(timeout=2)
    assert 2 == server.connections


def test_a_stream_is_aborted_from_another_thread(raw_server: Any) -> None:
    """A finaliser runs wherever the garbage collector does."""
    server = raw_server([[CHUNKED + chunk(b"a"), "hold"], [OK]])

    async def work(transport: AiohttpTransport) -> None:
        stream = await streamed(transport, server)
        thread = threading.Thread(target=stream.abort)
        thread.start()
        await asyncio.to_thread(thread.join)
        await transport.send(request_to(server), timeout=QUICK)

    run(work, max_connections=1)

    assert server.closed_by_client.acquire(timeout=2)


def test_a_closed_stream_does_not_look_finished(raw_server: Any) -> None:
    """Reading on after ``close`` is an error, not an end."""
    server = raw_server([[CHUNKED + chunk(b"a"), "hold"]])

    async def work(transport: AiohttpTransport) -> TransportError:
        stream = await streamed(transport, server)
        await next_of(stream)
        await stream.close()
        return await failure_of(read(stream))

    assert "config" == run(work).kind


@pytest.mark.parametrize("head", [CHUNKED, CLOSE_FRAMED])
def test_closing_frees_a_reader_in_another_task(raw_server: Any, head: bytes) -> None:
    """``close`` from elsewhere ends a read that waits for bytes."""
    server = raw_server([[head, "hold"]])

    async def work(transport: AiohttpTransport) -> TransportError:
        stream = await streamed(transport, server)
        reader = asyncio.ensure_future(next_of(stream))
        await asyncio.sleep(0.01)
        await stream.close()
        return await failure_of(asyncio.wait_for(reader, 1))

    assert "config" == run(work).kind


def test_a_stream_outlives_its_transport(raw_server: Any) -> None:
    """``close`` lets calls in flight end by themselves, and their connections with them."""
    server = raw_server([[CHUNKED + chunk(b"a"), 0.02, chunk(b"b") + b"0\r\n\r\n", "hold"]])

    async def work(transport: AiohttpTransport) -> bytes:
        stream = await streamed(transport, server)
        await transport.close()
        body = b"".join(await read(stream))
        await asyncio.to_thread(server.closed_by_client.acquire, timeout=2)
        server.closed_by_client.release()
        return body

    assert b"ab" == run(work)


def test_large_streams_pass(raw_server: Any) -> None:
    """What is larger than the room for a slow reader comes in turns, and whole."""
    body = b"x" * 3_000_000
    server = raw_server([[CHUNKED, *[chunk(body[n : n + 500_000]) for n in range(0, len(body), 500_000)], b"0\r\n\r\n"]])

    async def work(transport: AiohttpTransport) -> bytes:
        return b"".join(await read(await streamed(transport, server)))

    assert body == run(work)

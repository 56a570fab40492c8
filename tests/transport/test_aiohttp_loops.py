"""The async transport across event loops, threads, processes and the end of the interpreter."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import subprocess
import sys
import textwrap
import threading
import warnings
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llmkit.transport.base import HttpRequest, Timeout, TransportError
from llmkit.transport.settings import TransportSettings
from llmkit_async import transport as module
from llmkit_async.transport import AiohttpTransport

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
QUICK = Timeout(connect=1.0, read=2.0, total=5.0)

Server = Any


@pytest.fixture
def transport() -> AiohttpTransport:
    """A transport that looks at no environment."""
    return AiohttpTransport(TransportSettings(trust_env=False))


@pytest.fixture(autouse=True)
def silence_python_3_10() -> Iterator[None]:
    """asyncio's TLS of Python 3.10 takes a transport for unclosed when the peer has closed it."""
    yield
    if sys.version_info < (3, 11):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


def echo(peer: Any) -> None:
    while request := peer.read_request():
        body = request.partition(b"\r\n\r\n")[2]
        peer.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    peer.server.closed_by_client.release()


def request_to(server: Server, body: bytes = b"x") -> HttpRequest:
    return HttpRequest(method="POST", url=f"{server.url}/", body=body)


async def ask(transport: AiohttpTransport, server: Server, body: bytes = b"x") -> bytes:
    return (await transport.send(request_to(server, body), timeout=QUICK)).body


def test_one_transport_serves_one_loop_after_the_other(raw_server: Any, transport: AiohttpTransport) -> None:
    """Each ``asyncio.run`` has connections of its own, closed with it."""
    server = raw_server([echo])

    answers = [asyncio.run(ask(transport, server, b"%d" % n)) for n in range(3)]

    assert [b"0", b"1", b"2"] == answers
    for _ in range(3):
        assert server.closed_by_client.acquire(timeout=2)


def test_one_transport_serves_two_loops_at_once(raw_server: Any, transport: AiohttpTransport) -> None:
    """Two threads with a loop each get their own answers."""
    server = raw_server([echo])
    wrong: list[object] = []

    async def work(name: int) -> None:
        bodies = [b"%d-%d" % (name, turn) for turn in range(50)]
        answers = await asyncio.gather(*(ask(transport, server, body) for body in bodies), return_exceptions=True)
        wrong.extend((body, answer) for body, answer in zip(bodies, answers, strict=True) if body != answer)

    threads = [threading.Thread(target=asyncio.run, args=(work(name),)) for name in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert [] == wrong


def test_a_closed_transport_sends_nothing(raw_server: Any, transport: AiohttpTransport) -> None:
    """After ``close``, which may come twice, every call is a ``config`` error, in any loop, and idle connections are gone."""
    server = raw_server([[OK, "hold"]])

    async def work() -> None:
        await ask(transport, server)
        await transport.close()
        await transport.close()
        assert server.closed_by_client.acquire(timeout=2)
        with pytest.raises(TransportError) as caught:
            await ask(transport, server)
        assert ("config", True) == (caught.value.kind, caught.value.fatal)

    asyncio.run(work())
    with pytest.raises(TransportError):
        asyncio.run(ask(transport, server))

    assert 1 == server.connections


def test_closing_reaches_the_other_loops(raw_server: Any, transport: AiohttpTransport) -> None:
    """The session of a loop in another thread is closed there, when its call in flight has ended."""
    server = raw_server([[b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", 0.05, b"ok", "hold"]])
    sent, gone = threading.Event(), threading.Event()
    answers: list[bytes] = []

    async def elsewhere() -> None:
        task = asyncio.ensure_future(ask(transport, server))
        while not server.received:
            await asyncio.sleep(0.002)
        sent.set()
        answers.append(await task)
        await asyncio.to_thread(gone.wait, 2)

    thread = threading.Thread(target=asyncio.run, args=(elsewhere(),))
    thread.start()
    assert sent.wait(2)
    asyncio.run(transport.close())

    assert server.closed_by_client.acquire(timeout=2)
    gone.set()
    thread.join(2)
    assert [b"ok"] == answers


def test_a_forgotten_transport_closes_its_connections(raw_server: Any) -> None:
    """Without ``close``, when nothing refers to it any more, while its loop runs on."""
    server = raw_server([[OK, "hold"]])

    async def work() -> None:
        await ask(AiohttpTransport(TransportSettings(trust_env=False)), server)
        gc.collect()
        await asyncio.sleep(0.01)
        assert server.closed_by_client.acquire(timeout=2)

    asyncio.run(work())


def test_a_loop_that_was_just_closed_leaves_no_connection(raw_server: Any, transport: AiohttpTransport) -> None:
    """A loop closed without ceremony could close nothing; the next loop finds what it left and closes it."""
    server = raw_server([echo])
    loop = asyncio.new_event_loop()
    loop.run_until_complete(ask(transport, server))
    loop.close()

    asyncio.run(ask(transport, server))

    for _ in range(2):
        assert server.closed_by_client.acquire(timeout=2)


def open_sockets_to(server: Server) -> list[socket.socket]:
    """Return the sockets of this process that are connected to *server*."""
    found = []
    for thing in gc.get_objects():
        if type(thing) is socket.socket and thing.fileno() >= 0:
            with contextlib.suppress(OSError):
                if thing.getpeername() == ("127.0.0.1", server.port):
                    found.append(thing)
    return found


@pytest.mark.parametrize("how", ["cancelled", "expired", "answered early"])
def test_a_server_that_does_not_read_holds_no_socket(raw_server: Any, transport: AiohttpTransport, how: str) -> None:
    """A connection is not closed politely when that means to wait until the server has taken what was to be sent."""

    def stall(peer: Any) -> None:
        peer.sock.recv(100)
        if how == "answered early":
            peer.server.stopped.wait(0.05)
            peer.sock.sendall(b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n")
        peer.server.stopped.wait(2)

    server = raw_server([stall])

    async def work() -> list[socket.socket]:
        limit = Timeout(total=0.1 if how == "expired" else 5)
        call = asyncio.ensure_future(transport.send(request_to(server, b"x" * 12_000_000), timeout=limit))
        await asyncio.sleep(0.03)
        assert open_sockets_to(server)
        if how == "cancelled":
            call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await asyncio.sleep(0.005)
        return open_sockets_to(server)

    assert [] == asyncio.run(work())


@pytest.mark.parametrize("how", ["closed by the server", "idle for too long"])
def test_a_server_that_says_no_goodbye_holds_no_socket(
    raw_server: Any, server_tls: Any, ca_file: str, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """To close TLS politely means to wait for the peer's last word: not when an answer is whole, and not at the end of the loop."""
    monkeypatch.setattr(module, "IDLE_LIMIT", 0.01)

    def stall(peer: Any) -> None:
        peer.read_request()
        peer.sock.sendall(OK.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) if how == "closed by the server" else OK)
        peer.server.stopped.wait(2)

    server = raw_server([stall], tls=server_tls)
    transport = AiohttpTransport(TransportSettings(trust_env=False, verify=ca_file))

    async def work() -> int:
        await ask(transport, server)
        await asyncio.sleep(0.03)
        return len(open_sockets_to(server))

    at_once = asyncio.run(work())

    assert at_once == (1 if how == "idle for too long" else 0)
    assert [] == open_sockets_to(server)


def test_a_stream_may_outlive_its_loop(raw_server: Any, transport: AiohttpTransport) -> None:
    """Closed, aborted or forgotten after the loop's end, it does no harm; its connection ended with the loop."""
    server = raw_server([[CHUNKED + b"1\r\na\r\n", "hold"]])

    async def open_one() -> Any:
        return (await transport.send(request_to(server), timeout=QUICK, stream=True)).astream

    stream, other = asyncio.run(open_one()), asyncio.run(open_one())
    stream.abort()
    del other
    gc.collect()

    for _ in range(2):
        assert server.closed_by_client.acquire(timeout=2)


@pytest.mark.parametrize("is_secure", [False, True])
@pytest.mark.parametrize("how", ["abort", "collect"])
def test_a_stream_ends_after_its_loop_was_closed(
    raw_server: Any, server_tls: Any, ca_file: str, recwarn: pytest.WarningsRecorder, is_secure: bool, how: str
) -> None:
    """A loop closed without ceremony can do nothing any more; the stream's connection is closed all the same, without a complaint."""
    server = raw_server([[CHUNKED + b"1\r\na\r\n", "hold"]], tls=server_tls if is_secure else None)
    transport = AiohttpTransport(TransportSettings(trust_env=False, verify=ca_file))

    async def open_one() -> Any:
        return (await transport.send(request_to(server), timeout=QUICK, stream=True)).astream

    loop = asyncio.new_event_loop()
    stream = loop.run_until_complete(open_one())
    loop.close()
    if how == "abort":
        stream.abort()
    del stream
    gc.collect()

    assert server.closed_by_client.acquire(timeout=2)
    assert [] == [str(warning.message) for warning in recwarn]


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

IN_A_LOOP = "loop = asyncio.new_event_loop(); loop.run_until_complete(main()); "

ENDINGS = {
    "run twice": "asyncio.run(main()); asyncio.run(main())",
    "loop closed without shutting down": IN_A_LOOP + "loop.close(); asyncio.run(main())",
    "loop closed without shutting down, at the end": IN_A_LOOP + "loop.close()",
    "collected after its loop": IN_A_LOOP + "loop.close(); del transport; gc.collect()",
    "loop left open": IN_A_LOOP + "open_loops.append(loop)",
    "closed": "asyncio.run(main(True))",
    "stream left": "asyncio.run(left()); asyncio.run(main())",
    "stream left in a closed loop": "loop = asyncio.new_event_loop(); kept = loop.run_until_complete(left()); loop.close()",
    "killed by an exception": "asyncio.run(killed())",
    "forked beside a loop": IN_A_LOOP
    + "open_loops.append(loop); child = os.fork(); child or sys.exit(0); os.waitpid(child, 0); loop.run_until_complete(main())",
}

PROGRAM = """
import asyncio, atexit, gc, os, sys
from llmkit.transport.base import HttpRequest, Timeout
from llmkit.transport.settings import TransportSettings

open_loops = []
atexit.register(lambda: [loop.close() for loop in open_loops])  # runs behind what is registered later

from llmkit_async.transport import AiohttpTransport

transport = AiohttpTransport(TransportSettings(verify=sys.argv[2] or True, trust_env=False))
request = HttpRequest(method="POST", url=sys.argv[1] + "/", body=b"x")

async def main(close=False):
    for _ in range(2):
        print((await transport.send(request, timeout=Timeout(total=30))).status)
    if close:
        await transport.close()

async def left():
    response = await transport.send(request, timeout=Timeout(total=30), stream=True)
    return response.astream

async def killed():
    task = asyncio.ensure_future(left())
    await main()
    raise SystemExit(0)

{ending}
"""


@pytest.mark.parametrize("is_secure", [False, True])
@pytest.mark.parametrize("ending", [pytest.param(name, marks=needs_fork) if "fork" in name else name for name in ENDINGS])
def test_nothing_complains_at_the_end(
    raw_server: Any, authority: Any, server_tls: Any, tmp_path: Path, ending: str, is_secure: bool
) -> None:
    """However loops and interpreter end, neither aiohttp nor asyncio finds anything unclosed, also in development mode."""
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    server = raw_server([[OK, ..., OK, ..., OK, ..., OK, "hold"]], tls=server_tls if is_secure else None)
    program = PROGRAM.format(ending=ENDINGS[ending])
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}

    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", textwrap.dedent(program), server.url, str(ca_file) if is_secure else ""],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        check=False,
    )

    assert (0, "") == (done.returncode, done.stderr)


def forked(work: Callable[[], Awaitable[object]]) -> int:
    """Run *work* in a forked child, in a loop of its own, and return the child's process id; it exits with 0 if nothing was raised."""
    child = os.fork()
    if child != 0:
        return child
    code = 1
    try:
        asyncio.run(asyncio.wait_for(work(), 5))
        code = 0
    finally:
        os._exit(code)  # the child must not go on as a second test run


async def exit_code(child: int) -> int:
    _, status = await asyncio.to_thread(os.waitpid, child, 0)
    return os.waitstatus_to_exitcode(status)


@needs_fork
def test_a_forked_child_makes_its_own_connection(raw_server: Any, transport: AiohttpTransport) -> None:
    """The parent goes on with the one it has; each gets its own answers."""
    server = raw_server([echo])

    async def in_child() -> None:
        assert b"child" == await ask(transport, server, b"child")

    async def in_parent() -> list[bytes]:
        answers = [await ask(transport, server, b"before")]
        assert 0 == await exit_code(forked(in_child))
        return [*answers, await ask(transport, server, b"after")]

    assert [b"before", b"after"] == asyncio.run(in_parent())
    assert 2 == server.connections


@needs_fork
def test_a_forked_child_does_not_hold_its_parents_connections(raw_server: Any, transport: AiohttpTransport) -> None:
    """When the parent closes them they are closed, although the child lives."""
    server = raw_server([echo])
    readable, writable = os.pipe()

    async def in_child() -> None:
        os.close(writable)
        await asyncio.to_thread(os.read, readable, 1)

    async def in_parent() -> int:
        await ask(transport, server)
        child = forked(in_child)
        await transport.close()
        is_closed = await asyncio.to_thread(server.closed_by_client.acquire, timeout=2)
        os.close(writable)
        assert is_closed
        return await exit_code(child)

    assert 0 == asyncio.run(in_parent())
    os.close(readable)

"""What a forked child does with what it inherits."""

from __future__ import annotations

import gc
import os
import socket
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator

import pytest

from llmkit import _fork
from llmkit._fork import renewed_in_child
from llmkit.transport import watchdog
from llmkit.transport.base import HttpRequest, Timeout, TransportError
from llmkit.transport.requests import RequestsTransport
from llmkit.transport.settings import TransportSettings

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

QUICK = Timeout(connect=2.0, read=2.0, total=5.0)


def in_child(work: Callable[[], object]) -> int:
    """Run *work* in a forked child and return its exit status: 0 unless it raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # "this process is multi-threaded", which is the point
        child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class Echo:
    """A server that answers each request with its body and the number of the connection it came over."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/"
        self.connections = 0
        self.closed = threading.Semaphore(0)
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(sock, self.connections), daemon=True).start()

    def serve(self, sock: socket.socket, number: int) -> None:
        with sock:
            while data := sock.recv(65536):
                body = b"%d:" % number + data.partition(b"\r\n\r\n")[2]
                length = b"Content-Length: %d\r\n\r\n" % (len(body) if b"/whole" in data else 999)
                sock.sendall(b"HTTP/1.1 200 OK\r\n" + length + body)
        self.closed.release()

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(2)


@pytest.fixture
def echo() -> Iterator[Echo]:
    """A server on loopback."""
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def transport() -> Iterator[RequestsTransport]:
    """A transport that looks at no environment."""
    transport = RequestsTransport(TransportSettings(trust_env=False))
    yield transport
    transport.close()


def ask(transport: RequestsTransport, echo: Echo, body: bytes) -> bytes:
    return transport.send(HttpRequest(method="POST", url=f"{echo.url}whole", body=body), timeout=QUICK).body


class Counter:
    """Counts its renewals."""

    def __init__(self) -> None:
        self.renewals = 0

    def renew(self) -> None:
        self.renewals += 1


def test_a_registered_thing_is_renewed_in_the_child_only() -> None:
    """The child renews it once; in the parent nothing happens."""
    counter = renewed_in_child(Counter())

    def check() -> None:
        assert 1 == counter.renewals

    assert 0 == in_child(check)
    assert 0 == counter.renewals


def test_registration_keeps_nothing_alive() -> None:
    """What is only registered goes away, and its place with it."""
    gc.collect()
    before = len(_fork._alive)
    counter = renewed_in_child(Counter())
    assert before + 1 == len(_fork._alive)

    del counter
    gc.collect()

    assert before == len(_fork._alive)


def test_a_child_uses_connections_of_its_own(echo: Echo, transport: RequestsTransport) -> None:
    """Both go on with the same transport, and neither reads the other's answer; the parent keeps its connection."""
    assert b"1:before" == ask(transport, echo, b"before")

    def child() -> None:
        for turn in range(20):
            body = b"child %d" % turn
            assert b"2:" + body == ask(transport, echo, body)

    assert 0 == in_child(child)
    assert b"1:after" == ask(transport, echo, b"after")


def test_the_end_of_a_child_does_not_end_the_parents_stream(echo: Echo, transport: RequestsTransport) -> None:
    """A child that closes what it inherited says nothing to the peer; reading the inherited stream there is an error."""
    request = HttpRequest(method="POST", url=f"{echo.url}part", body=b"x" * 10)
    stream = transport.send(request, timeout=QUICK, stream=True).stream
    assert stream is not None
    assert b"1:xxxxxxxxxx" == next(iter(stream))

    def child() -> None:
        with pytest.raises(TransportError):
            next(iter(stream))
        stream.close()
        transport.close()

    assert 0 == in_child(child)
    assert not echo.closed.acquire(timeout=0.02)
    stream.close()
    assert echo.closed.acquire(timeout=2)


def test_a_fork_in_the_middle_of_other_threads_calls(echo: Echo, transport: RequestsTransport) -> None:
    """Children made while threads are sending can send at once: no lock of theirs is held by a thread that is not there."""
    over = threading.Event()
    wrong: list[bytes] = []

    def work(name: int) -> None:
        while not over.is_set():
            body = b"parent %d" % name
            if not (got := ask(transport, echo, body)).endswith(b":" + body):
                wrong.append(got)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(3)]
    for thread in threads:
        thread.start()

    def child() -> None:
        assert ask(transport, echo, b"child").endswith(b":child")

    statuses = [in_child(child) for _ in range(10)]
    over.set()
    for thread in threads:
        thread.join(5)

    assert [0] * 10 == statuses
    assert [] == wrong


def test_the_childs_watchdog_runs() -> None:
    """The parent's thread is not there in the child; a new one is started, and the parent's watches are not the child's."""
    ours, theirs = socket.socketpair()
    watching = watchdog.watch(ours, time.monotonic() + 60)

    def child() -> None:
        assert not watchdog._dog.watches
        left, right = socket.socketpair()
        left.settimeout(2)
        mine = watchdog.watch(left, time.monotonic() + 0.02)
        assert b"" == left.recv(1)
        assert mine.fired
        right.close()

    assert 0 == in_child(child)
    assert not watching.stop()
    ours.close()
    theirs.close()


class Library:
    """Something with locks of its own below it."""

    def __init__(self, log: list[str]) -> None:
        self.log = log

    def pause(self) -> None:
        self.log.append("pause")

    def resume(self) -> None:
        self.log.append("resume")

    def renew(self) -> None:
        self.log.append("renew")


def test_what_must_not_be_in_use_is_paused() -> None:
    """Before the fork; then the parent goes on, and the child begins anew."""
    log: list[str] = []
    library = _fork.paused_at_fork(Library(log))

    def check() -> None:
        assert ["pause", "renew"] == log, log

    assert 0 == in_child(check)
    assert ["pause", "resume"] == log

    del library
    gc.collect()
    assert 0 == in_child(lambda: None)
    assert ["pause", "resume"] == log

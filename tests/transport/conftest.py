"""
A server that says exactly what a test tells it to, over real sockets.

``raw_server(script, tls=None)`` starts one and returns a ``RawServer``. The script has one entry per connection, the last one
serving all further connections. An entry is a callable that gets the ``Peer``, or a list of steps, carried out after one request
was read; at its end the connection is closed:

- bytes are sent as they are;
- a number is a pause in seconds;
- ``...`` reads the next request;
- ``"hold"`` waits until the client closes;
- ``"reset"`` closes with a TCP reset.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import trustme

Step = Any  # bytes, a number, ..., "hold" or "reset"
Entry = Any  # a list of steps or a callable


class Peer:
    """One connection, seen from the server."""

    def __init__(self, server: RawServer, sock: socket.socket) -> None:
        self.server = server
        self.sock = sock
        self.rest = b""

    def read_request(self) -> bytes:
        """Return the next request with its body, or what came of it before the client closed; it is recorded if it is whole."""
        data = self.rest
        while b"\r\n\r\n" not in data:
            more = self.sock.recv(65536)
            if not more:
                return data
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")),
            0,
        )
        while len(body) < length:
            more = self.sock.recv(65536)
            if not more:
                return data
            body += more
        self.rest = body[length:]
        request = head + b"\r\n\r\n" + body[:length]
        self.server.received.append(request)
        return request

    def play(self, steps: Sequence[Step]) -> None:
        if not self.read_request():
            return
        for step in steps:
            if isinstance(step, bytes):
                self.sock.sendall(step)
            elif step is ...:
                if not self.read_request():
                    return
            elif step == "hold":
                self.hold()
            elif step == "reset":
                self.reset()
            else:
                self.server.stopped.wait(step)

    def hold(self) -> None:
        """Wait until the client closes, and count it."""
        with contextlib.suppress(OSError):
            while self.sock.recv(65536):
                pass
        self.server.closed_by_client.release()

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class RawServer:
    """
    ``url`` is where it listens, ``received`` the whole requests in the order of their coming, ``connections`` the number of
    accepted connections, ``closed_by_client`` a semaphore released whenever a "hold" ends, ``threads_alive()`` how many
    connections the script is not through with.
    """

    def __init__(self, script: Sequence[Entry], tls: ssl.SSLContext | None = None) -> None:
        self.script = list(script)
        self.tls = tls
        self.received: list[bytes] = []
        self.connections = 0
        self.closed_by_client = threading.Semaphore(0)
        self.stopped = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self.listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._socks: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while not self.stopped.is_set():
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            entry = self.script[min(self.connections, len(self.script) - 1)]
            self.connections += 1
            self._socks.append(sock)
            thread = threading.Thread(target=self._serve, args=(sock, entry), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket, entry: Entry) -> None:
        # A client that goes away in the middle is what many tests are about.
        with contextlib.suppress(OSError):
            if self.tls is not None:
                sock = self.tls.wrap_socket(sock, server_side=True)
                self._socks.append(sock)
            with sock:
                peer = Peer(self, sock)
                if callable(entry):
                    entry(peer)
                else:
                    peer.play(entry)

    def threads_alive(self) -> int:
        """How many connections the script is not yet through with."""
        return sum(thread.is_alive() for thread in self._threads[1:])

    def close(self) -> None:
        self.stopped.set()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for sock in self._socks:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(2)
        for sock in self._socks:
            sock.close()


@pytest.fixture
def raw_server() -> Iterator[Callable[..., RawServer]]:
    """A function that starts a scripted server; all of them are stopped when the test is over."""
    servers: list[RawServer] = []

    def start(script: Sequence[Entry], tls: ssl.SSLContext | None = None) -> RawServer:
        server = RawServer(script, tls)
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.close()


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A certificate authority that nobody trusts unless told to."""
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Any) -> str:
    """The path of the authority's certificate."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    """The TLS context of a server at 127.0.0.1 and localhost."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context

"""Fixtures: a fake server, and a client that sees every byte."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from llmkit.testing import FakeServer

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say hi"}]}


class RawClient:
    """One connection to a server; what is sent and received is bytes."""

    def __init__(self, origin: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", urlsplit(origin).port or 0), timeout=5)
        self._received = self._socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def ask(self, body: Any = None, *, path: str = "/openai/v1/chat/completions", headers: str = "") -> None:
        """Send one chat request; *headers* are lines that end with CRLF."""
        data = body if isinstance(body, bytes) else json.dumps(CHAT if body is None else body).encode()
        self.send(f"POST {path} HTTP/1.1\r\nhost: x\r\n{headers}content-length: {len(data)}\r\n\r\n".encode() + data)

    def head(self) -> tuple[int, dict[str, str]]:
        """Read the head of a response."""
        first = self._received.readline()
        headers = {}
        while (line := self._received.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        return int(first.split()[1]), headers

    def body(self, headers: dict[str, str]) -> bytes:
        """Read the body that follows a head, unchunked."""
        if "transfer-encoding" not in headers:
            return self._received.read(int(headers["content-length"]))
        parts = []
        while size := int(self._received.readline(), 16):
            parts.append(self._received.read(size))
            assert b"\r\n" == self._received.readline()
        assert b"\r\n" == self._received.readline()
        return b"".join(parts)

    def response(self) -> tuple[int, dict[str, str], Any]:
        """Read a whole JSON response."""
        status, headers = self.head()
        return status, headers, json.loads(self.body(headers))

    def text(self) -> str:
        """Read a whole completion, and return what it says."""
        return str(self.response()[2]["choices"][0]["message"]["content"])

    def read(self, count: int) -> bytes:
        return self._received.read(count)

    def rest(self) -> bytes:
        """Read until the server ends the connection; a reset is raised."""
        return self._received.read()

    def is_silent(self, seconds: float = 0.03) -> bool:
        """Tell whether the connection stays open and nothing comes."""
        self._socket.settimeout(seconds)
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return True
        else:
            return False
        finally:
            self._socket.settimeout(5)

    def close(self) -> None:
        self._received.close()
        self._socket.close()


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A running server that nobody has used."""
    with FakeServer() as running:
        yield running


@pytest.fixture
def connect() -> Iterator[Callable[[FakeServer], RawClient]]:
    """A function that opens a connection to a server; all are closed in the end."""
    clients: list[RawClient] = []

    def open_one(server: FakeServer) -> RawClient:
        clients.append(RawClient(server.origin))
        return clients[-1]

    yield open_one
    for client in clients:
        client.close()


@pytest.fixture
def client(server: FakeServer, connect: Callable[[FakeServer], RawClient]) -> RawClient:
    """A connection to the server."""
    return connect(server)

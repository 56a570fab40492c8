"""
HTTP/1.1 as a server speaks it, written out so that every byte and every fault is under control.

Rule 1: requests are read whole, and answered one after the other, however they were cut or pipelined.
Rule 2: nothing here knows a provider; the handler is asked for each answer.

Source: RFC 9112.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Protocol

from attrs import define, field, frozen

from llmkit.testing.delivery import Delivery, Ending
from llmkit.testing.replies import RecordedRequest

__all__ = ["Connection", "Handler", "HttpRequest", "ProtocolError", "RequestReader"]

HEAD_LIMIT = 1 << 20  # bytes; far above what clients send, so that only a runaway is refused
WRITE_SIZE = 1 << 16  # bytes gathered before they are handed to the socket
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER with a time-out of zero: closing sends RST
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class ProtocolError(Exception):
    """What arrived is not an HTTP/1.1 request."""


@frozen(kw_only=True)
class HttpRequest:
    """A request whose body is complete."""

    method: str
    target: str
    version: str
    headers: dict[str, str]
    body: bytes

    @property
    def persistent(self) -> bool:
        """Whether the client means to send more on this connection."""
        said = self.headers.get("connection", "").lower()
        return "close" not in said if self.version == "HTTP/1.1" else "keep-alive" in said


@define
class RequestReader:
    """Turn bytes into requests, however the network cuts them."""

    _buffer: bytearray = field(factory=bytearray, init=False)
    _head: tuple[str, str, str] | None = field(default=None, init=False)
    _headers: dict[str, str] = field(factory=dict, init=False)
    _chunks: bytearray = field(factory=bytearray, init=False)
    _searched: int = field(default=0, init=False)
    _continued: bool = field(default=False, init=False)

    def feed(self, data: bytes) -> None:
        """Add what arrived."""
        self._buffer += data

    @property
    def pending(self) -> bool:
        """Whether a request has begun that was not yet returned."""
        return self._head is not None or bool(self._buffer)

    def must_continue(self) -> bool:
        """Return, once for each request, whether the client holds its body back until it is told to go on."""
        if self._head is None or self._continued or self._headers.get("expect", "").lower() != "100-continue":
            return False
        self._continued = True
        return not self._buffer

    def read(self) -> HttpRequest | None:
        """
        Return the next complete request, or None until more has arrived.

        Raises:
            ProtocolError: If there can be none.
        """
        if self._head is None and not self._read_head():
            return None
        body = self._read_chunked() if "transfer-encoding" in self._headers else self._read_sized()
        if body is None or self._head is None:
            return None
        method, target, version = self._head
        self._head = None
        return HttpRequest(method=method, target=target, version=version, headers=self._headers, body=body)

    def _read_head(self) -> bool:
        # RFC 9112, section 2.2: empty lines before a request are passed over.
        while self._buffer.startswith(b"\r\n"):
            del self._buffer[:2]
        end = self._buffer.find(b"\r\n\r\n", max(0, self._searched - 3))
        if end < 0:
            self._searched = len(self._buffer)
            if self._searched > HEAD_LIMIT:
                raise ProtocolError("The head is too long.")
            return False
        first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        self._searched = 0
        self._continued = False
        parts = first.split(" ")
        if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
            raise ProtocolError("The first line is no request.")
        self._head = (parts[0], parts[1], parts[2])
        self._headers = _fields(lines)
        return True

    def _read_sized(self) -> bytes | None:
        length = self._headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()):
            raise ProtocolError("Content-Length is no number.")
        size = int(length)
        if len(self._buffer) < size:
            return None
        body = bytes(self._buffer[:size])
        del self._buffer[:size]
        return body

    def _read_chunked(self) -> bytes | None:
        while (end := self._buffer.find(b"\r\n")) >= 0:
            size = _chunk_size(self._buffer[:end])
            if size == 0:
                return self._read_trailer(end + 2)
            if len(self._buffer) < end + size + 4:
                return None
            self._chunks += self._buffer[end + 2 : end + 2 + size]
            del self._buffer[: end + size + 4]
        return None

    def _read_trailer(self, start: int) -> bytes | None:
        """Pass over trailer fields to the empty line that ends the body."""
        # From before the line break of the last chunk, so that an empty trailer is found too.
        end = self._buffer.find(b"\r\n\r\n", start - 2)
        if end < 0:
            return None
        del self._buffer[: end + 4]
        body = bytes(self._chunks)
        self._chunks.clear()
        return body


def _fields(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise ProtocolError("A header line is malformed.")
        name, value = name.lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _chunk_size(line: bytearray) -> int:
    digits = bytes(line.partition(b";")[0].strip())
    # int() alone would take signs, underscores and a prefix.
    if not digits or digits.strip(b"0123456789abcdefABCDEF"):
        raise ProtocolError("A chunk has no size.")
    return int(digits, 16)


class Handler(Protocol):
    """Who knows the answers."""

    def opened(self, connection: Connection) -> int:
        """Take note of a connection, and return its number."""

    def closed(self, connection: Connection) -> None:
        """Take note that a connection is gone."""

    def receive(self, request: HttpRequest, connection: int) -> RecordedRequest:
        """Take note of a request."""

    def answer(self, request: RecordedRequest) -> Delivery:
        """Return what is to be sent for *request*; after an interim response it is asked once more."""


class Connection(asyncio.Protocol):
    """One client: its requests are read, and the steps of each answer carried out, in turn."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._reader = RequestReader()
        self._transport: asyncio.Transport | None = None
        self._number = 0
        self._delivery: Delivery | None = None
        self._timer: asyncio.Handle | None = None
        self._paused = False
        self._pumping = False
        self._request: RecordedRequest | None = None
        self._drop_next: Ending | None = None

    # What asyncio tells us.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        # A pause and its end then mean: not all was sent yet, and all is sent now. (asyncio sets TCP_NODELAY itself.)
        transport.set_write_buffer_limits(high=1, low=0)
        self._transport = transport
        self._number = self._handler.opened(self)

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        self._serve()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        # A TLS transport can resume within write(), and the pump then goes on by itself.
        if self._delivery is not None and self._timer is None and not self._pumping:
            self._proceed()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._transport = self._timer = self._delivery = None
        self._handler.closed(self)

    # What we do.

    @property
    def fileno(self) -> int:
        """The socket's number, or -1 when it is closed."""
        sock = None if self._transport is None else self._transport.get_extra_info("socket")
        return -1 if sock is None else int(sock.fileno())

    def abort(self) -> None:
        """Close at once, whatever is under way."""
        if self._transport is not None:
            self._transport.abort()

    def _serve(self) -> None:
        """Answer what has arrived, until an answer takes its time."""
        while self._delivery is None and self._transport is not None and not self._transport.is_closing():
            if self._drop_next is not None and self._reader.pending:
                self._end(self._drop_next)
                return
            request = self._next_request()
            if request is None:
                return
            self._request = self._handler.receive(request, self._number)
            self._delivery = self._handler.answer(self._request)
            self._pump()

    def _next_request(self) -> HttpRequest | None:
        assert self._transport is not None
        try:
            request = self._reader.read()
        except ProtocolError:
            self._transport.write(_BAD_REQUEST)
            self._transport.close()
            return None
        if request is None and self._reader.must_continue():
            self._transport.write(_CONTINUE)
        return request

    def _proceed(self) -> None:
        self._timer = None
        self._pump()
        self._serve()

    def _pump(self) -> None:
        """Carry out steps until one is to wait, the socket is full, or all are done."""
        assert self._delivery is not None
        self._pumping = True
        done = self._send(self._delivery)
        self._pumping = False
        if done:
            self._finish(self._delivery)

    def _send(self, delivery: Delivery) -> bool:
        """Send what can be sent now, and return whether that was the last of it."""
        assert self._transport is not None
        gathered: list[bytes] = []
        size = 0
        for step in delivery.steps:
            if isinstance(step, float):
                self._transport.write(b"".join(gathered))
                self._timer = asyncio.get_running_loop().call_later(step, self._proceed)
                return False
            gathered.append(step)
            size += len(step)
            if size >= WRITE_SIZE:
                self._transport.write(b"".join(gathered))
                if self._paused:
                    return False
                gathered, size = [], 0
        if gathered:
            self._transport.write(b"".join(gathered))
        return not self._paused

    def _finish(self, delivery: Delivery) -> None:
        """Go on as the answer wants it, now that all of it was sent."""
        if delivery.drop_next is not None:
            self._drop_next = delivery.drop_next
        if delivery.ending == "silence":
            return
        self._delivery = None
        self._end(delivery.ending)

    def _end(self, ending: Ending) -> None:
        assert self._transport is not None
        if ending == "close":
            self._transport.close()
        elif ending == "reset":
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._transport.abort()
        elif ending == "again":
            assert self._request is not None
            self._delivery = self._handler.answer(self._request)
            # From the loop, so that an endless row of interim responses leaves it time for others.
            self._timer = asyncio.get_running_loop().call_soon(self._proceed)

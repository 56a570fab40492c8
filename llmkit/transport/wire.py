"""
One request and its response on one socket.

Rule 1: everything read here is bounded three ways: each silence by the socket's time-out, the whole by the watch, the bytes by a
        limit.
Rule 2: only a connection whose response was read to its framed end may serve again.
Rule 3: no error leaves with another one chained to it.
"""

from __future__ import annotations

import math
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from llmkit.transport.base import BODY_LIMIT, ERROR_BODY_LIMIT, Timeout, TransportError
from llmkit.transport.decoding import Decoder
from llmkit.transport.faults import connect_failure, dns_failure, is_peer_gone, read_failure
from llmkit.transport.http1 import Framing, Head, HeadReader, Sized, framing_of
from llmkit.transport.public import check_public
from llmkit.transport.watchdog import NO_WATCH, watch

__all__ = ["Exchange", "Reply", "Wire", "WireStream", "open_socket", "read_reply", "send_request"]

_PIECE = 64 * 1024  # bytes read or written at a time
_CODED_PIECE = 4 * 1024  # bytes read at a time of a coded stream: each may unfold to a thousand times as much
_STEP = 1024  # bytes of an error reply decoded at a time
_ERROR_TIME = 5.0  # seconds for the body of a reply that is not 2xx
_DRAIN_TIME = 0.1  # seconds

_now = time.monotonic


class Wire(Protocol):
    """What is used of a socket, be it plain, TLS or TLS in TLS."""

    def recv(self, size: int, /) -> bytes: ...

    def sendall(self, data: bytes | memoryview, /) -> None: ...

    def settimeout(self, value: float | None, /) -> None: ...


class Exchange:
    """
    One call of ``send``: what is allowed, and how far it came.

    ``start`` and ``until`` are on the clock ``time.monotonic``; ``connected`` and ``first_byte`` are seconds, or None.
    """

    __slots__ = (
        "_cut", "body_limit", "connect_time", "connected", "first_byte", "host", "method", "peer", "public_only", "read_time", "reused",
        "start", "stream", "until", "watch",
    )  # fmt: skip

    def __init__(
        self, *, method: str, host: str, timeout: Timeout, stream: bool, public_only: bool = False, body_limit: int | None = None
    ) -> None:
        self.method = method
        self.host = host  # for the Host header
        self.peer = host  # for people
        self.stream = stream
        self.public_only = public_only
        self.body_limit = BODY_LIMIT if body_limit is None else body_limit
        self.connect_time = math.inf if timeout.connect is None else timeout.connect
        self.read_time = timeout.read
        self.start = _now()
        self.until = math.inf if timeout.total is None else self.start + timeout.total
        self.reused = False
        self.connected: float | None = None
        self.first_byte: float | None = None
        self.watch = NO_WATCH
        self._cut = timeout.cut

    def begin(self, sock: socket.socket, *, reused: bool) -> None:
        """Watch *sock*, over which the request is about to go."""
        self.reused = reused
        self.watch = watch(sock, self.until)
        if self._cut is not None:
            self._cut.arm(self.watch.end)

    def end(self) -> bool:
        """Watch no longer; return whether the time was over before."""
        return self.watch.stop()

    def failure(self, error: OSError | None) -> TransportError:
        """Return why nothing more came: *error*, or None for the end of the connection."""
        if self.watch.fired:
            return self.expired()
        begun = self.first_byte is not None
        if error is not None:
            return read_failure(self.peer, error, begun=begun, reused=self.reused)
        if begun:
            return TransportError("truncated", f"{self.peer} closed the connection inside the headers")
        return TransportError("connection_lost", f"{self.peer} closed the connection without an answer", reused=self.reused)

    def expired(self) -> TransportError:
        return TransportError("expired", f"the time allowed is over ({_now() - self.start:.1f} s)")


class Reply:
    """
    A response as it came: its body is in ``body``, or still to be read from ``stream``.

    The attributes below are those that urllib3's pool sets and reads on a response of its own.
    """

    __slots__ = ("_connection", "_pool", "body", "headers", "keeps_alive", "retries", "status", "stream")

    version_string = "HTTP/1.1"
    length_remaining = None

    def __init__(self, head: Head) -> None:
        self.status = head.status
        self.headers = head.headers
        self.keeps_alive = head.keeps_alive
        self.body = b""
        self.stream: WireStream | None = None
        self._connection: object = None


def open_socket(
    host: str, port: int, until: float, options: Sequence[tuple[int, int, int | bytes]], *, public_only: bool = False
) -> socket.socket:
    """
    Return a socket connected to *host* before *until*, with what is left of the time as its time-out.

    Where a name has several addresses, each gets its share of the time, so that a dead one does not hide a living one.
    ``getaddrinfo`` cannot be interrupted: it takes as long as the system's resolver is set to, and only then is the time looked at.

    Raises:
        TransportError: ``dns``, ``connect`` or ``connect_timeout``; ``config`` for an address that is not public, with *public_only*.
    """
    peer = f"{host}:{port}"
    failure: TransportError | None = None
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, 0, socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        failure = dns_failure(host, error)
        found = []
    for rank, (family, kind, proto, _, address) in enumerate(found):
        left = until - _now()
        if left <= 0:
            break
        if public_only:
            check_public(host, str(address[0]))
        share = None if left == math.inf else left / (len(found) - rank)
        try:
            sock = _connect(socket.socket(family, kind, proto), address, share, options)
        except OSError as error:
            failure = connect_failure(peer, error)
            continue
        sock.settimeout(None if left == math.inf else max(until - _now(), 0.001))
        return sock
    raise failure or TransportError("connect_timeout", f"{peer}: the time was over before an address was tried")


def _connect(
    sock: socket.socket, address: tuple[object, ...], seconds: float | None, options: Sequence[tuple[int, int, int | bytes]]
) -> socket.socket:
    try:
        for level, name, value in options:
            sock.setsockopt(level, name, value)
        sock.settimeout(seconds)
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


def send_request(wire: Wire, head: bytes, body: bytes, exchange: Exchange) -> None:
    """Send the request. A peer that reads no more may have answered already, so that its going is no error here."""
    failure: TransportError | None = None
    try:
        if len(body) <= _PIECE:
            wire.sendall(head + body)
            return
        wire.sendall(head)
        # In pieces, since ``sendall`` takes the time-out for the whole of what it is given.
        view = memoryview(body)
        for at in range(0, len(body), _PIECE):
            wire.sendall(view[at : at + _PIECE])
    except OSError as error:
        if not is_peer_gone(error):
            failure = exchange.failure(error)
    if failure is not None:
        # The frame must not hold the head, which holds the key.
        del head
        raise failure


def read_reply(wire: Wire, exchange: Exchange) -> Reply:
    """
    Return the response, with its body unless a stream is wanted and the status is 2xx: then ``stream`` is to be read.

    Raises:
        TransportError: The connection is then of no more use.
    """
    head, rest = _read_head(wire, exchange)
    framing = framing_of(head, exchange.method)
    reply = Reply(head)
    if not 200 <= head.status < 300:
        reply.body = _read_error_body(wire, exchange, head, framing, rest)
        reply.keeps_alive = head.keeps_alive and framing.done and not framing.excess
        return reply
    coding = head.headers.get("content-encoding")
    if exchange.stream:
        reply.stream = WireStream(wire, exchange, head, framing, Decoder(coding, sys.maxsize), rest)
        return reply
    if isinstance(framing, Sized) and framing.left > exchange.body_limit:
        msg = f"a body of {framing.left} bytes is announced, {exchange.body_limit} are allowed"
        raise TransportError("response_too_large", msg, fatal=True)
    decoder = Decoder(coding, exchange.body_limit)
    pieces = [*_pieces(wire, exchange, framing, decoder, rest)]
    decoder.finish()
    reply.body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    reply.keeps_alive = head.keeps_alive and not framing.excess
    return reply


def _read_head(wire: Wire, exchange: Exchange) -> tuple[Head, bytes]:
    """Return the head of the final reply, and what came behind it."""
    reader = HeadReader()
    data = _receive(wire, exchange, _PIECE)
    exchange.first_byte = _now() - exchange.start
    while (head := reader.feed(data)) is None:
        data = _receive(wire, exchange, _PIECE)
    return head, reader.rest


def _receive(wire: Wire, exchange: Exchange, size: int) -> bytes:
    """Return the next bytes of a head, at least one."""
    failure = None
    try:
        data = wire.recv(size)
    except OSError as error:
        data = b""
        failure = exchange.failure(error)
    if data:
        return data
    raise failure or exchange.failure(None)


def _pieces(wire: Wire, exchange: Exchange, framing: Framing, decoder: Decoder, data: bytes) -> Iterator[bytes]:
    """Yield the decoded body as it comes; *data* is its beginning."""
    while True:
        if data:
            piece = decoder.feed(framing.feed(data))
            if piece:
                yield piece
        if framing.done:
            return
        data = _read(wire, exchange, framing, _PIECE)


def _read(wire: Wire, exchange: Exchange, framing: Framing, size: int) -> bytes:
    """Return the next bytes of a body; none when the end of the connection ended it."""
    if framing.failure is not None:
        raise TransportError(*framing.failure.args)
    failure = None
    try:
        data = wire.recv(size)
    except OSError as error:
        data = b""
        failure = exchange.failure(error)
    if data:
        return data
    if failure is None:
        # A connection that was cut here looks like one that its peer has closed.
        if exchange.watch.fired:
            failure = exchange.expired()
        else:
            framing.end()
            return b""
    raise failure


def _read_error_body(wire: Wire, exchange: Exchange, head: Head, framing: Framing, data: bytes) -> bytes:
    """Return what can be had of the body in a short time. Its reply is a reply whatever becomes of its body."""
    exchange.watch.move(min(exchange.until, _now() + _ERROR_TIME))
    pieces: list[bytes] = []
    size = 0
    try:
        decoder = Decoder(head.headers.get("content-encoding"), ERROR_BODY_LIMIT + _STEP)
        while True:
            body = framing.feed(data)
            # In small steps, since the one that goes too far is lost.
            pieces.extend(decoder.feed(body[at : at + _STEP]) for at in range(0, len(body), _STEP))
            size += len(body)
            if framing.done or size >= ERROR_BODY_LIMIT:
                break
            data = _read(wire, exchange, framing, _PIECE)
    except TransportError:
        head.keeps_alive = False
    return b"".join(pieces)[:ERROR_BODY_LIMIT]


class WireStream:
    """
    The body of a response, read from its connection as it comes: a ``ByteStream``.

    ``release`` is called once, with whether the connection may serve again, also when nobody holds the stream any more.
    """

    __slots__ = ("_decoder", "_exchange", "_failure", "_first", "_framing", "_is_open", "_keeps_alive", "_size", "_wire", "release")

    def __init__(self, wire: Wire, exchange: Exchange, head: Head, framing: Framing, decoder: Decoder, first: bytes) -> None:
        self._wire = wire
        self._exchange = exchange
        self._framing = framing
        self._decoder = decoder
        self._first = first
        self._keeps_alive = head.keeps_alive
        self._size = _CODED_PIECE if "content-encoding" in head.headers else _PIECE
        self._failure: TransportError | None = None
        self._is_open = True
        self.release: Callable[[bool], None] = _ignore

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._is_open:
            piece = self._next_piece()
            if piece:
                return piece
        self._check_end()
        raise StopIteration

    def expire_in(self, seconds: float | None) -> None:
        self._exchange.watch.move(math.inf if seconds is None else _now() + seconds)

    def drain(self) -> None:
        if self._is_open and not self._framing.done:
            self.expire_in(_DRAIN_TIME)
            self._drain()
        self.close()

    def close(self) -> None:
        if not self._is_open:
            return
        self._is_open = False
        fired = self._exchange.end()
        is_whole = self._framing.done and not self._framing.excess
        if not is_whole:
            # Another thread may be waiting for bytes; closing alone would leave it there.
            self._exchange.watch.cut()
        self.release(is_whole and self._keeps_alive and not fired)

    def __del__(self) -> None:
        self.close()

    def _next_piece(self) -> bytes:
        """Return the next bytes, none at the end; after a failure the connection is closed and the failure kept."""
        failure = None
        try:
            piece = self._read_piece()
        except TransportError as error:
            failure = TransportError(*error.args)
        except BaseException:
            # Interrupted between two bytes, nobody knows where: it must not be read further.
            self._framing.excess = True
            self.close()
            raise
        if not self._is_open:
            # By another thread, meanwhile: what looks like an end was our own doing.
            failure = _closed_early()
        elif failure is None:
            if self._framing.done:
                self.close()
            return piece
        self._failure = failure
        self.close()
        return b""

    def _read_piece(self) -> bytes:
        while not self._framing.done:
            data, self._first = self._first, b""
            data = data or _read(self._wire, self._exchange, self._framing, self._size)
            piece = self._decoder.feed(self._framing.feed(data))
            if piece:
                return piece
        return b""

    def _drain(self) -> None:
        room = ERROR_BODY_LIMIT
        try:
            self._wire.settimeout(_DRAIN_TIME)
            while room > 0 and not self._framing.done:
                data, self._first = self._first, b""
                data = data or _read(self._wire, self._exchange, self._framing, self._size)
                self._framing.feed(data)
                room -= len(data)
        except (TransportError, OSError):
            self._keeps_alive = False

    def _check_end(self) -> None:
        """Raise unless the body was read to its end: a cut stream is never a whole one, however often it is asked."""
        if self._failure is not None:
            raise TransportError(*self._failure.args)
        if not self._framing.done:
            raise _closed_early()
        self._decoder.finish()


def _closed_early() -> TransportError:
    return TransportError("config", "the stream was closed before its end")


def _ignore(_: bool) -> None:
    """Nobody waits for the connection."""

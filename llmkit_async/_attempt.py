"""
One request under way: its connection, what came over it, and the limits of time on it.

Rule 1: when a limit is over, the connection is aborted, and whoever waits for it fails. No task is cancelled, so that a cancellation is
        always the caller's own.
Rule 2: limits run only while somebody waits for bytes; what the consumer of a stream does in between counts for nothing.
Rule 3: a limit costs an assignment. A loop has one timer for all attempts, armed for the nearest limit it was told of; when it fires and
        that limit has moved, it is armed again. (A timer per attempt cost a tenth of a whole request.)
Rule 4: a connection goes back to its pool in the moment in which the reply is whole, as the pool gave it, or else it is aborted:
        without a TLS goodbye, and without sending what is left to send. Either happens once.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Literal, Protocol

from llmkit.transport.base import Timeout, TransportError
from llmkit.transport.faults import read_failure
from llmkit.transport.http1 import Framing, Head, HeadReader, Sized, framing_of

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Attempt", "Connection", "Watch", "abort_without_loop", "out_of_time", "protocol_of"]

STEP = 0.005  # seconds between two looks at the attempts, at least
PORTION = 64 * 1024  # bytes written at a time; what is written is out of sight, and may be on its way for long
ROOM = 256 * 1024  # bytes of a body kept for a reader who is slow; then nothing more is read

Limit = Literal["connect_timeout", "read_timeout", "expired"]

_LIMITS: dict[Limit, str] = {
    "connect_timeout": "no connection came about in time",
    "read_timeout": "the peer sent nothing in the time allowed",
    "expired": "the time allowed is over",
}


class Connection(Protocol):
    """What is needed here of aiohttp's connection."""

    def close(self) -> None: ...

    def release(self) -> None: ...


def protocol_of(transport: asyncio.Transport) -> asyncio.BaseProtocol | None:
    """Return the protocol of *transport*, or None when it has ended: where asyncio's TLS says so with an AttributeError."""
    try:
        return transport.get_protocol()
    except AttributeError:
        return None


def abort_without_loop(loop: asyncio.AbstractEventLoop, transport: asyncio.Transport) -> None:
    """Abort *transport* although *loop* is closed: it closes its socket in a callback, which a closed loop refuses to take."""
    calls: list[Callable[[], object]] = []

    def call_soon(callback: Callable[..., object], *args: object, **_: object) -> None:
        calls.append(lambda: callback(*args))

    with suppress(AttributeError):  # a loop that is not asyncio's own closes its sockets itself
        loop.call_soon = call_soon  # type: ignore[method-assign,assignment]
        try:
            transport.abort()
            # The first is the closing. What follows would wake tasks that died with the loop.
            for call in calls[:1]:
                call()
        finally:
            del loop.call_soon


class Watch:
    """The timer of one loop."""

    __slots__ = ("_handle", "attempts", "due", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.attempts: set[Attempt] = set()
        self.due = inf  # when it fires
        self._handle: asyncio.TimerHandle | None = None

    def arm(self, when: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self.due = when
        self._handle = self.loop.call_at(when, self._look)

    def _look(self) -> None:
        now = max(self.due, self.loop.time())
        self.due = nearest = inf
        self._handle = None
        for attempt in tuple(self.attempts):
            nearest = min(nearest, attempt.look(now))
        if nearest < self.due:
            self.arm(max(nearest, now + STEP))


class Attempt(asyncio.Protocol):
    """
    One call of ``send``: what is allowed, how far it came, and the protocol of its connection.

    ``leave`` is called once, when the attempt holds no connection any more.
    """

    connect: float | None = None  # seconds, of a connection made for this request
    first_byte: float | None = None  # seconds from the beginning
    is_connecting = False  # a connection is being made for it, or was
    is_over = False
    _head: Head | None = None
    _framing: Framing | None = None
    _failure: TransportError | None = None
    _connection: Connection | None = None
    _transport: asyncio.Transport | None = None
    _protocol: asyncio.Protocol | None = None  # the pool's, for which this one stands
    _waiter: asyncio.Future[None] | None = None
    _unsent: memoryview | None = None
    _progress = (0, 0)
    _size = 0  # bytes that wait for the reader
    _is_paused = False
    _may_write = True
    _silent_at = inf

    def __init__(self, watch: Watch, timeout: Timeout, method: str, leave: Callable[[], None]) -> None:
        self._watch = watch
        self._method = method
        self._leave = leave
        self.peer = ""  # for people
        self.loop = watch.loop
        self.began = watch.loop.time()
        self.connect_limit = timeout.connect
        self.expire_at = inf if timeout.total is None else self.began + timeout.total
        self._read = inf if timeout.read is None else timeout.read
        self._reader = HeadReader()
        self._pieces: list[bytes] = []

    def begin(self, connection: Connection, transport: asyncio.Transport, protocol: asyncio.Protocol, head: bytes, body: bytes) -> None:
        """Send the request over this connection."""
        self._connection, self._transport, self._protocol = connection, transport, protocol
        transport.set_protocol(self)
        self._watch.attempts.add(self)
        if len(body) <= PORTION:
            transport.write(head + body)
            return
        transport.write(head)
        self._unsent = memoryview(body)
        self._send_on()

    async def read_head(self) -> Head:
        """
        Return status and headers of the reply.

        Raises:
            TransportError: None came.
        """
        while self._head is None:
            await self._wait()
        return self._head

    async def read(self) -> bytes:
        """
        Return what has come of the body, or comes next; nothing at its end.

        Raises:
            TransportError: It has no end, or a limit is over. What came before is returned before.
        """
        if self.expire_at <= self.loop.time():
            self._end("expired")
        while not self._pieces:
            if self._failure is None and self.is_whole:
                return b""
            await self._wait()
        return self.take()

    def take(self) -> bytes:
        """Return what has come of the body, which may be nothing."""
        pieces, self._pieces = self._pieces, []
        self._size = 0
        if self._is_paused:
            self._resume_reading()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def told(self, error: TransportError) -> TransportError:
        """Return *error* with how far this attempt came."""
        return TransportError(error.kind, error.message, error.fatal, error.reused, error.local, self.connect, self.first_byte)

    @property
    def is_whole(self) -> bool:
        """Whether the reply has come to its end."""
        return self._framing is not None and self._framing.done

    @property
    def to_come(self) -> int:
        """The bytes of the body that are announced and have not come."""
        return self._framing.left if isinstance(self._framing, Sized) else 0

    def expire_in(self, seconds: float | None) -> None:
        """Allow *seconds* from now, in all; None lifts the bound."""
        self.expire_at = inf if seconds is None else self.loop.time() + seconds
        if self._waiter is not None and self.expire_at < self._watch.due:
            self._watch.arm(self.expire_at)

    def look(self, now: float) -> float:
        """End it if a limit is over, else return the next one."""
        if self._waiter is None or self._waiter.done():
            return inf
        if self.expire_at <= now:
            self._end("expired")
        elif self._silent_at <= now and not self._is_sending(now):
            self._end("read_timeout")
        else:
            return min(self._silent_at, self.expire_at)
        return inf

    def abort(self, failure: TransportError | None = None) -> None:
        """Close the connection at once, unless it was given back; whoever reads gets *failure*."""
        if failure is not None and self._failure is None:
            self._failure = failure
        self._settle(keeps=False)
        self._wake()

    def _end(self, limit: Limit) -> None:
        self._pieces.clear()
        self.abort(out_of_time(limit))

    async def _wait(self) -> None:
        """Wait until there is more to read, or it has failed; raise ``TransportError`` when it had failed before."""
        if self._waiter is not None:
            msg = "two tasks read one stream"
            raise TransportError("config", msg, fatal=True)
        if self._failure is not None:
            raise TransportError(*self._failure.args)
        now = self.loop.time()
        limit = self._silent_at = now + self._read
        if self.expire_at < limit:
            limit = self.expire_at
        if limit < self._watch.due:
            self._watch.arm(limit)
        self._waiter = self.loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _is_sending(self, now: float) -> bool:
        """Whether the request is still going out; then the silence has not begun."""
        transport = self._held()
        if transport is None:
            return False
        progress = (transport.get_write_buffer_size(), 0 if self._unsent is None else len(self._unsent))
        if progress in ((0, 0), self._progress):
            return False
        self._progress = progress
        self._silent_at = now + self._read
        return True

    def _send_on(self) -> None:
        transport = self._transport
        while self._unsent and self._may_write and transport is not None and not self.is_over:
            portion, self._unsent = self._unsent[:PORTION], self._unsent[PORTION:]
            transport.write(portion)

    def _resume_reading(self) -> None:
        self._is_paused = False
        transport = self._held()
        if transport is not None:
            with suppress(RuntimeError):  # uvloop: it is closing
                transport.resume_reading()

    def _held(self) -> asyncio.Transport | None:
        """Return the transport while there is something to do about it."""
        transport = self._transport
        if self.is_over or transport is None or protocol_of(transport) is not self:
            return None
        return transport

    def _settle(self, *, keeps: bool) -> None:
        """Give the connection back, or close it."""
        if self.is_over:
            return
        transport = self._held()
        self.is_over = True
        self._watch.attempts.discard(self)
        connection, self._connection = self._connection, None
        # Nobody waits for a server that answers without reading the request to read on.
        is_idle = transport is not None and not (self._unsent or transport.get_write_buffer_size() or transport.is_closing())
        self._unsent = None
        if connection is not None and keeps and is_idle:
            self._give_back(connection)
        elif connection is not None:
            if transport is not None:
                self._abort(transport)
            connection.close()
        self._leave()

    def _give_back(self, connection: Connection) -> None:
        transport, protocol = self._transport, self._protocol
        assert transport is not None
        assert protocol is not None
        self._transport = self._protocol = None
        if self._is_paused:
            transport.resume_reading()
        transport.set_protocol(protocol)
        connection.release()

    def _abort(self, transport: asyncio.Transport) -> None:
        if self.loop.is_closed():
            abort_without_loop(self.loop, transport)
        else:
            transport.abort()

    # What the transport calls.

    def data_received(self, data: bytes) -> None:
        if self.is_over:
            return
        now = self.loop.time()
        self._silent_at = now + self._read
        if self.first_byte is None:
            self.first_byte = now - self.began
        failure = None
        try:
            self._take(data)
        except TransportError as error:
            failure = TransportError(*error.args)
        if failure is not None:
            self.abort(failure)

    def eof_received(self) -> None:
        self._take_end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._take_end(exc)
        protocol, self._protocol = self._protocol, None
        self._transport = None
        if protocol is not None:
            protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        self._may_write = False

    def resume_writing(self) -> None:
        self._may_write = True
        self._send_on()

    def _take(self, data: bytes) -> None:
        framing = self._framing
        if framing is None:
            head = self._reader.feed(data)
            if head is None:
                return
            framing = self._framing = framing_of(head, self._method)
            self._head = head
            data = self._reader.rest
            self._wake()
        if data:
            piece = framing.feed(data)
            if piece:
                self._pieces.append(piece)
                self._size += len(piece)
                self._wake()
        if framing.done:
            assert self._head is not None
            self._settle(keeps=self._head.keeps_alive and not framing.excess)
            self._wake()
        elif framing.failure is not None:
            raise TransportError(*framing.failure.args)
        elif self._size > ROOM and not self._is_paused and self._transport is not None:
            self._is_paused = True
            with suppress(RuntimeError):  # uvloop: it is closing
                self._transport.pause_reading()

    def _take_end(self, exc: Exception | None) -> None:
        """The connection was closed, or broke with *exc*."""
        if self.is_over:
            return
        begun = self.first_byte is not None
        reused = self.connect is None
        failure = None
        if exc is not None:
            cause = exc if isinstance(exc, OSError) else ConnectionError(type(exc).__name__)
            failure = read_failure(self.peer, cause, begun=begun, reused=reused)
        elif self._framing is not None:
            try:
                self._framing.end()
            except TransportError as error:
                failure = TransportError(*error.args)
        elif begun:
            failure = TransportError("truncated", f"{self.peer} closed the connection inside the headers")
        else:
            failure = TransportError("connection_lost", f"{self.peer} closed the connection without an answer", reused=reused)
        self.abort(failure)


def out_of_time(limit: Limit) -> TransportError:
    return TransportError(limit, _LIMITS[limit])

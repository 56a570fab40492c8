"""
One request under way: its connection, how far it came, and the limits of time on it.

Rule 1: when a limit is over, the connection is aborted, and whoever waits for it fails. No task is cancelled, so that a cancellation is
        always the caller's own.
Rule 2: limits run only while somebody waits for bytes; what the consumer of a stream does in between counts for nothing.
Rule 3: a limit costs an assignment. A loop has one timer for all attempts, armed for the nearest limit it was told of; when it fires and
        that limit has moved, it is armed again. (A timer per attempt cost a tenth of a whole request.)
"""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING, Literal, Protocol

from llmkit.transport.base import Timeout, TransportError

if TYPE_CHECKING:
    import io

__all__ = ["Attempt", "Limit", "Watch", "protocol_of"]

STEP = 0.005  # seconds between two looks at the attempts, at least

# Bytes that may come before aiohttp says that it has read the head: a head, and what it has read of the body by then. Without this
# bound, interim replies (100, 103) could come for ever.
HEAD_ROOM = 1024 * 1024

Limit = Literal["connect_timeout", "read_timeout", "expired", "protocol"]


class Content(Protocol):
    """What is needed here of aiohttp's body."""

    def is_eof(self) -> bool: ...

    def exception(self) -> BaseException | None: ...

    def set_exception(self, exc: BaseException) -> None: ...


def protocol_of(transport: asyncio.Transport) -> asyncio.BaseProtocol | None:
    """Return the protocol of *transport*, or None when it has ended: where asyncio's TLS says so with an AttributeError."""
    try:
        return transport.get_protocol()
    except AttributeError:
        return None


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
    What is known of one request.

    It stands between the transport (asyncio's) and aiohttp's protocol, and sees what aiohttp does not tell: whether a byte of an answer
    came before the connection died, and how it died.
    """

    connect: float | None = None  # seconds, of a connection made for this request
    first_byte: float | None = None  # seconds from the beginning
    transport: asyncio.Transport | None = None
    over: Limit | None = None  # the limit that ended it
    is_lost = False  # the connection broke, other than by a clean end
    waits = False
    _is_gone = False
    _waits_for_head = True
    _room = HEAD_ROOM
    body: io.BytesIO | None = None  # a body that is read as it is sent
    _unsent = (0, 0)
    _silent_at = inf
    _protocol: asyncio.Protocol | None = None
    _content: Content | None = None

    def __init__(self, watch: Watch, timeout: Timeout, url: str) -> None:
        self._watch = watch
        self.url = url
        self.loop = watch.loop
        self.began = watch.loop.time()
        self.connect_limit = timeout.connect
        self.expire_at = inf if timeout.total is None else self.began + timeout.total
        self._read = inf if timeout.read is None else timeout.read

    def take(self, transport: asyncio.Transport, protocol: asyncio.Protocol) -> None:
        """Go on over this connection, which is about to be written to."""
        self.transport = transport
        self._protocol = protocol
        transport.set_protocol(self)
        self._watch.attempts.add(self)
        self.wait()

    def read(self, content: Content) -> None:
        """Go on to the body: the head has come."""
        self.waits = self._waits_for_head = False
        self._content = content
        if self._protocol is not None:
            # The pieces of a body are many; they go past this object.
            self.data_received = self._protocol.data_received  # type: ignore[method-assign]

    def wait(self) -> None:
        """Begin to wait for bytes: ``over`` is set, now or later, when they do not come in time."""
        now = self.loop.time()
        limit = self._silent_at = now + self._read
        if self.expire_at < limit:
            limit = self.expire_at
            if limit <= now:
                self._end("expired")
                return
        self.waits = True
        if limit < self._watch.due:
            self._watch.arm(limit)

    def expire_in(self, seconds: float | None) -> None:
        """Allow *seconds* from now, in all; None lifts the bound."""
        self.expire_at = inf if seconds is None else self.loop.time() + seconds
        if self.waits and self.expire_at < self._watch.due:
            self._watch.arm(self.expire_at)

    def look(self, now: float) -> float:
        """End it if a limit is over, else return the next one."""
        if not self.waits:
            return inf
        if self.expire_at <= now:
            self._end("expired")
        elif self._silent_at <= now and not self._is_sending(now):
            self._end("read_timeout")
        else:
            return min(self._silent_at, self.expire_at)
        return inf

    def finish(self) -> None:
        """
        Stop watching: the answer is whole.

        Nobody waits for a server that answers without reading the request to read on, nor for its goodbye where the connection is
        closed, which in TLS may take for ever.
        """
        held = self._held()
        if held is not None and (held.is_closing() or held.get_write_buffer_size()):
            held.abort()
        self._let_go()

    def abort(self) -> None:
        """Stop watching and close the connection at once: without a TLS goodbye, and without sending what is left to send."""
        self._let_go()
        held = self._held()
        if held is not None:
            held.abort()

    def _held(self) -> asyncio.Transport | None:
        """Return the transport while it is this attempt's. When the answer was whole it may serve another by now."""
        transport = self.transport
        if transport is None or self._is_gone or self.loop.is_closed() or protocol_of(transport) is not self:
            return None
        return transport

    def _let_go(self) -> None:
        self.waits = False
        self._content = self.body = None
        self._watch.attempts.discard(self)

    def _is_sending(self, now: float) -> bool:
        """Whether the request is still going out; then the silence has not begun."""
        held = self._held()
        if held is None or not (buffered := held.get_write_buffer_size()):
            return False
        unsent = (buffered, 0 if self.body is None else self.body.tell())
        if unsent == self._unsent:
            return False
        self._unsent = unsent
        self._silent_at = now + self._read
        return True

    def _end(self, limit: Limit) -> None:
        self.over = limit
        content = self._content
        self.abort()
        # Where aiohttp has closed the connection before, aborting it wakes nobody.
        if content is not None:
            content.set_exception(TransportError(limit, "the time allowed is over"))

    # What the transport calls.

    def data_received(self, data: bytes) -> None:
        now = self.loop.time()
        self._silent_at = now + self._read
        if self.first_byte is None:
            self.first_byte = now - self.began
        if self._waits_for_head:
            self._room -= len(data)
            if self._room < 0:
                self._end("protocol")
                return
        if self._protocol is not None:
            self._protocol.data_received(data)

    def eof_received(self) -> bool | None:
        return None if self._protocol is None else self._protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_gone = True
        self.is_lost = exc is not None
        if self._protocol is not None:
            self._protocol.connection_lost(exc)
        content = self._content
        if content is not None and not content.is_eof() and content.exception() is None:
            # aiohttp closes a connection whose chunks make no sense, and leaves the reader waiting (measured with 3.14).
            content.set_exception(TransportError("protocol", "the body is not in chunks as it should be"))

    def pause_writing(self) -> None:
        if self._protocol is not None:
            self._protocol.pause_writing()

    def resume_writing(self) -> None:
        if self._protocol is not None:
            self._protocol.resume_writing()

"""
HTTP by aiohttp, which is named here and nowhere else.

Rule 1: aiohttp does nothing by itself: no redirect, no cookie, no netrc, no header, no decoding, no time limit, no second sending.
Rule 2: every loop has its own session, made when the loop first sends, closed with the transport or with the loop.
Rule 3: no exception of aiohttp leaves this module, and no traceback through its frames: they hold the request's headers.
"""

from __future__ import annotations

import asyncio
import errno
import io
import socket
import ssl
import sys
import threading
import weakref
from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar
from functools import lru_cache
from itertools import chain
from math import inf
from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

from llmkit._fork import renewed_in_child
from llmkit.transport.base import (
    BODY_LIMIT,
    ERROR_BODY_LIMIT,
    HttpRequest,
    HttpResponse,
    Timeout,
    TransportError,
    TransportErrorKind,
)
from llmkit.transport.decoding import Decoder
from llmkit.transport.settings import SOCKET_OPTIONS, TransportSettings
from llmkit_async._attempt import Attempt
from llmkit_async._home import Connections, Home

if sys.version_info >= (3, 11):
    from asyncio import timeout_at
else:  # aiohttp brings it there
    from async_timeout import timeout_at

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.connector import AddrInfoType, Connection
    from aiohttp.tracing import Trace

__all__ = ["AiohttpTransport"]

HEADER_LIMIT = 64 * 1024  # bytes of a response's head
IDLE_LIMIT = 30.0  # seconds a connection is kept unused; servers close theirs after a minute or so, without a word
ERROR_BODY_TIME = 5.0  # seconds; that a request was refused is worth more than why
DRAIN_LIMIT = 64 * 1024  # bytes
DRAIN_TIME = 0.1  # seconds
LARGE = 1024 * 1024  # bytes; aiohttp warns of longer bytes objects, and sends a file of them in portions
DECODE_STEP = 16 * 1024  # bytes of a coded stream decoded at once, which unfold to 16 MiB at most

# What aiohttp would add to a request that lacks it.
_AUTO_HEADERS = frozenset({"accept", "accept-encoding", "content-type", "user-agent"})

# Not the peer's fault.
_LOCAL = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL})

# The first that fits.
_KINDS: tuple[tuple[type[Exception], TransportErrorKind], ...] = (
    (aiohttp.ClientConnectorCertificateError, "tls"),
    (aiohttp.ClientConnectorSSLError, "tls"),
    (aiohttp.ClientConnectorDNSError, "dns"),
    (aiohttp.ClientProxyConnectionError, "connect"),
    (aiohttp.ClientHttpProxyError, "proxy"),
    (aiohttp.ClientConnectorError, "connect"),
    (aiohttp.ConnectionTimeoutError, "expired"),  # the wait for a free connection; all other limits are our own
    (aiohttp.ClientPayloadError, "truncated"),
    (aiohttp.ClientResponseError, "protocol"),
    (aiohttp.InvalidURL, "config"),
    (aiohttp.NonHttpUrlClientError, "config"),
    (aiohttp.ClientConnectionError, "connection_lost"),
    (OSError, "connection_lost"),
    (RuntimeError, "connection_lost"),  # aiohttp says "Connection closed." with it
    (ValueError, "config"),
    (TypeError, "config"),
)

_MESSAGES: dict[TransportErrorKind, str] = {
    "connect_timeout": "no connection in time",
    "read_timeout": "nothing came in time",
    "expired": "the time allowed is over",
    "connection_lost": "the connection was closed before an answer came",
    "truncated": "the connection was closed in the middle of the answer",
    "protocol": "what came is not HTTP",
    "config": "the request cannot be sent as it is",
}

_NO_LIMIT = aiohttp.ClientTimeout(total=None, ceil_threshold=inf)

# The way from ``send`` through aiohttp to the connector, within one task.
_current: ContextVar[Attempt] = ContextVar("llmkit_attempt")


class AiohttpTransport:
    """
    The ``AsyncTransport`` over aiohttp, for any number of loops, in any threads, one after the other or at once.

    ``HttpResponse.first_byte`` counts from the call of ``send``.
    """

    def __init__(self, settings: TransportSettings | None = None) -> None:
        self._settings = TransportSettings() if settings is None else settings
        self._homes: dict[asyncio.AbstractEventLoop, _Home] = {}
        self._lock = threading.Lock()
        self._is_closed = False
        weakref.finalize(self, _dispose, self._homes).atexit = False
        renewed_in_child(self)

    async def send(self, request: HttpRequest, *, timeout: Timeout, stream: bool = False) -> HttpResponse:
        home = self._homes.get(asyncio.get_running_loop()) or await self._move_in()
        attempt = Attempt(home.watch, timeout)
        home.in_flight += 1
        try:
            response = await self._exchange(home, attempt, request, stream)
        except BaseException as exc:
            attempt.abort()
            home.leave()
            error = _translated(exc, attempt)
            if error is None:
                raise exc.with_traceback(None)  # noqa: B904 (it is the same exception)
        else:
            if response.astream is None:
                attempt.finish()
                home.leave()
            return response
        raise error

    async def close(self) -> None:
        with self._lock:
            self._is_closed = True
            homes = list(self._homes.values())
            self._homes.clear()
        loop = asyncio.get_running_loop()
        for home in homes:
            if home.loop is not loop:
                home.dispose()
        for home in homes:
            if home.loop is loop:
                await home.close()

    def renew(self) -> None:
        """Leave the sessions to the parent. Called in the child of a fork."""
        homes = list(self._homes.values())
        self._homes.clear()
        self._lock = threading.Lock()
        for home in homes:
            home.forsake()

    async def _move_in(self) -> _Home:
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._is_closed:
                msg = "the client is closed"
                raise TransportError("config", msg, fatal=True)
            for other in list(self._homes):
                if other.is_closed():
                    self._homes.pop(other).dispose()
            home = self._homes[loop] = _new_home(loop, self._settings.max_connections)
        await home.settle(self._homes)
        return home

    async def _exchange(self, home: _Home, attempt: Attempt, request: HttpRequest, stream: bool) -> HttpResponse:
        url, body, headers = _url(request.url), request.body, request.headers
        proxy = self._settings.proxy_for(request.url)
        is_secure = url.scheme == "https" or (proxy is not None and proxy.startswith("https"))
        token = _current.set(attempt)
        try:
            reply = await home.session.request(
                request.method,
                url,
                data=io.BytesIO(body) if len(body) > LARGE else body or None,
                headers=headers,
                skip_auto_headers=None if headers.keys() >= _AUTO_HEADERS else _AUTO_HEADERS,
                allow_redirects=False,
                proxy=None if proxy is None else URL(proxy),
                ssl=self._settings.ssl_context() if is_secure else True,
            )
        finally:
            _current.reset(token)
        try:
            return await _received(home, attempt, reply, stream)
        except BaseException:
            _cut(attempt, reply)
            raise


async def _received(home: _Home, attempt: Attempt, reply: aiohttp.ClientResponse, stream: bool) -> HttpResponse:
    """Return the response whose head is there, read as far as it is to be read."""
    attempt.waits = False
    if attempt.over is not None:
        raise TransportError(attempt.over, _MESSAGES[attempt.over])
    attempt.is_headed = True
    headers = _headers(reply)
    response = HttpResponse(status=reply.status, headers=headers, connect=attempt.connect, first_byte=attempt.first_byte)
    if "content-length" not in headers and "transfer-encoding" not in headers:
        attempt.stay()
    if not 200 <= reply.status < 300:
        response.body = await _read_refusal(attempt, reply, headers)
    elif stream:
        response.astream = _Stream(home, attempt, reply, headers)
    else:
        response.body = await _read_body(attempt, reply, headers)
    return response


class _Stream:
    """The ``AsyncByteStream`` of a reply."""

    __slots__ = ("__weakref__", "_attempt", "_content", "_decoder", "_home", "_is_over", "_is_whole", "_reply", "_rest")

    def __init__(
        self, home: _Home, attempt: Attempt, reply: aiohttp.ClientResponse, headers: Mapping[str, str]
    ) -> None:
        self._is_over = True  # nothing is to be closed if the coding is unknown
        self._is_whole = False
        self._home = home
        self._attempt = attempt
        self._reply = reply
        self._content = reply.content
        coding = headers.get("content-encoding")
        self._decoder = Decoder(coding, sys.maxsize) if coding else None
        self._rest = b""  # received and not decoded
        self._is_over = False
        attempt.expire_in(None)

    def __aiter__(self) -> _Stream:
        return self

    async def __anext__(self) -> bytes:
        error = None
        try:
            while not self._is_over:
                piece = self._rest or await _read_piece(self._attempt, self._content)
                if not piece:
                    self._finish()
                elif self._decoder is None:
                    return piece
                else:
                    self._rest = piece[DECODE_STEP:]
                    if decoded := self._decoder.feed(piece[:DECODE_STEP]):
                        return decoded
        except BaseException as exc:
            self._end()
            error = _translated(exc, self._attempt)
            if error is None:
                raise exc.with_traceback(None)  # noqa: B904 (it is the same exception)
        if error is None and self._is_whole:
            raise StopAsyncIteration
        raise error or TransportError("truncated", "the stream was closed before its end")

    def expire_in(self, seconds: float | None) -> None:
        self._attempt.expire_in(seconds)

    async def drain(self) -> None:
        left = DRAIN_LIMIT
        self._attempt.expire_in(DRAIN_TIME)
        with suppress(TransportError):
            async for piece in self:
                left -= len(piece)
                if left < 0:
                    break
        self._end()

    async def close(self) -> None:
        self._end()

    def abort(self) -> None:
        loop = self._attempt.loop
        if loop.is_closed() or loop is _running_loop():
            self._end()
        elif not self._is_over:
            self._is_over = True
            with suppress(RuntimeError):  # closed in this moment, and the connection with it
                loop.call_soon_threadsafe(_end, self._home, self._attempt, self._reply)

    def __del__(self) -> None:
        if not self._is_over:
            self.abort()

    def _finish(self) -> None:
        if self._decoder is not None:
            self._decoder.finish()
        self._is_whole = True
        self._end()

    def _end(self) -> None:
        if not self._is_over:
            self._is_over = True
            _end(self._home, self._attempt, self._reply)


class _Remaining(aiohttp.ClientTimeout):
    """What is left of an attempt's time, asked for when it is needed, which is seldom."""

    def __init__(self, attempt: Attempt) -> None:
        super().__init__(total=None, connect=max(attempt.expire_at - attempt.loop.time(), 0.001), ceil_threshold=inf)


class _Connector(aiohttp.TCPConnector):
    """Tells the ``Attempt`` what becomes of it, and keeps an account of the connections."""

    def __init__(self, connections: Connections, max_connections: int) -> None:
        super().__init__(
            limit=0,
            limit_per_host=max_connections,
            keepalive_timeout=IDLE_LIMIT,
            timeout_ceil_threshold=inf,
            socket_factory=self._new_socket,
        )
        self._connections = connections

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout) -> Connection:
        attempt = _current.get()
        if attempt.transport is not None:
            # There is no documented way to forbid it (aio-libs/aiohttp#10790).
            msg = "aiohttp wants to send an idempotent request for the second time"
            raise aiohttp.ClientConnectionError(msg)
        if attempt.expire_at != inf:
            # For the wait until a connection is free. What comes then has limits of ours.
            timeout = _Remaining(attempt)
        while True:
            connection = await super().connect(req, traces, timeout)
            transport, protocol = connection.transport, connection.protocol
            if transport is None or protocol is None:
                connection.close()
                continue
            if attempt.connect is not None:
                self._connections.transports.add(transport)
            elif protocol.should_close:
                # Something came over it while nobody had asked, and would be taken for the answer.
                connection.close()
                continue
            attempt.take(transport, protocol)
            return connection

    async def _create_connection(
        self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        attempt = _current.get()
        began = self._loop.time()
        try:
            async with timeout_at(None if attempt.connect_limit is None else began + attempt.connect_limit):
                protocol = await super()._create_connection(req, traces, timeout)
        except asyncio.TimeoutError:
            attempt.over = "connect_timeout"
            raise
        attempt.connect = self._loop.time() - began
        return protocol

    def _new_socket(self, address: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, _ = address
        sock = socket.socket(family, kind, protocol)
        for option in SOCKET_OPTIONS:
            with suppress(OSError):  # not known to this kernel; the connection works without
                sock.setsockopt(*option)
        self._connections.sockets.add(sock)
        return sock

    def __del__(self, _warnings: object = None) -> None:
        """Nothing: a ``Home`` ends its connections itself, and aiohttp would complain of it."""


_Home = Home[aiohttp.ClientSession]


def _new_home(loop: asyncio.AbstractEventLoop, max_connections: int) -> _Home:
    connections = Connections()
    session = aiohttp.ClientSession(
        connector=_Connector(connections, max_connections),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=_NO_LIMIT,
        auto_decompress=False,
        trust_env=False,
        max_line_size=HEADER_LIMIT,
        max_field_size=HEADER_LIMIT,
    )
    return Home(loop, session, connections)


def _dispose(homes: dict[asyncio.AbstractEventLoop, _Home]) -> None:
    for home in list(homes.values()):
        home.dispose()


@lru_cache(maxsize=256)
def _url(url: str) -> URL:
    """Return *url* as it is: otherwise ``%3A`` in a model's name would become a colon."""
    if not url.isascii() or not url.isprintable() or " " in url:
        msg = "the URL holds a character that must be percent-encoded"
        raise TransportError("config", msg, fatal=True)
    return URL(url, encoded=True)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _headers(reply: aiohttp.ClientResponse) -> dict[str, str]:
    headers: dict[str, str] = {}
    for title, value in reply.headers.items():
        name = title.lower()
        if not value.isascii():
            value = value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    if sum(map(len, chain(headers, headers.values()))) > HEADER_LIMIT:
        msg = "the head of the response is larger than allowed"
        raise TransportError("protocol", msg, fatal=True)
    return headers


async def _read_piece(attempt: Attempt, content: aiohttp.StreamReader) -> bytes:
    """Return what is there, or comes next; nothing at the body's end."""
    attempt.wait()
    try:
        piece = await content.readany()
    except aiohttp.ClientError:
        piece = b"" if attempt.over is not None else _rest(content)
        if not piece:
            raise
    attempt.waits = False
    if attempt.over is not None:
        raise TransportError(attempt.over, _MESSAGES[attempt.over])
    if attempt.is_lost and not piece:
        raise TransportError("truncated", _MESSAGES["truncated"])
    return piece


def _rest(content: aiohttp.StreamReader) -> bytes:
    """Return what came before the connection broke: aiohttp gives only its exception from then on."""
    failure = content.exception()
    content.set_exception(None)  # type: ignore[arg-type]
    rest = content.read_nowait()
    content.set_exception(failure)  # type: ignore[arg-type]
    return rest


async def _read_body(attempt: Attempt, reply: aiohttp.ClientResponse, headers: Mapping[str, str]) -> bytes:
    declared = headers.get("content-length", "")
    if declared.isdigit() and int(declared) > BODY_LIMIT:
        msg = f"the body is {declared} bytes long, more than allowed"
        raise TransportError("response_too_large", msg, fatal=True)
    decoder = Decoder(headers.get("content-encoding"), BODY_LIMIT)
    content = reply.content
    pieces = []
    while not content.at_eof() and (piece := await _read_piece(attempt, content)):
        pieces.append(decoder.feed(piece))
    pieces.append(decoder.finish())
    return b"".join(pieces)


async def _read_refusal(attempt: Attempt, reply: aiohttp.ClientResponse, headers: Mapping[str, str]) -> bytes:
    """Return what can be had of the body of a reply that is no success, and close the connection if that is not all."""
    attempt.expire_at = min(attempt.expire_at, attempt.loop.time() + ERROR_BODY_TIME)
    pieces: list[bytes] = []
    left = ERROR_BODY_LIMIT
    with suppress(TransportError, aiohttp.ClientError, OSError):
        decoder = Decoder(headers.get("content-encoding"), BODY_LIMIT)
        while left > 0 and (piece := await _read_piece(attempt, reply.content)):
            pieces.append(decoder.feed(piece)[:left])
            left -= len(pieces[-1])
    if not reply.content.is_eof():
        _cut(attempt, reply)
    return b"".join(pieces)


def _end(home: _Home, attempt: Attempt, reply: aiohttp.ClientResponse) -> None:
    """Give the connection back if the body was read to its end, else close it."""
    if reply.content.is_eof():
        attempt.finish()
        reply.release()
    else:
        _cut(attempt, reply)
    home.leave()


def _cut(attempt: Attempt, reply: aiohttp.ClientResponse) -> None:
    attempt.abort()
    connection = reply.connection
    reply.close()
    if connection is not None:
        connection.close()  # in a closed loop the reply does not


def _translated(exc: BaseException, attempt: Attempt) -> TransportError | None:
    """Return what *exc* means, or None for what is not the network's: cancellation, interrupts, no memory."""
    if attempt.over is None and isinstance(exc, TransportError):
        error = exc.with_traceback(None)
    elif not isinstance(exc, Exception) or isinstance(exc, MemoryError):
        return None
    elif attempt.over is not None:
        error = TransportError(attempt.over, _MESSAGES[attempt.over])
    else:
        error = _told(exc, attempt)
    error.connect, error.first_byte = attempt.connect, attempt.first_byte
    return error


def _told(exc: Exception, attempt: Attempt) -> TransportError:
    kind: TransportErrorKind = next((kind for type_, kind in _KINDS if isinstance(exc, type_)), "protocol")
    cause = exc.os_error if isinstance(exc, aiohttp.ClientConnectorError) else exc
    number = cause.errno if isinstance(cause, OSError) else None
    if kind == "tls" and isinstance(cause, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        kind = "connect"
    if kind == "connect" and number == errno.ETIMEDOUT:
        kind = "connect_timeout"
    if kind == "connection_lost" and attempt.first_byte is not None:
        kind = "truncated"
    if kind == "connection_lost" and _is_tls_refusal(exc.__cause__):
        kind = "tls"
    return TransportError(
        kind,
        _message(kind, exc, cause),
        fatal=kind in ("tls", "config") or _is_hopeless(exc),
        reused=kind == "connection_lost" and attempt.transport is not None and attempt.connect is None,
        local=number in _LOCAL,
    )


def _is_tls_refusal(cause: BaseException | None) -> bool:
    """Whether the peer refused our certificate: with TLS 1.3 it says so after the handshake."""
    return isinstance(cause, ssl.SSLError) and "ALERT" in (cause.reason or "")


def _is_hopeless(exc: Exception) -> bool:
    """Whether the same would come again."""
    if isinstance(exc, aiohttp.ClientHttpProxyError):
        return exc.status == 407
    return False


def _message(kind: TransportErrorKind, exc: Exception, cause: BaseException) -> str:
    """Say it without a word of the request or the reply, either of which may hold a secret."""
    if isinstance(exc, aiohttp.ClientHttpProxyError):
        return f"the proxy answered with status {exc.status}"
    if not isinstance(exc, aiohttp.ClientConnectorError):
        return f"{_MESSAGES[kind]} ({type(exc).__name__})"
    reason = getattr(cause, "verify_message", None) or getattr(cause, "reason", None) or exc.strerror
    return f"{exc.host}:{exc.port}: {reason}"

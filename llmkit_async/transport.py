"""
HTTP by aiohttp, which is named here and nowhere else.

Rule 1: aiohttp does nothing by itself: no redirect, no cookie, no netrc, no decoding, no time limit, no second sending.
Rule 2: every loop has its own session, made when the loop first sends, closed with the transport or with the loop.
Rule 3: no exception of aiohttp leaves this module, and no traceback through its frames: they hold the request's headers.
"""

from __future__ import annotations

import asyncio
import io
import re
import socket
import sys
import threading
import weakref
from contextlib import suppress
from contextvars import ContextVar
from functools import lru_cache
from itertools import chain
from math import inf
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from llmkit._fork import renewed_in_child
from llmkit.transport.base import BODY_LIMIT, ERROR_BODY_LIMIT, HttpRequest, HttpResponse, Timeout, TransportError
from llmkit.transport.decoding import Decoder
from llmkit.transport.faults import connect_failure, dns_failure, read_failure
from llmkit.transport.settings import SOCKET_OPTIONS, TransportSettings
from llmkit_async._attempt import Attempt, Limit
from llmkit_async._home import Connections, Home

if sys.version_info >= (3, 11):
    from asyncio import timeout_at
else:  # aiohttp brings it there
    from async_timeout import timeout_at  # type: ignore[import-not-found]

if TYPE_CHECKING:
    from collections.abc import Mapping

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
DECODE_STEP = 16 * 1024  # bytes of a coded body decoded at once, which unfold to 16 MiB at most

# What aiohttp would add to a request that lacks it. (Accept-Encoding is the session's.)
_AUTO_HEADERS = frozenset({"accept", "content-type", "user-agent"})

_FIT_URL = re.compile(r"https?://[^/?#\\\s]+/[\x21-\x7e]*", re.ASCII | re.IGNORECASE)

_LIMITS: dict[Limit, str] = {
    "connect_timeout": "no connection came about in time",
    "read_timeout": "the peer fell silent",
    "expired": "the time allowed is over",
}

# What aiohttp's parser says of a head that is an attack rather than an accident.
_HOSTILE = re.compile("too many headers|duplicate content-length|got more than", re.IGNORECASE)

_NO_LIMIT = aiohttp.ClientTimeout(total=None, ceil_threshold=inf)

# The way from ``send`` through aiohttp to the connector, within one task.
_current: ContextVar[Attempt] = ContextVar("llmkit_attempt")


class AiohttpTransport:
    """
    The ``AsyncTransport`` over aiohttp, for any number of loops, in any threads, one after the other or at once.

    ``HttpResponse.first_byte`` counts from the call of ``send``.
    """

    def __init__(self, settings: TransportSettings | None = None) -> None:
        self._settings = settings or TransportSettings()
        self._homes: dict[asyncio.AbstractEventLoop, _Home] = {}
        self._lock = threading.Lock()
        self._is_closed = False
        weakref.finalize(self, _dispose, self._homes).atexit = False
        renewed_in_child(self)

    async def send(self, request: HttpRequest, *, timeout: Timeout, stream: bool = False) -> HttpResponse:
        home = self._homes.get(asyncio.get_running_loop()) or await self._move_in()
        attempt = Attempt(home.watch, timeout, request.url)
        home.in_flight += 1
        try:
            response = await self._exchange(home, attempt, request, stream)
        except BaseException as exc:  # noqa: BLE001 (a cancelled request must end its connection)
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
                raise TransportError("config", "the transport was closed", fatal=True)
            for other in list(self._homes):
                if other.is_closed():
                    self._homes.pop(other).dispose()
            home = self._homes[loop] = _new_home(loop, self._settings.max_connections)
        await home.settle(self._homes)
        return home

    async def _exchange(self, home: _Home, attempt: Attempt, request: HttpRequest, stream: bool) -> HttpResponse:
        url, body, headers = _url(request.url), request.body, request.headers
        if attempt.expire_at <= attempt.began:
            raise _out_of_time("expired")
        _check(headers)
        data: bytes | io.BytesIO | None = body or None
        if len(body) > LARGE:
            data = attempt.body = io.BytesIO(body)
        proxy = self._settings.proxy_for(request.url)
        is_secure = url.scheme == "https" or (proxy is not None and proxy.startswith("https"))
        token = _current.set(attempt)
        try:
            reply = await home.session.request(
                request.method,
                url,
                data=data,
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


class _Stream:
    """The ``AsyncByteStream`` of a reply."""

    __slots__ = ("__weakref__", "_attempt", "_content", "_decoder", "_failure", "_home", "_is_open", "_reply", "_rest")

    def __init__(self, home: _Home, attempt: Attempt, reply: aiohttp.ClientResponse, headers: Mapping[str, str]) -> None:
        self._is_open = False  # nothing is to be closed if the coding is unknown
        coding = headers.get("content-encoding")
        self._decoder = Decoder(coding, sys.maxsize) if coding else None
        self._home = home
        self._attempt = attempt
        self._reply = reply
        self._content = reply.content
        self._failure: TransportError | None = TransportError("config", "the stream was closed before its end")
        self._rest = b""  # received and not decoded
        self._is_open = True

    def __aiter__(self) -> _Stream:
        return self

    async def __anext__(self) -> bytes:
        try:
            while self._is_open:
                piece = self._rest or await _read_piece(self._attempt, self._content)
                if not piece:
                    self._finish()
                elif self._decoder is None:
                    return piece
                else:
                    self._rest = piece[DECODE_STEP:]
                    if decoded := self._decoder.feed(piece[:DECODE_STEP]):
                        return decoded
        except BaseException as exc:  # noqa: BLE001 (a cancelled read must end its connection)
            error = _translated(exc, self._attempt)
            if self._is_open and error is not None:
                self._failure = error
            self._end()
            if error is None:
                raise exc.with_traceback(None)  # noqa: B904 (it is the same exception)
        if self._failure is None:
            raise StopAsyncIteration
        raise TransportError(*self._failure.args)

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
        if not self._is_open:
            return
        loop = self._attempt.loop
        if loop.is_closed() or loop is _running_loop():
            self._end()
            return
        self._is_open = False
        with suppress(RuntimeError):  # closed in this moment, and the connection with it
            loop.call_soon_threadsafe(_end, self._home, self._attempt, self._reply)

    def __del__(self) -> None:
        self.abort()

    def _finish(self) -> None:
        if self._decoder is not None:
            self._decoder.finish()
        self._failure = None
        self._end()

    def _end(self) -> None:
        if self._is_open:
            self._is_open = False
            _end(self._home, self._attempt, self._reply)


class _Remaining(aiohttp.ClientTimeout):
    """What is left of an attempt's time, for the wait until a connection is free. What comes then has limits of our own."""

    def __init__(self, attempt: Attempt) -> None:
        super().__init__(total=None, connect=max(attempt.expire_at - attempt.loop.time(), 0.001), ceil_threshold=inf)


class _Connector(aiohttp.TCPConnector):
    """Tells the ``Attempt`` what becomes of it, and keeps an account of the connections."""

    def __init__(self, connections: Connections, max_connections: int) -> None:
        super().__init__(
            limit=0,
            limit_per_host=max_connections,
            keepalive_timeout=IDLE_LIMIT,
            socket_factory=self._new_socket,
        )
        self._connections = connections

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout) -> Connection:
        attempt = _current.get()
        if attempt.transport is not None:
            # It cannot be told not to (aio-libs/aiohttp#10790).
            msg = "aiohttp wants to send an idempotent request for the second time"
            raise aiohttp.ClientConnectionError(msg)
        if attempt.expire_at != inf:
            timeout = _Remaining(attempt)
        while True:
            connection = await super().connect(req, traces, timeout)
            transport, protocol = connection.transport, connection.protocol
            if transport is None or protocol is None or (attempt.connect is None and protocol.should_close):
                # Dead, or something came over it while nobody had asked, and would be taken for the answer.
                connection.close()
                continue
            if attempt.connect is not None:
                self._connections.transports.add(transport)
            attempt.take(transport, protocol)
            return connection

    async def _create_connection(self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout) -> ResponseHandler:
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
        headers={"Accept-Encoding": Decoder.accepts},
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
    if _FIT_URL.fullmatch(url) is not None:
        with suppress(ValueError):
            return URL(url, encoded=True)
    msg = "a URL needs http or https, a host and a path, and no character that must be percent-encoded"
    raise TransportError("config", msg, fatal=True)


def _check(headers: Mapping[str, str]) -> None:
    text = "".join(chain(headers, headers.values()))
    if not text.isascii() or not text.isprintable():
        msg = "a header holds a line break or a character that is not ASCII"
        del text, headers
        raise TransportError("config", msg, fatal=True)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


async def _received(home: _Home, attempt: Attempt, reply: aiohttp.ClientResponse, stream: bool) -> HttpResponse:
    """Return the response whose head is there, read as far as it is to be read."""
    attempt.read(reply.content)
    if attempt.over is not None:
        raise _out_of_time(attempt.over)
    headers = _headers(reply)
    coding = headers.get("transfer-encoding", "identity").strip().lower()
    if coding not in ("chunked", "identity"):
        raise TransportError("protocol", "the reply has a transfer coding that nobody asked for")
    response = HttpResponse(status=reply.status, headers=headers, connect=attempt.connect, first_byte=attempt.first_byte)
    if not 200 <= reply.status < 300:
        response.body = await _read_refusal(attempt, reply, headers)
    elif stream:
        response.astream = _Stream(home, attempt, reply, headers)
    else:
        response.body = await _read_body(attempt, reply, headers)
    return response


def _headers(reply: aiohttp.ClientResponse) -> dict[str, str]:
    headers: dict[str, str] = {}
    for title, value in reply.headers.items():
        name = title.lower()
        if not value.isascii():
            value = value.encode("utf-8", "surrogateescape").decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    if sum(map(len, chain(headers, headers.values()))) > HEADER_LIMIT:
        raise _flood()
    return headers


async def _read_piece(attempt: Attempt, content: aiohttp.StreamReader) -> bytes:
    """Return what is there, or comes next; nothing at the body's end."""
    attempt.wait()
    try:
        piece = await content.readany()
    except (aiohttp.ClientError, TransportError):
        piece = b"" if attempt.over is not None else _rest(content)
        if not piece:
            raise
    attempt.waits = False
    if attempt.over is not None:
        raise _out_of_time(attempt.over)
    if attempt.is_lost and not piece:
        # A body without a length ends with the connection, but not with a reset.
        raise TransportError("truncated", "the connection broke before the end of the body")
    return piece


def _rest(content: aiohttp.StreamReader) -> bytes:
    """Return what came before the connection broke: from then on aiohttp gives only its exception."""
    failure = content.exception()
    content.set_exception(None)  # type: ignore[arg-type]
    rest = content.read_nowait()
    content.set_exception(failure)  # type: ignore[arg-type]
    return rest


async def _read_body(attempt: Attempt, reply: aiohttp.ClientResponse, headers: Mapping[str, str]) -> bytes:
    declared = headers.get("content-length", "")
    if declared.isdigit() and int(declared) > BODY_LIMIT:
        msg = f"a body of {declared} bytes is announced, {BODY_LIMIT} are allowed"
        raise TransportError("response_too_large", msg, fatal=True)
    decoder = Decoder(headers.get("content-encoding"), BODY_LIMIT)
    pieces = []
    while not reply.content.at_eof() and (piece := await _read_piece(attempt, reply.content)):
        pieces.append(decoder.feed(piece))
    pieces.append(decoder.finish())
    return b"".join(pieces)


async def _read_refusal(attempt: Attempt, reply: aiohttp.ClientResponse, headers: Mapping[str, str]) -> bytes:
    """Return what can be had of the body of a reply that is no success, and close the connection if that is not all."""
    attempt.expire_at = min(attempt.expire_at, attempt.loop.time() + ERROR_BODY_TIME)
    pieces: list[bytes] = []
    size = 0
    with suppress(TransportError, aiohttp.ClientError, OSError):
        decoder = Decoder(headers.get("content-encoding"), ERROR_BODY_LIMIT + DECODE_STEP)
        while size < ERROR_BODY_LIMIT and (piece := await _read_piece(attempt, reply.content)):
            size += len(piece)
            # In small steps, since the one that goes too far is lost.
            pieces.extend(decoder.feed(piece[at : at + DECODE_STEP]) for at in range(0, len(piece), DECODE_STEP))
    if not reply.content.is_eof():
        _cut(attempt, reply)
    return b"".join(pieces)[:ERROR_BODY_LIMIT]


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
    if not isinstance(exc, Exception) or isinstance(exc, MemoryError):
        return None
    if attempt.over is not None:
        error = _out_of_time(attempt.over)
    elif isinstance(exc, TransportError):
        error = exc
    else:
        error = _failure(exc, attempt)
    return TransportError(error.kind, error.message, error.fatal, error.reused, error.local, attempt.connect, attempt.first_byte)


def _failure(exc: Exception, attempt: Attempt) -> TransportError:
    """Return what an exception of aiohttp's means, in our words: its own may quote the request or the reply."""
    peer = urlsplit(attempt.url).netloc.rpartition("@")[2]
    if isinstance(exc, aiohttp.ClientConnectorCertificateError):
        return connect_failure(peer, exc.certificate_error)
    if isinstance(exc, aiohttp.ClientConnectorDNSError):
        return dns_failure(exc.host, exc.os_error)
    if isinstance(exc, aiohttp.ClientConnectorError):
        return connect_failure(f"{exc.host}:{exc.port}", exc.os_error)
    if isinstance(exc, aiohttp.ConnectionTimeoutError):
        return TransportError("expired", "no connection became free in the time allowed", local=True)
    if isinstance(exc, aiohttp.ClientHttpProxyError):
        # 5xx is the proxy's bad moment; 407, 403 and the like is its last word.
        return TransportError("proxy", f"the proxy answered {exc.status} to CONNECT", fatal=exc.status < 500)
    if isinstance(exc, aiohttp.ClientResponseError):
        return TransportError("protocol", f"what {peer} sent is not HTTP/1.1", fatal=_HOSTILE.search(exc.message) is not None)
    if isinstance(exc, aiohttp.ClientPayloadError):
        return TransportError("truncated", f"{peer} closed the connection before the end of the body")
    if isinstance(exc, (ValueError, TypeError, aiohttp.NonHttpUrlClientError)):
        return TransportError("config", f"the request cannot be sent as it is ({type(exc).__name__})", fatal=True)
    begun = attempt.first_byte is not None
    reused = attempt.transport is not None and attempt.connect is None
    cause = next((error for error in (exc.__cause__, exc) if isinstance(error, OSError)), None)
    if cause is not None:
        return read_failure(peer, cause, begun=begun, reused=reused)
    if begun:
        return TransportError("truncated", f"{peer} closed the connection inside the answer")
    return TransportError("connection_lost", f"{peer} closed the connection without an answer", reused=reused)


def _out_of_time(limit: Limit) -> TransportError:
    return _flood() if limit == "protocol" else TransportError(limit, _LIMITS[limit])


def _flood() -> TransportError:
    return TransportError("protocol", f"the reply has more than {HEADER_LIMIT} bytes of headers", fatal=True)

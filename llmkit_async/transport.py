"""
HTTP by aiohttp, which is named here and nowhere else.

What is used of it is the making and keeping of connections: its connector with the pools, the resolver, TLS, and proxies with their
tunnels. What goes over a connection is written and read by ``_attempt``, with the code of the sync twin. (aiohttp's own way costs
twice as much, most of it for cookies, redirects, tracing and payload types that are not wanted here.)

Rule 1: one attempt, no redirect, no cookie, no netrc, no header of its own but Host, Content-Length and Accept-Encoding.
Rule 2: every loop has its own connector, made when the loop first sends, closed with the transport or with the loop.
Rule 3: no exception of aiohttp leaves this module, and no traceback through its frames or those that hold the request's head.
"""

from __future__ import annotations

import asyncio
import base64
import re
import select
import socket
import sys
import threading
import weakref
from contextlib import suppress
from contextvars import ContextVar
from math import inf
from typing import TYPE_CHECKING

import aiohttp
from attrs import frozen
from yarl import URL

from llmkit._fork import renewed_in_child
from llmkit.secrets import Headers
from llmkit.transport.base import HttpRequest, HttpResponse, Timeout, TransportError
from llmkit.transport.faults import connect_failure, dns_failure
from llmkit.transport.http1 import write_head
from llmkit.transport.public import check_public
from llmkit.transport.settings import SOCKET_OPTIONS, ProxyUrl, TransportSettings
from llmkit_async._attempt import Attempt, out_of_time
from llmkit_async._home import Connections, Home
from llmkit_async._reply import read_reply

if sys.version_info >= (3, 11):
    from asyncio import timeout_at
else:  # aiohttp brings it there
    from async_timeout import timeout_at  # type: ignore[import-not-found]

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.connector import AddrInfoType, Connection
    from aiohttp.tracing import Trace

__all__ = ["AiohttpTransport"]

IDLE_LIMIT = 30.0  # seconds a connection is kept unused; servers close theirs after a minute or so, without a word

HAPPY_EYEBALLS = 0.25  # seconds until the next address of a name is tried beside the first (RFC 8305, section 8)

_FIT_URL = re.compile(r"https?://[^/?#\\\s]+/[\x21-\x7e]*", re.ASCII | re.IGNORECASE)

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
        home.in_flight += 1
        attempt = Attempt(home.watch, timeout, request.method, home.leave)
        try:
            await self._begin(home.connector, attempt, request)
            return await read_reply(attempt, stream=stream, body_limit=request.body_limit)
        except BaseException as exc:  # noqa: BLE001 (a cancelled request must end its connection)
            attempt.abort()
            error = _translated(exc, attempt)
            if error is None:
                raise exc.with_traceback(None)  # noqa: B904 (it is the same exception)
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
        """Leave the connections to the parent. Called in the child of a fork."""
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
            connections = Connections()
            connector = _Connector(connections, self._settings)
            home = self._homes[loop] = Home(loop, connector, connections)
        await home.settle(self._homes)
        return home

    async def _begin(self, connector: _Connector, attempt: Attempt, request: HttpRequest) -> None:
        """Send the request over a connection, kept or new."""
        url = request.url
        if _FIT_URL.fullmatch(url) is None:
            raise _unfit()
        cut = url.find("/", 8)  # behind "https://"
        origin = url[:cut]
        way = connector.ways.get(origin)
        if way is None:
            way = connector.ways[origin] = _find_way(self._settings, origin, attempt.loop)
        attempt.peer = way.host
        if attempt.expire_at <= attempt.began:
            raise out_of_time("expired")
        target = url if way.is_forwarded else url[cut:]
        headers = Headers({**request.headers, **way.headers}) if way.headers else request.headers
        head = write_head(request.method, target, way.host, headers, len(request.body))
        connection, transport, protocol = await connector.take(way, attempt)
        attempt.begin(connection, transport, protocol, head, request.body)


@frozen(kw_only=True)
class _Way:
    """How one origin is reached: what aiohttp's connector needs to know, the Host header, and whether a proxy wants the whole URL."""

    request: aiohttp.ClientRequest
    host: str
    is_forwarded: bool
    headers: Headers  # for the proxy


class _Remaining(aiohttp.ClientTimeout):
    """What is left of an attempt's time, for the wait until a connection is free. What comes then has limits of our own."""

    def __init__(self, attempt: Attempt) -> None:
        super().__init__(total=None, connect=max(attempt.expire_at - attempt.loop.time(), 0.001), ceil_threshold=inf)


class _Connector(aiohttp.TCPConnector):
    """Gives connections that can be used, tells the ``Attempt`` of new ones, and keeps an account of them."""

    def __init__(self, connections: Connections, settings: TransportSettings) -> None:
        super().__init__(
            limit=0,
            limit_per_host=settings.max_connections,
            keepalive_timeout=IDLE_LIMIT,
            socket_factory=self._new_socket,
            # In a race of addresses one that is refused would be taken for one that does not answer.
            happy_eyeballs_delay=None if settings.public_only else HAPPY_EYEBALLS,
        )
        self.ways: dict[str, _Way] = {}
        self._connections = connections
        self._public_only = settings.public_only

    async def take(self, way: _Way, attempt: Attempt) -> tuple[Connection, asyncio.Transport, ResponseHandler]:
        timeout = _NO_LIMIT if attempt.expire_at == inf else _Remaining(attempt)
        token = _current.set(attempt)
        try:
            while True:
                connection = await self.connect(way.request, [], timeout)
                transport, protocol = connection.transport, connection.protocol
                if transport is not None and protocol is not None:
                    if attempt.connect is not None:
                        self._connections.transports.add(transport)
                        return connection, transport, protocol
                    # Something may have come over it while nobody had asked, and would be taken for the answer.
                    if not protocol.should_close and not _is_readable(transport):
                        return connection, transport, protocol
                    transport.abort()
                connection.close()
        finally:
            _current.reset(token)

    async def _create_connection(self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout) -> ResponseHandler:
        attempt = _current.get()
        began = self._loop.time()
        attempt.is_connecting = True
        try:
            async with timeout_at(None if attempt.connect_limit is None else began + attempt.connect_limit):
                protocol = await super()._create_connection(req, traces, timeout)
        except asyncio.TimeoutError:
            raise out_of_time("connect_timeout") from None
        attempt.connect = self._loop.time() - began
        return protocol

    def _new_socket(self, address: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, place = address
        if self._public_only:
            check_public(_current.get().peer, str(place[0]))
        sock = socket.socket(family, kind, protocol)
        for option in SOCKET_OPTIONS:
            with suppress(OSError):  # not known to this kernel; the connection works without
                sock.setsockopt(*option)
        self._connections.sockets.add(sock)
        return sock

    def __del__(self, _warnings: object = None) -> None:
        """Nothing: a ``Home`` ends its connections itself, and aiohttp would complain of it."""


_Home = Home[_Connector]


def _dispose(homes: dict[asyncio.AbstractEventLoop, _Home]) -> None:
    for home in list(homes.values()):
        home.dispose()


def _find_way(settings: TransportSettings, origin: str, loop: asyncio.AbstractEventLoop) -> _Way:
    proxy = settings.proxy_for(origin)
    is_forwarded = proxy is not None and origin[:5].lower() == "http:"
    try:
        # As it is: otherwise ``%3A`` in a name would become a colon.
        url = URL(origin + "/", encoded=True)
        host = url.host_port_subcomponent
        # To aiohttp a proxy that forwards is a server like any other; it knows of those only that tunnel.
        first = URL(proxy.without_userinfo) if proxy is not None and is_forwarded else url
        tunnel = None if proxy is None or is_forwarded else URL(proxy)
        tls = settings.ssl_context() if first.scheme == "https" else True
        request = aiohttp.ClientRequest("GET", first, loop=loop, proxy=tunnel, ssl=tls)
    except (ValueError, TypeError):
        host = None
    if host is None:
        raise _unfit()
    headers = _proxy_headers(proxy) if proxy is not None and is_forwarded else Headers()
    return _Way(request=request, host=host, is_forwarded=is_forwarded, headers=headers)


def _proxy_headers(proxy: ProxyUrl) -> Headers:
    userinfo = proxy.userinfo
    if userinfo is None:
        return Headers()
    return Headers({"Proxy-Authorization": f"Basic {base64.b64encode(userinfo.encode()).decode()}"})


def _unfit() -> TransportError:
    msg = "a URL needs http or https, a host and a path, and no character that must be percent-encoded"
    return TransportError("config", msg, fatal=True)


def _is_readable(transport: asyncio.Transport) -> bool:
    """
    Whether something has come that the loop has not read yet: on an idle connection nothing but its end, or what nobody asked for.

    Where the system has no ``poll``, nobody can say.
    """
    sock = transport.get_extra_info("socket")
    if sock is None or not hasattr(select, "poll"):
        return False
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _translated(exc: BaseException, attempt: Attempt) -> TransportError | None:
    """Return what *exc* means, or None for what is not the network's: cancellation, interrupts, no memory."""
    if not isinstance(exc, Exception) or isinstance(exc, MemoryError):
        return None
    return attempt.told(exc if isinstance(exc, TransportError) else _failure(exc, attempt))


def _failure(exc: Exception, attempt: Attempt) -> TransportError:
    """Return what an exception of aiohttp's means, in our words: its own may quote the request or the proxy's reply."""
    if isinstance(exc, aiohttp.ClientConnectorCertificateError):
        return connect_failure(f"{exc.host}:{exc.port}", exc.certificate_error)
    if isinstance(exc, aiohttp.ClientConnectorDNSError):
        return dns_failure(exc.host, exc.os_error)
    if isinstance(exc, aiohttp.ClientConnectorError):
        return connect_failure(f"{exc.host}:{exc.port}", exc.os_error)
    if isinstance(exc, asyncio.TimeoutError):
        if attempt.is_connecting:
            return out_of_time("expired")
        return TransportError("expired", "no connection became free in the time allowed", local=True)
    if isinstance(exc, aiohttp.ClientHttpProxyError):
        # 5xx is the proxy's bad moment; 407, 403 and the like is its last word.
        return TransportError("proxy", f"the proxy answered {exc.status} to CONNECT", fatal=exc.status < 500)
    if isinstance(exc, UnicodeError):
        return dns_failure(attempt.peer, exc)
    if isinstance(exc, (ValueError, TypeError, aiohttp.NonHttpUrlClientError)):
        return TransportError("config", f"the request cannot be sent as it is ({type(exc).__name__})", fatal=True)
    cause = next((error for error in (exc.__cause__, exc) if isinstance(error, OSError)), exc)
    return connect_failure(attempt.peer, cause)

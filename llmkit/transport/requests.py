"""
The sync transport, on requests: the only home of requests and urllib3.

What is used of them is the making and keeping of connections: pools per origin (``HTTPAdapter``, ``PoolManager``), proxies and their
tunnels, TLS with its host names, and ``urlopen``'s discipline of taking a connection and giving it back. What goes over a connection
is written and read by ``wire``: through the extension points ``HTTPAdapter.init_poolmanager``, ``PoolManager.pool_classes_by_scheme``,
``ConnectionPool.ConnectionCls`` and ``QueueCls``. (Per call, requests' own way costs three to six times as much, most of it for
cookies, redirects and environment variables that are not wanted here, and it takes a reply cut inside its headers for an empty 200.)

Rule 1: one attempt, no redirect, no cookie, no ``.netrc``, no header of its own but Host, Content-Length and Accept-Encoding.
Rule 2: while ``send`` runs, its ``Exchange`` is what the thread's connections act for.
"""

from __future__ import annotations

import base64
import math
import queue
import socket
import threading
import time
import weakref
from collections import deque
from functools import partial
from http.client import HTTPException
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from requests.exceptions import RequestException
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ClosedPoolError, EmptyPoolError, HTTPError
from urllib3.util import Retry

from llmkit._fork import renewed_in_child
from llmkit.secrets import Headers
from llmkit.transport.base import HttpRequest, HttpResponse, Timeout, TransportError, TransportErrorKind
from llmkit.transport.faults import connect_failure
from llmkit.transport.http1 import write_head
from llmkit.transport.settings import SOCKET_OPTIONS, ProxyUrl, TransportSettings
from llmkit.transport.watchdog import Watch, watch
from llmkit.transport.wire import Exchange, Reply, open_socket, read_reply, send_request

__all__ = ["RequestsTransport"]

_NO_RETRIES = Retry(total=False, redirect=False)
_now = time.monotonic


class _Local(threading.local):
    """What this thread is doing."""

    exchange: Exchange | None = None


_local = _Local()


def _current() -> Exchange:
    exchange = _local.exchange
    assert exchange is not None, "a connection is used outside of send()"
    return exchange


class _Connection(HTTPConnection):
    """A connection that sends a request at once and reads its response itself."""

    _served = False  # a response was read from it
    _connect_until = 0.0

    def connect(self) -> None:
        exchange = _current()
        begin = _now()
        until = begin + exchange.connect_time
        self._connect_until = min(until, exchange.until)
        self._served = False
        failure: TransportError | None = None
        try:
            super().connect()
        except TransportError as error:
            failure = TransportError(*error.args)
        except (OSError, ValueError, HTTPException, HTTPError) as error:
            failure = connect_failure(self._peer(exchange), error)
        finally:
            is_late = self._end_guard()
        if failure is not None and failure.kind == "connect_timeout":
            is_late = True
        if is_late:
            message = f"{self._peer(exchange)}: no connection within {_now() - begin:.1f} s"
            failure = TransportError("connect_timeout", message) if until < exchange.until else exchange.expired()
        if failure is not None:
            self.close()
            raise failure
        exchange.connected = _now() - begin
        _inherited.add(self)

    def request(self, method: str, url: str, body: Any = None, headers: Any = None, **_: Any) -> None:
        """Send a request. (The pool has more to say, all of it about a response of urllib3's own.)"""
        exchange = _current()
        if self.sock is None:
            self.connect()
        sock: Any = self.sock
        sock.settimeout(exchange.read_time)
        # urllib3 speaks TLS inside TLS with an object that holds the socket.
        exchange.begin(sock if isinstance(sock, socket.socket) else sock.socket, reused=self._served)
        send_request(sock, write_head(method, url, exchange.host, headers, len(body)), body, exchange)

    def getresponse(self) -> Any:
        exchange = _current()
        wire: Any = self.sock
        reply = read_reply(wire, exchange)
        self._served = True
        if reply.stream is None and (exchange.end() or not reply.keeps_alive):
            self.close()
        return reply

    def _new_conn(self) -> socket.socket:
        options, public_only = self.socket_options or (), _current().public_only
        return open_socket(self._dns_host, self.port, self._connect_until, options, public_only=public_only)

    def _end_guard(self) -> bool:
        """End what bounds the making of the connection, and return whether its time was over."""
        return False

    def _peer(self, exchange: Exchange) -> str:
        return f"{exchange.host} through the proxy {self.host}:{self.port}" if self.proxy else exchange.host


class _TLSConnection(_Connection, HTTPSConnection):
    """The same, with a watch over the tunnel and the handshake: a peer that drips there is never silent for long."""

    _guard: tuple[socket.socket, Watch] | None = None

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        # TLS takes the socket over and leaves an empty shell; a second descriptor still reaches the connection.
        try:
            twin = sock.dup()
        except OSError:
            sock.close()
            raise
        self._guard = (twin, watch(twin, self._connect_until))
        return sock

    def _end_guard(self) -> bool:
        if self._guard is None:
            return False
        twin, guard = self._guard
        self._guard = None
        fired = guard.stop()
        twin.close()
        return fired


class _Slots:
    """
    The slots of a pool, last used first. Reentrant, since a stream that the collector finalises gives its slot back, wherever the
    thread is at that moment; a ``LifoQueue`` would wait for itself.
    """

    def __init__(self, _: int) -> None:
        # The pool itself puts in as many empty slots as it has.
        self._idle: deque[Any] = deque()
        self._free: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._is_closed = False

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        self._free.get(block, timeout)
        if self._is_closed:
            self._free.put(None)  # for whoever else waits
            raise _closed() if block else queue.Empty
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def put(self, item: Any, **_: Any) -> None:
        """Never waits: there are not more connections than slots."""
        # A closed one would come first where an open one is at hand.
        if item is not None and not item.is_closed:
            self._idle.append(item)
        self._free.put(None)

    def close(self) -> None:
        """Let nobody wait any longer for a slot."""
        self._is_closed = True
        self._free.put(None)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection
    QueueCls: Any = _Slots


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TLSConnection
    QueueCls: Any = _Slots

    def _validate_conn(self, conn: Any) -> None:
        # urllib3 warns here at every call that certificates are not checked; the settings have done so once.
        if conn.is_closed:
            conn.connect()


_POOLS: dict[str, type[HTTPConnectionPool]] = {"http": _Pool, "https": _TLSPool}


class _Adapter(HTTPAdapter):
    """requests' keeper of pools, with our pools and the one TLS context of the settings."""

    def __init__(self, settings: TransportSettings) -> None:
        self._settings = settings
        super().__init__(pool_maxsize=settings.max_connections, pool_block=True)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        super().init_poolmanager(connections, maxsize, block, socket_options=list(SOCKET_OPTIONS), **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        if proxy.lower().startswith("https:"):
            options["proxy_ssl_context"] = self._settings.ssl_context()
        manager = super().proxy_manager_for(proxy, socket_options=list(SOCKET_OPTIONS), **options)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def proxy_headers(self, proxy: str) -> dict[str, str]:
        userinfo = ProxyUrl(proxy).userinfo
        if userinfo is None:
            return Headers()
        return Headers({"Proxy-Authorization": f"Basic {base64.b64encode(userinfo.encode()).decode()}"})

    def build_connection_pool_key_attributes(self, request: PreparedRequest, verify: Any, cert: Any = None) -> Any:
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {"ssl_context": self._settings.ssl_context()} if host["scheme"] == "https" else {}

    def pool_for(self, request: PreparedRequest, proxy: str | None) -> Any:
        return self.get_connection_with_tls_context(request, True, proxies={"all": proxy} if proxy else {})


class _Inherited:
    """The connections that are open. A forked child closes its copies: the parent goes on with them."""

    def __init__(self) -> None:
        self._connections: weakref.WeakSet[_Connection] = weakref.WeakSet()

    def add(self, connection: _Connection) -> None:
        self._connections.add(connection)

    def renew(self) -> None:
        for connection in tuple(self._connections):
            # Closing says nothing to the peer, in TLS neither; shutting down would end the parent's connection.
            connection.close()
        self._connections = weakref.WeakSet()


_inherited = renewed_in_child(_Inherited())


class _Route(NamedTuple):
    """How one origin is reached: its pool, its Host header, and whether a proxy wants the whole URL."""

    pool: Any
    host: str
    is_forwarded: bool


class RequestsTransport:
    """
    The ``Transport`` of the sync client.

    Safe for any number of threads; after a ``fork`` the child opens connections of its own. The time that the system's resolver
    takes cannot be cut short: a ``send`` may be late by as much.
    """

    __slots__ = ("__weakref__", "_adapter", "_is_closed", "_routes", "_settings")

    def __init__(self, settings: TransportSettings | None = None) -> None:
        self._settings = settings or TransportSettings()
        self._is_closed = False
        self.renew()
        renewed_in_child(self)

    def renew(self) -> None:
        """Forget all connections: they are another process's."""
        self._adapter = _Adapter(self._settings)
        self._routes: dict[str, _Route] = {}

    def send(self, request: HttpRequest, *, timeout: Timeout, stream: bool = False) -> HttpResponse:
        url = request.url
        cut = url.find("/", 8)  # behind "https://"
        route = self._routes.get(url[:cut]) or self._find_route(url)
        target = url if route.is_forwarded else url[cut:]
        exchange = Exchange(
            method=request.method,
            host=route.host,
            timeout=timeout,
            stream=stream,
            public_only=self._settings.public_only,
            body_limit=request.body_limit,
        )
        reply: Reply | None = None
        failure: tuple[TransportErrorKind, str, bool, bool, bool] | None = None
        outer, _local.exchange = _local.exchange, exchange
        try:
            reply = _perform(route.pool, request, target, exchange)
        except TransportError as error:
            failure = error.args[:5]
        finally:
            _local.exchange = outer
            if reply is None:
                exchange.end()
        if failure is not None:
            raise TransportError(*failure, exchange.connected, exchange.first_byte)
        assert reply is not None
        return HttpResponse(
            status=reply.status,
            headers=reply.headers,
            body=reply.body,
            stream=reply.stream,
            connect=exchange.connected,
            first_byte=exchange.first_byte,
        )

    def close(self) -> None:
        self._is_closed = True
        routes, self._routes = self._routes, {}
        for route in routes.values():
            slots = route.pool.pool
            route.pool.close()
            if slots is not None:
                slots.close()
        self._adapter.close()

    def _find_route(self, url: str) -> _Route:
        if self._is_closed:
            raise _closed()
        if not url.lower().startswith(("https://", "http://")) or "/" not in url[8:]:
            msg = "a URL needs http or https, a host and a path"
            raise TransportError("config", msg, fatal=True)
        origin = url[: url.find("/", 8)]
        proxy = self._settings.proxy_for(origin)
        reason = None
        prepared = PreparedRequest()
        try:
            prepared.prepare(method="GET", url=origin)
            pool = self._adapter.pool_for(prepared, proxy)
        except (RequestException, HTTPError, ValueError) as error:
            reason = type(error).__name__
        if reason is not None:
            raise TransportError("config", f"the URL or that of its proxy is not fit for use ({reason})", fatal=True)
        parts = urlsplit(prepared.url or origin)
        host = parts.netloc.rpartition("@")[2]
        route = _Route(pool=pool, host=host, is_forwarded=proxy is not None and parts.scheme == "http")
        self._routes[origin] = route
        return route


def _perform(pool: Any, request: HttpRequest, target: str, exchange: Exchange) -> Reply:
    wait: Any = None if exchange.until == math.inf else exchange.until - exchange.start
    if wait is not None and wait <= 0:
        raise exchange.expired()
    try:
        reply: Reply = pool.urlopen(
            request.method,
            target,
            request.body,
            request.headers,
            _NO_RETRIES,
            redirect=False,
            assert_same_host=False,
            pool_timeout=wait,
            preload_content=not exchange.stream,
        )
    except EmptyPoolError:
        raise TransportError("expired", "every connection was in use until the time was over", local=True) from None
    except ClosedPoolError:
        raise _closed() from None
    except (HTTPError, HTTPException, OSError, ValueError) as error:
        raise TransportError("connect", f"{exchange.peer}: {type(error).__name__}") from None
    if exchange.stream:
        _hand_over(pool, reply)
    return reply


def _hand_over(pool: Any, reply: Reply) -> None:
    """Bind the connection of *reply*, which the pool left to it, to its stream; give it back where there is none."""
    if reply.stream is None:
        _give_back(pool, reply._connection, True)
    else:
        reply.stream.release = partial(_give_back, pool, reply._connection)


def _give_back(pool: Any, connection: Any, keeps_alive: bool) -> None:
    # As urllib3's own response does in ``release_conn``. A closed connection frees its slot only.
    if not keeps_alive:
        connection.close()
    pool._put_conn(connection)


def _closed() -> TransportError:
    return TransportError("config", "the transport was closed", fatal=True)

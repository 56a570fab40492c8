"""
A provider on the loopback interface.

Rule 1: the caller's threads and the server's thread meet only under the server's lock.
Rule 2: nothing here knows a wire format; `llmkit.testing.wires` does.
Rule 3: asyncio is loaded when a server starts, not before.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
import time
import weakref
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from llmkit.testing import wires
from llmkit.testing.answering import GOOD, answer
from llmkit.testing.recognising import key_in
from llmkit.testing.replies import RecordedRequest, Reply, Script, as_script
from llmkit.testing.wires.base import Rendered

if TYPE_CHECKING:
    import asyncio
    import ssl
    from types import TracebackType

    from llmkit.testing.delivery import Delivery
    from llmkit.testing.http import Connection, HttpRequest

__all__ = ["FakeServer"]

logger = logging.getLogger("llmkit.testing")

RECORD_PATH = "/_requests"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_STARTING = 10.0  # seconds; binding a loopback port takes milliseconds
_TURNS = 3  # of the loop, until what was accepted is a connection
_BACKLOG = 4096  # connections; load tests open thousands at once

_servers: weakref.WeakSet[FakeServer] = weakref.WeakSet()


class FakeServer:
    """
    A loopback HTTP server that answers as the providers do, with scripted replies and faults.

    ``with FakeServer() as server:`` starts it in a thread of its own; `url` gives a provider's base URL. Without a
    script it gives faithful good answers that echo the last user text, and the provider's own errors for requests that
    the provider would refuse. All methods may be called from any thread. A forked child can use the server, which the
    parent goes on serving.

    Args:
        keys: The keys that are accepted; None accepts any key, and none.
        tls: Serves HTTPS with this context.
        port: The port to listen on; 0 picks a free one, which is kept when the server is started again.
        strict: Whether requests that the provider would refuse are refused even when a reply is scripted (that reply
            then stays for the next request). With False, a script answers whatever comes, except with an unknown key.
        record: Whether requests are kept in `requests`; off, memory stays level under load.
    """

    def __init__(
        self,
        *,
        keys: Iterable[str] | None = None,
        tls: ssl.SSLContext | None = None,
        port: int = 0,
        strict: bool = True,
        record: bool = True,
    ) -> None:
        self._keys = None if keys is None else frozenset(keys)
        self._tls = tls
        self._port = port
        self._strict = strict
        self._record = record
        self._changed = threading.Condition(threading.RLock())
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._listening: asyncio.Server | None = None
        self._open: set[Connection] = set()
        self._pid = os.getpid()
        self._clear()

    def _clear(self) -> None:
        self._requests: list[RecordedRequest] = []
        self._hits = 0
        self._accepted = 0
        self._queue: deque[Script] = deque()
        self._keyed: defaultdict[str, deque[Script]] = defaultdict(deque)
        self._always: Script | None = None

    # Life.

    def __enter__(self) -> FakeServer:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def start(self) -> FakeServer:
        """
        Begin to serve, on the former port if there was one, and return the server itself.

        Raises:
            OSError: If the port cannot be had.
            RuntimeError: If the server runs already.
        """
        if self._thread is not None:
            raise RuntimeError("This FakeServer runs already.")
        ready = threading.Event()
        failures: list[BaseException] = []
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self._run, args=(ready, failures), name="llmkit-fake-server", daemon=True)
        self._thread.start()
        if not ready.wait(_STARTING):
            raise TimeoutError("The FakeServer did not start.")
        if failures:
            self._thread = None
            raise failures[0]
        _servers.add(self)
        return self

    def close(self) -> None:
        """Stop serving and close every connection; closing again does nothing, nor does closing in a forked child."""
        thread, loop, stopping = self._thread, self._loop, self._stopping
        if thread is None or loop is None or stopping is None or self._pid != os.getpid():
            return
        self._thread = None
        loop.call_soon_threadsafe(stopping.set)
        thread.join()

    def _run(self, ready: threading.Event, failures: list[BaseException]) -> None:
        import asyncio

        try:
            asyncio.run(self._serve(ready))
        except BaseException as exc:
            failures.append(exc)
            if ready.is_set():
                raise
            ready.set()

    async def _serve(self, ready: threading.Event) -> None:
        import asyncio

        from llmkit.testing.http import Connection

        handler = _Handler(self)
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        self._listening = await self._loop.create_server(
            lambda: Connection(handler), "127.0.0.1", self._port, ssl=self._tls, backlog=_BACKLOG, reuse_address=True
        )
        self._port = self._listening.sockets[0].getsockname()[1]
        ready.set()
        try:
            await self._stopping.wait()
        finally:
            # What was accepted just now is a connection only some turns of the loop later, and none at all of a closed server's: asyncio
            # would leave its socket open.
            with suppress(NotImplementedError):  # a loop of Windows' own takes nothing back
                for listener in self._listening.sockets:
                    self._loop.remove_reader(listener.fileno())
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            self._listening.close()
            for connection in list(self._open):
                connection.abort()
            # The transports close their sockets in callbacks of their own, one turn of the loop later.
            while self._open:
                await asyncio.sleep(0)

    # Where it is.

    @property
    def origin(self) -> str:
        """The scheme, host and port; they stay after `close`, so that a dead server can be called too."""
        return f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self._port}"

    def url(self, provider: str) -> str:
        """
        Return the base URL under which this server plays *provider*.

        Raises:
            ValueError: If *provider* could not be a segment of a path.
            RuntimeError: If the server has no port yet.
        """
        if not _NAME.fullmatch(provider):
            msg = f"A provider's name has letters, digits, '-', '_' and '.', got {provider!r}."
            raise ValueError(msg)
        if not self._port:
            raise RuntimeError("This FakeServer has no address before it runs: use it in a with statement, or call start().")
        return f"{self.origin}/{provider}{wires.base_path(provider)}"

    # What it is to say.

    def enqueue(self, *replies: Script | str, key: str | None = None) -> None:
        """
        Add *replies*, each used once and in this order; with *key*, for requests that carry it.

        Text is a ``Reply`` with that text. A callable gets the request and returns the reply; it runs in the server's thread, so it
        must not block.

        Raises:
            ConfigurationError: If one is something else.
        """
        scripts = [as_script(reply) for reply in replies]
        with self._changed:
            (self._queue if key is None else self._keyed[key]).extend(scripts)

    def always(self, reply: Script | str | None) -> None:
        """Answer with *reply*, as ``enqueue`` takes it, whatever the queue does not; None goes back to good answers."""
        script = None if reply is None else as_script(reply)
        with self._changed:
            self._always = script

    def reset(self) -> None:
        """Forget the script and everything observed; connections stay open."""
        with self._changed:
            self._clear()
            self._changed.notify_all()

    # What it has seen.

    @property
    def requests(self) -> list[RecordedRequest]:
        """Every request received, the refused ones too, in order."""
        with self._changed:
            return list(self._requests)

    @property
    def hits(self) -> int:
        """How many requests were received."""
        return self._hits

    @property
    def connections(self) -> int:
        """How many connections were accepted."""
        return self._accepted

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        return len(self._open)

    @property
    def unused(self) -> int:
        """How many queued replies were not asked for."""
        with self._changed:
            return len(self._queue) + sum(map(len, self._keyed.values()))

    def wait_for(self, condition: Callable[[FakeServer], object], timeout: float = 5.0) -> None:
        """
        Wait until *condition*, which gets this server, is true.

        Raises:
            TimeoutError: If it is not within *timeout* seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: condition(self), timeout):
                msg = f"Not within {timeout} s; {self!r}."
                raise TimeoutError(msg)

    def wait_closed(self, timeout: float = 5.0) -> None:
        """
        Wait until no connection is open.

        Raises:
            TimeoutError: If one still is after *timeout* seconds.
        """
        self.wait_for(lambda server: not server.open_connections, timeout)

    def __repr__(self) -> str:
        return f"<FakeServer {self.origin}, {self._hits} requests, {len(self._open)} of {self._accepted} connections open>"

    # What the server's thread asks.

    def _take(self, request: RecordedRequest) -> Script | None:
        """Return what is scripted for *request*, and use it up."""
        with self._changed:
            own = self._keyed.get(request.key) if request.key is not None else None
            if own:
                return own.popleft()
            return self._queue.popleft() if self._queue else self._always

    def _render(self, request: RecordedRequest) -> tuple[Rendered, Reply]:
        """Return the answer to *request*: a refusal, what is scripted, or what the provider would say."""
        if request.path == RECORD_PATH:
            return self._summary(), GOOD
        return answer(request, self._take, strict=self._strict, is_known=self._is_known)

    def _is_known(self, request: RecordedRequest) -> bool:
        return self._keys is None or request.key in self._keys

    def _summary(self) -> Rendered:
        """Return the record for those who cannot ask the object: without headers, which hold credentials."""
        rows = [
            {"method": request.method, "path": request.path, "connection": request.connection, "at": request.at}
            | {"body": request.body.decode("utf-8", "backslashreplace")}
            for request in self.requests
        ]
        return Rendered(body=(json.dumps({"hits": self.hits, "requests": rows}).encode(),))


class _Handler:
    """What the connections of one server call, in the server's thread."""

    def __init__(self, server: FakeServer) -> None:
        self._server = server

    def opened(self, connection: Connection) -> int:
        server = self._server
        with server._changed:
            server._open.add(connection)
            server._accepted += 1
            server._changed.notify_all()
            return server._accepted

    def closed(self, connection: Connection) -> None:
        server = self._server
        with server._changed:
            server._open.discard(connection)
            server._changed.notify_all()

    def receive(self, request: HttpRequest, connection: int) -> RecordedRequest:
        server = self._server
        path, _, query = request.target.partition("?")
        provider, slash, rest = path[1:].partition("/")
        recorded = RecordedRequest(
            method=request.method,
            path=path,
            provider=provider,
            endpoint=slash + rest,
            query_string=query,
            headers=request.headers,
            body=request.body,
            key=key_in(request.headers),
            connection=connection,
            at=time.monotonic(),
            persistent=request.persistent,
            version=request.version,
        )
        if path != RECORD_PATH:
            with server._changed:
                server._hits += 1
                if server._record:
                    server._requests.append(recorded)
                server._changed.notify_all()
        return recorded

    def answer(self, request: RecordedRequest) -> Delivery:
        from llmkit.testing.delivery import deliver

        try:
            rendered, reply = self._server._render(request)
        except Exception as exc:
            # A mistake in a script must reach the test that made it, and not end the server.
            logger.exception("No answer could be made to %s %s", request.method, request.path)
            message = f"{type(exc).__name__}: {exc}"
            body = json.dumps({"error": {"message": message, "type": "fake_server_error", "param": None, "code": None}})
            rendered, reply = Rendered(status=500, body=(body.encode(),)), GOOD
        return deliver(rendered, reply, persistent=request.persistent, chunkable=request.version != "HTTP/1.0")


def _leave_to_parent() -> None:
    """
    Let go, in a forked child, of what only the parent serves.

    A socket that the child holds too would stay open when the parent closes it. Its number is pointed elsewhere rather
    than closed, since the inherited objects will close that number once more.
    """
    for server in list(_servers):
        server._changed = threading.Condition(threading.RLock())
        numbers = [connection.fileno for connection in server._open]
        numbers += [] if server._listening is None else [sock.fileno() for sock in server._listening.sockets]
        nowhere = os.open(os.devnull, os.O_RDWR)
        for number in numbers:
            if number >= 0:
                os.dup2(nowhere, number, inheritable=False)
        os.close(nowhere)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)

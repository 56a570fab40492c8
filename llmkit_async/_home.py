"""
What a transport keeps for one event loop, and how that ends in every way a loop can end.

Rule 1: a connector is closed in its own loop: by ``close``, or when the loop shuts its asynchronous generators down, as ``asyncio.run``
        and its likes do before they close the loop.
Rule 2: where the loop is closed already, or was left behind in a parent process, nothing is awaited: the sockets are closed, and that
        is all.
"""

from __future__ import annotations

import asyncio
import atexit
import weakref
from collections.abc import MutableMapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from llmkit_async._attempt import Watch, abort_without_loop, protocol_of

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncGenerator, Awaitable

__all__ = ["Connections", "Home", "Homes"]


class Connector(Protocol):
    """What is needed of aiohttp's connector here."""

    def close(self) -> Awaitable[None]: ...


C = TypeVar("C", bound=Connector)


class Connections:
    """The connections made in one loop, as long as they live."""

    __slots__ = ("sockets", "transports")

    def __init__(self) -> None:
        self.sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self.transports: weakref.WeakSet[asyncio.Transport] = weakref.WeakSet()

    def alive(self) -> list[asyncio.Transport]:
        """Return those that can be aborted: asyncio trips over some that have ended (measured with Python 3.11)."""
        return [transport for transport in self.transports if protocol_of(transport) is not None]


class Home(Generic[C]):
    """A connector with its connections. ``in_flight`` counts the calls that are under way, whose end ``close`` waits for."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connector: C, connections: Connections) -> None:
        self.loop = loop
        self.watch = Watch(loop)
        self.connector = connector
        self.in_flight = 0
        self._connections = connections
        self._homes: Homes[C] = {}
        self._guard: AsyncGenerator[None, None] | None = None
        self._guard_is_over = False
        self._is_ending = False
        self._ending: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None

    async def settle(self, homes: Homes[C]) -> None:
        """Have the connector closed with the loop, and taken out of *homes*. Called once, in the loop; does not suspend."""
        self._homes = homes
        self._guard = self._until_the_end()
        _open[id(self)] = self
        await self._guard.__anext__()

    async def close(self) -> None:
        """Close the connector, now or when the last call in flight has ended."""
        if self.in_flight:
            self._is_ending = True
            return
        await self._end()
        if self._guard is not None and not self._guard_is_over:
            await self._guard.aclose()

    def leave(self) -> None:
        """A call has ended."""
        self.in_flight -= 1
        if self._is_ending and not self.in_flight and not self.loop.is_closed():
            self._close_soon()

    def dispose(self) -> None:
        """Close the connector from outside: from another thread, or after the loop was closed."""
        if self.loop.is_closed():
            self._bury()
            return
        with suppress(RuntimeError):  # closed by its thread in this moment
            self.loop.call_soon_threadsafe(self._close_soon)

    def forsake(self) -> None:
        """Leave the connections to the parent process."""
        _open.pop(id(self), None)
        for sock in list(self._connections.sockets):
            sock.close()
        # Whatever is finalised would want to take its sockets out of the selector, which is the parent's as well.
        _forsaken.append(self)

    async def _until_the_end(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self._guard_is_over = True
            await self._end()

    async def _end(self) -> None:
        """Close the connector, once: ``close`` and the end of the loop may come at the same time, and then wait for the same work."""
        if self._closing is None:
            self._closing = self.loop.create_task(self._close_connector())
        await asyncio.wait({self._closing})

    async def _close_connector(self) -> None:
        _open.pop(id(self), None)
        self._homes.pop(self.loop, None)
        await self.connector.close()
        # What was closed politely may still wait for the peer.
        for transport in self._connections.alive():
            transport.abort()
        await asyncio.sleep(0)

    def _close_soon(self) -> None:
        self._ending = self.loop.create_task(self.close())

    def _bury(self) -> None:
        _open.pop(id(self), None)
        for transport in self._connections.alive():
            abort_without_loop(self.loop, transport)
        for sock in list(self._connections.sockets):
            sock.close()


Homes = MutableMapping[asyncio.AbstractEventLoop, Home[C]]

_open: dict[int, Home[Any]] = {}
_forsaken: list[Home[Any]] = []


@atexit.register
def _close_all() -> None:
    """Close what nobody closed, so that its finaliser does not complain: loops that stand still, or were closed as they were."""
    for home in list(_open.values()):
        if home.loop.is_closed():
            home.dispose()
        elif not home.loop.is_running():
            home.in_flight = 0
            home.loop.run_until_complete(home.close())

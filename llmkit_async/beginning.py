"""The beginning of an attempt on an event loop: at once, or in a thread where it has to ask others first."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from llmkit.call import Call
    from llmkit.exchange import Exchange

__all__ = ["begun"]

Answer = TypeVar("Answer")


async def begun(call: Call[Answer]) -> Exchange[Answer]:
    """Return what ``call.attempt()`` returns, or raise what it raises, without blocking the loop."""
    if not call.blocks:
        return call.attempt()
    beginning = _Beginning(call)
    run = contextvars.copy_context().run
    try:
        # Shielded, since a thread cannot be cancelled: it goes on, and gives back what nobody waits for any more.
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, run, beginning.attempt))
    except asyncio.CancelledError:
        beginning.leave()
        raise


class _Beginning(Generic[Answer]):
    """An attempt that a thread begins for a task, which may leave before that is done."""

    def __init__(self, call: Call[Answer]) -> None:
        self._call = call
        self._exchange: Exchange[Answer] | None = None
        self._error: BaseException | None = None
        self._is_left = False
        self._lock = threading.Lock()

    def attempt(self) -> Exchange[Answer]:
        """Begin it; for the thread."""
        try:
            exchange = self._call.attempt()
        except BaseException as error:
            self._done(None, error)
            raise
        self._done(exchange, None)
        return exchange

    def leave(self) -> None:
        """Nobody waits for it any more; for the task."""
        with self._lock:
            self._is_left = True
            exchange, error = self._exchange, self._error
        self._give_back(exchange, error)

    def _done(self, exchange: Exchange[Answer] | None, error: BaseException | None) -> None:
        with self._lock:
            self._exchange, self._error = exchange, error
            is_left = self._is_left
        if is_left:
            self._give_back(exchange, error)

    def _give_back(self, exchange: Any, error: BaseException | None) -> None:
        if exchange is not None:
            self._call.discard(exchange)
        elif error is not None:
            self._call.abandon(error)

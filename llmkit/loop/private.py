"""
An event loop for the tools of one run of the sync client that are coroutine functions.

It runs in a thread of its own, so that it works in a notebook or under any other loop, and lasts as long as the run: what the tools of one
run share (a session, a lock) works in all of its steps, and nothing of it is left afterwards.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import TYPE_CHECKING, Any, TypeVar

from llmkit.loop.using import awaited

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable

__all__ = ["PrivateLoop"]

T = TypeVar("T")

PATIENCE = 0.1  # seconds that cancelled tools have to clean up before the run goes on without them


class PrivateLoop:
    """A loop in a thread."""

    def __init__(self) -> None:
        import asyncio

        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="llmkit-tools", daemon=True)
        self._thread.start()

    def begin(self, context: Context, work: Coroutine[Any, Any, T], done: Callable[[asyncio.Task[T]], None]) -> Callable[[], object]:
        """Run *work* in *context*, call *done* in the loop's thread when it ends, and return what cancels it."""
        started: list[asyncio.Task[T]] = []

        def start() -> None:
            task = self._loop.create_task(work)
            started.append(task)
            task.add_done_callback(done)

        def cancel() -> None:
            for task in started:
                task.cancel()

        self._loop.call_soon_threadsafe(start, context=context)
        return lambda: self._loop.call_soon_threadsafe(cancel)

    def wait_for(self, work: Awaitable[Any]) -> Any:
        """Return what *work* gives, waited for in another thread than the loop's."""
        import asyncio

        return asyncio.run_coroutine_threadsafe(awaited(work), self._loop).result()()

    def close(self) -> None:
        """Cancel what still runs, and end the loop; not later than a moment from now, whatever blocks it."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(2 * PATIENCE)

    def _serve(self) -> None:
        import asyncio

        loop = self._loop
        try:
            loop.run_forever()
            if running := asyncio.all_tasks(loop):
                for task in running:
                    task.cancel()
                loop.run_until_complete(asyncio.wait(running, timeout=PATIENCE))
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()

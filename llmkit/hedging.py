"""
A race between a call and its rival: the first to begin its answer wins, the other is ended.

The policy says when and whether (``llmkit.resilience.hedge``); the twin of this file is ``llmkit_async.hedging``.
"""

from __future__ import annotations

import contextlib
import contextvars
import queue
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar, cast

if TYPE_CHECKING:
    from llmkit.call import Call

__all__ = ["raced"]

Answer = TypeVar("Answer")
Result = TypeVar("Result")


def raced(send: Callable[[Call[Answer]], Result], call: Call[Answer]) -> Result:
    """Return what *send* makes of *call*, or of its rival if that is sooner; a call without one is just sent."""
    delay = call.hedge_after
    if delay is None:
        return send(call)
    race: _Race[Answer, Result] = _Race(send)
    try:
        return race.run(call, delay)
    except BaseException as error:
        call.decided(error=error)
        raise
    finally:
        race.end()


class _Race(Generic[Answer, Result]):
    def __init__(self, send: Callable[[Call[Answer]], Result]) -> None:
        self._send = send
        self._results: queue.SimpleQueue[tuple[Call[Answer], Result | None, BaseException | None]] = queue.SimpleQueue()
        self._running: list[Call[Answer]] = []
        self._lock = threading.Lock()
        self._is_over = False

    def run(self, call: Call[Answer], delay: float) -> Result:
        call.racing = True
        self._start(call)
        try:
            done, result, error = self._results.get(timeout=delay)
        except queue.Empty:
            rival = call.rival()
            if rival is not None:
                self._start(rival)
            done, result, error = self._results.get()
        self._running.remove(done)
        if error is not None and self._running:
            # The other may still do better; if not, the first error is the one to tell.
            done, result, other = self._results.get()
            self._running.remove(done)
            error = None if other is None else error
        if error is not None:
            raise error
        done.decided(result)
        return cast("Result", result)

    def end(self) -> None:
        with self._lock:
            self._is_over = True
        for call in self._running:
            call.cancel()
        with contextlib.suppress(queue.Empty):
            # One that arrived in the same moment, and that nobody has asked for.
            while True:
                call, result, _ = self._results.get_nowait()
                call.discard(result)

    def _start(self, call: Call[Answer]) -> None:
        self._running.append(call)
        run = contextvars.copy_context().run
        threading.Thread(target=run, args=(self._attempt, call), name="llmkit-hedge", daemon=True).start()

    def _attempt(self, call: Call[Answer]) -> None:
        result, failure = None, None
        try:
            result = self._send(call)
        except BaseException as error:  # noqa: BLE001 - handed over to the thread that waits for it
            failure = error
        with self._lock:
            if not self._is_over:
                self._results.put((call, result, failure))
                return
        call.discard(result)

"""
A run of the sync client: what it asks for is sent, waited for and run here, and nothing is decided.

Tools run in threads of their own, so that several run at once and none holds up a deadline; with ``max_parallel=1`` and nothing that
limits their time, in the thread that waits for the run. Those that are coroutine functions run on an event loop of the run's own. A
thread cannot be ended: a tool that is given up goes on to its end, and what it gives back is dropped.
"""

from __future__ import annotations

import inspect
import queue
import threading
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from llmkit.cancelling import cancelled
from llmkit.errors import ConfigurationError
from llmkit.loop.private import PrivateLoop
from llmkit.loop.run import Run, make_run

if TYPE_CHECKING:
    import asyncio

    from llmkit.cancelling import Cancellable
    from llmkit.client import Client
    from llmkit.loop.results import RunEvent, RunResult, ToolRun
    from llmkit.loop.using import Shift, Use

__all__ = ["RunStream"]


class RunStream:
    """
    A run as it happens: iterate it for events, ``text_iter()`` for the text of all answers; ``result`` is what it came to.

    The first request goes out when the first event is asked for. Leaving the loop, ``close()``, the end of a ``with`` and garbage
    collection all end the run: connections are closed, tools that are running are given up.
    """

    def __init__(self, client: Client, streamed: bool, active: set[Cancellable], arguments: Mapping[str, Any]) -> None:
        self._client = client
        self._streamed = streamed
        self._active = active
        self._run = make_run(awaits=False, defaults=client._router.settings.defaults, **arguments)
        self._events = self._read()

    @property
    def result(self) -> RunResult:
        """What the run came to, once the last event was read. Raises ``ConfigurationError`` before that."""
        if not self._run.is_over:
            msg = "The run has not been read to its end: iterate it first, or call collect()."
            raise ConfigurationError(msg)
        return self._run.so_far()

    @property
    def so_far(self) -> RunResult:
        """What there is up to now, of a run that was left, too."""
        return self._run.so_far()

    def collect(self) -> RunResult:
        """Read what is left and return what the run came to."""
        for _ in self._events:
            pass
        return self.result

    def text_iter(self) -> Iterator[str]:
        """Yield the text of the answers, piece by piece."""
        for event in self:
            if event.name == "text":
                yield event.text

    def __iter__(self) -> Iterator[RunEvent]:
        # A generator of its own: when a loop is left, it is dropped, and the run with it.
        try:
            yield from self._events
        finally:
            self.close()

    def __next__(self) -> RunEvent:
        return next(self._events)

    def _read(self) -> Generator[RunEvent, None, None]:
        run = self._run
        with run.under_way(self._active), _Hands(run) as hands:
            while not run.is_over:
                if run.asks:
                    yield from self._ask()
                yield from self._work(run.shift(), hands)
                step = run.finish_step()
                if step is not None:
                    if run.terms.on_step is not None:
                        run.terms.on_step(step)
                    yield run.event("step", step=step)
        yield run.event("done", result=run.so_far())

    def _ask(self) -> Generator[RunEvent, None, None]:
        run = self._run
        run.check_cut(cancelled)
        messages, parameters = run.request()
        if not self._streamed:
            with run.scope(counted=True):
                run.answered(self._client.complete(messages, **parameters))
            return
        with run.scope(counted=True):
            stream = self._client.stream(messages, **parameters)
        with stream:
            for chunk in stream:
                yield from run.heard(chunk)
        yield from run.heard(None)
        run.answered(stream.response)

    def _work(self, shift: Shift, hands: _Hands) -> Generator[RunEvent, None, None]:
        approve = self._run.terms.approve
        for use in shift.to_approve(approve is not None):
            if approve is not None:
                shift.decide(use, approve(use.shown))
        while not shift.is_over:
            self._run.check_cut(cancelled)
            started = shift.due()
            yield from shift.news()
            for use in started:
                if shift.is_in_place:
                    shift.ended(use, hands.run(use))
                else:
                    hands.start(use)
            if not shift.is_in_place:
                for use, tool_run in hands.wait(shift.patience()):
                    shift.ended(use, tool_run)
                for use in shift.expire():
                    hands.give_up(use)
            yield from shift.news()
        yield from shift.news()

    def close(self) -> None:
        """End the run where it is. Idempotent."""
        self._events.close()

    def __enter__(self) -> RunStream:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class _Hands:
    """Those who run the tools of one run: threads, and an event loop where there are coroutine functions."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._loop: PrivateLoop | None = None
        self._lock = threading.Lock()
        self._done: queue.SimpleQueue[tuple[Use, ToolRun | BaseException] | None] = queue.SimpleQueue()
        self._cancel: dict[Use, Callable[[], object]] = {}
        self._is_over = False

    def __enter__(self) -> _Hands:
        self._run.cut.arm(lambda: self._done.put(None))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._run.cut.arm(None)
        with self._lock:
            self._is_over = True
        if self._loop is not None:
            self._loop.close()

    def run(self, use: Use) -> ToolRun:
        """Run a tool here and now."""
        with self._run.scope():
            context = use.context()
        if not use.is_async:
            return context.run(use.run, self._resolve)
        self.start(use)
        ((_, tool_run),) = self.wait(None)
        return tool_run

    def start(self, use: Use) -> None:
        with self._run.scope():
            context = use.context()
        if use.is_async:
            self._cancel[use] = self._own_loop().begin(context, use.arun(), lambda task: self._ended(use, task))
            return
        threading.Thread(target=context.run, args=(self._perform, use), name=f"llmkit-{use.call.name}", daemon=True).start()

    def wait(self, seconds: float | None) -> list[tuple[Use, ToolRun]]:
        """Wait for one to end, and return it; nothing where none has after *seconds*."""
        try:
            found = self._done.get(timeout=seconds)
        except queue.Empty:
            return []
        self._run.check_cut(cancelled)
        if found is None:
            return []
        use, outcome = found
        self._cancel.pop(use, None)
        if use.tool_run is not None:
            return []  # it was given up
        if isinstance(outcome, BaseException):
            raise outcome
        return [(use, outcome)]

    def give_up(self, use: Use) -> None:
        cancel = self._cancel.pop(use, None)
        if cancel is not None:
            cancel()

    def _perform(self, use: Use) -> None:
        try:
            outcome: ToolRun | BaseException = use.run(self._resolve)
        except BaseException as error:  # noqa: BLE001 - handed over to the thread that waits for it
            outcome = error
        self._done.put((use, outcome))

    def _ended(self, use: Use, task: asyncio.Task[ToolRun | BaseException]) -> None:
        self._done.put((use, use.outcome_of(task)))

    def _resolve(self, work: Awaitable[Any]) -> Any:
        try:
            return self._own_loop().wait_for(work)
        finally:
            # Where there was no loop for it any more, Python would complain that it was never awaited.
            if inspect.iscoroutine(work):
                work.close()

    def _own_loop(self) -> PrivateLoop:
        with self._lock:
            if self._is_over:
                msg = "The run of this tool is over, and its event loop with it."
                raise RuntimeError(msg)
            if self._loop is None:
                self._loop = PrivateLoop()
            return self._loop

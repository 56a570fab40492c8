"""
A run of the asyncio client: ``llmkit.running`` with ``await`` in it, and nothing decided here either.

Tools that are coroutine functions run as tasks, which are cancelled when they are given up; the others in threads of their own, which
cannot be: one that is given up goes on to its end, and what it gives back is dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

from llmkit.errors import ConfigurationError
from llmkit.loop.run import Run, make_run
from llmkit.loop.using import awaited

if TYPE_CHECKING:
    from llmkit.cancelling import Cancellable
    from llmkit.loop.results import RunEvent, RunResult, ToolRun
    from llmkit.loop.using import Shift, Use
    from llmkit_async.client import AsyncClient

__all__ = ["AsyncRunStream"]

PATIENCE = 0.1  # seconds that cancelled tools have to clean up before the run goes on without them


class AsyncRunStream:
    """
    A run as it happens: iterate it for events, ``text_iter()`` for the text of all answers; ``result`` is what it came to.

    The first request goes out when the first event is asked for. Leaving the loop, ``close()``, the end of a ``with`` and garbage
    collection all end the run: connections are closed, tools that are running are given up.
    """

    def __init__(self, client: AsyncClient, streamed: bool, active: set[Cancellable], arguments: Mapping[str, Any]) -> None:
        self._client = client
        self._streamed = streamed
        self._active = active
        self._run = make_run(awaits=True, defaults=client._router.settings.defaults, **arguments)
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

    async def collect(self) -> RunResult:
        """Read what is left and return what the run came to."""
        async for _ in self._events:
            pass
        return self.result

    async def text_iter(self) -> AsyncGenerator[str, None]:
        """Yield the text of the answers, piece by piece."""
        async with contextlib.aclosing(self.__aiter__()) as events:
            async for event in events:
                if event.name == "text":
                    yield event.text

    async def __aiter__(self) -> AsyncGenerator[RunEvent, None]:
        # A generator of its own: when a loop is left, it is dropped, and the run with it.
        try:
            async for event in self._events:
                yield event
        finally:
            await self.close()

    async def __anext__(self) -> RunEvent:
        return await self._events.__anext__()

    async def _read(self) -> AsyncGenerator[RunEvent, None]:
        run = self._run
        with run.under_way(self._active):
            async with _Hands(run) as hands:
                while not run.is_over:
                    if run.asks:
                        async with contextlib.aclosing(self._ask()) as events:
                            async for event in events:
                                yield event
                    async with contextlib.aclosing(self._work(run.shift(), hands)) as events:
                        async for event in events:
                            yield event
                    step = run.finish_step()
                    if step is not None:
                        if run.terms.on_step is not None:
                            await _settled(run.terms.on_step(step))
                        yield run.event("step", step=step)
        yield run.event("done", result=run.so_far())

    async def _ask(self) -> AsyncGenerator[RunEvent, None]:
        run = self._run
        run.check_cut(asyncio.CancelledError)
        messages, parameters = run.request()
        if not self._streamed:
            with run.scope(counted=True):
                run.answered(await self._client.complete(messages, **parameters))
            return
        with run.scope(counted=True):
            stream = self._client.stream(messages, **parameters)
        async with stream, contextlib.aclosing(aiter(stream)) as chunks:
            async for chunk in chunks:
                for event in run.heard(chunk):
                    yield event
        for event in run.heard(None):
            yield event
        run.answered(stream.response)

    async def _work(self, shift: Shift, hands: _Hands) -> AsyncGenerator[RunEvent, None]:
        approve = self._run.terms.approve
        for use in shift.to_approve(approve is not None):
            if approve is not None:
                shift.decide(use, await hands.ask(approve, use, shift))
        while not shift.is_over:
            self._run.check_cut(asyncio.CancelledError)
            started = shift.due()
            for event in shift.news():
                yield event
            for use in started:
                hands.start(use)
            for use, tool_run in await hands.wait(shift.patience()):
                shift.ended(use, tool_run)
            for use in shift.expire():
                hands.give_up(use)
            for event in shift.news():
                yield event
        for event in shift.news():
            yield event

    async def close(self) -> None:
        """End the run where it is. Idempotent."""
        await self._events.aclose()

    async def __aenter__(self) -> AsyncRunStream:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()


async def _settled(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


class _Hands:
    """Those who run the tools of one run: tasks, and threads for functions that are none of coroutines."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._loop = asyncio.get_running_loop()
        self._done: deque[tuple[Use, ToolRun | BaseException]] = deque()
        self._news = asyncio.Event()
        self._tasks: dict[asyncio.Task[ToolRun | BaseException], Use] = {}
        self._is_over = False

    async def __aenter__(self) -> _Hands:
        self._run.cut.arm(partial(self._call, self._news.set))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._run.cut.arm(None)
        self._is_over = True
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=PATIENCE)

    async def ask(self, approve: Callable[[Any], Any], use: Use, shift: Shift) -> object:
        """Return what *approve* says: in a thread, where it may wait for somebody, unless it is to be awaited."""
        asked = asyncio.ensure_future(self._verdict(approve, use))
        asked.add_done_callback(lambda _: self._news.set())
        try:
            while not asked.done():
                await self._hear(shift.patience())
                shift.check_deadline()
            return asked.result()
        finally:
            asked.cancel()

    async def _verdict(self, approve: Callable[[Any], Any], use: Use) -> object:
        if inspect.iscoroutinefunction(approve):
            return await approve(use.shown)
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._thread("approve", self._answer, approve, use, answer)
        return await _settled(await answer)

    def start(self, use: Use) -> None:
        with self._run.scope():
            context = use.context()
        if not use.is_async:
            self._thread(use.call.name, context.run, self._perform, use)
            return
        task = context.run(self._loop.create_task, use.arun())
        self._tasks[task] = use
        task.add_done_callback(self._ended)

    async def wait(self, seconds: float | None) -> list[tuple[Use, ToolRun]]:
        """Wait for some to end, and return them; nothing where none has after *seconds*."""
        if not self._done:
            await self._hear(seconds)
        self._run.check_cut(asyncio.CancelledError)
        found: list[tuple[Use, ToolRun]] = []
        while self._done:
            use, outcome = self._done.popleft()
            if use.tool_run is not None:
                continue  # it was given up
            if isinstance(outcome, BaseException):
                raise outcome
            found.append((use, outcome))
        return found

    async def _hear(self, seconds: float | None) -> None:
        """Wait until there is news, or *seconds* are over."""
        timer = None if seconds is None else self._loop.call_later(seconds, self._news.set)
        try:
            await self._news.wait()
        finally:
            if timer is not None:
                timer.cancel()
        self._news.clear()
        self._run.check_cut(asyncio.CancelledError)

    def give_up(self, use: Use) -> None:
        for task, one in self._tasks.items():
            if one is use:
                task.cancel()

    def _ended(self, task: asyncio.Task[ToolRun | BaseException]) -> None:
        use = self._tasks.pop(task)
        if self._is_over:
            return
        self._put(use, use.outcome_of(task))

    def _put(self, use: Use, outcome: ToolRun | BaseException) -> None:
        self._done.append((use, outcome))
        self._news.set()

    # -- in threads

    def _thread(self, name: str, target: Callable[..., object], *args: Any) -> None:
        threading.Thread(target=target, args=args, name=f"llmkit-{name}", daemon=True).start()

    def _perform(self, use: Use) -> None:
        try:
            outcome: ToolRun | BaseException = use.run(self._resolve)
        except BaseException as error:  # noqa: BLE001 - handed over to the task that waits for it
            outcome = error
        self._call(self._put, use, outcome)

    def _answer(self, approve: Callable[[Any], Any], use: Use, answer: asyncio.Future[Any]) -> None:
        try:
            value = approve(use.shown)
        except BaseException as error:  # noqa: BLE001 - as above
            self._call(_fulfil, answer, None, error)
        else:
            self._call(_fulfil, answer, value, None)

    def _resolve(self, work: Awaitable[Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(awaited(work), self._loop).result()()

    def _call(self, function: Callable[..., object], *args: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody waits any more
            self._loop.call_soon_threadsafe(function, *args)


def _fulfil(future: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(value)

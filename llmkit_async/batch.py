"""A batch in tasks of this loop: ``llmkit.batch.threads`` with ``await`` in it."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import time
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from llmkit.batch.items import BatchItem, BatchResult
from llmkit.batch.run import Run
from llmkit.errors import LLMKitError
from llmkit_async._aside import WRITING, aside

if TYPE_CHECKING:
    from llmkit.batch.executors import Staff
    from llmkit.batch.provider import Desk
    from llmkit.batch.questions import Question
    from llmkit.batch.window import Pause, Steps
    from llmkit.call import Call
    from llmkit.models.response import CompletionResponse
    from llmkit.routing import Router
    from llmkit_async.client import AsyncClient

Send: TypeAlias = "Callable[[Call[Any]], Awaitable[Any]]"

__all__ = ["AsyncCrew", "gathered", "iterated"]

BREATH = 0.001  # seconds after which other tasks get their turn, where nothing had to be waited for


class AsyncWorkers(Protocol):
    """Those who ask; see ``llmkit.batch.threads.Workers``."""

    @property
    def under_way(self) -> int: ...

    @property
    def has_news(self) -> bool: ...

    async def hand(self, question: Question) -> None: ...

    async def flush(self) -> None: ...

    async def collect(self) -> list[BatchItem]: ...

    def leave(self) -> None: ...

    async def wait(self, seconds: float) -> None: ...


class AsyncCrew:
    """Tasks that ask with *complete*: each is made when it is first needed, and ends with ``leave``."""

    def __init__(self, run: Run, complete: Callable[..., Awaitable[CompletionResponse]], size: int) -> None:
        self._run = run
        self._complete = complete
        self._size = size
        self._tasks: list[asyncio.Task[None]] = []
        self._context = contextvars.copy_context()
        self._questions: asyncio.Queue[Question] = asyncio.Queue()
        self._items: asyncio.Queue[BatchItem | BaseException | None] = asyncio.Queue()
        self.under_way = 0

    async def hand(self, question: Question) -> None:
        self.under_way += 1
        self._questions.put_nowait(question)
        if len(self._tasks) < min(self._size, self.under_way):
            self._tasks.append(self._context.run(asyncio.ensure_future, self._work()))

    @property
    def has_news(self) -> bool:
        return not self._items.empty()

    async def flush(self) -> None:
        """Each question is handed over by itself."""

    async def collect(self) -> list[BatchItem]:
        found = await self._items.get()
        self.under_way -= 1
        if isinstance(found, BaseException):
            raise found
        return [] if found is None else [found]

    def leave(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def wait(self, seconds: float) -> None:
        """What is under way may go on for *seconds*; then it is cancelled, which takes no longer than writing a line does."""
        if seconds:
            empty = asyncio.ensure_future(self._empty())
            await asyncio.wait([empty], timeout=seconds)
            empty.cancel()
        self.leave()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=WRITING)

    async def _empty(self) -> None:
        while self.under_way:
            await self._items.get()
            self.under_way -= 1

    async def _work(self) -> None:
        while True:
            question = await self._questions.get()
            try:
                found: BatchItem | BaseException | None = await self._run.aask(question, self._complete, aside, asyncio.sleep)
            except asyncio.CancelledError as error:
                self._items.put_nowait(error)
                raise
            except BaseException as error:  # noqa: BLE001 - handed over to the task that iterates
                found = error
            self._items.put_nowait(found)


class AsyncStaff:
    """Those at an executor who ask, awaited."""

    def __init__(self, staff: Staff) -> None:
        self._staff = staff
        self._loop: asyncio.AbstractEventLoop | None = None  # in which it is awaited, which need not run yet
        self._back: asyncio.Queue[Future[Any]] = asyncio.Queue()
        staff.report = self._report

    def _report(self, future: Future[Any]) -> None:
        assert self._loop is not None  # nothing was handed over before
        with contextlib.suppress(RuntimeError):  # the loop may be closed by then
            self._loop.call_soon_threadsafe(self._back.put_nowait, future)

    @property
    def under_way(self) -> int:
        return self._staff.under_way

    @property
    def has_news(self) -> bool:
        return self._staff.has_ready or not self._back.empty()

    async def hand(self, question: Question) -> None:
        self._loop = asyncio.get_running_loop()
        if self._staff.add(question):
            await self._send(self._staff.size)

    async def flush(self) -> None:
        if self._staff.has_waiting:
            await self._send(1)

    async def _send(self, least: int) -> None:
        if self._staff.blocks:
            await aside(self._staff.send, least)
        else:
            self._staff.send(least)

    async def collect(self) -> list[BatchItem]:
        if not self._staff.has_ready:
            try:
                future = await asyncio.wait_for(self._back.get(), self._staff.patience)
            except asyncio.TimeoutError:
                self._staff.give_up()
            else:
                await aside(self._staff.receive, future)
        return self._staff.taken()

    def leave(self) -> None:
        self._staff.leave()

    async def wait(self, seconds: float) -> None:
        self.leave()
        await aside(self._staff.sweep)
        until = time.monotonic() + seconds
        while self._staff.has_out and (left := until - time.monotonic()) > 0:
            with contextlib.suppress(asyncio.TimeoutError):
                await aside(self._staff.bury, await asyncio.wait_for(self._back.get(), left))
        self._staff.abandon()


class AsyncWindow:
    """Those at the provider who ask, awaited."""

    def __init__(self, desk: Desk, send: Send) -> None:
        self._desk = desk
        self._send = send

    @property
    def under_way(self) -> int:
        return self._desk.under_way

    @property
    def has_news(self) -> bool:
        """To look costs a request."""
        return False

    async def hand(self, question: Question) -> None:
        self._desk.take(question)

    async def flush(self) -> None:
        await self._performed(self._desk.submit())

    async def collect(self) -> list[BatchItem]:
        items: list[BatchItem] = await self._performed(self._desk.collect())
        return items

    def leave(self) -> None:
        """What is there goes on there."""

    async def wait(self, seconds: float) -> None:
        await asyncio.wait([asyncio.ensure_future(self._performed(self._desk.give_up()))], timeout=WRITING)

    async def _performed(self, steps: Steps) -> Any:
        """See ``llmkit.batch.window.performed``."""
        from llmkit.batch.window import Pause

        value: Any = None
        failure: LLMKitError | None = None
        try:
            while True:
                try:
                    step = steps.send(value) if failure is None else steps.throw(failure)
                except StopIteration as end:
                    return end.value
                value, failure = None, None
                if isinstance(step, Pause):
                    await _rest(step)
                    continue
                try:
                    value = await self._send(step)
                except LLMKitError as error:
                    failure = error
        finally:
            steps.close()  # now, and not when it is found by chance: it has to give money back


async def _rest(pause: Pause) -> None:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None  # this is one
    with pause.noted(partial(loop.call_soon_threadsafe, task.cancel)):
        await asyncio.sleep(pause.seconds)


def begun(
    client: AsyncClient, router: Router, send: Send, prompts: Any, said: Mapping[str, Any]
) -> tuple[Run, AsyncGenerator[BatchItem, None]]:
    """Return a batch and its items. What is wrong with its arguments is raised here, and not when the first item is asked for."""
    run = Run(router, prompts, said)
    try:
        items = driven(run, _workers(run, client, send))
    except BaseException:
        run.close()
        raise
    weakref.finalize(items, run.close)  # also if nobody ever asked for an item
    return run, items


def _workers(run: Run, client: AsyncClient, send: Send) -> AsyncWorkers:
    if run.options.mode == "provider":
        from llmkit.batch.provider import Desk

        return AsyncWindow(Desk(run), send)
    if run.options.executor is None:
        return AsyncCrew(run, client.complete, run.options.max_concurrency)
    from llmkit.batch.executors import staff

    return AsyncStaff(staff(run))


def iterated(client: AsyncClient, router: Router, send: Send, prompts: Any, said: Mapping[str, Any]) -> AsyncGenerator[BatchItem, None]:
    """Return the items of a batch, as ``AsyncClient.batch_iter`` promises."""
    return begun(client, router, send, prompts, said)[1]


async def gathered(client: AsyncClient, router: Router, send: Send, prompts: Any, said: Mapping[str, Any]) -> BatchResult:
    """Return all items of a batch at once, as ``AsyncClient.batch`` promises."""
    run, found = begun(client, router, send, prompts, said)
    run.is_ordered = False
    items: list[BatchItem] = []
    try:
        async for item in found:
            items.append(item)
    except LLMKitError as error:
        if error is not run.stopped:
            raise
    finally:
        await found.aclose()
    return run.result(items)


async def _take(run: Run, prompts: AsyncIterator[Any] | None) -> Question | BatchItem | None:
    if prompts is None:
        return run.take()
    try:
        prompt = await prompts.__anext__()
    except StopAsyncIteration:
        run.exhausted()
        return None
    return run.accept(prompt)


async def driven(run: Run, workers: AsyncWorkers) -> AsyncGenerator[BatchItem, None]:
    """Yield the items of *run*, asked by *workers*."""
    prompts: AsyncIterator[Any] | None = aiter(run.prompts) if hasattr(run.prompts, "__aiter__") else None
    loop = asyncio.get_running_loop()
    breathed = loop.time()
    try:
        while True:
            while run.wants_more:
                step = await _take(run, prompts)
                if step is None:
                    break
                if isinstance(step, BatchItem):
                    for item in run.arrived(step):
                        yield item
                else:
                    await workers.hand(step)
                if loop.time() - breathed > BREATH:
                    await asyncio.sleep(0)
                    breathed = loop.time()
                while workers.has_news:  # it need not wait until a slow source has filled the window
                    for found in await workers.collect():
                        for item in run.arrived(found):
                            yield item
            await workers.flush()
            if not workers.under_way:
                break
            for found in await workers.collect():
                for item in run.arrived(found):
                    yield item
        run.check_end()
    except asyncio.CancelledError:
        # A cancellation is to be quick: what is under way is cancelled with it.
        run.leave()
        await workers.wait(0.0)
        raise
    except BaseException:
        await workers.wait(run.leave())
        raise
    else:
        await workers.wait(0.0)
    finally:
        run.close()

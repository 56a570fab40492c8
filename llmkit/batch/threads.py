"""A batch in threads of this process: as many as are asked at a time, in the context in which the batch was begun."""

from __future__ import annotations

import contextvars
import queue
import threading
import time
import weakref
from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from llmkit.batch.items import BatchItem, BatchResult
from llmkit.batch.run import Run
from llmkit.errors import LLMKitError

if TYPE_CHECKING:
    from llmkit.batch.questions import Question
    from llmkit.call import Call
    from llmkit.client import Client
    from llmkit.models.response import CompletionResponse
    from llmkit.routing import Router

Send: TypeAlias = "Callable[[Call[Any]], Any]"

__all__ = ["Crew", "gathered", "iterated"]


class Workers(Protocol):
    """Those who ask."""

    @property
    def under_way(self) -> int:
        """How many questions were handed to them whose items were not collected yet."""
        ...

    @property
    def has_news(self) -> bool:
        """Whether ``collect`` would not wait."""
        ...

    def hand(self, question: Question) -> None:
        """Have *question* asked."""

    def flush(self) -> None:
        """There is no further question for now."""

    def collect(self) -> list[BatchItem]:
        """
        Wait for the items that are there next, and return them.

        Raises:
            BaseException: What was raised while asking, and is no item's error.
        """
        ...

    def leave(self) -> None:
        """Ask nothing more; what is under way goes on. Idempotent."""

    def wait(self, seconds: float) -> None:
        """Wait until nothing is under way, or *seconds* are over."""


class Crew:
    """Threads that ask with *complete*; each is started when it is first needed, and ends with ``leave``."""

    def __init__(self, run: Run, complete: Callable[..., CompletionResponse], size: int) -> None:
        self._run = run
        self._complete = complete
        self._size = size
        self._threads: list[threading.Thread] = []
        self._is_left = False
        self._context = contextvars.copy_context()
        self._questions: queue.SimpleQueue[Question | None] = queue.SimpleQueue()
        self._items: queue.SimpleQueue[BatchItem | BaseException | None] = queue.SimpleQueue()
        self.under_way = 0

    def hand(self, question: Question) -> None:
        self.under_way += 1
        self._questions.put(question)
        if len(self._threads) < min(self._size, self.under_way):
            work = self._context.copy().run  # a context can be entered only once at a time
            # A daemon: after a second Ctrl-C the process is to end, whatever is under way.
            self._threads.append(threading.Thread(target=work, args=(self._work,), name="llmkit-batch", daemon=True))
            self._threads[-1].start()

    @property
    def has_news(self) -> bool:
        return not self._items.empty()

    def flush(self) -> None:
        """Each question is handed over by itself."""

    def collect(self) -> list[BatchItem]:
        found = self._items.get()
        self.under_way -= 1
        if isinstance(found, BaseException):
            raise found
        return [] if found is None else [found]

    def leave(self) -> None:
        if not self._is_left:
            self._is_left = True
            for _ in self._threads:
                self._questions.put(None)

    def wait(self, seconds: float) -> None:
        # For the threads, and not for as many items as are under way: of those an interrupt may have come upon one as it was collected.
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _work(self) -> None:
        while (question := self._questions.get()) is not None:
            try:
                found: BatchItem | BaseException | None = self._run.ask(question, self._complete)
            except BaseException as error:  # noqa: BLE001 - handed over to the thread that iterates
                found = error
            self._items.put(found)


def begun(
    client: Client, router: Router, send: Send, prompts: Any, said: Mapping[str, Any]
) -> tuple[Run, Generator[BatchItem, None, None]]:
    """Return a batch and its items. What is wrong with its arguments is raised here, and not when the first item is asked for."""
    run = Run(router, prompts, said)
    try:
        items = driven(run, _workers(run, client, send))
    except BaseException:
        run.close()
        raise
    weakref.finalize(items, run.close)  # also if nobody ever asked for an item
    return run, items


def _workers(run: Run, client: Client, send: Send) -> Workers:
    if run.options.mode == "provider":
        from llmkit.batch.provider import Desk
        from llmkit.batch.window import Window

        return Window(Desk(run), send)
    if run.options.executor is None:
        return Crew(run, client.complete, run.options.max_concurrency)
    from llmkit.batch.executors import staff

    return staff(run, client.complete)


def iterated(client: Client, router: Router, send: Send, prompts: Any, said: Mapping[str, Any]) -> Generator[BatchItem, None, None]:
    """Return the items of a batch, as ``Client.batch_iter`` promises."""
    return begun(client, router, send, prompts, said)[1]


def gathered(client: Client, router: Router, send: Send, prompts: Any, said: Mapping[str, Any]) -> BatchResult:
    """Return all items of a batch at once, as ``Client.batch`` promises."""
    run, found = begun(client, router, send, prompts, said)
    run.is_ordered = False  # so that none waits for those before it: they are put in order in the end
    items: list[BatchItem] = []
    try:
        items.extend(found)
    except LLMKitError as error:
        if error is not run.stopped:
            raise
    return run.result(items)


def driven(run: Run, workers: Workers) -> Generator[BatchItem, None, None]:
    """Yield the items of *run*, asked by *workers*."""
    try:
        while True:
            while run.wants_more:
                step = run.take()
                if step is None:
                    break
                if isinstance(step, BatchItem):
                    yield from run.arrived(step)
                else:
                    workers.hand(step)
                while workers.has_news:  # it need not wait until a slow source has filled the window
                    for item in workers.collect():
                        yield from run.arrived(item)
            workers.flush()
            if not workers.under_way:
                break
            for item in workers.collect():
                yield from run.arrived(item)
        run.check_end()
    except BaseException:
        # Ctrl-C, most likely, or a reader who has enough. A second Ctrl-C ends the waiting at once.
        patience = run.leave()
        workers.leave()
        workers.wait(patience)
        raise
    finally:
        workers.leave()
        run.close()

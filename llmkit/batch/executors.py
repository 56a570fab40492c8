"""
A batch at an ``Executor`` of the user's: threads, processes, Dask, whatever there is.

Rule 1: to other processes a client travels by pickle, without its literal keys, and is made once in each of them.
Rule 2: what holds in one process cannot hold in several: a budget is refused. A deadline travels; what was used is counted here.
Rule 3: only this process writes the checkpoint. What is done elsewhere, and has not come back when this one is killed, is asked again.
"""

from __future__ import annotations

import contextvars
import queue
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from attrs import evolve

from llmkit.batch.items import BatchItem
from llmkit.batch.questions import Question
from llmkit.errors import ConfigurationError
from llmkit.metering import Tracker, current_trackers
from llmkit.resilience.budget import current_budgets
from llmkit.resilience.deadline import current_deadline, deadline
from llmkit.settings import SETTINGS, Settings

if TYPE_CHECKING:
    from llmkit.batch.run import Run
    from llmkit.client import Client
    from llmkit.models.response import CompletionResponse

__all__ = ["Staff", "Traveller", "staff"]

CHUNKS_AHEAD = 128  # more than there are workers, as a rule: how many there are an Executor does not tell
CLIENTS_KEPT = 4  # in a process, of different batches


class Traveller:
    """A client that travels as its settings, and is made at its destination when it is first needed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._name = uuid.uuid4().hex
        settings.portable()  # raises now what would be raised on the way

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrived, (self._name, self._settings.portable())

    def client(self) -> Client:
        return _client(self._name, self._settings.portable())


class _Arrived:
    """A traveller at its destination."""

    def __init__(self, name: str, state: dict[str, Any]) -> None:
        self._name = name
        self._state = state

    def client(self) -> Client:
        return _client(self._name, self._state)


_clients: OrderedDict[str, Client] = OrderedDict()


def _arrived(name: str, state: dict[str, Any]) -> _Arrived:
    return _Arrived(name, state)


def _client(name: str, state: dict[str, Any]) -> Client:
    from llmkit.client import Client

    client = _clients.get(name)
    if client is None:
        client = Client.__new__(Client)
        client.__setstate__(state)
        _clients[name] = client
        while len(_clients) > CLIENTS_KEPT:
            _clients.popitem(last=False)  # not closed: a chunk may still be at work with it
    return client


def answered(traveller: Traveller | _Arrived, questions: Sequence[Question], concurrency: int, seconds: float | None) -> list[BatchItem]:
    """Return the items of *questions*, asked here, *concurrency* at a time, in *seconds*."""
    with nullcontext() if seconds is None else deadline(max(seconds, 0.001)):
        found = traveller.client().batch([dict(question.arguments) for question in questions], max_concurrency=concurrency)
    return [evolve(item, index=question.index) for question, item in zip(questions, found, strict=True)]


def staff(run: Run, complete: Callable[..., CompletionResponse] | None = None) -> Staff:
    """
    Return those who ask at the executor of *run*; in threads of this process with *complete*, or where that is None with a client
    of the same settings, as threads have use for the sync one only.

    Raises:
        ConfigurationError: If the client cannot travel, or has what cannot hold in several processes.
    """
    executor = run.options.executor
    assert executor is not None  # asked for
    if isinstance(executor, ThreadPoolExecutor):
        if complete is not None:
            return Staff(run, executor, Here(run, complete))
        return Staff(run, executor, Here(run, _of_twin(run.router.settings), (run.router.tracker,)))
    return Staff(run, executor, Elsewhere(run))


def _of_twin(settings: Settings) -> Callable[..., CompletionResponse]:
    from llmkit.client import Client

    if settings.transport is not None:
        msg = "A client with an asynchronous transport of its own cannot be used in threads."
        raise ConfigurationError(msg)
    client = Client.__new__(Client)
    client.__setstate__({name: getattr(settings, name) for name in SETTINGS})
    return client.complete


class Here:
    """Work for threads of this process: one question each, as they are what asks several at a time. *trackers* did not see it."""

    size = 1

    def __init__(self, run: Run, complete: Callable[..., CompletionResponse], trackers: tuple[Tracker, ...] = ()) -> None:
        self._run = run
        self._trackers = trackers
        self._complete = complete
        self._context = contextvars.copy_context()

    def submit(self, executor: Executor, questions: list[Question]) -> Future[Any]:
        return executor.submit(self._context.copy().run, self._run.ask, questions[0], self._complete)

    def settle(self, questions: list[Question], found: Any) -> list[BatchItem]:
        items = [] if found is None else [found]
        _count(items, self._trackers)
        return items


class Elsewhere:
    """Work for other processes: a chunk of questions, of which ``max_concurrency`` are asked at a time."""

    def __init__(self, run: Run) -> None:
        if run.router.settings.budget is not None or current_budgets():
            msg = "A budget is kept in one process, and this executor has others: use threads, or do without."
            raise ConfigurationError(msg)
        self._run = run
        self._traveller = Traveller(run.router.settings)
        self._deadline = current_deadline()
        self._trackers = (run.router.tracker, *current_trackers())
        self.size = 2 * run.options.max_concurrency

    def submit(self, executor: Executor, questions: list[Question]) -> Future[Any]:
        self._run.begin(questions)
        seconds = None if self._deadline is None else self._deadline.remaining()
        return executor.submit(answered, self._traveller, questions, self._run.options.max_concurrency, seconds)

    def settle(self, questions: list[Question], found: Any) -> list[BatchItem]:
        _count(found, self._trackers)
        return self._run.settle(questions, found)


def _count(items: Sequence[BatchItem], trackers: tuple[Tracker, ...]) -> None:
    for item in items:
        if item.response is not None and not item.response.cached:
            last = item.attempts[-1]
            for tracker in trackers:
                tracker.add(f"{last.provider}/{last.model}", item.response.usage, item.response.cost)


class Staff:
    """Those at *executor* who ask."""

    def __init__(self, run: Run, executor: Executor, work: Here | Elsewhere) -> None:
        self._run = run
        self._executor = executor
        self._work = work
        self._chunk: list[Question] = []
        self._out: dict[Future[Any], list[Question]] = {}
        self._back: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
        self.report: Callable[[Future[Any]], object] = self._back.put  # is told, in whatever thread, what is done
        self.under_way = 0
        run.window = max(run.window, CHUNKS_AHEAD * work.size)

    @property
    def has_news(self) -> bool:
        return not self._back.empty()

    def hand(self, question: Question) -> None:
        self.under_way += 1
        self._chunk.append(question)
        if len(self._chunk) == self._work.size:
            self.flush()

    def flush(self) -> None:
        questions, self._chunk = self._chunk, []
        if questions:
            future = self._work.submit(self._executor, questions)
            self._out[future] = questions
            future.add_done_callback(self.report)

    def collect(self) -> list[BatchItem]:
        return self.settle(self._back.get())

    def settle(self, future: Future[Any]) -> list[BatchItem]:
        """Return the items that *future* brings."""
        questions = self._out.pop(future)
        self.under_way -= len(questions)
        if future.cancelled() and self._run.stopped is not None:
            return self._run.unasked(questions)
        items = self._work.settle(questions, future.result())
        if self._run.stopped is not None:
            self.leave()
        return items

    def leave(self) -> None:
        for future in list(self._out):
            future.cancel()

    def wait(self, seconds: float) -> None:
        """The results of what goes on elsewhere are logged as well, as far as they come."""
        until = time.monotonic() + seconds
        while self._out and (left := until - time.monotonic()) > 0:
            try:
                self.bury(self._back.get(timeout=left))
            except queue.Empty:
                return

    def bury(self, future: Future[Any]) -> None:
        """Log what *future* brings, where it brings anything: nobody waits for it any more."""
        if future.cancelled() or future.exception() is not None:
            self.under_way -= len(self._out.pop(future))
        else:
            self.settle(future)

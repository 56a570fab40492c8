"""
A batch at an ``Executor`` of the user's: threads, processes, Dask, whatever there is.

Rule 1: what holds around the batch holds wherever it is asked: a deadline travels, budgets are kept here and grant a part to what leaves
        (``llmkit.batch.purse``), what was used is counted here. Only what is ``shared`` is kept by all.
Rule 2: only this process writes the checkpoint. What is done elsewhere, and has not come back when this one is killed, is asked again.
Rule 3: what an executor loses is an item's error, and the end of the batch: nothing more is asked, what is there is kept. What may have
        been asked and paid for is never asked again by itself.
"""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from llmkit.batch.items import BatchItem
from llmkit.batch.purse import Asked, Grant
from llmkit.batch.questions import Question
from llmkit.batch.work import Elsewhere, Here, Parcel, Refused, Work, ended
from llmkit.errors import DeadlineExceededError, LLMKitError

if TYPE_CHECKING:
    from llmkit.batch.run import Run
    from llmkit.models.response import CompletionResponse

__all__ = ["Staff", "staff"]

CHUNKS_AHEAD = 128  # more than there are workers, as a rule: how many there are an Executor does not tell


def staff(run: Run, complete: Callable[..., CompletionResponse] | None = None) -> Staff:
    """
    Return those who ask at the executor of *run*; in threads of this process with *complete*, or where that is None with a client
    of the same settings, as threads have use for the sync one only.

    Raises:
        ConfigurationError: If the client cannot travel.
    """
    executor = run.options.executor
    assert executor is not None  # asked for
    if isinstance(executor, ThreadPoolExecutor):
        return Staff(run, executor, Here(run, complete))
    return Staff(run, executor, Elsewhere(run))


class Staff:
    """Those at *executor* who ask."""

    def __init__(self, run: Run, executor: Executor, work: Work) -> None:
        self._run = run
        self._executor = executor
        self._work = work
        # Others may have begun what they let us cancel.
        self._is_frank = isinstance(executor, (ThreadPoolExecutor, ProcessPoolExecutor))
        self._waiting: deque[Asked] = deque()
        self._has_to_wait = False  # for what is out, before anything else can go
        self._is_broken = False
        self._out: dict[Future[Any], Parcel] = {}
        self._ready: list[BatchItem] = []
        self._back: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
        self.report: Callable[[Future[Any]], object] = self._back.put  # is told, in whatever thread, what is done
        self.under_way = 0
        run.window = max(run.window, CHUNKS_AHEAD * work.size)

    @property
    def has_news(self) -> bool:
        return bool(self._ready) or not self._back.empty()

    @property
    def blocks(self) -> bool:
        """Whether ``flush`` may wait for a disk or a network."""
        return self._work.blocks

    @property
    def size(self) -> int:
        """How many questions are a chunk."""
        return self._work.size

    @property
    def has_waiting(self) -> bool:
        """Whether there are questions that were not handed over yet."""
        return bool(self._waiting)

    @property
    def has_out(self) -> bool:
        """Whether something is out."""
        return bool(self._out)

    @property
    def has_ready(self) -> bool:
        """Whether there are items now."""
        return bool(self._ready)

    @property
    def patience(self) -> float | None:
        """For how many seconds to wait for what is out, before ``give_up``; None without end."""
        return self._work.patience

    def add(self, question: Question) -> bool:
        """Take *question*, and return whether a chunk is full that could go."""
        self.under_way += 1
        try:
            self._waiting.append(self._work.look(question))
        except LLMKitError as error:
            self._ready += self._run.failed([question], error)
        return len(self._waiting) >= self._work.size and not self._has_to_wait

    def hand(self, question: Question) -> None:
        if self.add(question):
            self.send(self._work.size)

    def flush(self) -> None:
        self.send()

    def send(self, least: int = 1) -> None:
        """Hand over what waits, as long as there are *least* questions that can go."""
        while len(self._waiting) >= least:
            if self._run.stopped is not None:
                self._ready += self._run.unasked([asked.question for asked in self._waiting])
                self._waiting.clear()
                return
            try:
                parcel = self._work.pack(list(islice(self._waiting, self._work.size)), can_wait=bool(self._out))
            except LLMKitError as error:
                self._ready += self._run.failed([self._waiting.popleft().question], error)
                continue
            self._has_to_wait = parcel is None
            if parcel is None:
                return
            for _ in parcel.asked:
                self._waiting.popleft()
            self._submit(parcel)

    def _submit(self, parcel: Parcel) -> None:
        try:
            future = self._work.submit(self._executor, parcel)
        except LLMKitError:  # it cannot be logged
            self._forsake(parcel, is_sent=False)
            raise
        except Exception as error:  # noqa: BLE001 - whatever an executor raises
            future = Future()
            refusal = Refused()
            refusal.__cause__ = error
            future.set_exception(refusal)
        self._out[future] = parcel
        future.add_done_callback(self.report)

    def collect(self) -> list[BatchItem]:
        if not self._ready:
            try:
                self.receive(self._back.get(timeout=self.patience))
            except queue.Empty:
                self.give_up()
        return self.taken()

    def taken(self) -> list[BatchItem]:
        """Return the items that there are, once."""
        ready, self._ready = self._ready, []
        self.under_way -= len(ready)
        return ready

    def receive(self, future: Future[Any]) -> None:
        """Take in what *future* brings."""
        parcel = self._out.pop(future, None)
        if parcel is None:
            return  # nobody had waited for it any more
        self._has_to_wait = False
        if future.cancelled():
            self._forsake(parcel, is_sent=not self._is_frank)
            self._ready += ended(self._run, parcel, CancelledError("it was cancelled"))
        else:
            self._is_broken = self._is_broken or isinstance(future.exception(), BrokenExecutor)
            items, again = self._work.opened(parcel, future)
            self._ready += items
            self._waiting.extendleft(reversed(again))
            self.under_way -= len(parcel.asked) - len(items) - len(again)
        if self._run.stopped is not None:
            self.leave()

    def give_up(self) -> None:
        """What is out has not come back in time, and is not waited for."""
        for future, parcel in self._out.items():
            is_sent = not (future.cancel() and self._is_frank)
            self._forsake(parcel, is_sent=is_sent)
            msg = "The deadline passed, and the executor has not brought this back."
            self._ready += self._run.failed(parcel.questions, DeadlineExceededError(msg, maybe_billed=is_sent))
        self._out.clear()
        self._has_to_wait = False

    @staticmethod
    def _forsake(parcel: Parcel, *, is_sent: bool) -> None:
        """Nothing of *parcel* comes back; *is_sent*: some of it may have been asked."""
        if parcel.grant is not None:
            (parcel.grant.lost if is_sent else parcel.grant.unused)()

    def leave(self) -> None:
        if self._is_broken:
            # It ends what is out by itself, and up to Python 3.11 trips over what was cancelled meanwhile, and leaves the rest as it is.
            return
        for future in list(self._out):
            future.cancel()

    def wait(self, seconds: float) -> None:
        """The results of what goes on elsewhere are logged as well, as far as they come."""
        until = time.monotonic() + seconds
        self.sweep()
        while self._out and (left := until - time.monotonic()) > 0:
            wait(self._out, left, FIRST_COMPLETED)
            self.sweep()
        self.abandon()

    def sweep(self) -> None:
        """Log what has come back: also what was reported, but an interrupt came before it was received."""
        for future in [future for future in self._out if future.done()]:
            self.bury(future)

    def bury(self, future: Future[Any]) -> None:
        """Log what *future* brings, where it brings anything: nobody waits for it any more."""
        with suppress(Exception):  # the batch ends with another
            self.receive(future)

    def abandon(self) -> None:
        """What is still out is not waited for; what it has cost counts when it comes."""
        out, self._out = self._out, {}
        for future, parcel in out.items():
            if parcel.grant is not None:
                future.add_done_callback(partial(self._settle_late, parcel.grant))

    def _settle_late(self, grant: Grant, future: Future[Any]) -> None:
        if future.cancelled() and self._is_frank:
            grant.unused()
        elif future.cancelled() or future.exception() is not None:
            grant.lost()
        else:
            grant.spent(future.result().spent)

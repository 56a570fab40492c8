"""
What those at an executor do: hand over questions, and open what comes back.

Rule 1: whether something was sent decides what its failure means: what was not is an error and nothing else, what may have been is lost,
        and its items say that they may have been paid for.
"""

from __future__ import annotations

import contextvars
import time
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from attrs import evolve

from llmkit.batch.items import BatchItem
from llmkit.batch.purse import Asked, Grant, Purse
from llmkit.batch.questions import Question
from llmkit.batch.travelling import Brought, Chunk, Traveller, answered, is_fit_to_travel
from llmkit.errors import BatchError, BudgetExceededError, ConfigurationError, DeadlineExceededError, LLMKitError
from llmkit.metering import current_trackers, tracked_by
from llmkit.resilience.budget import current_budgets
from llmkit.resilience.deadline import current_deadline
from llmkit.secrets import clean
from llmkit.settings import SETTINGS, Settings

if TYPE_CHECKING:
    from llmkit.batch.run import Run
    from llmkit.models.response import CompletionResponse

__all__ = ["Elsewhere", "Here", "Opened", "Parcel", "Refused", "Work", "ended"]

GRACE = 10.0  # seconds after the deadline for what is elsewhere to come back and tell that it is too late


class Parcel(NamedTuple):
    """What is handed to an executor at once, and what is granted for it."""

    asked: Sequence[Asked]
    grant: Grant | None = None

    @property
    def questions(self) -> list[Question]:
        return [each.question for each in self.asked]


class Opened(NamedTuple):
    """What became of a parcel: items, and what is to be asked again since it was not sent."""

    items: list[BatchItem]
    again: Sequence[Asked] = ()


class Refused(Exception):
    """An executor did not take what was handed to it, because of the ``__cause__``."""


class FromElsewhere(Exception):
    """Holds the traceback of what was raised in another process."""


class Work(Protocol):
    """What those at an executor do."""

    @property
    def size(self) -> int:
        """How many questions are handed over at once."""
        ...

    @property
    def blocks(self) -> bool:
        """Whether handing over may wait for a disk or a network."""
        ...

    @property
    def patience(self) -> float | None:
        """For how many seconds to wait for what is out; None without end."""
        ...

    def look(self, question: Question) -> Asked:
        """Return *question*, ready to be asked. Raises ``LLMKitError`` if it cannot be."""
        ...

    def pack(self, asked: Sequence[Asked], *, can_wait: bool) -> Parcel | None:
        """Return as many of *asked* as can go now; None if they have to wait. Raises ``LLMKitError`` if the first never can."""
        ...

    def submit(self, executor: Executor, parcel: Parcel) -> Future[Any]: ...

    def opened(self, parcel: Parcel, future: Future[Any]) -> Opened:
        """
        Return what *future*, which was not cancelled, brings for *parcel*.

        Raises:
            BaseException: What was raised while asking, and is no item's error.
        """
        ...


class Here:
    """
    Work for threads of this process: one question each, as they are what asks several at a time.

    They ask with *complete*; where that is None, with a client of their own, whose answers count as the batch's client's.
    """

    size = 1
    blocks = False
    patience = None

    def __init__(self, run: Run, complete: Callable[..., CompletionResponse] | None) -> None:
        self._run = run
        if complete is None:
            self._complete = _of_twin(run.router.settings)
            with tracked_by(run.router.tracker):
                self._context = contextvars.copy_context()
        else:
            self._complete = complete
            self._context = contextvars.copy_context()

    def look(self, question: Question) -> Asked:
        return Asked(question)

    def pack(self, asked: Sequence[Asked], *, can_wait: bool) -> Parcel:
        return Parcel(asked)

    def submit(self, executor: Executor, parcel: Parcel) -> Future[Any]:
        return executor.submit(self._context.copy().run, self._run.ask, parcel.asked[0].question, self._complete)

    def opened(self, parcel: Parcel, future: Future[Any]) -> Opened:
        error = future.exception()
        if isinstance(error, (BrokenExecutor, Refused)):
            return Opened(ended(self._run, parcel, error.__cause__ or error))
        found = future.result()
        return Opened([] if found is None else [found])


class Elsewhere:
    """
    Work for other processes: a chunk of questions, of which ``max_concurrency`` are asked at a time.

    Raises:
        ConfigurationError: If the client cannot travel.
    """

    blocks = True

    def __init__(self, run: Run) -> None:
        router = run.router
        own, around = router.settings.budget, current_budgets()
        settings = router.settings
        if router.sharing is None:
            settings = evolve(settings, budget=None)  # it is kept here, like those around
            around = around if own is None else (own, *around)
        else:
            around = tuple(each for each in around if each is not own)
        self._run = run
        self._traveller = Traveller(settings)
        self._purse = Purse(router, around) if around else None
        self._deadline = current_deadline()
        self._trackers = (router.tracker, *current_trackers())
        self._numbers = count()
        self.size = 2 * run.options.max_concurrency

    @property
    def patience(self) -> float | None:
        return None if self._deadline is None else self._deadline.remaining() + GRACE

    def look(self, question: Question) -> Asked:
        if self._deadline is not None and self._deadline.passed:
            msg = "The deadline passed before this was asked."
            raise DeadlineExceededError(msg)
        return Asked(question, None if self._purse is None else self._purse.costs(question))

    def pack(self, asked: Sequence[Asked], *, can_wait: bool) -> Parcel | None:
        if self._purse is None:
            return Parcel(asked)
        granted = self._purse.grant(asked, can_wait=can_wait)
        return None if granted is None else Parcel(*granted)

    def submit(self, executor: Executor, parcel: Parcel) -> Future[Any]:
        questions = parcel.questions
        self._run.begin(questions)
        chunk = Chunk(
            next(self._numbers),
            questions,
            self._run.options.max_concurrency,
            seconds=None if self._deadline is None else self._deadline.remaining(),
            sent=time.time(),
            grant=None if parcel.grant is None else parcel.grant.amount,
        )
        return executor.submit(answered, self._traveller, chunk)

    def opened(self, parcel: Parcel, future: Future[Any]) -> Opened:
        error = future.exception()
        if error is None:
            return self._brought(parcel, future.result())
        is_sent = not isinstance(error, (Refused, LLMKitError))
        cause = error.__cause__ if isinstance(error, Refused) and error.__cause__ is not None else error
        unfit = self._unfit(parcel, cause)
        if parcel.grant is not None:
            if is_sent and not unfit:
                parcel.grant.lost()
            else:
                parcel.grant.unused()
        if unfit:
            return self._without(unfit, parcel)
        if isinstance(error, LLMKitError):
            # The client cannot be made there, for one, as its key is missing.
            self._run.stop(error)
            return Opened(self._run.failed(parcel.questions, error))
        return Opened(_lost(self._run, parcel, cause) if is_sent else ended(self._run, parcel, cause))

    def _brought(self, parcel: Parcel, brought: Brought) -> Opened:
        for tracker in self._trackers:
            for counted in brought.counted:
                tracker.add(*counted)
        if parcel.grant is not None:
            parcel.grant.spent(brought.spent)
        found = {item.index: item for item in brought.items}
        again, there, missing = [], [], []
        for asked in parcel.asked:
            item = found.get(asked.question.index)
            if item is None:
                missing.append(asked)
            elif parcel.grant is not None and _is_short(item) and brought.spent:
                again.append(asked)  # the others of its chunk cost more than was foreseen; here more may be left
            else:
                if parcel.grant is not None:
                    _explain(item.error, parcel.grant)
                there.append((asked.question, item))
        items = self._run.settle([question for question, _ in there], [item for _, item in there])
        if isinstance(brought.raised, Exception):
            raise brought.raised from FromElsewhere("\n" + brought.trace)
        if brought.raised is not None:
            items += _lost(self._run, Parcel(missing), brought.raised)
        return Opened(items, again)

    def _unfit(self, parcel: Parcel, error: BaseException) -> list[Asked]:
        """Return those of *parcel* that *error* is about: they cannot be pickled. Raises ``ConfigurationError`` if the client cannot."""
        # As pickle says it, and whoever calls it in its own words.
        if not isinstance(error, (TypeError, AttributeError)) and type(error).__name__ != "PicklingError":
            return []
        if not is_fit_to_travel(self._traveller):
            msg = f"The client cannot travel to another process, as something that it was given cannot be pickled: {_told(error)}"
            raise ConfigurationError(msg) from error
        return [asked for asked in parcel.asked if not is_fit_to_travel(asked.question)]

    def _without(self, unfit: Sequence[Asked], parcel: Parcel) -> Opened:
        items = []
        for asked in unfit:
            names = [name for name, value in asked.question.arguments.items() if not is_fit_to_travel(value)]
            msg = f"Item {asked.question.index} cannot travel to another process: its {' and '.join(names)} cannot be pickled."
            items += self._run.failed([asked.question], ConfigurationError(msg))
        return Opened(items, [asked for asked in parcel.asked if asked not in unfit])


def _is_short(item: BatchItem) -> bool:
    """Whether nothing of *item* was sent, for want of what was granted for its chunk."""
    return isinstance(item.error, BudgetExceededError) and not item.attempts


def _explain(error: LLMKitError | None, grant: Grant) -> None:
    """Let *error* not speak of a budget that is *grant*, of which its reader knows nothing."""
    if isinstance(error, BudgetExceededError) and error.metadata.get("limit") == str(grant.amount):
        error.message = f"This call may cost ${error.metadata['estimate']}, which the budget has not left for its part of the batch."
        error.args = (error.message,)


def _lost(run: Run, parcel: Parcel, error: BaseException) -> list[BatchItem]:
    """Return the items of *parcel*, of which nobody knows what became of them: *error* ended whoever asked."""
    told = _told(error)
    msg = f"The executor lost this item, which may have been answered, and paid for. It was not asked again. It said: {told}"
    lost = BatchError(msg, retryable=True, maybe_billed=True, original_error=told)
    run.stop(BatchError(f"The executor lost a part of the batch, and nothing more was asked. It said: {told}", retryable=True))
    if isinstance(run.stopped, BatchError):
        run.stopped.errors.update((question.index, lost) for question in parcel.questions)
    return run.failed(parcel.questions, lost)


def ended(run: Run, parcel: Parcel, error: BaseException) -> list[BatchItem]:
    """Return the items of *parcel*, which the executor did not take, because of *error*."""
    run.stop(BatchError(f"The executor took nothing more. It said: {_told(error)}", retryable=True))
    return run.unasked(parcel.questions)


def _told(error: BaseException) -> str:
    return clean(f"{type(error).__name__}: {error}", (), limit=1024)


def _of_twin(settings: Settings) -> Callable[..., CompletionResponse]:
    from llmkit.client import Client

    if settings.transport is not None:
        msg = "A client with an asynchronous transport of its own cannot be used in threads."
        raise ConfigurationError(msg)
    client = Client.__new__(Client)
    client.__setstate__({name: getattr(settings, name) for name in SETTINGS})
    return client.complete

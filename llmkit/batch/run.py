"""
One batch: which prompts are handed out, what becomes of them, and when it ends.

Rule 1: every decision of a batch is made here, and nowhere else; nothing here starts a thread or knows whether it is awaited.
Rule 2: ``take``, ``arrived`` and what is asked beside them belong to one thread, or task, that of whoever iterates the prompts; ``ask`` is
        called from others.
Rule 3: of the prompts only a window is held at a time, however many there are.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterable, Awaitable, Callable, Iterator, Mapping, Sequence, Sized
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from llmkit.batch.checkpoint import Checkpoint
from llmkit.batch.items import BatchItem, BatchResult
from llmkit.batch.options import Options, check_prompts
from llmkit.batch.questions import Question, Reader
from llmkit.errors import AllProvidersFailedError, LLMKitError, NoAvailableKeyError
from llmkit.journal.journal import PATIENCE
from llmkit.progress import progress_of
from llmkit.resilience.pacing import GLANCE

if TYPE_CHECKING:
    from llmkit.models.response import CompletionResponse
    from llmkit.routing import Router

__all__ = ["Run", "is_final"]

AHEAD = 16  # prompts held for each that is asked at a time: what is done waits for what is before it, and for its reader

_NOTHING_LEFT = object()


def is_final(error: LLMKitError) -> bool:
    """Whether every further call would fail as this one did: the account is empty, or no key is left."""
    if isinstance(error, AllProvidersFailedError):
        return bool(error.errors) and all(is_final(each) for each in error.errors)
    if isinstance(error, NoAvailableKeyError):
        return error.retry_after is None
    return error.kind in ("quota", "auth")


class Run:
    """
    A batch of *prompts* at the client of *router*, as *said*: the arguments of ``batch``, and ``params``.

    ``stopped`` is the error after which nothing more is asked, once there is one.

    Raises:
        ConfigurationError: If something said is wrong.
        CheckpointError: If the checkpoint cannot be gone on with. Nothing was sent.
    """

    def __init__(self, router: Router, prompts: Any, said: Mapping[str, Any]) -> None:
        self.options = options = Options(**said)
        check_prompts(prompts)
        self.router = router
        self.stopped: LLMKitError | None = None
        self.is_left = False  # by whoever wanted the items
        self._over = threading.Event()  # nothing more is asked: nobody need wait for its turn
        self._tempo = router.tempo()
        self.is_ordered = options.ordered  # whether items are held until those before them are there
        self.total = len(prompts) if isinstance(prompts, Sized) else None
        self.prompts = prompts
        self._iterator: Iterator[Any] | None = None if isinstance(prompts, AsyncIterable) else iter(prompts)
        self.window = AHEAD * options.max_concurrency
        self._taken = 0
        self._given = 0
        self._done = 0
        self._failed = 0
        self._has_more = True
        self._held: dict[int, BatchItem] = {}  # by index, until those before them are there
        self._reader = Reader(router, options.params, fingerprints=options.checkpoint is not None)
        self._progress = progress_of(options.progress, self.total)
        self.checkpoint: Checkpoint | None = None
        if options.checkpoint is None:
            return
        try:
            self.checkpoint = Checkpoint(
                options.checkpoint, resume=options.resume, retry_failed=options.retry_failed, strict=options.strict
            )
            if options.mode == "calls":
                self.checkpoint.check_nothing_given()
            if isinstance(prompts, Sequence):
                self.checkpoint.check_input(prompts, self._reader)
        except BaseException:
            self.close()
            raise

    # -- handing out

    @property
    def wants_more(self) -> bool:
        """Whether another prompt may be taken now."""
        if self.stopped is not None and self.total is None:
            return False
        return self._has_more and self._taken - self._given < self.window

    def take(self) -> Question | BatchItem | None:
        """Return the next prompt as a question to be asked, or as the item that it has become already; None if there is none."""
        assert self._iterator is not None  # an asynchronous one is the twin's, who calls ``accept``
        prompt = next(self._iterator, _NOTHING_LEFT)
        if prompt is _NOTHING_LEFT:
            self.exhausted()
            return None
        return self.accept(prompt)

    def accept(self, prompt: Any) -> Question | BatchItem:
        """Return what is to become of *prompt*, the next."""
        index = self._taken
        if self.checkpoint is not None:
            self.checkpoint.check_index(index)
        self._taken += 1
        try:
            question = self._reader.read(index, prompt)
        except LLMKitError as error:
            return _failed(index, error)
        if self.checkpoint is not None:
            found = self.checkpoint.find(question)
            if found is not None:
                return found
        return question if self.stopped is None else _failed(index, self.stopped)

    def exhausted(self) -> None:
        """There are no more prompts."""
        self._has_more = False
        if self.checkpoint is not None:
            self.checkpoint.end_input(self._taken)

    # -- asking

    def ask(self, question: Question, complete: Callable[..., CompletionResponse]) -> BatchItem | None:
        """
        Return what *complete* makes of *question*, logged; None if it is not to be asked any more.

        Raises:
            CheckpointError: If it cannot be logged.
            BaseException: What *complete* raises that is no error of llmkit: a bug, or a cancellation.
        """
        turn, is_noted = self._tempo.turn(), False
        with self._noted():
            while True:
                unasked = self._unasked(question)
                if unasked is not None or self.is_left:
                    return unasked
                if wait := turn.wait():
                    self._over.wait(min(wait, GLANCE))
                    continue
                if not is_noted:
                    self._begin(question)
                    is_noted = True
                try:
                    response = complete(**question.arguments)
                except LLMKitError as error:
                    if turn.again(error):
                        continue
                    return self._ended(question, self._judged(question, error))
                turn.answered(response)
                return self._ended(question, BatchItem(question.index, response, None, response.attempts))

    async def aask(
        self,
        question: Question,
        complete: Callable[..., Awaitable[CompletionResponse]],
        aside: Callable[..., Awaitable[Any]],
        pause: Callable[[float], Awaitable[object]],
    ) -> BatchItem | None:
        """The same for the twin; *aside* calls a function that blocks, where that does not matter, and *pause* waits for seconds."""
        turn, is_noted = self._tempo.turn(), False
        with self._noted():
            while True:
                unasked = self._unasked(question)
                if unasked is not None or self.is_left:
                    return unasked
                if wait := turn.wait():
                    await pause(min(wait, GLANCE))
                    continue
                if not is_noted:
                    is_noted = True
                    if self.options.strict and self.checkpoint is not None:
                        await aside(self._begin, question)
                    else:
                        self._begin(question)
                try:
                    response = await complete(**question.arguments)
                except LLMKitError as error:
                    if turn.again(error):
                        continue
                    item = self._judged(question, error)
                else:
                    turn.answered(response)
                    item = BatchItem(question.index, response, None, response.attempts)
                return item if self.checkpoint is None else await aside(self._ended, question, item)

    def settle(self, questions: Sequence[Question], items: Sequence[BatchItem]) -> list[BatchItem]:
        """Log the *items* that were made of *questions* elsewhere, and return them."""
        settled = [
            item if item.error is None else self._judged(question, item.error) for question, item in zip(questions, items, strict=True)
        ]
        if self.checkpoint is not None:
            last = len(settled) - 1
            for number, (question, item) in enumerate(zip(questions, settled, strict=True)):
                self.checkpoint.end(question, item, durable=number == last)
        return settled

    def begin(self, questions: Sequence[Question]) -> None:
        """Note that *questions* are handed to somebody elsewhere."""
        for question in questions:
            self._begin(question)

    def unasked(self, questions: Sequence[Question]) -> list[BatchItem]:
        """Return the items of *questions* that a batch which stopped did not ask any more."""
        return [item for question in questions if (item := self._unasked(question)) is not None]

    def failed(self, questions: Sequence[Question], error: LLMKitError) -> list[BatchItem]:
        """Return *questions* as items with *error*. In the log they stay as they are: under way, if they had been handed to somebody."""
        return [_failed(question.index, error) for question in questions]

    def stop(self, error: LLMKitError) -> None:
        """Ask nothing more, because of *error*, unless there was a reason before."""
        if self.stopped is None:
            self.stopped = error
            self._over.set()

    def _begin(self, question: Question) -> None:
        if self.checkpoint is not None:
            self.checkpoint.begin(question)

    def _unasked(self, question: Question) -> BatchItem | None:
        return None if self.stopped is None else _failed(question.index, self.stopped)

    def _noted(self) -> AbstractContextManager[None]:
        return nullcontext() if self.checkpoint is None else self.checkpoint.asking()

    def _judged(self, question: Question, error: LLMKitError) -> BatchItem:
        # An item that names its own model may be the only one that goes there.
        if "model" not in question.arguments and is_final(error):
            self.stop(error)
        return _failed(question.index, error)

    def _ended(self, question: Question, item: BatchItem) -> BatchItem:
        if self.checkpoint is not None:
            self.checkpoint.end(question, item)
        return item

    # -- giving

    def arrived(self, item: BatchItem) -> list[BatchItem]:
        """Return the items that can be given out now that *item* is there."""
        self._done += 1
        self._failed += not item.ok
        if self._progress is not None:
            self._progress.show(self._done, self.total, self._failed)
        if not self.is_ordered:
            self._given += 1
            return [item]
        self._held[item.index] = item
        ready: list[BatchItem] = []
        while self._given in self._held:
            ready.append(self._held.pop(self._given))
            self._given += 1
        return ready

    def result(self, items: Sequence[BatchItem]) -> BatchResult:
        """Return *items*, which are in the order of their completion, as the result of the batch."""
        return BatchResult(sorted(items, key=lambda item: item.index) if self.options.ordered else items, self.stopped)

    def check_end(self) -> None:
        """Raise the error that stopped the batch, if there were prompts behind it that could not be told apart."""
        if self.stopped is not None and self.total is None and self._has_more:
            raise self.stopped

    def leave(self) -> float:
        """Ask nothing more; return the seconds for which to wait for what is under way. Without a log nobody would have its results."""
        self.is_left = True
        self._over.set()
        return 0.0 if self.checkpoint is None else PATIENCE

    def close(self) -> None:
        """Close what is open. Idempotent."""
        if self._progress is not None:
            self._progress.close()
        if self.checkpoint is not None:
            self.checkpoint.close()


def _failed(index: int, error: LLMKitError) -> BatchItem:
    # Its frames would keep all that they hold, a million times.
    error.__traceback__ = None
    return BatchItem(index, None, error, error.attempts)

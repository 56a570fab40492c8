"""
A batch in the provider's own batches: given there, looked after, and joined to its questions again.

Rule 1: nothing here sends or sleeps. Steps are yielded: a call to be sent, whose answer comes back, or a pause.
Rule 2: what is given there is known by its id in the checkpoint before it is waited for, so that a crash costs nothing. A batch begun at
        the very moment of a kill is the exception: nobody knows its id, and its items are asked again, or reported in strict mode.
Rule 3: beginning a batch is never tried twice by itself: it might be there twice, and be paid for twice.
"""

from __future__ import annotations

import contextvars
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import define, frozen

from llmkit.batch.items import BatchItem
from llmkit.batch.outcomes import item_of
from llmkit.batch.questions import HOW
from llmkit.batch.window import Pause
from llmkit.batch.wires import WIRES
from llmkit.batch.wires.base import path_of
from llmkit.errors import CheckpointError, ConfigurationError, LLMKitError, ProviderError
from llmkit.resilience.deadline import Deadline, current_deadline

if TYPE_CHECKING:
    from llmkit.batch.questions import Question
    from llmkit.batch.run import Run
    from llmkit.batch.window import Steps
    from llmkit.batch.wires.base import Outcome, State
    from llmkit.call import Call
    from llmkit.dialects.base import Place
    from llmkit.models.fault import Fault
    from llmkit.models.response import CompletionResponse
    from llmkit.providers import Provider
    from llmkit.resilience.budget import Reservation
    from llmkit.transport.base import HttpRequest, HttpResponse

__all__ = ["Desk"]

logger = logging.getLogger("llmkit.batch")

# Less than the providers take (50,000 requests and 200 MB, say; where it is less, ``size`` of the wire): results are read whole.
LIMIT = 2000  # requests in one of the provider's batches
SIZE = 32 * 1024 * 1024  # bytes
AT_ONCE = 8  # batches there at a time

FIRST_PAUSE = 2.0  # seconds between two looks at a batch, doubled each time
LONGEST_PAUSE = 60.0
MISSED_LOOKS = 10  # in a row, that failed in passing, before the batch is given up here
CANCELLING = 10.0  # seconds for all batches, when they are given up

_NOT_THERE = frozenset({"not_found", "permission"})


@frozen
class Due:
    """An item that is to be given to the provider."""

    question: Question
    line: bytes
    path: str
    reservation: Reservation | None


@define
class Given:
    """
    A batch at the provider: what it is called here and there, the ids of all its questions, and those that have been seen.

    ``earlier`` says that another run began it.
    """

    tag: str
    name: str
    ids: tuple[str, ...]
    entries: dict[str, tuple[Question, Reservation | None]]
    earlier: bool = False


class Desk:
    """
    Gives questions to the provider and gets items back.

    Raises:
        ConfigurationError: If the provider has no batches that llmkit speaks, or the client has several keys: a batch belongs to one.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._endpoint = endpoint = run.router.default
        wire = WIRES.get(endpoint.provider.batches)
        if wire is None:
            raise ConfigurationError(_no_batches(endpoint.provider))
        if endpoint.pool is not None and len(endpoint.pool) > 1:
            msg = "A provider's batch belongs to the key that began it: make a client with one key."
            raise ConfigurationError(msg)
        _check_arguments(run.options.params)
        self._wire = wire
        self._context = contextvars.copy_context()
        self._ready: list[BatchItem] = []
        self._due: list[Due] = []
        self._given: dict[str, Given] = {}
        self._earlier: dict[str, str] = {}  # the tags of batches of an earlier run, by the ids of their questions
        self._began = run.checkpoint.submitted() if run.checkpoint is not None else {}
        for tag, record in self._began.items():
            self._earlier.update(dict.fromkeys(record["items"], tag))
        run.window = LIMIT * AT_ONCE

    @property
    def under_way(self) -> int:
        return len(self._ready) + len(self._due) + sum(len(given.entries) for given in self._given.values())

    def take(self, question: Question) -> None:
        """
        Have *question* given to the provider with the next batch, unless it is there already.

        Raises:
            CheckpointError: If the provider has another at its index.
        """
        tag = self._earlier.pop(question.id, None) if question.id else None
        if tag is not None and self._is_there(tag, question):
            return
        if self._run.checkpoint is not None:
            self._run.checkpoint.check_given(question)
        self._add(question)

    def _add(self, question: Question) -> None:
        try:
            _check_arguments(question.arguments)
            call = self._context.run(self._call, question)
            self._check(call)
            http = call.job.encode(self._endpoint.place)
            line = self._wire.line(_custom_id(question), http, self._endpoint.place)
            if len(line) > self._wire.size:
                msg = f"This item has {len(line)} bytes, and a provider's batch may have {self._wire.size}: ask it in a call."
                raise ConfigurationError(msg)
            self._due.append(Due(question, line, path_of(http, self._endpoint.place), call.reserve()))
        except LLMKitError as error:
            self._ready.append(BatchItem(question.index, None, error))

    def _check(self, call: Call[CompletionResponse]) -> None:
        if call.endpoint is not self._endpoint:
            msg = "All items of a provider's batch go to the client's own model."
            raise ConfigurationError(msg)
        if call.job.request is not None and call.job.request.extra_headers:
            msg = "An item of a provider's batch has no headers of its own: give them to the client, as default_headers=."
            raise ConfigurationError(msg)

    def _is_there(self, tag: str, question: Question) -> bool:
        """Whether *question* needs not be given again: it is in a batch that an earlier run began, or perhaps so."""
        record = self._began[tag]
        if "name" not in record:
            if not self._run.options.strict:
                return False
            msg = "This item was given to the provider when an earlier run ended: it may be answered there, and paid for."
            self._ready.append(BatchItem(question.index, None, CheckpointError(msg, retryable=True, maybe_billed=True)))
            return True
        given = self._given.setdefault(tag, Given(tag, record["name"], tuple(record["items"]), {}, earlier=True))
        given.entries[_custom_id(question)] = (question, None)
        return True

    # -- steps

    def submit(self) -> Steps:
        """Give the provider all that was taken."""
        while self._due:
            yield from self._submit(self._next_part())

    def _submit(self, part: Sequence[Due]) -> Steps:
        tag = uuid.uuid4().hex
        ids = tuple(due.question.id or f"{due.question.index}-" for due in part)
        begun = False  # as far as anybody knows
        try:
            lines = [due.line for due in part]
            upload = self._wire.upload(lines, self._endpoint.place)
            file = None if upload is None else (yield self._operation(lambda place: upload, self._wire.read_id))
            self._note("submitting", tag, items=ids)
            begun = True
            try:
                name = yield self._operation(partial(self._wire.create, lines, file, path=part[0].path), self._wire.read_id, once=True)
            except ProviderError as error:
                if error.status_code is not None and 400 <= error.status_code < 500:
                    begun = False  # refused: it is not there
                    self._note("collected", tag)
                raise
            self._note("submitted", tag, name=name)
        except BaseException:
            _give_back([due.reservation for due in part], spent=begun)
            raise
        entries = {_custom_id(due.question): (due.question, due.reservation) for due in part}
        self._given[tag] = Given(tag, name, ids, entries)

    def collect(self) -> Steps:
        """Wait for the next items, and return them."""
        pause = FIRST_PAUSE
        missed = 0
        while not self._ready:
            for given in list(self._given.values()):
                try:
                    found = yield from self._found(given)
                except LLMKitError as error:
                    if given.earlier and error.kind in _NOT_THERE:
                        yield from self._give_anew(given, error)
                        continue
                    missed += 1
                    if missed > MISSED_LOOKS or not error.retryable:
                        raise
                    continue
                missed = 0
                if found is not None:
                    return self._settled(given, *found)
            if not self._ready:
                yield Pause(_within_deadline(pause), self._run.router.active)
                pause = min(2 * pause, LONGEST_PAUSE)
        ready, self._ready = self._ready, []
        return ready

    def _found(self, given: Given) -> Steps:
        """Return how *given* ended, and what it has for its items; None as long as it has not ended."""
        state = yield self._operation(partial(self._wire.look, given.name), self._wire.read_state)
        if not state.ended:
            return None
        outcomes: dict[str, Outcome] = {}
        for source in state.sources:
            outcomes.update((yield self._operation(partial(self._wire.fetch, source), self._wire.read_results)))
        return state, outcomes

    def _give_anew(self, given: Given, error: LLMKitError) -> Steps:
        """Give what was in *given*, which is not there, once more, if that was said. Raises ``CheckpointError`` if not."""
        if self._run.options.resume != "anyway":
            msg = (
                f"The batch {given.name}, which an earlier run began, is not there for this key: it is another's, or was deleted. "
                "Use the key that began it, or pass resume='anyway' to have its items asked again."
            )
            raise CheckpointError(msg) from error
        self._note("collected", given.tag)
        del self._given[given.tag]
        for question, _ in given.entries.values():
            self._add(question)
        yield from self.submit()

    def give_up(self) -> Steps:
        """Nobody waits any more: what no checkpoint knows of is cancelled, as nobody could have its results."""
        _give_back([due.reservation for due in self._due], spent=False)
        self._due = []
        until = Deadline.after(CANCELLING)
        for given in self._given.values():
            # What has been done of it is paid for.
            _give_back([reservation for _, reservation in given.entries.values()], spent=True)
            if self._run.checkpoint is not None:
                continue
            # Outside of any deadline: its end may be why nobody waits.
            call = contextvars.Context().run(self._operation, partial(self._wire.cancel, given.name), lambda response: True)
            call.deadline = until
            try:
                yield call
            except LLMKitError as error:
                logger.warning("the batch %s could not be cancelled: %s", given.name, error.message)

    def _settled(self, given: Given, state: State, outcomes: Mapping[str, Outcome]) -> list[BatchItem]:
        lines = {_custom_id_of(id): number for number, id in enumerate(given.ids, start=1)}
        questions = [question for question, _ in given.entries.values()]
        items = []
        for custom_id, (question, reservation) in given.entries.items():
            missing = state.by_line.get(lines.get(custom_id, 0), state.missing)
            items.append(self._context.run(self._item, question, outcomes.get(custom_id), missing, reservation))
        del self._given[given.tag]
        settled = self._run.settle(questions, items)
        if len(given.entries) == len(given.ids):
            self._note("collected", given.tag)
        return settled

    def _item(self, question: Question, outcome: Outcome | None, missing: Fault, reservation: Reservation | None) -> BatchItem:
        return item_of(question.index, self._call(question), outcome, missing, reservation)

    def _call(self, question: Question) -> Call[CompletionResponse]:
        arguments = dict(question.arguments)
        return self._run.router.batched(arguments.pop("messages"), model=arguments.pop("model", None), parameters=arguments)

    def _operation(
        self, encode: Callable[[Place], HttpRequest | None], decode: Callable[[HttpResponse], Any], *, once: bool = False
    ) -> Call[Any]:
        return self._run.router.operation(encode, decode, once=once)

    def _next_part(self) -> list[Due]:
        size = count = 0
        most = min(SIZE, self._wire.size)
        for due in self._due[:LIMIT]:
            size += len(due.line) + 1
            if count and size > most:
                break
            count += 1
        part, self._due = self._due[:count], self._due[count:]
        return part

    def _note(self, kind: Any, tag: str, **facts: Any) -> None:
        if self._run.checkpoint is not None:
            self._run.checkpoint.note_batch(kind, tag, **facts)


def _give_back(reservations: Sequence[Reservation | None], *, spent: bool) -> None:
    """End *reservations* of what came to nothing, or of what somebody may have to pay for, as much as was foreseen."""
    for reservation in reservations:
        if reservation is not None:
            if spent:
                reservation.settle()
            else:
                reservation.release()


def _within_deadline(seconds: float) -> float:
    until = current_deadline()
    return seconds if until is None else min(seconds, until.remaining())


def _no_batches(provider: Provider) -> str:
    if provider.batches_in:
        return f"{provider.name} reads batches from {provider.batches_in}, where llmkit puts nothing: leave mode= out."
    return f"{provider.name} has no batches of its own that llmkit speaks: leave mode= out."


def _check_arguments(arguments: Mapping[str, Any]) -> None:
    for name in HOW:
        if arguments.get(name) is not None:
            msg = f"{name}= says nothing with mode='provider', where no call is made for an item."
            raise ConfigurationError(msg)


def _custom_id(question: Question) -> str:
    return _custom_id_of(question.id or f"{question.index}-")


def _custom_id_of(id: str) -> str:
    """Return what an item is called at the provider: Anthropic takes 64 letters, digits, ``_`` and ``-``."""
    return id[:60]

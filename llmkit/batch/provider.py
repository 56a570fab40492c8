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
import time
import uuid
from collections.abc import Callable, Generator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import define, frozen

from llmkit.batch.items import BatchItem
from llmkit.batch.questions import HOW
from llmkit.batch.wires import WIRES
from llmkit.dialects.base import WireError
from llmkit.errors import CheckpointError, ConfigurationError, LLMKitError, ProviderError
from llmkit.exchange import Failure
from llmkit.failing import error_of
from llmkit.models.ledger import Attempt
from llmkit.resilience.classify import classify, rule_for

if TYPE_CHECKING:
    from llmkit.batch.questions import Question
    from llmkit.batch.run import Run
    from llmkit.batch.wires.base import Outcome, State
    from llmkit.call import Call
    from llmkit.dialects.base import Place
    from llmkit.models.fault import Fault
    from llmkit.models.response import CompletionResponse
    from llmkit.resilience.budget import Reservation
    from llmkit.transport.base import HttpRequest, HttpResponse

__all__ = ["Desk", "Pause", "Steps", "Window", "performed"]

logger = logging.getLogger("llmkit.batch")

# Less than the providers take (OpenAI 50,000 requests and 200 MB, Anthropic 256 MB): results are read whole, and have a limit too.
LIMIT = 2000  # requests in one of the provider's batches
SIZE = 32 * 1024 * 1024  # bytes
AT_ONCE = 8  # batches there at a time

FIRST_PAUSE = 2.0  # seconds between two looks at a batch, doubled each time
LONGEST_PAUSE = 60.0
MISSED_LOOKS = 10  # in a row, that failed in passing, before the batch is given up here


@frozen
class Pause:
    """Not a call, but a wait of so many seconds."""

    seconds: float


Steps: TypeAlias = "Generator[Call[Any] | Pause, Any, Any]"


@define
class Given:
    """A batch at the provider: what it is called here and there, the ids of all its questions, and those that have been seen."""

    tag: str
    name: str
    ids: tuple[str, ...]
    entries: dict[str, tuple[Question, Reservation | None]]


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
            msg = f"{endpoint.provider.name} has no batches of its own that llmkit speaks: leave mode= out."
            raise ConfigurationError(msg)
        if endpoint.pool is not None and len(endpoint.pool) > 1:
            msg = "A provider's batch belongs to the key that began it: make a client with one key."
            raise ConfigurationError(msg)
        _check_arguments(run.options.params)
        self._wire = wire
        self._context = contextvars.copy_context()
        self._ready: list[BatchItem] = []
        self._due: list[tuple[Question, bytes, Reservation | None]] = []
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
        """Have *question* given to the provider with the next batch, unless it is there already."""
        tag = self._earlier.pop(question.id, None) if question.id else None
        if tag is not None and self._is_there(tag, question):
            return
        try:
            _check_arguments(question.arguments)
            call = self._context.run(self._call, question)
            self._check(call)
            http = call.job.encode(self._endpoint.place)
            line = self._wire.line(_custom_id(question), http, self._endpoint.place)
            self._due.append((question, line, call.reserve()))
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
        given = self._given.setdefault(tag, Given(tag, record["name"], tuple(record["items"]), {}))
        given.entries[_custom_id(question)] = (question, None)
        return True

    # -- steps

    def submit(self) -> Steps:
        """Give the provider all that was taken."""
        while self._due:
            part = self._next_part()
            lines = [line for _, line, _ in part]
            tag = uuid.uuid4().hex
            ids = tuple(question.id or f"{question.index}-" for question, _, _ in part)
            self._note("submitting", tag, items=ids)
            try:
                upload = self._wire.upload(lines, self._endpoint.place)
                file = None if upload is None else (yield self._operation(partial(self._wire.upload, lines), self._wire.read_id))
                name = yield self._operation(partial(self._wire.create, lines, file), self._wire.read_id, once=True)
            except LLMKitError as error:
                for _, _, reservation in part:
                    if reservation is not None:
                        reservation.release()
                if isinstance(error, ProviderError) and error.status_code is not None:
                    self._note("collected", tag)  # refused: it is not there
                raise
            self._note("submitted", tag, name=name)
            entries = {_custom_id(question): (question, reservation) for question, _, reservation in part}
            self._given[tag] = Given(tag, name, ids, entries)

    def collect(self) -> Steps:
        """Wait for the next items, and return them."""
        if self._ready:
            ready, self._ready = self._ready, []
            return ready
        pause = FIRST_PAUSE
        missed = 0
        while True:
            for given in list(self._given.values()):
                try:
                    state = yield self._operation(partial(self._wire.look, given.name), self._wire.read_state)
                except LLMKitError as error:
                    missed += 1
                    if not error.retryable or missed > MISSED_LOOKS:
                        raise
                    continue
                missed = 0
                if state.ended:
                    return (yield from self._read(given, state))
            yield Pause(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def give_up(self) -> Steps:
        """Nobody waits any more: what no checkpoint knows of is cancelled, as nobody could have its results."""
        for given in self._given.values() if self._run.checkpoint is None else ():
            try:
                yield self._operation(partial(self._wire.cancel, given.name), lambda response: True)
            except LLMKitError as error:
                logger.warning("the batch %s could not be cancelled: %s", given.name, error.message)

    def _read(self, given: Given, state: State) -> Steps:
        outcomes: dict[str, Outcome] = {}
        for source in state.sources:
            found = yield self._operation(partial(self._wire.fetch, source), self._wire.read_results)
            outcomes.update(found)
        lines = {_custom_id_of(id): number for number, id in enumerate(given.ids, start=1)}
        questions = [question for question, _ in given.entries.values()]
        items = []
        for custom_id, (question, reservation) in given.entries.items():
            fault = state.by_line.get(lines.get(custom_id, 0), state.missing)
            items.append(self._context.run(self._item, question, outcomes.get(custom_id), fault, reservation))
        del self._given[given.tag]
        settled = self._run.settle(questions, items)
        if len(given.entries) == len(given.ids):
            self._note("collected", given.tag)
        return settled

    def _item(self, question: Question, outcome: Outcome | None, missing: Fault, reservation: Reservation | None) -> BatchItem:
        call = self._call(question)
        try:
            response = _answer(call, outcome, missing)
        except LLMKitError as error:
            if reservation is not None:
                reservation.release()  # what failed in a batch is not charged
            return BatchItem(question.index, None, error, error.attempts)
        if reservation is not None:
            reservation.settle(response.cost)
        return BatchItem(question.index, response, None, response.attempts)

    def _call(self, question: Question) -> Call[CompletionResponse]:
        arguments = dict(question.arguments)
        return self._run.router.batched(arguments.pop("messages"), model=arguments.pop("model", None), parameters=arguments)

    def _operation(
        self, encode: Callable[[Place], HttpRequest | None], decode: Callable[[HttpResponse], Any], *, once: bool = False
    ) -> Call[Any]:
        return self._run.router.operation(encode, decode, once=once)

    def _next_part(self) -> list[tuple[Question, bytes, Reservation | None]]:
        size = count = 0
        for _, line, _ in self._due[:LIMIT]:
            size += len(line) + 1
            if count and size > SIZE:
                break
            count += 1
        part, self._due = self._due[:count], self._due[count:]
        return part

    def _note(self, kind: Any, tag: str, **facts: Any) -> None:
        if self._run.checkpoint is not None:
            self._run.checkpoint.note_batch(kind, tag, **facts)


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


def _answer(call: Call[CompletionResponse], outcome: Outcome | None, missing: Fault) -> CompletionResponse:
    """Return the answer that a batch has for *call*, or raise the error that the call would have met."""
    response = None if outcome is None else outcome.response
    try:
        answer = call.job.decode(_good(call, outcome, missing))
    except WireError as error:
        fault = error.fault
        kind = fault.kind or classify(fault)
        call.note(_attempt(call, response, kind))
        failure = Failure(kind=kind, message=fault.message, rule=rule_for(kind, fault), fault=fault)
        raise call.ended(error_of(call, failure)) from None
    call.note(_attempt(call, response, None))
    call.charge(answer)
    return call.finished(answer)


def _good(call: Call[CompletionResponse], outcome: Outcome | None, missing: Fault) -> HttpResponse:
    """Return the good reply that a batch has for *call*. Raises ``WireError`` if it has none."""
    if outcome is None or outcome.response is None:
        raise WireError(missing if outcome is None or outcome.fault is None else outcome.fault)
    if not 200 <= outcome.response.status < 300:
        raise WireError(call.endpoint.dialect.fault(outcome.response))
    return outcome.response


def _attempt(call: Call[Any], response: HttpResponse | None, error: str | None) -> Attempt:
    endpoint = call.endpoint
    headers: Mapping[str, str] = {} if response is None else response.headers
    return Attempt(
        number=1,
        provider=endpoint.provider.name,
        model=endpoint.model,
        endpoint=endpoint.origin,
        status=None if response is None else response.status,
        request_id=headers.get("x-request-id"),
        error=error,
        at=time.time(),
        why="in a batch at the provider",
    )


def performed(send: Callable[[Call[Any]], Any], steps: Steps) -> Any:
    """Return what *steps* come to, with the calls sent by *send*."""
    value: Any = None
    failure: LLMKitError | None = None
    while True:
        try:
            step = steps.send(value) if failure is None else steps.throw(failure)
        except StopIteration as end:
            return end.value
        value, failure = None, None
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            continue
        try:
            value = send(step)
        except LLMKitError as error:
            failure = error


class Window:
    """Those at the provider who ask, for ``llmkit.batch.threads``."""

    def __init__(self, desk: Desk, send: Callable[[Call[Any]], Any]) -> None:
        self._desk = desk
        self._send = send

    @property
    def under_way(self) -> int:
        return self._desk.under_way

    @property
    def has_news(self) -> bool:
        """To look costs a request."""
        return False

    def hand(self, question: Question) -> None:
        self._desk.take(question)

    def flush(self) -> None:
        performed(self._send, self._desk.submit())

    def collect(self) -> list[BatchItem]:
        items: list[BatchItem] = performed(self._send, self._desk.collect())
        return items

    def leave(self) -> None:
        """What is there goes on there."""

    def wait(self, seconds: float) -> None:
        performed(self._send, self._desk.give_up())

"""
What a batch sends to another process, and what is done with it there.

Rule 1: a client travels by pickle as its settings, without its literal keys, and is made once in each process. The prices that were
        registered travel with it.
Rule 2: nothing of the process there holds for the questions, not even what a fork has left of the blocks that were around its parent:
        what is to hold travels as a number, and what came of it comes back.
Rule 3: what was answered comes back, whatever ended the rest.
"""

from __future__ import annotations

import threading
import time
import traceback
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from contextvars import Context
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from attrs import evolve

from llmkit._fork import renewed_in_child
from llmkit.batch.items import BatchItem
from llmkit.batch.questions import Question
from llmkit.catalogue.registry import register_all, registered
from llmkit.config.references import referenced
from llmkit.metering import Tracker, tracked_by
from llmkit.models.price import EXACT
from llmkit.models.usage import Usage
from llmkit.resilience.budget import Budget, budget
from llmkit.resilience.deadline import Deadline, held_to
from llmkit.secrets import Referenced
from llmkit.settings import Settings
from llmkit.targets import Target

if TYPE_CHECKING:
    from llmkit.client import Client

__all__ = ["Brought", "Chunk", "Counted", "Traveller", "answered", "is_fit_to_travel"]

CLIENTS_KEPT = 4  # in a process, of different batches

Counted: TypeAlias = "tuple[str, Usage, Decimal | None]"  # as ``Tracker.add`` takes it


class Chunk(NamedTuple):
    """
    Questions that are asked together, *concurrency* at a time.

    ``seconds`` are those left of the deadline when it was ``sent``, a Unix time; ``grant`` is what they may cost together, in US dollars,
    None where nobody asks. No two have one ``number``: an executor may take what is equal for the same.
    """

    number: int
    questions: Sequence[Question]
    concurrency: int
    seconds: float | None = None
    sent: float = 0.0
    grant: Decimal | None = None


class Brought(NamedTuple):
    """
    What became of a chunk.

    ``items`` may lack some, where ``raised`` ended it: what is no error of llmkit, with its ``trace``. ``counted`` is what the answers
    used; ``spent`` is of the grant, in US dollars, and what was still under way counts as it was foreseen.
    """

    items: Sequence[BatchItem]
    counted: Sequence[Counted]
    spent: Decimal
    raised: BaseException | None = None
    trace: str = ""


class Unread(NamedTuple):
    """A reference on its way: it is read where the client is made. Whatever a mere ``loads`` raises, a worker may not survive."""

    text: str
    base: str


class Traveller:
    """A client that is made at its destination, when it is first needed. Raises ``ConfigurationError`` if it cannot travel."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._name = uuid.uuid4().hex
        settings.portable()  # raises now what would be raised on the way

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrived, (self._name, _replaced(self._settings.portable(), _put_off), registered())

    def client(self) -> Client:
        return _clients.find(self._name, self._settings.portable())


class _Arrived:
    """A traveller at its destination."""

    def __init__(self, name: str, state: dict[str, Any]) -> None:
        self._name = name
        self._state = state

    def client(self) -> Client:
        return _clients.find(self._name, self._state)


def _put_off(value: Any) -> Any:
    return Unread(value.reference, value.base) if isinstance(value, Referenced) else value


def _read(value: Any) -> Any:
    return referenced(*value) if isinstance(value, Unread) else value


def _replaced(value: Any, by: Callable[[Any], Any]) -> Any:
    """Return *value* with all that it holds replaced *by* something."""
    found = by(value)
    if found is not value:
        return found
    if type(value) is dict:
        return {name: _replaced(item, by) for name, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_replaced(item, by) for item in value)
    if isinstance(value, Target):
        return evolve(value, **_replaced(value.own, by))
    return value


def _arrived(name: str, state: dict[str, Any], prices: Mapping[Any, Any]) -> _Arrived:
    register_all(prices)
    return _Arrived(name, state)


class _Clients:
    """Those that have arrived in this process, the latest of them."""

    def __init__(self) -> None:
        self._made: OrderedDict[str, Client] = OrderedDict()
        self.renew()

    def renew(self) -> None:
        """Take a new lock: in a forked child the old one may be held by a thread that is not there."""
        self._lock = threading.Lock()

    def find(self, name: str, state: dict[str, Any]) -> Client:
        from llmkit.client import Client

        with self._lock:  # two would each have limits of their own
            client = self._made.get(name)
            if client is None:
                client = Client.__new__(Client)
                client.__setstate__(_replaced(state, _read))
                self._made[name] = client
                while len(self._made) > CLIENTS_KEPT:
                    self._made.popitem(last=False)  # not closed: a chunk may still be at work with it
            return client


_clients = renewed_in_child(_Clients())


class _Recorder(Tracker):
    """Notes what it is to count, for those who count elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.counted: list[Counted] = []

    def add(self, label: str, usage: Usage, cost: Decimal | None) -> None:
        self.counted.append((label, usage, cost))


def answered(traveller: Traveller | _Arrived, chunk: Chunk) -> Brought:
    """Return what becomes of *chunk*, asked here. Raises ``ConfigurationError`` if the client cannot be made here; nothing was sent."""
    return Context().run(_answered, traveller.client(), chunk)


def _answered(client: Client, chunk: Chunk) -> Brought:
    recorder = _Recorder()
    items: list[BatchItem] = []
    raised: BaseException | None = None
    with ExitStack() as around:
        around.enter_context(tracked_by(recorder))
        if chunk.seconds is not None:
            # On the way it may have waited for others. Clocks of several hosts agree as well as they do; more is not given than was left.
            left = chunk.seconds - max(0.0, time.time() - chunk.sent)
            around.enter_context(held_to(Deadline(at=time.monotonic() + left)))
        purse = around.enter_context(budget(chunk.grant)) if chunk.grant is not None else None
        try:
            prompts = [dict(question.arguments) for question in chunk.questions]
            for item in client.batch_iter(prompts, max_concurrency=chunk.concurrency, ordered=False):
                items.append(evolve(item, index=chunk.questions[item.index].index))
        except BaseException as error:  # noqa: BLE001 - told to whoever sent the chunk, with what there is
            raised = error
    client._router.flush()
    spent = Decimal(0) if purse is None else _spent(purse)
    if raised is None:
        return Brought(items, recorder.counted, spent)
    trace = "".join(traceback.format_exception(raised))
    return Brought(items, recorder.counted, spent, _portable(raised), trace)


def _spent(purse: Budget) -> Decimal:
    under_way = purse.reserved  # asked first: what ends now is counted twice rather than not at all
    return EXACT.add(under_way, purse.spent)


def _portable(error: BaseException) -> BaseException:
    """Return *error*, or where it cannot travel what tells of it."""
    error.__traceback__ = None
    if is_fit_to_travel(error):
        return error
    told = f"{type(error).__name__}: {error}"
    return RuntimeError(told) if isinstance(error, Exception) else SystemExit(told)


def is_fit_to_travel(thing: object) -> bool:
    """Whether *thing* can be pickled. An executor may do better than that, so ask only when it has failed."""
    from multiprocessing.reduction import ForkingPickler

    try:
        ForkingPickler.dumps(thing)
    except Exception:  # noqa: BLE001 - whatever its own __reduce__ raises
        return False
    return True

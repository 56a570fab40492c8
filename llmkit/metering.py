"""
Counting what calls use and cost: for a client as long as it lives, and inside ``with track():``.

Rule 1: every answer counts once, when it is complete, also if it is then refused as not what was asked for.
Rule 2: what an attempt had used when it failed or was left counts too, as far as the provider had said it.
Rule 3: a scope holds for the calls that begin inside it, wherever their streams are read.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from decimal import Decimal
from functools import reduce
from typing import TYPE_CHECKING

from llmkit._fork import renewed_in_child
from llmkit.models.price import EXACT
from llmkit.models.usage import Usage

if TYPE_CHECKING:
    from llmkit.models.estimator import UsageEstimator

__all__ = ["Tracker", "current_trackers", "track", "tracked_by"]


KINDS = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "reasoning_tokens",
)


class Tally:
    """A running sum, in plain numbers since every answer is added. Guarded by its tracker's lock."""

    __slots__ = ("answers", "cost", "reported", "tokens", "unpriced")

    def __init__(self) -> None:
        self.tokens = [0] * len(KINDS)
        self.reported = True
        self.cost = Decimal(0)
        self.answers = 0
        self.unpriced = 0

    def add(self, usage: Usage, cost: Decimal | None) -> None:
        self.answers += 1
        tokens = self.tokens
        tokens[0] += usage.input_tokens
        tokens[1] += usage.output_tokens
        tokens[2] += usage.cache_read_tokens
        tokens[3] += usage.cache_write_tokens
        tokens[4] += usage.cache_write_1h_tokens
        tokens[5] += usage.reasoning_tokens
        self.reported = self.reported and usage.reported
        if cost is None:
            self.unpriced += 1
        else:
            self.cost = EXACT.add(self.cost, cost)

    def estimator(self) -> UsageEstimator:
        from llmkit.models.estimator import UsageEstimator

        usage = Usage(**dict(zip(KINDS, self.tokens, strict=True)), reported=self.reported)
        return UsageEstimator(
            usage.input_tokens,
            usage.output_tokens,
            self.cost if self.unpriced < self.answers or self.answers == 0 else None,
            usage=usage,
            answers=self.answers,
            unpriced=self.unpriced,
        )


class Tracker:
    """Counts answers, in any thread and task; reading it gives what was counted up to then."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tallies: dict[str, Tally] = {}
        renewed_in_child(self)

    def renew(self) -> None:
        self._lock = threading.Lock()

    def add(self, label: str, usage: Usage, cost: Decimal | None) -> None:
        """
        Count one answer.

        Args:
            label: Whose it is, as ``"provider/model"``.
            usage: Its tokens.
            cost: US dollars, None where that is not known.
        """
        with self._lock:
            tally = self._tallies.get(label)
            if tally is None:
                tally = self._tallies[label] = Tally()
            tally.add(usage, cost)

    def snapshot(self) -> UsageEstimator:
        """Return what was counted up to now, all of one moment."""
        from llmkit.models.estimator import UsageEstimator

        with self._lock:
            by_model = {label: tally.estimator() for label, tally in self._tallies.items()}
        known = [part.estimated_cost for part in by_model.values() if part.estimated_cost is not None]
        usage = sum((part.usage for part in by_model.values()), Usage())
        return UsageEstimator(
            usage.input_tokens,
            usage.output_tokens,
            reduce(EXACT.add, known, Decimal(0)) if known or not by_model else None,
            by_model=by_model,
            usage=usage,
            answers=sum(part.answers for part in by_model.values()),
            unpriced=sum(part.unpriced for part in by_model.values()),
        )

    @property
    def input_tokens(self) -> int:
        return self.snapshot().input_tokens

    @property
    def output_tokens(self) -> int:
        return self.snapshot().output_tokens

    @property
    def estimated_cost(self) -> Decimal | None:
        return self.snapshot().estimated_cost

    @property
    def by_model(self) -> Mapping[str, UsageEstimator]:
        return self.snapshot().by_model

    def __repr__(self) -> str:
        return f"Tracker({self.snapshot()!r})"


_ambient: ContextVar[tuple[Tracker, ...]] = ContextVar("llmkit_trackers", default=())


@contextmanager
def track() -> Iterator[Tracker]:
    """
    Return a context manager that counts the calls made inside it, by whatever client, sync and async.

    It gives a tracker with ``input_tokens``, ``output_tokens``, ``estimated_cost`` and ``by_model``. Scopes nest, and each counts all that
    is inside. One holds for the running thread or task and for tasks made inside, as context variables do; a thread started inside has it
    only if it runs in a ``contextvars.copy_context()``.
    """
    with tracked_by(Tracker()) as tracker:
        yield tracker


@contextmanager
def tracked_by(tracker: Tracker) -> Iterator[Tracker]:
    """Return a context manager inside which *tracker* counts as well."""
    token = _ambient.set((*_ambient.get(), tracker))
    try:
        yield tracker
    finally:
        _ambient.reset(token)


def current_trackers() -> tuple[Tracker, ...]:
    """Return the trackers whose scopes hold here."""
    return _ambient.get()

"""
One question to a store, asked again as ``RetryConfig`` says.

Rule 1: an errand does not wait and does not ask: a face runs it, and is told by ``Again`` when to run it once more.
Rule 2: retries spend the quota of their retriever, so that a store that is down is not asked by everyone again and again.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Generic, TypeVar

from llmkit.cancelling import Cut
from llmkit.errors import ConfigurationError, DeadlineExceededError, RetrieverError
from llmkit.kinds import KINDS, ErrorCategory
from llmkit.resilience.backing import Again
from llmkit.resilience.deadline import current_deadline
from llmkit.resilience.quota import RetryQuota
from llmkit.resilience.retry import RetryConfig
from llmkit.secrets import clean

__all__ = ["Errand", "Patience"]

logger = logging.getLogger("llmkit.retrieval")

Asked = TypeVar("Asked")  # what the store returns: in the twin, something to be awaited


class Patience:
    """How often the store of one retriever is asked again. Safe to share between threads and tasks."""

    def __init__(self, retry: RetryConfig | None, *, chance: Callable[[], float] = random.random) -> None:
        given: object = retry
        if given is not None and not isinstance(given, RetryConfig):
            msg = f"retry is a RetryConfig, or None, not {type(given).__name__}."
            raise ConfigurationError(msg)
        self.retry = retry
        self.quota = RetryQuota()
        self.chance = chance


class UntilCut:
    """A turn that never comes, and ends the wait for it when *cut* is made: tasks that wait are to end so as well."""

    def __init__(self, cut: Cut) -> None:
        self._cut = cut

    def on_grant(self, callback: Callable[[], object]) -> None:
        self._cut.arm(callback)

    def delay(self) -> float | None:
        return 0.0 if self._cut.is_made else None


class Errand(Generic[Asked]):
    """
    ``ask`` puts the question, ``name`` is what it is called, ``cut`` ends the wait for the next try, and ``on_missing`` is told where the
    store knows of no such collection.

    In a ``with`` block whatever the store raises becomes what is to be raised: ``Again``, or the error.
    """

    def __init__(
        self,
        patience: Patience,
        name: str,
        collection: str,
        ask: Callable[[], Asked],
        cut: Cut | None = None,
        on_missing: Callable[[], object] | None = None,
    ) -> None:
        self.ask = ask
        self._patience = patience
        self._name = name
        self._collection = collection
        self._cut = cut or Cut()
        self._on_missing = on_missing
        self._failures = 0
        self._paid: int | None = None
        self._last: RetrieverError | None = None

    def begin(self) -> None:
        """Raise what ends the errand before the store is asked (again): its deadline, or whoever cut it."""
        if self._last is not None and self._cut.is_made:
            raise self._last
        deadline = current_deadline()
        if deadline is not None and deadline.passed:
            raise self._too_late(self._last)

    def end(self) -> None:
        """Take note that the store has answered."""
        self._patience.quota.earn(self._paid)

    def after(self, error: RetrieverError | OSError) -> Exception:
        """Return what is to be raised for *error* of the store."""
        fault = error if isinstance(error, RetrieverError) else self._fault(error)
        self._last = fault
        self._failures += 1
        if fault.kind == "not_found" and self._on_missing is not None:
            self._on_missing()
        wait = self._wait(fault)
        if wait is None:
            fault.metadata["tries"] = self._failures
            return fault
        timed_out = fault.category is ErrorCategory.TIMEOUT_ERROR
        self._paid = self._patience.quota.spend(timed_out)
        if self._paid is None:
            fault.retry_quota_exhausted = True
            return fault
        logger.warning("%s failed with %s; try %d follows in %.1f s", self._name, fault.kind, self._failures + 1, wait)
        return Again(wait, turn=UntilCut(self._cut))

    def abandon(self, error: BaseException) -> None:
        """Nobody goes on with it; there is nothing to give back."""

    def _wait(self, fault: RetrieverError) -> float | None:
        """Return the seconds until the next try; None if there is none."""
        retry = self._patience.retry
        if retry is None or not fault.retryable or self._failures > retry.max_retries or self._cut.is_made:
            return None
        if fault.category is ErrorCategory.TIMEOUT_ERROR and not retry.retry_timeouts:
            return None
        if (fault.retry_after or 0.0) > retry.retry_after_cap:
            return None
        wait = retry.wait(self._failures, fault.retry_after, self._patience.chance)
        deadline = current_deadline()
        if deadline is None or deadline.allows(wait):
            return wait
        wait = fault.retry_after or wait  # without the jitter that was added to it
        return wait if deadline.allows(wait) else None

    def _fault(self, error: OSError) -> RetrieverError:
        kind = "timeout" if isinstance(error, TimeoutError) else "connection_lost" if isinstance(error, ConnectionError) else "store"
        text = clean(str(error), limit=1024)
        message = f"The store failed to {self._name}: {type(error).__name__}: {text}"
        return RetrieverError(message, self._collection, retryable=KINDS[kind].retryable, kind=kind, original_error=text)

    def _too_late(self, cause: RetrieverError | None) -> DeadlineExceededError:
        after = f"; the last failure was: {cause.message}" if cause is not None else ""
        return DeadlineExceededError(f"The deadline passed before the store could {self._name}{after}", original_error=cause)

"""What a batch comes to: an item for each prompt, with its answer or its error."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from functools import reduce
from typing import TYPE_CHECKING, overload

from attrs import frozen

from llmkit.errors import BatchError, LLMKitError
from llmkit.models.price import EXACT
from llmkit.models.usage import Usage

if TYPE_CHECKING:
    from llmkit.models.ledger import Attempt
    from llmkit.models.response import CompletionResponse

__all__ = ["BatchItem", "BatchResult"]


@frozen
class BatchItem:
    """
    What became of the prompt at *index*: a response, or an error, never both.

    ``attempts`` is the ledger of its tries; ``restored`` says that it comes from a checkpoint and was not asked now.
    """

    index: int
    response: CompletionResponse | None = None
    error: LLMKitError | None = None
    attempts: tuple[Attempt, ...] = ()
    restored: bool = False

    @property
    def ok(self) -> bool:
        """Whether there is a response."""
        return self.error is None


class BatchResult(Sequence[BatchItem]):
    """
    The items of a batch, a sequence: in the order of the prompts, or as they were completed where ``ordered=False`` was asked for.

    ``stopped`` is the error that ended it early, None where it went to its end: an empty account, no key that is left, or an executor
    that lost a part of it. The prompts behind it have that error, and those of an iterator were not taken out of it.
    """

    def __init__(self, items: Iterable[BatchItem] = (), stopped: LLMKitError | None = None) -> None:
        self._items = tuple(items)
        self.stopped = stopped

    @overload
    def __getitem__(self, index: int) -> BatchItem: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[BatchItem, ...]: ...

    def __getitem__(self, index: int | slice) -> BatchItem | tuple[BatchItem, ...]:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[BatchItem]:
        return iter(self._items)

    @property
    def responses(self) -> list[CompletionResponse | None]:
        """The response of each item, None where it has an error."""
        return [item.response for item in self._items]

    @property
    def errors(self) -> list[LLMKitError | None]:
        """The error of each item, None where it has a response."""
        return [item.error for item in self._items]

    @property
    def succeeded(self) -> int:
        """How many items have a response."""
        return sum(item.ok for item in self._items)

    @property
    def failed(self) -> int:
        """How many items have an error."""
        return len(self._items) - self.succeeded

    @property
    def usage(self) -> Usage:
        """The tokens of all responses, those restored from a checkpoint included."""
        return sum((item.response.usage for item in self._items if item.response is not None), Usage())

    @property
    def cost(self) -> Decimal | None:
        """What the responses cost, in US dollars; without those whose price is not known, and None where none is."""
        answers = [item.response for item in self._items if item.response is not None]
        known = [answer.cost for answer in answers if answer.cost is not None]
        return reduce(EXACT.add, known, Decimal(0)) if known or not answers else None

    def raise_for_errors(self) -> None:
        """Raise ``BatchError`` if an item failed: its ``errors`` holds all of them by index."""
        errors = {item.index: item.error for item in self._items if item.error is not None}
        if self.stopped is not None and not errors:
            raise self.stopped
        if not errors:
            return
        index, first = next(iter(errors.items()))
        msg = f"{len(errors)} of {len(self)} items failed, the first of them item {index}: {first.message}"
        raise BatchError(msg, errors) from first

    def __repr__(self) -> str:
        return f"BatchResult({self.succeeded} succeeded, {self.failed} failed)"

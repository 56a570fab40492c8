"""
What ``add`` has to do, cut into batches, and how far it is; without I/O but for the checkpoint.

Rule 1: batches are taken in turn by any number of workers, and stored in no order.
Rule 2: the first failure ends the handing out; what is under way is finished, noted and reported, except that nobody waits for another try.
Rule 3: a batch is reported when it is stored, and, where there is a checkpoint, when that is on the disk.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from llmkit.cancelling import Cut
from llmkit.errors import ConfigurationError, LLMKitError
from llmkit.models.price import EXACT
from llmkit.models.usage import Usage
from llmkit.retrieval.records import Added, Record

if TYPE_CHECKING:
    from llmkit.models.embedding import EmbeddingResponse
    from llmkit.retrieval.checkpoint import Checkpoint
    from llmkit.retrieval.records import Document

__all__ = ["Batch", "Load"]


class Batch:
    """Documents that are embedded and stored at once."""

    def __init__(self, documents: Sequence[Document], count: int) -> None:
        self.documents = documents
        self.count = count  # with those that stood in the list twice
        self.cut = Cut()

    @property
    def ids(self) -> list[str]:
        return [document.id for document in self.documents]

    def missing(self, digests: Mapping[str, str]) -> list[Document]:
        """Return those that the store, which has *digests*, has not as they are."""
        return [document for document in self.documents if digests.get(document.id) != document.digest]


class Load:
    """One ``add``. Safe to share between the threads or tasks that carry it out."""

    def __init__(self, documents: Sequence[Document], *, batch_size: int, checkpoint: Checkpoint | None, progress: Any) -> None:
        self.checkpoint = checkpoint
        self._ids = tuple(document.id for document in documents)
        self._progress = progress
        self._waiting = _batches(documents, batch_size, checkpoint)
        self._under_way: set[Batch] = set()
        self._done = self._added = 0
        self._usage = Usage()
        self._cost: Decimal | None = Decimal(0)
        self._failure: BaseException | None = None
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Report what is done already."""
        self._report(len(self._ids) - sum(batch.count for batch in self._waiting))

    def check_store(self, count: int) -> None:
        """Raise ``ConfigurationError`` if the checkpoint speaks of documents, and the store has a *count* of none."""
        if self.checkpoint is not None and len(self.checkpoint) and not count:
            msg = f"checkpoint {self.checkpoint.path} has {len(self.checkpoint)} documents, the store has none. Delete the checkpoint."
            raise ConfigurationError(msg)

    @property
    def batches(self) -> int:
        """How many wait to be taken."""
        return len(self._waiting)

    def next(self) -> Batch | None:
        """Return a batch to be carried out; None if there is none, or something has failed."""
        with self._lock:
            if self._failure is not None or not self._waiting:
                return None
            batch = self._waiting.pop()
            self._under_way.add(batch)
            return batch

    def records(self, documents: Sequence[Document], answer: EmbeddingResponse) -> list[Record]:
        """Return *documents*, embedded by *answer*, as they are stored; what that has cost is noted."""
        with self._lock:
            self._usage = self._usage + answer.usage
            self._cost = None if answer.cost is None or self._cost is None else EXACT.add(self._cost, answer.cost)
        return [Record.of(document, vector) for document, vector in zip(documents, answer.vectors, strict=True)]

    def end(self, batch: Batch, stored: Sequence[Document]) -> None:
        """Take note that *batch* is in the store, of which *stored* were not there before."""
        if self.checkpoint is not None:
            self.checkpoint.note(batch.documents)
        with self._lock:
            self._under_way.discard(batch)
            self._added += len(stored)
            self._report(batch.count)

    def stop(self, failure: BaseException) -> None:
        """Hand out no more batches, since there was a *failure*; the first one counts."""
        with self._lock:
            if self._failure is None:
                self._failure = failure
            under_way = list(self._under_way)
        for batch in under_way:
            batch.cut.now()

    def result(self) -> Added:
        """Return what was done. Raises the first failure, if there was one; its ``metadata`` tells how far it went."""
        if isinstance(self._failure, LLMKitError):
            self._failure.metadata.update(done=self._done, total=len(self._ids))
        if self._failure is not None:
            raise self._failure
        skipped = len(self._ids) - self._added
        return Added(ids=self._ids, added=self._added, skipped=skipped, usage=self._usage, cost=self._cost)

    def close(self) -> None:
        """Give back what is open."""
        if self._progress is not None:
            self._progress.close()
        if self.checkpoint is not None:
            self.checkpoint.close()

    def _report(self, count: int) -> None:
        self._done += count
        if self._progress is not None and count:
            self._progress.update(count)


def _batches(documents: Sequence[Document], size: int, checkpoint: Checkpoint | None) -> list[Batch]:
    """Return what is to be done, the first of it last; a document that stands there twice is done once."""
    waiting = [document for document in documents if checkpoint is None or not checkpoint.has(document)]
    once: dict[str, Document] = {}
    times: dict[str, int] = {}
    for document in waiting:
        once[document.id] = document
        times[document.id] = times.get(document.id, 0) + 1
    unique = list(once.values())
    groups = [unique[start : start + size] for start in range(0, len(unique), size)]
    return [Batch(group, sum(times[document.id] for document in group)) for group in reversed(groups)]

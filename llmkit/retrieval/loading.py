"""
What ``add`` has to do, cut into batches, and how far it is; without I/O but for the checkpoint, and that where it is said.

Rule 1: batches are taken in turn by any number of workers, and stored in no order.
Rule 2: the first failure ends the handing out; what is under way is finished, noted and reported, except that nobody waits for another try.
Rule 3: a batch is reported when it is stored, and, where there is a checkpoint, when that is on the disk.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from decimal import Decimal
from types import TracebackType
from typing import TYPE_CHECKING

from llmkit.cancelling import Cut
from llmkit.errors import CheckpointError, LLMKitError
from llmkit.journal.journal import PATIENCE
from llmkit.models.price import EXACT
from llmkit.models.usage import Usage
from llmkit.retrieval.records import Added, Record

if TYPE_CHECKING:
    from llmkit.models.embedding import EmbeddingResponse
    from llmkit.progress import Progress
    from llmkit.resilience.pacing import Tempo
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
    """
    One ``add``. Safe to share between the threads or tasks that carry it out: ``llmkit.team`` says how.

    Args:
        tempo: What its embeddings keep together, where the provider wants it slower.
        open_checkpoint: Returns the checkpoint, where one is wanted.
    """

    def __init__(
        self,
        documents: Sequence[Document],
        *,
        batch_size: int,
        tempo: Tempo,
        open_checkpoint: Callable[[], Checkpoint] | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.tempo = tempo
        self.has_log = open_checkpoint is not None
        self.checkpoint: Checkpoint | None = None
        self._open_checkpoint = open_checkpoint
        self._documents = documents
        self._batch_size = batch_size
        self._ids = tuple(document.id for document in documents)
        self._progress = progress
        self._waiting: list[Batch] = []
        self._under_way: set[Batch] = set()
        self._done = self._added = self._reported = 0
        self._usage = Usage()
        self._cost: Decimal | None = Decimal(0)
        self._is_left = self._is_closed = False
        self._lock = threading.Lock()

    def open(self) -> None:
        """
        Cut into batches what a checkpoint does not know yet. Reads it, if there is one.

        Raises:
            CheckpointError: If it cannot be gone on with.
        """
        if self._open_checkpoint is not None:
            self.checkpoint = self._open_checkpoint()
            if self._is_closed:  # by a task that was cancelled, and did not wait for so long
                self.checkpoint.close()
        self._waiting = _batches(self._documents, self._batch_size, self.checkpoint)
        self._done = len(self._ids) - sum(batch.count for batch in self._waiting)

    def check_store(self, count: int) -> None:
        """Raise ``CheckpointError`` if the checkpoint speaks of documents, and the store has a *count* of none."""
        if self.checkpoint is not None and len(self.checkpoint) and not count:
            msg = f"{self.checkpoint.path} tells of {len(self.checkpoint)} documents, the store has none. Delete the checkpoint."
            raise CheckpointError(msg)

    # -- carrying it out

    @property
    def batches(self) -> int:
        """How many wait to be taken."""
        return len(self._waiting)

    def next(self) -> Batch | None:
        """Return a batch to be carried out; None if there is none, or no more is to be begun."""
        with self._lock:
            return None if self._is_left or not self._waiting else self._waiting.pop()

    @contextmanager
    def carrying(self, batch: Batch) -> Iterator[None]:
        """In this block *batch* is embedded and stored."""
        with nullcontext() if self.checkpoint is None else self.checkpoint.storing():
            with self._lock:
                self._under_way.add(batch)
            try:
                if self._is_left:
                    batch.cut.now()
                yield
            finally:
                with self._lock:
                    self._under_way.discard(batch)

    def records(self, documents: Sequence[Document], answer: EmbeddingResponse) -> list[Record]:
        """Return *documents*, embedded by *answer*, as they are stored; what that has cost is noted."""
        with self._lock:
            self._usage = self._usage + answer.usage
            self._cost = None if answer.cost is None or self._cost is None else EXACT.add(self._cost, answer.cost)
        return [Record.of(document, vector) for document, vector in zip(documents, answer.vectors, strict=True)]

    def end(self, batch: Batch, stored: Sequence[Document]) -> None:
        """Take note that *batch* is in the store, of which *stored* were not there before: on the disk, if there is a checkpoint."""
        if self.checkpoint is not None:
            self.checkpoint.note(batch.documents)
        with self._lock:
            self._added += len(stored)
            self._done += batch.count

    def arrived(self, batch: Batch | None = None) -> None:
        """Report that *batch* is done; without one, what was done before."""
        if self._progress is None:
            return
        self._reported += self._done if batch is None else batch.count
        if self._reported:
            self._progress.show(self._reported, len(self._ids), 0)

    # -- the end

    def leave(self) -> float:
        """Hand out no more batches, and let nobody wait for another try; return the seconds for which to wait for what is under way."""
        with self._lock:
            self._is_left = True
            self.tempo.leave()
            under_way = list(self._under_way)
        for batch in under_way:
            batch.cut.now()
        return PATIENCE

    def give_up(self) -> None:
        """What is still under way ends by the time-outs of client and store."""

    def tell(self, error: LLMKitError) -> None:
        """Tell *error*, with which it ended, how far it was: what is stored stays."""
        error.metadata.update(done=self._done, total=len(self._ids), kept=True)

    def result(self) -> Added:
        """Return what was done."""
        skipped = len(self._ids) - self._added
        return Added(ids=self._ids, added=self._added, skipped=skipped, usage=self._usage, cost=self._cost)

    def close(self) -> None:
        """Give back what is open."""
        self._is_closed = True
        if self._progress is not None:
            self._progress.close()
        if self.checkpoint is not None:
            self.checkpoint.close()

    def __enter__(self) -> Load:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


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

"""
One embed: which texts go out in which request, what becomes of the answers, and what they come to.

Rule 1: nothing here sends, and nothing here knows whether sending is awaited.
Rule 2: the first request that fails ends the others: at once, or, where there is a checkpoint to keep what they bring, when they are done.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from decimal import Decimal
from types import TracebackType
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from llmkit.embedding.cutting import cut
from llmkit.errors import CheckpointError, LLMKitError, MalformedResponseError
from llmkit.journal.journal import PATIENCE, Resume
from llmkit.models.embedding import EmbeddingResponse, Filling
from llmkit.models.price import EXACT
from llmkit.models.usage import Usage
from llmkit.progress import ProgressArgument, progress_of

if TYPE_CHECKING:
    from llmkit.call import Call
    from llmkit.dialects.embedding import Limits
    from llmkit.embedding.checkpoint import Checkpoint
    from llmkit.models.embedding import EmbeddingRequest
    from llmkit.models.ledger import Attempt
    from llmkit.resilience.pacing import Tempo

__all__ = ["Embedding", "Piece"]


@frozen(eq=False)
class Piece:
    """What goes out in one request: the texts at *places*."""

    request: EmbeddingRequest
    places: Sequence[int]


@frozen
class Share:
    """What one request has brought beside its vectors, the first of which is at *place*."""

    place: int
    usage: Usage
    cost: Decimal | None
    model: str
    provider: str
    attempts: tuple[Attempt, ...]


class Embedding:
    """
    The texts of *request* on their way.

    ``begin`` first; then whoever takes a piece with ``next`` sends what ``asking`` gives and hands the answer to ``settle``. Safe to
    share between the threads or tasks that do so.

    Args:
        to: The provider and model that are asked.
        make_call: Returns the call that embeds the texts of a request.
        limits: What one request may hold.
        at_once: How many requests may be under way.
        tempo: What they keep together, where the provider wants it slower.

    Raises:
        ConfigurationError: If *progress* is not what it must be.
    """

    def __init__(
        self,
        request: EmbeddingRequest,
        *,
        to: str,
        make_call: Callable[[EmbeddingRequest], Call[EmbeddingResponse]],
        limits: Limits,
        at_once: int,
        progress: ProgressArgument = None,
        checkpoint: str | os.PathLike[str] | None = None,
        resume: Resume = True,
        tempo: Tempo,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.at_once = at_once
        self.has_log = checkpoint is not None
        self.tempo = tempo
        self.waiting = 0  # pieces that nobody has taken
        self._request = request
        self._to = to
        self._make_call = make_call
        self._limits = limits
        self._path = checkpoint
        self._resume: Resume = resume
        self._clock = clock
        self._began = clock()
        self._total = len(request.inputs)
        self._filling = Filling(self._total)
        self._shares: list[Share] = []
        self._pieces: Iterator[Piece] = iter(())
        self._done = 0  # texts whose vectors are there
        self._reported = 0
        self._is_left = self._is_given_up = self._is_closed = False
        self._calls: set[Call[EmbeddingResponse]] = set()
        self._lock = threading.Lock()
        self._checkpoint: Checkpoint | None = None
        self._progress = progress_of(progress, self._total, unit="text")

    def begin(self) -> None:
        """
        Restore what an earlier run has done, and cut what is missing into pieces. Reads files, if there is a checkpoint.

        Raises:
            CheckpointError: If it cannot be gone on with.
        """
        missing: Sequence[int] = range(self._total)
        if self._path is not None:
            from llmkit.embedding.checkpoint import Checkpoint

            there = bytearray(self._total)

            def restore(answer: EmbeddingResponse, places: Sequence[int | None]) -> None:
                self._put(answer, places)
                for place in places:
                    if place is not None:
                        there[place] = 1

            self._checkpoint = Checkpoint(self._path, self._request, self._to, resume=self._resume, restore=restore)
            if self._is_closed:  # by a task that was cancelled, and did not wait for so long
                self._checkpoint.close()
            self._done = there.count(1)
            if self._done:
                missing = [place for place in missing if not there[place]]
        pieces = self._cut(missing)
        self.waiting = len(pieces)
        self._pieces = iter(pieces)

    def _cut(self, missing: Sequence[int]) -> list[Piece]:
        inputs = self._request.inputs
        if len(missing) < len(inputs):
            inputs = tuple([inputs[place] for place in missing])
        groups = list(cut(inputs, self._limits, self._request.model))
        if len(groups) == 1:
            return [Piece(evolve(self._request, inputs=inputs), missing)]
        return [Piece(evolve(self._request, inputs=inputs[group]), missing[group]) for group in groups]

    # -- carrying it out

    def next(self) -> Piece | None:
        """Return a piece to be embedded; None if there is none, or no more is to be begun."""
        with self._lock:
            piece = None if self._is_left else next(self._pieces, None)
            self.waiting -= piece is not None
            return piece

    @contextmanager
    def asking(self, piece: Piece) -> Iterator[Call[EmbeddingResponse]]:
        """In this block the call that it gives is sent, and its answer settled."""
        call = self._make_call(piece.request)
        with nullcontext() if self._checkpoint is None else self._checkpoint.asking():
            self._calls.add(call)
            try:
                if self._is_given_up:
                    call.cancel()
                yield call
            finally:
                self._calls.discard(call)

    def settle(self, piece: Piece, answer: EmbeddingResponse) -> None:
        """
        Take *answer* for *piece*; with a checkpoint, it is on the disk when this returns.

        Raises:
            MalformedResponseError: If its vectors are of another length than those that are there; nothing is kept of it.
            CheckpointError: If it cannot be written.
        """
        with self._lock:
            try:
                self._filling.check(answer.vectors)
            except ValueError as error:
                provider = answer.provider
                raise MalformedResponseError(f"{provider}: {error}.", provider=provider, model=self._request.model) from None
        if self._checkpoint is not None:
            self._checkpoint.end(piece.places, answer)
        with self._lock:
            self._put(answer, piece.places)
            self._done += len(piece.places)

    def _put(self, answer: EmbeddingResponse, places: Sequence[int | None]) -> None:
        try:
            self._filling.put(answer.vectors, places)
        except ValueError as error:
            msg = f"The checkpoint cannot be gone on with, since {error}: begin anew with resume=False, or in another file."
            raise CheckpointError(msg) from None
        first = min(place for place in places if place is not None)
        self._shares.append(Share(first, answer.usage, answer.cost, answer.model, answer.provider, answer.attempts))

    def arrived(self, piece: Piece | None = None) -> None:
        """Report that *piece* is done; without one, what was restored."""
        if self._progress is None:
            return
        self._reported += self._done if piece is None else len(piece.places)
        if self._reported:
            self._progress.show(self._reported, self._total, 0)

    # -- the end

    def leave(self) -> float:
        """Begin no more; return the seconds for which to wait for what is under way. Without a log nobody would have what it brings."""
        self._is_left = True
        self.tempo.leave()
        return PATIENCE if self.has_log else 0.0

    def give_up(self) -> None:
        """End what is still under way."""
        self._is_given_up = True
        for call in tuple(self._calls):
            call.cancel()

    def tell(self, error: LLMKitError) -> None:
        """Tell *error*, with which it ended, how far it was."""
        error.metadata.update(done=self._done, total=self._total, kept=self.has_log)

    def result(self) -> EmbeddingResponse:
        """Return the vectors of all texts, and what all requests used and cost, those of earlier runs included."""
        shares = sorted(self._shares, key=lambda share: share.place)
        return EmbeddingResponse(
            vectors=self._filling.vectors,
            usage=sum((share.usage for share in shares), Usage()),
            cost=_summed([share.cost for share in shares]),
            model=shares[0].model,
            provider=shares[0].provider,
            attempts=tuple(attempt for share in shares for attempt in share.attempts),
            elapsed=self._clock() - self._began,
        )

    def close(self) -> None:
        """Close what is open. Idempotent."""
        self._is_closed = True
        if self._progress is not None:
            self._progress.close()
        if self._checkpoint is not None:
            self._checkpoint.close()

    def __enter__(self) -> Embedding:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _summed(costs: Sequence[Decimal | None]) -> Decimal | None:
    total = Decimal(0)
    for cost in costs:
        if cost is None:
            return None
        total = EXACT.add(total, cost)
    return total

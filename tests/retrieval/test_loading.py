"""What is to be done, taken in turn by any number of workers; and how far it is."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from llmkit import CheckpointError, EmbeddingResponse, Usage, Vectors
from llmkit.resilience.pacing import Tempo
from llmkit.retrieval import RetrieverError
from llmkit.retrieval.checkpoint import Checkpoint
from llmkit.retrieval.loading import Load
from llmkit.retrieval.records import as_documents


class Told:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.facts: list[tuple[int, int | None, int]] = []
        self.closed = False

    def show(self, done: int, total: int | None, failed: int) -> None:
        self.facts.append((done, total, failed))

    def close(self) -> None:
        self.closed = True


def load(*texts: str, size: int = 2, checkpoint: Checkpoint | None = None, progress: Any = None) -> Load:
    found = as_documents(texts, None, None, made_by="m")
    made = Load(
        found, batch_size=size, tempo=Tempo(None), open_checkpoint=None if checkpoint is None else lambda: checkpoint, progress=progress
    )
    made.open()
    return made


def answer(count: int, cost: Decimal | None = Decimal("0.1")) -> EmbeddingResponse:
    return EmbeddingResponse(vectors=Vectors.of([[1.0, 2.0]] * count), usage=Usage(input_tokens=count), cost=cost)


def carried_out(work: Load, cost: Decimal | None = Decimal("0.1")) -> list[list[str]]:
    """Do all of *work* and return the texts of its batches."""
    batches = []
    while (batch := work.next()) is not None:
        with work.carrying(batch):
            work.records(batch.documents, answer(len(batch.documents), cost))
            work.end(batch, batch.documents)
        work.arrived(batch)
        batches.append([document.text for document in batch.documents])
    return batches


def test_documents_go_out_in_batches() -> None:
    """In their order, each once, however often it stands there."""
    told = Told()
    work = load("a", "b", "a", "c", "d", "e", "a", progress=told)
    work.arrived()

    batches = carried_out(work)
    done = work.result()
    work.close()

    assert [["a", "b"], ["c", "d"], ["e"]] == batches
    assert (7, 5, 2, 5, Decimal("0.3")) == (len(done.ids), done.added, done.skipped, done.usage.input_tokens, done.cost)
    assert ([(4, 7, 0), (6, 7, 0), (7, 7, 0)], True) == (told.facts, told.closed)


def test_a_price_that_is_not_known_makes_a_cost_that_is_not() -> None:
    """It is no zero."""
    work = load("a", "b", "c")
    carried_out(work, None)

    assert None is work.result().cost


def test_what_the_store_has_is_missing_nothing() -> None:
    """By id and digest."""
    work = load("a", "b", size=9)
    batch = work.next()
    assert batch is not None
    first, second = batch.documents

    assert [second] == batch.missing({first.id: first.digest, second.id: "older"})
    assert [first.id, second.id] == batch.ids


def test_once_it_is_left_no_batch_goes_out() -> None:
    """Those under way are told, and what they finish counts."""
    work = load("a", "b", "c", "d", "e")
    one, other, late = work.next(), work.next(), work.next()
    assert one is not None
    assert other is not None
    assert late is not None
    failure = RetrieverError("first")

    with work.carrying(one), work.carrying(other):
        patience = work.leave()
        work.end(one, one.documents)
    with work.carrying(late):
        work.tell(failure)

    assert (None, 60.0) == (work.next(), patience)
    assert [True, True, True] == [batch.cut.is_made for batch in (one, other, late)]
    assert {"done": 2, "total": 5, "kept": True} == failure.metadata


def test_a_checkpoint_is_written_before_anything_is_reported(tmp_path: Any) -> None:
    """What it has is not done again."""
    facts = {"collection": "pets"}
    work = load("a", "b", "c", checkpoint=Checkpoint(tmp_path / "run", facts))
    batch = work.next()
    assert batch is not None
    work.end(batch, batch.documents)
    work.close()
    checkpoint = Checkpoint(tmp_path / "run", facts)
    told = Told()
    again = load("a", "b", "c", "a", checkpoint=checkpoint, progress=told)

    again.arrived()

    assert ([(3, 4, 0)], 1) == (told.facts, again.batches)
    again.check_store(7)
    with pytest.raises(CheckpointError, match="tells of 2 documents, the store has none"):
        again.check_store(0)
    again.close()
    with pytest.raises(CheckpointError, match="was closed"):
        checkpoint.note([])


def test_a_checkpoint_that_is_opened_too_late_is_closed(tmp_path: Any) -> None:
    """By a task that was cancelled meanwhile: the next can have it."""
    work = Load(
        as_documents(["a"], None, None, made_by="m"),
        batch_size=1,
        tempo=Tempo(None),
        open_checkpoint=lambda: Checkpoint(tmp_path / "run", {}),
    )
    work.close()

    work.open()

    Checkpoint(tmp_path / "run", {}).close()

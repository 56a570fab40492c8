"""What is to be done, taken in turn by any number of workers; and how far it is."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from llmkit import ConfigurationError, EmbeddingResponse, Usage, Vectors
from llmkit.retrieval import RetrieverError
from llmkit.retrieval.checkpoint import Checkpoint
from llmkit.retrieval.loading import Load
from llmkit.retrieval.records import as_documents


class Told:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.counts: list[int] = []
        self.closed = False

    def update(self, count: int) -> None:
        self.counts.append(count)

    def close(self) -> None:
        self.closed = True


def load(*texts: str, size: int = 2, checkpoint: Checkpoint | None = None, progress: Any = None) -> Load:
    return Load(as_documents(texts, None, None, made_by="m"), batch_size=size, checkpoint=checkpoint, progress=progress)


def answer(count: int, cost: Decimal | None = Decimal("0.1")) -> EmbeddingResponse:
    return EmbeddingResponse(vectors=Vectors.of([[1.0, 2.0]] * count), usage=Usage(input_tokens=count), cost=cost)


def carried_out(work: Load, cost: Decimal | None = Decimal("0.1")) -> list[list[str]]:
    """Do all of *work* and return the texts of its batches."""
    batches = []
    while (batch := work.next()) is not None:
        work.records(batch.documents, answer(len(batch.documents), cost))
        work.end(batch, batch.documents)
        batches.append([document.text for document in batch.documents])
    return batches


def test_documents_go_out_in_batches() -> None:
    """In their order, each once, however often it stands there."""
    told = Told()
    work = load("a", "b", "a", "c", "d", "e", "a", progress=told)
    work.begin()

    batches = carried_out(work)
    done = work.result()
    work.close()

    assert [["a", "b"], ["c", "d"], ["e"]] == batches
    assert (7, 5, 2, 5, Decimal("0.3")) == (len(done.ids), done.added, done.skipped, done.usage.input_tokens, done.cost)
    assert ([4, 2, 1], True) == (told.counts, told.closed)


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


def test_the_first_failure_is_the_one() -> None:
    """No batch goes out after it, those under way are told, and what they finish counts."""
    work = load("a", "b", "c", "d", "e")
    one, other = work.next(), work.next()
    assert one is not None
    assert other is not None
    failure = RetrieverError("first")

    work.stop(failure)
    work.stop(RetrieverError("second"))
    work.end(one, one.documents)

    assert None is work.next()
    assert [True, True] == [one.cut.is_made, other.cut.is_made]
    with pytest.raises(RetrieverError, match="first"):
        work.result()
    assert {"done": 2, "total": 5} == failure.metadata


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

    again.begin()

    assert ([3], 1) == (told.counts, again.batches)
    again.check_store(7)
    with pytest.raises(ConfigurationError, match="has 2 documents, the store has none"):
        again.check_store(0)
    again.close()
    with pytest.raises(ValueError, match="closed"):
        checkpoint.note([])

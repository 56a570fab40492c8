"""Which texts go out, and what their answers come to. (Most of it is tested where users meet it, beside the clients.)"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from llmkit import Attempt, CheckpointError, EmbeddingResponse, LLMKitError, MalformedResponseError, Usage, Vectors
from llmkit.dialects.embedding import Limits
from llmkit.embedding.work import Embedding, Piece
from llmkit.models.embedding import EmbeddingRequest
from llmkit.resilience.pacing import Tempo


class Call:
    """What is sent, and may be cancelled."""

    def __init__(self, request: EmbeddingRequest) -> None:
        self.request = request
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


def work(*inputs: str, **how: Any) -> Embedding:
    made: Any = Call
    request = EmbeddingRequest(inputs=inputs, model="m")
    how = {"tempo": Tempo(None), "clock": iter(range(100)).__next__, **how}
    return Embedding(request, to="acme/m", make_call=made, limits=Limits(2), at_once=2, **how)


def answer(piece: Piece, size: int = 2, cost: str | None = "0.1") -> EmbeddingResponse:
    """Return vectors that tell their texts."""
    vectors = Vectors.of([[float(ord(text))] * size for text in piece.request.inputs])
    price = None if cost is None else Decimal(cost)
    tried = Attempt(number=1, provider="acme", model="m", endpoint="e", request_id=piece.request.inputs[0])
    return EmbeddingResponse(vectors=vectors, usage=Usage(input_tokens=1), cost=price, model="m-1", provider="acme", attempts=(tried,))


def pieces(embedding: Embedding) -> list[Piece]:
    found = []
    while (piece := embedding.next()) is not None:
        found.append(piece)
    return found


def rows(text: str) -> list[list[float]]:
    return [[float(ord(letter))] * 2 for letter in text]


def test_answers_may_come_in_any_order() -> None:
    """Each to its texts; usage and cost are summed, and the ledger is in the order of the texts."""
    embedding = work(*"abcde")
    embedding.begin()

    for piece in reversed(pieces(embedding)):
        embedding.settle(piece, answer(piece))
    result = embedding.result()

    assert rows("abcde") == result.vectors.tolist()
    assert ["a", "c", "e"] == [attempt.request_id for attempt in result.attempts]
    assert (3, Decimal("0.3"), "m-1", "acme", 1) == (result.usage.input_tokens, result.cost, result.model, result.provider, result.elapsed)


def test_a_cost_that_is_not_known_makes_a_sum_that_is_not() -> None:
    """It is no zero."""
    embedding = work(*"abc")
    embedding.begin()
    first, second = pieces(embedding)

    embedding.settle(first, answer(first))
    embedding.settle(second, answer(second, cost=None))

    assert None is embedding.result().cost


def test_what_is_there_is_not_cut_into_pieces_again(tmp_path: Path) -> None:
    """Only what is missing goes out, as few requests as that takes."""
    with work(*"abcdef", checkpoint=tmp_path / "run") as embedding:
        embedding.begin()
        _, middle, _ = pieces(embedding)
        embedding.settle(middle, answer(middle))

    with work(*"abcdef", checkpoint=tmp_path / "run") as embedding:
        embedding.begin()
        waiting = embedding.waiting
        found = pieces(embedding)
        for piece in found:
            embedding.settle(piece, answer(piece))
        result = embedding.result()

    assert [("a", "b"), ("e", "f")] == [piece.request.inputs for piece in found]
    assert (2, 3, rows("abcdef")) == (waiting, result.usage.input_tokens, result.vectors.tolist())


def test_vectors_of_another_length_are_no_answer(tmp_path: Path) -> None:
    """Nothing of it is kept."""
    with work(*"abcd", checkpoint=tmp_path / "run") as embedding:
        embedding.begin()
        first, second = pieces(embedding)
        embedding.settle(first, answer(first))
        before = (tmp_path / "run").read_bytes()

        with pytest.raises(MalformedResponseError, match="acme: some vectors have 3 numbers, others 2"):
            embedding.settle(second, answer(second, size=3))

    assert before == (tmp_path / "run").read_bytes()


@pytest.mark.parametrize("kept", [False, True])
def test_once_it_is_left_nothing_is_begun(kept: bool, tmp_path: Path) -> None:
    """What is under way has a minute where its vectors are kept, and none where they are not; then it is cancelled."""
    embedding = work(*"abcdef", checkpoint=tmp_path / "run" if kept else None)
    embedding.begin()
    first, second = embedding.next(), embedding.next()
    assert first is not None
    assert second is not None
    failure = LLMKitError("no")

    with embedding.asking(first) as under_way:
        embedding.settle(first, answer(first))
        patience = embedding.leave()
        begun = embedding.next()
        embedding.give_up()
    with embedding.asking(second) as late:
        embedding.tell(failure)
    embedding.close()

    assert (None, 60.0 if kept else 0.0) == (begun, patience)
    assert (True, True) == (getattr(under_way, "cancelled", None), getattr(late, "cancelled", None))
    assert {"done": 2, "total": 6, "kept": kept} == failure.metadata


def test_a_checkpoint_that_is_opened_too_late_is_closed(tmp_path: Path) -> None:
    """By a task that was cancelled meanwhile: the next can have it."""
    embedding = work("a", checkpoint=tmp_path / "run")
    embedding.close()

    embedding.begin()

    with work("a", checkpoint=tmp_path / "run") as other:
        other.begin()


def test_a_closed_checkpoint_keeps_nothing(tmp_path: Path) -> None:
    """Whoever comes too late is told so."""
    embedding = work("a", checkpoint=tmp_path / "run")
    embedding.begin()
    piece = embedding.next()
    assert piece is not None
    embedding.close()

    with pytest.raises(CheckpointError, match="was closed"):
        embedding.settle(piece, answer(piece))

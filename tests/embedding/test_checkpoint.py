"""What an embed remembers on the disk. (Most of it is tested where users meet it, beside the clients.)"""

from __future__ import annotations

import base64
import json
from array import array
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit import Attempt, CheckpointError, ConfigurationError, EmbeddingResponse, Usage, Vectors
from llmkit.embedding.checkpoint import DIGEST, Checkpoint, identities, manner
from llmkit.models.embedding import EmbeddingRequest

TO = "acme/embed-1"
TRIED = Attempt(number=1, provider="acme", model="embed-1", endpoint="https://acme", status=200, at=1.5, elapsed=0.25)
Restored = list[tuple[EmbeddingResponse, Sequence[int | None]]]


def opened(path: Path, *inputs: str, resume: Any = True, to: str = TO) -> tuple[Checkpoint, Restored]:
    """Return the checkpoint at *path* for *inputs*, and what it has restored."""
    found: Restored = []
    request = EmbeddingRequest(inputs=inputs, model="embed-1")
    return Checkpoint(path, request, to, resume=resume, restore=lambda answer, places: found.append((answer, places))), found


def answer(*rows: Sequence[float], cost: str | None = "0.001") -> EmbeddingResponse:
    vectors = Vectors.of(rows)
    price = None if cost is None else Decimal(cost)
    return EmbeddingResponse(vectors=vectors, usage=Usage(input_tokens=7), cost=price, model="m", provider="acme", attempts=(TRIED,))


@pytest.mark.parametrize("made", [answer([0.1, 0.2], [1e-300, 3.5]), answer(array("f", [0.1, 0.2]), array("f", [3, 4]), cost=None)])
def test_an_answer_is_restored_as_it_was(made: EmbeddingResponse, tmp_path: Path) -> None:
    """To the last bit of its numbers, for the places of its texts."""
    checkpoint, _ = opened(tmp_path / "run", "a", "b", "c")
    checkpoint.end([2, 0], made)
    checkpoint.close()

    checkpoint, found = opened(tmp_path / "run", "a", "b", "c")

    assert [(made, [2, 0])] == found
    assert made.vectors.numbers.tobytes() == found[0][0].vectors.numbers.tobytes()
    checkpoint.close()


def test_other_places_are_found_when_told(tmp_path: Path) -> None:
    """By the texts; what is not wanted any more has none, and an answer of which nothing is wanted is not restored."""
    checkpoint, _ = opened(tmp_path / "run", "a", "b", "c", "d")
    checkpoint.end([0, 1], answer([1.0], [2.0]))
    checkpoint.end([2, 3], answer([3.0], [4.0]))
    checkpoint.close()

    checkpoint, found = opened(tmp_path / "run", "x", "b", resume="anyway")

    assert [[None, 1]] == [places for _, places in found]
    checkpoint.close()


def test_a_text_that_was_brought_twice_is_the_firsts(tmp_path: Path) -> None:
    """Two records of it make no second place."""
    checkpoint, _ = opened(tmp_path / "run", "a", "b")
    checkpoint.end([0], answer([1.0]))
    checkpoint.end([0, 1], answer([2.0], [3.0]))
    checkpoint.close()

    checkpoint, found = opened(tmp_path / "run", "a", "b")

    assert [[0], [None, 1]] == [places for _, places in found]
    checkpoint.close()


def test_a_refused_one_is_given_back(tmp_path: Path) -> None:
    """The next can have it."""
    checkpoint, _ = opened(tmp_path / "run", "a")
    checkpoint.end([0], answer([1.0]))
    checkpoint.close()

    with pytest.raises(CheckpointError, match="It has vectors of acme/embed-1, this asks acme/embed-2"):
        opened(tmp_path / "run", "a", to="acme/embed-2")

    opened(tmp_path / "run", "a")[0].close()


def test_it_stays_open_while_somebody_asks(tmp_path: Path) -> None:
    """Whoever closes it."""
    checkpoint, _ = opened(tmp_path / "run", "a")

    with checkpoint.asking():
        checkpoint.close()
        checkpoint.end([0], answer([1.0]))

    checkpoint, found = opened(tmp_path / "run", "a")
    assert 1 == len(found)
    checkpoint.close()


@given(st.lists(st.text(max_size=3), max_size=20))
def test_every_text_has_a_name_of_its_own(inputs: list[str]) -> None:
    """The same one twice has two, and they do not depend on what stands between."""
    names = identities(inputs, b"how")

    assert len(inputs) == len(set(names))
    assert {DIGEST} >= {len(name) for name in names}
    assert names == identities([*inputs, "something longer"], b"how")[: len(inputs)]
    assert set(names) == set(identities(inputs[::-1], b"how"))
    assert set(names).isdisjoint(identities(inputs, b"other"))


@pytest.mark.parametrize(
    "other", [{"dimensions": 3}, {"input_type": "query"}, {"user": "u"}, {"extra_body": {"a": 1}}, {"extra_headers": {"x-a": "1"}}]
)
def test_a_manner_is_all_that_is_said(other: dict[str, Any]) -> None:
    """Whatever changes what is sent makes another, and the texts do not."""
    plain = manner(EmbeddingRequest(inputs=("a",), model="m"), TO)

    assert plain != manner(EmbeddingRequest(inputs=("a",), model="m", **other), TO)
    assert plain != manner(EmbeddingRequest(inputs=("a",), model="m"), "acme/embed-2")
    assert plain == manner(EmbeddingRequest(inputs=("b", "c"), model="m"), TO)


@pytest.mark.parametrize("value", [{1, 2}, object()])
def test_what_json_cannot_say_has_no_checkpoint(value: object, tmp_path: Path) -> None:
    """It is refused before there is a file."""
    request = EmbeddingRequest(inputs=("a",), model="m", extra_body={"x": value})

    with pytest.raises(ConfigurationError, match="can be written as JSON"):
        Checkpoint(tmp_path / "run", request, TO, resume=True, restore=lambda answer, places: None)

    assert [] == list(tmp_path.iterdir())


def test_the_numbers_are_written_the_least_byte_first(tmp_path: Path) -> None:
    """On every machine."""
    checkpoint, _ = opened(tmp_path / "run", "a")
    checkpoint.end([0], answer(array("f", [1.0])))
    checkpoint.close()

    record = json.loads((tmp_path / "run").read_bytes().splitlines()[1])

    assert ("f", 1, bytes([0, 0, 0x80, 0x3F])) == (record["code"], record["dimensions"], base64.b64decode(record["vectors"]))

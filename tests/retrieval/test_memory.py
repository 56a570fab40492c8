"""The exact store in memory."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit.retrieval import MemoryStore, QdrantStore, Record, RetrieverError

NUMBERS = st.floats(-10, 10, width=32).filter(lambda number: number == 0 or abs(number) > 0.01)


def record(id: str, *vector: float, **metadata: Any) -> Record:
    return Record(id=id, text=f"text of {id}", metadata=metadata, digest=f"digest of {id}", vector=vector)


def filled(*records: Record) -> MemoryStore:
    store = MemoryStore()
    store.create("pets", len(records[0].vector))
    store.upsert("pets", records)
    return store


def test_the_nearest_come_first_and_equals_by_id() -> None:
    """The score is the cosine, whatever the lengths."""
    store = filled(record("c", 0.0, 3.0), record("b", 5.0, 5.0), record("a", 1.0, 1.0), record("d", -1.0, 0.0))

    hits = store.search("pets", [10.0, 0.0], limit=3)

    assert ["a", "b", "c"] == [hit.id for hit in hits]
    assert [0.7071, 0.7071, 0.0] == [pytest.approx(hit.score, abs=1e-4) for hit in hits]
    assert ["a", "b"] == [hit.id for hit in store.search("pets", [1.0, 0.0], limit=9, min_score=0.7)]


def test_a_vector_of_zeros_is_near_to_nothing() -> None:
    """And breaks nothing."""
    assert 0.0 == filled(record("a", 0.0, 0.0)).search("pets", [1.0, 0.0], limit=1)[0].score
    assert 0.0 == filled(record("a", 1.0, 0.0)).search("pets", [0.0, 0.0], limit=1)[0].score


def test_hits_are_the_callers_own() -> None:
    """What is done to their metadata stays there."""
    store = filled(record("a", 1.0, tags=["x"]))

    store.search("pets", [1.0], limit=1)[0].metadata["tags"].append("y")

    assert {"tags": ["x"]} == store.search("pets", [1.0], limit=1)[0].metadata


def test_a_wrong_vector_keeps_all_out() -> None:
    """Nothing of what came with it is stored."""
    store = filled(record("a", 1.0, 2.0))

    with pytest.raises(RetrieverError, match="has 1 numbers, those of 'pets' have 2"):
        store.upsert("pets", [record("b", 1.0, 2.0), record("c", 1.0)])

    assert {"a": "digest of a"} == store.digests("pets", ["a", "b", "c"])


def test_a_collection_that_is_not_there_is_told() -> None:
    """As a server would."""
    store = MemoryStore()

    with pytest.raises(RetrieverError) as caught:
        store.search("nothing", [1.0], limit=1)

    assert ("not_found", "nothing", None) == (caught.value.kind, caught.value.collection, store.dimensions("nothing"))


def test_a_collection_stays_when_it_is_made_again_and_when_the_store_is_closed() -> None:
    """Its records, too."""
    store = filled(record("a", 1.0))

    store.create("pets", 7)
    store.close()

    assert (1, 1, "MemoryStore(pets)") == (store.dimensions("pets"), store.count("pets"), repr(store))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_is_not_held_up() -> None:
    """By a lock that a thread of its parent held."""
    store = filled(record("a", 1.0))
    held, free = threading.Event(), threading.Event()

    def hold() -> None:
        with store._lock:
            held.set()
            free.wait(5)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(5)
    store.renew()

    assert 1 == store.count("pets")
    free.set()
    holder.join()


@settings(max_examples=60)
@given(st.lists(st.lists(NUMBERS, min_size=3, max_size=3), min_size=1, max_size=8), st.lists(NUMBERS, min_size=3, max_size=3))
def test_it_finds_what_qdrant_finds(vectors: list[list[float]], query: list[float]) -> None:
    """With the same scores."""
    records = [record(str(number), *vector) for number, vector in enumerate(vectors)]
    scores = []

    for store in (MemoryStore(), QdrantStore()):
        store.create("pets", 3)
        store.upsert("pets", records)
        scores.append({hit.id: hit.score for hit in store.search("pets", query, limit=10)})
        store.close()

    assert scores[0] == pytest.approx(scores[1], abs=1e-4)

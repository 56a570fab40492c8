"""A store in memory without dependencies: exact, and made for tests and for some thousands of documents."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from heapq import nsmallest
from math import hypot
from operator import mul
from typing import TYPE_CHECKING

from attrs import frozen

from llmkit._fork import renewed_in_child
from llmkit.errors import RetrieverError
from llmkit.retrieval.filters import Filter, holds
from llmkit.retrieval.records import Hit

if TYPE_CHECKING:
    from llmkit.retrieval.records import Record

__all__ = ["MemoryStore"]


@frozen
class Kept:
    """A record, and its vector with length one: 4 bytes a number."""

    record: Record
    unit: array[float]


class Collection:
    """The records of one name."""

    def __init__(self, dimensions: int) -> None:
        self.dimensions = dimensions
        self.kept: dict[str, Kept] = {}


class MemoryStore:
    """
    Records in memory, gone with the process. Every search looks at every record: exact, and slow where there are many.

    It serves threads, tasks and several retrievers at once; a forked child has a copy of its own.
    """

    def __init__(self) -> None:
        self._collections: dict[str, Collection] = {}
        self._lock = threading.RLock()
        renewed_in_child(self)

    def renew(self) -> None:
        """Take a new lock in a forked child: the old one may be held by a thread that is not there."""
        self._lock = threading.RLock()

    def dimensions(self, collection: str) -> int | None:
        """Return how many numbers the vectors of *collection* have; None where there is no such collection."""
        with self._lock:
            found = self._collections.get(collection)
            return None if found is None else found.dimensions

    def create(self, collection: str, dimensions: int) -> None:
        """Make *collection*, unless it is there."""
        with self._lock:
            self._collections.setdefault(collection, Collection(dimensions))

    def upsert(self, collection: str, records: Sequence[Record]) -> None:
        """
        Keep *records*, in place of those of the same ids.

        Raises:
            RetrieverError: If there is no such collection, or a vector is of another length than its others; nothing is kept then.
        """
        with self._lock:
            found = self._found(collection)
            for record in records:
                if len(record.vector) != found.dimensions:
                    msg = f"A vector has {len(record.vector)} numbers, those of {collection!r} have {found.dimensions}."
                    raise RetrieverError(msg, collection, kind="bad_request")
            found.kept.update((record.id, Kept(record, _unit(record.vector))) for record in records)

    def digests(self, collection: str, ids: Sequence[str]) -> Mapping[str, str]:
        """Return the digests of those of *ids* that are there."""
        with self._lock:
            kept = self._found(collection).kept
            return {id: kept[id].record.digest for id in ids if id in kept}

    def search(
        self, collection: str, vector: Sequence[float], *, limit: int, filter: Filter = (), min_score: float | None = None
    ) -> list[Hit]:
        """Return the *limit* records nearest to *vector*, the nearest first and equals by id, of those that are as *filter* asks."""
        with self._lock:
            asked = list(self._found(collection).kept.values())
        unit = _unit(vector)
        scored = ((sum(map(mul, unit, one.unit)), one.record) for one in asked if holds(filter, one.record.metadata))
        wanted = (pair for pair in scored if min_score is None or pair[0] >= min_score)
        nearest = nsmallest(limit, wanted, key=lambda pair: (-pair[0], pair[1].id))
        return [Hit(id=record.id, text=record.text, score=score, metadata=deepcopy(record.metadata)) for score, record in nearest]

    def delete(self, collection: str, *, ids: Iterable[str] | None = None, filter: Filter = ()) -> None:
        """Forget the records of *ids*, or, where that is None, those that are as *filter* asks."""
        with self._lock:
            kept = self._found(collection).kept
            for id in self._asked(kept, filter) if ids is None else ids:
                kept.pop(id, None)

    def count(self, collection: str, filter: Filter = ()) -> int:
        """Return how many records there are that are as *filter* asks."""
        with self._lock:
            return len(self._asked(self._found(collection).kept, filter))

    def close(self) -> None:
        """There is nothing open; what is kept stays."""

    def __repr__(self) -> str:
        return f"MemoryStore({', '.join(sorted(self._collections))})"

    @staticmethod
    def _asked(kept: Mapping[str, Kept], filter: Filter) -> list[str]:
        return [id for id, one in kept.items() if holds(filter, one.record.metadata)]

    def _found(self, collection: str) -> Collection:
        found = self._collections.get(collection)
        if found is None:
            msg = f"There is no collection {collection!r}."
            raise RetrieverError(msg, collection, kind="not_found")
        return found


def _unit(vector: Sequence[float]) -> array[float]:
    length = hypot(*vector) or 1.0
    return array("f", [number / length for number in vector])

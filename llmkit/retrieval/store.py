"""
What a retriever needs of a store of vectors.

Rule 1: each method asks once; the retriever tries again. What can be tried again is an ``OSError`` or a ``RetrieverError`` that says so;
        whatever else is raised is a mistake in the program and goes to the caller as it is.
Rule 2: ``upsert`` replaces by id, so that doing it twice is doing it once; ``create`` of what is there does nothing.
Rule 3: a store is used by several threads at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from llmkit.retrieval.filters import Filter
    from llmkit.retrieval.records import Hit, Record

__all__ = ["AsyncVectorStore", "VectorStore"]


class VectorStore(Protocol):
    """Collections of records with vectors of one length each, searched by the cosine of the angle."""

    def dimensions(self, collection: str) -> int | None:
        """Return how many numbers the vectors of *collection* have; None where there is no such collection."""
        ...

    def create(self, collection: str, dimensions: int) -> None:
        """Make *collection*, unless it is there."""
        ...

    def upsert(self, collection: str, records: Sequence[Record]) -> None:
        """Keep *records*, in place of those of the same ids; they can be found when this returns."""
        ...

    def digests(self, collection: str, ids: Sequence[str]) -> Mapping[str, str]:
        """Return the digests of those of *ids* that are there."""
        ...

    def search(
        self, collection: str, vector: Sequence[float], *, limit: int, filter: Filter = (), min_score: float | None = None
    ) -> list[Hit]:
        """Return the *limit* records nearest to *vector*, the nearest first, of those that are as *filter* asks."""
        ...

    def delete(self, collection: str, *, ids: Iterable[str] | None = None, filter: Filter = ()) -> None:
        """Forget the records of *ids*, or, where that is None, those that are as *filter* asks."""
        ...

    def count(self, collection: str, filter: Filter = ()) -> int:
        """Return how many records there are that are as *filter* asks."""
        ...

    def close(self) -> None:
        """Give back what is open. Idempotent."""
        ...


class AsyncVectorStore(Protocol):
    """The same, awaited. A ``VectorStore`` is as good for an ``AsyncRetriever``, which then uses it in threads."""

    async def dimensions(self, collection: str) -> int | None:
        """Return how many numbers the vectors of *collection* have; None where there is no such collection."""
        ...

    async def create(self, collection: str, dimensions: int) -> None:
        """Make *collection*, unless it is there."""
        ...

    async def upsert(self, collection: str, records: Sequence[Record]) -> None:
        """Keep *records*, in place of those of the same ids; they can be found when this returns."""
        ...

    async def digests(self, collection: str, ids: Sequence[str]) -> Mapping[str, str]:
        """Return the digests of those of *ids* that are there."""
        ...

    async def search(
        self, collection: str, vector: Sequence[float], *, limit: int, filter: Filter = (), min_score: float | None = None
    ) -> list[Hit]:
        """Return the *limit* records nearest to *vector*, the nearest first, of those that are as *filter* asks."""
        ...

    async def delete(self, collection: str, *, ids: Iterable[str] | None = None, filter: Filter = ()) -> None:
        """Forget the records of *ids*, or, where that is None, those that are as *filter* asks."""
        ...

    async def count(self, collection: str, filter: Filter = ()) -> int:
        """Return how many records there are that are as *filter* asks."""
        ...

    async def close(self) -> None:
        """Give back what is open. Idempotent."""
        ...

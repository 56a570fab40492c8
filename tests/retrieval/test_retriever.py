"""A retriever of each face over a server, and that importing costs nothing. (The rest is tested once for both, beside the clients.)"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from llmkit import Client, RetryConfig
from llmkit.retrieval import Added, Hit, QdrantStore, Retriever
from llmkit.testing import FakeServer
from llmkit_async import AsyncClient
from llmkit_async.retrieval import AsyncRetriever

TEXTS = [f"text {number}" for number in range(100)]
HOW: dict[str, Any] = {"retry": RetryConfig(base_delay=0.001), "collection": "pets"}
Outcome = tuple[Added, Added, list[Hit], int]


def of_a_thread(server: FakeServer, url: str) -> Outcome:
    client = Client("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="test")
    with client, Retriever(client, store=url, **HOW) as library:
        first = library.add(TEXTS, batch_size=10)
        again = library.add(TEXTS, batch_size=10)
        library.delete(first.ids[0])
        return first, again, library.search("text 7", limit=2), library.count()


def of_event_loops(server: FakeServer, url: str) -> Outcome:
    """One after the other, with one store, as programs do that call ``asyncio.run`` twice."""
    store = QdrantStore(url)

    async def add() -> tuple[Added, Added]:
        async with AsyncClient("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="test") as client:
            library = AsyncRetriever(client, store=store, **HOW)
            return await library.add(TEXTS, batch_size=10), await library.add(TEXTS, batch_size=10)

    async def search(gone: str) -> tuple[list[Hit], int]:
        client = AsyncClient("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="test")
        async with client, AsyncRetriever(client, store=store, **HOW) as library:
            await library.delete(gone)
            return await library.search("text 7", limit=2), await library.count()

    first, again = asyncio.run(add())
    found = asyncio.run(search(first.ids[0]))
    store.close()
    return first, again, *found


@pytest.mark.parametrize("outcome_of", [of_a_thread, of_event_loops])
def test_a_server_keeps_documents(qdrant: Any, server: FakeServer, outcome_of: Callable[[FakeServer, str], Outcome]) -> None:
    """Over real HTTP, with many requests at once, of which some have to be sent again."""
    qdrant.faults = [(503, {}, {}), None]

    first, again, hits, count = outcome_of(server, qdrant.url)

    assert (100, 0, 0, 100, 99) == (first.added, first.skipped, again.added, again.skipped, count)
    assert ["text 7", 2] == [hits[0].text, len(hits)]
    assert 10 == len([path for path in qdrant.paths if path == "PUT /collections/pets/points"])

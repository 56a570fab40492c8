"""Documents added, found again, resumed, kept and forgotten: on both faces."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

import llmkit
from llmkit import (
    AuthenticationError,
    CheckpointError,
    ConfigurationError,
    DeadlineExceededError,
    LLMCache,
    RetryConfig,
    UnsupportedParameterError,
)
from llmkit.retrieval import Hit, MemoryStore, QdrantStore, Record, Retriever, RetrieverError
from llmkit.testing import FakeServer, Reply
from llmkit_async.retrieval import AsyncRetriever

Open = Callable[..., Any]

QUICK = RetryConfig(max_retries=2, base_delay=0.001, max_delay=0.002)


@pytest.fixture
def retriever(face: Any, connect: Callable[..., Any]) -> Open:
    """Return a maker of retrievers, used like the sync one, over a store in memory unless they are told otherwise."""

    def make(client: Any = None, **kwargs: Any) -> Any:
        kwargs.setdefault("store", MemoryStore())
        kwargs.setdefault("retry", QUICK)
        client = connect() if client is None else client
        if face.name == "sync":
            return Retriever(client, **kwargs)
        return type(client)(face, AsyncRetriever(client.twin, **kwargs))

    return make


def test_a_provider_that_wants_it_slower_fails_nothing(retriever: Open, connect: Callable[..., Any], server: FakeServer) -> None:
    """Batches are embedded at the pace that the provider allows."""
    refused = iter([False, True, True, True, False, True, True, *[False] * 50])
    server.always(lambda request: Reply.error(429, retry_after=0.01) if next(refused) else Reply())
    library = retriever(connect(retry=RetryConfig(max_retries=1)))

    done = library.add([f"text {number}" for number in range(20)], batch_size=2, max_concurrency=1)

    assert (20, 20) == (done.added, library.count())


class Faulty(MemoryStore):
    """A store that raises what it was told, for each call of a method in turn; None lets it through."""

    def __init__(self, **faults: Iterable[Exception | None]) -> None:
        super().__init__()
        self.faults = {name: list(those) for name, those in faults.items()}
        self.calls: list[str] = []

    def _meet(self, name: str) -> None:
        self.calls.append(name)
        faults = self.faults.get(name)
        fault = faults.pop(0) if faults else None
        if fault is not None:
            raise fault

    def upsert(self, collection: str, records: Sequence[Record]) -> None:
        self._meet("upsert")
        super().upsert(collection, records)

    def digests(self, collection: str, ids: Sequence[str]) -> Any:
        self._meet("digests")
        return super().digests(collection, ids)

    def search(self, *args: Any, **kwargs: Any) -> list[Hit]:
        self._meet("search")
        return super().search(*args, **kwargs)

    def count(self, *args: Any) -> int:
        self._meet("count")
        return super().count(*args)


def numbered(count: int) -> list[str]:
    return [f"text {number}" for number in range(count)]


def embedded(server: FakeServer) -> list[str]:
    """Return the texts that were embedded, each as often as it was."""
    return sorted(text for request in server.requests for text in request.json["input"])


def kept(store: MemoryStore) -> set[tuple[str, str, str]]:
    """Return what is in *store*."""
    hits = store.search("documents", [1.0] * 8, limit=100_000)
    return {(hit.id, hit.text, str(sorted(hit.metadata.items()))) for hit in hits}


# -- adding and finding


@pytest.mark.parametrize("store", [MemoryStore, QdrantStore])
def test_a_document_is_found_again(retriever: Open, store: Callable[[], Any]) -> None:
    """By what it means, with its metadata, the nearest first."""
    kept_in = store()
    with retriever(store=kept_in) as library:
        done = library.add(numbered(300), metadata=[{"number": number} for number in range(300)])
        hits = library.search("text 77", limit=3)

        assert (300, 0, 300) == (done.added, done.skipped, library.count())
        assert (600, True) == (done.usage.input_tokens, (done.cost or 0) > 0)
        assert [3, "text 77", {"number": 77}, done.ids[77]] == [len(hits), hits[0].text, hits[0].metadata, hits[0].id]
        assert 1.0 == pytest.approx(hits[0].score, abs=1e-6)
        assert sorted(hits, key=lambda hit: -hit.score) == hits
    kept_in.close()


def test_a_store_of_its_own_is_an_embedded_qdrant(retriever: Open, tmp_path: Path) -> None:
    """In memory, or in a directory, where it is found again by the next."""
    with retriever(store=None) as library:
        library.add(["a cat"])
        assert ("a cat", True) == (library.search("a cat")[0].text, ":memory:" in repr(getattr(library, "twin", library)))
    with retriever(store=tmp_path / "db", collection="pets") as library:
        library.add(["a dog"])

    with retriever(store=str(tmp_path / "db"), collection="pets") as library:
        assert [1, "a dog"] == [library.count(), library.search("a dog")[0].text]


def test_adding_again_is_adding_nothing(retriever: Open, server: FakeServer) -> None:
    """What the store has, as it is, is neither embedded nor stored again, in whatever order it comes."""
    library = retriever()
    first = library.add(numbered(200), metadata={"source": "a"})
    sent = server.hits

    again = library.add(numbered(200)[::-1], metadata={"source": "a"})
    more = library.add(numbered(201), metadata={"source": "a"})

    assert (0, 200, 0, first.ids[::-1]) == (again.added, again.skipped, again.usage.total_tokens, again.ids)
    assert (1, 200, sent + 1) == (more.added, more.skipped, server.hits)
    assert sorted(numbered(201)) == embedded(server)


def test_the_same_text_with_other_metadata_is_another_document(retriever: Open) -> None:
    """It was said at another place. What stands in the list twice is one."""
    library = retriever()

    done = library.add(["a", "a", "a"], metadata=[{"page": 1}, {"page": 2}, {"page": 1}])

    assert (2, 1, 2) == (done.added, done.skipped, library.count())
    assert done.ids[0] == done.ids[2] != done.ids[1]


def test_an_id_is_kept_and_replaced(retriever: Open, server: FakeServer) -> None:
    """A document that is given one replaces the other of that name, if they differ; the rest stays as it is."""
    library = retriever()
    library.add(["first", "second"], ids=["a", "b"], metadata=[{"v": 1}, None])

    done = library.add(["first", "changed"], ids=["a", "b"], metadata=[{"v": 1}, None])
    library.add(["first"], ids=["a"], metadata=[{"v": 2}])

    assert (("a", "b"), 1, 1, 2) == (done.ids, done.added, done.skipped, library.count())
    assert ["changed", "first", "first", "second"] == embedded(server)
    assert ("a", {"v": 2}) == (library.search("first")[0].id, library.search("first")[0].metadata)


def test_another_model_makes_other_vectors(retriever: Open, server: FakeServer) -> None:
    """So that what an older one has made is not taken for done."""
    store = MemoryStore()
    retriever(store=store).add(["a"])

    done = retriever(store=store, embedding_model="openai/text-embedding-3-large").add(["a"])

    assert (1, 0) == (done.added, done.skipped)
    assert ["text-embedding-3-small", "text-embedding-3-large"] == [request.json["model"] for request in server.requests]


def test_another_provider_makes_other_vectors(retriever: Open, connect: Any, server: FakeServer) -> None:
    """Also where neither model is named: each has its usual one, and theirs may even be of the same length."""
    store = MemoryStore()
    retriever(store=store).add(["a"])

    done = retriever(connect("mistral/mistral-small-latest", base_url=server.url("mistral")), store=store).add(["a"])

    assert (1, 0) == (done.added, done.skipped)
    assert ["text-embedding-3-small", "mistral-embed"] == [request.json["model"] for request in server.requests]


@pytest.mark.parametrize("model", ["text-embedding-3-small", "openai/text-embedding-3-small"])
def test_the_same_model_by_another_name_is_the_same(retriever: Open, server: FakeServer, model: str) -> None:
    """What it has made need not be made again."""
    store = MemoryStore()
    retriever(store=store).add(["a"])

    done = retriever(store=store, embedding_model=model).add(["a"])

    assert (0, 1, 1) == (done.added, done.skipped, server.hits)


def test_nothing_to_add_is_nothing_done(retriever: Open, server: FakeServer) -> None:
    """An empty list is no mistake."""
    done = retriever().add([])

    assert ((), 0, 0, 0) == (done.ids, done.added, done.skipped, server.hits)


def test_what_was_never_made_is_empty(retriever: Open, server: FakeServer) -> None:
    """A collection comes with its first document; until then there is nothing to find, count or delete."""
    library = retriever()

    library.delete(["a"])

    assert ([], 0, 0) == (library.search("a"), library.count(), server.hits)


def test_a_document_and_a_question_are_embedded_for_what_they_are(retriever: Open, connect: Any, server: FakeServer) -> None:
    """Where the provider makes a difference; the others are not told."""
    library = retriever(connect("cohere/embed-v4.0", base_url=server.url("cohere")))

    library.add(["a cat"])
    library.search("which pet?")

    assert ["search_document", "search_query"] == [request.json["input_type"] for request in server.requests]


@pytest.mark.parametrize("awaited", [False, True])
def test_a_store_may_be_awaited(face: Any, connect: Any, awaited: bool) -> None:
    """In the twin; one that is not is used in threads."""
    if face.name == "sync":
        return
    threads = set()

    class Native:
        def __init__(self) -> None:
            self.inner = MemoryStore()

        def __getattr__(self, name: str) -> Any:
            async def call(*args: Any, **kwargs: Any) -> Any:
                threads.add(threading.current_thread())
                return getattr(self.inner, name)(*args, **kwargs)

            return call

        async def search(self, *args: Any, **kwargs: Any) -> Any:
            threads.add(threading.current_thread())
            return self.inner.search(*args, **kwargs)

    class Blocking(MemoryStore):
        def search(self, *args: Any, **kwargs: Any) -> list[Hit]:
            threads.add(threading.current_thread())
            return super().search(*args, **kwargs)

    client = connect()
    library = type(client)(face, AsyncRetriever(client.twin, store=Native() if awaited else Blocking()))

    library.add(numbered(3))
    found = library.search("text 1")

    assert "text 1" == found[0].text
    assert awaited == (threads == {threading.main_thread()})


# -- refused at the door


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"documents": "a"}, "documents is a list of strings, not str"),
        ({"documents": ["a", 1]}, "documents[1] is a string, not int"),
        ({"documents": ["a", " \n"]}, "documents[1] is empty"),
        ({"documents": ["a", "\ud800"]}, "documents[1] has half of a surrogate pair"),
        ({"ids": ["a"]}, "ids has 1 entries for 2 documents"),
        ({"ids": ["a", ""]}, "ids[1] is empty"),
        ({"ids": ["a", 7]}, "ids[1] is a string, not int"),
        ({"ids": ["a", "a"]}, "ids[1] is the same as ids[0], 'a'"),
        ({"metadata": [{}]}, "metadata has 1 entries for 2 documents"),
        ({"metadata": ["a", "b"]}, "metadata[0] is a dict, not str"),
        ({"metadata": [{}, {"at": object()}]}, "metadata[1] cannot be said in JSON"),
        ({"metadata": {"x": float("nan")}}, "metadata cannot be said in JSON"),
        ({"metadata": {1: 2}}, "metadata has the key 1"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"max_concurrency": True}, "max_concurrency must be a whole number"),
        ({"progress": 7}, "progress is True, or a function"),
    ],
)
def test_what_is_wrong_is_refused_by_name(retriever: Open, server: FakeServer, wrong: dict[str, Any], told: str) -> None:
    """Before anything is sent."""
    arguments = {"documents": ["a", "b"], **wrong}

    with pytest.raises(ConfigurationError) as caught:
        retriever().add(arguments.pop("documents"), **arguments)

    assert told in str(caught.value)
    assert 0 == server.hits


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"query": ""}, "query is a string that is not empty"),
        ({"limit": 0}, "limit must be at least 1"),
        ({"min_score": float("nan")}, "min_score is a number"),
        ({"filter": {"year": {"$gtee": 1}}}, "filter['year'].$gtee is not known. Did you mean '$gte'?"),
        ({"filter": ["year"]}, "filter is a dict"),
    ],
)
def test_a_wrong_question_is_refused_by_name(retriever: Open, server: FakeServer, wrong: dict[str, Any], told: str) -> None:
    """Before it is embedded."""
    arguments = {"query": "a", **wrong}

    with pytest.raises(ConfigurationError) as caught:
        retriever().search(arguments.pop("query"), **arguments)

    assert told in str(caught.value)
    assert 0 == server.hits


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"collection": ""}, "collection is a string that is not empty"),
        ({"embedding_model": ""}, "embedding_model is a string that is not empty"),
        ({"dimensions": 0}, "dimensions must be at least 1"),
        ({"retry": 3}, "retry is a RetryConfig, or None, not int"),
        ({"cache": "x.db"}, "cache is True, False or an LLMCache"),
        ({"store": 7}, "store is a directory, a Qdrant's URL or a VectorStore, not int"),
    ],
)
def test_a_retriever_is_refused_by_name(retriever: Open, wrong: dict[str, Any], told: str) -> None:
    """When it is made."""
    with pytest.raises(ConfigurationError) as caught:
        retriever(**wrong)

    assert told in str(caught.value)


def test_vectors_of_another_length_are_refused(retriever: Open, server: FakeServer) -> None:
    """By both numbers: before anything is sent where they are known, before anything is stored or searched where they are not."""
    store = MemoryStore()
    retriever(store=store).add(["a"])
    told = "The collection 'documents' has vectors of 8 numbers, .* makes 4: "

    with pytest.raises(ConfigurationError, match=told):
        retriever(store=store, dimensions=4).add(["b"])
    with pytest.raises(ConfigurationError, match=told):
        retriever(store=store, dimensions=4).search("b")
    sent = server.hits
    server.always(Reply(raw={"data": [{"index": 0, "embedding": [1.0, 2, 3, 4]}]}))
    with pytest.raises(ConfigurationError, match=told):
        retriever(store=store).add(["b"])
    with pytest.raises(ConfigurationError, match=told):
        retriever(store=store).search("b")

    assert (1, 1, 3) == (store.count("documents"), sent, server.hits)


# -- filters, limits, scores


@pytest.mark.parametrize("store", [MemoryStore, QdrantStore])
def test_a_search_is_narrowed(retriever: Open, store: Callable[[], Any]) -> None:
    """By metadata, number and score."""
    with retriever(store=store()) as library:
        library.add(numbered(50), metadata=[{"n": n, "lang": "en" if n % 2 else "fr"} for n in range(50)])

        found = library.search("text 9", limit=50, filter={"n": {"$lt": 10}, "lang": "en"})
        near = library.search("text 9", min_score=0.9)

        assert {1, 3, 5, 7, 9} == {hit.metadata["n"] for hit in found}
        assert 9 == found[0].metadata["n"]
        assert near
        assert all(hit.score >= 0.9 for hit in near)
        assert (25, 50) == (library.count(filter={"lang": {"$ne": "fr"}}), library.count())


def test_documents_are_forgotten(retriever: Open) -> None:
    """By one id, by several, by a filter; never all of them by mistake."""
    library = retriever()
    library.add(["a", "b", "c", "d"], ids=["1", "2", "3", "4"], metadata=[{"n": n} for n in range(4)])

    library.delete("1")
    library.delete(["2", "unheard of"])
    library.delete(filter={"n": 2})
    library.delete([])

    assert (1, "d") == (library.count(), library.search("x")[0].text)
    for wrong in ({}, {"ids": ["4"], "filter": {"n": 3}}, {"filter": {}}, {"ids": [7]}):
        with pytest.raises(ConfigurationError):
            library.delete(**wrong)
    assert 1 == library.count()


# -- failures


@pytest.mark.parametrize("fault", [ConnectionResetError("gone"), TimeoutError("slow"), RetrieverError("busy", kind="overloaded")])
def test_what_passes_is_tried_again(retriever: Open, server: FakeServer, fault: Exception, caplog: Any) -> None:
    """Whatever is asked of the store, and with one warning each time; nothing is embedded again for it."""
    store = Faulty(upsert=[fault, fault], digests=[fault], search=[fault], count=[fault])
    library = retriever(store=store)

    library.add(["a"])
    library.add(["a"])

    assert ("a", 1) == (library.search("a")[0].text, library.count())
    assert [3, 2, 2, 2] == [store.calls.count(name) for name in ("upsert", "digests", "search", "count")]
    assert ["a", "a"] == embedded(server)
    assert 5 == sum("follows in" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize(
    ("fault", "retry", "tries", "kind"),
    [
        (ConnectionResetError("gone"), QUICK, 3, "connection_lost"),
        (RetrieverError("no", kind="auth"), QUICK, 1, "auth"),
        (PermissionError("no"), QUICK, 1, "store"),
        (ConnectionResetError("gone"), None, 1, "connection_lost"),
        (TimeoutError("slow"), RetryConfig(retry_timeouts=False), 1, "timeout"),
        (RetrieverError("wait", kind="rate_limit", retry_after=61.0), RetryConfig(), 1, "rate_limit"),
    ],
)
def test_what_does_not_pass_is_raised(retriever: Open, fault: Exception, retry: Any, tries: int, kind: str) -> None:
    """As one error, which says after how many tries."""
    store = Faulty(upsert=[fault] * 5)

    with pytest.raises(RetrieverError) as caught:
        retriever(store=store, retry=retry).add(["a"])

    assert (tries, tries) == (store.calls.count("upsert"), caught.value.metadata["tries"])
    assert (kind, 0, 1) == (caught.value.kind, caught.value.metadata["done"], caught.value.metadata["total"])
    assert caught.value.__cause__ is None


def test_a_mistake_in_a_store_is_nobody_elses(retriever: Open) -> None:
    """It is raised as it is, and not tried again."""
    store = Faulty(upsert=[KeyError("oops")])

    with pytest.raises(KeyError, match="oops"):
        retriever(store=store).add(["a"])

    assert 1 == store.calls.count("upsert")


def test_a_store_that_is_down_is_not_asked_for_ever(retriever: Open) -> None:
    """Retries spend a quota, as they do at a provider's."""
    store = Faulty(count=[ConnectionResetError("gone")] * 1000)
    library = retriever(store=store, retry=RetryConfig(max_retries=300, base_delay=0, jitter=False))
    library.add(["a"])

    with pytest.raises(RetrieverError) as caught:
        library.count()

    assert caught.value.retry_quota_exhausted
    assert store.calls.count("count") <= 101


def test_a_load_goes_on_where_it_was(retriever: Open, server: FakeServer) -> None:
    """What was stored before the failure is neither embedded nor stored again."""
    store = Faulty(upsert=[None, None, RetrieverError("disk full", kind="store")])
    library = retriever(store=store)

    with pytest.raises(RetrieverError, match="disk full") as caught:
        library.add(numbered(50), batch_size=10, max_concurrency=1)
    there = library.count()
    done = library.add(numbered(50), batch_size=10)

    assert (20, 20, 50) == (there, caught.value.metadata["done"], caught.value.metadata["total"])
    assert (30, 20, 50) == (done.added, done.skipped, library.count())
    assert sorted(numbered(50) + numbered(30)[20:]) == embedded(server)


def test_a_failure_of_the_provider_ends_it_too(retriever: Open, server: FakeServer) -> None:
    """With its own error, which tells how far it went."""
    server.enqueue(Reply(), Reply.error(401))
    library = retriever()

    with pytest.raises(AuthenticationError) as caught:
        library.add(numbered(30), batch_size=10, max_concurrency=1)

    assert (10, 30, 10) == (caught.value.metadata["done"], caught.value.metadata["total"], library.count())


def test_a_provider_that_does_not_embed_is_refused(retriever: Open, connect: Any, server: FakeServer) -> None:
    """Its own words for it reach the caller; nothing is sent."""
    library = retriever(connect("anthropic/claude-sonnet-4-5", base_url=server.url("anthropic")))

    with pytest.raises(UnsupportedParameterError, match="has no embeddings"):
        library.add(["a"])

    assert 0 == server.hits


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="there are no such signals here")
def test_ctrl_c_finishes_what_is_under_way(face: Any, retriever: Open) -> None:
    """And hands out no more. (An event loop that is interrupted is over.)"""
    if face.name == "async":
        return

    class Store(MemoryStore):
        def upsert(self, collection: str, records: Sequence[Record]) -> None:
            if self.count(collection):
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                time.sleep(0.05)
            super().upsert(collection, records)

    library = retriever(store=Store())

    with pytest.raises(KeyboardInterrupt):
        library.add(numbered(50), batch_size=10, max_concurrency=1)

    assert library.count() in (20, 30)


def test_the_others_do_not_wait_once_one_has_failed(retriever: Open) -> None:
    """Who waits for another try gives up; what is under way is finished."""
    both = threading.Barrier(2, timeout=5)
    calls = []

    class Store(MemoryStore):
        def upsert(self, collection: str, records: Sequence[Record]) -> None:
            calls.append(records)
            both.wait()
            if "text 0" in {record.text for record in records}:
                raise RetrieverError("come back much later", kind="overloaded", retry_after=50.0)
            time.sleep(0.01)
            raise RetrieverError("no", kind="auth")

    with pytest.raises(RetrieverError) as caught:
        retriever(store=Store(), retry=RetryConfig()).add(numbered(2), batch_size=1, max_concurrency=2)

    assert ("auth", 2) == (caught.value.kind, len(calls))


def test_a_deadline_holds_for_the_store(retriever: Open) -> None:
    """No try is begun after it, and no wait that would end after it."""
    store = Faulty(count=[RetrieverError("busy", kind="overloaded", retry_after=30.0)])
    library = retriever(store=store, retry=RetryConfig())
    library.add(["a"])

    with llmkit.deadline(20), pytest.raises(RetrieverError, match="busy"):
        library.count()
    with llmkit.deadline(0.001):
        time.sleep(0.003)
        with pytest.raises(DeadlineExceededError, match="before the store could count"):
            library.count()

    assert 1 == store.calls.count("count")


# -- many at once


def test_as_many_batches_are_under_way_as_was_said(retriever: Open) -> None:
    """No more, and no fewer while there are some."""
    three = threading.Barrier(3, timeout=5)

    class Store(MemoryStore):
        def __init__(self) -> None:
            super().__init__()
            self.now = self.most = self.all = 0
            self.guard = threading.Lock()

        def upsert(self, collection: str, records: Sequence[Record]) -> None:
            with self.guard:
                self.now += 1
                self.all += 1
                self.most = max(self.most, self.now)
            three.wait()
            super().upsert(collection, records)
            with self.guard:
                self.now -= 1

    store = Store()

    retriever(store=store).add(numbered(90), batch_size=10, max_concurrency=3)

    assert (3, 9, 90) == (store.most, store.all, store.count("documents"))


def test_order_and_number_of_workers_change_nothing(retriever: Open) -> None:
    """The same documents make the same store."""
    texts = numbered(97)
    shuffled = random.Random(1).sample(texts, len(texts))
    one, other = MemoryStore(), MemoryStore()

    retriever(store=one).add(texts, batch_size=7, max_concurrency=8)
    retriever(store=other).add(shuffled, batch_size=11, max_concurrency=1)

    assert kept(one) == kept(other)
    assert 97 == len(kept(one))


def test_ten_thousand_documents_are_a_matter_of_seconds(retriever: Open, server: FakeServer) -> None:
    """In Qdrant's embedded mode; and the second time they cost nothing."""
    with retriever(store=None) as library:
        done = library.add(numbered(10_000), batch_size=500)
        sent = server.hits
        again = library.add(numbered(10_000), batch_size=500)

        assert (10_000, 10_000, 10_000) == (done.added, again.skipped, library.count())
        assert 20 == sent == server.hits
        assert "text 4711" == library.search("text 4711")[0].text


def test_progress_is_told_to_a_function(retriever: Open) -> None:
    """As a batch tells it: done, total, failed. What is there already counts as done."""
    library = retriever()
    library.add(numbered(10))
    told: list[tuple[int, int | None, int]] = []

    library.add(numbered(35), batch_size=10, max_concurrency=1, progress=lambda *facts: told.append(facts))

    assert [(10, 35, 0), (20, 35, 0), (30, 35, 0), (35, 35, 0)] == told


def test_progress_is_drawn(retriever: Open, capsys: pytest.CaptureFixture[str]) -> None:
    """By tqdm, to the end."""
    retriever(collection="pets").add(numbered(6), progress=True)

    drawn = capsys.readouterr().err
    assert "pets: 100%" in drawn
    assert "6/6" in drawn


@pytest.mark.parametrize("error", [RuntimeError("enough"), KeyboardInterrupt()])
def test_whoever_is_told_can_end_it(face: Any, retriever: Open, error: BaseException) -> None:
    """What it raises is raised, what was stored stays. (An event loop that is interrupted is over: nothing can be asked of it then.)"""
    if face.name == "async" and isinstance(error, KeyboardInterrupt):
        return
    library = retriever()

    def tell(done: int, total: int | None, failed: int) -> None:
        raise error

    with pytest.raises(type(error)):
        library.add(numbered(300), batch_size=10, max_concurrency=1, progress=tell)

    assert library.count() in range(10, 300, 10)


def test_a_cancelled_task_stops_at_once_and_can_go_on(face: Any, connect: Any) -> None:
    """The twin's way to end it."""
    if face.name == "sync":
        return
    client = connect()
    reached, free = threading.Event(), threading.Event()

    class Store(MemoryStore):
        def upsert(self, collection: str, records: Sequence[Record]) -> None:
            if self.count("documents"):
                reached.set()
                free.wait(5)
            super().upsert(collection, records)

    library = AsyncRetriever(client.twin, store=Store())

    async def cancelled() -> None:
        task = asyncio.ensure_future(library.add(numbered(40), batch_size=10, max_concurrency=1))
        await asyncio.to_thread(reached.wait, 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        free.set()

    face.run(cancelled())
    done = face.run(library.add(numbered(40)))

    assert 40 == face.run(library.count())
    assert done.added in (20, 30)


# -- a checkpoint


def test_a_checkpoint_spares_the_store_the_question(retriever: Open, server: FakeServer, tmp_path: Path) -> None:
    """And the load goes on where it was."""
    store = Faulty(upsert=[None, None, RetrieverError("no", kind="store")], digests=[AssertionError("asked")])
    library = retriever(store=store)
    path = tmp_path / "run.jsonl"

    with pytest.raises(RetrieverError):
        library.add(numbered(50), batch_size=10, max_concurrency=1, checkpoint=path)
    told: list[int] = []
    done = library.add(numbered(50), batch_size=10, checkpoint=path, progress=lambda done, total, failed: told.append(done))
    again = library.add(numbered(50), checkpoint=path)

    assert (30, 20, 0, 50) == (done.added, done.skipped, again.added, again.skipped)
    assert (20, 50) == (told[0], told[-1])
    assert sorted(numbered(50) + numbered(30)[20:]) == embedded(server)


def test_a_checkpoint_of_another_load_or_of_a_store_that_is_gone_is_refused(retriever: Open, server: FakeServer, tmp_path: Path) -> None:
    """It would say that what is not there is there."""
    path = tmp_path / "run.jsonl"
    retriever().add(["a"], checkpoint=path)
    sent = server.hits

    with pytest.raises(CheckpointError, match="of another load"):
        retriever(collection="pets").add(["a"], checkpoint=path)
    with pytest.raises(CheckpointError, match="tells of 1 documents, the store has none"):
        retriever().add(["a"], checkpoint=path)

    assert sent == server.hits


def test_a_checkpoint_of_another_store_is_refused(retriever: Open, server: FakeServer, tmp_path: Path) -> None:
    """It would say that what is not there is there, be there ever so much else."""
    path = tmp_path / "run.jsonl"
    with retriever(store=tmp_path / "other") as library:
        library.add(["z"])
    with retriever(store=tmp_path / "one") as library:
        library.add(["a"], checkpoint=path)
    sent = server.hits

    with retriever(store=tmp_path / "other") as library, pytest.raises(CheckpointError, match="of another load"):
        library.add(["a"], checkpoint=path)
    with retriever(store=str(tmp_path / "other" / ".." / "one")) as library:
        assert (0, 1) == (library.add(["a"], checkpoint=path).added, library.count())

    assert sent == server.hits


def test_the_loop_is_not_held_up_by_a_checkpoint(face: Any, connect: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither while it is read nor while it is written."""
    if face.name == "sync":
        return
    inside: list[threading.Thread] = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (inside.append(threading.current_thread()), real(file))[1])
    library = AsyncRetriever(connect().twin, store=MemoryStore())

    face.run(library.add(numbered(30), batch_size=10, checkpoint=tmp_path / "run.jsonl"))

    assert len(inside) >= 4
    assert threading.main_thread() not in inside


PROGRAM = """
import sys
from llmkit import Client
from llmkit.retrieval import MemoryStore, Retriever
client = Client("openai/gpt-4o-mini", base_url=sys.argv[1], api_key="sk-test-0123456789")
Retriever(client, store=MemoryStore()).add([f"text {number}" for number in range(40)], batch_size=10, max_concurrency=2)
"""


def test_a_second_ctrl_c_ends_at_once(server: FakeServer) -> None:
    """Whatever the provider is doing."""
    server.always(Reply(hang=True))
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, server.url("openai")], stderr=subprocess.PIPE)
    server.wait_for(lambda server: server.hits == 2)

    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)
    over = True
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        over = False
        process.kill()
    error = process.communicate()[1]

    assert over
    assert (-signal.SIGINT, True) == (process.returncode, b"KeyboardInterrupt" in error)
    assert 2 == server.hits


# -- a collection that is gone


def test_a_collection_that_was_deleted_is_made_again(retriever: Open) -> None:
    """By somebody else, behind the back of a retriever that lives long: it is told once."""
    store = MemoryStore()
    library = retriever(store=store, cache=False)
    library.add(["a"])
    store._collections.clear()

    with pytest.raises(RetrieverError, match="There is no collection"):
        library.search("a")
    found = library.search("a")
    library.add(["b"])

    assert ([], ["b"]) == (found, [hit.text for hit in library.search("a")])


# -- answers kept


def test_the_same_question_is_asked_once(retriever: Open, server: FakeServer) -> None:
    """Its hits are the caller's own each time."""
    library = retriever()
    library.add(["a", "b"], metadata={"tags": ["x"]})
    first = library.search("a")
    first[0].metadata["tags"].append("mine")
    sent = server.hits

    again = library.search("a")
    library.search("a", limit=1)
    library.search("a", filter={"tags": "x"})
    library.search("a", min_score=0.5)

    assert ["x"] == again[0].metadata["tags"]
    assert [hit.id for hit in first] == [hit.id for hit in again]
    assert sent + 3 == server.hits
    stats = library.cache.stats()
    assert (1, 4, 1) == (stats.hits, stats.misses, stats.saved.input_tokens)


def test_a_change_outdates_all_answers(retriever: Open) -> None:
    """What was added is found, what was deleted is not; adding nothing changes nothing."""
    library = retriever()
    library.add(["a"], ids=["1"])
    library.search("b")

    library.add(["b"], ids=["2"])
    after_adding = library.search("b")
    library.delete("2")
    after_deleting = library.search("b")
    library.add(["a"], ids=["1"])
    library.search("b")

    assert ["b", "a"] == [hit.text for hit in after_adding]
    assert ["a"] == [hit.text for hit in after_deleting]
    assert 1 == library.cache.stats().hits


def test_answers_are_kept_for_a_while_and_not_without_end(retriever: Open, server: FakeServer) -> None:
    """As long as the cache says, and as many."""
    now = [0.0]
    library = retriever(cache=LLMCache(2, ttl=60, clock=lambda: now[0]))
    library.add(["a"])
    sent = server.hits

    for query in ("p", "q", "r"):
        library.search(query)
    library.search("r")
    library.search("p")
    now[0] = 61.0
    library.search("p")

    assert (5, 1) == (server.hits - sent, library.cache.stats().hits)


def test_nothing_is_kept_where_that_is_not_wanted(retriever: Open, server: FakeServer) -> None:
    """Each question is asked."""
    library = retriever(cache=False)
    library.add(["a"])

    library.search("a")
    library.search("a")

    assert (3, None) == (server.hits, library.cache)


# -- the end


def test_a_closed_retriever_refuses(retriever: Open, server: FakeServer) -> None:
    """Its own store is closed with it, and closing twice is closing once."""
    library = retriever(store=None)
    library.add(["a"])
    library.search("a")
    library.close()
    library.close()
    sent = server.hits

    for call in (lambda: library.add(["b"]), lambda: library.search("a"), lambda: library.delete("a"), library.count):
        with pytest.raises(ConfigurationError, match="was closed"):
            call()

    assert sent == server.hits


def test_a_store_that_was_given_stays_open(retriever: Open) -> None:
    """It may serve others; so does the client."""
    store = QdrantStore()
    with retriever(store=store) as library:
        library.add(["a"])

    assert 1 == store.count("documents")
    store.close()
    with pytest.raises(ConfigurationError, match="was closed"):
        store.count("documents")

"""A store in Qdrant: its embedded mode in memory and on the disk, and a server over real HTTP."""

from __future__ import annotations

import gc
import importlib.util
import os
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from llmkit import ConfigurationError
from llmkit.retrieval import QdrantStore, Record, RetrieverError
from llmkit.retrieval.filters import parse_filter

KEY = "qd-secret-0123456789"


def record(id: str, *vector: float, **metadata: Any) -> Record:
    return Record(id=id, text=f"text of {id}", metadata=metadata, digest=f"digest of {id}", vector=vector)


@pytest.fixture(params=["memory", "directory", "server"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[QdrantStore]:
    """A store of each kind."""
    if request.param == "server":
        made = QdrantStore(request.getfixturevalue("qdrant").url)
    else:
        made = QdrantStore() if request.param == "memory" else QdrantStore(tmp_path / "db")
    yield made
    made.close()


# -- what a store does


def test_records_are_kept_and_found(store: QdrantStore) -> None:
    """With all that they have, the nearest first."""
    store.create("pets", 2)
    store.upsert("pets", [record("a", 1.0, 0.0, n=1), record("b", 0.0, 2.0, n=2, tags=["x", "y"]), record("c", 1.0, 1.0, n=3)])

    hits = store.search("pets", [0.0, 1.0], limit=2)

    assert ["b", "c"] == [hit.id for hit in hits]
    assert ("text of b", {"n": 2, "tags": ["x", "y"]}) == (hits[0].text, hits[0].metadata)
    assert [1.0, 0.7071] == [pytest.approx(hit.score, abs=1e-3) for hit in hits]
    assert 3 == store.count("pets")


def test_a_search_is_narrowed(store: QdrantStore) -> None:
    """By metadata and score."""
    store.create("pets", 2)
    store.upsert("pets", [record(str(n), 1.0, float(n), n=n, half=n / 2, even=n % 2 == 0) for n in range(10)])

    def found(filter: Any) -> set[str]:
        return {hit.id for hit in store.search("pets", [1.0, 0.0], limit=20, filter=parse_filter(filter))}

    assert {"0", "1", "2"} == found({"n": {"$lt": 3}})
    assert {"3"} == found({"half": 1.5})
    assert {"4"} == found({"half": 2})
    assert {"0", "9"} == found({"$or": [{"n": 0}, {"n": {"$gt": 8}}]})
    assert {"1", "3"} == found({"even": False, "n": {"$in": [1, 2, 3]}})
    assert {str(n) for n in range(1, 10)} == found({"n": {"$ne": 0}})
    assert ["0", "1"] == [hit.id for hit in store.search("pets", [1.0, 0.0], limit=20, min_score=0.7)]
    assert 5 == store.count("pets", parse_filter({"even": True}))


def test_a_record_replaces_the_one_of_its_id(store: QdrantStore) -> None:
    """And its digest with it."""
    store.create("pets", 1)
    store.upsert("pets", [record("a", 1.0), record("b", 1.0)])

    store.upsert("pets", [Record(id="a", text="new", metadata={}, digest="new", vector=[1.0])])

    assert {"a": "new", "b": "digest of b"} == store.digests("pets", ["a", "b", "c"])
    assert 2 == store.count("pets")


def test_records_are_forgotten(store: QdrantStore) -> None:
    """By id, also one that is not there, and by filter."""
    store.create("pets", 1)
    store.upsert("pets", [record(str(n), 1.0, n=n) for n in range(5)])

    store.delete("pets", ids=["0", "nobody"])
    store.delete("pets", filter=parse_filter({"n": {"$gte": 3}}))

    assert {"1", "2"} == set(store.digests("pets", [str(n) for n in range(5)]))


def test_a_collection_is_made_once(store: QdrantStore) -> None:
    """By whoever comes first, also where several come at once; until then there is none."""
    before = store.dimensions("pets")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: store.create("pets", 3), range(8)))
    store.upsert("pets", [record("a", 1.0, 2.0, 3.0)])
    store.create("pets", 3)

    assert (None, 3, 1) == (before, store.dimensions("pets"), store.count("pets"))


def test_many_threads_use_one_store(store: QdrantStore) -> None:
    """Nothing is lost."""
    store.create("pets", 2)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: store.upsert("pets", [record(f"{n}-{m}", 1.0, m) for m in range(10)]), range(16)))

    assert 160 == store.count("pets")


def test_what_is_not_there_is_told(store: QdrantStore) -> None:
    """As one error, whatever the mode raises itself."""
    with pytest.raises(RetrieverError) as caught:
        store.count("nothing")

    assert ("not_found", "nothing", False) == (caught.value.kind, caught.value.collection, caught.value.retryable)
    assert "Qdrant: " in str(caught.value)
    assert "Check the collection's name" in str(caught.value)


def test_vectors_of_another_length_are_refused(store: QdrantStore) -> None:
    """By Qdrant itself, should they come that far."""
    if store.location.startswith("http"):
        return  # the double would have to be a server
    store.create("pets", 2)

    with pytest.raises(RetrieverError) as caught:
        store.upsert("pets", [record("a", 1.0)])

    assert "bad_request" == caught.value.kind


def test_a_closed_store_refuses(store: QdrantStore) -> None:
    """And is closed only once."""
    store.create("pets", 2)
    store.close()
    store.close()

    with pytest.raises(ConfigurationError, match="This store was closed"):
        store.count("pets")


def test_a_field_may_have_any_name(store: QdrantStore) -> None:
    """Also one that Qdrant's paths would take for something else; a dot goes into a dict."""
    store.create("pets", 1)
    store.upsert("pets", [record("a", 1.0, **{"first name": "x", "a[]": 1, "by": {"full name": "y"}}), record("b", 1.0)])

    def count(filter: Any) -> int:
        return store.count("pets", parse_filter(filter))

    assert [1, 1, 1] == [count({"first name": "x"}), count({"a[]": 1}), count({"by.full name": "y"})]


# -- the embedded mode


def refusal(store: QdrantStore) -> tuple[str, bool]:
    with pytest.raises(RetrieverError) as caught:
        store.count("pets")
    return caught.value.kind, caught.value.retryable


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_directory_keeps_what_it_has(tmp_path: Path) -> None:
    """For the next store, one after the other; two at once are refused."""
    first = QdrantStore(tmp_path / "db")
    first.create("pets", 2)
    first.upsert("pets", [record("a", 1.0, 0.0, n=1)])
    second = QdrantStore(str(tmp_path / "db"))
    kind, retryable = refusal(second)
    gc.collect()  # Qdrant leaves its lock file open where it is not given the lock
    first.close()

    hits = second.search("pets", [1.0, 0.0], limit=1)

    assert ("a", {"n": 1}, 2) == (hits[0].id, hits[0].metadata, second.dimensions("pets"))
    assert ("conflict", False) == (kind, retryable)
    second.close()


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """As an error of the store."""
    (tmp_path / "file").write_text("")
    store = QdrantStore(tmp_path / "file" / "db")

    with pytest.raises(RetrieverError) as caught:
        store.count("pets")

    assert "store" == caught.value.kind
    store.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_leaves_files_to_its_parent(tmp_path: Path) -> None:
    """It has a copy of what is in memory, and is refused at the directory; the parent goes on."""
    script = """
import os, sys
from llmkit.retrieval import QdrantStore, Record, RetrieverError
memory, files = QdrantStore(), QdrantStore(sys.argv[1])
for store in (memory, files):
    store.create("pets", 1)
    store.upsert("pets", [Record(id="a", text="a", metadata={}, digest="d", vector=[1.0])])
child = os.fork()
if not child:
    try:
        files.count("pets")
    except RetrieverError as error:
        os._exit(memory.count("pets") + 10 * (error.kind == "conflict"))
    os._exit(99)
status = os.waitpid(child, 0)[1]
files.upsert("pets", [Record(id="b", text="b", metadata={}, digest="d", vector=[1.0])])
print(os.waitstatus_to_exitcode(status), files.count("pets"))
memory.close(); files.close()
"""
    told = subprocess.run([sys.executable, "-c", script, str(tmp_path / "db")], capture_output=True, text=True, check=True, timeout=60)

    assert "11 2" == told.stdout.strip()


# -- a server


def test_a_server_is_told_its_key_and_nobody_else(qdrant: Any) -> None:
    """It is in one header; neither in a repr nor in an error, also where the server quotes it."""
    store = QdrantStore(qdrant.url, api_key=KEY)
    qdrant.faults = [(401, {"status": {"error": f"Invalid api-key {KEY}"}}, {})]

    with pytest.raises(RetrieverError) as caught:
        store.count("pets")

    told = "".join(traceback.format_exception(caught.value)) + repr(store) + str(caught.value.to_dict())
    assert ("auth", [KEY], qdrant.url) == (caught.value.kind, qdrant.keys, caught.value.endpoint)
    assert "Invalid api-key ***" in told
    assert KEY not in told
    store.close()


@pytest.mark.parametrize(
    ("fault", "kind", "retryable", "retry_after"),
    [
        ((429, {"status": {"error": "slow down"}}, {"retry-after": "7"}), "rate_limit", True, 7.0),
        ((429, {"status": {"error": "slow down"}}, {}), "rate_limit", True, None),
        ((503, {}, {"retry-after": "3"}), "overloaded", True, 3.0),
        ((500, {"status": {"error": "oops"}}, {}), "server", True, None),
        ((403, {}, {}), "permission", False, None),
        ((408, {}, {}), "timeout", True, None),
        ((413, {}, {}), "request_too_large", False, None),
        ((422, {}, {}), "bad_request", False, None),
        ((302, {}, {"location": "http://127.0.0.1:9/"}), "malformed", True, None),
        ((200, {"result": "nonsense"}, {}), "malformed", True, None),
        (None, "connection_lost", True, None),
    ],
)
def test_what_a_server_says_is_an_error_with_facts(qdrant: Any, fault: Any, kind: str, retryable: bool, retry_after: Any) -> None:
    """Asked once: whether it is asked again is decided above."""
    store = QdrantStore(qdrant.url)
    store.create("pets", 1)
    qdrant.paths.clear()
    qdrant.faults = [fault]

    with pytest.raises(RetrieverError) as caught:
        store.count("pets")

    error = caught.value
    assert (kind, retryable, retry_after) == (error.kind, error.retryable, error.retry_after)
    assert ["POST /collections/pets/points/count"] == qdrant.paths
    assert error.advice
    store.close()


def test_a_server_that_is_not_there_is_told() -> None:
    """With its address."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    store = QdrantStore(f"http://127.0.0.1:{port}")

    with pytest.raises(RetrieverError) as caught:
        store.dimensions("pets")

    assert ("connect", True, f"http://127.0.0.1:{port}") == (caught.value.kind, caught.value.retryable, caught.value.endpoint)
    store.close()


def test_a_creation_that_came_second_is_none(qdrant: Any) -> None:
    """Between the question whether it is there and the making, another has made it; a real failure is raised."""
    store = QdrantStore(qdrant.url)
    QdrantStore(qdrant.url).create("pets", 2)
    qdrant.faults = [(200, {"result": {"exists": False}, "status": "ok", "time": 0.0}, {})]
    store.create("pets", 2)
    qdrant.faults = [(403, {}, {})]

    with pytest.raises(RetrieverError, match="403"):
        store.create("others", 2)

    assert 2 == store.dimensions("pets")
    store.close()


def test_what_others_have_put_there_is_found_as_it_is(tmp_path: Path) -> None:
    """Without text and metadata of ours; vectors with names are another thing."""
    with_names = models.VectorParams(size=1, distance=models.Distance.DOT)
    client = QdrantClient(path=str(tmp_path))
    client.create_collection("theirs", vectors_config=models.VectorParams(size=1, distance=models.Distance.COSINE))
    client.upsert("theirs", [models.PointStruct(id=7, vector=[1.0], payload={"x": 1})])
    client.create_collection("named", vectors_config={"a": with_names})
    client.close()
    store = QdrantStore(tmp_path)

    hit = store.search("theirs", [1.0], limit=1)[0]

    assert ("7", "", {}) == (hit.id, hit.text, hit.metadata)
    assert {} == store.digests("theirs", ["7"])
    with pytest.raises(RetrieverError, match="vectors with names"):
        store.dimensions("named")
    store.close()


# -- at the door


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: QdrantStore(""), "location is ':memory:', a directory or a URL"),
        (lambda: QdrantStore(7), "location is ':memory:', a directory or a URL"),  # type: ignore[arg-type]
        (lambda: QdrantStore("ftp://host"), "begins with http"),
        (lambda: QdrantStore("http://user:pw@host"), "user name or password"),
        (lambda: QdrantStore("http://far.example", api_key=KEY), "use https"),
        (lambda: QdrantStore(api_key=KEY), "api_key= is for a server"),
        (lambda: QdrantStore(timeout=0), "timeout must be more than 0"),
    ],
)
def test_what_is_wrong_is_refused(make: Callable[[], object], told: str) -> None:
    """When the store is made, and without the key."""
    with pytest.raises(ConfigurationError) as caught:
        make()

    assert told in str(caught.value)
    assert KEY not in str(caught.value)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what installs it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    with pytest.raises(ConfigurationError, match=r"pip install 'llmkit\[retrieval\]'"):
        QdrantStore()


def test_qdrant_is_loaded_when_it_is_needed() -> None:
    """Not with the package, and not with the store; no thread is started for a server."""
    script = """
import sys, threading
from llmkit.retrieval import QdrantStore, Retriever
QdrantStore(); QdrantStore("http://localhost:1")
print("qdrant_client" in sys.modules, "numpy" in sys.modules)
store = QdrantStore()
store.create("pets", 1)
print("qdrant_client" in sys.modules, threading.active_count())
store.close()
"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60).stdout

    assert ["False False", "True 1"] == told.splitlines()


def test_no_thread_is_left_behind(qdrant: Any) -> None:
    """A server's version is not asked behind the user's back."""
    before = threading.active_count()
    store = QdrantStore(qdrant.url)
    store.dimensions("pets")

    assert ["GET /collections/pets/exists"] == qdrant.paths
    assert threading.active_count() <= before + 1  # the fake server's own
    store.close()

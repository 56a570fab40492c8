"""
A store in Qdrant: its embedded mode, in memory or in a directory, or a server. The only home of ``qdrant_client``.

Rule 1: one client of Qdrant's for one store, made when it is first needed (its import takes about a second) and closed with it.
Rule 2: nothing below tries again: only those of its calls are used that ask once.
Rule 3: the embedded mode is not made for several threads: one at a time is let in.
Rule 4: an id of Qdrant's is a UUID; ours are any strings, so that its is made from ours, and ours is kept beside the text.

Source: Qdrant's documentation, "Points", "Payload" and "Filtering", read 2026-11-21.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import math
import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any
from uuid import UUID

from llmkit._fork import renewed_in_child
from llmkit.address import check_base_url, is_loopback, origin_of
from llmkit.errors import ConfigurationError, RetrieverError
from llmkit.resilience.checks import number
from llmkit.resilience.moments import seconds
from llmkit.retrieval.filters import Condition, Either, Filter
from llmkit.retrieval.records import Hit
from llmkit.secrets import Secret, clean

if TYPE_CHECKING:
    from qdrant_client import QdrantClient, models

    from llmkit.retrieval.records import Record

__all__ = ["QdrantStore"]

MEMORY = ":memory:"
LIMIT = 1024  # characters of what it said that an error keeps

KIND_OF_STATUS: Mapping[int, str] = {
    401: "auth",
    403: "permission",
    404: "not_found",
    408: "timeout",
    409: "conflict",
    413: "request_too_large",
    429: "rate_limit",
    503: "overloaded",
}

# By the names of httpx's classes, from the special to the general.
KIND_OF_FAILURE: Mapping[str, str] = {
    "ConnectTimeout": "connect_timeout",
    "TimeoutException": "read_timeout",
    "ConnectError": "connect",
    "ProxyError": "proxy",
    "UnsupportedProtocol": "config",
    "TransportError": "connection_lost",
    "ValidationError": "malformed",
}


class QdrantStore:
    """
    Records in Qdrant.

    Args:
        location: ``":memory:"``, a directory, which one process at a time may use, or a server's URL, whose port is 6333 if it says none.
        api_key: What the server asks for; over plain http only on this machine.
        timeout: Seconds that one call to a server may take, rounded up to whole ones.

    Raises:
        ConfigurationError: If the location or something else is not what it must be, or ``qdrant-client`` is not installed.
    """

    def __init__(self, location: str | os.PathLike[str] = MEMORY, *, api_key: str | None = None, timeout: float = 30.0) -> None:
        given: Any = location
        if not isinstance(given, (str, os.PathLike)) or not os.fspath(given):
            msg = f"A Qdrant's location is ':memory:', a directory or a URL, not {given!r}."
            raise ConfigurationError(msg)
        number("timeout", timeout, above=0.0)
        self.location = os.fspath(location)
        self._is_server = "://" in self.location
        if self._is_server:
            self.location = check_base_url(self.location).geturl()
            if api_key is not None and self.location.startswith("http:") and not is_loopback(self.location):
                msg = f"api_key= would travel to {origin_of(self.location)} for everybody to read: use https."
                raise ConfigurationError(msg)
        elif api_key is not None:
            msg = "api_key= is for a server; Qdrant's embedded mode asks for none."
            raise ConfigurationError(msg)
        if importlib.util.find_spec("qdrant_client") is None:
            msg = "A store in Qdrant needs the package qdrant-client: pip install 'llmkit[retrieval]'."
            raise ConfigurationError(msg)
        self.timeout = timeout
        self._api_key = None if api_key is None else Secret(api_key)
        self._client: QdrantClient | None = None
        self._closed = False
        self._lock = threading.RLock()
        self._forsaken: list[object] = []
        renewed_in_child(self)

    def renew(self) -> None:
        """Leave, in a forked child, sockets and files to the parent. What is in memory, it has a copy of."""
        self._lock = threading.RLock()
        if self.location != MEMORY:
            self._forsaken.append(self._client)
            self._client = None

    @property
    def place(self) -> str:
        """Where the records are, however the location was written."""
        return self.location if self._is_server or self.location == MEMORY else os.path.abspath(self.location)

    # -- the protocol

    def dimensions(self, collection: str) -> int | None:
        """Return how many numbers the vectors of *collection* have; None where there is no such collection."""
        with self._asked(collection) as client:
            if not client.collection_exists(collection):
                return None
            vectors = client.get_collection(collection).config.params.vectors
        if vectors is None or isinstance(vectors, Mapping):
            msg = f"The collection {collection!r} has vectors with names; a retriever needs one with a single, nameless one."
            raise RetrieverError(msg, collection, kind="config")
        return int(vectors.size)

    def create(self, collection: str, dimensions: int) -> None:
        """Make *collection*, unless it is there."""
        from qdrant_client import models

        form = models.VectorParams(size=dimensions, distance=models.Distance.COSINE)
        try:
            with self._asked(collection) as client:
                if not client.collection_exists(collection):
                    client.create_collection(collection, vectors_config=form)
        except RetrieverError:
            # Two may have found that it is not there, and one of them was late.
            if self.dimensions(collection) is None:
                raise

    def upsert(self, collection: str, records: Sequence[Record]) -> None:
        """Keep *records*, in place of those of the same ids; they can be found when this returns."""
        from qdrant_client import models

        batch = models.Batch(
            ids=[_uuid(record.id) for record in records],
            vectors=[list(record.vector) for record in records],
            payloads=[_payload(record) for record in records],
        )
        with self._asked(collection) as client:
            client.upsert(collection, batch, wait=True)

    def digests(self, collection: str, ids: Sequence[str]) -> Mapping[str, str]:
        """Return the digests of those of *ids* that are there."""
        with self._asked(collection) as client:
            found = client.retrieve(collection, [_uuid(id) for id in ids], with_payload=["id", "digest"], with_vectors=False)
        payloads = [record.payload or {} for record in found]
        return {str(payload["id"]): str(payload["digest"]) for payload in payloads if {"id", "digest"} <= payload.keys()}

    def search(
        self, collection: str, vector: Sequence[float], *, limit: int, filter: Filter = (), min_score: float | None = None
    ) -> list[Hit]:
        """Return the *limit* records nearest to *vector*, the nearest first, of those that are as *filter* asks."""
        wanted = _filter(filter)
        with self._asked(collection) as client:
            found = client.query_points(
                collection, query=list(vector), limit=limit, query_filter=wanted, score_threshold=min_score, with_payload=True
            )
        return [_hit(point) for point in found.points]

    def delete(self, collection: str, *, ids: Iterable[str] | None = None, filter: Filter = ()) -> None:
        """Forget the records of *ids*, or, where that is None, those that are as *filter* asks."""
        from qdrant_client import models

        chosen: Any = models.PointIdsList(points=[_uuid(id) for id in ids]) if ids is not None else _filter(filter) or models.Filter()
        with self._asked(collection) as client:
            client.delete(collection, chosen, wait=True)

    def count(self, collection: str, filter: Filter = ()) -> int:
        """Return how many records there are that are as *filter* asks."""
        wanted = _filter(filter)
        with self._asked(collection) as client:
            return int(client.count(collection, count_filter=wanted, exact=True).count)

    def close(self) -> None:
        """Close the connections, or the files; what was in memory is gone. Later calls are refused. Idempotent."""
        with self._lock:
            self._closed = True
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def __repr__(self) -> str:
        return f"QdrantStore({self.location!r})"

    # -- the client

    @contextlib.contextmanager
    def _asked(self, collection: str) -> Iterator[QdrantClient]:
        """Yield the client; what goes wrong with it is raised as our error."""
        with self._alone():
            try:
                yield self._opened()
            except Exception as error:
                fault = self._fault(error, collection)
                if fault is None:
                    raise
                raise fault from None

    def _alone(self) -> AbstractContextManager[object]:
        return contextlib.nullcontext() if self._is_server else self._lock

    def _opened(self) -> QdrantClient:
        with self._lock:
            if self._closed:
                msg = "This store was closed; make a new one."
                raise ConfigurationError(msg)
            if self._client is None:
                self._client = self._made()
            return self._client

    def _made(self) -> QdrantClient:
        from qdrant_client import QdrantClient

        if self.location == MEMORY:
            return QdrantClient(MEMORY)
        if not self._is_server:
            return QdrantClient(path=self.location, force_disable_check_same_thread=True)
        # As a header, since it is warned of on loopback too as api_key=. The version is asked in a thread of its own: not by us.
        headers = {} if self._api_key is None else {"api-key": self._api_key.reveal()}
        return QdrantClient(url=self.location, metadata=headers, timeout=math.ceil(self.timeout), check_compatibility=False)

    # -- what goes wrong

    def _fault(self, error: Exception, collection: str) -> RetrieverError | None:
        """Return *error* as ours; None if it is none of Qdrant's."""
        from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
        from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

        if isinstance(error, ResourceExhaustedResponse):
            return self._error("rate_limit", str(error), collection, retry_after=float(error.retry_after_s))
        if isinstance(error, UnexpectedResponse):
            status = error.status_code or 0
            kind = KIND_OF_STATUS.get(status) or ("server" if status >= 500 else "bad_request" if status >= 400 else "malformed")
            said = error.content.decode("utf-8", "replace")
            return self._error(kind, f"{status} {said}", collection, retry_after=seconds(error.headers.get("retry-after", "")))
        if isinstance(error, ResponseHandlingException):
            names = [cls.__name__ for cls in type(error.source).__mro__]
            kind = next((KIND_OF_FAILURE[name] for name in names if name in KIND_OF_FAILURE), "connection_lost")
            return self._error(kind, f"{type(error.source).__name__}: {error.source}", collection)
        if self._is_server or isinstance(error, (ConfigurationError, RetrieverError)):
            return None
        return self._embedded_fault(error, collection)

    def _embedded_fault(self, error: Exception, collection: str) -> RetrieverError | None:
        # The embedded mode raises what Python has at hand.
        if isinstance(error, ValueError):
            return self._error("not_found" if "not found" in str(error) else "bad_request", str(error), collection)
        if isinstance(error, RuntimeError) and "already accessed" in str(error):
            return self._error("conflict", "another process or store uses this directory", collection, retryable=False)
        if isinstance(error, OSError) or type(error).__module__ == "sqlite3":
            return self._error("store", f"{type(error).__name__}: {error}", collection)
        return None

    def _error(self, kind: str, said: str, collection: str, **facts: Any) -> RetrieverError:
        secrets = () if self._api_key is None else (self._api_key.reveal(),)
        text = clean(said, secrets, limit=LIMIT)
        endpoint = origin_of(self.location) if self._is_server else None
        return RetrieverError(f"Qdrant: {text}", collection, kind=kind, original_error=text, endpoint=endpoint, **facts)


# -- ours as its own, and back


def _uuid(id: str) -> str:
    return str(UUID(bytes=hashlib.sha256(id.encode()).digest()[:16], version=5))


def _payload(record: Record) -> dict[str, Any]:
    return {"id": record.id, "text": record.text, "metadata": record.metadata, "digest": record.digest}


def _hit(point: models.ScoredPoint) -> Hit:
    payload = point.payload or {}
    # One that somebody else has put there has what it has.
    return Hit(
        id=str(payload.get("id", point.id)),
        text=str(payload.get("text", "")),
        score=float(point.score),
        metadata=dict(payload.get("metadata") or {}),
    )


def _filter(wanted: Filter) -> models.Filter | None:
    from qdrant_client import models

    return models.Filter(must=[_demand(one) for one in wanted]) if wanted else None


def _demand(wanted: Condition | Either) -> Any:
    from qdrant_client import models

    if isinstance(wanted, Either):
        return models.Filter(should=[_filter(part) or models.Filter() for part in wanted.filters])
    key = ".".join(["metadata", *(_key(part) for part in wanted.path)])
    if wanted.operator in ("$eq", "$in"):
        return models.Filter(should=[_equal(key, value) for value in wanted.values])
    if wanted.operator in ("$ne", "$nin"):
        return models.Filter(must_not=[_equal(key, value) for value in wanted.values])
    bound: Any = wanted.values[0]
    return models.FieldCondition(key=key, range=models.Range(**{wanted.operator[1:]: bound}))


def _equal(key: str, value: Any) -> Any:
    from qdrant_client import models

    # It has no equality of fractions, and its whole numbers are equal to whole ones only.
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return models.FieldCondition(key=key, range=models.Range(gte=value, lte=value))
    return models.FieldCondition(key=key, match=models.MatchValue(value=value))


def _key(part: str) -> str:
    return part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else f'"{part}"'

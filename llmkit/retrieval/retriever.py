"""The sync face of retrieval: calls, and nothing decided here. ``llmkit_async.retrieval`` is this file with ``await`` in it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from llmkit.errors import RetrieverError, UnsupportedParameterError
from llmkit.resilience.backing import backed_off
from llmkit.resilience.retry import RetryConfig
from llmkit.retrieval.desk import Desk, own_store
from llmkit.retrieval.filters import parse_filter
from llmkit.team import carried_out

if TYPE_CHECKING:
    from llmkit.cache.memory import LLMCache
    from llmkit.cancelling import Cut
    from llmkit.client import Client
    from llmkit.models.embedding import EmbeddingResponse
    from llmkit.progress import ProgressArgument
    from llmkit.retrieval.errands import Errand
    from llmkit.retrieval.loading import Batch, Load
    from llmkit.retrieval.records import Added, Hit
    from llmkit.retrieval.store import VectorStore

__all__ = ["Retriever"]

Answer = TypeVar("Answer")


class Retriever:
    """
    Documents, embedded and stored, and found again by what they mean.

    ``llmkit.deadline(...)`` holds for what is called inside it; what the store is doing at that moment ends by the store's own time-out.
    Thread-safe.

    Args:
        client: Embeds; it stays its owner's to close.
        store: Where vectors are kept: None for an embedded Qdrant in memory, a directory or a Qdrant's URL, or a ``VectorStore``, which
            stays its owner's to close.
        embedding_model: As ``client.embed(model=...)``; by default the provider's usual one.
        collection: The name under which the documents are kept; it is made when the first is added.
        dimensions: As ``client.embed(dimensions=...)``.
        retry: When the store is asked again; None for never. The client has its own rules for embedding.
        cache: Whether answers are kept, by default a thousand for a minute; or an ``LLMCache`` that nobody else uses.

    Raises:
        ConfigurationError: If something given is wrong, or the package that the store needs is not installed.
    """

    def __init__(
        self,
        client: Client,
        *,
        store: VectorStore | str | os.PathLike[str] | None = None,
        embedding_model: str | None = None,
        collection: str = "documents",
        dimensions: int | None = None,
        retry: RetryConfig | None = RetryConfig(),  # noqa: B008 - frozen
        cache: LLMCache | bool = True,
    ) -> None:
        self._own_store = own_store(store)
        self._desk = Desk(
            client._router.embedding_label,
            self._own_store or store,
            embedding_model=embedding_model,
            collection=collection,
            dimensions=dimensions,
            retry=retry,
            cache=cache,
        )
        self._client = client
        self._store: Any = self._own_store or store

    def add(
        self,
        documents: Iterable[str],
        *,
        ids: Iterable[str] | None = None,
        metadata: Iterable[Mapping[str, Any] | None] | Mapping[str, Any] | None = None,
        progress: ProgressArgument = None,
        checkpoint: str | os.PathLike[str] | None = None,
        batch_size: int = 128,
        max_concurrency: int = 8,
    ) -> Added:
        """
        Embed and store *documents*, and return what was done. Those that the store has already, as they are, cost nothing.

        The first failure ends it; what is under way is finished, within a minute. Called again with the same, it goes on where it was.

        Args:
            documents: Texts, one vector each: ``split`` cuts long ones.
            ids: One for each, which replaces what has the same id; by default an id is made of text and metadata.
            metadata: A dict of JSON for each, by which a search can filter, or one for all.
            progress: True for a bar of tqdm, or a function of done, total and failed, which is 0: the first failure ends it.
            checkpoint: A file that remembers what was stored, where asking the store would take too long; of this load alone.
            batch_size: Documents that are embedded and stored at once.
            max_concurrency: Batches under way at once.

        Raises:
            ConfigurationError: If something given is wrong; nothing was sent. Also if the model's vectors are of another length than
                the collection's; nothing was stored.
            CheckpointError: If the checkpoint is another's, damaged, at work, or cannot be written.
            RetrieverError: If the store refused, failed or could not be reached, after all retries.
            ProviderError: If the provider did. On both ``metadata["done"]`` tells how many documents are stored.
        """
        load = self._desk.load(
            documents,
            ids,
            metadata,
            progress=progress,
            checkpoint=checkpoint,
            batch_size=batch_size,
            max_concurrency=max_concurrency,
            tempo=self._client._router.tempo(),
        )
        with load:
            self._begin(load)
            carried_out(load, partial(self._add, load), min(max_concurrency, load.batches), "llmkit-retrieval")
            return load.result()

    def search(self, query: str, *, limit: int = 5, filter: Mapping[str, Any] | None = None, min_score: float | None = None) -> list[Hit]:
        """
        Return the documents nearest to *query*, the nearest first; none where nothing was added yet.

        Args:
            limit: How many at most.
            filter: What their metadata must be: ``{"lang": "en", "year": {"$gte": 2020}}``, with ``$eq``, ``$ne``, ``$gt``, ``$gte``,
                ``$lt``, ``$lte``, ``$in``, ``$nin``, and ``$and`` and ``$or`` over lists of filters.
            min_score: What their score must be at least.

        Raises:
            ConfigurationError: If something given is wrong; nothing was sent.
            RetrieverError: If the store refused, failed or could not be reached, after all retries.
            ProviderError: If the provider that embeds the query did.
        """
        desk = self._desk
        desk.check_open()
        search = desk.searches.of(query, limit, filter, min_score)
        found = desk.searches.find(search)
        if found is not None:
            return found
        if self._known() is None:
            return []
        desk.check_length()
        answer = self._embed([query], "query")
        desk.check_length(answer.vectors.dimensions)
        ask = partial(
            self._store.search,
            desk.collection,
            answer.vectors[0],
            limit=search.limit,
            filter=search.filter,
            min_score=search.min_score,
        )
        hits: list[Hit] = self._ask(desk.errand("search", ask))
        desk.searches.keep(search, hits, answer)
        return hits

    def delete(self, ids: str | Iterable[str] | None = None, *, filter: Mapping[str, Any] | None = None) -> None:
        """
        Forget the documents of *ids*, or those whose metadata is as *filter* asks. Ids that are not there are passed over.

        Raises:
            ConfigurationError: If neither is given, or both.
            RetrieverError: If the store refused, failed or could not be reached, after all retries.
        """
        desk = self._desk
        chosen, wanted = desk.deletion(ids, filter)
        if chosen == [] or self._known() is None:
            return
        try:
            self._ask(desk.errand("delete", partial(self._store.delete, desk.collection, ids=chosen, filter=wanted)))
        finally:
            desk.searches.outdate()

    def count(self, *, filter: Mapping[str, Any] | None = None) -> int:
        """
        Return how many documents there are, or how many whose metadata is as *filter* asks.

        Raises:
            RetrieverError: If the store refused, failed or could not be reached, after all retries.
        """
        desk = self._desk
        wanted = parse_filter(filter)
        if self._known() is None:
            return 0
        counted: int = self._ask(desk.errand("count", partial(self._store.count, desk.collection, wanted)))
        return counted

    @property
    def cache(self) -> LLMCache | None:
        """The answers that are kept: their ``stats()``."""
        return self._desk.searches.cache

    def close(self) -> None:
        """Close the store that was made here; later calls are refused. Idempotent."""
        self._desk.closed = True
        if self._own_store is not None:
            self._own_store.close()

    def __enter__(self) -> Retriever:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Retriever({self._desk.collection!r}, store={self._store!r})"

    # -- adding

    def _begin(self, load: Load) -> None:
        load.open()
        is_there = self._known() is not None
        self._desk.check_length()
        if load.has_log:
            load.check_store(self.count() if is_there else 0)
        load.arrived()

    def _add(self, load: Load, batch: Batch) -> None:
        """Embed and store what is missing of *batch*."""
        desk = self._desk
        missing: Sequence[Any] = batch.documents
        with load.carrying(batch):
            if not load.has_log and self._known(batch.cut) is not None:
                ask = partial(self._store.digests, desk.collection, batch.ids)
                missing = batch.missing(self._ask(desk.errand("look ids up", ask, batch.cut)))
            if missing:
                answer = load.tempo.asked(partial(self._embed, [document.text for document in missing], "document"))
                self._make_ready(answer.vectors.dimensions, batch.cut)
                put = partial(self._store.upsert, desk.collection, load.records(missing, answer))
                try:
                    self._ask(desk.errand("upsert", put, batch.cut))
                finally:
                    desk.searches.outdate()
            load.end(batch, missing)

    def _make_ready(self, made: int, cut: Cut) -> None:
        """Make the collection for vectors of *made* numbers, unless it is there."""
        desk = self._desk
        if self._known(cut) is None:
            self._ask(desk.errand("create the collection", partial(self._store.create, desk.collection, made), cut))
            self._known(cut)
        desk.check_length(made)

    # -- asking

    def _known(self, cut: Cut | None = None) -> int | None:
        """Return how many numbers the collection's vectors have; None if there is no such collection."""
        desk = self._desk
        if desk.known is None:
            desk.known = self._ask(desk.errand("describe the collection", partial(self._store.dimensions, desk.collection), cut))
        return desk.known

    def _embed(self, texts: list[str], purpose: Literal["query", "document"]) -> EmbeddingResponse:
        try:
            return self._client.embed(texts, **self._desk.parameters(purpose))
        except UnsupportedParameterError as error:
            if not self._desk.learns(error):
                raise
        return self._client.embed(texts, **self._desk.parameters(purpose))

    @backed_off
    def _ask(self, errand: Errand[Answer]) -> Answer:
        errand.begin()
        try:
            answer = errand.ask()
        except (RetrieverError, OSError) as error:
            raise errand.after(error) from None
        errand.end()
        return answer

"""
What the two retrievers have in common: everything but the asking.

Rule 1: nothing here sends, stores or waits.
Rule 2: documents and questions are embedded for what they are (``input_type``), where the provider makes a difference.
Rule 3: a collection has vectors of one length; those of another are refused before they are stored or searched with.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from llmkit.cancelling import Cut
from llmkit.errors import ConfigurationError, UnsupportedParameterError
from llmkit.journal.journal import check_place
from llmkit.progress import ProgressArgument, progress_of
from llmkit.resilience.checks import whole
from llmkit.retrieval.checkpoint import Checkpoint
from llmkit.retrieval.errands import Errand, Patience
from llmkit.retrieval.filters import Filter, parse_filter
from llmkit.retrieval.loading import Load
from llmkit.retrieval.qdrant import QdrantStore
from llmkit.retrieval.records import as_documents, as_ids
from llmkit.retrieval.searches import Searches

if TYPE_CHECKING:
    from llmkit.resilience.pacing import Tempo
    from llmkit.resilience.retry import RetryConfig

__all__ = ["Desk", "own_store"]

Asked = TypeVar("Asked")


def own_store(given: Any) -> QdrantStore | None:
    """
    Return the store that a retriever makes for itself: a Qdrant where *given* is None or a location; None if it is a store.

    Raises:
        ConfigurationError: If it is neither.
    """
    if given is None:
        return QdrantStore()
    if isinstance(given, (str, os.PathLike)):
        return QdrantStore(given)
    missing = [name for name in ("dimensions", "create", "upsert", "digests", "search", "delete", "count") if not hasattr(given, name)]
    if missing:
        msg = f"store is a directory, a Qdrant's URL or a VectorStore, not {type(given).__name__}, which has no {missing[0]}()."
        raise ConfigurationError(msg)
    return None


class Desk:
    """
    What one retriever knows: its collection, its model, its answers, and how patient it is.

    *label* returns by which provider and model a client embeds, where a user names that model, or none. *store* is where vectors are kept.
    """

    def __init__(
        self,
        label: Callable[[str | None], str],
        store: Any,
        *,
        embedding_model: str | None,
        collection: str,
        dimensions: int | None,
        retry: RetryConfig | None,
        cache: Any,
    ) -> None:
        for name, given in (("embedding_model", embedding_model), ("collection", collection)):
            if (given is not None or name == "collection") and (not isinstance(given, str) or not given):
                msg = f"{name} is a string that is not empty, not {given!r}."
                raise ConfigurationError(msg)
        if dimensions is not None:
            whole("dimensions", dimensions, least=1)
        self.collection = collection
        self.searches = Searches(cache)
        self.known: int | None = None  # numbers in a vector of the collection, once it is known to be there
        self.closed = False
        self._label = label
        self._place = store.place if isinstance(store, QdrantStore) else None
        self._model = embedding_model
        self._dimensions = dimensions
        self._patience = Patience(retry)
        self._says_purpose = True

    def check_open(self) -> None:
        """Raise ``ConfigurationError`` if the retriever was closed."""
        if self.closed:
            msg = "This retriever was closed; make a new one."
            raise ConfigurationError(msg)

    # -- the store

    def errand(self, name: str, ask: Callable[[], Asked], cut: Cut | None = None) -> Errand[Asked]:
        """Return the errand to *ask* the store something; *name* is what that is, said after "to"."""
        self.check_open()
        return Errand(self._patience, name, self.collection, ask, cut, self._missing)

    def _missing(self) -> None:
        """The collection was deleted, by somebody else: it is to be looked for, and made, anew."""
        self.known = None
        self.searches.outdate()

    # -- embedding

    def parameters(self, purpose: Literal["query", "document"]) -> dict[str, Any]:
        """Return how the client is to embed texts that are for *purpose*."""
        return {
            "model": self._model,
            "dimensions": self._dimensions,
            "input_type": purpose if self._says_purpose else None,
            # Batches run at once already, and each should be one request.
            "max_concurrency": 1,
        }

    def learns(self, error: UnsupportedParameterError) -> bool:
        """Whether *error*, with which nothing was sent, is of the purpose, which is then not said again."""
        if error.parameter != "input_type":
            return False
        self._says_purpose = False
        return True

    def check_length(self, made: int | None = None) -> None:
        """
        Refuse vectors of *made* numbers, by default those asked for with ``dimensions=``, if the collection has others.

        Raises:
            ConfigurationError: If it has.
        """
        made = self._dimensions if made is None else made
        if None not in (made, self.known) and made != self.known:
            model = self._model or "the provider's usual model"
            msg = (
                f"The collection {self.collection!r} has vectors of {self.known} numbers, {model} makes {made}: "
                "name the model (and dimensions=) that it was made with, or another collection."
            )
            raise ConfigurationError(msg)

    # -- what is asked

    def load(
        self,
        documents: Any,
        ids: Any,
        metadata: Any,
        *,
        progress: ProgressArgument,
        checkpoint: str | os.PathLike[str] | None,
        batch_size: int,
        max_concurrency: int,
        tempo: Tempo,
    ) -> Load:
        """Return what is to be done to add *documents*. Raises ``ConfigurationError`` if something is not what it must be."""
        self.check_open()
        whole("batch_size", batch_size, least=1)
        whole("max_concurrency", max_concurrency, least=1)
        check_place(checkpoint, True)
        # What a model is called is not what it is: another client may make others of the same words.
        model = self._label(self._model)
        found = as_documents(documents, ids, metadata, made_by=f"{model}\n{self._dimensions or ''}")
        facts = {"store": self._place, "collection": self.collection, "model": model, "dimensions": self._dimensions}
        return Load(
            found,
            batch_size=batch_size,
            tempo=tempo,
            open_checkpoint=None if checkpoint is None else partial(Checkpoint, checkpoint, facts),
            progress=progress_of(progress, len(found), unit="doc", title=self.collection),
        )

    def deletion(self, ids: Any, filter: Any) -> tuple[list[str] | None, Filter]:
        """Return what is to be deleted. Raises ``ConfigurationError`` if that is not said, or said twice."""
        self.check_open()
        if (ids is None) == (filter is None):
            msg = "delete() takes ids or a filter: one of the two."
            raise ConfigurationError(msg)
        wanted = parse_filter(filter)
        if filter is not None and not wanted:
            msg = "filter is empty: that would delete everything."
            raise ConfigurationError(msg)
        return None if ids is None else as_ids([ids] if isinstance(ids, str) else ids), wanted

"""
Questions to a retriever, checked at the door, and the answers kept.

Rule 1: an answer is good until its retriever adds or deletes something, and for ``ttl`` seconds, since others may do so too.
Rule 2: an answer is kept for the time between two changes in which its question was asked: one that meets a change is never found again.
"""

from __future__ import annotations

import json
import math
import os
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from attrs import asdict, frozen

from llmkit.cache.memory import LLMCache
from llmkit.errors import ConfigurationError
from llmkit.models.usage import Usage
from llmkit.resilience.checks import whole
from llmkit.retrieval.filters import Filter, parse_filter
from llmkit.retrieval.records import Hit

if TYPE_CHECKING:
    from llmkit.models.embedding import EmbeddingResponse

__all__ = ["Search", "Searches"]

MAX_SIZE = 1000
TTL = 60.0  # seconds


@frozen(kw_only=True)
class Search:
    """A question, and the key under which its answer is kept."""

    query: str
    limit: int
    filter: Filter
    min_score: float | None
    key: str


class Searches:
    """The searches of one retriever. Safe to share between threads and tasks."""

    def __init__(self, cache: Any) -> None:
        if cache is True:
            cache = LLMCache(MAX_SIZE, TTL)
        if cache is not None and cache is not False and not isinstance(cache, LLMCache):
            msg = f"cache is True, False or an LLMCache of the retriever's own, not {type(cache).__name__}."
            raise ConfigurationError(msg)
        self.cache: LLMCache | None = cache or None
        self._era = _new_era()

    def of(self, query: Any, limit: Any, filter: Any, min_score: Any) -> Search:
        """Return what is asked. Raises ``ConfigurationError`` if something in it is not what it must be."""
        if not isinstance(query, str) or not query.strip():
            msg = f"query is a string that is not empty, not {query!r}."
            raise ConfigurationError(msg)
        whole("limit", limit, least=1)
        if min_score is not None and (isinstance(min_score, bool) or not isinstance(min_score, (int, float)) or math.isnan(min_score)):
            msg = f"min_score is a number such as 0.5, not {min_score!r}."
            raise ConfigurationError(msg)
        wanted = parse_filter(filter)
        key = json.dumps([self._era, query, limit, min_score, repr(wanted)])
        return Search(query=query, limit=limit, filter=wanted, min_score=min_score, key=key)

    def find(self, search: Search) -> list[Hit] | None:
        """Return the answer to *search* that is kept."""
        if self.cache is None:
            return None
        kept = self.cache.get(search.key)
        if kept is None:
            self.cache.count_miss()
            return None
        found = json.loads(kept.payload)
        cost = None if found["cost"] is None else Decimal(found["cost"])
        self.cache.count_hit(Usage(input_tokens=found["tokens"]), cost, stale=kept.stale)
        return [Hit(**hit) for hit in found["hits"]]

    def keep(self, search: Search, hits: list[Hit], answer: EmbeddingResponse) -> None:
        """Keep *hits*, whose question was embedded by *answer*, for *search*."""
        if self.cache is None:
            return
        cost = None if answer.cost is None else str(answer.cost)
        kept = {"hits": [asdict(hit) for hit in hits], "tokens": answer.usage.input_tokens, "cost": cost}
        self.cache.put(search.key, json.dumps(kept).encode())

    def outdate(self) -> None:
        """Something was added or deleted: forget all answers."""
        self._era = _new_era()
        if self.cache is not None:
            self.cache.clear()


def _new_era() -> str:
    # A count would need a lock, or go back when two changes meet.
    return os.urandom(8).hex()

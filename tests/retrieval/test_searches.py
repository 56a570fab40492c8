"""Questions and their answers. (What is refused, kept and outdated is tested where users meet it.)"""

from __future__ import annotations

from decimal import Decimal

from llmkit import EmbeddingResponse, LLMCache, Usage, Vectors
from llmkit.retrieval import Hit
from llmkit.retrieval.searches import MAX_SIZE, TTL, Searches

HITS = [Hit(id="a", text="é", score=0.123456789012345, metadata={"n": [1, 1.5, None, {"x": True}]})]
ANSWER = EmbeddingResponse(vectors=Vectors.of([[1.0]]), usage=Usage(input_tokens=3), cost=Decimal("0.0000012345678901234567890"))


def test_an_answer_comes_back_as_it_was() -> None:
    """To the last digit, and what it saved is counted."""
    searches = Searches(True)
    search = searches.of("q", 5, {"n": 1}, None)
    before = searches.find(search)

    searches.keep(search, HITS, ANSWER)

    assert (None, HITS) == (before, searches.find(search))
    assert searches.cache is not None
    stats = searches.cache.stats()
    assert (1, 1, 3, ANSWER.cost) == (stats.hits, stats.misses, stats.saved.input_tokens, stats.saved_cost)


def test_questions_differ_in_anything() -> None:
    """Also in what compares as equal in Python."""
    searches = Searches(True)
    asked = [("q", 5, None, None), ("Q", 5, None, None), ("q", 6, None, None), ("q", 5, None, 0.0)]
    filtered = [("q", 5, {"n": value}, None) for value in (1, True, "1", {"$ne": 1})]

    keys = {searches.of(*question).key for question in [*asked, *filtered]}

    assert 8 == len(keys)
    assert searches.of("q", 5, {"n": 1}, None).key in keys


def test_an_answer_that_met_a_change_is_not_found_again() -> None:
    """It may be older than the change."""
    searches = Searches(True)
    search = searches.of("q", 5, None, None)

    searches.outdate()
    searches.keep(search, HITS, ANSWER)

    assert None is searches.find(searches.of("q", 5, None, None))


def test_a_cache_is_bounded() -> None:
    """By number and time, or as its owner made it; where there is none, nothing is kept."""
    own = LLMCache(7, ttl=1.0)
    nothing = Searches(False)
    search = nothing.of("q", 5, None, None)
    nothing.keep(search, HITS, ANSWER)
    nothing.outdate()
    usual = Searches(True).cache

    assert usual is not None
    assert (MAX_SIZE, TTL) == (usual.max_size, usual.ttl)
    assert own is Searches(own).cache
    assert (None, None) == (nothing.cache, nothing.find(search))

"""The cache in memory, held against a model."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from llmkit import ConfigurationError
from llmkit.cache.base import Kept
from llmkit.cache.memory import LLMCache


class Clock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_what_is_put_is_got() -> None:
    """Under its key only."""
    cache = LLMCache()
    cache.put("a", b"answer")

    assert Kept(b"answer") == cache.get("a")
    assert cache.get("b") is None


def test_the_one_used_longest_ago_gives_way() -> None:
    """To be read is to be used."""
    cache = LLMCache(max_size=2)
    cache.put("a", b"1")
    cache.put("b", b"2")
    cache.get("a")

    cache.put("c", b"3")

    assert [True, False, True] == [cache.get(key) is not None for key in "abc"]


def test_bytes_are_bounded_too() -> None:
    """One large answer may take the place of several; one that is too large alone is not kept, nor is what it would replace."""
    cache = LLMCache(max_bytes=10)
    cache.put("a", b"12345")
    cache.put("b", b"12345")

    cache.put("c", b"123456")
    cache.put("c", b"12345678901")

    assert [False, False, False] == [cache.get(key) is not None for key in "abc"]
    assert 0 == cache.stats().bytes


def test_an_answer_is_good_for_its_time() -> None:
    """And not at its end."""
    clock = Clock()
    cache = LLMCache(ttl=10, clock=clock)
    cache.put("a", b"1")

    clock.now += 9.9
    assert cache.get("a") is not None
    clock.now += 0.1
    assert cache.get("a") is None
    assert 0 == cache.stats().entries


def test_beyond_its_time_it_is_stale_where_that_is_wanted() -> None:
    """For as long as was said."""
    clock = Clock()
    cache = LLMCache(ttl=10, stale_if_error=5, clock=clock)
    cache.put("a", b"1")

    clock.now += 14.9
    assert Kept(b"1", stale=True) == cache.get("a")
    clock.now += 0.1
    assert cache.get("a") is None


def test_a_clock_that_went_back_expires_what_was_kept() -> None:
    """An entry from the future has no age."""
    clock = Clock()
    cache = LLMCache(clock=clock)
    cache.put("a", b"1")

    clock.now -= 1

    assert cache.get("a") is None


def test_clearing_keeps_the_counts() -> None:
    """What was saved was saved."""
    cache = LLMCache()
    cache.put("a", b"1")
    cache.count_miss()

    cache.delete("a")
    cache.put("b", b"1")
    cache.clear()

    stats = cache.stats()
    assert (0, 0, 1) == (stats.entries, stats.bytes, stats.misses)


def test_a_pickle_holds_the_configuration_and_no_answer() -> None:
    """A process of its own has a cache of its own, with a secret of its own."""
    cache = LLMCache(max_size=7, ttl=3, max_bytes=99, stale_if_error=2)
    cache.put("a", b"canary")

    data = pickle.dumps(cache)
    copy = pickle.loads(data)

    assert b"canary" not in data
    assert (7, 3, 99, 2, None) == (copy.max_size, copy.ttl, copy.max_bytes, copy.stale_if_error, copy.get("a"))
    assert cache.secret() != copy.secret()


def test_a_forked_child_keeps_the_entries_unless_they_were_being_changed() -> None:
    """Half of a change is none."""
    cache, busy = LLMCache(), LLMCache()
    for each in (cache, busy):
        each.put("a", b"1")
    busy._lock.acquire()

    for each in (cache, busy):
        each.renew()

    assert [True, False] == [each.get("a") is not None for each in (cache, busy)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_size": 0},
        {"max_size": True},
        {"max_bytes": 0},
        {"ttl": 0},
        {"ttl": -1},
        {"ttl": float("nan")},
        {"stale_if_error": 0},
        {"stale_if_error": 9},
    ],
    ids=str,
)
def test_a_number_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    """By its name."""
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        LLMCache(**wrong)


class CacheMachine(RuleBasedStateMachine):
    """Any order of reading, writing, forgetting and waiting, against a list in the order of use."""

    KEYS = st.sampled_from("abcdef")

    @initialize(
        max_size=st.integers(1, 4),
        max_bytes=st.integers(1, 12),
        ttl=st.none() | st.integers(1, 5),
        stale=st.none() | st.integers(1, 5),
    )
    def begin(self, max_size: int, max_bytes: int, ttl: int | None, stale: int | None) -> None:
        """Any bounds."""
        self.clock = Clock()
        self.max_size, self.max_bytes = max_size, max_bytes
        self.ttl, self.lasts = ttl, None if ttl is None else ttl + (stale or 0)
        self.cache = LLMCache(max_size, ttl, max_bytes=max_bytes, stale_if_error=stale if ttl else None, clock=self.clock)
        self.model: list[tuple[str, bytes, float]] = []

    def taken(self, key: str) -> tuple[str, bytes, float] | None:
        found = next((entry for entry in self.model if entry[0] == key), None)
        if found is not None:
            self.model.remove(found)
        return found

    @rule(key=KEYS, size=st.integers(0, 8))
    def put(self, key: str, size: int) -> None:
        """Something is kept."""
        payload = key.encode() * size
        self.cache.put(key, payload)
        self.taken(key)
        if size <= self.max_bytes:
            self.model.append((key, payload, self.clock.now))
        while len(self.model) > self.max_size or sum(len(entry[1]) for entry in self.model) > self.max_bytes:
            del self.model[0]

    @rule(key=KEYS)
    def get(self, key: str) -> None:
        """Something is looked up."""
        expected, found = None, self.taken(key)
        if found is not None:
            age = self.clock.now - found[2]
            if self.lasts is None or age < self.lasts:
                self.model.append(found)
                expected = Kept(found[1], stale=self.ttl is not None and age >= self.ttl)
        assert expected == self.cache.get(key)

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        """Something is forgotten."""
        self.cache.delete(key)
        self.taken(key)

    @rule(seconds=st.integers(0, 3))
    def wait(self, seconds: int) -> None:
        """Time passes."""
        self.clock.now += seconds

    @invariant()
    def counts(self) -> None:
        """What it says it holds is what it holds."""
        if hasattr(self, "cache"):
            stats = self.cache.stats()
            assert (len(self.model), sum(len(entry[1]) for entry in self.model)) == (stats.entries, stats.bytes)


TestCacheMachine = CacheMachine.TestCase
TestCacheMachine.settings = settings(max_examples=80, stateful_step_count=30)

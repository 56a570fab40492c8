"""What every cache does, shown with the least that one must have."""

from __future__ import annotations

import logging
import threading
from decimal import Decimal

import pytest

from llmkit import Usage
from llmkit.cache.base import CacheFault, CacheStats, Kept, ResponseCache


class Failing(ResponseCache):
    """One whose disk is gone."""

    def _load(self, key: str) -> tuple[bytes, float] | None:
        raise CacheFault("gone")

    def _save(self, key: str, payload: bytes) -> None:
        raise CacheFault("gone")

    def _drop(self, key: str) -> None:
        raise CacheFault("gone")

    def _drop_all(self) -> None:
        raise CacheFault("gone")

    def _secret(self) -> bytes:
        raise CacheFault("gone")

    def _holds(self) -> tuple[int | None, int | None]:
        raise CacheFault("gone")


class Aged(ResponseCache):
    """One that holds a single answer, of any age."""

    def __init__(self, age: float, **kwargs: float) -> None:
        super().__init__(**kwargs)
        self.age = age
        self.dropped: list[str] = []

    def _load(self, key: str) -> tuple[bytes, float] | None:
        return b"answer", self.age

    def _save(self, key: str, payload: bytes) -> None: ...

    def _drop(self, key: str) -> None:
        self.dropped.append(key)

    def _drop_all(self) -> None: ...

    def _secret(self) -> bytes:
        return b"s" * 32


def test_nothing_that_goes_wrong_leaves_a_cache(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is asked of it: it warns once, and from then on only says so to who debugs."""
    cache = Failing()

    with caplog.at_level(logging.DEBUG, "llmkit.cache"):
        assert cache.get("a") is None
        cache.put("a", b"1")
        cache.delete("a")
        cache.clear()
        assert cache.secret() is None
        assert CacheStats() == cache.stats()
        cache.close()

    assert ["WARNING", *["DEBUG"] * 5] == [record.levelname for record in caplog.records]


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (0.0, Kept(b"answer")),
        (9.9, Kept(b"answer")),
        (10.0, Kept(b"answer", True)),
        (14.9, Kept(b"answer", True)),
        (15.0, None),
        (-0.1, None),
    ],
)
def test_an_age_decides(age: float, expected: Kept | None) -> None:
    """What is of no more use is dropped."""
    cache = Aged(age, ttl=10, stale_if_error=5)

    assert expected == cache.get("a")
    assert ([] if expected else ["a"]) == cache.dropped


def test_without_a_ttl_nothing_is_too_old() -> None:
    """Nor stale."""
    assert Kept(b"answer") == Aged(1e12).get("a")


def test_counts_are_exact_under_threads() -> None:
    """Hits, misses, tokens and money."""
    cache = Aged(0.0)

    def work() -> None:
        for _ in range(200):
            cache.count_miss()
            cache.count_hit(Usage(input_tokens=2, output_tokens=1), Decimal("0.01"), stale=False)
            cache.count_hit(Usage(input_tokens=1), None, stale=True)

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert cache.stats() == CacheStats(
        hits=2000, misses=1000, stale=1000, saved=Usage(input_tokens=3000, output_tokens=1000), saved_cost=Decimal(10)
    )


def test_a_rate_is_a_share() -> None:
    """Of nothing, none."""
    assert [0.0, 0.75] == [CacheStats().hit_rate, CacheStats(hits=3, misses=1).hit_rate]


def test_a_forked_child_counts_with_a_lock_of_its_own() -> None:
    """The old one may be held by a thread that is not there."""
    cache = Aged(0.0)
    cache._counting.acquire()

    cache.renew()
    cache.count_miss()

    assert 1 == cache.stats().misses

"""Orders of endpoints."""

from __future__ import annotations

import random
from typing import Any, cast

import pytest
from attrs import define
from hypothesis import given
from hypothesis import strategies as st

from llmkit.strategies import EXPLORED, STRATEGIES, Candidate, ranked


@define
class Place:
    """As much of an endpoint as is asked here."""

    name: str
    is_let_through: bool = True
    in_flight: int = 0
    latency: float | None = None
    price: float | None = None


def names(strategy: str, *places: Place, turn: int = 0, weights: tuple[float, ...] = (), chance: float = 0.0) -> list[str]:
    shares = weights or (1.0,) * len(places)
    candidates = [Candidate(cast("Any", place), weight) for place, weight in zip(places, shares, strict=True)]
    order = ranked(strategy, candidates, turn=turn, chance=lambda: chance)
    return [cast("Any", candidate.endpoint).name for candidate in order]


@pytest.mark.parametrize("strategy", STRATEGIES)
@given(count=st.integers(1, 6), turn=st.integers(0, 100), seed=st.integers())
def test_every_order_holds_all(strategy: str, count: int, turn: int, seed: int) -> None:
    """Nobody is lost, nobody asked twice."""
    candidates = [Candidate(cast("Any", Place(str(number), latency=number or None, price=number or None))) for number in range(count)]

    order = ranked(strategy, candidates, turn=turn, chance=random.Random(seed).random)

    assert sorted(map(id, candidates)) == sorted(map(id, order))


@pytest.mark.parametrize("strategy", sorted(set(STRATEGIES) - {"fallback"}))
def test_who_is_left_alone_comes_last(strategy: str) -> None:
    """Whatever else speaks for it."""
    broken = Place("broken", is_let_through=False, latency=0.001, price=0.01)

    order = names(strategy, broken, Place("well", in_flight=9, latency=1.0, price=9.0))

    assert ["well", "broken"] == order


def test_fallback_keeps_the_users_order() -> None:
    """Also when the first is left alone: its refusal costs nothing."""
    assert ["a", "b"] == names("fallback", Place("a", is_let_through=False), Place("b"))


def test_the_cheapest_comes_first_and_unknown_is_no_bargain() -> None:
    """A price of nothing is a price; none is none."""
    assert ["free", "cheap", "dear", "unknown"] == names(
        "cheapest", Place("unknown"), Place("dear", price=9.0), Place("cheap", price=1.0), Place("free", price=0.0)
    )


def test_the_unmeasured_is_asked_before_the_fastest() -> None:
    """So that it is measured."""
    assert ["new", "quick", "slow"] == names("fastest", Place("slow", latency=1.0), Place("quick", latency=0.1), Place("new"))


def test_now_and_then_the_slow_one_is_asked() -> None:
    """It may have become fast."""
    places = (Place("quick", latency=0.1), Place("slow", latency=1.0))

    firsts = {names("fastest", *places, turn=turn)[0] for turn in range(2 * EXPLORED)}

    assert {"quick", "slow"} == firsts


def test_equally_busy_ones_take_turns() -> None:
    """Or the first would get everything."""
    assert ["a", "b"] == [names("least_busy", Place("a"), Place("b"), turn=turn)[0] for turn in range(2)]


@pytest.mark.parametrize(("chance", "first"), [(0.0, "a"), (0.74, "a"), (0.76, "b"), (0.999, "b")])
def test_a_weight_is_a_share_of_the_chance(chance: float, first: str) -> None:
    """Three quarters and one."""
    assert first == names("weighted", Place("a"), Place("b"), weights=(3.0, 1.0), chance=chance)[0]

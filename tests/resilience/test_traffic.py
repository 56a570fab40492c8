"""What an endpoint is doing, and how fast it has been."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.resilience.traffic import REMEMBERED, Traffic


def test_what_is_begun_is_in_flight_until_it_ends() -> None:
    """However it ends."""
    traffic = Traffic()
    traffic.begin()
    traffic.begin()

    traffic.end(0.1)
    traffic.end(None)

    assert 0 == traffic.in_flight


def test_a_failure_has_no_latency() -> None:
    """It says nothing of how fast answers are."""
    traffic = Traffic()
    traffic.begin()

    traffic.end(None)

    assert traffic.average is None
    assert traffic.quantile(0.5, of_at_least=1) is None


def test_newer_answers_weigh_more() -> None:
    """An endpoint that became fast is found out."""
    traffic = Traffic()
    for latency in [1.0] * 5 + [0.1] * 20:
        traffic.end(latency)

    assert 0.1 < (traffic.average or 0) < 0.12


@given(st.lists(st.floats(0, 100), min_size=1, max_size=400), st.floats(0.01, 1.0))
def test_a_quantile_is_one_of_the_latest_latencies(latencies: list[float], share: float) -> None:
    """At least that share of those remembered lie within it."""
    traffic = Traffic()
    for latency in latencies:
        traffic.end(latency)
    held = latencies[-REMEMBERED:]

    quantile = traffic.quantile(share, of_at_least=1)

    assert quantile in held
    assert sum(latency <= quantile for latency in held) >= int(share * len(held))


def test_too_few_answers_have_no_quantile() -> None:
    """One answer is no distribution."""
    traffic = Traffic()
    traffic.end(0.2)

    assert traffic.quantile(0.5, of_at_least=2) is None
    assert 0.2 == pytest.approx(traffic.quantile(0.5, of_at_least=1))


def test_a_child_has_nothing_in_flight() -> None:
    """The parent's threads are not there."""
    traffic = Traffic()
    traffic.begin()

    traffic.renew()

    assert 0 == traffic.in_flight

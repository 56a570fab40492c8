"""When a second request may go out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit import ConfigurationError, Hedge
from llmkit.resilience.hedge import HedgePolicy
from llmkit.resilience.traffic import Traffic


def test_the_delay_is_the_quantile_of_recent_latencies() -> None:
    """Once there are enough of them."""
    traffic = Traffic()
    policy = HedgePolicy(Hedge(after=0.9, min_calls=10))
    for tenth in range(9):
        traffic.end(tenth / 10)
    early = policy.delay(traffic)
    traffic.end(0.9)

    later = policy.delay(traffic)

    assert early is None
    assert 0.9 == later


def test_a_fixed_delay_needs_no_history() -> None:
    """It is what it is."""
    assert 0.25 == HedgePolicy(Hedge(delay=0.25)).delay(Traffic())


@given(st.floats(0.01, 1.0), st.integers(1, 300))
def test_the_share_is_never_exceeded(share: float, calls: int) -> None:
    """Except by the very first."""
    policy = HedgePolicy(Hedge(delay=0.0, max_share=share))
    sent = 0
    for _ in range(calls):
        policy.delay(Traffic())
        sent += policy.may_send()

    assert sent <= max(1, share * calls)
    assert policy.share == sent / calls


@pytest.mark.parametrize("wrong", [{"after": 0}, {"after": 1.1}, {"delay": -1}, {"max_share": 0}, {"max_share": 2}, {"min_calls": 0}])
def test_a_value_out_of_range_is_refused_by_name(wrong: dict[str, Any]) -> None:
    """At the door."""
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        Hedge(**wrong)

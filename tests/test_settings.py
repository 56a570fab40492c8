"""The arguments of both faces."""

from __future__ import annotations

from typing import Any

import pytest

from llmkit import CircuitBreakerConfig, ConfigurationError, RetryConfig
from llmkit.settings import Settings


def test_a_policy_may_be_a_dict() -> None:
    """As a file has it; of the retries also in milliseconds."""
    settings = Settings(retry={"max_retries": 1}, circuit_breaker={"failure_threshold": 2, "reset_time": 5.0})

    assert RetryConfig(max_retries=1) == settings.retry
    assert CircuitBreakerConfig(failure_threshold=2, reset_time=5.0) == settings.circuit_breaker
    assert RetryConfig(base_delay=0.25, multiplier=3) == Settings(retry={"initial_delay_ms": 250, "backoff_multiplier": 3}).retry


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"retry": {"max_retires": 1}}, "retry.max_retires is not known. Did you mean 'max_retries'"),
        ({"retry": {"max_retries": "x"}}, "max_retries must be a whole number"),
        ({"circuit_breaker": {"threshold": 1}}, "circuit_breaker.threshold is not known"),
        ({"circuit_breaker": {"failure_threshold": 0}}, "failure_threshold must be at least 1"),
        ({"retry": 3}, "retry is a RetryConfig"),
    ],
)
def test_what_is_no_policy_is_refused_by_name(arguments: dict[str, Any], words: str) -> None:
    """And the nearest name is told."""
    with pytest.raises(ConfigurationError, match=words):
        Settings(**arguments)

"""The arguments of both faces."""

from __future__ import annotations

from typing import Any

import pytest

from llmkit import CircuitBreakerConfig, ConfigurationError, Hedge, RetryConfig
from llmkit.settings import Settings


def test_a_policy_may_be_a_dict() -> None:
    """As a file has it; of the retries also in milliseconds."""
    settings = Settings(retry={"max_retries": 1}, circuit_breaker={"failure_threshold": 2, "reset_time": 5.0})

    assert RetryConfig(max_retries=1) == settings.retry
    assert CircuitBreakerConfig(failure_threshold=2, reset_time=5.0) == settings.circuit_breaker
    assert Hedge(delay=0.5) == Settings(hedge={"delay": 0.5}).hedge
    assert RetryConfig(base_delay=0.25, multiplier=3) == Settings(retry={"initial_delay_ms": 250, "backoff_multiplier": 3}).retry


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"retry": {"max_retires": 1}}, "retry.max_retires is not known. Did you mean 'max_retries'"),
        ({"retry": {"max_retries": "x"}}, "max_retries must be a whole number"),
        ({"circuit_breaker": {"threshold": 1}}, "circuit_breaker.threshold is not known"),
        ({"circuit_breaker": {"failure_threshold": 0}}, "failure_threshold must be at least 1"),
        ({"hedge": {"dely": 1}}, "hedge.dely is not known. Did you mean 'delay'"),
        ({"retry": 3}, "retry is a RetryConfig, a dict of its fields, or None to switch it off; not 3"),
        ({"circuit_breaker": False}, "circuit_breaker is a CircuitBreakerConfig, a dict .* or None .* not False"),
        ({"hedge": 0.95}, "hedge is a Hedge, a dict"),
    ],
)
def test_what_is_no_policy_is_refused_by_name(arguments: dict[str, Any], words: str) -> None:
    """And the nearest name is told."""
    with pytest.raises(ConfigurationError, match=words):
        Settings(**arguments)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tempurature", "Did you mean 'temperature'"),
        ("time_out", "Did you mean 'timeout'"),
        ("max_retries", r"Did you mean retry=RetryConfig\(max_retries=...\)"),
        ("api_base", "Did you mean base_url="),
        ("logprobs", "extra_body="),
    ],
)
@pytest.mark.parametrize("value", [3, None])
def test_an_argument_that_does_not_exist_is_refused_whatever_its_value(name: str, words: str, value: Any) -> None:
    """What was probably meant is told, in the words of other libraries too."""
    with pytest.raises(ConfigurationError, match=f"There is no argument '{name}'.*{words}"):
        Settings(defaults={name: value})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"timeout": None}, "timeout is a number of seconds above zero, not None"),
        ({"idle_timeout": None}, "idle_timeout is a number of seconds above zero, not None"),
        ({"defaults": {"system": 5}}, "system is a string"),
        ({"transport": 5}, r"transport is an object with send\(\)"),
    ],
)
def test_what_would_fail_in_the_first_call_is_refused_at_once(arguments: dict[str, Any], words: str) -> None:
    """With the name of the argument."""
    with pytest.raises(ConfigurationError, match=words):
        Settings(**arguments)


def test_an_empty_model_is_not_taken_for_none() -> None:
    """A variable that is not set must not choose another provider."""
    with pytest.raises(ConfigurationError, match="model is an empty string"):
        Settings.of(model="")


def test_no_deadline_is_a_deadline() -> None:
    """Unlike no time-out: without one a dead connection is never noticed."""
    assert Settings(deadline=None).deadline is None


@pytest.mark.parametrize(
    "arguments",
    [
        {"api_key": "k"},
        {"api_keys": ["k"]},
        {"options": {"token": "t"}},
        {"fallbacks": [{"model": "openai/m", "api_key": "k"}]},
        {"fallbacks": ["openai/m", {"model": "openai/m", "api_keys": ["k"]}]},
    ],
)
def test_a_literal_key_does_not_travel(arguments: dict[str, Any]) -> None:
    """Nor that of a fallback."""
    with pytest.raises(ConfigurationError, match="pickle_keys"):
        Settings(**arguments).portable()

    assert Settings(**arguments, pickle_keys=True).portable()


def test_what_was_given_lies_over_what_was_found() -> None:
    """Of parameters each counts by itself; of credentials one is enough."""
    given = Settings(timeout=7, api_key="mine", defaults={"temperature": 0})

    found = given.over({"model": "openai/m", "timeout": 5, "deadline": 9, "api_keys": ["a"], "auth": False, "temperature": 1, "seed": 3})

    assert ("openai/m", 7, 9, "mine", None, None) == (
        found.model,
        found.timeout,
        found.deadline,
        found.api_key,
        found.api_keys,
        found.auth,
    )
    assert {"temperature": 0, "seed": 3} == found.defaults

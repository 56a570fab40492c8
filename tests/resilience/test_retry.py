from __future__ import annotations

import math
import pickle

import pytest
from attrs.exceptions import FrozenInstanceError
from hypothesis import given
from hypothesis import strategies as st

from llmkit.errors import ConfigurationError
from llmkit.resilience.retry import RetryConfig


def surely() -> float:
    return 1.0


def never() -> float:
    return 0.0


def test_the_defaults_are_those_of_the_contract() -> None:
    """Users rely on them without writing them."""
    config = RetryConfig()

    assert (3, 1.0, 30.0, 2.0, True, 60.0, True) == (
        config.max_retries,
        config.base_delay,
        config.max_delay,
        config.multiplier,
        config.jitter,
        config.retry_after_cap,
        config.retry_timeouts,
    )


@pytest.mark.parametrize("field", ["max_retries", "base_delay", "max_delay", "multiplier", "retry_after_cap"])
@pytest.mark.parametrize("value", [True, -1, math.nan, "3", None])
def test_a_value_out_of_range_names_its_field(field: str, value: object) -> None:
    """Nothing that is no number is taken for one."""
    with pytest.raises(ConfigurationError, match=f"^{field} must be"):
        RetryConfig(**{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["jitter", "retry_timeouts"])
def test_a_switch_that_is_no_bool_names_its_field(field: str) -> None:
    """A switch is on or off."""
    with pytest.raises(ConfigurationError, match=f"^{field} must be"):
        RetryConfig(**{field: 1})  # type: ignore[arg-type]


def test_it_does_not_change_and_it_travels() -> None:
    """Clients share it and pickle it."""
    config = RetryConfig(max_retries=7)

    assert config == pickle.loads(pickle.dumps(config))
    with pytest.raises(FrozenInstanceError):
        config.max_retries = 8  # type: ignore[misc]


def test_milliseconds_become_seconds() -> None:
    """The other spelling of the same four numbers."""
    config = RetryConfig.from_ms(initial_delay_ms=250, max_delay_ms=4000, backoff_multiplier=3, max_retries=5)

    assert RetryConfig(base_delay=0.25, max_delay=4.0, multiplier=3, max_retries=5) == config


def test_milliseconds_left_out_are_the_defaults() -> None:
    """Only what is given is changed."""
    assert RetryConfig() == RetryConfig.from_ms()


@pytest.mark.parametrize("field", ["initial_delay_ms", "max_delay_ms", "backoff_multiplier"])
def test_bad_milliseconds_name_the_field_as_it_was_given(field: str) -> None:
    """The user does not know the field by its other name."""
    with pytest.raises(ConfigurationError, match=f"^{field} must be"):
        RetryConfig.from_ms(**{field: "fast"})  # type: ignore[arg-type]


def test_waits_double_up_to_their_bound() -> None:
    """The bound of the n-th wait is base * 2 ** (n - 1), at most max_delay."""
    config = RetryConfig(jitter=False)

    assert [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0] == [config.wait(n, None, surely) for n in range(1, 8)]


def test_jitter_draws_from_zero_to_the_bound() -> None:
    """Full jitter: the whole range, so that callers spread."""
    config = RetryConfig()

    assert (0.0, 4.0) == (config.wait(3, None, never), config.wait(3, None, surely))


def test_a_hint_is_never_shortened() -> None:
    """Up to a quarter is added to what the provider asked for."""
    config = RetryConfig()

    assert (8.0, 10.0) == (config.wait(1, 8.0, never), config.wait(1, 8.0, surely))


def test_a_hint_is_obeyed_to_the_letter_without_jitter() -> None:
    """Without jitter nothing is drawn."""
    assert 8.0 == RetryConfig(jitter=False).wait(1, 8.0, surely)


def test_a_hint_of_zero_is_no_hot_loop() -> None:
    """The own backoff takes its place."""
    assert 2.0 == RetryConfig(jitter=False).wait(2, 0.0, surely)


def test_a_base_of_zero_stays_zero() -> None:
    """Even where the power overflows."""
    assert 0.0 == RetryConfig(base_delay=0).wait(10**6, None, surely)


@given(st.integers(-3, 10**9), st.one_of(st.none(), st.floats(0, 1e6)), st.floats(0, 1))
def test_a_wait_is_bounded_for_any_number_of_failures(failures: int, hint: float | None, drawn: float) -> None:
    """No overflow, no negative wait."""
    wait = RetryConfig().wait(failures, hint, lambda: drawn)

    assert 0 <= wait <= (1.25 * hint if hint else 30.0)

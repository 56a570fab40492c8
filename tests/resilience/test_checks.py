from __future__ import annotations

import math

import pytest

from llmkit.errors import ConfigurationError
from llmkit.resilience.checks import flag, number, whole


@pytest.mark.parametrize("value", [True, "1", None, math.nan, math.inf, -math.inf, -0.1])
def test_what_is_no_fitting_number_is_refused_by_name(value: object) -> None:
    """The error says which field was wrong."""
    with pytest.raises(ConfigurationError, match=r"^delay must be"):
        number("delay", value)


@pytest.mark.parametrize(("value", "bounds"), [(0, {"above": 0.0}), (0.9, {"least": 1.0}), (1.1, {"most": 1.0})])
def test_a_number_out_of_bounds_is_refused(value: float, bounds: dict[str, float]) -> None:
    """Each of the three bounds is one."""
    with pytest.raises(ConfigurationError, match=r"^rate must be"):
        number("rate", value, **bounds)


def test_numbers_within_their_bounds_are_taken() -> None:
    """The bounds themselves belong to the range, except for the open one."""
    number("rate", 0)
    number("rate", 1.0, least=1.0, most=1.0)
    number("rate", 0.001, above=0.0)


@pytest.mark.parametrize("value", [True, 1.0, "1", None, -1])
def test_what_is_no_fitting_whole_number_is_refused_by_name(value: object) -> None:
    """A bool and a float are no counts."""
    with pytest.raises(ConfigurationError, match=r"^count must be"):
        whole("count", value)


def test_a_flag_is_a_bool() -> None:
    """An int that looks like one is refused."""
    flag("jitter", False)

    with pytest.raises(ConfigurationError, match=r"^jitter must be"):
        flag("jitter", 1)

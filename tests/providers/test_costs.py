"""What servers say of the cost of an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit import Usage
from llmkit.providers.costs import cohere_charges, openrouter_cost, perplexity_cost, xai_cost

Reader = Callable[[Mapping[str, Any]], Any]
READERS: list[Reader] = [openrouter_cost, xai_cost, perplexity_cost, cohere_charges]


@pytest.mark.parametrize(
    ("read", "usage", "cost"),
    [
        (openrouter_cost, {"cost": 0.00014, "is_byok": False}, "0.00014"),
        (openrouter_cost, {"cost": 0}, "0"),
        (openrouter_cost, {"cost": 0.01, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.2}}, "0.21"),
        (xai_cost, {"cost_in_usd_ticks": 1497500}, "0.00014975"),
        (perplexity_cost, {"cost": {"input_tokens_cost": 0.001, "request_cost": 0.005, "total_cost": 0.0061}}, "0.0061"),
    ],
)
def test_a_cost_is_taken_as_it_is_said(read: Reader, usage: dict[str, Any], cost: str) -> None:
    """In dollars, whatever the server's own unit."""
    assert Decimal(cost) == read({"usage": usage})


@pytest.mark.parametrize(
    ("read", "usage"),
    [
        (openrouter_cost, {}),
        (openrouter_cost, {"cost": 0.01, "is_byok": True, "cost_details": {"upstream_inference_cost": None}}),
        (openrouter_cost, {"cost": "much"}),
        (openrouter_cost, {"cost": -1}),
        (xai_cost, {"cost_in_usd_ticks": None}),
        (perplexity_cost, {"cost": 3}),
        (cohere_charges, {"tokens": {"input_tokens": 3}}),
        (cohere_charges, {"billed_units": {"search_units": 1}}),
    ],
)
def test_what_is_not_said_is_not_guessed(read: Reader, usage: dict[str, Any]) -> None:
    """The catalogue's prices count then."""
    assert read({"usage": usage}) is None


def test_cohere_charges_for_less_than_it_has_read() -> None:
    """Its own prompts are free; numbers come as fractions."""
    answer = {"usage": {"tokens": {"input_tokens": 900.0}, "billed_units": {"input_tokens": 13.0, "output_tokens": 2.0}}}

    assert Usage(input_tokens=13, output_tokens=2) == cohere_charges(answer)


@pytest.mark.parametrize("read", READERS)
@given(usage=st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.dictionaries(st.text(), inner)))
def test_any_answer_can_be_read(read: Reader, usage: Any) -> None:
    """What stands there may be anything."""
    assert read({"usage": usage}) is None
    assert read({}) is None

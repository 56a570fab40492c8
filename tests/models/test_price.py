"""What tokens cost, to the last digit."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from llmkit import ConfigurationError, Price, Usage, price_of

TOKENS = st.integers(0, 10**12)
RATES = st.decimals(0, 1000, allow_nan=False, allow_infinity=False, places=9)
PRICES = st.builds(
    Price,
    input=RATES,
    output=RATES,
    cache_read=st.none() | RATES,
    cache_write=st.none() | RATES,
    cache_write_1h=st.none() | RATES,
    reasoning=st.none() | RATES,
)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Draw a usage whose parts fit into their wholes."""
    plain, read, short, long, said, thought = (draw(TOKENS) for _ in range(6))
    return Usage(
        input_tokens=plain + read + short + long,
        output_tokens=said + thought,
        cache_read_tokens=read,
        cache_write_tokens=short + long,
        cache_write_1h_tokens=long,
        reasoning_tokens=thought,
    )


def told(usage: Usage, price: Price) -> Fraction:
    """Return the cost as one would tell it, in fractions."""

    def rate(*rates: Decimal | None) -> Fraction:
        return Fraction(next(rate for rate in rates if rate is not None))

    short = usage.cache_write_tokens - usage.cache_write_1h_tokens
    plain = usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens
    return (
        plain * rate(price.input)
        + usage.cache_read_tokens * rate(price.cache_read, price.input)
        + short * rate(price.cache_write, price.input)
        + usage.cache_write_1h_tokens * rate(price.cache_write_1h, price.cache_write, price.input)
        + (usage.output_tokens - usage.reasoning_tokens) * rate(price.output)
        + usage.reasoning_tokens * rate(price.reasoning, price.output)
    ) / 1_000_000


@given(usage=usages(), price=PRICES)
def test_a_cost_is_exact(usage: Usage, price: Price) -> None:
    """No digit is rounded away, also where the caller's own arithmetic keeps but three."""
    with localcontext() as context:
        context.prec = 3
        cost = price_of(usage, price)

    assert cost is not None
    assert told(usage, price) == Fraction(cost)


@given(one=usages(), other=usages(), price=PRICES)
def test_two_answers_cost_what_both_cost(one: Usage, other: Usage, price: Price) -> None:
    """Where there are no tiers, the cost of a sum is the sum of the costs."""
    costs = [price_of(usage, price) for usage in (one, other, one + other)]

    assert Fraction(costs[2] or 0) == Fraction(costs[0] or 0) + Fraction(costs[1] or 0)


@given(usage=usages(), price=PRICES, above=st.integers(0, 10**12))
def test_a_tier_holds_for_every_token(usage: Usage, price: Price, above: int) -> None:
    """Above its mark all of a request costs more, and up to it nothing does."""
    dearer = Price(input="2000", output="3000")

    cost = price_of(usage, evolve(price, tiers=((above, dearer),)))

    assert price_of(usage, dearer if usage.input_tokens > above else price) == cost


def test_the_highest_tier_reached_counts() -> None:
    """In whatever order they were given."""
    price = Price(input=1, output=1, tiers=((200, Price(input=3, output=3)), (100, Price(input=2, output=2))))

    costs = [price_of(Usage(input_tokens=tokens), price) for tokens in (100, 101, 200, 201)]

    assert [Decimal(100), Decimal(202), Decimal(400), Decimal(603)] == [cost and cost * 1_000_000 for cost in costs]


def test_each_kind_of_token_has_its_price() -> None:
    """The numbers of a real answer, worked out by hand."""
    price = Price(input="3", output="15", cache_read="0.30", cache_write="3.75", cache_write_1h="6", reasoning="20")
    usage = Usage(
        input_tokens=10_000,
        cache_read_tokens=4_000,
        cache_write_tokens=3_000,
        cache_write_1h_tokens=1_000,
        output_tokens=500,
        reasoning_tokens=100,
    )

    cost = price_of(usage, price)

    assert Decimal("0.0317") == Decimal("0.009") + Decimal("0.0012") + Decimal("0.0075") + Decimal("0.006") + Decimal("0.008")
    assert Decimal("0.0317") == cost


@pytest.mark.parametrize(
    ("usage", "price"),
    [
        (Usage(input_tokens=5), None),
        (Usage(reported=False), Price(input="1", output="1")),
        (Usage(input_tokens=5, output_tokens=1), Price(input="1")),
        (Usage(input_tokens=5), Price(output="1")),
    ],
)
def test_what_is_not_known_has_no_cost(usage: Usage, price: Price | None) -> None:
    """It is not nothing."""
    assert price_of(usage, price) is None


def test_what_is_free_costs_nothing() -> None:
    """A price of zero is known; and embeddings need no price for what they do not give back."""
    assert Decimal(0) == price_of(Usage(input_tokens=5, output_tokens=5), Price(input=0, output=0))
    assert Decimal("0.0000001") == price_of(Usage(input_tokens=5), Price(input="0.02"))


@pytest.mark.parametrize(("given_as", "dollars"), [(3, "3"), (0.1, "0.1"), ("2.50", "2.50"), (Decimal("1.25"), "1.25")])
def test_a_price_is_taken_as_it_is_written(given_as: Any, dollars: str) -> None:
    """A float too: nobody means its binary fraction."""
    assert Decimal(dollars) == Price(input=given_as).input


@pytest.mark.parametrize("wrong", [-1, "free", float("nan"), float("inf"), True, [1]])
def test_what_is_no_price_is_refused(wrong: Any) -> None:
    """Before anything is counted with it."""
    with pytest.raises(ConfigurationError, match="number of dollars"):
        Price(input=wrong)

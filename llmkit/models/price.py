"""
What tokens cost, in US dollars: pure arithmetic, exact whatever the caller's decimal context is.

Rule 1: what is not known is None, and never 0.
Rule 2: a kind of token without a price of its own costs what the kind costs that it is a part of: what a cache held is input, what was
thought is output.
Rule 3: a tier holds for all tokens of a request, not only for those above its mark; that is how all providers with tiers count.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Context, Decimal
from typing import Any

from attrs import field

from llmkit.errors import ConfigurationError
from llmkit.models.usage import Usage
from llmkit.values import frozen

__all__ = ["EXACT", "Price", "price_of"]

# For all arithmetic with costs: more digits than a price times any number of tokens has, and no traps, since nothing goes wrong in it.
EXACT = Context(prec=80, traps=[])
_NOTHING = Decimal(0)


def _dollars(value: Any) -> Decimal | None:
    if value is None:
        return None
    # A float is taken as it is written: 0.1 is a tenth. What is no number at all becomes NaN here.
    known = isinstance(value, (int, float, str, Decimal)) and not isinstance(value, bool)
    dollars = EXACT.create_decimal(str(value) if known else "NaN")
    if not dollars.is_finite() or dollars < 0:
        msg = f"A price is a number of dollars of at least 0, such as '2.50', not {value!r}."
        raise ConfigurationError(msg)
    return dollars


def _ascending(tiers: Iterable[tuple[int, Price]]) -> tuple[tuple[int, Price], ...]:
    return tuple(sorted(tiers, key=lambda tier: tier[0]))


@frozen(kw_only=True)
class Price:
    """
    US dollars per million tokens; numbers, or text such as ``"2.50"``.

    Args:
        input: What is sent.
        output: What comes back; None where nothing does, as from embeddings.
        cache_read: Input that the provider had in its cache.
        cache_write: Input that it put there, for five minutes or for as long as it likes.
        cache_write_1h: Input that it put there for an hour.
        reasoning: Output that is thought.
        tiers: Pairs of a number of input tokens and the price of everything in a request that has more.
        batch: The price in the provider's own batches.

    Raises:
        ConfigurationError: If something is no price.
    """

    input: Decimal | None = field(default=None, converter=_dollars)
    output: Decimal | None = field(default=None, converter=_dollars)
    cache_read: Decimal | None = field(default=None, converter=_dollars)
    cache_write: Decimal | None = field(default=None, converter=_dollars)
    cache_write_1h: Decimal | None = field(default=None, converter=_dollars)
    reasoning: Decimal | None = field(default=None, converter=_dollars)
    tiers: tuple[tuple[int, Price], ...] = field(default=(), converter=_ascending)
    batch: Price | None = None

    def tier(self, input_tokens: int) -> Price:
        """Return the price that holds for a request of *input_tokens*."""
        return next((price for above, price in reversed(self.tiers) if input_tokens > above), self)


def price_of(usage: Usage, price: Price | None) -> Decimal | None:
    """
    Return what *usage*, that of one request, costs at *price*, in US dollars, exactly.

    None where it is not known: no price, none for a kind of token that was used, or a usage that nobody reported.
    """
    if price is None or not usage.reported:
        return None
    if price.tiers:
        price = price.tier(usage.input_tokens)
    read, written, thought = usage.cache_read_tokens, usage.cache_write_tokens, usage.reasoning_tokens
    for_an_hour = usage.cache_write_1h_tokens
    plain, said = usage.input_tokens - read - written, usage.output_tokens - thought
    write = price.input if price.cache_write is None else price.cache_write
    total = _NOTHING
    kinds = [(plain, price.input), (said, price.output)]
    if read or written or thought:
        kinds += (
            (read, price.input if price.cache_read is None else price.cache_read),
            (written - for_an_hour, write),
            (for_an_hour, write if price.cache_write_1h is None else price.cache_write_1h),
            (thought, price.output if price.reasoning is None else price.reasoning),
        )
    for tokens, rate in kinds:
        if tokens > 0:
            if rate is None:
                return None
            total = EXACT.fma(rate, tokens, total)
    return EXACT.scaleb(total, -6)

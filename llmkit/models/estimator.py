"""What was used up to a moment, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from attrs import field

from llmkit.models.usage import Usage
from llmkit.values import frozen

__all__ = ["UsageEstimator"]


@frozen
class UsageEstimator:
    """
    What was used up to a moment.

    Args:
        input_tokens: All input, cached included.
        output_tokens: All output, reasoning included.
        estimated_cost: US dollars, by list prices or as the provider said. Where the price of some answers is not known, it is the sum of
            the others, and ``unpriced`` is not 0; where none is known, it is None.
        by_model: The same by ``"provider/model"``.
        usage: The tokens by their kinds.
        answers: How many answers, whole and broken off, were counted.
        unpriced: How many of them are not in the cost.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    estimated_cost: Decimal | None = Decimal(0)
    by_model: Mapping[str, UsageEstimator] = field(factory=dict, kw_only=True)
    usage: Usage = field(factory=Usage, kw_only=True)
    answers: int = field(default=0, kw_only=True)
    unpriced: int = field(default=0, kw_only=True)

"""
What servers themselves say of the cost of an answer, and of what they charge for.

Rule: only what is sure is taken. What a server leaves open is priced by the catalogue.

Sources: OpenRouter, "Usage accounting"; xAI, "Cost tracking"; Perplexity, "Pricing"; Cohere, "How does Cohere's pricing work?"; and
recorded traffic; read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from llmkit.dialects.wire_json import at, count
from llmkit.models.price import EXACT
from llmkit.models.usage import Usage

__all__ = ["cohere_charges", "openrouter_cost", "perplexity_cost", "xai_cost"]

TICK = Decimal("1E-10")  # US dollars: the unit of xAI's bills


def openrouter_cost(answer: Mapping[str, Any]) -> Decimal | None:
    """Return the cost in its credits, which are US dollars; with a key of one's own, its fee and what the provider behind it charges."""
    usage = answer.get("usage")
    cost = _number(at(usage, "cost"))
    if not at(usage, "is_byok"):
        return cost
    upstream = _number(at(at(usage, "cost_details"), "upstream_inference_cost"))
    return None if cost is None or not upstream else EXACT.add(cost, upstream)


def xai_cost(answer: Mapping[str, Any]) -> Decimal | None:
    ticks = _number(at(answer.get("usage"), "cost_in_usd_ticks"))
    return None if ticks is None else EXACT.multiply(ticks, TICK)


def perplexity_cost(answer: Mapping[str, Any]) -> Decimal | None:
    """Return the cost in all: beside tokens each request is charged for its search."""
    return _number(at(at(answer.get("usage"), "cost"), "total_cost"))


def cohere_charges(answer: Mapping[str, Any]) -> Usage | None:
    """Return the tokens that are charged for, which are fewer than the model has read: its own prompts are free."""
    billed = at(answer.get("usage"), "billed_units")
    if not isinstance(billed, dict) or not ("input_tokens" in billed or "output_tokens" in billed):
        return None
    return Usage(input_tokens=count(billed.get("input_tokens")), output_tokens=count(billed.get("output_tokens")))


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    number = Decimal(str(value))
    return number if number.is_finite() and number >= 0 else None

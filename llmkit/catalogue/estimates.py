"""What a call is going to cost, before it is made."""

from __future__ import annotations

import time
from decimal import Decimal

from llmkit.catalogue.registry import ModelRegistry
from llmkit.catalogue.tokens import estimate_request
from llmkit.models.price import price_of
from llmkit.models.request import CompletionRequest
from llmkit.models.usage import Usage
from llmkit.providers import Provider

__all__ = ["estimate_cost", "estimate_usage"]

# Tokens that come back where the caller sets no bound: a page of text, and for a model that thinks unasked, its thoughts.
USUAL_OUTPUT = 1000
USUAL_THOUGHTS = 3000
# What is thought at an effort. A budget says it itself.
THOUGHTS = {"none": 0, "minimal": 500, "low": 1500, "medium": 5000, "high": 15000}


def estimate_usage(request: CompletionRequest, provider: str | Provider, model: str) -> Usage:
    """
    Return about what *request* is going to use, as if nothing of it were cached.

    The output is ``max_tokens`` where the request sets it, which is the most that there can be; else what is usual.
    """
    limit = ModelRegistry.get_capabilities(provider, model).max_tokens
    output = request.max_tokens
    if output is None:
        usual = USUAL_OUTPUT + _thoughts(request)
        output = usual if limit is None else min(usual, limit)
    return Usage(input_tokens=estimate_request(request), output_tokens=output)


def estimate_cost(request: CompletionRequest, provider: str | Provider, model: str) -> Decimal | None:
    """
    Return about what *request* is going to cost at *provider*, in US dollars; None where the price of *model* is not known.

    Raises:
        ConfigurationError: If there is no such provider.
    """
    price = ModelRegistry.get_price(provider, model, at=time.time())
    return None if price is None else price_of(estimate_usage(request, provider, model), price)


def _thoughts(request: CompletionRequest) -> int:
    if request.reasoning is None:
        return USUAL_THOUGHTS if request.facts.thinks_by_default else 0
    return THOUGHTS[request.reasoning] if isinstance(request.reasoning, str) else request.reasoning

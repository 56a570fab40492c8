"""
How Claude is asked to think, on every wire that it is behind.

Source: Anthropic's guides "Extended thinking", "Adaptive thinking" and "Effort", read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from llmkit.errors import UnsupportedParameterError
from llmkit.models.request import CompletionRequest

__all__ = ["thinking_fields"]

# Tokens to think within, where a model knows no efforts: the figures of pydantic-ai (August 2026), since the provider has none.
BUDGETS: Mapping[str, int] = {"minimal": 1024, "low": 2048, "medium": 10_000, "high": 16_384}
LEAST_BUDGET = 1024  # tokens, less is refused
EFFORTS: Mapping[str, str] = {"minimal": "low"}  # the wire has nothing lower


def thinking_fields(request: CompletionRequest, *, owner: str, max_tokens: int | None) -> dict[str, Any]:
    """
    Return the fields that say ``request.reasoning``: ``thinking``, ``output_config`` with an effort, both or neither.

    Args:
        owner: The provider, for errors.
        max_tokens: The bound of thoughts and answer together, None where it is not known.

    Raises:
        UnsupportedParameterError: If the model cannot be asked so; it says why.
    """
    facts, reasoning = request.facts, request.reasoning
    if reasoning is None:
        return {}
    if reasoning in ("none", 0):
        return _stopped(request, owner)
    if facts.thinking == "none":
        _refuse(f"has no reasoning for {request.model}, which does not think", owner)
    if isinstance(reasoning, int):
        if facts.thinking == "adaptive" and facts.budget is None:
            _refuse(f"takes reasoning for {request.model} as one of minimal, low, medium, high: it has no budget in tokens", owner)
        return {"thinking": _enabled(reasoning, max_tokens, owner)}
    effort = EFFORTS.get(reasoning, reasoning)
    if facts.thinking != "budget":
        return {"thinking": {"type": "adaptive"}, "output_config": {"effort": effort}}
    budget = BUDGETS[reasoning]
    if max_tokens is not None:
        # What is left must do for the answer.
        budget = min(budget, max(LEAST_BUDGET, max_tokens * 3 // 4))
    said: dict[str, Any] = {"thinking": _enabled(budget, max_tokens, owner)}
    return {**said, "output_config": {"effort": effort}} if effort in facts.efforts else said


def _stopped(request: CompletionRequest, owner: str) -> dict[str, Any]:
    facts = request.facts
    if facts.can_stop_thinking is False:
        _refuse(f"has no reasoning={request.reasoning!r} for {request.model}, which always thinks: the least is 'minimal'", owner)
    if facts.thinks_by_default is False:
        return {}
    return {"thinking": {"type": "between_tools" if "between_tools" in facts.traits else "disabled"}}


def _enabled(budget: int, max_tokens: int | None, owner: str) -> dict[str, Any]:
    if budget < LEAST_BUDGET or (max_tokens is not None and budget >= max_tokens):
        fewer = "" if max_tokens is None else f", and fewer than max_tokens ({max_tokens})"
        _refuse(f"thinks within {LEAST_BUDGET} tokens or more{fewer}; {budget} does not fit", owner)
    return {"type": "enabled", "budget_tokens": budget}


def _refuse(what: str, owner: str) -> NoReturn:
    msg = f"{owner} {what}."
    raise UnsupportedParameterError(msg, "reasoning", owner)

"""What calls are going to cost."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from llmkit import ConfigurationError, estimate_cost
from llmkit.catalogue.estimates import estimate_usage
from llmkit.catalogue.facts import facts_of
from llmkit.models.request import make_request


def asked(model: str, **parameters: Any) -> Any:
    return make_request("Say hi", model=model, facts=facts_of(model), **parameters)


@pytest.mark.parametrize(
    ("model", "parameters", "output"),
    [
        ("gpt-4o-mini", {"max_tokens": 77}, 77),
        ("gpt-4o-mini", {}, 1000),
        ("claude-opus-5", {}, 4000),
        ("claude-opus-5", {"reasoning": "none"}, 1000),
        ("claude-sonnet-4-5", {"reasoning": "high"}, 16_000),
        ("claude-sonnet-4-5", {"reasoning": 2048}, 3048),
        ("gpt-4", {"reasoning": "high"}, 4096),
    ],
)
def test_what_comes_back_is_bounded_or_usual(model: str, parameters: dict[str, Any], output: int) -> None:
    """By the caller, by how the model thinks, and by how much it can write at all."""
    provider = "anthropic" if model.startswith("claude") else "openai"

    assert output == estimate_usage(asked(model, **parameters), provider, model).output_tokens


def test_an_estimate_has_a_price() -> None:
    """The one that an answer of that size would have."""
    request = asked("gpt-4o-mini", max_tokens=1000)
    tokens = estimate_usage(request, "openai", "gpt-4o-mini").input_tokens

    assert tokens * Decimal("0.00000015") + Decimal("0.0006") == estimate_cost(request, "openai", "gpt-4o-mini")


def test_what_has_no_price_has_no_estimate() -> None:
    """Not nothing."""
    assert estimate_cost(asked("llama"), "vllm", "llama") is None
    with pytest.raises(ConfigurationError):
        estimate_cost(asked("llama"), "nobody", "llama")

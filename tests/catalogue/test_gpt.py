"""What is known of OpenAI's own models."""

from __future__ import annotations

import pytest

from llmkit.catalogue.facts import facts_of
from llmkit.models.facts import UNKNOWN_MODEL


@pytest.mark.parametrize(
    "name", ["gpt-4o-mini", "openai/gpt-4.1", "gpt-3.5-turbo", "chatgpt-4o-latest", "ft:gpt-4o:acme::1", "gpt-5-chat-latest"]
)
def test_these_do_not_think(name: str) -> None:
    """Whoever serves them."""
    assert "none" == facts_of(name).thinking


@pytest.mark.parametrize("name", ["gpt-5.6", "openai/gpt-5.6-2026-07-01"])
def test_later_ones_have_nothing_below_low(name: str) -> None:
    """And can be kept from thinking."""
    facts = facts_of(name)

    assert (("low", "medium", "high"), True) == (facts.efforts, facts.can_stop_thinking)


@pytest.mark.parametrize("name", ["gpt-5", "gpt-5.1", "gpt-5.1-chat-latest", "gpt-5.60", "gpt-6", "o3", "my-gpt-4"])
def test_of_others_nothing_is_claimed(name: str) -> None:
    """They pass unhindered."""
    assert UNKNOWN_MODEL == facts_of(name)

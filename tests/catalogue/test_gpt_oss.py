"""What is known of OpenAI's open models."""

from __future__ import annotations

import pytest

from llmkit.catalogue.facts import facts_of
from llmkit.models.facts import UNKNOWN_MODEL


@pytest.mark.parametrize("name", ["gpt-oss:20b", "openai/gpt-oss-120b", "gpt-oss:120b-cloud", "GPT-OSS-20B"])
def test_they_always_think(name: str) -> None:
    """By levels, whoever serves them."""
    facts = facts_of(name)

    assert (False, ("low", "medium", "high"), "level") == (facts.can_stop_thinking, facts.efforts, facts.thinking)


def test_others_are_not_meant() -> None:
    """Nothing is known of them here."""
    assert UNKNOWN_MODEL == facts_of("llama3.2:1b") == facts_of("my-gpt-os")

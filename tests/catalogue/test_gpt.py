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


@pytest.mark.parametrize(
    ("name", "forced"),
    [
        ("gpt-4", True),
        ("gpt-4-0613", True),
        ("openai/gpt-4-turbo-2024-04-09", True),
        ("gpt-3.5-turbo", True),
        ("gpt-35-turbo", True),
        ("ft:gpt-3.5-turbo-0125:acme::1", True),
        ("gpt-4o-2024-05-13", True),
        ("chatgpt-4o-latest", False),
    ],
)
def test_these_are_older_than_schemas(name: str, forced: bool) -> None:
    """All but the last can be made to call a tool instead."""
    facts = facts_of(name)

    assert ({"no_schemas"}, forced) == (facts.traits, facts.forced_tools)


@pytest.mark.parametrize("name", ["gpt-4o", "gpt-4o-mini", "gpt-4o-2024-08-06", "gpt-4.1", "gpt-4.5-preview", "ft:gpt-4o:acme::1"])
def test_these_know_schemas(name: str) -> None:
    """As all later ones do."""
    assert frozenset() == facts_of(name).traits

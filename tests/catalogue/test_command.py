"""What is known of the Command models."""

from __future__ import annotations

import pytest

from llmkit.catalogue.facts import facts_of
from llmkit.models.facts import UNKNOWN_MODEL


@pytest.mark.parametrize(
    ("name", "thinking", "forced"),
    [
        ("command-a-plus-05-2026", "budget", True),
        ("command-a-reasoning-08-2025", "budget", True),
        ("command-a-03-2025", "none", None),
        ("command-a-vision-07-2025", "none", None),
        ("command-r7b-12-2024", "none", None),
        ("command-r-08-2024", "none", False),
        ("command-r-plus-04-2024", "none", False),
        ("command-r-plus", "none", False),
        ("cohere.command-r-plus-v1:0", "none", False),
    ],
)
def test_who_thinks_and_who_can_be_made_to_call(name: str, thinking: str, forced: bool | None) -> None:
    """By their names, wherever they are served."""
    facts = facts_of(name)

    assert (thinking, forced, True) == (facts.thinking, facts.forced_tools, facts.can_stop_thinking)
    assert frozenset() == facts.refuses


@pytest.mark.parametrize("name", ["command-b-2027", "command-a-06-2027", "command-r2-2027"])
def test_models_of_tomorrow_pass_unhindered(name: str) -> None:
    """They may say no themselves."""
    assert UNKNOWN_MODEL == facts_of(name)

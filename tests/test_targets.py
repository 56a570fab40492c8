"""A further place to go, as users write it."""

from __future__ import annotations

from typing import Any

import pytest

from llmkit import ConfigurationError, Target
from llmkit.targets import as_targets


@pytest.mark.parametrize(
    "given",
    ["openai/gpt-4o", Target("openai/gpt-4o"), ["openai/gpt-4o"], (Target("openai/gpt-4o"),), [{"model": "openai/gpt-4o"}]],
)
def test_each_spelling_is_a_target(given: Any) -> None:
    """A name, a Target, a dict, or a sequence of those."""
    assert ["openai/gpt-4o"] == [target.model for target in as_targets("fallbacks", given)]


def test_a_target_says_only_what_was_said() -> None:
    """The rest is the provider's own."""
    assert {"base_url": "http://127.0.0.1:1/v1"} == Target("m", base_url="http://127.0.0.1:1/v1").own


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"model": "m", "weight": 0}, "weight"),
        ({"model": "m", "weight": -1}, "weight"),
        ({"model": "m", "on": "content-filter"}, "content_filter"),
        ({}, "model"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(wrong: dict[str, Any], named: str) -> None:
    """At the door."""
    with pytest.raises(ConfigurationError, match=named):
        Target(**wrong)


def test_a_key_is_not_shown() -> None:
    """Neither one nor several."""
    target = Target("m", api_key="sk-canary-1", api_keys=["sk-canary-2"], options={"token": "sk-canary-3"})

    assert "canary" not in repr(target)

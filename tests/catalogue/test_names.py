"""The many names of one model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.catalogue.names import key_of, spellings


@pytest.mark.parametrize(
    ("name", "known_as"),
    [
        ("claude-sonnet-4-5", "claude-sonnet-4-5"),
        ("Claude-Sonnet-4.5", "claude-sonnet-4-5"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
        ("claude-opus-5@default", "claude-opus-5"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("mistral-large", "mistral-large-latest"),
        ("mistral-large-latest", "mistral-large"),
        ("models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("projects/p/locations/l/publishers/anthropic/models/claude-opus-5", "claude-opus-5"),
        ("accounts/fireworks/models/glm-5p3", "glm-5p3"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "anthropic.claude-sonnet-4-5"),
        ("us-gov.anthropic.claude-opus-5", "anthropic.claude-opus-5"),
        ("anthropic.claude-3-sonnet-20240229-v1:0:200k", "anthropic.claude-3-sonnet"),
        ("arn:aws:bedrock:us-east-1:123:inference-profile/eu.amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0"),
        ("ft:gpt-4o-mini-2024-07-18:acme::a1b2", "ft:gpt-4o-mini-2024-07-18"),
    ],
)
def test_ornaments_are_taken_off(name: str, known_as: str) -> None:
    """One by one."""
    assert key_of(known_as) in spellings(name)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("gpt-4o-mini", "gpt-4o"),
        ("claude-opus-5-5", "claude-opus-5"),
        ("deepseek/deepseek-r1:free", "deepseek/deepseek-r1"),
        ("grok-4-fast", "grok-4"),
        ("mistral-large-2411", "mistral-large"),
        ("embed-english-light-v3.0", "embed-english-light-v2.0"),
    ],
)
def test_what_makes_another_model_stays(name: str, other: str) -> None:
    """So does what makes another price."""
    assert key_of(other) not in spellings(name)


@given(name=st.text(max_size=60))
def test_the_closest_comes_first(name: str) -> None:
    """Any text has spellings, none of them twice, and begins with itself."""
    keys = list(spellings(name))

    assert len(set(keys)) == len(keys)
    if ":" not in name:
        assert key_of(name.strip()) == keys[0]

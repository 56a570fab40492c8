"""Families of models behind Converse, by the ids that AWS gives them."""

from __future__ import annotations

import pytest

from llmkit.catalogue.converse import RULES, converse_rules
from llmkit.models.converse import UNKNOWN_FAMILY


@pytest.mark.parametrize(
    ("model", "reasoning", "thoughts", "schemas"),
    [
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude", "sealed", True),
        ("arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-opus-4-6-v1", "claude", "sealed", True),
        ("anthropic.claude-sonnet-4-20250514-v1:0", "claude", "sealed", False),
        ("us.anthropic.claude-opus-4-7-v1", "claude", "sealed", False),
        ("amazon.nova-lite-v1:0", "none", "none", False),
        ("us.amazon.nova-2-lite-v1:0", "nova", "bare", False),
        ("openai.gpt-oss-120b-1:0", "effort", "bare", True),
        ("qwen.qwen3-32b-v1:0", "config", "bare", True),
        ("us.deepseek.r1-v1:0", "none", "bare", False),
        ("mistral.ministral-3-8b-instruct", None, "none", None),
        ("us.meta.llama4-scout-17b-instruct-v1:0", "none", "none", False),
        ("google.gemma-3-27b-it", None, None, True),
    ],
)
def test_a_model_is_of_its_family(model: str, reasoning: str | None, thoughts: str | None, schemas: bool | None) -> None:
    """Under a region, with a version, at the end of an ARN."""
    rules = converse_rules(model)

    assert (reasoning, thoughts, schemas) == (rules.reasoning, rules.thoughts, rules.schemas)


@pytest.mark.parametrize("model", ["arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/mi1dadi0g15f", "acme.new-v1:0"])
def test_of_others_nothing_is_known(model: str) -> None:
    """So that they are asked as the caller wishes."""
    assert UNKNOWN_FAMILY is converse_rules(model)


def test_no_pattern_is_there_twice() -> None:
    """The second would never be reached."""
    patterns = [pattern for pattern, _ in RULES]

    assert len(set(patterns)) == len(patterns)

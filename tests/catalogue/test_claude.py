"""What is known of the Claude models, under all their names."""

from __future__ import annotations

import pytest

from llmkit.catalogue.claude import RULES
from llmkit.catalogue.facts import facts_of
from llmkit.models.facts import ModelFacts

SAMPLING = frozenset({"temperature", "top_p", "top_k"})


@pytest.mark.parametrize(
    ("names", "like"),
    [
        (
            [
                *("claude-sonnet-4-5-20250929", "claude-sonnet-4.5", "claude-sonnet-4-5@20250929", "anthropic/claude-sonnet-4-5"),
                *("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "databricks-claude-sonnet-4-5", "CLAUDE-SONNET-4-5"),
            ],
            "claude-sonnet-4-5",
        ),
        (["claude-opus-5-20260714", "global.anthropic.claude-opus-5-v1:0"], "claude-opus-5"),
        (["claude-sonnet-4-20250514", "claude-sonnet-4-0", "claude-sonnet-4@20250514"], "claude-sonnet-4"),
        (["claude-fable-5-2"], "claude-fable-5-1"),
    ],
)
def test_a_model_has_many_names(names: list[str], like: str) -> None:
    """Dates, dots, regions and owners are ornaments."""
    assert [facts_of(like)] * len(names) == [facts_of(name) for name in names]


@pytest.mark.parametrize(
    ("one", "other"),
    [("claude-opus-5", "claude-opus-5-5"), ("claude-sonnet-4", "claude-sonnet-4-5"), ("claude-fable-5", "claude-fable-5-1")],
)
def test_a_point_makes_another_model(one: str, other: str) -> None:
    """A date behind a number does not."""
    assert facts_of(one) != facts_of(other)


@pytest.mark.parametrize(
    ("name", "refuses", "limit", "thinking", "forced", "prefill"),
    [
        ("claude-opus-5-5", SAMPLING, 128_000, "adaptive", False, False),
        ("claude-sonnet-5-5", SAMPLING, 128_000, "adaptive", False, False),
        ("claude-haiku-5-5", SAMPLING, 128_000, "adaptive", True, False),
        ("claude-fable-5-1", SAMPLING, 128_000, "adaptive", False, False),
        ("claude-mythos-5", SAMPLING, 128_000, "adaptive", None, False),
        ("claude-opus-5", SAMPLING, 128_000, "adaptive", True, False),
        ("claude-opus-4-7", SAMPLING, 128_000, "adaptive", True, False),
        ("claude-sonnet-4-6", frozenset(), 128_000, "adaptive", True, False),
        ("claude-opus-4-5", frozenset(), 64_000, "budget", True, True),
        ("claude-haiku-4-5", frozenset(), 64_000, "budget", True, True),
        ("claude-opus-4-1", frozenset(), 32_000, "budget", True, True),
        ("claude-3-7-sonnet-latest", frozenset(), 64_000, "budget", True, True),
        ("claude-3-5-sonnet-20241022", frozenset(), 8192, "none", True, True),
        ("anthropic.claude-v2:1", frozenset(), 4096, "none", True, True),
    ],
)
def test_each_generation_has_its_rules(
    name: str, refuses: frozenset[str], limit: int, thinking: str, forced: bool | None, prefill: bool
) -> None:
    """As its documentation has them."""
    facts = facts_of(name)

    assert (refuses, limit, thinking) == (facts.refuses, facts.max_output_tokens, facts.thinking)
    assert (forced, prefill) == (facts.forced_tools, facts.prefill)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("claude-opus-5-5", (True, False)),
        ("claude-sonnet-5-5", (True, True)),
        ("claude-fable-5", (True, False)),
        ("claude-opus-4-8", (False, True)),
        ("claude-sonnet-4-5", (False, True)),
    ],
)
def test_who_thinks_and_who_can_be_stopped(name: str, expected: tuple[bool, bool]) -> None:
    """From the fifth generation on all think, unless they are told not to."""
    assert expected == (facts_of(name).thinks_by_default, facts_of(name).can_stop_thinking)


def test_a_model_of_tomorrow_is_let_through() -> None:
    """Only its length is bounded, since the wire demands a number."""
    assert ModelFacts(max_output_tokens=64_000) == facts_of("claude-novel-7")


def test_every_rule_can_be_found() -> None:
    """None is hidden by another above it."""
    samples = {
        *(
            "claude-fable-5-1",
            "claude-opus-5-5",
            "claude-sonnet-5-5",
            "claude-haiku-5-5",
            "claude-fable-5",
            "claude-opus-5",
            "claude-opus-4-8",
        ),
        *(
            "claude-opus-4-7",
            "claude-opus-4-6",
            "claude-opus-4-5",
            "claude-sonnet-4-5",
            "claude-opus-4-1",
            "claude-opus-4",
            "claude-sonnet-4",
        ),
        *("claude-3-7-sonnet", "claude-3-5-haiku", "claude-3-opus", "claude-novel-7"),
    }

    found = {id(facts_of(name)) for name in samples}

    assert {id(facts) for _, facts in RULES} == found

"""
Rules of the Claude models: which parameters they refuse, how they think.

A name is read wherever it is written: ``claude-sonnet-4-5``, ``claude-sonnet-4.5``, ``claude-sonnet-4-5@20250929`` and
``us.anthropic.claude-sonnet-4-5-20250929-v1:0`` are one model. What is not known for certain is left open, so that the model says it.

Traits, which the Messages wire asks about:

* ``system_turns``: a system message may stand inside the conversation.
* ``between_tools``: thinking is stopped by that word, where other models say ``disabled``.
* ``one_sampler``: takes ``temperature`` or ``top_p``, and not both.
* ``no_schemas``: cannot be held to a JSON Schema, neither in its answer nor in a tool's arguments.

Source: Anthropic's model overview, "Adaptive thinking", "Effort", "Structured outputs" and "Errors", its package (2.12), the model map of
LiteLLM (1.106) and the profiles and recorded traffic of pydantic-ai; read 2026-11-21. The limits of models before Sonnet 4.5 are those
of the overview at their time.
"""

from __future__ import annotations

from attrs import evolve

from llmkit.models.facts import ModelFacts

__all__ = ["RULES"]

SAMPLING = frozenset({"temperature", "top_p", "top_k"})
LOW_TO_HIGH = ("low", "medium", "high")
LOW_TO_MAX = (*LOW_TO_HIGH, "max")
LOW_TO_XHIGH = (*LOW_TO_HIGH, "xhigh", "max")
OUTPUT = 128_000  # tokens, of all models since Opus 4.6
LEAST_BUDGET = 1024  # tokens


def _version(family: str, number: str) -> str:
    """Return the pattern of a family's version, such as ``opus`` and ``4.5``. A date behind it is no part of it, another digit is."""
    return rf"(?:{family})-{number.replace('.', '[-.]')}(?!\d)(?![-.][1-9](?!\d))"


def _fifth(*, can_stop: bool, forced: bool | None = True, traits: tuple[str, ...] = ()) -> ModelFacts:
    """Return the rules of the fifth generation, which thinks unless told not to."""
    return ModelFacts(
        refuses=SAMPLING,
        max_output_tokens=OUTPUT,
        thinking="adaptive",
        thinks_by_default=True,
        can_stop_thinking=can_stop,
        efforts=LOW_TO_XHIGH,
        forced_tools=forced,
        prefill=False,
        traits={"system_turns", *traits},
    )


def _budgeted(limit: int, *, efforts: tuple[str, ...] = (), traits: tuple[str, ...] = ()) -> ModelFacts:
    """Return the rules of a model that thinks within a budget, when it is asked to."""
    return ModelFacts(
        max_output_tokens=limit,
        thinking="budget",
        thinks_by_default=False,
        can_stop_thinking=True,
        efforts=efforts,
        budget=(LEAST_BUDGET, limit - 1),
        forced_tools=True,
        prefill=True,
        traits=traits,
    )


def _thoughtless(limit: int) -> ModelFacts:
    """Return the rules of a model that does not think."""
    return ModelFacts(
        max_output_tokens=limit,
        thinking="none",
        thinks_by_default=False,
        can_stop_thinking=True,
        forced_tools=True,
        prefill=True,
        traits={"no_schemas"},
    )


_ADAPTIVE = ModelFacts(
    refuses=SAMPLING,
    max_output_tokens=OUTPUT,
    thinking="adaptive",
    thinks_by_default=False,
    can_stop_thinking=True,
    efforts=LOW_TO_XHIGH,
    forced_tools=True,
    prefill=False,
)
_ADAPTIVE_OR_BUDGET = ModelFacts(
    max_output_tokens=OUTPUT,
    thinking="adaptive",
    thinks_by_default=False,
    can_stop_thinking=True,
    efforts=LOW_TO_MAX,
    budget=(LEAST_BUDGET, OUTPUT - 1),
    forced_tools=True,
    prefill=False,
    traits={"one_sampler"},
)

RULES: tuple[tuple[str, ModelFacts], ...] = (
    # Of the point releases behind 5.1 only the names are known; their forerunner's rules are the likeliest.
    (_version("fable|mythos", "5.[1-9]"), _fifth(can_stop=False, forced=False)),
    (_version("opus", "5.5"), _fifth(can_stop=False, forced=False)),
    (_version("sonnet", "5.5"), _fifth(can_stop=True, forced=False, traits=("between_tools",))),
    (_version("haiku", "5.5"), _fifth(can_stop=True)),
    # Sources contradict each other on whether these two can be made to call a tool.
    (_version("fable|mythos", "5"), _fifth(can_stop=False, forced=None)),
    (_version("opus|sonnet", "5"), _fifth(can_stop=True)),
    (_version("opus", "4.8"), evolve(_ADAPTIVE, traits={"system_turns"})),
    (_version("opus", "4.7"), _ADAPTIVE),
    (_version("opus|sonnet", "4.6"), _ADAPTIVE_OR_BUDGET),
    (_version("opus", "4.5"), _budgeted(64_000, efforts=LOW_TO_HIGH, traits=("one_sampler",))),
    (_version("sonnet|haiku", "4.5"), _budgeted(64_000, traits=("one_sampler",))),
    (_version("opus", "4.1"), _budgeted(32_000, traits=("one_sampler",))),
    (_version("opus", "4"), _budgeted(32_000, traits=("no_schemas",))),
    (_version("sonnet", "4"), _budgeted(64_000, traits=("no_schemas",))),
    (r"claude-3[-.]7", _budgeted(64_000, traits=("no_schemas",))),
    (r"claude-3[-.]5", _thoughtless(8192)),
    (r"claude-(?:3|2|v2|instant)", _thoughtless(4096)),
    # A model of tomorrow is asked as the caller wishes; of its length no more is promised than the smallest of today's.
    (r"claude", ModelFacts(max_output_tokens=64_000)),
)

"""
Rules of Cohere's Command models: which of them think, and which can be made to call a tool.

Source: Cohere documentation, "Models", "Reasoning" and "Tool use", and the model map of LiteLLM (1.106); read 2026-11-21.
"""

from __future__ import annotations

from llmkit.models.facts import ModelFacts

__all__ = ["RULES"]

_THINKING = ModelFacts(thinking="budget", thinks_by_default=True, can_stop_thinking=True, forced_tools=True)
_THOUGHTLESS = ModelFacts(thinking="none", thinks_by_default=False, can_stop_thinking=True)

RULES: tuple[tuple[str, ModelFacts], ...] = (
    (r"command-a-(?:reasoning|plus)", _THINKING),
    (r"command-(?:a-03|a-vision|a-translate|r7b)", _THOUGHTLESS),
    # Older than command-r7b, with which the choice of a tool came.
    (r"command-r(?:-plus)?(?:-0[348]-2024|-v1|$)", ModelFacts(thinking="none", can_stop_thinking=True, forced_tools=False)),
)

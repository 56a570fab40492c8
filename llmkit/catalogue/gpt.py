"""
Rules of OpenAI's own models: which of them think, and how they are told how much.

Source: pydantic-ai at 4fda389, profiles/openai.py (checked against the API in July 2026); read 2026-11-21.
"""

from __future__ import annotations

from llmkit.models.facts import ModelFacts

__all__ = ["RULES"]

RULES: tuple[tuple[str, ModelFacts], ...] = (
    (r"^(?:ft:)?(?:chat)?gpt-[34]", ModelFacts(thinking="none", thinks_by_default=False)),
    (r"^gpt-5-chat", ModelFacts(thinking="none", thinks_by_default=False)),
    (r"^gpt-5\.6(?!\d)", ModelFacts(thinking="level", thinks_by_default=True, can_stop_thinking=True, efforts=("low", "medium", "high"))),
)

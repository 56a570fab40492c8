"""
Rules of OpenAI's open models, whoever serves them.

Source: OpenAI, "gpt-oss model card"; Ollama, docs/capabilities/thinking.mdx at fb3076099 (August 2026); read 2026-11-21.
"""

from __future__ import annotations

from llmkit.models.facts import ModelFacts

__all__ = ["RULES"]

RULES: tuple[tuple[str, ModelFacts], ...] = (
    (
        r"gpt-oss",
        ModelFacts(thinking="level", thinks_by_default=True, can_stop_thinking=False, efforts=("low", "medium", "high")),
    ),
)

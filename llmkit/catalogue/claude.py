"""
Rules of the Claude models: which parameters they refuse, how they think.

Source: Anthropic's documentation and package, and recorded traffic; read 2026-11-21.
"""

from __future__ import annotations

from llmkit.models.facts import ModelFacts

__all__ = ["RULES"]

RULES: tuple[tuple[str, ModelFacts], ...] = ()

"""
Rules of the Gemini models: which parameters they refuse, how they think.

Source: Google's documentation and package, and recorded traffic; read 2026-11-21.
"""

from __future__ import annotations

from llmkit.models.facts import ModelFacts

__all__ = ["RULES"]

RULES: tuple[tuple[str, ModelFacts], ...] = ()

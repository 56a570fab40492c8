"""
Rules of the Gemini models: which parameters they refuse, how they think.

Source: Google AI for Developers, "Gemini thinking" and "Gemini 3.6: what is new"; pydantic-ai, ``profiles/google.py``; litellm 1.106.2,
its list of models; read 2026-11-21.
"""

from __future__ import annotations

from llmkit.models.facts import ModelFacts

__all__ = ["RULES"]

# A trait that the wire asks about: beside functions, these models take no schema for the answer.
EITHER = "tools_or_schema"

MINIMAL = ("minimal", "low", "medium", "high")
LOW = ("low", "medium", "high")

# Ignored by these models when they came out, and announced to be refused; one user was refused already.
SAMPLING = frozenset({"temperature", "top_p", "top_k"})


def _budget(least: int, most: int, *, by_default: bool = True, can_stop: bool = True) -> ModelFacts:
    return ModelFacts(
        thinking="budget", thinks_by_default=by_default, can_stop_thinking=can_stop, budget=(least, most), traits=frozenset({EITHER})
    )


def _level(efforts: tuple[str, ...] = ()) -> ModelFacts:
    return ModelFacts(thinking="level", thinks_by_default=True, can_stop_thinking=False, efforts=efforts)


def _late_level(efforts: tuple[str, ...] = ()) -> ModelFacts:
    """Return the facts of a model that takes no sampling and does not go on with a turn of its own."""
    return ModelFacts(thinking="level", thinks_by_default=True, can_stop_thinking=False, efforts=efforts, refuses=SAMPLING, prefill=False)


RULES: tuple[tuple[str, ModelFacts], ...] = (
    # Each of these is a model of its own kind, of which less is known.
    ("-(image|tts|audio|live|native|embedding|computer|robotics)|embedding|thinking-exp", ModelFacts()),
    (r"gemini-(1\.|2\.0|pro-vision)", ModelFacts(thinking="none", traits=frozenset({EITHER}))),
    (r"gemini-2\.5-pro", _budget(128, 32768, can_stop=False)),
    (r"gemini-2\.5-flash-lite", _budget(512, 24576, by_default=False)),
    (r"gemini-2\.5-flash", _budget(0, 24576)),
    (r"gemini-3-pro", _level(("low", "high"))),
    (r"gemini-3\.1-pro", _level(LOW)),
    (r"gemini-3\.5-flash-lite", _late_level(MINIMAL)),
    (r"gemini-3(\.5)?-flash", _level(MINIMAL)),
    (r"gemini-3\.6-flash", _late_level(MINIMAL)),
    (r"gemini-3\.[78]-flash", _late_level(LOW)),
    (r"gemini-(3\.[6-9]|[4-9])", _late_level()),
    (r"gemini-(3|flash|pro)", _level()),
)

"""
Where the Chat Completions look-alikes differ from OpenAI in what they send.

A fake has to spell their names, since it stands for what is outside the library.

Source: recorded traffic and the providers' documentation, read 2026-11-21.
"""

from __future__ import annotations

from typing import Any, Literal

from attrs import frozen

__all__ = ["HABITS", "Habits", "error_body", "habits_of"]


@frozen(kw_only=True)
class Habits:
    """How one provider deviates; the defaults are OpenAI's ways."""

    thinking: Literal["reasoning_content", "reasoning", "tag", "parts"] = "reasoning_content"
    """Which field carries thoughts; or ``<think>`` in the text, or parts of the content."""
    usage: Literal["asked", "always", "finish"] = "asked"
    """A stream's usage: in a chunk of its own when asked or always, or in the chunk that finishes."""
    errors: Literal["nested", "numbered", "flat", "text"] = "nested"
    """``error`` as an object, as an object whose code is the status, at the top level, or as a text."""


_OPENAI = Habits()

HABITS: dict[str, Habits] = {
    "openrouter": Habits(thinking="reasoning", usage="always", errors="numbered"),
    "xai": Habits(usage="always", errors="text"),
    "deepseek": Habits(usage="finish"),
    "groq": Habits(thinking="reasoning", usage="finish"),
    "mistral": Habits(thinking="parts", usage="finish", errors="flat"),
    "together": Habits(thinking="reasoning", usage="finish"),
    "fireworks": Habits(usage="finish"),
    "cerebras": Habits(thinking="reasoning", errors="flat"),
    "perplexity": Habits(thinking="tag", usage="finish", errors="numbered"),
    "moonshot": Habits(usage="finish"),
    "zhipu": Habits(usage="finish"),
    "zai": Habits(usage="finish"),
    "minimax": Habits(thinking="tag", usage="finish"),
    "siliconflow": Habits(errors="flat"),
    "snowflake": Habits(errors="flat"),
    "fastchat": Habits(errors="flat"),
    "venice": Habits(errors="text"),
    "vllm": Habits(thinking="reasoning", errors="numbered"),
    "llamacpp": Habits(errors="numbered"),
    "ollama": Habits(thinking="reasoning"),
}


def habits_of(provider: str) -> Habits:
    """Return how *provider* deviates from OpenAI."""
    return HABITS.get(provider, _OPENAI)


def error_body(habits: Habits, *, status: int, error: dict[str, Any]) -> dict[str, Any]:
    """Return an error, given in OpenAI's four words, as the provider says it."""
    if habits.errors == "flat":
        return {"object": "error", **error}
    if habits.errors == "text":
        return {"code": error["code"] or error["type"], "error": error["message"]}
    if habits.errors == "numbered":
        return {"error": {**error, "code": error["code"] or status}}
    return {"error": error}

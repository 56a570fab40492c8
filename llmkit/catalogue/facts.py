"""
Looking up what is known of a model, by its name.

One model has many names: ``claude-sonnet-4-5``, ``us.anthropic.claude-sonnet-4-5-20250929-v1:0``, ``models/gemini-2.5-pro``. A rule
is a regular expression, searched in the name without its host's ornaments; the first that fits counts. The user's own come first.
"""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import import_module

from llmkit.models.facts import UNKNOWN_MODEL, ModelFacts

__all__ = ["facts_of", "is_embedding_model", "register_facts"]

# Each family's rules are in a module of their own, with the word that a name must hold for them to be loaded at all.
FAMILIES: tuple[tuple[str, str], ...] = (
    ("claude", "llmkit.catalogue.claude"),
    ("gemini", "llmkit.catalogue.gemini"),
    ("gpt-oss", "llmkit.catalogue.gpt_oss"),
    ("gpt-", "llmkit.catalogue.gpt"),
    ("command-", "llmkit.catalogue.command"),
)

_EMBEDS = r"embed|^(?:bge|gte|e5|all-minilm|voyage|multilingual-e5)-|^bge\b"

_registered: list[tuple[re.Pattern[str], ModelFacts]] = []


@lru_cache(maxsize=512)
def facts_of(model: str) -> ModelFacts:
    """Return what is known of *model*; of an unknown one, nothing."""
    name = model.lower().rpartition("/")[2]
    for pattern, facts in _registered:
        if pattern.search(name):
            return facts
    for word, module in FAMILIES:
        if word in name:
            return next((facts for pattern, facts in import_module(module).RULES if re.search(pattern, name)), UNKNOWN_MODEL)
    return UNKNOWN_MODEL


def register_facts(pattern: str, facts: ModelFacts) -> None:
    """Let *facts* count for all models whose name, in lower case, the regular expression *pattern* finds; the last registered first."""
    _registered.insert(0, (re.compile(pattern), facts))
    facts_of.cache_clear()


def is_embedding_model(model: str) -> bool:
    """Whether *model* is, by its name, one that embeds and does not chat."""
    return re.search(_EMBEDS, model.lower().rpartition("/")[2]) is not None

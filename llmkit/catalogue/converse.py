"""
Rules of the families of models behind Amazon Bedrock's Converse: what each takes of it, and in which words it takes the rest.

A model is found by its id, be it under a region's prefix, with a version, or at the end of an ARN. The ARN of an application's
inference profile tells nothing: such a model is asked as the caller wishes.

Source: AWS, "Amazon Bedrock API reference" (``ToolChoice``, ``ToolResultBlock``) and "Amazon Nova user guide" (tools, reasoning);
pydantic-ai at 4fda389 (``models/bedrock.py``, checked against the service in August 2026); the refusals recorded in
strands-agents/harness-sdk#682 (thoughts of gpt-oss) and langchain-ai/langchain-aws#620 (choices of Llama); read 2026-11-21.
"""

from __future__ import annotations

import re
from functools import lru_cache

from attrs import evolve

from llmkit.models.converse import UNKNOWN_FAMILY, ConverseRules

__all__ = ["RULES", "converse_rules"]

ALL_CHOICES = frozenset({"auto", "any", "tool"})

_CLAUDE = ConverseRules(
    top_k=("top_k",),
    betas="anthropic_beta",
    reasoning="claude",
    choices=ALL_CHOICES,
    beside_results={"text", "image"},
    thoughts="sealed",
    caches=True,
    schemas=False,
)
_NOVA = ConverseRules(
    top_k=("inferenceConfig", "topK"),
    reasoning="none",
    choices=ALL_CHOICES,
    thoughts="none",
    caches=True,
    schemas=False,
    tool_roots={"type", "properties", "required", "$defs", "definitions"},
)

RULES: tuple[tuple[str, ConverseRules], ...] = (
    # The models before these two are too old, those after them were not held to schemas here in August 2026.
    (r"claude-(?:opus|sonnet|haiku)-4[-.][56](?!\d)", evolve(_CLAUDE, schemas=True)),
    (r"claude", _CLAUDE),
    (r"nova-2", evolve(_NOVA, reasoning="nova", thoughts="bare")),
    (r"nova", _NOVA),
    # A seal, even an empty one, is refused.
    (r"gpt-oss", ConverseRules(reasoning="effort", thoughts="bare", caches=False, schemas=True)),
    (r"qwen3", ConverseRules(reasoning="config", thoughts="bare", caches=False, schemas=True)),
    (r"qwen", ConverseRules(reasoning="config", thoughts="bare", caches=False)),
    (r"deepseek\.r1", ConverseRules(reasoning="none", choices=(), thoughts="bare", caches=False, schemas=False)),
    (
        r"m(?:in)?istral|mixtral|magistral|pixtral|voxtral|devstral",
        ConverseRules(choices={"auto", "any"}, beside_results=(), thoughts="none", caches=False, json_results=True),
    ),
    (r"llama", ConverseRules(reasoning="none", choices={"auto"}, beside_results=(), thoughts="none", caches=False, schemas=False)),
    (r"command", ConverseRules(top_k=("k",), reasoning="none", choices=(), thoughts="none", caches=False, schemas=False)),
    (r"palmyra|writer", ConverseRules(choices=(), caches=False, schemas=False, says_status=False)),
    (r"jamba|titan", ConverseRules(reasoning="none", choices=(), thoughts="none", caches=False, schemas=False)),
    (r"gemma-3|minimax|nemotron|nvidia", ConverseRules(caches=False, schemas=True)),
)


@lru_cache(maxsize=512)
def converse_rules(model: str) -> ConverseRules:
    """Return the rules of the family that *model*, an id or an ARN, is of; of an unknown one, none."""
    name = model.lower().rpartition("/")[2]
    return next((rules for pattern, rules in RULES if re.search(pattern, name)), UNKNOWN_FAMILY)

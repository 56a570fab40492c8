"""What must be known of a family of models to ask it through Amazon Bedrock's Converse: a word between the catalogue and the dialect."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from attrs import field

from llmkit.values import frozen

__all__ = ["UNKNOWN_FAMILY", "ConverseRules"]


def _names(values: Iterable[str]) -> frozenset[str]:
    return frozenset(values)


def _names_or_none(values: Iterable[str] | None) -> frozenset[str] | None:
    return None if values is None else frozenset(values)


@frozen(kw_only=True)
class ConverseRules:
    """
    Rules of one family. Converse hands on what it has no word for, in words that differ from maker to maker.

    None and empty mean "not known": such a model is asked as the caller wishes, and may say no itself.

    Args:
        top_k: The keys under which the family takes ``top_k``, from the outermost in.
        betas: The key under which it takes the names of features in beta.
        reasoning: How an effort or budget is said: as Claude's ``thinking``, Nova's ``reasoningConfig``, ``reasoning_effort``,
            ``reasoning_config``; ``"none"`` where the family has no word for it.
        choices: The choices of tools that it takes, of ``auto``, ``any`` and ``tool``.
        beside_results: The kinds of blocks that may stand in one turn with the results of tools.
        thoughts: Which thoughts go back to it: those with a seal, those without one, or none.
        caches: Whether it knows cache points.
        schemas: Whether it can be held to a schema, in its answer and in a tool's arguments.
        says_status: Whether a tool's result may say that the tool failed.
        json_results: Whether the results of tools are wanted as JSON.
        tool_roots: The keywords that the root of a tool's schema may have.
    """

    top_k: tuple[str, ...] = ()
    betas: str = ""
    reasoning: Literal["claude", "nova", "effort", "config", "none"] | None = None
    choices: frozenset[str] | None = field(default=None, converter=_names_or_none)
    beside_results: frozenset[str] | None = field(default=None, converter=_names_or_none)
    thoughts: Literal["sealed", "bare", "none"] | None = None
    caches: bool | None = None
    schemas: bool | None = None
    says_status: bool = True
    json_results: bool = False
    tool_roots: frozenset[str] = field(default=frozenset(), converter=_names)


UNKNOWN_FAMILY = ConverseRules()

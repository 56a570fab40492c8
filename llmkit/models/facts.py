"""What must be known of a model to ask it rightly: a word between the catalogue, which knows it, and the dialects, which need it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from attrs import field

from llmkit.values import frozen

__all__ = ["UNKNOWN_MODEL", "ModelFacts"]


def _names(values: Iterable[str]) -> frozenset[str]:
    return frozenset(values)


@frozen(kw_only=True)
class ModelFacts:
    """
    Rules of one model, or of a family.

    None and empty mean "not known": such a model is asked as the caller wishes, and may say no itself.

    Args:
        refuses: Request parameters that it answers with an error.
        max_output_tokens: The most that it can write, which some wires demand to be said.
        thinking: How thinking is asked for: not at all, by a budget in tokens, by leaving it to the model, or by a level.
        thinks_by_default: Whether it thinks when nobody says.
        can_stop_thinking: Whether ``reasoning="none"`` can be said to it.
        efforts: The efforts that it knows, from low to high.
        budget: The least and the most tokens of a thinking budget.
        forced_tools: Whether it can be made to call a tool.
        prefill: Whether the last message may be the assistant's.
        traits: What else only the wire of its own family asks about, in words of that wire.
    """

    refuses: frozenset[str] = field(default=frozenset(), converter=_names)
    max_output_tokens: int | None = None
    thinking: Literal["none", "budget", "adaptive", "level"] | None = None
    thinks_by_default: bool | None = None
    can_stop_thinking: bool | None = None
    efforts: tuple[str, ...] = ()
    budget: tuple[int, int] | None = None
    forced_tools: bool | None = None
    prefill: bool | None = None
    traits: frozenset[str] = field(default=frozenset(), converter=_names)


UNKNOWN_MODEL = ModelFacts()

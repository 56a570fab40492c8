"""Many texts as a few requests: cut into what the provider takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from llmkit.catalogue.tokens import estimate_tokens
from llmkit.errors import ConfigurationError

if TYPE_CHECKING:
    from llmkit.dialects.embedding import Limits
    from llmkit.models.embedding import EmbeddingRequest

__all__ = ["check_not_empty", "cut", "estimate_inputs"]

CHARACTERS_PER_TOKEN = 2.2  # of ASCII, in rows of numbers; English has twice as many
LOOKED_AT = 200  # characters of a text in other scripts that are weighed, for all of it
SAFETY = 0.9  # of a limit, since this is an estimate


def estimate_inputs(request: EmbeddingRequest) -> int:
    """Return about how many tokens the texts of *request* are."""
    return sum([estimate_tokens(text, request.model) for text in request.inputs])


def check_not_empty(inputs: Sequence[str], provider: str) -> None:
    """Raise ``ConfigurationError`` if one of *inputs* is empty, which *provider* refuses."""
    for index, text in enumerate(inputs):
        if not text:
            msg = f"inputs[{index}] is empty, which {provider} refuses."
            raise ConfigurationError(msg)


def cut(inputs: Sequence[str], limits: Limits, model: str) -> Iterator[slice]:
    """Yield *inputs* in groups, in their order. A text that is too long by itself stands alone: whether it is, its model says."""
    room = float("inf") if limits.tokens is None else limits.tokens * SAFETY
    start, used = 0, 0.0
    for index, text in enumerate(inputs):
        weight = 0.0 if limits.tokens is None else _weight(text, model)
        if index > start and (index - start == limits.inputs or used + weight > room):
            yield slice(start, index)
            start, used = index, 0.0
        used += weight
    if inputs:
        yield slice(start, len(inputs))


def _weight(text: str, model: str) -> float:
    """Return at least how many tokens *text* is, in next to no time."""
    if text.isascii():
        return len(text) / CHARACTERS_PER_TOKEN + 1
    shown = text[:LOOKED_AT]
    return estimate_tokens(shown, model) * len(text) / len(shown) * 1.2 + 1

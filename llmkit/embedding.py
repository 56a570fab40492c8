"""
Many texts as a few requests: cut into what the provider takes, and the answers put together again.

Rule: nothing here sends, and nothing here knows whether sending is awaited.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from llmkit.catalogue.tokens import estimate_tokens
from llmkit.errors import ConfigurationError, MalformedResponseError
from llmkit.models.embedding import EmbeddingResponse, Vectors
from llmkit.models.price import EXACT
from llmkit.models.usage import Usage

if TYPE_CHECKING:
    from llmkit.call import Call
    from llmkit.dialects.embedding import Embedder, Limits
    from llmkit.models.embedding import EmbeddingRequest

__all__ = ["Embedding", "cut", "estimate_inputs", "pieces"]

CHARACTERS_PER_TOKEN = 2.2  # of ASCII, in rows of numbers; English has twice as many
LOOKED_AT = 200  # characters of a text in other scripts that are weighed, for all of it
SAFETY = 0.9  # of a limit, since this is an estimate


@frozen(kw_only=True)
class Embedding:
    """Texts on their way: the calls that embed them, and how many of these may run at once."""

    calls: Sequence[Call[EmbeddingResponse]]
    at_once: int

    def joined(self, answers: Sequence[EmbeddingResponse]) -> EmbeddingResponse:
        """
        Return *answers*, in the order of the calls, as one.

        Raises:
            MalformedResponseError: If their vectors differ in length.
        """
        first, call = answers[0], self.calls[0]
        if len(answers) == 1:
            return first
        try:
            vectors = Vectors.joined([answer.vectors for answer in answers])
        except ValueError as error:
            name = call.endpoint.provider.name
            raise MalformedResponseError(f"{name}: {error}.", provider=name, model=call.endpoint.model) from None
        return evolve(
            first,
            vectors=vectors,
            usage=sum((answer.usage for answer in answers), Usage()),
            cost=_summed([answer.cost for answer in answers]),
            attempts=tuple(attempt for answer in answers for attempt in answer.attempts),
            elapsed=call.clock() - call.started,
        )


def _summed(costs: Sequence[Decimal | None]) -> Decimal | None:
    total = Decimal(0)
    for cost in costs:
        if cost is None:
            return None
        total = EXACT.add(total, cost)
    return total


def estimate_inputs(request: EmbeddingRequest) -> int:
    """Return about how many tokens the texts of *request* are."""
    return sum([estimate_tokens(text, request.model) for text in request.inputs])


def pieces(request: EmbeddingRequest, embedder: Embedder, provider: str, most_tokens: float | None = None) -> list[EmbeddingRequest]:
    """
    Return *request* cut into requests that are within the limits of *embedder*.

    Args:
        provider: Whose name is told.
        most_tokens: What the client's own limit gives at once.

    Raises:
        ConfigurationError: If an input is empty and the provider takes none that is.
    """
    if not embedder.takes_empty:
        for index, text in enumerate(request.inputs):
            if not text:
                msg = f"inputs[{index}] is empty, which {provider} refuses."
                raise ConfigurationError(msg)
    limits = embedder.limits(request.model)
    if most_tokens is not None:
        # Half of it: it is an estimate on either side, and the other half can go out with the next.
        limits = limits._replace(tokens=min(int(most_tokens / 2), limits.tokens or sys.maxsize))
    groups = cut(request.inputs, limits, request.model)
    return [request] if len(groups) == 1 else [evolve(request, inputs=group) for group in groups]


def cut(inputs: tuple[str, ...], limits: Limits, model: str) -> list[tuple[str, ...]]:
    """Return *inputs* in groups, in their order. A text that is too long by itself stands alone: whether it is, its model says."""
    groups: list[tuple[str, ...]] = []
    room = float("inf") if limits.tokens is None else limits.tokens * SAFETY
    start, used = 0, 0.0
    for index, text in enumerate(inputs):
        weight = 0.0 if limits.tokens is None else _weight(text, model)
        if index > start and (index - start == limits.inputs or used + weight > room):
            groups.append(inputs[start:index])
            start, used = index, 0.0
        used += weight
    groups.append(inputs[start:])
    return groups


def _weight(text: str, model: str) -> float:
    """Return at least how many tokens *text* is, in next to no time."""
    if text.isascii():
        return len(text) / CHARACTERS_PER_TOKEN + 1
    shown = text[:LOOKED_AT]
    return estimate_tokens(shown, model) * len(text) / len(shown) * 1.2 + 1

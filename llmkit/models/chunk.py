"""The pieces of an answer, as they arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field

from llmkit.values import define, frozen

if TYPE_CHECKING:
    from llmkit.models.response import FinishReason
    from llmkit.models.usage import Usage

__all__ = ["CompletionChunk", "ToolCallDelta"]


@frozen
class ToolCallDelta:
    """A piece of a tool call: ``arguments`` is a fragment of JSON text; ``id`` and ``name`` come with the first piece."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


# Not frozen, unlike every other value: a stream makes thousands, and a frozen one costs three times as much to make.
@define(slots=True)
class CompletionChunk:
    """One piece of a streamed answer; only what it brings is set. ``raw`` is the provider's event, decoded."""

    text: str = ""
    thinking: str = ""
    tool_call: ToolCallDelta | None = None
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    raw: Any = field(default=None, repr=False, eq=False)

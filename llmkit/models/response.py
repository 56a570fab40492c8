"""What comes back: a whole answer. Its pieces are in ``chunk``."""

from __future__ import annotations

from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any

from attrs import field

from llmkit.models.content import Message, ToolCall
from llmkit.models.ledger import Attempt
from llmkit.models.usage import UNREPORTED, Usage
from llmkit.values import frozen

if TYPE_CHECKING:
    from llmkit.models.embedding import EmbeddingResponse

__all__ = ["CompletionResponse", "FinishReason", "priced", "sealed"]


class FinishReason(str, Enum):
    """Why the model stopped."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    REFUSAL = "refusal"
    PAUSE = "pause"
    ERROR = "error"
    UNKNOWN = "unknown"

    def __str__(self) -> str:
        return self.value


@frozen(kw_only=True)
class CompletionResponse:
    """
    One answer.

    ``message`` can be appended to the history as it is. ``cost`` is US dollars, None where the price is unknown. ``parsed`` is the
    typed answer where one was asked for. ``attempts`` is the ledger of tries, ``elapsed`` seconds from call to answer, ``raw`` the
    provider's JSON, untouched (of a stream: its pieces put together in the shape of a whole answer).
    """

    message: Message
    finish_reason: FinishReason = FinishReason.UNKNOWN
    raw_finish_reason: str | None = None
    usage: Usage = UNREPORTED
    cost: Decimal | None = None
    id: str | None = None
    model: str = ""
    provider: str = ""
    request_id: str | None = None
    parsed: Any = None
    attempts: tuple[Attempt, ...] = ()
    elapsed: float = 0.0
    cached: bool = False
    raw: Any = field(default=None, repr=False, eq=False)

    @property
    def text(self) -> str:
        """The text of the answer; empty where there is none."""
        return self.message.text

    @property
    def thinking(self) -> str:
        return self.message.thinking

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return self.message.tool_calls

    def _repr_markdown_(self) -> str:
        """Show the answer in a notebook as the Markdown that it mostly is."""
        calls = "".join(f"\n\n`{call.name}({dict(call.arguments)})`" for call in self.tool_calls)
        return self.text + calls

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-able values, from which ``from_dict`` makes an equal response. ``parsed`` stays behind."""
        from llmkit.models.converter import unstructure

        data: dict[str, Any] = unstructure(self)
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> CompletionResponse:
        from llmkit.models.converter import structure

        return structure(data, cls)


def sealed(answer: CompletionResponse, *, provider: str, attempts: tuple[Attempt, ...], elapsed: float) -> CompletionResponse:
    """
    Return *answer* with the facts of its call, which its decoder could not know.

    It is changed in place: nobody else has seen it yet, and a copy would cost as much as decoding it did.
    """
    object.__setattr__(answer, "provider", provider)
    object.__setattr__(answer, "attempts", attempts)
    object.__setattr__(answer, "elapsed", elapsed)
    return answer


def priced(answer: CompletionResponse | EmbeddingResponse, cost: Decimal | None) -> None:
    """Put its *cost* on *answer*, in place, as ``sealed`` does."""
    object.__setattr__(answer, "cost", cost)

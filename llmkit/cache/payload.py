"""An answer as the bytes that a cache keeps, and back. They are JSON: what is read from a disk or a network is never code."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from llmkit.models.response import CompletionResponse, FinishReason

__all__ = ["dump", "is_keepable", "load"]

_OF_ONE_CALL = ("attempts", "elapsed", "cached")


def is_keepable(answer: CompletionResponse) -> bool:
    """Whether *answer* is whole: its model came to its own end, and any tools it calls can be called."""
    if answer.finish_reason not in (FinishReason.STOP, FinishReason.TOOL_CALLS):
        return False
    return all(call.invalid is None for call in answer.tool_calls)


def dump(answer: CompletionResponse) -> bytes:
    """
    Return *answer* in bytes, without the facts of the call that brought it.

    Raises:
        TypeError, ValueError: If its ``raw`` is nothing that JSON can say, as that of a provider of one's own may be.
    """
    data = answer.to_dict()
    for name in _OF_ONE_CALL:
        data.pop(name, None)
    # A model may write half a surrogate pair.
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def load(payload: bytes, *, elapsed: float) -> tuple[CompletionResponse, Decimal | None]:
    """
    Return the answer in *payload*, made anew, and what it cost when it was asked for. Itself it costs nothing.

    Raises:
        Exception: If it holds none.
    """
    data: dict[str, Any] = json.loads(payload.decode("utf-8", "surrogatepass"))
    paid = data.get("cost")
    data["cost"], data["cached"], data["elapsed"] = "0", True, elapsed
    return CompletionResponse.from_dict(data), None if paid is None else Decimal(paid)

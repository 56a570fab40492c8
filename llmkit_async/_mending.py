"""The twin of ``llmkit.mending.mended``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from llmkit.errors import StructuredOutputError

if TYPE_CHECKING:
    from llmkit.call import Call
    from llmkit.models.response import CompletionResponse

__all__ = ["mended"]


async def mended(
    send: Callable[[Call[CompletionResponse]], Awaitable[CompletionResponse]], call: Call[CompletionResponse]
) -> CompletionResponse:
    """Return what *send* makes of *call*, asked again where it does not fit and may be mended."""
    mending = call.mending
    while True:
        try:
            answer = await send(call)
        except StructuredOutputError as error:
            if mending is None:
                raise
            call = mending.following(call, error)
        else:
            return answer if mending is None else mending.summed(answer)

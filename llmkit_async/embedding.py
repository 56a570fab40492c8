"""An embed in tasks of this loop: ``llmkit.embedding.threads`` with ``await`` in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from llmkit_async._aside import aside
from llmkit_async.team import carried_out

if TYPE_CHECKING:
    from llmkit.call import Call
    from llmkit.embedding.work import Embedding, Piece
    from llmkit.models.embedding import EmbeddingResponse

Send: TypeAlias = "Callable[[Call[Any]], Awaitable[Any]]"

__all__ = ["embedded"]


async def embedded(work: Embedding, send: Send) -> EmbeddingResponse:
    """Return what *work* comes to, its requests sent by *send*."""

    async def ask(piece: Piece) -> None:
        with work.asking(piece) as call:
            answer = await send(call)
            if work.has_log:
                await aside(work.settle, piece, answer)
            else:
                work.settle(piece, answer)

    with work:
        if work.has_log:
            await aside(work.begin)
        else:
            work.begin()
        work.arrived()
        await carried_out(work, ask, min(work.at_once, work.waiting))
        return work.result()

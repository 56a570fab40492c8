"""An embed in tasks of this loop: ``llmkit.embedding.threads`` with ``await`` in it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
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

    async def ask(piece: Piece) -> EmbeddingResponse:
        with work.asking(piece) as call:
            answer: EmbeddingResponse = await send(call)
            if work.has_log:
                await aside(work.settle, piece, answer)
            else:
                work.settle(piece, answer)
            return answer

    async def do(piece: Piece) -> None:
        await work.tempo.aasked(partial(ask, piece), asyncio.sleep)

    with work:
        if work.has_log:
            await aside(work.begin)
        else:
            work.begin()
        work.arrived()
        await carried_out(work, do, min(work.at_once, work.waiting))
        return work.result()

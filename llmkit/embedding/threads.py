"""An embed in threads of this process, as many as may be under way at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from llmkit.team import carried_out

if TYPE_CHECKING:
    from llmkit.call import Call
    from llmkit.embedding.work import Embedding, Piece
    from llmkit.models.embedding import EmbeddingResponse

Send: TypeAlias = "Callable[[Call[Any]], Any]"

__all__ = ["embedded"]


def embedded(work: Embedding, send: Send) -> EmbeddingResponse:
    """Return what *work* comes to, its requests sent by *send*."""

    def ask(piece: Piece) -> EmbeddingResponse:
        with work.asking(piece) as call:
            answer: EmbeddingResponse = send(call)
            work.settle(piece, answer)
            return answer

    def do(piece: Piece) -> None:
        work.tempo.asked(partial(ask, piece))

    with work:
        work.begin()
        work.arrived()
        size = min(work.at_once, work.waiting)
        # What goes out one by one needs no thread, unless its answer is wanted even after Ctrl-C.
        carried_out(work, do, size, "llmkit-embed", alone=size <= 1 and not work.has_log)
        return work.result()

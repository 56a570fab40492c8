"""A body that is read in the pieces in which it was written down, without a network."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence

from llmkit.transport.base import TransportError

__all__ = ["AsyncPieces", "Pieces"]


class Pieces:
    """
    A ``ByteStream`` of *pieces*, which *ending*, where there is one, follows.

    Nothing is waited for, so that no time that is allowed for it can run out.
    """

    def __init__(self, pieces: Sequence[bytes], ending: TransportError | None = None) -> None:
        self._pieces = tuple(pieces)
        self._ending = ending
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if self.closed:
                return
            yield piece
        if self._ending is not None:
            raise self._ending

    def expire_in(self, seconds: float | None) -> None:
        """Take note of nothing: reading takes no time."""

    def drain(self) -> None:
        self.close()

    def close(self) -> None:
        self.closed = True


class AsyncPieces:
    """The twin of ``Pieces``."""

    def __init__(self, pieces: Sequence[bytes], ending: TransportError | None = None) -> None:
        self._pieces = Pieces(pieces, ending)

    @property
    def closed(self) -> bool:
        return self._pieces.closed

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece

    def expire_in(self, seconds: float | None) -> None:
        """Take note of nothing: reading takes no time."""

    async def drain(self) -> None:
        self._pieces.close()

    async def close(self) -> None:
        self._pieces.close()

    def abort(self) -> None:
        self._pieces.close()

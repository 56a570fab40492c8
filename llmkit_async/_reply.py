"""
The reply to one request, whole or as a stream.

Rule 1: what is read is bounded: a body by its size, whatever it unfolds to; that of an error by its size and a time of its own.
Rule 2: a stream that was not read to its end never looks like a whole one, however often it is asked.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress

from llmkit.transport.base import BODY_LIMIT, ERROR_BODY_LIMIT, HttpResponse, TransportError
from llmkit.transport.decoding import Decoder
from llmkit_async._attempt import Attempt

__all__ = ["Stream", "read_reply"]

ERROR_BODY_TIME = 5.0  # seconds; that a request was refused is worth more than why
DRAIN_LIMIT = 64 * 1024  # bytes
DRAIN_TIME = 0.1  # seconds
DECODE_STEP = 16 * 1024  # bytes of a coded body decoded at once, which unfold to 16 MiB at most


async def read_reply(attempt: Attempt, *, stream: bool, body_limit: int | None = None) -> HttpResponse:
    """
    Return the response, read as far as it is to be read: whole, at most ``BODY_LIMIT`` bytes unless *body_limit* says otherwise.

    Raises:
        TransportError: The attempt is then to be aborted.
    """
    head = await attempt.read_head()
    response = HttpResponse(status=head.status, headers=head.headers, connect=attempt.connect, first_byte=attempt.first_byte)
    coding = head.headers.get("content-encoding")
    if not 200 <= head.status < 300:
        response.body = await _read_refusal(attempt, coding)
    elif stream:
        response.astream = Stream(attempt, coding)
    else:
        response.body = await _read_body(attempt, coding, BODY_LIMIT if body_limit is None else body_limit)
    return response


async def _read_body(attempt: Attempt, coding: str | None, limit: int) -> bytes:
    if attempt.to_come > limit:
        msg = f"{attempt.to_come} bytes of the body are to come, {limit} are allowed"
        raise TransportError("response_too_large", msg, fatal=True)
    decoder = Decoder(coding, limit)
    # What is there is taken, even where the time was over before this task had its turn.
    pieces = [decoder.feed(attempt.take())]
    while not attempt.is_whole:
        pieces.append(decoder.feed(await attempt.read()))
    decoder.finish()
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def _read_refusal(attempt: Attempt, coding: str | None) -> bytes:
    """Return what can be had of the body of a reply that is no success, and close the connection if that is not all."""
    attempt.expire_at = min(attempt.expire_at, attempt.loop.time() + ERROR_BODY_TIME)
    pieces: list[bytes] = []
    size = 0
    with suppress(TransportError):
        decoder = Decoder(coding, ERROR_BODY_LIMIT + DECODE_STEP)
        piece = attempt.take()
        while True:
            size += len(piece)
            # In small steps, since the one that goes too far is lost.
            pieces.extend(decoder.feed(piece[at : at + DECODE_STEP]) for at in range(0, len(piece), DECODE_STEP))
            if attempt.is_whole or size >= ERROR_BODY_LIMIT:
                break
            piece = await attempt.read()
    attempt.abort()
    return b"".join(pieces)[:ERROR_BODY_LIMIT]


class Stream:
    """The ``AsyncByteStream`` of a reply."""

    __slots__ = ("__weakref__", "_attempt", "_decoder", "_failure", "_is_open", "_rest")

    def __init__(self, attempt: Attempt, coding: str | None) -> None:
        self._is_open = False  # nothing is to be closed if the coding is unknown
        self._decoder = Decoder(coding, sys.maxsize) if coding else None
        self._attempt = attempt
        self._failure: TransportError | None = _closed_early()
        self._rest = b""  # received and not decoded
        self._is_open = True

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> bytes:
        failure = None
        try:
            while self._is_open:
                piece = self._rest or await self._attempt.read()
                if not piece:
                    self._finish()
                elif self._decoder is None:
                    return piece
                else:
                    self._rest = piece[DECODE_STEP:]
                    if decoded := self._decoder.feed(piece[:DECODE_STEP]):
                        return decoded
        except TransportError as error:
            failure = self._attempt.told(error)
        except BaseException:
            # Cancelled: what comes next would be taken for what comes first.
            self._end()
            raise
        if failure is not None:
            if self._is_open:
                self._failure = failure
            self._end()
        if self._failure is None:
            raise StopAsyncIteration
        raise TransportError(*self._failure.args)

    def expire_in(self, seconds: float | None) -> None:
        self._attempt.expire_in(seconds)

    async def drain(self) -> None:
        left = DRAIN_LIMIT
        self._attempt.expire_in(DRAIN_TIME)
        with suppress(TransportError):
            async for piece in self:
                left -= len(piece)
                if left < 0:
                    break
        self._end()

    async def close(self) -> None:
        self._end()

    def abort(self) -> None:
        if not self._is_open:
            return
        loop = self._attempt.loop
        if loop.is_closed() or loop is _running_loop():
            self._end()
            return
        self._is_open = False
        with suppress(RuntimeError):  # closed in this moment, and the connection with it
            loop.call_soon_threadsafe(self._attempt.abort)

    def __del__(self) -> None:
        self.abort()

    def _finish(self) -> None:
        if self._decoder is not None:
            self._decoder.finish()
        self._failure = None
        self._end()

    def _end(self) -> None:
        """Close the connection, unless the reply is whole: then it has gone back already."""
        if self._is_open:
            self._is_open = False
            self._attempt.abort(_closed_early())


def _closed_early() -> TransportError:
    return TransportError("config", "the stream was closed before its end")


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None

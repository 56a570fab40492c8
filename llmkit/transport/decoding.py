"""
The bytes of a body, with its content codings taken off.

Rule 1: what comes out is counted, and nothing is decoded much beyond the limit: a zip bomb costs one step of 64 KiB.
Rule 2: a coded body without its end is an error, whatever its framing said.
"""

from __future__ import annotations

import zlib
from collections.abc import Generator, Iterable, Iterator
from typing import ClassVar

from llmkit.transport.base import TransportError

__all__ = ["Decoder"]

STEP = 64 * 1024  # bytes decoded at a time, and what an honest coding may add to what it codes

_CODINGS = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}  # RFC 9110, 8.4.1.3: x-gzip is gzip
_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS  # what zlib calls them


class Decoder:
    """
    Take the codings named by a ``Content-Encoding`` header off a body, piece by piece, however the network cuts it.

    Args:
        content_encoding: The header's value, or None.
        limit: How many decoded bytes may come out in all.

    Raises:
        TransportError: ``protocol`` for more than two codings, an unknown one or broken data; ``response_too_large``
            beyond the limit; ``truncated`` from ``finish`` when the data end before the coding does.
    """

    __slots__ = ("_rest", "_stages")

    accepts: ClassVar[str] = "gzip, deflate"  # for Accept-Encoding

    def __init__(self, content_encoding: str | None, limit: int) -> None:
        self._rest = limit
        self._stages = _stages(content_encoding, limit) if content_encoding else ()

    def feed(self, data: bytes) -> bytes:
        """Return what *data* decodes to, which may be nothing."""
        if self._stages:
            return b"".join(self._counted(data))
        self._count(data)
        return data

    def finish(self) -> bytes:
        """Say that the body is over, and return what was still held back."""
        if any(stage.is_open for stage in self._stages):
            msg = "the compressed body ends in the middle"
            raise TransportError("truncated", msg)
        return b""

    def _counted(self, data: bytes) -> Iterator[bytes]:
        pieces: Iterable[bytes] = (data,)
        for stage in self._stages:
            pieces = stage.decode(pieces)
        for piece in pieces:
            self._count(piece)
            yield piece

    def _count(self, piece: bytes) -> None:
        self._rest -= len(piece)
        if self._rest < 0:
            raise _too_large()


def _stages(content_encoding: str, limit: int) -> tuple[_Inflater, ...]:
    names = [name for part in content_encoding.split(",") if (name := part.strip().lower()) not in ("", "identity")]
    # Nobody codes three times in earnest; each further coding multiplies what a bomb unfolds to (CVE-2022-32206).
    if len(names) > 2 or not all(name in _CODINGS for name in names):
        msg = f"cannot decode Content-Encoding {content_encoding[:100]!r}"
        raise TransportError("protocol", msg)
    return tuple(_Inflater(_CODINGS[name], limit + STEP) for name in reversed(names))


class _Inflater:
    """One coding. ``is_open`` says that data came, and not yet their end."""

    __slots__ = ("_coding", "_first", "_is_first", "_over", "_rest", "_zlib", "is_open")

    def __init__(self, coding: str, limit: int) -> None:
        self._coding = coding
        self._rest = limit  # coded bytes; an honest coding does not make its data much longer
        self._first = b""
        self._is_first = True
        self._over = False
        self._zlib = zlib.decompressobj(_GZIP) if coding == "gzip" else None
        self.is_open = False

    def decode(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self._rest -= len(piece)
            if self._rest < 0:
                raise _too_large()
            data = piece
            while data and not self._over:
                data = yield from self._decode_member(data)

    def _decode_member(self, data: bytes) -> Generator[bytes, None, bytes]:
        """Decode up to the end of a member (gzip has several, RFC 1952, 2.2), and return what follows it."""
        if not self.is_open and not self._is_first:
            data = data.lstrip(b"\0")  # padding between and after members
        if not data:
            return b""
        self.is_open = True
        if self._zlib is None:
            self._first += data
            if len(self._first) < 2:
                return b""
            data, self._zlib = self._first, zlib.decompressobj(_deflate_form(self._first))
        while True:
            piece = self._inflate(self._zlib, data)
            if piece:
                yield piece
            if self._over or self._zlib.eof:
                return self._end_member(self._zlib.unused_data)
            data = self._zlib.unconsumed_tail
            # A full piece may have left more of itself inside zlib, even when all input is consumed.
            if not data and len(piece) < STEP:
                return b""

    def _inflate(self, stream: zlib._Decompress, data: bytes) -> bytes:
        try:
            return stream.decompress(data, STEP)
        except zlib.error as error:
            reason = str(error)
        if not self._is_first:
            # What follows a whole member and is none: browsers, gunzip and urllib3 pass over it.
            self._over = True
            return b""
        msg = f"the body is not {self._coding}: {reason}"
        raise TransportError("protocol", msg)

    def _end_member(self, rest: bytes) -> bytes:
        self.is_open = False
        self._is_first = False
        if self._coding == "deflate":
            self._over = True
        if self._over:
            return b""
        self._zlib = zlib.decompressobj(_GZIP)
        return rest


def _deflate_form(first: bytes) -> int:
    """Tell zlib's form (what RFC 9110, 8.4.1.2 means by deflate) from the raw one that some servers send."""
    is_zlib = first[0] & 0x0F == 8 and int.from_bytes(first[:2], "big") % 31 == 0
    return _ZLIB if is_zlib else _RAW


def _too_large() -> TransportError:
    return TransportError("response_too_large", "the decoded body is larger than allowed", fatal=True)

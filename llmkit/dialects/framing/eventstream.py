"""
The binary event stream of AWS (``application/vnd.amazon.eventstream``).

A frame is, all numbers big endian::

    total length (4) | length of the headers (4) | CRC32 of these eight bytes (4)
    headers | payload | CRC32 of everything before (4)

and a header is the length of its name (1), its name, its type (1) and its value. A frame that fails a check ends the
stream: the next one is not searched for, since what would be found may be part of a payload.

Source: Amazon Lex V2 developer guide, "Event stream encoding", and botocore, ``eventstream.py``, read 2026-11-21; the
limits are those of botocore 1.44.
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct
from typing import NamedTuple
from zlib import crc32

from llmkit.dialects.framing.errors import FramingError

__all__ = ["EventStreamDecoder", "Frame", "HeaderValue"]

MAX_FRAME = 24 * 1024 * 1024  # bytes
MAX_HEADERS = 128 * 1024  # bytes

PRELUDE = Struct(">III")
CRC = Struct(">I")
OVERHEAD = PRELUDE.size + CRC.size

HeaderValue = bool | int | str | bytes

# Types of header values: what the type alone says, and those of a known size.
CONSTANTS = {0: True, 1: False}
NUMBERS = {2: Struct(">b"), 3: Struct(">h"), 4: Struct(">i"), 5: Struct(">q"), 8: Struct(">q")}
BYTE = Struct(">B")
LENGTH = Struct(">H")
BYTES, STRING, UUID = 6, 7, 9
UUID_SIZE = 16


class Frame(NamedTuple):
    """
    One message.

    A timestamp among the headers is an int of milliseconds since 1970, a UUID its 16 bytes. Frames may share their headers: these are
    to be read only.
    """

    headers: Mapping[str, HeaderValue]
    payload: bytes


class EventStreamDecoder:
    """
    Turn chunks into frames.

    Args:
        max_frame: The size in bytes above which a frame is refused, as soon as its prelude says so.
    """

    __slots__ = ("_buffer", "_fault", "_headers", "_max_frame", "_position", "_raw_headers", "_total")

    def __init__(self, max_frame: int = MAX_FRAME) -> None:
        self._max_frame = max_frame
        self._buffer = bytearray()
        self._position = 0
        self._total = 0  # of the frame that has begun; 0 before its prelude is there
        self._fault: FramingError | None = None
        self._raw_headers = b""
        self._headers: dict[str, HeaderValue] = {}

    @property
    def leftover(self) -> bytes:
        """The beginning of a frame whose rest has not come; empty when the stream ended where it should."""
        return bytes(self._buffer)

    def feed(self, chunk: bytes) -> list[Frame]:
        """
        Return the frames that *chunk* completes.

        Raises:
            FramingError: If a checksum is wrong, a length impossible or a header unreadable; the offset is that of the
                frame. Frames before it in the same chunk are returned first; the next call of :meth:`feed` or
                :meth:`finish` raises.
        """
        self._check()
        self._buffer += chunk
        frames: list[Frame] = []
        try:
            while (frame := self._next_frame()) is not None:
                frames.append(frame)
        except FramingError as exc:
            self._buffer.clear()
            self._fault = FramingError(exc.message, self._position)
        if not frames:
            self._check()
        return frames

    def finish(self) -> None:
        """
        Say that the stream has ended; whether inside a frame is told by :attr:`leftover`.

        Raises:
            FramingError: If a frame was faulty and :meth:`feed` has not raised it yet.
        """
        self._check()

    def _check(self) -> None:
        if self._fault is not None:
            raise self._fault

    def _next_frame(self) -> Frame | None:
        """Return the frame at the start of the buffer and take it out, or None when it is not whole."""
        buffer = self._buffer
        if not self._total:
            if len(buffer) < PRELUDE.size:
                return None
            self._total = read_prelude(bytes(buffer[: PRELUDE.size]), max_frame=self._max_frame)
        if len(buffer) < self._total:
            return None
        frame = self._read_frame(bytes(buffer[: self._total]))
        # A bytearray gives up its front without moving the rest: a chunk of many frames costs no more than they do.
        del buffer[: self._total]
        self._position += self._total
        self._total = 0
        return frame

    def _read_frame(self, raw: bytes) -> Frame:
        """Return the frame of which *raw* is every byte; its prelude has been checked."""
        body = raw[: -CRC.size]
        if crc32(body) != CRC.unpack_from(raw, len(body))[0]:
            raise FramingError("The checksum of a frame is wrong")
        start = PRELUDE.size + PRELUDE.unpack_from(raw)[1]
        headers = raw[PRELUDE.size : start]
        # Events of one kind follow each other with the same headers, by the thousand.
        if headers != self._raw_headers:
            self._headers, self._raw_headers = read_headers(headers), headers
        return Frame(self._headers, body[start:])


def read_prelude(prelude: bytes, *, max_frame: int) -> int:
    """Return the length of the frame that begins with *prelude*."""
    total, headers, checksum = PRELUDE.unpack(prelude)
    if crc32(prelude[:8]) != checksum:
        raise FramingError("The checksum of a frame's prelude is wrong")
    if total < OVERHEAD:
        raise FramingError(f"A frame says it has {total} bytes; the smallest has {OVERHEAD}")
    if total > max_frame:
        raise FramingError(f"A frame says it has {total} bytes, more than {max_frame}")
    if headers > min(MAX_HEADERS, total - OVERHEAD):
        raise FramingError(f"A frame of {total} bytes says its headers have {headers}")
    return int(total)


def read_headers(raw: bytes) -> dict[str, HeaderValue]:
    """Return the headers of which *raw* is every byte."""
    headers: dict[str, HeaderValue] = {}
    reader = Reader(raw)
    while not reader.at_end:
        name = reader.text(reader.number(BYTE))
        if name in headers:
            raise FramingError("A frame has a header twice")
        headers[name] = reader.value(reader.number(BYTE))
    return headers


class Reader:
    """Read the parts of a header block one after the other."""

    __slots__ = ("_offset", "_raw")

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._offset = 0

    @property
    def at_end(self) -> bool:
        return self._offset == len(self._raw)

    def take(self, size: int) -> bytes:
        end = self._offset + size
        if end > len(self._raw):
            raise FramingError("A header goes beyond the headers of its frame")
        part = self._raw[self._offset : end]
        self._offset = end
        return part

    def number(self, struct: Struct) -> int:
        return int(struct.unpack(self.take(struct.size))[0])

    def text(self, size: int) -> str:
        try:
            return self.take(size).decode("utf-8")
        except UnicodeDecodeError:
            raise FramingError("A header is not UTF-8") from None

    def value(self, kind: int) -> HeaderValue:
        if kind in CONSTANTS:
            return CONSTANTS[kind]
        if kind in NUMBERS:
            return self.number(NUMBERS[kind])
        if kind == BYTES:
            return self.take(self.number(LENGTH))
        if kind == STRING:
            return self.text(self.number(LENGTH))
        if kind == UUID:
            return self.take(UUID_SIZE)
        raise FramingError(f"A header has the unknown type {kind}")

"""What the text decoders share: cutting a stream at its blank lines or its line ends, within a limit."""

from __future__ import annotations

from llmkit.dialects.framing.errors import FramingError

__all__ = ["MAX_EVENT", "Cutter"]

# Inline images and long tool arguments come as one event, so the limit is generous; it is there for a peer that
# never ends an event.
MAX_EVENT = 16 * 1024 * 1024  # bytes


class Cutter:
    """
    Cut a stream of bytes at each *separator* and decode the pieces.

    Bytes that are not UTF-8 become U+FFFD. Line feeds before and after a piece do not count for its size.

    Args:
        separator: One line feed, or two.
        max_event: The size in bytes above which a piece, whole or not, is a fault.
    """

    __slots__ = ("_fault", "_fed", "_max_event", "_separator", "_separator_text", "_tail")

    def __init__(self, separator: bytes, *, max_event: int) -> None:
        self._separator = separator
        self._separator_text = separator.decode("ascii")
        self._max_event = max_event
        # A bytearray grows in place: a line of many megabytes in small chunks is copied a few times, and not once a
        # chunk.
        self._tail = bytearray()
        self._fed = 0
        self._fault: FramingError | None = None

    @property
    def tail(self) -> bytes:
        """The bytes after the last separator."""
        return bytes(self._tail)

    def cut(self, chunk: bytes) -> list[str]:
        """
        Return the pieces that *chunk* completes; those before a piece above the limit, where one is met.

        Raises:
            FramingError: If an earlier call met one.
        """
        if self._fault is not None:
            raise self._fault
        self._fed += len(chunk)
        tail = self._tail
        if tail:
            if self._separator not in chunk and tail[-1:] + chunk[:1] != self._separator:
                tail += chunk
                self._check_tail()
                return []
            chunk = bytes(tail) + chunk
            tail.clear()
        # A separator is ASCII, so no character spans it: decoding before splitting is right, and faster than after.
        pieces = str(chunk, "utf-8", "replace").split(self._separator_text)
        rest = pieces.pop()
        if len(chunk) > self._max_event:
            pieces = self._within_limit(chunk, pieces)
        if rest and self._fault is None:
            tail += chunk[chunk.rfind(self._separator) + len(self._separator) :] if pieces else chunk
            self._check_tail()
        return pieces

    def drop_tail(self) -> None:
        """Forget the bytes after the last separator."""
        self._tail.clear()

    def check(self) -> None:
        """Raise the fault that was met, if one was."""
        if self._fault is not None:
            raise self._fault

    def _check_tail(self) -> None:
        if len(self._tail) > self._max_event and is_longer(self._tail, self._max_event):
            self._fault = self._too_long(self._tail, self._fed - len(self._tail))
            self._tail.clear()

    def _within_limit(self, chunk: bytes, pieces: list[str]) -> list[str]:
        """Return the *pieces* of *chunk* before the first part that is too long, and remember the fault."""
        start = self._fed - len(chunk)
        for index, raw in enumerate(chunk.split(self._separator)):
            if is_longer(raw, self._max_event):
                self._fault = self._too_long(raw, start)
                return pieces[:index]
            start += len(raw) + len(self._separator)
        return pieces

    def _too_long(self, raw: bytes | bytearray, start: int) -> FramingError:
        blank = len(raw) - len(raw.lstrip(b"\n"))
        return FramingError(f"An event of the stream is longer than {self._max_event} bytes", start + blank)


def is_longer(raw: bytes | bytearray, limit: int) -> bool:
    """Return whether *raw* has more bytes than *limit*, line feeds at its ends not counted."""
    return len(raw.strip(b"\n")) > limit

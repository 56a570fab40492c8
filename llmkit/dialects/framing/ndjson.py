"""
Lines of JSON (``application/x-ndjson``).

Source: github.com/ndjson/ndjson-spec, section 3, read 2026-11-21.
"""

from __future__ import annotations

from llmkit.dialects.framing.cutter import MAX_EVENT, Cutter

__all__ = ["NDJSONDecoder"]


class NDJSONDecoder:
    """
    Turn chunks into the lines that hold something.

    A line ends with LF, before which one CR is dropped; nothing else ends a line. Lines of white space are passed over.

    Args:
        max_event: The size in bytes above which a line is refused.
    """

    __slots__ = ("_cutter",)

    def __init__(self, max_event: int = MAX_EVENT) -> None:
        self._cutter = Cutter(b"\n", max_event=max_event)

    def feed(self, chunk: bytes) -> list[str]:
        """
        Return the lines that *chunk* completes.

        Raises:
            FramingError: If a line is longer than the limit. Lines before it in the same chunk are returned first; the
                next call of :meth:`feed` or :meth:`finish` raises. The offset is that of the line's start.
        """
        lines = [line.removesuffix("\r") for line in self._cutter.cut(chunk) if not is_blank(line)]
        if not lines:
            self._cutter.check()
        return lines

    def finish(self) -> list[str]:
        """
        Return the last line, where no line feed ended it.

        It may be whole, since the last line feed is often left out, or cut off: its JSON tells.

        Raises:
            FramingError: If a line was longer than the limit and :meth:`feed` has not raised it yet.
        """
        self._cutter.check()
        line = str(self._cutter.tail, "utf-8", "replace")
        self._cutter.drop_tail()
        return [] if is_blank(line) else [line.removesuffix("\r")]


def is_blank(line: str) -> bool:
    """Return whether *line* has nothing but the white space of JSON."""
    return not line.strip(" \t\r")

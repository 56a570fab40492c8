"""
Server-sent events.

``id`` and ``retry`` serve reconnection only. A completion cannot be resumed, so they are passed over like any field
that the standard does not know.

Source: HTML Living Standard, sections 9.2.5 and 9.2.6; compared with the cases of web-platform-tests, ``eventsource/``,
on 2026-11-21.
"""

from __future__ import annotations

from typing import NamedTuple

from llmkit.dialects.framing.cutter import MAX_EVENT, Cutter
from llmkit.dialects.framing.errors import FramingError
from llmkit.dialects.framing.strict_json import loads

__all__ = ["SSEDecoder", "SSEEvent"]

BOM = b"\xef\xbb\xbf"
CR = 13  # as a number: CPython finds a byte eight times faster than a string of one byte
DONE = "[DONE]"  # what OpenAI and those who speak like it send last, in place of JSON
MESSAGE = "message"
_BEGINNINGS = (b"data:", b"event:", b"id:", b"retry:", b":")  # how a line of an event begins, or a comment


# A named tuple and no frozen attrs class: one is made per token, and it costs a third.
class SSEEvent(NamedTuple):
    """One event: its ``type`` is ``"message"`` where the stream named none."""

    type: str
    data: str


class SSEDecoder:
    """
    Turn chunks of a ``text/event-stream`` into events.

    Args:
        max_event: The size in bytes above which an event is refused, its field names and comments included.
    """

    __slots__ = ("_after_cr", "_begun", "_cutter", "_head")

    def __init__(self, max_event: int = MAX_EVENT) -> None:
        self._cutter = Cutter(b"\n\n", max_event=max_event)
        self._head = b""
        self._begun = False
        self._after_cr = False

    @property
    def leftover(self) -> bytes:
        """
        What came after the last event, its line ends as line feeds; empty when the stream ended where it should.

        Blank lines are no leftover. After :meth:`finish` it is what was given up.
        """
        return self._head + self._cutter.tail.strip(b"\n")

    @property
    def stops_inside(self) -> bool:
        """Whether what came after the last event is the beginning of another, as far as it came."""
        rest = self.leftover
        return bool(rest) and any(rest.startswith(name) or name.startswith(rest) for name in _BEGINNINGS)

    def feed(self, chunk: bytes) -> list[SSEEvent]:
        """
        Return the events that *chunk* completes.

        Raises:
            FramingError: If an event is longer than the limit. Events before it in the same chunk are returned first;
                the next call of :meth:`feed` or :meth:`finish` raises. The offset is that of the event's first
                byte, counted after a byte order mark and with every line end as one byte.
        """
        if not self._begun:
            chunk = self._without_bom(chunk)
        if self._after_cr or CR in chunk:
            chunk = self._with_line_feeds(chunk)
        events = []
        for block in self._cutter.cut(chunk):
            if block.startswith("data: ") and "\n" not in block:
                events.append(SSEEvent(MESSAGE, block[6:]))
            elif (event := read_block(block)) is not None:
                events.append(event)
        if not events:
            self._cutter.check()
        return events

    def finish(self, *, strict: bool = False) -> list[SSEEvent]:
        """
        Return the last event, where the stream ended without the blank line that should follow it.

        Some servers forget that blank line, and the standard would discard their last event. It is returned when its
        data is whole beyond doubt: an object or array of JSON that parses, or ``[DONE]``. All else was cut off and is
        found in :attr:`leftover`.

        Args:
            strict: Discard it, as the standard says.

        Raises:
            FramingError: If an event was longer than the limit and :meth:`feed` has not raised it yet.
        """
        self._cutter.check()
        if strict:
            return []
        tail = self._cutter.tail
        lines, _, last = tail.rpartition(b"\n")
        # Only data can prove itself whole: of "event: err" nobody knows whether "error" was meant.
        block = tail if last.startswith(b"data:") else lines
        event = read_block(str(block, "utf-8", "replace"))
        if event is None or not is_whole(event.data):
            return []
        self._cutter.drop_tail()
        return [event]

    def _without_bom(self, chunk: bytes) -> bytes:
        """Return *chunk* without the stream's byte order mark, or nothing while it may still become one."""
        head = self._head + chunk
        if len(head) < len(BOM) and BOM.startswith(head):
            self._head = head
            return b""
        self._head = b""
        self._begun = True
        return head.removeprefix(BOM)

    def _with_line_feeds(self, chunk: bytes) -> bytes:
        """Return *chunk* with each CR and CRLF as LF: a CR ends its line at once, and an LF after it ends no other."""
        if not chunk:
            return chunk
        start = 1 if self._after_cr and chunk.startswith(b"\n") else 0
        self._after_cr = chunk.endswith(b"\r")
        return chunk[start:].replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def read_block(block: str) -> SSEEvent | None:
    """Return the event that the lines of *block* make, or None where there is no data in it."""
    name = ""
    data = []
    for line in block.split("\n"):
        field, _, value = line.partition(":")
        if field == "data":
            data.append(value.removeprefix(" "))
        elif field == "event":
            name = value.removeprefix(" ")
    if not data:
        return None
    return SSEEvent(name or MESSAGE, "\n".join(data))


def is_whole(data: str) -> bool:
    """Return whether *data* cannot be the beginning of something longer."""
    if data.strip() == DONE:
        return True
    try:
        value = loads(data)
    except FramingError:
        return False
    # A number or a word may go on: 12 is the beginning of 123.
    return isinstance(value, (dict, list))

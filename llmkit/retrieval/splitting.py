"""A long text as short ones. What knows of headings, sentences or tokens is a matter for a library of its own."""

from __future__ import annotations

from llmkit.errors import ConfigurationError
from llmkit.resilience.checks import whole

__all__ = ["split"]


def split(text: str, size: int = 1000, overlap: int = 100) -> list[str]:
    """
    Return *text* in pieces of at most *size* characters; the end of each, *overlap* characters, is the beginning of the next.

    A piece ends at the last white space in its second half, where there is one. Pieces of white space alone are left out.

    Raises:
        ConfigurationError: If *size* is not at least 1, or *overlap* not less than half of it.
    """
    whole("size", size, least=1)
    whole("overlap", overlap)
    if overlap * 2 > size:
        msg = f"overlap must be at most half of size, got {overlap} for {size}."
        raise ConfigurationError(msg)
    pieces = []
    start = 0
    while start < len(text):
        end = _end(text, start, size)
        pieces.append(text[start:end])
        if end == len(text):
            break
        start = end - overlap
    return [piece for piece in pieces if piece.strip()]


def _end(text: str, start: int, size: int) -> int:
    """Return where the piece that begins at *start* ends."""
    end = min(start + size, len(text))
    if end == len(text):
        return end
    # Never before the middle, so that the next piece, which begins half a size before its end at most, begins later than this one.
    for place in range(end, start + size // 2, -1):
        if text[place - 1].isspace():
            return place
    return end

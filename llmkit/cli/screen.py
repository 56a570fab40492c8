"""
Where output goes.

``Screen`` writes plain text and needs nothing; ``open_screen`` returns the coloured one of ``llmkit.cli.terminal`` where there is a
terminal to see it and rich to draw it. Styles are named after what they mean: title, output, good, bad, quiet.
"""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TextIO

__all__ = ["Answer", "Screen", "open_screen"]

UNKNOWN_WIDTH = 80  # columns, of what is no terminal


class Answer:
    """A model's answer while it arrives; a context manager, since it ends with a line end."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text
        self._screen.write(text)

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *_: object) -> None:
        if self.text and not self.text.endswith("\n"):
            self._screen.write("\n")


class Screen:
    """Plain text, without a single escape code."""

    marks = {True: "ok", False: "FAILED"}  # noqa: RUF012 - a constant
    bar = "|"

    def __init__(self, out: TextIO) -> None:
        self._out = out

    @property
    def width(self) -> int:
        """Columns."""
        return shutil.get_terminal_size((UNKNOWN_WIDTH, 24)).columns if self._out.isatty() else UNKNOWN_WIDTH

    def write(self, text: str, style: str = "") -> None:
        """Write *text* as it is, at once."""
        self._out.write(text)
        self._out.flush()

    def line(self, text: str = "", style: str = "") -> None:
        self.write(f"{text}\n", style)

    def text(self, text: str, style: str = "", *, indent: str = "") -> None:
        """Write a paragraph, broken into lines that are all indented."""
        lines = textwrap.fill(
            text, self.width - 1, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
        self.line(lines, style)

    def code(self, source: str) -> None:
        """Show lines of Python."""
        self.line(source)

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> None:
        """Show *rows* under *head*; the columns *right* are aligned to the right."""
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        for row in (head, *rows):
            cells = zip(row, widths, strict=True)
            padded = [cell.rjust(width) if index in right else cell.ljust(width) for index, (cell, width) in enumerate(cells)]
            self.line("  ".join(padded).rstrip())

    def answer(self) -> Answer:
        return Answer(self)


def open_screen(out: TextIO | None = None, *, plain: bool = False) -> Screen:
    """Return the screen for *out*, by default standard output."""
    stream = sys.stdout if out is None else out
    if plain or not stream.isatty() or os.environ.get("TERM") == "dumb" or find_spec("rich") is None:
        return Screen(stream)
    from llmkit.cli.terminal import Terminal

    return Terminal(stream)

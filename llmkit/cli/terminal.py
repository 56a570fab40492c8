"""
The screen of a terminal, drawn by rich.

Only the sixteen colours of the terminal's own palette are used, and no background, so that it is readable on dark and on light.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TextIO

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.markdown import Markdown
from rich.segment import Segment
from rich.style import Style
from rich.syntax import ANSISyntaxTheme, Syntax
from rich.table import Table
from rich.text import Text
from rich.theme import Theme

from llmkit.cli.screen import Answer, Screen

__all__ = ["MarkdownAnswer", "Terminal", "settled"]

STYLES = {"title": "bold", "output": "cyan", "good": "green", "bad": "bold red", "quiet": "dim", "": ""}

CODE = ANSISyntaxTheme(
    {
        ("Comment",): Style(dim=True),
        ("Keyword",): Style(color="magenta"),
        ("Literal", "Number"): Style(color="green"),
        ("Literal", "String"): Style(color="green"),
        ("Name", "Function"): Style(bold=True),
    }
)

# Where rich would draw a dark box, which only a dark terminal bears.
NO_BACKGROUND = {"markdown.code": "bold cyan", "markdown.code_block": "cyan"}

REDRAWS = 20  # a second: fluent to the eye, and a long answer is not laid out anew for each token


class Terminal(Screen):
    """A terminal in colour."""

    def __init__(self, out: TextIO) -> None:
        super().__init__(out)
        self.console = Console(file=out, highlight=False, theme=Theme(NO_BACKGROUND))
        if "utf" in self.console.encoding.lower():
            self.marks, self.bar = {True: "✓", False: "✗"}, "│"

    @property
    def width(self) -> int:
        return self.console.width

    def write(self, text: str, style: str = "") -> None:
        self.console.print(text, style=STYLES[style], end="", markup=False, soft_wrap=True)
        self._out.flush()

    def code(self, source: str) -> None:
        self.console.print(Syntax(source, "python", theme=CODE, background_color="default"))

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> None:
        table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
        for index, name in enumerate(head):
            table.add_column(name, justify="right" if index in right else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell, style=self._style_of(cell)) for cell in row))
        self.console.print(table)

    def _style_of(self, cell: str) -> str:
        return next((STYLES["good" if good else "bad"] for good, mark in self.marks.items() if cell == mark), "")

    def answer(self) -> Answer:
        return MarkdownAnswer(self)


class MarkdownAnswer(Answer):
    """
    An answer drawn as Markdown while it grows.

    What no later text can change is printed for good and scrolls away like any output; only the rest is drawn anew.
    """

    def __init__(self, terminal: Terminal) -> None:
        super().__init__(terminal)
        self._console = terminal.console
        self._rest = ""
        self._printed = False
        self._live = Live(self, console=terminal.console, refresh_per_second=REDRAWS, transient=True, vertical_overflow="crop")

    def write(self, text: str) -> None:
        self.text += text
        rest = self._rest + text
        end = settled(rest)
        self._rest = rest[end:]
        if end:
            self._print(rest[:end])

    def _print(self, text: str) -> None:
        if self._printed:
            self._console.print()
        self._console.print(Drawn(text))
        self._printed = True

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self._rest.strip():
            if self._printed:
                yield Segment.line()
            # The end of what does not fit is what the reader waits for.
            yield Drawn(self._rest, most=max(1, console.height - 2))

    def __enter__(self) -> Answer:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        rest, self._rest = self._rest, ""
        self._live.stop()
        if rest.strip():
            self._print(rest)


class Drawn:
    """Markdown without the blank lines that rich draws around blocks, and of it the last *most* lines."""

    def __init__(self, text: str, most: int | None = None) -> None:
        self._text = text
        self._most = most

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = console.render_lines(Markdown(self._text, code_theme="ansi_dark"), options, pad=False)
        seen = [index for index, line in enumerate(lines) if any(segment.text.strip() for segment in line)]
        visible = lines[seen[0] : seen[-1] + 1] if seen else []
        for line in visible if self._most is None else visible[-self._most :]:
            yield from line
            yield Segment.line()


_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_NEW_BLOCK = re.compile(r"[^\s\d*+-]")  # neither the next item of a list nor what belongs to the item before


def settled(text: str) -> int:
    """Return how much of the Markdown *text*, from its beginning, no later text can change: whole blocks."""
    end = offset = 0
    fence = ""
    blank = False
    for line in text.splitlines(keepends=True):
        if blank and not fence and _NEW_BLOCK.match(line):
            end = offset
        mark = _FENCE.match(line)
        if mark and not fence:
            fence = mark[1]
        elif mark and mark[1].startswith(fence) and not line[mark.end() :].strip():
            fence = ""
        blank = not line.strip() and line.endswith("\n")
        offset += len(line)
    return end

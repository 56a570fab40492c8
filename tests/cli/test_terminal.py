"""Coloured output, and Markdown that grows."""

from __future__ import annotations

import io

import pytest

pytest.importorskip("rich")

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from llmkit.cli.terminal import Drawn, MarkdownAnswer, Terminal, settled

STORY = """# Title

A paragraph,
of two lines.

```python
def f():

    return 1
```

1. one

2. two

   more of two

~~~
```

~~~
The end.
"""


class FakeTerminal(io.StringIO):
    """A file that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def cuts(text: str) -> list[str]:
    """Return the blocks into which *text* is cut when it arrives letter by letter."""
    blocks, rest = [], ""
    for letter in text:
        rest += letter
        end = settled(rest)
        if end:
            blocks.append(rest[:end])
            rest = rest[end:]
    return [*blocks, rest]


def test_blocks_are_settled_one_by_one() -> None:
    """A fence and a list stay whole, though there are blank lines in them."""
    blocks = cuts(STORY)

    assert ["# Title", "A paragraph,", "```python", "~~~"] == [block.splitlines()[0] for block in blocks]
    assert "2. two" in blocks[2]


@given(st.text(alphabet="a`~#-1. \n", max_size=60))
def test_cutting_loses_nothing(text: str) -> None:
    """Whatever arrives is shown, once and in order."""
    assert text == "".join(cuts(text))


def test_a_grown_answer_looks_like_a_whole_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks printed one by one are those of the text drawn at once; nothing is left over from the drawing in between."""
    monkeypatch.setenv("TERM", "xterm")
    out = FakeTerminal()
    terminal = Terminal(out)
    whole = Console(file=io.StringIO(), width=terminal.console.width)

    with MarkdownAnswer(terminal) as answer:
        for letter in STORY:
            answer.write(letter)
    whole.print(Drawn(STORY))

    assert STORY == answer.text
    assert words(whole.file.getvalue()) == words(out.getvalue())  # type: ignore[attr-defined]


def words(shown: str) -> list[str]:
    """Return the words that stay on the screen when *shown* was written to it: lines that were erased are left out."""
    lines: list[str] = [""]
    for piece in split_codes(shown):
        if piece == "\n":
            lines.append("")
        elif piece.startswith("\x1b["):
            if piece.endswith("A"):
                lines.pop()
            elif piece.endswith("K"):
                lines[-1] = ""
        elif piece != "\r":
            lines[-1] += piece
    return " ".join(lines).split()


def split_codes(shown: str) -> list[str]:
    import re

    return re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\n|\r|[^\x1b\n\r]+", shown)


def test_of_a_long_block_the_end_is_drawn() -> None:
    """What does not fit on the screen must not push out what just came."""
    console = Console(file=io.StringIO(), width=40)

    lines = console.render_lines(Drawn("\n\n".join(f"- item {n}" for n in range(50)), most=5), pad=False)

    assert "item 49" in "".join(segment.text for segment in lines[-1] or lines[-2])
    assert len(lines) <= 6


def test_marks_are_such_as_the_terminal_can_show() -> None:
    """Where it knows ASCII only, words."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")

    assert {True: "ok", False: "FAILED"} == Terminal(out).marks

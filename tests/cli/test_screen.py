"""Plain output."""

from __future__ import annotations

import io

from llmkit.cli.screen import Screen, open_screen


def test_what_is_no_terminal_gets_plain_text() -> None:
    """A file or a pipe never sees an escape code."""
    assert Screen is type(open_screen(io.StringIO()))


def test_a_table_is_aligned() -> None:
    """Names to the left, numbers to the right, no blanks at line ends."""
    out = io.StringIO()

    Screen(out).table(("name", "n"), [("a", "1000"), ("longer", "7")], right=(1,))

    assert ["name       n", "a       1000", "longer     7"] == out.getvalue().splitlines()


def test_a_paragraph_keeps_its_indent_and_its_long_words() -> None:
    """An address is worth more in one piece than a straight margin."""
    out = io.StringIO()
    address = "https://" + "a" * 100

    Screen(out).text(f"It is at {address} " + "word " * 20, indent="  ")

    lines = out.getvalue().splitlines()
    assert f"  {address}" in lines
    assert all(line.startswith("  ") for line in lines)
    assert all(len(line) < 80 for line in lines if address not in line)


def test_an_answer_ends_its_line() -> None:
    """Once, and not at all where there is none."""
    shown = []
    for pieces in (["a", "b"], ["a\n"], []):
        out = io.StringIO()
        with Screen(out).answer() as answer:
            for piece in pieces:
                answer.write(piece)
        shown.append(out.getvalue())

    assert ["ab\n", "a\n", ""] == shown

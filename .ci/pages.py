"""Renew the tables of docs/providers.md from the code."""

from __future__ import annotations

import sys
from pathlib import Path

from llmkit.cli.abilities import tables
from llmkit.providers.registry import Registry
from llmkit.providers.table import TABLE

PAGE = Path(__file__).parent.parent / "docs" / "providers.md"
PLACES = ("## What each can do", "## Keys and addresses", "## Options")  # each followed by its words, then its table


def renewed(page: str) -> str:
    """Return *page* with each table in its place: behind the words under its heading."""
    for heading, table in zip(PLACES, tables(Registry(TABLE)), strict=True):
        before, mark, rest = page.partition(f"{heading}\n")
        own, following, behind = rest.partition("\n## ")
        words = "\n".join(line for line in own.splitlines() if not line.startswith("|")).strip("\n")
        page = f"{before}{mark}\n{words}{chr(10) * 2 if words else ''}{table}\n{following}{behind}"
    return page


if __name__ == "__main__":
    found = PAGE.read_text()
    PAGE.write_text(renewed(found))
    sys.exit("The page was not up to date; it is now." if "--check" in sys.argv and found != PAGE.read_text() else None)

"""What each wire can say, found by trying."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from llmkit.cli.abilities import COLUMNS, abilities, tables, wires
from llmkit.dialects.openai_chat import OpenAIChat
from llmkit.providers import Option, Provider, find_provider

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize(
    ("name", "column", "found"),
    [
        ("openai", "pictures", "data, links"),
        ("ollama", "pictures", "data"),
        ("heroku", "pictures", ""),
        ("anthropic", "sounds", ""),
        ("google", "sounds", "yes"),
        ("anthropic", "cache marks", "yes"),
        ("openai", "cache marks", ""),
        ("openai", "schemas", "held"),
        ("deepseek", "schemas", "in words"),
        ("perplexity", "tools", ""),
        ("voyage", "embeds", "yes"),
        ("voyage", "wire", ""),
        ("anthropic", "embeds", ""),
        ("bedrock", "counts", "yes"),
        ("mistral", "counts", ""),
        ("databricks", "lists", ""),
    ],
)
def test_what_a_wire_can_say_is_found(name: str, column: str, found: str) -> None:
    """Where it is refused the cell is empty."""
    assert found == abilities(find_provider(name))[column]


def test_every_wire_of_a_provider_is_tried() -> None:
    """Those of its option, and those of other makers' models."""
    bedrock, vertex, groq = ([cells["provider"] for cells in wires(find_provider(name))] for name in ("bedrock", "vertex", "groq"))

    assert ["bedrock", "bedrock, api chat", "bedrock, api responses", "bedrock, api invoke"] == bedrock
    assert ["vertex", "vertex, claude-…"] == vertex
    assert ["groq"] == groq


def test_tables_are_of_whatever_rows_there_are() -> None:
    """With what is empty left empty, and no bar that would be another cell."""
    option = Option(meaning="this | that", choices={"a": "x", "b": "y"}, default="a", env=("ACME_MODE",))
    row = Provider(name="acme", dialect=OpenAIChat(owner="acme"), key_env=("ACME_KEY",), options={"mode": option})

    can, found, said = (table.splitlines() for table in tables([row]))

    assert f"| {' | '.join(COLUMNS)} |" == can[0]
    assert can[2].startswith("| acme | openai chat | yes | data, links |")
    assert "| acme |  | `ACME_KEY` |  |  |" == found[2]
    assert "| acme | `mode` | this / that: a, b | `a` | `ACME_MODE` |" == said[2]


def test_the_command_prints_them(run: Run) -> None:
    """For a page."""
    done = run("providers", "--markdown")

    assert 0 == done.returncode
    assert "| anthropic | anthropic | yes |" in done.stdout
    assert 3 == done.stdout.count("| --- |\n")

"""Lists for people and for pipes."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from typing import Any

from llmkit.providers import provider_names
from llmkit.testing import FakeServer, Reply

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_models_are_one_a_line(run: Run) -> None:
    """Those that the provider lists, sorted."""
    done = run("models")

    listed = done.stdout.splitlines()
    assert 0 == done.returncode
    assert "gpt-4o-mini" in listed
    assert sorted(listed) == listed


def test_models_of_any_provider_can_be_listed(run: Run, server: FakeServer) -> None:
    """Also of one that has no model of its own to begin with."""
    done = run("models", "nvidia", NVIDIA_API_KEY="nv-test", NVIDIA_BASE_URL=server.url("nvidia"))

    assert 0 == done.returncode
    assert ["nvidia"] == [request.provider for request in server.requests]


def test_models_of_any_server_can_be_listed(run: Run, server: FakeServer) -> None:
    """By its base URL alone."""
    done = run("models", "--base-url", server.url("custom"))

    assert (0, 1) == (done.returncode, server.hits)
    assert done.stdout


def test_models_on_a_terminal_have_an_owner(on_terminal: Callable[..., Any]) -> None:
    """A table with a head."""
    terminal = on_terminal("models")

    assert 0 == terminal.finish()
    assert "owner" in terminal.shown


def test_a_list_that_is_refused_is_a_failed_call(run: Run, server: FakeServer) -> None:
    """Status 1."""
    server.enqueue(Reply.error(403, message="Not for you."))

    done = run("models")

    assert ("", 1) == (done.stdout, done.returncode)
    assert "Not for you." in done.stderr


def test_all_providers_are_listed_with_four_cells_each(run: Run) -> None:
    """So that columns can be cut out again; which key is set is told, and never the key."""
    rows = [line.split() for line in run("providers").stdout.splitlines()]

    assert ["provider", "key", "variables", "address"] == rows[0]
    assert provider_names() == [row[0] for row in rows[1:]]
    assert {4} == {len(row) for row in rows}
    states = {row[0]: row[1] for row in rows}
    assert ("set", "missing", "optional") == (states["openai"], states["mistral"], states["ollama"])


def test_providers_fit_on_a_terminal(on_terminal: Callable[..., Any]) -> None:
    """A set key is marked."""
    terminal = on_terminal("providers", NO_COLOR="1")

    assert 0 == terminal.finish()
    lines = [line.rstrip("\r") for line in re.sub("\x1b[^m]*m", "", terminal.shown).split("\n")]
    assert ["✓", "openai", "OPENAI_API_KEY"] in [line.split()[:3] for line in lines]
    assert ["mistral", "MISTRAL_API_KEY"] in [line.split()[:2] for line in lines]
    assert max(map(len, lines)) <= 80

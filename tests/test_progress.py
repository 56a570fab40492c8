"""How far something is."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from llmkit import ConfigurationError
from llmkit.progress import progress_of


def test_a_function_is_told() -> None:
    """How many are done, of how many, and how many of them failed."""
    told: list[tuple[int, int | None, int]] = []
    progress = progress_of(lambda *facts: told.append(facts), 5)
    assert progress is not None

    progress.show(2, 5, 0)
    progress.show(5, 5, 1)
    progress.close()

    assert [(2, 5, 0), (5, 5, 1)] == told


def test_a_function_need_not_take_what_failed() -> None:
    """As a bar of one's own, most likely."""
    told: list[tuple[int, int | None]] = []
    progress = progress_of(lambda done, total: told.append((done, total)), 5)
    assert progress is not None

    progress.show(2, 5, 1)

    assert [(2, 5)] == told


@pytest.mark.parametrize("report", [lambda: None, lambda done: None, lambda done, total, failed, more: None])
def test_a_function_of_something_else_is_refused(report: Any) -> None:
    """Before anything is sent, and not when there is something to tell."""
    with pytest.raises(ConfigurationError, match="takes neither three nor two"):
        progress_of(report, 5)


def test_a_bar_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    """In its unit, with its title and what failed."""
    progress = progress_of(True, 5, unit="doc", title="pets")
    assert progress is not None

    progress.show(2, 5, 1)
    progress.show(5, 5, 1)
    progress.close()

    drawn = capsys.readouterr().err.rpartition("\r")[2]
    assert "pets: 100%" in drawn
    assert "5/5" in drawn
    assert "doc/s" in drawn
    assert "failed=1" in drawn


@pytest.mark.parametrize("nobody", [None, False])
def test_nobody_is_told_who_does_not_ask(nobody: Any) -> None:
    """There is nothing to be told then."""
    assert None is progress_of(nobody, 5)


@pytest.mark.parametrize("wrong", ["yes", 7, 1, []])
def test_what_is_neither_is_refused(wrong: Any) -> None:
    """By its type."""
    with pytest.raises(ConfigurationError, match=f"progress is True, or a function .* not {type(wrong).__name__}"):
        progress_of(wrong, 5)


def test_a_bar_needs_tqdm(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command that brings it is named where it is missing."""
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)

    with pytest.raises(ConfigurationError, match=r"pip install 'llmkit\[progress\]'"):
        progress_of(True, 5)

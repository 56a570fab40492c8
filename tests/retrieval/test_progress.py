"""How far something is. (The bar is tested where users meet it.)"""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from llmkit import ConfigurationError
from llmkit.retrieval.progress import shown


def test_a_function_is_told() -> None:
    """How many are done, and of how many."""
    told: list[tuple[int, int]] = []
    progress = shown(lambda done, total: told.append((done, total)), 5, "pets")

    progress.update(2)
    progress.update(3)
    progress.close()

    assert [(2, 5), (5, 5)] == told


@pytest.mark.parametrize("nobody", [None, False])
def test_nobody_is_told_who_does_not_ask(nobody: Any) -> None:
    """There is nothing to be told then."""
    assert None is shown(nobody, 5, "pets")


def test_a_bar_needs_tqdm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is named where it is missing."""

    def missing(name: str) -> Any:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", missing)

    with pytest.raises(ConfigurationError, match="pip install tqdm"):
        shown(True, 5, "pets")

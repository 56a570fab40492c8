"""How far something is: told to a function, or drawn by tqdm in terminals and notebooks."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from llmkit.errors import ConfigurationError

__all__ = ["Progress", "shown"]

Progress = bool | Callable[[int, int], object] | None


class Teller:
    """Tells a function how many are done, and of how many."""

    def __init__(self, tell: Callable[[int, int], object], total: int) -> None:
        self._tell = tell
        self._total = total
        self._done = 0

    def update(self, count: int) -> None:
        """*count* more are done."""
        self._done += count
        self._tell(self._done, self._total)

    def close(self) -> None:
        """No more will be."""


def shown(progress: Any, total: int, title: str) -> Any:
    """
    Return what is told of progress by ``update(count)`` and ``close()``; None if nobody wants to know.

    Args:
        progress: True for tqdm's bar, or a function that takes how many are done, and of how many.

    Raises:
        ConfigurationError: If it is neither, or tqdm is wanted and not installed.
    """
    if progress is None or progress is False:
        return None
    if callable(progress):
        return Teller(progress, total)
    if progress is not True:
        msg = f"progress is True, or a function that takes two numbers, not {type(progress).__name__}."
        raise ConfigurationError(msg)
    try:
        tqdm = importlib.import_module("tqdm.auto").tqdm
    except ModuleNotFoundError:
        msg = "progress=True needs the package tqdm: pip install tqdm. Or pass a function."
        raise ConfigurationError(msg) from None
    return tqdm(total=total, desc=title, unit="doc")

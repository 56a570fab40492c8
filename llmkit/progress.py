"""
How far something is: drawn by tqdm in terminals and notebooks, or told to a function. The only home of tqdm.

Rule: whatever takes ``progress=`` takes the same: True, or a function of done, total (None where it is not known) and, if it takes a
third, failed. What is done includes what failed, and what an earlier run has done. Where the first failure ends everything, failed is 0.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from llmkit.errors import ConfigurationError

__all__ = ["Progress", "ProgressArgument", "progress_of"]

# Done, total where it is known, and failed.
Report: TypeAlias = "Callable[[int, int | None, int], object] | Callable[[int, int | None], object]"
ProgressArgument: TypeAlias = "bool | Report | None"


class Progress(Protocol):
    """Is told how far it is, by one at a time."""

    def show(self, done: int, total: int | None, failed: int) -> None: ...

    def close(self) -> None: ...


class Told:
    """A function of the user's."""

    def __init__(self, report: Callable[..., object], facts: int) -> None:
        self._report = report
        self._facts = facts

    def show(self, done: int, total: int | None, failed: int) -> None:
        self._report(*(done, total, failed)[: self._facts])

    def close(self) -> None:
        """There is nothing to close."""


class Bar:
    """A bar in the terminal or the notebook."""

    def __init__(self, bar: Any) -> None:
        self._bar = bar
        self._failed = 0

    def show(self, done: int, total: int | None, failed: int) -> None:
        if failed != self._failed:
            self._failed = failed
            self._bar.set_postfix(failed=failed, refresh=False)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        self._bar.close()


def progress_of(value: Any, total: int | None, *, unit: str = "item", title: str | None = None) -> Progress | None:
    """
    Return what a user gave as ``progress=``, for *total* of *unit*; *title* stands before the bar.

    Raises:
        ConfigurationError: If it is neither a flag nor callable, or tqdm is not there.
    """
    if value is None or value is False:
        return None
    if value is not True:
        if not callable(value):
            msg = f"progress is True, or a function of done, total and failed, not {type(value).__name__}."
            raise ConfigurationError(msg)
        return Told(value, _taken(value))
    try:
        from tqdm.auto import tqdm
    except ModuleNotFoundError:
        msg = "progress=True needs tqdm: pip install 'llmkit[progress]'. Or pass a function of done, total and failed."
        raise ConfigurationError(msg) from None
    return Bar(tqdm(total=total, unit=unit, desc=title))


def _taken(report: Callable[..., object]) -> int:
    """Return how many of the three facts *report* takes: all, or not what failed."""
    try:
        signature = inspect.signature(report)
    except ValueError:  # Python knows none of it, as of some that are written in C
        return 3
    for count in (3, 2):
        try:
            signature.bind(*range(count))
        except TypeError:
            continue
        return count
    msg = f"progress is a function of done, total and failed, or of done and total: {report!r} takes neither three nor two."
    raise ConfigurationError(msg)

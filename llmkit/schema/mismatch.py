"""What is said when a JSON value is not of the type it should have."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

__all__ = ["Mismatch", "expected", "merged", "shown"]

Problem = tuple[str, str]

MOST_TOLD = 5  # problems in one text; a wrong list of thousands has thousands
LONGEST_SHOWN = 60  # characters of a value


class Mismatch(ValueError):
    """
    A value is not of its type.

    ``problems`` are pairs: a path below the value, and what is wrong there. The cause is what the first of the user's
    own checks raised, if any did.
    """

    def __init__(self, *problems: Problem, cause: BaseException | None = None) -> None:
        super().__init__(*problems)
        self.problems = problems
        self.__cause__ = cause

    def __str__(self) -> str:
        told = [f"{path}: {text}" if path else text for path, text in self.problems[:MOST_TOLD]]
        more = f" (and {len(self.problems) - MOST_TOLD} more)" if len(self.problems) > MOST_TOLD else ""
        return "; ".join(told) + more

    def below(self, step: str) -> Mismatch:
        """Return this as it is told by whoever came here by *step*."""
        return Mismatch(*((step + path, text) for path, text in self.problems), cause=self.__cause__)


def merged(failures: Iterable[Mismatch]) -> Mismatch:
    """Return all *failures* as one."""
    failures = list(failures)
    problems = (problem for one in failures for problem in one.problems)
    return Mismatch(*problems, cause=next((one.__cause__ for one in failures if one.__cause__), None))


def expected(what: str, value: Any) -> Mismatch:
    """Return the error that says what stands in the place of *what*."""
    return Mismatch(("", f"expected {what}, got {shown(value)}"))


def shown(value: Any) -> str:
    """Return *value* as an error shows it: short, and as JSON."""
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 3]}..."

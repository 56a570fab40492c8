"""Checks of the numbers that a policy is configured with: each error names the field and the rule."""

from __future__ import annotations

import math
from typing import Any

from llmkit.errors import ConfigurationError

__all__ = ["flag", "number", "whole"]


def number(name: str, value: Any, *, least: float = 0.0, above: float | None = None, most: float | None = None) -> None:
    """
    Refuse a *value* that is no finite number of at least *least* (or more than *above*), and of at most *most*.

    A bool is an int to Python but not to a reader of ``timeout=True``: it is refused.

    Raises:
        ConfigurationError: Naming the field.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        msg = f"{name} must be a finite number, got {value!r}."
        raise ConfigurationError(msg)
    if above is not None and value <= above:
        msg = f"{name} must be more than {above:g}, got {value!r}."
        raise ConfigurationError(msg)
    if above is None and value < least:
        msg = f"{name} must be at least {least:g}, got {value!r}."
        raise ConfigurationError(msg)
    if most is not None and value > most:
        msg = f"{name} must be at most {most:g}, got {value!r}."
        raise ConfigurationError(msg)


def whole(name: str, value: Any, *, least: int = 0) -> None:
    """
    Refuse a *value* that is no int of at least *least*; a bool is refused too.

    Raises:
        ConfigurationError: Naming the field.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        msg = f"{name} must be a whole number, got {value!r}."
        raise ConfigurationError(msg)
    if value < least:
        msg = f"{name} must be at least {least}, got {value!r}."
        raise ConfigurationError(msg)


def flag(name: str, value: Any) -> None:
    """
    Refuse a *value* that is neither True nor False.

    Raises:
        ConfigurationError: Naming the field.
    """
    if not isinstance(value, bool):
        msg = f"{name} must be True or False, got {value!r}."
        raise ConfigurationError(msg)

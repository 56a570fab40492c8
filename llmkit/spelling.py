"""Names that nobody knows, and what was probably meant."""

from __future__ import annotations

from collections.abc import Iterable

from llmkit.errors import ConfigurationError

__all__ = ["closest", "nearest", "refuse_unknown"]


def closest(name: str, known: Iterable[str], *, alike: float = 0.6) -> str | None:
    """Return the one of *known* that is most like *name*, whatever the case; None where none is *alike* enough, from 0 to 1."""
    from difflib import get_close_matches  # only for those who mistyped

    lowered = {one.lower(): one for one in known}
    near = get_close_matches(name.lower(), lowered, n=1, cutoff=alike)
    return lowered[near[0]] if near else None


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the question whether one of *known* was meant by *name*, with a space before it; nothing where none is near."""
    near = closest(name, known)
    return "" if near is None else f" Did you mean {near!r}?"


def refuse_unknown(given: Iterable[str], known: Iterable[str], *, path: str = "") -> None:
    """
    Refuse the first of the names *given* that is not *known*, naming the nearest, or all where none is near.

    Args:
        given: Names; their values are never looked at.
        known: Those there are.
        path: What stands before the name where it is shown, such as ``"providers.prod"``.

    Raises:
        ConfigurationError: If there is one.
    """
    there = sorted(known)
    for name in given:
        if name not in there:
            shown = f"{path}.{name}" if path else str(name)
            hint = nearest(str(name), there) or f" There are {', '.join(there)}."
            msg = f"{shown} is not known.{hint}"
            raise ConfigurationError(msg)

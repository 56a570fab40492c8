"""Names that nobody knows, and what was probably meant."""

from __future__ import annotations

from collections.abc import Iterable

from llmkit.errors import ConfigurationError

__all__ = ["nearest", "refuse_unknown"]


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the question whether one of *known* was meant by *name*, with a space before it; nothing where none is near."""
    from difflib import get_close_matches  # only for those who mistyped

    lowered = {one.lower(): one for one in known}
    near = get_close_matches(name.lower(), lowered, n=1)
    return f" Did you mean {lowered[near[0]]!r}?" if near else ""


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

"""
Providers of other packages, found by their entry points.

An entry point of the group ``llmkit.providers`` is a ``Provider``, or a function without arguments that returns one, or several, or
registers them itself. Entry points are read when a name is asked for that nobody knows; none that is broken keeps the others away.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from llmkit.providers import registry
from llmkit.providers.local import as_row
from llmkit.providers.provider import Provider
from llmkit.secrets import clean

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["GROUP", "refresh_custom_providers"]

GROUP = "llmkit.providers"


def refresh_custom_providers() -> list[str]:
    """
    Read the entry points again and return the names of the providers that they gave, sorted.

    Providers of packages that are gone are forgotten; a package that was installed meanwhile is found. An entry point that cannot be
    used is left out, with a warning that names it.
    """
    rows = registry.ROWS
    with rows.discovering():
        importlib.invalidate_caches()
        for name in rows.plugged:
            rows.remove(name)
        rows.plugged = []
        from importlib.metadata import entry_points

        for entry in entry_points(group=GROUP):
            rows.plugged += _registered(rows, entry)
        return sorted(rows.plugged)


def _registered(rows: registry.Registry, entry: EntryPoint) -> list[str]:
    """Register what *entry* gives and return the names."""
    before = len(rows.history)
    try:
        for row in _rows_of(entry.load()):
            rows.add(row, replace=False)
    except Exception as error:  # noqa: BLE001 - whatever a stranger's package raises
        source = f" of the package {entry.dist.name!r}" if entry.dist is not None else ""
        text = clean(f"{type(error).__name__}: {error}", limit=500)
        message = f"The entry point {entry.name!r}{source} in {GROUP!r} cannot be used, and is left out: {text}"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    return rows.history[before:]


def _rows_of(found: Any) -> Iterable[Provider]:
    if callable(found):
        found = found()
    found = as_row(found)
    if found is None:
        return ()
    rows = []
    for row in (found,) if isinstance(found, Provider) else map(as_row, found):
        if not isinstance(row, Provider):
            msg = f"it gives a {type(row).__name__}, not a Provider."
            raise TypeError(msg)
        rows.append(row)
    return rows

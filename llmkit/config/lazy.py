"""Clients that are made when they are first asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from llmkit._fork import renewed_in_child
from llmkit.config.tables import Table
from llmkit.errors import ConfigurationError
from llmkit.spelling import nearest

__all__ = ["LazyClients"]


class LazyClients(Mapping[str, Any]):
    """
    Clients by name, or by provider and model: made when first asked for, and then the same one for all. Thread-safe.

    Asking raises ``KeyError`` for a name that is not there, and ``ConfigurationError`` if no client can be made of what it says.
    """

    def __init__(self, tables: Mapping[str, Table | Mapping[str, Table]], make: Callable[[Table], Any]) -> None:
        self._tables = tables
        self._make = make
        self._made: dict[str, Any] = {}
        self._closed = False
        self._lock = threading.Lock()
        renewed_in_child(self)

    def renew(self) -> None:
        self._lock = threading.Lock()

    def __getitem__(self, name: str) -> Any:
        made = self._made.get(name)
        if made is not None:
            return made
        if name not in self._tables:
            raise KeyError(f"There is no {name!r}.{nearest(str(name), self._tables)} There are {', '.join(self._tables)}.")
        with self._lock:
            if name not in self._made:
                self._made[name] = self._new(self._tables[name])
            return self._made[name]

    def _new(self, table: Table | Mapping[str, Table]) -> Any:
        if self._closed:
            msg = "These clients were closed; load the file again."
            raise ConfigurationError(msg)
        return self._make(table) if isinstance(table, Table) else LazyClients(table, self._make)

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)

    def __contains__(self, name: object) -> bool:
        return name in self._tables

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self._tables)})"

    def shut(self) -> list[Any]:
        """Make no more, and return the clients made so far."""
        with self._lock:
            self._closed = True
            made = list(self._made.values())
        return [client for one in made for client in (one.shut() if isinstance(one, LazyClients) else [one])]

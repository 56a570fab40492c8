"""Tools by name and version: the newest serves, or the one that was chosen."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from attrs import evolve

from llmkit._fork import renewed_in_child
from llmkit.errors import ConfigurationError
from llmkit.requirements import Version
from llmkit.spelling import nearest
from llmkit.tools import Tool, as_tool, tool

__all__ = ["ToolRegistry"]

_Function = TypeVar("_Function", bound=Callable[..., Any])

UNVERSIONED = "0"


class ToolRegistry:
    """
    Tools that are there in several versions. Give it as ``tools=``: it is iterated for those in use, one for each name.

    In use is the newest version, unless ``use`` or ``rollback`` chose another. A tool without a version counts as version 0. Thread-safe.
    """

    def __init__(self, tools: Iterable[object] = ()) -> None:
        self._lock = threading.Lock()
        self._tools: dict[str, dict[Version, Tool]] = {}
        self._chosen: dict[str, Version] = {}
        renewed_in_child(self)
        for one in tools:
            self.add(one)

    def renew(self) -> None:
        self._lock = threading.Lock()

    def add(self, value: object, *, version: str | None = None) -> Tool:
        """
        Take in a function or ``Tool``, as *version* where it says none itself, and return it as a ``Tool``.

        Raises:
            ConfigurationError: If it is no tool, or that version is there already.
        """
        made = as_tool(value)
        if version is not None:
            made = evolve(made, version=version)
        key = Version.of(made.version or UNVERSIONED)
        with self._lock:
            known = self._tools.setdefault(made.name, {})
            if key in known:
                msg = f"The tool {made.title} is there already: give the new one another version."
                raise ConfigurationError(msg)
            # A dict of its own, so that whoever reads meanwhile sees one or the other.
            self._tools[made.name] = {**known, key: made}
        return made

    def tool(self, version: str | None = None, **said: Any) -> Callable[[_Function], _Function]:
        """Return a decorator that marks a function as ``@llmkit.tool`` does, and takes it in."""

        def taken_in(function: _Function) -> _Function:
            marked = tool(version=version, **said)(function)
            self.add(marked)
            return marked

        return taken_in

    def names(self) -> tuple[str, ...]:
        """Return the names, in the order in which they came."""
        return tuple(self._tools)

    def versions(self, name: str) -> tuple[str, ...]:
        """Return the versions of the tool *name*, the newest first. Raises ``ConfigurationError`` if there is none of that name."""
        known = self._known(name)
        return tuple(known[key].version or UNVERSIONED for key in sorted(known, reverse=True))

    def get(self, name: str, version: str | None = None) -> Tool:
        """
        Return the tool *name*: *version* of it, or the one in use.

        Raises:
            ConfigurationError: If it is not there, or a package that it requires is not installed; the message says which, and the
                command that installs it.
        """
        found = self._find(name, version)
        found.check()
        return found

    def use(self, name: str, version: str | None = None) -> Tool:
        """
        Have *version* of the tool *name* serve from now on, None for the newest there is, and return it.

        Raises:
            ConfigurationError: If it is not there, or lacks what it requires; nothing is changed then.
        """
        chosen = self._find(name, version) if version is not None else self._newest(name)
        chosen.check()
        with self._lock:
            if version is None:
                self._chosen.pop(name, None)
            else:
                self._chosen[name] = Version.of(version)
        return chosen

    def rollback(self, name: str) -> Tool:
        """
        Have the version before the one in use serve from now on, and return it. Later versions wait until ``use`` asks for them.

        Raises:
            ConfigurationError: If there is none before, or it lacks what it requires; nothing is changed then.
        """
        now = self._find(name, None)
        current = Version.of(now.version or UNVERSIONED)
        before = [key for key in self._known(name) if key < current]
        if not before:
            msg = f"There is no version of the tool {name} before {now.version or UNVERSIONED}."
            raise ConfigurationError(msg)
        return self.use(name, self._known(name)[max(before)].version or UNVERSIONED)

    def missing(self) -> dict[str, dict[str, str]]:
        """Return what the tools in use lack, by their names: ``{"chart": {"matplotlib>=3": "is not installed"}}``."""
        lacks = {one.name: one.missing() for one in self}
        return {name: lack for name, lack in lacks.items() if lack}

    def __iter__(self) -> Iterator[Tool]:
        return iter([self._find(name, None) for name in self.names()])

    def __len__(self) -> int:
        return len(self._tools)

    def __contains__(self, name: object) -> bool:
        return name in self._tools

    def __repr__(self) -> str:
        return f"ToolRegistry({', '.join(one.title for one in self)})"

    def _known(self, name: str) -> dict[Version, Tool]:
        known = self._tools.get(name)
        if known is None:
            msg = f"There is no tool {name!r}.{nearest(name, self._tools)}"
            raise ConfigurationError(msg)
        return known

    def _newest(self, name: str) -> Tool:
        known = self._known(name)
        return known[max(known)]

    def _find(self, name: str, version: str | None) -> Tool:
        known = self._known(name)
        key = Version.of(version) if version is not None else self._chosen.get(name)
        if key is None:
            return known[max(known)]
        if key not in known:
            msg = f"There is no version {version} of the tool {name}; there are {', '.join(self.versions(name))}."
            raise ConfigurationError(msg)
        return known[key]

"""
Configuration files: TOML, JSON, YAML.

Rule: what a file holds is hidden as soon as it is read, and errors tell line or path, never a value.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Mapping
from typing import Any

from llmkit.config.reading import Page, read_page
from llmkit.config.shapes import Shelf, shelf_of
from llmkit.errors import ConfigurationError
from llmkit.secrets import Hidden

__all__ = ["load_shelf"]

PROFILE_VARIABLE = "LLMKIT_PROFILE"
FILE_LIMIT = 1 << 20  # bytes: a thousand providers are a tenth of it
DEEPEST = 16  # tables in tables
MOST = 100_000  # values: YAML can make more of a few lines than memory holds


def load_shelf(path: str | os.PathLike[str], *, profile: str | None = None) -> Shelf:
    """
    Return the tables of the file at *path*; its ending tells what it is.

    Args:
        path: Where it is; ``~`` is the user's home.
        profile: The profile to lay over it; by default that of ``LLMKIT_PROFILE``, where the file has profiles.

    Raises:
        ConfigurationError: If it cannot be read, or says something that nobody knows; with line or path, and never a value.
    """
    where = os.path.expanduser(os.fspath(path))
    page = read_page(where, limit=FILE_LIMIT)
    document, complaint = _parsed(page)
    if complaint is not None:
        msg = f"{where}: {complaint}"
        raise ConfigurationError(msg)
    base = os.path.dirname(os.path.abspath(where))
    chosen = profile or os.environ.get(PROFILE_VARIABLE) or None
    shelf = shelf_of(document, file=where, base=base, profile=chosen, strict=profile is not None)
    if page.exposed and any(table.has_literal_key for table in shelf):
        message = f"{where} holds a key and can be read by others: chmod 600 {where}, or write the key as ${{NAME}}."
        warnings.warn(message, UserWarning, stacklevel=3)
    return shelf


def _parsed(page: Page) -> tuple[Any, str | None]:
    """Return what *page* holds, or what is wrong with it. Nothing is raised: parsers' errors carry the text, which may be a key."""
    parse = _PARSERS.get(os.path.splitext(page.path)[1].lower())
    if parse is None:
        return None, f"a configuration is a file that ends in {', '.join(_PARSERS)}."
    try:
        document, complaint = parse(page.text)
        return (None, complaint) if complaint is not None else _Walk().hidden(document)
    except RecursionError:
        return None, "it is nested too deeply."


def _parse_toml(text: str) -> tuple[Any, str | None]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(text), None
    except ValueError as error:
        return None, f"no TOML: {error}."


def _parse_json(text: str) -> tuple[Any, str | None]:
    import json

    try:
        return json.loads(text, object_pairs_hook=_without_doubles), None
    except json.JSONDecodeError as error:
        return None, f"no JSON: {error.msg} (at line {error.lineno}, column {error.colno})."
    except ValueError as error:
        return None, f"{error}."


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        msg = f"{next(name for name in names if names.count(name) > 1)!r} stands twice in one table"
        raise ValueError(msg)
    return found


def _parse_yaml(text: str) -> tuple[Any, str | None]:
    try:
        import yaml
    except ModuleNotFoundError:
        return None, "YAML is read with PyYAML: pip install 'llmkit[yaml]', or write TOML or JSON."
    try:
        return yaml.safe_load(text), None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" (at line {mark.line + 1}, column {mark.column + 1})" if mark is not None else ""
        return None, f"no YAML: {getattr(error, 'problem', None) or 'it cannot be read'}{place}."
    except ValueError as error:  # of a date that is none
        return None, f"no YAML: {error}."


_PARSERS = {".toml": _parse_toml, ".json": _parse_json, ".yaml": _parse_yaml, ".yml": _parse_yaml}


class _Walk:
    """Hides the texts of a document, and bounds it."""

    def __init__(self) -> None:
        self._seen = 0

    def hidden(self, value: Any, path: str = "", depth: int = 0) -> tuple[Any, str | None]:
        """Return *value* with all texts hidden; or what is wrong with it."""
        self._seen += 1
        if self._seen > MOST or depth > DEEPEST:
            return None, f"{path or 'it'}: too much is nested here."
        if isinstance(value, str):
            return Hidden(value), None
        if isinstance(value, Mapping):
            return self._table(value, path, depth)
        if not isinstance(value, list):
            return value, None
        items = []
        for index, item in enumerate(value):
            found, complaint = self.hidden(item, f"{path}[{index}]", depth + 1)
            if complaint is not None:
                return None, complaint
            items.append(found)
        return items, None

    def _table(self, table: Mapping[Any, Any], path: str, depth: int) -> tuple[Any, str | None]:
        values: dict[str, Any] = {}
        for name, item in table.items():
            if not isinstance(name, str):
                return None, f"{path or 'it'}: a name is a text, so {name!r} stands in quotation marks."
            values[name], complaint = self.hidden(item, f"{path}.{name}" if path else name, depth + 1)
            if complaint is not None:
                return None, complaint
        return values, None

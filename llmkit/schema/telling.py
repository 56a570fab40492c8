"""Python's values as JSON says them: what ``structuring`` would read is written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import attrs

from llmkit.schema.annotations import is_named_tuple, is_pydantic

if TYPE_CHECKING:
    from datetime import timedelta

__all__ = ["as_plain"]

_AS_TEXT = ("datetime.datetime", "datetime.date", "datetime.time")
_BY_STR = ("uuid.UUID", "decimal.Decimal")  # a Decimal as text, since a float would change it


def as_plain(value: Any) -> Any:
    """
    Return *value* as ``json.dumps`` takes it.

    Records (attrs classes, dataclasses, named tuples, pydantic models) become objects, sets become lists in an order of their own, dates,
    durations, UUIDs, decimals and paths text, and what has ``tolist()``, as the arrays and numbers of numpy, what that gives. Everything
    else is left as it is.
    """
    cls = type(value)
    if cls in (str, int, float, bool, type(None)):
        return value
    if isinstance(value, Enum):
        return as_plain(value.value)
    if isinstance(value, Mapping):
        return {as_plain(key): as_plain(item) for key, item in value.items()}
    if is_named_tuple(cls):
        return {name: as_plain(getattr(value, name)) for name in value._fields}
    if isinstance(value, (list, tuple)):
        return [as_plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((as_plain(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True, default=repr))
    return _record(value, cls)


def _record(value: Any, cls: type) -> Any:
    if attrs.has(cls):
        return {one.alias: as_plain(getattr(value, one.name)) for one in attrs.fields(cls)}
    if hasattr(cls, "__dataclass_fields__"):
        from dataclasses import fields  # already loaded, since the class is one

        return {one.name: as_plain(getattr(value, one.name)) for one in fields(value)}
    if is_pydantic(cls):
        return value.model_dump(mode="json")
    name = f"{cls.__module__}.{cls.__qualname__}"
    if name in _AS_TEXT:
        return value.isoformat()
    if name == "datetime.timedelta":
        return _as_duration(value)
    if name in _BY_STR or isinstance(value, PurePath):
        return str(value)
    return value.tolist() if callable(getattr(value, "tolist", None)) else value


def _as_duration(value: timedelta) -> str:
    """Return an ISO 8601 duration, as RFC 3339, appendix A, has it; a negative one has a sign before it."""
    length = abs(value)
    fraction = f".{length.microseconds:06}".rstrip("0") if length.microseconds else ""
    return f"{'-' if length != value else ''}P{length.days}DT{length.seconds}{fraction}S"

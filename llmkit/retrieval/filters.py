"""
What may be asked of a document's metadata, in one language for all stores.

``{"lang": "en", "year": {"$gte": 2020}}`` holds where both do; ``{"$or": [{...}, {...}]}`` where one of them does.

Rule 1: a number equals a number of the same value, whole or not; True and False are no numbers.
Rule 2: of a list in the metadata it is enough that one of its elements is as asked; ``$ne`` and ``$nin`` are the contrary of ``$eq`` and
        ``$in``, so they also hold where the field is missing.
Rule 3: a dot goes into a dict inside the metadata: ``"author.name"``.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from attrs import frozen

from llmkit.errors import ConfigurationError
from llmkit.spelling import refuse_unknown

__all__ = ["Condition", "Either", "Filter", "Scalar", "holds", "parse_filter"]

Scalar = str | int | float | bool
_ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {"$gt": operator.gt, "$gte": operator.ge, "$lt": operator.lt, "$lte": operator.le}
_LISTS = ("$in", "$nin")
OPERATORS = ("$eq", "$ne", *_ORDERS, *_LISTS)
JOINTS = ("$and", "$or")


@frozen
class Condition:
    """One demand on one field; ``values`` holds one, or those of ``$in`` and ``$nin``. ``path`` are the keys down to the field."""

    path: tuple[str, ...]
    operator: str
    values: tuple[Scalar, ...]


@frozen
class Either:
    """Holds where one of its filters does."""

    filters: tuple[Filter, ...]


Filter = tuple["Condition | Either", ...]  # holds where all of them do


def parse_filter(given: Any, name: str = "filter") -> Filter:
    """
    Return what *given*, a dict, asks for; None asks for nothing.

    Raises:
        ConfigurationError: If it is no dict, has an operator that nobody knows, or compares with something that it cannot; it tells where.
    """
    if given is None:
        return ()
    return tuple(_demands(given, name))


def _demands(given: Any, name: str) -> Iterator[Condition | Either]:
    if not isinstance(given, Mapping):
        msg = f"{name} is a dict such as {{'lang': 'en', 'year': {{'$gte': 2020}}}}, not {type(given).__name__}."
        raise ConfigurationError(msg)
    for key, value in given.items():
        if not isinstance(key, str) or not all(key.split(".")) or '"' in key:
            msg = f"{name}: a field is named by a string without quotes and empty parts, not {key!r}."
            raise ConfigurationError(msg)
        where = f"{name}[{key!r}]"
        if not key.startswith("$"):
            yield from _of_field(key, value, where)
            continue
        refuse_unknown([key], JOINTS, path=name)
        if isinstance(value, (str, Mapping)) or not isinstance(value, (list, tuple)) or not value:
            msg = f"{where} is a list of filters that is not empty, not {value!r}."
            raise ConfigurationError(msg)
        parts = [tuple(_demands(part, f"{where}[{index}]")) for index, part in enumerate(value)]
        if key == "$or":
            yield Either(tuple(parts))
        else:
            yield from (demand for part in parts for demand in part)


def _of_field(key: str, value: Any, where: str) -> Iterator[Condition]:
    path = tuple(key.split("."))
    asked = value if isinstance(value, Mapping) else {"$eq": value}
    if not asked:
        msg = f"{where} is empty: say with what it is to be compared."
        raise ConfigurationError(msg)
    refuse_unknown([str(one) for one in asked], OPERATORS, path=where)
    for sign, operand in asked.items():
        yield Condition(path, sign, _operands(sign, operand, f"{where}[{sign!r}]"))


def _operands(sign: str, operand: Any, where: str) -> tuple[Scalar, ...]:
    if sign in _LISTS:
        if not isinstance(operand, (list, tuple, set, frozenset)) or not operand:
            msg = f"{where} is a list of values that is not empty, not {operand!r}."
            raise ConfigurationError(msg)
        return tuple(_scalar(one, where) for one in operand)
    value = _scalar(operand, where)
    if sign in _ORDERS and not _is_number(value):
        msg = f"{where} is a number, not {value!r}."
        raise ConfigurationError(msg)
    return (value,)


def _scalar(value: Any, where: str) -> Scalar:
    if isinstance(value, float) and not math.isfinite(value):
        msg = f"{where} is a finite number, not {value!r}."
        raise ConfigurationError(msg)
    if isinstance(value, (str, int, float)):
        return value
    msg = f"{where} is a string, a number, True or False, not {type(value).__name__}."
    raise ConfigurationError(msg)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def holds(wanted: Filter, metadata: Mapping[str, Any]) -> bool:
    """Whether *metadata* is as *wanted*: what a store that has to look for itself asks."""
    return all(_holds(demand, metadata) for demand in wanted)


def _holds(demand: Condition | Either, metadata: Mapping[str, Any]) -> bool:
    if isinstance(demand, Either):
        return any(holds(part, metadata) for part in demand.filters)
    found = list(_found(demand.path, metadata))
    if demand.operator in _ORDERS:
        compares = _ORDERS[demand.operator]
        return any(_is_number(value) and compares(value, demand.values[0]) for value in found)
    equal = any(_equal(value, wanted) for value in found for wanted in demand.values)
    return equal if demand.operator in ("$eq", "$in") else not equal


def _found(path: tuple[str, ...], metadata: Mapping[str, Any]) -> Iterator[Any]:
    value: Any = metadata
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            return
        value = value[key]
    yield from value if isinstance(value, list) else [value]


def _equal(value: object, wanted: Scalar) -> bool:
    return isinstance(value, bool) == isinstance(wanted, bool) and value == wanted

"""
JSON's text, numbers, booleans and null as Python's scalars.

A reader takes a value and the type it is wanted as, and raises ``Mismatch`` for a value of another kind: text is no
number, a bool no integer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum
from math import isfinite
from pathlib import Path, PurePath
from typing import Any, get_args
from uuid import UUID

from llmkit.schema.mismatch import expected, shown

__all__ = ["SCALARS", "Reader", "read_literal", "read_null"]

Reader = Callable[[Any, Any], Any]


def read_null(value: Any, _: Any) -> None:
    if value is not None:
        raise expected("null", value)


def read_literal(value: Any, tp: Any) -> Any:
    return _chosen(value, [(one, one.value if isinstance(one, Enum) else one) for one in get_args(tp)])


def _enum(value: Any, tp: Any) -> Any:
    return _chosen(value, [(member, member.value) for member in tp])


def _chosen(value: Any, options: list[tuple[Any, Any]]) -> Any:
    """Return the first of *options*, each with its JSON, that is written like *value*."""
    for option, written in options:
        if value == written and isinstance(value, bool) == isinstance(written, bool):  # Python says 1 == True, JSON does not
            return option
    raise expected(f"one of {', '.join(shown(written) for _, written in options)}", value)


def _bool(value: Any, _: Any) -> bool:
    if not isinstance(value, bool):
        raise expected("true or false", value)
    return value


def _int(value: Any, tp: Any) -> Any:
    if issubclass(tp, Enum):  # cattrs finds the reader of int for an IntEnum, and those below for their like
        return _enum(value, tp)
    if isinstance(value, float) and value.is_integer():  # an integer in JSON Schema 2020-12, 4.2.3
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise expected("an integer", value)
    return value


def _float(value: Any, tp: Any) -> Any:
    if issubclass(tp, Enum):
        return _enum(value, tp)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise expected("a number", value)
    try:
        number = float(value)
    except OverflowError as exc:
        raise expected("a number that a float can hold", value) from exc
    if not isfinite(number):  # how Python reads 1e999
        raise expected("a finite number", value)
    return number


def _str(value: Any, tp: Any) -> Any:
    if issubclass(tp, Enum):
        return _enum(value, tp)
    if not isinstance(value, str):
        raise expected("text", value)
    return value


def _decimal(value: Any, _: Any) -> Decimal:
    # str() of a float is its shortest exact text: 0.1 becomes Decimal("0.1").
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise expected("a number", value)
    try:
        number = Decimal(str(value))
    except InvalidOperation as exc:
        raise expected("a number", value) from exc
    if not number.is_finite():
        raise expected("a finite number", value)
    return number


def _text_as(what: str, convert: Callable[[Any, str], Any]) -> Reader:
    """Return the reader of a type that JSON spells as text."""

    def read(value: Any, tp: Any) -> Any:
        if not isinstance(value, str):
            raise expected(what, value)
        try:
            return convert(tp, value)
        except ValueError as exc:
            raise expected(what, value) from exc

    return read


_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_TIME = re.compile(r"(\d\d:\d\d)(?:(:\d\d)(?:[.,](\d+))?)?(?:([Zz])|([+-]\d\d)(?::?(\d\d))?)?")


def _iso_date(_: Any, text: str) -> date:
    if not _DATE.fullmatch(text):
        raise ValueError(text)
    return date.fromisoformat(text)


def _iso_time(_: Any, text: str) -> time:
    return time.fromisoformat(_exact_time(text))


def _iso_datetime(_: Any, text: str) -> datetime:
    if not _DATE.fullmatch(text[:10]) or text[10:11] not in ("T", "t", " "):
        raise ValueError(text)
    return datetime.fromisoformat(f"{text[:10]}T{_exact_time(text[11:])}")


def _exact_time(text: str) -> str:
    """Return an RFC 3339 time in the one spelling that Python 3.10 reads: seconds, six digits, an offset with a colon."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(text)
    minutes, seconds, fraction, zulu, hours, rest = match.groups()
    offset = "+00:00" if zulu else f"{hours}:{rest or '00'}" if hours else ""
    return f"{minutes}{seconds or ':00'}.{(fraction or '')[:6]:0<6}{offset}"


_DURATION = re.compile(r"([+-])?P(?=.)(?:(\d+)W)?(?:(\d+)D)?(?:T(?=.)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:[.,](\d+))?S)?)?")


def _iso_duration(_: Any, text: str) -> timedelta:
    """Read an ISO 8601 duration; one of years or months has no length."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(text)
    sign, fraction = match[1], (match[7] or "")[:6]
    weeks, days, hours, minutes, seconds = (int(number or 0) for number in match.groups()[1:6])
    try:
        length = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds, microseconds=int(f"{fraction:0<6}"))
        return -length if sign == "-" else length
    except OverflowError as exc:
        raise ValueError(text) from exc


_PATH = _text_as("a path", lambda tp, text: tp(text))

SCALARS: Mapping[type, Reader] = {
    bool: _bool,
    int: _int,
    float: _float,
    str: _str,
    Enum: _enum,
    Decimal: _decimal,
    Path: _PATH,
    PurePath: _PATH,
    UUID: _text_as("a UUID", lambda _, text: UUID(text)),
    date: _text_as("a date (YYYY-MM-DD)", _iso_date),
    time: _text_as("a time (HH:MM:SS)", _iso_time),
    timedelta: _text_as("a duration (P1DT2H30M)", _iso_duration),
    datetime: _text_as("a date and time (YYYY-MM-DDTHH:MM:SSZ)", _iso_datetime),
}

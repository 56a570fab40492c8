"""
JSON values as the user's own types.

Rule 1: strict. Text is not a number, a bool is not an integer; what JSON Schema calls an integer (3.0) is one, and an integer is a number.
Rule 2: unknown keys are passed over, except while an alternative of a union is sought: the one that knows all keys comes first.
Rule 3: every problem is found at once and told with its path.

This is the only module that uses cattrs on the user's types; it is imported when the first value is structured.
"""

from __future__ import annotations

import json
import re
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from enum import Enum
from pathlib import Path, PurePath
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin
from uuid import UUID

from cattrs import Converter
from cattrs.errors import (
    AttributeValidationNote,
    BaseValidationError,
    ClassValidationError,
    IterableValidationError,
    IterableValidationNote,
)

from llmkit.schema import (
    COLLECTIONS,
    MAPPINGS,
    Field,
    fields_of,
    is_alias,
    is_pydantic,
    is_record,
    is_typed_dict,
    items_of_tuple,
    limits_of_notes,
    substituted,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = ["Mismatch", "structure", "structure_fields"]

MOST_TOLD = 5  # problems in one error; a wrong list of thousands has thousands


class Mismatch(ValueError):
    """A value is not of its type. ``problems`` are pairs: the path below this value, and what is wrong there."""

    def __init__(self, text: str, *more: tuple[str, str]) -> None:
        super().__init__(text)
        self.problems = more or (("", text),)


def structure(value: Any, tp: Any, *, path: str = "$") -> Any:
    """
    Return the instance of *tp* that *value*, decoded JSON, describes.

    Raises:
        Mismatch: If it describes none; the text names each problem with its path below *path*.
    """
    return _told(lambda: _OPEN.read(value, tp), path)


def structure_fields(values: Mapping[str, Any], fields: tuple[Field, ...], *, path: str = "$") -> dict[str, Any]:
    """Return *values* by name, each as its field's type; a ``Mismatch`` where one is missing, unknown or does not fit."""
    return cast("dict[str, Any]", _told(lambda: _OPEN.read_fields(values, fields, closed=True), path))


def _told(act: Callable[[], Any], path: str) -> Any:
    try:
        return act()
    except (Mismatch, BaseValidationError) as exc:
        raise Mismatch(_summary(exc, path)) from exc


def _summary(exc: BaseException, path: str) -> str:
    told = list(_problems(exc, path))
    more = f" (and {len(told) - MOST_TOLD} more)" if len(told) > MOST_TOLD else ""
    return "; ".join(told[:MOST_TOLD]) + more


def _problems(exc: BaseException, path: str) -> Iterator[str]:
    """Yield what is wrong, each with its path: the innermost causes only."""
    if isinstance(exc, Mismatch):
        yield from (f"{path}{place}: {text}" for place, text in exc.problems)
    if isinstance(exc, BaseValidationError):
        for inner in exc.exceptions:
            (note,) = getattr(inner, "__notes__", ("",))
            place = f".{note.name}" if isinstance(note, AttributeValidationNote) else ""
            yield from _problems(inner, path + (f"[{note.index!r}]" if isinstance(note, IterableValidationNote) else place))


def shown(value: Any) -> str:
    """Return *value* as an error shows it: short, and as JSON."""
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _expected(what: str, value: Any) -> Mismatch:
    return Mismatch(f"expected {what}, got {shown(value)}")


class _Reader:
    """
    A converter for the user's types: one that passes over unknown keys, or (*closed*) one that refuses them.

    It is fed with JSON values only: what cattrs would convert on its own account, each hook here checks first.
    """

    def __init__(self, *, closed: bool) -> None:
        self._closed = closed
        self._converter = Converter(detailed_validation=True)
        for tp, scalar_hook in _SCALARS.items():
            self._converter.register_structure_hook(tp, scalar_hook)
        hooks: tuple[tuple[Callable[[Any], bool], Callable[[Any, Any], Any]], ...] = (
            (lambda tp: tp is None or tp is type(None), _null),
            (lambda tp: tp is Any or tp is object, lambda value, _: value),
            (lambda tp: get_origin(tp) is Literal, _literal),
            (lambda tp: get_origin(tp) is Annotated, self._annotated),
            (lambda tp: get_origin(tp) in (Union, UnionType), self._union),
            (is_alias, lambda value, tp: self.read(value, substituted(tp, (get_origin(tp) or tp).__value__))),
            (lambda tp: hasattr(tp, "__supertype__"), lambda value, tp: self.read(value, tp.__supertype__)),
            (lambda tp: isinstance(tp, TypeVar), lambda value, tp: self.read(value, _allowed_by(tp))),
            (lambda tp: (get_origin(tp) or tp) in COLLECTIONS, self._collection),
            (lambda tp: (get_origin(tp) or tp) is tuple, self._tuple),
            (lambda tp: (get_origin(tp) or tp) in MAPPINGS, self._mapping),
            (is_record, self._record),
            (is_pydantic, _pydantic),
        )
        for matches, hook in hooks:
            self._converter.register_structure_hook_func(matches, hook)

    def read(self, value: Any, tp: Any) -> Any:
        return self._converter.structure(value, tp)

    def _read_each(
        self,
        entries: Iterable[tuple[Any, Any, Any]],
        note: type[AttributeValidationNote] | type[IterableValidationNote],
    ) -> tuple[list[Any], list[Exception]]:
        """Return the values that could be read, and the failures; an entry is a place, a value and its type."""
        done: list[Any] = []
        failures: list[Exception] = []
        for place, value, tp in entries:
            try:
                done.append(self.read(value, tp))
            except (Mismatch, BaseValidationError) as exc:
                failures.append(_noted(exc, note("", place, tp)))
        return done, failures

    def _collection(self, value: Any, tp: Any) -> Any:
        if not isinstance(value, list):
            raise _expected("a list", value)
        (item,) = get_args(tp) or (Any,)
        return self._gathered(COLLECTIONS[get_origin(tp) or tp], [item] * len(value), value, tp)

    def _tuple(self, value: Any, tp: Any) -> Any:
        if not isinstance(value, list):
            raise _expected("a list", value)
        items, repeated = items_of_tuple(tp)
        if repeated:
            items *= len(value)
        if len(items) != len(value):
            raise _expected(f"a list of {len(items)}", value)
        return self._gathered(tuple, items, value, tp)

    def _gathered(self, build: Callable[[list[Any]], Any], types: Iterable[Any], values: list[Any], tp: Any) -> Any:
        entries = zip(range(len(values)), values, types, strict=True)
        items, failures = self._read_each(entries, IterableValidationNote)
        if failures:
            raise IterableValidationError(f"While structuring {tp!r}", failures, tp)
        try:
            return build(items)
        except TypeError as exc:  # an unhashable item of a set
            raise Mismatch(str(exc)) from exc

    def _mapping(self, value: Any, tp: Any) -> dict[Any, Any]:
        if not isinstance(value, dict):
            raise _expected("an object", value)
        key_type, item_type = get_args(tp) or (Any, Any)
        keys, bad_keys = self._read_each(((key, key, key_type) for key in value), IterableValidationNote)
        entries = ((key, item, item_type) for key, item in value.items())
        items, bad_items = self._read_each(entries, IterableValidationNote)
        if bad_keys or bad_items:
            raise IterableValidationError(f"While structuring {tp!r}", [*bad_keys, *bad_items], tp)
        return dict(zip(keys, items, strict=True))

    def _record(self, value: Any, tp: Any) -> Any:
        if not isinstance(value, dict):
            raise _expected("an object", value)
        cls = get_origin(tp) or tp
        values = self.read_fields(value, fields_of(tp), closed=self._closed, cls=cls)
        return values if is_typed_dict(cls) else _built(lambda: cls(**values))

    def read_fields(self, values: Mapping[str, Any], fields: tuple[Field, ...], *, closed: bool, cls: type = dict) -> dict[str, Any]:
        present = [one for one in fields if one.name in values]
        entries = ((one.name, values[one.name], one.type) for one in present)
        done, failures = self._read_each(entries, AttributeValidationNote)
        for one in fields:
            if one.required and one.name not in values:
                failures.append(_noted(Mismatch("is required, but missing"), AttributeValidationNote("", one.name, one.type)))
        known = [one.name for one in fields]
        for name in values if closed else ():
            if name not in known:
                text = f"is unknown; known are: {', '.join(known) or 'none'}"
                failures.append(_noted(Mismatch(text), AttributeValidationNote("", str(name), Any)))
        if failures:
            raise ClassValidationError(f"While structuring {cls.__name__}", failures, cls)
        return {one.name: result for one, result in zip(present, done, strict=True)}

    def _annotated(self, value: Any, tp: Any) -> Any:
        result = self.read(value, get_args(tp)[0])
        for keyword, bound in limits_of_notes(tp.__metadata__).items():
            if not _within(result, keyword, bound):
                raise _expected(f"{keyword} {bound}", value)
        return result

    def _union(self, value: Any, tp: Any) -> Any:
        members = get_args(tp)
        if value is None and type(None) in members:
            return None
        if type(value) in (int, float) and type(value) in members:
            return value
        others = [member for member in members if member is not type(None)]
        if len(others) == 1:
            return self.read(value, others[0])
        readers = (self,) if self._closed else (_CLOSED, self)
        reasons: list[str] = []
        for reader in readers:
            reasons.clear()
            for member in others:
                try:
                    return reader.read(value, member)
                except (Mismatch, BaseValidationError) as exc:
                    reasons.append(f"{getattr(member, '__name__', member)} ({_summary(exc, '').removeprefix(': ')})")
        raise Mismatch(f"fits none of: {', '.join(reasons)}")


def _noted(exc: Exception, note: str) -> Exception:
    exc.__dict__["__notes__"] = [note]  # where add_note, which Python 3.10 has not, puts it
    return exc


def _built(build: Callable[[], Any]) -> Any:
    """Return what a user's class makes of its arguments; whatever its own checks raise is a ``Mismatch``."""
    try:
        return build()
    except Exception as exc:
        text = exc.args[0] if exc.args and isinstance(exc.args[0], str) else exc
        raise Mismatch(f"{text}" or type(exc).__name__) from exc


def _pydantic(value: Any, tp: Any) -> Any:
    # As JSON, not as Python objects: a strict model takes a date from JSON text, but not from a str.
    try:
        return tp.model_validate_json(json.dumps(value))
    except Exception as exc:
        told = exc.errors() if hasattr(exc, "errors") else [{"loc": (), "msg": str(exc)}]
        raise Mismatch(str(exc), *((_joined(one["loc"]), str(one["msg"])) for one in told)) from exc


def _joined(steps: Iterable[str | int]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)


def _allowed_by(variable: Any) -> Any:
    return Union[variable.__constraints__] if variable.__constraints__ else variable.__bound__ or Any  # noqa: UP007


def _within(value: Any, keyword: str, bound: Any) -> bool:
    """Return whether *value* keeps to a bound; one of another kind than the bound is about does, as in JSON Schema."""
    try:
        return _CHECKS[keyword](value, bound)
    except TypeError:
        return True


_CHECKS: Mapping[str, Callable[[Any, Any], bool]] = {
    "minimum": lambda value, bound: bool(value >= bound),
    "exclusiveMinimum": lambda value, bound: bool(value > bound),
    "maximum": lambda value, bound: bool(value <= bound),
    "exclusiveMaximum": lambda value, bound: bool(value < bound),
    "multipleOf": lambda value, bound: abs(value / bound - round(value / bound)) < 1e-9,
    "minLength": lambda value, bound: len(value) >= bound,
    "maxLength": lambda value, bound: len(value) <= bound,
    "pattern": lambda value, bound: re.search(bound, value) is not None,
}


def _same(value: Any, option: Any) -> bool:
    """Return whether two JSON values are one: in JSON a bool is no number, though Python says 1 == True."""
    return isinstance(value, bool) == isinstance(option, bool) and value == option


def _literal(value: Any, tp: Any) -> Any:
    for option in get_args(tp):
        if _same(value, option.value if isinstance(option, Enum) else option):
            return option
    raise _expected(f"one of {', '.join(shown(getattr(one, 'value', one)) for one in get_args(tp))}", value)


def _enum(value: Any, tp: Any) -> Any:
    for member in tp:
        if _same(value, member.value):
            return member
    raise _expected(f"one of {', '.join(shown(member.value) for member in tp)}", value)


def _null(value: Any, _: Any) -> None:
    if value is not None:
        raise _expected("null", value)


def _bool(value: Any, _: Any) -> bool:
    if not isinstance(value, bool):
        raise _expected("true or false", value)
    return value


def _int(value: Any, tp: Any) -> Any:
    if issubclass(tp, Enum):  # cattrs finds the hook of int for an IntEnum
        return _enum(value, tp)
    if isinstance(value, float) and value.is_integer():  # an integer in JSON Schema 2020-12, 4.2.3
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _expected("an integer", value)
    return value


def _float(value: Any, tp: Any) -> Any:
    if issubclass(tp, Enum):
        return _enum(value, tp)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _expected("a number", value)
    try:
        return float(value)
    except OverflowError as exc:
        raise _expected("a number that a float can hold", value) from exc


def _str(value: Any, tp: Any) -> Any:
    if issubclass(tp, Enum):
        return _enum(value, tp)
    if not isinstance(value, str):
        raise _expected("text", value)
    return value


def _decimal(value: Any, _: Any) -> Decimal:
    # str() of a float is its shortest exact text: 0.1 becomes Decimal("0.1").
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise _expected("a number", value)
    try:
        number = Decimal(str(value))
    except InvalidOperation as exc:
        raise _expected("a number", value) from exc
    if not number.is_finite():
        raise _expected("a finite number", value)
    return number


def _text_as(what: str, convert: Callable[[Any, str], Any]) -> Callable[[Any, Any], Any]:
    """Return a hook for a type that JSON spells as text."""

    def hook(value: Any, tp: Any) -> Any:
        if not isinstance(value, str):
            raise _expected(what, value)
        try:
            return convert(tp, value)
        except ValueError as exc:
            raise _expected(what, value) from exc

    return hook


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


_PATHS = _text_as("a path", lambda tp, text: tp(text))

_SCALARS: Mapping[type, Callable[[Any, Any], Any]] = {
    bool: _bool,
    int: _int,
    float: _float,
    str: _str,
    Enum: _enum,
    Decimal: _decimal,
    Path: _PATHS,
    PurePath: _PATHS,
    UUID: _text_as("a UUID", lambda _, text: UUID(text)),
    date: _text_as("a date (YYYY-MM-DD)", _iso_date),
    time: _text_as("a time (HH:MM:SS)", _iso_time),
    datetime: _text_as("a date and time (YYYY-MM-DDTHH:MM:SSZ)", _iso_datetime),
}

_CLOSED = _Reader(closed=True)
_OPEN = _Reader(closed=False)

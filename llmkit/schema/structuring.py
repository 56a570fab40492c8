"""
JSON values as the user's own types.

Rule 1: strict. Text is not a number, a bool is not an integer; what JSON Schema calls an integer (3.0) is one, and an integer is a number.
Rule 2: unknown keys are passed over, except while an alternative of a union is sought: the one that knows all keys comes first.
Rule 3: every problem is found at once and told with its path.

This is the only module that uses cattrs on the user's types; it is imported when the first value is structured.
"""

from __future__ import annotations

import json
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from cattrs import BaseConverter

from llmkit.schema.annotations import COLLECTIONS, MAPPINGS, aliased, is_alias, is_pydantic, is_record, is_typed_dict, items_of_tuple
from llmkit.schema.fields import Field, fields_of
from llmkit.schema.limits import is_within, limits_of_notes
from llmkit.schema.mismatch import Mismatch, expected, merged
from llmkit.schema.scalars import SCALARS, Reader, read_literal, read_null

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["structure", "structure_fields"]

_as_key = ".{}".format
_as_index = "[{!r}]".format


def structure(value: Any, tp: Any) -> Any:
    """
    Return the instance of *tp* that *value*, decoded JSON, describes.

    Raises:
        Mismatch: If it describes none; its text names each problem with its path, the value being ``$``.
    """
    try:
        return _OPEN.read(value, tp)
    except Mismatch as exc:
        raise exc.below("$") from exc.__cause__


def structure_fields(values: Mapping[str, Any], fields: tuple[Field, ...]) -> dict[str, Any]:
    """
    Return *values* by name, each as its field's type.

    Raises:
        Mismatch: If one is missing, unknown or does not fit.
    """
    try:
        return _OPEN.read_fields(values, fields, closed=True)
    except Mismatch as exc:
        raise exc.below("$") from exc.__cause__


class _Structurer:
    """
    A converter for the user's types: one that passes over unknown keys, or (*closed*) one that refuses them.

    What cattrs does is to find the reader of a type; what it would convert on its own account, it is never asked.
    """

    def __init__(self, *, closed: bool) -> None:
        self._closed = closed
        self._converter = BaseConverter()
        for tp, reader in SCALARS.items():
            self._converter.register_structure_hook(tp, reader)
        readers: tuple[tuple[Callable[[Any], bool], Reader], ...] = (
            (lambda tp: tp is None or tp is type(None), read_null),
            (lambda tp: tp is Any or tp is object, lambda value, _: value),
            (lambda tp: get_origin(tp) is Literal, read_literal),
            (lambda tp: get_origin(tp) is Annotated, self._annotated),
            (lambda tp: get_origin(tp) in (Union, UnionType), self._union),
            (is_alias, lambda value, tp: self.read(value, aliased(tp))),
            (lambda tp: hasattr(tp, "__supertype__"), lambda value, tp: self.read(value, tp.__supertype__)),
            (lambda tp: isinstance(tp, TypeVar), lambda value, tp: self.read(value, _allowed_by(tp))),
            (lambda tp: (get_origin(tp) or tp) in COLLECTIONS, self._collection),
            (lambda tp: (get_origin(tp) or tp) is tuple, self._tuple),
            (lambda tp: (get_origin(tp) or tp) in MAPPINGS, self._mapping),
            (is_record, self._record),
            (is_pydantic, _pydantic),
        )
        for knows, reader in readers:
            self._converter.register_structure_hook_func(knows, reader)

    def read(self, value: Any, tp: Any) -> Any:
        return self._converter.structure(value, tp)

    def read_fields(self, values: Mapping[str, Any], fields: tuple[Field, ...], *, closed: bool) -> dict[str, Any]:
        present = [one for one in fields if one.name in values]
        done, failures = self._read_each(((one.name, values[one.name], one.type) for one in present), _as_key)
        missing = [one.name for one in fields if one.required and one.name not in values]
        failures += [Mismatch((_as_key(name), "is required, but missing")) for name in missing]
        if closed:
            known = [one.name for one in fields]
            text = f"is unknown; known are: {', '.join(known) or 'none'}"
            failures += [Mismatch((_as_key(name), text)) for name in values if name not in known]
        if failures:
            raise merged(failures)
        return {one.name: result for one, result in zip(present, done, strict=True)}

    def _read_each(self, entries: Iterable[tuple[Any, Any, Any]], step: Callable[[Any], str]) -> tuple[list[Any], list[Mismatch]]:
        """Return what could be read, and the failures; an entry is a place, a value and its type."""
        done: list[Any] = []
        failures: list[Mismatch] = []
        for place, value, tp in entries:
            try:
                done.append(self.read(value, tp))
            except Mismatch as exc:
                failures.append(exc.below(step(place)))
        return done, failures

    def _annotated(self, value: Any, tp: Any) -> Any:
        result = self.read(value, get_args(tp)[0])
        for keyword, bound in limits_of_notes(tp.__metadata__).items():
            if not is_within(result, keyword, bound):
                raise expected(f"{keyword} {bound}", value)
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
        structurers = (self,) if self._closed else (_CLOSED, self)
        reasons: list[str] = []
        for structurer in structurers:
            reasons.clear()
            for member in others:
                try:
                    return structurer.read(value, member)
                except Mismatch as exc:
                    reasons.append(f"{getattr(member, '__name__', member)} ({exc})")
        raise Mismatch(("", f"fits none of: {', '.join(reasons)}"))

    def _collection(self, value: Any, tp: Any) -> Any:
        if not isinstance(value, list):
            raise expected("a list", value)
        (item,) = get_args(tp) or (Any,)
        return self._gathered(COLLECTIONS[get_origin(tp) or tp], [item] * len(value), value)

    def _tuple(self, value: Any, tp: Any) -> Any:
        if not isinstance(value, list):
            raise expected("a list", value)
        items, repeated = items_of_tuple(tp)
        if repeated:
            items *= len(value)
        if len(items) != len(value):
            raise expected(f"a list of {len(items)}", value)
        return self._gathered(tuple, items, value)

    def _gathered(self, build: Callable[[list[Any]], Any], types: Iterable[Any], values: list[Any]) -> Any:
        items, failures = self._read_each(zip(range(len(values)), values, types, strict=True), _as_index)
        if failures:
            raise merged(failures)
        try:
            return build(items)
        except TypeError as exc:  # an unhashable item of a set
            raise Mismatch(("", str(exc))) from exc

    def _mapping(self, value: Any, tp: Any) -> dict[Any, Any]:
        if not isinstance(value, dict):
            raise expected("an object", value)
        key_type, item_type = get_args(tp) or (Any, Any)
        keys, bad_keys = self._read_each(((key, key, key_type) for key in value), _as_index)
        items, bad_items = self._read_each(((key, item, item_type) for key, item in value.items()), _as_index)
        if bad_keys or bad_items:
            raise merged([*bad_keys, *bad_items])
        return dict(zip(keys, items, strict=True))

    def _record(self, value: Any, tp: Any) -> Any:
        if not isinstance(value, dict):
            raise expected("an object", value)
        cls = get_origin(tp) or tp
        values = self.read_fields(value, fields_of(tp), closed=self._closed)
        return values if is_typed_dict(cls) else _built(cls, values)


def _allowed_by(variable: Any) -> Any:
    return Union[variable.__constraints__] if variable.__constraints__ else variable.__bound__ or Any  # noqa: UP007


def _built(cls: Any, values: dict[str, Any]) -> Any:
    """Return what a user's class makes of its arguments; whatever its own checks raise is a ``Mismatch``."""
    try:
        return cls(**values)
    except Exception as exc:
        if hasattr(cls, "__pydantic_validator__") and hasattr(exc, "errors"):  # a dataclass of pydantic's
            raise _told_by_pydantic(exc) from exc
        # An attrs validator adds the attribute, the type and the value to its sentence.
        text = exc.args[0] if exc.args and isinstance(exc.args[0], str) else str(exc)
        raise Mismatch(("", text or type(exc).__name__)) from exc


def _pydantic(value: Any, tp: Any) -> Any:
    # As JSON, not as Python objects: a strict model takes a date from JSON text, but not from a str.
    try:
        return tp.model_validate_json(json.dumps(value))
    except Exception as exc:  # a ValidationError, or whatever a validator of the user's raised
        raise _told_by_pydantic(exc) from exc


def _told_by_pydantic(exc: Any) -> Mismatch:
    told = exc.errors() if hasattr(exc, "errors") else [{"loc": (), "msg": str(exc)}]
    return Mismatch(*((_joined(one["loc"]), str(one["msg"])) for one in told))


def _joined(steps: Iterable[str | int]) -> str:
    return "".join(_as_index(step) if isinstance(step, int) else _as_key(step) for step in steps)


_CLOSED = _Structurer(closed=True)
_OPEN = _Structurer(closed=False)

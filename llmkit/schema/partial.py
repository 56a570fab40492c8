"""
A JSON value that is still growing, as an instance of the user's type that grows with it.

Rule 1: what is there is read as the whole would be; what is not there yet is the field's default, and None where it has none. A value that
        does not fit counts as not there: when all has come, the whole tells what is wrong with it.
Rule 2: a text that is still growing is one only where text is wanted: half a date is no date.
Rule 3: the user's own checks are made where every field has come; until then an instance is put together without them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import attrs

from llmkit.schema.annotations import (
    COLLECTIONS,
    MAPPINGS,
    aliased,
    is_alias,
    is_named_tuple,
    is_pydantic,
    is_record,
    is_typed_dict,
    items_of_tuple,
)
from llmkit.schema.fields import fields_of
from llmkit.schema.growing import MISSING, Unfinished
from llmkit.schema.mismatch import Mismatch

__all__ = ["grown", "plain"]


def plain(value: Any) -> Any:
    """Return a copy of *value* that does not grow any more."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Unfinished) else value


def grown(value: Any, tp: Any) -> Any:
    """Return what there is of the instance of *tp* that *value* describes, or ``MISSING``. Never raises for what *value* is."""
    tp = _bare(tp)
    if value is MISSING:
        return MISSING
    if tp is Any or tp is object:
        return plain(value)
    origin = get_origin(tp) or tp
    if origin in (Union, UnionType):
        return _of_union(value, get_args(tp))
    if isinstance(value, list) and (origin in COLLECTIONS or origin is tuple) and not is_record(tp):
        return _collection(value, tp, origin)
    if isinstance(value, dict) and origin in MAPPINGS:
        return _mapping(value, tp)
    if isinstance(value, dict) and is_record(tp):
        return _record(value, tp)
    if isinstance(value, dict) and is_pydantic(tp):
        return _model(value, tp)
    return _scalar(value, tp)


def _bare(tp: Any) -> Any:
    """Return the type behind names, notes and variables."""
    while True:
        if get_origin(tp) is Annotated:
            tp = get_args(tp)[0]
        elif is_alias(tp):
            tp = aliased(tp)
        elif hasattr(tp, "__supertype__"):
            tp = tp.__supertype__
        elif isinstance(tp, TypeVar):
            tp = Union[tp.__constraints__] if tp.__constraints__ else tp.__bound__ or Any  # noqa: UP007
        else:
            return tp


def _scalar(value: Any, tp: Any) -> Any:
    if isinstance(value, Unfinished):
        return str(value) if tp is str else MISSING
    from llmkit.schema.structuring import structure  # loads cattrs

    try:
        return structure(value, tp)
    except (Mismatch, RecursionError):
        return MISSING


def _of_union(value: Any, members: tuple[Any, ...]) -> Any:
    others = [member for member in map(_bare, members) if member is not type(None)]
    if value is None and len(others) < len(members):
        return None
    if isinstance(value, dict):
        records = [member for member in others if is_record(member) or is_pydantic(member)]
        if len(records) > 1:
            best = max(records, key=lambda member: _likeness(value, _named(member)))
            others = [best, *(member for member in others if member not in records)]
    found = (grown(value, member) for member in others)
    return next((one for one in found if one is not MISSING), MISSING)


def _named(tp: Any) -> dict[str, Any]:
    """Return the types of the fields of a record, or of a pydantic model, by their keys in JSON."""
    if is_record(tp):
        return {one.name: one.type for one in fields_of(tp)}
    return {one.alias or name: one.annotation for name, one in tp.model_fields.items()}


def _likeness(value: dict[str, Any], fields: dict[str, Any]) -> tuple[int, int]:
    """Return how well *value* may become a record of *fields*, to be compared: by its tags first, then by its keys."""
    tags = {name: _bare(tp) for name, tp in fields.items() if isinstance(value.get(name, 0), str)}
    fitting = [_fits_tag(value[name], get_args(tp)) for name, tp in tags.items() if get_origin(tp) is Literal]
    names = set(fields)
    return sum(1 if fits else -len(fields) - 1 for fits in fitting), len(names & set(value)) - len(set(value) - names)


def _fits_tag(text: str, options: Iterable[Any]) -> bool:
    words = [str(getattr(option, "value", option)) for option in options]
    return any(word.startswith(text) for word in words) if isinstance(text, Unfinished) else text in words


def _collection(value: list[Any], tp: Any, origin: Any) -> Any:
    if origin is tuple:
        types, repeated = items_of_tuple(tp)
        items = [grown(item, kind) for item, kind in zip(value, types * len(value) if repeated else types, strict=False)]
        return tuple(item for item in items if item is not MISSING)
    (kind,) = get_args(tp) or (Any,)
    found = [item for item in (grown(item, kind) for item in value) if item is not MISSING]
    try:
        return COLLECTIONS[origin](found)
    except TypeError:  # an unhashable item of a set
        return MISSING


def _mapping(value: dict[str, Any], tp: Any) -> dict[Any, Any]:
    key_type, item_type = get_args(tp) or (Any, Any)
    pairs = ((grown(key, key_type), grown(item, item_type)) for key, item in value.items())
    return {key: item for key, item in pairs if key is not MISSING and item is not MISSING}


def _record(value: dict[str, Any], tp: Any) -> Any:
    fields = fields_of(tp)
    cls = get_origin(tp) or tp
    found = {one.name: item for one in fields if (item := grown(value.get(one.name, MISSING), one.type)) is not MISSING}
    if is_typed_dict(cls):
        return found
    if all(one.name in found for one in fields if one.required):
        try:
            return cls(**found)
        except Exception:  # noqa: BLE001, S110 - a check of the user's own, which the whole is still to pass
            pass
    if is_named_tuple(cls):
        return cls(**{one.name: found.get(one.name, None if one.required else one.default) for one in fields})
    return _put_together(cls, dict(_attributes(cls, found)))


def _put_together(cls: Any, values: dict[str, Any]) -> Any:
    """Return an instance of *cls* that nobody has checked."""
    made = object.__new__(cls)
    for name, value in values.items():
        object.__setattr__(made, name, value)
    return made


def _attributes(cls: Any, found: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the attributes of an instance of *cls*, with what was *found* for its arguments."""
    if attrs.has(cls):
        for one in attrs.fields(cls):
            argument = one.alias or one.name
            default = one.default
            if argument in found and one.init:
                yield one.name, found[argument]
            elif isinstance(default, attrs.Factory):  # type: ignore[arg-type]  # a class, whatever its stub says
                yield one.name, None if default.takes_self else default.factory()
            else:
                yield one.name, None if default is attrs.NOTHING else default
        return
    from dataclasses import MISSING as NO_DEFAULT
    from dataclasses import fields  # already loaded, since the class is one

    for one in fields(cls):
        given: Any = one.default
        of_pydantic = hasattr(given, "is_required")  # one of its Fields, in a dataclass of its own
        argument = (given.alias or one.name) if of_pydantic else one.name
        if argument in found and one.init:
            yield one.name, found[argument]
        elif of_pydantic:
            yield one.name, None if given.is_required() else given.get_default(call_default_factory=True)
        elif one.default_factory is not NO_DEFAULT:
            yield one.name, one.default_factory()
        else:
            yield one.name, None if given is NO_DEFAULT else given


def _model(value: dict[str, Any], tp: Any) -> Any:
    """Return what pydantic makes without its checks."""
    construct: Callable[..., Any] = tp.model_construct
    found: dict[str, Any] = {}
    for name, one in tp.model_fields.items():
        key = next((key for key in (one.alias, name) if key in value), None)
        item = MISSING if key is None else grown(value[key], one.annotation)
        if item is not MISSING:
            found[name] = item
        elif one.is_required():
            found[name] = None
    return construct(_fields_set=None, **{tp.model_fields[name].alias or name: item for name, item in found.items()})

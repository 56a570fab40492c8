"""What an annotation is: which kind of type, of which parts, with which description."""

from __future__ import annotations

import collections.abc
import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any, TypeVar, get_args, get_origin

import attrs

from llmkit.errors import ConfigurationError

__all__ = [
    "COLLECTIONS",
    "MAPPINGS",
    "aliased",
    "described",
    "hints_of_function",
    "homes_of",
    "is_alias",
    "is_hashable",
    "is_named_tuple",
    "is_pydantic",
    "is_record",
    "is_typed_dict",
    "items_of_tuple",
    "qualifiers_of",
    "resolved_hints",
    "substituted",
    "unqualified",
]

# Annotation -> what is built for it. The abstract ones become what one would write by hand.
COLLECTIONS: Mapping[Any, type] = {
    list: list,
    set: set,
    frozenset: frozenset,
    collections.abc.Iterable: list,
    collections.abc.Collection: list,
    collections.abc.Sequence: list,
    collections.abc.MutableSequence: list,
    collections.abc.Set: set,
    collections.abc.MutableSet: set,
}
MAPPINGS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)


def is_typed_dict(tp: Any) -> bool:
    # typing.is_typeddict does not know those of typing_extensions.
    return isinstance(tp, type) and issubclass(tp, dict) and hasattr(tp, "__required_keys__")


def is_named_tuple(tp: Any) -> bool:
    return isinstance(tp, type) and issubclass(tp, tuple) and hasattr(tp, "_fields")


def is_record(tp: Any) -> bool:
    """Return whether *tp*, or the class that it parametrises, has named fields that ``fields_of`` can list."""
    cls = get_origin(tp) or tp
    if not isinstance(cls, type):
        return False
    return attrs.has(cls) or hasattr(cls, "__dataclass_fields__") or is_typed_dict(cls) or is_named_tuple(cls)


def is_pydantic(tp: Any) -> bool:
    return isinstance(tp, type) and hasattr(tp, "model_json_schema") and hasattr(tp, "model_validate_json")


def is_alias(tp: Any) -> bool:
    """Return whether *tp* was made by a ``type`` statement, or by its copy in typing_extensions."""
    return type(get_origin(tp) or tp).__name__ == "TypeAliasType"


def aliased(alias: Any) -> Any:
    """Return what *alias* stands for, with its own arguments in the place of its type variables."""
    return substituted(alias, (get_origin(alias) or alias).__value__)


def is_hashable(value: object) -> bool:
    """Return whether *value* has a hash; an ``Annotated`` claims one, even where its notes have none."""
    try:
        hash(value)
    except TypeError:
        return False
    return True


def items_of_tuple(tp: Any) -> tuple[tuple[Any, ...], bool]:
    """Return the types of a tuple's items, and whether it is one type for any number of them."""
    args = get_args(tp)
    if tp in (tuple, typing.Tuple):  # noqa: UP006 - the old spelling has no arguments either, as tuple[()] has none
        return (Any,), True
    if args == ((),):  # how Python 3.10 spells the arguments of tuple[()]
        return (), False
    return (args[:1], True) if args[1:] == (Ellipsis,) else (args, False)


def described(hint: Any) -> str:
    """Return the description in an ``Annotated``: its first text, or that of a pydantic ``Field`` or a ``Doc``."""
    for note in getattr(hint, "__metadata__", ()):
        for text in (note, getattr(note, "description", None), getattr(note, "documentation", None)):
            if isinstance(text, str):
                return text
    return ""


def qualifiers_of(hint: Any) -> Iterator[str]:
    """Yield the words around *hint*, from the outermost: ``Required``, ``NotRequired``, ``ReadOnly``, ``Final``."""
    while (word := getattr(get_origin(hint), "_name", "")) in ("Required", "NotRequired", "ReadOnly", "Final"):
        yield word
        hint = get_args(hint)[0]


def unqualified(hint: Any) -> Any:
    """Return *hint* without the words around it."""
    for _ in qualifiers_of(hint):
        hint = get_args(hint)[0]
    return hint


def resolved_hints(target: Any) -> dict[str, Any]:
    """
    Return the annotations of a class or function as types, ``Annotated`` kept.

    Raises:
        ConfigurationError: If one cannot be resolved.
    """
    nearby = {**getattr(target, "__dict__", {}), getattr(target, "__name__", ""): target}
    for local_names in (None, nearby):  # the second for classes defined in a function or in another class
        try:
            return typing.get_type_hints(target, localns=local_names, include_extras=True)
        except Exception as exc:  # noqa: BLE001 - an annotation is code, and may raise anything
            failure = exc
    msg = (
        f"An annotation of {getattr(target, '__qualname__', target)} cannot be resolved ({failure}): "
        "its names must be importable from its module at run time, not defined in a function or under TYPE_CHECKING."
    )
    raise ConfigurationError(msg) from failure


def hints_of_function(function: Any, wanted: Callable[[str], bool]) -> dict[str, Any]:
    """
    Return those annotations of a function or method, as types, whose names are *wanted*; the others need not be importable.

    Raises:
        ConfigurationError: If one cannot be resolved.
    """
    plain = inspect.unwrap(getattr(function, "__func__", function))
    hints = {name: hint for name, hint in getattr(plain, "__annotations__", {}).items() if wanted(name)}
    # A stand-in for the function. It has no defaults, either: Python 3.10 would read one of None into the annotation.
    names = {name: getattr(plain, name) for name in ("__globals__", "__qualname__", "__type_params__") if hasattr(plain, name)}
    return resolved_hints(SimpleNamespace(__annotations__=hints, **names))


def substituted(tp: Any, hint: Any) -> Any:
    """Return *hint*, which stands in the class of *tp*, with its type variables replaced by the arguments of *tp*."""
    values = dict(zip(getattr(get_origin(tp), "__parameters__", ()), get_args(tp), strict=False))
    if isinstance(hint, TypeVar):
        return values.get(hint, hint)
    free = getattr(hint, "__parameters__", ()) if values and get_origin(hint) else ()
    return hint[tuple(values.get(name, name) for name in free)] if free else hint


def homes_of(tp: Any) -> dict[str, Any]:
    """Return for each annotated name of the class of *tp* the class in which it stands, itself or a base, with its arguments there."""
    cls = get_origin(tp) or tp
    placed = dict(_lineage(tp))
    # The annotations of a TypedDict are those of its bases as well, which are not in its __mro__, and which alone know their variables.
    order = placed if is_typed_dict(cls) else reversed(cls.__mro__)
    return {name: placed.get(base, base) for base in order for name in vars(base).get("__annotations__", ())}


def _lineage(tp: Any) -> Iterator[tuple[type, Any]]:
    """Yield the class of *tp* and its bases, each with the arguments that *tp* gives it."""
    cls = get_origin(tp) or tp
    if not isinstance(cls, type) or cls.__module__ in ("typing", "typing_extensions"):
        return
    yield cls, tp
    for base in vars(cls).get("__orig_bases__", cls.__bases__):
        if getattr(get_origin(base), "__module__", "") not in ("typing", "typing_extensions"):  # Generic[T] takes no arguments
            yield from _lineage(substituted(tp, base))

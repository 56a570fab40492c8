"""
The decorators of values: attrs' ``frozen`` and ``define``, with ``==``, ``hash`` and ``repr`` written once for all classes.

attrs writes these three anew for every class and has Python compile them, which is half of what a class costs when it is imported. Here
they go through the fields when they are asked, which nobody does in a hurry. They mean the same as attrs' own: of fields ``eq=False``,
``hash=False`` and ``repr=False`` hold, what is not frozen has no hash, and methods of a class's own come first.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any

import attrs

__all__ = ["define", "frozen"]


def _eq(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    compared, _ = _getters(self.__class__)
    return compared(self) == compared(other)


def _hash(self: Any) -> int:
    _, hashed = _getters(self.__class__)
    return hash(hashed(self))


@recursive_repr()
def _repr(self: Any) -> str:
    shown = ", ".join(f"{one.name}={getattr(self, one.name)!r}" for one in self.__attrs_attrs__ if one.repr)
    return f"{self.__class__.__qualname__.rpartition('>.')[2]}({shown})"


@lru_cache(maxsize=1024)
def _getters(cls: Any) -> tuple[attrgetter[Any], attrgetter[Any]]:
    """Return what gets the fields of a *cls* that count for ``==``, and those that count for its hash; its class is in both."""
    fields = cls.__attrs_attrs__
    compared = [one.name for one in fields if one.eq]
    hashed = [one.name for one in fields if (one.eq if one.hash is None else one.hash)]
    return attrgetter("__class__", *compared), attrgetter("__class__", *hashed)


def _decorated(decorate: Callable[..., Any], cls: Any, hashed: Any, *, eq: bool = True, repr: bool = True, **options: Any) -> Any:
    if cls is None:
        return lambda cls: _decorated(decorate, cls, hashed, eq=eq, repr=repr, **options)
    methods = {**({"__eq__": _eq, "__hash__": hashed} if eq else {}), **({"__repr__": _repr} if repr else {})}
    for name, method in methods.items():
        if name not in cls.__dict__:
            setattr(cls, name, method)
    return decorate(cls, eq=False, repr=False, **options)


if TYPE_CHECKING:
    # Type checkers know these two by name, and nothing else that makes classes.
    from attrs import define, frozen
else:

    def frozen(cls: Any = None, **options: Any) -> Any:
        return _decorated(attrs.frozen, cls, _hash, **options)

    def define(cls: Any = None, **options: Any) -> Any:
        return _decorated(attrs.define, cls, None, **options)

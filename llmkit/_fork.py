"""
What must be made new in the child of a ``fork``.

A forked child holds copies of its parent's sockets, locks and thread objects: two processes would read one connection, and a lock
may be held by a thread that is not there. Whoever owns such a thing registers here and is called in the child.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol, TypeVar

__all__ = ["Renewable", "renewed_in_child"]


class Renewable(Protocol):
    """Something that can be made as new."""

    def renew(self) -> None:
        """Forget what belongs to the parent. Called in the child, before any other code of it, with no other thread."""
        ...


_R = TypeVar("_R", bound=Renewable)

# Weak references in a dict by identity, in the order of their making, which is the order of their renewal: what is built on another
# thing comes later. (A WeakSet hashes and compares its members, and values of ours are equal when their fields are.)
_alive: dict[int, weakref.ref[Renewable]] = {}


def renewed_in_child(thing: _R) -> _R:
    """
    Have ``thing.renew()`` called in every process forked from this one, as long as *thing* lives; return *thing*.

    Cheap (two dict entries), and nothing where there is no ``fork``.
    """
    key = id(thing)

    def forget(_: weakref.ref[Renewable]) -> None:
        _alive.pop(key, None)

    _alive[key] = weakref.ref(thing, forget)
    return thing


def _renew_all() -> None:
    for reference in tuple(_alive.values()):
        thing = reference()
        if thing is not None:
            thing.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)

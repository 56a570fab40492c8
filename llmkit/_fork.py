"""
What must be made new in the child of a ``fork``.

A forked child holds copies of its parent's sockets, locks and thread objects: two processes would read one connection, and a lock
may be held by a thread that is not there. Whoever owns such a thing registers here and is called in the child.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol, TypeVar

__all__ = ["Pausable", "Renewable", "paused_at_fork", "renewed_in_child"]


class Renewable(Protocol):
    """Something that can be made as new."""

    def renew(self) -> None:
        """Forget what belongs to the parent. Called in the child, before any other code of it, with no other thread."""
        ...


class Pausable(Renewable, Protocol):
    """Something that must not be in use while its process forks: a library below it holds locks of its own."""

    def pause(self) -> None:
        """Bring it to rest. Called in the parent, before the fork."""
        ...

    def resume(self) -> None:
        """Let it go on. Called in the parent, after the fork; in the child ``renew`` is called in its place."""
        ...


_R = TypeVar("_R", bound=Renewable)
_P = TypeVar("_P", bound=Pausable)

# Weak references in a dict by identity, in the order of their making, which is the order of their renewal: what is built on another
# thing comes later. (A WeakSet hashes and compares its members, and values of ours are equal when their fields are.)
_alive: dict[int, weakref.ref[Renewable]] = {}
_pausable: dict[int, weakref.ref[Pausable]] = {}


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


def paused_at_fork(thing: _P) -> _P:
    """Have *thing* paused while this process forks, and resumed in it and renewed in the child, as long as it lives; return *thing*."""
    key = id(thing)

    def forget(_: weakref.ref[Pausable]) -> None:
        _pausable.pop(key, None)

    _pausable[key] = weakref.ref(thing, forget)
    return renewed_in_child(thing)


def _renew_all() -> None:
    for reference in tuple(_alive.values()):
        thing = reference()
        if thing is not None:
            thing.renew()


def _pause_all() -> None:
    for reference in tuple(_pausable.values()):
        thing = reference()
        if thing is not None:
            thing.pause()


def _resume_all() -> None:
    for reference in tuple(_pausable.values()):
        thing = reference()
        if thing is not None:
            thing.resume()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_pause_all, after_in_parent=_resume_all, after_in_child=_renew_all)

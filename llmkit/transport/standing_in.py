"""
What stands in for a client's own transport: what it is given as ``transport=``, or what holds for every client made in a block.

Rule 1: a stand-in is a transport, or makes one for each client (``TransportMaker``); only what it makes is closed with the client.
Rule 2: a stand-in that needs no network needs no key either: it says so with ``needs_key = False``. With ``default_model`` it says which
        model is meant where none is named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, runtime_checkable

from llmkit.transport.base import AsyncTransport, Transport

__all__ = ["TransportMaker", "atransport_for", "current_stand_in", "default_model_of", "needs_key", "standing_in", "transport_for"]


@runtime_checkable
class TransportMaker(Protocol):
    """Makes a transport for each client. *own* makes the one that the client would have had."""

    def make(self, own: Callable[[], Transport]) -> Transport: ...

    def amake(self, own: Callable[[], AsyncTransport]) -> AsyncTransport: ...


_ambient: ContextVar[Any] = ContextVar("llmkit_transport", default=None)


def current_stand_in() -> Any:
    """Return what stands in for the transports of clients made here and now; None where nothing does."""
    return _ambient.get()


@contextmanager
def standing_in(stand_in: Any) -> Iterator[None]:
    """Let *stand_in* serve every client that is made inside and is given no transport."""
    token = _ambient.set(stand_in)
    try:
        yield
    finally:
        _ambient.reset(token)


def needs_key(stand_in: Any) -> bool:
    """Whether a key must be there for what goes through *stand_in*; None is a client's own transport."""
    return bool(getattr(stand_in, "needs_key", True))


def default_model_of(stand_in: Any) -> str | None:
    """Return the model that is meant where none is named."""
    return getattr(stand_in, "default_model", None)


def transport_for(stand_in: Any, own: Callable[[], Transport]) -> Transport:
    """Return the transport of a client that was given *stand_in*, and would make its *own*."""
    if stand_in is None:
        return own()
    made: Transport = stand_in.make(own) if isinstance(stand_in, TransportMaker) else stand_in
    return made


def atransport_for(stand_in: Any, own: Callable[[], AsyncTransport]) -> AsyncTransport:
    """The twin of ``transport_for``."""
    if stand_in is None:
        return own()
    made: AsyncTransport = stand_in.amake(own) if isinstance(stand_in, TransportMaker) else stand_in
    return made

"""
Those who watch a client: callables that are told what happens, as an ``llmkit.Event``.

Rule 1: a hook is called in the thread or task where it happened, outside of every lock.
Rule 2: what a hook raises is logged and changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from llmkit.errors import ConfigurationError

if TYPE_CHECKING:
    from llmkit.events import Event

__all__ = ["Hook", "Hooks", "as_hooks"]

logger = logging.getLogger("llmkit.hooks")

Hook = Callable[["Event"], object]


class Hooks:
    """Those who watch one client. Falsy where nobody does, so that nothing is made ready for them."""

    __slots__ = ("_hooks",)

    def __init__(self, hooks: Iterable[Hook] = ()) -> None:
        self._hooks = tuple(hooks)

    def __bool__(self) -> bool:
        return bool(self._hooks)

    def tell(self, event: Event) -> None:
        for hook in self._hooks:
            try:
                hook(event)
            except Exception:
                logger.exception("a hook failed at %s", event.name)


def as_hooks(given: object) -> tuple[Hook, ...]:
    """
    Return *given*, the value of ``hooks=``, as a tuple: one callable, or a sequence of them.

    Raises:
        ConfigurationError: If something is not callable, or a coroutine function: events are told from wherever they happen, and
            nobody awaits there.
    """
    import inspect

    hooks = (given,) if callable(given) else given
    if not isinstance(hooks, Iterable):
        msg = f"hooks is a list of callables that take an Event, not {type(given).__name__}."
        raise ConfigurationError(msg)
    found = tuple(hooks)
    for hook in found:
        if not callable(hook) or inspect.iscoroutinefunction(hook):
            msg = f"A hook is a plain callable that takes an Event, not {hook!r}."
            raise ConfigurationError(msg)
    return found

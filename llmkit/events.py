"""
What a client tells those who watch it: logs, metrics, traces.

Rule 1: a hook is called with an ``Event``, in the thread or task where it happened, outside of every lock.
Rule 2: what a hook raises is logged and changes nothing.
Rule 3: no event holds a key, a prompt or an answer's text, except ``call.end``, which holds the answer.
"""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from attrs import field, frozen

from llmkit.errors import ConfigurationError

if TYPE_CHECKING:
    from llmkit.models.ledger import Attempt

__all__ = ["EVENTS", "Event", "Hook", "Hooks", "as_hooks"]

logger = logging.getLogger("llmkit.events")

EventName = Literal["call.start", "attempt.start", "attempt.end", "retry", "fallback", "hedge", "breaker", "call.end"]
EVENTS: tuple[EventName, ...] = ("call.start", "attempt.start", "attempt.end", "retry", "fallback", "hedge", "breaker", "call.end")


@frozen(kw_only=True)
class Event:
    """
    Something that happened.

    Args:
        name: ``call.start``, ``attempt.start``, ``attempt.end``, ``retry``, ``fallback``, ``hedge``, ``breaker`` or ``call.end``.
        call: A number that is the same for all events of one call in this process; 0 for ``breaker``, which belongs to none.
        provider, model, endpoint: Where; after a fallback, where the call goes now.
        at: The Unix time.
        attempt: The entry of the ledger, of ``attempt.end``.
        wait: Seconds before the next attempt, of ``retry``; ``why`` says for what.
        response: The answer, of a ``call.end`` that has one.
        error: What was raised, of a ``call.end`` without an answer.
        facts: What else belongs to it: of ``breaker`` its old and new state.
    """

    name: EventName
    call: int = 0
    provider: str = ""
    model: str = ""
    endpoint: str = ""
    at: float = field(factory=time.time)
    attempt: Attempt | None = None
    wait: float = 0.0
    why: str | None = None
    response: Any = field(default=None, repr=False)
    error: BaseException | None = None
    facts: Mapping[str, Any] = field(factory=dict)


Hook = Callable[[Event], object]


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

"""
What a client tells those who watch it: logs, metrics, traces.

Rule: no event holds a key, a prompt or an answer's text, except ``call.end``, which holds the answer.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from attrs import field, frozen

if TYPE_CHECKING:
    from llmkit.models.ledger import Attempt

__all__ = ["EVENTS", "Event", "EventName"]

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

"""
When to send a request a second time although the first may still be answered.

Rule 1: every copy is paid for, so hedging is off unless asked for, and bounded by a share of the calls.
Rule 2: the second goes out when the first has not begun to answer within the time in which most recent ones had.
Rule 3: while too few answers are remembered to tell what is slow, nothing is hedged.

Source: "The Tail at Scale", J. Dean and L. A. Barroso, Communications of the ACM 56(2), 2013.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from attrs import fields

from llmkit._fork import renewed_in_child
from llmkit.errors import ConfigurationError
from llmkit.resilience.checks import number, whole
from llmkit.spelling import refuse_unknown
from llmkit.values import frozen

if TYPE_CHECKING:
    from llmkit.resilience.traffic import Traffic

__all__ = ["Hedge", "HedgePolicy", "hedge_of"]


@frozen(kw_only=True)
class Hedge:
    """
    Hedging: ``after`` is the quantile of recent latencies at which a second request goes out, or with ``delay`` a fixed number of
    seconds; ``max_share`` the largest share of calls that get one; ``min_calls`` the answers seen before any does.

    Raises:
        ConfigurationError: If a value is out of range; it names the field.
    """

    after: float = 0.95
    delay: float | None = None  # seconds
    max_share: float = 0.1
    min_calls: int = 20

    def __attrs_post_init__(self) -> None:
        number("after", self.after, above=0.0, most=1.0)
        if self.delay is not None:
            number("delay", self.delay)
        number("max_share", self.max_share, above=0.0, most=1.0)
        whole("min_calls", self.min_calls, least=1)


def hedge_of(value: object) -> Hedge:
    """
    Return what a user gave as ``hedge=``: a dict holds the fields of a ``Hedge``.

    Raises:
        ConfigurationError: If it is something else, or a field is unknown or out of range.
    """
    if isinstance(value, Hedge):
        return value
    if not isinstance(value, Mapping):
        msg = f"hedge is a Hedge, a dict of its fields, or None to switch it off; not {value!r}."
        raise ConfigurationError(msg)
    refuse_unknown(value, (one.name for one in fields(Hedge)), path="hedge")
    return Hedge(**value)


class HedgePolicy:
    """How much of its share a client has used. Safe to share between threads and tasks; it never waits."""

    def __init__(self, config: Hedge) -> None:
        self.config = config
        self._lock = threading.RLock()
        self._calls = 0
        self._hedged = 0
        renewed_in_child(self)

    def delay(self, traffic: Traffic) -> float | None:
        """Count a call and return the seconds after which it is hedged; None if it is not."""
        with self._lock:
            self._calls += 1
        if self.config.delay is not None:
            return self.config.delay
        return traffic.quantile(self.config.after, of_at_least=self.config.min_calls)

    def may_send(self) -> bool:
        """Whether a second request may go out now; it is counted if so."""
        with self._lock:
            if self._hedged + 1 > max(1.0, self.config.max_share * self._calls):
                return False
            self._hedged += 1
            return True

    @property
    def share(self) -> float:
        """The share of the calls so far that got a second request."""
        return self._hedged / self._calls if self._calls else 0.0

    def renew(self) -> None:
        self._lock = threading.RLock()

"""
How much of one thing may still be had: a bucket that fills again as time passes.

Rule 1: a bucket starts full, fills continuously and never holds more than its capacity.
Rule 2: it may be in debt, where more was used than had been foreseen; then nothing can be had until the debt is paid.
Rule 3: a bucket has no lock and no clock: who holds it brings both.
"""

from __future__ import annotations

import math

__all__ = ["Bucket"]

# The share of its capacity by which a bucket may be short: so much is the error of floating-point sums, and no more.
SLACK = 1e-9


class Bucket:
    """
    One dimension of a limit: at most ``capacity`` at once, and ``rate`` more each second.

    ``entered`` and ``gone`` count what was ever asked for by those who had to wait, and what of it waits no more.
    """

    __slots__ = ("at", "capacity", "entered", "gone", "level", "rate", "slack")

    def __init__(self, capacity: float, rate: float) -> None:
        self.capacity = capacity
        self.rate = rate
        self.slack = SLACK * capacity
        self.level = capacity
        self.at = -math.inf  # the moment of ``level``; later than now while it is held
        self.entered = 0.0
        self.gone = 0.0

    def refill(self, now: float) -> None:
        """Bring the level up to the moment *now*."""
        if now <= self.at:
            return
        if self.level < self.capacity:
            self.level = min(self.capacity, self.level + (now - self.at) * self.rate)
        self.at = now

    def has(self, need: float) -> bool:
        """Whether *need* can be taken from the level as it is."""
        return self.level >= need - self.slack

    def wait_for(self, need: float, now: float) -> float:
        """Return the seconds from *now* until *need* can be taken, if nobody takes before: ``inf`` where it never fills."""
        missing = need - self.level
        if missing <= self.slack:
            return 0.0
        return self.at - now + missing / self.rate if self.rate > 0 else math.inf

    def give(self, amount: float) -> None:
        """Put *amount* back; a negative one takes it, into debt if need be."""
        self.level = min(self.capacity, self.level + amount)

    def drain(self, now: float, hold: float) -> None:
        """Empty it. Nothing comes back for *hold* seconds, but no longer than a whole filling takes: what lasts longer is another limit."""
        self.level = min(self.level, 0.0)
        self.at = max(self.at, now + (min(hold, self.capacity / self.rate) if self.rate > 0 else hold))

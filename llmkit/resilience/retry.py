"""When to try again, and after how many seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.resilience.checks import flag, number, whole
from llmkit.values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RetryConfig"]

# The share of a provider's hint that is added at random, so that those who were told the same moment do not all come at it. Never
# subtracted: a request that comes too early is refused again.
HINT_JITTER = 0.25


@frozen(kw_only=True)
class RetryConfig:
    """
    How often and how fast a call is tried again at one endpoint.

    ``max_retries`` counts the tries after the first. Without a hint from the provider the wait after failure n is drawn evenly from
    zero to ``min(max_delay, base_delay * multiplier ** (n - 1))`` seconds, or is that bound where ``jitter`` is off. A hint of
    more than ``retry_after_cap`` seconds is not waited for. ``retry_timeouts=False`` leaves time-outs to the caller: the provider
    may have answered, and charged, meanwhile.

    Raises:
        ConfigurationError: If a value is out of range; it names the field.

    Source: "Exponential Backoff And Jitter", AWS Architecture Blog (full jitter).
    """

    max_retries: int = 3
    base_delay: float = 1.0  # seconds
    max_delay: float = 30.0  # seconds
    multiplier: float = 2.0
    jitter: bool = True
    retry_after_cap: float = 60.0  # seconds
    retry_timeouts: bool = True

    def __attrs_post_init__(self) -> None:
        whole("max_retries", self.max_retries)
        number("base_delay", self.base_delay)
        number("max_delay", self.max_delay)
        number("multiplier", self.multiplier, least=1.0)
        flag("jitter", self.jitter)
        number("retry_after_cap", self.retry_after_cap)
        flag("retry_timeouts", self.retry_timeouts)

    @classmethod
    def from_ms(
        cls,
        *,
        initial_delay_ms: float | None = None,
        max_delay_ms: float | None = None,
        backoff_multiplier: float | None = None,
        **others: Any,
    ) -> RetryConfig:
        """
        Return the same from delays in milliseconds; *others* are fields by their own names.

        Raises:
            ConfigurationError: If a value is out of range; it names the field as it was given.
        """
        given = dict(others)
        for field, name, value in (
            ("base_delay", "initial_delay_ms", initial_delay_ms),
            ("max_delay", "max_delay_ms", max_delay_ms),
        ):
            if value is not None:
                number(name, value)
                given[field] = value / 1000
        if backoff_multiplier is not None:
            number("backoff_multiplier", backoff_multiplier, least=1.0)
            given["multiplier"] = backoff_multiplier
        return cls(**given)

    def wait(self, failures: int, hint: float | None, chance: Callable[[], float]) -> float:
        """
        Return the seconds to wait after failure number *failures* (the first is 1) at one endpoint.

        *hint* is what the provider asked for, in seconds: the wait is then up to a quarter longer, never shorter. A hint of 0 says
        "at once", which a client that is not alone must not take literally: it counts as none. *chance* gives numbers from 0 to 1.
        """
        if hint is not None and hint > 0:
            return hint * (1 + HINT_JITTER * chance()) if self.jitter else hint
        bound = self._bound(failures)
        return bound * chance() if self.jitter else bound

    @property
    def longest_wait(self) -> float:
        """The seconds that all waits of one call come to at most, where the provider asks for none."""
        return sum(self._bound(failures) for failures in range(1, self.max_retries + 1))

    def _bound(self, failures: int) -> float:
        try:
            return min(self.max_delay, self.base_delay * self.multiplier ** max(0, failures - 1))
        except OverflowError:  # of the power alone: the bound is long since the largest, except for a base of zero
            return self.max_delay if self.base_delay else 0.0

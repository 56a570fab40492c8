"""The limits that a user sets: a bucket of tokens, or so and so many a minute."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypedDict

from llmkit.errors import ConfigurationError, RateLimitTimeoutError
from llmkit.resilience.buckets import Bucket
from llmkit.resilience.checks import number, whole
from llmkit.resilience.limits import Limiter, Ticket
from llmkit.values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Dimensions", "RateLimit", "TokenBucket", "rate_limit_of"]

MINUTE = 60.0  # seconds


class Dimensions(TypedDict):
    """What a limiter limits; None is no limit."""

    requests: Bucket | None
    tokens: Bucket | None
    concurrency: int | None


class TokenBucket:
    """
    A bucket of *capacity* tokens that starts full and gets *refill_rate* more each second.

    Safe to share between threads, and between clients: ``Client(rate_limit=TokenBucket(10, 2))`` takes one token for each request
    sent, retries included. Those who wait are served in the order in which they came.

    Raises:
        ConfigurationError: If *capacity* is no number above zero, or *refill_rate* none of at least zero.
    """

    def __init__(self, capacity: float, refill_rate: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        number("capacity", capacity, above=0.0)
        number("refill_rate", refill_rate)
        self.capacity = capacity
        self.refill_rate = refill_rate
        self._bucket = Bucket(float(capacity), float(refill_rate))
        self._limiter = Limiter(requests=self._bucket, clock=clock)

    @property
    def tokens(self) -> float:
        """How many can be had now."""
        return float(self._limiter.snapshot()["requests"])

    def acquire(self, tokens: float = 1, timeout: float | None = None) -> bool:
        """
        Take *tokens*, waiting for them if need be, and return True.

        Args:
            tokens: How many; none are taken before all can be.
            timeout: The longest wait in seconds; None for as long as it takes.

        Raises:
            RateLimitTimeoutError: At once, if it would take longer than *timeout*, or is more than the bucket ever holds; it says
                after how many seconds they can be had.
            ConfigurationError: If *tokens* is no number above zero, or *timeout* none of at least zero.
        """
        ticket = self.enter(tokens, timeout)
        try:
            in_time = ticket.wait(timeout)
        except BaseException:
            ticket.cancel()
            raise
        if in_time:
            return True
        error = ticket.too_late()
        ticket.cancel()
        raise error

    def try_acquire(self, tokens: float = 1) -> bool:
        """Take *tokens* and return True if they can be had now and nobody waits for some; else take none and return False."""
        number("tokens", tokens, above=0.0)
        try:
            return self._limiter.enter(deadline_in=0.0, requests=tokens).granted
        except RateLimitTimeoutError:
            return False

    def enter(self, tokens: float, timeout: float | None) -> Ticket:
        """Return the place in the line of one who wants *tokens*; what ``acquire`` begins with."""
        number("tokens", tokens, above=0.0)
        if timeout is not None:
            number("timeout", timeout)
        return self._limiter.enter(deadline_in=timeout, requests=tokens)

    def make(self) -> Limiter:
        """Return the limiter in it: the same for everyone who asks, so that they share the bucket."""
        return self._limiter

    def dimensions(self) -> Dimensions:
        """Return what it limits, with a full bucket of its own."""
        return {"requests": Bucket(float(self.capacity), float(self.refill_rate)), "tokens": None, "concurrency": None}

    def __repr__(self) -> str:
        return f"TokenBucket({self.capacity:g}, {self.refill_rate:g})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Another process has another bucket, which starts full.
        return TokenBucket, (self.capacity, self.refill_rate)


@frozen(kw_only=True)
class RateLimit:
    """
    What one client may send: requests and tokens a minute, and requests under way at once. None is no limit.

    As with the providers' own buckets a minute's worth can be had at once, and what was taken comes back evenly over a minute. With
    ``burst`` only so many requests can be had at once and the others are spread, so that no minute, wherever it begins, sees more
    than ``requests_per_minute``: for providers that count so. Tokens are reserved by an estimate before a request is sent, and
    corrected when the answer tells what was used.

    Raises:
        ConfigurationError: If a value is out of range; it names the field.
    """

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    max_concurrency: int | None = None
    burst: int | None = None

    def __attrs_post_init__(self) -> None:
        if self.requests_per_minute is not None:
            number("requests_per_minute", self.requests_per_minute, least=1.0)
        if self.tokens_per_minute is not None:
            number("tokens_per_minute", self.tokens_per_minute, least=1.0)
        if self.max_concurrency is not None:
            whole("max_concurrency", self.max_concurrency, least=1)
        if self.burst is not None:
            whole("burst", self.burst, least=1)
            if self.requests_per_minute is None or self.burst >= self.requests_per_minute:
                msg = f"burst must be less than requests_per_minute, got {self.burst!r} of {self.requests_per_minute!r}."
                raise ConfigurationError(msg)

    def make(self, clock: Callable[[], float] = time.monotonic) -> Limiter:
        """Return a new limiter that keeps to it."""
        return Limiter(**self.dimensions(), clock=clock)

    def dimensions(self) -> Dimensions:
        """Return what it limits, with full buckets."""
        return {
            "requests": _bucket(self.requests_per_minute, self.burst),
            "tokens": _bucket(self.tokens_per_minute, None),
            "concurrency": self.max_concurrency,
        }


def _bucket(per_minute: float | None, burst: int | None) -> Bucket | None:
    if per_minute is None:
        return None
    if burst is None:
        return Bucket(float(per_minute), per_minute / MINUTE)
    # What the bucket holds at a minute's beginning and what fills it until the minute's end are the minute's worth together.
    return Bucket(float(burst), (per_minute - burst) / MINUTE)


def rate_limit_of(value: object) -> RateLimit | TokenBucket | None:
    """
    Return what a user gave as ``rate_limit=``: a dict holds the fields of a ``RateLimit``.

    Raises:
        ConfigurationError: If it is something else, or a field is unknown or out of range.
    """
    if value is None or isinstance(value, (RateLimit, TokenBucket)):
        return value
    if not isinstance(value, Mapping):
        msg = f"rate_limit is a RateLimit, a TokenBucket or a dict of a RateLimit's fields, not {type(value).__name__}."
        raise ConfigurationError(msg)
    unknown = sorted(str(name) for name in value if name not in _FIELDS)
    if unknown:
        msg = f"rate_limit has no {', '.join(unknown)}; its fields are {', '.join(_FIELDS)}."
        raise ConfigurationError(msg)
    return RateLimit(**value)


_FIELDS = tuple(attribute.name for attribute in RateLimit.__attrs_attrs__)

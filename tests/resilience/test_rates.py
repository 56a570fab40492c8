from __future__ import annotations

import pickle
import time
from collections import deque
from typing import Any

import pytest
from attrs.exceptions import FrozenInstanceError

import llmkit
from llmkit.errors import ConfigurationError, RateLimitTimeoutError
from llmkit.resilience.limits import Ticket
from llmkit.resilience.rates import RateLimit, TokenBucket, rate_limit_of


def test_a_bucket_starts_full_and_fills_as_time_passes(clock: Any) -> None:
    """Two a second, ten at most."""
    bucket = TokenBucket(10, 2, clock=clock)

    assert bucket.acquire(7)

    assert 3.0 == bucket.tokens
    clock.advance(2.0)
    assert 7.0 == bucket.tokens
    clock.advance(60.0)
    assert 10.0 == bucket.tokens


def test_trying_takes_now_or_not_at_all(clock: Any) -> None:
    """It never waits, and a refusal costs nothing."""
    bucket = TokenBucket(3, 1, clock=clock)

    tried = [bucket.try_acquire(), bucket.try_acquire(5), bucket.try_acquire(2), bucket.try_acquire()]

    assert ([True, False, True, False], 0.0) == (tried, bucket.tokens)


def test_trying_does_not_overtake_those_who_wait(clock: Any) -> None:
    """Although there would be enough for it."""
    bucket = TokenBucket(3, 1, clock=clock)
    bucket.acquire(2)
    waiting = bucket.enter(3, None)

    assert not bucket.try_acquire()

    waiting.cancel()
    assert bucket.try_acquire()


def test_a_wait_is_as_long_as_the_refill() -> None:
    """And not shorter."""
    bucket = TokenBucket(1, 500)
    began = time.monotonic()

    for _ in range(5):
        assert bucket.acquire()

    assert time.monotonic() - began >= 4 / 500 - 1e-6


def test_a_wait_longer_than_the_timeout_is_refused_at_once(clock: Any) -> None:
    """With the seconds after which to come again; nothing is taken."""
    bucket = TokenBucket(10, 2, clock=clock)
    bucket.acquire(10)

    with pytest.raises(RateLimitTimeoutError) as caught:
        bucket.acquire(4, timeout=1.5)

    assert (2.0, 0.0) == (caught.value.retry_after, bucket.tokens)
    assert isinstance(caught.value, TimeoutError)


def test_more_than_it_holds_can_never_be_had(clock: Any) -> None:
    """With or without a timeout."""
    bucket = TokenBucket(10, 2, clock=clock)

    with pytest.raises(RateLimitTimeoutError, match="never has more than 10"):
        bucket.acquire(11)

    assert not bucket.try_acquire(11)


def test_a_wait_that_is_interrupted_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the middle of it."""
    bucket = TokenBucket(1, 0.001)
    bucket.acquire()

    def interrupted(*_: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(Ticket, "wait", interrupted)

    with pytest.raises(KeyboardInterrupt):
        bucket.acquire()

    assert 0 == bucket.make().snapshot()["waiting"]


def test_a_wait_that_takes_longer_than_foreseen_ends_in_time(clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The level sank while it waited: another reply told so."""
    bucket = TokenBucket(2, 100, clock=clock)
    bucket.acquire(2)

    def drained_meanwhile(ticket: Ticket, timeout: float) -> bool:
        bucket.make().drained("requests", 10.0)
        clock.advance(timeout)
        return ticket.granted

    monkeypatch.setattr(Ticket, "wait", drained_meanwhile)

    with pytest.raises(RateLimitTimeoutError, match="left no room in time") as caught:
        bucket.acquire(2, timeout=0.025)

    assert pytest.approx(0.015) == caught.value.retry_after
    assert 0 == bucket.make().snapshot()["waiting"]


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ((0, 1), "capacity"),
        ((-1, 1), "capacity"),
        ((float("inf"), 1), "capacity"),
        ((True, 1), "capacity"),
        ((1, -1), "refill_rate"),
        ((1, "2"), "refill_rate"),
    ],
)
def test_a_bucket_of_nonsense_names_what_is_wrong(given: tuple[Any, Any], name: str) -> None:
    """In its constructor."""
    with pytest.raises(ConfigurationError, match=f"^{name} must be"):
        TokenBucket(*given)


@pytest.mark.parametrize(
    ("tokens", "timeout", "name"),
    [(0, None, "tokens"), (-1, None, "tokens"), (float("nan"), None, "tokens"), (1, -1, "timeout"), (1, "1", "timeout")],
)
def test_asking_for_nonsense_names_what_is_wrong(tokens: Any, timeout: Any, name: str) -> None:
    """A negative number would fill the bucket."""
    bucket = TokenBucket(10, 1)

    with pytest.raises(ConfigurationError, match=f"^{name} must be"):
        bucket.acquire(tokens, timeout)


def test_trying_for_nonsense_names_what_is_wrong() -> None:
    """As asking does."""
    with pytest.raises(ConfigurationError, match=r"^tokens must be"):
        TokenBucket(10, 1).try_acquire(-1)


def test_all_who_use_a_bucket_share_it(clock: Any) -> None:
    """Two clients with one bucket are under it together."""
    bucket = TokenBucket(5, 1, clock=clock)

    bucket.make().enter()
    bucket.make().enter()

    assert 3.0 == bucket.tokens


def test_a_pickled_bucket_is_another_one_and_full(clock: Any) -> None:
    """Another process cannot share memory."""
    bucket = TokenBucket(5, 1)
    bucket.acquire(5)

    copy = pickle.loads(pickle.dumps(bucket))

    assert ("TokenBucket(5, 1)", 5.0) == (repr(copy), copy.tokens)


def test_a_limit_has_the_dimensions_that_were_set(clock: Any) -> None:
    """None is no limit."""
    limits = [
        RateLimit(requests_per_minute=60),
        RateLimit(tokens_per_minute=1000),
        RateLimit(max_concurrency=4),
        RateLimit(),
    ]

    made = [tuple(limit.make(clock).snapshot().values()) for limit in limits]

    assert [(60.0, None, None, 0), (None, 1000.0, None, 0), (None, None, 4, 0), (None, None, None, 0)] == made


def test_with_a_burst_no_minute_sees_more_than_its_worth(clock: Any) -> None:
    """Wherever it begins, and nearly all of it is used."""
    limiter = RateLimit(requests_per_minute=600, burst=12).make(clock)
    granted: list[float] = []

    while clock.now < 1300.0:
        ticket = limiter.enter()
        clock.advance(ticket.delay() or 0.0)
        assert ticket.wait(0.0)
        granted.append(clock.now)

    worst = max(sum(begin <= moment < begin + 60.0 for moment in granted[place : place + 700]) for place, begin in enumerate(granted))
    assert 595 <= worst <= 600
    assert len(granted) >= 0.97 * 10 * 300


def test_many_callers_use_a_window_that_slides_and_are_served_in_turn(clock: Any) -> None:
    """Sixty-four who always want one more, at a server that counts any minute: none is refused, and hardly anything is left."""
    limiter = RateLimit(requests_per_minute=600, burst=12).make(clock)
    line = deque((number, limiter.enter()) for number in range(64))
    recent: deque[float] = deque()
    served: list[int] = []
    answered: list[bool] = []

    while clock.now < 1300.0:
        number, ticket = line.popleft()
        clock.advance(ticket.delay() or 0.0)
        assert not any(other.granted for _, other in line if not ticket.granted)
        assert ticket.wait(0.0)
        while recent and recent[0] <= clock.now - 60.0:
            recent.popleft()
        answered.append(len(recent) < 600)
        recent.append(clock.now)
        served.append(number)
        line.append((len(served) + 63, limiter.enter()))
        ticket.sent()
        ticket.settle()

    assert [*range(len(served))] == served
    assert all(answered)
    assert len(served) >= 0.95 * 10 * 300


@pytest.mark.parametrize("fields", [{"burst": 5}, {"burst": 60, "requests_per_minute": 60}, {"burst": 0, "requests_per_minute": 60}])
def test_a_burst_is_a_part_of_a_minute(fields: dict[str, int]) -> None:
    """Of one that has a limit."""
    with pytest.raises(ConfigurationError, match=r"^burst must be"):
        RateLimit(**fields)


def test_each_client_has_a_limiter_of_its_own() -> None:
    """A limit is a value; a bucket is a thing."""
    limit = RateLimit(requests_per_minute=60)

    assert limit.make() is not limit.make()


@pytest.mark.parametrize("name", ["requests_per_minute", "tokens_per_minute", "max_concurrency"])
@pytest.mark.parametrize("value", [0, -1, True, "60", float("nan")])
def test_a_limit_out_of_range_names_its_field(name: str, value: Any) -> None:
    """Nothing that is no number is taken for one."""
    with pytest.raises(ConfigurationError, match=f"^{name} must be"):
        RateLimit(**{name: value})


def test_a_limit_does_not_change() -> None:
    """Clients share it."""
    with pytest.raises(FrozenInstanceError):
        RateLimit().max_concurrency = 3  # type: ignore[misc]


def test_a_dict_is_taken_for_a_limit() -> None:
    """As it stands in a configuration file."""
    bucket, limit = TokenBucket(1, 1), RateLimit(max_concurrency=1)

    taken = [rate_limit_of(value) for value in (None, bucket, limit, {"requests_per_minute": 60})]

    assert [None, bucket, limit, RateLimit(requests_per_minute=60)] == taken


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (60, "not int"),
        ("60", "not str"),
        ({"rpm": 60}, "has no rpm; its fields are requests_per_minute"),
        ({"max_concurrency": 0}, "max_concurrency must"),
    ],
)
def test_what_is_no_limit_is_refused(value: Any, message: str) -> None:
    """A number alone does not say of what."""
    with pytest.raises(ConfigurationError, match=message):
        rate_limit_of(value)


def test_the_names_are_public() -> None:
    """They are part of the contract."""
    assert (RateLimit, TokenBucket) == (llmkit.RateLimit, llmkit.TokenBucket)

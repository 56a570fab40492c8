from __future__ import annotations

import heapq
import itertools
import math
import os
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit.resilience.learned import GLANCE, LONGEST_HOLD, UNREAD, Pace, Standing, standings

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z

OPENAI = {
    "x-ratelimit-limit-requests": "60",
    "x-ratelimit-remaining-requests": "59",
    "x-ratelimit-reset-requests": "1s",
    "x-ratelimit-limit-tokens": "150000",
    "x-ratelimit-remaining-tokens": "149984",
    "x-ratelimit-reset-tokens": "6m0s",
}
ANTHROPIC = {
    "anthropic-ratelimit-requests-limit": "50",
    "anthropic-ratelimit-requests-remaining": "49",
    "anthropic-ratelimit-requests-reset": "2027-01-15T08:00:01Z",
    "anthropic-ratelimit-input-tokens-limit": "40000",
    "anthropic-ratelimit-input-tokens-remaining": "0",
    "anthropic-ratelimit-input-tokens-reset": "2027-01-15T08:01:00Z",
    "anthropic-organization-id": "org",
}


def test_openais_headers_are_read() -> None:
    """Durations: each dimension comes back evenly."""
    assert (
        Standing("requests", 60.0, 59.0, 1.0, gradual=True),
        Standing("tokens", 150000.0, 149984.0, 360.0, gradual=True),
    ) == standings(OPENAI, NOW)


def test_anthropics_headers_are_read() -> None:
    """Dates; its tokens count as they are used."""
    assert (
        Standing("requests", 50.0, 49.0, 1.0, gradual=True, estimated=False),
        Standing("input-tokens", 40000.0, 0.0, 60.0, gradual=True, estimated=False),
    ) == standings(ANTHROPIC, NOW)


@pytest.mark.parametrize(
    ("reset", "reset_in", "gradual"),
    [
        ("1s", 1.0, True),
        ("6m0s", 360.0, True),
        ("120ms", 0.12, True),
        ("7.66s", 7.66, True),
        ("2027-01-15T08:00:30Z", 30.0, True),
        ("30.5", 30.5, False),
        ("1800000030", 30.0, False),
        ("1800000030000", 30.0, False),
        ("1799999990", 0.0, False),
        ("soon", None, False),
        ("-5", None, False),
        ("nan", None, False),
        ("", None, False),
        ("9" * 65, None, False),
    ],
)
def test_a_reset_is_read_in_all_its_forms(reset: str, reset_in: float | None, gradual: bool) -> None:
    """A number is the end of a window; a duration or a date the moment at which it is whole again."""
    headers = {"x-ratelimit-limit-requests": "10", "x-ratelimit-remaining-requests": "3", "x-ratelimit-reset-requests": reset}

    assert (Standing("requests", 10.0, 3.0, reset_in, gradual=gradual),) == standings(headers, NOW)


@pytest.mark.parametrize(
    ("headers", "standing"),
    [
        # OpenRouter: no dimension, Unix time in milliseconds
        (
            {"x-ratelimit-limit": "20", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "1800000012000"},
            Standing("requests", 20.0, 0.0, 12.0),
        ),
        # Cerebras: the period in the name, seconds with a fraction
        (
            {
                "x-ratelimit-limit-tokens-minute": "1000",
                "x-ratelimit-remaining-tokens-minute": "10",
                "x-ratelimit-reset-tokens-minute": "12.25",
            },
            Standing("tokens-minute", 1000.0, 10.0, 12.25),
        ),
        # Azure: only what remains
        ({"x-ratelimit-remaining-requests": "7"}, Standing("requests", None, 7.0, None)),
        # a period in the name in place of a reset
        ({"x-ratelimit-limit-req-minute": "60", "x-ratelimit-remaining-req-minute": "7"}, Standing("req-minute", 60.0, 7.0, 60.0)),
        # the drafts of the IETF, of the eighth and of the third version
        ({"ratelimit": '"api";r=999;t=295', "ratelimit-policy": '"api";q=1000;w=300'}, Standing("requests", None, 999.0, 295.0)),
        ({"ratelimit-limit": "100", "ratelimit-remaining": "5", "ratelimit-reset": "50"}, Standing("requests", 100.0, 5.0, 50.0)),
    ],
)
def test_other_spellings_are_read(headers: dict[str, str], standing: Standing) -> None:
    """As the providers' references have them."""
    assert (standing,) == standings(headers, NOW)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "application/json"},
        {"x-ratelimit-remaining-requests": "many"},
        {"x-ratelimit-remaining-requests": "-1"},
        {"x-ratelimit-limit-requests": "60", "x-ratelimit-reset-requests": "1s"},
        {"x-ratelimit-limit-requests": "0", "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "0"},
        {"x-my-ratelimit-remaining": "0"},
        {"anthropic-ratelimit-remaining": "0"},
        {"ratelimit": "what"},
        {"x-ratelimit-remaining-requests": 5},
    ],
)
def test_what_says_nothing_is_nothing(headers: dict[str, Any]) -> None:
    """A limit of nothing, too: some tell it that have none."""
    assert () == standings(headers, NOW)


names = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["x-ratelimit-", "anthropic-ratelimit-", "ratelimit-", "ratelimit", ""]),
        st.sampled_from(["limit", "remaining", "reset", "requests", "tokens", "", "x"]),
        st.sampled_from(["-requests", "-tokens", "-limit", "-remaining", "-reset", "-day", ""]),
    ),
)
values = st.one_of(
    st.text(max_size=80),
    st.integers(-(10**20), 10**20).map(str),
    st.floats().map(str),
    st.sampled_from(["1s", "6m0s", "12ms", "2027-01-15T08:00:01Z", '"a";r=0;t=1', "0", "9" * 64]),
    st.integers(),
)


@given(headers=st.dictionaries(names, values, max_size=8), tokens=st.floats(0, 1e9), later=st.floats(0, 1e6))
@settings(max_examples=300)
def test_no_header_raises(headers: dict[str, Any], tokens: float, later: float) -> None:
    """Whatever it holds; and no hold is longer than the longest."""
    now = 1000.0
    pace = Pace(clock=lambda: now)
    pace.delay(tokens)
    pace.learn(headers, NOW, tokens)

    for standing in standings(headers, NOW):
        assert math.isfinite(standing.remaining)
        assert standing.reset_in is None or 0.0 <= standing.reset_in < math.inf
    for _ in range(3):
        assert 0.0 <= pace.delay(tokens) <= LONGEST_HOLD
        now += later


def told(remaining: int, reset: str, *, limit: int = 60, dimension: str = "requests") -> dict[str, str]:
    return {
        f"x-ratelimit-limit-{dimension}": str(limit),
        f"x-ratelimit-remaining-{dimension}": str(remaining),
        f"x-ratelimit-reset-{dimension}": reset,
    }


def paced(clock: Any, headers: dict[str, str], tokens: float = 0.0) -> Pace:
    pace = Pace(clock=clock)
    assert 0.0 == pace.delay(tokens)
    pace.learn(headers, NOW, tokens)
    return pace


def test_who_knows_nothing_holds_nothing_back(clock: Any) -> None:
    """The first call, and every call to a provider that tells no limits."""
    pace = Pace(clock=clock)

    assert [0.0] * 1000 == [pace.delay(10**6) for _ in range(1000)]


def test_nothing_is_held_back_while_enough_is_left(clock: Any) -> None:
    """As many as remain, at once."""
    pace = paced(clock, told(20, "40s"))

    assert [0.0] * 20 == [pace.delay() for _ in range(20)]

    assert GLANCE == pace.delay()


def test_what_is_used_up_comes_back_evenly(clock: Any) -> None:
    """Sixty in sixty seconds: one each second."""
    pace = paced(clock, told(0, "60s"))

    assert 1.0 == pace.delay()

    clock.advance(0.75)
    assert pytest.approx(0.25) == pace.delay()
    clock.advance(0.25)
    assert 0.0 == pace.delay()
    pace.lost()
    assert pytest.approx(1.0) == pace.delay()


def test_a_window_comes_back_at_once(clock: Any) -> None:
    """At its end, and not before."""
    pace = paced(clock, told(0, "30"))

    assert 30.0 == pace.delay()

    clock.advance(30.0)
    assert [0.0] * 60 == [pace.delay() for _ in range(60)]
    assert GLANCE == pace.delay()


def test_tokens_are_held_back_by_what_they_may_be(clock: Any) -> None:
    """A small call goes through where a large one has to wait."""
    pace = paced(clock, told(1000, "50s", limit=6000, dimension="tokens"))

    assert [10.0, 0.0] == [pace.delay(2000), pace.delay(500)]


def test_a_call_larger_than_the_limit_waits_for_all_of_it(clock: Any) -> None:
    """And then the provider has its say."""
    pace = paced(clock, told(3000, "30s", limit=6000, dimension="tokens"))

    assert 30.0 == pace.delay(10_000)

    clock.advance(30.0)
    assert 0.0 == pace.delay(10_000)


def test_anthropics_tokens_are_not_held_back_by_an_estimate(clock: Any) -> None:
    """It counts what was used: as long as something is left, it is asked."""
    pace = paced(
        clock, {name: value for name, value in ANTHROPIC.items() if "input" in name} | {"anthropic-ratelimit-input-tokens-remaining": "5"}
    )

    assert 0.0 == pace.delay(100_000)


def test_what_lasts_too_long_is_the_providers_to_say(clock: Any) -> None:
    """A day's limit that is used up, or a header that we misread: its refusal is better than our silence."""
    pace = paced(clock, told(0, "86400", dimension="requests-day"))

    assert 0.0 == pace.delay()


def test_what_is_under_way_counts(clock: Any) -> None:
    """The reply that told the limit did not know of it. When another reply comes, it is known better."""
    pace = Pace(clock=clock)
    for _ in range(3):
        assert 0.0 == pace.delay()
    pace.learn(told(2, "58s"), NOW)

    assert GLANCE == pace.delay()

    pace.learn(told(1, "59s"), NOW)
    assert GLANCE == pace.delay()
    pace.learn(told(1, "59s"), NOW)
    assert 0.0 == pace.delay()


def test_a_reply_without_headers_was_counted_all_the_same(clock: Any) -> None:
    """As was a request that got no reply, perhaps."""
    pace = paced(clock, told(2, "58s"))
    assert [0.0, 0.0] == [pace.delay(), pace.delay()]

    pace.learn({"content-type": "text/plain"}, NOW)
    pace.lost()

    assert 1.0 == pace.delay()


def test_what_was_not_sent_after_all_costs_nothing(clock: Any) -> None:
    """It is not under way any more, and the provider has not counted it."""
    pace = paced(clock, told(1, "59s"))
    assert [0.0, GLANCE] == [pace.delay(), pace.delay()]

    pace.unsent()

    assert 0.0 == pace.delay()


def test_a_limit_that_is_not_told_again_is_forgotten(clock: Any) -> None:
    """After its reset and as long again: another key, another plan, another gateway."""
    pace = paced(clock, told(0, "10"))
    clock.advance(10.0)
    assert [0.0] * 60 == [pace.delay() for _ in range(60)]
    assert GLANCE == pace.delay()

    clock.advance(10.0)

    assert [0.0] * 100 == [pace.delay() for _ in range(100)]


def test_without_a_reset_nobody_knows_when_it_comes_back(clock: Any) -> None:
    """So nothing is held back."""
    pace = paced(clock, {"x-ratelimit-remaining-requests": "0"})

    assert 0.0 == pace.delay()


def test_the_scarcest_dimension_counts(clock: Any) -> None:
    """Of those that are told."""
    pace = paced(clock, told(0, "60s") | told(0, "60s", limit=6000, dimension="tokens"))

    assert [1.0, 5.0] == [pace.delay(10), pace.delay(500)]


def test_more_may_come_in_than_went_out(clock: Any) -> None:
    """A caller that says it twice makes no debt."""
    pace = paced(clock, told(1, "59s"))
    pace.lost()
    pace.lost()
    pace.learn(told(1, "59s"), NOW)

    assert 0.0 == pace.delay()


def test_while_there_is_plenty_replies_are_not_all_read(clock: Any) -> None:
    """What a reply may have used is counted in its place, until a few milliseconds have passed."""
    pace = paced(clock, told(50, "60s"))

    pace.delay()
    pace.learn(told(9, "60s"), NOW)

    assert "Pace(requests=49)" == repr(pace)
    clock.now += UNREAD
    pace.delay()
    pace.learn(told(9, "60s"), NOW)
    assert "Pace(requests=9)" == repr(pace)


def test_what_becomes_scarce_is_read_at_once(clock: Any) -> None:
    """Below half of a limit, by our own account or by the provider's, each reply is read."""
    pace = paced(clock, told(31, "60s"))
    pace.delay()
    pace.learn(told(30, "60s"), NOW)
    pace.delay()
    pace.learn(told(30, "60s"), NOW)

    pace.delay()
    pace.learn(told(5, "60s"), NOW)

    assert "Pace(requests=5)" == repr(pace)


def test_a_refusal_is_always_read(clock: Any) -> None:
    """It says that there is nothing left, whatever the reply before it said."""
    pace = paced(clock, told(60, "60s"))

    pace.delay()
    pace.learn(told(0, "60s"), NOW, refused=True)

    assert 1.0 == pace.delay()


def test_its_repr_shows_what_is_left(clock: Any) -> None:
    """For whoever wonders why a call waits."""
    assert "Pace(requests=7)" == repr(paced(clock, told(7, "53s")))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_renewed_pace_has_nothing_under_way(clock: Any) -> None:
    """In a forked child those who sent are not there, nor is he who held the lock."""
    pace = paced(clock, told(2, "58s"))
    assert [0.0, 0.0] == [pace.delay(), pace.delay()]
    pace._lock.acquire()

    pace.renew()

    assert [0.0, 0.0, GLANCE] == [pace.delay(), pace.delay(), pace.delay()]


def test_threads_do_not_take_the_same_one() -> None:
    """Asking and counting are one step."""
    pace = paced(lambda: 1000.0, told(40, "20s"))
    passed: list[int] = []

    def work() -> None:
        for _ in range(10):
            if pace.delay() == 0.0:
                passed.append(1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 40 == len(passed)


class Server:
    """A provider that refuses what is over its limit, and tells where the account stands."""

    def __init__(self, limit: int, period: float, *, window: bool) -> None:
        self.limit, self.period, self.window = limit, period, window
        self.level = float(limit)
        self.at = 0.0
        self.refused = self.accepted = 0

    def take(self, now: float) -> dict[str, str]:
        if self.window:
            if now // self.period > self.at // self.period:
                self.level = float(self.limit)
        else:
            self.level = min(float(self.limit), self.level + (now - self.at) * self.limit / self.period)
        self.at = now
        if self.level >= 1 - 1e-6:
            self.level -= 1
            self.accepted += 1
        else:
            self.refused += 1
        if self.window:
            return told(int(self.level), f"{self.period - now % self.period:.6f}", limit=self.limit)
        whole_in = (self.limit - self.level) * self.period / self.limit
        return told(int(self.level + 1e-6), f"{math.ceil(whole_in * 1e3)}ms", limit=self.limit)


@given(
    limit=st.integers(5, 60),
    period=st.sampled_from([1.0, 10.0, 60.0]),
    window=st.booleans(),
    latency=st.floats(0.001, 0.5),
    workers=st.integers(1, 40),
)
@settings(max_examples=40)
def test_it_stays_under_a_limit_and_uses_it(limit: int, period: float, window: bool, latency: float, workers: int) -> None:
    """Workers that know nothing at first and send as fast as they may: hardly ever refused, and hardly slower than allowed."""
    now = 0.0
    pace = Pace(clock=lambda: now)
    server = Server(limit, period, window=window)
    order = itertools.count()
    events: list[tuple[float, int, Any]] = [(0.0, next(order), None) for _ in range(min(workers, limit))]
    until = 5 * period

    while events and events[0][0] < until:
        now, _, reply = heapq.heappop(events)
        if reply is not None:
            pace.learn(reply, NOW + now)
        wait = pace.delay()
        if wait:
            heapq.heappush(events, (now + wait + 1e-6, next(order), None))
        else:
            heapq.heappush(events, (now + latency, next(order), server.take(now)))

    possible = min(limit * 5 + (0 if window else limit), min(workers, limit) * until / latency)
    assert server.refused <= 0.01 * server.accepted + 1
    assert server.accepted >= 0.9 * possible - min(workers, limit) * (1 + 2 * GLANCE / latency)

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest
from attrs.exceptions import FrozenInstanceError
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from llmkit.errors import CircuitOpenError, ConfigurationError
from llmkit.resilience.breaker import CircuitBreaker, CircuitBreakerConfig, CircuitState, Permit


def never() -> float:
    return 0.0


def make(clock: Any, **config: Any) -> CircuitBreaker:
    return CircuitBreaker(CircuitBreakerConfig(**config), name="acme", clock=clock, chance=never)


def opened(clock: Any, **config: Any) -> CircuitBreaker:
    breaker = make(clock, **config)
    for _ in range(breaker.config.failure_threshold):
        breaker.acquire().failure()
    return breaker


def test_the_defaults_are_those_of_the_contract() -> None:
    """Users rely on them without writing them."""
    config = CircuitBreakerConfig()

    assert (5, 60.0, 2, 1, None) == (
        config.failure_threshold,
        config.reset_time,
        config.success_threshold,
        config.half_open_max_calls,
        config.failure_rate,
    )


def test_states_are_words() -> None:
    """They compare with, and print as, their words."""
    assert ["closed", "open", "half_open"] == [str(state) for state in CircuitState]
    assert str.__eq__(CircuitState.HALF_OPEN, "half_open")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((name, value) for name in ("failure_threshold", "success_threshold", "min_calls") for value in (0, True, 1.5)),
        *(("half_open_max_calls", value) for value in (0, True, 1.5)),
        *((name, value) for name in ("reset_time", "window", "lease_timeout", "max_reset_time") for value in (0, -1, float("nan"), "1")),
        *(("failure_rate", value) for value in (0, 1.1, True, "half")),
    ],
)
def test_a_value_out_of_range_names_its_field(field: str, value: object) -> None:
    """Nothing that is no number is taken for one."""
    with pytest.raises(ConfigurationError, match=f"^{field} must be"):
        CircuitBreakerConfig(**{field: value})  # type: ignore[arg-type]


def test_the_configuration_does_not_change() -> None:
    """Many breakers share it."""
    with pytest.raises(FrozenInstanceError):
        CircuitBreakerConfig().reset_time = 1.0  # type: ignore[misc]


def test_failures_in_a_row_open_it(clock: Any) -> None:
    """The fifth one by default; then no call goes through, and the error says for how long."""
    breaker = make(clock)
    for _ in range(4):
        breaker.acquire().failure()
    assert "closed" == breaker.state.value

    breaker.acquire().failure()

    assert (CircuitState.OPEN, False) == (breaker.state, breaker.allows())
    clock.advance(20)
    with pytest.raises(CircuitOpenError, match="acme") as caught:
        breaker.acquire()
    assert (40.0, 40.0) == (caught.value.retry_after, breaker.retry_after)


def test_a_success_ends_the_row(clock: Any) -> None:
    """Only failures in a row count by default."""
    breaker = make(clock)

    for _ in range(10):
        for _ in range(4):
            breaker.acquire().failure()
        breaker.acquire().success()

    assert "closed" == breaker.state.value


def test_a_neutral_result_neither_counts_nor_resets(clock: Any) -> None:
    """A refused request says nothing about the endpoint's health."""
    breaker = make(clock)
    for _ in range(4):
        breaker.acquire().failure()
        breaker.acquire().neutral()

    breaker.acquire().failure()

    assert "open" == breaker.state.value


def test_only_the_first_result_of_a_permit_counts(clock: Any) -> None:
    """Results may be told in a finally, after they were told where they were known."""
    breaker = make(clock)
    for _ in range(4):
        permit = breaker.acquire()
        permit.failure()
        permit.failure()
        permit.success()

    assert 4 == breaker.snapshot()["failures_in_a_row"]


def test_one_probe_at_a_time_after_the_open_time(clock: Any) -> None:
    """The others are told to wait until it must be back."""
    breaker = opened(clock)
    clock.advance(60)
    assert (CircuitState.HALF_OPEN, True) == (breaker.state, breaker.allows())

    breaker.acquire()
    clock.advance(30)

    assert not breaker.allows()
    with pytest.raises(CircuitOpenError) as caught:
        breaker.acquire()
    assert 60.0 == caught.value.retry_after


def test_two_successes_close_it(clock: Any) -> None:
    """One could be luck."""
    breaker = opened(clock)
    clock.advance(60)

    breaker.acquire().success()
    assert "half_open" == breaker.state.value
    breaker.acquire().success()

    assert "closed" == breaker.state.value


def test_a_failed_probe_opens_it_for_twice_as_long(clock: Any) -> None:
    """And again, up to a bound; once it was closed it starts anew."""
    breaker = opened(clock, max_reset_time=200)
    waits = []

    for _ in range(4):
        waits.append(breaker.retry_after)
        clock.advance(breaker.retry_after)
        breaker.acquire().failure()
    clock.advance(200)
    breaker.acquire().success()
    breaker.acquire().success()
    for _ in range(5):
        breaker.acquire().failure()
    waits.append(breaker.retry_after)

    assert [60.0, 120.0, 200.0, 200.0, 60.0] == waits


def test_a_success_of_an_earlier_half_open_period_is_not_carried_over(clock: Any) -> None:
    """Closing needs all its successes in one period."""
    breaker = opened(clock)
    clock.advance(60)
    breaker.acquire().success()
    breaker.acquire().failure()
    clock.advance(120)

    breaker.acquire().success()

    assert "half_open" == breaker.state.value


def test_open_times_spread_by_a_tenth() -> None:
    """They are never shorter than promised, and endless openings overflow nothing."""
    config = CircuitBreakerConfig()

    assert (60.0, 66.0, 600.0) == (config.open_time(1, 0.0), config.open_time(1, 1.0), config.open_time(10**6, 0.0))
    assert 1000.0 == CircuitBreakerConfig(reset_time=1000).open_time(1, 0.0)


def test_a_neutral_probe_frees_its_place(clock: Any) -> None:
    """And decides nothing."""
    breaker = opened(clock)
    clock.advance(60)

    breaker.acquire().neutral()

    assert (CircuitState.HALF_OPEN, True) == (breaker.state, breaker.allows())


def test_an_overdue_probe_loses_its_place_and_its_say(clock: Any) -> None:
    """A probe that never comes back must not keep the breaker open for ever, nor speak late."""
    breaker = opened(clock)
    clock.advance(60)
    lost = breaker.acquire()
    clock.advance(90)

    probe = breaker.acquire()
    lost.failure()
    probe.success()

    assert (CircuitState.HALF_OPEN, 1) == (breaker.state, breaker.snapshot()["successes"])


def test_results_of_older_periods_are_dropped(clock: Any) -> None:
    """Slow calls from before the outage say nothing about now."""
    breaker = make(clock)
    slow = [breaker.acquire() for _ in range(3)]
    for _ in range(5):
        breaker.acquire().failure()

    slow[0].success()
    assert "open" == breaker.state.value
    clock.advance(60)
    probe = breaker.acquire()
    slow[1].failure()
    slow[2].success()

    assert (CircuitState.HALF_OPEN, 0) == (breaker.state, breaker.snapshot()["successes"])
    probe.success()
    assert 1 == breaker.snapshot()["successes"]


def test_late_failures_do_not_lengthen_the_open_time(clock: Any) -> None:
    """Calls that were under way when it opened fail one after the other; that is one outage."""
    breaker = make(clock)
    slow = [breaker.acquire() for _ in range(10)]

    for permit in slow:
        permit.failure()
        clock.advance(1)

    assert (54.0, 1) == (breaker.retry_after, breaker.snapshot()["openings"])


def test_a_share_of_failures_opens_it(clock: Any) -> None:
    """An outage of every second call never gives five in a row."""
    breaker = make(clock, failure_rate=0.5, min_calls=20)
    for _ in range(9):
        breaker.acquire().success()
        breaker.acquire().failure()
    breaker.acquire().success()
    assert "closed" == breaker.state.value

    breaker.acquire().failure()

    assert "open" == breaker.state.value


def test_the_share_is_that_of_the_window(clock: Any) -> None:
    """Failures of long ago are forgotten, and few calls prove nothing."""
    breaker = make(clock, failure_rate=0.5, min_calls=4, failure_threshold=100)
    for _ in range(3):
        breaker.acquire().failure()
    clock.advance(61)
    breaker.acquire().failure()

    assert (CircuitState.CLOSED, 1, 1) == (breaker.state, *(breaker.snapshot()[name] for name in ("window_calls", "window_failures")))


def test_the_window_forgets_in_slices_and_stays_small(clock: Any) -> None:
    """Its memory does not grow with the calls."""
    breaker = make(clock, failure_rate=1.0)

    for _ in range(1000):
        breaker.acquire().success()
        clock.advance(1)

    assert 54 <= breaker.snapshot()["window_calls"] <= 60


def test_observers_hear_of_every_change(clock: Any) -> None:
    """Outside the lock: they may ask the breaker."""
    heard: list[tuple[str, str, str]] = []

    def observe(breaker: CircuitBreaker, old: CircuitState, new: CircuitState) -> None:
        heard.append((old.value, new.value, breaker.snapshot()["state"]))

    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=1), clock=clock, chance=never, on_change=[observe])
    breaker.acquire().failure()
    clock.advance(60)
    breaker.acquire().success()
    breaker.acquire().success()

    assert [("closed", "open", "open"), ("open", "half_open", "half_open"), ("half_open", "closed", "closed")] == heard


def test_a_broken_observer_is_logged_and_harms_nobody(clock: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The call that caused the change is not to blame."""
    heard: list[CircuitState] = []

    def broken(*_: object) -> None:
        raise RuntimeError

    def sound(_: CircuitBreaker, __: CircuitState, new: CircuitState) -> None:
        heard.append(new)

    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=1), clock=clock, on_change=[broken, sound])
    with caplog.at_level(logging.ERROR, logger="llmkit.breaker"):
        breaker.acquire().failure()

    assert ([CircuitState.OPEN], 1) == (heard, len(caplog.records))


def test_a_permit_tells_the_result_of_its_block(clock: Any) -> None:
    """An exception is a failure; a cancelled task is not the endpoint's doing; what was told inside stands."""
    breaker = make(clock)

    with pytest.raises(ZeroDivisionError), breaker.acquire():
        raise ZeroDivisionError
    with pytest.raises(asyncio.CancelledError), breaker.acquire():
        raise asyncio.CancelledError
    told = breaker.acquire()
    told.neutral()
    with pytest.raises(ZeroDivisionError), told:
        raise ZeroDivisionError
    assert 1 == breaker.snapshot()["failures_in_a_row"]
    with breaker.acquire():
        pass

    assert 0 == breaker.snapshot()["failures_in_a_row"]


def test_a_renewed_breaker_has_a_free_lock_and_no_probes(clock: Any) -> None:
    """In a forked child those who hold them are not there."""
    breaker = opened(clock)
    clock.advance(60)
    breaker.acquire()
    breaker._lock.acquire()

    breaker.renew()

    breaker.acquire().success()
    assert 1 == breaker.snapshot()["successes"]


def test_its_repr_shows_its_name_and_state(clock: Any) -> None:
    """For whoever debugs an outage."""
    assert "CircuitBreaker('acme', open)" == repr(opened(clock))


def test_threads_get_no_more_probes_than_allowed(clock: Any) -> None:
    """Those who come at the same moment race for the places."""
    breaker = opened(clock, half_open_max_calls=3)
    clock.advance(60)
    start = threading.Barrier(16)
    probes: list[Permit] = []

    def call() -> None:
        start.wait()
        try:
            probes.append(breaker.acquire())
        except CircuitOpenError:
            return

    threads = [threading.Thread(target=call) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 3 == len(probes)


class BreakerMachine(RuleBasedStateMachine):
    """The breaker beside a naive model of its rules."""

    permits: Bundle[Any] = Bundle("permits")

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.config = CircuitBreakerConfig(
            failure_threshold=3, reset_time=10, success_threshold=2, half_open_max_calls=2, lease_timeout=15, max_reset_time=35
        )
        self.breaker = CircuitBreaker(self.config, clock=lambda: self.now, chance=never)
        self.state = "closed"
        self.period = 0
        self.failures = self.successes = self.openings = 0
        self.until = 0.0
        self.probes: dict[int, float] = {}
        self.settled: set[int] = set()
        self.count = 0

    def go(self, state: str) -> None:
        self.state = state
        self.period += 1
        self.failures = self.successes = 0
        self.probes = {}
        if state == "open":
            self.openings += 1
            self.until = self.now + min(35.0, 10.0 * 2 ** (self.openings - 1))
        if state == "closed":
            self.openings = 0

    @rule(seconds=st.sampled_from([0.5, 3, 5, 10, 15, 40]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(target=permits)
    def acquire(self) -> Any:
        expected: float | None = None
        if self.state == "open" and self.now < self.until:
            expected = self.until - self.now
        elif self.state == "open":
            self.go("half_open")
        if self.state == "half_open":
            if len(self.probes) >= 2:
                self.probes = {number: until for number, until in self.probes.items() if until > self.now}
            if len(self.probes) >= 2:
                expected = min(self.probes.values()) - self.now
        if expected is not None:
            with pytest.raises(CircuitOpenError) as caught:
                self.breaker.acquire()
            assert expected == caught.value.retry_after
            return multiple()
        permit = self.breaker.acquire()
        self.count += 1
        if self.state == "half_open":
            self.probes[self.count] = self.now + 15
        return permit, self.count, self.period

    @rule(held=permits, result=st.sampled_from(["success", "failure", "neutral"]))
    def settle(self, held: tuple[Permit, int, int], result: str) -> None:
        permit, number, period = held
        getattr(permit, result)()
        if number in self.settled:
            return
        self.settled.add(number)
        if period != self.period:
            return
        if self.state == "half_open":
            if self.probes.pop(number, None) is None or result == "neutral":
                return
            if result == "failure":
                self.go("open")
                return
            self.successes += 1
            if self.successes == 2:
                self.go("closed")
        elif result == "success":
            self.failures = 0
        elif result == "failure":
            self.failures += 1
            if self.failures == 3:
                self.go("open")

    @invariant()
    def agrees(self) -> None:
        shown = "half_open" if self.state == "open" and self.now >= self.until else self.state
        assert shown == self.breaker.state.value
        assert self.state != "open" or max(0.0, self.until - self.now) == self.breaker.retry_after
        assert self.failures == self.breaker.snapshot()["failures_in_a_row"]
        assert self.successes == self.breaker.snapshot()["successes"]
        if self.state == "half_open" and len(self.probes) >= 2:
            # Asking takes their places from probes that are overdue, exactly as the next call would.
            self.probes = {number: until for number, until in self.probes.items() if until > self.now}
        assert (shown != "open" and len(self.probes) < 2) == self.breaker.allows()


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=60, stateful_step_count=40)

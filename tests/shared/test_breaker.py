from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from llmkit import CircuitBreakerConfig, CircuitOpenError, CircuitState
from llmkit.shared.breaker import SharedBreaker
from llmkit.shared.scripts import LOOK

Until = Callable[..., None]

QUICK = CircuitBreakerConfig(failure_threshold=3, reset_time=0.05)
SLOW = CircuitBreakerConfig(failure_threshold=3, reset_time=60)


class Breaker(SharedBreaker):
    """One that looks by itself what Redis says, as an endpoint's board has it do."""

    def __init__(self, store: Any, config: CircuitBreakerConfig, **facts: Any) -> None:
        super().__init__(config, store=store, key=store.name("openai@x", "breaker", "m"), name="m", **facts)

    def look(self) -> Breaker:
        self.take_over(self._store.decide(LOOK, [self.keys[0], "{openai@x}", "{openai@x}", "{openai@x}"], [""])[0])
        return self

    def call(self, succeeded: bool | None) -> None:
        permit = self.look().acquire()
        {True: permit.success, False: permit.failure, None: permit.neutral}[succeeded]()


@pytest.fixture
def pair(stores: Any) -> Callable[..., tuple[Breaker, Breaker]]:
    return lambda config=SLOW, **facts: (Breaker(stores(), config, **facts), Breaker(stores(), config, **facts))


def test_failures_in_a_row_count_over_all_processes(pair: Any, stores: Any) -> None:
    """Some here, some there."""
    ours, theirs = pair()

    for breaker in (ours, theirs, ours):
        breaker.call(False)
        stores.flush()

    for breaker in (ours, theirs):
        with pytest.raises(CircuitOpenError) as caught:
            breaker.look().acquire()
        assert 59 < (caught.value.retry_after or 0) <= 66


def test_a_success_anywhere_ends_the_row(pair: Any, stores: Any) -> None:
    """The endpoint works."""
    ours, theirs = pair()
    ours.call(False)
    ours.call(False)
    stores.flush()

    theirs.call(True)
    stores.flush()
    ours.call(False)

    assert CircuitState.CLOSED is ours.look().state


def test_what_says_nothing_counts_nothing(pair: Any, stores: Any) -> None:
    """Neither for nor against."""
    ours, theirs = pair()
    for outcome in (False, False, None):
        ours.call(outcome)
    stores.flush()

    theirs.call(False)

    assert CircuitState.OPEN is theirs.look().state


def test_a_healthy_endpoint_costs_no_note(pair: Any) -> None:
    """Its successes change nothing."""
    ours, _ = pair()

    for _ in range(10):
        ours.call(True)

    assert 0 == len(ours._store._notes)
    assert 0 == ours._store.decide(LOOK, [ours.keys[0], *["{openai@x}"] * 3], [""])[0].__len__()


def test_one_probe_at_a_time_over_all_processes(pair: Any, stores: Any, until: Until) -> None:
    """The others are told to wait; a neutral end frees the place."""
    ours, theirs = pair(QUICK)
    for _ in range(3):
        ours.call(False)
    stores.flush()
    until(lambda: ours.look().allows())

    probe = ours.look().acquire()
    with pytest.raises(CircuitOpenError):
        theirs.look().acquire()
    probe.neutral()
    stores.flush()

    assert theirs.look().acquire()


def test_successes_of_all_processes_close_it(pair: Any, stores: Any, until: Until) -> None:
    """For all."""
    ours, theirs = pair(QUICK)
    for _ in range(3):
        ours.call(False)
    stores.flush()
    until(lambda: ours.look().allows())

    for breaker in (ours, theirs):
        breaker.call(True)
        stores.flush()

    assert [CircuitState.CLOSED] * 2 == [ours.look().state, theirs.look().state]


def test_a_probe_that_fails_opens_it_for_longer(pair: Any, stores: Any, until: Until) -> None:
    """Twice as long, for all."""
    ours, theirs = pair(QUICK)
    for _ in range(3):
        ours.call(False)
    stores.flush()
    until(lambda: theirs.look().allows())

    theirs.call(False)
    stores.flush()

    assert 0.06 < ours.look().retry_after <= 0.111


def test_a_result_of_an_older_period_is_dropped(pair: Any, stores: Any) -> None:
    """A call that was let through before it opened must not close it, nor count when it is closed again."""
    ours, theirs = pair()
    late = theirs.look().acquire()
    for _ in range(3):
        ours.call(False)
    stores.flush()

    late.success()
    stores.flush()

    assert CircuitState.OPEN is theirs.look().state


def test_the_place_of_a_probe_that_died_is_given_away(stores: Any, until: Until) -> None:
    """After its lease."""
    config = CircuitBreakerConfig(failure_threshold=1, reset_time=0.02, lease_timeout=0.05)
    died, lives = Breaker(stores(), config), Breaker(stores(), config)
    died.call(False)
    stores.flush()
    until(lambda: died.look().allows())
    died.acquire()

    with pytest.raises(CircuitOpenError) as caught:
        lives.look().acquire()
    time.sleep(caught.value.retry_after or 0)

    assert lives.look().acquire()


def test_a_share_of_failures_is_counted_over_all_processes(pair: Any, stores: Any) -> None:
    """None of which has seen enough calls by itself."""
    config = CircuitBreakerConfig(failure_threshold=100, failure_rate=0.5, min_calls=8, window=10)
    ours, theirs = pair(config)

    for breaker in (ours, theirs) * 2:
        breaker.call(True)
        breaker.call(False)
    stores.flush()

    assert [CircuitState.OPEN] * 2 == [ours.look().state, theirs.look().state]


def test_the_window_forgets(pair: Any, stores: Any) -> None:
    """Slice by slice."""
    config = CircuitBreakerConfig(failure_threshold=100, failure_rate=0.5, min_calls=4, window=0.1)
    ours, theirs = pair(config)
    for _ in range(3):
        ours.call(False)
    stores.flush()

    time.sleep(0.12)
    theirs.call(False)
    stores.flush()

    assert CircuitState.CLOSED is theirs.look().state


def test_observers_are_told_of_what_others_found_out(stores: Any) -> None:
    """Once for each change."""
    told: list[tuple[str, str]] = []
    ours = Breaker(stores(), SLOW)
    theirs = Breaker(stores(), SLOW, on_change=[lambda breaker, old, new: told.append((old.value, new.value))])
    for _ in range(3):
        ours.call(False)
    stores.flush()

    theirs.look()
    theirs.look()

    assert [("closed", "open")] == told


def test_where_redis_is_lost_its_own_breaker_goes_on(pair: Any, stores: Any, redis_server: Any) -> None:
    """From what it knew: a failure seen by another process counts still."""
    ours, theirs = pair()
    theirs.call(False)
    stores.flush()
    ours.look()
    redis_server.stop()

    for _ in range(2):
        ours.acquire().failure()

    assert CircuitState.OPEN is ours.state


def test_a_breaker_on_its_own_probes_by_itself(pair: Any, stores: Any, redis_server: Any, until: Until) -> None:
    """And goes on with the others when Redis is back."""
    ours, theirs = pair(QUICK)
    for _ in range(3):
        ours.call(False)
    redis_server.stop()
    until(ours.allows)
    ours.acquire().success()
    ours.acquire().success()
    assert CircuitState.CLOSED is ours.state

    redis_server.start()
    stores.find()
    for _ in range(3):
        ours.call(False)
    stores.flush()

    assert CircuitState.OPEN is theirs.look().state


def test_a_redis_that_forgets_changes_nothing_that_is_known(pair: Any, redis_server: Any) -> None:
    """An endpoint that was found to be down is left alone by those who know it."""
    ours, _ = pair()
    for _ in range(3):
        ours.call(False)
    ours.look()

    redis_server.ask("FLUSHALL")

    assert CircuitState.OPEN is ours.look().state
    with pytest.raises(CircuitOpenError):
        ours.acquire()


def test_threads_of_many_processes_leave_no_probe_behind(stores: Any, until: Until) -> None:
    """However the probes end."""
    config = CircuitBreakerConfig(failure_threshold=1, reset_time=0.01, half_open_max_calls=2, success_threshold=1000)
    breakers = [Breaker(stores(), config) for _ in range(3)]
    breakers[0].call(False)
    stores.flush()
    until(lambda: breakers[0].look().allows())
    under_way, most, lock = [0], [0], threading.Lock()

    def work(breaker: Breaker, number: int) -> None:
        for turn in range(15):
            try:
                permit = breaker.look().acquire()
            except CircuitOpenError:
                continue
            with lock:
                under_way[0] += 1
                most[0] = max(most[0], under_way[0])
            with lock:
                under_way[0] -= 1
            permit.success() if (turn + number) % 2 else permit.neutral()

    threads = [threading.Thread(target=work, args=(breaker, number)) for number, breaker in enumerate(breakers * 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    stores.flush()

    assert most[0] <= 2
    assert 0 == stores.server.ask("ZCARD", breakers[0].keys[1])

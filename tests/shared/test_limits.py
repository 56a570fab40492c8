from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from llmkit import RateLimitTimeoutError, SharedStateError
from llmkit.resilience.buckets import Bucket
from llmkit.shared import limits as module
from llmkit.shared.limits import SharedLimiter, SharedTicket

Until = Callable[..., None]


def make(
    store: Any, *, requests: tuple[float, float] | None = None, tokens: tuple[float, float] | None = None, at_once: int | None = None
) -> SharedLimiter:
    return SharedLimiter(
        store,
        "limit openai@https://api.openai.com",
        requests=Bucket(*requests) if requests else None,
        tokens=Bucket(*tokens) if tokens else None,
        concurrency=at_once,
    )


def wait_for(ticket: SharedTicket, timeout: float = 5.0) -> bool:
    """Wait as a call does: asleep until it is time to ask again."""
    until = time.monotonic() + timeout
    while not ticket.claim():
        woken = threading.Event()
        ticket.on_grant(woken.set)
        delay = ticket.delay()
        left = until - time.monotonic()
        if left <= 0:
            return False
        if delay != 0.0:
            woken.wait(left if delay is None else min(delay, left))
    return True


def granted(limiter: SharedLimiter, **needs: Any) -> int:
    """Count how many are granted at once."""
    count = 0
    while True:
        ticket = limiter.enter(**needs)
        if not ticket.granted:
            ticket.cancel()
            return count
        count += 1


def test_what_one_takes_is_gone_for_the_other(stores: Any) -> None:
    """One bucket for all."""
    ours, theirs = make(stores(), requests=(5.0, 0.01)), make(stores(), requests=(5.0, 0.01))

    assert [3, 2] == [sum(ours.enter().granted for _ in range(3)), granted(theirs)]


def test_a_promise_comes_off_what_others_can_have(stores: Any) -> None:
    """Who waits first has his before those who come later, in whatever process."""
    ours, theirs = make(stores(), requests=(1.0, 0.1)), make(stores(), requests=(1.0, 0.1))
    ours.enter()

    first, second = ours.enter(), theirs.enter()

    delays = [ticket.delay() or 0.0 for ticket in (first, second)]
    assert 5 < delays[0] <= 10
    assert 9.9 < delays[1] - delays[0] < 10.1


def test_a_wait_that_is_too_long_is_refused_at_once(stores: Any) -> None:
    """Nothing is taken, and it says when there is room."""
    ours, theirs = make(stores(), requests=(1.0, 0.1)), make(stores(), requests=(1.0, 0.1))
    ours.enter()

    for _ in range(3):
        with pytest.raises(RateLimitTimeoutError) as caught:
            theirs.enter(deadline_in=1.0)
        assert 9 < (caught.value.retry_after or 0) <= 10

    assert 0 == theirs.snapshot()["waiting"]


def test_what_can_never_be_had_is_refused(stores: Any) -> None:
    """Be it more than the limit ever has, or of what never comes back."""
    limiter = make(stores(), requests=(1.0, 0.0), tokens=(100.0, 1.0))
    with pytest.raises(RateLimitTimeoutError, match="never has more than 100"):
        limiter.enter(tokens=101)
    limiter.enter()

    with pytest.raises(RateLimitTimeoutError, match="never fills again"):
        limiter.enter()

    assert 0 == limiter.snapshot()["waiting"]


@pytest.mark.parametrize(("sent", "used", "left"), [(False, None, 100), (True, None, 40), (True, 10, 90), (True, 150, -50)])
def test_what_was_not_used_comes_back_for_all(stores: Any, sent: bool, used: float | None, left: float) -> None:
    """And what was used beyond what had been foreseen is owed."""
    ours, theirs = make(stores(), tokens=(100.0, 0.001)), make(stores(), tokens=(100.0, 0.001))
    ticket = ours.enter(tokens=60)

    if sent:
        ticket.sent()
        ticket.settle(used)
    ticket.cancel()
    stores.flush()
    with pytest.raises(RateLimitTimeoutError):
        theirs.enter(tokens=95.0 if left < 100 else 100.1, deadline_in=1.0)

    assert left == pytest.approx(theirs.snapshot()["tokens"], abs=0.1) if left < 100 else theirs.enter(tokens=100).granted


def test_a_promise_that_is_given_up_can_be_had_by_the_next(stores: Any) -> None:
    """In the same process and in others."""
    ours, theirs = make(stores(), requests=(1.0, 10.0)), make(stores(), requests=(1.0, 10.0))
    ours.enter()
    first, second = ours.enter(), ours.enter()

    first.cancel()
    stores.flush()

    assert wait_for(second, 0.3)
    assert 0 == ours.snapshot()["waiting"]
    assert wait_for(theirs.enter(), 0.3)


def test_a_process_keeps_its_order(stores: Any) -> None:
    """Threads are served in the order in which they came."""
    limiter = make(stores(), requests=(1.0, 200.0))
    limiter.enter()
    tickets = [limiter.enter() for _ in range(20)]
    served: list[int] = []

    def wait(number: int) -> None:
        wait_for(tickets[number])
        served.append(number)

    threads = [threading.Thread(target=wait, args=(number,)) for number in reversed(range(20))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)

    assert sorted(served) == served
    assert 20 == len(served)


def test_places_are_common(stores: Any) -> None:
    """No more at once than allowed, over all processes; one given back is had by the next that asks."""
    ours, theirs = make(stores(), at_once=3), make(stores(), at_once=3)
    held = [ours.enter(), ours.enter(), theirs.enter()]
    waiting = theirs.enter()
    assert [True, True, True] == [ticket.granted for ticket in held]
    assert not waiting.granted

    held[0].settle()
    stores.flush()

    assert wait_for(waiting, 1.0)


def test_a_place_goes_to_the_process_that_asked_first(stores: Any) -> None:
    """Not to the one that gave it back and happens to be there."""
    ours, theirs = make(stores(), at_once=1), make(stores(), at_once=1)
    held = ours.enter()
    waiting = theirs.enter()

    held.settle()
    again = ours.enter()

    assert not again.granted
    assert wait_for(waiting, 1.0)
    waiting.settle()
    assert wait_for(again, 1.0)


def test_who_gives_up_waiting_for_a_place_is_not_waited_for(stores: Any) -> None:
    """Its place in the line is gone."""
    ours, theirs = make(stores(), at_once=1), make(stores(), at_once=1)
    held, gone = ours.enter(), theirs.enter()

    gone.cancel()
    held.settle()
    stores.flush()

    assert ours.enter().granted


def test_the_place_of_a_process_that_died_is_free_after_a_while(stores: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the living are renewed."""
    monkeypatch.setattr(module, "HOLD", 0.1)
    died, lives = make(stores(), at_once=2), make(stores(), at_once=2)
    died.enter()
    lives.enter()
    third = lives.enter()
    assert not third.granted

    for _ in range(4):
        time.sleep(0.04)
        lives.beat()
    stores.flush()

    assert wait_for(third, 0.5)
    assert not lives.enter().granted


def test_the_other_side_may_say_that_nothing_is_left(stores: Any) -> None:
    """Then nothing is left for anybody."""
    ours, theirs = make(stores(), requests=(10.0, 1.0)), make(stores(), requests=(10.0, 1.0))

    ours.drained("requests", 5.0)
    stores.flush()

    with pytest.raises(RateLimitTimeoutError) as caught:
        theirs.enter(deadline_in=1.0)
    assert 5.5 < (caught.value.retry_after or 0) <= 6.0


def test_both_dimensions_or_none(stores: Any) -> None:
    """A request that has to wait for tokens takes no request meanwhile from one that is refused."""
    ours, theirs = (make(stores(), requests=(2.0, 0.001), tokens=(100.0, 0.001)) for _ in range(2))
    ours.enter(tokens=90)

    with pytest.raises(RateLimitTimeoutError):
        theirs.enter(tokens=50, deadline_in=1.0)

    assert theirs.enter(tokens=10).granted


def test_a_redis_that_forgets_makes_nobody_exceed_a_limit(stores: Any, redis_server: Any) -> None:
    """Whoever asks first tells what was left when he asked last."""
    limiter = make(stores(), requests=(10.0, 0.01))
    for _ in range(8):
        limiter.enter()

    redis_server.ask("FLUSHALL")

    assert 2 == granted(limiter)


def test_a_lost_redis_leaves_each_process_its_share(stores: Any, redis_server: Any) -> None:
    """Of what was left, and of what comes back: together no more than the limit."""
    limiters = [make(store, requests=(40.0, 0.01)) for store in [stores() for _ in range(4)]]
    for _ in range(2):
        for limiter in limiters:
            limiter.enter()
    for store in stores.made:
        store._count()

    redis_server.stop()

    assert [8] * 4 == [granted(limiter) for limiter in limiters]


def test_places_too_are_shared_out_where_redis_is_lost(stores: Any, redis_server: Any) -> None:
    """Those who send already count."""
    first, second = [make(store, at_once=4) for store in (stores(processes=2), stores(processes=2))]
    held = [first.enter(), first.enter(), first.enter(), second.enter()]
    redis_server.stop()

    assert [0, 1] == [granted(first), granted(second)]
    for ticket in held[:2]:
        ticket.settle()
    assert 1 == granted(first)


def test_a_process_that_never_reached_redis_has_the_share_it_was_told(stores: Any, redis_server: Any) -> None:
    """It could not count the others."""
    redis_server.stop()
    limiter = make(stores(processes=5), requests=(10.0, 0.01), tokens=(1000.0, 0.01))

    assert 2 == granted(limiter, tokens=100)


def test_a_request_larger_than_the_share_takes_the_whole_of_it(stores: Any, redis_server: Any) -> None:
    """And what it used is paid off."""
    redis_server.stop()
    limiter = make(stores(processes=10), tokens=(1000.0, 500.0))
    ticket = limiter.enter(tokens=800)
    assert ticket.granted
    ticket.sent()

    ticket.settle(120)
    waiting = limiter.enter(tokens=80)

    assert not waiting.granted
    assert limiter._share is not None
    assert -20 <= limiter._share.snapshot()["tokens"] < 80


def test_who_comes_back_tells_what_was_used_meanwhile(stores: Any, redis_server: Any) -> None:
    """Else a Redis that was cut off, and not stopped, would take the bucket to be full."""
    store = stores()
    limiter, other = make(store, requests=(10.0, 0.01)), make(stores(), requests=(10.0, 0.01))
    limiter.enter()
    store._lose(OSError("the cable is out"))
    for _ in range(6):
        limiter.enter()

    stores.find()

    assert limiter.enter().granted
    assert 2 == granted(other)


def test_who_waits_for_its_share_goes_on_with_redis_when_it_is_back(
    stores: Any, redis_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It need not wait for a share that is much slower than the limit."""
    monkeypatch.setattr(module, "RETRY", 0.02)
    limiter = make(stores(processes=1000), requests=(1.0, 10.0))
    limiter.enter()
    redis_server.stop()
    waiting = limiter.enter()
    assert not waiting.claim()

    redis_server.start()

    assert wait_for(waiting, 3.0)


def test_a_loss_may_be_an_error(stores: Any, redis_server: Any) -> None:
    """And leaves nothing behind."""
    limiter = make(stores(on_loss="fail"), requests=(10.0, 1.0))
    redis_server.stop()

    with pytest.raises(SharedStateError):
        limiter.enter()

    assert 0 == limiter.snapshot()["waiting"]


def test_the_end_of_a_ticket_wakes_the_next(stores: Any) -> None:
    """Also when the garbage collector ends it, in the midst of anything."""
    limiter = make(stores(), at_once=1)
    held, waiting = limiter.enter(), limiter.enter()
    woken = threading.Event()
    waiting.on_grant(woken.set)

    with limiter._lock:
        held.cancel()
        gc.collect()
    assert not woken.is_set()
    limiter.snapshot()

    assert woken.is_set()


def test_a_waiter_whose_loop_is_gone_holds_nobody_up(stores: Any) -> None:
    """The next has its place."""
    limiter = make(stores(), at_once=1)
    held, gone, waiting = limiter.enter(), limiter.enter(), limiter.enter()

    def fail() -> None:
        raise RuntimeError("Event loop is closed")

    gone.on_grant(fail)
    held.settle()

    assert wait_for(waiting, 1.0)


def test_every_key_has_a_time_to_live_and_lies_on_one_node(stores: Any, redis_server: Any) -> None:
    """A cluster places a key by what stands in braces."""
    ours, theirs = (make(stores(), requests=(2.0, 1.0), tokens=(10.0, 1.0), at_once=2) for _ in range(2))
    for limiter in (ours, theirs, ours):
        limiter.enter(tokens=1)
    stores.flush()

    keys = [key.decode() for key in redis_server.ask("KEYS", "*") if b"processes" not in key]

    assert 4 == len(keys)
    assert {"{limit openai@https://api.openai.com}"} == {key.split(":", 1)[1].rsplit(":", 1)[0] for key in keys}
    assert all(0 < redis_server.ask("TTL", key) <= 120 for key in keys)


WORKER = """
import threading, time
from llmkit import Shared
from llmkit.resilience.buckets import Bucket
from llmkit.shared.limits import SharedLimiter
from llmkit.shared.store import Store
from llmkit.shared import store as module
from llmkit.shared.scripts import Script
module.BEAT, module.PROBE = 0.1, 0.05
url, seconds = sys.argv[1], float(sys.argv[2])
store = Store(Shared(url))
limiter = SharedLimiter(store, "limit", requests=Bucket(20.0, 400.0), tokens=None, concurrency=None)
granted, lock = [], threading.Lock()
def work():
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        ticket = limiter.enter()
        while not ticket.claim():
            woken = threading.Event()
            ticket.on_grant(woken.set)
            delay = ticket.delay()
            if delay != 0.0:
                woken.wait(delay)
        ticket.sent()
        ticket.settle()
        granted.append(time.time())
store.decide(Script("return 1"), [], [])
while store.processes < 4: time.sleep(0.01)
ready()
threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(*granted)
"""


def moments(told: list[str]) -> list[float]:
    return sorted(float(each) for line in told for each in line.split())


def most_in_a_window(sent: list[float], seconds: float) -> int:
    """Return how many fell into the fullest window of *seconds*."""
    most = first = 0
    for last, moment in enumerate(sent):
        while sent[first] <= moment - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def test_four_processes_keep_one_limit_together(redis_server: Any, processes: Any) -> None:
    """Within two per cent, in whatever window, and use it."""
    for _ in range(4):
        processes.start(WORKER, redis_server.url, "0.8")
    processes.go()

    sent = moments(processes.results())

    lasted = sent[-1] - sent[0]
    assert len(sent) <= 1.02 * (20 + 400 * lasted)
    assert len(sent) >= 0.9 * (20 + 400 * (lasted - 0.05))
    assert most_in_a_window(sent, 0.25) <= 1.02 * (20 + 400 * 0.25) + 4  # so many may have been late for their turn


def test_a_redis_killed_in_the_midst_makes_four_processes_exceed_nothing(redis_server: Any, processes: Any) -> None:
    """Each keeps to its share of what was left, and goes on with the others when it is back, though it has forgotten everything."""
    for _ in range(4):
        processes.start(WORKER, redis_server.url, "1.6")
    processes.go()
    time.sleep(0.4)
    redis_server.stop()
    stopped = time.time()
    time.sleep(0.3)
    redis_server.start()

    sent = moments(processes.results())

    lasted = sent[-1] - sent[0]
    assert len(sent) <= 1.02 * (20 + 400 * lasted)
    assert most_in_a_window(sent, 0.25) <= 1.02 * (20 + 400 * 0.25) + 4
    assert sum(stopped + 0.05 < moment < stopped + 0.3 for moment in sent) >= 20
    assert sum(moment > sent[-1] - 0.3 for moment in sent) >= 60
    assert 1 == redis_server.ask("EXISTS", "llmkit:{limit}:limit")

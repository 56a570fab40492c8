from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from llmkit.errors import RateLimitTimeoutError
from llmkit.resilience.buckets import Bucket
from llmkit.resilience.limits import Limiter, Ticket


def make(
    clock: Any, *, requests: tuple[float, float] | None = None, tokens: tuple[float, float] | None = None, at_once: int | None = None
) -> Limiter:
    return Limiter(
        requests=Bucket(*requests) if requests else None,
        tokens=Bucket(*tokens) if tokens else None,
        concurrency=at_once,
        clock=clock,
    )


def levels(limiter: Limiter) -> tuple[Any, ...]:
    return tuple(limiter.snapshot().values())


def test_what_is_free_is_granted_at_once(clock: Any) -> None:
    """Nobody waits, and there is enough of everything."""
    limiter = make(clock, requests=(10.0, 1.0), tokens=(1000.0, 10.0), at_once=2)

    ticket = limiter.enter(tokens=300)

    assert (True, 0.0, True) == (ticket.granted, ticket.delay(), ticket.wait(0.0))
    assert (9.0, 700.0, 1, 0) == levels(limiter)


def test_a_limiter_without_dimensions_limits_nothing(clock: Any) -> None:
    """What a user did not set is not limited."""
    limiter = make(clock)

    tickets = [limiter.enter(tokens=10**9) for _ in range(100)]

    assert all(ticket.granted for ticket in tickets)
    assert (None, None, None, 0) == levels(limiter)
    for ticket in tickets:
        ticket.settle(10**12)


def test_dimensions_are_taken_together_or_not_at_all(clock: Any) -> None:
    """A call that waits for tokens holds no request and no place."""
    limiter = make(clock, requests=(10.0, 1.0), tokens=(100.0, 10.0), at_once=5)
    limiter.enter(tokens=80)

    waiting = limiter.enter(tokens=40)

    assert (False, 2.0) == (waiting.granted, waiting.delay())
    assert (9.0, 20.0, 4, 1) == levels(limiter)
    clock.advance(2.0)
    assert (0.0, True) == (waiting.delay(), waiting.granted)
    assert (9.0, 0.0, 3, 0) == levels(limiter)


def test_nobody_overtakes(clock: Any) -> None:
    """A small call behind a large one waits, although there would be enough for it."""
    limiter = make(clock, tokens=(100.0, 10.0))
    limiter.enter(tokens=100)
    large, small = limiter.enter(tokens=50), limiter.enter(tokens=10)
    clock.advance(4.0)

    asked = (small.delay(), large.delay())

    assert (2.0, 1.0) == asked
    assert not small.granted


def test_who_looks_grants_what_is_due_to_others(clock: Any) -> None:
    """A waiter that oversleeps holds nobody up."""
    limiter = make(clock, requests=(2.0, 1.0))
    limiter.enter(requests=2)
    first, second = limiter.enter(), limiter.enter()
    clock.advance(1.5)

    assert 0.5 == second.delay()

    assert (True, False) == (first.granted, second.granted)


def test_a_newcomer_takes_its_place_at_the_end(clock: Any) -> None:
    """What came back meanwhile belongs to those who wait."""
    limiter = make(clock, requests=(1.0, 1.0))
    limiter.enter()
    first = limiter.enter()
    clock.advance(1.0)

    newcomer = limiter.enter()

    assert (True, False, 1.0) == (first.granted, newcomer.granted, newcomer.delay())


def test_a_wait_that_is_too_long_is_refused_at_once(clock: Any) -> None:
    """The error says when there would be room, counting those who wait; nothing is taken."""
    limiter = make(clock, requests=(2.0, 0.5))
    for _ in range(3):
        limiter.enter()

    with pytest.raises(RateLimitTimeoutError, match=r"no room for 4 s, and only 3 s") as caught:
        limiter.enter(deadline_in=3.0)

    assert (4.0, True) == (caught.value.retry_after, caught.value.retryable)
    assert (0.0, None, None, 1) == levels(limiter)
    assert not limiter.enter(deadline_in=4.0).granted


def test_the_wait_that_is_foreseen_counts_who_still_waits(clock: Any) -> None:
    """Not those who were granted since, and not those who have left."""
    limiter = make(clock, tokens=(100.0, 10.0))
    limiter.enter(tokens=100)
    first, second, last = limiter.enter(tokens=20), limiter.enter(tokens=30), limiter.enter(tokens=5)
    foreseen: list[float | None] = []

    def ask() -> None:
        with pytest.raises(RateLimitTimeoutError) as caught:
            limiter.enter(tokens=10, deadline_in=0.25)
        foreseen.append(caught.value.retry_after)

    ask()
    clock.advance(2.0)
    ask()
    second.cancel()
    ask()

    assert [6.5, 4.5, 1.5] == foreseen
    assert (True, 0.5) == (first.granted, last.delay())


@pytest.mark.parametrize(("need", "what"), [({"requests": 3}, "3 requests"), ({"tokens": 101}, "101 tokens")])
def test_what_can_never_be_had_is_refused_at_once(clock: Any, need: dict[str, int], what: str) -> None:
    """More than there is room for: waiting would be for ever, and trying again is no help."""
    limiter = make(clock, requests=(2.0, 1.0), tokens=(100.0, 1.0))

    with pytest.raises(RateLimitTimeoutError, match=f"needs {what} at once.*raise the limit") as caught:
        limiter.enter(**need)

    assert (None, False) == (caught.value.retry_after, caught.value.retryable)


def test_a_bucket_that_never_fills_makes_nobody_wait(clock: Any) -> None:
    """What is used up there is used up."""
    limiter = make(clock, requests=(1.0, 0.0))
    limiter.enter()

    with pytest.raises(RateLimitTimeoutError, match="never fills") as caught:
        limiter.enter()

    assert (None, False) == (caught.value.retry_after, caught.value.retryable)


def test_a_place_under_way_is_waited_for_without_a_time(clock: Any) -> None:
    """When a call ends nobody knows; its end grants the next one."""
    limiter = make(clock, at_once=1)
    under_way, waiting = limiter.enter(), limiter.enter(deadline_in=1.0)
    woken: list[str] = []
    waiting.on_grant(lambda: woken.append("waiting"))
    assert waiting.delay() is None

    under_way.settle()

    assert (["waiting"], True) == (woken, waiting.granted)


def test_exactly_the_next_one_is_woken(clock: Any) -> None:
    """Of many who wait."""
    limiter = make(clock, at_once=1)
    under_way = limiter.enter()
    woken: list[int] = []
    line = [limiter.enter() for _ in range(10)]
    for number, ticket in enumerate(line):
        ticket.on_grant(lambda number=number: woken.append(number))

    under_way.settle()
    line[0].settle()

    assert [0, 1] == woken


def test_a_place_that_comes_free_before_the_tokens_wakes_the_head_to_look_at_its_time(clock: Any) -> None:
    """It waited without a time; now there is one."""
    limiter = make(clock, tokens=(100.0, 10.0), at_once=1)
    under_way, waiting = limiter.enter(tokens=100), limiter.enter(tokens=50)
    woken: list[bool] = []
    waiting.on_grant(lambda: woken.append(waiting.granted))
    assert waiting.delay() is None

    under_way.settle()

    assert ([False], 5.0) == (woken, waiting.delay())


def test_a_ticket_given_back_unsent_returns_everything(clock: Any) -> None:
    """Nothing was sent, so nothing was used."""
    limiter = make(clock, requests=(10.0, 1.0), tokens=(100.0, 1.0), at_once=3)
    ticket = limiter.enter(tokens=60)

    ticket.cancel()
    ticket.cancel()
    ticket.settle(5)

    assert (10.0, 100.0, 3, 0) == levels(limiter)
    assert not ticket.granted


@pytest.mark.parametrize("end", [Ticket.cancel, Ticket.settle])
def test_once_something_was_sent_the_request_is_spent(clock: Any, end: Callable[[Ticket], None]) -> None:
    """And its tokens too, where nobody knows better; its place is free again."""
    limiter = make(clock, requests=(10.0, 1.0), tokens=(100.0, 1.0), at_once=3)
    ticket = limiter.enter(tokens=60)
    ticket.sent()

    end(ticket)
    end(ticket)

    assert (9.0, 40.0, 3, 0) == levels(limiter)


@pytest.mark.parametrize(("used", "left"), [(0, 100.0), (20, 80.0), (60, 40.0), (250, -150.0)])
def test_tokens_are_corrected_to_those_that_were_used(clock: Any, used: int, left: float) -> None:
    """The rest comes back; what was not foreseen is a debt."""
    limiter = make(clock, requests=(10.0, 1.0), tokens=(100.0, 1.0))
    ticket = limiter.enter(tokens=60)
    ticket.sent()

    ticket.settle(used)
    ticket.settle(0)

    assert (9.0, left, None, 0) == levels(limiter)


def test_a_correction_fills_no_bucket_over_its_brim(clock: Any) -> None:
    """What has come back in time is not given back again."""
    limiter = make(clock, tokens=(100.0, 10.0))
    ticket = limiter.enter(tokens=60)
    clock.advance(5.0)

    ticket.settle(0)

    assert 100.0 == limiter.snapshot()["tokens"]


def test_a_debt_holds_back_even_calls_that_need_nothing(clock: Any) -> None:
    """As long as nobody knows what they will use, at least it is paid first."""
    limiter = make(clock, tokens=(100.0, 10.0))
    limiter.enter(tokens=60).settle(150)

    ticket = limiter.enter()

    assert (False, 5.0) == (ticket.granted, ticket.delay())


def test_a_correction_lets_the_next_one_through(clock: Any) -> None:
    """It does not wait for a refill that it does not need."""
    limiter = make(clock, tokens=(100.0, 1.0))
    first, second, third = limiter.enter(tokens=100), limiter.enter(tokens=50), limiter.enter(tokens=50)
    woken: list[str] = []
    for name, ticket in (("second", second), ("third", third)):
        ticket.on_grant(lambda name=name: woken.append(name))
        ticket.delay()

    first.settle(40)

    assert (["second", "third"], True, False, 40.0) == (woken, second.granted, third.granted, third.delay())


def test_a_waiter_that_leaves_lets_the_rest_move_up(clock: Any) -> None:
    """The head is told that its time has come nearer; those behind it find out in their turn."""
    limiter = make(clock, tokens=(100.0, 10.0))
    limiter.enter(tokens=100)
    large, small, last = limiter.enter(tokens=90), limiter.enter(tokens=10), limiter.enter(tokens=10)
    woken: list[str] = []
    for name, ticket in (("small", small), ("last", last)):
        ticket.on_grant(lambda name=name: woken.append(name))
        ticket.delay()

    large.cancel()

    assert (["small"], 1.0, 2.0) == (woken, small.delay(), last.delay())


def test_leaving_the_middle_of_the_line_wakes_nobody_else(clock: Any) -> None:
    """The head's time is what it was."""
    limiter = make(clock, tokens=(100.0, 10.0))
    limiter.enter(tokens=100)
    woken: list[int] = []
    line = [limiter.enter(tokens=10) for _ in range(3)]
    for number, ticket in enumerate(line):
        ticket.on_grant(lambda number=number: woken.append(number))
        ticket.delay()

    line[1].cancel()

    assert [1] == woken
    assert 2.0 >= (line[2].delay() or 0.0) > 0.0


def test_a_reply_that_says_none_is_left_empties_the_bucket(clock: Any) -> None:
    """It knows better than we do, and also when there will be more."""
    limiter = make(clock, requests=(10.0, 1.0), tokens=(100.0, 1.0))

    limiter.drained("requests", until_in=4.0)
    limiter.drained("tokens")

    assert (0.0, 0.0, None, 0) == levels(limiter)
    assert 5.0 == limiter.enter().delay()


def test_what_has_no_limit_cannot_be_emptied(clock: Any) -> None:
    """The other side's limit is learned elsewhere."""
    limiter = make(clock, at_once=1)

    limiter.drained("requests", until_in=4.0)

    assert limiter.enter().granted


def test_a_ticket_that_waits_no_more_calls_back_at_once(clock: Any) -> None:
    """Otherwise what came between two looks would be missed."""
    limiter = make(clock, requests=(1.0, 1.0))
    granted, cancelled = limiter.enter(), limiter.enter()
    cancelled.cancel()
    called: list[str] = []

    granted.on_grant(lambda: called.append("granted"))
    cancelled.on_grant(lambda: called.append("cancelled"))

    assert ["granted", "cancelled"] == called


def test_a_waiter_that_cannot_be_told_gives_its_place_to_the_next(clock: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A closed event loop refuses callbacks; its tickets would be lost, and with them places for ever."""
    limiter = make(clock, at_once=1)
    under_way, gone, alive = limiter.enter(), limiter.enter(), limiter.enter()

    def refuse() -> None:
        msg = "Event loop is closed"
        raise RuntimeError(msg)

    gone.on_grant(refuse)

    under_way.settle()

    assert (False, True) == (gone.granted, alive.granted)
    assert "is gone" in caplog.text


def test_an_expired_wait_is_an_error_with_the_time_that_is_left(clock: Any) -> None:
    """Where it is known."""
    by_time, by_place = make(clock, requests=(1.0, 0.5)), make(clock, at_once=1)
    by_time.enter(), by_place.enter()
    waiting, stuck = by_time.enter(), by_place.enter()

    assert (2.0, None) == (waiting.too_late().retry_after, stuck.too_late().retry_after)

    assert (False, False) == (waiting.wait(0.0), stuck.wait(0.0))


def test_a_blocked_thread_goes_on_when_its_time_has_come() -> None:
    """By itself: nobody else has to look."""
    limiter = make(time.monotonic, requests=(1.0, 200.0))
    limiter.enter()

    ticket = limiter.enter()

    assert ticket.wait()
    assert ticket.granted


def test_a_blocked_thread_is_woken_by_another() -> None:
    """When a place comes free."""
    limiter = make(time.monotonic, at_once=1)
    under_way, ticket = limiter.enter(), limiter.enter()
    blocked = threading.Thread(target=ticket.wait)
    blocked.start()

    under_way.settle()
    blocked.join(5)

    assert (False, True) == (blocked.is_alive(), ticket.granted)


def test_a_cancelled_ticket_ends_its_wait() -> None:
    """Also one that is under way, when another thread cancels it."""
    limiter = make(time.monotonic, at_once=1)
    limiter.enter()
    ticket = limiter.enter()
    blocked = threading.Thread(target=ticket.wait)
    blocked.start()

    ticket.cancel()
    blocked.join(5)

    assert (False, False) == (blocked.is_alive(), ticket.wait())


def test_a_ticket_can_be_given_back_in_the_midst_of_everything(clock: Any) -> None:
    """The garbage collector may do so while this very thread holds the lock: it is taken back as soon as the lock is free."""
    limiter = make(clock, at_once=2)
    tickets = [limiter.enter() for _ in range(3)]
    with limiter._lock:
        tickets[0].settle()
        tickets[1].cancel()
        assert (False, False, False) == tuple(ticket.granted for ticket in tickets)

    assert 1 == limiter.snapshot()["waiting"]

    assert (1, 0) == (limiter.snapshot()["concurrency"], limiter.snapshot()["waiting"])
    assert tickets[2].granted


def test_any_number_of_waiters_may_be_gone(clock: Any, caplog: pytest.LogCaptureFixture) -> None:
    """One after the other is granted, cannot be told, and is passed over."""
    limiter = make(clock, at_once=1)
    under_way = limiter.enter()
    gone = [limiter.enter() for _ in range(2000)]
    for ticket in gone:
        ticket.on_grant(lambda: 1 / 0)
    alive = limiter.enter()

    under_way.settle()

    assert alive.granted
    assert 2000 == len(caplog.records)


def test_a_head_that_times_out_passes_on(clock: Any) -> None:
    """Those behind it lose nothing."""
    limiter = make(time.monotonic, requests=(1.0, 100.0), at_once=1)
    under_way = limiter.enter()
    head, behind = limiter.enter(), limiter.enter()
    waiter = threading.Thread(target=behind.wait)
    waiter.start()
    assert not head.wait(0.005)
    head.cancel()

    under_way.settle()
    waiter.join(5)

    assert (False, True) == (waiter.is_alive(), behind.granted)


class Recording(Limiter):
    """Notes the moments of its grants, as its bucket saw them."""

    def __init__(self, bucket: Bucket) -> None:
        super().__init__(requests=bucket)
        self.bucket = bucket
        self.moments: list[float] = []

    def _take(self, ticket: Ticket) -> None:
        self.moments.append(self.bucket.at)
        super()._take(ticket)


def test_threads_stay_under_the_limit() -> None:
    """Sixty-four threads: all are served, and in no window more than the bucket and its refill."""
    capacity, rate, turns = 5.0, 2000.0, 10
    limiter = Recording(Bucket(capacity, rate))

    def work() -> None:
        for _ in range(turns):
            ticket = limiter.enter()
            assert ticket.wait(10.0)
            ticket.sent()
            ticket.settle()

    threads = [threading.Thread(target=work) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    moments = limiter.moments
    assert (640, 0) == (len(moments), limiter.snapshot()["waiting"])
    assert moments == sorted(moments)
    for first, beginning in enumerate(moments):
        for last in range(first + 5, len(moments)):
            assert last - first + 1 <= capacity + rate * (moments[last] - beginning) + 1e-3


def test_threads_are_served_first_come_first_served() -> None:
    """The order of the grants is that of the line, whichever thread begins to wait first."""
    limiter = make(time.monotonic, at_once=1)
    under_way = limiter.enter()
    line = [limiter.enter() for _ in range(40)]
    order: list[int] = []

    def work(number: int) -> None:
        line[number].wait()
        order.append(number)  # only one at a time comes here
        line[number].settle()

    threads = [threading.Thread(target=work, args=(number,)) for number in reversed(range(40))]
    for thread in threads:
        thread.start()
    under_way.settle()
    for thread in threads:
        thread.join(10)

    assert list(range(40)) == order


def test_two_threads_give_back_one_ticket_once() -> None:
    """A place that came back twice would be one too many."""
    limiter = make(time.monotonic, at_once=2)
    for _ in range(200):
        ticket = limiter.enter()
        threads = [threading.Thread(target=ticket.settle) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert 2 == limiter.snapshot()["concurrency"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # "this process is multi-threaded", which is the point
def test_a_forked_child_starts_with_an_empty_line(clock: Any) -> None:
    """Those who wait and send are the parent's; its tickets mean nothing in the child. Levels are copied."""
    limiter = make(clock, requests=(5.0, 0.001), at_once=2)
    under_way, other, waiting = limiter.enter(), limiter.enter(), limiter.enter()
    limiter._lock.acquire()

    child = os.fork()
    if child == 0:
        try:
            before = levels(limiter)
            under_way.settle()
            waiting.cancel()
            ok = (3.0, None, 2, 0) == before == levels(limiter) and not waiting.wait() and limiter.enter().granted
        except BaseException:
            ok = False
        os._exit(0 if ok else 1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    limiter._lock.release()

    assert 0 == status
    other.settle()
    assert waiting.granted


def test_its_repr_shows_what_is_left(clock: Any) -> None:
    """For whoever wonders why a call waits."""
    limiter = make(clock, requests=(1.0, 1.0), at_once=3)
    granted, waiting = limiter.enter(), limiter.enter()

    assert "Limiter(requests=0, concurrency=2, waiting=1)" == repr(limiter)
    assert ["Ticket(granted)", "Ticket(waiting)"] == [repr(granted), repr(waiting)]


class Reference:
    """What a limiter should do, written for reading: one list, no lock, exact times."""

    def __init__(self, requests: tuple[float, float], tokens: tuple[float, float], places: float) -> None:
        self.capacity = {"requests": requests[0], "tokens": tokens[0]}
        self.rate = {"requests": requests[1], "tokens": tokens[1]}
        self.level = dict(self.capacity)
        self.places = places
        self.now = 0.0
        self.line: list[tuple[int, dict[str, float]]] = []
        self.granted: dict[int, float] = {}

    def advance(self, until: float) -> None:
        """Go to *until*, and grant on the way in the moments in which there is enough."""
        while self.line and self.places > 0:
            need = self.line[0][1]
            wait = max(max(0.0, (need[name] - self.level[name]) / self.rate[name]) for name in need)
            if self.now + wait > until:
                break
            self.flow(self.now + wait)
            number, need = self.line.pop(0)
            self.places -= 1
            for name, amount in need.items():
                self.level[name] -= amount
            self.granted[number] = self.now
        self.flow(until)

    def flow(self, until: float) -> None:
        for name, rate in self.rate.items():
            self.level[name] = min(self.capacity[name], self.level[name] + rate * (until - self.now))
        self.now = until

    def give(self, **amounts: float) -> None:
        for name, amount in amounts.items():
            self.level[name] = min(self.capacity[name], self.level[name] + amount)


class LimiterMachine(RuleBasedStateMachine):
    """
    A limiter beside its reference. Its waiters behave as threads and tasks do: each looks when it said it would or is woken, and
    never otherwise. So a wake-up that was forgotten shows as a grant that comes too late.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.count = 0
        self.tickets: dict[int, Ticket] = {}
        self.needs: dict[int, dict[str, float]] = {}
        self.look_at: dict[int, float] = {}
        self.woken: list[int] = []
        self.granted: dict[int, float] = {}
        self.charges: list[tuple[float, bool, float]] = []  # when, whether by a grant, how many requests

    @initialize(
        requests=st.tuples(st.sampled_from([1.0, 2.0, 5.0]), st.sampled_from([0.25, 0.5, 2.0])),
        tokens=st.tuples(st.sampled_from([8.0, 64.0]), st.sampled_from([0.5, 4.0])),
        places=st.sampled_from([1, 3, None]),
    )
    def start(self, requests: tuple[float, float], tokens: tuple[float, float], places: int | None) -> None:
        self.limiter = make(lambda: self.now, requests=requests, tokens=tokens, at_once=places)
        self.reference = Reference(requests, tokens, math.inf if places is None else places)

    def settle_down(self) -> None:
        """Let everyone look who was woken or whose time has come; note who has been granted."""
        while True:
            for number, ticket in self.tickets.items():
                if number not in self.granted and ticket.granted:
                    self.granted[number] = self.now
                    self.charges.append((self.now, True, 1.0))
                    self.look_at.pop(number, None)
            due = [number for number in self.look_at if number in self.woken or self.look_at[number] <= self.now]
            self.woken.clear()
            if not due:
                return
            for number in due:
                self.look(number)

    def look(self, number: int) -> None:
        ticket = self.tickets[number]
        ticket.on_grant(lambda: self.woken.append(number))
        delay = ticket.delay()
        if ticket.granted:
            return
        assert delay is None or delay > 0.0
        self.look_at[number] = math.inf if delay is None else self.now + delay

    @rule(tokens=st.sampled_from([0.0, 1.0, 5.0, 8.0]))
    def enter(self, tokens: float) -> None:
        self.count += 1
        self.reference.line.append((self.count, {"requests": 1.0, "tokens": tokens}))
        self.reference.advance(self.now)
        ticket = self.tickets[self.count] = self.limiter.enter(tokens=tokens)
        self.needs[self.count] = {"requests": 1.0, "tokens": tokens}
        if not ticket.granted:
            self.look(self.count)
        self.settle_down()

    @rule(seconds=st.sampled_from([0.25, 0.5, 1.0, 3.0, 20.0]))
    def advance(self, seconds: float) -> None:
        until = self.now + seconds
        self.reference.advance(until)
        while (nearest := min(self.look_at.values(), default=math.inf)) <= until:
            self.now = max(self.now, nearest)
            self.settle_down()
        self.now = until

    @precondition(lambda self: self.look_at)
    @rule(data=st.data())
    def leave_the_line(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.look_at)))
        self.reference.line = [entry for entry in self.reference.line if entry[0] != number]
        self.reference.advance(self.now)
        del self.look_at[number]
        self.tickets.pop(number).cancel()
        self.settle_down()

    @precondition(lambda self: self.granted.keys() & self.tickets.keys())
    @rule(data=st.data(), sent=st.booleans(), used=st.sampled_from([None, 0.0, 3.0, 8.0, 30.0]))
    def give_back(self, data: st.DataObject, sent: bool, used: float | None) -> None:
        number = data.draw(st.sampled_from(sorted(self.granted.keys() & self.tickets.keys())))
        ticket, need = self.tickets.pop(number), self.needs[number]
        self.reference.places += 1
        if not sent:
            self.reference.give(**need)
            self.charges.append((self.now, False, -1.0))
            ticket.cancel()
        else:
            if used is not None:
                self.reference.give(tokens=need["tokens"] - used)
            ticket.sent()
            ticket.settle(used)
        ticket.cancel()
        ticket.settle(1)
        self.reference.advance(self.now)
        self.settle_down()

    @invariant()
    def agrees_with_the_reference(self) -> None:
        if not self.count:
            return
        assert self.reference.granted.keys() == self.granted.keys()
        for number, moment in self.granted.items():
            assert moment == pytest.approx(self.reference.granted[number], abs=1e-3)
        state = self.limiter.snapshot()
        assert state["requests"] == pytest.approx(self.reference.level["requests"], abs=1e-2)
        assert state["tokens"] == pytest.approx(self.reference.level["tokens"], abs=1e-2)
        assert len(self.reference.line) == state["waiting"] == len(self.look_at)
        assert state["concurrency"] in (None, self.reference.places)

    @invariant()
    def first_come_is_first_served(self) -> None:
        served = sorted(self.granted, key=lambda number: (self.granted[number], number))
        assert served == sorted(self.granted)

    @invariant()
    def no_window_holds_more_than_the_bucket_and_its_refill(self) -> None:
        if not self.charges or not self.charges[-1][1]:
            return
        bucket = self.limiter._requests
        assert bucket is not None
        now, total = self.charges[-1][0], 0.0
        for moment, _, amount in reversed(self.charges):
            total += amount
            assert total <= bucket.capacity + bucket.rate * (now - moment) + 1e-2


TestLimiterAgainstItsReference = LimiterMachine.TestCase
TestLimiterAgainstItsReference.settings = settings(max_examples=60, stateful_step_count=40)

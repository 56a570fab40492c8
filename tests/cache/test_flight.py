"""Who asks, and who waits."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from llmkit.cache.flight import Flights, Seat


class Sleeper:
    """Somebody who waits, and can be gone."""

    def __init__(self, is_there: bool = True) -> None:
        self.is_there = is_there
        self.calls = 0

    def __call__(self) -> bool:
        self.calls += 1
        return self.is_there


@pytest.fixture
def flights() -> Flights:
    """No flight is in the air."""
    return Flights()


def test_the_first_leads_and_the_others_wait(flights: Flights) -> None:
    """Of each key."""
    seats = [flights.board("a", Sleeper()), flights.board("a", Sleeper()), flights.board("b", Sleeper())]

    assert ["leads", "waits", "leads"] == [seat.role for seat in seats]


def test_a_leader_that_lands_serves_all(flights: Flights) -> None:
    """They are woken once, with the answer in their hands; the next one to come leads."""
    sleepers = [Sleeper(), Sleeper()]
    leader = flights.board("a", Sleeper())
    waiting = [flights.board("a", sleeper) for sleeper in sleepers]

    leader.land(b"answer")

    assert [("served", b"answer")] * 2 == [(seat.role, seat.payload) for seat in waiting]
    assert [1, 1] == [sleeper.calls for sleeper in sleepers]
    assert "leads" == flights.board("a", Sleeper()).role


def test_a_leader_that_fails_wakes_one_and_that_one_leads(flights: Flights) -> None:
    """The one who has waited longest; a failure is nobody else's."""
    sleepers = [Sleeper(), Sleeper()]
    leader = flights.board("a", Sleeper())
    waiting = [flights.board("a", sleeper) for sleeper in sleepers]

    leader.leave()

    assert ["leads", "waits"] == [seat.role for seat in waiting]
    assert [1, 0] == [sleeper.calls for sleeper in sleepers]


def test_a_leader_with_nothing_to_share_lets_all_go(flights: Flights) -> None:
    """Each asks for itself; the next one to come leads a flight of its own."""
    leader = flights.board("a", Sleeper())
    waiting = [flights.board("a", Sleeper()) for _ in range(3)]

    leader.disband()

    assert ["alone"] * 3 == [seat.role for seat in waiting]
    assert "leads" == flights.board("a", Sleeper()).role


def test_who_waits_may_leave(flights: Flights) -> None:
    """The lead then passes it over."""
    leader = flights.board("a", Sleeper())
    first, second = flights.board("a", Sleeper()), flights.board("a", Sleeper())
    first.leave()

    leader.leave()

    assert ["gone", "leads"] == [first.role, second.role]


def test_who_was_made_leader_and_leaves_hands_over(flights: Flights) -> None:
    """A waiter whose deadline passes just then does not strand the others."""
    leader = flights.board("a", Sleeper())
    first, second = flights.board("a", Sleeper()), flights.board("a", Sleeper())
    leader.leave()

    first.leave()

    assert "leads" == second.role


def test_who_is_no_longer_there_is_passed_over(flights: Flights) -> None:
    """Waiters whose event loop is closed cannot lead, however many there are."""
    leader = flights.board("a", Sleeper())
    for _ in range(5_000):
        flights.board("a", Sleeper(is_there=False))
    last = flights.board("a", Sleeper())

    leader.leave()

    assert "leads" == last.role


def test_who_cannot_wait_is_alone(flights: Flights) -> None:
    """It leads where nobody does, and disturbs nobody else."""
    leader = flights.board("a", None)
    alone = flights.board("a", None)
    alone.land(b"its own")

    assert ["leads", "alone"] == [leader.role, alone.role]
    assert 1 == len(flights)


@pytest.mark.parametrize("end", [Seat.leave, Seat.disband, lambda seat: seat.land(b"x")])
def test_an_end_counts_once(flights: Flights, end: Callable[[Seat], None]) -> None:
    """What is done after it touches no later flight of the same key."""
    leader = flights.board("a", Sleeper())
    end(leader)
    flights.board("a", Sleeper())
    waiter = flights.board("a", Sleeper())

    for again in (Seat.leave, Seat.disband, lambda seat: seat.land(b"stale")):
        again(leader)

    assert "waits" == waiter.role


def test_a_with_gives_the_place_up(flights: Flights) -> None:
    """Whatever ends it."""
    with pytest.raises(KeyboardInterrupt), flights.board("a", Sleeper()):
        raise KeyboardInterrupt

    assert 0 == len(flights)


def test_a_forked_child_forgets_the_flights_of_its_parent(flights: Flights) -> None:
    """Their leaders are threads that are not there; and the parent's seats, should one be left, do no harm."""
    flights._lock.acquire()
    inherited = Seat(flights, "a", None, "leads", None)

    flights.renew()
    seat = flights.board("a", Sleeper())
    inherited.leave()

    assert "leads" == seat.role
    assert 1 == len(flights)


def test_flights_leave_nothing_behind(flights: Flights) -> None:
    """A seat that is over holds no other."""
    leader, waiter = flights.board("a", Sleeper()), flights.board("a", Sleeper())
    leader.land(b"x")
    leader.leave()
    waiter.leave()
    gc.collect()

    assert 0 == len(flights)
    assert [None, None] == [leader._flight, waiter._flight]


def test_threads_make_one_leader_at_a_time(flights: Flights) -> None:
    """Many threads that board, lead, fail and leave: never two leaders of one key, and nobody is left waiting."""
    leading, most, served = [0], [0], [0]
    lock = threading.Lock()

    def work(fails: bool) -> None:
        woken = threading.Event()

        def wake() -> bool:
            woken.set()
            return True

        with flights.board("a", wake) as seat:
            if seat.role == "waits":
                assert woken.wait(10)
            if seat.role != "leads":
                served[0] += 1
                return
            with lock:
                leading[0] += 1
                most[0] = max(most[0], leading[0])
            with lock:
                leading[0] -= 1
            if not fails:
                seat.land(b"x")

    threads = [threading.Thread(target=work, args=(number % 3 != 0,)) for number in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert 1 == most[0]
    assert 0 == len(flights)


class FlightMachine(RuleBasedStateMachine):
    """Any order of boarding, landing, failing and leaving, against a list of who came when."""

    seats = Bundle("seats")

    def __init__(self) -> None:
        super().__init__()
        self.flights = Flights()
        self.queue: dict[str, list[Seat]] = {"a": [], "b": []}  # the leader, and who waits

    @rule(target=seats, key=st.sampled_from("ab"))
    def board(self, key: str) -> Any:
        """One more comes."""
        seat = self.flights.board(key, Sleeper())
        self.queue[key].append(seat)
        return seat

    @rule(seat=consumes(seats))
    def leave(self, seat: Seat) -> None:
        """One goes, leader or not."""
        seat.leave()
        self.queue[seat._key] = [other for other in self.queue[seat._key] if other is not seat]

    @rule(seat=seats, payload=st.sampled_from([b"x", None]))
    def end(self, seat: Seat, payload: bytes | None) -> None:
        """One lands or disbands: it means something of a leader only."""
        queue = self.queue[seat._key]
        leads = bool(queue) and queue[0] is seat
        if payload is None:
            seat.disband()
        else:
            seat.land(payload)
        if leads:
            assert all(other.role == ("alone" if payload is None else "served") for other in queue[1:])
            self.queue[seat._key] = []

    @invariant()
    def the_first_leads(self) -> None:
        """And all others wait."""
        for queue in self.queue.values():
            assert [seat.role for seat in queue] == ["leads", "waits", *["waits"] * len(queue)][: len(queue)]
        assert sum(map(bool, self.queue.values())) == len(self.flights)


TestFlightMachine = FlightMachine.TestCase
TestFlightMachine.settings = settings(max_examples=60, stateful_step_count=30, suppress_health_check=[HealthCheck.too_slow])

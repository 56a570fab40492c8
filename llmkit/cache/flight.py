"""
One question, one request: who asks, and who waits for the one that asks.

Rule 1: of all that board for one key the first leads, the others wait; nobody waits for a key that nobody leads.
Rule 2: a leader that lands gives its answer to all that wait. One that leaves without landing, because it failed or was cancelled,
        wakes one of them, the one who waited longest, as the next leader: a failure is nobody else's.
Rule 3: a leader whose answer may not be kept lets all go: each asks for itself, at once, as if there were no cache.
Rule 4: whoever waits may leave at any time; who was made leader and leaves hands over.
Rule 5: nothing here waits or knows what does: a waiter brings a function that wakes it, so that threads and tasks board one flight.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Literal

from llmkit._fork import renewed_in_child

__all__ = ["Flights", "Seat"]

Role = Literal["waits", "leads", "alone", "served", "gone"]


class Flight:
    """The leader of one key, and who waits for it, in the order of their coming."""

    __slots__ = ("leader", "waiting")

    def __init__(self) -> None:
        self.leader: Seat | None = None
        self.waiting: dict[Seat, None] = {}


class Seat:
    """
    One call's place. Use it in a ``with``, which is left by ``leave()``.

    ``role``: ``waits``; ``leads``; ``alone``, it asks for itself and nobody waits for it; ``served``, ``payload`` holds the answer;
    ``gone``.
    """

    __slots__ = ("_flight", "_flights", "_key", "_wake", "payload", "role")

    def __init__(self, flights: Flights, key: str, flight: Flight | None, role: Role, wake: Callable[[], bool] | None) -> None:
        self._flights = flights
        self._key = key
        self._flight = flight
        self._wake = wake
        self.role: Role = role
        self.payload: bytes | None = None

    def land(self, payload: bytes) -> None:
        """Give *payload* to all that wait for this leader. Of anybody else it means nothing."""
        self._flights._end(self, payload)

    def disband(self) -> None:
        """Let all that wait for this leader ask for themselves."""
        self._flights._end(self, None)

    def leave(self) -> None:
        """Give the place up, and the lead with it. Idempotent."""
        self._flights._leave(self)

    def __enter__(self) -> Seat:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.leave()


class Flights:
    """
    The flights of one cache in this process. Safe to share between threads and tasks; it never waits.

    ``ends`` counts leaders that ended: while it stands, nobody here has asked and kept anything.
    """

    def __init__(self) -> None:
        self.ends = 0
        self._lock = threading.Lock()
        self._in_air: dict[str, Flight] = {}
        renewed_in_child(self)

    def __len__(self) -> int:
        return len(self._in_air)

    def renew(self) -> None:
        """Forget, in a forked child, the flights whose leaders are threads of the parent."""
        self._lock = threading.Lock()
        self._in_air = {}

    def board(self, key: str, wake: Callable[[], bool] | None) -> Seat:
        """
        Return a place in the flight of *key*: the leader's if there is none.

        Args:
            wake: Called, from any thread, when the role of a waiting seat has changed; it returns whether there is somebody to be
                woken. Without it nothing is waited for: where somebody leads already, the seat is ``alone``.
        """
        with self._lock:
            flight = self._in_air.get(key)
            if flight is None:
                flight = self._in_air[key] = Flight()
                flight.leader = seat = Seat(self, key, flight, "leads", wake)
            elif wake is None:
                seat = Seat(self, key, None, "alone", None)
            else:
                seat = Seat(self, key, flight, "waits", wake)
                flight.waiting[seat] = None
            return seat

    def _end(self, leader: Seat, payload: bytes | None) -> None:
        with self._lock:
            flight = leader._flight
            if flight is None or flight.leader is not leader:
                return
            self.ends += 1
            self._forget(flight, leader._key)
            leader._flight, leader.role = None, "alone"
            woken = list(flight.waiting)
            flight.waiting.clear()
            for seat in woken:
                seat._flight = None
                seat.payload = payload
                seat.role = "alone" if payload is None else "served"
        for seat in woken:
            if seat._wake is not None:
                seat._wake()

    def _leave(self, seat: Seat) -> None:
        while True:
            with self._lock:
                flight, seat._flight, seat.role = seat._flight, None, "gone"
                if flight is None:
                    return
                flight.waiting.pop(seat, None)
                if flight.leader is not seat:
                    return
                self.ends += 1
                heir = flight.leader = next(iter(flight.waiting), None)
                if heir is None:
                    self._forget(flight, seat._key)
                    return
                del flight.waiting[heir]
                heir.role = "leads"
            if heir._wake is not None and heir._wake():
                return
            seat = heir  # its event loop is closed: nobody is there to lead

    def _forget(self, flight: Flight, key: str) -> None:
        # In a forked child the parent's flights are no longer listed, and another may have the key.
        flight.leader = None
        if self._in_air.get(key) is flight:
            del self._in_air[key]

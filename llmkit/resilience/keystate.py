"""
What is known of each key, and the order in which a pool gives its keys out.

Rule 1: everything here is guarded by the lock of the group; nothing here takes it, but for ``renew``.
Rule 2: a key's own fields are the truth. The entries of the heaps are hints to it: a key that changes gets new entries, and an old one
        is recognised when it comes up. So every step costs the logarithm of the number of keys.
Rule 3: a heap with too many old entries is built anew from the keys, so that memory does not grow with the number of calls.
"""

from __future__ import annotations

import heapq
import math
import threading
import weakref
from typing import TYPE_CHECKING, Literal

from llmkit._fork import renewed_in_child

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from llmkit.secrets import Secret

__all__ = ["Group", "KeyState", "Queue", "Seat", "group_of"]

AWAKE = -math.inf  # the moment from which a key is usable that does not rest
TRIAL_PAUSE = 1.0  # seconds after which to look again for a key that is on trial: a trial lasts as long as one call


class KeyState:
    """What is known of one key; shared by the pools that hold it."""

    __slots__ = (
        "__weakref__",
        "cool_until",
        "cooled",
        "denied",
        "ejected",
        "leases",
        "out",
        "out_until",
        "refusals",
        "seats",
        "secret",
        "trial",
        "used",
        "wake",
    )

    def __init__(self, secret: Secret) -> None:
        self.secret = secret
        self.seats: list[Seat] = []
        self.leases = 0
        self.used = 0  # the number of the lease by which it was last taken
        self.wake = AWAKE  # the moment from which it is usable again
        self.cool_until = AWAKE
        self.cooled = 0  # the number of the newest lease when it was last refused for a while
        self.refusals = 0  # in a row
        self.out: Literal["auth", "quota"] | None = None
        self.out_until = AWAKE
        self.ejected = 0  # the number of the newest lease when it was put out
        self.trial: object | None = None  # the lease that tries whether it may come back
        self.denied: dict[str, float] = {}  # model -> the moment from which it is tried with it again

    def announce(self) -> None:
        """Put it into the queue of every pool that holds it, after its count has changed."""
        gone = False
        for seat in self.seats:
            queue = seat.queue()
            if queue is None:
                gone = True
            else:
                queue.put(seat)
        if gone:
            self.seats = [seat for seat in self.seats if seat.queue() is not None]

    def rest(self) -> None:
        """Reckon anew from when it is usable, and have the pools that hold it wake it then."""
        wake = math.inf if self.trial is not None else max(self.cool_until, self.out_until if self.out is not None else AWAKE)
        if wake == self.wake:
            return
        self.wake = wake
        if wake == math.inf:
            return  # the end of the trial wakes it
        for seat in self.seats:
            queue = seat.queue()
            if queue is not None:
                queue.put_to_rest(seat)

    def wait(self, model: str | None, now: float) -> float:
        """Return the seconds until it may be usable for *model*, 0.0 if it is."""
        if self.trial is not None:
            return TRIAL_PAUSE
        until = self.wake if model is None else max(self.wake, self.denied.get(model, AWAKE))
        return max(0.0, until - now)

    def excuse(self, model: str | None, now: float) -> str:
        """Return why it is not usable for *model*, and for how long: what lasts longest counts."""
        if self.trial is not None:
            return "is being tried again by another call"
        found = [(self.cool_until, "rests")]
        if self.out is not None:
            found.append(
                (self.out_until, "was refused and rests" if self.out == "auth" else "is out of credit or over its limit and rests")
            )
        if model is not None and model in self.denied:
            found.append((self.denied[model], f"may not use {model!r} and is not asked"))
        until, reason = max(found)
        return f"{reason} for {until - now:,.0f} s more"

    def condition(self, now: float) -> str:
        """Return its state in one word: ready, cooling, ejected or trial."""
        if self.trial is not None:
            return "trial"
        if self.out is not None:
            return "ejected"
        return "cooling" if self.wake > now else "ready"


class Seat:
    """The place of a key in the queue of one pool."""

    __slots__ = ("key", "label", "order", "queue")

    def __init__(self, queue: Queue, key: KeyState, order: int, label: str) -> None:
        self.queue = weakref.ref(queue)  # weak, since the key may outlive the pool in another one
        self.key = key
        self.order = order
        self.label = label
        key.seats = [*(seat for seat in key.seats if seat.queue() is not None), self]


class Queue:
    """The keys of one pool: the fewest leases first, then the one used longest ago, then by their order."""

    __slots__ = ("__weakref__", "_limit", "_ready", "_resting", "seats")

    def __init__(self) -> None:
        self.seats: Sequence[Seat] = ()
        self._ready: list[tuple[int, int, int]] = []  # leases, used, order
        self._resting: list[tuple[float, int]] = []  # wake, order
        self._limit = 0

    def fill(self, seats: Sequence[Seat]) -> None:
        self.seats = seats
        self._limit = 2 * len(seats) + 64
        self.rebuild()

    def put(self, seat: Seat) -> None:
        heapq.heappush(self._ready, (seat.key.leases, seat.key.used, seat.order))
        if len(self._ready) > self._limit:
            self.rebuild()

    def put_to_rest(self, seat: Seat) -> None:
        heapq.heappush(self._resting, (seat.key.wake, seat.order))
        if len(self._resting) > self._limit:
            self.rebuild()

    def pick(self, model: str | None, exclude: AbstractSet[str], now: float) -> Seat | None:
        """
        Take the first usable key out of the queue.

        Keys that are passed over, because of *model* or the labels in *exclude*, cost their share each time.
        """
        while self._resting and self._resting[0][0] <= now:
            self._wake_next()
        ready, seats = self._ready, self.seats
        passed: list[tuple[int, int, int]] = []
        found = None
        while ready:
            entry = heapq.heappop(ready)
            seat = seats[entry[2]]
            key = seat.key
            if entry[0] != key.leases or entry[1] != key.used or key.wake > now:
                continue  # an old entry; the key has a newer one, here or among the resting
            if (exclude and seat.label in exclude) or (model is not None and key.denied.get(model, now) > now):
                passed.append(entry)
                continue
            found = seat
            break
        for entry in passed:
            heapq.heappush(ready, entry)
        return found

    def _wake_next(self) -> None:
        wake, order = heapq.heappop(self._resting)
        key = self.seats[order].key
        if key.wake == wake:
            # In all pools at once, and never asked again with a clock: another thread may come with an earlier moment in hand.
            key.wake = AWAKE
            key.announce()

    def rebuild(self) -> None:
        """Build both heaps anew from the keys."""
        keys = [(seat.key, seat.order) for seat in self.seats]
        self._ready = [(key.leases, key.used, order) for key, order in keys]
        self._resting = [(key.wake, order) for key, order in keys if AWAKE < key.wake < math.inf]
        heapq.heapify(self._ready)
        heapq.heapify(self._resting)


class Group:
    """The keys of one provider in this process, by the digest of their secrets, as long as a pool holds them."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.keys: weakref.WeakValueDictionary[bytes, KeyState] = weakref.WeakValueDictionary()
        self.taken = 0  # leases ever given
        self.process = 0  # counts forks: a lease of the parent is none in the child
        renewed_in_child(self)

    def renew(self) -> None:
        """Take a new lock and forget the leases: in a forked child those who hold them are not there."""
        self.lock = threading.RLock()
        self.process += 1
        queues: set[Queue | None] = set()
        for key in list(self.keys.values()):
            key.leases = 0
            if key.trial is not None:
                key.trial = None
                key.wake = max(key.cool_until, key.out_until)
            queues.update(seat.queue() for seat in key.seats)
        for queue in queues:
            if queue is not None:
                # The fork may have come while another thread was in the middle of a change.
                queue.rebuild()


class _Registry:
    """The groups that some pool of this process belongs to."""

    def __init__(self) -> None:
        self.groups: weakref.WeakValueDictionary[str, Group] = weakref.WeakValueDictionary()
        self.renew()

    def renew(self) -> None:
        """Take a new lock: in a forked child the old one may be held by a thread that is not there."""
        self.lock = threading.RLock()


_registry = renewed_in_child(_Registry())


def group_of(provider_id: str | None) -> Group:
    """Return the group of *provider_id*, a new one for None."""
    if provider_id is None:
        return Group()
    with _registry.lock:
        group = _registry.groups.get(provider_id)
        if group is None:
            group = _registry.groups[provider_id] = Group()
        return group

"""
Money that the calls of many processes may cost together.

Rule 1: what a call may cost is set aside in Redis before it is sent, and is settled afterwards, by a name of its own: twice counts once.
Rule 2: what is set aside and never settled, since its process died, counts as spent after ``FORGOTTEN`` seconds.
Rule 3: where Redis is lost, each process may spend one part, in as many as there were processes, of what was left; what it has spent
        is told when Redis is back.
Rule 4: amounts are whole billionths of a dollar there, rounded up: what a script reckons with is exact up to nine million dollars.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from llmkit._fork import renewed_in_child
from llmkit.errors import BudgetExceededError, ConfigurationError
from llmkit.resilience.budget import Budget, Reservation, dollars, over_budget, reserve
from llmkit.shared.scripts import HOLD_MONEY, SETTLE_MONEY
from llmkit.shared.store import MOST_NOTES, Lost

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llmkit.resilience.budget import Amount
    from llmkit.shared.store import Store

__all__ = ["SharedLedger", "reserve_together"]

MOST = 9_000_000 * 10**9
TRILLIONTHS = 1000  # in a billionth
FORGOTTEN = 3600.0  # seconds; no call is under way for longer, but for a stream that nobody bounded
KEPT = 30 * 86400  # seconds that a budget is remembered which nobody uses


class SharedLedger:
    """What is spent of one budget by all who give the same *name* and *store*."""

    def __init__(self, store: Store, name: str, limit: int) -> None:
        self._store = store
        self._keys = [store.name(name, part) for part in ("money", "under-way", "due", "settled")]
        self._limit = _nanos(limit)
        if self._limit > MOST:
            msg = "A budget that is shared is of nine million dollars at most."
            raise ConfigurationError(msg)
        self._spent = 0  # as Redis told last
        self._reserved = 0
        self._allowance: int | None = None  # while Redis is lost: what this process may still spend
        self._owed: deque[tuple[str, int]] = deque(maxlen=MOST_NOTES)  # settled while it was lost
        self._renew()
        store.keep(self)
        renewed_in_child(self)

    def _renew(self) -> None:
        # May be taken again by its holder, since it may be the garbage collector that settles.
        self._lock = threading.RLock()

    def renew(self) -> None:
        """Take a new lock in a forked child, and leave to the parent what is the parent's to tell."""
        self._renew()
        self._owed.clear()

    def hold(self, amount: int) -> Hold:
        """
        Set *amount*, in trillionths of a dollar, aside for one call. Blocks.

        Raises:
            BudgetExceededError: If less than that is left, for all.
            SharedStateError: If Redis is lost, and the process is not to go on by itself.
        """
        nanos = _nanos(amount)
        identity = self._store.identity()
        try:
            told = self._store.decide(HOLD_MONEY, self._keys, [identity, nanos, self._limit, self._spent, FORGOTTEN, KEPT])
        except Lost:
            return self._hold_alone(identity, nanos)
        fits, spent, reserved = (int(value) for value in told)
        with self._lock:
            self._spent, self._reserved, self._allowance = spent, reserved, None
        if not fits:
            raise over_budget(*(each * TRILLIONTHS for each in (self._limit, spent, reserved, nanos)))
        return Hold(self, identity, nanos, alone=False)

    def _hold_alone(self, identity: str, nanos: int) -> Hold:
        with self._lock:
            if self._allowance is None:
                self._allowance = max(0, self._limit - self._spent - self._reserved) // self._store.processes
            if nanos > self._allowance:
                needed, left = (dollars(each * TRILLIONTHS) for each in (nanos, max(0, self._allowance)))
                msg = (
                    f"This call may cost ${needed:f}. The Redis at {self._store.where} is lost, and of what was left of the budget "
                    f"${left:f} is this process's share."
                )
                raise BudgetExceededError(msg)
            self._allowance -= nanos
        return Hold(self, identity, nanos, alone=True)

    def settle(self, hold: Hold, cost: int) -> None:
        """The call of *hold* has cost so much, in trillionths of a dollar. Never blocks."""
        nanos = _nanos(cost)
        with self._lock:
            if hold.alone and self._allowance is not None:
                self._allowance += hold.amount - nanos
        self._tell(hold.identity, nanos)

    def beat(self) -> None:
        """Tell what was spent while Redis was lost."""
        for _ in range(len(self._owed)):
            self._tell(*self._owed.popleft())

    def _tell(self, identity: str, nanos: int) -> None:
        self._store.note(
            SETTLE_MONEY,
            self._keys,
            [identity, nanos, self._spent, KEPT],
            dropped=lambda: self._owed.append((identity, nanos)),
        )


class Hold:
    """What is set aside for one call."""

    __slots__ = ("alone", "amount", "identity", "ledger")

    def __init__(self, ledger: SharedLedger, identity: str, amount: int, *, alone: bool) -> None:
        self.ledger = ledger
        self.identity = identity
        self.amount = amount
        self.alone = alone  # it was set aside while Redis was lost

    def settle(self, cost: int) -> None:
        self.ledger.settle(self, cost)


def reserve_together(
    ledgers: Mapping[Budget, SharedLedger], estimate: Amount | None, budgets: Iterable[Budget], *, what: str = "this model"
) -> Reservation:
    """Set *estimate* aside in each of *budgets*, and in the ledgers of those that have one; or in none. Raises as ``reserve`` does."""
    charged = tuple(dict.fromkeys(budgets))
    reservation = reserve(estimate, charged, what=what)
    try:
        for budget in charged:
            ledger = ledgers.get(budget)
            if ledger is not None:
                reservation.then(ledger.hold(reservation.amount).settle)
    except BaseException:
        reservation.release()
        raise
    return reservation


def _nanos(trillionths: int) -> int:
    return -(-trillionths // TRILLIONTHS)

"""
An amount of money that calls may cost together, and not more.

Rule 1: a call reserves what it may cost before it is sent, and settles what it did cost afterwards. When what is spent, what is under
        way and the new call together are over the limit, the call is refused, and nothing is sent.
Rule 2: of several budgets around a call each is charged, or none.
Rule 3: what is not known counts as it was foreseen, never as nothing: a call that failed but may be billed, an answer without usage. A
        model without a known price is refused.
Rule 4: amounts are whole numbers of a trillionth of a dollar. Their sums are exact, whatever the precision of ``decimal`` is set to.
Rule 5: the lock is one for all budgets, and may be taken again by its holder, since it may be the garbage collector that gives back.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from contextvars import ContextVar
from decimal import ROUND_CEILING, Context, Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from llmkit._fork import renewed_in_child
from llmkit.errors import BudgetExceededError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

__all__ = ["Amount", "Budget", "Reservation", "budget", "budget_of", "current_budgets", "dollars", "over_budget", "reserve"]

Amount = Decimal | str | float  # US dollars; a float counts as it is written: 0.1 is a tenth

DIGITS = 12  # of a dollar behind the point: prices are told in millionths of a cent per token at the finest
_EXACT = Context(prec=60, rounding=ROUND_CEILING)
_ONE_TRILLION_DOLLARS = 10**12


class _Ledger:
    """The lock of all budgets, and the number of the process that holds it."""

    def __init__(self) -> None:
        self.process = -1
        self.renew()

    def renew(self) -> None:
        """Take a new lock: in a forked child the old one may be held by a thread that is not there."""
        self.lock = threading.RLock()
        self.process += 1


_ledger = renewed_in_child(_Ledger())


class Budget:
    """
    At most *limit* US dollars for all calls that are charged to it. Safe to share between threads, tasks and clients.

    An answer may cost more than could be foreseen, and is then counted in full: calls under way are the only ones that can exceed
    the limit. Each forked or unpickled copy goes on by itself from what was spent; but budgets of one ``name`` are one for all clients
    made with the same ``shared=``, and ``spent`` is then the part of this process.

    Raises:
        ConfigurationError: If *limit* is no amount of at least zero.
    """

    def __init__(self, limit: Amount, *, name: str | None = None) -> None:
        if name == "":
            msg = "The name of a budget must not be empty."
            raise ConfigurationError(msg)
        self.name = name
        self._limit = _units("budget", limit)
        self._spent = 0
        self._reserved = 0
        renewed_in_child(self)

    @property
    def limit(self) -> Decimal:
        """What may be spent in all, in US dollars."""
        return dollars(self._limit)

    @property
    def units(self) -> int:
        """The same, in trillionths of a dollar."""
        return self._limit

    @property
    def spent(self) -> Decimal:
        """What was spent by calls that are over."""
        return dollars(self._spent)

    @property
    def reserved(self) -> Decimal:
        """What calls under way may cost."""
        return dollars(self._reserved)

    @property
    def remaining(self) -> Decimal:
        """What further calls may cost."""
        with _ledger.lock:
            return dollars(max(0, self._limit - self._spent - self._reserved))

    def reserve(self, estimate: Amount | None, *, what: str = "this model") -> Reservation:
        """
        Set *estimate* aside for one call.

        Raises:
            BudgetExceededError: If less than that is left.
            ConfigurationError: If *estimate* is None, since nobody knows the price of *what*.
        """
        return reserve(estimate, (self,), what=what)

    def renew(self) -> None:
        """Forget what is under way: in a forked child that is the parent's."""
        self._reserved = 0

    def __repr__(self) -> str:
        return f"Budget({_shown(self._limit)}, {_shown(self._spent)} spent, {_shown(self._reserved)} under way)"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (str(self.limit), str(self.spent), self.name)


class Reservation:
    """What is set aside for one call. Only the first of ``settle`` and ``release`` counts; call one of them in a ``finally``."""

    __slots__ = ("_amount", "_budgets", "_process", "_told")

    def __init__(self, budgets: tuple[Budget, ...], amount: int) -> None:
        self._budgets = budgets
        self._amount = amount
        self._process = _ledger.process
        self._told: tuple[Callable[[int], object], ...] = ()

    @property
    def amount(self) -> int:
        """What is set aside, in trillionths of a dollar."""
        return self._amount

    def then(self, told: Callable[[int], object]) -> None:
        """Have *told* called once, with what the call has cost in the end, in trillionths of a dollar."""
        self._told = (*self._told, told)

    def settle(self, actual: Amount | None = None) -> None:
        """The call has cost *actual*. None says that nobody knows: then it counts as it was foreseen."""
        self._end(self._amount if actual is None else _units("cost", actual))

    def release(self) -> None:
        """The call has cost nothing, for certain: nothing was sent, or the provider does not charge for it."""
        self._end(0)

    def _end(self, cost: int) -> None:
        with _ledger.lock:
            budgets, self._budgets = self._budgets, ()
            if self._process != _ledger.process:
                return
            for each in budgets:
                each._reserved -= self._amount
                each._spent += cost
            told, self._told = self._told, ()
        for tell in told:
            tell(cost)

    def __repr__(self) -> str:
        return f"Reservation({_shown(self._amount)}{'' if self._budgets else ', over'})"


def reserve(estimate: Amount | None, budgets: Iterable[Budget], *, what: str = "this model") -> Reservation:
    """
    Set *estimate* aside in each of *budgets*, or in none; one that is there twice is charged once.

    Args:
        estimate: US dollars that the call may cost; None if nobody knows, zero where nobody charges.
        budgets: Those of the client and of the blocks around the call.
        what: What has the price, for the message.

    Raises:
        BudgetExceededError: If one of them has less than that left.
        ConfigurationError: If *estimate* is None, and there is a budget.
    """
    charged = tuple(dict.fromkeys(budgets))
    if not charged:
        return Reservation((), 0)
    if estimate is None:
        msg = (
            f"The price of {what} is not known, so no budget can be kept: tell it with ModelRegistry.register(...), "
            "or call without a budget. (Zero is a price, too.)"
        )
        raise ConfigurationError(msg)
    amount = _units("estimate", estimate)
    with _ledger.lock:
        short = next((each for each in charged if each._spent + each._reserved + amount > each._limit), None)
        if short is None:
            for each in charged:
                each._reserved += amount
            return Reservation(charged, amount)
        facts = (short._limit, short._spent, short._reserved)
    raise over_budget(*facts, amount)


def over_budget(limit: int, spent: int, reserved: int, estimate: int) -> BudgetExceededError:
    """Return the error for a call that may cost *estimate* where so much is spent and under way, in trillionths of a dollar."""
    left = max(0, limit - spent - reserved)
    msg = (
        f"This call may cost {_shown(estimate)}, and the budget of {_shown(limit)} has {_shown(left)} left: "
        f"{_shown(spent)} is spent, {_shown(reserved)} under way."
    )
    facts = {"limit": limit, "spent": spent, "reserved": reserved, "estimate": estimate}
    return BudgetExceededError(msg, metadata={name: str(dollars(value)) for name, value in facts.items()})


_ambient: ContextVar[tuple[Budget, ...]] = ContextVar("llmkit_budgets", default=())


def budget(limit: Amount | Budget) -> AbstractContextManager[Budget]:
    """
    Return a context manager inside which all calls together cost at most *limit* US dollars.

    It gives the ``Budget``, and takes one that is to go on. Nested ones are all charged. It holds for the running thread or task and
    for tasks made inside, as context variables do; a thread started inside has it only if it runs in a
    ``contextvars.copy_context()``.

    Raises:
        ConfigurationError: If *limit* is no amount of at least zero.
    """
    return _held(limit if isinstance(limit, Budget) else Budget(limit))


@contextmanager
def _held(held: Budget) -> Iterator[Budget]:
    token = _ambient.set((*_ambient.get(), held))
    try:
        yield held
    finally:
        _ambient.reset(token)


def current_budgets() -> tuple[Budget, ...]:
    """Return the budgets of the blocks that are around, the outermost first."""
    return _ambient.get()


def budget_of(value: object) -> Budget | None:
    """
    Return what a user gave as ``budget=``.

    Raises:
        ConfigurationError: If it is neither a ``Budget`` nor an amount of at least zero.
    """
    return value if value is None or isinstance(value, Budget) else Budget(value)  # type: ignore[arg-type]  # it looks itself


def _units(name: str, amount: object) -> int:
    """Return *amount* in units, rounded up: money is never lost by rounding. Raises ``ConfigurationError`` if it is none."""
    if isinstance(amount, bool) or not isinstance(amount, (Decimal, str, int, float)):
        msg = f"{name} is an amount in US dollars, such as '1.50', not {type(amount).__name__}."
        raise ConfigurationError(msg)
    try:
        value = amount if isinstance(amount, Decimal) else Decimal(str(amount).strip())
    except InvalidOperation:
        msg = f"{name} is an amount in US dollars, such as '1.50', not {amount!r}."
        raise ConfigurationError(msg) from None
    if not (value.is_finite() and 0 <= value <= _ONE_TRILLION_DOLLARS):
        msg = f"{name} must be an amount of at least 0 US dollars, got {amount!r}."
        raise ConfigurationError(msg)
    return int(value.scaleb(DIGITS, _EXACT).to_integral_value(context=_EXACT))


def dollars(units: int) -> Decimal:
    """Return *units* as dollars, exactly, with at least two digits behind the point."""
    places = DIGITS
    while places > 2 and units % 10 == 0:
        units //= 10
        places -= 1
    return Decimal(f"{units}E-{places}")


def _shown(units: int) -> str:
    return f"${dollars(units):f}"


def _restored(limit: str, spent: str, name: str | None) -> Budget:
    made = Budget(limit, name=name)
    made._spent = _units("spent", spent)
    return made

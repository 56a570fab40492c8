from __future__ import annotations

import asyncio
import contextvars
import os
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

import llmkit
from llmkit.errors import BudgetExceededError, ConfigurationError
from llmkit.resilience.budget import Budget, Reservation, budget, budget_of, current_budgets, reserve


def amounts(held: Budget) -> tuple[Decimal, Decimal, Decimal]:
    return held.spent, held.reserved, held.remaining


def test_a_call_reserves_before_and_settles_after() -> None:
    """What it may cost is set aside; what it did cost is spent."""
    held = Budget("1.50")

    reservation = held.reserve("0.40")
    before = amounts(held)
    reservation.settle("0.25")

    assert (Decimal("0"), Decimal("0.40"), Decimal("1.10")) == before
    assert (Decimal("0.25"), Decimal("0"), Decimal("1.25")) == amounts(held)


def test_a_call_over_the_limit_is_refused_and_costs_nothing() -> None:
    """Spent and under way count together; the error says it in figures."""
    held = Budget("1.50")
    held.reserve("0.75").settle()
    held.reserve("0.50")

    with pytest.raises(BudgetExceededError) as caught:
        held.reserve("0.2500001")

    assert "This call may cost $0.2500001, and the budget of $1.50 has $0.25 left: $0.75 is spent, $0.50 under way." == caught.value.message
    assert {"limit": "1.50", "spent": "0.75", "reserved": "0.50", "estimate": "0.2500001"} == caught.value.metadata
    assert ("budget", False) == (caught.value.kind, caught.value.retryable)
    assert (Decimal("0.75"), Decimal("0.50"), Decimal("0.25")) == amounts(held)
    held.reserve("0.25")


def test_what_nobody_knows_counts_as_it_was_foreseen() -> None:
    """A failed attempt that may have been billed, or an answer without usage."""
    held = Budget(1)

    held.reserve("0.40").settle(None)

    assert (Decimal("0.40"), Decimal(0), Decimal("0.60")) == amounts(held)


def test_what_was_not_sent_is_given_back() -> None:
    """All of it."""
    held = Budget(1)

    held.reserve("0.40").release()

    assert (Decimal(0), Decimal(0), Decimal(1)) == amounts(held)


def test_only_the_first_end_of_a_reservation_counts() -> None:
    """Whatever the ``finally`` of the caller does."""
    held = Budget(1)
    reservation, released = held.reserve("0.40"), held.reserve("0.10")

    reservation.settle("0.30")
    reservation.settle("0.30")
    reservation.release()
    released.release()
    released.settle("0.10")

    assert (Decimal("0.30"), Decimal(0), Decimal("0.70")) == amounts(held)


def test_a_cost_beyond_the_estimate_is_counted_in_full() -> None:
    """And nothing further is let through; what remains is nothing, not less."""
    held = Budget("0.10")

    held.reserve("0.10").settle("0.35")

    assert (Decimal("0.35"), Decimal(0), Decimal(0)) == amounts(held)
    with pytest.raises(BudgetExceededError, match=r"has \$0\.00 left"):
        held.reserve("0.0001")


def test_a_spent_budget_lets_through_what_is_free() -> None:
    """A model on this machine costs nothing."""
    held = Budget(0)

    held.reserve(0).settle(0)

    assert Decimal(0) == held.spent


def test_an_unknown_price_is_refused_by_a_budget() -> None:
    """It is never taken for nothing; without a budget nobody asks."""
    with pytest.raises(ConfigurationError, match=r"price of acme/x is not known.*ModelRegistry\.register"):
        Budget(1).reserve(None, what="acme/x")

    reserve(None, ()).settle()


def test_a_float_counts_as_it_is_written() -> None:
    """A tenth is a tenth; sums are exact."""
    held = Budget(0.3)

    for _ in range(3):
        held.reserve(0.1).settle(0.1)

    assert (Decimal("0.3"), Decimal(0), Decimal(0)) == amounts(held)


def test_sums_are_exact_whatever_the_precision_of_the_user() -> None:
    """Somebody computes with three digits, and so does this thread."""
    held = Budget("1000")

    with localcontext() as context:
        context.prec = 3
        for _ in range(3):
            held.reserve("123.456789").settle("123.456789")
        spent = held.spent

    assert Decimal("370.370367") == spent


def test_a_fraction_of_a_unit_is_rounded_up() -> None:
    """Money is never lost by rounding."""
    held = Budget(1)

    held.reserve("0.0000000000001").settle()

    assert Decimal("0.000000000001") == held.spent


@pytest.mark.parametrize("limit", [-1, "-0.01", "a lot", "", "nan", "inf", float("nan"), float("inf"), "1e99", True, None, b"1", ()])
def test_what_is_no_amount_is_refused(limit: Any) -> None:
    """In the constructor, by name."""
    with pytest.raises(ConfigurationError, match=r"^budget "):
        Budget(limit)


@given(st.decimals(min_value=0, max_value=10**9, allow_nan=False, allow_infinity=False) | st.floats(0, 1e9) | st.text(max_size=12))
@settings(max_examples=300)
def test_an_amount_is_kept_or_refused(amount: Any) -> None:
    """To a trillionth of a dollar, and never less than it was."""
    try:
        held = Budget(amount)
    except ConfigurationError:
        assert isinstance(amount, str)
        return

    exact = Fraction(Decimal(str(amount).strip()))
    assert exact <= Fraction(held.limit) < exact + Fraction(1, 10**12)


def test_a_block_charges_its_budget() -> None:
    """As many as there are around the call, the outermost first."""
    assert () == current_budgets()

    with budget("2") as outer, budget("1") as inner:
        reserve("0.75", current_budgets()).settle("0.50")
        assert (outer, inner) == current_budgets()

    assert () == current_budgets()
    assert (Decimal("0.50"), Decimal("0.50")) == (outer.spent, inner.spent)


@pytest.mark.parametrize(("outer_limit", "inner_limit"), [("0.50", "2"), ("2", "0.50")])
def test_of_nested_budgets_all_are_charged_or_none(outer_limit: str, inner_limit: str) -> None:
    """Whichever of them is short."""
    with budget(outer_limit) as outer, budget(inner_limit) as inner:
        with pytest.raises(BudgetExceededError, match=r"budget of \$0\.50"):
            reserve("0.75", current_budgets())

        assert (Decimal(0), Decimal(0)) == (outer.reserved, inner.reserved)


def test_a_budget_that_is_met_twice_is_charged_once() -> None:
    """That of the client, and the same one around the call."""
    held = Budget("1")

    with budget(held) as same:
        reserve("0.75", (held, *current_budgets())).settle()

    assert (held, Decimal("0.75")) == (same, held.spent)


def test_a_budget_goes_on_in_another_block() -> None:
    """What was spent in the first is spent."""
    held = Budget("1")
    for _ in range(2):
        with budget(held):
            reserve("0.40", current_budgets()).settle()

    with budget(held), pytest.raises(BudgetExceededError):
        reserve("0.40", current_budgets())


def test_a_wrong_amount_is_refused_before_the_block() -> None:
    """Where it is written."""
    with pytest.raises(ConfigurationError, match=r"^budget must be"):
        budget(-1)


def test_a_block_ends_also_by_an_error() -> None:
    """And the budget is not left around."""
    with pytest.raises(ZeroDivisionError), budget("1"):
        _ = 1 / 0

    assert () == current_budgets()


def test_tasks_inherit_the_budget_and_siblings_do_not() -> None:
    """As context variables do."""

    async def spend(amount: str) -> None:
        await asyncio.sleep(0)
        reserve(amount, current_budgets()).settle()

    async def main() -> tuple[Budget, Budget]:
        sibling_runs, may_end = asyncio.Event(), asyncio.Event()

        async def sibling() -> Budget:
            with budget("5") as own:
                sibling_runs.set()
                await may_end.wait()
                await spend("0.50")
            return own

        task = asyncio.create_task(sibling())
        await sibling_runs.wait()
        with budget("1") as held:
            await asyncio.gather(*(spend("0.10") for _ in range(5)))
        may_end.set()
        return held, await task

    held, other = asyncio.run(main())

    assert (Decimal("0.50"), Decimal("0.50")) == (held.spent, other.spent)


def test_a_thread_has_the_budget_of_the_context_it_runs_in() -> None:
    """A copied one carries it, a fresh one does not."""
    with budget("1") as held, ThreadPoolExecutor(1) as threads:
        found = (threads.submit(contextvars.copy_context().run, current_budgets).result(), threads.submit(current_budgets).result())

    assert ((held,), ()) == found


def test_threads_never_overspend() -> None:
    """Checking and reserving are one step."""
    held = Budget("1")
    paid: list[int] = []

    def work() -> None:
        for turn in range(40):
            try:
                reservation = held.reserve("0.01")
            except BudgetExceededError:
                continue
            if turn % 3 == 0:
                reservation.release()
            else:
                reservation.settle()
                paid.append(1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (100, Decimal("1.00"), Decimal(0)) == (len(paid), held.spent, held.reserved)


def test_giving_back_in_the_midst_of_reserving_does_not_block() -> None:
    """The garbage collector may do so while this very thread holds the lock."""
    from llmkit.resilience import budget as module

    held = Budget("1")
    reservation = held.reserve("0.40")

    with module._ledger.lock:
        reservation.release()

    assert Decimal(0) == held.reserved


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # "this process is multi-threaded", which is the point
def test_a_forked_child_goes_on_from_what_was_spent() -> None:
    """What is under way is the parent's, and settled there alone."""
    held = Budget("1")
    held.reserve("0.30").settle()
    under_way = held.reserve("0.50")

    child = os.fork()
    if child == 0:
        try:
            before = amounts(held)
            under_way.settle("0.50")
            ok = (Decimal("0.30"), Decimal(0), Decimal("0.70")) == before == amounts(held)
            held.reserve("0.70")
        except BaseException:
            ok = False
        os._exit(0 if ok else 1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert 0 == status
    assert Decimal("0.50") == held.reserved


def test_a_pickled_budget_keeps_what_was_spent() -> None:
    """Another process must not begin anew. What is under way stays here."""
    held = Budget("1")
    held.reserve("0.30").settle()
    held.reserve("0.50")

    copy = pickle.loads(pickle.dumps(held))

    assert (Decimal(1), Decimal("0.30"), Decimal(0)) == (copy.limit, copy.spent, copy.reserved)


def test_what_a_user_gives_becomes_a_budget() -> None:
    """An amount, or a budget to share."""
    held = Budget(1)

    assert (None, held) == (budget_of(None), budget_of(held))

    made = budget_of("5.00")
    assert made is not None
    assert Decimal(5) == made.limit
    with pytest.raises(ConfigurationError, match=r"^budget is an amount.*not list"):
        budget_of([])


def test_reprs_are_for_people() -> None:
    """In dollars."""
    held = Budget("1.5")
    held.reserve("0.25").settle("0.20")
    reservation = held.reserve("0.125")
    shown = repr(reservation)
    again = repr(held)
    reservation.release()

    assert ("Reservation($0.125)", "Reservation($0.125, over)") == (shown, repr(reservation))
    assert "Budget($1.50, $0.20 spent, $0.125 under way)" == again


def test_the_names_are_public() -> None:
    """They are part of the contract."""
    assert (Budget, budget) == (llmkit.Budget, llmkit.budget)


cents = st.integers(0, 60)


class BudgetMachine(RuleBasedStateMachine):
    """Three budgets beside their books, kept in whole cents; calls are charged to any of them at once."""

    reservations = Bundle("reservations")

    def __init__(self) -> None:
        super().__init__()
        self.limits = (100, 150, 40)
        self.budgets = tuple(Budget(Decimal(limit) / 100) for limit in self.limits)
        self.spent = [0, 0, 0]
        self.reserved = [0, 0, 0]

    @rule(target=reservations, estimate=cents, which=st.sets(st.integers(0, 2)))
    def reserve(self, estimate: int, which: set[int]) -> tuple[Reservation | None, int, set[int]]:
        fits = all(self.spent[each] + self.reserved[each] + estimate <= self.limits[each] for each in which)
        try:
            made = reserve(Decimal(estimate) / 100, [self.budgets[each] for each in which])
        except BudgetExceededError:
            assert not fits
            return None, 0, set()
        assert fits
        for each in which:
            self.reserved[each] += estimate
        return made, estimate, which

    @rule(held=consumes(reservations), cost=st.none() | cents, released=st.booleans(), twice=st.booleans())
    def end(self, held: tuple[Reservation | None, int, set[int]], cost: int | None, released: bool, twice: bool) -> None:
        reservation, estimate, which = held
        if reservation is None:
            return
        if released:
            reservation.release()
        else:
            reservation.settle(None if cost is None else Decimal(cost) / 100)
        if twice:
            reservation.settle("0.50")
            reservation.release()
        for each in which:
            self.reserved[each] -= estimate
            self.spent[each] += 0 if released else estimate if cost is None else cost

    @invariant()
    def agrees_with_the_books(self) -> None:
        assert self.spent == [int(each.spent * 100) for each in self.budgets]
        assert self.reserved == [int(each.reserved * 100) for each in self.budgets]
        left = [max(0, limit - spent - reserved) for limit, spent, reserved in zip(self.limits, self.spent, self.reserved, strict=True)]
        assert left == [int(each.remaining * 100) for each in self.budgets]


TestBudgetAgainstItsBooks = BudgetMachine.TestCase
TestBudgetAgainstItsBooks.settings = settings(max_examples=60, stateful_step_count=30)

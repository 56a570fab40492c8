from __future__ import annotations

import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from llmkit import Budget, BudgetExceededError, ConfigurationError, SharedStateError
from llmkit.shared import budget as module
from llmkit.shared.budget import SharedLedger, reserve_together

Until = Callable[..., None]
CENT = 10**10  # trillionths


@pytest.fixture
def ledgers(stores: Any) -> Callable[..., list[SharedLedger]]:
    return lambda count=2, limit=10 * CENT, **options: [SharedLedger(stores(**options), "budget x", limit) for _ in range(count)]


def known(ledger: SharedLedger) -> tuple[float, float]:
    """Return the cents that Redis says are spent and under way."""
    spent, reserved = ledger._store._client.hmget(ledger._keys[0], "spent", "reserved")
    return int(spent or 0) / 10**7, int(reserved or 0) / 10**7


def test_what_one_sets_aside_is_gone_for_the_other(ledgers: Any, stores: Any) -> None:
    """Until it is settled, and then by what it has cost."""
    ours, theirs = ledgers()
    hold = ours.hold(6 * CENT)
    with pytest.raises(BudgetExceededError) as caught:
        theirs.hold(5 * CENT)
    assert {"limit": "0.10", "spent": "0.00", "reserved": "0.06", "estimate": "0.05"} == caught.value.metadata

    hold.settle(2 * CENT)
    stores.flush()

    theirs.hold(5 * CENT)
    assert (2.0, 5.0) == known(ours)


def test_a_call_that_cost_nothing_gives_all_back(ledgers: Any, stores: Any) -> None:
    """It was never sent."""
    ours, theirs = ledgers()

    ours.hold(10 * CENT).settle(0)
    stores.flush()

    assert theirs.hold(10 * CENT)


def test_settling_twice_counts_once(ledgers: Any, stores: Any) -> None:
    """A reply of Redis may be lost, and the note be written again."""
    ours, _ = ledgers()
    hold = ours.hold(3 * CENT)

    for _ in range(3):
        hold.settle(2 * CENT)
    stores.flush()

    assert (2.0, 0.0) == known(ours)


def test_what_a_dead_process_had_set_aside_counts_as_spent(ledgers: Any, monkeypatch: pytest.MonkeyPatch, until: Until) -> None:
    """Nobody knows whether it was; and it must not block the budget's other part for ever."""
    monkeypatch.setattr(module, "FORGOTTEN", 0.01)
    died, lives = ledgers()
    died.hold(3 * CENT)
    monkeypatch.setattr(module, "FORGOTTEN", 100.0)

    def later() -> bool:
        lives.hold(CENT // 10).settle(0)
        lives._store.flush()
        return known(lives) == (3.0, 0.0)

    until(later)


def test_parts_of_a_billionth_are_rounded_up(ledgers: Any, stores: Any) -> None:
    """Money is never lost by rounding."""
    (ours,) = ledgers(1, limit=CENT)

    ours.hold(1).settle(1)
    stores.flush()

    assert (1e-7, 0.0) == known(ours)


def test_more_than_a_script_can_count_is_refused(ledgers: Any) -> None:
    """At the door."""
    with pytest.raises(ConfigurationError, match="nine million"):
        ledgers(1, limit=10**7 * 10**12)


def test_a_redis_that_forgets_makes_nobody_spend_twice(ledgers: Any, stores: Any, redis_server: Any) -> None:
    """Who asks tells what was spent when he asked last; what was under way counts when it is settled."""
    ours, _ = ledgers()
    ours.hold(6 * CENT).settle(6 * CENT)
    under_way = ours.hold(2 * CENT)
    stores.flush()
    redis_server.ask("FLUSHALL")

    with pytest.raises(BudgetExceededError):
        ours.hold(5 * CENT)
    under_way.settle(2 * CENT)
    stores.flush()

    assert (8.0, 0.0) == known(ours)


def test_where_redis_is_lost_each_process_has_its_share_of_what_was_left(ledgers: Any, stores: Any, redis_server: Any) -> None:
    """Together never more than the budget."""
    ours, theirs = ledgers()
    ours.hold(2 * CENT).settle(2 * CENT)
    stores.flush()
    for ledger in (ours, theirs):
        ledger.hold(0).settle(0)
    ours._store._count()
    redis_server.stop()

    for ledger in (ours, theirs):
        ledger.hold(3 * CENT).settle(CENT)
        ledger.hold(3 * CENT)
        with pytest.raises(BudgetExceededError, match="this process's share"):
            ledger.hold(CENT)


def test_what_was_spent_alone_is_told_when_redis_is_back(ledgers: Any, stores: Any, redis_server: Any) -> None:
    """Once, though Redis may have lost all else."""
    ours, theirs = ledgers()
    before = ours.hold(2 * CENT)
    ours._store._lose(OSError("the cable is out"))
    alone = ours.hold(3 * CENT)
    before.settle(2 * CENT)
    alone.settle(CENT)

    stores.find()
    stores.flush()

    assert (3.0, 0.0) == known(theirs)


def test_a_loss_may_be_an_error(ledgers: Any, redis_server: Any) -> None:
    """Nothing is spent then."""
    (ours,) = ledgers(1, on_loss="fail")
    redis_server.stop()

    with pytest.raises(SharedStateError):
        ours.hold(CENT)


def test_several_budgets_are_charged_or_none(ledgers: Any, stores: Any) -> None:
    """Be they shared or this process's own."""
    (common,) = ledgers(1, limit=3 * CENT)
    shared, own = Budget("0.10"), Budget("0.10")
    reservation = reserve_together({shared: common}, "0.02", (own, shared))

    with pytest.raises(BudgetExceededError):
        reserve_together({shared: common}, "0.02", (own, shared))

    assert [Decimal("0.02")] * 2 == [shared.reserved, own.reserved]
    reservation.settle("0.01")
    reservation.settle("0.05")
    stores.flush()
    assert [Decimal("0.01")] * 2 == [shared.spent, own.spent]
    assert (1.0, 0.0) == known(common)


def test_threads_of_many_processes_never_spend_more(ledgers: Any, stores: Any) -> None:
    """What is under way counts, wherever it is."""
    made = ledgers(3, limit=50 * CENT)
    spent, lock = [0], threading.Lock()

    def work(ledger: SharedLedger) -> None:
        for turn in range(20):
            try:
                hold = ledger.hold(2 * CENT)
            except BudgetExceededError:
                continue
            cost = (turn % 3) * CENT
            with lock:
                spent[0] += cost
            hold.settle(cost)

    threads = [threading.Thread(target=work, args=(ledger,)) for ledger in made * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    stores.flush()

    assert 45 * CENT <= spent[0] <= 50 * CENT
    assert (spent[0] / CENT, 0.0) == known(made[0])


def test_every_key_has_a_time_to_live_and_lies_on_one_node(ledgers: Any, stores: Any, redis_server: Any) -> None:
    """A budget that nobody uses is forgotten after a month."""
    ours, _ = ledgers()
    ours.hold(CENT)
    ours.hold(CENT).settle(CENT)
    stores.flush()

    keys = [key.decode() for key in redis_server.ask("KEYS", "*money*")]

    assert ["llmkit:{budget x}:money"] == keys
    assert all(0 < redis_server.ask("TTL", key) for key in redis_server.ask("KEYS", "*"))

from __future__ import annotations

from typing import Any

from llmkit.shared.quota import SharedQuota
from llmkit.shared.scripts import LOOK


def look(quota: SharedQuota) -> int:
    quota.take_over(quota._store.decide(LOOK, ["{q}1", "{q}1", "{q}1", quota.key], [""])[4])
    return quota.left


def test_retries_are_paid_out_of_one_purse(stores: Any) -> None:
    """By all processes."""
    ours, theirs = SharedQuota(stores(), "{q}"), SharedQuota(stores(), "{q}")

    costs = [ours.spend(False), theirs.spend(True), ours.spend(False)]
    stores.flush()

    assert [5, 10, 5] == costs
    assert [480, 480] == [look(ours), look(theirs)]


def test_when_nothing_is_left_nobody_retries(stores: Any) -> None:
    """An outage is not multiplied by the number of processes."""
    ours, theirs = SharedQuota(stores(), "{q}"), SharedQuota(stores(), "{q}")
    while ours.spend(False) is not None:
        pass
    stores.flush()

    look(theirs)

    assert theirs.spend(False) is None


def test_successes_give_back_for_all_but_never_too_much(stores: Any) -> None:
    """The purse holds what it began with at most."""
    ours, theirs = SharedQuota(stores(), "{q}"), SharedQuota(stores(), "{q}")
    cost = ours.spend(True)
    stores.flush()
    look(theirs)

    theirs.earn(None)
    stores.flush()
    ours.earn(cost)
    stores.flush()

    assert [500, 500] == [look(ours), look(theirs)]


def test_a_purse_is_forgotten_after_a_while(stores: Any, redis_server: Any) -> None:
    """And what nobody knows is full."""
    quota = SharedQuota(stores(), "{q}")
    quota.spend(False)
    stores.flush()
    assert 3500 < redis_server.ask("TTL", "{q}") <= 3600

    redis_server.ask("FLUSHALL")

    assert 495 == look(quota)


def test_where_redis_is_lost_each_process_goes_on_from_what_it_knew(stores: Any, redis_server: Any) -> None:
    """Neither more nor less."""
    ours, theirs = SharedQuota(stores(), "{q}"), SharedQuota(stores(), "{q}")
    ours.spend(False)
    stores.flush()
    look(theirs)
    redis_server.stop()

    assert 5 == theirs.spend(False)
    assert 490 == theirs.left

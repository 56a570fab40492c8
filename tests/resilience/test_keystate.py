from __future__ import annotations

from llmkit.resilience.keystate import Group, KeyState, Queue, Seat, group_of
from llmkit.secrets import Secret


def filled(*keys: KeyState) -> Queue:
    queue = Queue()
    queue.fill([Seat(queue, key, order, f"key {order}") for order, key in enumerate(keys)])
    return queue


def test_entries_that_are_no_longer_true_are_passed_over() -> None:
    """The key's own fields decide, not the heap."""
    busy, idle = KeyState(Secret("a")), KeyState(Secret("b"))
    queue = filled(busy, idle)

    busy.leases = 1
    busy.announce()

    seat = queue.pick(None, frozenset(), 0.0)
    assert seat is not None
    assert idle is seat.key


def test_memory_does_not_grow_with_the_number_of_changes() -> None:
    """A heap of mostly old entries is built anew."""
    key = KeyState(Secret("a"))
    queue = filled(key)

    for turn in range(10_000):
        key.used = turn
        key.announce()
        key.cool_until = float(turn)
        key.rest()

    assert len(queue._ready) <= 66
    assert len(queue._resting) <= 66
    assert queue.pick(None, frozenset(), 9_998.0) is None
    assert queue.pick(None, frozenset(), 9_999.0) is not None


def test_a_key_forgets_the_queues_that_are_gone() -> None:
    """When it next has something to tell them."""
    key = KeyState(Secret("a"))
    kept, gone = filled(key), filled(key)
    del gone

    key.announce()

    assert [kept] == [seat.queue() for seat in key.seats]


def test_a_group_is_shared_by_name_while_it_lives() -> None:
    """And None has a new one each time."""
    group = group_of("a provider")

    assert group is group_of("a provider")
    assert group is not group_of("another")
    assert group_of(None) is not group_of(None)


def test_a_renewed_group_ends_leases_and_trials() -> None:
    """The rest of a key is kept: the provider does not know that we forked."""
    group, key = Group(), KeyState(Secret("a"))
    group.keys[b"a"] = key
    queue = filled(key)
    key.leases, key.out, key.out_until, key.trial = 3, "auth", 50.0, object()
    key.rest()
    held = group.lock

    group.renew()

    assert (0, None, "auth", 1) == (key.leases, key.trial, key.out, group.process)
    assert held is not group.lock
    assert queue.pick(None, frozenset(), 49.0) is None
    assert queue.pick(None, frozenset(), 50.0) is not None

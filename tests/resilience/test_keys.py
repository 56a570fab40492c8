from __future__ import annotations

import copy
import gc
import os
import pickle
import threading
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from llmkit.errors import ConfigurationError, NoAvailableKeyError
from llmkit.resilience.keys import APIKeyPool, Lease
from llmkit.secrets import Secret, fingerprint

A, B, C = "sk-alpha-0001", "sk-beta-00002", "sk-gamma-0003"


def make(clock: Any, *keys: str, **options: Any) -> APIKeyPool:
    return APIKeyPool(keys or (A, B, C), clock=clock, **options)


def states(pool: APIKeyPool) -> list[str]:
    return [entry["state"] for entry in pool.snapshot()]


def loads(pool: APIKeyPool) -> list[int]:
    return [entry["leases"] for entry in pool.snapshot()]


# --- which key


def test_the_least_loaded_key_is_taken_then_the_one_used_longest_ago_then_the_first(clock: Any) -> None:
    """Three rules in this order."""
    pool = make(clock)
    first, second, third = (pool.acquire() for _ in range(3))

    second.release()
    first.release()

    assert [A, B, C] == [lease.key.reveal() for lease in (first, second, third)]
    assert [A, B] == [pool.acquire().key.reveal() for _ in range(2)]


def test_looking_counts_nothing(clock: Any) -> None:
    """The same key is the least loaded until somebody takes it."""
    pool = make(clock)

    assert A == pool.get_least_loaded_key() == pool.get_least_loaded_key()
    assert [0, 0, 0] == loads(pool)


def test_the_next_key_is_told_by_its_label(clock: Any) -> None:
    """With the same choice as ``acquire``, and nothing counted; None where every key rests."""
    pool = make(clock, A, B)
    first, second = (entry["label"] for entry in pool.snapshot())

    assert (first, first, second) == (pool.next_label(), pool.next_label("m"), pool.next_label(exclude={first}))
    assert (None, [0, 0]) == (pool.next_label(exclude={first, second}), loads(pool))
    assert first == pool.acquire().label


def test_the_keys_themselves_are_given_for_masking(clock: Any) -> None:
    """In the order of the pool."""
    assert (A, B, C) == make(clock).secrets()


def test_tasks_may_be_counted_by_hand(clock: Any) -> None:
    """Up and down, and never below none."""
    pool = make(clock)
    pool.increment_task_count(A)
    pool.increment_task_count(B)

    assert C == pool.get_least_loaded_key()

    pool.decrement_task_count(A)
    pool.decrement_task_count(A)
    pool.decrement_task_count(C)
    assert [0, 1, 0] == loads(pool)


def test_a_key_of_another_pool_cannot_be_counted(clock: Any) -> None:
    """And the error does not repeat it."""
    pool = make(clock, A)

    for count in (pool.increment_task_count, pool.decrement_task_count):
        with pytest.raises(ConfigurationError) as caught:
            count(B)
        assert B not in str(caught.value)


def test_a_lent_key_comes_back_whatever_leaves_the_block(clock: Any) -> None:
    """The block gets the key as text."""
    pool = make(clock, A)

    lent = pool.lease()
    assert A == lent.__enter__()
    assert [1] == loads(pool)
    lent.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)

    assert [0] == loads(pool)


def test_a_lease_is_given_back_once(clock: Any) -> None:
    """Releasing twice must not take the count of another call away."""
    pool = make(clock, A)
    mine, other = pool.acquire(), pool.acquire()

    mine.release()
    mine.release()
    assert [1] == loads(pool)

    with other:
        assert [1] == loads(pool)
    assert [0] == loads(pool)


def test_labels_tell_place_and_fingerprint(clock: Any) -> None:
    """Or the names that were given."""
    assert f"key 1 ({fingerprint(A)})" == make(clock).acquire().label
    assert f"team-x ({fingerprint(A)})" == make(clock, A, names=["team-x"]).acquire().label


# --- keys that rest


def test_a_refused_key_rests_as_long_as_the_provider_said(clock: Any) -> None:
    """The others go on meanwhile."""
    pool = make(clock, A, B)
    with pool.acquire() as lease:
        lease.cool(7.0)

    clock.advance(6.9)
    assert [B, B] == [pool.acquire().key.reveal() for _ in range(2)]

    clock.advance(0.2)
    assert A == pool.acquire().key.reveal()


def test_a_shorter_rest_does_not_replace_a_longer_one(clock: Any) -> None:
    """Two refusals may arrive in any order."""
    pool = make(clock, A)
    first, second = pool.acquire(), pool.acquire()

    first.cool(30.0)
    second.cool(2.0)

    clock.advance(29.9)
    with pytest.raises(NoAvailableKeyError) as caught:
        pool.acquire()
    assert caught.value.retry_after == pytest.approx(0.1)


@pytest.mark.parametrize("hint", [None, 0.0, -1.0, float("nan"), float("inf")])
def test_without_a_hint_rests_double_up_to_a_minute(clock: Any, hint: float | None) -> None:
    """Five seconds at first; nonsense is no hint."""
    pool = make(clock, A)
    rests = []

    for _ in range(6):
        with pool.acquire() as lease:
            lease.cool(hint)
        rest = pool.snapshot()[0]["retry_after"]
        rests.append(rest)
        clock.advance(rest)

    assert [5.0, 10.0, 20.0, 40.0, 60.0, 60.0] == rests


def test_refusals_of_leases_that_were_out_together_are_one(clock: Any) -> None:
    """A burst is refused as one; it is no row of refusals."""
    pool = make(clock, A)
    burst = [pool.acquire() for _ in range(5)]

    for lease in burst:
        lease.cool()

    assert 5.0 == pool.snapshot()[0]["retry_after"]


def test_a_success_ends_the_row_of_refusals(clock: Any) -> None:
    """The next rest is short again."""
    pool = make(clock, A)
    pool.acquire().cool()
    clock.advance(5)
    pool.acquire().good()

    pool.acquire().cool()

    assert 5.0 == pool.snapshot()[0]["retry_after"]


def test_a_success_of_an_older_lease_ends_no_rest(clock: Any) -> None:
    """It was sent before the refusal."""
    pool = make(clock, A)
    older, refused = pool.acquire(), pool.acquire()
    refused.cool(30.0)

    older.good()

    assert (["cooling"], 1) == (states(pool), pool.snapshot()[0]["refusals"])


@pytest.mark.parametrize(("reason", "rest"), [("auth", 300.0), ("quota", 3600.0)])
def test_a_key_put_out_is_tried_again_by_one_lease_at_a_time(clock: Any, reason: Any, rest: float) -> None:
    """And success brings it back for all."""
    pool = make(clock, A)
    with pool.acquire() as lease:
        lease.eject(reason)
    clock.advance(rest - 1)
    with pytest.raises(NoAvailableKeyError) as caught:
        pool.acquire()
    assert 1.0 == caught.value.retry_after
    clock.advance(1)

    trial = pool.acquire()
    assert ["trial"] == states(pool)
    with pytest.raises(NoAvailableKeyError):
        pool.acquire()
    trial.good()
    trial.release()

    assert ["ready"] == states(pool)
    assert [A, A] == [pool.acquire().key.reveal() for _ in range(2)]


def test_a_success_told_after_the_release_counts_too(clock: Any) -> None:
    """The order in a finally is the caller's."""
    pool = make(clock, A)
    pool.acquire().eject("auth")
    clock.advance(300)
    trial = pool.acquire()

    trial.release()
    trial.good()

    assert ["ready"] == states(pool)


def test_a_trial_that_shows_nothing_leaves_the_next_one_to_try(clock: Any) -> None:
    """A server error during the trial says nothing about the key."""
    pool = make(clock, A)
    pool.acquire().eject("auth")
    clock.advance(300)
    pool.acquire().release()
    assert ["ejected"] == states(pool)

    pool.acquire().eject("auth")

    with pytest.raises(NoAvailableKeyError) as caught:
        pool.acquire()
    assert 300.0 == caught.value.retry_after


def test_a_trial_may_end_in_a_rest(clock: Any) -> None:
    """A rate limit during the trial is obeyed like any other."""
    pool = make(clock, A)
    pool.acquire().eject("auth")
    clock.advance(300)
    with pool.acquire() as trial:
        trial.cool(20.0)

    with pytest.raises(NoAvailableKeyError) as caught:
        pool.acquire()

    assert 20.0 == caught.value.retry_after


def test_a_success_of_an_older_lease_brings_no_key_back(clock: Any) -> None:
    """The key was put out after it was sent."""
    pool = make(clock, A)
    older, refused = pool.acquire(), pool.acquire()
    refused.eject("quota")

    older.good()

    assert ["ejected"] == states(pool)


def test_the_provider_may_say_until_when_an_account_is_empty(clock: Any) -> None:
    """A moment on the pool's clock."""
    pool = make(clock, A)

    pool.acquire().eject("quota", until=clock() + 42)

    assert 42.0 == pool.snapshot()[0]["retry_after"]


def test_a_shorter_ejection_does_not_replace_a_longer_one(clock: Any) -> None:
    """Of an empty account some servers say that its key is bad."""
    pool = make(clock, A)
    first, second = pool.acquire(), pool.acquire()

    first.eject("quota")
    second.eject("auth")

    assert 3600.0 == pool.snapshot()[0]["retry_after"]


def test_a_key_may_be_shut_out_of_one_model(clock: Any) -> None:
    """For others it goes on; after a while one lease tries again, and success opens it."""
    pool = make(clock, A, B)
    with pool.acquire("big") as lease:
        lease.forbid("big")

    assert [B, B] == [pool.acquire("big").key.reveal() for _ in range(2)]
    assert [A, A] == [pool.acquire("small").key.reveal() for _ in range(2)]
    pool = make(clock, A)
    pool.acquire("big").forbid("big")
    with pytest.raises(NoAvailableKeyError, match="may not use 'big'") as caught:
        pool.acquire("big")
    assert 300.0 == caught.value.retry_after
    clock.advance(300)
    trial = pool.acquire("big")
    with pytest.raises(NoAvailableKeyError):
        pool.acquire("big")
    trial.good("big")
    assert A == pool.acquire("big").key.reveal()


def test_the_models_remembered_are_bounded(clock: Any) -> None:
    """Names come from callers."""
    pool = make(clock, A)
    lease = pool.acquire()

    for number in range(1000):
        lease.forbid(f"model-{number}")

    assert 64 == len(pool.snapshot()[0]["denied_models"])


def test_keys_refused_in_a_call_are_not_asked_again_in_it(clock: Any) -> None:
    """By their labels; when none is left the reasons say so."""
    pool = make(clock, A, B)
    first = pool.acquire()
    second = pool.acquire(exclude=frozenset({first.label}))

    with pytest.raises(NoAvailableKeyError) as caught:
        pool.acquire(exclude={first.label, second.label})

    assert (B, None) == (second.key.reveal(), caught.value.retry_after)
    assert {first.label: "was refused in this call", second.label: "was refused in this call"} == caught.value.reasons
    first.release()
    assert A == pool.acquire().key.reveal()


def test_no_key_left_says_why_for_each_label(clock: Any) -> None:
    """And when the first comes back."""
    pool = make(clock)
    leases = [pool.acquire() for _ in range(3)]
    leases[0].cool(12.0)
    leases[1].eject("auth")
    leases[2].eject("quota")

    with pytest.raises(NoAvailableKeyError) as caught:
        pool.acquire()

    assert [
        "rests for 12 s more",
        "was refused and rests for 300 s more",
        "is out of credit or over its limit and rests for 3,600 s more",
    ] == list(caught.value.reasons.values())
    assert 12.0 == caught.value.retry_after
    with pytest.raises(NoAvailableKeyError):
        pool.get_least_loaded_key()


def test_the_reasons_of_a_large_pool_are_bounded(clock: Any) -> None:
    """An error must not grow with the pool."""
    pool = make(clock, *(f"sk-{number:05d}" for number in range(150)))
    for _ in range(150):
        pool.acquire().cool(9.0)

    with pytest.raises(NoAvailableKeyError, match="and 147 more") as caught:
        pool.acquire()

    assert (100, 9.0) == (len(caught.value.reasons), caught.value.retry_after)


def test_a_moment_read_before_another_threads_wakes_no_key_for_good(clock: Any) -> None:
    """Threads read the clock in one order and come to the pool in another."""
    pool = make(clock, A)
    with pool.acquire() as lease:
        lease.cool(10.0)
    late, early = clock() + 10.0, clock() + 9.9
    pool.acquire(now=late).release()

    pool.acquire(now=early).release()

    assert A == pool.acquire(now=late).key.reveal()


# --- what a pool takes and shows


@pytest.mark.parametrize("bad", ["", "sk with space", "sk-\n", "sk-\x00", "sk-é", "sk-\x7f"])
def test_an_unfit_key_is_named_by_its_position(clock: Any, bad: str) -> None:
    """Never by itself."""
    with pytest.raises(ConfigurationError, match=r"^API key 2 ") as caught:
        make(clock, A, bad)

    assert not bad or bad not in str(caught.value)


@pytest.mark.parametrize("keys", [[], A, A.encode(), Secret(A), None, 5, [None], [b"x"]])
def test_what_is_no_list_of_keys_is_refused(keys: Any) -> None:
    """A single text would be taken for a list of letters."""
    with pytest.raises(ConfigurationError) as caught:
        APIKeyPool(keys)

    assert A not in str(caught.value)


def test_a_key_given_twice_is_refused(clock: Any) -> None:
    """It would be counted as two."""
    with pytest.raises(ConfigurationError, match=r"^API key 3 is the same as API key 1"):
        make(clock, A, B, A)


def test_an_unfit_key_is_told_by_its_name(clock: Any) -> None:
    """Which is where it has to be mended: a variable, a file."""
    with pytest.raises(ConfigurationError, match=r"^OPENAI_API_KEY is empty or holds white space") as caught:
        make(clock, "sk-canary\n", names=["OPENAI_API_KEY"])

    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("names", [["x"], ["x", "x"], ["x", ""]])
def test_names_are_one_for_each_key(clock: Any, names: list[str]) -> None:
    """Labels must tell keys apart."""
    with pytest.raises(ConfigurationError, match=r"^names must be 2 different names"):
        make(clock, A, B, names=names)


def test_no_text_shows_a_key(clock: Any) -> None:
    """Neither the pool's, nor a lease's, nor a snapshot's, nor an error's."""
    pool = make(clock, A, provider_id="no-text-shows-a-key")
    lease = pool.acquire()
    lease.eject("auth")
    with pytest.raises(NoAvailableKeyError) as caught:
        pool.acquire()

    shown = f"{pool!r} {lease!r} {lease.key!r} {pool.snapshot()!r} {caught.value!r} {caught.value.to_dict()!r} {vars(pool)!r}"

    assert "APIKeyPool(1 key, provider_id='no-text-shows-a-key')" in shown
    assert not any(A[start : start + 6] in shown for start in range(len(A) - 5))


def test_a_pool_is_not_pickled_unless_it_was_told_to_be(clock: Any) -> None:
    """The way out is in the error."""
    with pytest.raises(TypeError, match="pickle_keys=True"):
        pickle.dumps(make(clock))
    with pytest.raises(TypeError, match="pickle_keys=True"):
        copy.deepcopy(make(clock))

    restored = pickle.loads(pickle.dumps(APIKeyPool([A, B], names=["x", "y"], pickle_keys=True)))

    leases = [restored.acquire(), restored.acquire()]
    assert [(A, f"x ({fingerprint(A)})"), (B, f"y ({fingerprint(B)})")] == [(lease.key.reveal(), lease.label) for lease in leases]


# --- pools that share


def test_pools_of_one_provider_share_what_they_know(clock: Any) -> None:
    """Counts, rests and ejections, also where they hold different keys."""
    one = make(clock, A, B, provider_id="shared")
    two = make(clock, B, C, provider_id="shared")
    one.acquire().cool(30.0)
    lease = one.acquire()

    assert (B, 1, 1) == (lease.key.reveal(), one.snapshot()[1]["leases"], two.snapshot()[0]["leases"])
    assert C == two.get_least_loaded_key()
    lease.eject("auth")
    assert (["cooling", "ejected"], ["ejected", "ready"]) == (states(one), states(two))
    clock.advance(300)
    lease.release()
    trial = two.acquire(exclude={two.snapshot()[1]["label"]})
    assert ["ready", "trial"] == states(one)
    trial.good()
    assert ["ready", "ready"] == states(one)
    assert [C, B, C] == [two.acquire().key.reveal() for _ in range(3)]


def test_pools_without_a_provider_share_nothing(clock: Any) -> None:
    """Nor do those of two providers, though the key is the same."""
    pools = [make(clock, A), make(clock, A), make(clock, A, provider_id="p1"), make(clock, A, provider_id="p2")]

    pools[0].acquire().cool(30.0)
    pools[2].acquire().eject("auth")

    assert [["cooling"], ["ready"], ["ejected"], ["ready"]] == [states(pool) for pool in pools]


def test_what_was_shared_is_forgotten_with_the_last_pool(clock: Any) -> None:
    """The registry is weak."""
    pool = make(clock, A, provider_id="forgotten")
    pool.acquire().eject("auth")
    del pool
    gc.collect()

    assert ["ready"] == states(make(clock, A, provider_id="forgotten"))


def test_pools_that_come_and_go_leave_no_trace_in_a_shared_key(clock: Any) -> None:
    """A web server may make one per request."""
    pool = make(clock, A, provider_id="come-and-go")

    for _ in range(100):
        make(clock, A, provider_id="come-and-go").acquire().release()
    gc.collect()
    pool.acquire().release()

    assert [1] == [len(seat.key.seats) for seat in pool._queue.seats]


# --- threads and processes


def test_threads_lose_no_count() -> None:
    """Sixteen threads take, refuse and give back: in the end nothing is out, and the pool counted what they took."""
    pool = APIKeyPool([f"sk-{number}" for number in range(4)])
    start = threading.Barrier(16)

    def work() -> None:
        start.wait()
        for turn in range(100):
            with pool.acquire() as lease:
                if turn % 10 == 0:
                    lease.cool(1e-9)
                else:
                    lease.good()

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert ([0, 0, 0, 0], 1600) == (loads(pool), pool._group.taken)


def test_threads_that_hold_their_leases_are_spread_evenly() -> None:
    """Picking and counting are one step: sixteen holders on four keys are four each."""
    pool = APIKeyPool([f"sk-{number}" for number in range(4)])
    start = threading.Barrier(16)
    held: list[Lease] = []

    def take() -> None:
        start.wait()
        held.append(pool.acquire())

    threads = [threading.Thread(target=take) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [4, 4, 4, 4] == loads(pool)


def test_two_threads_that_give_back_one_lease_give_it_back_once(clock: Any) -> None:
    """A finaliser and a finally may meet: both found it not yet given back."""
    pool = make(clock, A)
    lease, _ = pool.acquire(), pool.acquire()

    for _ in range(2):
        pool._release(lease)

    assert [1] == loads(pool)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_has_no_leases_of_its_parent(clock: Any) -> None:
    """Nor its lock; the parent keeps both. What is known of keys stays known."""
    pool = make(clock, A, B, provider_id="forked")
    mine = pool.acquire()
    pool.acquire().eject("auth")
    pool._group.lock.acquire()

    child = os.fork()
    if child == 0:
        ok = loads(pool) == [0, 0] and states(pool) == ["ready", "ejected"]
        with pool.acquire() as lease:
            ok = ok and lease.key.reveal() == A
            mine.release()
            ok = ok and loads(pool) == [1, 0]
        os._exit(0 if ok else 1)
    pool._group.lock.release()

    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert [1, 1] == loads(pool)


# --- against a naive model


class KeysMachine(RuleBasedStateMachine):
    """The pool beside a list that is searched from end to end each time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.pool = APIKeyPool([f"sk-{number}" for number in range(4)], clock=lambda: self.now)
        self.labels = [entry["label"] for entry in self.pool.snapshot()]
        self.keys: list[dict[str, Any]] = [
            {"order": order, "leases": 0, "used": 0, "cool": 0.0, "refusals": 0, "cooled": 0, "out": False, "back": 0.0, "ejected": 0}
            for order in range(4)
        ]
        self.trial: dict[int, int] = {}  # key -> number of the lease
        self.denied: dict[tuple[int, str], float] = {}
        self.taken = 0
        self.held: list[tuple[Lease, int, int]] = []
        self.returned: list[tuple[Lease, int, int]] = []

    def usable(self, key: dict[str, Any], model: str | None, exclude: set[str]) -> bool:
        number = key["order"]
        if number in self.trial or key["cool"] > self.now or (key["out"] and key["back"] > self.now):
            return False
        return self.labels[number] not in exclude and (model is None or self.denied.get((number, model), 0.0) <= self.now)

    @rule(seconds=st.sampled_from([0.5, 2.5, 5, 30, 300, 3600]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(model=st.sampled_from([None, None, "m", "n"]), excluded=st.sets(st.integers(0, 3), max_size=2))
    def acquire(self, model: str | None, excluded: set[int]) -> None:
        exclude = {self.labels[number] for number in excluded}
        usable = [key for key in self.keys if self.usable(key, model, exclude)]
        if not usable:
            with pytest.raises(NoAvailableKeyError):
                self.pool.acquire(model, exclude)
            return
        best = min(usable, key=lambda key: (key["leases"], key["used"], key["order"]))
        lease = self.pool.acquire(model, exclude)
        assert self.labels[best["order"]] == lease.label
        self.taken += 1
        best["leases"] += 1
        best["used"] = self.taken
        if best["out"]:
            self.trial[best["order"]] = self.taken
        if model is not None and (best["order"], model) in self.denied:
            self.denied[best["order"], model] = self.now + 300
        self.held.append((lease, best["order"], self.taken))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def release(self, data: Any) -> None:
        entry = data.draw(st.sampled_from(self.held))
        self.held.remove(entry)
        self.returned = [*self.returned[-3:], entry]
        lease, number, taken = entry
        lease.release()
        lease.release()
        self.keys[number]["leases"] -= 1
        if self.trial.get(number) == taken:
            del self.trial[number]

    @precondition(lambda self: self.held or self.returned)
    @rule(data=st.data(), verdict=st.sampled_from(["good", "good m", "cool", "cool 3", "auth", "quota", "forbid"]))
    def tell(self, data: Any, verdict: Any) -> None:
        lease, number, taken = data.draw(st.sampled_from([*self.held, *self.returned]))
        key = self.keys[number]
        if verdict.startswith("good"):
            lease.good("m" if verdict == "good m" else None)
            if taken > key["cooled"]:
                key["refusals"] = 0
            if verdict == "good m":
                self.denied.pop((number, "m"), None)
            if key["out"] and taken > key["ejected"]:
                key["out"] = False
                self.trial.pop(number, None)
        elif verdict.startswith("cool"):
            lease.cool(3.0 if verdict == "cool 3" else None)
            if taken > key["cooled"]:
                key["refusals"] += 1
                key["cooled"] = self.taken
            rest = 3.0 if verdict == "cool 3" else min(60.0, 5.0 * 2 ** max(0, key["refusals"] - 1))
            key["cool"] = max(key["cool"], self.now + rest)
        elif verdict == "forbid":
            lease.forbid("m")
            self.denied[number, "m"] = self.now + 300
        else:
            lease.eject(verdict)
            key["out"] = True
            key["back"] = max(key["back"], self.now + (300 if verdict == "auth" else 3600))
            key["ejected"] = self.taken
            if self.trial.get(number) == taken:
                del self.trial[number]

    @invariant()
    def agrees(self) -> None:
        assert [key["leases"] for key in self.keys] == loads(self.pool)
        expected = ["trial" if key["order"] in self.trial else "ejected" if key["out"] else None for key in self.keys]
        assert expected == [state if state in ("trial", "ejected") else None for state in states(self.pool)]


TestKeysMachine = KeysMachine.TestCase
TestKeysMachine.settings = settings(max_examples=80, stateful_step_count=50)

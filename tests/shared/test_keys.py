from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from llmkit import APIKeyPool, NoAvailableKeyError
from llmkit.shared.keys import SharedPool
from llmkit.shared.scripts import LOOK

Until = Callable[..., None]
SECRETS = ["sk-first-0123456789", "sk-second-0123456789"]


class Pool(SharedPool):
    """One that looks by itself what Redis says, as an endpoint's board has it do."""

    def __init__(self, store: Any, **facts: Any) -> None:
        super().__init__(APIKeyPool(SECRETS, **facts), store=store, name=store.name("openai@x", "keys"))

    def look(self) -> Pool:
        told = self._store.decide(LOOK, ["{openai@x}", "{openai@x}", self.name, "{openai@x}"], [self.version])
        self.take_over(told[2].decode(), told[3])
        return self

    def states(self) -> list[str]:
        return [row["state"] for row in self.look().snapshot()]


@pytest.fixture
def pair(stores: Any) -> tuple[Pool, Pool]:
    return Pool(stores()), Pool(stores())


def test_a_key_that_is_cooled_rests_everywhere(pair: Any, stores: Any) -> None:
    """For as long as the provider said."""
    ours, theirs = pair
    with ours.acquire() as lease:
        lease.cool(30.0)
    stores.flush()

    labels = [theirs.look().acquire().label for _ in range(2)]

    assert ["cooling", "ready"] == theirs.states()
    assert 29 < theirs.snapshot()[0]["retry_after"] <= 30
    assert 1 == len(set(labels))
    assert labels[0].startswith("key 2")


@pytest.mark.parametrize("reason", ["auth", "quota"])
def test_a_key_that_is_put_out_is_out_everywhere(pair: Any, stores: Any, reason: Any) -> None:
    """It need not be refused in each process."""
    ours, theirs = pair
    with ours.acquire() as lease:
        lease.eject(reason)
    stores.flush()

    assert ["ejected", "ready"] == theirs.states()
    assert reason == theirs.snapshot()[0]["reason"]


def test_a_key_that_may_not_use_a_model_is_left_out_for_it_everywhere(pair: Any, stores: Any) -> None:
    """And for no other."""
    ours, theirs = pair
    with ours.acquire("gpt 5/x") as lease:
        lease.forbid("gpt 5/x")
    stores.flush()
    theirs.look()

    assert theirs.acquire("gpt 5/x").label.startswith("key 2")
    assert theirs.acquire("other").label.startswith("key 1")
    assert [["gpt 5/x"], []] == [row["denied_models"] for row in theirs.snapshot()]


def test_a_shorter_rest_never_replaces_a_longer_one(pair: Any, stores: Any) -> None:
    """Wherever it comes from."""
    ours, theirs = pair
    with ours.acquire() as lease:
        lease.cool(60.0)
    stores.flush()
    with theirs.acquire() as lease:
        lease.cool(1.0)
    stores.flush()

    assert theirs.look().snapshot()[0]["retry_after"] > 50
    assert ours.look().snapshot()[0]["retry_after"] > 50


def test_one_call_of_all_processes_tries_a_key_again(pair: Any, stores: Any) -> None:
    """And what it finds holds for all."""
    ours, theirs = pair
    with ours.acquire(exclude={ours.snapshot()[1]["label"]}) as lease:
        lease.eject("auth", ours._clock() + 0.01)
    with ours.acquire() as lease:
        lease.cool(60.0)
    stores.flush()
    theirs.look()
    trial = wait_for_key(ours)

    with pytest.raises(NoAvailableKeyError):
        theirs.look().acquire()
    trial.good()
    trial.release()
    stores.flush()

    assert ["ready", "cooling"] == theirs.states()
    assert theirs.acquire().label == trial.label


def test_a_trial_that_came_to_nothing_is_free_for_others(pair: Any, stores: Any) -> None:
    """It was cancelled, perhaps."""
    ours, theirs = pair
    for _ in range(2):
        with ours.acquire() as lease:
            lease.eject("auth", ours._clock() + 0.01)
    stores.flush()
    theirs.look()
    wait_for_key(ours).release()
    stores.flush()

    assert wait_for_key(theirs)


def wait_for_key(pool: Pool) -> Any:
    until = time.monotonic() + 3
    while True:
        try:
            return pool.look().acquire()
        except NoAvailableKeyError:
            assert time.monotonic() < until
            time.sleep(0.002)


def test_the_pool_given_learns_what_the_shared_one_does(stores: Any) -> None:
    """It is one and the same to those who use it without sharing."""
    given = APIKeyPool(SECRETS)
    ours = SharedPool(given, store=stores(), name="{x}:keys")

    with ours.acquire() as lease:
        lease.cool(60.0)

    assert ["cooling", "ready"] == [row["state"] for row in given.snapshot()]


def test_where_redis_is_lost_each_pool_goes_on_from_what_it_knew(pair: Any, stores: Any, redis_server: Any) -> None:
    """A key that rested rests still, and one can be put out and tried again."""
    ours, theirs = pair
    with ours.acquire() as lease:
        lease.cool(30.0)
    stores.flush()
    theirs.look()
    redis_server.stop()

    with theirs.acquire() as lease:
        lease.eject("auth", theirs._clock() - 1)

    assert ["cooling", "ejected"] == [row["state"] for row in theirs.snapshot()]
    with theirs.acquire() as trial:
        trial.good()
    assert ["cooling", "ready"] == [row["state"] for row in theirs.snapshot()]


def test_a_redis_that_forgets_brings_no_key_back(pair: Any, stores: Any, redis_server: Any) -> None:
    """What was known stays known, and what is found out then is told."""
    ours, theirs = pair
    with ours.acquire() as lease:
        lease.cool(30.0)
    stores.flush()
    theirs.look()
    redis_server.ask("FLUSHALL")
    assert ["cooling", "ready"] == theirs.states()

    with theirs.acquire() as lease:
        lease.eject("quota")
    stores.flush()

    assert ["cooling", "ejected"] == ours.states()


def test_no_part_of_a_key_is_in_redis(pair: Any, stores: Any, redis_server: Any) -> None:
    """Only a digest, which is another in another namespace."""
    ours, _ = pair
    other = SharedPool(APIKeyPool(SECRETS), store=stores(namespace="other"), name="{y}:keys")
    for pool in (ours, other):
        with pool.acquire("m") as lease:
            lease.cool(30.0)
            lease.eject("auth")
            lease.forbid("m")
    stores.flush()

    held = [set(redis_server.ask("HKEYS", name)) for name in (ours.name, other.name)]

    assert all(b"first" not in text and b"0123" not in text for each in held for text in each)
    assert [4, 4] == [len(each) for each in held]
    assert {b"version"} == held[0] & held[1]
    assert all(0 < redis_server.ask("TTL", name) for name in (ours.name, other.name))


def test_a_healthy_pool_looks_and_writes_nothing(pair: Any, redis_server: Any) -> None:
    """Its calls cost no note."""
    ours, _ = pair

    for _ in range(5):
        with ours.look().acquire("m") as lease:
            lease.good("m")

    assert not ours._store._notes
    assert 0 == redis_server.ask("EXISTS", ours.name)

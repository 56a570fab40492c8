"""Clients of several processes that share limits, breakers, keys and budgets, and what they do when their Redis is lost."""

from __future__ import annotations

import asyncio
import pickle
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import llmkit
from llmkit import (
    Budget,
    BudgetExceededError,
    CircuitBreakerConfig,
    CircuitOpenError,
    CircuitState,
    Client,
    ConfigurationError,
    RateLimit,
    RateLimitTimeoutError,
    RetryConfig,
    Shared,
    SharedStateError,
    Target,
    TokenBucket,
)
from llmkit.shared.board import sharing_of
from llmkit.shared.store import Store
from llmkit.testing import FakeServer, Reply
from llmkit_async import AsyncClient

Connect = Callable[..., Any]

USED = {"prompt_tokens": 1000, "completion_tokens": 1000, "total_tokens": 2000}  # gpt-4o-mini: 0.00015 + 0.0006 dollars
QUICK = RetryConfig(max_retries=2, base_delay=0.001)


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return what makes the clients made afterwards those of another process: with a store of its own."""
    monkeypatch.setattr("llmkit.shared.store.PROBE", 0.02)

    def leave() -> None:
        monkeypatch.setattr("llmkit.shared.board._registry.found", {})

    leave()
    return leave


def flush(*clients: Any) -> None:
    for client in clients:
        getattr(client, "twin", client)._router.flush()


def until_back(client: Any) -> None:
    store: Store = getattr(client, "twin", client)._router.sharing.store
    until = time.monotonic() + 5
    while store.is_lost:
        assert time.monotonic() < until
        time.sleep(0.005)


def test_a_limit_is_kept_together(connect: Connect, server: FakeServer, redis_server: Any, others: Any) -> None:
    """What one has sent, the other cannot."""
    limit = RateLimit(requests_per_minute=5)
    ours = connect(shared=redis_server.url, rate_limit=limit, deadline=2)
    others()
    theirs = connect(shared=redis_server.url, rate_limit=limit, deadline=2)
    for client in (ours, theirs, ours, theirs, ours):
        client.complete("Say hi")

    with pytest.raises(RateLimitTimeoutError) as caught:
        theirs.complete("Say hi")

    assert 10 < (caught.value.retry_after or 0) <= 12
    assert 5 == server.hits


def test_a_wait_for_others_is_told_in_the_ledger(connect: Connect, server: FakeServer, redis_server: Any, others: Any) -> None:
    """As the client's own limit."""
    ours = connect(shared=redis_server.url, rate_limit=TokenBucket(1, 20))
    others()
    theirs = connect(shared=redis_server.url, rate_limit=TokenBucket(1, 20))
    ours.complete("Say hi")

    reply = theirs.complete("Say hi")

    assert "the client's own limit" == reply.attempts[0].why
    assert reply.attempts[0].wait > 0


def test_tokens_are_corrected_for_all(connect: Connect, server: FakeServer, redis_server: Any, others: Any) -> None:
    """By what the answers report."""
    server.always(Reply("ok", usage={"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10}))
    clients = []
    for _ in range(2):
        others()
        clients.append(connect(shared=redis_server.url, rate_limit=RateLimit(tokens_per_minute=1000), deadline=1))

    for turn in range(20):
        clients[turn % 2].complete("Say hi", max_tokens=500)
        flush(*clients)

    assert 20 == server.hits


def test_a_bucket_is_one_for_all_addresses(connect: Connect, server: FakeServer, redis_server: Any, others: Any) -> None:
    """As it is without sharing: a fallback takes from it too."""
    with FakeServer() as second:
        client = connect(
            shared=redis_server.url,
            rate_limit=TokenBucket(2, 0.001),
            fallbacks=[Target("custom/m", base_url=second.url("openai"))],
            retry=None,
            deadline=1,
        )
        server.enqueue(Reply.error(500))
        client.complete("Say hi")

        with pytest.raises(llmkit.AllProvidersFailedError):
            client.complete("Say hi")

    assert [1, 1] == [server.hits, second.hits]


def test_a_breaker_opened_in_one_is_open_in_the_other(connect: Connect, server: FakeServer, redis_server: Any, others: Any) -> None:
    """Though it has seen no failure itself; its hooks are told."""
    server.always(Reply.error(500))
    events: list[Any] = []
    facts: dict[str, Any] = {"shared": redis_server.url, "retry": None, "circuit_breaker": CircuitBreakerConfig(failure_threshold=3)}
    ours = connect(**facts)
    others()
    theirs = connect(**facts, hooks=[events.append])
    for _ in range(3):
        with pytest.raises(llmkit.InternalError):
            ours.complete("Say hi")

    with pytest.raises(CircuitOpenError) as caught:
        theirs.complete("Say hi")

    assert 55 < (caught.value.retry_after or 0) <= 66
    assert 3 == server.hits
    assert CircuitState.OPEN is theirs.breaker().state
    assert {"old": "closed", "new": "open"} in [event.facts for event in events if event.name == "breaker"]


def test_a_breaker_stops_a_call_of_another_between_its_attempts(
    connect: Connect, server: FakeServer, redis_server: Any, others: Any
) -> None:
    """Its own second attempt is the failure too many."""
    server.always(Reply.error(500))
    facts: dict[str, Any] = {"shared": redis_server.url, "circuit_breaker": CircuitBreakerConfig(failure_threshold=3)}
    ours = connect(**facts, retry=None)
    others()
    theirs = connect(**facts, retry=QUICK)
    with pytest.raises(llmkit.InternalError):
        ours.complete("Say hi")

    with pytest.raises(llmkit.InternalError) as caught:
        theirs.complete("Say hi")

    assert caught.value.circuit_open
    assert 2 == len(caught.value.attempts)


def test_an_address_that_cannot_be_reached_is_left_alone_by_all(connect: Connect, redis_server: Any, others: Any) -> None:
    """Whatever the model."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    facts: dict[str, Any] = {
        "shared": redis_server.url,
        "base_url": f"http://127.0.0.1:{port}/v1",
        "retry": None,
        "circuit_breaker": CircuitBreakerConfig(failure_threshold=2),
    }
    ours = connect(**facts)
    others()
    theirs = connect("openai/another-model", **facts)
    for _ in range(2):
        with pytest.raises(llmkit.NetworkError):
            ours.complete("Say hi")

    with pytest.raises(CircuitOpenError):
        theirs.complete("Say hi")


@pytest.mark.parametrize("status", [429, 401])
def test_a_key_refused_in_one_rests_in_the_other(connect: Connect, server: FakeServer, redis_server: Any, others: Any, status: int) -> None:
    """It is not asked there at all."""
    keys = ["sk-first-0123456789", "sk-second-0123456789"]
    ours = connect(shared=redis_server.url, api_keys=keys)
    others()
    theirs = connect(shared=redis_server.url, api_keys=keys)
    server.enqueue(Reply.error(status, headers={"retry-after": "30"}))
    ours.complete("Say hi")

    used = [theirs.complete("Say hi").attempts[0].key for _ in range(3)]

    assert 5 == server.hits
    assert 1 == len(set(used))
    assert "key 2" in used[0]


def test_retries_are_paid_out_of_one_purse(connect: Connect, server: FakeServer, redis_server: Any, others: Any) -> None:
    """When one process has spent it, the other does not retry."""
    server.always(Reply.error(500))
    facts: dict[str, Any] = {"shared": redis_server.url, "circuit_breaker": None}
    ours = connect(**facts, retry=RetryConfig(max_retries=120, base_delay=0.0001, max_delay=0.0001))
    others()
    theirs = connect(**facts, retry=QUICK)
    with pytest.raises(llmkit.InternalError) as caught:
        ours.complete("Say hi")
    assert caught.value.retry_quota_exhausted

    with pytest.raises(llmkit.InternalError) as caught:
        theirs.complete("Say hi")

    assert caught.value.retry_quota_exhausted
    assert 1 == len(caught.value.attempts)


def test_a_budget_is_spent_together(connect: Connect, server: FakeServer, redis_server: Any, others: Any) -> None:
    """What one has spent, the other cannot."""
    server.always(Reply("ok", usage=USED))
    ours = connect(shared=redis_server.url, budget="0.002")
    others()
    theirs = connect(shared=redis_server.url, budget="0.002")
    ours.complete("Say hi", max_tokens=1000)
    theirs.complete("Say hi", max_tokens=1000)
    flush(theirs)  # it has cost more than was foreseen, which the next is to know

    with pytest.raises(BudgetExceededError) as caught:
        ours.complete("Say hi", max_tokens=1000)

    assert "0.0015" == caught.value.metadata["spent"]
    assert 2 == server.hits


def test_a_budget_with_a_name_is_one_wherever_it_is_met(connect: Connect, server: FakeServer, redis_server: Any, others: Any) -> None:
    """Around calls, too; and one without is its block's alone."""
    server.always(Reply("ok", usage=USED))
    ours = connect(shared=redis_server.url)
    others()
    theirs = connect(shared=redis_server.url)
    with llmkit.budget(Budget("0.001", name="tonight")), llmkit.budget("0.001"):
        ours.complete("Say hi", max_tokens=1000)
    flush(ours)

    with llmkit.budget("0.001"):
        theirs.complete("Say hi", max_tokens=1000)
    with llmkit.budget(Budget("0.001", name="tonight")) as spending, pytest.raises(BudgetExceededError):
        theirs.complete("Say hi", max_tokens=1000)

    assert 0 == spending.reserved
    assert 2 == server.hits


OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "complete": lambda client: client.complete("Say hi"),
    "stream": lambda client: client.stream("Say hi").collect(),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_redis_lost_in_the_midst_loses_no_call(
    connect: Connect, server: FakeServer, redis_server: Any, others: Any, operation: str
) -> None:
    """Nor one restarted, though it has forgotten all."""
    client = connect(shared=redis_server.url, rate_limit=RateLimit(requests_per_minute=6000, max_concurrency=5), budget="1.00", deadline=5)
    work = OPERATIONS[operation]

    for _ in range(3):
        work(client)
    redis_server.stop()
    for _ in range(3):
        work(client)
    redis_server.start()
    until_back(client)
    for _ in range(3):
        work(client)

    assert 9 == server.hits


def test_answers_are_kept_for_all(connect: Connect, server: FakeServer, redis_server: Any, others: Any) -> None:
    """Where a cache is wanted, and none in particular."""
    ours = connect(shared=redis_server.url, cache=True)
    others()
    theirs = connect(shared=f"{redis_server.url}?namespace=llmkit", cache=True)

    first, again = ours.complete("Say hi"), theirs.complete("Say hi")

    assert [False, True] == [first.cached, again.cached]
    assert 1 == server.hits


def test_a_redis_that_is_lost_is_never_no_limit(connect: Connect, server: FakeServer, redis_server: Any, others: Any) -> None:
    """Each process has its share of what was left; here two have half of it each."""
    clients = []
    for _ in range(2):
        others()
        clients.append(connect(shared=f"{redis_server.url}?processes=2", rate_limit=TokenBucket(12, 0.001), deadline=1))
    for client in clients:
        client.complete("Say hi")
    redis_server.stop()

    for client in clients:
        with pytest.raises(RateLimitTimeoutError):
            for _ in range(20):
                client.complete("Say hi")

    assert 10 <= server.hits <= 12


def test_a_loss_may_refuse_calls(connect: Connect, server: FakeServer, redis_server: Any, others: Any) -> None:
    """By an error of its own, at once, and without a fallback, which would be refused as well."""
    client = connect(shared=f"{redis_server.url}?on_loss=fail", fallbacks=["openai/other"])
    client.complete("Say hi")
    redis_server.stop()

    with pytest.raises(SharedStateError) as caught:
        client.complete("Say hi")

    assert "shared" == caught.value.kind
    assert caught.value.retryable
    assert f"127.0.0.1:{redis_server.port}" in str(caught.value)
    assert "on_loss" in str(caught.value)
    redis_server.start()
    until_back(client)
    client.complete("Say hi")
    assert 2 == server.hits


def test_scripts_flushed_in_the_midst_are_no_loss(connect: Connect, server: FakeServer, redis_server: Any, others: Any) -> None:
    """They are sent again."""
    client = connect(shared=redis_server.url, rate_limit=RateLimit(requests_per_minute=6000, max_concurrency=2), budget="1.00")

    for command in (("SCRIPT", "FLUSH"), ("FLUSHALL",), ("SCRIPT", "FLUSH")):
        client.complete("Say hi")
        redis_server.ask(*command)
    client.complete("Say hi")

    assert not getattr(client, "twin", client)._router.sharing.store.is_lost


def test_a_silent_redis_holds_a_call_up_for_a_moment_only(connect: Connect, server: FakeServer, others: Any) -> None:
    """Once: then it is known to be lost."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"redis://127.0.0.1:{silent.getsockname()[1]}?timeout=0.05"
        client = connect(shared=address, rate_limit=RateLimit(requests_per_minute=6000), budget="1.00")
        started = time.monotonic()

        for _ in range(5):
            client.complete("Say hi")

        assert time.monotonic() - started < 1.5


def test_what_it_shares_through_is_told_without_a_password(connect: Connect, server: FakeServer, redis_server: Any, others: Any) -> None:
    """In ``explain``, ``check``, ``repr``, logs and errors."""
    redis_server.ask("CONFIG", "SET", "requirepass", "canary-secret")
    shared = redis_server.url.replace("//", "//:canary-secret@")
    client = connect(shared=shared)

    shown = [client.explain("Say hi"), client.check(), client, getattr(client, "twin", client)._router.settings]

    assert f"redis://127.0.0.1:{redis_server.port}/0" in str(shown[0].reasons)
    assert shown[1].ok
    assert "canary" not in "".join(f"{each!r} {each}" for each in shown)


def test_a_password_does_not_travel_in_a_pickle(server: FakeServer, monkeypatch: pytest.MonkeyPatch, others: Any) -> None:
    """An address without one does."""
    pytest.importorskip("redis")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
    with pytest.raises(ConfigurationError, match="password"):
        pickle.dumps(Client("openai/gpt-4o-mini", shared="redis://:canary@localhost:1/0"))

    restored = pickle.loads(pickle.dumps(Client("openai/gpt-4o-mini", shared=Shared("redis://localhost:1/0", on_loss="fail"))))

    assert Shared("redis://localhost:1/0", on_loss="fail") == restored._router.settings.shared


@pytest.mark.parametrize("given", ["localhost:6379", "http://localhost", "redis://", 6379, True])
def test_what_is_no_address_is_refused(connect: Connect, given: Any) -> None:
    """By name, before anything is sent."""
    with pytest.raises(ConfigurationError, match="shared is the address of a Redis"):
        connect(shared=given)


def test_clients_of_one_process_share_one_connection_and_one_line(redis_server: Any, others: Any) -> None:
    """Their threads are served in the order in which they came."""
    first = Client("openai/gpt-4o-mini", api_key="sk-test-0123", shared=redis_server.url, rate_limit=RateLimit(requests_per_minute=10))
    second = Client("openai/gpt-4o", api_key="sk-test-0123", shared=redis_server.url, rate_limit=RateLimit(requests_per_minute=10))

    assert first._router.sharing is second._router.sharing is sharing_of(Shared(redis_server.url))
    assert first._router.default.limiter is second._router.default.limiter


def test_the_names_in_redis_hold_no_secret_and_all_end(connect: Connect, server: FakeServer, redis_server: Any, others: Any) -> None:
    """Keys of two nodes of a cluster are never in one script: each script's share one name in braces."""
    server.enqueue(Reply.error(429, headers={"retry-after": "5"}), Reply.error(500))
    client = connect(
        shared=redis_server.url,
        api_keys=["sk-canary-0123456789", "sk-canary-9876543210"],
        rate_limit=RateLimit(requests_per_minute=6000, tokens_per_minute=10**6, max_concurrency=5),
        budget="1.00",
        retry=QUICK,
    )
    client.complete("Say hi")
    flush(client)

    names = redis_server.ask("KEYS", "*")
    dumps = [redis_server.ask("DUMP", name) for name in names]

    assert len(names) >= 6
    assert all(name.startswith(b"llmkit:{") for name in names)
    assert not [each for each in (*names, *dumps) if b"canary" in each]
    assert all(redis_server.ask("TTL", name) > 0 for name in names)


def test_a_cluster_takes_every_script(server: FakeServer, tmp_path: Any, redis_server: Any, others: Any) -> None:
    """It refuses one whose keys lie on different nodes."""
    cluster = type(redis_server)(tmp_path, "--cluster-enabled", "yes")
    try:
        cluster.ask("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        until = time.monotonic() + 5
        while cluster.ask("CLUSTER INFO")["cluster_state"] != "ok":
            assert time.monotonic() < until
            time.sleep(0.01)
        server.enqueue(Reply.error(429), Reply.error(500))
        client = Client(
            "openai/gpt-4o-mini",
            base_url=server.url("openai"),
            api_keys=["sk-test-0123", "sk-test-4567"],
            shared=Shared(cluster.url, on_loss="fail"),
            rate_limit=RateLimit(requests_per_minute=6000, max_concurrency=5),
            budget="1.00",
            circuit_breaker=CircuitBreakerConfig(failure_threshold=1, failure_rate=0.5, reset_time=0.01),
            retry=None,
        )

        for _ in range(4):
            try:
                client.complete("Say hi")
            except (llmkit.ProviderError, CircuitOpenError):
                time.sleep(0.02)
        client.complete("Say hi")
        flush(client)

        assert not client._router.sharing.store.is_lost
    finally:
        cluster.stop()


# -- the event loop


def test_an_event_loop_is_never_held_up(server: FakeServer, others: Any) -> None:
    """Redis is asked in a thread: where it is silent, the loop goes on."""

    async def main() -> float:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            shared = f"redis://127.0.0.1:{silent.getsockname()[1]}?timeout=0.3"
            async with AsyncClient("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="sk-test-0123", shared=shared) as client:
                call = asyncio.ensure_future(client.complete("Say hi"))
                longest, last = 0.0, time.monotonic()
                while not call.done():
                    await asyncio.sleep(0.001)
                    longest, last = max(longest, time.monotonic() - last), time.monotonic()
                await call
                return longest

    assert asyncio.run(main()) < 0.25


def test_tasks_cancelled_while_redis_is_asked_leave_nothing_behind(server: FakeServer, redis_server: Any, others: Any) -> None:
    """Neither a place, nor a probe, nor money, nor a turn in the line."""
    server.always(Reply(delay=0.002))

    async def main() -> tuple[Any, int]:
        async with AsyncClient(
            "openai/gpt-4o-mini",
            base_url=server.url("openai"),
            api_key="sk-test-0123",
            shared=redis_server.url,
            rate_limit=RateLimit(max_concurrency=3),
            budget="5.00",
        ) as client:
            await client.complete("Say hi")
            for turn in range(60):
                tasks = [asyncio.ensure_future(client.complete("Say hi")) for _ in range(3)]
                for _ in range(turn % 12):
                    await asyncio.sleep(0.0003)
                for task in tasks[turn % 2 :]:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            # A thread that was asking goes on to its end.
            for _ in range(100):
                if not client._router.active:
                    break
                await asyncio.sleep(0.01)
            await client.complete("Say hi")
            limiter, budget = client._router.default.limiter, client._router.settings.budget
            assert limiter is not None
            assert budget is not None
            return limiter.snapshot(), int(budget.reserved)

    state, reserved = asyncio.run(main())
    money = next(name for name in redis_server.ask("KEYS", "*:money"))
    sending = redis_server.ask("KEYS", "*:sending")

    assert {"requests": None, "tokens": None, "concurrency": 3, "waiting": 0} == state
    assert 0 == reserved
    assert b"0" == redis_server.ask("HGET", money, "reserved")
    assert [] == sending


def test_tasks_wait_their_turn_in_order(server: FakeServer, redis_server: Any, others: Any) -> None:
    """As threads do."""
    server.enqueue(Reply(delay=0.3))

    async def main() -> list[int]:
        limit = RateLimit(max_concurrency=1)
        async with AsyncClient(
            "openai/gpt-4o-mini", base_url=server.url("openai"), api_key="sk-test-0123", shared=redis_server.url, rate_limit=limit
        ) as client:
            limiter = client._router.default.limiter
            assert limiter is not None
            served: list[int] = []

            async def ask(number: int) -> None:
                await client.complete("Say hi")
                served.append(number)

            tasks = []
            for number in range(6):
                tasks.append(asyncio.ensure_future(ask(number)))
                while limiter.snapshot()["waiting"] < number or limiter.snapshot()["concurrency"] == 1:
                    await asyncio.sleep(0.001)
            await asyncio.gather(*tasks)
            return served

    assert [0, 1, 2, 3, 4, 5] == asyncio.run(main())


def test_cancel_all_ends_those_who_wait_for_others(server: FakeServer, redis_server: Any, others: Any) -> None:
    """And their places in the line are gone."""
    client = Client(
        "openai/gpt-4o-mini",
        base_url=server.url("openai"),
        api_key="sk-test-0123",
        shared=redis_server.url,
        rate_limit=TokenBucket(1, 0.01),
        deadline=1000,
    )
    client.complete("Say hi")
    errors: list[BaseException] = []

    def ask() -> None:
        try:
            client.complete("Say hi")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    limiter = client._router.default.limiter
    assert limiter is not None
    until = time.monotonic() + 5
    while limiter.snapshot()["waiting"] < 4:
        assert time.monotonic() < until
        time.sleep(0.001)

    client.cancel_all()
    for thread in threads:
        thread.join(5)

    assert 4 == len(errors)
    assert 0 == limiter.snapshot()["waiting"]


# -- other processes


CLIENT = """
import time
import llmkit
from llmkit.shared import store
store.BEAT, store.PROBE = 0.1, 0.05
url, base_url, face, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
facts = dict(base_url=base_url, api_key="sk-test-0123456789", shared=url, budget="0.0076", rate_limit=llmkit.TokenBucket(10, 75))
answered = refused = 0
ready()
if face == "sync":
    client = llmkit.Client("openai/gpt-4o-mini", **facts)
    for _ in range(count):
        try:
            client.complete("Say hi", max_tokens=300)
            answered += 1
        except llmkit.BudgetExceededError:
            refused += 1
    client.close()
else:
    import asyncio
    from llmkit_async import AsyncClient
    async def main():
        async with AsyncClient("openai/gpt-4o-mini", **facts) as client:
            return await asyncio.gather(*(client.complete("Say hi", max_tokens=300) for _ in range(count)), return_exceptions=True)
    for result in asyncio.run(main()):
        if isinstance(result, llmkit.BudgetExceededError):
            refused += 1
        elif isinstance(result, BaseException):
            raise result
        else:
            answered += 1
print(answered, refused)
"""


def test_four_processes_of_both_faces_keep_one_limit_and_one_budget(server: FakeServer, redis_server: Any, processes: Any) -> None:
    """Within two per cent of the limit, and not a cent over the budget, though Redis forgets its scripts in the midst."""
    # 0.00015 dollars each, and foreseen to cost a little more.
    server.always(Reply("ok", usage={"prompt_tokens": 0, "completion_tokens": 250, "total_tokens": 250}))
    for face in ("sync", "async", "sync", "async"):
        processes.start(CLIENT, redis_server.url, server.url("openai"), face, "20")
    processes.go()
    started = time.monotonic()
    server.wait_for(lambda server: server.hits >= 20, 20)
    redis_server.ask("SCRIPT", "FLUSH")
    counts = [[int(each) for each in line.split()] for line in processes.results()]
    lasted = time.monotonic() - started

    answered, refused = (sum(column) for column in zip(*counts, strict=True))
    spent = redis_server.ask("HGET", redis_server.ask("KEYS", "*:money")[0], "spent")
    assert [80, answered] == [answered + refused, server.hits]
    assert server.hits <= 1.02 * (10 + 75 * lasted)
    assert 45 <= answered <= 50
    assert answered * 150_000 == int(spent)

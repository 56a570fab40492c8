"""Budgets over the processes of an executor: nothing is sent once they are spent, and what was spent is known here."""

from __future__ import annotations

import os
import pickle
import signal
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

import llmkit
from llmkit import (
    BatchResult,
    Budget,
    BudgetExceededError,
    ConfigurationError,
    InvalidRequestError,
    ModelRegistry,
    NetworkError,
    Price,
    RetryConfig,
)
from llmkit.testing import FakeServer, RecordedRequest, Reply

Connect = Callable[..., Any]

# A dollar for a million of either: what is foreseen of a prompt with max_tokens=1000 is a bit more than a tenth of a cent.
MODEL = "openai/priced-by-the-test"
USED = {"prompt_tokens": 600, "completion_tokens": 400, "total_tokens": 1000}
COST = Decimal("0.001")
QUICK = RetryConfig(max_retries=2, base_delay=0.001)


@pytest.fixture(autouse=True)
def _a_price() -> None:
    ModelRegistry.register("openai", "priced-by-the-test", price=Price(input=1, output=1))


def prompts(count: int) -> list[str]:
    return [f"p{number}" for number in range(count)]


def spent_over(result: BatchResult) -> list[bool]:
    """Return for each item whether it was refused for want of money; what else went wrong is raised."""
    for error in result.errors:
        if error is not None and not isinstance(error, BudgetExceededError):
            raise error
    return [error is not None for error in result.errors]


class Inline(Executor):
    """An executor in this very thread; what goes in and out is pickled, as on the way to others."""

    def __init__(self) -> None:
        self.granted: list[Decimal] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        fn, (traveller, chunk) = pickle.loads(pickle.dumps((fn, args)))
        self.granted.append(chunk.grant)
        future: Future[Any] = Future()
        future.set_result(pickle.loads(pickle.dumps(fn(traveller, chunk))))
        return future


@pytest.mark.parametrize("where", ["client", "around", "both"])
def test_nothing_is_sent_once_it_is_spent(where: str, travelling: Connect, server: FakeServer, pool: ProcessPoolExecutor) -> None:
    """By any process. The rest has its error, in its place; and this process knows what was spent, as if it had asked by itself."""
    server.always(Reply("ok", usage=USED))
    own, around = Budget("0.0205"), Budget("0.0205" if where == "around" else "1")
    client = travelling(MODEL, **({} if where == "around" else {"budget": own}))

    with llmkit.budget(around if where != "client" else Budget("1")):
        result = client.batch(prompts(60), executor=pool, max_concurrency=2, max_tokens=1000)

    refused = spent_over(result)
    assert 20 == refused.count(False) == server.hits
    assert list(range(60)) == [item.index for item in result]
    assert result.cost == 20 * COST
    for budget in {"client": [own], "around": [around], "both": [own, around]}[where]:
        assert (20 * COST, 0) == (budget.spent, budget.reserved)
    assert all("may cost" in str(error) and "budget of $0.0205" in str(error) for error in result.errors if error is not None)


def test_what_is_left_serves_the_calls_here(travelling: Connect, server: FakeServer, pool: ProcessPoolExecutor) -> None:
    """It is one budget."""
    server.always(Reply("ok", usage=USED))
    client = travelling(MODEL, budget="0.0105")

    client.complete("a", max_tokens=1000)
    result = client.batch(prompts(8), executor=pool, max_tokens=1000)
    client.complete("b", max_tokens=1000)

    assert 8 == result.succeeded
    with pytest.raises(BudgetExceededError):
        client.complete("c", max_tokens=1000)
    assert 10 == server.hits


def test_several_processes_spend_at_once(travelling: Connect, server: FakeServer, pool: ProcessPoolExecutor) -> None:
    """As long as there is enough for all."""
    server.always(Reply("ok", usage=USED, delay=0.002))
    budget = Budget("10")
    client = travelling(MODEL, budget=budget)

    for _ in range(50):  # a process that was slow to begin may have missed one
        result = client.batch(prompts(40), executor=pool, max_concurrency=2, max_tokens=1000)
        assert 40 == result.succeeded
        if len({request.key for request in server.requests}) == 2:
            break

    assert 2 == len({request.key for request in server.requests})
    assert server.hits * COST == budget.spent


def test_a_shared_budget_is_kept_by_all(travelling: Connect, server: FakeServer, redis_server: Any, own_pool: ProcessPoolExecutor) -> None:
    """In Redis, by name: each process asks there, and so does this one."""
    server.always(Reply("ok", usage=USED))
    budget = Budget("0.0205", name="nightly")
    client = travelling(MODEL, budget=budget, shared=redis_server.url)
    client.complete("a", max_tokens=1000)

    result = client.batch(prompts(60), executor=own_pool, max_concurrency=2, max_tokens=1000)

    assert 19 <= server.hits <= 20  # what both have under way at the end may be refused to both
    assert server.hits == 1 + spent_over(result).count(False)
    assert list(range(60)) == [item.index for item in result]
    assert result.cost == (server.hits - 1) * COST
    assert COST == budget.spent  # the part of this process
    with pytest.raises(BudgetExceededError, match=r"spent"):
        client.complete("b", max_tokens=2000)


def test_beside_a_shared_budget_one_around_is_kept_here(
    travelling: Connect, server: FakeServer, redis_server: Any, pool: ProcessPoolExecutor
) -> None:
    """Each question needs both."""
    server.always(Reply("ok", usage=USED))
    client = travelling(MODEL, budget="1", shared=redis_server.url)

    with llmkit.budget("0.0055") as around:
        result = client.batch(prompts(12), executor=pool, max_concurrency=2, max_tokens=1000)

    assert (5, 5) == (spent_over(result).count(False), server.hits)
    assert 5 * COST == around.spent


def test_more_than_was_foreseen_counts_in_full(travelling: Connect, server: FakeServer) -> None:
    """And what its chunk was granted is then too little for the others, but not the budget."""
    used = {"prompt_tokens": 5000, "completion_tokens": 5000, "total_tokens": 10000}
    server.always(Reply("ok", usage=used))
    budget = Budget("1")
    client = travelling(MODEL, budget=budget, retry=None)

    result = client.batch(prompts(8), executor=Inline(), max_concurrency=4, max_tokens=1000)

    assert [False] * 8 == spent_over(result)
    assert (8, 8 * Decimal("0.01")) == (server.hits, budget.spent)


class Together(Inline):
    """An executor that is done with nothing until it has *count* chunks."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count
        self.begun: list[tuple[Future[Any], Any, Any]] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.begun.append((future, fn, args))
        if len(self.begun) == self.count:
            for each, function, given in self.begun:
                each.set_result(super().submit(function, *given).result())
        return future


def test_what_the_budget_itself_lacks_is_refused_in_the_end(travelling: Connect, server: FakeServer) -> None:
    """Each of four chunks was under way when it turned out to cost more than was foreseen; nothing comes after them."""
    used = {"prompt_tokens": 5000, "completion_tokens": 5000, "total_tokens": 10000}
    server.always(Reply("ok", usage=used))
    budget = Budget("0.0105")
    client = travelling(MODEL, budget=budget, retry=None)

    result = client.batch(prompts(8), executor=Together(4), max_concurrency=1, max_tokens=1000)

    assert [False, True] * 4 == spent_over(result)
    assert (4, 4 * Decimal("0.01")) == (server.hits, budget.spent)


def test_a_try_that_may_be_billed_counts_as_foreseen(travelling: Connect, server: FakeServer) -> None:
    """Just as it does here, the one after it too; what is refused costs nothing."""

    def answer(request: RecordedRequest) -> Reply:
        text = request.json["messages"][-1]["content"]
        return Reply(cut_head=0) if "cut" in text else Reply.error(400) if "bad" in text else Reply("ok", usage=USED)

    server.always(answer)
    spent = []
    for executor in (None, Inline()):
        budget = Budget("1")
        client = travelling(MODEL, budget=budget, retry=RetryConfig(max_retries=1, base_delay=0.001), circuit_breaker=None)
        result = client.batch(["cut", "bad", "good"], executor=executor, max_concurrency=2, max_tokens=1000)
        assert [NetworkError, InvalidRequestError, type(None)] == [type(error) for error in result.errors]
        spent.append((budget.spent, budget.reserved))

    assert spent[0] == spent[1]
    assert spent[1][0] > 3 * COST  # two tries that were cut, and a good one


def test_there_is_room_for_retries_and_the_dearest_fallback(travelling: Connect, server: FakeServer) -> None:
    """As long as the budget has it."""
    ModelRegistry.register("openai", "dear", price=Price(input=50, output=50))
    server.always(lambda request: Reply("ok", usage=USED) if request.json["model"] == "dear" else Reply.error(503))
    budget, executor = Budget("100"), Inline()
    client = travelling(MODEL, budget=budget, fallbacks=["openai/dear"], retry=QUICK, circuit_breaker=None)

    result = client.batch(["a"], executor=executor, max_tokens=1000)

    assert [False] == spent_over(result)
    assert 50 * COST == budget.spent == result.cost
    assert executor.granted[0] > 3 * 50 * COST


def test_near_its_end_it_goes_to_the_cheap_model_only(travelling: Connect, server: FakeServer) -> None:
    """What may not be spent is not sent, at the fallback neither."""
    ModelRegistry.register("openai", "dear", price=Price(input=50, output=50))
    server.always(lambda request: Reply("ok", usage=USED) if request.json["messages"][-1]["content"] == "a" else Reply.error(400))
    budget = Budget("0.01")
    client = travelling(MODEL, budget=budget, fallbacks=[llmkit.Target("openai/dear", on=["bad_request"])], retry=QUICK)

    result = client.batch(["a", "b"], executor=Inline(), max_tokens=1000, max_concurrency=1)

    assert result[0].ok
    assert isinstance(result[1].error, BudgetExceededError)
    assert "which the budget has not left for its part of the batch" in str(result[1].error)
    assert 2 == server.hits
    assert COST == budget.spent


class Near(Executor):
    """An executor of the user's own that stays in this process."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def test_in_one_process_it_is_charged_once(travelling: Connect, server: FakeServer) -> None:
    """By whoever keeps it; so is what was used counted."""
    server.always(Reply("ok", usage=USED))
    client = travelling(MODEL, budget="1")

    with llmkit.budget("1") as around, llmkit.track() as seen:
        result = client.batch(prompts(8), executor=Near(), max_concurrency=2, max_tokens=1000)

    assert [False] * 8 == spent_over(result)
    assert 8 * COST == around.spent == seen.estimated_cost == client.usage.estimated_cost
    assert 8 == server.hits


def test_what_has_no_price_is_refused_in_its_place(travelling: Connect, server: FakeServer) -> None:
    """Nothing of it is sent; it is never taken for free."""
    server.always(Reply("ok", usage=USED))
    client = travelling(MODEL, budget="1")
    questions = [
        "a",
        {"messages": "b", "model": "openai/of-unknown-price"},
        {"messages": "c", "temprature": 1},
        {"messages": "d", "top_k": 3},
    ]

    result = client.batch(questions, executor=Inline(), max_tokens=1000)

    assert [True, False, False, False] == [item.ok for item in result]
    assert isinstance(result[1].error, ConfigurationError)
    assert "of-unknown-price is not known" in str(result[1].error)
    assert 1 == server.hits


def test_what_dies_with_its_process_counts_as_foreseen(travelling: Connect, server: FakeServer, own_pool: ProcessPoolExecutor) -> None:
    """Once for each question that was out: it may have been asked, and paid for."""
    server.always(lambda request: os.kill(int((request.key or "").rpartition("-")[2]), signal.SIGKILL) or Reply("ok"))
    budget = Budget("1")

    result = travelling(MODEL, budget=budget).batch(prompts(4), executor=own_pool, max_concurrency=2, max_tokens=1000)

    assert 4 == result.failed
    assert 0 == budget.reserved
    assert 4 * COST < budget.spent < 5 * COST


def test_what_was_never_asked_costs_nothing(travelling: Connect, server: FakeServer, own_pool: ProcessPoolExecutor) -> None:
    """Where the executor can tell, as those of the standard library can."""
    own_pool.shutdown()
    budget = Budget("1")

    result = travelling(MODEL, budget=budget).batch(prompts(4), executor=own_pool, max_tokens=1000)

    assert 4 == result.failed
    assert (0, 0) == (budget.spent, budget.reserved)


class Held(Inline):
    """An executor that is done with the first chunk when it has a second, and at work on the others until it is told to be done."""

    def __init__(self) -> None:
        super().__init__()
        self.first: list[Callable[[], None]] = []
        self.finish: list[Callable[[], None]] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if not self.first:
            self.first.append(lambda: future.set_result(super(Held, self).submit(fn, *args).result()))
            return future
        if not self.finish:
            self.first[0]()
        future.set_running_or_notify_cancel()
        self.finish.append(lambda: future.set_result(super(Held, self).submit(fn, *args).result()))
        return future


def test_what_comes_after_a_batch_was_left_counts_all_the_same(travelling: Connect, server: FakeServer) -> None:
    """With what it did cost; until then it is set aside."""
    server.always(Reply("ok", usage=USED))
    budget, executor = Budget("1"), Held()
    items = travelling(MODEL, budget=budget).batch_iter(prompts(4), executor=executor, max_concurrency=1, max_tokens=1000)
    next(items)
    items.close()
    left = (budget.spent, budget.reserved > 2 * COST)

    executor.finish[0]()

    assert (2 * COST, True) == left
    assert (4 * COST, 0) == (budget.spent, budget.reserved)


def test_where_an_executor_cannot_tell_what_it_gave_back_counts(travelling: Connect) -> None:
    """As foreseen: Dask, for one, lets us cancel what is at work."""

    class Cancelling(Executor):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            future: Future[Any] = Future()
            future.cancel()
            return future

    budget = Budget("1")

    result = travelling(MODEL, budget=budget).batch(prompts(2), executor=Cancelling(), max_tokens=1000)

    assert 2 == result.failed
    assert 2 * COST < budget.spent < 3 * COST
    assert 0 == budget.reserved


def test_what_does_not_come_back_by_the_deadline_counts(travelling: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """As foreseen; it can be cancelled here, but perhaps not there."""

    class Never(Executor):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            return Future()

    monkeypatch.setattr("llmkit.batch.work.GRACE", 0.02)
    budget = Budget("1")

    with llmkit.deadline(0.02):
        result = travelling(MODEL, budget=budget).batch(prompts(2), executor=Never(), max_tokens=1000)

    assert 2 == result.failed
    assert (True, 0) == (2 * COST < budget.spent, budget.reserved)

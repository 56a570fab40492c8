"""Nothing is sent once a budget is spent; what was paid for, or may have been, is counted."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

import llmkit
from llmkit import (
    Budget,
    BudgetExceededError,
    Client,
    ConfigurationError,
    InternalError,
    InvalidRequestError,
    ModelRegistry,
    Price,
    RequestTimeoutError,
    RetryConfig,
)
from llmkit.testing import FakeServer, Reply
from llmkit_async import AsyncClient

Connect = Callable[..., Any]

OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "complete": lambda client: client.complete("Say hi", max_tokens=1000),
    "stream": lambda client: client.stream("Say hi", max_tokens=1000).collect(),
}
# A dollar for a million of either, so that a thousand tokens are a tenth of a cent.
MODEL = "openai/priced-by-the-test"
USED = {"prompt_tokens": 600, "completion_tokens": 400, "total_tokens": 1000}
COST = Decimal("0.001")


@pytest.fixture(autouse=True)
def _a_price() -> None:
    ModelRegistry.register("openai", "priced-by-the-test", price=Price(input=1, output=1))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_answer_is_charged_what_it_cost(connect: Connect, server: FakeServer, operation: str) -> None:
    """Not what it might have."""
    server.enqueue(Reply("ok", usage=USED))
    budget = Budget("1.00")
    client = connect(MODEL, budget=budget)

    reply = OPERATIONS[operation](client)

    assert COST == reply.cost == budget.spent
    assert 0 == budget.reserved


@pytest.mark.parametrize("operation", OPERATIONS)
def test_nothing_is_sent_once_it_is_spent(connect: Connect, server: FakeServer, operation: str) -> None:
    """The error says what is left, what the call may cost, and where it would have gone."""
    client = connect(MODEL, budget="0.0005")

    with pytest.raises(BudgetExceededError, match="may cost") as caught:
        OPERATIONS[operation](client)

    assert 0 == server.hits
    assert server.origin == caught.value.endpoint


def test_an_ambient_budget_holds_for_every_client_inside(connect: Connect, server: FakeServer) -> None:
    """And for no call outside."""
    server.always(Reply("ok", usage=USED))
    one, two = connect(MODEL), connect(MODEL)

    with llmkit.budget("0.0025") as budget:
        one.complete("Say hi", max_tokens=1000)
        two.complete("Say hi", max_tokens=1000)
        with pytest.raises(BudgetExceededError):
            one.complete("Say hi", max_tokens=1000)
    one.complete("Say hi", max_tokens=1000)

    assert 2 * COST == budget.spent
    assert 3 == server.hits


@pytest.mark.parametrize(
    ("reply", "error"), [(Reply.error(500), InternalError), (Reply.error(400), InvalidRequestError), (Reply(cut_head=0), ConnectionError)]
)
def test_a_refusal_costs_nothing(connect: Connect, server: FakeServer, reply: Reply, error: type[Exception]) -> None:
    """Unless the provider may charge for it: whoever closes without a word may have worked."""
    server.always(reply)
    budget = Budget("1.00")
    client = connect(MODEL, budget=budget, retry=None)

    with pytest.raises(error):
        client.complete("Say hi", max_tokens=1000)

    assert (budget.spent > 0) == (error is ConnectionError)
    assert 0 == budget.reserved


def test_a_time_out_counts_as_foreseen(connect: Connect, server: FakeServer) -> None:
    """Each attempt of it: the provider may have answered meanwhile."""
    server.always(Reply(delay=5))
    budget = Budget("1.00")
    client = connect(MODEL, budget=budget, timeout=0.05, retry=RetryConfig(max_retries=1, base_delay=0.001))

    with pytest.raises(RequestTimeoutError):
        client.complete("Say hi", max_tokens=1000)

    assert 2 * COST < budget.spent < 3 * COST


def test_a_stream_left_early_counts_as_foreseen(connect: Connect, server: FakeServer) -> None:
    """Nobody knows what was written by then."""
    server.enqueue(Reply(chunks=["word "] * 100, between=0.05))
    budget = Budget("1.00")
    client = connect(MODEL, budget=budget)

    stream = client.stream("Say hi", max_tokens=1000)
    next(stream)
    stream.close()

    assert COST < budget.spent < 2 * COST
    assert 0 == budget.reserved


def test_a_model_without_a_price_keeps_no_budget(connect: Connect, server: FakeServer) -> None:
    """It is refused rather than taken to be free; the error says how to tell a price."""
    client = connect("openai/nobody-knows-what-it-costs", budget="1.00")

    with pytest.raises(ConfigurationError, match="tell it with ModelRegistry"):
        client.complete("Say hi")

    assert 0 == server.hits


def test_ones_own_server_costs_nothing(connect: Connect, server: FakeServer) -> None:
    """Its tokens are not what is paid for."""
    budget = Budget(0)
    client = connect("vllm/any", budget=budget)

    client.complete("Say hi")

    assert 0 == budget.spent


def test_a_price_that_was_told_counts_on_ones_own_server_too(connect: Connect, server: FakeServer) -> None:
    """Who registers one means it: it is set aside before, and not only charged afterwards."""
    ModelRegistry.register("vllm", "priced-by-the-test", price=Price(input=1, output=1))
    client = connect("vllm/priced-by-the-test", budget="0.0005")

    with pytest.raises(BudgetExceededError):
        client.complete("Say hi", max_tokens=1000)

    assert 0 == server.hits


def test_a_list_of_models_costs_nothing(connect: Connect, server: FakeServer) -> None:
    """Nobody charges for it."""
    client = connect(MODEL, budget="0")

    assert client.models()


def test_threads_together_stay_within_it(server: FakeServer) -> None:
    """What is under way counts."""
    server.always(Reply("ok", usage=USED, delay=0.01))
    budget = Budget("0.0105")
    client = Client(MODEL, base_url=server.url("openai"), api_key="sk-test-01234", budget=budget)
    refused: list[BudgetExceededError] = []

    def ask() -> None:
        try:
            client.complete("Say hi", max_tokens=990)
        except BudgetExceededError as error:
            refused.append(error)

    threads = [threading.Thread(target=ask) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert budget.spent <= budget.limit
    assert 40 == server.hits + len(refused)
    assert COST * server.hits == budget.spent


def test_tasks_that_are_cancelled_hold_nothing(server: FakeServer) -> None:
    """Their reservations are settled."""
    server.always(Reply(delay=5))

    async def main() -> Budget:
        async with AsyncClient(MODEL, base_url=server.url("openai"), api_key="sk-test-01234") as client:
            with llmkit.budget("1.00") as budget:
                tasks = [asyncio.ensure_future(client.complete("Say hi", max_tokens=10)) for _ in range(10)]
                while server.hits < 10:
                    await asyncio.sleep(0.001)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        return budget

    budget = asyncio.run(main())

    assert 0 == budget.reserved
    assert budget.spent > 0

"""Many prompts at once, on both clients."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import llmkit
from llmkit import (
    BatchError,
    BatchResult,
    BudgetExceededError,
    CircuitBreakerConfig,
    ConfigurationError,
    DeadlineExceededError,
    Event,
    InvalidRequestError,
    QuotaExceededError,
    RetryConfig,
    TokenBucket,
    user,
)
from llmkit.testing import FakeServer, RecordedRequest, Reply

Connect = Callable[..., Any]


def asked(request: RecordedRequest) -> str:
    text: str = request.json["messages"][-1]["content"]
    return text


def echo(request: RecordedRequest) -> Reply:
    """Answer with the prompt; refuse what has "bad" in it, and be late with what has "slow"."""
    text = asked(request)
    if "bad" in text:
        return Reply.error(400)
    return Reply(f"re: {text}", delay=0.05 if "slow" in text else 0.0)


def texts(result: BatchResult) -> list[str | None]:
    return [None if response is None else response.text for response in result.responses]


def test_the_answers_are_in_the_order_of_the_prompts(connect: Connect, server: FakeServer) -> None:
    """Whichever came first."""
    server.always(echo)
    prompts = ["slow one", *(f"p{number}" for number in range(30))]

    result = connect().batch(prompts)

    assert [f"re: {prompt}" for prompt in prompts] == texts(result)
    assert list(range(31)) == [item.index for item in result]
    assert (31, 0, None) == (result.succeeded, result.failed, result.stopped)


def test_an_error_is_in_its_place(connect: Connect, server: FakeServer) -> None:
    """It stops no other; all can be raised in the end."""
    server.always(echo)

    result = connect().batch(["a", "bad b", "c", "bad d"])

    assert ["re: a", None, "re: c", None] == texts(result)
    assert [None, InvalidRequestError, None, InvalidRequestError] == [error and type(error) for error in result.errors]
    assert [400] == [attempt.status for attempt in result[1].attempts]
    with pytest.raises(BatchError, match="2 of 4 items failed, the first of them item 1") as caught:
        result.raise_for_errors()
    assert {1: result[1].error, 3: result[3].error} == caught.value.errors
    assert result[1].error is caught.value.__cause__


def test_an_item_may_have_arguments_of_its_own(connect: Connect, server: FakeServer) -> None:
    """They count before those of all; a list is a conversation."""
    server.always(echo)
    prompts = ["a", [{"role": "user", "content": "b"}], user("c"), {"messages": "d", "temperature": 0.5, "model": "openai/gpt-4o"}]

    result = connect().batch(prompts, temperature=0.1, max_concurrency=1)

    assert ["re: a", "re: b", "re: c", "re: d"] == texts(result)
    assert [0.1, 0.1, 0.1, 0.5] == [request.json["temperature"] for request in server.requests]
    assert "gpt-4o" == server.requests[3].json["model"]


@pytest.mark.parametrize("prompt", [{"role": "user", "content": "a"}, {"messages": "a", "temprature": 1}, 7, None, ""])
def test_an_item_that_cannot_be_asked_is_an_error_in_its_place(prompt: object, connect: Connect) -> None:
    """The others are asked."""
    result = connect().batch(["fine", prompt])

    assert [True, False] == [item.ok for item in result]
    assert isinstance(result[1].error, ConfigurationError)


@pytest.mark.parametrize(
    "said",
    [
        {"prompts": "one"},
        {"prompts": {"messages": "one"}},
        {"prompts": 7},
        {"max_concurrency": 0},
        {"max_concurrency": True},
        {"ordered": 1},
        {"resume": "maybe"},
        {"checkpoint": 7},
        {"mode": "provder"},
        {"executor": 4},
        {"progress": "yes"},
        {"temprature": 0.5},
    ],
)
@pytest.mark.parametrize("method", ["batch", "batch_iter"])
def test_what_is_wrong_is_said_before_anything_is_sent(method: str, said: dict[str, Any], connect: Connect, server: FakeServer) -> None:
    """By ``batch_iter`` as well, before the first item is asked for."""
    with pytest.raises(ConfigurationError):
        getattr(connect(), method)(**{"prompts": ["a"], **said})

    assert 0 == server.hits


def test_usage_and_cost_are_summed(connect: Connect, server: FakeServer) -> None:
    """To the last digit."""
    client = connect()

    result = client.batch(["a", "b", "c"])

    one = result[0].response.usage
    assert 3 * one.total_tokens == result.usage.total_tokens
    assert sum(response.cost for response in result.responses) == result.cost
    assert client.usage.estimated_cost == result.cost
    assert result.cost > 0


def test_no_prompts_are_no_items(connect: Connect) -> None:
    """And cost nothing."""
    result = connect().batch([])

    assert ([], Decimal(0)) == (list(result), result.cost)
    result.raise_for_errors()


def test_no_more_are_asked_at_a_time_than_allowed(connect: Connect, server: FakeServer) -> None:
    """And as many as are allowed."""
    under_way = 0
    seen: list[int] = []
    lock = threading.Lock()

    def watch(event: Event) -> None:
        nonlocal under_way
        with lock:
            under_way += {"attempt.start": 1, "attempt.end": -1}.get(event.name, 0)
            seen.append(under_way)

    server.always(lambda request: Reply("x", delay=0.005))

    connect(hooks=[watch]).batch([f"p{number}" for number in range(12)], max_concurrency=3)

    assert 3 == max(seen)
    assert 12 == server.hits


def test_items_come_as_they_are_completed(connect: Connect, server: FakeServer) -> None:
    """Where order is not asked for."""
    server.always(echo)

    found = [item.index for item in connect().batch_iter(["slow", "a", "b", "c"], ordered=False)]

    assert 0 == found[-1]
    assert [0, 1, 2, 3] == sorted(found)


def test_of_an_endless_input_only_a_window_is_taken(connect: Connect, server: FakeServer) -> None:
    """However slow its reader is, and whoever waits for the first."""
    taken = itertools.count()
    items = connect().batch_iter((f"p{number}" for number in taken), max_concurrency=2)

    found = list(itertools.islice(items, 50))
    items.close()

    assert list(range(50)) == [item.index for item in found]
    assert next(taken) <= 50 + 2 * 16 + 1


def test_what_is_done_does_not_wait_for_a_slow_source(connect: Connect, server: FakeServer) -> None:
    """Of prompts that come one by one, as rows of a database, each is asked when it is there, and told before the window is full."""
    taken: list[int] = []

    def prompts() -> Iterator[str]:
        for number in range(50):
            time.sleep(0.003)
            taken.append(number)
            yield f"p{number}"

    found = [(item.index, len(taken)) for item in connect().batch_iter(prompts())]

    assert list(range(50)) == [index for index, _ in found]
    assert found[0][1] < 50


def test_leaving_the_loop_ends_the_batch(connect: Connect, server: FakeServer) -> None:
    """What is under way may end; of the rest nothing is asked."""
    server.always(lambda request: Reply("x", delay=0.01))
    items = connect().batch_iter((f"p{number}" for number in itertools.count()), max_concurrency=2, ordered=False)
    next(items)

    items.close()

    time.sleep(0.05)
    assert server.hits <= 4


def test_an_error_of_the_input_ends_the_batch(connect: Connect) -> None:
    """As it is."""

    def prompts() -> Iterator[str]:
        yield "a"
        raise LookupError("no more rows")

    with pytest.raises(LookupError, match="no more rows"):
        connect().batch(prompts())


def test_what_holds_around_the_call_holds_for_each_item(connect: Connect, server: FakeServer) -> None:
    """A deadline, a budget and a count, in whatever thread or task it is asked."""
    client = connect()

    with llmkit.track() as seen, llmkit.budget("1") as spending:
        result = client.batch(["a", "b", "c"])
    with llmkit.budget("0"):
        refused = client.batch(["a", "b"])
    with llmkit.deadline(0.001):
        time.sleep(0.002)
        late = client.batch(["a", "b"])

    assert seen.estimated_cost == spending.spent == result.cost
    assert {BudgetExceededError} == {type(error) for error in refused.errors}
    assert {DeadlineExceededError} == {type(error) for error in late.errors}
    assert 3 == server.hits


def test_an_iterator_keeps_what_held_when_it_was_made(connect: Connect) -> None:
    """Whoever reads it, wherever."""
    client = connect()
    with llmkit.track() as seen:
        items = client.batch_iter(["a", "b", "c"])

    found = list(items)

    assert 3 == len(found) == seen.snapshot().answers


@pytest.mark.parametrize("code", ["insufficient_quota", "invalid_api_key"])
def test_an_empty_account_or_a_refused_key_ends_the_batch(code: str, connect: Connect, server: FakeServer) -> None:
    """What was not asked has that error; nobody waits for a thousand refusals."""
    refusal = Reply.error(429, code=code) if code == "insufficient_quota" else Reply.error(401)
    server.always(lambda request: refusal)

    result = connect(retry=None).batch([f"p{number}" for number in range(1000)], max_concurrency=2)

    assert 1000 == len(result) == result.failed
    assert server.hits <= 4
    assert result.stopped is result[999].error
    assert list(range(1000)) == [item.index for item in result]


def test_an_endless_input_is_left_when_the_account_is_empty(connect: Connect, server: FakeServer) -> None:
    """Nobody knows how many there would have been: the iterator raises it, the result tells it."""
    server.always(lambda request: Reply.error(429, code="insufficient_quota"))
    client = connect(retry=None)

    result = client.batch(f"p{number}" for number in itertools.count())
    with pytest.raises(QuotaExceededError):
        list(client.batch_iter(f"p{number}" for number in itertools.count()))

    assert isinstance(result.stopped, QuotaExceededError)
    assert 0 < len(result) == result.failed


def test_a_provider_that_wants_it_slower_fails_no_item(connect: Connect, server: FakeServer) -> None:
    """They are asked again, later, and the batch slows down; also where retries are spent."""
    lock = threading.Lock()
    level, at = 5.0, time.monotonic()

    def limited(request: RecordedRequest) -> Reply:
        nonlocal level, at
        with lock:
            now = time.monotonic()
            level, at = min(5.0, level + (now - at) * 200), now
            if level < 1:
                return Reply.error(429, retry_after=0.05)
            level -= 1
        return Reply(f"re: {asked(request)}")

    server.always(limited)
    prompts = [f"p{number}" for number in range(60)]

    result = connect(retry=RetryConfig(max_retries=1)).batch(prompts, max_concurrency=24)

    assert [f"re: {prompt}" for prompt in prompts] == texts(result)


def test_an_outage_in_its_midst_is_waited_out(connect: Connect, server: FakeServer) -> None:
    """What met it has its error; the rest is asked when the breaker lets through again."""
    answered = itertools.count()
    server.always(lambda request: Reply.error(503) if 10 <= next(answered) < 15 else Reply("fine"))
    retry = RetryConfig(max_retries=1, base_delay=0.05, jitter=False)
    client = connect(retry=retry, circuit_breaker=CircuitBreakerConfig(failure_threshold=5, reset_time=0.1))

    result = client.batch([f"p{number}" for number in range(100)], max_concurrency=2)

    assert 1 <= result.failed <= 3
    assert {"overloaded"} == {error.kind for error in result.errors if error is not None}


def test_a_batch_that_is_left_does_not_wait_its_turn(connect: Connect, server: FakeServer, tmp_path: Path) -> None:
    """Though it waits for what is under way, which is to be logged."""
    client = connect(rate_limit=TokenBucket(capacity=2, refill_rate=0.01), deadline=5)
    begun = time.monotonic()
    items = client.batch_iter([f"p{number}" for number in range(20)], ordered=False, checkpoint=tmp_path / "run.jsonl")
    next(items)

    items.close()

    assert time.monotonic() - begun < 4


def test_another_models_empty_account_ends_nothing(connect: Connect, server: FakeServer) -> None:
    """The item that named it may be the only one that goes there."""
    server.always(lambda request: Reply.error(429, code="insufficient_quota") if request.json["model"] == "gpt-4o" else Reply("fine"))

    result = connect(retry=None).batch([{"messages": "a", "model": "openai/gpt-4o"}, *"bcdef"], max_concurrency=1)

    assert [False, True, True, True, True, True] == [item.ok for item in result]


def test_cancelling_all_calls_ends_the_batch(connect: Connect, server: FakeServer) -> None:
    """With the native exception, as any call."""
    import asyncio
    import concurrent.futures

    server.always(lambda request: Reply("late", delay=5))
    client = connect()
    timer = threading.Timer(0.1, client.cancel_all)
    timer.start()

    with pytest.raises((concurrent.futures.CancelledError, asyncio.CancelledError)):
        client.batch(["a", "b"])

    timer.join()


def test_progress_is_told(connect: Connect, server: FakeServer) -> None:
    """Of a list with its length, of an iterator without."""
    server.always(echo)
    told: list[tuple[int, int | None, int]] = []

    connect().batch(["a", "bad", "c"], progress=lambda *facts: told.append(facts), max_concurrency=1)
    connect().batch(iter(["a"]), progress=lambda *facts: told.append(facts))

    assert [(1, 3, 0), (2, 3, 1), (3, 3, 1), (1, None, 0)] == told


def test_progress_is_a_bar(connect: Connect, server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    """Of tqdm, on standard error."""
    server.always(echo)

    connect().batch(["a", "bad", "c"], progress=True)

    shown = capsys.readouterr()
    assert "" == shown.out
    assert "3/3" in shown.err


def test_without_tqdm_the_extra_is_named(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is sent."""
    monkeypatch.setitem(__import__("sys").modules, "tqdm.auto", None)

    with pytest.raises(ConfigurationError, match=r"pip install 'llmkit\[progress\]'"):
        connect().batch(["a"], progress=True)


def test_the_twin_tells_what_is_done_while_its_source_is_slow(server: FakeServer) -> None:
    """It need not fill its window first."""
    import asyncio

    from llmkit_async import AsyncClient

    taken: list[int] = []

    async def prompts() -> AsyncIterator[str]:
        for number in range(6):
            await asyncio.sleep(0.02)
            taken.append(number)
            yield f"p{number}"

    async def main() -> list[int]:
        async with AsyncClient("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="sk-test-0123456789") as client:
            return [len(taken) async for _ in client.batch_iter(prompts())]

    assert asyncio.run(main())[0] < 6


def test_the_twin_takes_an_asynchronous_iterable(server: FakeServer) -> None:
    """As rows come from an asynchronous database."""
    import asyncio

    from llmkit_async import AsyncClient

    async def prompts() -> AsyncIterator[str]:
        for number in range(5):
            await asyncio.sleep(0)
            yield f"p{number}"

    async def main() -> BatchResult:
        async with AsyncClient("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="sk-test-0123456789") as client:
            return await client.batch(prompts())

    server.always(echo)

    assert [f"re: p{number}" for number in range(5)] == texts(asyncio.run(main()))

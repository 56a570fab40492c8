"""What a client is told not to exceed, and what the provider says: it waits its turn before it sends."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any

import pytest

from llmkit import (
    AllProvidersFailedError,
    Client,
    ConfigurationError,
    DeadlineExceededError,
    RateLimit,
    RateLimitError,
    RateLimitTimeoutError,
    RetryConfig,
    Target,
    TokenBucket,
)
from llmkit.testing import FakeServer, Reply
from llmkit_async import AsyncClient

Connect = Callable[..., Any]

OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "complete": lambda client: client.complete("Say hi"),
    "stream": lambda client: client.stream("Say hi").collect(),
}
QUICK = RetryConfig(max_retries=2, base_delay=0.001)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_the_bucket_does_not_hold_is_waited_for(connect: Connect, server: FakeServer, operation: str) -> None:
    """And the ledger says so."""
    bucket = TokenBucket(1, 50)
    client = connect(rate_limit=bucket)
    OPERATIONS[operation](client)

    reply = OPERATIONS[operation](client)

    assert "the client's own limit" == reply.attempts[0].why
    assert 0 < reply.attempts[0].wait
    assert 2 == server.hits


def test_retries_take_from_the_bucket_too(connect: Connect, server: FakeServer) -> None:
    """Each request sent is one."""
    server.enqueue(Reply.error(500), Reply.error(500))
    bucket = TokenBucket(10, 0)
    client = connect(rate_limit=bucket, retry=QUICK)

    client.complete("Say hi")

    assert 7 == bucket.tokens


def test_what_would_take_too_long_is_refused_at_once(connect: Connect, server: FakeServer) -> None:
    """With the time after which there is room; nothing was sent."""
    client = connect(rate_limit=TokenBucket(1, 0.01), deadline=5)
    client.complete("Say hi")

    with pytest.raises(RateLimitTimeoutError) as caught:
        client.complete("Say hi")

    assert 90 < (caught.value.retry_after or 0) <= 100
    assert 1 == server.hits
    assert server.origin in str(caught.value)


def test_a_full_limit_moves_the_call_elsewhere(connect: Connect, server: FakeServer) -> None:
    """Limits are those of an address."""
    with FakeServer() as second:
        client = connect(rate_limit={"requests_per_minute": 1}, deadline=5, fallbacks=[Target("custom/m", base_url=second.url("openai"))])

        providers = [client.complete("Say hi").provider for _ in range(2)]
        with pytest.raises(AllProvidersFailedError) as caught:
            client.complete("Say hi")

    assert ["openai", "custom"] == providers
    assert ["limiter", "limiter"] == [error.kind for error in caught.value.errors]


def test_tokens_are_corrected_by_what_was_used(connect: Connect, server: FakeServer) -> None:
    """What had been foreseen and was not needed can be used by others."""
    server.always(Reply("ok", usage={"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10}))
    client = connect(rate_limit=RateLimit(tokens_per_minute=1000), deadline=1)

    for _ in range(20):
        client.complete("Say hi", max_tokens=500)

    assert 20 == server.hits


def test_a_request_too_large_for_the_limit_is_refused(connect: Connect, server: FakeServer) -> None:
    """It would wait for ever."""
    client = connect(rate_limit=RateLimit(tokens_per_minute=100))

    with pytest.raises(RateLimitTimeoutError, match="never has more than 100"):
        client.complete("Say hi", max_tokens=500)

    assert 0 == server.hits


@pytest.mark.parametrize("status", [500, 400])
def test_a_failure_gives_its_place_back(connect: Connect, server: FakeServer, status: int) -> None:
    """Concurrency is counted while a request is under way, however that ends."""
    server.always(Reply.error(status))
    client = connect(rate_limit=RateLimit(max_concurrency=1), retry=None, circuit_breaker=None)

    for _ in range(3):
        with pytest.raises(Exception, match=str(status)):
            client.complete("Say hi")

    assert 3 == server.hits


def test_a_stream_holds_its_place_to_its_end(connect: Connect, server: FakeServer) -> None:
    """Left early, it gives it back."""
    server.enqueue(Reply(chunks=["word "] * 100, between=0.05))
    client = connect(rate_limit=RateLimit(max_concurrency=1), deadline=0.4)
    stream = client.stream("Say hi")
    next(stream)
    with pytest.raises((RateLimitTimeoutError, DeadlineExceededError)):
        client.complete("Say hi")

    stream.close()

    assert "You said: Say hi" == client.complete("Say hi").text


def test_threads_come_in_turn(server: FakeServer) -> None:
    """No more at once than allowed, and everyone is served."""
    server.always(Reply(delay=0.005))
    client = Client("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="sk-test-0123", rate_limit=RateLimit(max_concurrency=3))
    answers: list[str] = []
    threads = [threading.Thread(target=lambda: answers.append(client.complete("Say hi").text)) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert 30 == len(answers)
    assert 3 == server.connections


def test_tasks_cancelled_in_the_queue_leave_no_trace(server: FakeServer) -> None:
    """Those behind them move up."""
    server.always(Reply(delay=0.01))

    async def main() -> int:
        limit = RateLimit(max_concurrency=2)
        async with AsyncClient("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="sk-test-0123", rate_limit=limit) as client:
            tasks = [asyncio.ensure_future(client.complete("Say hi")) for _ in range(20)]
            await asyncio.sleep(0.005)
            for task in tasks[1::2]:
                task.cancel()
            done = await asyncio.gather(*tasks, return_exceptions=True)
            limiter = client._router.default.limiter
            assert limiter is not None
            assert {"requests": None, "tokens": None, "concurrency": 2, "waiting": 0} == limiter.snapshot()
            return sum(not isinstance(each, BaseException) for each in done)

    assert 10 == asyncio.run(main())


def test_a_cancel_in_the_queue_ends_a_thread(server: FakeServer) -> None:
    """And its ticket is gone."""
    server.enqueue(Reply(delay=5))
    client = Client("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="sk-test-0123", rate_limit=RateLimit(max_concurrency=1))

    def ask() -> None:
        with contextlib.suppress(Exception):
            client.complete("Say hi")

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    limiter = client._router.default.limiter
    assert limiter is not None
    server.wait_for(lambda _: limiter.snapshot()["waiting"] == 2)

    cancelled = client.cancel_all()
    for thread in threads:
        thread.join(5)

    assert 3 == cancelled
    assert {"requests": None, "tokens": None, "concurrency": 1, "waiting": 0} == limiter.snapshot()


def test_what_the_provider_says_is_kept_to(connect: Connect, server: FakeServer) -> None:
    """Nothing was set: its headers say that nothing is left, and the next call waits until one of a hundred in 5 s has come back."""
    headers = {"x-ratelimit-limit-requests": "100", "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "5s"}
    server.enqueue(Reply(headers=headers))
    client = connect()
    client.complete("Say hi")

    reply = client.complete("Say hi")

    assert "the provider's limit is nearly used up" == reply.attempts[0].why
    assert 0 < reply.attempts[0].wait <= 0.05


def test_what_the_provider_says_of_an_hour_is_left_to_it(connect: Connect, server: FakeServer) -> None:
    """Its own refusal says more than a guess."""
    headers = {"x-ratelimit-limit-requests": "100", "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "3600"}
    server.enqueue(Reply(headers=headers))
    client = connect()
    client.complete("Say hi")

    reply = client.complete("Say hi")

    assert reply.attempts[0].why is None


def test_a_refusal_empties_the_own_bucket(connect: Connect, server: FakeServer) -> None:
    """The provider counts more than this client does."""
    headers = {"x-ratelimit-limit-requests": "10", "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "30s"}
    server.enqueue(Reply.error(429, headers=headers))
    bucket = TokenBucket(10, 1)
    client = connect(rate_limit=bucket, retry=None)

    with pytest.raises(RateLimitError):
        client.complete("Say hi")

    assert 0 == bucket.tokens


@pytest.mark.parametrize("given", ["10/s", 5, {"rpm": 3}, {"requests_per_minute": 0}])
def test_what_is_no_limit_is_refused(connect: Connect, given: Any) -> None:
    """By name."""
    with pytest.raises(ConfigurationError):
        connect(rate_limit=given)

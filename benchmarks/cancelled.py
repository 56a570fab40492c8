"""
Calls that are given up at random moments: does everything come back that they held?

Tasks are cancelled one by one, threads all at once through ``cancel_all``, while the servers fail three requests in ten. The client has
all that a call can hold: keys, a breaker that is often half open, a limiter, a budget, a cache, a hedge, and fewer connections than there
are calls. In the end everything must be back, and as many calls as there are connections must be answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any

from benchmarks.promises import Promise, level
from benchmarks.trouble import Trouble
from llmkit import APIKeyPool, Budget, CircuitBreakerConfig, Client, Hedge, LLMCache, LLMKitError, RateLimit, RetryConfig, Target
from llmkit_async import AsyncClient

__all__ = ["run"]

KEYS = ["sk-cancelled-0123456789-a", "sk-cancelled-0123456789-b"]
AT_ONCE = 32  # calls
CONNECTIONS = 16
PLACES = 24  # of the limiter
PROBES = 8  # of which two close a breaker, at two endpoints in turn
LONGEST = 0.03  # seconds until a call is cancelled; most need less


class Holding:
    """What the calls of a client may hold, and how much of it they do."""

    def __init__(self, urls: list[str]) -> None:
        self.keys = APIKeyPool(KEYS)
        self.budget = Budget(1_000_000)
        self.cache = LLMCache()
        self.arguments: dict[str, Any] = {
            "base_url": urls[0],
            "api_keys": self.keys,
            "fallbacks": [Target("openai/gpt-4o-mini", base_url=urls[1], api_keys=self.keys)],
            "strategy": "round_robin",
            "retry": RetryConfig(max_retries=3, base_delay=0.005),
            "circuit_breaker": CircuitBreakerConfig(failure_threshold=2, reset_time=0.01, max_reset_time=0.01),
            "rate_limit": RateLimit(requests_per_minute=10_000_000, tokens_per_minute=10**12, max_concurrency=PLACES),
            "hedge": Hedge(after=0.9, max_share=0.2),
            "budget": self.budget,
            "cache": self.cache,
            "timeout": 0.5,
            "idle_timeout": 0.5,
            "max_connections": CONNECTIONS,
        }

    def held(self, client: Client | AsyncClient) -> dict[str, float]:
        """Return what is not back, by name; most of it is no user's business, and asked of the parts themselves."""
        router = client._router
        endpoints = {id(each.endpoint): each.endpoint for each in router._order(None)}.values()
        breakers = [breaker for each in endpoints for breaker in (each.breaker, each.site_breaker) if breaker is not None]
        limiters = [each.limiter.snapshot() for each in endpoints if each.limiter is not None]
        paces = [pace for each in endpoints for pace in each._paces.values()]
        return {
            "keys": sum(row["leases"] for row in self.keys.snapshot()),
            "probes": sum(breaker.snapshot()["probes"] for breaker in breakers),
            "tickets": sum(PLACES - state["concurrency"] + state["waiting"] for state in limiters),
            "reservations": float(self.budget.reserved),
            "flights of the cache": len(self.cache.flights),
            "attempts counted as under way": sum(each.in_flight for each in endpoints) + sum(pace._requests for pace in paces),
            "calls that cancel_all would end": len(router.active),
            "connections": _connections(client),
        }


def _connections(client: Client | AsyncClient) -> int:
    """Return how many connections its transport takes for being in use."""
    transport: Any = client._transport
    if isinstance(client, AsyncClient):
        return sum(len(home.connector._acquired) for home in transport._homes.values())
    return sum(CONNECTIONS - route.pool.pool._free.qsize() for route in transport._routes.values())


def run(provider: Trouble, cancellations: int) -> list[Promise]:
    """Return what is not back after half of *cancellations* of tasks and half of threads."""
    chance = random.Random(0)
    provider.order(failing=0.3)
    tasks = Holding(provider.urls())
    threads = Holding(provider.urls())
    return [
        *asyncio.run(_tasks(tasks, cancellations // 2, provider, chance)),
        *_threads(threads, cancellations // 2, provider, chance),
    ]


def _promises(who: str, done: int, held: dict[str, float], answered: int, grown: tuple[int, int]) -> list[Promise]:
    return [
        Promise(f"{who} cancelled", done),
        *(Promise(f"{who}: {what} not back", count, 0) for what, count in held.items()),
        Promise(f"{who}: calls answered afterwards", answered, AT_ONCE, at_least=True),
        Promise(f"{who}: descriptors grown", grown[0], CONNECTIONS * 2),
        Promise(f"{who}: threads grown", grown[1], 1),
    ]


# Tasks.


async def _tasks(holding: Holding, wanted: int, provider: Trouble, chance: random.Random) -> list[Promise]:
    before = level()
    async with AsyncClient("openai/gpt-4o-mini", **holding.arguments) as client:
        done = 0

        async def work(number: int) -> None:
            # Each question is asked by two, one of which waits for the other.
            prompt = f"{number // 2}"
            await (client.stream(prompt).collect() if number % 4 < 2 else client.complete(prompt))

        async def cancel(first: int) -> None:
            nonlocal done
            number = first
            while done < wanted:
                task = asyncio.ensure_future(work(number))
                await asyncio.sleep(chance.random() * LONGEST)
                task.cancel()
                with contextlib.suppress(LLMKitError, asyncio.CancelledError):
                    await task
                done += task.cancelled()
                number += AT_ONCE

        await asyncio.gather(*(cancel(first) for first in range(AT_ONCE)))
        provider.order()
        await asyncio.sleep(0.6)  # until losers of races have ended, and breakers let through again
        held = holding.held(client)
        for number in range(PROBES):
            with contextlib.suppress(LLMKitError):
                await client.complete(f"close the breakers {number}")
        answers = await asyncio.gather(*(client.complete(f"after {n}", deadline=20) for n in range(AT_ONCE)), return_exceptions=True)
        answered = sum(not isinstance(answer, BaseException) for answer in answers)
    after = level()
    return _promises("tasks", done, held, answered, (after.descriptors - before.descriptors, after.threads - before.threads))


# Threads.


def _threads(holding: Holding, wanted: int, provider: Trouble, chance: random.Random) -> list[Promise]:
    before = level()
    provider.order(failing=0.3)
    with Client("openai/gpt-4o-mini", **holding.arguments) as client:
        counts = [0] * AT_ONCE
        over = threading.Event()

        def work(first: int) -> None:
            number = first
            while not over.is_set():
                prompt = f"{number // 2}"
                try:
                    client.stream(prompt).collect() if number % 4 < 2 else client.complete(prompt)
                except CancelledError:
                    counts[first] += 1
                except LLMKitError:
                    pass
                number += AT_ONCE

        _together(work, over, lambda: sum(counts) >= wanted, client, chance)
        provider.order()
        time.sleep(0.6)  # until losers of races have ended, and breakers let through again
        held = holding.held(client)
        answered = _answered(client)
    after = level()
    return _promises("threads", sum(counts), held, answered, (after.descriptors - before.descriptors, after.threads - before.threads))


def _together(
    work: Callable[[int], None], over: threading.Event, is_enough: Callable[[], bool], client: Client, chance: random.Random
) -> None:
    threads = [threading.Thread(target=work, args=(first,)) for first in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    while not is_enough():
        time.sleep(chance.random() * LONGEST)
        client.cancel_all()
    over.set()
    for thread in threads:
        thread.join()


def _answered(client: Client) -> int:
    for number in range(PROBES):
        with contextlib.suppress(LLMKitError):
            client.complete(f"close the breakers {number}")
    found: list[object] = []
    threads = [threading.Thread(target=lambda n=n: found.append(client.complete(f"after {n}", deadline=20))) for n in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(found)

"""
A long run through trouble: is anything lost, mixed up, multiplied or left behind?

``python -m benchmarks.soak`` makes 100,000 calls (``--calls``) with three keys at two servers of which each fails three requests in ten,
throttles, cuts, resets, drips and falls silent; from threads and from tasks, whole and streamed. The servers run in a process of their
own. Then it calls servers that are down, asks under a limit, and gives calls up. It ends with status 1 if a promise is broken. Needs
Linux' ``/proc``.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import secrets
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from attrs import define, field

from benchmarks import cancelled, limited
from benchmarks.promises import Level, Promise, level, table
from benchmarks.trouble import Trouble, trouble
from llmkit import APIKeyPool, CircuitBreakerConfig, Client, CompletionResponse, LLMKitError, RetryConfig, StreamInterruptedError, Target
from llmkit_async import AsyncClient

__all__ = ["main"]

KEYS = ["sk-soak-0123456789-a", "sk-soak-0123456789-b", "sk-soak-0123456789-c"]
FAILING = 0.3
ROUNDS = 10  # with quiet moments between them, at which is measured what is held
FEW = 10_000  # calls, that make half as many rounds: each has an end at which the slowest are waited for
WARM = 3  # rounds until pools, tables and the allocator have what they need
THREADS = 16
TASKS = 32
RETRY = RetryConfig(max_retries=9, base_delay=0.002, max_delay=0.05)
# A server that fails three times in ten is in trouble, but not down: ten in a row are.
BREAKER = CircuitBreakerConfig(failure_threshold=10, reset_time=0.5)

TEXTS = 5  # of errors that are shown
PAID_RETRIES = 100  # that an endpoint's quota has at its beginning; each client has its own

# What the servers do to a call, as an error says it.
EXPECTED = frozenset(
    {
        *("server", "overloaded", "timeout", "rate_limit", "truncated", "connection_lost", "malformed", "protocol"),
        *("connect", "read_timeout", "idle_timeout", "circuit_open", "no_key"),
    }
)


@define
class Outcomes:
    """How calls ended. Every worker has its own."""

    counts: Counter[str] = field(factory=Counter)
    attempts: int = 0
    texts: list[str] = field(factory=list)  # of errors, for people

    def answered(self, prompt: str, answer: CompletionResponse) -> None:
        self.attempts += len(answer.attempts)
        self.counts["answered" if answer.text == f"You said: {prompt}" else "crossed"] += 1

    def failed(self, prompt: str, error: BaseException) -> None:
        self.attempts += len(getattr(error, "attempts", ()))
        self.counts[self._of(prompt, error)] += 1

    def _of(self, prompt: str, error: BaseException) -> str:
        if isinstance(error, LLMKitError) and error.kind in EXPECTED and (error.attempts or error.kind in ("circuit_open", "no_key")):
            partial = error.partial if isinstance(error, StreamInterruptedError) else None
            if partial is not None and partial.text:
                return "interrupted" if f"You said: {prompt}".startswith(partial.text) else "crossed"
            self._tell("Refused", error)
            return "refused"
        self._tell("Unexplained", error)
        return "unexplained"

    def _tell(self, how: str, error: BaseException) -> None:
        if len(self.texts) < TEXTS:
            self.texts.append(f"{how}: {type(error).__name__}: {error}"[:1_000])


def merged(outcomes: list[Outcomes]) -> Outcomes:
    total = Outcomes()
    for each in outcomes:
        total.counts += each.counts
        total.attempts += each.attempts
        total.texts += each.texts
    return total


class Prompts:
    """Prompts of which no two are alike, as many as there are to be calls."""

    def __init__(self, calls: int) -> None:
        self._calls = calls
        self._numbers = itertools.count()

    def __iter__(self) -> Iterator[tuple[int, str]]:
        # itertools.count is one step to any number of threads.
        while (number := next(self._numbers)) < self._calls:
            yield number, f"{number} {secrets.token_hex(8)}"


def work(client: Client, prompts: Prompts) -> Outcomes:
    """Make calls, each second one streamed, until there are no more prompts."""
    outcomes = Outcomes()
    for number, prompt in prompts:
        try:
            answer = client.stream(prompt).collect() if number % 2 else client.complete(prompt)
        except Exception as error:  # noqa: BLE001 - told apart by the outcomes
            outcomes.failed(prompt, error)
        else:
            outcomes.answered(prompt, answer)
    return outcomes


async def awork(client: AsyncClient, prompts: Prompts) -> Outcomes:
    """The twin of ``work``."""
    outcomes = Outcomes()
    for number, prompt in prompts:
        try:
            answer = await (client.stream(prompt).collect() if number % 2 else client.complete(prompt))
        except Exception as error:  # noqa: BLE001 - told apart by the outcomes
            outcomes.failed(prompt, error)
        else:
            outcomes.answered(prompt, answer)
    return outcomes


class Load:
    """Threads and tasks that stay for all rounds, with a client each that share their keys."""

    def __init__(self, urls: list[str], **settings: Any) -> None:
        keys = APIKeyPool(KEYS)
        arguments: dict[str, Any] = {
            "base_url": urls[0],
            "api_keys": keys,
            "fallbacks": [Target("openai/gpt-4o-mini", base_url=url, api_keys=keys) for url in urls[1:]],
            "timeout": 0.5,
            "idle_timeout": 0.5,
            "strategy": "round_robin",
            **settings,
        }
        self.client = Client("openai/gpt-4o-mini", **arguments)
        self.twin = AsyncClient("openai/gpt-4o-mini", **arguments)
        self._pool = ThreadPoolExecutor(THREADS)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def run(self, calls: int) -> Outcomes:
        prompts = Prompts(calls)
        tasks = asyncio.run_coroutine_threadsafe(self._tasks(prompts), self._loop)
        threads = [self._pool.submit(work, self.client, prompts) for _ in range(THREADS)]
        return merged([*tasks.result(), *(thread.result() for thread in threads)])

    async def _tasks(self, prompts: Prompts) -> list[Outcomes]:
        return await asyncio.gather(*(awork(self.twin, prompts) for _ in range(TASKS)))

    def close(self) -> None:
        self._pool.shutdown()
        self.client.close()
        asyncio.run_coroutine_threadsafe(self.twin.close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def soak(provider: Trouble, calls: int) -> tuple[list[Promise], list[str]]:
    """Return what came of *calls* calls at servers that fail, and the texts of some errors."""
    load = Load(provider.urls(), retry=RETRY, circuit_breaker=BREAKER)
    rounds = ROUNDS if calls >= FEW else ROUNDS // 2
    made = calls // rounds * rounds
    try:
        provider.order(failing=FAILING)
        outcomes, levels = Outcomes(), []
        begun = time.monotonic()
        for _ in range(rounds):
            outcomes = merged([outcomes, load.run(calls // rounds)])
            levels.append(level())
        took = time.monotonic() - begun
        seen = provider.order()
    finally:
        load.close()
    keys = sum((Counter(one["keys"]) for one in seen), Counter())
    what = sum((Counter(one["what"]) for one in seen), Counter())
    requests = keys.total()
    apart = (max(keys.values()) - min(keys.values())) / (requests / len(KEYS))
    counts = outcomes.counts
    return [
        Promise("calls", made),
        Promise("calls a second", round(made / took)),
        Promise("requests that the servers failed", sum(what[name] for name in what if name not in GOOD) / requests),
        Promise("answered", counts["answered"]),
        Promise("streams interrupted after their first content", counts["interrupted"]),
        Promise("refused, with a reason", counts["refused"], max(3, made * 1e-4)),
        Promise("lost", made - counts.total(), 0),
        Promise("crossed", counts["crossed"], 0),
        Promise("unexplained", counts["unexplained"], 0),
        Promise("requests for a call", requests / made, 1.5),
        Promise("keys used apart from each other", apart, max(0.05, 10 / requests**0.5)),
        *_growth(levels),
    ], outcomes.texts[:TEXTS]


GOOD = frozenset({"good", "dripped", "compressed", "closed behind", "closed while idle"})


def _growth(levels: list[Level]) -> list[Promise]:
    """Return by how much more is held at the end than when everything was warm."""
    warm, end = levels[WARM - 1], levels[-1]
    return [
        Promise("memory when warm [MB]", warm.memory),
        # glibc keeps for each thread what it has freed, and takes tens of thousands of calls to have enough: hence the twentieth.
        Promise("memory grown since then [MB]", end.memory - warm.memory, warm.memory * 0.05),
        Promise("objects grown", (end.blocks - warm.blocks) / warm.blocks, 0.02),
        Promise("descriptors grown", end.descriptors - warm.descriptors, THREADS + TASKS),
        Promise("threads grown", end.threads - warm.threads, 0),
    ]


def outage(provider: Trouble, calls: int) -> tuple[list[Promise], list[str]]:
    """Return how many requests are made of *calls* calls at servers that are down: that refuse all, and that are not there."""
    provider.order(down=True)
    refusing = _requests(provider.urls(), calls)
    seen = _hits(provider.order(down=True))
    alone = _requests(provider.urls()[:1], calls, circuit_breaker=None)
    alone_seen = _hits(provider.order())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    gone = _requests([f"http://127.0.0.1:{port}/v1"], calls)
    return [
        Promise("calls", calls),
        Promise("lost", 3 * calls - sum(one.counts.total() for one in (refusing, alone, gone)), 0),
        Promise("unexplained", sum(one.counts["unexplained"] for one in (refusing, alone, gone)), 0),
        Promise("requests for a call, all fail", seen / calls, 1.1),
        Promise("requests for a call, all fail, without a breaker", alone_seen / calls, max(1.1, 1 + 2 * PAID_RETRIES / calls)),
        Promise("requests for a call, nobody listens", gone.attempts / calls, 1.1),
    ], [text for one in (refusing, alone, gone) for text in one.texts if text.startswith("Unexplained")][:TEXTS]


def _hits(seen: list[dict[str, Any]]) -> int:
    return sum(sum(one["keys"].values()) for one in seen)


def _requests(urls: list[str], calls: int, **settings: Any) -> Outcomes:
    load = Load(urls, retry=RETRY, **settings)
    try:
        return load.run(calls)
    finally:
        load.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--only", choices=("calls", "limit", "cancellations"), help="one part of it")
    parser.add_argument("--calls", type=int, default=100_000, help="how many calls to make through trouble")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long to ask under a limit")
    parser.add_argument("--cancellations", type=int, default=10_000, help="how many calls to give up")
    parser.add_argument("--seed", type=int, default=0, help="of the servers' chance")
    options = parser.parse_args()
    found: list[Promise] = []
    texts: list[str] = []

    def tell(title: str, promises: list[Promise], some: Sequence[str] = ()) -> None:
        print(table(title, promises), flush=True)
        found.extend(promises)
        texts.extend(some)

    with trouble(options.seed) as provider:
        if options.only in (None, "calls"):
            tell("Calls through trouble", *soak(provider, options.calls))
            tell("Calls to servers that are down", *outage(provider, max(options.calls // 20, 500)))
        if options.only in (None, "limit"):
            tell(f"{limited.THREADS} threads under a limit", limited.run(provider, options.seconds))
        if options.only in (None, "cancellations"):
            tell("Calls given up", cancelled.run(provider, options.cancellations))
    print(*texts, sep="\n", file=sys.stderr)
    return 0 if all(promise.is_kept for promise in found) else 1


if __name__ == "__main__":
    sys.exit(main())

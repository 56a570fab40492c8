"""
What a cache is worth: a workload in which some questions are asked often (Zipf's law), and the cost of one hit.

Measured is the time that passes, since much of what a cache saves is waiting. An answer takes ``LATENCY`` here, where a model takes
seconds: what is saved is the least that can be saved.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.measure import Result
from llmkit import Client, HttpRequest, HttpResponse, Timeout
from llmkit.transport.requests import RequestsTransport
from llmkit.transport.settings import TransportSettings
from llmkit_async import AsyncClient

__all__ = ["hits", "zipf"]

KEY = "sk-benchmark-0123456789"
MODEL = "openai/gpt-4o-mini"
LATENCY = 0.004  # seconds, beside what the server takes
SAMPLE = 1_000  # calls without a cache: they are all alike


class Distant:
    """The client's own transport, to a server that is farther away."""

    def __init__(self) -> None:
        self._near = RequestsTransport(TransportSettings())

    def send(self, request: HttpRequest, *, timeout: Timeout, stream: bool = False) -> HttpResponse:
        time.sleep(LATENCY)
        return self._near.send(request, timeout=timeout, stream=stream)

    def close(self) -> None:
        self._near.close()


def zipf(base: str, prompts: int, distinct: int) -> list[Result]:
    """Return the mean time of a call in a workload of so many *prompts*, *distinct* of them, without a cache and with each."""
    chosen = _workload(prompts, distinct)
    costs: dict[str, float] = {}
    rates: set[float] = set()
    with _caches() as caches:
        for name, cache in {"no cache": None, **caches}.items():
            asked = chosen if cache is not None else chosen[:SAMPLE]
            transport = Distant()
            with Client(MODEL, base_url=base, api_key=KEY, cache=cache, transport=transport) as client:
                client.complete("warm up")
                before = time.perf_counter()
                for prompt in asked:
                    client.complete(prompt)
                costs[name] = (time.perf_counter() - before) / len(asked) * 1e6
            transport.close()
            if cache is not None:
                assert client.cache is not None  # it was given
                rates.add(client.cache.stats().hit_rate)
    name = f"{prompts:,} of {distinct:,}, {', '.join(f'{rate:.0%}' for rate in sorted(rates))} hits"
    ratios = {who: cost / costs["no cache"] for who, cost in costs.items()}
    return [Result(name=name, unit="µs", costs=costs, ratios=ratios, reference="no cache", limit=0.7)]


def hits(base: str, rounds: int) -> list[Result]:
    """Return the time of one hit, as a caller sees it: from the prompt to the answer."""
    with _caches() as caches:
        costs = {name: _hit(base, cache, rounds) for name, cache in caches.items()}
    with _caches() as caches:
        awaited = {name: _awaited_hit(base, cache, rounds) for name, cache in caches.items()}
    return [_against_first("a hit", costs), _against_first("an async hit", awaited)]


def _workload(prompts: int, distinct: int) -> list[str]:
    weights = [1 / rank for rank in range(1, distinct + 1)]
    return [f"Question {rank}" for rank in random.Random(1).choices(range(distinct), weights, k=prompts)]


def _hit(base: str, cache: Any, rounds: int) -> float:
    with Client(MODEL, base_url=base, api_key=KEY, cache=cache) as client:
        return _median(lambda: client.complete("Say hi"), rounds)


def _awaited_hit(base: str, cache: Any, rounds: int) -> float:
    async def measured() -> float:
        async with AsyncClient(MODEL, base_url=base, api_key=KEY, cache=cache) as client:
            times = []
            for _ in range(300 * rounds):
                before = time.perf_counter()
                await client.complete("Say hi")
                times.append(time.perf_counter() - before)
            return statistics.median(times) * 1e6

    return asyncio.run(measured())


def _median(work: Callable[[], object], rounds: int) -> float:
    times = []
    for _ in range(300 * rounds):
        before = time.perf_counter()
        work()
        times.append(time.perf_counter() - before)
    return statistics.median(times) * 1e6


def _against_first(name: str, costs: dict[str, float]) -> Result:
    reference = next(iter(costs))
    ratios = {who: cost / costs[reference] for who, cost in costs.items()}
    return Result(name=name, unit="µs", costs=costs, ratios=ratios, reference=reference)


@contextlib.contextmanager
def _caches() -> Iterator[dict[str, Any]]:
    """Yield an empty cache of each kind; that in a Redis only where there is one to be run."""
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        caches: dict[str, Any] = {"llmkit memory": True, "llmkit SQLite": Path(directory) / "answers.db"}
        if shutil.which("redis-server") is not None:
            caches["llmkit Redis"] = stack.enter_context(_redis(directory))
        yield caches


@contextlib.contextmanager
def _redis(directory: str) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", directory]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as child:
        for _ in range(200):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            time.sleep(0.01)
        yield f"redis://127.0.0.1:{port}/0"
        child.terminate()

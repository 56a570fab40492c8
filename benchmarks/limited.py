"""
Many threads at a provider that counts any window of time: is its limit used, kept to, and shared in turn?

The server lets so many requests through in a window that slides, wherever it begins, and answers 429 to the others. It is asked by 64
threads of one client: first with the limit set, as a bucket small enough that no window sees more, then with nothing set, where the
server tells in its headers how much is left.
"""

from __future__ import annotations

import itertools
import threading
import time
from typing import Any

from benchmarks.promises import Promise
from benchmarks.trouble import Trouble
from llmkit import Client, LLMKitError, RetryConfig, TokenBucket

__all__ = ["THREADS", "run"]

THREADS = 64
LIMIT = 200  # requests
WINDOW = 2.0  # seconds
BURST = 6  # of the limit: what may come late, and so together with others, without being one too many


def run(provider: Trouble, seconds: float) -> list[Promise]:
    """Return what came of *seconds* under a limit, once set and once learned."""
    bucket = TokenBucket(BURST, (LIMIT - BURST) / WINDOW)
    return [*_asked("set", provider, seconds, tells=False, rate_limit=bucket), *_asked("learned", provider, seconds, tells=True)]


def _asked(how: str, provider: Trouble, seconds: float, *, tells: bool, **settings: Any) -> list[Promise]:
    provider.order(limit=LIMIT, window=WINDOW, tells=tells)
    client = Client(
        "openai/gpt-4o-mini",
        base_url=provider.urls()[0],
        api_key="sk-limited-0123456789",
        retry=RetryConfig(max_retries=5, base_delay=0.01),
        **settings,
    )
    numbers = itertools.count()
    over = time.monotonic() + seconds
    failures: list[LLMKitError] = []

    def ask() -> None:
        while time.monotonic() < over:
            try:
                client.complete(str(next(numbers)))
            except LLMKitError as error:
                failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    client.close()
    arrived = provider.order()[0]["arrived"]
    # Within the first window a full bucket helps; afterwards the threads end.
    begun, ended = arrived[0][0] + WINDOW, arrived[0][0] + seconds
    granted = [at for at, _, was_full in arrived if begun <= at < ended and not was_full]
    refused = sum(was_full for _, _, was_full in arrived)
    turns = sorted(abs(place - number) for place, number in enumerate(_in_order(arrived)))
    used = len(granted) / (LIMIT / WINDOW * (ended - begun))
    # Learned, it is kept to as the headers describe it, as a bucket that fills: a window that slides is not what they say.
    is_set = how == "set"
    return [
        Promise(f"requests, limit {how}", len(arrived)),
        Promise(f"share of the limit used, limit {how}", used, 0.95 if is_set else None, at_least=True),
        Promise(f"share answered 429, limit {how}", refused / len(arrived), 0.01 if is_set else None),
        Promise(f"calls that failed, limit {how}", len(failures), 0),
        Promise(f"places out of turn (99 of 100), limit {how}", turns[int(len(turns) * 0.99)], 8 if is_set else None),
    ]


def _in_order(arrived: list[tuple[float, str, bool]]) -> list[int]:
    """Return the numbers of the calls as they arrived, each once."""
    return [*dict.fromkeys(int(number) for _, number, _ in arrived)]

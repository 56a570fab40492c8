"""What the policies of a call cost together: two breakers, a key, a limit on requests and tokens, the provider's own limits, the quota."""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmarks.measure import Result, compare
from llmkit.resilience.breaker import CircuitBreaker
from llmkit.resilience.keys import APIKeyPool
from llmkit.resilience.learned import Pace
from llmkit.resilience.quota import RetryQuota
from llmkit.resilience.rates import RateLimit

__all__ = ["PROMISED", "policies"]

PROMISED = 15.0  # µs, whatever the number of keys

# As OpenAI sends them with each answer.
HEADERS = {
    "content-type": "application/json",
    "x-ratelimit-limit-requests": "10000",
    "x-ratelimit-remaining-requests": "9999",
    "x-ratelimit-reset-requests": "6ms",
    "x-ratelimit-limit-tokens": "2000000",
    "x-ratelimit-remaining-tokens": "1999990",
    "x-ratelimit-reset-tokens": "0s",
}


def policies(rounds: int) -> list[Result]:
    """Return what a call pays for them with few keys and with many, and where the provider tells its limits."""
    contestants = {f"{keys:,} key{'s' if keys > 1 else ''}": _work(keys, {}) for keys in (1, 3, 100, 10_000)}
    contestants["limits told"] = _work(3, HEADERS)
    return [compare(f"policies of a call (< {PROMISED:g} µs)", contestants, reference="1 key", times=20_000, rounds=rounds)]


def _work(keys: int, headers: dict[str, str]) -> Callable[[int], None]:
    pool = APIKeyPool([f"sk-bench-{number:06}" for number in range(keys)])
    breaker, site = CircuitBreaker(), CircuitBreaker()
    limiter = RateLimit(requests_per_minute=10**9, tokens_per_minute=10**12, max_concurrency=64).make()
    pace, quota = Pace(), RetryQuota()
    now = time.time()

    def work(n: int) -> None:
        # What an attempt asks, and what it tells when it has its answer.
        for _ in range(n):
            ticket = limiter.enter(tokens=100, deadline_in=600.0)
            permit, site_permit = breaker.acquire(), site.acquire()
            lease = pool.acquire("gpt-4o-mini")
            pace.delay(100.0)
            pace.learn(headers, now, 100.0)
            ticket.sent()
            ticket.settle(90)
            permit.success()
            site_permit.success()
            lease.good("gpt-4o-mini")
            lease.release()
            quota.earn(None)

    return work

"""The twin of the buckets, and how tasks wait for a ticket."""

from __future__ import annotations

import asyncio
import pickle
import random
import threading
import time
from typing import Any

import pytest

import llmkit_async
from llmkit.errors import ConfigurationError, RateLimitTimeoutError
from llmkit.resilience.buckets import Bucket
from llmkit.resilience.limits import Limiter, Ticket
from llmkit_async.limits import AsyncTokenBucket, granted


def test_tasks_wait_for_their_turn_in_order() -> None:
    """Without blocking the loop."""

    async def main() -> list[int]:
        bucket = AsyncTokenBucket(1, 1000)
        order: list[int] = []

        async def work(number: int) -> None:
            assert await bucket.acquire()
            order.append(number)

        await asyncio.gather(*(work(number) for number in range(50)))
        return order

    assert list(range(50)) == asyncio.run(main())


def test_the_twin_says_what_its_sync_face_says(clock: Any) -> None:
    """The same refusals, the same errors."""
    bucket = AsyncTokenBucket(10, 2, clock=clock)

    async def main() -> None:
        assert [True, True] == [await bucket.acquire(6), await bucket.try_acquire(4)]
        assert not await bucket.try_acquire()
        with pytest.raises(RateLimitTimeoutError) as late:
            await bucket.acquire(4, timeout=1.5)
        assert 2.0 == late.value.retry_after
        with pytest.raises(RateLimitTimeoutError, match="never has more than 10"):
            await bucket.acquire(11)
        with pytest.raises(ConfigurationError, match=r"^tokens must be"):
            await bucket.acquire(0)

    asyncio.run(main())

    assert (0.0, "AsyncTokenBucket(10, 2)") == (bucket.tokens, repr(bucket))
    assert 10.0 == pickle.loads(pickle.dumps(AsyncTokenBucket(10, 2))).tokens
    assert llmkit_async.AsyncTokenBucket is AsyncTokenBucket


def test_a_wait_that_takes_longer_than_foreseen_ends_in_time() -> None:
    """The level sank while it waited: another reply told so."""

    async def main() -> RateLimitTimeoutError:
        bucket = AsyncTokenBucket(2, 100)
        await bucket.acquire(2)
        asyncio.get_running_loop().call_later(0.002, bucket.make().drained, "requests", 10.0)
        with pytest.raises(RateLimitTimeoutError, match="left no room in time") as caught:
            await bucket.acquire(2, timeout=0.021)
        assert 0 == bucket.make().snapshot()["waiting"]
        return caught.value

    assert 0.0 < (asyncio.run(main()).retry_after or 0.0)


def test_a_cancelled_task_takes_nothing() -> None:
    """It leaves the line, and those behind it move up."""

    async def main() -> None:
        bucket = AsyncTokenBucket(1, 0.001)
        await bucket.acquire()
        task = asyncio.create_task(bucket.acquire())
        await asyncio.sleep(0)
        assert 1 == bucket.make().snapshot()["waiting"]

        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert 0 == bucket.make().snapshot()["waiting"]

    asyncio.run(main())


def test_tasks_cancelled_at_random_leave_everything_as_it_was() -> None:
    """Whatever they were doing: waiting, granted, sending."""
    now = 0.0
    limiter = Limiter(requests=Bucket(1000.0, 0.0), tokens=Bucket(1000.0, 0.0), concurrency=5, clock=lambda: now)
    chance = random.Random(4)
    sent: list[Ticket] = []

    async def work() -> None:
        ticket = limiter.enter(tokens=1)
        try:
            assert await granted(ticket)
            await asyncio.sleep(chance.random() * 0.002)
            ticket.sent()
            sent.append(ticket)
            await asyncio.sleep(chance.random() * 0.002)
            ticket.settle(3)
        finally:
            ticket.cancel()

    async def main() -> int:
        tasks = [asyncio.create_task(work()) for _ in range(300)]
        for task in chance.sample(tasks, 200):
            await asyncio.sleep(chance.random() * 0.001)
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(end is None or isinstance(end, asyncio.CancelledError) for end in ends)
        return sum(end is None for end in ends)

    finished = asyncio.run(main())

    # A request that was sent is spent, with the three tokens that it used, or the one foreseen where it was cancelled before it was told.
    assert 100 <= finished <= len(sent)
    assert {
        "requests": 1000.0 - len(sent),
        "tokens": 1000.0 - 3 * finished - (len(sent) - finished),
        "concurrency": 5,
        "waiting": 0,
    } == limiter.snapshot()


def test_a_thread_wakes_a_task() -> None:
    """They may share a limiter."""
    limiter = Limiter(concurrency=1)
    under_way = limiter.enter()

    async def main() -> bool:
        ticket = limiter.enter()
        threading.Timer(0.005, under_way.settle).start()
        return await granted(ticket, timeout=5.0)

    assert asyncio.run(main())


def test_a_ticket_that_is_cancelled_from_outside_ends_its_wait() -> None:
    """The task goes on, without the grant, when it looks next."""

    async def main() -> bool:
        limiter = Limiter(concurrency=1)
        limiter.enter()
        ticket = limiter.enter()
        ticket.cancel()
        return await granted(ticket)

    assert not asyncio.run(main())


def test_a_wait_of_no_time_only_looks() -> None:
    """And leaves the ticket in the line."""

    async def main() -> tuple[bool, int]:
        limiter = Limiter(concurrency=1)
        limiter.enter()
        return await granted(limiter.enter(), timeout=0.0), limiter.snapshot()["waiting"]

    assert (False, 1) == asyncio.run(main())


def test_a_loop_that_was_closed_holds_nobody_up() -> None:
    """Its task was left behind, waiting: the next one gets what would have been its own."""
    limiter = Limiter(concurrency=1)
    under_way = limiter.enter()
    left_behind = limiter.enter()
    loop = asyncio.new_event_loop()
    task = loop.create_task(granted(left_behind))
    loop.call_later(0.001, loop.stop)
    loop.run_forever()
    loop.close()
    alive = limiter.enter()

    under_way.settle()

    assert (False, True) == (left_behind.granted, alive.granted)
    task.get_coro().close()  # type: ignore[union-attr]
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # it was left on purpose


def test_one_bucket_serves_one_loop_after_the_other() -> None:
    """Nothing in it belongs to a loop."""
    bucket = AsyncTokenBucket(1, 1000)

    for _ in range(3):
        assert asyncio.run(bucket.acquire())
        assert asyncio.run(bucket.acquire())


def test_two_loops_share_a_bucket_at_the_same_time() -> None:
    """In two threads: nobody gets more, nobody is forgotten."""
    bucket = AsyncTokenBucket(2, 2000)
    began = time.monotonic()

    async def main() -> int:
        return sum(await asyncio.gather(*(bucket.acquire() for _ in range(40))))

    got: list[int] = []
    threads = [threading.Thread(target=lambda: got.append(asyncio.run(main()))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert [40, 40] == got
    assert 80 <= 2 + 2000 * (time.monotonic() - began)

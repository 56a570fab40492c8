"""``cancel_all`` ends what is in flight, from another thread, wherever it is."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from llmkit import APIKeyPool, Client, RetryConfig
from llmkit.testing import FakeServer, Reply
from llmkit_async import AsyncClient

SLOW = RetryConfig(max_retries=3, base_delay=30, jitter=False)


def outcome(work: Callable[[], Any]) -> tuple[threading.Thread, list[BaseException | None]]:
    """Run *work* in a thread; the list holds what it raised."""
    found: list[BaseException | None] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            found.append(error)
        else:
            found.append(None)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, found


@pytest.mark.parametrize("operation", ["complete", "stream"])
def test_a_thread_that_waits_for_an_answer_is_released(server: FakeServer, operation: str) -> None:
    """It gets the native exception; the key is back and the client goes on."""
    server.enqueue(Reply(delay=30))
    pool = APIKeyPool(["sk-first-0001", "sk-second-0002"])
    client = Client("openai/gpt-4o-mini", base_url=server.url("openai"), api_keys=pool)
    work = {"complete": lambda: client.complete("Say hi"), "stream": lambda: client.stream("Say hi").collect()}[operation]
    thread, found = outcome(work)
    server.wait_for(lambda server: server.hits)

    cancelled = client.cancel_all()
    thread.join(5)

    assert 1 == cancelled
    assert [concurrent.futures.CancelledError] == [type(error) for error in found]
    assert [0, 0] == [row["leases"] for row in pool.snapshot()]
    assert "You said: Say hi" == client.complete("Say hi").text


def test_a_thread_that_waits_to_try_again_is_released(server: FakeServer) -> None:
    """The wait of a retry ends, and no request follows."""
    server.always(Reply.error(500))
    client = Client("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="sk-test-01234", retry=SLOW)
    thread, found = outcome(lambda: client.complete("Say hi"))
    server.wait_for(lambda server: server.hits)
    while not client.cancel_all():
        time.sleep(0.001)
    thread.join(5)

    assert [concurrent.futures.CancelledError] == [type(error) for error in found]
    assert 1 == server.hits


def test_a_stream_in_the_middle_is_released(server: FakeServer) -> None:
    """Its consumer sees the cancellation where it reads."""
    server.enqueue(Reply(chunks=["word "] * 100, between=0.05))
    client = Client("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="sk-test-01234")
    stream = client.stream("Say hi")
    first = next(stream)
    thread, found = outcome(lambda: stream.collect())

    client.cancel_all()
    thread.join(5)

    assert first is not None
    assert [concurrent.futures.CancelledError] == [type(error) for error in found]


@pytest.mark.parametrize("operation", ["complete", "stream"])
def test_tasks_are_cancelled(server: FakeServer, operation: str) -> None:
    """All of them, as if each had been cancelled by hand."""
    server.always(Reply(delay=30))

    async def main() -> list[Any]:
        async with AsyncClient("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="sk-test-01234") as client:
            make = {"complete": lambda: client.complete("Say hi"), "stream": lambda: client.stream("Say hi").collect()}[operation]
            tasks = [asyncio.ensure_future(make()) for _ in range(5)]
            while server.hits < 5:
                await asyncio.sleep(0.001)
            assert 5 == client.cancel_all()
            return await asyncio.gather(*tasks, return_exceptions=True)

    results = asyncio.run(main())

    assert [asyncio.CancelledError] * 5 == [type(result) for result in results]


def test_a_stream_of_the_twin_is_cancelled_where_it_is_read(server: FakeServer) -> None:
    """Between two chunks it belongs to nobody: the next read says so."""
    server.enqueue(Reply(chunks=["word "] * 100, between=0.05))

    async def main() -> None:
        async with AsyncClient("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="sk-test-01234") as client:
            stream = client.stream("Say hi")
            await anext(stream)
            assert 1 == client.cancel_all()
            with pytest.raises(asyncio.CancelledError):
                await stream.collect()

    asyncio.run(main())


def test_nothing_in_flight_is_nothing_cancelled(server: FakeServer) -> None:
    """A call that is over is not found any more."""
    client = Client("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="sk-test-01234")
    client.complete("Say hi")
    client.stream("Say hi").collect()

    assert 0 == client.cancel_all()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_cancels_nothing_of_its_parents(server: FakeServer) -> None:
    """What was in flight at the fork is the parent's, and goes on there."""
    server.enqueue(Reply("later", delay=0.2))
    client = Client("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="sk-test-01234")
    answers: list[str] = []
    thread = threading.Thread(target=lambda: answers.append(client.complete("Say hi").text))
    thread.start()
    server.wait_for(lambda server: server.hits)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # "this process is multi-threaded", which is the point
        child = os.fork()
    if child == 0:
        os._exit(client.cancel_all())
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    thread.join(5)

    assert 0 == status
    assert ["later"] == answers

"""One client for many: threads, tasks, loops and forked children, and each gets its own answer."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from llmkit import APIKeyPool, Client, RetryConfig
from llmkit.testing import FakeServer, RecordedRequest, Reply
from llmkit_async import AsyncClient

CALLS = int(os.environ.get("LLMKIT_TEST_CALLS", "2000"))  # 20000 for a long look
THREADS = 16
QUICK = RetryConfig(max_retries=5, base_delay=0.0005, max_delay=0.002)

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


def sometimes_failing() -> Callable[[RecordedRequest], Reply]:
    """Return a script in which every fortieth request fails, in one of three ways, and idle connections get closed."""
    count = 0
    faults = [Reply.error(503), Reply(reset=True), Reply("Hi", cut=15)]

    def script(_: RecordedRequest) -> Reply:
        nonlocal count
        count += 1
        return faults[count // 40 % 3] if count % 40 == 0 else Reply(close_idle=count % 97 == 0)

    return script


def test_threads_share_a_client(server: FakeServer) -> None:
    """Two thousand calls and streams over connections that fail now and then: no error, and no answer of another thread's."""
    server.always(sometimes_failing())
    pool = APIKeyPool(["sk-first-0001", "sk-second-0002", "sk-third-0003"])
    client = Client(
        "openai/gpt-4o-mini", base_url=server.url("openai"), api_keys=pool, retry=QUICK, circuit_breaker=None, max_connections=8
    )

    def work(thread: int) -> int:
        right = 0
        for number in range(CALLS // THREADS):
            said = f"thread {thread} says {number}"
            answer = client.complete(said) if number % 4 else client.stream(said).collect()
            right += f"You said: {said}" == answer.text
        return right

    with client, ThreadPoolExecutor(THREADS) as threads:
        right = list(threads.map(work, range(THREADS)))

    assert [CALLS // THREADS] * THREADS == right
    assert [0, 0, 0] == [row["leases"] for row in pool.snapshot()]
    server.wait_closed()


def test_threads_that_begin_together_make_one_endpoint(server: FakeServer) -> None:
    """A model's breaker and keys are the same for all, whoever asks first."""
    client = Client("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="sk-test-0123456789")
    barrier = threading.Barrier(THREADS)

    def work(_: int) -> int:
        barrier.wait()
        return id(client.breaker("gpt-4o"))

    with client, ThreadPoolExecutor(THREADS) as threads:
        found = set(threads.map(work, range(THREADS)))

    assert 1 == len(found)


def test_tasks_share_a_client(server: FakeServer) -> None:
    """Five hundred at once, over fewer connections."""
    server.always(sometimes_failing())
    pool = APIKeyPool(["sk-first-0001", "sk-second-0002", "sk-third-0003"])

    async def main() -> list[str]:
        async with AsyncClient(
            "openai/gpt-4o-mini", base_url=server.url("openai"), api_keys=pool, retry=QUICK, circuit_breaker=None
        ) as client:

            async def ask(number: int) -> str:
                said = f"task {number}"
                answer = await (client.complete(said) if number % 4 else client.stream(said).collect())
                return answer.text

            return await asyncio.gather(*map(ask, range(512)))

    answers = asyncio.run(main())

    assert [f"You said: task {number}" for number in range(512)] == answers
    assert [0, 0, 0] == [row["leases"] for row in pool.snapshot()]
    server.wait_closed()


def test_loops_one_after_the_other_share_a_client(server: FakeServer) -> None:
    """Scripts and notebooks call ``asyncio.run`` again and again."""
    client = AsyncClient("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="sk-test-0123456789")

    async def main(said: str) -> str:
        first = await client.complete(said)
        second = await client.stream(said).collect()
        assert first.text == second.text
        return first.text

    answers = [asyncio.run(main(said)) for said in ("one", "two", "three")]
    asyncio.run(client.close())

    assert ["You said: one", "You said: two", "You said: three"] == answers
    server.wait_closed()


def test_loops_in_several_threads_share_a_client(server: FakeServer) -> None:
    """At the same time."""
    client = AsyncClient("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="sk-test-0123456789")

    async def main(thread: int) -> list[str]:
        answers = await asyncio.gather(*[client.complete(f"{thread}.{number}") for number in range(40)])
        return [answer.text for answer in answers]

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda thread: asyncio.run(main(thread)), range(4)))
    asyncio.run(client.close())

    assert [[f"You said: {thread}.{number}" for number in range(40)] for thread in range(4)] == found
    server.wait_closed()


def run(script: str, server: FakeServer) -> None:
    """Run *script* in a process of its own, so that its forks are not pytest's."""
    finished = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", textwrap.dedent(script), server.url("openai")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (0, "") == (finished.returncode, finished.stderr)


PRELUDE = """
    import os, sys, threading, traceback, warnings
    warnings.simplefilter("ignore", DeprecationWarning)  # forking a process with threads is what is tested

    def forked(work):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                work()
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        return child

    def wait_for(children):
        assert [0] * len(children) == [os.waitpid(child, 0)[1] for child in children]
"""

SYNC = (
    PRELUDE
    + """
    from llmkit import Client

    client = Client("openai/gpt-4o-mini", base_url=sys.argv[1], api_keys=["sk-first-0001", "sk-second-0002"], deadline=20)

    def talk(name, times=5):
        for number in range(times):
            said = f"{name} {number}"
            answer = client.complete(said) if number % 2 else client.stream(said).collect()
            assert f"You said: {said}" == answer.text, (said, answer.text)
"""
)


@needs_fork
def test_forked_children_share_a_client_with_their_parent(server: FakeServer) -> None:
    """It was used before, with threads that go on using it while the children are made: everybody gets their own answers."""
    run(
        SYNC
        + """
    talk("parent")
    stopping = threading.Event()
    failures = []

    def background(name):
        try:
            while not stopping.is_set():
                talk(name)
        except BaseException:
            failures.append(traceback.format_exc())

    threads = [threading.Thread(target=background, args=(f"thread {n}",)) for n in range(3)]
    for thread in threads:
        thread.start()
    for repeat in range(5):
        children = [forked(lambda: talk(f"child {n} of {repeat}")) for n in range(4)]
        talk(f"parent {repeat}")
        wait_for(children)
    stopping.set()
    for thread in threads:
        thread.join()
    assert not failures, failures
    """,
        server,
    )

    assert server.hits > 5 + 5 * (4 + 1) * 5


@needs_fork
def test_a_child_does_not_end_its_parents_stream(server: FakeServer) -> None:
    """The copy in the child is closed without a word to the server."""
    server.enqueue(Reply(chunks=["A", "B", "C", "D"], between=0.05))

    run(
        SYNC
        + """
    stream = client.stream("Count")
    first = next(stream).text

    def work():
        global stream
        del stream
        talk("child")

    wait_for([forked(work), forked(lambda: talk("other"))])
    assert "ABCD" == stream.collect().text
    talk("parent")
    """,
        server,
    )


@needs_fork
def test_forked_children_share_an_async_client(server: FakeServer) -> None:
    """After the parent's loop has ended, and while one is only resting."""
    run(
        PRELUDE
        + """
    import asyncio
    from llmkit_async import AsyncClient

    client = AsyncClient("openai/gpt-4o-mini", base_url=sys.argv[1], api_key="sk-test-0123456789", deadline=20)

    async def talk(name):
        answers = await asyncio.gather(*[client.complete(f"{name} {n}") for n in range(8)])
        assert [f"You said: {name} {n}" for n in range(8)] == [answer.text for answer in answers]

    asyncio.run(talk("parent"))
    wait_for([forked(lambda: asyncio.run(talk(f"child {n}"))) for n in range(4)])
    loop = asyncio.new_event_loop()
    loop.run_until_complete(talk("parent"))
    for repeat in range(3):
        children = [forked(lambda: asyncio.run(talk(f"child {n} of {repeat}"))) for n in range(4)]
        loop.run_until_complete(talk(f"parent {repeat}"))
        wait_for(children)
    loop.run_until_complete(client.close())
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    """,
        server,
    )


def test_a_process_that_ends_without_closing_anything_ends(server: FakeServer) -> None:
    """Clients, streams and loops may be left as they are: no hang, no complaint."""
    server.enqueue(Reply("Good morning to you", stall_after=3))

    run(
        SYNC
        + """
    stream = client.stream("Say hi")
    next(stream)
    import asyncio
    from llmkit_async import AsyncClient

    twin = AsyncClient("openai/gpt-4o-mini", base_url=sys.argv[1], api_key="sk-test-0123456789")
    assert "You said: hi" == asyncio.run(twin.complete("hi")).text
    """,
        server,
    )

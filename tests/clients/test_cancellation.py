"""A call that is given up leaves nothing behind: no connection, no key, no probe; and what gave it up comes through as it is."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from llmkit import (
    APIKeyPool,
    CircuitBreakerConfig,
    CircuitState,
    Client,
    DeadlineExceededError,
    InvalidRequestError,
    RetryConfig,
)
from llmkit.testing import FakeServer, Reply
from llmkit_async import AsyncClient

SLOW = RetryConfig(max_retries=3, base_delay=30, jitter=False)
PROBING = CircuitBreakerConfig(failure_threshold=1, reset_time=1e-6)


class Watched:
    """A client with one key and a breaker that is half open: what a call holds can be counted."""

    def __init__(self, server: FakeServer, **kwargs: Any) -> None:
        self.server = server
        self.pool = APIKeyPool(["sk-first-0001", "sk-second-0002"])
        self.arguments = {
            "base_url": server.url("openai"), "api_keys": self.pool, "circuit_breaker": PROBING, "retry": None, **kwargs
        }  # fmt: skip

    def check(self, client: Client | AsyncClient) -> None:
        """Nothing is held."""
        assert [0, 0] == [row["leases"] for row in self.pool.snapshot()]
        breaker = client.breaker()
        assert breaker is not None
        assert 0 == breaker.snapshot()["probes"]


@pytest.fixture
def watched(server: FakeServer) -> Watched:
    """What the tests share."""
    return Watched(server)


async def half_opened(client: AsyncClient, server: FakeServer) -> None:
    server.enqueue(Reply.error(500))
    with pytest.raises(Exception, match="500"):
        await client.complete("Say hi")
    breaker = client.breaker()
    assert breaker is not None
    while breaker.state is not CircuitState.HALF_OPEN:
        await asyncio.sleep(0)


async def ask(client: AsyncClient) -> None:
    await client.complete("Say hi")


async def stream(client: AsyncClient) -> None:
    async for _ in client.stream("Say hi"):
        pass


async def collect(client: AsyncClient) -> None:
    await client.stream("Say hi").collect()


MOMENTS = [
    pytest.param(ask, Reply(hang=True), id="awaiting-head"),
    pytest.param(ask, Reply("Hello", drip=0.05, drip_from="head"), id="inside-head"),
    pytest.param(ask, Reply("Hello", stall_after=0), id="awaiting-body"),
    pytest.param(ask, Reply("Hello", drip=0.05), id="inside-body"),
    pytest.param(stream, Reply(hang=True), id="stream-awaiting-head"),
    pytest.param(stream, Reply("Good morning to you", stall_after=0), id="stream-awaiting-content"),
    pytest.param(stream, Reply("Good morning to you", stall_after=3), id="inside-stream"),
    pytest.param(collect, Reply("Good morning to you", stall_after=3), id="inside-collect"),
]


@pytest.mark.parametrize(("work", "reply"), MOMENTS)
def test_a_cancelled_task_holds_nothing(watched: Watched, work: Callable[[AsyncClient], Awaitable[None]], reply: Reply) -> None:
    """Wherever it was: the connection is closed, never reused, since its late answer would be taken for the next one's."""
    server = watched.server

    async def main() -> None:
        async with AsyncClient("openai/gpt-4o-mini", **watched.arguments) as client:
            await half_opened(client, server)
            server.enqueue(reply)
            task = asyncio.ensure_future(work(client))
            await asyncio.to_thread(server.wait_for, lambda server: server.hits == 2)
            await asyncio.sleep(0.02)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

            watched.check(client)
            await asyncio.to_thread(server.wait_closed)
            answer = await client.complete("Say more")
            assert "You said: Say more" == answer.text
            assert 3 == server.hits

    asyncio.run(main())


@pytest.mark.parametrize("work", [ask, stream])
def test_a_task_cancelled_at_any_step_holds_nothing(watched: Watched, work: Callable[[AsyncClient], Awaitable[None]]) -> None:
    """After each number of turns of the loop that a call may take: before the connection, while it is made, and so on."""

    async def main() -> None:
        async with AsyncClient("openai/gpt-4o-mini", **watched.arguments) as client:
            await half_opened(client, watched.server)
            cancelled = 0
            for turns in range(80):
                # A server that takes its time, and one that is as quick as can be: the same moments fall on other steps.
                watched.server.always(Reply(delay=0.002 * (turns % 2)))
                task = asyncio.ensure_future(work(client))
                for _ in range(turns // 2):
                    await asyncio.sleep(0)
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
                cancelled += task.cancelled()
                assert [0, 0] == [row["leases"] for row in watched.pool.snapshot()]

            assert cancelled > 10
            watched.check(client)
            await client.complete("Say more")

    asyncio.run(main())


def test_a_task_cancelled_while_it_waits_to_retry_holds_nothing(watched: Watched) -> None:
    """It ends at once, not after the wait."""

    async def main() -> None:
        async with AsyncClient("openai/gpt-4o-mini", **{**watched.arguments, "circuit_breaker": None, "retry": SLOW}) as client:
            watched.server.enqueue(Reply.error(503))
            task = asyncio.ensure_future(client.complete("Say hi"))
            await asyncio.to_thread(watched.server.wait_for, lambda server: server.hits == 1)
            await asyncio.sleep(0.03)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

            assert [0, 0] == [row["leases"] for row in watched.pool.snapshot()]
            assert "You said: Say more" == (await client.complete("Say more")).text

    began = time.monotonic()
    asyncio.run(main())

    assert time.monotonic() - began < 5
    assert 2 == watched.server.hits


def test_a_users_time_out_stays_the_users(watched: Watched) -> None:
    """asyncio.wait_for around a call raises what it always raises, not an error of ours."""

    async def main() -> None:
        async with AsyncClient("openai/gpt-4o-mini", **watched.arguments) as client:
            await half_opened(client, watched.server)
            watched.server.enqueue(Reply(hang=True))
            with pytest.raises(asyncio.TimeoutError) as caught:
                await asyncio.wait_for(client.complete("Say hi"), 0.05)

            assert not isinstance(caught.value, DeadlineExceededError)
            watched.check(client)
            await asyncio.to_thread(watched.server.wait_closed)

    asyncio.run(main())


@pytest.mark.skipif(not hasattr(asyncio, "timeout"), reason="asyncio.timeout came with Python 3.11")
def test_a_users_time_out_around_a_stream_stays_the_users(watched: Watched) -> None:
    """Also where it was given as a block."""

    async def main() -> None:
        async with AsyncClient("openai/gpt-4o-mini", **watched.arguments) as client:
            await half_opened(client, watched.server)
            watched.server.enqueue(Reply("Good morning to you", stall_after=3))
            had: list[str] = []

            async def hear() -> None:
                async with asyncio.timeout(0.1):
                    async for chunk in client.stream("Say hi"):
                        had.append(chunk.text)

            with pytest.raises(TimeoutError) as caught:
                await hear()

            assert not isinstance(caught.value, DeadlineExceededError)
            assert "Good morning" == "".join(had)
            watched.check(client)
            await asyncio.to_thread(watched.server.wait_closed)

    asyncio.run(main())


def test_our_deadline_is_no_cancellation(watched: Watched) -> None:
    """The task goes on, and asyncio counts no cancel against it."""

    async def main() -> None:
        async with AsyncClient("openai/gpt-4o-mini", **watched.arguments) as client:
            watched.server.enqueue(Reply(hang=True))
            with pytest.raises(DeadlineExceededError):
                await client.complete("Say hi", deadline=0.05)

            task = asyncio.current_task()
            assert task is not None
            assert not getattr(task, "cancelling", int)()
            assert "You said: Say more" == (await client.complete("Say more")).text

    asyncio.run(main())


async def texts_of(client: AsyncClient) -> AsyncIterator[str]:
    async for chunk in client.stream("Say hi"):
        yield chunk.text


async def leave_loop(client: AsyncClient) -> None:
    async for _ in client.stream("Say hi"):
        break


async def leave_texts(client: AsyncClient) -> None:
    async for _ in client.stream("Say hi").text_iter():
        break


async def leave_generator(client: AsyncClient) -> None:
    async for _ in texts_of(client):
        break


async def leave_with(client: AsyncClient) -> None:
    async with client.stream("Say hi") as opened:
        async for _ in opened:
            break


async def leave_by_exception(client: AsyncClient) -> None:
    async def raising() -> None:
        async with client.stream("Say hi") as opened:
            async for _ in opened:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await raising()


async def forget(client: AsyncClient) -> None:
    opened = client.stream("Say hi")
    await opened.__anext__()


@pytest.mark.parametrize("leave", [leave_loop, leave_texts, leave_generator, leave_with, leave_by_exception, forget])
def test_an_async_stream_that_is_left_leaves_nothing_behind(watched: Watched, leave: Callable[[AsyncClient], Awaitable[None]]) -> None:
    """A loop finalises what is dropped; no warning, no open connection, no key."""

    async def main() -> None:
        async with AsyncClient("openai/gpt-4o-mini", **watched.arguments) as client:
            await half_opened(client, watched.server)
            watched.server.enqueue(Reply("Good morning to you all", stall_after=3))
            await leave(client)
            gc.collect()
            await asyncio.to_thread(watched.server.wait_closed)
            await asyncio.sleep(0)

            watched.check(client)

    asyncio.run(main())


def test_a_loop_that_ends_closes_the_streams_that_are_open(watched: Watched) -> None:
    """Whoever holds them still."""
    kept: list[Any] = []

    async def main() -> None:
        client = AsyncClient("openai/gpt-4o-mini", **watched.arguments)
        watched.server.enqueue(Reply("Good morning to you all", stall_after=3))
        kept.append(client.stream("Say hi"))
        await kept[0].__anext__()

    asyncio.run(main())

    watched.server.wait_closed()
    assert [0, 0] == [row["leases"] for row in watched.pool.snapshot()]


# The sync client.


@contextlib.contextmanager
def interrupt(after: Callable[[], object]) -> Iterator[None]:
    """Send this process Ctrl-C once *after* has returned, in a thread of its own."""

    def send() -> None:
        after()
        time.sleep(0.03)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=send)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        yield
    thread.join()


SYNC_MOMENTS = [
    pytest.param(lambda client: client.complete("Say hi"), Reply(hang=True), id="awaiting-head"),
    pytest.param(lambda client: client.complete("Say hi"), Reply("Hello", stall_after=0), id="awaiting-body"),
    pytest.param(lambda client: client.stream("Say hi").collect(), Reply(hang=True), id="stream-awaiting-head"),
    pytest.param(lambda client: list(client.stream("Say hi")), Reply("Good morning to you", stall_after=3), id="inside-stream"),
]


@pytest.mark.parametrize(("work", "reply"), SYNC_MOMENTS)
def test_ctrl_c_holds_nothing(watched: Watched, work: Callable[[Client], object], reply: Reply) -> None:
    """It comes through as it is; the connection is closed, and the next call answered."""
    server = watched.server
    server.enqueue(Reply.error(500), reply)
    with Client("openai/gpt-4o-mini", **watched.arguments) as client:
        with pytest.raises(Exception, match="500"):
            client.complete("Say hi")

        with interrupt(lambda: server.wait_for(lambda server: server.hits == 2)):
            work(client)

        watched.check(client)
        server.wait_for(lambda server: server.open_connections == 0)
        assert "You said: Say more" == client.complete("Say more").text


def test_ctrl_c_ends_the_wait_for_a_retry(watched: Watched) -> None:
    """Nothing is sent afterwards."""
    watched.server.enqueue(Reply.error(503))
    with Client("openai/gpt-4o-mini", **{**watched.arguments, "circuit_breaker": None, "retry": SLOW}) as client:
        with interrupt(lambda: watched.server.wait_for(lambda server: server.hits == 1)):
            client.complete("Say hi")

        assert [0, 0] == [row["leases"] for row in watched.pool.snapshot()]
    assert 1 == watched.server.hits


def test_a_generator_around_a_stream_may_be_left(watched: Watched) -> None:
    """GeneratorExit is no failure of the endpoint."""

    def texts(client: Client) -> Iterator[str]:
        for chunk in client.stream("Say hi"):
            yield chunk.text

    watched.server.enqueue(Reply("Good morning to you all", stall_after=3))
    with Client("openai/gpt-4o-mini", **watched.arguments) as client:
        for _ in texts(client):
            break
        gc.collect()

        watched.check(client)
        watched.server.wait_closed()
        assert client.breaker().state is CircuitState.CLOSED  # type: ignore[union-attr]


def test_a_bug_in_the_callers_code_comes_through(watched: Watched) -> None:
    """An ``auth=`` that raises is the user's own error, not a provider's; nothing is sent, nothing held."""
    calls: list[int] = []

    def broken() -> dict[str, str]:
        calls.append(1)
        raise ZeroDivisionError

    arguments = {**watched.arguments, "auth": broken}
    del arguments["api_keys"]
    with Client("openai/gpt-4o-mini", **arguments) as client:
        with pytest.raises(ZeroDivisionError):
            client.complete("Say hi")

        breaker = client.breaker()
        assert breaker is not None
        assert (0, "closed") == (breaker.snapshot()["failures_in_a_row"], breaker.snapshot()["state"])
    assert [1] == calls
    assert 0 == watched.server.hits


def test_a_transport_that_breaks_comes_through(face: Any, server: FakeServer) -> None:
    """A bug is raised as it is, once."""
    transport = face.double(TypeError("a bug"))
    pool = APIKeyPool(["sk-first-0001"])
    client = face.client("openai/gpt-4o-mini", base_url=server.url("openai"), api_keys=pool, transport=transport)

    with pytest.raises(TypeError, match="a bug"):
        client.complete("Say hi")

    assert 1 == len(transport.requests)
    assert 0 == pool.snapshot()[0]["leases"]
    assert 0 == client.breaker().snapshot()["failures_in_a_row"]


def test_closing_a_client_lets_calls_in_flight_end(server: FakeServer) -> None:
    """Later ones are refused."""
    server.enqueue(Reply("Good morning", delay=0.05))
    client = Client("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="sk-test-0123456789")
    answers: list[str] = []
    thread = threading.Thread(target=lambda: answers.append(client.complete("Say hi").text))
    thread.start()
    server.wait_for(lambda server: server.hits == 1)

    client.close()
    thread.join(5)

    assert ["Good morning"] == answers
    with pytest.raises(ValueError, match="closed"):
        client.complete("Say hi")


def test_closing_an_async_client_lets_calls_in_flight_end(server: FakeServer) -> None:
    """The twin does the same."""

    async def main() -> str:
        client = AsyncClient("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="sk-test-0123456789")
        server.enqueue(Reply("Good morning", delay=0.05))
        task = asyncio.ensure_future(client.complete("Say hi"))
        await asyncio.to_thread(server.wait_for, lambda server: server.hits == 1)
        await client.close()
        with pytest.raises(ValueError, match="closed"):
            await client.complete("Say hi")
        return (await task).text

    assert "Good morning" == asyncio.run(main())
    server.wait_closed()


def test_a_failed_gather_ends_quietly(server: FakeServer, capfd: pytest.CaptureFixture[str]) -> None:
    """One call fails, the with is left and the loop shut down while others are in flight: the session is closed once."""
    server.enqueue(Reply.error(400))
    server.always(Reply(delay=0.2))

    async def main() -> None:
        async with AsyncClient("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="sk-test-0123456789") as client:
            await asyncio.gather(*(client.complete(f"{n}") for n in range(4)))

    with pytest.raises(InvalidRequestError):
        asyncio.run(main())

    assert "" == capfd.readouterr().err
    server.wait_closed()

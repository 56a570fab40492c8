"""A loop in a thread of its own, which ends whatever runs on it."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time

import pytest

from llmkit.loop.private import PrivateLoop


def test_work_runs_in_its_context_and_its_end_is_told() -> None:
    """In the loop's thread."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    context = contextvars.copy_context()
    context.run(variable.set, "inside")
    done: list[str] = []
    told = threading.Event()
    loop = PrivateLoop()

    async def work() -> str:
        await asyncio.sleep(0)
        return variable.get()

    loop.begin(context, work(), lambda task: (done.append(task.result()), told.set()))  # type: ignore[arg-type, func-returns-value]

    assert told.wait(5)
    assert ["inside"] == done
    loop.close()


def test_work_can_be_cancelled_from_outside() -> None:
    """It may clean up."""
    cancelled = threading.Event()
    loop = PrivateLoop()

    async def work() -> None:
        try:
            await asyncio.sleep(5)
        finally:
            cancelled.set()

    begun = threading.Event()

    async def started() -> None:
        begun.set()
        await work()

    cancel = loop.begin(contextvars.copy_context(), started(), lambda task: None)
    assert begun.wait(5)
    cancel()

    assert cancelled.wait(5)
    loop.close()


def test_what_is_awaited_in_another_thread_comes_back() -> None:
    """Its error, too."""
    loop = PrivateLoop()

    async def work(fails: bool) -> str:
        await asyncio.sleep(0)
        if fails:
            raise LookupError("lost")
        return "found"

    assert "found" == loop.wait_for(work(False))
    with pytest.raises(LookupError, match="lost"):
        loop.wait_for(work(True))
    loop.close()


def test_closing_waits_no_longer_than_a_moment() -> None:
    """What does not end by itself is cancelled; what blocks the thread is left to it."""
    over = threading.Event()
    ended: list[str] = []
    loop, blocked = PrivateLoop(), PrivateLoop()

    both_begun = threading.Barrier(3)

    async def work() -> None:
        both_begun.wait(5)
        try:
            await asyncio.sleep(5)
        finally:
            await asyncio.sleep(0)
            ended.append("work")

    async def block() -> None:
        both_begun.wait(5)
        over.wait(5)

    loop.begin(contextvars.copy_context(), work(), lambda task: None)
    blocked.begin(contextvars.copy_context(), block(), lambda task: None)
    both_begun.wait(5)
    begun = time.monotonic()
    loop.close()
    blocked.close()
    elapsed = time.monotonic() - begun
    over.set()
    blocked._thread.join(5)

    assert ["work"] == ended
    assert elapsed < 3
    assert not loop._thread.is_alive()
    assert not blocked._thread.is_alive()

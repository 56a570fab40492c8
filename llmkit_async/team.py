"""Tasks that do one piece of some work after the other: ``llmkit.team`` with ``await`` in it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from llmkit.errors import LLMKitError
from llmkit.team import Work
from llmkit_async._aside import WRITING

__all__ = ["carried_out"]

Piece = TypeVar("Piece")


async def carried_out(work: Work[Piece], do: Callable[[Piece], Awaitable[object]], size: int) -> None:
    """
    Have *do* done with every piece of *work* by *size* tasks; *arrived* is called in them.

    Raises:
        BaseException: The first that was raised, by whatever task, or here while waiting.
    """
    if size <= 1:
        await _alone(work, do)
        return
    tasks = [asyncio.ensure_future(_run(work, do)) for _ in range(size)]
    patience = 0.0
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in tasks:
            if task in done:
                task.result()
    except asyncio.CancelledError:
        # A cancellation is to be quick: what is under way is cancelled with it.
        work.leave()
        raise
    except BaseException as error:
        patience = work.leave()
        await asyncio.wait(tasks, timeout=patience)
        if isinstance(error, LLMKitError):
            work.tell(error)
        raise
    finally:
        await _ended(tasks)


async def _alone(work: Work[Piece], do: Callable[[Piece], Awaitable[object]]) -> None:
    try:
        await _run(work, do)
    except LLMKitError as error:
        work.tell(error)
        raise


async def _run(work: Work[Piece], do: Callable[[Piece], Awaitable[object]]) -> None:
    try:
        while (piece := work.next()) is not None:
            await do(piece)
            work.arrived(piece)
    except BaseException:
        work.leave()
        raise


async def _ended(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel those of *tasks* that are not done, which takes no longer than writing a line does."""
    for task in tasks:
        task.cancel()
    done, _ = await asyncio.wait(tasks, timeout=WRITING)
    for task in done:
        if not task.cancelled():
            task.exception()  # seen: else it would be complained of

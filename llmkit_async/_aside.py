"""What blocks, done in a thread beside the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["WRITING", "aside"]

WRITING = 10.0  # seconds for a line of a log that is being written when its task is cancelled

Result = TypeVar("Result")


async def aside(function: Callable[..., Result], *arguments: Any) -> Result:
    """Return what *function* does in a thread; a cancellation waits until it is done, for a bounded time."""
    future = asyncio.get_running_loop().run_in_executor(None, function, *arguments)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future], timeout=WRITING)
        raise

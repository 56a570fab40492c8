"""
The loop around a client's ``send``: the only home of ``backoff``.

The policy has decided before this is asked: ``Again`` says that there is to be another try, and after how many seconds. Everything
else passes through.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

__all__ = ["Again", "abacked_off", "backed_off"]

Client = TypeVar("Client")
Work = TypeVar("Work")
Result = TypeVar("Result")


class Again(Exception):
    """Not an error but an order: try once more, after ``wait`` seconds."""

    def __init__(self, wait: float) -> None:
        super().__init__(wait)
        self.wait = wait


def backed_off(send: Callable[[Client, Work], Result]) -> Callable[[Client, Work], Result]:
    """
    Return *send*, tried again as long as it raises ``Again``, with the waits that it asks for.

    ``backoff`` is imported when the first call fails: it brings asyncio, which costs more than many a script's whole work.
    """

    @functools.wraps(send)
    def sending(client: Client, work: Work) -> Result:
        try:
            return send(client, work)
        except Again as order:
            first = order
        pending = [first]

        def once_more() -> Result:
            if pending:
                raise pending.pop()
            return send(client, work)

        result: Result = _decorator()(once_more)()
        return result

    return sending


def abacked_off(send: Callable[[Client, Work], Awaitable[Result]]) -> Callable[[Client, Work], Awaitable[Result]]:
    """The twin of ``backed_off`` for coroutine functions."""

    @functools.wraps(send)
    async def sending(client: Client, work: Work) -> Result:
        try:
            return await send(client, work)
        except Again as order:
            first = order
        pending = [first]

        async def once_more() -> Result:
            if pending:
                raise pending.pop()
            return await send(client, work)

        result: Result = await _decorator()(once_more)()
        return result

    return sending


def _decorator() -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    import backoff

    # jitter=None: backoff's own would shorten a Retry-After. logger=None: the ledger and our own log say it better. No max_time: it
    # is no deadline (half a second was seen to take 1.6), and no max_tries: whoever raises Again has counted.
    return backoff.on_exception(backoff.runtime, Again, value=_wait_of, jitter=None, logger=None)


def _wait_of(order: Any) -> float:
    return float(order.wait)

"""
What a batch costs beside its calls, and whether its memory stays level.

``python -m benchmarks.batches [count]`` sends so many prompts (by default 1,000,000) from a generator through a transport without a
network, on both clients, and prints CPU time per item beyond that of the call itself, and the memory of the process on the way.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from typing import Any

from llmkit import Client
from llmkit.transport.base import HttpRequest, HttpResponse
from llmkit_async import AsyncClient

BODY = json.dumps(
    {
        "id": "x",
        "object": "chat.completion",
        "model": "gpt-4o-mini",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }
).encode()
SAID: dict[str, Any] = {"api_key": "sk-0123456789", "base_url": "http://127.0.0.1:1/v1"}


class Double:
    """It answers at once."""

    def send(self, request: HttpRequest, *, timeout: object, stream: bool = False) -> HttpResponse:
        return HttpResponse(status=200, headers={"content-type": "application/json"}, body=BODY)

    def close(self) -> None:
        """There is nothing to close."""


class AsyncDouble(Double):
    """The same, awaited."""

    async def send(self, request: HttpRequest, *, timeout: object, stream: bool = False) -> HttpResponse:  # type: ignore[override]
        return super().send(request, timeout=timeout, stream=stream)

    async def close(self) -> None:  # type: ignore[override]
        """There is nothing to close."""


def memory() -> float:
    """Return the MiB that this process has now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


def told(name: str, count: int, alone: float, together: float, levels: list[float]) -> None:
    print(
        f"{name}: {together * 1e6:.0f} us of CPU per item, {alone * 1e6:.0f} us of them the call: "
        f"{(together - alone) * 1e6:.0f} us beyond it; {count} items, memory {', '.join(f'{level:.1f}' for level in levels)} MiB"
    )


def prompts(count: int) -> Any:
    return (f"p{number}" for number in range(count))


def sync(count: int) -> None:
    client = Client("openai/gpt-4o-mini", transport=Double(), **SAID)
    few = max(1, count // 20)
    for prompt in prompts(few):
        client.complete(prompt)
    started = time.process_time()
    for prompt in prompts(few):
        client.complete(prompt)
    alone = (time.process_time() - started) / few
    levels = [memory()]
    started = time.process_time()
    for item in client.batch_iter(prompts(count)):
        if item.index % max(1, count // 5) == count // 10:
            levels.append(memory())
    told("sync", count, alone, (time.process_time() - started) / count, [*levels, memory()])


async def twin(count: int) -> None:
    client = AsyncClient("openai/gpt-4o-mini", transport=AsyncDouble(), **SAID)
    few = max(1, count // 20)
    for prompt in prompts(few):
        await client.complete(prompt)
    started = time.process_time()
    for prompt in prompts(few):
        await client.complete(prompt)
    alone = (time.process_time() - started) / few
    levels = [memory()]
    started = time.process_time()
    async for item in client.batch_iter(prompts(count)):
        if item.index % max(1, count // 5) == count // 10:
            levels.append(memory())
    told("async", count, alone, (time.process_time() - started) / count, [*levels, memory()])


if __name__ == "__main__":
    total = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    sync(total)
    asyncio.run(twin(total))

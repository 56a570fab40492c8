"""
What embedding many texts costs beside the network, with a checkpoint and without, and how much memory it takes.

``python -m benchmarks.embeddings [count]`` embeds so many texts (by default 100,000) in vectors of 1,536 numbers, through a transport
without a network, on both clients: plain, with a checkpoint, and restored from it. For each it prints CPU and wall time per text, how
fast that is in vectors, and the most memory that the process has had, beside that of the vectors themselves.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import resource
import sys
import tempfile
import time
from array import array
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from llmkit import Client, EmbeddingResponse
from llmkit.transport.base import HttpRequest, HttpResponse
from llmkit_async import AsyncClient

SAID: dict[str, Any] = {"api_key": "sk-0123456789", "base_url": "http://127.0.0.1:1/v1"}
DIMENSIONS = 1536
TEXT = "The quick brown fox jumps over the lazy dog, and then it does so once more. " * 4


@cache
def body(count: int) -> bytes:
    row = base64.b64encode(array("f", [number / DIMENSIONS for number in range(DIMENSIONS)]).tobytes()).decode()
    data = [{"object": "embedding", "index": index, "embedding": row} for index in range(count)]
    return json.dumps({"object": "list", "data": data, "model": "m", "usage": {"prompt_tokens": count, "total_tokens": count}}).encode()


class Double:
    """It answers at once."""

    def send(self, request: HttpRequest, *, timeout: object, stream: bool = False) -> HttpResponse:
        count = len(json.loads(request.body)["input"])
        return HttpResponse(status=200, headers={"content-type": "application/json"}, body=body(count))

    def close(self) -> None:
        """There is nothing to close."""


class AsyncDouble(Double):
    """The same, awaited."""

    async def send(self, request: HttpRequest, *, timeout: object, stream: bool = False) -> HttpResponse:  # type: ignore[override]
        return super().send(request, timeout=timeout, stream=stream)

    async def close(self) -> None:  # type: ignore[override]
        """There is nothing to close."""


def measured(name: str, count: int, embed: Callable[[], EmbeddingResponse]) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    answer = embed()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    assert count == len(answer.vectors)
    size = len(answer.vectors.numbers) * answer.vectors.numbers.itemsize / 1e6
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(
        f"{name}: {cpu / count * 1e6:.0f} us of CPU and {wall / count * 1e6:.0f} us per text, {size / wall:.0f} MB/s of vectors; "
        f"{size:.0f} MB of them, {most:.0f} MB at most"
    )


def in_a_process(name: str, count: int, embed: Callable[[], EmbeddingResponse]) -> None:
    """Measure *embed* in a process of its own, whose most memory is its own too."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        measured(name, count, embed)
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(child, 0)


def sync(inputs: list[str], **said: Any) -> EmbeddingResponse:
    with Client("openai/text-embedding-3-small", transport=Double(), **SAID) as client:
        return client.embed(inputs, **said)


def twin(inputs: list[str], **said: Any) -> EmbeddingResponse:
    async def embed() -> EmbeddingResponse:
        async with AsyncClient("openai/text-embedding-3-small", transport=AsyncDouble(), **SAID) as client:
            return await client.embed(inputs, **said)

    return asyncio.run(embed())


def main(count: int) -> None:
    inputs = [f"{number} {TEXT}" for number in range(count)]
    for name, embed in (("sync", sync), ("async", twin)):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "run.jsonl")
            in_a_process(f"{name}, plain", count, partial(embed, inputs))
            in_a_process(f"{name}, checkpoint", count, partial(embed, inputs, checkpoint=path))
            in_a_process(f"{name}, restored", count, partial(embed, inputs, checkpoint=path))
            print(f"  the checkpoint: {os.path.getsize(path) / 1e6:.0f} MB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)

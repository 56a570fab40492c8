"""
One set of tests for both faces.

``face.client(...)`` gives something that is used like the sync client, whichever face is behind it: the twin's coroutines run on a
loop that belongs to the test, so that several clients, and work between two calls, share it as they would in a program.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import pytest

from llmkit import Client, CompletionChunk, CompletionResponse
from llmkit.testing import FakeServer
from llmkit_async import AsyncClient

T = TypeVar("T")


class SyncFace:
    """The sync client as it is."""

    name = "sync"

    def client(self, *args: Any, **kwargs: Any) -> Any:
        return Client(*args, **kwargs)

    def close(self) -> None:
        pass


class AsyncFace:
    """The twin, driven from outside."""

    name = "async"

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.clients: list[AsyncClient] = []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def client(self, *args: Any, **kwargs: Any) -> Any:
        client = AsyncClient(*args, **kwargs)
        self.clients.append(client)
        return Driven(self, client)

    def close(self) -> None:
        for client in self.clients:
            self.run(client.close())
        self.run(self.loop.shutdown_asyncgens())
        self.loop.close()


class Driven:
    """An ``AsyncClient`` whose methods return what the sync client's would."""

    def __init__(self, face: AsyncFace, client: AsyncClient) -> None:
        self.face = face
        self.twin = client

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.twin, name)
        if not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            result = found(*args, **kwargs)
            return self.face.run(result) if asyncio.iscoroutine(result) else result

        return call

    def stream(self, *args: Any, **kwargs: Any) -> DrivenStream:
        return DrivenStream(self.face, self.twin.stream(*args, **kwargs))

    def __enter__(self) -> Driven:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()


class DrivenStream:
    """An ``AsyncCompletionStream``, iterated like the sync one."""

    def __init__(self, face: AsyncFace, stream: Any) -> None:
        self.face = face
        self.twin = stream

    def __iter__(self) -> Iterator[CompletionChunk]:
        chunks = aiter(self.twin)
        try:
            while (chunk := self.face.run(_next(chunks))) is not None:
                yield chunk
        finally:
            self.face.run(chunks.aclose())

    def __next__(self) -> CompletionChunk:
        chunk = self.face.run(_next(self.twin))
        if chunk is None:
            raise StopIteration
        return chunk

    def text_iter(self) -> Iterator[str]:
        texts = self.twin.text_iter()
        while (text := self.face.run(_next(texts))) is not None:
            yield text

    @property
    def response(self) -> CompletionResponse:
        return self.twin.response

    def collect(self) -> CompletionResponse:
        return self.face.run(self.twin.collect())

    def close(self) -> None:
        self.face.run(self.twin.close())

    def __enter__(self) -> DrivenStream:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()


async def _next(chunks: Any) -> Any:
    try:
        return await chunks.__anext__()
    except StopAsyncIteration:
        return None


@pytest.fixture(params=["sync", "async"])
def face(request: pytest.FixtureRequest) -> Iterator[SyncFace | AsyncFace]:
    """Each test that asks for a face runs once on each client."""
    made: SyncFace | AsyncFace = SyncFace() if request.param == "sync" else AsyncFace()
    yield made
    made.close()


@pytest.fixture
def connect(face: SyncFace | AsyncFace, server: FakeServer) -> Iterator[Callable[..., Any]]:
    """Return a maker of clients of the fake server, which closes them in the end."""
    made: list[Any] = []

    def make(model: str = "openai/gpt-4o-mini", **kwargs: Any) -> Any:
        kwargs.setdefault("base_url", server.url("openai"))
        if not {"api_key", "api_keys", "auth"} & kwargs.keys():
            kwargs["api_key"] = "sk-test-0123456789"
        client = face.client(model, **kwargs)
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()

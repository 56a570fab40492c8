"""
One set of tests for both faces.

``face.client(...)`` gives something that is used like the sync client, whichever face is behind it: the twin's coroutines run on a
loop that belongs to the test, so that several clients, and work between two calls, share it as they would in a program.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import multiprocessing
import os
import random
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

import pytest

from llmkit import Agent, Client, CompletionResponse, HttpRequest, HttpResponse, RunResult
from llmkit.testing import FakeServer
from llmkit_async import AsyncAgent, AsyncClient

T = TypeVar("T")


class Double:
    """A transport without a network: it gives, or raises, what it was told, the last of it again and again."""

    def __init__(self, *outcomes: HttpResponse | Exception) -> None:
        self.outcomes = list(outcomes)
        self.requests: list[HttpRequest] = []
        self.closed = False

    def send(self, request: HttpRequest, *, timeout: object, stream: bool = False) -> HttpResponse:
        self.requests.append(request)
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def close(self) -> None:
        self.closed = True


class AsyncDouble(Double):
    """The same, awaited."""

    async def send(self, request: HttpRequest, *, timeout: object, stream: bool = False) -> HttpResponse:  # type: ignore[override]
        return super().send(request, timeout=timeout, stream=stream)

    async def close(self) -> None:  # type: ignore[override]
        super().close()


class SyncFace:
    """The sync client as it is."""

    name = "sync"

    def client(self, *args: Any, **kwargs: Any) -> Any:
        return Client(*args, **kwargs)

    def made(self, how: str, *args: Any, **kwargs: Any) -> Any:
        """Return a client from one of the class's own ways to make one."""
        return getattr(Client, how)(*args, **kwargs)

    def agent(self, client: Any, **kwargs: Any) -> Any:
        return Agent(client, **kwargs)

    def loaded(self, path: Any, client: Any, **kwargs: Any) -> Any:
        """Return an agent from a file."""
        return Agent.load(path, client, **kwargs)

    def double(self, *outcomes: HttpResponse | Exception) -> Double:
        return Double(*outcomes)

    def settle(self) -> None:
        """Let what was left behind be cleaned up."""
        gc.collect()

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
        return self._driven(AsyncClient(*args, **kwargs))

    def made(self, how: str, *args: Any, **kwargs: Any) -> Any:
        return self._driven(getattr(AsyncClient, how)(*args, **kwargs))

    def _driven(self, client: AsyncClient) -> Any:
        self.clients.append(client)
        return Driven(self, client)

    def agent(self, client: Driven, **kwargs: Any) -> Any:
        return Driven(self, AsyncAgent(client.twin, **kwargs))

    def loaded(self, path: Any, client: Driven, **kwargs: Any) -> Any:
        return Driven(self, AsyncAgent.load(path, client.twin, **kwargs))

    def double(self, *outcomes: HttpResponse | Exception) -> Double:
        return AsyncDouble(*outcomes)

    def settle(self) -> None:
        """Let what was left behind be cleaned up: a loop finalises in turns of its own."""
        gc.collect()
        for _ in range(5):
            self.run(asyncio.sleep(0))

    def close(self) -> None:
        for client in self.clients:
            self.run(client.close())
        self.run(self.loop.shutdown_asyncgens())
        self.loop.close()


class Driven:
    """An ``AsyncClient``, or an ``AsyncAgent``, whose methods return what the sync one's would."""

    def __init__(self, face: AsyncFace, client: Any) -> None:
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

    def batch_iter(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        return self._iterated(self.twin.batch_iter(*args, **kwargs))

    def _iterated(self, items: Any) -> Iterator[Any]:
        try:
            while (item := self.face.run(_next(items))) is not None:
                yield item
        finally:
            self.face.run(items.aclose())

    def stream(self, *args: Any, **kwargs: Any) -> DrivenStream:
        return DrivenStream(self.face, self.twin.stream(*args, **kwargs))

    def run_stream(self, *args: Any, **kwargs: Any) -> DrivenStream:
        return DrivenStream(self.face, self.twin.run_stream(*args, **kwargs))

    def __enter__(self) -> Driven:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()


class DrivenStream:
    """An ``AsyncCompletionStream`` or an ``AsyncRunStream``, iterated like the sync one."""

    def __init__(self, face: AsyncFace, stream: Any) -> None:
        self.face = face
        self.twin = stream

    def __iter__(self) -> Iterator[Any]:
        chunks = aiter(self.twin)
        try:
            while (chunk := self.face.run(_next(chunks))) is not None:
                yield chunk
        finally:
            self.face.run(chunks.aclose())

    def __next__(self) -> Any:
        chunk = self.face.run(_next(self.twin))
        if chunk is None:
            raise StopIteration
        return chunk

    def text_iter(self) -> Iterator[str]:
        texts = self.twin.text_iter()
        while (text := self.face.run(_next(texts))) is not None:
            yield text

    def partial(self) -> Iterator[Any]:
        instances = self.twin.partial()
        while (instance := self.face.run(_next(instances))) is not None:
            yield instance

    @property
    def response(self) -> CompletionResponse:
        return self.twin.response

    @property
    def result(self) -> RunResult:
        return self.twin.result

    @property
    def so_far(self) -> RunResult:
        return self.twin.so_far

    def collect(self) -> Any:
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


class Talker:
    """
    A server whose every byte is the test's: each connection's request is read, then *talk* has the socket.

    What *talk* raises ends the connection only, since tests cut it short on purpose.
    """

    def __init__(self, talk: Callable[[socket.socket, bytes], None]) -> None:
        self.talk = talk
        self.heads: list[bytes] = []
        self.gone = threading.Semaphore(0)  # released for each connection that is over
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/v1"
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        sock.settimeout(5)
        with sock, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                data = sock.recv(65536)
                if not data:
                    break
                head += data
            if head:
                self.heads.append(head)
                self.talk(sock, head)
        self.gone.release()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(2)


@pytest.fixture
def talking() -> Iterator[Callable[..., Talker]]:
    """Return a maker of servers that say what the test writes."""
    made: list[Talker] = []

    def make(talk: Callable[[socket.socket, bytes], None]) -> Talker:
        made.append(Talker(talk))
        return made[-1]

    yield make
    for talker in made:
        talker.close()


def grown(process: subprocess.Popen[bytes], path: str, size: int) -> bool:
    """Wait until the file at *path* has *size* bytes; return whether it came to that while *process* was alive."""
    while process.poll() is None:
        if os.path.exists(path) and os.path.getsize(path) >= size:
            return True
        time.sleep(0.0005)
    return False


@pytest.fixture
def killed(kills: int) -> Callable[..., Iterator[tuple[bytes, bytes, int]]]:
    """
    Return a killer of a program that writes a log at *path*, which in the end has at least *size* bytes.

    It is started by *start*, killed ``kills`` times, at moments that are spread over the whole of it, and then left to its end. What
    it wrote and its status are yielded each time when it is over.
    """
    chance = random.Random(6)

    def run(start: Callable[[], subprocess.Popen[bytes]], path: str, size: int) -> Iterator[tuple[bytes, bytes, int]]:
        for left in range(kills, -1, -1):
            there = os.path.getsize(path) if os.path.exists(path) else 0
            process = start()
            if left:
                step = 1 + chance.randrange(max(1, 2 * (size - there) // (left + 1)))
                assert grown(process, path, there + step), process.communicate()
                time.sleep(chance.random() * 0.002)
                process.kill()
            output, error = process.communicate()
            yield output, error, process.returncode

    return run


# How many kills: a few here, and by LLMKIT_KILLS=50 so many that it takes minutes.
KILLS = int(os.environ.get("LLMKIT_KILLS", "4"))


@pytest.fixture
def kills() -> int:
    """How often a program is killed by a test that does so."""
    return KILLS


@pytest.fixture(params=["sync", "async"])
def face(request: pytest.FixtureRequest) -> Iterator[SyncFace | AsyncFace]:
    """Each test that asks for a face runs once on each client."""
    made: SyncFace | AsyncFace = SyncFace() if request.param == "sync" else AsyncFace()
    yield made
    made.close()


# Each process has a key of its own, so that a server sees which of them asks.
KEY_OF_PROCESS = "import os; os.environ['OPENAI_API_KEY'] = f'sk-test-{os.getpid():010}'"


def two_processes() -> ProcessPoolExecutor:
    # A fork of this process would have its threads' locks, and what is around the test.
    return ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"), initializer=exec, initargs=(KEY_OF_PROCESS,))


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    """Two other processes, which live as long as the module's tests."""
    with two_processes() as made:
        yield made


@pytest.fixture
def own_pool() -> Iterator[ProcessPoolExecutor]:
    """Two other processes, for a test that ends them."""
    with two_processes() as made:
        yield made


@pytest.fixture
def travelling(face: SyncFace | AsyncFace, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return a maker of clients that can travel to other processes, as their key is in the environment."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-here-012345")

    def make(model: str = "openai/gpt-4o-mini", **arguments: Any) -> Any:
        return face.client(model, **{"base_url": server.url("openai"), **arguments})

    return make


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

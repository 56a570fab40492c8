"""A batch at other processes that is killed or interrupted, and goes on with its checkpoint."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import pytest

from llmkit import Client
from llmkit.batch.executors import Staff
from llmkit.batch.threads import Crew
from llmkit.testing import FakeServer, RecordedRequest, Reply

COUNT = 120

PROGRAM = """
import asyncio, multiprocessing, signal, sys
from concurrent.futures import ProcessPoolExecutor
face, base_url, path, count, workers = sys.argv[1:6]
prompts = [f"p{number}" for number in range(int(count))]
deaf = {"initializer": signal.signal, "initargs": (signal.SIGINT, signal.SIG_IGN)} if workers == "deaf" else {}
with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork"), **deaf) as pool:
    said = {"checkpoint": path, "max_concurrency": 2, "executor": pool}
    if face == "sync":
        from llmkit import Client
        result = Client("openai/gpt-4o-mini", base_url=base_url).batch(prompts, **said)
    else:
        from llmkit_async import AsyncClient
        async def main():
            async with AsyncClient("openai/gpt-4o-mini", base_url=base_url) as client:
                return await client.batch(prompts, **said)
        result = asyncio.run(main())
result.raise_for_errors()
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "run.jsonl")


@pytest.fixture
def started(server: FakeServer, path: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Return what begins the batch in a process of its own; all that it began ends with the test."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
    made: list[subprocess.Popen[bytes]] = []

    def start(face: str, workers: str = "") -> subprocess.Popen[bytes]:
        arguments = [sys.executable, "-W", "ignore", "-c", PROGRAM, face, server.url("openai"), path, str(COUNT), workers]
        made.append(subprocess.Popen(arguments, stderr=subprocess.PIPE, start_new_session=True))
        return made[-1]

    yield start
    for process in made:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def finished(path: str) -> set[int]:
    """Return the items that the log has as finished."""
    data = Path(path).read_bytes() if os.path.exists(path) else b""
    records = [json.loads(line) for line in data.splitlines(keepends=True) if line.endswith(b"\n")]
    return {int(record["id"].partition("-")[0]) for record in records if record["kind"] == "finished"}


def wait_for(process: subprocess.Popen[bytes], path: str, count: int) -> None:
    while len(finished(path)) < count:
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)


class Echo:
    """Answers with the prompt, and counts who asked what."""

    def __init__(self, slow_from: int = COUNT, delay: float = 0.0) -> None:
        self.asked: Counter[int] = Counter()
        self.slow_from = slow_from
        self.delay = delay

    def __call__(self, request: RecordedRequest) -> Reply:
        text = request.json["messages"][-1]["content"]
        number = int(text[1:])
        self.asked[number] += 1
        return Reply(f"re: {text}", delay=self.delay if number >= self.slow_from else 0.001)


def goes_on(echo: Echo, server: FakeServer, path: str) -> Any:
    """Return what the batch comes to here. Nothing that was finished may be asked again."""
    done = {number: echo.asked[number] for number in finished(path)}
    echo.slow_from = COUNT
    result = Client("openai/gpt-4o-mini", base_url=server.url("openai")).batch([f"p{number}" for number in range(COUNT)], checkpoint=path)
    assert done == {number: echo.asked[number] for number in done}
    return result


@pytest.mark.parametrize("face", ["sync", "async"])
def test_killed_nothing_finished_is_lost_or_asked_again(face: str, started: Any, server: FakeServer, path: str) -> None:
    """Though its processes live on: they hold neither the lock nor the log."""
    echo = Echo()
    server.always(echo)
    for count in (1, 40):
        process = started(face)
        done = {number: echo.asked[number] for number in finished(path)}
        wait_for(process, path, count)
        process.kill()
        process.wait()
        assert done == {number: echo.asked[number] for number in done}

    result = goes_on(echo, server, path)

    assert [f"re: p{number}" for number in range(COUNT)] == [response.text for response in result.responses]
    assert sum(item.restored for item in result) >= 40


@pytest.mark.parametrize("workers", ["deaf", "hearing"])
@pytest.mark.parametrize("face", ["sync", "async"])
def test_ctrl_c_leaves_a_valid_log(face: str, workers: str, started: Any, server: FakeServer, path: str) -> None:
    """It comes to the processes too, as in a terminal. Those that do not hear it finish what they are at, and that is kept."""
    echo = Echo(slow_from=8, delay=0.15)
    server.always(echo)
    process = started(face, workers)
    wait_for(process, path, 8)

    os.killpg(process.pid, signal.SIGINT)
    error = process.communicate(timeout=20)[1]

    assert b"KeyboardInterrupt" in error
    assert 0 != process.returncode
    assert not os.path.exists(path + ".lock")
    begun = set(echo.asked)
    assert len(begun) < COUNT
    if (face, workers) == ("sync", "deaf"):
        assert begun == finished(path)
    assert goes_on(echo, server, path).succeeded == COUNT


def test_an_interrupt_upon_what_comes_back_does_not_lose_it(server: FakeServer, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was reported, but not yet received."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
    server.always(Echo())
    client = Client("openai/gpt-4o-mini", base_url=server.url("openai"))

    class Near(Executor):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            future: Future[Any] = Future()
            future.set_result(fn(*args, **kwargs))
            return future

    def interrupted(self: Staff, future: Future[Any]) -> None:
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(Staff, "receive", interrupted)
    with pytest.raises(KeyboardInterrupt):
        client.batch(["p0", "p1"], executor=Near(), checkpoint=path)

    assert {0, 1} == finished(path)


@pytest.mark.timeout(30)
def test_an_interrupt_upon_an_item_is_not_waited_for(server: FakeServer, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the batch's own threads, too: for a minute."""
    client = Client("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="sk-test-0123456789")

    def interrupted(self: Crew) -> Any:
        self._items.get()
        raise KeyboardInterrupt

    monkeypatch.setattr(Crew, "collect", interrupted)
    with pytest.raises(KeyboardInterrupt):
        client.batch(["p0", "p1"], checkpoint=path)

    assert {0, 1} == finished(path)

"""What many tests need: a server on loopback, an environment without keys."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from llmkit.catalogue import facts
from llmkit.catalogue.registry import ModelRegistry, State
from llmkit.providers import registry
from llmkit.providers.table import TABLE
from llmkit.testing import FakeServer

# No test asserts on wall-clock time: neither does hypothesis.
settings.register_profile("llmkit", deadline=None)
settings.load_profile("llmkit")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # What a shell runs in the background ignores Ctrl-C, and so would every process that a test starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _no_keys_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own keys, proxies and models must not change what a test sees."""
    for name in list(os.environ):
        upper = name.upper()
        if upper.endswith(("_API_KEY", "_TOKEN", "_BASE_URL", "_API_URL", "_PROXY")) or upper.startswith(
            ("LLMKIT_", "OPENAI_", "OLLAMA_", "AWS_")
        ):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nonexistent")  # nor a file of theirs


@pytest.fixture(autouse=True)
def _models_as_they_are(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test tells of a model is forgotten after it."""
    monkeypatch.setattr(ModelRegistry, "_state", State({}))
    monkeypatch.setattr(facts, "_registered", [])
    yield
    facts.facts_of.cache_clear()


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> registry.Registry:
    """A registry of the test's own, so that what it registers is forgotten."""
    fresh = registry.Registry(TABLE)
    monkeypatch.setattr(registry, "ROWS", fresh)
    return fresh


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A fake of every provider, on loopback."""
    with FakeServer() as running:
        yield running


class RedisServer:
    """A Redis of the test's own, on loopback, which keeps nothing on disk."""

    def __init__(self, directory: Path, *options: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(directory), *options]
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        until = time.monotonic() + 5
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 0.1).close()
                return
            assert time.monotonic() < until, "redis-server does not start"
            time.sleep(0.002)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def ask(self, *command: Any) -> Any:
        """Send one command, as another program would."""
        import redis

        with redis.Redis.from_url(self.url) as client:
            return client.execute_command(*command)


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A real Redis. Where there is none, the tests that need it are skipped by this name."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    pytest.importorskip("redis")
    server = RedisServer(tmp_path)
    yield server
    server.stop()


class Processes:
    """Python processes that run the same script, and begin together."""

    def __init__(self) -> None:
        self.running: list[subprocess.Popen[str]] = []

    def start(self, script: str, *arguments: str) -> subprocess.Popen[str]:
        """Start *script* and return once it has said that it is ready, by ``ready()``."""
        text = "import sys\ndef ready():\n    print('ready', flush=True)\n    sys.stdin.readline()\n" + script
        process = subprocess.Popen(
            [sys.executable, "-c", text, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parent.parent,
        )
        self.running.append(process)
        return process

    def go(self) -> None:
        """Let all that were started begin."""
        for process in self.running:
            assert process.stdout is not None
            assert "ready\n" == process.stdout.readline()
        for process in self.running:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()

    def results(self) -> list[str]:
        """Return what each has printed after that, once all are over."""
        told = [process.communicate(timeout=20)[0].strip() for process in self.running]
        assert {0} == {process.returncode for process in self.running}
        self.running = []
        return told

    def close(self) -> None:
        for process in self.running:
            process.kill()
            process.communicate()


@pytest.fixture
def processes() -> Iterator[Processes]:
    """Other processes, which are ended with the test."""
    made = Processes()
    yield made
    made.close()

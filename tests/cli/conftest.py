"""The command line as a process: what it writes, what it returns, and how it looks on a terminal."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from llmkit.testing import FakeServer

ROOT = Path(__file__).parents[2]
CANARY = "sk-canary-0123456789abcdef"
PATIENCE = 20.0  # seconds, for a process on a busy machine


@pytest.fixture
def canary() -> str:
    """The key in the environment, which no output may show."""
    return CANARY


@pytest.fixture
def environment(server: FakeServer, tmp_path: Path) -> dict[str, str]:
    """An environment of which only the fake provider is known."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
        "OPENAI_API_KEY": CANARY,
        "OPENAI_BASE_URL": server.url("openai"),
    }


@pytest.fixture
def start(environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Return a starter of ``llmkit`` with pipes, whose processes end with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def launch(*arguments: str, stdin: int = subprocess.DEVNULL, **variables: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "llmkit", *arguments],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**environment, **variables},
            cwd=tmp_path,
        )
        started.append(process)
        return process

    yield launch
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def run(start: Callable[..., subprocess.Popen[bytes]]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a runner of ``llmkit`` with pipes; *piped* is its standard input."""

    def finish(*arguments: str, piped: str | bytes | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        process = start(*arguments, stdin=subprocess.DEVNULL if piped is None else subprocess.PIPE, **variables)
        out, err = process.communicate(piped.encode() if isinstance(piped, str) else piped, timeout=60)
        assert CANARY.encode() not in out + err
        return subprocess.CompletedProcess(process.args, process.returncode, out.decode(), err.decode())

    return finish


class Terminal:
    """A process on a terminal of 80 columns, and what it has shown so far."""

    def __init__(self, arguments: tuple[str, ...], environment: dict[str, str], cwd: Path) -> None:
        self._ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "llmkit", *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=environment, cwd=cwd
        )
        os.close(theirs)
        self.shown = ""
        self._passed = 0

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def wait_for(self, text: str) -> None:
        """Wait until *text* is shown, behind what was waited for before."""
        end = time.monotonic() + PATIENCE
        while (found := self.shown.find(text, self._passed)) < 0:
            piece = self._read(end - time.monotonic())
            assert piece, f"{text!r} was not shown; the last was {self.shown[-200:]!r}"
            self.shown += piece
        self._passed = found + len(text)

    def finish(self) -> int:
        """Wait for the end of the process and return its status."""
        end = time.monotonic() + PATIENCE
        while piece := self._read(end - time.monotonic()):
            self.shown += piece
        assert CANARY not in self.shown
        return self.process.wait(PATIENCE)

    def _read(self, patience: float) -> str:
        ready, _, _ = select.select([self._ours], [], [], max(patience, 0.0))
        try:
            return os.read(self._ours, 65536).decode("utf-8", "replace") if ready else ""
        except OSError:  # what Linux says of a terminal that nobody holds any more
            return ""

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)


@pytest.fixture
def on_terminal(environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Return a starter of ``llmkit`` on a terminal."""
    opened: list[Terminal] = []

    def launch(*arguments: str, **variables: str) -> Terminal:
        terminal = Terminal(arguments, {**environment, "TERM": "xterm-256color", "LANG": "C.UTF-8", **variables}, tmp_path)
        opened.append(terminal)
        return terminal

    yield launch
    for terminal in opened:
        terminal.close()

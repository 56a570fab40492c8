"""The fake server in the foreground."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import requests


@pytest.fixture
def run() -> Iterator[Any]:
    """A function that starts the program, and returns the process and the origin it prints."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-m", "llmkit.testing", *arguments]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        return process, process.stdout.readline().strip()

    yield start
    for process in started:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def ask(origin: str, **more: Any) -> requests.Response:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], **more}
    return requests.post(f"{origin}/openai/v1/chat/completions", json=body, timeout=5)


def test_it_serves_until_its_input_ends(run: Any) -> None:
    """The first line is the origin; what came can be looked up."""
    process, origin = run()

    answer = ask(origin).json()
    record = requests.get(f"{origin}/_requests", timeout=5).json()
    process.stdin.close()

    assert "You said: x" == answer["choices"][0]["message"]["content"]
    assert 1 == record["hits"]
    assert "/openai/v1/chat/completions" == record["requests"][0]["path"]
    assert 0 == process.wait(5)


def test_it_ends_on_a_signal(run: Any) -> None:
    """SIGTERM is no failure."""
    process, _ = run()

    process.terminate()

    assert 0 == process.wait(5)


def test_the_number_of_events_can_be_set(run: Any) -> None:
    """For all answers, or by the model's name for one; and nothing needs to be kept."""
    _, origin = run("--events", "7", "--no-record")

    answers = [ask(origin, stream=True).text, ask(origin, stream=True, model="fake-stream-12").text]
    record = requests.get(f"{origin}/_requests", timeout=5).json()

    assert [7, 12] == [text.count('"delta":{"content":') for text in answers]
    assert {"hits": 2, "requests": []} == record

"""A file of prompts, answered as a process over real HTTP."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmkit.testing import FakeServer, RecordedRequest, Reply

Run = Callable[..., subprocess.CompletedProcess[str]]


def echo(request: RecordedRequest) -> Reply:
    text = request.json["messages"][-1]["content"]
    return Reply.error(400) if "bad" in text else Reply(f"re: {text}")


@pytest.fixture
def prompts(tmp_path: Path) -> Callable[..., None]:
    """Return a writer of ``in.jsonl``."""

    def write(*lines: Any) -> None:
        (tmp_path / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    return write


def answers(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]


def test_a_file_is_answered_line_by_line(run: Run, server: FakeServer, prompts: Callable[..., None], tmp_path: Path) -> None:
    """In its order, each with the id that it had, and nothing on a pipe."""
    server.always(echo)
    prompts("a", [{"role": "user", "content": "b"}], {"prompt": "c", "id": "row-3", "temperature": 0.5}, {"messages": "d", "id": 4})

    done = run("batch", "in.jsonl", "-o", "out.jsonl", "-m", "openai/gpt-4o", "-s", "Be brief.", "--concurrency", "2")

    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
    found = answers(tmp_path)
    assert [(0, "re: a"), (1, "re: b"), (2, "re: c"), (3, "re: d")] == [(line["index"], line["text"]) for line in found]
    assert [None, None, "row-3", 4] == [line.get("id") for line in found]
    assert "gpt-4o" == found[0]["response"]["model"]
    assert {"Be brief."} == {request.json["messages"][0]["content"] for request in server.requests}


def test_a_failed_prompt_is_told_and_kept(run: Run, server: FakeServer, prompts: Callable[..., None], tmp_path: Path) -> None:
    """The status is 1, the error is in its line, and the others are answered."""
    server.always(echo)
    prompts("a", "bad", {"no": "prompt"})

    done = run("batch", "in.jsonl", "-o", "out.jsonl")

    assert 1 == done.returncode
    assert "2 of 3 items failed" in done.stderr
    assert ["re: a", None, None] == [line.get("text") for line in answers(tmp_path)]
    assert ["bad_request", "config"] == [line["error"]["kind"] for line in answers(tmp_path)[1:]]


def test_an_earlier_run_is_gone_on_with_when_told(run: Run, server: FakeServer, prompts: Callable[..., None], tmp_path: Path) -> None:
    """And not overwritten when not."""
    prompts("a", "b")
    run("batch", "in.jsonl", "-o", "out.jsonl")

    refused = run("batch", "in.jsonl", "-o", "out.jsonl")
    resumed = run("batch", "in.jsonl", "-o", "out.jsonl", "--resume")

    assert (2, 0) == (refused.returncode, resumed.returncode)
    assert "out.jsonl.checkpoint is there" in refused.stderr
    assert 2 == server.hits
    assert 2 == len(answers(tmp_path))


@pytest.mark.parametrize(
    ("content", "arguments", "what"),
    [
        (None, ["in.jsonl", "-o", "out.jsonl"], "in.jsonl cannot be read"),
        (b'"a"\nb\n', ["in.jsonl", "-o", "out.jsonl"], "line 2 of in.jsonl is not JSON"),
        (b'"a"\n\n', ["in.jsonl", "-o", "out.jsonl"], "line 2 of in.jsonl is not JSON"),
        (b'"a"\n7\n', ["in.jsonl", "-o", "out.jsonl"], "line 2 of in.jsonl is neither"),
        (b'"\xff"\n', ["in.jsonl", "-o", "out.jsonl"], "is not text in UTF-8"),
        (b'"a"\n', ["in.jsonl"], "required: -o/--output"),
        (b'"a"\n', ["in.jsonl", "-o", "missing/out.jsonl"], "cannot be written"),
        (b'"a"\n', ["in.jsonl", "-o", "out.jsonl", "--concurrency", "0"], "at least 1"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_sent(
    content: bytes | None, arguments: list[str], what: str, run: Run, server: FakeServer, tmp_path: Path
) -> None:
    """With status 2."""
    if content is not None:
        (tmp_path / "in.jsonl").write_bytes(content)

    done = run("batch", *arguments)

    assert 2 == done.returncode
    assert what in done.stderr
    assert 0 == server.hits


def test_ctrl_c_ends_with_its_status_and_can_be_resumed(
    start: Callable[..., subprocess.Popen[bytes]], run: Run, server: FakeServer, prompts: Callable[..., None], tmp_path: Path
) -> None:
    """What was answered is not asked again."""
    server.always(lambda request: Reply("x", delay=0.0 if request.json["messages"][-1]["content"] in "abc" else 0.2))
    prompts(*"abcdef")
    process = start("batch", "in.jsonl", "-o", "out.jsonl", "--concurrency", "3")
    while server.hits < 6:
        assert process.poll() is None
        time.sleep(0.002)

    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    resumed = run("batch", "in.jsonl", "-o", "out.jsonl", "--resume")

    assert (130, 0) == (process.returncode, resumed.returncode)
    assert 6 == server.hits == len(answers(tmp_path))


def test_a_terminal_shows_how_far_it_is(on_terminal: Callable[..., Any], server: FakeServer, prompts: Callable[..., None]) -> None:
    """On one line."""
    server.always(echo)
    prompts("a", "bad", "c")

    terminal = on_terminal("batch", "in.jsonl", "-o", "out.jsonl", "--concurrency", "1")

    assert 1 == terminal.finish()
    assert "\r1/3\r2/3, 1 failed\r3/3, 1 failed\r\n" in terminal.shown

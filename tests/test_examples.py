"""The examples run, as they stand and as processes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from llmkit.testing import FakeServer

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(name: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        env={**os.environ, "PYTHONPATH": str(EXAMPLES.parent), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_twelve_providers_answer_the_same_call() -> None:
    """Without a key, and without a network."""
    done = run("twelve_providers.py")

    assert (0, "") == (done.returncode, done.stderr)
    asked = re.findall(r"^([a-z-]+)/\S+ +Paris, 'You said: Say that in one sentence\.', [1-9]\d* tokens$", done.stdout, re.M)
    assert 12 == len(set(asked)) == len(done.stdout.splitlines())


def test_only_those_whose_keys_are_there_are_really_asked(server: FakeServer) -> None:
    """At the address of the environment; a failure is told, and is the status."""
    keys = {"ANTHROPIC_API_KEY": "sk-ant-1", "ANTHROPIC_BASE_URL": server.url("anthropic"), "OLLAMA_HOST": "http://127.0.0.1:1"}

    done = run("twelve_providers.py", "--real", **keys)

    assert 1 == done.returncode
    assert {"anthropic"} == {request.provider for request in server.requests}
    assert 10 == done.stdout.count(" is not asked: ")
    assert "ollama/llama3.2" in done.stderr


def test_a_batch_is_asked_by_the_processes_of_ray() -> None:
    """Where Ray is: it is large, and so no part of what developing needs."""
    pytest.importorskip("ray", reason="Ray is not installed")

    done = run("ray_executor.py", RAY_USAGE_STATS_ENABLED="0")

    assert 0 == done.returncode, done.stderr
    assert re.fullmatch(r"100 answers for \$0\.\d+, from [12] processes\n", done.stdout)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_every_example_is_run_here(path: Path) -> None:
    """One that nobody runs goes stale."""
    assert path.name in Path(__file__).read_text()

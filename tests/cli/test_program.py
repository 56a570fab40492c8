"""The program as a whole: statuses, signals, and how little it loads."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

import llmkit
from llmkit.testing import FakeServer, Reply

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_the_version_is_told(run: Run) -> None:
    """And is the library's."""
    done = run("--version")

    assert (f"llmkit {llmkit.__version__}\n", 0) == (done.stdout, done.returncode)


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_help_is_cheap(run: Run, option: str) -> None:
    """Neither the client nor anything that it stands on is loaded to print a few lines."""
    done = run(option, PYTHONPROFILEIMPORTTIME="1")

    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "argparse" in loaded
    assert set() == loaded & {
        "llmkit.client",
        "llmkit.providers",
        "llmkit.testing",
        "attrs",
        "attr",
        "requests",
        "rich",
        "asyncio",
        "logging",
    }


def test_the_console_script_is_this_program(capsys: pytest.CaptureFixture[str]) -> None:
    """``llmkit.cli:main`` takes the arguments of the process and returns the status."""
    script = "import sys; from llmkit.cli import main; sys.argv[1:] = ['providers']; sys.exit(main())"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert 0 == done.returncode
    assert "openai" in done.stdout


def test_a_reader_that_leaves_is_no_error(start: Callable[..., subprocess.Popen[bytes]]) -> None:
    """As in ``llmkit providers | head -1``: no complaint, and the status of a broken pipe."""
    process = start("providers")
    assert process.stdout is not None
    assert process.stderr is not None

    process.stdout.close()

    assert 141 == process.wait(20)
    assert b"" == process.stderr.read()


@pytest.mark.parametrize(
    "arguments",
    [("--no-such-option", "hi"), ("hi", "-t", "warm"), ("models", "openai", "more"), ("demo", "slowly"), ("-m", "openai/gpt-4o", "chat")],
)
def test_wrong_usage_has_its_own_status(run: Run, server: FakeServer, arguments: tuple[str, ...]) -> None:
    """2, with the usage on standard error, and nothing sent."""
    done = run(*arguments)

    assert (2, "") == (done.returncode, done.stdout)
    assert done.stderr.startswith("usage: llmkit")
    assert 0 == server.hits


def test_a_command_can_be_a_prompt(run: Run) -> None:
    """Behind two hyphens."""
    assert "You said: chat\n" == run("--", "chat").stdout


def test_a_character_that_cannot_be_shown_ends_nothing(run: Run, server: FakeServer) -> None:
    """It becomes a question mark where the output knows only ASCII."""
    server.enqueue(Reply("Grüße"))

    done = run("Say hi", PYTHONIOENCODING="ascii")

    assert ("Gr??e\n", 0) == (done.stdout, done.returncode)


def test_bytes_that_are_no_text_are_wrong_usage(server: FakeServer, environment: dict[str, str], tmp_path: Any) -> None:
    """A prompt must be UTF-8."""
    command = [sys.executable.encode(), b"-m", b"llmkit", b"Say \xff"]

    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, stdin=subprocess.DEVNULL, check=False)

    assert 2 == done.returncode
    assert b"not text in UTF-8" in done.stderr
    assert 0 == server.hits

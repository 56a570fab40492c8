"""What the doctor sees, and what it keeps to itself."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from llmkit.cli import main
from llmkit.testing import FakeServer, Reply

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_the_provider_and_the_reason_are_told(run: Run, server: FakeServer) -> None:
    """What Client() would use, and why; nothing is sent."""
    done = run("doctor")

    assert 0 == done.returncode
    assert f"openai/gpt-4o-mini at {server.url('openai')}" in done.stdout
    assert "OPENAI_API_KEY is set" in done.stdout
    assert "OPENAI_BASE_URL: address of openai" in done.stdout
    assert 0 == server.hits


def test_values_of_variables_are_not_shown(run: Run) -> None:
    """Neither keys nor the password of a proxy."""
    done = run("doctor", HTTPS_PROXY="http://someone:hunter2@proxy.example:3128", MISTRAL_API_KEY="mi-secret-0123456789")

    assert "HTTPS_PROXY" in done.stdout
    assert "MISTRAL_API_KEY: key of mistral" in done.stdout
    assert "hunter2" not in done.stdout + done.stderr
    assert "mi-secret" not in done.stdout + done.stderr


def test_a_missing_certificate_file_is_found(run: Run, tmp_path: Path) -> None:
    """It would fail every call over TLS."""
    done = run("doctor", SSL_CERT_FILE=str(tmp_path / "gone.pem"))

    assert "gone.pem" in done.stdout
    assert "no certificate can be checked" in done.stdout


def test_an_ollama_is_asked_for_its_models(run: Run, server: FakeServer) -> None:
    """Where its own variable says that it is."""
    done = run("doctor", OLLAMA_HOST=server.origin + "/ollama")

    assert "ollama" in {request.provider for request in server.requests}
    assert "answers, with" in done.stdout


def test_what_was_looked_at_is_told(run: Run, tmp_path: Path) -> None:
    """In its order, with what would come next; a file that is of no use is told as well."""
    (tmp_path / "llmkit.toml").write_text("tmeout = 3\n")

    done = run("doctor", GROQ_API_KEY="gq-secret-0123456789")

    assert "GROQ_API_KEY is set, so the provider is groq" in done.stdout
    assert "(not used" in done.stdout
    assert "Did you mean 'timeout'?" in " ".join(done.stdout.split())
    assert "not there: LLMKIT_MODEL" in done.stdout
    assert "gq-secret" not in done.stdout


def test_a_check_asks_the_provider(run: Run, server: FakeServer) -> None:
    """Whether it takes the key."""
    good = run("doctor", "--check")
    server.enqueue(Reply.error(401, message="No such key."))
    bad = run("doctor", "--check")

    assert (0, 1) == (good.returncode, bad.returncode)
    assert "It answers and takes the key" in good.stdout
    assert "No such key." in bad.stdout


def test_finding_nothing_is_a_failure_that_tells_what_to_do(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Status 1, and what was looked for."""
    with FakeServer() as gone:
        monkeypatch.setenv("OLLAMA_HOST", gone.origin)

    status = main(["doctor"])

    assert 1 == status
    assert "No provider was found" in capsys.readouterr().out

"""A client with nothing given, on both faces."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llmkit.testing import FakeServer


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let neither an Ollama of the machine be found nor a file of it."""
    with FakeServer() as gone:
        monkeypatch.setenv("OLLAMA_HOST", gone.origin)
    monkeypatch.chdir(tmp_path)


def test_the_file_beside_the_program_is_used(face: Any, server: FakeServer) -> None:
    """Whole: with its key, its address and its parameters."""
    table = {"model": "openai/gpt-4o", "api_key": "sk-test-0123456789", "base_url": server.url("openai"), "temperature": 0.5}
    file = Path("llmkit.toml")
    file.touch(0o600)
    file.write_text("[provider]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in table.items()))
    client = face.client()

    answer = client.complete("Hi")

    assert "You said: Hi" == answer.text
    assert ("sk-test-0123456789", 0.5) == (server.requests[0].key, server.requests[0].json["temperature"])
    assert any("./llmkit.toml is there" in reason for reason in client.explain("Hi").reasons)


def test_a_local_ollama_is_used(face: Any, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its own variable says that it is."""
    monkeypatch.setenv("OLLAMA_HOST", server.url("ollama"))

    answer = face.client().complete("Hi")

    assert "ollama" == answer.provider
    assert "You said: Hi" == answer.text


def test_the_explanation_is_the_same_on_both_faces(face: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not awaited."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-0123456789")

    told = face.client("openai/gpt-4o-mini").detect()

    assert ("openai", "gpt-4o-mini") == (told.provider, told.model)
    assert "canary" not in str(told)

"""Finding a provider when none is named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from llmkit import Client, ConfigurationError
from llmkit.detection import detect
from llmkit.testing import FakeServer


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no Ollama of the machine be found."""
    with FakeServer() as gone:
        monkeypatch.setenv("OLLAMA_HOST", gone.origin)


class Tags(BaseHTTPRequestHandler):
    """The list of an Ollama that has an embedding model first."""

    def do_GET(self) -> None:
        body = json.dumps({"models": [{"name": "nomic-embed-text"}, {"name": "llama3.2:1b"}, {"name": "qwen3:8b"}]}).encode()
        self.send_response(200 if self.path == "/api/tags" else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def ollama(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Run something that answers like an Ollama."""
    with HTTPServer(("127.0.0.1", 0), Tags) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("OLLAMA_HOST", f"127.0.0.1:{server.server_port}")
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_nothing_found_says_what_was_looked_for(nobody: None) -> None:
    """And how to set one."""
    with pytest.raises(ConfigurationError) as caught:
        Client()

    for word in ("LLMKIT_MODEL", "OPENAI_API_KEY", "Ollama", "Client('openai/gpt-4o-mini', api_key=...)"):
        assert word in str(caught.value)


def test_the_model_variable_comes_first(nobody: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before any key."""
    monkeypatch.setenv("LLMKIT_MODEL", "groq/llama-3.3-70b-versatile")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")

    found = detect()

    assert ("groq", "llama-3.3-70b-versatile") == (found.provider, found.model)


def test_a_model_variable_without_a_provider_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is provider/model."""
    monkeypatch.setenv("LLMKIT_MODEL", "my-model")

    with pytest.raises(ConfigurationError, match="LLMKIT_MODEL"):
        detect()


def test_keys_are_looked_for_in_the_documented_order(nobody: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first provider of the table whose variable is set."""
    monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-test-0123456789")
    second = detect()
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
    first = detect()

    assert "deepseek" == second.provider
    assert "openai" == first.provider
    assert "OPENAI_API_KEY" in first.reason


def test_a_local_server_is_found_last(ollama: str) -> None:
    """Its first model that can chat."""
    found = detect()

    assert ("ollama", "llama3.2:1b") == (found.provider, found.model)
    assert ollama in found.reason


def test_a_client_without_arguments_uses_what_was_found(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """And says so when asked."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
    monkeypatch.setenv("OPENAI_BASE_URL", server.url("openai"))

    with Client() as client:
        reply = client.complete("Say hi")
        explained = client.explain("Say hi")

    assert "You said: Say hi" == reply.text
    assert any("OPENAI_API_KEY is set" in reason for reason in explained.reasons)

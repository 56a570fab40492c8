"""Finding a provider when none is named."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from llmkit import Client, ConfigurationError, RetryConfig, register_provider
from llmkit.detection import detect, detection
from llmkit.testing import FakeServer


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let no Ollama of the machine be found, nor a file."""
    with FakeServer() as gone:
        monkeypatch.setenv("OLLAMA_HOST", gone.origin)
    monkeypatch.chdir(tmp_path)


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

    for word in (
        "LLMKIT_MODEL",
        "OPENAI_API_KEY",
        "LLMKIT_CONFIG",
        "./llmkit.toml",
        "/nonexistent/llmkit/llmkit.toml",
        "Ollama",
        "Client('openai/gpt-4o-mini', api_key=...)",
    ):
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


@pytest.mark.usefixtures("nobody")
def test_a_bare_name_of_a_known_model_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it does for a client."""
    monkeypatch.setenv("LLMKIT_MODEL", "claude-sonnet-4-5")

    found = detect()

    assert ("anthropic", "claude-sonnet-4-5") == (found.provider, found.model)


@pytest.mark.usefixtures("nobody", "own_registry")
def test_registered_providers_are_looked_for_by_their_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind those of the table."""
    register_provider("acme", base_url="https://acme.example/v1", env="ACME_API_KEY", default_model="acme-1")
    monkeypatch.setenv("ACME_API_KEY", "k")

    assert ("acme", "acme-1") == (detect().provider, detect().model)


# -- files

KEY = "sk-canary-0123456789"


@pytest.fixture
def written(tmp_path: Path, nobody: None) -> Any:
    """Return a writer of files in the directory where the process runs."""

    def write(name: str, **table: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(0o600)
        path.write_text("".join(f"{word} = {json.dumps(value)}\n" for word, value in table.items()))
        return path

    return write


def test_files_are_looked_for_in_the_documented_order(written: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """That of the variable, that of the directory, that of the user; all behind the keys."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    written("home/llmkit/llmkit.toml", model="openai/of-the-user", api_key=KEY)
    last = detect()
    written("llmkit.toml", model="openai/of-the-directory", api_key=KEY)
    second = detect()
    monkeypatch.setenv("LLMKIT_CONFIG", str(written("other.toml", model="openai/of-the-variable", api_key=KEY)))
    first = detect()
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    assert ["of-the-variable", "of-the-directory", "of-the-user"] == [found.model for found in (first, second, last)]
    assert "LLMKIT_CONFIG names" in first.reason
    assert "./llmkit.toml is there." == second.reason
    assert "OPENAI_API_KEY is set" in detect().reason


@pytest.mark.skipif(sys.platform != "linux", reason="each system has a place of its own")
@pytest.mark.parametrize("said", [None, "", "relative/path"])
def test_the_users_directory_is_that_of_the_specification(
    written: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str | None
) -> None:
    """Where no other was named, or one that does not count."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME") if said is None else monkeypatch.setenv("XDG_CONFIG_HOME", said)
    written(".config/llmkit/llmkit.toml", model="openai/of-the-user", api_key=KEY)

    assert "of-the-user" == detect().model


def test_a_file_makes_the_whole_client(written: Any, server: FakeServer) -> None:
    """Its key, its address, its parameters; and what was given in the program counts before it."""
    written(
        "llmkit.toml", model="openai/gpt-4o", api_key=KEY, base_url=server.url("openai"), temperature=0.5, seed=3, timeout=5, max_retries=1
    )

    with Client(temperature=0, timeout=7) as client:
        client.complete("Hi")

    sent = server.requests[0]
    assert (KEY, "gpt-4o", 0, 3) == (sent.key, sent.json["model"], sent.json["temperature"], sent.json["seed"])
    assert 7 == client._router.settings.timeout
    assert RetryConfig(max_retries=1) == client._router.settings.retry


def test_a_file_may_name_several_models(written: Any, server: FakeServer) -> None:
    """The first serves, the rest are fallbacks."""
    written("llmkit.toml", model=["openai/gpt-4o", "openai/gpt-4o-mini"], api_key=KEY, base_url=server.url("openai"))

    with Client() as client:
        assert ["openai/gpt-4o-mini"] == [target.model for target in client._router.settings.fallbacks]
    assert ("openai", "gpt-4o") == (detect().provider, detect().model)


def test_a_key_that_was_given_is_the_only_one(written: Any, server: FakeServer) -> None:
    """Keys of a file are not mixed with it."""
    written("llmkit.toml", model="openai/gpt-4o", api_keys=[KEY, f"{KEY}x"], base_url=server.url("openai"))

    with Client(api_key="sk-mine-0123456789") as client:
        client.complete("Hi")

    assert "sk-mine-0123456789" == server.requests[0].key


def test_a_client_of_a_file_is_pickled_with_its_references(written: Any, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other side needs the variable, and not the file."""
    monkeypatch.setenv("ACME_KEY", KEY)
    path = written("llmkit.toml", model="openai/gpt-4o", api_key="env:ACME_KEY", base_url=server.url("openai"))
    packed = pickle.dumps(Client())
    path.unlink()
    monkeypatch.setenv("ACME_KEY", "sk-of-the-other-side")

    pickle.loads(packed).complete("Hi")

    assert KEY.encode() not in packed
    assert "sk-of-the-other-side" == server.requests[0].key


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"model": "openai/gpt-4o", "tmeout": 3}, "llmkit.toml: tmeout is not known. Did you mean 'timeout'?"),
        ({"model": "openai/gpt-4o", "timeout": "x"}, "llmkit.toml: timeout is a number of seconds"),
        ({"timeout": 3}, "llmkit.toml: it names neither a provider nor a model"),
        ({"model": "openai/gpt-4o"}, "llmkit.toml: There is no key for openai"),
    ],
)
def test_a_file_that_is_of_no_use_is_not_passed_over(written: Any, table: dict[str, Any], words: str) -> None:
    """Its user meant it."""
    written("llmkit.toml", **table)

    with pytest.raises(ConfigurationError) as caught:
        Client()

    assert caught.value.message.startswith(words)


def test_a_named_file_that_is_not_there_is_refused(nobody: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not passed over either."""
    monkeypatch.setenv("LLMKIT_CONFIG", "gone.toml")

    with pytest.raises(ConfigurationError, match=r"There is no file gone\.toml"):
        detect()


# -- the explanation


def test_everything_that_is_there_is_told(written: Any, ollama: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What wins, why, and what would have come next; no key."""
    monkeypatch.setenv("MISTRAL_API_KEY", KEY)
    monkeypatch.setenv("GROQ_API_KEY", KEY)
    written("llmkit.toml", model="openai/gpt-4o", api_key=KEY)

    told = Client.detect()

    assert told.found
    assert ("mistral", "mistral-small-latest", "MISTRAL_API_KEY is set, so the provider is mistral.") == (
        told.provider,
        told.model,
        told.reason,
    )
    assert [
        ("MISTRAL_API_KEY", "found"),
        ("GROQ_API_KEY", "found"),
        ("./llmkit.toml", "found"),
        (f"an Ollama with a chat model at {ollama}", "found"),
    ] == [(look.place, look.state) for look in told.looks if look.state != "absent"]
    assert "LLMKIT_MODEL" == told.looks[0].place
    assert "openai/gpt-4o (not used" in str(told)
    assert "canary" not in str(told) + repr(told)


def test_an_explanation_raises_nothing(written: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is of no use is told, with its reason; if it comes first, it decides."""
    monkeypatch.setenv("LLMKIT_MODEL", "my-model")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OLLAMA_HOST", "http://user:pw@host")
    written("llmkit.toml", tmeout=3)

    told = detection()

    assert not told.found
    assert told.reason.startswith("LLMKIT_MODEL is 'provider/model'")
    assert ["refused", "found", "refused", "refused"] == [look.state for look in told.looks if look.state != "absent"]
    assert "Did you mean 'timeout'?" in str(told)
    assert "an Ollama where OLLAMA_HOST says" == told.looks[-1].place


def test_nothing_is_told_as_nothing(nobody: None) -> None:
    """With what was looked for."""
    told = detection()

    assert (None, None) == (told.provider, told.model)
    assert told.reason.startswith("No provider was found.")
    assert {"absent"} == {look.state for look in told.looks}


def test_no_more_is_looked_at_than_is_needed(written: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken file does not matter to whoever has a key in the environment, and no server is probed."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr("llmkit.detection.chat_model_at", None)
    written("llmkit.toml", tmeout=3)

    assert "openai" == detect().provider

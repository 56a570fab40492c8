"""Clients that are described by a file: made, called, pickled."""

from __future__ import annotations

import inspect
import json
import pickle
from pathlib import Path
from typing import Any

import pytest

import llmkit
import llmkit_async
from llmkit import ConfigurationError, InternalError
from llmkit.testing import FakeServer, Reply

KEY = "sk-canary-0123456789"


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Return a writer of files that nobody else may read."""

    def written(name: str, text: str) -> Path:
        path = tmp_path / name
        path.touch(0o600)
        path.write_text(text)
        return path

    return written


def load(face: Any, *args: Any, **kwargs: Any) -> Any:
    return (llmkit if face.name == "sync" else llmkit_async).load_clients(*args, **kwargs)


def ask(face: Any, client: Any, text: str = "Hi") -> Any:
    return face.run(client.complete(text)) if face.name == "async" else client.complete(text)


def close(face: Any, client: Any) -> None:
    done = client.close()
    if face.name == "async":
        face.run(done)


def test_a_toml_file_makes_a_working_client(face: Any, server: FakeServer, write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the key and the address of variables, and its parameters for each call."""
    monkeypatch.setenv("ACME_KEY", KEY)
    monkeypatch.setenv("ACME_HOST", server.origin)
    path = server.url("openai").removeprefix(server.origin)
    file = write(
        "llmkit.toml",
        f"""
        [provider]
        type = "openai"
        model = "gpt-4o"
        api_key = "${{ACME_KEY}}"
        base_url = "${{ACME_HOST}}{path}"
        temperature = 0.5
        """,
    )

    answer = face.made("from_file", file).complete("Hi")

    assert "You said: Hi" == answer.text
    assert (KEY, "gpt-4o", 0.5) == (server.requests[0].key, server.requests[0].json["model"], server.requests[0].json["temperature"])


def test_named_providers_and_profiles_are_found(face: Any, server: FakeServer, write: Any) -> None:
    """By position, as they stand in the signature."""
    table = {"type": "openai", "api_key": KEY, "base_url": server.url("openai")}
    document = {
        "providers": {"big": {**table, "model": "gpt-4o"}, "small": {**table, "model": "gpt-4o-mini"}},
        "profiles": {"dev": {"providers": {"big": {"model": "gpt-5"}}}},
    }
    file = write("llmkit.json", json.dumps(document))

    for arguments in (("big",), ("small",), ("big", "dev")):
        face.made("from_file", file, *arguments).complete("Hi")

    assert ["gpt-4o", "gpt-4o-mini", "gpt-5"] == [request.json["model"] for request in server.requests]


def test_arguments_count_before_the_file(face: Any, server: FakeServer, write: Any) -> None:
    """For what only a program can say, and for tests."""
    file = write("llmkit.json", json.dumps({"model": "openai/gpt-4o", "api_key": KEY, "temperature": 1}))

    face.made("from_file", file, base_url=server.url("openai"), temperature=0).complete("Hi")

    assert 0 == server.requests[0].json["temperature"]


def test_an_azure_file_makes_a_working_client(face: Any, server: FakeServer, write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its deployment, at its endpoint, whatever a variable says."""
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://elsewhere.openai.azure.com")
    table = {"type": "azure", "deployment": "mine", "endpoint": server.url("azure"), "api_version": "2024-10-21", "api_key": KEY}

    face.made("from_file", write("llmkit.json", json.dumps({"provider": table}))).complete("Hi")

    sent = server.requests[0]
    assert "/azure/openai/deployments/mine/chat/completions" == sent.path
    assert ("api-version=2024-10-21", KEY) == (sent.query_string, sent.headers["api-key"])


def test_a_file_names_fallbacks_with_keys_of_their_own(face: Any, server: FakeServer, write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """References count there too, and travel; a literal key is warned of like any other."""
    monkeypatch.setenv("SECOND_KEY", "sk-second-0123456789")
    first = {"model": "openai/gpt-4o", "api_key": "env:SECOND_KEY", "base_url": server.url("openai"), "max_retries": 0}
    second = {"model": "openai/gpt-4o-mini", "api_key": "${SECOND_KEY}", "base_url": server.url("openai")}
    client = face.made("from_file", write("llmkit.json", json.dumps({**first, "fallbacks": [second]})))
    server.enqueue(Reply.error(503))

    answer = client.complete("Hi")

    assert ["gpt-4o", "gpt-4o-mini"] == [request.json["model"] for request in server.requests]
    assert "sk-second-0123456789" == server.requests[1].key
    assert "You said: Hi" == answer.text
    assert b"sk-second" not in pickle.dumps(getattr(client, "twin", client))


def test_an_error_tells_file_and_path(face: Any, write: Any) -> None:
    """Also one of the client itself."""
    file = write("llmkit.toml", '[providers.prod]\ntype = "openai"\napi_key = "${NOBODY_SET_THIS}"\n')

    with pytest.raises(ConfigurationError, match=r"llmkit\.toml: providers\.prod\.api_key: The environment variable NOBODY_SET_THIS"):
        face.made("from_file", file)


@pytest.mark.parametrize("reference", ["${ACME_KEY}", "env:ACME_KEY", "file:key"])
def test_a_key_of_a_file_travels_as_its_reference(
    face: Any, server: FakeServer, write: Any, monkeypatch: pytest.MonkeyPatch, reference: str
) -> None:
    """And is read again on the other side."""
    monkeypatch.setenv("ACME_KEY", KEY)
    key = write("key", KEY)
    table = {"model": "openai/gpt-4o", "api_key": reference, "base_url": server.url("openai")}
    client = face.made("from_file", write("llmkit.json", json.dumps(table)))

    packed = pickle.dumps(getattr(client, "twin", client))
    monkeypatch.setenv("ACME_KEY", "sk-of-the-other-side")
    key.write_text("sk-of-the-other-side")
    again = pickle.loads(packed)
    ask(face, again)
    close(face, again)

    assert KEY.encode() not in packed
    assert "sk-of-the-other-side" == server.requests[0].key


def test_a_literal_key_of_a_file_does_not_travel(face: Any, write: Any) -> None:
    """Like one that was given in the program."""
    client = face.made("from_file", write("llmkit.json", json.dumps({"model": "openai/gpt-4o", "api_key": KEY})))

    with pytest.raises(ConfigurationError, match="pickle_keys"):
        pickle.dumps(getattr(client, "twin", client))


# -- all clients of a file


def test_clients_are_found_by_provider_and_model(face: Any, server: FakeServer, write: Any) -> None:
    """With several keys, and as many retries as were asked for."""
    document = {
        "openai": {
            "gpt-4": {
                "api_keys": ["sk-first-0123", "sk-second-0123"],
                "base_url": server.url("openai"),
                "model": "gpt-4-turbo",
                "max_retries": 1,
                "retry_delay": 0.001,
            },
            "other": {"api_keys": ["${NOBODY_SET_THIS}"]},
        }
    }
    clients = load(face, write("provider.json", json.dumps(document)))
    server.enqueue(Reply.error(503), Reply.error(503))

    with pytest.raises(InternalError):
        ask(face, clients["openai"]["gpt-4"])
    answer = ask(face, clients["openai"]["gpt-4"])
    close(face, clients)

    assert "You said: Hi" == answer.text
    assert 3 == server.hits
    assert "gpt-4-turbo" == server.requests[2].json["model"]
    assert {"sk-first-0123", "sk-second-0123"} == {str(request.key) for request in server.requests}


def test_a_client_is_made_when_it_is_first_asked_for(face: Any, write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its variables may be set later, or never."""
    file = write("llmkit.toml", '[providers.prod]\nmodel = "openai/gpt-4o"\napi_key = "env:ACME_KEY"\n')
    clients = load(face, file)

    with pytest.raises(ConfigurationError, match="ACME_KEY is not set"):
        clients["prod"]
    monkeypatch.setenv("ACME_KEY", KEY)

    assert clients["prod"] is clients["prod"]
    assert "openai/gpt-4o" in repr(clients["prod"])
    close(face, clients)


def test_closing_closes_what_was_made(face: Any, server: FakeServer, write: Any) -> None:
    """And makes no more; leaving a with block does the same."""
    table = {"api_key": KEY, "base_url": server.url("openai")}
    clients = load(face, write("provider.json", json.dumps({"openai": {"a": table, "b": table}})))
    client = clients["openai"]["a"]

    close(face, clients)
    close(face, clients)

    for use in (lambda: ask(face, client), lambda: clients["openai"]["b"]):
        with pytest.raises(ConfigurationError, match="closed"):
            use()


def test_clients_are_a_context(face: Any, server: FakeServer, write: Any) -> None:
    """Of the kind that their face is."""
    file = write("llmkit.json", json.dumps({"model": "openai/gpt-4o", "api_key": KEY, "base_url": server.url("openai")}))

    async def inside() -> Any:
        async with llmkit_async.load_clients(file) as clients:
            return clients["provider"], await clients["provider"].complete("Hi")

    if face.name == "async":
        client, answer = face.run(inside())
    else:
        with llmkit.load_clients(file) as clients:
            client = clients["provider"]
            answer = client.complete("Hi")

    assert "You said: Hi" == answer.text
    with pytest.raises(ConfigurationError, match="closed"):
        ask(face, client)


def test_the_twins_load_alike() -> None:
    """The same names and parameters."""
    names = [
        [{"__aenter__": "__enter__", "__aexit__": "__exit__"}.get(name, name) for name, value in vars(cls).items() if callable(value)]
        for cls in (llmkit.Clients, llmkit_async.AsyncClients)
    ]

    assert names[0] == names[1]
    assert [*inspect.signature(llmkit.load_clients).parameters.values()] == [
        *inspect.signature(llmkit_async.load_clients).parameters.values()
    ]

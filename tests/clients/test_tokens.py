"""Tokens in place of keys, through both faces: those of the environment, given ones, and those that are fetched."""

from __future__ import annotations

import asyncio
import base64
import json
import pickle
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from llmkit.errors import AuthenticationError, ConfigurationError, LLMKitError
from llmkit.testing import FakeServer, Reply

EXPIRED = Reply.error(401)


@pytest.fixture
def asking(face: Any, server: FakeServer) -> Callable[..., Any]:
    """Return a maker of clients without a key."""

    def make(model: str, **kwargs: Any) -> Any:
        provider = model.partition("/")[0]
        return face.client(model, **{"base_url": server.url(provider), "retry": None, **kwargs})

    return make


def credentials(server: FakeServer) -> list[str | None]:
    return [request.headers.get("authorization") for request in server.requests]


def told(error: BaseException) -> str:
    """Return all that can be got out of *error*, the locals of its frames and its pickle too."""
    frames = traceback.TracebackException.from_exception(error, capture_locals=True)
    texts = [str(error), repr(error), repr(vars(error)), *frames.format(), repr(pickle.dumps(error))]
    if isinstance(error, LLMKitError):
        texts.append(json.dumps(error.to_dict(), default=str))
    return "\n".join(texts)


def refused(client: Any, *, streamed: bool = False) -> BaseException:
    """Return what a call raises. (A frame of its own: that of the test holds the secrets by right.)"""
    try:
        client.stream("Hi").collect() if streamed else client.complete("Hi")
    except LLMKitError as error:
        return error
    pytest.fail("nothing was raised")


# -- Anthropic


CLAUDE = "anthropic/claude-sonnet-4-5"


def test_anthropics_token_is_a_bearer(asking: Callable[..., Any], server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no key goes along."""
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "canary")

    with asking(CLAUDE) as client:
        client.complete("Hi")
        client.stream("Hi").collect()
        client.models()

    assert ["Bearer canary"] * 3 == credentials(server)
    assert not any("x-api-key" in request.headers for request in server.requests)


def test_anthropics_key_counts_before_the_token(asking: Callable[..., Any], server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """One credential is sent, as by its own package."""
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "canary")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant")

    with asking(CLAUDE) as client:
        client.complete("Hi")

    assert ("sk-ant", None) == (server.requests[0].headers["x-api-key"], server.requests[0].headers.get("authorization"))


def test_a_function_gives_another_token_when_one_is_refused(asking: Callable[..., Any], server: FakeServer) -> None:
    """It is asked once more for the same call."""
    tokens = iter(["canary-1", "canary-2"])
    server.enqueue(EXPIRED)

    with asking(CLAUDE, options={"token": lambda: next(tokens)}) as client:
        client.complete("Hi")

    assert ["Bearer canary-1", "Bearer canary-2"] == credentials(server)


def test_an_explanation_tells_of_the_token(asking: Callable[..., Any]) -> None:
    """Where it goes, and why."""
    with asking(CLAUDE, options={"token": "canary"}) as client:
        explained = client.explain("Hi")

    assert "***" == explained.headers["Authorization"]
    assert "An access token stands in for a key." in explained.reasons


def test_without_key_or_token_it_is_said_what_is_missing(asking: Callable[..., Any]) -> None:
    """When the client is made."""
    with pytest.raises(ConfigurationError, match="ANTHROPIC_API_KEY"):
        asking(CLAUDE)


def test_no_token_is_shown(asking: Callable[..., Any], server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither by an error that quotes it, nor by a client, its explanation or its pickle."""
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "canary-of-the-environment")
    server.enqueue(Reply.error(401, message="Bad token canary-of-the-environment", code="canary-of-the-environment"))

    with asking(CLAUDE) as client:
        error = refused(client)
        shown = f"{client!r} {client.explain('Hi')!r} {told(error)}"

    assert isinstance(error, AuthenticationError)
    assert "canary" not in shown


def test_a_token_is_meant_for_the_clients_own_provider(
    asking: Callable[..., Any], server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another, whose options have the same names, gets what the environment holds for it, or says what is missing."""
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", server.url("azure"))
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "key")
    monkeypatch.setenv("OPENAI_BASE_URL", server.url("openai"))
    monkeypatch.setenv("OPENAI_API_KEY", "sk")

    with asking(CLAUDE, options={"token": "canary", "client_secret": "canary"}) as client:
        client.complete("Hi")
        client.complete("Hi", model="azure/gpt-4o")
        client.complete("Hi", model="openai/gpt-4o")
        with pytest.raises(ConfigurationError):
            client.complete("Hi", model="databricks/m")

    assert ["Bearer canary", None, "Bearer sk"] == credentials(server)
    assert "key" == server.requests[1].headers["api-key"]


@pytest.mark.parametrize("option", ["token", "client_secret", "private_key", "passphrase"])
def test_a_client_with_a_literal_secret_is_not_pickled(asking: Callable[..., Any], option: str) -> None:
    """Unless it is asked for."""
    with asking("openai/gpt-4o", api_key="k", options={option: "canary"}) as client, pytest.raises(ConfigurationError, match="not pickled"):
        pickle.dumps(getattr(client, "twin", client))


# -- Azure


AZURE = "azure/gpt-4o"


@pytest.fixture
def entra(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Azure's usual credentials, without a network: each token is another. Returns the scopes that were asked for."""
    identity = pytest.importorskip("azure.identity")
    asked: list[str] = []

    class Credential:
        def get_token(self, scope: str) -> Any:
            asked.append(scope)
            return SimpleNamespace(token=f"canary-{len(asked)}", expires_on=int(time.time()) + 3600)

        def close(self) -> None:
            pass

    monkeypatch.setattr(identity, "DefaultAzureCredential", lambda **options: Credential())
    return asked


@pytest.mark.parametrize("variable", ["AZURE_OPENAI_AD_TOKEN", "AZURE_AD_TOKEN"])
def test_entras_token_is_a_bearer(asking: Callable[..., Any], server: FakeServer, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """It counts before a key of the environment, which then does not go along."""
    monkeypatch.setenv(variable, "canary")
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "key")

    with asking(AZURE) as client:
        client.complete("Hi")
        client.stream("Hi").collect()

    assert ["Bearer canary"] * 2 == credentials(server)
    assert not any("api-key" in request.headers for request in server.requests)


def test_azures_usual_credentials_are_shared_and_renewed(asking: Callable[..., Any], server: FakeServer, entra: list[str]) -> None:
    """One token for all models and calls, until it is refused: then another, once."""
    server.enqueue(Reply("a"), Reply("b"), EXPIRED, Reply("c"))

    with asking(AZURE, options={"scope": "https://ai.azure.com/.default"}) as client:
        client.complete("Hi")
        client.stream("Hi", model="gpt-4.1").collect()
        client.complete("Hi")

    assert ["Bearer canary-1"] * 3 + ["Bearer canary-2"] == credentials(server)
    assert ["https://ai.azure.com/.default"] * 2 == entra


def test_azures_key_needs_no_library(asking: Callable[..., Any], server: FakeServer, entra: list[str]) -> None:
    """Nothing of Entra is asked where there is a key."""
    with asking(AZURE, api_key="key") as client:
        client.complete("Hi")

    assert ("key", None) == (server.requests[0].headers["api-key"], server.requests[0].headers.get("authorization"))
    assert [] == entra


@pytest.mark.parametrize("streamed", [False, True])
def test_a_token_that_is_refused_again_is_an_error(
    asking: Callable[..., Any], server: FakeServer, entra: list[str], streamed: bool
) -> None:
    """A second renewal would change nothing; the error shows no token."""
    server.enqueue(EXPIRED, Reply.error(401, message="canary-2 is no good"))

    with asking(AZURE) as client:
        error = refused(client, streamed=streamed)

    assert isinstance(error, AuthenticationError)
    assert 2 == len(entra) == server.hits
    assert "canary" not in told(error)


def test_a_client_of_entras_does_not_show_its_secret(asking: Callable[..., Any]) -> None:
    """Neither the client nor its explanation."""
    with asking(AZURE, options={"tenant_id": "t", "client_id": "c", "client_secret": "canary"}) as client:
        shown = f"{client!r} {client.explain('Hi')!r}"

    assert "canary" not in shown


def test_many_calls_at_once_fetch_one_token(face: Any, server: FakeServer, entra: list[str]) -> None:
    """On a loop as in threads; the loop goes on meanwhile."""
    client = face.client(AZURE, base_url=server.url("azure"))
    if face.name == "async":
        face.run(_together(client.twin))
    else:
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(client.complete, ["Hi"] * 8))
        client.close()

    assert ["Bearer canary-1"] * 8 == credentials(server)
    assert 1 == len(entra)


async def _together(client: Any) -> None:
    await asyncio.gather(*(client.complete("Hi") for _ in range(8)))


# -- Databricks


BRICKS = "databricks/databricks-claude-sonnet-4-5"


@pytest.fixture
def workspace() -> Iterator[SimpleNamespace]:
    """A workspace that gives tokens with numbers, or refuses to."""
    seen = SimpleNamespace(basics=[], status=200)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            seen.basics.append((self.path, self.headers["authorization"]))
            said = {"access_token": f"canary-{len(seen.basics)}", "expires_in": 3600, "error": "invalid_client"}
            body = json.dumps(said).encode()
            self.send_response(seen.status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    seen.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield seen
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture
def principal(workspace: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A service principal of the workspace, in the environment."""
    monkeypatch.setenv("DATABRICKS_HOST", workspace.url + "/")
    monkeypatch.setenv("DATABRICKS_CLIENT_ID", "principal")
    monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", "canary-secret")
    return workspace


def test_a_service_principal_gets_a_token_of_its_workspace(asking: Callable[..., Any], server: FakeServer, principal: Any) -> None:
    """One for all calls, until it is refused."""
    server.enqueue(Reply("a"), Reply("b"), EXPIRED, Reply("c"))

    with asking(BRICKS) as client:
        client.complete("Hi")
        client.stream("Hi").collect()
        client.complete("Hi", model="databricks-gpt-oss-120b")

    basic = "Basic " + base64.b64encode(b"principal:canary-secret").decode()
    assert ["Bearer canary-1"] * 3 + ["Bearer canary-2"] == credentials(server)
    assert [("/oidc/v1/token", basic)] * 2 == principal.basics


def test_a_personal_token_counts_before_the_service_principal(
    asking: Callable[..., Any], server: FakeServer, principal: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for Databricks' own package."""
    monkeypatch.setenv("DATABRICKS_TOKEN", "dapi")

    with asking(BRICKS) as client:
        client.complete("Hi")

    assert ["Bearer dapi"] == credentials(server)
    assert [] == principal.basics


def test_a_service_principal_that_is_refused_is_an_error(asking: Callable[..., Any], server: FakeServer, principal: Any) -> None:
    """Before anything is sent to the model; the error shows no secret."""
    principal.status = 401

    with asking(BRICKS) as client:
        error = refused(client)

    assert isinstance(error, AuthenticationError)
    assert "invalid_client" in str(error)
    assert "canary" not in told(error)
    assert 0 == server.hits


# -- Snowflake


CORTEX = "snowflake/claude-sonnet-4-5"


@pytest.fixture(scope="module")
def private_key() -> str:
    """Making one takes a tenth of a second."""
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.PKCS8
    return str(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode())


@pytest.fixture
def key_pair(private_key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key pair of the environment."""
    path = tmp_path / "rsa_key.p8"
    path.write_text(private_key)
    monkeypatch.setenv("SNOWFLAKE_ACCOUNT", "myorg-account1")
    monkeypatch.setenv("SNOWFLAKE_USER", "llm")
    monkeypatch.setenv("SNOWFLAKE_PRIVATE_KEY_PATH", str(path))


TOKEN_TYPE = "x-snowflake-authorization-token-type"


@pytest.mark.usefixtures("key_pair")
def test_a_key_pairs_token_is_signed_once(asking: Callable[..., Any], server: FakeServer) -> None:
    """And again when it is refused; the server is told what it is, and finds nothing wrong with it."""
    server.enqueue(Reply("a"), Reply("b"), EXPIRED, Reply("c"))

    with asking(CORTEX) as client:
        client.complete("Hi")
        client.stream("Hi").collect()
        client.complete("Hi")

    sent = credentials(server)
    assert 4 == server.hits
    assert sent[0] == sent[1] == sent[2]
    assert str(sent[0]).startswith("Bearer eyJ")
    assert ["KEYPAIR_JWT"] * 4 == [request.headers[TOKEN_TYPE] for request in server.requests]


@pytest.mark.usefixtures("key_pair")
def test_a_personal_token_counts_before_a_key_pair(asking: Callable[..., Any], server: FakeServer) -> None:
    """When it is given, it is what the header says."""
    with asking(CORTEX, api_key="pat") as client:
        client.complete("Hi")

    assert ["Bearer pat"] == credentials(server)
    assert "PROGRAMMATIC_ACCESS_TOKEN" == server.requests[0].headers[TOKEN_TYPE]


def test_a_key_pair_is_not_shown(asking: Callable[..., Any], server: FakeServer, private_key: str) -> None:
    """Neither the key nor its token: by a client, its explanation, or an error that quotes what was sent."""
    server.always(lambda request: Reply.error(401, message=f"Bad {request.headers['authorization']}"))
    options = {"account": "myorg-account1", "user": "llm", "private_key": private_key}

    with asking(CORTEX, options=options) as client:
        error = refused(client)
        shown = f"{client!r} {client.explain('Hi')!r} {told(error)}"

    token = str(credentials(server)[0]).removeprefix("Bearer ")
    assert isinstance(error, AuthenticationError)
    assert not any(word in shown for word in (token, token.rpartition(".")[2], private_key[60:100], "BEGIN"))


@pytest.mark.usefixtures("key_pair")
def test_a_wrong_account_is_refused(asking: Callable[..., Any], server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a server that reads tokens, as the fake does."""
    monkeypatch.setattr("llmkit.auth.snowflake.account_claim", lambda account: account)

    with asking(CORTEX) as client:
        error = refused(client)

    assert isinstance(error, AuthenticationError)
    assert "390144" == error.code

"""Vertex AI's projects through both faces: tokens that are given, fetched, refused and renewed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from llmkit import Image, ModelNotFoundError, OverloadedError, RateLimitError, UnsupportedParameterError, tool_result, user
from llmkit.errors import AuthenticationError, ConfigurationError
from llmkit.testing import FakeServer, Reply
from llmkit.testing.wires.anthropic_history import sealed

MODEL = "vertex/gemini-3-flash-preview"
PROJECT = {"project": "my-project", "location": "europe-west4"}
PATH = "/vertex/v1beta1/projects/my-project/locations/europe-west4/publishers/google/models/gemini-3-flash-preview:generateContent"
EXPIRED = Reply.error(401)


@pytest.fixture
def vertex(face: Any, server: FakeServer) -> Callable[..., Any]:
    """Return a maker of clients of the fake Vertex AI, without a key."""

    def make(**kwargs: Any) -> Any:
        return face.client(MODEL, base_url=server.url("vertex"), **kwargs)

    return make


class Credentials:
    """What google-auth gives, without a network: each token is another."""

    quota_project_id = None

    def __init__(self) -> None:
        self.token: str | None = None
        self.asked = 0

    @property
    def valid(self) -> bool:
        return self.token is not None

    def refresh(self, request: object) -> None:
        self.asked += 1
        self.token = f"ya29.token-{self.asked}"


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> Credentials:
    """The usual credentials."""
    google_auth = pytest.importorskip("google.auth")
    made = Credentials()
    monkeypatch.setattr(google_auth, "default", lambda scopes: (made, "my-project"))
    return made


def bearers(server: FakeServer) -> list[str]:
    return [request.headers["authorization"] for request in server.requests]


def test_a_given_token_goes_to_its_project(vertex: Any, server: FakeServer) -> None:
    """Under the project and location, as a bearer."""
    with vertex(options={**PROJECT, "token": "ya29.mine"}) as client:
        assert "You said: Hi" == client.complete("Hi").text

    assert [PATH] == [request.path for request in server.requests]
    assert ["Bearer ya29.mine"] == bearers(server)


def test_a_function_gives_a_token_for_each_attempt(vertex: Any, server: FakeServer) -> None:
    """And is asked once more when one is refused."""
    tokens = iter(["ya29.old", "ya29.new"])
    server.enqueue(EXPIRED)

    with vertex(options={**PROJECT, "token": lambda: next(tokens)}) as client:
        reply = client.complete("Hi")

    assert ["Bearer ya29.old", "Bearer ya29.new"] == bearers(server)
    assert ["auth", None] == [attempt.error for attempt in reply.attempts]


def test_usual_credentials_are_shared_and_renewed(vertex: Any, server: FakeServer, credentials: Credentials) -> None:
    """One token for all models and calls, until it is refused; the project is that of the credentials."""
    server.enqueue(Reply("a"), Reply("b"), EXPIRED, Reply("c"))

    with vertex(options={"location": "europe-west4"}) as client:
        client.complete("Hi")
        client.complete("Hi", model="gemini-2.5-flash")
        client.complete("Hi")

    one, two = "Bearer ya29.token-1", "Bearer ya29.token-2"
    assert [one, one, one, two] == bearers(server)
    assert PATH == server.requests[0].path


@pytest.mark.parametrize("streamed", [False, True])
def test_a_token_that_is_refused_again_is_an_error(vertex: Any, server: FakeServer, credentials: Credentials, streamed: bool) -> None:
    """A second renewal would change nothing; the error shows no token."""
    server.enqueue(EXPIRED, EXPIRED)

    with vertex(options=PROJECT) as client, pytest.raises(AuthenticationError) as raised:
        client.stream("Hi").collect() if streamed else client.complete("Hi")

    assert 2 == credentials.asked == server.hits
    assert "ya29" not in f"{raised.value} {raised.value.to_dict()}"


def test_an_express_key_knows_no_project(vertex: Any, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project of the environment belongs to Google's usual credentials."""
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "other")
    monkeypatch.setenv("GOOGLE_CLOUD_LOCATION", "eu")

    with vertex(api_key="test") as client:
        client.complete("Hi")

    assert "/vertex/v1beta1/publishers/google/models/gemini-3-flash-preview:generateContent" == server.requests[0].path
    assert "test" == server.requests[0].headers["x-goog-api-key"]


def test_a_key_and_a_token_are_refused_together(vertex: Any) -> None:
    """When the client is made."""
    with pytest.raises(ConfigurationError, match="not both"):
        vertex(api_key="test", options={**PROJECT, "token": "ya29.mine"})


# -- Claude


CLAUDE = "vertex/claude-sonnet-4-5@20250929"
CLAUDES = "/projects/my-project/locations/europe-west4/publishers/anthropic/models/claude-sonnet-4-5@20250929"
TOKEN = {**PROJECT, "token": "ya29.mine"}


@pytest.fixture
def claude(face: Any, server: FakeServer) -> Callable[..., Any]:
    """Return a maker of clients of Claude on the fake Vertex AI."""

    def make(model: str = CLAUDE, **kwargs: Any) -> Any:
        return face.client(model, **{"base_url": f"{server.origin}/vertex/v1", "options": TOKEN, "retry": None, **kwargs})

    return make


def ask(client: Any, way: str, *args: Any, **kwargs: Any) -> Any:
    """Return the answer, as a whole or collected from a stream."""
    return client.complete(*args, **kwargs) if way == "complete" else client.stream(*args, **kwargs).collect()


WAYS = pytest.mark.parametrize("way", ["complete", "stream"])


@pytest.mark.parametrize(("way", "method"), [("complete", "rawPredict"), ("stream", "streamRawPredict")])
def test_claude_is_asked_in_his_own_words(claude: Any, server: FakeServer, way: str, method: str) -> None:
    """The model stands in the path and not in the body, the version in the body and not in a header."""
    with claude() as client:
        reply = ask(client, way, "Hi", max_tokens=100)

    request = server.requests[0]
    assert ("You said: Hi", "vertex", "claude-sonnet-4-5-20250929") == (reply.text, reply.provider, reply.model)
    assert f"/vertex/v1{CLAUDES}:{method}" == request.path
    assert (way == "stream") == request.json.get("stream", False)
    assert "vertex-2023-10-16" == request.json["anthropic_version"]
    assert not {"model", "anthropic_beta"} & request.json.keys()
    assert not {"anthropic-version", "x-api-key", "x-goog-api-key"} & request.headers.keys()
    assert ["Bearer ya29.mine"] == bearers(server)


def test_features_in_beta_are_named_in_a_header(claude: Any, server: FakeServer) -> None:
    """As Anthropic itself has it."""
    with claude(options={**TOKEN, "beta": "context-1m-2025-08-07, compact-2026-01-12"}) as client:
        client.complete("Hi")

    assert "context-1m-2025-08-07,compact-2026-01-12" == server.requests[0].headers["anthropic-beta"]


@WAYS
def test_claudes_thoughts_go_back_as_they_came(claude: Any, server: FakeServer, way: str) -> None:
    """With their seals; Gemini's, of the same provider, do not."""
    server.enqueue(Reply("I look.", thinking="Where?", tool_calls=[("look", {"city": "Paris"})]))

    def look(city: str) -> str:
        """Look out of the window."""
        return f"Sun over {city}."

    with claude() as client:
        first = ask(client, way, "Is it warm?", tools=[look], max_tokens=8000, reasoning=2000)
        history = [user("Is it warm?"), first.message, *(tool_result(call, look(**call.arguments)) for call in first.tool_calls)]
        ask(client, way, history, tools=[look], max_tokens=8000, reasoning=2000)
        client.complete(history, tools=[look], model="vertex/gemini-3-flash-preview")

    sent, other = server.requests[1].json, server.requests[2].body
    assert {"type": "thinking", "thinking": "Where?", "signature": sealed("Where?")} == sent["messages"][1]["content"][0]
    assert sealed("Where?").encode() not in other


def test_pictures_come_as_data(claude: Any, server: FakeServer) -> None:
    """Links are refused by the host, and so before anything is sent."""
    with claude() as client:
        client.complete([user("What is it?", Image(data=b"\x89PNG", media_type="image/png"))])
        with pytest.raises(ConfigurationError):
            client.complete([user("What is it?", Image(url="https://example.com/a.png"))])

    assert 1 == server.hits


@pytest.mark.parametrize(
    ("reply", "kind"),
    [(Reply.error(429), RateLimitError), (Reply.error(529), OverloadedError), (Reply.error(404), ModelNotFoundError)],
)
@WAYS
def test_errors_are_told_at_the_door_and_behind_it(claude: Any, server: FakeServer, way: str, reply: Reply, kind: type[Exception]) -> None:
    """In Google's form, or in a list of it, or in Anthropic's: they mean the same."""
    server.enqueue(reply)

    with claude() as client, pytest.raises(kind) as raised:
        ask(client, way, "Hi")

    assert "ya29" not in f"{raised.value} {json.dumps(raised.value.to_dict(), default=str)}"


def test_both_makers_models_through_one_client(claude: Any, server: FakeServer, credentials: Credentials) -> None:
    """Each on its own wire."""
    with claude("vertex/gemini-3-flash-preview", base_url=server.url("vertex"), options=PROJECT) as client:
        client.complete("Hi")
        client.complete("Hi", model=CLAUDE)
        client.complete("Hi", model="claude-opus-5-5")

    assert [":generateContent", ":rawPredict", ":rawPredict"] == [":" + request.path.rpartition(":")[2] for request in server.requests]
    assert server.requests[2].path.endswith("models/claude-opus-5-5:rawPredict")


def test_claudes_expired_token_is_renewed(claude: Any, server: FakeServer, credentials: Credentials) -> None:
    """Once, as Gemini's is."""
    server.enqueue(EXPIRED)

    with claude(options={"location": "europe-west4"}) as client:
        client.complete("Hi")

    assert ["Bearer ya29.token-1", "Bearer ya29.token-2"] == bearers(server)


def test_claudes_place_is_that_of_anthropics_own_variables(claude: Any, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before Google's, which may name another for Gemini."""
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "other")
    monkeypatch.setenv("ANTHROPIC_VERTEX_PROJECT_ID", "my-project")
    monkeypatch.setenv("CLOUD_ML_REGION", "europe-west4")
    monkeypatch.setenv("ANTHROPIC_VERTEX_BASE_URL", f"{server.origin}/vertex/v1")

    with claude(base_url=None, options={"token": "ya29.mine"}) as client:
        client.complete("Hi")

    assert f"/vertex/v1{CLAUDES}:rawPredict" == server.requests[0].path


def test_claude_takes_no_key(claude: Any) -> None:
    """It is said when the client is made."""
    with pytest.raises(ConfigurationError, match="takes no key"):
        claude(api_key="test", options=PROJECT)


def test_claudes_models_are_not_listed(claude: Any, server: FakeServer) -> None:
    """The host has no list of them, so nothing is asked."""
    with claude() as client, pytest.raises(UnsupportedParameterError, match="no list"):
        client.models()

    assert 0 == server.hits

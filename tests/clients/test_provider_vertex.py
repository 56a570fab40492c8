"""Vertex AI's projects through both faces: tokens that are given, fetched, refused and renewed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from llmkit.errors import AuthenticationError, ConfigurationError
from llmkit.testing import FakeServer, Reply

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

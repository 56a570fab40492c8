"""Claude behind Google's door: what is taken, what is refused, and by whom."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmkit.testing import wires
from llmkit.testing.replies import RecordedRequest, Reply
from llmkit.testing.wires.vertex_claude import WIRE

MODELS = "/v1/projects/p/locations/eu/publishers/anthropic/models"
BODY: dict[str, Any] = {
    "anthropic_version": "vertex-2023-10-16",
    "max_tokens": 10,
    "messages": [{"role": "user", "content": "Hi"}],
}
BEARER = {"authorization": "Bearer ya29.x"}


def asked(body: Any = BODY, *, method: str = "rawPredict", model: str = "claude-sonnet-4-5@20250929", **headers: str) -> RecordedRequest:
    endpoint = f"{MODELS}/{model}:{method}"
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return RecordedRequest(
        method="POST", path=f"/vertex{endpoint}", provider="vertex", endpoint=endpoint, headers={**BEARER, **headers}, body=data
    )


def refused(request: RecordedRequest) -> Reply | None:
    route = wires.find(request.provider, request.method, request.endpoint).route
    assert route is not None
    return route.check(request)


def message_of(reply: Reply | None) -> str:
    assert reply is not None
    assert reply.failure is not None
    return str(reply.failure.message)


@pytest.mark.parametrize("version", ["vertex-2023-10-16", "2026-10-21"])
def test_a_good_request_is_taken(version: str) -> None:
    """In either version."""
    assert refused(asked({**BODY, "anthropic_version": version})) is None
    assert refused(asked({**BODY, "anthropic_version": version, "stream": True}, method="streamRawPredict")) is None


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({key: value for key, value in BODY.items() if key != "anthropic_version"}, "anthropic_version: Field required"),
        ({**BODY, "anthropic_version": "2023-06-01"}, "anthropic_version: Input should be"),
        ({**BODY, "model": "claude-sonnet-4-5"}, "model: Extra inputs"),
        ({**BODY, "anthropic_beta": ["x"]}, "anthropic_beta: Extra inputs"),
        ({**BODY, "stream": True}, "stream: Input should be false"),
        ({**BODY, "max_tokens": None}, "max_tokens: Field required"),
        ({**BODY, "anthropic_version": "2026-10-21", "temperature": 1}, "temperature: Extra inputs"),
        (b"no json", "not valid JSON"),
        ([], "valid dictionary"),
        (
            {**BODY, "messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "https://x"}}]}]},
            "URL sources are not supported",
        ),
    ],
)
def test_what_anthropic_would_refuse_is_refused(body: Any, message: str) -> None:
    """The envelope's own rules, and then all those of the Messages API."""
    assert message in message_of(refused(asked(body)))


def test_a_stream_is_asked_for_in_both_places() -> None:
    """In the path and in the body."""
    assert "stream: Input should be true" in message_of(refused(asked(method="streamRawPredict")))


def test_a_token_is_demanded_at_the_door() -> None:
    """A key does not open it."""
    reply = refused(asked(authorization="", **{"x-goog-api-key": "k"}))

    assert reply is not None
    assert 401 == reply.status
    assert "OAuth 2 access token" in message_of(reply)


def test_counting_names_the_model_in_the_body() -> None:
    """Since the path names the counter."""
    body = {name: value for name, value in BODY.items() if name != "max_tokens"}

    assert refused(asked({**body, "model": "claude-sonnet-4-5"}, model="count-tokens")) is None
    assert "model: Field required" in message_of(refused(asked(body, model="count-tokens")))


@pytest.mark.parametrize(
    ("status", "method", "shape"),
    [
        (429, "rawPredict", {"error": {"code": 429}}),
        (429, "streamRawPredict", [{"error": {"code": 429}}]),
        (529, "rawPredict", {"type": "error"}),
        (529, "streamRawPredict", {"type": "error"}),
    ],
)
def test_an_error_is_in_the_form_of_who_refuses(status: int, method: str, shape: Any) -> None:
    """Google streams a list."""
    rendered = WIRE.render_error(asked(method=method), Reply.error(status))

    body = json.loads(rendered.body[0])

    assert type(shape) is type(body)
    one, expected = (body[0], shape[0]) if isinstance(body, list) else (body, shape)
    if "type" in expected:
        assert ("error", "overloaded_error") == (one["type"], one["error"]["type"])
    else:
        assert ("RESOURCE_EXHAUSTED", 429) == (one["error"]["status"], one["error"]["code"])


def test_a_written_error_is_sent_as_it_is() -> None:
    """A script has the last word."""
    rendered = WIRE.render_error(asked(method="streamRawPredict"), Reply.error(401, body=b"<html>"))

    assert (b"<html>",) == rendered.body

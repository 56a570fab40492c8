"""Anthropic's own package talks to the fake Vertex AI and notices nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from llmkit.testing import FakeServer, Reply

anthropic = pytest.importorskip("anthropic")

ASKED: dict[str, Any] = {
    "model": "claude-sonnet-4-5@20250929",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Weather in Paris?"}],
}
MODELS = "/vertex/v1/projects/p/locations/eu/publishers/anthropic/models"


def settings(server: FakeServer) -> dict[str, Any]:
    return {
        "base_url": f"{server.origin}/vertex/v1",
        "region": "eu",
        "project_id": "p",
        "access_token": "ya29.mine",
        "max_retries": 0,
    }


@pytest.fixture
def sdk(server: FakeServer) -> Iterator[Any]:
    """The official synchronous client, which is to make one attempt only."""
    with anthropic.AnthropicVertex(**settings(server)) as client:
        yield client


def test_a_message(sdk: Any, server: FakeServer) -> None:
    """The model is in the path, the version in the body."""
    message = sdk.messages.create(**ASKED)

    assert ("You said: Weather in Paris?", "end_turn") == (message.content[0].text, message.stop_reason)
    assert f"{MODELS}/claude-sonnet-4-5@20250929:rawPredict" == server.requests[0].path
    assert "2026-10-21" == server.requests[0].json["anthropic_version"]


def test_a_stream(sdk: Any, server: FakeServer) -> None:
    """The package's own accumulator makes the message that would have come whole."""
    with sdk.messages.stream(**ASKED) as stream:
        pieces = list(stream.text_stream)
        message = stream.get_final_message()

    assert ["You", " said:", " Weather", " in", " Paris?"] == pieces
    assert "You said: Weather in Paris?" == message.content[0].text
    assert server.requests[0].path.endswith(":streamRawPredict")


def test_a_count_of_tokens(sdk: Any, server: FakeServer) -> None:
    """A model of that name counts, for the one in the body."""
    counted = sdk.messages.count_tokens(model=ASKED["model"], messages=ASKED["messages"])

    assert 6 == counted.input_tokens
    assert f"{MODELS}/count-tokens:rawPredict" == server.requests[0].path


def test_refusals_are_the_packages_own_errors(sdk: Any, server: FakeServer) -> None:
    """Whoever speaks: Google or the host behind its door."""
    server.enqueue(Reply.error(529), Reply.error(429))

    with pytest.raises(anthropic.APIStatusError) as overloaded:
        sdk.messages.create(**ASKED)
    with pytest.raises(anthropic.RateLimitError, match="RESOURCE_EXHAUSTED"):
        sdk.messages.create(**ASKED)
    with pytest.raises(anthropic.NotFoundError, match="Publisher Model"):
        sdk.messages.create(**{**ASKED, "model": "no-such-model"})
    with pytest.raises(anthropic.BadRequestError, match="not supported"):
        sdk.messages.create(**{**ASKED, "model": "claude-opus-5-5", "thinking": {"type": "enabled", "budget_tokens": 1024}})

    assert 529 == overloaded.value.status_code


def test_the_asynchronous_client(server: FakeServer) -> None:
    """The twin gets the same."""

    async def work() -> str:
        async with anthropic.AsyncAnthropicVertex(**settings(server)) as client:
            message = await client.messages.create(**ASKED)
            return str(message.content[0].text)

    assert "You said: Weather in Paris?" == asyncio.run(work())

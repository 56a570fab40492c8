"""Ollama's own package talks to the fake server and notices nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from llmkit.testing import FakeServer, Reply

ollama = pytest.importorskip("ollama")

MESSAGES: list[Any] = [{"role": "user", "content": "Weather in Paris?"}]


def get_weather(city: str, days: int = 1) -> str:
    """
    Look up the weather.

    Args:
        city: Where.
        days: How many.
    """
    return f"sunny in {city} for {days}"


@pytest.fixture
def sdk(server: FakeServer) -> Iterator[Any]:
    """The official synchronous client."""
    with ollama.Client(host=server.url("ollama"), trust_env=False) as client:
        yield client


def test_a_chat(sdk: Any) -> None:
    """Text, reason and counts are where they belong."""
    reply = sdk.chat(model="llama3.2", messages=MESSAGES, options={"temperature": 0.5})

    assert ("assistant", "You said: Weather in Paris?") == (reply.message.role, reply.message.content)
    assert ("llama3.2", True, "stop", 5) == (reply.model, reply.done, reply.done_reason, reply.eval_count)
    assert reply.total_duration > 0


def test_a_stream(sdk: Any) -> None:
    """The pieces make up thoughts and text; the last has the counts."""
    pieces = list(sdk.chat(model="qwen3", messages=MESSAGES, stream=True))

    assert "You said: Weather in Paris?" == "".join(piece.message.content for piece in pieces)
    assert [False] * 5 + [True] == [piece.done for piece in pieces]
    assert 5 == pieces[-1].eval_count


def test_thoughts(sdk: Any, server: FakeServer) -> None:
    """Whole and streamed, for a model that thinks."""
    server.always(Reply("Four.", thinking="Two and two."))

    whole = sdk.chat(model="qwen3", messages=MESSAGES, think=True)
    pieces = list(sdk.chat(model="gpt-oss:20b", messages=MESSAGES, think="high", stream=True))

    assert ("Four.", "Two and two.") == (whole.message.content, whole.message.thinking)
    assert "Two and two." == "".join(piece.message.thinking or "" for piece in pieces)


def test_parallel_calls_and_their_results(sdk: Any, server: FakeServer) -> None:
    """The package makes the schema of a function, and sends back what it got."""
    server.enqueue(
        Reply(thinking="Two cities.", tool_calls=[("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Rome", "days": 2})])
    )

    first = sdk.chat(model="qwen3", messages=MESSAGES, tools=[get_weather])
    calls = first.message.tool_calls
    results = [{"role": "tool", "content": get_weather(**call.function.arguments), "tool_name": call.function.name} for call in calls]
    second = sdk.chat(model="qwen3", messages=[*MESSAGES, first.message, *results], tools=[get_weather])

    assert [{"city": "Paris"}, {"city": "Rome", "days": 2}] == [dict(call.function.arguments) for call in calls]
    assert "You said: Weather in Paris?" == second.message.content


def test_streamed_calls(sdk: Any, server: FakeServer) -> None:
    """Each whole, in a piece of its own."""
    server.enqueue(Reply(tool_calls=[("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Rome"})]))

    pieces = list(sdk.chat(model="qwen3", messages=MESSAGES, tools=[get_weather], stream=True))

    calls = [call.function.arguments["city"] for piece in pieces for call in piece.message.tool_calls or ()]
    assert ["Paris", "Rome"] == calls


def test_a_picture_and_a_schema(sdk: Any) -> None:
    """Bytes become base64; the answer fits the schema."""
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}

    reply = sdk.chat(model="gemma3", messages=[{"role": "user", "content": "What?", "images": [b"\x89PNG"]}], format=schema)

    assert '{"n": 0}' == reply.message.content


def test_the_asynchronous_client(server: FakeServer) -> None:
    """Whole and streamed."""

    async def talk() -> tuple[str, str]:
        async with ollama.AsyncClient(host=server.url("ollama"), trust_env=False) as client:
            whole = await client.chat(model="llama3.2", messages=MESSAGES)
            stream = await client.chat(model="llama3.2", messages=MESSAGES, stream=True)
            pieces = [piece.message.content async for piece in stream]
            return whole.message.content, "".join(pieces)

    assert ("You said: Weather in Paris?",) * 2 == asyncio.run(talk())


def test_models_and_embeddings(sdk: Any) -> None:
    """What there is, what is known of one, and vectors."""
    names = [model.model for model in sdk.list().models]

    assert "llama3.2:latest" in names
    assert ["completion", "tools", "thinking"] == sdk.show("qwen3").capabilities
    vectors = sdk.embed(model="nomic-embed-text", input=["a", "b", "a"]).embeddings
    assert vectors[0] == vectors[2] != vectors[1]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
def test_errors_become_the_packages_exceptions(sdk: Any, server: FakeServer, status: int) -> None:
    """With status and message."""
    server.enqueue(Reply.error(status, message="no"))

    with pytest.raises(ollama.ResponseError) as caught:
        sdk.chat(model="llama3.2", messages=MESSAGES)

    assert (status, "no") == (caught.value.status_code, caught.value.error)


def test_wrong_requests_are_refused(sdk: Any) -> None:
    """As by the real server."""
    with pytest.raises(ollama.ResponseError, match="does not support thinking"):
        sdk.chat(model="llama3.2", messages=MESSAGES, think=True)
    with pytest.raises(ollama.ResponseError, match="not found"):
        sdk.show("no-such-model")
    with pytest.raises(ollama.ResponseError, match=r'option "num_ctx" must be of type integer'):
        sdk.chat(model="llama3.2", messages=MESSAGES, options={"num_ctx": "8k"})


def test_an_error_inside_a_stream(sdk: Any, server: FakeServer) -> None:
    """It comes as a line, after a good status."""
    server.enqueue(Reply(events=[{"message": {"role": "assistant", "content": "Hi"}, "done": False}, {"error": "the runner is gone"}]))

    with pytest.raises(ollama.ResponseError, match="the runner is gone"):
        list(sdk.chat(model="llama3.2", messages=MESSAGES, stream=True))


def test_a_key_is_asked_for_as_the_cloud_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the package's own variable."""
    monkeypatch.setenv("OLLAMA_API_KEY", "good")
    with FakeServer(keys=["good"]) as server:
        host, bearer = server.url("ollama"), {"authorization": "Bearer bad"}
        with ollama.Client(host=host, trust_env=False) as good, ollama.Client(host=host, trust_env=False, headers=bearer) as bad:
            assert "You said: Weather in Paris?" == good.chat(model="gpt-oss:120b", messages=MESSAGES).message.content
            with pytest.raises(ollama.ResponseError, match="unauthorized"):
                bad.chat(model="gpt-oss:120b", messages=MESSAGES)

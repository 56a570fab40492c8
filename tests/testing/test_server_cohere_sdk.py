"""Cohere's own package talks to the fake server and notices nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from llmkit.testing import FakeServer, Reply

cohere = pytest.importorskip("cohere")
httpx = pytest.importorskip("httpx")

MODEL = "command-a-03-2025"
MESSAGES: list[Any] = [{"role": "user", "content": "Weather in Paris?"}]
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER: Any = {"type": "function", "function": {"name": "get_weather", "description": "Look it up.", "parameters": PARAMETERS}}
ONCE: Any = {"max_retries": 0}


@pytest.fixture
def sdk(server: FakeServer) -> Iterator[Any]:
    """The official synchronous client."""
    with httpx.Client(trust_env=False) as connections:
        yield cohere.ClientV2(api_key="test", base_url=server.url("cohere"), httpx_client=connections)


def test_a_chat(sdk: Any) -> None:
    """Text, reason and counts are where they belong."""
    reply = sdk.chat(model=MODEL, messages=MESSAGES)

    assert ["You said: Weather in Paris?"] == [piece.text for piece in reply.message.content]
    assert ("COMPLETE", 5.0, 106.0) == (reply.finish_reason, reply.usage.billed_units.output_tokens, reply.usage.tokens.input_tokens)


def test_a_stream(sdk: Any) -> None:
    """The pieces make up thoughts and text; the end has the counts."""
    found = list(sdk.chat_stream(model=MODEL, messages=MESSAGES))

    texts = [event.delta.message.content.text for event in found if event.type == "content-delta"]
    assert "You said: Weather in Paris?" == "".join(texts)
    assert ("message-start", "message-end") == (found[0].type, found[-1].type)
    assert 5.0 == found[-1].delta.usage.tokens.output_tokens


def test_parallel_calls_and_their_results(sdk: Any, server: FakeServer) -> None:
    """What it got, it sends back; the server checks the ids."""
    server.enqueue(Reply("Two cities.", tool_calls=[("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Rome"})]))

    first = sdk.chat(model=MODEL, messages=MESSAGES, tools=[WEATHER]).message
    results = [{"role": "tool", "tool_call_id": call.id, "content": "sun"} for call in first.tool_calls]
    turn = {"role": "assistant", "tool_plan": first.tool_plan, "tool_calls": first.tool_calls}
    second = sdk.chat(model=MODEL, messages=[*MESSAGES, turn, *results], tools=[WEATHER])

    assert ("Two cities.", ['{"city": "Paris"}', '{"city": "Rome"}']) == (
        first.tool_plan, [call.function.arguments for call in first.tool_calls],
    )  # fmt: skip
    assert "You said: Weather in Paris?" == second.message.content[0].text


def test_streamed_calls(sdk: Any, server: FakeServer) -> None:
    """Thoughts, a plan, and each call in pieces."""
    server.enqueue(
        Reply("Two.", thinking="Hm hm", tool_calls=[("get_weather", {"city": "San Francisco"}), ("get_weather", {"city": "Rome"})])
    )

    found = list(sdk.chat_stream(model="command-a-reasoning-08-2025", messages=MESSAGES, tools=[WEATHER], thinking={"type": "enabled"}))

    assert "Hm hm" == "".join(event.delta.message.content.thinking for event in found if event.type == "content-delta")
    assert "Two." == "".join(event.delta.message.tool_plan for event in found if event.type == "tool-plan-delta")
    names = [event.delta.message.tool_calls.function.name for event in found if event.type == "tool-call-start"]
    pieces = [event.delta.message.tool_calls.function.arguments for event in found if event.type == "tool-call-delta"]
    assert (["get_weather"] * 2, '{"city": "San Francisco"}{"city": "Rome"}') == (names, "".join(pieces))


def test_a_forced_call_a_schema_and_documents(sdk: Any) -> None:
    """Each in its own words."""
    called = sdk.chat(model=MODEL, messages=MESSAGES, tools=[WEATHER], tool_choice="REQUIRED")
    shaped = sdk.chat(model=MODEL, messages=MESSAGES, response_format={"type": "json_object", "json_schema": PARAMETERS})
    grounded = sdk.chat(model=MODEL, messages=MESSAGES, documents=[{"data": {"text": "It rains."}}])

    assert "get_weather" == called.message.tool_calls[0].function.name
    assert '{"city": "Weather in Paris?"}' == shaped.message.content[0].text
    assert "COMPLETE" == grounded.finish_reason


def test_the_asynchronous_client(server: FakeServer) -> None:
    """Whole and streamed."""

    async def talk() -> tuple[str, str]:
        async with httpx.AsyncClient(trust_env=False) as connections:
            client = cohere.AsyncClientV2(api_key="test", base_url=server.url("cohere"), httpx_client=connections)
            whole = await client.chat(model=MODEL, messages=MESSAGES)
            stream = client.chat_stream(model=MODEL, messages=MESSAGES)
            pieces = [event.delta.message.content.text async for event in stream if event.type == "content-delta"]
            return whole.message.content[0].text, "".join(pieces)

    assert ("You said: Weather in Paris?",) * 2 == asyncio.run(talk())


def test_the_rest(sdk: Any) -> None:
    """Models, embeddings, ranks, tokens."""
    assert MODEL in [model.name for model in sdk.models.list(endpoint="chat").models]
    assert ["embed"] == sdk.models.get("embed-v4.0").endpoints
    embedded = sdk.embed(model="embed-v4.0", texts=["a", "b", "a"], input_type="search_query", embedding_types=["float"])
    assert embedded.embeddings.float_[0] == embedded.embeddings.float_[2] != embedded.embeddings.float_[1]
    assert 1 == sdk.rerank(model="rerank-v4.0-fast", query="tall", documents=["x", "tall"]).results[0].index
    assert ["a", " b"] == sdk.tokenize(text="a b", model=MODEL, offline=False).token_strings


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "BadRequestError"),
        (401, "UnauthorizedError"),
        (403, "ForbiddenError"),
        (404, "NotFoundError"),
        (422, "UnprocessableEntityError"),
        (429, "TooManyRequestsError"),
        (500, "InternalServerError"),
        (503, "ServiceUnavailableError"),
    ],
)
def test_errors_become_the_packages_exceptions(sdk: Any, server: FakeServer, status: int, name: str) -> None:
    """With their body, whole and streamed."""
    server.always(Reply.error(status, message="no"))

    with pytest.raises(getattr(cohere.errors, name)) as caught:
        sdk.chat(model=MODEL, messages=MESSAGES, request_options=ONCE)
    with pytest.raises(getattr(cohere.errors, name)):
        list(sdk.chat_stream(model=MODEL, messages=MESSAGES, request_options=ONCE))

    assert status == caught.value.status_code
    assert "no" in str(caught.value.body)


def test_wrong_requests_are_refused(sdk: Any) -> None:
    """As by the real service."""
    with pytest.raises(cohere.errors.NotFoundError):
        sdk.chat(model="no-such-model", messages=MESSAGES, request_options=ONCE)
    with pytest.raises(cohere.errors.BadRequestError, match="tool call id not found"):
        sdk.chat(model=MODEL, messages=[*MESSAGES, {"role": "tool", "tool_call_id": "x", "content": "y"}], request_options=ONCE)


def test_a_wrong_key_is_refused() -> None:
    """And the right one is not."""
    with FakeServer(keys=["good"]) as server, httpx.Client(trust_env=False) as connections:
        good, bad = (cohere.ClientV2(api_key=key, base_url=server.url("cohere"), httpx_client=connections) for key in ("good", "bad"))

        assert "COMPLETE" == good.chat(model=MODEL, messages=MESSAGES).finish_reason
        with pytest.raises(cohere.errors.UnauthorizedError, match="invalid api token"):
            bad.chat(model=MODEL, messages=MESSAGES)

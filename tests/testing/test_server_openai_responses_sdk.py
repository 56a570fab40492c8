"""OpenAI's own package talks Responses to the fake server and notices nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from llmkit.testing import FakeServer, Reply

openai = pytest.importorskip("openai")

SCHEMA: Any = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
LOOK: Any = {"type": "function", "name": "look", "parameters": SCHEMA, "strict": True}
SEALS: Any = ["reasoning.encrypted_content"]


@pytest.fixture
def sdk(server: FakeServer) -> Iterator[Any]:
    """The official synchronous client, which is to make one attempt only."""
    with openai.OpenAI(base_url=server.url("openai"), api_key="sk-test", max_retries=0) as client:
        yield client


def test_a_response(sdk: Any) -> None:
    """Text, usage and identifiers are where they belong."""
    reply = sdk.responses.create(model="gpt-5", input="Hi", instructions="Be brief.")

    assert ("You said: Hi", "completed", "response") == (reply.output_text, reply.status, reply.object)
    assert reply.usage.total_tokens == reply.usage.input_tokens + reply.usage.output_tokens
    assert reply._request_id.startswith("req_")


def test_a_stream(sdk: Any) -> None:
    """The pieces make up the text; events are numbered and typed, and the last has the whole."""
    events = list(sdk.responses.create(model="gpt-5", input="Hi there", stream=True))

    assert "You said: Hi there" == "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert list(range(len(events))) == [event.sequence_number for event in events]
    assert ("response.created", "response.completed") == (events[0].type, events[-1].type)
    assert "You said: Hi there" == events[-1].response.output_text


def test_the_sdk_assembles_a_stream(sdk: Any, server: FakeServer) -> None:
    """Thoughts, text and parallel calls."""
    server.enqueue(Reply("I look.", thinking="Hm, where?", tool_calls=[("look", {"city": "Paris"}), ("look", {"city": "Rome"})]))

    with sdk.responses.stream(model="gpt-5", input="Hi", tools=[LOOK], include=SEALS, store=False) as stream:
        for _ in stream:
            pass
        final = stream.get_final_response()

    assert ["reasoning", "message", "function_call", "function_call"] == [item.type for item in final.output]
    assert ("Hm, where?", "I look.") == (final.output[0].summary[0].text, final.output_text)
    assert ['{"city": "Paris"}', '{"city": "Rome"}'] == [item.arguments for item in final.output[2:]]


def test_the_output_is_taken_back(sdk: Any, server: FakeServer) -> None:
    """As OpenAI's guide has it: the output, then the outputs of its calls."""
    server.enqueue(Reply(thinking="Hm.", tool_calls=[("look", {"city": "Paris"})]))
    history: list[Any] = [{"role": "user", "content": "Hi"}]
    first = sdk.responses.create(model="gpt-5", input=history, tools=[LOOK], include=SEALS, store=False)
    history += [item.model_dump(exclude_none=True) for item in first.output]
    history.append({"type": "function_call_output", "call_id": first.output[-1].call_id, "output": "Sun."})

    second = sdk.responses.create(model="gpt-5", input=history, tools=[LOOK], include=SEALS, store=False)

    assert "You said: Hi" == second.output_text


def test_a_typed_answer(sdk: Any) -> None:
    """By its schema."""
    wanted: Any = {"format": {"type": "json_schema", "name": "w", "schema": SCHEMA, "strict": True}}

    assert '{"city": "Hi"}' == sdk.responses.create(model="gpt-5", input="Hi", text=wanted).output_text


def test_tokens_are_counted(sdk: Any) -> None:
    """Without an answer."""
    assert 0 < sdk.responses.input_tokens.count(model="gpt-5", input="Hi", instructions="Be brief.", tools=[LOOK]).input_tokens
    with pytest.raises(openai.BadRequestError, match="Unknown parameter: 'temperature'"):
        sdk.responses.input_tokens.count(model="gpt-5", input="Hi", extra_body={"temperature": 1})


def test_errors(sdk: Any, server: FakeServer) -> None:
    """As classes of the SDK, in streams too."""
    server.enqueue(Reply.error(429))
    with pytest.raises(openai.RateLimitError):
        sdk.responses.create(model="gpt-5", input="Hi")
    with pytest.raises(openai.BadRequestError, match="does not exist"):
        sdk.responses.create(model="no-such-model", input="Hi")
    server.enqueue(Reply(events=[{"type": "error", "sequence_number": 0, "code": "server_error", "message": "No.", "param": None}]))

    (event,) = sdk.responses.create(model="gpt-5", input="Hi", stream=True)

    assert ("error", "server_error") == (event.type, event.code)


def test_the_asynchronous_client(server: FakeServer) -> None:
    """Whole and streamed."""

    async def talk() -> tuple[str, str]:
        async with openai.AsyncOpenAI(base_url=server.url("openai"), api_key="sk-test", max_retries=0) as client:
            whole = await client.responses.create(model="gpt-5", input="Hi")
            stream = await client.responses.create(model="gpt-5", input="Hi", stream=True)
            pieces = [event.delta async for event in stream if event.type == "response.output_text.delta"]
            return whole.output_text, "".join(pieces)

    assert ("You said: Hi",) * 2 == asyncio.run(talk())

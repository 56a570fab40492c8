"""OpenAI's own package talks to the fake server and notices nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from llmkit.testing import FakeServer, Reply

openai = pytest.importorskip("openai")

MESSAGES: list[Any] = [{"role": "user", "content": "Weather in Paris?"}]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
            "required": ["city", "days"],
        },
    },
}


@pytest.fixture
def sdk(server: FakeServer) -> Iterator[Any]:
    """The official synchronous client, which is to make one attempt only."""
    with openai.OpenAI(base_url=server.url("openai"), api_key="sk-test", max_retries=0) as client:
        yield client


def test_a_completion(sdk: Any) -> None:
    """Text, usage and identifiers are where they belong."""
    raw = sdk.chat.completions.with_raw_response.create(model="gpt-4o", messages=MESSAGES)
    reply = raw.parse()

    assert "You said: Weather in Paris?" == reply.choices[0].message.content
    assert "stop" == reply.choices[0].finish_reason
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
    assert reply._request_id.startswith("req_")
    assert "1m0.5s" == raw.headers["x-ratelimit-reset-tokens"]


def test_a_stream(sdk: Any) -> None:
    """The pieces make up the text, and the usage comes last."""
    stream = sdk.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True, stream_options={"include_usage": True})

    chunks = list(stream)

    assert "You said: Weather in Paris?" == "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert "stop" == chunks[-2].choices[0].finish_reason
    assert [] == chunks[-1].choices
    assert 5 == chunks[-1].usage.completion_tokens
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_tool_calls(sdk: Any, server: FakeServer) -> None:
    """A demanded call, its answer, and the text that follows."""
    first = sdk.chat.completions.create(model="gpt-4o", messages=MESSAGES, tools=[WEATHER], tool_choice="required")
    message = first.choices[0].message
    (call,) = message.tool_calls
    history = [*MESSAGES, message, {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]

    second = sdk.chat.completions.create(model="gpt-4o", messages=history, tools=[WEATHER])

    assert "tool_calls" == first.choices[0].finish_reason
    assert ("get_weather", '{"city": "Weather in Paris?", "days": 1}') == (call.function.name, call.function.arguments)
    assert "You said: Weather in Paris?" == second.choices[0].message.content


def test_streamed_tool_calls(sdk: Any, server: FakeServer) -> None:
    """Parallel calls come one after the other, and the SDK's own accumulator assembles them."""
    server.enqueue(Reply(tool_calls=[("get_weather", {"city": "Paris", "days": 1}), ("get_weather", {"city": "Rome"})]))

    with sdk.chat.completions.stream(model="gpt-4o", messages=MESSAGES, tools=[WEATHER]) as stream:
        for _ in stream:
            pass
        message = stream.get_final_completion().choices[0].message

    assert ['{"city": "Paris", "days": 1}', '{"city": "Rome"}'] == [call.function.arguments for call in message.tool_calls]
    assert 2 == len({call.id for call in message.tool_calls})
    assert message.content is None


def test_the_asynchronous_client(server: FakeServer) -> None:
    """Whole and streamed."""

    async def talk() -> tuple[str, str]:
        async with openai.AsyncOpenAI(base_url=server.url("openai"), api_key="sk-test", max_retries=0) as client:
            whole = await client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
            stream = await client.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True)
            pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
            return whole.choices[0].message.content, "".join(pieces)

    assert ("You said: Weather in Paris?",) * 2 == asyncio.run(talk())


def test_models(sdk: Any) -> None:
    """The list, one of it, and one that is not."""
    names = [model.id for model in sdk.models.list()]

    assert "gpt-4o-mini" in names
    assert "gpt-4o" == sdk.models.retrieve("gpt-4o").id
    with pytest.raises(openai.NotFoundError):
        sdk.models.retrieve("no-such-model")


def test_embeddings(sdk: Any) -> None:
    """Base64, which the SDK asks for, and numbers carry the same vectors, of length one."""
    packed = sdk.embeddings.create(model="text-embedding-3-small", input=["a", "b", "a"], dimensions=100)
    plain = sdk.embeddings.create(model="text-embedding-3-small", input=["a", "b", "a"], dimensions=100, encoding_format="float")

    vectors = [row.embedding for row in packed.data]
    assert [100] * 3 == [len(vector) for vector in vectors]
    assert vectors[0] == vectors[2] != vectors[1]
    assert pytest.approx(1.0) == sum(number**2 for number in vectors[0])
    assert vectors == [pytest.approx(row.embedding) for row in plain.data]


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "BadRequestError"),
        (401, "AuthenticationError"),
        (403, "PermissionDeniedError"),
        (404, "NotFoundError"),
        (409, "ConflictError"),
        (422, "UnprocessableEntityError"),
        (429, "RateLimitError"),
        (500, "InternalServerError"),
        (503, "InternalServerError"),
    ],
)
def test_errors_become_the_sdks_exceptions(sdk: Any, server: FakeServer, status: int, name: str) -> None:
    """With code, parameter, message and header."""
    server.enqueue(Reply.error(status, code="c", type="t", message="m", param="p", retry_after=7))

    with pytest.raises(getattr(openai, name)) as caught:
        sdk.chat.completions.create(model="gpt-4o", messages=MESSAGES)

    error = caught.value
    assert ("c", "t", "p") == (error.code, error.type, error.param)
    assert "m" == error.body["message"]
    assert "7" == error.response.headers["retry-after"]


def test_the_sdk_retries_a_scripted_error(server: FakeServer) -> None:
    """A standing fault is met as often as the client tries."""
    server.always(Reply.error(500, headers={"retry-after-ms": "1"}))

    with openai.OpenAI(base_url=server.url("openai"), api_key="sk-test") as client, pytest.raises(openai.APIError):
        client.chat.completions.create(model="gpt-4o", messages=MESSAGES)

    assert 3 == server.hits


def test_an_error_within_a_stream(sdk: Any, server: FakeServer) -> None:
    """After the first words, as gateways send it."""
    server.enqueue(Reply(events=[{"choices": []}, {"error": {"message": "broken", "type": "server_error"}}]))

    with pytest.raises(openai.APIError, match="broken"):
        list(sdk.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True))


def test_a_cut_connection(sdk: Any, server: FakeServer) -> None:
    """It is an error of the connection."""
    server.enqueue(Reply(reset=True))

    with pytest.raises(openai.APIConnectionError):
        sdk.chat.completions.create(model="gpt-4o", messages=MESSAGES)


def test_structured_output(sdk: Any) -> None:
    """The answer fits the schema that the SDK makes of a model."""
    pydantic = pytest.importorskip("pydantic")
    shape = pydantic.create_model("Answer", city=(str, ...), days=(list[int], ...), note=(str | None, ...))

    reply = sdk.chat.completions.parse(model="gpt-4o", messages=MESSAGES, response_format=shape)

    assert "Weather in Paris?" == reply.choices[0].message.parsed.city


def test_azure(server: FakeServer) -> None:
    """The deployment stands in the path, and the key in a header of its own."""
    client = openai.AzureOpenAI(azure_endpoint=server.url("azure"), api_key="az-key", api_version="2024-10-21", max_retries=0)

    with client:
        reply = client.chat.completions.create(model="my-deployment", messages=MESSAGES)

    assert "my-deployment" == reply.model
    assert "/azure/openai/deployments/my-deployment/chat/completions" == server.requests[0].path
    assert "az-key" == server.requests[0].key
    assert {"api-version": "2024-10-21"} == server.requests[0].query


def test_voyage_is_spoken_to_in_the_same_way(server: FakeServer) -> None:
    """As far as it is alike: packed vectors by their index, a total of tokens, and a sentence for an error."""
    with openai.OpenAI(base_url=server.url("voyage"), api_key="pa-test", max_retries=0) as client:
        packed = client.embeddings.create(
            model="voyage-4", input=["a", "b", "a"], extra_body={"input_type": "query", "output_dimension": 4}
        )
        with pytest.raises(openai.BadRequestError) as caught:
            client.embeddings.create(model="voyage-4", input="a", dimensions=4)

    vectors = [row.embedding for row in packed.data]
    assert [4, 4, 4] == [len(vector) for vector in vectors]
    assert vectors[0] == vectors[2] != vectors[1]
    assert 3 == packed.usage.total_tokens
    assert "Argument 'dimensions' is not supported by our API" == caught.value.response.json()["detail"]

"""Google's own package talks to the fake server and notices nothing."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from llmkit.testing import FakeServer, Reply

with warnings.catch_warnings():
    # What the package does when it is imported is not this test's business.
    warnings.simplefilter("ignore")
    genai = pytest.importorskip("google.genai")
    types = pytest.importorskip("google.genai.types")
    errors = pytest.importorskip("google.genai.errors")

MODEL = "gemini-3-flash-preview"
WEATHER: Any = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name="get_weather",
            description="Weather.",
            parameters_json_schema={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        )
    ]
)
MANUAL: Any = types.AutomaticFunctionCallingConfig(disable=True)


def options(server: FakeServer) -> Any:
    return types.HttpOptions(base_url=server.url("google").removesuffix("/v1beta"), api_version="v1beta")


@pytest.fixture
def sdk(server: FakeServer) -> Iterator[Any]:
    """The official synchronous client of AI Studio."""
    client = genai.Client(api_key="test", http_options=options(server))
    yield client
    client.close()


def test_an_answer(sdk: Any, server: FakeServer) -> None:
    """Text, thoughts and counts are where they belong."""
    config = types.GenerateContentConfig(
        system_instruction="Be kind.", thinking_config=types.ThinkingConfig(include_thoughts=True, thinking_level="low"), temperature=0.5
    )

    reply = sdk.models.generate_content(model=MODEL, contents="Say hi", config=config)

    usage = reply.usage_metadata
    assert "You said: Say hi" == reply.text
    assert [True, None] == [part.thought for part in reply.candidates[0].content.parts]
    assert types.FinishReason.STOP == reply.candidates[0].finish_reason
    assert usage.total_token_count == usage.prompt_token_count + usage.candidates_token_count + usage.thoughts_token_count
    assert "test" == server.requests[0].headers["x-goog-api-key"]


def test_a_stream(sdk: Any) -> None:
    """The pieces make up the text, and the last has the reason."""
    chunks = list(sdk.models.generate_content_stream(model=MODEL, contents="Say hi"))

    assert "You said: Say hi" == "".join(chunk.text or "" for chunk in chunks)
    assert [None] * (len(chunks) - 1) == [chunk.candidates[0].finish_reason for chunk in chunks[:-1]]
    assert types.FinishReason.STOP == chunks[-1].candidates[0].finish_reason


def test_calls_and_their_results(sdk: Any, server: FakeServer) -> None:
    """The package sends the seals and ids back, and the server takes them."""
    server.enqueue(Reply(tool_calls=[("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Rome"})]))
    config = types.GenerateContentConfig(tools=[WEATHER], automatic_function_calling=MANUAL)
    asked = types.Content(role="user", parts=[types.Part(text="Weather?")])
    first = sdk.models.generate_content(model=MODEL, contents=[asked], config=config)
    results = [
        types.Part(function_response=types.FunctionResponse(id=call.id, name=call.name, response={"output": "sunny"}))
        for call in first.function_calls
    ]

    second = sdk.models.generate_content(
        model=MODEL, contents=[asked, first.candidates[0].content, types.Content(role="user", parts=results)], config=config
    )

    assert [{"city": "Paris"}, {"city": "Rome"}] == [call.args for call in first.function_calls]
    assert "You said: Weather?" == second.text


def test_a_typed_answer(sdk: Any) -> None:
    """The schema is kept to."""
    config = types.GenerateContentConfig(
        response_mime_type="application/json",
        response_json_schema={"type": "object", "properties": {"n": {"type": "integer", "minimum": 3}}, "required": ["n"]},
    )

    assert {"n": 3} == sdk.models.generate_content(model=MODEL, contents="A number", config=config).parsed


def test_errors(sdk: Any, server: FakeServer) -> None:
    """Each is the package's own, with the service's words."""
    with pytest.raises(errors.ClientError) as missing:
        sdk.models.generate_content(model="no-such-model", contents="Hi")
    server.enqueue(Reply.error(503))
    with pytest.raises(errors.ServerError) as overloaded:
        sdk.models.generate_content(model=MODEL, contents="Hi")

    assert (404, "NOT_FOUND") == (missing.value.code, missing.value.status)
    assert (503, "UNAVAILABLE") == (overloaded.value.code, overloaded.value.status)


def test_an_error_inside_a_stream(sdk: Any, server: FakeServer) -> None:
    """Bare JSON between events, which the package reads as an error too."""
    piece = {"candidates": [{"content": {"parts": [{"text": "Hal"}], "role": "model"}, "index": 0}]}
    server.enqueue(Reply(events=[piece, '{\n  "error": {\n    "code": 503,\n    "message": "x",\n    "status": "UNAVAILABLE"\n  }\n}\n']))

    stream = sdk.models.generate_content_stream(model=MODEL, contents="Hi")

    assert "Hal" == next(stream).text
    with pytest.raises(errors.ServerError):
        next(stream)


def test_models_counts_and_vectors(sdk: Any) -> None:
    """The other operations."""
    names = [model.name for model in sdk.models.list()]

    assert f"models/{MODEL}" in names
    assert 6 == sdk.models.count_tokens(model=MODEL, contents="a b c").total_tokens
    assert 2 == len(sdk.models.embed_content(model="gemini-embedding-001", contents=["a", "b"]).embeddings)


def test_the_cloud_with_an_express_key(server: FakeServer) -> None:
    """Under the publisher, without a project."""
    client = genai.Client(vertexai=True, api_key="test", http_options=types.HttpOptions(base_url=f"{server.origin}/vertex"))

    reply = client.models.generate_content(model=MODEL, contents="Say hi")

    assert "You said: Say hi" == reply.text
    assert f"/vertex/v1beta1/publishers/google/models/{MODEL}:generateContent" == server.requests[0].path
    client.close()


@pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")  # the package's own, of aiohttp's session
def test_the_asynchronous_client(server: FakeServer) -> None:
    """Whole and streamed."""

    async def talk() -> tuple[str, str]:
        client = genai.Client(api_key="test", http_options=options(server)).aio
        whole = await client.models.generate_content(model=MODEL, contents="Say hi")
        stream = await client.models.generate_content_stream(model=MODEL, contents="Say hi")
        pieces = [chunk.text or "" async for chunk in stream]
        await client.aclose()
        return whole.text, "".join(pieces)

    assert ("You said: Say hi",) * 2 == asyncio.run(talk())


@pytest.fixture
def cloud(server: FakeServer) -> Iterator[Any]:
    """The official client of Vertex AI, with an express key."""
    there = types.HttpOptions(base_url=server.url("vertex").removesuffix("/v1beta1"), api_version="v1beta1")
    client = genai.Client(vertexai=True, api_key="test", http_options=there)
    yield client
    client.close()


@pytest.mark.parametrize(("model", "operation"), [("text-embedding-005", "predict"), ("gemini-embedding-2", "embedContent")])
def test_vertex_embeds(cloud: Any, server: FakeServer, model: str, operation: str) -> None:
    """By one of two doors, each with its own words for the same."""
    config = types.EmbedContentConfig(task_type="RETRIEVAL_QUERY", output_dimensionality=4)

    reply = cloud.models.embed_content(model=model, contents="a b", config=config)

    assert server.requests[0].endpoint.endswith(f"/publishers/google/models/{model}:{operation}")
    assert [4] == [len(one.values) for one in reply.embeddings]


def test_vertex_predicts_several(cloud: Any) -> None:
    """With the tokens of each."""
    reply = cloud.models.embed_content(model="text-embedding-005", contents=["a b", "c"])

    assert [2, 1] == [one.statistics.token_count for one in reply.embeddings]
    with pytest.raises(errors.ClientError, match="Unsupported task type"):
        cloud.models.embed_content(model="text-embedding-005", contents="a", config=types.EmbedContentConfig(task_type="POETRY"))


def test_studio_refuses_too_many_at_once(sdk: Any) -> None:
    """A hundred is the most."""
    with pytest.raises(errors.ClientError, match="at most 100 requests"):
        sdk.models.embed_content(model="gemini-embedding-001", contents=["a"] * 101)

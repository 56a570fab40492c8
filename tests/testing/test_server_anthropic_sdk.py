"""Anthropic's own package talks to the fake server and notices nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from llmkit.testing import FakeServer, Reply

anthropic = pytest.importorskip("anthropic")

MESSAGES: list[Any] = [{"role": "user", "content": "Weather in Paris?"}]
WEATHER: Any = {
    "name": "get_weather",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
        "required": ["city", "days"],
    },
}
ASKED: dict[str, Any] = {"model": "claude-haiku-4-5", "max_tokens": 100, "messages": MESSAGES}


@pytest.fixture
def sdk(server: FakeServer) -> Iterator[Any]:
    """The official synchronous client, which is to make one attempt only."""
    with anthropic.Anthropic(base_url=server.url("anthropic"), api_key="sk-test", max_retries=0) as client:
        yield client


def test_a_message(sdk: Any, server: FakeServer) -> None:
    """Text, usage and identifiers are where they belong; the newest version of the API is asked for."""
    message = sdk.messages.create(**ASKED)

    assert "You said: Weather in Paris?" == message.content[0].text
    assert ("end_turn", 6, 5) == (message.stop_reason, message.usage.input_tokens, message.usage.output_tokens)
    assert message._request_id.startswith("req_")
    assert "2026-10-21" == server.requests[0].headers["anthropic-version"]


def test_a_stream(sdk: Any) -> None:
    """The package's own accumulator makes the message that would have come whole."""
    with sdk.messages.stream(**ASKED) as stream:
        pieces = list(stream.text_stream)
        message = stream.get_final_message()

    assert ["You", " said:", " Weather", " in", " Paris?"] == pieces
    assert ("You said: Weather in Paris?", "end_turn", 5) == (message.content[0].text, message.stop_reason, message.usage.output_tokens)


def test_thoughts_and_calls_go_round(sdk: Any, server: FakeServer) -> None:
    """Seals are accepted as they came, and refused when they were touched."""
    server.enqueue(
        Reply("Wait.", thinking="Hm.", tool_calls=[("get_weather", {"city": "Paris", "days": 1}), ("get_weather", {"city": "Rome"})])
    )
    with sdk.messages.stream(**ASKED, tools=[WEATHER]) as stream:
        first = stream.get_final_message()
    calls = [block for block in first.content if block.type == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"} for call in calls]
    history = [*MESSAGES, {"role": "assistant", "content": first.content}, {"role": "user", "content": results}]

    second = sdk.messages.create(**{**ASKED, "messages": history}, tools=[WEATHER])
    first.content[0].thinking = "Hm?"

    assert [{"city": "Paris", "days": 1}, {"city": "Rome"}] == [call.input for call in calls]
    assert "You said: Weather in Paris?" == second.content[0].text
    with pytest.raises(anthropic.BadRequestError, match="Invalid `signature` in `thinking` block"):
        sdk.messages.create(**{**ASKED, "messages": history}, tools=[WEATHER])


def test_a_demanded_call(sdk: Any) -> None:
    """With arguments that fit."""
    message = sdk.messages.create(**ASKED, tools=[WEATHER], tool_choice={"type": "any", "disable_parallel_tool_use": True})

    assert ("get_weather", {"city": "Weather in Paris?", "days": 1}) == (message.content[0].name, message.content[0].input)


def test_a_typed_answer(sdk: Any) -> None:
    """The package's own transformation of a schema passes the checks."""
    pydantic = pytest.importorskip("pydantic")
    shape = pydantic.create_model("Weather", city=(str, pydantic.Field(min_length=1)), days=(int, pydantic.Field(le=9)))

    message = sdk.messages.parse(**ASKED, output_format=shape)

    assert shape(city="Weather in Paris?", days=0) == message.parsed_output


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, "BadRequestError"),
        (401, "AuthenticationError"),
        (403, "PermissionDeniedError"),
        (404, "NotFoundError"),
        (413, "RequestTooLargeError"),
        (429, "RateLimitError"),
        (500, "InternalServerError"),
        (529, "OverloadedError"),
    ],
)
def test_errors(sdk: Any, server: FakeServer, status: int, error: str) -> None:
    """Each status is the package's own error, with the id of the request."""
    server.enqueue(Reply.error(status, message="No."))

    with pytest.raises(getattr(anthropic, error), match=r"No\.") as caught:
        sdk.messages.create(**ASKED)

    assert caught.value.request_id.startswith("req_")
    assert "error" == caught.value.body["type"]


def test_an_error_in_a_stream(sdk: Any, server: FakeServer) -> None:
    """Behind a good status."""
    server.enqueue(Reply(events=[{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}]))

    with pytest.raises(anthropic.APIStatusError, match="Overloaded"), sdk.messages.stream(**ASKED) as stream:
        stream.get_final_message()


def test_sampling_is_refused_by_the_newest_version(sdk: Any) -> None:
    """Though the model takes it: the package asks for the newest version, in which it is gone."""
    with pytest.raises(anthropic.BadRequestError, match="temperature: Extra inputs are not permitted"):
        sdk.messages.create(**ASKED, extra_body={"temperature": 1})

    assert sdk.messages.create(**ASKED, extra_body={"temperature": 1}, extra_headers={"anthropic-version": "2023-06-01"}).content


def test_tokens_and_models(sdk: Any) -> None:
    """Counted, listed on several pages, and one by one."""
    assert 6 == sdk.messages.count_tokens(model="claude-haiku-4-5", messages=MESSAGES).input_tokens
    assert 6 == len([model.id for model in sdk.models.list(limit=4)])
    assert sdk.models.retrieve("claude-opus-5-5").capabilities.thinking.types.adaptive.supported
    with pytest.raises(anthropic.NotFoundError):
        sdk.models.retrieve("no-such-model")


def test_the_asynchronous_client(server: FakeServer) -> None:
    """Complete and streamed."""

    async def talk() -> tuple[Any, Any]:
        async with anthropic.AsyncAnthropic(base_url=server.url("anthropic"), api_key="sk-test", max_retries=0) as client:
            whole = await client.messages.create(**ASKED)
            async with client.messages.stream(**ASKED) as stream:
                return whole, await stream.get_final_message()

    whole, streamed = asyncio.run(talk())

    assert ["You said: Weather in Paris?"] * 2 == [message.content[0].text for message in (whole, streamed)]

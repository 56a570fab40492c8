"""A typed answer as the arguments of a tool that must be called, which nobody sees."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from attrs import frozen

from llmkit import Client, CompletionResponse, FinishReason, Message, StructuredOutputError, Text, Thinking, ToolCall
from llmkit.dialects.forced_tool import as_answer, asking_by_tool, can_ask_by_tool
from llmkit.models.facts import ModelFacts
from llmkit.models.request import make_request
from llmkit.testing import FakeServer, Reply


@frozen
class City:
    """A city."""

    name: str
    people: int


OBEDIENT = ModelFacts(forced_tools=True)


def request(facts: ModelFacts = OBEDIENT, **parameters: Any) -> Any:
    return make_request("Hi", model="m", facts=facts, **{"response_format": City, **parameters})


def test_the_tool_is_the_shape() -> None:
    """Its name and schema, and a choice that leaves no other."""
    asked = asking_by_tool(request())

    assert (None, "City") == (asked.response_format, asked.tool_choice)
    assert [("City", {"name", "people"})] == [(tool.name, set(tool.parameters["properties"])) for tool in asked.tools]


@pytest.mark.parametrize(
    ("more", "can"),
    [
        ({}, True),
        ({"reasoning": "none"}, True),
        ({"reasoning": "low"}, False),
        ({"tools": [lambda: None]}, False),
        ({"response_format": "json"}, False),
        ({"response_format": None}, False),
        ({"facts": ModelFacts(forced_tools=True, thinks_by_default=True)}, False),
        ({"facts": ModelFacts(forced_tools=True, thinks_by_default=True), "reasoning": "none"}, True),
    ],
)
def test_a_model_that_thinks_or_has_other_tools_is_not_asked_so(more: dict[str, Any], can: bool) -> None:
    """Nor is one asked for JSON of any shape."""
    if "tools" in more:
        more = {"tools": [weather]}

    assert can is can_ask_by_tool(request(**more), obeys=True)
    assert not can_ask_by_tool(request(**more), obeys=False)


def weather(city: str) -> str:
    """Tell the weather."""
    return city


def test_the_arguments_are_the_text() -> None:
    """Thoughts stay; what was said beside the call goes."""
    call = ToolCall("call_1", "City", {"name": "Paris"}, text='{"name": "Paris"}')
    said = CompletionResponse(message=Message("assistant", [Thinking("Hm"), Text("Sure:"), call]), finish_reason=FinishReason.TOOL_CALLS)

    answer = as_answer(said)

    assert ('{"name": "Paris"}', "Hm", ()) == (answer.text, answer.thinking, answer.tool_calls)
    assert FinishReason.STOP is answer.finish_reason


def test_an_answer_without_a_call_stays_as_it_is() -> None:
    """A refusal, say."""
    said = CompletionResponse(message=Message("assistant", "No."), finish_reason=FinishReason.REFUSAL)

    assert said is as_answer(said)


@pytest.fixture(params=["anthropic/claude-3-5-haiku-latest", "bedrock/amazon.nova-lite-v1:0"])
def client(request: pytest.FixtureRequest, server: FakeServer) -> Iterator[Client]:
    provider = str(request.param).partition("/")[0]
    options = {"region": "us-east-1"} if provider == "bedrock" else None
    with Client(request.param, base_url=server.url(provider), api_key="sk-0123456789", retry=None, options=options) as made:
        yield made


def test_nobody_sees_the_tool(client: Client, server: FakeServer) -> None:
    """Whole and streamed, the answer is text, and its history has no call in it."""
    whole = client.complete("Where?", response_format=City)
    stream = client.stream("Where?", response_format=City)
    chunks = list(stream)

    assert isinstance(whole.parsed, City)
    assert ((), FinishReason.STOP, "assistant") == (whole.tool_calls, whole.finish_reason, whole.message.role)
    assert stream.response.parsed == whole.parsed
    assert stream.response.text == "".join(chunk.text for chunk in chunks)
    assert [] == [chunk for chunk in chunks if chunk.tool_call is not None]
    assert all("tools" in str(asked.json) or "toolConfig" in asked.json for asked in server.requests)


def test_a_cut_answer_is_recognised_before_it_is_read(client: Client, server: FakeServer) -> None:
    """It is said that it was cut, not that its JSON is bad."""
    server.enqueue(Reply(tool_calls=[("City", '{"name": "Par')], finish_reason="max_tokens"))

    with pytest.raises(StructuredOutputError, match="cut at max_tokens"):
        client.stream("Where?", response_format=City).collect()

"""A transport that answers out of a script, in the words of whichever wire is spoken to it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from llmkit import (
    Client,
    CompletionResponse,
    ConfigurationError,
    FinishReason,
    HttpResponse,
    InvalidRequestError,
    OverloadedError,
    RequestTimeoutError,
    RetryConfig,
    StreamInterruptedError,
    ToolCall,
    TransportError,
    Usage,
    assistant,
)
from llmkit.testing import AsyncMockTransport, MockTransport, RecordedRequest, Reply
from llmkit_async import AsyncClient

# A model of each wire, with what a client of it needs.
WIRES: dict[str, dict[str, Any]] = {
    "openai/gpt-4o-mini": {},
    "openai-responses/gpt-4o-mini": {},
    "anthropic/claude-sonnet-4-5": {},
    "google/gemini-2.5-flash": {},
    "vertex/gemini-2.5-flash": {"options": {"project": "p", "location": "global"}},
    "vertex/claude-sonnet-4-5@20250929": {"options": {"project": "p", "location": "global"}},
    "cohere/command-a-03-2025": {},
    "ollama/llama3.2": {},
    "bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0": {"options": {"region": "us-east-1"}},
    "sagemaker/endpoint": {"options": {"region": "us-east-1"}},
    "snowflake/claude-4-sonnet": {"options": {"account": "acme"}},
    "azure/deployment": {"base_url": "https://acme.openai.azure.com"},
    "groq/llama-3.3-70b-versatile": {},
    "custom/mine": {"base_url": "http://localhost:8000"},
}


@pytest.fixture(params=WIRES)
def model(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_script_needs_neither_a_model_nor_a_key() -> None:
    """One line makes a client that works on any machine."""
    transport = MockTransport(["Hi"])

    reply = Client(transport=transport).complete("Hello")

    assert "Hi" == reply.text
    assert "Hello" == transport.requests[0].json["messages"][0]["content"]
    assert 0 == transport.unused


def test_every_wire_is_spoken(model: str) -> None:
    """The same script serves every provider, whole and streamed."""
    client = Client(model, transport=MockTransport(["Hello there", "Once upon a time"]), **WIRES[model])

    whole = client.complete("Hi")
    chunks = list(client.stream("A story"))

    assert "Hello there" == whole.text
    assert "Once upon a time" == "".join(chunk.text for chunk in chunks)
    assert FinishReason.STOP is whole.finish_reason


def test_an_answer_is_said_again_in_every_wire(model: str) -> None:
    """Text, reason and usage of a ``CompletionResponse`` arrive as they were given."""
    usage = Usage(input_tokens=7, output_tokens=3)
    said = CompletionResponse(message=assistant("cut"), finish_reason=FinishReason.LENGTH, usage=usage)
    client = Client(model, transport=MockTransport([said]), **WIRES[model])

    reply = client.complete("Hi")

    assert ("cut", FinishReason.LENGTH) == (reply.text, reply.finish_reason)
    assert (7, 3) == (reply.usage.input_tokens, reply.usage.output_tokens)


def test_a_tool_call_is_said() -> None:
    """An answer may call tools; its arguments are those that were given."""
    said = CompletionResponse(message=assistant(ToolCall("call_1", "add", {"a": 1})), finish_reason=FinishReason.TOOL_CALLS)

    reply = Client("anthropic/claude-sonnet-4-5", transport=MockTransport([said])).complete("Add")

    assert [("add", {"a": 1})] == [(call.name, dict(call.arguments)) for call in reply.tool_calls]


def test_a_dict_is_the_answers_json() -> None:
    """What a typed answer is read from."""
    reply = Client(transport=MockTransport([{"city": "Paris"}])).complete("Where? Say it in JSON.", response_format="json")

    assert {"city": "Paris"} == reply.parsed


def test_an_error_of_the_provider_is_retried_like_any() -> None:
    """Policies see the script as they would see the provider."""
    transport = MockTransport([Reply.error(503, retry_after=0.001), "fine"])

    reply = Client(transport=transport).complete("Hi")

    assert ("fine", 2) == (reply.text, len(reply.attempts))


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (TransportError("tls", "bad certificate"), "tls"),
        (ConnectionRefusedError("nobody there"), "connect"),
        (ConnectionResetError, "connection_lost"),
        (TimeoutError(), "read_timeout"),
    ],
)
def test_an_exception_is_raised_as_the_network_would(raised: Any, kind: str) -> None:
    """Those of the standard library are put in the transport's words."""
    client = Client(transport=MockTransport(lambda _: raised), retry=None)

    with pytest.raises(ConnectionError) as caught:
        client.complete("Hi")

    assert kind == caught.value.kind  # type: ignore[attr-defined]


def test_what_is_no_error_of_the_network_is_raised_as_it_is() -> None:
    """A test may want to see its program interrupted."""
    client = Client(transport=MockTransport([KeyboardInterrupt]))

    with pytest.raises(KeyboardInterrupt):
        client.complete("Hi")


def test_a_function_makes_the_reply_from_the_request() -> None:
    """It sees what a fake server would have recorded."""
    seen: list[RecordedRequest] = []

    def reply(request: RecordedRequest) -> str:
        seen.append(request)
        return str(request.json["messages"][-1]["content"]).upper()

    client = Client("mistral/mistral-small", api_key="sk-0123456789", transport=MockTransport(reply))

    assert ["ONE", "TWO"] == [client.complete(word).text for word in ("one", "two")]
    assert ["mistral", "mistral"] == [request.provider for request in seen]
    assert "sk-0123456789" == seen[0].key


def test_a_response_is_sent_as_it_is() -> None:
    """For what no wire would write."""
    body = b'{"choices": [{"message": {"content": "raw"}, "finish_reason": "stop"}]}'
    response = HttpResponse(status=200, headers={"content-type": "application/json"}, body=body)
    client = Client(transport=MockTransport([response, response]))

    assert "raw" == client.complete("Hi").text
    assert "raw" == client.stream("Hi").collect().text


def test_a_stream_may_be_cut() -> None:
    """A body without its end is no answer here either."""
    events = ['data: {"choices": [{"delta": {"content": "half"}}]}\n\n']
    client = Client(transport=MockTransport([Reply(events=events)]), retry=None)

    with pytest.raises(StreamInterruptedError) as caught:
        client.stream("Hi").collect()

    assert caught.value.partial is not None
    assert "half" == caught.value.partial.text


def test_the_end_of_the_script_is_an_error_that_is_not_retried() -> None:
    """It says how many replies there were, and what came too much."""
    transport = MockTransport(["only"])
    client = Client(transport=transport)
    client.complete("Hi")

    with pytest.raises(ConfigurationError, match=r"script of 1 reply is at its end.* is request 2"):
        client.complete("Again")

    assert 2 == len(transport.requests)


def test_nothing_scripted_is_the_providers_own_good_answer() -> None:
    """As with a fake server: an echo, as often as it is wanted."""
    client = Client(transport=MockTransport())

    assert ["You said: a", "You said: b"] == [client.complete(word).text for word in "ab"]


def test_a_request_that_the_provider_would_refuse_takes_nothing() -> None:
    """So that a script cannot hide a bad request; it can where that is wanted."""
    strict, lenient = MockTransport(["Hi"]), MockTransport(["Hi"], strict=False)
    wrong = {"extra_body": {"temperature": "hot"}}

    with pytest.raises(InvalidRequestError):
        Client(transport=strict).complete("Hello", **wrong)
    reply = Client(transport=lenient).complete("Hello", **wrong)

    assert 1 == strict.unused
    assert "Hi" == reply.text


@pytest.mark.parametrize("reply", [Reply("Hi", delay=1.0), Reply("Hi", cut=3), Reply(status=100), object()])
def test_what_a_script_cannot_say_is_refused_at_once(reply: Any) -> None:
    """A fault that would be passed over in silence would make a test that cannot fail."""
    with pytest.raises(ConfigurationError):
        MockTransport([reply])


def test_policies_apply() -> None:
    """The breaker and the budget of retries are the client's own."""
    client = Client(transport=MockTransport(Reply.error(529)), retry=RetryConfig(max_retries=2, base_delay=0.001))

    with pytest.raises(OverloadedError) as caught:
        client.complete("Hi")

    assert 3 == len(caught.value.attempts)


@pytest.mark.parametrize("kind", [MockTransport, AsyncMockTransport])
def test_both_twins_take_both(kind: Any) -> None:
    """A script that was made for one face serves the other as well, and is the same script."""
    transport = kind(["one", "two", "three four"])

    async def ask() -> tuple[str, str]:
        async with AsyncClient(transport=transport) as client:
            return (await client.complete("Hi")).text, (await client.stream("Hi").collect()).text

    assert "one" == Client(transport=transport).complete("Hi").text
    assert ("two", "three four") == asyncio.run(ask())
    assert 3 == len(transport.requests)


def test_a_coroutine_function_answers_the_twin_only() -> None:
    """Nobody could wait for it elsewhere."""

    async def reply(request: RecordedRequest) -> str:
        await asyncio.sleep(0)
        return "awaited"

    async def ask() -> str:
        async with AsyncClient(transport=AsyncMockTransport(reply)) as client:
            return (await client.complete("Hi")).text

    assert "awaited" == asyncio.run(ask())
    with pytest.warns(RuntimeWarning, match="never awaited"), pytest.raises(TypeError, match="AsyncMockTransport"):
        Client(transport=MockTransport(reply)).complete("Hi")


def test_a_fallback_needs_no_key_either() -> None:
    """Whichever provider a call goes on to."""
    transport = MockTransport([Reply.error(500), "from the other"])
    client = Client("openai/gpt-4o-mini", fallbacks=["anthropic/claude-sonnet-4-5"], transport=transport, retry=None)

    reply = client.complete("Hi")

    assert ("from the other", "anthropic") == (reply.text, reply.provider)


def test_a_time_out_is_one() -> None:
    """For those who catch the builtin."""
    with pytest.raises(RequestTimeoutError):
        Client(transport=MockTransport([TimeoutError]), retry=None).complete("Hi")

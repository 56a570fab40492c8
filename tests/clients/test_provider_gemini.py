"""Gemini through both faces: one conversation, whole and streamed, and what goes wrong."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from attrs import frozen

from llmkit.errors import (
    AuthenticationError,
    InvalidRequestError,
    ModelNotFoundError,
    OverloadedError,
    QuotaExceededError,
    RateLimitError,
    StreamInterruptedError,
    UnsupportedParameterError,
)
from llmkit.models.content import Image, Message, ToolCall, assistant, system, tool_result, user
from llmkit.models.response import CompletionResponse, FinishReason
from llmkit.resilience.retry import RetryConfig
from llmkit.testing import FakeServer, Reply

KEY = "AIza-test-0123456789"
LATE = "gemini-3-flash-preview"
EARLY = "gemini-2.5-flash"
PICTURE = Image(data=b"\x89PNG", media_type="image/png")


VIOLATION = {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": "GenerateRequestsPerDayPerProject"}]}


@frozen
class Forecast:
    """A forecast."""

    city: str
    degrees: int


def get_weather(city: str, days: int = 1) -> str:
    """
    Return the weather.

    Args:
        city: Where.
        days: For how many days.
    """
    return f"{city}: sunny for {days}"


@pytest.fixture
def gemini(connect: Callable[..., Any], server: FakeServer) -> Callable[..., Any]:
    """Return a maker of clients of the fake Gemini."""

    def make(model: str = LATE, *, provider: str = "google", **kwargs: Any) -> Any:
        kwargs.setdefault("api_key", KEY)
        return connect(f"{provider}/{model}", base_url=server.url(provider), **kwargs)

    return make


@pytest.fixture(params=["complete", "stream"])
def ask(request: pytest.FixtureRequest) -> Callable[..., CompletionResponse]:
    """Return what asks a client for an answer: whole, or streamed to its end."""

    def whole(client: Any, messages: Any, **rest: Any) -> CompletionResponse:
        reply: CompletionResponse = client.complete(messages, **rest)
        return reply

    def streamed(client: Any, messages: Any, **rest: Any) -> CompletionResponse:
        with client.stream(messages, **rest) as stream:
            chunks = list(stream)
        reply: CompletionResponse = stream.response
        assert reply.text == "".join(chunk.text for chunk in chunks)
        assert reply.thinking == "".join(chunk.thinking for chunk in chunks)
        return reply

    return whole if request.param == "complete" else streamed


def sent(server: FakeServer, number: int = -1) -> dict[str, Any]:
    body: dict[str, Any] = server.requests[number].json
    return body


# -- one conversation


@pytest.mark.parametrize(("provider", "model"), [("google", LATE), ("google", EARLY), ("vertex", LATE)])
def test_a_conversation(ask: Any, gemini: Any, server: FakeServer, provider: str, model: str) -> None:
    """System, picture, two parallel calls, their results, a follow-up and a typed answer; the server checks each turn."""
    client = gemini(model, provider=provider)
    calls = [("get_weather", {"city": "Paris", "days": 2}), ("get_weather", {"city": "Rome"})]
    server.enqueue(Reply(thinking="Two cities.", tool_calls=calls, usage={"cachedContentTokenCount": 2}))
    history: list[Message] = [system("Be kind."), user("Weather here?", PICTURE)]

    first = ask(client, history, tools=[get_weather], reasoning="low")
    history += [first.message, *(tool_result(call, get_weather(**call.arguments)) for call in reversed(first.tool_calls))]
    second = ask(client, history, tools=[get_weather])
    history += [second.message, user("In numbers?")]
    third = ask(client, history, response_format=Forecast)

    assert (FinishReason.TOOL_CALLS, "Two cities.", "STOP") == (first.finish_reason, first.thinking, first.raw_finish_reason)
    assert calls == [(call.name, dict(call.arguments)) for call in first.tool_calls]
    assert 2 == first.usage.cache_read_tokens
    assert 2 == first.usage.reasoning_tokens
    assert "You said: Weather here?" == second.text
    assert Forecast("In numbers?", 0) == third.parsed
    assert (provider, KEY) == (third.provider, server.requests[-1].headers["x-goog-api-key"])
    contents = sent(server)["contents"]
    inline = {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(PICTURE.data or b"").decode()}}
    assert {"role": "user", "parts": [{"text": "Weather here?"}, inline]} == contents[0]
    assert first.raw["candidates"][0]["content"]["parts"] == contents[1]["parts"]
    assert ["Paris: sunny for 2", "Rome: sunny for 1"] == [part["functionResponse"]["response"]["output"] for part in contents[2]["parts"]]


def test_a_sealed_answer_goes_back_sealed(ask: Any, gemini: Any, server: FakeServer) -> None:
    """The fake knows its own seals, and refuses all others."""
    client = gemini()
    first = ask(client, "Hi", reasoning="high")

    ask(client, [user("Hi"), first.message, user("And?")])

    parts = sent(server)["contents"][1]["parts"]
    assert first.thinking == "".join(part["text"] for part in parts if part.get("thought"))
    assert first.text == "".join(part["text"] for part in parts if not part.get("thought"))
    assert 1 == sum("thoughtSignature" in part for part in parts)


def test_a_history_from_elsewhere_is_taken(ask: Any, gemini: Any) -> None:
    """Calls of another model have no seal: the one for such is put in its place."""
    call = ToolCall("toolu_01", "get_weather", {"city": "Paris"}, data={"provider": "anthropic"})
    history = [assistant("Welcome!"), user("Hi"), Message("assistant", call), tool_result(call, "sunny")]

    assert "You said: Hi" == ask(gemini(), history, tools=[get_weather]).text


def test_a_bare_name_finds_its_provider(connect: Any, server: FakeServer) -> None:
    """Gemini's models are Google's."""
    client = connect(EARLY, base_url=server.url("google"), api_key=KEY)

    assert "google" == client.complete("Hi").provider


def test_models_are_listed_and_the_endpoint_checked(gemini: Any) -> None:
    """With their windows."""
    client = gemini()

    listed = {model.id: model.context_window for model in client.models()}

    assert 1048576 == listed[EARLY]
    assert client.check().ok


# -- what goes wrong


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply.error(400, code="API_KEY_INVALID", type="INVALID_ARGUMENT", message="API key not valid."), AuthenticationError),
        (Reply.error(400), InvalidRequestError),
        (Reply.error(429), RateLimitError),
        (Reply.error(503), OverloadedError),
        (
            Reply.error(
                429,
                body={
                    "error": {
                        "code": 429,
                        "status": "RESOURCE_EXHAUSTED",
                        "message": "You exceeded your current quota.",
                        "details": [
                            {"@type": "x/google.rpc.QuotaFailure", "violations": [{"quotaId": "GenerateRequestsPerDayPerProject"}]}
                        ],
                    }
                },
            ),
            QuotaExceededError,
        ),
    ],
)
def test_refusals_are_what_they_are(ask: Any, gemini: Any, server: FakeServer, reply: Reply, error: type[Exception]) -> None:
    """In the tree of errors, with Google's sentence and without the key."""
    client = gemini(retry=None)
    server.enqueue(reply)

    with pytest.raises(error) as raised:
        ask(client, "Hi")

    assert KEY not in str(raised.value)


def test_a_model_that_is_not_there(ask: Any, gemini: Any) -> None:
    """Is not asked for twice."""
    with pytest.raises(ModelNotFoundError) as raised:
        ask(gemini("no-such-model"), "Hi")

    assert 1 == len(raised.value.attempts)


def test_an_error_before_the_first_word_is_tried_again(gemini: Any, server: FakeServer) -> None:
    """Bare JSON in a good stream is as good as a bad status."""
    client = gemini(retry=RetryConfig(base_delay=0.001))
    server.enqueue(Reply(events=['{"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}\n']))
    server.enqueue(Reply("Hello."))

    with client.stream("Hi") as stream:
        reply = stream.collect()

    assert "Hello." == reply.text
    assert ["overloaded", None] == [attempt.error for attempt in reply.attempts]


def test_a_cut_stream_is_never_a_success(gemini: Any, server: FakeServer) -> None:
    """What was received is kept."""
    client = gemini(retry=None)
    piece = {"candidates": [{"content": {"parts": [{"text": "Hal"}], "role": "model"}, "index": 0}]}
    server.enqueue(Reply(events=[piece]))

    with pytest.raises(StreamInterruptedError) as raised, client.stream("Hi") as stream:
        list(stream)

    assert raised.value.partial is not None
    assert "Hal" == raised.value.partial.text


def test_a_blocked_prompt_is_an_answer_without_one(ask: Any, gemini: Any, server: FakeServer) -> None:
    """It has a good status, and a reason."""
    client = gemini()
    server.enqueue(Reply(refusal="No."))

    reply = ask(client, "Hi")

    assert ("", FinishReason.CONTENT_FILTER, "PROHIBITED_CONTENT") == (reply.text, reply.finish_reason, reply.raw_finish_reason)


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        (LATE, {"user": "u1"}),
        (LATE, {"parallel_tool_calls": False, "tools": [get_weather]}),
        ("gemini-3.8-flash", {"temperature": 0.5}),
    ],
)
def test_what_cannot_be_said_is_refused_or_dropped(gemini: Any, server: FakeServer, model: str, parameters: dict[str, Any]) -> None:
    """By the wire or by the model; nothing is sent."""
    with pytest.raises(UnsupportedParameterError):
        gemini(model).complete("Hi", **parameters)

    assert 0 == server.hits
    assert gemini(model, drop_params=True).complete("Hi", **parameters).text


def test_thinking_a_model_cannot_do_is_refused(gemini: Any, server: FakeServer) -> None:
    """Before anything is sent."""
    with pytest.raises(UnsupportedParameterError, match="cannot stop thinking"):
        gemini("gemini-2.5-pro").complete("Hi", reasoning="none")

    assert 0 == server.hits

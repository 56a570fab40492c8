"""Ollama through both faces: whole conversations with a server that refuses what the real one does."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from attrs import frozen

from llmkit import (
    AuthenticationError,
    ConfigurationError,
    ContextWindowExceededError,
    FinishReason,
    Image,
    InternalError,
    InvalidRequestError,
    ModelNotFoundError,
    OverloadedError,
    StreamInterruptedError,
    UnsupportedParameterError,
    system,
    tool_result,
    user,
)
from llmkit.testing import FakeServer, Reply

PNG = b"\x89PNG picture"


@frozen
class Verdict:
    """What is to be put on."""

    coat: bool
    why: str


def get_weather(city: str, days: int = 1) -> str:
    """Look up the weather."""
    return f"rain in {city} for {days}"


@pytest.fixture
def ollama(connect: Callable[..., Any], server: FakeServer) -> Callable[..., Any]:
    """Return a maker of clients of the fake Ollama."""

    def make(model: str = "ollama/qwen3", **kwargs: Any) -> Any:
        return connect(model, **{"base_url": server.url("ollama"), "api_key": None, "retry": None, **kwargs})

    return make


def asked(client: Any, messages: Any, *, streamed: bool, **parameters: Any) -> Any:
    """Return the answer, however it was got."""
    if not streamed:
        return client.complete(messages, **parameters)
    stream = client.stream(messages, **parameters)
    chunks = list(stream)
    answer = stream.response
    assert answer.text == "".join(chunk.text for chunk in chunks)
    assert answer.thinking == "".join(chunk.thinking for chunk in chunks)
    assert [answer.finish_reason] == [chunk.finish_reason for chunk in chunks if chunk.finish_reason is not None]
    return answer


@pytest.mark.parametrize("streamed", [False, True])
def test_a_whole_conversation(ollama: Callable[..., Any], server: FakeServer, streamed: bool) -> None:
    """A system message, a picture, two calls at once, their results, a follow-up and a typed answer."""
    server.enqueue(
        Reply(
            "I look.", thinking="Two cities.", tool_calls=[("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Rome", "days": 2})]
        ),
        Reply("Rain in both.", usage={"prompt_eval_count": 40, "eval_count": 9}),
        Reply('{"coat": true, "why": "rain"}'),
    )
    client = ollama()
    history = [system("Be brief."), user("Weather on this map?", Image(data=PNG, media_type="image/png"))]

    first = asked(client, history, streamed=streamed, tools=[get_weather], reasoning="low", max_tokens=100)
    results = [tool_result(call, get_weather(**call.arguments)) for call in reversed(first.tool_calls)]
    history += [first.message, *results]
    second = asked(client, history, streamed=streamed, tools=[get_weather])
    history += [second.message, user("A coat, then?")]
    third = asked(client, history, streamed=streamed, response_format=Verdict)

    assert ("I look.", "Two cities.", FinishReason.TOOL_CALLS) == (first.text, first.thinking, first.finish_reason)
    assert [{"city": "Paris"}, {"city": "Rome", "days": 2}] == [dict(call.arguments) for call in first.tool_calls]
    assert ("Rain in both.", 40, 9) == (second.text, second.usage.input_tokens, second.usage.output_tokens)
    assert Verdict(coat=True, why="rain") == third.parsed
    sent = [request.json for request in server.requests]
    assert [base64.b64encode(PNG).decode()] == sent[0]["messages"][1]["images"]
    assert ("low", {"num_predict": 100}, streamed) == (sent[0]["think"], sent[0]["options"], sent[0]["stream"])
    again = sent[1]["messages"]
    assert ["system", "user", "assistant", "tool", "tool"] == [turn["role"] for turn in again]
    assert ("I look.", "Two cities.") == (again[2]["content"], again[2]["thinking"])
    assert [call.id for call in first.tool_calls] == [call["id"] for call in again[2]["tool_calls"]]
    assert ["rain in Paris for 1", "rain in Rome for 2"] == [turn["content"] for turn in again[3:]]
    assert {"coat", "why"} == set(sent[2]["format"]["properties"])


def test_an_answer_beside_tools_can_be_typed(ollama: Callable[..., Any], server: FakeServer) -> None:
    """The shape is told in words, since a format would bind the calls."""
    server.enqueue(Reply('```json\n{"coat": false, "why": "sun"}\n```'))

    answer = ollama().complete("A coat?", tools=[get_weather], response_format=Verdict)

    assert Verdict(coat=False, why="sun") == answer.parsed
    (request,) = server.requests
    assert "format" not in request.json
    assert "JSON Schema" in request.json["messages"][-1]["content"]


def test_no_key_is_sent_unless_there_is_one(ollama: Callable[..., Any], server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server of one's own asks for none; ollama.com's is a bearer's."""
    ollama().complete("Hi")
    monkeypatch.setenv("OLLAMA_API_KEY", "sk-ollama-0123456789")
    ollama("ollama/gpt-oss:120b").complete("Hi")

    assert [None, "sk-ollama-0123456789"] == [request.key for request in server.requests]


def test_the_address_is_that_of_ollama_host(face: Any, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the form that Ollama's own tools take, without a scheme."""
    monkeypatch.setenv("OLLAMA_HOST", server.url("ollama").removeprefix("http://"))

    with face.client("ollama/llama3.2") as client:
        answer = client.complete("Hi")

    assert "You said: Hi" == answer.text
    assert "/ollama/api/chat" == server.requests[0].path


@pytest.mark.parametrize("streamed", [False, True])
def test_its_compatible_route_is_an_option(ollama: Callable[..., Any], server: FakeServer, streamed: bool) -> None:
    """The same host, the other wire, at any form of the base URL."""
    base = server.url("ollama") + "/v1"

    answer = asked(ollama(base_url=base, options={"api": "chat"}), "Hi", streamed=streamed)
    native = asked(ollama(base_url=base), "Hi", streamed=streamed)

    assert "You said: Hi" == answer.text == native.text
    assert ["/ollama/v1/chat/completions", "/ollama/api/chat"] == [request.path for request in server.requests]


def test_an_api_that_is_none_is_refused(face: Any) -> None:
    """The message names those there are."""
    with pytest.raises(ConfigurationError, match="one of native, chat, not 'responses'"):
        face.client("ollama/qwen3", options={"api": "responses"})


def test_what_cannot_be_said_is_refused_before_it_is_sent(ollama: Callable[..., Any], server: FakeServer) -> None:
    """Or left out, where the client was told to."""
    with pytest.raises(UnsupportedParameterError, match="does not take parallel_tool_calls"):
        ollama().complete("Hi", tools=[get_weather], parallel_tool_calls=False)
    with pytest.raises(UnsupportedParameterError, match="cannot make a model call"):
        ollama().complete("Hi", tools=[get_weather], tool_choice="required")

    assert "You said: Hi" == ollama(drop_params=True).complete("Hi", user="ann").text
    assert 1 == server.hits


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("reply", "error", "kind"),
    [
        (Reply.error(404, message="model 'x' not found"), ModelNotFoundError, "not_found"),
        (Reply.error(401), AuthenticationError, "auth"),
        (Reply.error(400, message='"x" does not support tools'), InvalidRequestError, "bad_request"),
        (Reply.error(500), InternalError, "server"),
        (Reply.error(503), OverloadedError, "overloaded"),
        (Reply(events=[{"error": "server busy"}], raw=None), OverloadedError, "overloaded"),
    ],
)
def test_errors_have_their_classes(
    ollama: Callable[..., Any], server: FakeServer, streamed: bool, reply: Reply, error: Any, kind: str
) -> None:
    """Before the answer, or in its place."""
    server.enqueue(reply)

    with pytest.raises(error) as caught:
        asked(ollama(), "Hi", streamed=streamed)

    assert (kind, "ollama", "qwen3") == (caught.value.kind, caught.value.provider, caught.value.model)


def test_a_prompt_that_is_too_long_is_an_error(ollama: Callable[..., Any], server: FakeServer) -> None:
    """The server would cut it in silence; it may, if it is told to."""
    with pytest.raises(ContextWindowExceededError):
        ollama().complete("word " * 100, extra_body={"options": {"num_ctx": 8}})
    answer = ollama().complete("word " * 100, extra_body={"options": {"num_ctx": 8}, "truncate": True})

    assert answer.text.startswith("You said")


@pytest.mark.parametrize(
    "reply",
    [
        Reply("Once upon a time", cut=-40),
        Reply(events=[{"message": {"role": "assistant", "content": "Once upon a time"}, "done": False}]),
    ],
)
def test_a_stream_that_is_cut_keeps_what_came(ollama: Callable[..., Any], server: FakeServer, reply: Reply) -> None:
    """And is never a success, however it was cut."""
    server.enqueue(reply)

    with pytest.raises(StreamInterruptedError) as caught:
        asked(ollama(), "Hi", streamed=True)

    assert "Once upon a time" == caught.value.partial.text


def test_models_are_listed_and_the_server_is_checked(ollama: Callable[..., Any]) -> None:
    """Without asking a model anything."""
    client = ollama()

    names = [model.id for model in client.models()]

    assert "llama3.2:latest" in names
    assert client.check().ok


def test_a_history_of_another_provider_moves_here(ollama: Callable[..., Any], connect: Callable[..., Any], server: FakeServer) -> None:
    """Calls, ids and results go along; its thoughts stay."""
    server.enqueue(Reply("I look.", thinking="Secret.", tool_calls=[("get_weather", {"city": "Oslo"})]))
    first = connect("openrouter/x", base_url=server.url("openrouter")).complete("Weather?", tools=[get_weather])

    ollama().complete([user("Weather?"), first.message, tool_result(first.tool_calls[0], "rain")], tools=[get_weather])

    turn, result = server.requests[-1].json["messages"][1:]
    assert {"role": "assistant", "content": "I look."} == {key: turn[key] for key in turn if key != "tool_calls"}
    assert first.tool_calls[0].id == turn["tool_calls"][0]["id"] == result["tool_call_id"]
    assert {"city": "Oslo"} == turn["tool_calls"][0]["function"]["arguments"]

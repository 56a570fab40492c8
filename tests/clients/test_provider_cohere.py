"""Cohere through both faces: whole conversations with a server that refuses what the real one does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from attrs import field, frozen
from attrs.validators import ge

from llmkit import (
    AuthenticationError,
    ContentFilterError,
    ContextWindowExceededError,
    Document,
    FinishReason,
    Image,
    InternalError,
    InvalidRequestError,
    ModelNotFoundError,
    Native,
    QuotaExceededError,
    RateLimitError,
    Tool,
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
    degrees: int = field(default=0, validator=ge(-90))


def get_weather(city: str, days: int = 1) -> str:
    """Look up the weather."""
    return f"rain in {city} for {days}"


@pytest.fixture
def cohere(connect: Callable[..., Any], server: FakeServer) -> Callable[..., Any]:
    """Return a maker of clients of the fake Cohere."""

    def make(model: str = "cohere/command-a-reasoning-08-2025", **kwargs: Any) -> Any:
        return connect(model, **{"base_url": server.url("cohere"), "retry": None, **kwargs})

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
def test_a_whole_conversation(cohere: Callable[..., Any], server: FakeServer, streamed: bool) -> None:
    """A system message, a picture, two calls at once, their results, a follow-up and a typed answer."""
    server.enqueue(
        Reply(
            "I look.", thinking="Two cities.", tool_calls=[("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Rome", "days": 2})]
        ),
        Reply("Rain in both.", usage={"tokens": {"input_tokens": 40.0, "output_tokens": 9.0}, "cached_tokens": 30}),
        Reply('{"coat": true, "why": "rain", "degrees": null}'),
    )
    client = cohere()
    history = [user("Weather on this map?", Image(data=PNG, media_type="image/png")), system("Be brief.")]

    first = asked(client, history, streamed=streamed, tools=[get_weather], reasoning="low", max_tokens=100)
    history += [first.message, *(tool_result(call, get_weather(**call.arguments)) for call in first.tool_calls)]
    second = asked(client, history, streamed=streamed, tools=[get_weather])
    history += [second.message, user("A coat, then?")]
    third = asked(client, history, streamed=streamed, response_format=Verdict)

    assert ("", "Two cities.I look.", FinishReason.TOOL_CALLS) == (first.text, first.thinking, first.finish_reason)
    assert [{"city": "Paris"}, {"city": "Rome", "days": 2}] == [dict(call.arguments) for call in first.tool_calls]
    usage = second.usage
    assert ("Rain in both.", 40, 9, 30) == (second.text, usage.input_tokens, usage.output_tokens, usage.cache_read_tokens)
    assert Verdict(coat=True, why="rain", degrees=0) == third.parsed
    sent = [request.json for request in server.requests]
    assert ["system", "user"] == [turn["role"] for turn in sent[0]["messages"]]
    assert ({"type": "enabled", "token_budget": 2048}, 100, streamed) == (sent[0]["thinking"], sent[0]["max_tokens"], sent[0]["stream"])
    again = sent[1]["messages"]
    assert ["system", "user", "assistant", "tool", "tool"] == [turn["role"] for turn in again]
    assert ([{"type": "thinking", "thinking": "Two cities."}], "I look.") == (again[2]["content"], again[2]["tool_plan"])
    calls = [(call.id, call.name, call.text) for call in first.tool_calls]
    assert calls == [(call["id"], call["function"]["name"], call["function"]["arguments"]) for call in again[2]["tool_calls"]]
    assert [(calls[0][0], "rain in Paris for 1"), (calls[1][0], "rain in Rome for 2")] == [
        (turn["tool_call_id"], turn["content"]) for turn in again[3:]
    ]
    assert ["coat", "why", "degrees"] == sent[2]["response_format"]["json_schema"]["required"]


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_of_any_name_can_be_called(cohere: Callable[..., Any], server: FakeServer, streamed: bool) -> None:
    """There they have another, which the caller never sees; one that is demanded is the only one offered."""
    tools = [Tool(name="get-weather", parameters={"type": "object", "properties": {}}), get_weather]

    answer = asked(cohere(), "Hi", streamed=streamed, tools=tools, tool_choice="get-weather")
    asked(cohere(), [user("Hi"), answer.message, tool_result(answer.tool_calls[0], "")], streamed=streamed, tools=tools)

    assert ["get-weather"] == [call.name for call in answer.tool_calls]
    first, second = (request.json for request in server.requests)
    assert ("REQUIRED", ["get_weather_2"]) == (first["tool_choice"], [tool["function"]["name"] for tool in first["tools"]])
    assert ["get_weather_2", "get_weather"] == [tool["function"]["name"] for tool in second["tools"]]


def test_documents_are_cited_and_citations_go_back(cohere: Callable[..., Any], server: FakeServer) -> None:
    """As parts that only Cohere understands."""
    citation = {"start": 0, "end": 4, "text": "Tall", "sources": [{"type": "document", "id": "doc:0"}]}
    message = {"role": "assistant", "content": [{"type": "text", "text": "Tall birds."}], "citations": [citation]}
    server.enqueue(Reply(raw={"id": "a", "finish_reason": "COMPLETE", "message": message}))
    question = user("What are penguins?", Document(data=b"Penguins are tall.", media_type="text/plain"))

    answer = cohere().complete(question)
    cohere().complete([question, answer.message, user("Sure?")])

    assert Native("cohere", {"citations": [citation]}) in answer.message.content
    first, second = (request.json for request in server.requests)
    assert [{"data": {"text": "Penguins are tall."}}] == first["documents"] == second["documents"]
    assert {"role": "assistant", "content": "Tall birds.", "citations": [citation]} == second["messages"][1]


def test_an_answer_beside_tools_can_be_typed(cohere: Callable[..., Any], server: FakeServer) -> None:
    """The shape is told in words, since both at once are refused."""
    server.enqueue(Reply('```json\n{"coat": false, "why": "sun"}\n```'))

    answer = cohere().complete("A coat?", tools=[get_weather], response_format=Verdict)

    assert Verdict(coat=False, why="sun") == answer.parsed
    assert "JSON Schema" in server.requests[0].json["messages"][0]["content"]


@pytest.mark.parametrize("variable", ["CO_API_KEY", "COHERE_API_KEY"])
def test_the_key_is_found(face: Any, server: FakeServer, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """In either variable, and sent as a bearer's; the address is that of Cohere's own variable."""
    monkeypatch.setenv(variable, "key-0123456789")
    monkeypatch.setenv("CO_API_URL", server.url("cohere"))

    with face.client("cohere/command-a-03-2025") as client:
        client.complete("Hi")

    assert ("key-0123456789", "/cohere/v2/chat") == (server.requests[0].key, server.requests[0].path)


def test_a_bare_model_tells_its_provider(face: Any, server: FakeServer) -> None:
    """By how its name begins."""
    with face.client("command-r7b-12-2024", api_key="k", base_url=server.url("cohere")) as client:
        assert "cohere" == client.complete("Hi").provider


def test_what_cannot_be_said_is_refused_before_it_is_sent(cohere: Callable[..., Any], server: FakeServer) -> None:
    """Or left out, where the client was told to."""
    with pytest.raises(UnsupportedParameterError, match="does not take parallel_tool_calls"):
        cohere().complete("Hi", tools=[get_weather], parallel_tool_calls=False)
    with pytest.raises(UnsupportedParameterError, match="from 0 to 1"):
        cohere().complete("Hi", presence_penalty=-1)

    assert "You said: Hi" == cohere(drop_params=True).complete("Hi", user="ann", metadata={"a": "b"}).text
    assert 1 == server.hits


END = {"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "generation failed"}}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("reply", "error", "kind"),
    [
        (Reply.error(400), InvalidRequestError, "bad_request"),
        (Reply.error(400, message="too many tokens: size limit exceeded"), ContextWindowExceededError, "context_length"),
        (Reply.error(401), AuthenticationError, "auth"),
        (Reply.error(402), QuotaExceededError, "quota"),
        (Reply.error(404), ModelNotFoundError, "not_found"),
        (Reply.error(422), InvalidRequestError, "bad_request"),
        (Reply.error(429), RateLimitError, "rate_limit"),
        (Reply.error(429, message="Trial key: limited to 1000 API calls / month"), QuotaExceededError, "quota"),
        (Reply.error(498), ContentFilterError, "content_filter"),
        (Reply.error(500), InternalError, "server"),
        (Reply(events=[END]), InternalError, "server"),
    ],
)
def test_errors_have_their_classes(
    cohere: Callable[..., Any], server: FakeServer, streamed: bool, reply: Reply, error: Any, kind: str
) -> None:
    """Before the answer, or in its place."""
    server.enqueue(reply)

    with pytest.raises(error) as caught:
        asked(cohere(), "Hi", streamed=streamed)

    assert (kind, "cohere") == (caught.value.kind, caught.value.provider)
    assert caught.value.request_id is not None


def test_models_are_listed_and_the_key_is_checked(cohere: Callable[..., Any]) -> None:
    """Without asking a model anything."""
    client = cohere()

    names = [model.id for model in client.models()]

    assert "command-a-03-2025" in names
    assert "embed-v4.0" not in names
    assert client.check().ok


def test_a_history_of_another_provider_moves_here(cohere: Callable[..., Any], connect: Callable[..., Any], server: FakeServer) -> None:
    """Text, calls, ids and results go along; its thoughts stay."""
    server.enqueue(Reply("I look.", thinking="Secret.", tool_calls=[("get_weather", {"city": "Oslo"})]))
    first = connect("openrouter/x", base_url=server.url("openrouter")).complete("Weather?", tools=[get_weather])

    cohere().complete([user("Weather?"), first.message, tool_result(first.tool_calls[0], "rain")], tools=[get_weather])

    turn, result = server.requests[-1].json["messages"][1:]
    assert {"role": "assistant", "content": "I look."} == {key: turn[key] for key in turn if key != "tool_calls"}
    assert first.tool_calls[0].id == turn["tool_calls"][0]["id"] == result["tool_call_id"]
    assert '{"city": "Oslo"}' == turn["tool_calls"][0]["function"]["arguments"]

"""One call, answered: on both faces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from llmkit import (
    ConfigurationError,
    FinishReason,
    Image,
    UnsupportedParameterError,
    assistant,
    system,
    tool_result,
    user,
)
from llmkit.testing import FakeServer, Reply

Connect = Callable[..., Any]


def test_a_prompt_is_answered(connect: Connect) -> None:
    """A string in, a typed answer out."""
    client = connect()

    reply = client.complete("Say hi")

    assert "You said: Say hi" == reply.text
    assert FinishReason.STOP is reply.finish_reason
    assert "openai" == reply.provider
    assert "gpt-4o-mini" == reply.model
    assert reply.usage.total_tokens == reply.usage.input_tokens + reply.usage.output_tokens > 0
    assert reply.request_id is not None
    assert "chat.completion" == reply.raw["object"]


def test_only_what_was_said_is_sent(connect: Connect, server: FakeServer) -> None:
    """There is no default temperature, no default anything."""
    connect().complete("Say hi")

    assert {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say hi"}]} == server.requests[0].json


def test_a_call_overrides_the_defaults_of_its_client(connect: Connect, server: FakeServer) -> None:
    """What a client was made with is said with each call, unless the call says otherwise."""
    client = connect(temperature=0.1, max_tokens=7, system="Be brief.")

    client.complete("Say hi", temperature=0.9)

    body = server.requests[0].json
    assert 0.9 == body["temperature"]
    assert 7 == body["max_completion_tokens"]
    assert {"role": "system", "content": "Be brief."} == body["messages"][0]


def test_an_answer_is_appended_and_sent_back_as_it_came(connect: Connect, server: FakeServer) -> None:
    """The message of a reply is the next request's history, calls, ids and all."""
    call = ("get_weather", {"city": "Paris"})
    server.enqueue(Reply("Let me look.", tool_calls=(call, call)))
    client = connect()
    history = [system("You help."), user("Weather?", Image(url="https://example.com/sky.png"))]
    weather = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}

    reply = client.complete(history, tools=[weather])
    results = [tool_result(call, {"celsius": 21}) for call in reply.tool_calls]
    client.complete([*history, reply.message, *results, assistant("It is warm."), "Thanks"][:-1], tools=[weather])

    sent = server.requests[1].json["messages"]
    given = reply.raw["choices"][0]["message"]
    assert ["system", "user", "assistant", "tool", "tool", "assistant"] == [turn["role"] for turn in sent]
    assert given["tool_calls"] == sent[2]["tool_calls"]
    assert [call["id"] for call in given["tool_calls"]] == [sent[3]["tool_call_id"], sent[4]["tool_call_id"]]


def test_a_client_is_usable_from_a_with(connect: Connect) -> None:
    """After the block its calls are refused."""
    with connect() as client:
        client.complete("Say hi")

    with pytest.raises(ConfigurationError, match="closed"):
        client.complete("Say hi")


def test_closing_twice_is_closing_once(connect: Connect) -> None:
    """close() is idempotent."""
    client = connect()

    client.close()
    client.close()


def test_another_model_of_the_same_provider_is_named_per_call(connect: Connect, server: FakeServer) -> None:
    """A bare name is the client's own provider's."""
    connect().complete("Say hi", model="gpt-4o")

    assert "gpt-4o" == server.requests[0].json["model"]


def test_a_parameter_the_provider_does_not_know_is_refused(connect: Connect, server: FakeServer) -> None:
    """Nothing is dropped in silence, and nothing is sent."""
    with pytest.raises(UnsupportedParameterError, match="top_k") as caught:
        connect().complete("Say hi", top_k=5)

    assert "top_k" == caught.value.parameter
    assert 0 == server.hits


def test_a_parameter_the_provider_does_not_know_is_dropped_when_asked_for(connect: Connect, server: FakeServer) -> None:
    """drop_params=True says that it is not so important."""
    connect(drop_params=True).complete("Say hi", top_k=5)

    assert "top_k" not in server.requests[0].json


def test_extra_body_has_the_last_word(connect: Connect, server: FakeServer) -> None:
    """Nested objects are merged key by key, everything else is replaced."""
    client = connect(reasoning="low")

    client.complete("Say hi", extra_body={"reasoning_effort": "high", "metadata": {"a": "b"}})

    assert "high" == server.requests[0].json["reasoning_effort"]
    assert {"a": "b"} == server.requests[0].json["metadata"]


def test_extra_headers_go_along(connect: Connect, server: FakeServer) -> None:
    """A call's headers lie over the client's."""
    connect(default_headers={"X-Team": "a", "X-Other": "b"}).complete("Say hi", extra_headers={"X-Team": "c"})

    assert "c" == server.requests[0].headers["x-team"]
    assert "b" == server.requests[0].headers["x-other"]


def test_a_typed_answer_is_parsed(connect: Connect, server: FakeServer) -> None:
    """A schema goes out, an instance comes back."""
    from attrs import frozen

    @frozen
    class City:
        name: str
        people: int

    server.enqueue(Reply('{"name": "Paris", "people": 2100000}'))

    reply = connect().complete("Largest city of France?", response_format=City)

    assert City("Paris", 2100000) == reply.parsed
    assert "json_schema" == server.requests[0].json["response_format"]["type"]


def test_models_are_listed(connect: Connect) -> None:
    """The provider's own list, typed."""
    models = connect().models()

    assert "gpt-4o-mini" in [model.id for model in models]
    assert {"openai"} == {model.provider for model in models}


def test_explain_shows_the_request_and_sends_nothing(connect: Connect, server: FakeServer) -> None:
    """What would be sent, where and why, without the key."""
    explanation = connect(api_key="sk-canary-0123456789").explain("Say hi", temperature=0.5)

    assert f"{server.url('openai')}/chat/completions" == explanation.url
    assert 0.5 == explanation.body["temperature"]
    assert "***" == explanation.headers["Authorization"]
    assert "canary" not in str(explanation)
    assert 0 == server.hits


def test_a_check_reports_health(connect: Connect, server: FakeServer) -> None:
    """A failure is in the report and not raised."""
    client = connect(retry=None)
    server.enqueue(lambda request: Reply(), Reply.error(401))

    good, bad = client.check(), client.check()

    assert good.ok
    assert not bad.ok
    assert "auth" == bad.kind


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"messages": ""}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [{"content": "x"}]}, r"messages\[0\]"),
        ({"messages": "x", "temperature": 3}, "temperature"),
        ({"messages": "x", "max_tokens": 0}, "max_tokens"),
        ({"messages": "x", "stop": [""]}, "stop"),
        ({"messages": "x", "tool_choice": "required"}, "tool_choice"),
        ({"messages": "x", "timeout": 0}, "timeout"),
        ({"messages": "x", "deadline": -1}, "deadline"),
        ({"messages": "x", "extra_headers": {"Authorization": "Bearer x"}}, "Authorization"),
        ({"messages": "x", "extra_headers": {"X-A": "b\r\nX-C: d"}}, "X-A"),
    ],
)
def test_bad_input_is_refused_by_name(connect: Connect, server: FakeServer, arguments: dict[str, Any], word: str) -> None:
    """Before anything is sent, by both ways of calling."""
    client = connect()

    for method in (client.complete, client.stream):
        with pytest.raises(ConfigurationError, match=word):
            method(**arguments)

    assert 0 == server.connections


@pytest.mark.parametrize("model", [5, "", ["openai/gpt-4o", "openai/gpt-4o-mini"]])
def test_the_model_of_one_call_is_a_name(connect: Connect, model: Any) -> None:
    """And an empty one is not the client's own."""
    client = connect()

    for method in (client.complete, client.explain, client.embed, client.count_tokens):
        with pytest.raises(ConfigurationError, match="model= of one call is the name of a model"):
            method("Hi", model=model)


@pytest.mark.parametrize(("method", "name"), [("complete", "messages"), ("count_tokens", "messages"), ("embed", "inputs")])
def test_nothing_to_ask_is_refused_by_its_name(connect: Connect, method: str, name: str) -> None:
    """In the caller's words, and not in those of what it calls."""
    with pytest.raises(ConfigurationError, match=f"{name} is a string"):
        getattr(connect(), method)(None)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"model": "nobody/gpt"}, "nobody"),
        ({"model": None, "provider": "nobody"}, "nobody"),
        ({"model": "m", "provider": "custom"}, "base_url"),
        ({"model": "openai/gpt-4o"}, "OPENAI_API_KEY"),
        ({"model": "openai/gpt-4o", "api_key": "sk\n1"}, "key"),
        ({"model": "openai/gpt-4o", "api_key": ""}, "key"),
        ({"model": "openai/gpt-4o", "api_key": "k1", "api_keys": ["k2"]}, "api_keys"),
        ({"model": "openai/gpt-4o", "api_key": "k1", "base_url": "http://example.com/v1"}, "http"),
        ({"model": "openai/gpt-4o", "api_key": "k1", "base_url": "https://u:p@example.com/v1"}, "base_url"),
        ({"model": "openai/gpt-4o", "api_key": "k1", "base_url": "ftp://example.com"}, "base_url"),
        ({"model": "openai/gpt-4o", "api_key": "k1", "timeout": 0}, "timeout"),
        ({"model": "openai/gpt-4o", "api_key": "k1", "temperature": "hot"}, "temperature"),
        ({"model": "openai/gpt-4o", "api_key": "k1", "temprature": 1}, "temprature"),
        ({"model": "openai/gpt-4o", "api_key": "k1", "options": {"apy": "responses"}}, "openai has no option 'apy'"),
        ({"model": "opnai/gpt-4o", "api_key": "k1"}, "Did you mean 'openai/gpt-4o'"),
    ],
)
def test_a_client_that_cannot_work_is_not_made(face: Any, arguments: dict[str, Any], word: str) -> None:
    """What is wrong or missing is said by name, when the client is made."""
    with pytest.raises(ConfigurationError, match=word) as caught:
        face.client(**arguments)

    assert "sk\n1" not in str(caught.value)


@pytest.mark.parametrize(
    ("model", "parameters", "dropped"),
    [
        ("ollama/llama3.2", {"tools": [{"type": "function", "function": {"name": "look"}}], "tool_choice": "required"}, ("tool_choice",)),
        ("ollama/qwen3", {"reasoning": 2000, "frequency_penalty": 0.5}, ("reasoning",)),
        ("cohere/command-a-03-2025", {"presence_penalty": -1.0, "stop": list("abcdef")}, ("presence_penalty", "stop")),
        ("anthropic/claude-sonnet-4-5", {"temperature": 1.5, "seed": 7}, ("seed", "temperature")),
    ],
)
def test_values_that_a_wire_cannot_say_are_dropped_where_that_was_asked_for(
    face: Any, server: FakeServer, model: str, parameters: dict[str, Any], dropped: tuple[str, ...]
) -> None:
    """As names that it does not know; explain() tells which. Without being asked for, they are refused by name."""
    place = {"base_url": server.url(model.partition("/")[0]), "api_key": "sk-test-0123456789"}
    strict, lenient = face.client(model, **place), face.client(model, drop_params=True, **place)

    with pytest.raises(UnsupportedParameterError) as caught:
        strict.complete("Say hi", **parameters)
    reply = lenient.complete("Say hi", **parameters)

    assert caught.value.parameter in dropped
    assert reply.finish_reason in ("stop", "tool_calls")
    assert dropped == lenient.explain("Say hi", **parameters).dropped

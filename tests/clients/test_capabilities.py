"""What is said of a model's abilities holds for the client's own model, on both faces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from llmkit import ConfigurationError, Image, LLMConfig, UnsupportedParameterError, user
from llmkit.testing import FakeServer, Reply

Connect = Callable[..., Any]


def weather(city: str) -> str:
    """Return the weather."""
    return city


@pytest.mark.parametrize(
    ("capabilities", "messages", "parameters"),
    [
        ({"supports_tools": False}, "Hi", {"tools": [weather]}),
        ({"supports_json_mode": False}, "Hi", {"response_format": "json"}),
        ({"supports_reasoning": False}, "Hi", {"reasoning": "low"}),
        ({"supports_system_message": False}, "Hi", {"system": "Be brief."}),
        ({"supports_vision": False}, [user("What is this?", Image(url="https://a.example/cat.png"))], {}),
    ],
)
def test_what_it_cannot_do_is_refused(connect: Connect, server: FakeServer, capabilities: Any, messages: Any, parameters: Any) -> None:
    """Before anything is sent; everything else goes through."""
    client = connect(capabilities=capabilities)

    with pytest.raises(UnsupportedParameterError):
        client.complete(messages, **parameters)
    assert 0 == server.hits
    assert "You said: Hi" == client.complete("Hi").text


def test_a_model_that_cannot_stream_is_not_asked_to(connect: Connect, server: FakeServer) -> None:
    """A whole answer can still be had."""
    client = connect(capabilities={"supports_streaming": False})

    with pytest.raises(UnsupportedParameterError, match="supports_streaming"):
        list(client.stream("Hi"))
    assert 0 == server.hits


def test_what_it_can_do_after_all_is_sent(face: Any, server: FakeServer) -> None:
    """The catalogue may be behind."""
    client = face.client("openai/gpt-5", api_key="k", base_url=server.url("openai"), capabilities={"supports_reasoning": True})

    client.complete("Hi", reasoning="low")

    assert "low" == server.requests[0].json["reasoning_effort"]


def test_the_longest_answer_is_what_was_said(face: Any, server: FakeServer) -> None:
    """Where a wire demands to be told."""
    arguments = {"api_key": "k", "base_url": server.url("anthropic"), "capabilities": {"max_tokens": 77}}

    face.client("anthropic/claude-sonnet-4-5", **arguments).complete("Hi")

    assert 77 == server.requests[0].json["max_tokens"]


def test_it_is_said_of_the_clients_own_model_only(connect: Connect, server: FakeServer) -> None:
    """Not of that of one call, nor of a fallback."""
    client = connect(capabilities={"supports_json_mode": False}, fallbacks=[{"model": "openai/gpt-4o", "api_key": "k"}])
    server.enqueue(Reply("{}"))

    client.complete("Say hi in JSON", model="gpt-4o", response_format="json")

    assert "gpt-4o" == server.requests[0].json["model"]


def test_a_configuration_says_it_too(face: Any, server: FakeServer) -> None:
    """As a dict."""
    config = LLMConfig.openai("k", base_url=server.url("openai"), capabilities={"supports_tools": False})

    with pytest.raises(UnsupportedParameterError):
        face.made("from_config", config).complete("Hi", tools=[weather])


@pytest.mark.parametrize(
    ("capabilities", "words"),
    [
        ({"supports_tolls": False}, "capabilities.supports_tolls is not known. Did you mean 'supports_tools'"),
        ({"supports_tools": "no"}, "capabilities.supports_tools must be True or False"),
        ({"max_tokens": 0}, "capabilities.max_tokens must be at least 1"),
        (3, "capabilities is a dict"),
    ],
)
def test_what_cannot_be_said_is_refused(connect: Connect, capabilities: Any, words: str) -> None:
    """By name."""
    with pytest.raises(ConfigurationError, match=words):
        connect(capabilities=capabilities)

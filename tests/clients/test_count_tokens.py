"""How many tokens a request is: told by who counts, or worked out; and said which."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from llmkit import AuthenticationError, ConfigurationError, Document, Image, InternalError, ModelNotFoundError, TokenCount, user
from llmkit.catalogue import bpe
from llmkit.catalogue.tokens import estimate_request, estimate_tokens
from llmkit.models.request import make_request
from llmkit.testing import FakeServer, Reply

Connect = Callable[..., Any]


def weather(city: str) -> str:
    """Return the weather in a city."""
    return city


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("anthropic/claude-sonnet-4-5", "/v1/messages/count_tokens"),
        ("google/gemini-2.5-flash", "/v1beta/models/gemini-2.5-flash:countTokens"),
        ("vertex/gemini-2.5-flash", "/v1beta1/publishers/google/models/gemini-2.5-flash:countTokens"),
        ("openai/gpt-4o-mini", "/v1/responses/input_tokens"),
        ("openai-responses/gpt-5", "/v1/responses/input_tokens"),
    ],
)
def test_who_counts_is_asked(connect: Connect, server: FakeServer, model: str, path: str) -> None:
    """With everything that an answer would read, and nothing that only it needs; a strict server takes it."""
    provider = model.partition("/")[0]
    client = connect(model, base_url=server.url(provider), temperature=0.5, max_tokens=9)

    count = client.count_tokens("one two three", system="Be kind.", tools=[weather], tool_choice="auto")

    assert isinstance(count, TokenCount)
    assert count > 0
    assert (False, provider) == (count.estimated, count.source)
    assert [path] == [request.endpoint for request in server.requests]


BEDROCK = "bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0"


@pytest.mark.parametrize("api", ["converse", "invoke"])
def test_bedrock_counts_what_either_wire_says(connect: Connect, server: FakeServer, api: str) -> None:
    """By the model's own id, without its region's profile."""
    client = connect(BEDROCK, base_url=server.url("bedrock"), options={"region": "us-east-1", "api": api}, temperature=0.5, max_tokens=9)

    count = client.count_tokens("one two three", system="Be kind.", tools=[weather], tool_choice="auto")

    assert (6, False, "bedrock") == (count, count.estimated, count.source)
    assert ["/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/count-tokens"] == [request.endpoint for request in server.requests]


@pytest.mark.parametrize(
    ("model", "api", "asked"), [("amazon.nova-lite-v1:0", "converse", 1), ("openai.gpt-oss-120b", "chat", 0)], ids=["nova", "openai's"]
)
def test_models_that_bedrock_does_not_count_are_estimated(connect: Connect, server: FakeServer, model: str, api: str, asked: int) -> None:
    """As it says itself, or has no place to ask."""
    client = connect(f"bedrock/{model}", base_url=server.url("bedrock"), options={"region": "us-east-1", "api": api})

    count = client.count_tokens("one two three")

    assert (True, asked) == (count.estimated, server.hits)
    assert count > 0


@pytest.mark.parametrize("model", ["mistral/mistral-small-latest", "ollama/llama3.2", "cohere/command-a-03-2025", "custom/qwen3"])
def test_elsewhere_it_is_worked_out(connect: Connect, server: FakeServer, model: str) -> None:
    """And says so; nothing is sent."""
    provider, _, name = model.partition("/")
    client = connect(model, base_url=server.url(provider))
    said = {"system": "Be kind.", "tools": [weather], "response_format": {"type": "object", "properties": {}}}

    count = client.count_tokens([user("What is this?", Image(url="https://example.com/cat.png"))], **said)

    request = make_request([user("What is this?", Image(url="https://example.com/cat.png"))], model=name, **said)
    assert estimate_request(request) == count
    assert (True, "estimate") == (count.estimated, count.source)
    assert 0 == server.hits


def test_another_model_may_be_named(connect: Connect, server: FakeServer) -> None:
    """As everywhere."""
    connect("anthropic/claude-sonnet-4-5", base_url=server.url("anthropic")).count_tokens("Hi", model="claude-haiku-4-5")

    assert "claude-haiku-4-5" == server.requests[0].json["model"]


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_server_that_does_not_count_is_no_failure(connect: Connect, server: FakeServer, status: int) -> None:
    """It may be another behind the provider's name: then it is worked out."""
    server.always(Reply.error(status, message="There is no such path here."))

    count = connect(retry=None).count_tokens("one two three")

    assert (4 + estimate_tokens("one two three"), True) == (count, count.estimated)


def test_the_tokenizer_itself_counts_where_it_is_at_hand(connect: Connect, monkeypatch: pytest.MonkeyPatch, server: FakeServer) -> None:
    """Text by text; it is an estimate all the same, of what stands around them."""
    monkeypatch.setattr(bpe, "tokenizer_at_hand", lambda model: (f"words of {model}", lambda text: len(text.split())))
    client = connect("azure/gpt-4o", base_url=server.url("azure"))

    count = client.count_tokens("one two three", system="Be kind.")

    assert (2 * 4 + 5, True, "words of gpt-4o") == (count, count.estimated, count.source)


def test_a_failure_of_who_counts_is_told(connect: Connect, server: FakeServer) -> None:
    """A wrong key, an outage, a model that does not exist: guessing would hide them."""
    client = connect("anthropic/claude-sonnet-4-5", base_url=server.url("anthropic"), retry=None)
    server.enqueue(Reply.error(500), Reply.error(401))

    with pytest.raises(InternalError):
        client.count_tokens("Hi")
    with pytest.raises(AuthenticationError):
        client.count_tokens("Hi")
    with pytest.raises(ModelNotFoundError):
        client.count_tokens("Hi", model="claude-no-such-model")


def test_what_is_wrong_is_refused_at_the_door(connect: Connect, server: FakeServer) -> None:
    """Nothing is sent."""
    for arguments in ({"messages": []}, {"messages": "Hi", "tool_choice": "auto"}, {"messages": "Hi", "timeout": -1}):
        with pytest.raises(ConfigurationError):
            connect().count_tokens(**arguments)
    assert 0 == server.hits


def test_documents_are_counted_by_rule(connect: Connect, server: FakeServer) -> None:
    """Two thousand for a page."""
    client = connect("mistral/mistral-small-latest", base_url=server.url("mistral"))

    assert 2004 == client.count_tokens(user(Document(data=b"%PDF", media_type="application/pdf")))

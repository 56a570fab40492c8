"""The wires for counting tokens."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from llmkit.catalogue.facts import facts_of
from llmkit.dialects.anthropic_count import AnthropicCount
from llmkit.dialects.base import Place, WireError
from llmkit.dialects.bedrock import BedrockConverse
from llmkit.dialects.bedrock_count import BedrockCount
from llmkit.dialects.gemini import Gemini
from llmkit.dialects.gemini_count import GeminiCount
from llmkit.dialects.openai_responses_count import OpenAIResponsesCount
from llmkit.models.request import make_request
from llmkit.providers.embedders import COUNTERS
from llmkit.transport.base import HttpRequest, HttpResponse

PLACE = Place(base_url="https://example.com/v1")
CLOUD = GeminiCount(
    dialect=Gemini(owner="vertex", publisher="publishers/google/", project_option="project", location_option="location"), wrapped=False
)


def weather(city: str) -> str:
    """Return the weather in a city."""
    return city


def asked(wire: Any, model: str, place: Place = PLACE, **parameters: Any) -> HttpRequest:
    request: HttpRequest = wire.encode(make_request("Hi", model=model, facts=facts_of(model), **parameters), place)
    return request


def test_anthropic_is_asked_without_what_an_answer_needs() -> None:
    """It refuses the rest."""
    request = asked(
        AnthropicCount(), "claude-sonnet-4-5", system="Be kind.", temperature=0.5, stop="x", user="u", tools=[weather], tool_choice="auto"
    )

    assert "https://example.com/v1/v1/messages/count_tokens" == request.url
    assert {"model", "messages", "system", "tools", "tool_choice"} == set(json.loads(request.body))


def test_studio_is_asked_with_the_whole_request() -> None:
    """Tools and instructions count only inside of it."""
    request = asked(GeminiCount(), "gemini-2.5-flash", system="Be kind.", tools=[weather], max_tokens=5)

    body = json.loads(request.body)["generateContentRequest"]
    assert "https://example.com/v1/models/gemini-2.5-flash:countTokens" == request.url
    assert "models/gemini-2.5-flash" == body["model"]
    assert {"model", "contents", "systemInstruction", "tools", "generationConfig"} == set(body)


def test_vertex_is_asked_plainly() -> None:
    """Without what it has no field for."""
    place = Place(base_url="https://example.com/v1", options={"project": "p"})

    request = asked(CLOUD, "gemini-2.5-flash", place, tools=[weather], tool_choice="required", metadata={"a": "b"})

    assert "https://example.com/v1/projects/p/locations/global/publishers/google/models/gemini-2.5-flash:countTokens" == request.url
    assert {"contents", "tools"} == set(json.loads(request.body))


def test_openai_is_asked_what_a_response_would_read() -> None:
    """Without what it would write."""
    request = asked(OpenAIResponsesCount(), "gpt-4o-mini", system="Be kind.", max_tokens=5, tools=[weather], extra_headers={"X-A": "1"})

    assert "https://example.com/v1/responses/input_tokens" == request.url
    assert {"model", "input", "instructions", "tools"} == set(json.loads(request.body))
    assert ("application/json", "1") == (request.headers["Accept"], request.headers["X-A"])


def test_bedrock_is_asked_what_it_counts() -> None:
    """Of Converse without what an answer needs; of an invocation all of it, in base64."""
    converse, invoked = (COUNTERS["bedrock"]({"api": api}) for api in ("converse", "invoke"))

    said = asked(converse, "eu.anthropic.claude-sonnet-4-5-20250929-v1:0", system="Be kind.", max_tokens=5, tools=[weather])
    enclosed = asked(invoked, "anthropic.claude-sonnet-4-5-20250929-v1:0", max_tokens=5)

    assert "https://example.com/v1/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/count-tokens" == said.url
    assert {"messages", "system", "toolConfig"} == set(json.loads(said.body)["input"]["converse"])
    body = json.loads(base64.b64decode(json.loads(enclosed.body)["input"]["invokeModel"]["body"]))
    assert {"anthropic_version", "max_tokens", "messages"} == set(body)
    assert COUNTERS["bedrock"]({"api": "responses"}) is None


@pytest.mark.parametrize(
    ("wire", "field"),
    [
        (BedrockCount(dialect=BedrockConverse()), "inputTokens"),
        (AnthropicCount(), "input_tokens"),
        (GeminiCount(), "totalTokens"),
        (OpenAIResponsesCount(), "input_tokens"),
    ],
)
def test_the_number_is_read(wire: Any, field: str) -> None:
    """And missed where it is not there."""
    good = HttpResponse(status=200, body=json.dumps({field: 12}).encode())

    assert 12 == wire.decode(good)
    for body in (b"{}", b"[]", b"", b'{"error": {"message": "no"}}'):
        with pytest.raises(WireError):
            wire.decode(HttpResponse(status=200, body=body))

"""Strict mode where it was asked for by name."""

from __future__ import annotations

from typing import Any

import pytest

from llmkit.dialects.base import Dialect, Place
from llmkit.dialects.openai_chat import OpenAIChat
from llmkit.dialects.openai_responses import OpenAIResponses
from llmkit.dialects.openai_schemas import strictly
from llmkit.errors import UnsupportedParameterError
from llmkit.models.request import make_request
from llmkit.tools import Tool

FREE = {"type": "object", "properties": {"more": {"type": "object", "additionalProperties": {"type": "string"}}}}
DIALECTS = [OpenAIChat(owner="openai"), OpenAIResponses()]


def test_what_it_can_say_is_said_in_its_words() -> None:
    """Closed, and all of it required."""
    schema = {"type": "object", "properties": {"n": {"type": "null"}}}

    assert {**schema, "required": ["n"], "additionalProperties": False} == strictly(schema, "it", owner="openai", parameter="tools")


@pytest.mark.parametrize("schema", [FREE, {"type": "array", "items": {"type": "null"}}, {"type": "object", "properties": {"x": {}}}])
def test_what_it_cannot_say_is_refused(schema: dict[str, Any]) -> None:
    """Free keys would be forbidden, and the model would write others than were asked for."""
    with pytest.raises(UnsupportedParameterError, match=r"^openai cannot hold a model to it: .* Leave out strict") as caught:
        strictly(schema, "it", owner="openai", parameter="tools")

    assert "tools" == caught.value.parameter


@pytest.mark.parametrize("dialect", DIALECTS, ids=["chat", "responses"])
@pytest.mark.parametrize(
    "asked",
    [
        {"tools": [Tool(name="f", parameters=FREE, strict=True)]},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "f", "schema": FREE, "strict": True}}},
    ],
)
def test_nothing_is_sent_that_says_something_else(dialect: Dialect, asked: dict[str, Any]) -> None:
    """Of a tool's arguments and of an answer."""
    with pytest.raises(UnsupportedParameterError, match=r"cannot hold a model to .*\bf\b"):
        dialect.encode(make_request("Hi", model="m", **asked), Place(base_url="https://host.example/v1"))

"""A whole answer where a stream was asked for."""

from __future__ import annotations

import json

from llmkit.dialects.openai_chat import OpenAIChat
from llmkit.models.request import make_request
from llmkit.transport.base import HttpResponse


def test_arguments_that_came_as_an_object_are_in_the_chunk() -> None:
    """Who puts the pieces together gets what the answer has."""
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": {"city": "Paris"}}}
    body = json.dumps({"choices": [{"message": {"role": "assistant", "tool_calls": [call]}, "finish_reason": "tool_calls"}]}).encode()
    request = make_request("Say hi", model="m", stream=True)
    decoder = OpenAIChat().decoder(HttpResponse(status=200, headers={"content-type": "application/json"}), request)

    chunks = [*decoder.feed(body), *decoder.finish()]

    assert chunks[0].tool_call is not None
    assert {"city": "Paris"} == json.loads(chunks[0].tool_call.arguments)
    assert {"city": "Paris"} == decoder.response().tool_calls[0].arguments

"""
Counting tokens as OpenAI does: of a request for a response.

Source: OpenAI API reference, "Get input token counts", and recorded traffic, read 2026-11-21.
"""

from __future__ import annotations

import json

from llmkit.dialects.base import Place, WireError
from llmkit.dialects.openai_faults import refuse_errors
from llmkit.dialects.openai_responses import OpenAIResponses
from llmkit.dialects.wire_json import body_of, count, object_in
from llmkit.models.request import CompletionRequest
from llmkit.transport.base import HttpRequest, HttpResponse
from llmkit.values import frozen

__all__ = ["OpenAIResponsesCount"]

# The fields of a response's request that the question may have.
ASKED = frozenset(
    {
        "conversation",
        "input",
        "instructions",
        "model",
        "parallel_tool_calls",
        "previous_response_id",
        "reasoning",
        "text",
        "tool_choice",
        "tools",
        "truncation",
    }
)


@frozen(kw_only=True)
class OpenAIResponsesCount:
    """``/responses/input_tokens``: a request of *dialect* without what only its answer needs."""

    dialect: OpenAIResponses = OpenAIResponses()
    not_counted: str = ""

    def encode(self, request: CompletionRequest, place: Place) -> HttpRequest:
        asked = self.dialect.encode(request, place)
        body = {name: value for name, value in json.loads(asked.body).items() if name in ASKED}
        asked.headers["Accept"] = "application/json"
        return HttpRequest(method="POST", url=f"{asked.url}/input_tokens", headers=asked.headers, body=body_of(body))

    def decode(self, response: HttpResponse) -> int:
        answer = object_in(response)
        refuse_errors(answer, response)
        if "input_tokens" not in answer:
            raise WireError.malformed("The reply has no number of tokens.", response)
        return count(answer["input_tokens"])

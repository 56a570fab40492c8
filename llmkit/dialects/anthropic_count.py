"""
Counting tokens as Anthropic does.

Source: Anthropic API reference, "Count Message tokens", and recorded traffic, read 2026-11-21.
"""

from __future__ import annotations

import json

from llmkit.dialects.anthropic import AnthropicMessages
from llmkit.dialects.base import Place, WireError
from llmkit.dialects.wire_json import body_of, count, object_in
from llmkit.models.request import CompletionRequest
from llmkit.transport.base import HttpRequest, HttpResponse
from llmkit.values import frozen

__all__ = ["AnthropicCount"]

# What only an answer needs; the question is refused with it.
OF_THE_ANSWER = frozenset({"max_tokens", "metadata", "stop_sequences", "stream", "temperature", "top_k", "top_p"})


@frozen(kw_only=True)
class AnthropicCount:
    """``/v1/messages/count_tokens``: a request of *dialect* without what only its answer needs."""

    dialect: AnthropicMessages = AnthropicMessages()
    not_counted: str = ""

    def encode(self, request: CompletionRequest, place: Place) -> HttpRequest:
        asked = self.dialect.encode(request, place)
        body = {name: value for name, value in json.loads(asked.body).items() if name not in OF_THE_ANSWER}
        asked.headers["Accept"] = "application/json"
        return HttpRequest(method="POST", url=f"{asked.url}/count_tokens", headers=asked.headers, body=body_of(body))

    def decode(self, response: HttpResponse) -> int:
        answer = object_in(response)
        if "input_tokens" not in answer:
            raise WireError.malformed("The reply has no number of tokens.", response)
        return count(answer["input_tokens"])

"""
Counting tokens as Google does, on AI Studio and on Vertex AI.

Source: Google AI for Developers, "Counting tokens"; Google Cloud, "countTokens"; recorded traffic; read 2026-11-21.
"""

from __future__ import annotations

from typing import Any

from llmkit.dialects.base import Place, WireError, merged
from llmkit.dialects.gemini import Gemini
from llmkit.dialects.gemini_faults import refuse_error
from llmkit.dialects.wire_json import body_of, count, object_in
from llmkit.models.request import CompletionRequest
from llmkit.secrets import Headers
from llmkit.transport.base import HttpRequest, HttpResponse
from llmkit.values import frozen

__all__ = ["GeminiCount"]


@frozen(kw_only=True)
class GeminiCount:
    """
    ``countTokens``.

    Args:
        dialect: The wire whose requests are counted.
        wrapped: Whether the request stands in a field of its own, with its model: AI Studio counts tools and instructions only there.
    """

    dialect: Gemini = Gemini()
    wrapped: bool = True
    not_counted: str = ""

    def encode(self, request: CompletionRequest, place: Place) -> HttpRequest:
        path = self.dialect.path_of(request.model, place)
        body: dict[str, Any] = merged(self.dialect.body(request), request.extra_body)
        if self.wrapped:
            body = {"generateContentRequest": {"model": path[1:], **body}}
        else:
            body.pop("labels", None)
            body.pop("toolConfig", None)
        return HttpRequest(
            method="POST",
            url=f"{place.base_url}{path}:countTokens",
            headers=Headers({"Content-Type": "application/json", "Accept": "application/json", **(request.extra_headers or {})}),
            body=body_of(body),
        )

    def decode(self, response: HttpResponse) -> int:
        answer = object_in(response)
        refuse_error(answer, response)
        if "totalTokens" not in answer:
            raise WireError.malformed("The reply has no number of tokens.", response)
        return count(answer["totalTokens"])

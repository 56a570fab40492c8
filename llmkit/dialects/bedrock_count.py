"""
Counting tokens as Amazon Bedrock does.

Source: AWS, "Amazon Bedrock API reference", CountTokens, by botocore 1.44.5, and recorded traffic, read 2026-11-21.
"""

from __future__ import annotations

import base64
import re
from typing import Any

from llmkit.dialects.anthropic import AnthropicMessages
from llmkit.dialects.base import Place, WireError, merged
from llmkit.dialects.bedrock import BedrockConverse
from llmkit.dialects.wire_json import body_of, count, object_in
from llmkit.models.request import CompletionRequest
from llmkit.secrets import Headers
from llmkit.transport.base import HttpRequest, HttpResponse
from llmkit.values import frozen

__all__ = ["BedrockCount"]

# What counts of a question to Converse; the service refuses the rest.
COUNTED = ("messages", "system", "toolConfig", "additionalModelRequestFields")

# Models are counted by their own ids, and not by the profiles of regions that may serve them.
_PROFILE = re.compile(r"^(?:us-gov|us|eu|apac|jp|au|ca|global)\.(?=[a-z0-9]+\.)")


@frozen(kw_only=True)
class BedrockCount:
    """``/model/{id}/count-tokens``: a request of *dialect*, without what only its answer needs where the wire is Converse."""

    dialect: BedrockConverse | AnthropicMessages
    not_counted: str = "support counting tokens"

    def encode(self, request: CompletionRequest, place: Place) -> HttpRequest:
        from urllib.parse import quote

        return HttpRequest(
            method="POST",
            url=f"{place.base_url}/model/{quote(_PROFILE.sub('', request.model), safe='')}/count-tokens",
            headers=Headers({"Content-Type": "application/json", "Accept": "application/json", **(request.extra_headers or {})}),
            body=body_of({"input": self._input(request, place)}),
        )

    def _input(self, request: CompletionRequest, place: Place) -> dict[str, Any]:
        if isinstance(self.dialect, AnthropicMessages):
            invoked = self.dialect.encode(request, place).body or b""
            return {"invokeModel": {"body": base64.b64encode(invoked).decode("ascii")}}
        body = merged(self.dialect.body(request, place.options.get("beta")), request.extra_body)
        return {"converse": {name: body[name] for name in COUNTED if name in body}}

    def decode(self, response: HttpResponse) -> int:
        answer = object_in(response)
        if "inputTokens" not in answer:
            raise WireError.malformed("The reply has no number of tokens.", response)
        return count(answer["inputTokens"])

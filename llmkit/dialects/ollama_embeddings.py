"""
Ollama's embeddings.

Source: Ollama, docs/api.md and server/routes.go at fb3076099 (August 2026), read 2026-11-21.
"""

from __future__ import annotations

from typing import Any

from llmkit.dialects.base import Place, merged
from llmkit.dialects.embedding import Limits, embedded
from llmkit.dialects.ollama_answers import refuse_error
from llmkit.dialects.wire_json import body_of, count, object_in, word
from llmkit.models.embedding import EMBEDDING_PARAMETERS, EmbeddingRequest, EmbeddingResponse
from llmkit.models.usage import UNREPORTED, Usage
from llmkit.secrets import Headers
from llmkit.transport.base import HttpRequest, HttpResponse
from llmkit.values import frozen

__all__ = ["OllamaEmbed"]

# It takes any number, and works through them before it answers: smaller pieces answer, fail and are tried again sooner.
MOST_INPUTS = 64


@frozen(kw_only=True)
class OllamaEmbed:
    """
    ``/api/embed``.

    An input that is longer than the model's window is refused rather than cut, which is what the server does unless told otherwise;
    ``extra_body={"truncate": True}`` lets it.
    """

    parameters: frozenset[str] = EMBEDDING_PARAMETERS - {"user", "input_type"}
    takes_empty: bool = True

    def limits(self, model: str) -> Limits:
        return Limits(MOST_INPUTS)

    def encode(self, request: EmbeddingRequest, place: Place) -> HttpRequest:
        body: dict[str, Any] = {"model": request.model, "input": list(request.inputs), "truncate": False}
        if request.dimensions is not None:
            body["dimensions"] = request.dimensions
        return HttpRequest(
            method="POST",
            url=f"{place.base_url}/api/embed",
            headers=Headers({"Content-Type": "application/json", "Accept": "application/json", **(request.extra_headers or {})}),
            body=body_of(merged(body, request.extra_body)),
        )

    def decode(self, response: HttpResponse, request: EmbeddingRequest) -> EmbeddingResponse:
        answer = object_in(response)
        refuse_error(answer, response)
        rows = answer.get("embeddings")
        counted = "prompt_eval_count" in answer
        usage = Usage(input_tokens=count(answer["prompt_eval_count"])) if counted else UNREPORTED
        return embedded(rows if isinstance(rows, list) else [], request, response, usage=usage, model=word(answer.get("model")))

"""
Cohere's embeddings, version 2.

Source: Cohere API reference, "Embed API (v2)", its OpenAPI document at e814c8a1 and recorded traffic, read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmkit.dialects.base import Place, merged
from llmkit.dialects.cohere_answers import refuse_error
from llmkit.dialects.embedding import Limits, embedded, purpose
from llmkit.dialects.wire_json import at, body_of, count, object_in
from llmkit.models.embedding import EMBEDDING_PARAMETERS, EmbeddingRequest, EmbeddingResponse
from llmkit.models.usage import UNREPORTED, Usage
from llmkit.secrets import Headers
from llmkit.transport.base import HttpRequest, HttpResponse
from llmkit.values import frozen

__all__ = ["INPUT_TYPES", "CohereEmbed", "float_vectors"]

# Our word for what the inputs are for, and Cohere's, which wants one. Who says none is most likely filling an index.
INPUT_TYPES: Mapping[str, str] = {
    "document": "search_document",
    "query": "search_query",
    "classification": "classification",
    "clustering": "clustering",
}
MOST_TEXTS = 96


@frozen(kw_only=True)
class CohereEmbed:
    """``/v2/embed``. Inputs are taken for documents unless ``input_type`` says what they are."""

    owner: str = "cohere"
    parameters: frozenset[str] = EMBEDDING_PARAMETERS - {"user"}
    takes_empty: bool = True

    def limits(self, model: str) -> Limits:
        return Limits(MOST_TEXTS)

    def encode(self, request: EmbeddingRequest, place: Place) -> HttpRequest:
        body: dict[str, Any] = {
            "model": request.model,
            "texts": list(request.inputs),
            "input_type": purpose(request.input_type or "document", INPUT_TYPES, self.owner),
            "embedding_types": ["float"],
        }
        if request.dimensions is not None:
            body["output_dimension"] = request.dimensions
        return HttpRequest(
            method="POST",
            url=f"{place.base_url}/v2/embed",
            headers=Headers({"Content-Type": "application/json", "Accept": "application/json", **(request.extra_headers or {})}),
            body=body_of(merged(body, request.extra_body)),
        )

    def decode(self, response: HttpResponse, request: EmbeddingRequest) -> EmbeddingResponse:
        answer = object_in(response)
        refuse_error(answer, response)
        billed = at(at(answer, "meta"), "billed_units")
        usage = Usage(input_tokens=count(billed.get("input_tokens"))) if isinstance(billed, dict) else UNREPORTED
        return embedded(float_vectors(answer), request, response, usage=usage)


def float_vectors(answer: Mapping[str, Any]) -> list[Any]:
    """Return the vectors of an answer, which stand under their type, or in older models' answers alone."""
    found = answer.get("embeddings")
    if isinstance(found, dict):
        found = found.get("float")
    return found if isinstance(found, list) else []

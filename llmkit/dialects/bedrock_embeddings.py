"""
Embeddings at Amazon Bedrock: ``InvokeModel``, with a body of its own for each maker's models.

A model's id tells its maker, whatever a region or a profile puts before it.

Source: AWS, "Amazon Bedrock user guide", "Amazon Titan Text Embeddings", "Cohere Embed" and "Amazon Nova Multimodal Embeddings"; recorded
traffic; read 2026-11-21.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from llmkit.dialects.base import Place, merged
from llmkit.dialects.embedding import Limits, embedded, purpose
from llmkit.dialects.wire_json import at, body_of, count, object_in, objects
from llmkit.errors import ConfigurationError
from llmkit.models.embedding import EMBEDDING_PARAMETERS, EmbeddingRequest, EmbeddingResponse
from llmkit.models.usage import UNREPORTED, Usage
from llmkit.secrets import Headers
from llmkit.transport.base import HttpRequest, HttpResponse
from llmkit.values import frozen

__all__ = ["BedrockEmbeddings"]

MOST_TEXTS = 96  # of Cohere's; the others take one
DEFAULT_DIMENSIONS = 3072  # of Nova's, which wants to be told
TOKENS_HEADER = "x-amzn-bedrock-input-token-count"

COHERE_TYPES: Mapping[str, str] = {
    "document": "search_document",
    "query": "search_query",
    "classification": "classification",
    "clustering": "clustering",
}
NOVA_PURPOSES: Mapping[str, str] = {
    "document": "GENERIC_INDEX",
    "query": "GENERIC_RETRIEVAL",
    "text": "TEXT_RETRIEVAL",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
}


def _titan(request: EmbeddingRequest) -> dict[str, Any]:
    if request.input_type is not None:
        msg = f"{request.model} takes no input_type."
        raise ConfigurationError(msg)
    body: dict[str, Any] = {"inputText": request.inputs[0]}
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    return body


def _cohere(request: EmbeddingRequest) -> dict[str, Any]:
    body: dict[str, Any] = {
        "texts": list(request.inputs),
        "input_type": purpose(request.input_type or "document", COHERE_TYPES, request.model),
        "truncate": "NONE",
    }
    if request.dimensions is not None:
        body["output_dimension"] = request.dimensions
    return body


def _nova(request: EmbeddingRequest) -> dict[str, Any]:
    params = {
        "embeddingPurpose": purpose(request.input_type or "document", NOVA_PURPOSES, request.model),
        "embeddingDimension": request.dimensions or DEFAULT_DIMENSIONS,
        "text": {"truncationMode": "NONE", "value": request.inputs[0]},
    }
    return {"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": params}


def _vectors(answer: Mapping[str, Any]) -> list[Any]:
    """Return the vectors of an answer: one alone, a list of them, lists under their types, or objects that each hold one."""
    if "embedding" in answer:
        return [answer["embedding"]]
    found = answer.get("embeddings")
    if isinstance(found, dict):
        found = found.get("float")
    if objects(found):
        return [row.get("embedding") for row in objects(found)]
    return found if isinstance(found, list) else []


# How an id shows its maker; how many texts a request holds, and what its body is.
_MAKERS: tuple[tuple[re.Pattern[str], int, Callable[[EmbeddingRequest], dict[str, Any]]], ...] = (
    (re.compile(r"amazon\.titan-embed"), 1, _titan),
    (re.compile(r"cohere\.embed"), MOST_TEXTS, _cohere),
    (re.compile(r"amazon\.nova-.*embed"), 1, _nova),
)


@frozen(kw_only=True)
class BedrockEmbeddings:
    """``InvokeModel`` with the embedding models of Amazon and Cohere. What is too long is refused rather than cut."""

    owner: str = "bedrock"
    parameters: frozenset[str] = EMBEDDING_PARAMETERS - {"user"}
    takes_empty: bool = False

    def limits(self, model: str) -> Limits:
        return Limits(self._maker(model)[0])

    def encode(self, request: EmbeddingRequest, place: Place) -> HttpRequest:
        from urllib.parse import quote

        body = self._maker(request.model)[1](request)
        return HttpRequest(
            method="POST",
            url=f"{place.base_url}/model/{quote(request.model, safe='')}/invoke",
            headers=Headers({"Content-Type": "application/json", "Accept": "application/json", **(request.extra_headers or {})}),
            body=body_of(merged(body, request.extra_body)),
        )

    def _maker(self, model: str) -> tuple[int, Callable[[EmbeddingRequest], dict[str, Any]]]:
        for pattern, most, body in _MAKERS:
            if pattern.search(model):
                return most, body
        msg = f"{self.owner} embeds with amazon.titan-embed-…, amazon.nova-…-embeddings and cohere.embed-… models, not with {model!r}."
        raise ConfigurationError(msg)

    def decode(self, response: HttpResponse, request: EmbeddingRequest) -> EmbeddingResponse:
        answer = object_in(response)
        return embedded(_vectors(answer), request, response, usage=_usage(answer, response))


def _usage(answer: Mapping[str, Any], response: HttpResponse) -> Usage:
    told = at(answer, "inputTextTokenCount")
    if told is not None:
        return Usage(input_tokens=count(told))
    header = response.headers.get(TOKENS_HEADER, "")
    return Usage(input_tokens=int(header)) if header.isascii() and header.isdigit() else UNREPORTED

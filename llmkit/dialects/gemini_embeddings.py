"""
Google's embeddings, as AI Studio and Vertex AI have them.

Source: Google AI for Developers, "Embeddings"; Google Cloud, "Get text embeddings"; google-genai 3.4.0; recorded traffic of both; read
2026-11-21.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from llmkit.dialects.base import Place, merged
from llmkit.dialects.embedding import Limits, embedded, purpose
from llmkit.dialects.gemini_address import model_path
from llmkit.dialects.gemini_faults import refuse_error
from llmkit.dialects.wire_json import at, body_of, count, object_in, objects
from llmkit.errors import ConfigurationError
from llmkit.models.embedding import EMBEDDING_PARAMETERS, EmbeddingRequest, EmbeddingResponse
from llmkit.models.usage import UNREPORTED, Usage
from llmkit.secrets import Headers
from llmkit.transport.base import HttpRequest, HttpResponse
from llmkit.values import frozen

__all__ = ["TASKS", "GeminiEmbeddings", "VertexEmbeddings"]

# Our word for what the inputs are for, and Google's.
TASKS: Mapping[str, str] = {
    "query": "RETRIEVAL_QUERY",
    "document": "RETRIEVAL_DOCUMENT",
    "similarity": "SEMANTIC_SIMILARITY",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
    "question": "QUESTION_ANSWERING",
    "fact": "FACT_VERIFICATION",
    "code": "CODE_RETRIEVAL_QUERY",
}
SAYABLE = EMBEDDING_PARAMETERS - {"user"}
MOST_AT_ONCE = 100
MOST_INSTANCES = 250
MOST_TOKENS = 20_000  # of all instances

_NEWER = re.compile(r"gemini-embedding-(?!001|exp)")  # than the first, which has no door of its own on Vertex AI
_GEMINI = "gemini-"


@frozen(kw_only=True)
class GeminiEmbeddings:
    """``batchEmbedContents`` of AI Studio. It tells no usage."""

    owner: str = "google"
    parameters: frozenset[str] = SAYABLE
    takes_empty: bool = False

    def limits(self, model: str) -> Limits:
        return Limits(MOST_AT_ONCE)

    def encode(self, request: EmbeddingRequest, place: Place) -> HttpRequest:
        path = model_path(request.model)
        shared: dict[str, Any] = {"model": path[1:]}
        if request.input_type is not None:
            shared["taskType"] = purpose(request.input_type, TASKS, self.owner)
        if request.dimensions is not None:
            shared["outputDimensionality"] = request.dimensions
        # What the caller lays over it is for each: the whole has nothing beside them.
        extra = request.extra_body
        requests = [merged({**shared, "content": {"parts": [{"text": text}]}}, extra) for text in request.inputs]
        return _posted(f"{place.base_url}{path}:batchEmbedContents", {"requests": requests}, request)

    def decode(self, response: HttpResponse, request: EmbeddingRequest) -> EmbeddingResponse:
        answer = object_in(response)
        refuse_error(answer, response)
        rows = [row.get("values") for row in objects(answer.get("embeddings"))]
        return embedded(rows, request, response, usage=_usage(answer))


@frozen(kw_only=True)
class VertexEmbeddings:
    """
    The embeddings of Vertex AI: ``predict``, and ``embedContent`` for the models since ``gemini-embedding-2``.

    Args:
        owner: The provider's name, for errors.
        publisher: What stands before ``models/`` in its paths.
        project_option: The option that names a project, behind whose path models then are.
        location_option: The option that says where that project's models run.
    """

    owner: str = "vertex"
    publisher: str = "publishers/google/"
    project_option: str = "project"
    location_option: str = "location"
    parameters: frozenset[str] = SAYABLE
    takes_empty: bool = False

    def limits(self, model: str) -> Limits:
        return Limits(1 if _GEMINI in model else MOST_INSTANCES, MOST_TOKENS)

    def encode(self, request: EmbeddingRequest, place: Place) -> HttpRequest:
        options = place.options
        project, location = options.get(self.project_option), options.get(self.location_option)
        path = model_path(request.model, publisher=self.publisher, project=project, location=location)
        if _NEWER.search(request.model):
            return _posted(f"{place.base_url}{path}:embedContent", merged(self._content(request), request.extra_body), request)
        return _posted(f"{place.base_url}{path}:predict", merged(self._instances(request), request.extra_body), request)

    def _instances(self, request: EmbeddingRequest) -> dict[str, Any]:
        shared = {} if request.input_type is None else {"task_type": purpose(request.input_type, TASKS, self.owner)}
        body: dict[str, Any] = {"instances": [{"content": text, **shared} for text in request.inputs]}
        # What is too long is refused rather than cut, which is what the service does unless told otherwise.
        body["parameters"] = {"autoTruncate": False}
        if request.dimensions is not None:
            body["parameters"]["outputDimensionality"] = request.dimensions
        return body

    def _content(self, request: EmbeddingRequest) -> dict[str, Any]:
        if request.input_type is not None:
            msg = f"{request.model} takes no input_type: say what the text is for in the text itself."
            raise ConfigurationError(msg)
        body: dict[str, Any] = {"content": {"parts": [{"text": request.inputs[0]}]}}
        if request.dimensions is not None:
            body["embedContentConfig"] = {"outputDimensionality": request.dimensions}
        return body

    def decode(self, response: HttpResponse, request: EmbeddingRequest) -> EmbeddingResponse:
        answer = object_in(response)
        refuse_error(answer, response)
        if "predictions" not in answer:
            return embedded([at(answer.get("embedding"), "values")], request, response, usage=_usage(answer))
        predicted = [row.get("embeddings") for row in objects(answer["predictions"])]
        counts = [at(at(row, "statistics"), "token_count") for row in predicted]
        usage = UNREPORTED if None in counts else Usage(input_tokens=sum(map(count, counts)))
        return embedded([at(row, "values") for row in predicted], request, response, usage=usage)


def _usage(answer: Mapping[str, Any]) -> Usage:
    told = at(answer.get("usageMetadata"), "promptTokenCount")
    return UNREPORTED if told is None else Usage(input_tokens=count(told))


def _posted(url: str, body: dict[str, Any], request: EmbeddingRequest) -> HttpRequest:
    headers = Headers({"Content-Type": "application/json", "Accept": "application/json", **(request.extra_headers or {})})
    return HttpRequest(method="POST", url=url, headers=headers, body=body_of(body))

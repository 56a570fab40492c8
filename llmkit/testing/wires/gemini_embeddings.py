"""
Google's embeddings, as AI Studio and Vertex AI have them.

Source: Google AI for Developers, "Embeddings"; Google Cloud, "Get text embeddings"; google-genai 3.4.0 and recorded traffic; "at most 100
requests can be in one batch", the error as users report it; read 2026-11-21.
"""

from __future__ import annotations

from typing import Any

from llmkit.testing.replies import RecordedRequest, Reply
from llmkit.testing.wires.base import Rendered, Route, Wire
from llmkit.testing.wires.gemini import WIRE as GEMINI
from llmkit.testing.wires.gemini import operation, text_of, whole, written_out
from llmkit.testing.wires.gemini_checks import check_door, check_model, decoded, model_of
from llmkit.testing.wires.gemini_turns import refuse
from llmkit.testing.wires.openai_chat import vector
from llmkit.testing.wires.openai_checks import mapping, rows

__all__ = ["WIRE"]

TASKS = frozenset(
    {
        "RETRIEVAL_QUERY",
        "RETRIEVAL_DOCUMENT",
        "SEMANTIC_SIMILARITY",
        "CLASSIFICATION",
        "CLUSTERING",
        "QUESTION_ANSWERING",
        "FACT_VERIFICATION",
        "CODE_RETRIEVAL_QUERY",
    }
)
_DIMENSIONS = 8
_MOST_AT_ONCE = 100
_MOST_INSTANCES = 250
_MOST_TOKENS = 20_000
_ONE = frozenset({"model", "content", "taskType", "title", "outputDimensionality", "embedContentConfig"})


def _body(request: RecordedRequest) -> dict[str, Any]:
    """Return the decoded body; whatever is none counts as empty, since a script may answer it all the same."""
    body = decoded(request)
    return {} if isinstance(body, Reply) else body


def _tokens(text: str) -> int:
    return text.count(" ") + 1


# AI Studio, and Vertex AI for its newer models.


def check_contents(request: RecordedRequest) -> Reply | None:
    """Return the refusal of contents that are to be embedded, or None."""
    refusal = check_door(request) or check_model(request)
    if refusal is not None:
        return refusal
    body = decoded(request)
    if isinstance(body, Reply):
        return body
    batch = "requests" in body
    asked = rows(body["requests"]) if batch else [body]
    if not asked or len(asked) > _MOST_AT_ONCE:
        return refuse(f"* BatchEmbedContentsRequest.requests: at most {_MOST_AT_ONCE} requests can be in one batch\n")
    model = request.endpoint.partition("/models/")[2].partition(":")[0]
    return next((refusal for one in asked if (refusal := _check_one(one, model if batch else None)) is not None), None)


def _check_one(one: dict[str, Any], model: str | None) -> Reply | None:
    unknown = next(iter(one.keys() - _ONE), None)
    if unknown is not None:
        return refuse(f'Invalid JSON payload received. Unknown name "{unknown}": Cannot find field.')
    if model is not None and one.get("model") != f"models/{model}":
        return refuse("* BatchEmbedContentsRequest.requests[0].model: must match the model in the parent request\n")
    if not text_of(mapping(one.get("content"))):
        return refuse("* EmbedContentRequest.content contains an empty Part.\n")
    task = one.get("taskType")
    return None if task is None or task in TASKS else refuse(f"Invalid value at 'task_type' (TaskType), \"{task}\"")


def render_contents(request: RecordedRequest, reply: Reply) -> Rendered:
    """Return a vector of length one for each content, the same for the same content."""
    written = written_out(request, reply)
    if written is not None:
        return written
    body = _body(request)
    vectors = [{"values": _vector(one)} for one in rows(body.get("requests")) or [body]]
    return whole(request, reply, {"embeddings": vectors} if "requests" in body else {"embedding": vectors[0]})


def _vector(one: dict[str, Any]) -> list[float]:
    asked = one.get("outputDimensionality") or mapping(one.get("embedContentConfig")).get("outputDimensionality")
    return vector(text_of(mapping(one.get("content"))), asked or _DIMENSIONS)


# Vertex AI.


def check_instances(request: RecordedRequest) -> Reply | None:
    """Return the refusal of instances that are to be embedded, or None."""
    refusal = check_door(request) or check_model(request)
    if refusal is not None:
        return refusal
    body = decoded(request)
    if isinstance(body, Reply):
        return body
    instances = rows(body.get("instances"))
    most = 1 if "gemini" in model_of(request) else _MOST_INSTANCES
    if not 1 <= len(instances) <= most:
        return refuse(f"{most} instance(s) is allowed per prediction. Actual: {len(instances)}")
    if not all(isinstance(one.get("content"), str) and one["content"] for one in instances):
        return refuse("The text content is empty.")
    if sum(_tokens(one["content"]) for one in instances) > _MOST_TOKENS:
        return refuse(f"Unable to submit request because the input token count is more than {_MOST_TOKENS}.")
    tasks = {one["taskType"] for one in instances if "taskType" in one}
    return refuse(f"Unsupported task type: {min(tasks - TASKS)}") if tasks - TASKS else None


def render_predictions(request: RecordedRequest, reply: Reply) -> Rendered:
    """Return a prediction for each instance."""
    written = written_out(request, reply)
    if written is not None:
        return written
    body = _body(request)
    dimensions = mapping(body.get("parameters")).get("outputDimensionality") or _DIMENSIONS
    texts = [str(one.get("content", "")) for one in rows(body.get("instances"))]
    predictions = [
        {"embeddings": {"values": vector(text, dimensions), "statistics": {"token_count": _tokens(text), "truncated": False}}}
        for text in texts
    ]
    return whole(request, reply, {"predictions": predictions, "metadata": {"billableCharacterCount": sum(map(len, texts))}})


WIRE = Wire(
    routes=(
        Route(method="POST", path=operation("(?:batchEmbedContents|embedContent)"), check=check_contents, render=render_contents),
        Route(method="POST", path=operation("predict"), check=check_instances, render=render_predictions),
    ),
    render_error=GEMINI.render_error,
    unauthorized=GEMINI.unauthorized,
    providers=GEMINI.providers,
)

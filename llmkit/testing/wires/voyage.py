"""
Voyage AI: embeddings, much as OpenAI has them, in words and errors of its own.

Source: Voyage AI, "Text embedding models" and "Error codes", read 2026-11-21.
"""

from __future__ import annotations

import re
from typing import Any

from llmkit.testing.replies import Failure, RecordedRequest, Reply
from llmkit.testing.wires.base import Rendered, Route, Wire
from llmkit.testing.wires.openai_chat import body_of, packed, vector, whole, written_out

__all__ = ["WIRE"]

_DIMENSIONS = 8
_MOST_INPUTS = 1000
_MOST_TOKENS = 120_000  # of most models
_FIELDS = frozenset({"input", "model", "input_type", "truncation", "output_dimension", "output_dtype", "encoding_format"})
_INPUT_TYPES = (None, "query", "document")
_ENCODINGS = (None, "base64")

_ERRORS: dict[int, str] = {
    400: "The request body is not valid JSON, or some arguments were not specified properly.",
    401: "Provided API key is invalid.",
    403: "The IP address you are sending the request from is not allowed.",
    429: "You have exceeded your rate limit.",
    500: "Our servers are experiencing an unexpected error.",
    502: "Bad gateway.",
    503: "Our servers are experiencing high traffic.",
    504: "Gateway timeout.",
}


def _refuse(message: str) -> Reply:
    return Reply(status=400, failure=Failure(message=message))


def render_error(request: RecordedRequest, reply: Reply) -> Rendered:
    """Return an error in Voyage's form: a sentence."""
    written = written_out(request, reply)
    if written is not None:
        return written
    message = (reply.failure or Failure()).message
    if message is None:
        message = _ERRORS.get(reply.status, _ERRORS[500 if reply.status >= 500 else 400])
    return whole(request, reply, {"detail": message})


def unauthorized(_request: RecordedRequest) -> Reply:
    """Return the refusal of a missing or unknown key."""
    return Reply(status=401, failure=Failure(message=_ERRORS[401]))


def _inputs(body: dict[str, Any]) -> list[Any]:
    given = body.get("input")
    return given if isinstance(given, list) else [given]


def _tokens(text: str) -> int:
    return text.count(" ") + 1


def check(request: RecordedRequest) -> Reply | None:
    """Return the refusal of a request, or None."""
    body = body_of(request)
    if not isinstance(body.get("model"), str) or "no-such-model" in body["model"]:
        return _refuse(f"Model {body.get('model')} is not supported.")
    unknown = next(iter(body.keys() - _FIELDS), None)
    if unknown is not None:
        return _refuse(f"Argument '{unknown}' is not supported by our API")
    inputs = _inputs(body)
    if not inputs or not all(isinstance(text, str) and text for text in inputs):
        return _refuse("Input cannot contain empty strings or empty lists")
    if len(inputs) > _MOST_INPUTS:
        return _refuse(f"The batch size limit is {_MOST_INPUTS}. Your batch size is {len(inputs)}.")
    if sum(map(_tokens, inputs)) > _MOST_TOKENS:
        return _refuse(f"The max allowed tokens per submitted batch is {_MOST_TOKENS}.")
    if body.get("input_type") not in _INPUT_TYPES:
        return _refuse(f"Value '{body['input_type']}' provided for input_type is not valid; accepted values are 'query' or 'document'.")
    if body.get("encoding_format") not in _ENCODINGS:
        return _refuse(f"Value '{body['encoding_format']}' provided for encoding_format is not valid; accepted value is 'base64'.")
    return None


def render(request: RecordedRequest, reply: Reply) -> Rendered:
    """Return a vector of length one for each input, the same for the same input."""
    written = written_out(request, reply)
    if written is not None:
        return written
    body = body_of(request)
    inputs = _inputs(body)
    vectors = [vector(text, body.get("output_dimension") or _DIMENSIONS) for text in inputs]
    encoded = body.get("encoding_format") == "base64"
    rows = [
        {"object": "embedding", "embedding": packed(numbers) if encoded else numbers, "index": index}
        for index, numbers in enumerate(vectors)
    ]
    usage = {"total_tokens": sum(_tokens(str(text)) for text in inputs), **(reply.usage or {})}
    return whole(request, reply, {"object": "list", "data": rows, "model": reply.model or body.get("model"), "usage": usage})


WIRE = Wire(
    routes=(Route(method="POST", path=re.compile(r"/v1/embeddings"), check=check, render=render),),
    render_error=render_error,
    unauthorized=unauthorized,
    providers=frozenset({"voyage"}),
)

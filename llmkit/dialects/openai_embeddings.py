"""
The embeddings of OpenAI and of those who speak like it; what differs between them is a field of ``OpenAIEmbeddings``.

Source: OpenAI API reference, "Create embeddings"; Voyage AI, "Text embedding models"; Mistral AI, "Embeddings"; NVIDIA, "NeMo Retriever
embedding NIM"; read 2026-11-21.
"""

from __future__ import annotations

import base64
import binascii
import sys
from array import array
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import field

from llmkit.dialects.base import Place, WireError, merged
from llmkit.dialects.embedding import Limits, embedded, purpose
from llmkit.dialects.openai_faults import refuse_errors
from llmkit.dialects.wire_json import at, body_of, count, object_in, objects, word
from llmkit.models.embedding import EMBEDDING_PARAMETERS, EmbeddingRequest, EmbeddingResponse
from llmkit.models.usage import UNREPORTED, Usage
from llmkit.secrets import Headers
from llmkit.transport.base import HttpRequest, HttpResponse
from llmkit.values import frozen

__all__ = ["OpenAIEmbeddings"]


def _names(values: Iterable[str]) -> frozenset[str]:
    return frozenset(values)


@frozen(kw_only=True)
class OpenAIEmbeddings:
    """
    ``/embeddings``, and how one server differs in it.

    Args:
        owner: The provider's name, for errors.
        path: Where to post, behind the base URL; ``{model}`` is filled in, percent-encoded.
        query: What the URL carries behind it; ``{name}`` is an option of that name.
        most_inputs: The most inputs of one request.
        most_tokens: The most tokens of one request, where a bound is known.
        base64: Whether vectors come as base64 of 32-bit floats when asked to: a quarter of the bytes, and exactly the numbers.
        dimensions_field: What it calls the number of dimensions.
        input_types: Our words for what the inputs are for, and its own; empty where it has none.
        needs_input_type: What it is told where nobody says, since it wants a word.
        withholds: Parameters that this server refuses or ignores.
        takes_empty: Whether an input may be empty.
    """

    owner: str = "openai"
    path: str = "/embeddings"
    query: str = ""
    most_inputs: int = 256
    most_tokens: int | None = None
    base64: bool = False
    dimensions_field: str = "dimensions"
    input_types: Mapping[str, str] = field(factory=dict)
    needs_input_type: str = ""
    withholds: frozenset[str] = field(default=frozenset(), converter=_names)
    takes_empty: bool = True
    parameters: frozenset[str] = field(init=False, repr=False)

    @parameters.default
    def _known_parameters(self) -> frozenset[str]:
        known = EMBEDDING_PARAMETERS - self.withholds
        return known if self.input_types else known - {"input_type"}

    def limits(self, model: str) -> Limits:
        return Limits(self.most_inputs, self.most_tokens)

    def encode(self, request: EmbeddingRequest, place: Place) -> HttpRequest:
        body: dict[str, Any] = {"model": request.model, "input": list(request.inputs)}
        if self.base64:
            body["encoding_format"] = "base64"
        if request.dimensions is not None:
            body[self.dimensions_field] = request.dimensions
        input_type = request.input_type or self.needs_input_type
        if input_type:
            body["input_type"] = purpose(input_type, self.input_types, self.owner)
        if request.user is not None:
            body["user"] = request.user
        return HttpRequest(
            method="POST",
            url=self._url(request.model, place),
            headers=Headers({"Content-Type": "application/json", "Accept": "application/json", **(request.extra_headers or {})}),
            body=body_of(merged(body, request.extra_body)),
        )

    def _url(self, model: str, place: Place) -> str:
        path = self.path.format(model=_quoted(model)) if "{" in self.path else self.path
        query = self.query.format_map({name: _quoted(value) for name, value in place.options.items()}) if self.query else ""
        return f"{place.base_url}{path}?{query}" if query else f"{place.base_url}{path}"

    def decode(self, response: HttpResponse, request: EmbeddingRequest) -> EmbeddingResponse:
        answer = object_in(response)
        refuse_errors(answer, response)
        rows = objects(answer.get("data"))
        indices = [row.get("index") for row in rows]
        if sorted(index for index in indices if index.__class__ is int) == list(range(len(rows))):
            rows = sorted(rows, key=_index)
        vectors = [_vector(row.get("embedding"), response) for row in rows]
        return embedded(vectors, request, response, usage=_usage(answer.get("usage")), model=word(answer.get("model")))


def _index(row: Mapping[str, Any]) -> int:
    index: int = row["index"]
    return index


def _vector(value: Any, response: HttpResponse) -> Any:
    if not isinstance(value, str):
        return value
    vector = array("f")
    try:
        vector.frombytes(base64.b64decode(value, validate=True))
    except (binascii.Error, ValueError):
        raise WireError.malformed("The reply has a vector that is not base64 of 32-bit floats.", response) from None
    if sys.byteorder == "big":
        vector.byteswap()  # the wire has the lowest byte first
    return vector


def _usage(value: Any) -> Usage:
    if not isinstance(value, dict):
        return UNREPORTED
    return Usage(input_tokens=count(at(value, "prompt_tokens")) or count(at(value, "total_tokens")))


def _quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")

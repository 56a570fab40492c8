"""The embeddings of OpenAI, and of those who speak like it."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest

from llmkit.dialects.base import Place, WireError
from llmkit.dialects.openai_embeddings import OpenAIEmbeddings
from llmkit.errors import ConfigurationError
from llmkit.models.embedding import EmbeddingRequest, make_embedding_request
from llmkit.transport.base import HttpResponse

PLACE = Place(base_url="https://api.openai.com/v1", options={"api_version": "2024-10-21"})
WIRE = OpenAIEmbeddings(base64=True)
VOYAGE = OpenAIEmbeddings(
    owner="voyage", dimensions_field="output_dimension", input_types={"query": "query", "document": "document"}, withholds={"user"}
)
TWO = make_embedding_request(["a", "b"], model="m")


def body(request: EmbeddingRequest, wire: OpenAIEmbeddings = WIRE) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(wire.encode(request, PLACE).body)
    return read


def reply(*rows: Any, **more: Any) -> HttpResponse:
    data = [{"object": "embedding", "index": index, "embedding": row} for index, row in enumerate(rows)]
    return HttpResponse(status=200, body=json.dumps({"object": "list", "data": data, "model": "m-1", **more}).encode())


def packed(*numbers: float) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def test_a_plain_request_asks_for_packed_floats() -> None:
    """A quarter of the bytes."""
    request = WIRE.encode(TWO, PLACE)

    assert {"model": "m", "input": ["a", "b"], "encoding_format": "base64"} == json.loads(request.body)
    assert ("POST", "https://api.openai.com/v1/embeddings") == (request.method, request.url)


def test_what_was_said_is_sent() -> None:
    """And what the caller adds has the last word."""
    asked = make_embedding_request(
        "a", model="m", dimensions=256, user="u", extra_body={"encoding_format": "float"}, extra_headers={"X-A": "1"}
    )

    request = WIRE.encode(asked, PLACE)

    assert {"model": "m", "input": ["a"], "encoding_format": "float", "dimensions": 256, "user": "u"} == json.loads(request.body)
    assert "1" == request.headers["X-A"]


def test_others_have_other_words() -> None:
    """A row says which."""
    asked = make_embedding_request("a", model="m", dimensions=256, input_type="query")

    assert {"model": "m", "input": ["a"], "output_dimension": 256, "input_type": "query"} == body(asked, VOYAGE)
    assert {"input_type", "dimensions", "extra_body", "extra_headers"} == VOYAGE.parameters
    assert "input_type" not in WIRE.parameters
    with pytest.raises(ConfigurationError, match="voyage knows the input_type query, document, not 'similarity'"):
        body(make_embedding_request("a", model="m", input_type="similarity"), VOYAGE)


def test_a_wire_that_wants_a_purpose_is_told_one() -> None:
    """Where nobody says."""
    wire = OpenAIEmbeddings(input_types={"query": "query", "document": "passage"}, needs_input_type="document")

    assert "passage" == body(TWO, wire)["input_type"]
    assert "passage" == body(make_embedding_request("a", model="m", input_type="passage"), wire)["input_type"]


def test_a_deployment_may_stand_in_the_path() -> None:
    """With the version behind it."""
    wire = OpenAIEmbeddings(path="/openai/deployments/{model}/embeddings", query="api-version={api_version}")

    url = wire.encode(make_embedding_request("a", model="my/embed"), PLACE).url

    assert "https://api.openai.com/v1/openai/deployments/my%2Fembed/embeddings?api-version=2024-10-21" == url


def test_vectors_come_packed_or_plain() -> None:
    """Whatever was asked for."""
    usage = {"prompt_tokens": 4, "total_tokens": 4}

    small = WIRE.decode(reply(packed(0.5, 0.25), packed(1, 2), usage=usage), TWO)
    plain = WIRE.decode(reply([0.1, 0.2], [1, 2], usage=usage), TWO)

    assert [[0.5, 0.25], [1, 2]] == small.vectors.tolist()
    assert [[0.1, 0.2], [1, 2]] == plain.vectors.tolist()
    assert (4, True, "m-1") == (small.usage.input_tokens, small.usage.reported, small.model)


def test_vectors_are_in_the_order_of_the_inputs() -> None:
    """Their index counts, where all have one."""
    rows = [{"index": 1, "embedding": [2.0]}, {"index": 0, "embedding": [1.0]}]

    sorted_ = WIRE.decode(HttpResponse(status=200, body=json.dumps({"data": rows}).encode()), TWO)
    rows[0]["index"] = 0
    unsorted = WIRE.decode(HttpResponse(status=200, body=json.dumps({"data": rows}).encode()), TWO)

    assert [[1.0], [2.0]] == sorted_.vectors.tolist()
    assert [[2.0], [1.0]] == unsorted.vectors.tolist()
    assert ("m", False) == (sorted_.model, sorted_.usage.reported)


def test_a_total_alone_is_all_input() -> None:
    """As Voyage tells it."""
    assert 9 == WIRE.decode(reply([1.0], [2.0], usage={"total_tokens": 9}), TWO).usage.input_tokens


@pytest.mark.parametrize(
    "answer",
    [
        reply([1.0]),
        reply([1.0], [2.0], [3.0]),
        reply([1.0], [2.0, 3.0]),
        reply([1.0], None),
        reply([1.0], ["x"]),
        reply([], []),
        reply(packed(1.0), "!!!"),
        reply(packed(1.0), base64.b64encode(b"abc").decode()),
        reply(),
        HttpResponse(status=200, body=b'{"data": null}'),
        HttpResponse(status=200, body=b"[]"),
        HttpResponse(status=200, body=b""),
        HttpResponse(status=200, body=b'{"error": {"message": "no"}}'),
    ],
)
def test_a_reply_without_a_vector_for_each_input_is_none(answer: HttpResponse) -> None:
    """A missing one is never made up."""
    with pytest.raises(WireError):
        WIRE.decode(answer, TWO)

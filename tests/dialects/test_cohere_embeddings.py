"""Cohere's embeddings."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmkit.dialects.base import Place, WireError
from llmkit.dialects.cohere_embeddings import CohereEmbed
from llmkit.errors import ConfigurationError
from llmkit.models.embedding import make_embedding_request
from llmkit.transport.base import HttpResponse

WIRE = CohereEmbed()
PLACE = Place(base_url="https://api.cohere.com")
TWO = make_embedding_request(["a", "b"], model="embed-v4.0")


def reply(answer: Any) -> HttpResponse:
    return HttpResponse(status=200, body=json.dumps(answer).encode())


def test_a_plain_request_takes_its_texts_for_documents() -> None:
    """The wire wants to be told."""
    request = WIRE.encode(TWO, PLACE)

    asked = {"model": "embed-v4.0", "texts": ["a", "b"], "input_type": "search_document", "embedding_types": ["float"]}
    assert asked == json.loads(request.body)
    assert ("POST", "https://api.cohere.com/v2/embed") == (request.method, request.url)
    assert (96, None) == WIRE.limits("embed-v4.0")


@pytest.mark.parametrize(("word", "said"), [("query", "search_query"), ("clustering", "clustering"), ("search_query", "search_query")])
def test_a_purpose_is_said_in_coheres_words(word: str, said: str) -> None:
    """Which may be used as they are."""
    request = WIRE.encode(make_embedding_request("a", model="m", input_type=word, dimensions=256), PLACE)

    assert (said, 256) == (json.loads(request.body)["input_type"], json.loads(request.body)["output_dimension"])


def test_an_unknown_purpose_is_refused() -> None:
    """It names those that there are."""
    with pytest.raises(ConfigurationError, match="cohere knows the input_type document, query"):
        WIRE.encode(make_embedding_request("a", model="m", input_type="code"), PLACE)


@pytest.mark.parametrize("found", [{"float": [[0.5], [0.25]]}, [[0.5], [0.25]]], ids=["under their type", "alone"])
def test_vectors(found: Any) -> None:
    """And what is charged for."""
    answer = WIRE.decode(reply({"embeddings": found, "meta": {"billed_units": {"input_tokens": 3}}}), TWO)

    assert [[0.5], [0.25]] == answer.vectors.tolist()
    assert 3 == answer.usage.input_tokens


def test_without_a_bill_no_usage_is_known() -> None:
    """It is not zero."""
    assert not WIRE.decode(reply({"embeddings": [[0.5], [0.25]]}), TWO).usage.reported


@pytest.mark.parametrize("answer", [{}, {"embeddings": {"int8": [[1], [2]]}}, {"embeddings": [[1.0]]}, {"message": "no"}, []])
def test_a_reply_without_vectors_is_none(answer: Any) -> None:
    """Nothing is made up."""
    with pytest.raises(WireError):
        WIRE.decode(reply(answer), TWO)

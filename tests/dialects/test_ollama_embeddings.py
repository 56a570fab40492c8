"""Ollama's embeddings."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmkit.dialects.base import Place, WireError
from llmkit.dialects.ollama_embeddings import OllamaEmbed
from llmkit.models.embedding import make_embedding_request
from llmkit.transport.base import HttpResponse

WIRE = OllamaEmbed()
PLACE = Place(base_url="http://127.0.0.1:11434")
TWO = make_embedding_request(["a", ""], model="nomic-embed-text", dimensions=8)


def reply(answer: Any) -> HttpResponse:
    return HttpResponse(status=200, body=json.dumps(answer).encode())


def test_a_request_is_not_to_be_cut() -> None:
    """Which the server would do unless told otherwise."""
    request = WIRE.encode(TWO, PLACE)

    assert {"model": "nomic-embed-text", "input": ["a", ""], "truncate": False, "dimensions": 8} == json.loads(request.body)
    assert "http://127.0.0.1:11434/api/embed" == request.url
    assert {"dimensions", "extra_body", "extra_headers"} == WIRE.parameters
    assert WIRE.takes_empty
    assert 64 == WIRE.limits("nomic-embed-text").inputs


def test_vectors() -> None:
    """With what was read, where it is told."""
    answer = {"model": "nomic-embed-text:latest", "embeddings": [[0.5], [0.25]]}

    told, untold = WIRE.decode(reply({**answer, "prompt_eval_count": 3}), TWO), WIRE.decode(reply(answer), TWO)

    assert ([[0.5], [0.25]], "nomic-embed-text:latest") == (told.vectors.tolist(), told.model)
    assert (3, False) == (told.usage.input_tokens, untold.usage.reported)


@pytest.mark.parametrize("answer", [{}, {"embeddings": []}, {"embeddings": [[1.0]]}, {"error": "no"}, []])
def test_a_reply_without_vectors_is_none(answer: Any) -> None:
    """Nothing is made up."""
    with pytest.raises(WireError):
        WIRE.decode(reply(answer), TWO)

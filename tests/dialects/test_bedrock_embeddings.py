"""Embeddings at Amazon Bedrock: a body for each maker."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmkit.dialects.base import Place, WireError
from llmkit.dialects.bedrock_embeddings import BedrockEmbeddings
from llmkit.errors import ConfigurationError
from llmkit.models.embedding import make_embedding_request
from llmkit.transport.base import HttpResponse

WIRE = BedrockEmbeddings()
PLACE = Place(base_url="https://bedrock-runtime.us-east-1.amazonaws.com")
TITAN = "amazon.titan-embed-text-v2:0"
COHERE = "us.cohere.embed-v4:0"
NOVA = "amazon.nova-2-multimodal-embeddings-v1:0"


def asked(*inputs: str, model: str, **parameters: Any) -> Any:
    return make_embedding_request(inputs, model=model, **parameters)


def body(request: Any) -> Any:
    return json.loads(WIRE.encode(request, PLACE).body)


def reply(answer: Any, headers: dict[str, str] | None = None) -> HttpResponse:
    return HttpResponse(status=200, headers=headers or {}, body=json.dumps(answer).encode())


def test_the_models_id_is_part_of_the_path() -> None:
    """Percent-encoded."""
    request = WIRE.encode(asked("a", model=TITAN), PLACE)

    assert "https://bedrock-runtime.us-east-1.amazonaws.com/model/amazon.titan-embed-text-v2%3A0/invoke" == request.url


def test_each_makers_body() -> None:
    """As its own reference has it."""
    nova = {"embeddingPurpose": "GENERIC_INDEX", "embeddingDimension": 3072, "text": {"truncationMode": "NONE", "value": "a"}}

    assert {"inputText": "a", "dimensions": 256} == body(asked("a", model=TITAN, dimensions=256))
    assert {"texts": ["a", "b"], "input_type": "search_document", "truncate": "NONE"} == body(asked("a", "b", model=COHERE))
    assert {"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": nova} == body(asked("a", model=NOVA))


def test_a_purpose_is_said_in_the_makers_words() -> None:
    """Titan has none."""
    assert "search_query" == body(asked("a", model=COHERE, input_type="query", dimensions=256))["input_type"]
    assert "GENERIC_RETRIEVAL" == body(asked("a", model=NOVA, input_type="query"))["singleEmbeddingParams"]["embeddingPurpose"]
    with pytest.raises(ConfigurationError, match="takes no input_type"):
        body(asked("a", model=TITAN, input_type="query"))


@pytest.mark.parametrize(("model", "most"), [(TITAN, 1), (COHERE, 96), (NOVA, 1)])
def test_how_many_texts_a_request_holds(model: str, most: int) -> None:
    """Cohere's alone take several."""
    assert (most, None) == WIRE.limits(model)


def test_another_model_is_refused_by_name() -> None:
    """It says which there are."""
    with pytest.raises(ConfigurationError, match=r"bedrock embeds with amazon\.titan-embed.*not with 'meta\.llama3'"):
        WIRE.limits("meta.llama3")


@pytest.mark.parametrize(
    ("model", "answer", "headers", "tokens"),
    [
        (TITAN, {"embedding": [0.5], "inputTextTokenCount": 3}, {}, 3),
        (COHERE, {"embeddings": {"float": [[0.5]]}, "id": "x"}, {"x-amzn-bedrock-input-token-count": "4"}, 4),
        ("cohere.embed-english-v3", {"embeddings": [[0.5]], "id": "x", "texts": ["a"]}, {}, None),
        (NOVA, {"embeddings": [{"embedding": [0.5], "embeddingType": "TEXT"}]}, {"x-amzn-bedrock-input-token-count": "x"}, None),
    ],
)
def test_each_makers_vectors(model: str, answer: Any, headers: dict[str, str], tokens: int | None) -> None:
    """And the tokens, from the answer or from the service before it."""
    read = WIRE.decode(reply(answer, headers), asked("a", model=model))

    assert [[0.5]] == read.vectors.tolist()
    assert tokens == (read.usage.input_tokens if read.usage.reported else None)


@pytest.mark.parametrize("answer", [{}, {"embedding": None}, {"embeddings": {}}, {"embeddings": "x"}, []])
def test_a_reply_without_vectors_is_none(answer: Any) -> None:
    """Nothing is made up."""
    with pytest.raises(WireError):
        WIRE.decode(reply(answer), asked("a", model=TITAN))

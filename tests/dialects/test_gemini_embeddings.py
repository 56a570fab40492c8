"""Google's embeddings, on AI Studio and on Vertex AI."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmkit.dialects.base import Place, WireError
from llmkit.dialects.gemini_embeddings import GeminiEmbeddings, VertexEmbeddings
from llmkit.errors import ConfigurationError
from llmkit.models.embedding import EmbeddingRequest, make_embedding_request
from llmkit.transport.base import HttpRequest, HttpResponse

STUDIO = GeminiEmbeddings()
CLOUD = VertexEmbeddings()
PLACE = Place(base_url="https://generativelanguage.googleapis.com/v1beta")
PROJECT = Place(base_url="https://aiplatform.googleapis.com/v1beta1", options={"project": "p", "location": "eu"})
FIRST = "gemini-embedding-001"


def asked(*inputs: str, model: str = FIRST, **parameters: Any) -> EmbeddingRequest:
    return make_embedding_request(inputs or ["a"], model=model, **parameters)


def body(request: HttpRequest) -> Any:
    return json.loads(request.body)


def reply(answer: Any) -> HttpResponse:
    return HttpResponse(status=200, body=json.dumps(answer).encode())


def test_studio_takes_a_batch() -> None:
    """Each of its requests is whole."""
    request = STUDIO.encode(asked("a", "b", input_type="query", dimensions=8), PLACE)

    shared = {"model": f"models/{FIRST}", "taskType": "RETRIEVAL_QUERY", "outputDimensionality": 8}
    assert f"{PLACE.base_url}/models/{FIRST}:batchEmbedContents" == request.url
    assert {"requests": [{**shared, "content": {"parts": [{"text": text}]}} for text in "ab"]} == body(request)
    assert (100, None) == STUDIO.limits(FIRST)


def test_what_the_caller_adds_goes_to_each() -> None:
    """The batch itself has no fields."""
    request = STUDIO.encode(asked("a", "b", extra_body={"title": "T"}), PLACE)

    assert ["T", "T"] == [one["title"] for one in body(request)["requests"]]


@pytest.mark.parametrize(
    ("word", "task"), [("document", "RETRIEVAL_DOCUMENT"), ("code", "CODE_RETRIEVAL_QUERY"), ("FACT_VERIFICATION", "FACT_VERIFICATION")]
)
def test_a_purpose_is_said_in_googles_words(word: str, task: str) -> None:
    """Which may be used as they are."""
    assert task == body(STUDIO.encode(asked(input_type=word), PLACE))["requests"][0]["taskType"]
    assert task == body(CLOUD.encode(asked(input_type=word), PROJECT))["instances"][0]["task_type"]


def test_an_unknown_purpose_is_refused() -> None:
    """It names those that there are."""
    with pytest.raises(ConfigurationError, match=r"google knows the input_type query, document, .*not 'poetry'"):
        STUDIO.encode(asked(input_type="poetry"), PLACE)


def test_studios_vectors() -> None:
    """It tells no usage, or may one day."""
    answer = {"embeddings": [{"values": [0.5, 1]}, {"values": [0.25, 2]}]}

    read = STUDIO.decode(reply(answer), asked("a", "b"))
    told = STUDIO.decode(reply({**answer, "usageMetadata": {"promptTokenCount": 4}}), asked("a", "b"))

    assert [[0.5, 1], [0.25, 2]] == read.vectors.tolist()
    assert (False, 4) == (read.usage.reported, told.usage.input_tokens)
    assert FIRST == read.model


def test_vertex_predicts() -> None:
    """What is too long is refused rather than cut."""
    request = CLOUD.encode(
        asked("a", "b", model="text-embedding-005", dimensions=8, extra_body={"parameters": {"autoTruncate": True}}), PROJECT
    )

    path = "/projects/p/locations/eu/publishers/google/models/text-embedding-005:predict"
    assert PROJECT.base_url + path == request.url
    parameters = {"autoTruncate": True, "outputDimensionality": 8}
    assert {"instances": [{"content": "a"}, {"content": "b"}], "parameters": parameters} == body(request)
    assert (250, 20_000) == CLOUD.limits("text-embedding-005")
    assert 1 == CLOUD.limits(FIRST).inputs


def test_vertexs_newer_models_have_another_door() -> None:
    """One text at a time, whose purpose is said in it."""
    request = CLOUD.encode(asked("a", model="gemini-embedding-2", dimensions=8), PROJECT)

    assert request.url.endswith("/publishers/google/models/gemini-embedding-2:embedContent")
    assert {"content": {"parts": [{"text": "a"}]}, "embedContentConfig": {"outputDimensionality": 8}} == body(request)
    with pytest.raises(ConfigurationError, match="takes no input_type"):
        CLOUD.encode(asked("a", model="gemini-embedding-2", input_type="query"), PROJECT)


def test_with_a_key_vertex_has_no_project() -> None:
    """Models stand under the publisher alone."""
    request = CLOUD.encode(asked(), Place(base_url="https://aiplatform.googleapis.com/v1beta1"))

    assert f"https://aiplatform.googleapis.com/v1beta1/publishers/google/models/{FIRST}:predict" == request.url


def test_vertexs_vectors() -> None:
    """With the tokens of each, which are summed."""
    rows = [{"embeddings": {"values": [float(n)], "statistics": {"token_count": n, "truncated": False}}} for n in (3, 4)]

    both = CLOUD.decode(reply({"predictions": rows}), asked("a", "b"))
    uncounted = CLOUD.decode(reply({"predictions": [{"embeddings": {"values": [1.0]}}]}), asked("a"))
    newer = CLOUD.decode(reply({"embedding": {"values": [0.5]}, "usageMetadata": {"promptTokenCount": 2}}), asked("a"))

    assert [[3.0], [4.0]] == both.vectors.tolist()
    assert (7, False) == (both.usage.input_tokens, uncounted.usage.reported)
    assert ([[0.5]], 2) == (newer.vectors.tolist(), newer.usage.input_tokens)


@pytest.mark.parametrize("wire", [STUDIO, CLOUD], ids=["studio", "vertex"])
@pytest.mark.parametrize(
    "answer", [{}, {"embeddings": [{}]}, {"predictions": [{}]}, {"predictions": None}, {"error": {"message": "no"}}, []]
)
def test_a_reply_without_vectors_is_none(wire: Any, answer: Any) -> None:
    """Nothing is made up."""
    with pytest.raises(WireError):
        wire.decode(reply(answer), asked())

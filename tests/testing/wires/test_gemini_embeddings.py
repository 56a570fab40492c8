"""What the fake Gemini makes of texts to embed, and what it refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmkit.testing.replies import RecordedRequest, Reply
from llmkit.testing.wires import find

MODEL = "gemini-embedding-001"
TEXT = {"parts": [{"text": "a b"}]}
ONE = {"model": f"models/{MODEL}", "content": TEXT}


def asked(body: Any, operation: str, *, model: str = MODEL, provider: str = "google", base: str = "/v1beta") -> RecordedRequest:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    endpoint = f"{base}/models/{model}:{operation}"
    return RecordedRequest(method="POST", path=f"/{provider}{endpoint}", provider=provider, endpoint=endpoint, body=data)


def answered(request: RecordedRequest, reply: Reply = Reply()) -> Any:  # noqa: B008 - frozen
    found = find(request.provider, request.method, request.endpoint)
    assert found.route is not None
    assert found.route.check(request) is None
    return json.loads(b"".join(found.route.render(request, reply).body))


def refusal(request: RecordedRequest) -> str | None:
    route = find(request.provider, request.method, request.endpoint).route
    assert route is not None
    reply = route.check(request)
    return None if reply is None or reply.failure is None else str(reply.failure.message)


def predicted(*contents: Any, model: str = "text-embedding-005", **more: Any) -> RecordedRequest:
    body = {"instances": [{"content": content} for content in contents], **more}
    return asked(body, "predict", model=model, provider="vertex", base="/v1beta1/publishers/google")


def test_studio_embeds_one_and_many() -> None:
    """In two forms of the same."""
    many = answered(asked({"requests": [ONE, {**ONE, "outputDimensionality": 3}]}, "batchEmbedContents"))
    one = answered(asked({"content": TEXT, "embedContentConfig": {"outputDimensionality": 3}}, "embedContent"))

    assert [8, 3] == [len(row["values"]) for row in many["embeddings"]]
    assert many["embeddings"][1] == one["embedding"]
    assert {"a": 1} == answered(asked({"requests": [ONE]}, "batchEmbedContents"), Reply(raw={"a": 1}))


def test_vertex_predicts() -> None:
    """A vector and its tokens for each instance."""
    answer = answered(predicted("a b", "c", parameters={"outputDimensionality": 4}))

    assert [4, 4] == [len(row["embeddings"]["values"]) for row in answer["predictions"]]
    assert [2, 1] == [row["embeddings"]["statistics"]["token_count"] for row in answer["predictions"]]
    assert {"a": 1} == answered(predicted("a"), Reply(raw={"a": 1}))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"requests": []}, "at most 100 requests"),
        ({"requests": [ONE] * 101}, "at most 100 requests"),
        ({"requests": [{"content": TEXT}]}, "must match the model in the parent request"),
        ({"requests": [{**ONE, "content": {"parts": [{"text": ""}]}}]}, "contains an empty Part"),
        ({"requests": [{**ONE, "taskType": "POETRY"}]}, 'TaskType), "POETRY"'),
        ({"requests": [{**ONE, "dimensions": 3}]}, 'Unknown name "dimensions"'),
        (b"[]", "Invalid JSON payload"),
    ],
)
def test_studio_refuses(body: Any, words: str) -> None:
    """As the service does."""
    assert words in str(refusal(asked(body, "batchEmbedContents")))


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (predicted(), "250 instance(s) is allowed per prediction. Actual: 0"),
        (predicted(*["a"] * 251), "Actual: 251"),
        (predicted("a", "b", model=MODEL), "1 instance(s) is allowed per prediction. Actual: 2"),
        (predicted("a", ""), "content is empty"),
        (predicted("a", 7), "content is empty"),
        (predicted("a " * 20_000), "more than 20000"),
        (predicted("a", instances=[{"content": "a", "task_type": "POETRY"}]), "Unsupported task type: POETRY"),
        (predicted("a", model="no-such-model"), "is not found"),
        (asked(b"", "predict", provider="vertex", base="/v1beta1/publishers/google"), "Invalid JSON payload"),
        (asked({"requests": [ONE]}, "batchEmbedContents", model="no-such-model"), "is not found"),
    ],
)
def test_vertex_refuses(request_: RecordedRequest, words: str) -> None:
    """As the service does."""
    assert words in str(refusal(request_))

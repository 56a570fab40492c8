"""What the fake Voyage answers, and what it refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmkit.testing.replies import RecordedRequest, Reply
from llmkit.testing.wires import find
from llmkit.testing.wires.voyage import WIRE


def asked(body: Any) -> RecordedRequest:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return RecordedRequest(method="POST", path="/voyage/v1/embeddings", provider="voyage", endpoint="/v1/embeddings", body=data)


def answered(body: Any, reply: Reply = Reply()) -> Any:  # noqa: B008 - frozen
    return json.loads(b"".join(WIRE.routes[0].render(asked(body), reply).body))


def test_it_speaks_for_voyage_alone() -> None:
    """And has no chat."""
    assert WIRE is find("voyage", "POST", "/v1/embeddings").wire
    assert WIRE is not find("openai", "POST", "/v1/embeddings").wire


def test_an_answer_has_a_vector_for_each_input() -> None:
    """And a total of tokens."""
    answer = answered({"model": "voyage-4", "input": ["a b", "c"], "output_dimension": 4})

    assert [4, 4] == [len(row["embedding"]) for row in answer["data"]]
    assert ({"total_tokens": 3}, "voyage-4") == (answer["usage"], answer["model"])
    assert {"a": 1} == answered({}, Reply(raw={"a": 1}))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"input": "a"}, "Model None is not supported"),
        ({"model": "no-such-model", "input": "a"}, "Model no-such-model is not supported"),
        ({"model": "m", "input": "a", "user": "u"}, "Argument 'user' is not supported"),
        ({"model": "m", "input": []}, "empty strings or empty lists"),
        ({"model": "m", "input": ["a", ""]}, "empty strings or empty lists"),
        ({"model": "m", "input": ["a"] * 1001}, "The batch size limit is 1000. Your batch size is 1001."),
        ({"model": "m", "input": ["a " * 120_000]}, "The max allowed tokens per submitted batch is 120000"),
        ({"model": "m", "input": "a", "input_type": "passage"}, "Value 'passage' provided for input_type"),
        ({"model": "m", "input": "a", "encoding_format": "float"}, "Value 'float' provided for encoding_format"),
        (b"{", "Model None"),
    ],
)
def test_refusals(body: Any, words: str) -> None:
    """A sentence each."""
    refusal = WIRE.routes[0].check(asked(body))

    assert refusal is not None
    rendered = WIRE.render_error(asked(body), refusal)
    assert 400 == rendered.status
    assert words in json.loads(b"".join(rendered.body))["detail"]


def test_good_requests_pass() -> None:
    """With all that may be said."""
    body = {"model": "m", "input": ["a"], "input_type": "query", "truncation": False, "output_dimension": 4, "encoding_format": "base64"}

    assert WIRE.routes[0].check(asked(body)) is None


def test_errors_of_the_script() -> None:
    """In a form of their own."""
    busy, odd = (json.loads(b"".join(WIRE.render_error(asked({}), Reply.error(status)).body)) for status in (503, 418))

    assert "high traffic" in busy["detail"]
    assert "not valid JSON" in odd["detail"]
    assert "invalid" in json.loads(b"".join(WIRE.render_error(asked({}), WIRE.unauthorized(asked({}))).body))["detail"]
    assert {"a": 1} == json.loads(b"".join(WIRE.render_error(asked({}), Reply.error(500, body={"a": 1})).body))

"""The ledger of tries."""

from __future__ import annotations

import json

import pytest

from llmkit.models.ledger import Attempt


def attempt(**facts: object) -> Attempt:
    return Attempt(number=1, provider="openai", model="m", endpoint="https://h", **facts)  # type: ignore[arg-type]  # as given


@pytest.mark.parametrize(
    ("facts", "brief"),
    [
        ({"status": 200, "elapsed": 0.214}, "200 ok after 0.21 s"),
        ({"status": 503, "error": "server", "key": "key 1", "elapsed": 1.0}, "503 server after 1.00 s (key 1)"),
        ({"error": "connect", "wait": 0.5}, "waited 0.50 s, connect after 0.00 s"),
    ],
)
def test_a_try_is_told_in_a_few_words(facts: dict[str, object], brief: str) -> None:
    """What came, after how long, with which key, and what it waited for before."""
    assert brief == attempt(**facts).brief()


def test_a_try_is_plain_json() -> None:
    """For logs and records."""
    assert ("openai", None, 0.0) == tuple(json.loads(json.dumps(attempt().to_dict()))[name] for name in ("provider", "status", "wait"))

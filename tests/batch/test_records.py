"""Errors, written and read again."""

from __future__ import annotations

import json

import pytest

from llmkit import errors
from llmkit.batch.records import error_from_dict
from llmkit.errors import LLMKitError, ProviderError
from llmkit.models.ledger import Attempt

ATTEMPT = Attempt(number=1, provider="openai", model="gpt-4o", endpoint="https://api.openai.com", status=400, error="bad_request")
CLASSES = [cls for name in errors.__all__ if isinstance(cls := getattr(errors, name), type) and issubclass(cls, LLMKitError)]


@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_is_read_as_it_was_written(cls: type[LLMKitError]) -> None:
    """Through JSON, in its own class and with all facts of the two base classes."""
    facts = {
        "retryable": True,
        "metadata": {"a": 1},
        "endpoint": "https://x",
        "retry_after": 2.5,
        "maybe_billed": True,
        "attempts": [ATTEMPT],
    }
    if issubclass(cls, ProviderError):
        facts.update(provider="openai", model="gpt-4o", status_code=400, code="c", request_id="r", body="b", type="t", param="p")
    error = cls("it failed", **facts)
    error.circuit_open = True

    read = error_from_dict(json.loads(json.dumps(error.to_dict())))

    assert cls is type(read)
    assert error.to_dict() == read.to_dict()
    assert str(error) == str(read)


def test_an_error_of_a_later_version_is_read_as_the_base_class() -> None:
    """With its facts."""
    data = {**LLMKitError("it failed", kind="novel").to_dict(), "type": "NovelError"}

    read = error_from_dict(data)

    assert (LLMKitError, "novel", "it failed") == (type(read), read.kind, read.message)

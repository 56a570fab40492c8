"""What both retrievers decide alike. (Most of it is tested where users meet it.)"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmkit import ConfigurationError, RetryConfig, UnsupportedParameterError
from llmkit.retrieval import MemoryStore, QdrantStore
from llmkit.retrieval.desk import Desk, own_store


def desk(**kwargs: Any) -> Desk:
    arguments: dict[str, Any] = {"embedding_model": None, "collection": "pets", "dimensions": None, "retry": RetryConfig(), "cache": True}
    return Desk(lambda model: f"acme/{model}", MemoryStore(), **{**arguments, **kwargs})


def test_a_store_is_made_of_a_location() -> None:
    """One that is given is nobody's own."""
    assert [":memory:", "db", "http://localhost:6333"] == [
        getattr(own_store(given), "location", None) for given in (None, Path("db"), "http://localhost:6333")
    ]
    assert [None, None] == [own_store(MemoryStore()), own_store(QdrantStore())]


def test_half_a_store_is_refused() -> None:
    """By the first thing that is missing."""

    class Half:
        dimensions = create = upsert = digests = None

    with pytest.raises(ConfigurationError, match=r"not Half, which has no search\(\)"):
        own_store(Half())


def test_a_purpose_is_said_until_it_is_refused() -> None:
    """Then it is not said again; another refusal teaches nothing."""
    one = desk(embedding_model="m", dimensions=3)
    first = one.parameters("query")

    other = one.learns(UnsupportedParameterError("no", "dimensions"))
    purpose = one.learns(UnsupportedParameterError("no", "input_type"))

    assert {"model": "m", "dimensions": 3, "input_type": "query", "max_concurrency": 1} == first
    assert (False, True, None) == (other, purpose, one.parameters("document")["input_type"])


def test_no_checkpoint_is_made_where_something_else_is_refused(tmp_path: Path) -> None:
    """It is opened last."""
    facts: dict[str, Any] = {"checkpoint": tmp_path / "run", "batch_size": 1, "max_concurrency": 1, "tempo": None}

    for wrong in ({"progress": "much"}, {"batch_size": 0}, {"checkpoint": 7}):
        with pytest.raises(ConfigurationError):
            desk().load(["a"], None, None, **{"progress": None, **facts, **wrong})

    assert [] == list(tmp_path.iterdir())

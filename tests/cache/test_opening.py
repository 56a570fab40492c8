"""What may be given as ``cache=``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmkit import ConfigurationError, LLMCache, RedisCache, SqliteCache
from llmkit.cache.opening import holds_password, open_cache


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (None, type(None)),
        (False, type(None)),
        (True, LLMCache),
        ("answers.db", SqliteCache),
        (Path("answers.db"), SqliteCache),
        ("C:\\answers.db", SqliteCache),
        ("redis://localhost/0", RedisCache),
        ("rediss://localhost/0", RedisCache),
        ("unix:///tmp/redis.sock", RedisCache),
    ],
    ids=str,
)
def test_each_word_stands_for_a_cache(given: Any, kind: type) -> None:
    """Nothing is opened yet."""
    assert type(open_cache(given)) is kind


def test_a_cache_is_itself() -> None:
    """It may be shared."""
    cache = LLMCache()

    assert open_cache(cache) is cache


@pytest.mark.parametrize("given", [1, 0, "http://localhost", "", [], {}, b"answers.db"], ids=repr)
def test_anything_else_is_refused(given: Any) -> None:
    """With what it may be."""
    with pytest.raises(ConfigurationError, match="cache"):
        open_cache(given)


def test_an_address_is_not_shown_in_a_refusal() -> None:
    """It may hold a password."""
    with pytest.raises(ConfigurationError) as caught:
        open_cache("postgres://user:canary@localhost")

    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, False),
        (True, False),
        ("answers.db", False),
        ("a@b:c.db", False),
        ("redis://localhost", False),
        ("redis://user@localhost", False),
        ("redis://:secret@localhost", True),
        ("redis://localhost/0?password=secret", True),
    ],
)
def test_a_password_is_found(given: Any, expected: bool) -> None:
    """In the address, or behind it."""
    assert expected is holds_password(given)

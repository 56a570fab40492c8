"""What many tests need: a server on loopback, an environment without keys."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from llmkit.catalogue import facts
from llmkit.catalogue.registry import ModelRegistry, State
from llmkit.providers import registry
from llmkit.providers.table import TABLE
from llmkit.testing import FakeServer


@pytest.fixture(autouse=True)
def _no_keys_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own keys, proxies and models must not change what a test sees."""
    for name in list(os.environ):
        upper = name.upper()
        if upper.endswith(("_API_KEY", "_TOKEN", "_BASE_URL", "_API_URL", "_PROXY")) or upper.startswith(
            ("LLMKIT_", "OPENAI_", "OLLAMA_", "AWS_")
        ):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nonexistent")  # nor a file of theirs


@pytest.fixture(autouse=True)
def _models_as_they_are(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test tells of a model is forgotten after it."""
    monkeypatch.setattr(ModelRegistry, "_state", State({}))
    monkeypatch.setattr(facts, "_registered", [])
    yield
    facts.facts_of.cache_clear()


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> registry.Registry:
    """A registry of the test's own, so that what it registers is forgotten."""
    fresh = registry.Registry(TABLE)
    monkeypatch.setattr(registry, "ROWS", fresh)
    return fresh


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A fake of every provider, on loopback."""
    with FakeServer() as running:
        yield running

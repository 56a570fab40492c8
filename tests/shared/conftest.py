"""Two stores of one Redis stand for two processes: each has a name, a connection and a thread of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from llmkit import Shared
from llmkit.shared.store import Store


class Stores:
    """Makes stores, and ends them with the test."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.made: list[Store] = []

    def __call__(self, **options: Any) -> Store:
        self.made.append(Store(Shared(self.server.url, **options)))
        return self.made[-1]

    def flush(self) -> None:
        """Wait until all is written that was noted."""
        for store in self.made:
            store.flush()

    def find(self) -> None:
        """Wait until all know that Redis is back."""
        wait_until(lambda: not any(store.is_lost for store in self.made))


def wait_until(condition: Callable[[], object], timeout: float = 5.0) -> None:
    until = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < until, "it did not come true"
        time.sleep(0.005)


@pytest.fixture
def stores(redis_server: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stores]:
    """Stores of one Redis that look more often than usual whether it is back."""
    monkeypatch.setattr("llmkit.shared.store.PROBE", 0.02)
    made = Stores(redis_server)
    yield made
    for store in made.made:
        store._client.close()


@pytest.fixture
def until() -> Callable[..., None]:
    """Wait for something that another thread does."""
    return wait_until

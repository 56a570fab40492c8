"""Which endpoint a call goes to first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from llmkit import CircuitBreakerConfig, ConfigurationError, Target
from llmkit.testing import FakeServer, Reply

Connect = Callable[..., Any]

MODELS = ["openai/model-a", "openai/model-b", "openai/model-c"]


def asked(server: FakeServer) -> Counter[str]:
    return Counter(request.json["model"] for request in server.requests)


def test_round_robin_goes_round(connect: Connect, server: FakeServer) -> None:
    """Each gets the same."""
    client = connect(MODELS, strategy="round_robin")

    for _ in range(9):
        client.complete("Say hi")

    assert {"model-a": 3, "model-b": 3, "model-c": 3} == asked(server)


def test_weights_are_shares(connect: Connect, server: FakeServer) -> None:
    """Three to one, roughly."""
    client = connect([Target("openai/model-a", weight=3), Target("openai/model-b")], strategy="weighted")

    for _ in range(200):
        client.complete("Say hi")

    assert 110 < asked(server)["model-a"] < 185


def test_the_fastest_is_asked_once_all_are_known(connect: Connect, server: FakeServer) -> None:
    """Each is asked at least once; then the one that answers soonest."""
    server.always(lambda request: Reply(delay=0.0 if request.json["model"] == "model-b" else 0.03))
    client = connect(MODELS, strategy="fastest")

    for _ in range(15):
        client.complete("Say hi")

    assert 13 == asked(server)["model-b"]


def test_the_least_busy_is_asked(connect: Connect, server: FakeServer) -> None:
    """A stream that is still open counts."""
    server.enqueue(Reply(chunks=["word "] * 100, between=0.05))
    client = connect(MODELS[:2], strategy="least_busy")
    stream = client.stream("Say hi")
    next(stream)

    for _ in range(4):
        client.complete("Say hi")
    stream.close()

    assert {"model-a": 1, "model-b": 4} == asked(server)


def test_the_cheapest_is_asked(connect: Connect, server: FakeServer) -> None:
    """By the catalogue's prices."""
    client = connect(["openai/gpt-4o", "openai/gpt-4o-mini", "openai/nobody-knows"], strategy="cheapest")

    client.complete("Say hi")

    assert {"gpt-4o-mini": 1} == asked(server)


@pytest.mark.parametrize("strategy", ["round_robin", "weighted", "least_busy", "fastest", "cheapest"])
def test_whoever_fails_is_replaced(connect: Connect, server: FakeServer, strategy: str) -> None:
    """And is left alone while its breaker is open."""
    server.always(lambda request: Reply.error(500) if request.json["model"] == "model-a" else Reply())
    client = connect(MODELS, strategy=strategy, retry=None, circuit_breaker=CircuitBreakerConfig(failure_threshold=1))

    replies = [client.complete("Say hi") for _ in range(12)]

    assert all("You said: Say hi" == reply.text for reply in replies)
    assert asked(server)["model-a"] <= 1


def test_an_unknown_strategy_is_refused(connect: Connect) -> None:
    """With those that there are."""
    with pytest.raises(ConfigurationError, match="round_robin"):
        connect(strategy="random")

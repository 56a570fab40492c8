"""A second request when the first is slow: the sooner wins, and the other leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from llmkit import APIKeyPool, ConfigurationError, Event, Hedge, InternalError
from llmkit.testing import FakeServer, Reply

Connect = Callable[..., Any]

SOON = Hedge(delay=0.03, max_share=1.0)

OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "complete": lambda client: client.complete("Say hi"),
    "stream": lambda client: client.stream("Say hi").collect(),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_slow_first_is_overtaken(connect: Connect, face: Any, server: FakeServer, operation: str) -> None:
    """The loser's connection is closed and its key is back."""
    pool = APIKeyPool(["sk-first-0001", "sk-second-0002"])
    server.enqueue(Reply("slow", delay=5), Reply("quick"))
    client = connect(hedge=SOON, api_keys=pool)

    reply = OPERATIONS[operation](client)
    face.settle()
    server.wait_for(lambda server: server.open_connections <= 1)

    assert "quick" == reply.text
    assert 2 == server.hits
    assert "hedge: the first had not begun to answer" == reply.attempts[0].why
    server.wait_for(lambda _: [0, 0] == [row["leases"] for row in pool.snapshot()])


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_quick_first_has_no_rival(connect: Connect, server: FakeServer, operation: str) -> None:
    """Nothing is paid for twice."""
    client = connect(hedge=Hedge(delay=2))

    reply = OPERATIONS[operation](client)

    assert "You said: Say hi" == reply.text
    assert 1 == server.hits


def test_the_first_may_still_win(connect: Connect, server: FakeServer) -> None:
    """The rival is the one that is closed then."""
    server.enqueue(Reply("first", delay=0.08), Reply("second", delay=5))
    client = connect(hedge=SOON)

    reply = client.complete("Say hi")

    assert "first" == reply.text


def test_a_rival_that_fails_does_no_harm(connect: Connect, server: FakeServer) -> None:
    """The first goes on."""
    server.enqueue(Reply("first", delay=0.15), Reply.error(400))
    client = connect(hedge=SOON)

    reply = client.complete("Say hi")

    assert "first" == reply.text


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_race_is_one_call_to_those_who_watch(connect: Connect, face: Any, server: FakeServer, operation: str) -> None:
    """It begins once and ends once, with the answer of the winner."""
    told: list[Event] = []
    server.enqueue(Reply("slow", delay=5), Reply("quick"))
    client = connect(hedge=SOON, hooks=[told.append])

    reply = OPERATIONS[operation](client)
    face.settle()
    server.wait_for(lambda _: sum(event.name == "attempt.end" for event in told) == 2)

    assert 1 == len({event.call for event in told})
    assert [1, 1, 1] == [sum(event.name == name for event in told) for name in ("call.start", "hedge", "call.end")]
    assert [reply] == [event.response for event in told if event.name == "call.end"]


def test_when_both_fail_the_first_error_is_told(connect: Connect, server: FakeServer) -> None:
    """As it would be without hedging."""
    server.always(Reply(status=500, delay=0.06))
    client = connect(hedge=SOON, retry=None)

    with pytest.raises(InternalError):
        client.complete("Say hi")


def test_the_rival_goes_to_the_next_endpoint_where_there_is_one(connect: Connect, server: FakeServer) -> None:
    """What is slow in one place need not be in another."""
    server.enqueue(Reply(delay=5))
    client = connect(["openai/model-a", "openai/model-b"], hedge=SOON)

    reply = client.complete("Say hi")

    assert "model-b" == reply.attempts[0].model


def test_no_more_than_a_share_is_hedged(connect: Connect, server: FakeServer) -> None:
    """Every copy is paid for."""
    server.always(Reply(delay=0.02))
    client = connect(hedge=Hedge(delay=0.001, max_share=0.25))

    for _ in range(12):
        client.complete("Say hi")

    assert 12 < server.hits <= 15


def test_without_history_nothing_is_slow(connect: Connect, server: FakeServer) -> None:
    """A quantile needs answers to be one of."""
    server.always(Reply(delay=0.03))
    client = connect(hedge=Hedge(after=0.5, min_calls=5))

    for _ in range(4):
        client.complete("Say hi")

    assert 4 == server.hits


def test_what_is_no_hedge_is_refused(connect: Connect) -> None:
    """By name."""
    with pytest.raises(ConfigurationError, match="hedge is a Hedge"):
        connect(hedge=0.95)

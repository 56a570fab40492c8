"""Those who watch a client are told what happens, and can do no harm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from llmkit import CircuitBreakerConfig, ConfigurationError, Event, InvalidRequestError, RetryConfig, Target
from llmkit.testing import FakeServer, Reply

Connect = Callable[..., Any]

QUICK = RetryConfig(max_retries=1, base_delay=0.001)
CANARY = "sk-canary-5f1d0c7e"


@pytest.mark.parametrize("operation", ["complete", "stream"])
def test_a_call_tells_its_story(connect: Connect, server: FakeServer, operation: str) -> None:
    """From its start over each attempt to its end, under one number."""
    told: list[Event] = []
    server.enqueue(Reply.error(500))
    client = connect(hooks=[told.append], retry=QUICK)

    reply = client.complete("Say hi") if operation == "complete" else client.stream("Say hi").collect()

    names = ["call.start", "attempt.start", "attempt.end", "retry", "attempt.start", "attempt.end", "call.end"]
    assert names == [event.name for event in told]
    assert 1 == len({event.call for event in told})
    assert ["server", None] == [event.attempt.error for event in told if event.attempt is not None]
    assert reply is told[-1].response


def test_an_error_ends_the_story(connect: Connect, server: FakeServer) -> None:
    """What is raised is what is told."""
    told: list[Event] = []
    server.enqueue(Reply.error(400))
    client = connect(hooks=told.append)

    with pytest.raises(InvalidRequestError) as caught:
        client.complete("Say hi")

    assert "call.end" == told[-1].name
    assert caught.value is told[-1].error


def test_fallbacks_and_breakers_are_told(connect: Connect, server: FakeServer) -> None:
    """With the place the call goes on to, and the state of the breaker."""
    told: list[Event] = []
    server.always(lambda request: Reply.error(500) if request.json["model"] == "model-a" else Reply())
    breaker = CircuitBreakerConfig(failure_threshold=1)
    client = connect(["openai/model-a", Target("openai/model-b")], hooks=[told.append], retry=None, circuit_breaker=breaker)

    client.complete("Say hi")

    fallback = next(event for event in told if event.name == "fallback")
    opened = next(event for event in told if event.name == "breaker")
    assert ("model-b", "server at openai/model-a") == (fallback.model, fallback.why)
    assert {"old": "closed", "new": "open"} == opened.facts


def test_a_hook_that_fails_changes_nothing(connect: Connect, server: FakeServer, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and the next is told all the same."""
    told: list[Event] = []

    def broken(event: Event) -> None:
        msg = "a bug in the hook"
        raise RuntimeError(msg)

    client = connect(hooks=[broken, told.append])

    reply = client.complete("Say hi")

    assert "You said: Say hi" == reply.text
    assert told
    assert "a bug in the hook" in caplog.text


def test_no_event_holds_a_key(connect: Connect, server: FakeServer) -> None:
    """Neither on success nor in an error."""
    told: list[Event] = []
    server.enqueue(Reply(), Reply.error(401, message=f"the key {CANARY} is wrong"))
    client = connect(hooks=[told.append], api_key=CANARY)

    client.complete("Say hi")
    with pytest.raises(Exception, match="401"):
        client.complete("Say hi")

    assert CANARY not in repr(told) + str([event.error for event in told])


@pytest.mark.parametrize("given", ["print", [1], 5])
def test_what_is_no_hook_is_refused(connect: Connect, given: Any) -> None:
    """By name."""
    with pytest.raises(ConfigurationError, match="hook"):
        connect(hooks=given)


def test_a_coroutine_function_is_no_hook(connect: Connect) -> None:
    """Nobody would await it."""

    async def hook(event: Event) -> None: ...

    with pytest.raises(ConfigurationError, match="plain callable"):
        connect(hooks=[hook])

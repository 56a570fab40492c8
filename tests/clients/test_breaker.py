"""A failing endpoint is left alone, and asked carefully whether it is well again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from llmkit import (
    CircuitBreakerConfig,
    CircuitOpenError,
    CircuitState,
    InternalError,
    LLMKitError,
    OverloadedError,
    RequestTimeoutError,
    RetryConfig,
    TransportError,
)
from llmkit.testing import FakeServer, Reply

Connect = Callable[..., Any]

QUICK = RetryConfig(max_retries=3, base_delay=0.001, max_delay=0.002)
SOON = 0.03  # seconds that a breaker stays open here

OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "complete": lambda client: client.complete("Say hi"),
    "stream": lambda client: client.stream("Say hi").collect(),
    "models": lambda client: client.models(),
}


def fail(client: Any, times: int = 1, operation: str = "complete") -> None:
    for _ in range(times):
        with pytest.raises(LLMKitError):
            OPERATIONS[operation](client)


def wait_until_half_open(client: Any) -> None:
    while client.breaker().state is not CircuitState.HALF_OPEN:
        time.sleep(0.002)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_it_opens_after_so_many_failures_in_a_row(connect: Connect, server: FakeServer, operation: str) -> None:
    """From then on calls are refused at once, without a request, and told when to come back."""
    server.always(Reply.error(503))
    client = connect(retry=None, circuit_breaker=CircuitBreakerConfig(failure_threshold=3))

    fail(client, 3, operation)
    with pytest.raises(CircuitOpenError) as caught:
        OPERATIONS[operation](client)

    assert CircuitState.OPEN is client.breaker().state
    assert 3 == server.hits
    assert 55 < (caught.value.retry_after or 0) <= 66
    assert server.origin == caught.value.endpoint
    assert () == caught.value.attempts
    assert caught.value.retryable


def test_by_default_it_takes_five(connect: Connect, server: FakeServer) -> None:
    """As the reference says."""
    server.always(Reply.error(503))
    client = connect(retry=None)

    fail(client, 4)
    before = client.breaker().state
    fail(client)

    assert CircuitState.CLOSED is before
    assert CircuitState.OPEN is client.breaker().state


def test_a_success_starts_the_count_anew(connect: Connect, server: FakeServer) -> None:
    """Failures in a row are meant."""
    client = connect(retry=None, circuit_breaker=CircuitBreakerConfig(failure_threshold=2))

    for _ in range(3):
        server.enqueue(Reply.error(503))
        fail(client)
        client.complete("Say hi")

    assert CircuitState.CLOSED is client.breaker().state


def test_it_closes_after_so_many_successes(connect: Connect, server: FakeServer) -> None:
    """Whoever comes when the time is over is the probe."""
    server.enqueue(Reply.error(503))
    client = connect(retry=None, circuit_breaker=CircuitBreakerConfig(failure_threshold=1, reset_time=SOON))
    fail(client)
    wait_until_half_open(client)

    client.complete("Say hi")
    after_one = client.breaker().snapshot()
    client.complete("Say hi")

    assert ("half_open", 1, 0) == (after_one["state"], after_one["successes"], after_one["probes"])
    assert CircuitState.CLOSED is client.breaker().state


def test_a_probe_that_fails_opens_it_again_for_longer(connect: Connect, server: FakeServer) -> None:
    """One failure is enough then."""
    server.always(Reply.error(503))
    client = connect(retry=None, circuit_breaker=CircuitBreakerConfig(failure_threshold=2, reset_time=SOON))
    fail(client, 2)
    wait_until_half_open(client)

    fail(client)

    assert CircuitState.OPEN is client.breaker().state
    assert client.breaker().retry_after > SOON
    assert 3 == server.hits


def test_there_is_one_probe_at_a_time(connect: Connect, server: FakeServer) -> None:
    """While a stream is the probe, other calls are refused."""
    server.enqueue(Reply.error(503), Reply("Good morning to you", stall_after=3))
    client = connect(retry=None, circuit_breaker=CircuitBreakerConfig(failure_threshold=1, reset_time=SOON))
    fail(client)
    wait_until_half_open(client)

    with client.stream("Say hi") as stream:
        next(stream)
        with pytest.raises(CircuitOpenError):
            client.complete("Say hi")
    reply = client.complete("Say hi")

    assert "You said: Say hi" == reply.text
    assert 3 == server.hits


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 413, 422, 429])
def test_a_refusal_is_no_failure(connect: Connect, server: FakeServer, status: int) -> None:
    """What is wrong with a request, a key or its rate says nothing of the endpoint: it neither counts nor resets."""
    client = connect(retry=None, circuit_breaker=CircuitBreakerConfig(failure_threshold=2))
    server.enqueue(Reply.error(503), *[Reply.error(status, message="No.")] * 3)

    fail(client, 4)

    assert CircuitState.CLOSED is client.breaker().state
    assert 1 == client.breaker().snapshot()["failures_in_a_row"]


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply.error(500), id="500"),
        pytest.param(Reply.error(504), id="504"),
        pytest.param(Reply(reset=True), id="reset"),
        pytest.param(Reply("Hi", cut=10), id="cut"),
        pytest.param(Reply(raw=b""), id="empty"),
        pytest.param(Reply(hang=True), id="silence"),
    ],
)
def test_a_failure_of_the_endpoint_counts(connect: Connect, server: FakeServer, reply: Reply) -> None:
    """Whether it says so or not."""
    server.always(reply)
    client = connect(retry=None, timeout=0.03, circuit_breaker=CircuitBreakerConfig(failure_threshold=2))

    fail(client, 2)

    assert CircuitState.OPEN is client.breaker().state


def test_a_stream_that_is_cut_counts_as_a_failure(connect: Connect, server: FakeServer) -> None:
    """Though it had begun."""
    server.always(Reply(events=[{"choices": [{"index": 0, "delta": {"content": "Hi"}}]}]))
    client = connect(retry=None, circuit_breaker=CircuitBreakerConfig(failure_threshold=2))

    fail(client, 2, "stream")

    assert CircuitState.OPEN is client.breaker().state


def test_a_stream_that_is_left_counts_as_a_success_once_it_has_content(connect: Connect, server: FakeServer) -> None:
    """The endpoint has shown that it works."""
    server.enqueue(Reply.error(503), Reply("Good morning to you", stall_after=3))
    client = connect(retry=None, circuit_breaker=CircuitBreakerConfig(failure_threshold=2))
    fail(client)

    with client.stream("Say hi") as stream:
        next(stream)

    assert 0 == client.breaker().snapshot()["failures_in_a_row"]


def test_a_local_fault_says_nothing_of_the_endpoint(face: Any, connect: Connect) -> None:
    """No descriptor left here."""
    transport = face.double(TransportError("connect", "too many open files", local=True))
    client = connect(transport=transport, retry=None, circuit_breaker=CircuitBreakerConfig(failure_threshold=1))

    fail(client, 2)

    assert CircuitState.CLOSED is client.breaker().state


def test_a_connection_that_had_been_closed_says_nothing_of_the_endpoint(connect: Connect, server: FakeServer) -> None:
    """It only lay idle for too long."""
    server.enqueue(Reply("One", close_idle=True))
    client = connect(retry=None, circuit_breaker=CircuitBreakerConfig(failure_threshold=1))

    client.complete("Say one")
    client.complete("Say two")

    assert CircuitState.CLOSED is client.breaker().state


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_call_ends_when_the_breaker_opens_under_it(connect: Connect, server: FakeServer, operation: str) -> None:
    """With its last real error, which says why there was no further attempt; nothing is waited for first."""
    server.enqueue(Reply.error(503), Reply.error(503, retry_after=5))
    client = connect(retry=QUICK, circuit_breaker=CircuitBreakerConfig(failure_threshold=2))
    began = time.monotonic()

    with pytest.raises(OverloadedError) as caught:
        OPERATIONS[operation](client)

    assert time.monotonic() - began < 2
    assert caught.value.circuit_open
    assert 2 == server.hits == len(caught.value.attempts)
    assert "circuit breaker" in str(caught.value)


def test_without_a_breaker_nothing_is_refused(connect: Connect, server: FakeServer) -> None:
    """circuit_breaker=None switches it off."""
    server.always(Reply.error(503))
    client = connect(retry=None, circuit_breaker=None)

    for _ in range(7):
        with pytest.raises(OverloadedError):
            client.complete("Say hi")

    assert 7 == server.hits
    assert client.breaker() is None
    assert "off" == client.check().breaker


def test_every_model_has_its_own(connect: Connect, server: FakeServer) -> None:
    """One that is overloaded does not shut out the others."""
    server.always(lambda request: Reply.error(500) if request.json["model"] == "gpt-4o" else Reply())
    client = connect(retry=None, circuit_breaker=CircuitBreakerConfig(failure_threshold=1))
    with pytest.raises(InternalError):
        client.complete("Say hi", model="gpt-4o")

    reply = client.complete("Say hi")

    assert "You said: Say hi" == reply.text
    assert CircuitState.OPEN is client.breaker("gpt-4o").state
    assert CircuitState.CLOSED is client.breaker().state


def test_the_report_shows_its_state(connect: Connect, server: FakeServer) -> None:
    """A check of an endpoint that is being left alone fails fast, and says so."""
    server.always(Reply.error(503))
    client = connect(retry=None, circuit_breaker=CircuitBreakerConfig(failure_threshold=1))
    fail(client)

    report = client.check()

    assert (False, "circuit_open", "open") == (report.ok, report.kind, report.breaker)
    assert 1 == server.hits


def test_a_time_out_frees_the_place_of_the_probe(connect: Connect, server: FakeServer) -> None:
    """Silence is a failure, and no lease is lost with it."""
    server.enqueue(Reply.error(503), Reply(hang=True))
    client = connect(retry=None, timeout=0.03, circuit_breaker=CircuitBreakerConfig(failure_threshold=1, reset_time=SOON))
    fail(client)
    wait_until_half_open(client)
    with pytest.raises(RequestTimeoutError):
        client.complete("Say hi")
    wait_until_half_open(client)

    assert "You said: Say hi" == client.complete("Say hi").text

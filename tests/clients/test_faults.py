"""
The table of failures, on real sockets, in every wire and through both faces.

For each failure: its kind, how often the same target is asked, what becomes of the key, whether a fallback takes over, and what the
breaker makes of it. What only one wire says is tested with its dialect.
"""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme

from llmkit import (
    AllProvidersFailedError,
    APIKeyPool,
    ErrorCategory,
    FinishReason,
    LLMKitError,
    RetryConfig,
    StreamInterruptedError,
    Target,
)
from llmkit.testing import FakeServer, Reply
from llmkit.testing.aws import ACCESS_KEY_ID, SECRET_ACCESS_KEY

QUICK = RetryConfig(max_retries=2, base_delay=0.001, max_delay=0.002)
FIRST, SECOND = "sk-first-0123456789", "sk-second-0123456789"


class Wire(NamedTuple):
    """A way to speak, and what its client needs beside an address."""

    model: str
    provider: str
    options: dict[str, str] = {}  # noqa: RUF012 - never changed
    has_keys: bool = True


AWS = {"region": "us-east-1", "access_key_id": ACCESS_KEY_ID, "secret_access_key": SECRET_ACCESS_KEY}

WIRES = {
    "openai": Wire("openai/gpt-4o-mini", "openai"),
    "responses": Wire("openai-responses/gpt-5", "openai-responses"),
    "anthropic": Wire("anthropic/claude-sonnet-4-5", "anthropic"),
    "gemini": Wire("google/gemini-2.5-flash", "google"),
    "converse": Wire("bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0", "bedrock", {"region": "us-east-1"}),
    "invoke": Wire("bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0", "bedrock", {"region": "us-east-1", "api": "invoke"}),
    "cohere": Wire("cohere/command-a-03-2025", "cohere"),
    "ollama": Wire("ollama/qwen3", "ollama"),
    "sagemaker": Wire("sagemaker/my-endpoint", "sagemaker", AWS, has_keys=False),
}

OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "complete": lambda client: client.complete("Say hi"),
    "stream": lambda client: client.stream("Say hi").collect(),
}


@pytest.fixture(params=WIRES)
def wire(request: pytest.FixtureRequest) -> Wire:
    """Each test that asks for a wire runs once in each."""
    return WIRES[request.param]


@pytest.fixture
def client_of(face: Any, server: FakeServer) -> Iterator[Callable[..., Any]]:
    """Return a maker of clients that speak a wire to the fake server."""
    made: list[Any] = []

    def make(wire: Wire, **settings: Any) -> Any:
        if wire.has_keys:
            settings.setdefault("api_keys", [FIRST])
        terms = {"base_url": server.url(wire.provider), "options": wire.options or None, "retry": QUICK, "timeout": 5, **settings}
        made.append(face.client(wire.model, **terms))
        return made[-1]

    yield make
    for client in made:
        client.close()


class Row(NamedTuple):
    """One line of the table."""

    reply: Reply
    kind: str
    requests: int  # that the same target sees, with two retries
    falls_back: bool
    counts: bool  # against the endpoint
    category: ErrorCategory


_C = ErrorCategory


def status(number: int, kind: str, requests: int, *, falls_back: bool, counts: bool, category: ErrorCategory, **facts: Any) -> Any:
    return pytest.param(Row(Reply.error(number, **facts), kind, requests, falls_back, counts, category), id=str(number))


STATUSES = [
    status(400, "bad_request", 1, falls_back=False, counts=False, category=_C.VALIDATION_ERROR, message="No."),
    status(401, "auth", 1, falls_back=True, counts=False, category=_C.AUTHENTICATION_ERROR),
    status(402, "quota", 1, falls_back=True, counts=False, category=_C.RATE_LIMIT_ERROR),
    status(403, "permission", 1, falls_back=True, counts=False, category=_C.PERMISSION_ERROR),
    status(404, "not_found", 1, falls_back=True, counts=False, category=_C.NOT_FOUND_ERROR),
    status(405, "bad_request", 1, falls_back=False, counts=False, category=_C.VALIDATION_ERROR),
    status(408, "timeout", 3, falls_back=True, counts=True, category=_C.TIMEOUT_ERROR),
    status(409, "conflict", 3, falls_back=False, counts=False, category=_C.TEMPORARY_ERROR),
    status(413, "request_too_large", 1, falls_back=True, counts=False, category=_C.VALIDATION_ERROR),
    status(421, "connection_lost", 2, falls_back=True, counts=False, category=_C.NETWORK_ERROR),
    status(422, "bad_request", 1, falls_back=False, counts=False, category=_C.VALIDATION_ERROR),
    status(425, "conflict", 3, falls_back=True, counts=False, category=_C.TEMPORARY_ERROR),
    status(429, "rate_limit", 3, falls_back=True, counts=False, category=_C.RATE_LIMIT_ERROR, headers={"retry-after-ms": "1"}),
    status(451, "permission", 1, falls_back=True, counts=False, category=_C.PERMISSION_ERROR),
    status(500, "server", 3, falls_back=True, counts=True, category=_C.INTERNAL_ERROR),
    status(501, "server", 1, falls_back=True, counts=False, category=_C.INTERNAL_ERROR),
    status(502, "server", 3, falls_back=True, counts=True, category=_C.INTERNAL_ERROR),
    status(503, "server", 3, falls_back=True, counts=True, category=_C.INTERNAL_ERROR, message="Down."),
    status(504, "timeout", 3, falls_back=True, counts=True, category=_C.TIMEOUT_ERROR),
    status(505, "server", 1, falls_back=False, counts=False, category=_C.INTERNAL_ERROR),
    status(520, "server", 3, falls_back=True, counts=True, category=_C.INTERNAL_ERROR),
    status(524, "timeout", 3, falls_back=True, counts=True, category=_C.TIMEOUT_ERROR),
    status(529, "overloaded", 3, falls_back=True, counts=True, category=_C.TEMPORARY_ERROR),
    status(599, "server", 3, falls_back=True, counts=True, category=_C.INTERNAL_ERROR),
]


def fault(label: str, reply: Reply, kind: str, requests: int, *, falls_back: bool, counts: bool, category: ErrorCategory) -> Any:
    return pytest.param(Row(reply, kind, requests, falls_back, counts, category), id=label)


def bytes_of(*lines: bytes, body: bytes = b"") -> Reply:
    return Reply(garbage=b"\r\n".join([b"HTTP/1.1 200 OK", *lines]) + b"\r\n\r\n" + body)


FAULTS = [
    fault("redirect", Reply(status=307, headers={"location": "/x"}), "redirect", 1,
          falls_back=False, counts=False, category=_C.NETWORK_ERROR),
    fault("reset", Reply(reset=True), "connection_lost", 3, falls_back=True, counts=True, category=_C.NETWORK_ERROR),
    fault("no-answer", Reply(cut_head=0), "connection_lost", 3, falls_back=True, counts=True, category=_C.NETWORK_ERROR),
    fault("cut-head", Reply(cut_head=20), "truncated", 3, falls_back=True, counts=True, category=_C.NETWORK_ERROR),
    fault("cut-body", Reply(cut=9), "truncated", 3, falls_back=True, counts=True, category=_C.NETWORK_ERROR),
    fault("reset-body", Reply(cut=9, reset=True), "truncated", 3, falls_back=True, counts=True, category=_C.NETWORK_ERROR),
    fault("not-http", Reply(garbage=b"220 mail ESMTP\r\n\r\n"), "protocol", 3, falls_back=True, counts=True, category=_C.NETWORK_ERROR),
    fault("two-lengths", bytes_of(b"content-length: 1", b"content-length: 2", body=b"ab"), "protocol", 1,
          falls_back=True, counts=True, category=_C.NETWORK_ERROR),
    fault("header-flood", bytes_of(*[b"x-%d: %s" % (n, b"y" * 1000) for n in range(100)]), "protocol", 1,
          falls_back=True, counts=True, category=_C.NETWORK_ERROR),
    fault("silent", Reply(hang=True), "read_timeout", 3, falls_back=True, counts=True, category=_C.TIMEOUT_ERROR),
]  # fmt: skip

WHOLE = [
    fault("empty", Reply(raw=b""), "malformed", 3, falls_back=True, counts=True, category=_C.INTERNAL_ERROR),
    fault("html", Reply(raw=b"<html>Hi</html>", content_type="text/html"), "malformed", 3,
          falls_back=True, counts=True, category=_C.INTERNAL_ERROR),
    fault("other-shape", Reply(raw=[1, 2]), "malformed", 3, falls_back=True, counts=True, category=_C.INTERNAL_ERROR),
    fault("too-large", bytes_of(b"content-length: 99999999999"), "response_too_large", 1,
          falls_back=False, counts=False, category=_C.VALIDATION_ERROR),
]  # fmt: skip


def failures_counted(client: Any) -> int:
    snapshot = client.breaker().snapshot()
    return int(snapshot["failures_in_a_row"])


def check_row(client: Any, server: FakeServer, row: Row, operation: str) -> None:
    with pytest.raises(LLMKitError) as caught:
        OPERATIONS[operation](client)

    error = caught.value
    assert (row.kind, row.category) == (error.kind, error.category)
    assert row.requests == server.hits == len(error.attempts)
    assert [row.kind] * row.requests == [attempt.error for attempt in error.attempts]
    assert (row.requests if row.counts else 0) == failures_counted(client)


@pytest.mark.parametrize("row", STATUSES)
def test_a_refusal_means_the_same_in_every_wire(client_of: Callable[..., Any], server: FakeServer, wire: Wire, row: Row) -> None:
    """In the body that each provider gives it."""
    server.always(row.reply)

    check_row(client_of(wire), server, row, "complete")


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("row", FAULTS)
def test_a_broken_reply_means_the_same_in_every_wire(
    client_of: Callable[..., Any], server: FakeServer, wire: Wire, row: Row, operation: str
) -> None:
    """Whole and streamed: nothing had come yet."""
    server.always(row.reply)

    check_row(client_of(wire, timeout=0.1 if row.reply.hang else 5), server, row, operation)


@pytest.mark.parametrize("reset", [False, True], ids=["cut", "reset"])
def test_a_stream_that_breaks_in_its_middle_is_never_sent_again(
    client_of: Callable[..., Any], server: FakeServer, wire: Wire, reset: bool
) -> None:
    """Not here, and not elsewhere: the consumer has read the beginning already."""
    words = [f"word{number} " for number in range(300)]
    server.always(Reply(chunks=words, cut=6_000, reset=reset))
    with FakeServer() as second:
        spare = Target("openai/gpt-4o-mini", base_url=second.url("openai"), api_key=SECOND)
        client = client_of(wire, fallbacks=[spare])
        with pytest.raises(StreamInterruptedError) as caught:
            list(client.stream("Say hi").text_iter())

        assert 0 == second.hits
    assert 1 == server.hits == len(caught.value.attempts)
    assert caught.value.partial is not None
    assert caught.value.partial.text
    assert "".join(words).startswith(caught.value.partial.text)
    assert caught.value.partial.finish_reason is not FinishReason.STOP
    assert 1 == failures_counted(client)


@pytest.mark.parametrize("row", WHOLE)
def test_a_body_that_is_no_answer_is_one_in_no_wire(client_of: Callable[..., Any], server: FakeServer, wire: Wire, row: Row) -> None:
    """However good its status."""
    server.always(row.reply)

    check_row(client_of(wire), server, row, "complete")


@pytest.mark.parametrize("row", [*STATUSES, *FAULTS, *WHOLE])
def test_a_fallback_takes_over_where_it_can_help(client_of: Callable[..., Any], server: FakeServer, row: Row) -> None:
    """And only there: a request that is wrong here is wrong there. (In one wire: it is the kind that decides.)"""
    server.always(row.reply)
    with FakeServer() as second:
        spare = Target("openai/gpt-4o-mini", base_url=second.url("openai"), api_key=SECOND)
        client = client_of(WIRES["anthropic"], fallbacks=[spare], timeout=0.1 if row.reply.hang else 5)

        if row.falls_back:
            assert "openai" == client.complete("Say hi").provider
        else:
            with pytest.raises(LLMKitError) as caught:
                client.complete("Say hi")
            assert not isinstance(caught.value, AllProvidersFailedError)
            assert 0 == second.hits


KEYED = {name: wire for name, wire in WIRES.items() if wire.has_keys}

ON_KEYS = [
    pytest.param(401, "ejected", "auth", id="auth"),
    pytest.param(402, "ejected", "quota", id="quota"),
    pytest.param(403, "ready", None, id="permission"),
    pytest.param(429, "cooling", None, id="rate-limit"),
    pytest.param(451, "ready", None, id="region"),
    pytest.param(500, "ready", None, id="server"),
]


@pytest.mark.parametrize("name", KEYED)
@pytest.mark.parametrize(("number", "state", "reason"), ON_KEYS)
def test_a_refusal_has_its_consequence_for_the_key(
    client_of: Callable[..., Any], server: FakeServer, name: str, number: int, state: str, reason: str | None
) -> None:
    """What the key is to blame for keeps it out; the other key answers, except where no key would help."""
    pool = APIKeyPool([FIRST, SECOND])
    server.enqueue(Reply.error(number, message="Not with this key."), key=FIRST)
    client = client_of(KEYED[name], api_keys=pool)

    if number == 451:
        with pytest.raises(LLMKitError):
            client.complete("Say hi")
    else:
        client.complete("Say hi")

    first, second = pool.snapshot()
    assert (state, reason) == (first["state"], first["reason"])
    assert (1 if number == 403 else 0) == len(first["denied_models"])
    assert "ready" == second["state"]
    assert [0, 0] == [first["leases"], second["leases"]]


def test_nobody_listening_is_the_same_in_every_wire(client_of: Callable[..., Any], server: FakeServer, wire: Wire) -> None:
    """Refused before a byte was sent."""
    client = client_of(wire)
    server.close()

    with pytest.raises(ConnectionError) as caught:
        client.complete("Say hi")

    assert isinstance(caught.value, LLMKitError)
    assert ["connect"] * 3 == [attempt.error for attempt in caught.value.attempts]
    assert not caught.value.maybe_billed
    assert 3 == failures_counted(client)


def test_a_certificate_that_cannot_be_trusted_is_not_tried_again(client_of: Callable[..., Any]) -> None:
    """It does not get better by itself, and is never overlooked; it counts against the endpoint."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with FakeServer(tls=context) as stranger:
        client = client_of(WIRES["openai"], base_url=stranger.url("openai"))

        with pytest.raises(ConnectionError) as caught:
            client.complete("Say hi")

    assert isinstance(caught.value, LLMKitError)
    assert ["tls"] == [attempt.error for attempt in caught.value.attempts]
    assert 1 == failures_counted(client)


def test_no_descriptor_left_is_not_the_endpoints_fault(
    client_of: Callable[..., Any], server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again, and says nothing of the endpoint."""
    client = client_of(WIRES["openai"])

    def exhausted(*_: Any, **__: Any) -> Any:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(socket.socket, "connect", exhausted)
        patched.setattr(socket.socket, "connect_ex", exhausted)
        patched.setattr("asyncio.base_events.BaseEventLoop.sock_connect", exhausted, raising=False)
        patched.setattr("asyncio.selector_events.BaseSelectorEventLoop.sock_connect", exhausted)
        with pytest.raises(ConnectionError) as caught:
            client.complete("Say hi")

    assert isinstance(caught.value, LLMKitError)
    assert ["connect"] * 3 == [attempt.error for attempt in caught.value.attempts]
    assert 0 == failures_counted(client)
    assert 0 == server.hits


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such limit")
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_first_failure_for_want_of_a_descriptor_is_told_and_tried_again(server: FakeServer, kind: str) -> None:
    """Nothing has to be read from a disk for that: no module is left to be imported."""
    done = subprocess.run(
        [sys.executable, "-c", EXHAUSTED, kind, server.url("openai")],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ("", "connect connect None Hello\n") == (done.stderr, done.stdout)


EXHAUSTED = """
import asyncio, os, resource, sys
from llmkit import Client, RetryConfig
from llmkit.resilience import backing
from llmkit_async import AsyncClient

kind, url = sys.argv[1:]
made = {"base_url": url, "api_key": "sk-test-01234", "retry": RetryConfig(max_retries=2, base_delay=0.001)}
held = []

def exhaust():
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    try:
        while True:
            held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass

waits = []

def counted(pause):
    def waited(details):
        waits.append(1)
        if len(waits) == 2:
            while held:
                os.close(held.pop())
        return pause(details)
    return waited

backing._pause, backing._apause = counted(backing._pause), counted(backing._apause)

async def main():
    client = AsyncClient("openai/gpt-4o-mini", **made)
    exhaust()
    return await client.complete("Say hi")

if kind == "async":
    reply = asyncio.run(main())
else:
    client = Client("openai/gpt-4o-mini", **made)
    exhaust()
    reply = client.complete("Say hi")
print(*(attempt.error for attempt in reply.attempts), "Hello" if reply.text else "")
"""

"""What is sent again, how often, when, and what is not: RFC 9110 for the hints, and the providers' own words for the rest."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest
from attrs import evolve

import llmkit
from llmkit import (
    AuthenticationError,
    ContentFilterError,
    ContextWindowExceededError,
    DeadlineExceededError,
    InternalError,
    InvalidRequestError,
    MalformedResponseError,
    ModelNotFoundError,
    NetworkError,
    OverloadedError,
    PermissionDeniedError,
    ProviderError,
    QuotaExceededError,
    RateLimitError,
    RequestTimeoutError,
    RetryConfig,
    StreamInterruptedError,
    TransportError,
)
from llmkit.testing import FakeServer, Reply

Connect = Callable[..., Any]

QUICK = RetryConfig(max_retries=2, base_delay=0.001, max_delay=0.002)

OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "complete": lambda client: client.complete("Say hi"),
    "stream": lambda client: client.stream("Say hi").collect(),
    "models": lambda client: client.models(),
    "check": lambda client: client.check(),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_outage_is_asked_once_more_than_there_are_retries(connect: Connect, server: FakeServer, operation: str) -> None:
    """No layer below retries: the server sees max_retries + 1 requests, whatever was called."""
    server.always(Reply.error(503))
    client = connect(retry=QUICK)

    if operation == "check":
        report = client.check()
        assert "overloaded" == report.kind
        assert 3 == len(report.attempts)
    else:
        with pytest.raises(OverloadedError) as caught:
            OPERATIONS[operation](client)
        assert 3 == len(caught.value.attempts)

    assert 3 == server.hits


@pytest.mark.parametrize("operation", OPERATIONS)
def test_without_retries_there_is_one_request(connect: Connect, server: FakeServer, operation: str) -> None:
    """retry=None switches them off."""
    server.always(Reply.error(503))
    client = connect(retry=None)

    if operation == "check":
        client.check()
    else:
        with pytest.raises(OverloadedError):
            OPERATIONS[operation](client)

    assert 1 == server.hits


def test_a_bad_moment_is_lived_through(connect: Connect, server: FakeServer) -> None:
    """Two failures and an answer are an answer."""
    server.enqueue(Reply.error(503), Reply.error(500))

    reply = connect(retry=QUICK).complete("Say hi")

    assert "You said: Say hi" == reply.text
    assert 3 == server.hits


def again(reply: Reply, kind: str, error: type[Exception]) -> Any:
    return pytest.param(reply, kind, error, 3, id=f"{kind}-{reply.status}")


def final(reply: Reply, kind: str, error: type[Exception], label: str = "") -> Any:
    return pytest.param(reply, kind, error, 1, id=f"{kind}-{reply.status}{label}")


REFUSALS = [
    final(Reply.error(429, code="insufficient_quota"), "quota", QuotaExceededError),
    final(Reply.error(402), "quota", QuotaExceededError),
    final(Reply.error(401), "auth", AuthenticationError),
    final(Reply.error(403), "permission", PermissionDeniedError),
    final(Reply.error(451), "permission", PermissionDeniedError),
    final(Reply.error(400, code="context_length_exceeded"), "context_length", ContextWindowExceededError),
    final(Reply.error(400, code="content_filter"), "content_filter", ContentFilterError),
    final(Reply.error(400), "bad_request", InvalidRequestError),
    final(Reply.error(404), "not_found", ModelNotFoundError),
    final(Reply.error(405), "bad_request", InvalidRequestError),
    final(Reply.error(413), "request_too_large", InvalidRequestError),
    final(Reply.error(422), "bad_request", InvalidRequestError),
    final(Reply.error(501), "server", InternalError),
    final(Reply.error(505), "server", InternalError),
    final(Reply(status=307, headers={"location": "/elsewhere"}), "redirect", NetworkError),
    again(Reply.error(408), "timeout", RequestTimeoutError),
    again(Reply.error(504), "timeout", RequestTimeoutError),
    again(Reply.error(524), "timeout", RequestTimeoutError),
    again(Reply.error(409), "conflict", InternalError),
    again(Reply.error(425), "conflict", InternalError),
    again(Reply.error(429, message="Slow down."), "rate_limit", RateLimitError),
    again(Reply.error(503), "overloaded", OverloadedError),
    again(Reply.error(529), "overloaded", OverloadedError),
    again(Reply.error(500), "server", InternalError),
    again(Reply.error(502), "server", InternalError),
    again(Reply.error(503, message="Down."), "server", InternalError),
    again(Reply.error(520), "server", InternalError),
    again(Reply.error(599), "server", InternalError),
]


@pytest.mark.parametrize("operation", ["complete", "stream"])
@pytest.mark.parametrize(("reply", "kind", "error", "requests"), REFUSALS)
def test_a_refusal_is_retried_only_if_that_can_help(
    connect: Connect, server: FakeServer, operation: str, reply: Reply, kind: str, error: type[Exception], requests: int
) -> None:
    """One row for each line of the table."""
    server.always(reply)
    client = connect(retry=QUICK, circuit_breaker=None)

    with pytest.raises(error) as caught:
        OPERATIONS[operation](client)

    assert isinstance(caught.value, ProviderError)
    assert type(caught.value) is error
    assert kind == caught.value.kind
    assert reply.status == caught.value.status_code
    assert requests == server.hits == len(caught.value.attempts)
    assert ("openai", "gpt-4o-mini") == (caught.value.provider, caught.value.model)
    assert server.origin == caught.value.endpoint


FAULTS = [
    pytest.param(Reply(raw=b""), "malformed", MalformedResponseError, 3, id="empty"),
    pytest.param(Reply(raw=b"<html>Hello</html>", content_type="text/html"), "malformed", MalformedResponseError, 3, id="html"),
    pytest.param(Reply(raw=b'{"choices": [{"mess'), "malformed", MalformedResponseError, 3, id="cut-json"),
    pytest.param(Reply(raw=b'{"choices": [{"message": NaN}]}'), "malformed", MalformedResponseError, 3, id="nan"),
    pytest.param(Reply(raw={"id": "x"}), "malformed", MalformedResponseError, 3, id="shape"),
    pytest.param(Reply("Hello", cut=20), "truncated", MalformedResponseError, 3, id="cut-body"),
    pytest.param(Reply("Hello", cut=20, reset=True), "truncated", MalformedResponseError, 3, id="reset-body"),
    pytest.param(Reply("Hello", cut_head=20), "truncated", MalformedResponseError, 3, id="cut-head"),
    pytest.param(Reply("Hello", cut_head=0), "connection_lost", NetworkError, 3, id="no-answer"),
    pytest.param(Reply(reset=True), "connection_lost", NetworkError, 3, id="reset"),
    pytest.param(Reply(hang=True), "read_timeout", RequestTimeoutError, 3, id="silence"),
    pytest.param(Reply(garbage=b"220 mail.example.com ESMTP\r\n\r\n"), "protocol", MalformedResponseError, 3, id="not-http"),
    pytest.param(
        Reply("Hello", content_encoding="gzip", truncate_gzip=True), "truncated", MalformedResponseError, 3, id="cut-gzip"
    ),
    pytest.param(
        Reply(raw={"error": {"message": "Overloaded.", "code": 503, "type": "overloaded_error"}}), "overloaded", OverloadedError, 3,
        id="error-in-200",
    ),
    pytest.param(
        Reply(raw={"error": {"message": "No credit.", "code": "insufficient_quota"}}), "quota", QuotaExceededError, 1, id="quota-in-200"
    ),
]  # fmt: skip


@pytest.mark.parametrize(("reply", "kind", "error", "requests"), FAULTS)
def test_a_reply_that_is_no_answer_is_retried(
    connect: Connect, server: FakeServer, reply: Reply, kind: str, error: type[Exception], requests: int
) -> None:
    """A good status proves nothing, and neither does a body that ends."""
    server.always(reply)
    client = connect(retry=QUICK, circuit_breaker=None, timeout=0.05 if reply.hang else 5)

    with pytest.raises(error) as caught:
        client.complete("Say hi")

    assert isinstance(caught.value, ProviderError)
    assert kind == caught.value.kind
    assert requests == server.hits == len(caught.value.attempts)


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply("Hello", cut=20), id="cut"),
        pytest.param(Reply("Hello", cut=20, reset=True), id="reset"),
        pytest.param(Reply("Hello", cut=0, framing="close"), id="close-framed"),
        pytest.param(Reply(events=()), id="empty"),
        pytest.param(Reply(events=[": ping\n\n", "data: {\"choices\": []}\n\n"]), id="no-content"),
    ],
)  # fmt: skip
def test_a_stream_that_ends_before_its_first_content_is_retried(connect: Connect, server: FakeServer, reply: Reply) -> None:
    """Nothing was given out yet, so nothing can be doubled."""
    server.enqueue(reply, reply)
    stream = connect(retry=QUICK, circuit_breaker=None).stream("Say hi")

    answer = stream.collect()

    assert "You said: Say hi" == answer.text
    assert ["truncated", "truncated", None] == [attempt.error for attempt in answer.attempts]
    assert 3 == server.hits


def test_a_stream_that_never_begins_is_an_interrupted_one(connect: Connect, server: FakeServer) -> None:
    """The error is the same with and without content: a stream that ended before its proof of completeness."""
    server.always(Reply(events=()))

    with pytest.raises(StreamInterruptedError) as caught:
        connect(retry=QUICK).stream("Say hi").collect()

    assert 3 == server.hits
    assert caught.value.partial is not None
    assert "" == caught.value.partial.text


FAILURES = [
    pytest.param(TransportError("dns", "try later"), "dns", 3, id="dns"),
    pytest.param(TransportError("dns", "no such name", fatal=True), "dns", 2, id="dns-unknown"),
    pytest.param(TransportError("connect", "refused"), "connect", 3, id="connect"),
    pytest.param(TransportError("connect", "no descriptor", local=True), "connect", 3, id="local"),
    pytest.param(TransportError("connect_timeout", "slow"), "connect_timeout", 3, id="connect-timeout"),
    pytest.param(TransportError("tls", "untrusted", fatal=True), "tls", 1, id="tls"),
    pytest.param(TransportError("proxy", "407", fatal=True), "proxy", 1, id="proxy"),
    pytest.param(TransportError("protocol", "two lengths", fatal=True), "protocol", 1, id="protocol-hostile"),
    pytest.param(TransportError("protocol", "no HTTP"), "protocol", 3, id="protocol"),
    pytest.param(TransportError("response_too_large", "65 MiB", fatal=True), "response_too_large", 1, id="too-large"),
]


@pytest.mark.parametrize("operation", ["complete", "stream"])
@pytest.mark.parametrize(("failure", "kind", "requests"), FAILURES)
def test_a_failure_of_the_network_is_retried_only_if_that_can_help(
    face: Any, connect: Connect, operation: str, failure: TransportError, kind: str, requests: int
) -> None:
    """A certificate does not get better by itself; a name that is not there is asked for once more."""
    transport = face.double(failure)
    client = connect(transport=transport, retry=QUICK, circuit_breaker=None)

    with pytest.raises(ProviderError) as caught:
        OPERATIONS[operation](client)

    assert kind == caught.value.kind
    assert requests == len(transport.requests) == len(caught.value.attempts)
    assert isinstance(caught.value, ConnectionError) or "protocol" == kind or "response_too_large" == kind


def test_a_misdirected_request_goes_out_once_more(connect: Connect, server: FakeServer) -> None:
    """421 says that the connection was the wrong one (RFC 9110, 15.5.20)."""
    server.always(Reply.error(421))

    with pytest.raises(NetworkError) as caught:
        connect(retry=QUICK).complete("Say hi")

    assert "connection_lost" == caught.value.kind
    assert 2 == server.hits


def test_nobody_listening_is_a_network_error(connect: Connect, server: FakeServer) -> None:
    """It is one for those who know only ``ConnectionError``, too."""
    client = connect(retry=QUICK)
    server.close()

    with pytest.raises(ConnectionError) as caught:
        client.complete("Say hi")

    assert isinstance(caught.value, NetworkError)
    assert "connect" == caught.value.kind
    assert ["connect"] * 3 == [attempt.error for attempt in caught.value.attempts]
    assert [None] * 3 == [attempt.status for attempt in caught.value.attempts]


def http_date(seconds: float, form: str) -> str:
    moment = datetime.now(timezone.utc) + timedelta(seconds=seconds)
    if form == "imf":
        return format_datetime(moment, usegmt=True)
    return moment.strftime("%A, %d-%b-%y %H:%M:%S GMT" if form == "rfc850" else "%a %b %e %H:%M:%S %Y")


HINTS = [
    pytest.param(lambda: Reply.error(429, retry_after=30), id="seconds"),
    pytest.param(lambda: Reply.error(429, retry_after="30.5"), id="fraction"),
    pytest.param(lambda: Reply.error(503, retry_after=http_date(30, "imf")), id="date"),
    pytest.param(lambda: Reply.error(503, retry_after=http_date(30, "rfc850")), id="date-rfc850"),
    pytest.param(lambda: Reply.error(503, retry_after=http_date(30, "asctime")), id="date-asctime"),
    pytest.param(lambda: Reply.error(429, headers={"retry-after-ms": "30000"}), id="ms"),
    pytest.param(lambda: Reply.error(429, headers={"x-ms-retry-after-ms": "30000"}), id="azure-ms"),
    pytest.param(
        lambda: Reply.error(429, headers={"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "30s"}), id="reset"
    ),
    pytest.param(lambda: Reply.error(429, message="Please retry after 30 seconds."), id="azure-text"),
    pytest.param(lambda: Reply.error(429, message="Rate limit. Please try again in 30.2s."), id="openai-text"),
    pytest.param(
        lambda: Reply.error(
            429, body={"error": {"code": 429, "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "30s"}]}}
        ),
        id="google",
    ),
]


@pytest.mark.parametrize("make", HINTS)
def test_a_wait_that_is_too_long_is_left_to_the_caller(connect: Connect, server: FakeServer, make: Callable[[], Reply]) -> None:
    """Whatever its spelling: beyond the cap the error comes at once, and says when to come back."""
    server.always(make())
    client = connect(retry=evolve(QUICK, retry_after_cap=20.0))

    with pytest.raises(ProviderError) as caught:
        client.complete("Say hi")

    assert caught.value.retry_after == pytest.approx(30, abs=2)
    assert 1 == server.hits


@pytest.mark.parametrize("headers", [{"retry-after": "0.04"}, {"retry-after-ms": "40"}])
def test_a_wait_that_was_asked_for_is_waited(connect: Connect, server: FakeServer, headers: dict[str, str]) -> None:
    """At least as long as was said, and at most a quarter longer."""
    server.enqueue(Reply.error(429, headers=headers))

    reply = connect(retry=QUICK).complete("Say hi")

    first, second = server.requests
    assert 0.04 <= second.at - first.at
    assert 0.04 <= reply.attempts[1].wait <= 0.05
    assert "rate_limit" == reply.attempts[1].why


@pytest.mark.parametrize("hint", ["soon", "-1", "nan", "1e9", "9" * 100, ""])
def test_a_hint_that_makes_no_sense_is_none(connect: Connect, server: FakeServer, hint: str) -> None:
    """Neither is it waited for, nor does it stand before the error it came with."""
    server.enqueue(Reply.error(503, retry_after=hint))

    reply = connect(retry=QUICK).complete("Say hi")

    assert 0.002 >= reply.attempts[1].wait


def test_a_hint_with_a_good_answer_means_nothing(connect: Connect, server: FakeServer) -> None:
    """Some routers send one with each reply."""
    server.enqueue(Reply("Hi", headers={"retry-after": "30"}))

    assert "Hi" == connect(retry=QUICK).complete("Say hi").text


def test_a_provider_may_forbid_a_retry(connect: Connect, server: FakeServer) -> None:
    """x-should-retry: false."""
    server.always(Reply.error(503, headers={"x-should-retry": "false"}))

    with pytest.raises(OverloadedError):
        connect(retry=QUICK).complete("Say hi")

    assert 1 == server.hits


def test_a_provider_may_ask_for_a_retry(connect: Connect, server: FakeServer) -> None:
    """x-should-retry: true, with a status that says nothing more."""
    server.enqueue(Reply.error(400, message="?", headers={"x-should-retry": "true"}))

    assert 2 == len(connect(retry=QUICK).complete("Say hi").attempts)


def test_an_empty_account_is_not_asked_again_whatever_the_provider_says(connect: Connect, server: FakeServer) -> None:
    """x-should-retry has no say where money is missing."""
    server.always(Reply.error(429, code="insufficient_quota", headers={"x-should-retry": "true"}))

    with pytest.raises(QuotaExceededError):
        connect(retry=QUICK).complete("Say hi")

    assert 1 == server.hits


def test_the_ledger_tells_what_happened(connect: Connect, server: FakeServer) -> None:
    """One row for each try, the good one too: when, where, with which key, how it ended, and why it was made."""
    server.enqueue(
        Reply.error(503, headers={"x-request-id": "req_1"}),
        Reply.error(429, retry_after="0.02", headers={"x-request-id": "req_2"}),
        Reply("Hi", request_id="req_3"),
    )
    before = time.time()

    reply = connect(retry=QUICK).complete("Say hi")

    rows = reply.attempts
    assert [1, 2, 3] == [row.number for row in rows]
    assert [503, 429, 200] == [row.status for row in rows]
    assert ["overloaded", "rate_limit", None] == [row.error for row in rows]
    assert ["req_1", "req_2", "req_3"] == [row.request_id for row in rows]
    assert [None, "overloaded", "rate_limit"] == [row.why for row in rows]
    assert 0.0 == rows[0].wait
    assert 0.02 <= rows[2].wait <= 0.025
    assert {server.origin} == {row.endpoint for row in rows}
    assert {("openai", "gpt-4o-mini")} == {(row.provider, row.model) for row in rows}
    assert {"key 1"} == {str(row.key).partition(" (")[0] for row in rows}
    assert rows[0].connect is not None
    assert [None, None] == [row.connect for row in rows[1:]]
    assert all(row.first_byte is not None and 0 < row.first_byte <= row.elapsed for row in rows)
    assert all(before - 1 <= row.at <= time.time() + 1 for row in rows)
    assert reply.elapsed >= sum(row.elapsed + row.wait for row in rows)


def test_the_ledger_of_a_stream_tells_the_same(connect: Connect, server: FakeServer) -> None:
    """The row of a stream is written at its end."""
    server.enqueue(Reply.error(503), Reply("Hi there", request_id="req_2"))

    reply = connect(retry=QUICK).stream("Say hi").collect()

    assert [(503, "overloaded"), (200, None)] == [(row.status, row.error) for row in reply.attempts]
    assert "req_2" == reply.attempts[1].request_id == reply.request_id
    assert all(row.first_byte is not None for row in reply.attempts)


def test_the_ledger_knows_how_far_a_failure_came(connect: Connect, server: FakeServer) -> None:
    """A connection that was made and then fell silent is told from one that was not made."""
    server.always(Reply(hang=True))

    with pytest.raises(RequestTimeoutError) as caught:
        connect(retry=None, timeout=0.05).complete("Say hi")

    (row,) = caught.value.attempts
    assert row.connect is not None
    assert row.first_byte is None


def test_an_error_tells_its_story(connect: Connect, server: FakeServer) -> None:
    """What happened, where, how often, and what to do."""
    server.always(Reply.error(503, message="Down for lunch.", headers={"x-request-id": "req_7"}))

    with pytest.raises(InternalError) as caught:
        connect(retry=QUICK).complete("Say hi")

    text = str(caught.value)
    for word in ("Down for lunch.", "503", server.origin, "gpt-4o-mini", "req_7", "3 attempts", caught.value.advice):
        assert word in text
    assert caught.value.retryable
    assert [503] * 3 == [row["status"] for row in caught.value.to_dict()["attempts"]]


def test_every_attempt_sends_the_same_bytes(connect: Connect, server: FakeServer) -> None:
    """The request is written once."""
    server.enqueue(Reply.error(503), Reply.error(503))

    connect(retry=QUICK).complete("Say hi", temperature=0.1, metadata={"b": "1", "a": "2"})

    assert 3 == server.hits
    assert 1 == len({request.body for request in server.requests})


def test_retries_are_paid_for(connect: Connect, server: FakeServer) -> None:
    """An outage is not multiplied: when the endpoint's quota is spent, calls fail with their first error, and say so."""
    server.always(Reply.error(503))
    client = connect(retry=RetryConfig(max_retries=7, base_delay=0), circuit_breaker=None)
    errors = []

    for _ in range(20):
        with pytest.raises(OverloadedError) as caught:
            client.complete("Say hi")
        errors.append(caught.value)

    assert 20 + 500 // 5 == server.hits
    assert not errors[0].retry_quota_exhausted
    assert errors[-1].retry_quota_exhausted
    assert 1 == len(errors[-1].attempts)
    assert "retry quota" in str(errors[-1])


def test_a_success_after_a_retry_gives_back_what_it_cost(connect: Connect, server: FakeServer) -> None:
    """Bad moments that pass never use up the quota."""
    client = connect(retry=RetryConfig(max_retries=1, base_delay=0), circuit_breaker=None)

    for _ in range(110):
        server.enqueue(Reply.error(503))
        client.complete("Say hi")

    assert 220 == server.hits


@pytest.mark.parametrize("operation", ["complete", "stream"])
@pytest.mark.parametrize("retry", [None, QUICK])
@pytest.mark.parametrize("reset", [False, True])
def test_a_kept_connection_that_was_gone_is_no_failure(
    connect: Connect, server: FakeServer, operation: str, retry: RetryConfig | None, reset: bool
) -> None:
    """Servers close idle connections without a word: the request goes out at once on a new one, and is not counted."""
    server.enqueue(Reply("One", close_idle=True, reset=reset))
    client = connect(retry=retry)
    client.complete("Say one")

    reply = OPERATIONS[operation](client)

    assert "You said: Say hi" == reply.text
    assert 1 == len(reply.attempts)
    assert 0.0 == reply.attempts[0].wait
    assert 2 == server.hits == server.connections


def test_only_one_kept_connection_is_excused(face: Any, connect: Connect) -> None:
    """The second loss in one call is a failure like any other."""
    transport = face.double(TransportError("connection_lost", "gone", reused=True))

    with pytest.raises(NetworkError) as caught:
        connect(transport=transport, retry=None).complete("Say hi")

    assert 2 == len(transport.requests)
    assert 1 == len(caught.value.attempts)


@pytest.mark.parametrize("operation", ["complete", "stream"])
def test_time_outs_are_left_to_the_caller_when_asked_for(connect: Connect, server: FakeServer, operation: str) -> None:
    """retry_timeouts=False: the provider may have answered, and charged, meanwhile."""
    server.always(Reply(hang=True))
    client = connect(retry=evolve(QUICK, retry_timeouts=False), timeout=0.05)

    with pytest.raises(RequestTimeoutError) as caught:
        OPERATIONS[operation](client)

    assert caught.value.maybe_billed
    assert isinstance(caught.value, TimeoutError)
    assert 1 == server.hits


def test_a_call_makes_as_many_attempts_as_were_asked_for(connect: Connect, server: FakeServer) -> None:
    """The bound on all attempts is for what multiplies, not for a number that the user gave."""
    server.always(Reply.error(503))
    client = connect(retry=RetryConfig(max_retries=12, base_delay=0), circuit_breaker=None)

    with pytest.raises(OverloadedError) as caught:
        client.complete("Say hi")

    assert 13 == server.hits == len(caught.value.attempts)


def test_many_keys_do_not_multiply_attempts(connect: Connect, server: FakeServer) -> None:
    """However many keys there are to go on with, a call ends after eight attempts."""
    server.always(Reply.error(429))
    client = connect(api_keys=[f"sk-test-{n:02}" for n in range(20)], retry=QUICK)

    with pytest.raises(RateLimitError) as caught:
        client.complete("Say hi")

    assert 8 == server.hits == len(caught.value.attempts)


def test_a_retry_is_logged_without_prompt_or_key(connect: Connect, server: FakeServer, caplog: pytest.LogCaptureFixture) -> None:
    """An operator sees that something is retried, and nothing that is not theirs to see."""
    server.enqueue(Reply.error(503, message="canary-text"), Reply.error(503))
    caplog.set_level(logging.DEBUG, logger="llmkit")

    connect(api_key="sk-canary-key-1", retry=QUICK).complete("canary-prompt")

    warned = [record for record in caplog.records if record.levelno == logging.WARNING and record.name.startswith("llmkit")]
    assert 2 == len(warned)
    assert "server" in warned[0].getMessage()
    assert "attempt 2" in warned[0].getMessage()
    assert "canary" not in caplog.text


@pytest.mark.parametrize("operation", ["complete", "stream"])
def test_no_wait_begins_that_the_deadline_would_cut(connect: Connect, server: FakeServer, operation: str) -> None:
    """The refusal is raised at once, as what it is, and not at the deadline."""
    server.always(Reply.error(503, retry_after=5))
    client = connect(retry=QUICK, deadline=2)
    began = time.monotonic()

    with pytest.raises(OverloadedError) as caught:
        OPERATIONS[operation](client)

    assert time.monotonic() - began < 1
    assert 5 == caught.value.retry_after
    assert 1 == server.hits


def test_an_ambient_deadline_bounds_the_retries(connect: Connect, server: FakeServer) -> None:
    """What holds for a block of code holds for the waits of each call in it."""
    server.always(Reply.error(503))
    client = connect(retry=RetryConfig(max_retries=5, base_delay=10, jitter=False))

    with llmkit.deadline(2), pytest.raises(OverloadedError) as caught:
        client.complete("Say hi")

    assert 1 == server.hits == len(caught.value.attempts)


def test_a_deadline_in_the_middle_of_a_retry_tells_of_the_failure_before(connect: Connect, server: FakeServer) -> None:
    """Its cause is the last real error."""
    server.enqueue(Reply.error(503, message="Down for lunch."), Reply(hang=True))

    with pytest.raises(DeadlineExceededError, match="Down for lunch") as caught:
        connect(retry=QUICK).complete("Say hi", deadline=0.15)

    assert isinstance(caught.value.original_error, InternalError)
    assert ["server", "deadline"] == [row.error for row in caught.value.attempts]

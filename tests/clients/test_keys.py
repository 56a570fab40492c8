"""Several keys behind one client: which is asked, which rests, and which is out."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from llmkit import (
    APIKeyPool,
    AuthenticationError,
    LLMKitError,
    NoAvailableKeyError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    RetryConfig,
)
from llmkit.testing import FakeServer, RecordedRequest, Reply

Connect = Callable[..., Any]

KEYS = ["sk-first-0001", "sk-second-0002", "sk-third-0003"]
QUICK = RetryConfig(max_retries=3, base_delay=0.001, max_delay=0.002)

OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "complete": lambda client: client.complete("Say hi"),
    "stream": lambda client: client.stream("Say hi").collect(),
}


def refusing(*keys: str, reply: Reply) -> Callable[[RecordedRequest], Reply]:
    """Return a script that refuses *keys* and answers the others."""
    return lambda request: reply if request.key in keys else Reply()


def asked(server: FakeServer) -> list[str | None]:
    return [request.key for request in server.requests]


def leases(pool: APIKeyPool) -> list[int]:
    return [row["leases"] for row in pool.snapshot()]


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        pytest.param(Reply.error(401), "auth", id="401"),
        pytest.param(Reply.error(429, code="insufficient_quota"), "quota", id="insufficient_quota"),
        pytest.param(Reply.error(402), "quota", id="402"),
    ],
)
def test_a_refused_key_is_retired_and_the_call_goes_on(
    connect: Connect, server: FakeServer, operation: str, refusal: Reply, kind: str
) -> None:
    """Another key answers at once; the refused one is asked once, in this call and in those that follow."""
    server.always(refusing(KEYS[0], reply=refusal))
    pool = APIKeyPool(KEYS)
    client = connect(api_keys=pool, retry=QUICK)

    reply = OPERATIONS[operation](client)
    for _ in range(6):
        OPERATIONS[operation](client)

    assert "You said: Say hi" == reply.text
    assert [(refusal.status, kind), (200, None)] == [(row.status, row.error) for row in reply.attempts]
    assert ["key 1", "key 2"] == [str(row.key).partition(" (")[0] for row in reply.attempts]
    assert 0.0 == reply.attempts[1].wait
    assert f"{kind}: another key" == reply.attempts[1].why
    assert 1 == asked(server).count(KEYS[0])
    assert ("ejected", kind) == (pool.snapshot()[0]["state"], pool.snapshot()[0]["reason"])
    assert [0, 0, 0] == leases(pool)


def test_a_limited_key_rests_and_another_answers_at_once(connect: Connect, server: FakeServer) -> None:
    """However long the provider asks to wait: it asks so of one key."""
    server.always(refusing(KEYS[0], reply=Reply.error(429, retry_after=3600)))
    pool = APIKeyPool(KEYS)
    client = connect(api_keys=pool, retry=QUICK)

    reply = client.complete("Say hi")
    client.complete("Say hi")

    assert ["rate_limit", None] == [row.error for row in reply.attempts]
    assert 0.0 == reply.attempts[1].wait
    assert KEYS == asked(server)
    assert "cooling" == pool.snapshot()[0]["state"]
    assert 3590 < pool.snapshot()[0]["retry_after"] <= 3600


def test_when_all_keys_are_refused_the_last_refusal_is_raised(connect: Connect, server: FakeServer) -> None:
    """Each was asked once; the next call does not even ask, and says why, by label."""
    server.always(Reply.error(401))
    client = connect(api_keys=KEYS, retry=QUICK)

    with pytest.raises(AuthenticationError) as caught:
        client.complete("Say hi")
    with pytest.raises(NoAvailableKeyError) as after:
        client.complete("Say hi")

    assert KEYS == asked(server)
    assert ["auth"] * 3 == [row.error for row in caught.value.attempts]
    assert 3 == len(after.value.reasons)
    assert all("was refused" in reason for reason in after.value.reasons.values())
    assert after.value.retry_after == pytest.approx(300, abs=5)
    assert server.origin == after.value.endpoint
    assert not any(key in str(after.value) for key in KEYS)


def test_when_all_keys_rest_the_first_to_come_back_is_waited_for(connect: Connect, server: FakeServer) -> None:
    """If that is soon enough."""
    server.enqueue(*[Reply.error(429, retry_after="0.05")] * 3)
    client = connect(api_keys=KEYS, retry=QUICK)

    reply = client.complete("Say hi")

    assert [429, 429, 429, 200] == [row.status for row in reply.attempts]
    assert [0.0, 0.0] == [row.wait for row in reply.attempts[1:3]]
    assert 0.05 <= reply.attempts[3].wait <= 0.07
    assert 4 == server.hits


def test_a_call_that_finds_all_keys_resting_waits_for_the_first(connect: Connect, server: FakeServer) -> None:
    """The wait is in the ledger, though nothing was sent before it."""
    server.enqueue(Reply.error(429, retry_after="0.06"), Reply.error(429, retry_after="0.2"))
    client = connect(api_keys=KEYS[:2], retry=RetryConfig(max_retries=1, retry_after_cap=0.1))
    with pytest.raises(RateLimitError):
        client.complete("Say hi")

    reply = client.complete("Say hi")

    (row,) = reply.attempts
    assert 0.0 < row.wait <= 0.06
    assert "every key was resting" == row.why
    assert KEYS[0] == asked(server)[-1]


def test_a_key_that_comes_back_soon_is_waited_for_though_the_other_was_refused(connect: Connect, server: FakeServer) -> None:
    """A refused key ends the call only where no other can be had in time."""
    server.enqueue(Reply.error(429, retry_after="0.05"), Reply.error(401))
    client = connect(api_keys=KEYS[:2], retry=QUICK)

    reply = client.complete("Say hi")

    assert [429, 401, 200] == [row.status for row in reply.attempts]
    assert [KEYS[0], KEYS[1], KEYS[0]] == asked(server)


def test_keys_that_rest_too_long_are_not_waited_for(connect: Connect, server: FakeServer) -> None:
    """The refusal is raised at once, and so is the next call's, without a request."""
    server.always(Reply.error(429, retry_after=300))
    client = connect(api_keys=KEYS, retry=QUICK)
    began = time.monotonic()

    with pytest.raises(RateLimitError) as caught:
        client.complete("Say hi")
    with pytest.raises(NoAvailableKeyError) as after:
        client.complete("Say hi")

    assert time.monotonic() - began < 2
    assert 300 == caught.value.retry_after
    assert 3 == server.hits
    assert 290 < (after.value.retry_after or 0) <= 300
    assert () == after.value.attempts
    assert all("rests" in reason for reason in after.value.reasons.values())


def test_keys_that_rest_beyond_the_deadline_are_not_waited_for(connect: Connect, server: FakeServer) -> None:
    """Nor is the deadline sat out."""
    server.always(Reply.error(429, retry_after=5))
    client = connect(api_keys=KEYS, retry=QUICK)
    with pytest.raises(RateLimitError):
        client.complete("Say hi", deadline=2)
    began = time.monotonic()

    with pytest.raises(NoAvailableKeyError):
        client.complete("Say hi", deadline=2)

    assert time.monotonic() - began < 1


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        (Reply.error(401), AuthenticationError),
        (Reply.error(402), QuotaExceededError),
        (Reply.error(403, message="Not your model."), PermissionDeniedError),
    ],
)
def test_the_only_key_is_never_locked_out(connect: Connect, server: FakeServer, refusal: Reply, error: type[Exception]) -> None:
    """Nothing could take its place, and only asking shows whether it works again."""
    server.enqueue(refusal)
    client = connect(api_key=KEYS[0], retry=QUICK)
    with pytest.raises(error):
        client.complete("Say hi")

    reply = client.complete("Say hi")

    assert "You said: Say hi" == reply.text
    assert 2 == server.hits


def test_a_key_that_may_not_use_a_model_is_left_out_for_that_model(connect: Connect, server: FakeServer) -> None:
    """For others it is as good as before."""

    def script(request: RecordedRequest) -> Reply:
        denied = request.key == KEYS[0] and request.json["model"] == "gpt-4o"
        return Reply.error(403, code="model_not_found", message="Your project has no access to gpt-4o.") if denied else Reply()

    server.always(script)
    pool = APIKeyPool(KEYS[:2])
    client = connect("openai/gpt-4o", api_keys=pool, retry=QUICK)

    reply = client.complete("Say hi")
    for _ in range(4):
        client.complete("Say hi")
    seen = len(server.requests)
    for _ in range(4):
        client.complete("Say hi", model="gpt-4o-mini")

    assert ["permission", None] == [row.error for row in reply.attempts]
    assert 1 == asked(server)[:seen].count(KEYS[0])
    assert 2 == asked(server)[seen:].count(KEYS[0])
    assert ["gpt-4o"] == pool.snapshot()[0]["denied_models"]


def test_a_key_that_was_denied_a_model_is_tried_again_and_comes_back(connect: Connect, server: FakeServer) -> None:
    """Permissions get granted: after a while one call tries, and its success counts."""
    now = 0.0
    pool = APIKeyPool(KEYS[:2], clock=lambda: now)
    client = connect("openai/gpt-4o", api_keys=pool, retry=QUICK)
    server.enqueue(Reply.error(403, message="Your project has no access to gpt-4o."))
    client.complete("Say hi")
    now = 301.0

    for _ in range(3):
        client.complete("Say hi")

    assert [KEYS[0], KEYS[1], KEYS[0], KEYS[1], KEYS[0]] == asked(server)
    assert [] == pool.snapshot()[0]["denied_models"]


def test_what_hits_every_key_does_not_empty_the_pool(connect: Connect, server: FakeServer) -> None:
    """A country that is not served is refused with each key alike."""
    server.always(Reply.error(403))
    pool = APIKeyPool(KEYS)

    with pytest.raises(PermissionDeniedError):
        connect(api_keys=pool, retry=QUICK).complete("Say hi")

    assert 1 == server.hits
    assert ["ready"] * 3 == [row["state"] for row in pool.snapshot()]


def test_an_outage_is_not_the_keys_fault(connect: Connect, server: FakeServer) -> None:
    """All of them stay usable."""
    server.enqueue(Reply.error(503), Reply.error(500), Reply(reset=True))
    pool = APIKeyPool(KEYS)

    connect(api_keys=pool, retry=QUICK).complete("Say hi")

    assert ["ready"] * 3 == [row["state"] for row in pool.snapshot()]


def test_calls_are_spread_over_the_keys(connect: Connect, server: FakeServer) -> None:
    """The one used longest ago is next."""
    client = connect(api_keys=KEYS)

    for _ in range(6):
        client.complete("Say hi")

    assert KEYS * 2 == asked(server)


def test_an_open_stream_counts_as_load(connect: Connect, server: FakeServer) -> None:
    """Its key is the last to be taken."""
    server.enqueue(Reply("Hi to all of you", stall_after=2))
    pool = APIKeyPool(KEYS[:2])
    client = connect(api_keys=pool)

    with client.stream("Say hi") as stream:
        next(stream)
        client.complete("Say hi")
        client.complete("Say hi")
        held = leases(pool)

    assert [KEYS[0], KEYS[1], KEYS[1]] == asked(server)
    assert [1, 0] == held
    assert [0, 0] == leases(pool)


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(), id="success"),
        pytest.param(Reply.error(400), id="refused"),
        pytest.param(Reply.error(503), id="failed"),
        pytest.param(Reply(reset=True), id="lost"),
        pytest.param(Reply("Hi", cut=10), id="cut"),
        pytest.param(Reply(raw=b"<html>"), id="malformed"),
    ],
)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_key_comes_back(connect: Connect, server: FakeServer, reply: Reply, operation: str) -> None:
    """Whatever became of the call."""
    server.always(reply)
    pool = APIKeyPool(KEYS)
    client = connect(api_keys=pool, retry=QUICK, circuit_breaker=None)

    with suppress(LLMKitError):  # which one it is, is tested elsewhere
        OPERATIONS[operation](client)

    assert [0, 0, 0] == leases(pool)


def test_without_retries_a_refused_key_ends_its_call_only(connect: Connect, server: FakeServer) -> None:
    """The next call takes another."""
    server.always(refusing(KEYS[0], reply=Reply.error(401)))
    client = connect(api_keys=KEYS[:2], retry=None)

    with pytest.raises(AuthenticationError):
        client.complete("Say hi")
    client.complete("Say hi")
    client.complete("Say hi")

    assert [KEYS[0], KEYS[1], KEYS[1]] == asked(server)


def test_a_pool_may_serve_several_clients(connect: Connect, server: FakeServer) -> None:
    """What one finds out about a key, the others know."""
    server.always(refusing(KEYS[0], reply=Reply.error(401)))
    pool = APIKeyPool(KEYS[:2])

    connect(api_keys=pool, retry=QUICK).complete("Say hi")
    connect(api_keys=pool, retry=QUICK).complete("Say hi")

    assert [KEYS[0], KEYS[1], KEYS[1]] == asked(server)


def test_a_key_never_goes_to_another_provider(connect: Connect, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model of another provider needs that provider's own key, and goes to its own address."""
    monkeypatch.setenv("GROQ_API_KEY", "gsk-groq-0001")
    monkeypatch.setenv("GROQ_BASE_URL", server.url("groq"))
    client = connect(api_keys=KEYS, retry=None)

    client.complete("Say hi", model="groq/llama-3.3-70b-versatile")

    assert ["gsk-groq-0001"] == asked(server)
    assert "groq" == server.requests[0].provider


def test_the_report_shows_how_each_key_stands(connect: Connect, server: FakeServer) -> None:
    """By label."""
    server.always(refusing(KEYS[0], reply=Reply.error(401)))
    client = connect(api_keys=KEYS[:2], retry=QUICK)

    report = client.check()

    assert report.ok
    assert ["ejected", "ready"] == [state.split()[0].strip(",:") for state in report.keys.values()]
    assert ["auth", None] == [row.error for row in report.attempts]

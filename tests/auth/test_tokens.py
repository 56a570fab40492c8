"""Tokens that are given, and those that are fetched, kept, renewed in time and once for all threads."""

from __future__ import annotations

import logging
import os
import pickle
import threading
from typing import Any

import pytest

from llmkit.auth.base import RenewableAuth
from llmkit.auth.tokens import LAST_SECONDS, PATIENCE, GivenToken, Grant, RenewedToken, bearer, sent_token
from llmkit.errors import AuthenticationError, ConfigurationError, NetworkError
from llmkit.transport.base import HttpRequest

REQUEST = HttpRequest(method="POST", url="https://h/x")
LIFE, MARGIN = 3600.0, 300.0


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Source:
    """Tokens with numbers, or what a test wants to go wrong."""

    name = "The source"

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.asked: list[bool] = []
        self.failure: Exception | None = None
        self.life = LIFE
        self.gate = threading.Event()
        self.gate.set()

    def get(self, *, anew: bool) -> Grant:
        self.asked.append(anew)
        assert self.gate.wait(5)
        if self.failure is not None:
            raise self.failure
        return Grant(token=f"canary-{len(self.asked)}", expires=self.clock() + self.life, margin=min(MARGIN, self.life / 2))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def source(clock: Clock) -> Source:
    return Source(clock)


@pytest.fixture
def auth(source: Source, clock: Clock) -> RenewedToken:
    return RenewedToken(source, clock=clock)


def sent(auth: Any) -> str:
    return sent_token(auth.headers(REQUEST, None))


# -- given tokens


def test_a_given_token_is_sent_as_it_is() -> None:
    """There is no other, so its refusal is final."""
    auth = GivenToken("canary", "Google's")

    assert {"Authorization": "Bearer canary"} == auth.headers(REQUEST, None)
    assert not auth.refused({"Authorization": "Bearer canary"})
    assert (False, True) == (auth.needs_key, auth.is_fresh)
    assert isinstance(auth, RenewableAuth)


def test_a_function_is_asked_for_each_attempt() -> None:
    """It knows when its token expires; after a refusal it is asked once more."""
    tokens = iter(["a", "b"])
    auth = GivenToken(lambda: next(tokens), "Google's")

    first, second = sent(auth), sent(auth)

    assert ("a", "b") == (first, second)
    assert auth.refused(bearer("a"))


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "ключ"])
def test_a_token_that_would_break_its_header_is_refused(token: str) -> None:
    """Without quoting it, and saying whose it is."""
    with pytest.raises(ConfigurationError, match="Google's") as first:
        GivenToken(token, "Google's")
    with pytest.raises(ConfigurationError, match="Google's") as second:
        sent(GivenToken(lambda: token, "Google's"))

    assert not token or token not in str(first.value) + str(second.value)


@pytest.mark.parametrize("token", [7, b"canary", None])
def test_what_is_no_token_is_refused(token: Any) -> None:
    """By its type."""
    with pytest.raises(ConfigurationError, match=type(token).__name__):
        GivenToken(token, "Google's")


# -- renewed tokens


def test_a_token_is_fetched_when_it_is_needed(auth: RenewedToken, source: Source) -> None:
    """And then kept."""
    before = (auth.is_fresh, len(source.asked))

    tokens = [sent(auth) for _ in range(3)]

    assert (False, 0) == before
    assert ["canary-1"] * 3 == tokens
    assert [False] == source.asked
    assert auth.is_fresh
    assert isinstance(auth, RenewableAuth)


@pytest.mark.parametrize(
    ("left", "token"), [(LIFE, "canary-1"), (MARGIN + 1, "canary-1"), (MARGIN, "canary-2"), (1, "canary-2"), (-9, "canary-2")]
)
def test_a_token_is_renewed_before_it_expires(auth: RenewedToken, clock: Clock, left: float, token: str) -> None:
    """From its margin on."""
    sent(auth)
    clock.now += LIFE - left

    fresh = auth.is_fresh

    assert (token == "canary-1") == fresh
    assert token == sent(auth)


def test_a_renewal_that_fails_is_no_failure_while_the_old_token_serves(
    auth: RenewedToken, source: Source, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """It is tried again after a while; the log shows no token."""
    caplog.set_level(logging.DEBUG)
    sent(auth)
    clock.now += LIFE - MARGIN
    source.failure = NetworkError("gone", kind="connect")

    first, second = sent(auth), sent(auth)
    clock.now += PATIENCE
    third = sent(auth)
    source.failure = None
    clock.now += PATIENCE
    last = sent(auth)

    assert (["canary-1"] * 3, "canary-4") == ([first, second, third], last)
    assert 4 == len(source.asked)
    assert "The source gave no new token" in caplog.text
    assert "canary" not in caplog.text


def test_a_token_in_its_last_seconds_is_not_sent(auth: RenewedToken, source: Source, clock: Clock) -> None:
    """It might expire on the way."""
    sent(auth)
    clock.now += LIFE - LAST_SECONDS
    source.failure = AuthenticationError("no")

    with pytest.raises(AuthenticationError):
        sent(auth)


def test_a_short_life_is_used_up(auth: RenewedToken, source: Source, clock: Clock) -> None:
    """A source that keeps its tokens may give one that has little time left, and is not asked at each call for it."""
    source.life = 100.0
    sent(auth)
    clock.now += 60

    tokens = [sent(auth) for _ in range(3)]

    assert ["canary-2"] * 3 == tokens


def test_a_refused_token_is_replaced(auth: RenewedToken, source: Source) -> None:
    """Once, however many attempts were made with it."""
    old = auth.headers(REQUEST, None)

    told = [auth.refused(old) for _ in range(3)]
    fresh = auth.is_fresh
    new = sent(auth)
    late = auth.refused(old)

    assert [True] * 3 == told
    assert (False, True) == (fresh, late)
    assert ["canary-2", "canary-2"] == [new, sent(auth)]
    assert [False, True] == source.asked


def test_a_refused_token_does_not_serve_when_there_is_no_other(auth: RenewedToken, source: Source) -> None:
    """Though it would not have expired yet."""
    auth.refused(auth.headers(REQUEST, None))
    source.failure = AuthenticationError("no")

    with pytest.raises(AuthenticationError):
        sent(auth)


def test_a_source_that_gives_the_refused_token_again_is_believed(auth: RenewedToken, source: Source) -> None:
    """The service may have been wrong; whether it is asked once more is decided elsewhere."""
    auth.refused(auth.headers(REQUEST, None))
    source.asked.pop()

    assert ["canary-1", "canary-1"] == [sent(auth), sent(auth)]


def gathered(auth: RenewedToken, source: Source, count: int = 8) -> list[Any]:
    """Return what so many threads get at once."""
    found: list[Any] = []

    def work() -> None:
        try:
            found.append(sent(auth))
        except Exception as error:
            found.append(error)

    source.gate.clear()
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    while not source.asked:
        pass
    source.gate.set()
    for thread in threads:
        thread.join(5)
    return found


def test_a_token_is_fetched_once_for_all_threads(auth: RenewedToken, source: Source) -> None:
    """One fetches, the others wait for it."""
    assert ["canary-1"] * 8 == gathered(auth, source)
    assert 1 == len(source.asked)


def test_nobody_waits_while_the_old_token_serves(auth: RenewedToken, source: Source, clock: Clock) -> None:
    """One thread renews it; the others go on."""
    sent(auth)
    clock.now += LIFE - MARGIN
    source.gate.clear()
    one = threading.Thread(target=sent, args=(auth,))
    one.start()
    while len(source.asked) < 2:
        pass

    others = [sent(auth) for _ in range(3)]
    source.gate.set()
    one.join(5)

    assert ["canary-1"] * 3 == others
    assert "canary-2" == sent(auth)


def test_a_failure_is_shared_too(auth: RenewedToken, source: Source) -> None:
    """Those who waited for the one that asked do not ask one after the other; each has an error of its own."""
    source.failure = NetworkError("gone", kind="connect")
    lock, asked = auth._lock, threading.Semaphore(0)

    class Counted:
        """The lock, which tells when somebody comes to it."""

        def acquire(self, blocking: bool = True) -> bool:
            asked.release()
            return lock.acquire(blocking=blocking)

        def release(self) -> None:
            lock.release()

    auth._lock = Counted()  # type: ignore[assignment]  # all that is used of one
    found: list[BaseException] = []

    def work() -> None:
        with pytest.raises(NetworkError) as raised:
            sent(auth)
        found.append(raised.value)

    source.gate.clear()
    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert asked.acquire(timeout=5)
    source.gate.set()
    for thread in threads:
        thread.join(5)

    assert 5 == len(found) == len({id(error) for error in found})
    assert 1 == len(source.asked)


def test_the_next_call_after_a_failure_asks_again(auth: RenewedToken, source: Source) -> None:
    """Nothing is remembered of it."""
    source.failure = NetworkError("gone", kind="connect")
    with pytest.raises(NetworkError) as raised:
        sent(auth)
    source.failure = None

    assert "canary-2" == sent(auth)
    assert raised.value.__context__ is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_has_a_lock_of_its_own(auth: RenewedToken) -> None:
    """That of the parent may be held by a thread which is not there."""
    auth._lock.acquire()

    auth.renew()

    assert "canary-1" == sent(auth)


def test_no_token_shows_itself(auth: RenewedToken) -> None:
    """Neither in a repr, nor in a pickle: there is none."""
    headers = auth.headers(REQUEST, None)
    given = GivenToken("canary", "Google's")

    shown = f"{auth!r} {headers!r} {given!r} {auth._grant!r} {vars(given)!r}"

    assert "canary" not in shown
    with pytest.raises(TypeError):
        pickle.dumps(given)
    with pytest.raises(TypeError):
        pickle.dumps(auth)

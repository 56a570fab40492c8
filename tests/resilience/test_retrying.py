"""``with_retry``: what is tried again, how often and when, and what never is."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import inspect
import time
from collections.abc import Callable
from typing import Any

import pytest

import llmkit
from llmkit import (
    AuthenticationError,
    CircuitOpenError,
    Client,
    ConfigurationError,
    DeadlineExceededError,
    OverloadedError,
    RateLimitError,
    RequestTimeoutError,
    RetryConfig,
    with_retry,
)
from llmkit.testing import FakeServer, Reply

QUICK = RetryConfig(max_retries=2, base_delay=0.001)


class Flaky:
    """Something that fails as it was told, and then works."""

    def __init__(self, *failures: BaseException) -> None:
        self.failures = list(failures)
        self.calls = 0
        self.at: list[float] = []

    def __call__(self, value: str = "done") -> str:
        self.calls += 1
        self.at.append(time.monotonic())
        if self.failures:
            raise self.failures.pop(0)
        return value


def sync(flaky: Flaky, **options: Any) -> Callable[..., Any]:
    @with_retry(**options)
    def work(value: str = "done") -> str:
        """Do it."""
        return flaky(value)

    return work


def tasked(flaky: Flaky, **options: Any) -> Callable[..., Any]:
    @with_retry(**options)
    async def work(value: str = "done") -> str:
        """Do it."""
        await asyncio.sleep(0)
        return flaky(value)

    @functools.wraps(work)
    def run(*args: Any, **kwargs: Any) -> Any:
        return asyncio.run(work(*args, **kwargs))

    return run


@pytest.fixture(params=[sync, tasked])
def decorated(request: pytest.FixtureRequest) -> Any:
    """Each test runs with a function and with a coroutine function."""
    return request.param


@pytest.mark.parametrize(
    "failure",
    [
        ConnectionError("gone"),
        ConnectionResetError("reset"),
        TimeoutError("late"),
        asyncio.TimeoutError("late"),
        concurrent.futures.TimeoutError("late"),
        OverloadedError("busy"),
        RateLimitError("slow down"),
        CircuitOpenError("open", retry_after=0.001),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_what_may_pass_is_tried_again(decorated: Any, failure: Exception) -> None:
    """And what the function returns then is returned."""
    flaky = Flaky(failure, failure)

    result = decorated(flaky, retry=QUICK)("yes")

    assert "yes" == result
    assert 3 == flaky.calls


def cancelled() -> concurrent.futures.CancelledError:
    return concurrent.futures.CancelledError()


@pytest.mark.parametrize(
    "failure",
    [
        ValueError("no"),
        TypeError("a bug"),
        AuthenticationError("refused"),
        ConfigurationError("wrong"),
        MemoryError(),
        KeyboardInterrupt(),
        GeneratorExit(),
        asyncio.CancelledError(),
        cancelled(),
    ],
    ids=lambda failure: type(failure).__name__,
)
@pytest.mark.parametrize("retry_on", [(), (KeyError, LookupError)])
def test_what_will_not_pass_is_raised_as_it_is(decorated: Any, failure: BaseException, retry_on: Any) -> None:
    """The very same exception, after one call."""
    flaky = Flaky(failure)
    work = decorated(flaky, retry=QUICK, retry_on=retry_on)

    with pytest.raises(type(failure)) as caught:
        work()

    if not isinstance(failure, (KeyboardInterrupt, GeneratorExit, asyncio.CancelledError)):  # a loop makes new ones of these
        assert failure is caught.value
    assert 1 == flaky.calls


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_there_is_one_call_more_than_retries(decorated: Any, retries: int) -> None:
    """And then the last error is raised, with nothing of ours hanging on it."""
    failures = [ConnectionError(str(number)) for number in range(5)]
    flaky = Flaky(*failures)

    with pytest.raises(ConnectionError, match=str(retries)) as caught:
        decorated(flaky, max_retries=retries, base_delay=0.001)()

    assert retries + 1 == flaky.calls
    assert caught.value.__cause__ is caught.value.__context__ is None


@pytest.mark.parametrize(
    "retry_on", [KeyError, [KeyError, OSError], (LookupError,), Exception, lambda error: "again" in str(error)], ids=str
)
def test_more_may_be_tried_again(decorated: Any, retry_on: Any) -> None:
    """By class, by several, or by asking a function."""
    flaky = Flaky(KeyError("again"))

    assert "done" == decorated(flaky, retry=QUICK, retry_on=retry_on)()


@pytest.mark.parametrize("retry_on", [Exception, lambda error: True], ids=["class", "function"])
def test_a_cancelled_call_is_never_tried_again(decorated: Any, retry_on: Any) -> None:
    """However wide the net is cast."""
    flaky = Flaky(cancelled())

    with pytest.raises(concurrent.futures.CancelledError):
        decorated(flaky, retry=QUICK, retry_on=retry_on)()

    assert 1 == flaky.calls


def test_a_mistake_is_tried_again_only_by_its_name(decorated: Any) -> None:
    """A wide class means what goes wrong outside; a TypeError goes wrong here."""
    wide, named = Flaky(TypeError("x")), Flaky(TypeError("x"))

    with pytest.raises(TypeError):
        decorated(wide, retry=QUICK, retry_on=Exception)()
    decorated(named, retry=QUICK, retry_on=(Exception, TypeError))()

    assert (1, 2) == (wide.calls, named.calls)


def test_a_hint_is_waited_for(decorated: Any) -> None:
    """Never less than was asked for, whoever's error says so."""
    failure = OSError("busy")
    failure.retry_after = 0.05  # type: ignore[attr-defined]
    flaky = Flaky(failure)

    decorated(flaky, retry=QUICK, retry_on=OSError)()

    assert flaky.at[1] - flaky.at[0] >= 0.05


@pytest.mark.parametrize("hint", ["soon", -1, float("nan"), float("inf"), True, None])
def test_a_hint_that_makes_no_sense_is_none(decorated: Any, hint: Any) -> None:
    """The own backoff counts then."""
    failure = OSError("busy")
    failure.retry_after = hint  # type: ignore[attr-defined]

    assert "done" == decorated(Flaky(failure), retry=QUICK, retry_on=OSError)()


def test_a_hint_beyond_the_cap_is_left_to_the_caller(decorated: Any) -> None:
    """Who knows better what to do for an hour."""
    flaky = Flaky(RateLimitError("slow down", retry_after=61))

    with pytest.raises(RateLimitError):
        decorated(flaky, retry=QUICK)()

    assert 1 == flaky.calls


def test_no_wait_begins_that_the_deadline_would_cut(decorated: Any) -> None:
    """The error itself is raised, at once."""
    flaky = Flaky(RateLimitError("slow down", retry_after=5))
    begun = time.monotonic()

    with llmkit.deadline(1), pytest.raises(RateLimitError):
        decorated(flaky, retry=QUICK)()

    assert time.monotonic() - begun < 0.5
    assert 1 == flaky.calls


def test_a_hint_that_fits_without_its_jitter_is_waited_for(decorated: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The quarter that is added at random is nobody's wish."""
    monkeypatch.setattr("random.random", lambda: 1.0)
    flaky = Flaky(RateLimitError("slow down", retry_after=0.25))

    with llmkit.deadline(0.3):
        decorated(flaky, retry=QUICK)()

    assert 2 == flaky.calls


@pytest.mark.parametrize("failure", [TimeoutError(), RequestTimeoutError("late")])
def test_time_outs_are_left_to_the_caller_when_asked_for(decorated: Any, failure: Exception) -> None:
    """As in a client."""
    flaky = Flaky(failure)

    with pytest.raises(type(failure)):
        decorated(flaky, max_retries=2, base_delay=0.001, retry_timeouts=False)()

    assert 1 == flaky.calls


def test_each_call_has_its_own_retries(decorated: Any) -> None:
    """What failed before is forgotten."""
    flaky = Flaky(*[ConnectionError()] * 2)
    work = decorated(flaky, max_retries=1, base_delay=0.001)

    with pytest.raises(ConnectionError):
        work()

    assert "done" == work()


def test_a_function_stays_what_it_was() -> None:
    """Its name, its text, its parameters and its kind."""

    @with_retry
    def plain(a: int, *, b: str = "x") -> str:
        """Say it."""
        return f"{a}{b}"

    @with_retry(max_retries=1)
    async def coroutine() -> str:
        return "a"

    assert ("plain", "Say it.") == (plain.__name__, plain.__doc__)
    assert ["a", "b"] == list(inspect.signature(plain).parameters)
    assert "1y" == plain(1, b="y")
    assert inspect.iscoroutinefunction(coroutine)
    assert "a" == asyncio.run(coroutine())


def test_methods_and_callables_may_be_decorated() -> None:
    """Whatever can be called, also where its kind shows in ``__call__`` or behind a partial only."""

    class Service:
        def __init__(self) -> None:
            self.flaky = Flaky(ConnectionError())

        @with_retry(base_delay=0.001)
        def ask(self) -> str:
            return self.flaky()

        async def __call__(self) -> str:
            return self.flaky()

    service, called = Service(), Service()

    assert "done" == service.ask()
    assert "done" == asyncio.run(with_retry(base_delay=0.001)(called)())
    assert "x" == with_retry(functools.partial(Flaky(), "x"))()


def generator() -> Any:
    yield 1


async def agenerator() -> Any:
    yield 1


@pytest.mark.parametrize("function", [generator, agenerator])
def test_a_generator_is_refused_by_name(function: Any) -> None:
    """What it had yielded before it failed would come twice."""
    with pytest.raises(ConfigurationError, match="generator"):
        with_retry(function)


async def coroutine_function() -> None:
    pass


@pytest.mark.parametrize(("function", "what"), [(generator, "generator"), (agenerator, "generator"), (coroutine_function, "coroutine")])
def test_what_has_not_begun_yet_is_refused(function: Any, what: str) -> None:
    """It would fail later, outside of the function, and nothing would be tried again."""
    with pytest.raises(ConfigurationError, match=what):
        with_retry(lambda: function())()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"max_retries": -1}, "max_retries"),
        ({"max_tries": 3}, "max_retries"),
        ({"retry": 3}, "retry="),
        ({"retry": QUICK, "max_retries": 1}, "retry="),
        ({"retry": {"max_delays": 1}}, "max_delay"),
        ({"retry_on": KeyboardInterrupt}, "retry_on"),
        ({"retry_on": [3]}, "retry_on"),
        ({"retry_on": 3}, "retry_on"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: dict[str, Any], words: str) -> None:
    """When the function is decorated, not when it fails."""
    with pytest.raises(ConfigurationError, match=words):
        with_retry(**arguments)(Flaky())


def test_a_configuration_is_no_function() -> None:
    """It has its own name."""
    with pytest.raises(ConfigurationError, match="retry="):
        with_retry(QUICK)  # type: ignore[type-var]


def test_a_deadline_that_passed_is_not_tried_again(decorated: Any) -> None:
    """There is no time for it."""
    flaky = Flaky(DeadlineExceededError("too late"))

    with llmkit.deadline(0.001), pytest.raises(DeadlineExceededError):
        time.sleep(0.002)
        decorated(flaky, retry=QUICK)()

    assert 1 == flaky.calls


def test_a_call_may_be_inside(server: FakeServer) -> None:
    """Its own retries multiply with these: two by two."""
    server.always(Reply.error(500))
    client = Client("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="k", retry=RetryConfig(max_retries=1, base_delay=0.001))

    @with_retry(max_retries=1, base_delay=0.001)
    def ask() -> str:
        return client.complete("Say hi").text

    with pytest.raises(llmkit.InternalError):
        ask()
    client.close()

    assert 4 == server.hits


def test_a_retry_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """By the function's name and the error's class, since the text may hold anything."""
    sync(Flaky(ConnectionError("secret")), retry=QUICK)()

    assert "work failed with ConnectionError; attempt 2 follows" in caplog.text
    assert "secret" not in caplog.text

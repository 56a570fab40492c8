"""Answers kept: on both faces."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import os
import pickle
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, frozen

from llmkit import (
    APIKeyPool,
    CircuitBreakerConfig,
    Client,
    CompletionResponse,
    ConfigurationError,
    DeadlineExceededError,
    Event,
    Hedge,
    InternalError,
    InvalidRequestError,
    LLMCache,
    RetryConfig,
    SqliteCache,
    StreamInterruptedError,
    StructuredOutputError,
    Target,
    tool_result,
)
from llmkit.testing import FakeServer, RecordedRequest, Reply
from llmkit_async import AsyncClient

Connect = Callable[..., Any]

WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}
NO_RETRIES: Mapping[str, Any] = {"retry": None, "circuit_breaker": None}


class Clock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=["memory", "disk"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """What holds for one holds for the other."""
    made: Any = LLMCache() if request.param == "memory" else SqliteCache(tmp_path / "answers.db")
    yield made
    made.close()


# -- the same question


def test_the_same_question_is_asked_once(connect: Connect, server: FakeServer, cache: Any) -> None:
    """The second answer is the first one's, and says so; it cost nothing and took no attempt."""
    client = connect(cache=cache)

    first = client.complete("Say hi", temperature=0)
    second = client.complete("Say hi", temperature=0)

    assert 1 == server.hits
    assert [False, True] == [first.cached, second.cached]
    assert (first.text, first.usage, first.id, first.raw) == (second.text, second.usage, second.id, second.raw)
    assert ((), 0) == (second.attempts, second.cost)
    assert 1 == len(first.attempts)
    assert 0 <= second.elapsed < first.elapsed + 1


def test_without_a_cache_nothing_is_kept(connect: Connect, server: FakeServer) -> None:
    """It is off unless asked for."""
    client = connect()

    for _ in range(2):
        client.complete("Say hi")

    assert 2 == server.hits
    assert client.cache is None


def test_no_two_callers_hold_the_same_thing(connect: Connect, server: FakeServer, cache: Any) -> None:
    """What one does to its answer, no other sees."""
    server.enqueue(Reply(tool_calls=(("get_weather", {"city": "Paris"}),)))
    client = connect(cache=cache)

    answers = [client.complete("Weather?", tools=[WEATHER]) for _ in range(3)]
    for answer in answers[:2]:
        answer.tool_calls[0].arguments["city"] = "Rome"
        answer.raw["choices"] = []

    assert {"city": "Paris"} == answers[2].tool_calls[0].arguments
    assert answers[2].raw["choices"]


def test_one_call_passes_the_cache_over(connect: Connect, server: FakeServer) -> None:
    """It neither finds nor keeps."""
    client = connect(cache=True)

    client.complete("Say hi", cache=False)
    client.complete("Say hi", cache=True)
    client.complete("Say hi", cache=False)

    assert 3 == server.hits
    assert (0, 1) == (client.cache.stats().hits, client.cache.stats().misses)


def test_a_call_cannot_use_a_cache_that_is_not_there(connect: Connect, server: FakeServer) -> None:
    """Nor bring one of its own."""
    with pytest.raises(ConfigurationError, match="has no cache"):
        connect().complete("Say hi", cache=True)
    with pytest.raises(ConfigurationError, match="given to the client"):
        connect(cache=True).complete("Say hi", cache="answers.db")
    assert 0 == server.hits


def test_a_check_is_no_question(connect: Connect, server: FakeServer) -> None:
    """What asks whether an endpoint answers is not answered from memory."""
    client = connect(cache=True)

    for _ in range(2):
        assert client.check().ok

    assert 2 == server.hits


def test_what_is_saved_is_counted(connect: Connect, server: FakeServer, cache: Any) -> None:
    """In answers, tokens and money; what the client has used is what was asked for."""
    client = connect(cache=cache)

    reply = client.complete("Say hi")
    for _ in range(3):
        client.complete("Say hi")

    stats = client.cache.stats()
    assert (3, 1, 0.75, 1) == (stats.hits, stats.misses, stats.hit_rate, stats.entries)
    assert 3 * reply.usage.total_tokens == stats.saved.total_tokens > 0
    assert 3 * reply.cost == stats.saved_cost > 0
    assert (reply.usage.output_tokens, reply.cost) == (client.usage.output_tokens, client.usage.estimated_cost)


# -- what may not be shared


@pytest.mark.parametrize(
    "change",
    [
        {"api_key": "sk-other-0123456789"},
        {"api_keys": ["sk-test-0123456789", "sk-other-0123456789"]},
        {"model": "openai/gpt-4o"},
        {"default_headers": {"OpenAI-Organization": "org-other"}},
        {"default_headers": {"X-Gateway-Key": "tenant-two"}},
        {"temperature": 1.0},
        {"system": "Be brief."},
        {"auth": lambda: {"Authorization": "Bearer sk-other-0123456789"}},
    ],
    ids=str,
)
def test_who_asks_otherwise_shares_nothing(connect: Connect, server: FakeServer, change: dict[str, Any]) -> None:
    """Another account, model, tenant or default is another question."""
    cache = LLMCache()
    connect(cache=cache).complete("Say hi")

    change = dict(change)
    reply = connect(change.pop("model", "openai/gpt-4o-mini"), cache=cache, **change).complete("Say hi")

    assert not reply.cached
    assert 2 == server.hits


def test_two_addresses_share_nothing(connect: Connect, server: FakeServer) -> None:
    """Though the key and the model are the same."""
    cache = LLMCache()
    with FakeServer() as other:
        connect(cache=cache).complete("Say hi")

        reply = connect(cache=cache, base_url=other.url("openai")).complete("Say hi")

        assert not reply.cached
        assert 1 == other.hits


def test_clients_of_one_account_share(connect: Connect, server: FakeServer) -> None:
    """Also where their pools name the same keys in another order."""
    cache, keys = LLMCache(), ["sk-first-0001", "sk-second-0002"]
    connect(cache=cache, api_keys=keys).complete("Say hi")

    reply = connect(cache=cache, api_keys=APIKeyPool(keys[::-1])).complete("Say hi")

    assert reply.cached


def test_an_account_that_comes_from_a_function_is_what_it_returns(connect: Connect, server: FakeServer) -> None:
    """One client may serve many tenants, each with its own token."""
    tenant = ["one"]
    client = connect(cache=True, auth=lambda: {"Authorization": f"Bearer token-of-tenant-{tenant[0]}"})

    cached = []
    for tenant[0] in ("one", "two", "one"):
        cached.append(client.complete("Say hi").cached)

    assert [False, False, True] == cached


def test_each_question_has_its_own_answer(connect: Connect, server: FakeServer) -> None:
    """Whatever differs in it."""
    client = connect(cache=True)
    questions: list[dict[str, Any]] = [
        {},
        {"seed": 1},
        {"temperature": 1},
        {"temperature": 1.0},
        {"extra_body": {"flag": 1}},
        {"extra_body": {"flag": True}},
        {"extra_body": {"flag": 1.0}},
        {"tools": [WEATHER]},
        {"tools": [WEATHER], "tool_choice": "none"},
        {"response_format": "json"},
        {"response_format": {"type": "object", "properties": {"a": {"type": "string"}}}},
        {"response_format": {"type": "object", "properties": {"a": {"type": "number"}}}},
        {"extra_headers": {"OpenAI-Beta": "next"}},
        {"model": "gpt-4o"},
        {"user": "someone"},
    ]
    server.always(lambda request: Reply('{"a": 1}') if "response_format" in request.json else Reply())

    for question in questions:
        with contextlib.suppress(InvalidRequestError):  # the server takes no flags, and refuses a question it has never seen
            client.complete("Say hi in JSON", **question)
    for question in questions:
        with contextlib.suppress(InvalidRequestError):
            client.complete("Say hi in JSON", **question)

    refused = sum("extra_body" in question for question in questions)
    assert len(questions) + refused == server.hits


# -- what is kept


@pytest.mark.parametrize(
    "reply",
    [
        Reply("Cut", finish_reason="length"),
        Reply("Hm", finish_reason="content_filter"),
        Reply(refusal="No."),
        Reply(tool_calls=(("get_weather", '{"city": "Par'),)),
    ],
    ids=["length", "content_filter", "refusal", "broken tool call"],
)
def test_what_is_not_whole_is_not_kept(connect: Connect, server: FakeServer, reply: Reply) -> None:
    """It is asked for again."""
    server.always(reply)
    client = connect(cache=True)

    for _ in range(2):
        assert not client.complete("Say hi", tools=[WEATHER]).cached

    assert 2 == server.hits
    assert 0 == client.cache.stats().entries


def test_an_error_is_not_kept(connect: Connect, server: FakeServer) -> None:
    """The next call asks."""
    server.enqueue(Reply.error(400), Reply("Fine"))
    client = connect(cache=True)

    with pytest.raises(InvalidRequestError):
        client.complete("Say hi")

    assert "Fine" == client.complete("Say hi").text


def test_an_answer_that_is_not_what_was_asked_for_is_not_kept(connect: Connect, server: FakeServer) -> None:
    """The next one may be."""
    server.enqueue(Reply("not JSON"), Reply('{"a": 1}'))
    client = connect(cache=True)

    with pytest.raises(StructuredOutputError):
        client.complete("Say hi in JSON", response_format="json")

    assert {"a": 1} == client.complete("Say hi in JSON", response_format="json").parsed


@frozen
class City:
    """A type of the user's."""

    name: str


def test_a_typed_answer_is_made_anew_for_each(connect: Connect, server: FakeServer, cache: Any) -> None:
    """What is kept is the text; the instance is the caller's own."""
    server.always(Reply('{"name": "Paris"}'))
    client = connect(cache=cache)

    answers = [client.complete("City?", response_format=City) for _ in range(2)]

    assert [City("Paris"), City("Paris")] == [answer.parsed for answer in answers]
    assert answers[0].parsed is not answers[1].parsed
    assert 1 == server.hits


def test_an_answer_kept_that_does_not_fit_is_asked_for_again(connect: Connect, server: FakeServer) -> None:
    """Two types may have one schema, and not take the same values."""

    @frozen
    class Capital:
        name: str

        def __attrs_post_init__(self) -> None:
            if self.name == "Lyon":
                msg = "no capital"
                raise ValueError(msg)

    Capital.__name__, Capital.__doc__ = City.__name__, City.__doc__
    server.enqueue(Reply('{"name": "Lyon"}'), Reply('{"name": "Paris"}'))
    client = connect(cache=True)
    client.complete("City?", response_format=City)

    reply = client.complete("City?", response_format=Capital)

    assert Capital("Paris") == reply.parsed
    assert 2 == server.hits


def test_a_history_goes_back_from_a_kept_answer_as_from_any(connect: Connect, server: FakeServer, cache: Any) -> None:
    """The message of a kept answer is the message that came."""
    server.always(Reply("Let me look.", tool_calls=(("get_weather", '{"city":  "Paris"}'),)))
    client = connect(cache=cache)

    first, second = (client.complete("Weather?", tools=[WEATHER]) for _ in range(2))
    for answer in (first, second):
        results = [tool_result(call, "fine") for call in answer.tool_calls]
        client.complete([{"role": "user", "content": "Weather?"}, answer.message, *results], tools=[WEATHER], cache=False)

    assert first.message == second.message
    assert server.requests[1].body == server.requests[2].body


# -- streams


def test_a_stream_is_replayed(connect: Connect, server: FakeServer, cache: Any) -> None:
    """As chunks, with the whole answer behind them."""
    server.always(Reply("One two", thinking="Hm", tool_calls=(("get_weather", {"city": "Paris"}),)))
    client = connect("deepseek/deepseek-chat", base_url=server.url("deepseek"), cache=cache)
    first = client.stream("Say hi", tools=[WEATHER])
    first.collect()

    with client.stream("Say hi", tools=[WEATHER]) as second:
        chunks = list(second)

    assert 1 == server.hits
    assert second.response.cached
    assert first.response.message == second.response.message
    assert "One two" == "".join(chunk.text for chunk in chunks)
    assert "Hm" == "".join(chunk.thinking for chunk in chunks)
    assert [("get_weather", 0)] == [(chunk.tool_call.name, chunk.tool_call.index) for chunk in chunks if chunk.tool_call is not None]
    assert (first.response.finish_reason, first.response.usage) == (chunks[-1].finish_reason, chunks[-1].usage)


@pytest.mark.parametrize(
    "provider", ["openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5", "google/gemini-2.5-flash", "ollama/llama3.2", "cohere/command-a"]
)
def test_a_stream_and_a_whole_answer_are_one_question(connect: Connect, server: FakeServer, provider: str) -> None:
    """Whichever was asked first serves the other, in the words of any provider."""
    client = connect(provider, base_url=server.url(provider.partition("/")[0]), cache=True)

    whole = client.complete("One")
    streamed = client.stream("One").collect()
    streamed_first = client.stream("Two").collect()
    whole_last = client.complete("Two")

    assert 2 == server.hits
    assert [False, True, False, True] == [answer.cached for answer in (whole, streamed, streamed_first, whole_last)]
    assert (whole.text, streamed_first.text) == (streamed.text, whole_last.text)


@pytest.mark.parametrize("fault", [{"cut": 800}, {"finish_reason": "length"}], ids=["cut", "length"])
def test_a_stream_that_is_not_whole_is_not_kept(connect: Connect, server: FakeServer, fault: dict[str, Any]) -> None:
    """Nor is one that its reader left."""
    text = "One two three four five six"
    server.enqueue(Reply(text, **fault), Reply(text), Reply("Fine"))
    client = connect(cache=True, **NO_RETRIES)

    with pytest.raises(StreamInterruptedError) if "cut" in fault else contextlib.nullcontext():
        client.stream("Say hi").collect()
    for _ in client.stream("Say hi"):
        break

    assert "Fine" == client.complete("Say hi").text


def test_a_kept_stream_may_be_left(connect: Connect, server: FakeServer) -> None:
    """It has no connection to give back; there is no whole answer then."""
    client = connect(cache=True)
    client.complete("Say hi")

    stream = client.stream("Say hi")
    next(stream)
    stream.close()

    with pytest.raises(ConfigurationError, match="not been read"):
        _ = stream.response
    assert 1 == server.hits


def test_streams_do_not_wait_for_each_other(connect: Connect, server: FakeServer) -> None:
    """Who holds a stream open may ask the same beside it."""
    client = connect(cache=True)
    open_stream = client.stream("Say hi", deadline=5)
    next(open_stream)

    beside = client.complete("Say hi", deadline=5)

    assert not beside.cached
    assert beside.text == open_stream.collect().text


# -- when the endpoint is down


def test_an_answer_past_its_time_serves_while_the_endpoint_is_down(connect: Connect, server: FakeServer) -> None:
    """Where that was asked for: in complete and in stream, and for as long as was said."""
    clock = Clock()
    cache = LLMCache(ttl=10, stale_if_error=60, clock=clock)
    client = connect(cache=cache, **NO_RETRIES)
    client.complete("Say hi")
    clock.now += 30
    server.always(Reply.error(503))

    whole = client.complete("Say hi")
    streamed = client.stream("Say hi").collect()
    clock.now += 60

    assert [True, True] == [whole.cached, streamed.cached]
    assert 2 == cache.stats().stale
    with pytest.raises(InternalError):
        client.complete("Say hi")
    assert 4 == server.hits


def test_past_its_time_it_is_asked_for_first(connect: Connect, server: FakeServer) -> None:
    """A new answer takes the place of the old."""
    clock = Clock()
    client = connect(cache=LLMCache(ttl=10, stale_if_error=60, clock=clock))
    server.enqueue(Reply("Old"), Reply("New"))
    client.complete("Say hi")
    clock.now += 30

    texts = [client.complete("Say hi").text for _ in range(2)]

    assert ["New", "New"] == texts


def test_an_open_breaker_is_an_endpoint_that_is_down(connect: Connect, server: FakeServer) -> None:
    """Nothing is sent then, and the answer is there at once."""
    clock = Clock()
    breaker = CircuitBreakerConfig(failure_threshold=1, reset_time=60)
    client = connect(cache=LLMCache(ttl=10, stale_if_error=60, clock=clock), retry=None, circuit_breaker=breaker)
    client.complete("Say hi")
    clock.now += 30
    server.always(Reply.error(500))

    for _ in range(3):
        assert client.complete("Say hi").cached

    assert 2 == server.hits


@pytest.mark.parametrize("refusal", [Reply.error(400), Reply.error(401), Reply.error(429)], ids=lambda reply: str(reply.status))
def test_a_refusal_is_no_reason_for_an_old_answer(connect: Connect, server: FakeServer, refusal: Reply) -> None:
    """The endpoint is there; what it says is news."""
    clock = Clock()
    client = connect(cache=LLMCache(ttl=10, stale_if_error=60, clock=clock), **NO_RETRIES)
    client.complete("Say hi")
    clock.now += 30
    server.always(refusal)

    with pytest.raises(Exception, match=str(refusal.status)):
        client.complete("Say hi")


def test_a_broken_stream_is_not_mended_with_an_old_answer(connect: Connect, server: FakeServer) -> None:
    """What was given out already cannot be taken back."""
    clock = Clock()
    client = connect(cache=LLMCache(ttl=10, stale_if_error=60, clock=clock), **NO_RETRIES)
    client.complete("Say hi")
    clock.now += 30
    server.always(Reply("One two three four five six", cut=800))

    with pytest.raises(StreamInterruptedError):
        client.stream("Say hi").collect()


# -- one question, one request


def test_fifty_threads_make_one_request(server: FakeServer) -> None:
    """One asks, the others wait for its answer, and each has its own copy."""
    server.always(Reply("Fine", delay=0.1))
    with Client("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="sk-test-0123456789", cache=True) as client:
        answers: list[CompletionResponse] = []

        threads = [threading.Thread(target=lambda: answers.append(client.complete("Say hi"))) for _ in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)

        stats = client.cache.stats() if client.cache is not None else None
        assert stats is not None
        assert (49, 1) == (stats.hits, stats.misses)

    assert 1 == server.hits
    assert ["Fine"] * 50 == [answer.text for answer in answers]
    assert 49 == sum(answer.cached for answer in answers)
    assert 50 == len({id(answer.raw) for answer in answers})


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_fifty_tasks_make_one_request(server: FakeServer, where: str, tmp_path: Path) -> None:
    """The same on an event loop."""
    server.always(Reply("Fine", delay=0.1))

    async def main() -> list[CompletionResponse]:
        cache: Any = True if where == "memory" else tmp_path / "answers.db"
        async with AsyncClient("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="sk-test-0123456789", cache=cache) as client:
            return await asyncio.gather(*(client.complete("Say hi") for _ in range(50)))

    answers = asyncio.run(main())

    assert 1 == server.hits
    assert ["Fine"] * 50 == [answer.text for answer in answers]
    assert 49 == sum(answer.cached for answer in answers)


def test_threads_and_tasks_wait_for_each_other(server: FakeServer) -> None:
    """They share one cache: one of them asks."""
    server.always(Reply("Fine", delay=0.15))
    cache = LLMCache()
    kwargs: dict[str, Any] = {"base_url": server.url("openai"), "api_key": "sk-test-0123456789", "cache": cache}
    client = Client("openai/gpt-4o-mini", **kwargs)

    async def main() -> list[CompletionResponse]:
        async with AsyncClient("openai/gpt-4o-mini", **kwargs) as twin:
            work = [twin.complete("Say hi") if number % 2 else asyncio.to_thread(client.complete, "Say hi") for number in range(12)]
            return await asyncio.gather(*work)

    answers = asyncio.run(main())
    client.close()

    assert 1 == server.hits
    assert 12 == len(answers)


def test_a_thread_with_a_loop_does_not_wait_for_its_tasks(server: FakeServer) -> None:
    """It would stop the one it waits for: it asks for itself."""
    server.always(Reply("Fine", delay=0.05))
    kwargs: dict[str, Any] = {"base_url": server.url("openai"), "api_key": "sk-test-0123456789", "cache": LLMCache(), "deadline": 5}

    async def main() -> list[CompletionResponse]:
        async with AsyncClient("openai/gpt-4o-mini", **kwargs) as twin:
            with Client("openai/gpt-4o-mini", **kwargs) as client:
                leader = asyncio.create_task(twin.complete("Say hi"))
                await asyncio.sleep(0)  # now it leads
                return [client.complete("Say hi"), await leader]

    answers = asyncio.run(main())

    assert ["Fine", "Fine"] == [answer.text for answer in answers]
    assert 2 == server.hits


def together(client: Client, number: int, **kwargs: Any) -> list[Any]:
    """Return what *number* threads get that ask the same, the first a little before the others."""
    results: list[Any] = []

    def ask() -> None:
        try:
            results.append(client.complete("Say hi", **kwargs))
        except Exception as error:
            results.append(error)

    threads = [threading.Thread(target=ask) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    return results


def test_a_failure_is_not_shared(server: FakeServer) -> None:
    """The one who asked gets it; the next who waits asks anew, and serves the rest."""
    server.enqueue(Reply.error(400), Reply.error(400), Reply("Fine"))
    server.always(Reply("Fine"))
    with Client("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="sk-test-0123456789", cache=True) as client:
        results = together(client, 8)

    assert 3 == server.hits
    assert 2 == sum(isinstance(result, InvalidRequestError) for result in results)
    assert 6 == sum(isinstance(result, CompletionResponse) for result in results)


def test_an_answer_that_may_not_be_kept_sends_all_for_their_own(server: FakeServer) -> None:
    """At once, and not one after the other."""
    server.always(Reply("Cut", finish_reason="length", delay=0.2))
    with Client("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="sk-test-0123456789", cache=True) as client:
        results = together(client, 10)

    assert ["Cut"] * 10 == [result.text for result in results]
    assert 10 == server.hits
    arrivals = [request.at for request in server.requests]
    assert max(arrivals) - min(arrivals) < 1.2  # one after the other they take 1.8 s


def test_an_old_answer_is_shared_when_the_endpoint_is_down(server: FakeServer) -> None:
    """One finds out, and not fifty in turn."""
    clock = Clock()
    cache = LLMCache(ttl=10, stale_if_error=60, clock=clock)
    kwargs: dict[str, Any] = {"base_url": server.url("openai"), "api_key": "sk-test-0123456789", "cache": cache, **NO_RETRIES}
    with Client("openai/gpt-4o-mini", **kwargs) as client:
        client.complete("Say hi")
        clock.now += 30
        server.always(Reply(status=503, delay=0.25))

        results = together(client, 20)

    assert [True] * 20 == [result.cached for result in results]
    assert server.hits < 10


def test_who_waits_keeps_its_own_deadline(server: FakeServer) -> None:
    """It ends with it, though the one who asks goes on."""
    server.always(Reply("Fine", delay=0.5))
    with Client("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="sk-test-0123456789", cache=True) as client:
        leader = threading.Thread(target=client.complete, args=("Say hi",))
        leader.start()
        server.wait_for(lambda server: server.hits == 1)
        began = time.monotonic()

        with pytest.raises(DeadlineExceededError):
            client.complete("Say hi", deadline=0.1)

        spent = time.monotonic() - began
        leader.join(10)
    assert 0.09 < spent < 0.45
    assert 1 == server.hits


def test_a_cancelled_leader_hands_over(server: FakeServer) -> None:
    """Its request is given up, and one of those who waited asks."""
    server.enqueue(Reply("Slow", hang=True), Reply("Fine"))

    async def main() -> list[Any]:
        async with AsyncClient("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="sk-test-0123456789", cache=True) as client:
            tasks = [asyncio.create_task(client.complete("Say hi")) for _ in range(5)]
            await asyncio.to_thread(server.wait_for, lambda server: server.hits == 1)
            tasks[0].cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert client.cache is not None
            assert 0 == len(client.cache.flights)
            return results

    results = asyncio.run(main())

    assert isinstance(results[0], asyncio.CancelledError)
    assert ["Fine"] * 4 == [result.text for result in results[1:]]
    assert 2 == server.hits


def test_who_waits_may_be_cancelled(server: FakeServer) -> None:
    """The others are served as if it had not been there."""
    server.always(Reply("Fine", delay=0.1))

    async def main() -> list[Any]:
        async with AsyncClient("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="sk-test-0123456789", cache=True) as client:
            tasks = [asyncio.create_task(client.complete("Say hi")) for _ in range(5)]
            await asyncio.to_thread(server.wait_for, lambda server: server.hits == 1)
            tasks[2].cancel()
            return await asyncio.gather(*tasks, return_exceptions=True)

    results = asyncio.run(main())

    assert isinstance(results[2], asyncio.CancelledError)
    assert 4 == sum(isinstance(result, CompletionResponse) for result in results)
    assert 1 == server.hits


# -- the client and its cache


def test_a_path_makes_a_cache_on_the_disk_that_outlives_the_client(connect: Connect, server: FakeServer, tmp_path: Path) -> None:
    """The next client finds what the last one left, and both close what they opened."""
    path = str(tmp_path / "there" / "answers.db")
    with connect(cache=path) as client:
        client.complete("Say hi")

    with connect(cache=path) as client:
        assert client.complete("Say hi").cached

    assert ["answers.db"] == os.listdir(tmp_path / "there")


def test_a_cache_that_was_given_stays_open(connect: Connect, server: FakeServer) -> None:
    """It is the giver's."""
    cache = LLMCache()
    with connect(cache=cache) as client:
        client.complete("Say hi")

    assert connect(cache=cache).complete("Say hi").cached


@pytest.mark.parametrize("wrong", [3, "s3://bucket/answers", object(), ["answers.db"]], ids=str)
def test_what_is_no_cache_is_refused(connect: Connect, wrong: Any) -> None:
    """When the client is made."""
    with pytest.raises(ConfigurationError, match="cache="):
        connect(cache=wrong)


def test_a_cache_that_fails_fails_no_call(connect: Connect, server: FakeServer, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It says so once."""
    (tmp_path / "file").write_text("in the way")
    client = connect(cache=tmp_path / "file" / "answers.db")

    with caplog.at_level(logging.WARNING, "llmkit"):
        texts = [client.complete("Say hi").text for _ in range(3)]
        streamed = client.stream("Say hi").collect()

    assert ["You said: Say hi"] * 4 == [*texts, streamed.text]
    assert 1 == len(caplog.records)
    assert "calls go on without it" in caplog.text


def test_a_pickled_client_has_a_cache_of_its_own(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The configuration travels, the answers do not."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-0123456789")
    client = Client("openai/gpt-4o-mini", base_url=server.url("openai"), cache=LLMCache(ttl=60))
    client.complete("Say hi")

    data = pickle.dumps(client)
    with pickle.loads(data) as copy:
        assert not copy.complete("Say hi").cached
        assert copy.complete("Say hi").cached
        assert 60 == copy.cache.ttl
    client.close()

    assert b"canary" not in data


def test_a_pickle_holds_no_password_of_a_redis(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address with one is a literal key."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
    client = Client("openai/gpt-4o-mini", base_url=server.url("openai"), cache="redis://:canary@localhost:1/0")

    with pytest.raises(ConfigurationError, match="literal key") as caught:
        pickle.dumps(client)

    assert "canary" not in str(caught.value) + repr(client.cache) + repr(client)
    client.close()


def test_no_key_and_no_prompt_is_in_the_file(
    connect: Connect, server: FakeServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither in a row nor in what a row is found by; an answer is."""
    server.always(Reply("what the model said"))
    client = connect(
        cache=tmp_path / "answers.db",
        api_key="sk-canary-0123456789",
        default_headers={"X-Gateway-Key": "canary-gateway"},
        retry=RetryConfig(),
    )
    with caplog.at_level(logging.DEBUG, "llmkit"):
        client.complete("canary-prompt")
        client.stream("canary-prompt").collect()

    held = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"what the model said" in held
    assert b"canary" not in held
    assert "canary" not in caplog.text
    assert "canary" not in repr(client.cache.stats()) + repr(client.cache)


@pytest.mark.parametrize("operation", ["complete", "stream"])
def test_what_a_fallback_said_is_not_kept(connect: Connect, server: FakeServer, operation: str) -> None:
    """The question was asked of another; when that one is back, it is to answer itself."""
    down = [True]
    server.always(lambda request: Reply.error(500) if down and request.json["model"] == "model-a" else Reply(request.json["model"]))
    client = connect(["openai/model-a", "openai/model-b"], cache=True, **NO_RETRIES)
    ask = client.complete if operation == "complete" else lambda prompt: client.stream(prompt).collect()

    texts = [ask("Say hi").text]
    down.clear()
    texts += [ask("Say hi").text for _ in range(2)]

    assert ["model-b", "model-a", "model-a"] == texts
    assert (1, 2) == (client.cache.stats().hits, client.cache.stats().misses)


@pytest.mark.parametrize("other", ["openai/model-b", Target("openai/model-a", api_key="sk-of-another-account")], ids=["model", "account"])
def test_what_a_rival_said_elsewhere_is_not_kept(connect: Connect, server: FakeServer, other: Any) -> None:
    """Another model, or the same one for another account, won the race."""
    server.enqueue(Reply("slow", delay=5), Reply("quick"))
    target = evolve(other, base_url=server.url("openai")) if isinstance(other, Target) else other
    client = connect(["openai/model-a", target], cache=True, hedge=Hedge(delay=0.03, max_share=1.0))

    first = client.complete("Say hi")

    assert "quick" == first.text
    assert 0 == client.cache.stats().entries


def test_what_a_rival_said_in_the_same_place_is_kept(connect: Connect, server: FakeServer) -> None:
    """It is the same question, asked twice."""
    server.enqueue(Reply("slow", delay=5), Reply("quick"))
    client = connect(cache=True, hedge=Hedge(delay=0.03, max_share=1.0))

    texts = [client.complete("Say hi").text for _ in range(2)]

    assert ["quick", "quick"] == texts
    assert 2 == server.hits


def test_a_kept_answer_is_told_to_who_watches(connect: Connect, server: FakeServer) -> None:
    """The call begins and ends, and there is no attempt between."""
    told: list[Event] = []
    client = connect(cache=True, hooks=told.append)
    client.complete("Say hi")
    del told[:]

    replies = [client.complete("Say hi"), client.stream("Say hi").collect()]

    assert ["call.start", "call.end"] * 2 == [event.name for event in told]
    assert replies == [told[1].response, told[3].response]


def test_who_waits_for_another_call_is_released_by_cancel_all(server: FakeServer) -> None:
    """The one who asks too, and nothing is left."""
    server.always(Reply("Slow", delay=5))
    told: list[Event] = []
    arguments: dict[str, Any] = {"base_url": server.url("openai"), "api_key": "sk-test-0123456789", "cache": True, "hooks": told.append}
    with Client("openai/gpt-4o-mini", **arguments) as client:
        raised: list[BaseException] = []

        def ask() -> None:
            try:
                client.complete("Say hi")
            except BaseException as error:
                raised.append(error)

        threads = [threading.Thread(target=ask) for _ in range(5)]
        for thread in threads:
            thread.start()
        server.wait_for(lambda server: server.hits == 1 and len(client._router.active) == 5)

        count = client.cancel_all()
        for thread in threads:
            thread.join(3)

        assert client.cache is not None
        assert (5, 0, 0) == (count, len(client.cache.flights), len(client._router.active))
    assert [concurrent.futures.CancelledError] * 5 == [type(error) for error in raised]
    assert 5 == sum(event.name == "call.end" for event in told)


def test_tasks_that_wait_for_another_are_released_by_cancel_all(server: FakeServer) -> None:
    """The same on an event loop."""
    server.always(Reply("Slow", delay=5))

    async def main() -> list[Any]:
        async with AsyncClient("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="sk-test-0123456789", cache=True) as client:
            tasks = [asyncio.create_task(client.complete("Say hi")) for _ in range(5)]
            await asyncio.to_thread(server.wait_for, lambda server: server.hits == 1)
            client.cancel_all()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert client.cache is not None
            assert (0, 0) == (len(client.cache.flights), len(client._router.active))
            return results

    assert [asyncio.CancelledError] * 5 == [type(result) for result in asyncio.run(main())]


def test_a_request_the_endpoint_was_found_not_to_take_whole_is_the_same_question(connect: Connect, server: FakeServer) -> None:
    """What is left out for a server's sake was never the user's."""

    def picky(request: RecordedRequest) -> Reply:
        if "stream_options" in request.json:
            return Reply.error(400, message="Unrecognized request argument supplied: stream_options", param="stream_options")
        return Reply()

    server.always(picky)
    client = connect(cache=True)
    first = client.stream("Say hi").collect()

    second = client.stream("Say hi").collect()

    assert [False, True] == [first.cached, second.cached]

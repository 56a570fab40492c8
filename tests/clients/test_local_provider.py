"""A provider in Python: everything that surrounds a call holds for it as for any other."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import CancelledError
from decimal import Decimal
from typing import Any

import pytest
from attrs import frozen

import llmkit
import llmkit.providers
from llmkit import (
    CircuitBreakerConfig,
    CircuitOpenError,
    CompletionChunk,
    CompletionRequest,
    CompletionResponse,
    ConfigurationError,
    DeadlineExceededError,
    Event,
    FinishReason,
    LocalProvider,
    NetworkError,
    OverloadedError,
    RateLimit,
    RateLimitError,
    RequestTimeoutError,
    RetryConfig,
    Target,
    ToolCallDelta,
    UnsupportedParameterError,
    Usage,
    assistant,
    register_provider,
)
from llmkit.testing import FakeServer

FAST = RetryConfig(max_retries=3, base_delay=0.001)


class Scripted(LocalProvider):
    """Answers, or raises, what it was told, in turn; the last of it again and again."""

    name = "scripted"

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = list(outcomes)
        self.requests: list[CompletionRequest] = []

    def complete(self, request: CompletionRequest) -> Any:
        self.requests.append(request)
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


class Streaming(LocalProvider):
    """Streams what it was told, and raises where that is an error."""

    def __init__(self, *pieces: Any) -> None:
        self.pieces = pieces
        self.begun = 0
        self.left = threading.Event()

    def stream(self, request: CompletionRequest) -> Iterator[Any]:
        self.begun += 1
        try:
            for piece in self.pieces:
                if isinstance(piece, BaseException):
                    raise piece
                yield piece
        finally:
            self.left.set()


class OnTheLoop(LocalProvider):
    """Is made for a loop as well."""

    def __init__(self) -> None:
        self.threads: list[str] = []

    def complete(self, request: CompletionRequest) -> str:
        self.threads.append(threading.current_thread().name)
        return "from a thread"

    async def acomplete(self, request: CompletionRequest) -> str:
        self.threads.append(threading.current_thread().name)
        await asyncio.sleep(0)
        return "from the loop"

    async def astream(self, request: CompletionRequest) -> AsyncIterator[str]:
        task = asyncio.current_task()
        for word in ("from ", "the ", "loop"):
            await asyncio.sleep(0)
            assert task is asyncio.current_task()
            yield word


@pytest.fixture
def connect(face: Any) -> Callable[..., Any]:
    """Return a maker of clients of a local provider."""
    return lambda provider, **arguments: face.client(provider=provider, **{"retry": FAST, **arguments})


def test_it_answers(connect: Any) -> None:
    """With the request as it was checked, and no key, address or model."""
    provider = Scripted("Hello")

    reply = connect(provider).complete("Hi", temperature=0.5)

    assert ("Hello", "scripted", "local") == (reply.text, reply.provider, reply.model)
    assert FinishReason.STOP is reply.finish_reason
    assert ("Hi", 0.5) == (provider.requests[0].messages[0].text, provider.requests[0].temperature)
    assert ["local://scripted"] == [attempt.endpoint for attempt in reply.attempts]


def test_an_answer_may_say_all_there_is(connect: Any) -> None:
    """Usage, cost and reason; and what the provider keeps is not changed."""
    said = CompletionResponse(
        message=assistant("Hi"), finish_reason=FinishReason.LENGTH, usage=Usage(input_tokens=3, output_tokens=2), cost=Decimal("0.01")
    )
    client = connect(Scripted(said), model="engine-7b")

    reply = client.complete("Hello")

    assert ("engine-7b", FinishReason.LENGTH, Decimal("0.01"), 5) == (
        reply.model,
        reply.finish_reason,
        reply.cost,
        reply.usage.total_tokens,
    )
    assert ((), "") == (said.attempts, said.provider)
    assert Decimal("0.01") == client.usage.estimated_cost


@pytest.mark.parametrize(
    ("raised", "kind", "attempts"),
    [
        (OverloadedError("busy"), OverloadedError, 4),
        (RateLimitError("slowly", retry_after=0.001), RateLimitError, 4),
        (ConnectionResetError("gone"), NetworkError, 4),
        (ConnectionRefusedError("nobody"), NetworkError, 4),
        (TimeoutError("slow"), RequestTimeoutError, 4),
        (FileNotFoundError("weights.bin"), NetworkError, 1),
        (ConfigurationError("no such model"), ConfigurationError, 1),
    ],
)
def test_what_it_raises_is_classed(connect: Any, raised: Exception, kind: type[Exception], attempts: int) -> None:
    """What may pass is tried again."""
    provider = Scripted(raised)

    with pytest.raises(kind) as caught:
        connect(provider, circuit_breaker=None).complete("Hi")

    assert attempts == len(provider.requests) == len(caught.value.attempts)  # type: ignore[attr-defined]
    assert "local://scripted" == caught.value.endpoint  # type: ignore[attr-defined]


def test_an_error_of_ours_is_raised_as_it_is(connect: Any) -> None:
    """With whatever its class and its metadata say."""

    class Throttled(RateLimitError):
        """A provider's own."""

    error = Throttled("slowly", metadata={"queue": 7})

    with pytest.raises(Throttled) as caught:
        connect(Scripted(error), retry=None).complete("Hi")

    assert error is caught.value


@pytest.mark.parametrize("bug", [ZeroDivisionError("oops"), KeyError("x"), TypeError("y")])
def test_a_bug_is_seen_as_it_is(connect: Any, bug: Exception) -> None:
    """It is not tried again, and says nothing of the engine's health."""
    provider = Scripted(bug)
    client = connect(provider)

    with pytest.raises(type(bug)) as caught:
        client.complete("Hi")

    assert bug is caught.value
    assert 1 == len(provider.requests)
    assert "closed" == str(client.breaker().state)


def test_what_is_no_answer_is_a_bug(connect: Any) -> None:
    """It is said what would have been one."""
    with pytest.raises(TypeError, match="CompletionResponse or a string, not int"):
        connect(Scripted(42)).complete("Hi")
    with pytest.raises(TypeError, match="CompletionChunks and strings, not int"):
        connect(Streaming(42)).stream("Hi").collect()


def test_it_is_tried_again_until_it_works(connect: Any) -> None:
    """The ledger tells of each try."""
    reply = connect(Scripted(OverloadedError("busy"), TimeoutError(), "fine")).complete("Hi")

    assert ("fine", ["overloaded", "read_timeout", None]) == (reply.text, [attempt.error for attempt in reply.attempts])


def test_the_breaker_opens(connect: Any) -> None:
    """An engine that fails is left alone."""
    client = connect(Scripted(ConnectionResetError()), retry=None, circuit_breaker=CircuitBreakerConfig(failure_threshold=2))
    for _ in range(2):
        with pytest.raises(NetworkError):
            client.complete("Hi")

    with pytest.raises(CircuitOpenError):
        client.complete("Hi")


def test_calls_go_on_from_it_and_to_it(connect: Any, face: Any, server: FakeServer) -> None:
    """In a row of fallbacks it is one of many."""
    server.close()
    target = Target("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="sk-0123456789")

    onwards = connect(Scripted(OverloadedError("busy")), retry=None, fallbacks=[Target(provider=Scripted("from the next"))])
    to_it = face.client([target, Target(provider=Scripted("from the engine"))], retry=None)

    assert "from the next" == onwards.complete("Hi").text
    assert ("from the engine", "scripted") == ((reply := to_it.complete("Hi")).text, reply.provider)


def test_a_limit_holds(connect: Any) -> None:
    """One after the other, where the engine can do no more."""
    running: list[int] = []
    most: list[int] = []

    class Engine(LocalProvider):
        def complete(self, request: CompletionRequest) -> str:
            running.append(1)
            most.append(len(running))
            time.sleep(0.005)
            running.pop()
            return "done"

    async def all_at_once() -> None:
        from llmkit_async import AsyncClient

        async with AsyncClient(provider=Engine(), rate_limit=RateLimit(max_concurrency=1)) as client:
            await asyncio.gather(*(client.complete("Hi") for _ in range(5)))

    asyncio.run(all_at_once())

    assert [1] * 5 == most


def test_hooks_and_the_budget_see_it(connect: Any) -> None:
    """Tokens of one's own machine cost nothing."""
    seen: list[Event] = []
    client = connect(Scripted("Hello"), hooks=[seen.append], budget="0.01")

    client.complete("Hi")

    assert ["call.start", "attempt.start", "attempt.end", "call.end"] == [event.name for event in seen]


def test_a_typed_answer_is_read(connect: Any) -> None:
    """The provider is told the schema, and gives text."""

    @frozen
    class City:
        name: str

    provider = Scripted('{"name": "Paris"}')

    reply = connect(provider).complete("Where?", response_format=City)

    assert City("Paris") == reply.parsed
    assert {"name"} == set(provider.requests[0].response_format.schema["properties"])  # type: ignore[union-attr, index]


def test_a_parameter_that_it_does_not_honour_is_refused(connect: Any) -> None:
    """Nothing is dropped in silence."""

    class Plain(Scripted):
        parameters = frozenset({"max_tokens"})

    client = connect(Plain("Hello"))

    assert "Hello" == client.complete("Hi", max_tokens=5).text
    with pytest.raises(UnsupportedParameterError, match="temperature"):
        client.complete("Hi", temperature=0.5)


def test_a_stream_comes_in_its_chunks(connect: Any) -> None:
    """Text, thoughts, tool calls in fragments, usage; its end is the answer's."""
    provider = Streaming(
        CompletionChunk(thinking="Hm"),
        "Let me ",
        CompletionChunk("see"),
        CompletionChunk(tool_call=ToolCallDelta(0, "call_1", "add", '{"a"')),
        CompletionChunk(tool_call=ToolCallDelta(0, arguments=": 1}")),
        CompletionChunk(usage=Usage(input_tokens=1, output_tokens=2)),
    )

    stream = connect(provider).stream("Hi")
    texts = [chunk.text for chunk in stream if chunk.text]

    reply = stream.response
    assert ["Let me ", "see"] == texts
    assert ("Let me see", "Hm", FinishReason.TOOL_CALLS, 3) == (reply.text, reply.thinking, reply.finish_reason, reply.usage.total_tokens)
    assert [("call_1", "add", {"a": 1})] == [(call.id, call.name, dict(call.arguments)) for call in reply.tool_calls]


def test_what_one_half_lacks_the_other_stands_in_for(connect: Any) -> None:
    """A whole answer as a stream, and a stream as a whole answer."""
    assert "whole" == connect(Scripted("whole")).stream("Hi").collect().text
    assert "piecemeal" == connect(Streaming("piece", "meal")).complete("Hi").text


def test_a_stream_that_fails_before_its_first_content_is_tried_again(connect: Any) -> None:
    """After it, nothing is."""
    early, late = Streaming(OverloadedError("busy")), Streaming("some", ConnectionResetError("gone"))

    with pytest.raises(OverloadedError):
        connect(early).stream("Hi").collect()
    with pytest.raises(NetworkError) as caught:
        connect(late).stream("Hi").collect()

    assert (4, 1) == (early.begun, late.begun)
    assert "some" == caught.value.partial.text  # type: ignore[attr-defined]


def test_a_stream_that_is_left_ends(connect: Any, face: Any) -> None:
    """At its next chunk: its own ``finally`` runs."""
    provider = Streaming(*("word " for _ in range(1000)))

    with connect(provider).stream("Hi") as stream:
        next(iter(stream))

    assert provider.left.wait(2)


def test_the_deadline_ends_a_call_that_cannot_be_cut(connect: Any) -> None:
    """The method goes on in its thread, and nobody waits for it."""
    go_on, over = threading.Event(), threading.Event()

    class Slow(LocalProvider):
        def complete(self, request: CompletionRequest) -> str:
            go_on.wait(5)
            over.set()
            return "too late"

        def stream(self, request: CompletionRequest) -> Iterator[str]:
            go_on.wait(5)
            yield "too late"

    client = connect(Slow())
    began = time.monotonic()
    with pytest.raises(DeadlineExceededError):
        client.complete("Hi", deadline=0.05)
    with pytest.raises(DeadlineExceededError):
        client.stream("Hi", deadline=0.05).collect()

    assert time.monotonic() - began < 1
    go_on.set()
    assert over.wait(2)


def test_what_it_calls_itself_keeps_the_deadline(connect: Any) -> None:
    """Its own calls of other clients are over in time."""
    left: list[float] = []

    class Asking(LocalProvider):
        def complete(self, request: CompletionRequest) -> str:
            from llmkit.resilience.deadline import current_deadline

            ambient = current_deadline()
            assert ambient is not None
            left.append(ambient.remaining())
            return "asked"

    connect(Asking()).complete("Hi", deadline=5)

    assert 0 < left[0] <= 5


def test_cancel_all_ends_the_waiting() -> None:
    """From another thread."""
    begun, go_on = threading.Event(), threading.Event()

    class Slow(LocalProvider):
        def complete(self, request: CompletionRequest) -> str:
            begun.set()
            go_on.wait(5)
            return "too late"

    client = llmkit.Client(provider=Slow())
    raised: list[BaseException] = []

    def ask() -> None:
        with contextlib.suppress(CancelledError):
            client.complete("Hi")
            raised.append(AssertionError())
            return
        raised.append(CancelledError())

    thread = threading.Thread(target=ask)
    thread.start()
    assert begun.wait(2)
    assert 1 == client.cancel_all()
    thread.join(2)
    go_on.set()

    assert [CancelledError] == [type(one) for one in raised]


def test_the_twin_uses_the_loop_where_it_is_meant_for_one(face: Any, connect: Any) -> None:
    """And a thread elsewhere, as the sync client always does."""
    provider = OnTheLoop()
    client = connect(provider)

    reply = client.complete("Hi")
    expected = "from the loop" if face.name == "async" else "from a thread"

    assert expected == reply.text == client.stream("Hi").collect().text
    assert (threading.current_thread().name == provider.threads[0]) is (face.name == "async")


def test_a_cancelled_task_cancels_it() -> None:
    """On the loop there is a way to cut."""
    cancelled: list[str] = []

    class Slow(LocalProvider):
        async def acomplete(self, request: CompletionRequest) -> str:
            try:
                await asyncio.sleep(5)
            except asyncio.CancelledError:
                cancelled.append("complete")
                raise
            return "too late"

        async def astream(self, request: CompletionRequest) -> AsyncIterator[str]:
            try:
                yield "first"
                await asyncio.sleep(5)
            finally:
                cancelled.append("stream")

    async def ask() -> None:
        from llmkit_async import AsyncClient

        async with AsyncClient(provider=Slow()) as client:
            with pytest.raises(DeadlineExceededError):
                await client.complete("Hi", deadline=0.03)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(client.complete("Hi"), 0.03)
            with pytest.raises(DeadlineExceededError):
                await client.stream("Hi", deadline=0.03).collect()

    asyncio.run(ask())

    assert ["complete", "complete", "stream"] == cancelled


def test_it_may_have_a_name(connect: Any, face: Any, own_registry: Any) -> None:
    """Registered, it is one of the providers."""
    register_provider("mine", local=Scripted("Hello"), aliases="ours")

    assert ("Hello", "mine", "large") == ((reply := face.client("mine/large").complete("Hi")).text, reply.provider, reply.model)
    assert "Hello" == face.client("ours/large").complete("Hi").text
    assert "Hello" == face.client(provider="mine").complete("Hi").text
    assert "local://mine" == llmkit.providers.find_provider("mine").base(None, {})


@pytest.mark.parametrize("argument", [{"base_url": "http://localhost"}, {"env": "MY_KEY"}, {"auth": "X-Key"}])
def test_what_only_a_service_has_is_refused(face: Any, own_registry: Any, argument: dict[str, Any]) -> None:
    """When it is registered, and when a client is made."""
    with pytest.raises(ConfigurationError, match="no service"):
        register_provider("mine", local=Scripted("Hello"), **argument)
    with pytest.raises(ConfigurationError, match="takes no api_key"):
        face.client(provider=Scripted("Hello"), api_key="sk-0123456789")
    with pytest.raises(ConfigurationError, match="LocalProvider"):
        register_provider("mine", local=object())  # type: ignore[arg-type]


def test_one_that_implements_nothing_is_refused(face: Any) -> None:
    """Before anything is asked."""
    with pytest.raises(ConfigurationError, match="neither complete"):
        face.client(provider=LocalProvider())


def test_explain_shows_what_it_would_be_asked(connect: Any) -> None:
    """As JSON, with tools and schema."""

    def add(a: int) -> int:
        """Add."""
        return a

    told = connect(Scripted("Hello")).explain("Hi", tools=[add], system="Be brief.")

    assert "local://scripted" == told.url
    assert {"messages", "model", "tools"} == set(told.body)
    assert "Be brief." in json.dumps(told.body)


def test_it_can_be_checked(connect: Any) -> None:
    """By the cheapest question there is."""
    assert connect(Scripted("pong")).check().ok
    assert not connect(Scripted(OverloadedError("busy")), retry=None).check().ok


def test_answers_are_kept(connect: Any) -> None:
    """What is asked again, whole or streamed, is not asked of the engine; another question is."""
    provider = Scripted("one", "two")
    client = connect(provider, cache=True)

    texts = [client.complete("Hi").text, client.complete("Hi").text, client.stream("Hi").collect().text, client.complete("Ho").text]

    assert ["one", "one", "one", "two"] == texts
    assert 2 == len(provider.requests)

"""What calls cost, and what is counted of them: on both faces, over every wire."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

import llmkit
from llmkit import ModelRegistry, Price, StreamInterruptedError, StructuredOutputError, UsageEstimator
from llmkit.catalogue.registry import State
from llmkit.testing import FakeServer, Reply

Connect = Callable[..., Any]

CLAUDE = {
    "input_tokens": 1000,
    "cache_read_input_tokens": 4000,
    "cache_creation_input_tokens": 3000,
    "cache_creation": {"ephemeral_5m_input_tokens": 2000, "ephemeral_1h_input_tokens": 1000},
    "output_tokens": 500,
}
CHAT = {
    "prompt_tokens": 1000,
    "completion_tokens": 100,
    "total_tokens": 1100,
    "prompt_tokens_details": {"cached_tokens": 400},
    "completion_tokens_details": {"reasoning_tokens": 60},
}
RESPONSES = {"input_tokens": 1000, "output_tokens": 100, "input_tokens_details": {"cached_tokens": 400}}
GEMINI = {"promptTokenCount": 1000, "candidatesTokenCount": 40, "thoughtsTokenCount": 60, "cachedContentTokenCount": 400}

# Per million tokens: Sonnet 4.5 3, 0.30, 3.75, 6 and 15; GPT-4o mini 0.15, 0.075 and 0.60; Gemini 2.5 Flash 0.30, 0.03 and 2.50.
PRICED = [
    pytest.param("anthropic/claude-sonnet-4-5", CLAUDE, "0.0252", id="anthropic"),
    pytest.param("openai/gpt-4o-mini", CHAT, "0.00018", id="chat"),
    pytest.param("openai-responses/gpt-4o-mini", RESPONSES, "0.00018", id="responses"),
    pytest.param("google/gemini-2.5-flash", GEMINI, "0.000442", id="gemini"),
    pytest.param(
        "cohere/command-a-03-2025",
        {"tokens": {"input_tokens": 900, "output_tokens": 90}, "billed_units": {"input_tokens": 100, "output_tokens": 10}},
        "0.00035",
        id="cohere, by what is charged for",
    ),
    pytest.param("openrouter/openai/gpt-4o-mini", {**CHAT, "cost": 0.5}, "0.5", id="openrouter says it"),
    pytest.param("openrouter/openai/gpt-4o-mini", CHAT, "0.00018", id="openrouter does not say it"),
    pytest.param("xai/grok-4.5", {**CHAT, "cost_in_usd_ticks": 1497500}, "0.00014975", id="xai says it"),
    pytest.param("perplexity/sonar", {**CHAT, "cost": {"total_cost": 0.0061}}, "0.0061", id="perplexity says it"),
    pytest.param("ollama/gpt-oss:20b", {"prompt_eval_count": 10, "eval_count": 10}, None, id="ollama"),
    pytest.param("vllm/gpt-4o-mini", CHAT, None, id="a server of one's own"),
    pytest.param("openai/gpt-nobody-knows", CHAT, None, id="an unknown model"),
]


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(ModelRegistry, "_state", State({}))


def where(server: FakeServer, model: str) -> str:
    name = model.partition("/")[0]
    return server.url({"openai-responses": "openai"}.get(name, name))


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("model", "usage", "cost"), PRICED)
def test_an_answer_has_its_cost(
    connect: Connect, server: FakeServer, model: str, usage: dict[str, Any], cost: str | None, streamed: bool
) -> None:
    """By the prices of its model, each kind of token by its own; or None, and never nothing."""
    client = connect(model, base_url=where(server, model))
    server.enqueue(Reply("Hi", usage=usage))

    reply = client.stream("Say hi").collect() if streamed else client.complete("Say hi")

    expected = None if cost is None else Decimal(cost)
    assert expected == reply.cost
    assert expected == client.usage.estimated_cost
    assert reply.usage.input_tokens == client.usage.input_tokens > 0


def test_the_hour_long_cache_is_told_from_the_short_one(connect: Connect, server: FakeServer) -> None:
    """Where the provider tells them apart."""
    client = connect("anthropic/claude-sonnet-4-5", base_url=server.url("anthropic"))
    server.enqueue(Reply("Hi", usage=CLAUDE))

    usage = client.complete("Say hi").usage

    assert (8000, 3000, 1000) == (usage.input_tokens, usage.cache_write_tokens, usage.cache_write_1h_tokens)


def test_the_model_that_answered_counts_where_the_one_asked_for_is_unknown(connect: Connect, server: FakeServer) -> None:
    """A deployment has a name of its own, a router picks a model; the answer says which it was."""
    client = connect("azure/our-deployment", base_url=server.url("azure"))
    server.enqueue(Reply("Hi", usage=CHAT, model="gpt-4o-mini-2024-07-18"))

    reply = client.complete("Say hi")

    assert Decimal("0.00018") == reply.cost


def test_a_price_of_ones_own_counts_at_once(connect: Connect, server: FakeServer) -> None:
    """Also for clients that have asked before."""
    client = connect()
    server.enqueue(Reply("Hi", usage=CHAT), Reply("Hi", usage=CHAT, model="gpt-4o-mini-2024-07-18"))
    client.complete("Say hi")

    ModelRegistry.register("openai", "gpt-4o-mini", price=Price(input=1, output=2))

    assert Decimal("0.0012") == client.complete("Say hi").cost


def test_a_usage_that_nobody_reported_has_no_cost(connect: Connect, server: FakeServer) -> None:
    """Its zeros are no count."""
    client = connect()
    server.enqueue(Reply(raw={"id": "1", "model": "gpt-4o-mini", "choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}))

    reply = client.complete("Say hi")

    assert reply.cost is None
    assert (1, 1, None) == (client.usage.answers, client.usage.unpriced, client.usage.estimated_cost)


def test_a_cost_goes_along_when_an_answer_is_stored(connect: Connect) -> None:
    """To the last digit."""
    reply = connect().complete("Say hi")

    assert reply == llmkit.CompletionResponse.from_dict(reply.to_dict())
    assert isinstance(reply.cost, Decimal)


def test_a_client_counts_by_model(connect: Connect, server: FakeServer) -> None:
    """And in all; what it has counted is a picture of that moment."""
    client = connect()
    server.always(Reply("Hi", usage=CHAT))
    before = client.usage
    client.complete("Say hi")
    client.complete("Say hi", model="openai/gpt-4o")
    client.complete("Say hi", model="gpt-unheard-of")

    used = client.usage

    assert UsageEstimator() == before
    assert (3000, 300, Decimal("0.00318")) == (used.input_tokens, used.output_tokens, used.estimated_cost)
    assert (3, 1) == (used.answers, used.unpriced)
    assert {"openai/gpt-4o-mini", "openai/gpt-4o", "openai/gpt-unheard-of"} == used.by_model.keys()
    assert Decimal("0.003") == used.by_model["openai/gpt-4o"].estimated_cost
    assert used.by_model["openai/gpt-unheard-of"].estimated_cost is None
    assert 180 == used.usage.reasoning_tokens


def test_an_answer_that_is_refused_was_paid_for(connect: Connect, server: FakeServer) -> None:
    """It is not JSON, but it has cost what it has cost."""
    client = connect()
    server.enqueue(Reply("not JSON", usage=CHAT))

    with pytest.raises(StructuredOutputError):
        client.complete("Say hi in JSON", response_format="json")

    assert Decimal("0.00018") == client.usage.estimated_cost


def test_what_a_broken_stream_had_used_is_counted(connect: Connect, server: FakeServer) -> None:
    """As far as the server had said it: this one says at the beginning what it was sent."""
    client = connect("anthropic/claude-sonnet-4-5", base_url=server.url("anthropic"), retry=None)
    server.enqueue(Reply("one two three four five six", usage=CLAUDE, cut=-300))

    with pytest.raises(StreamInterruptedError) as caught:
        client.stream("Say hi").collect()

    assert caught.value.partial is not None
    assert 8000 == client.usage.input_tokens
    assert client.usage.estimated_cost == caught.value.partial.cost
    assert (caught.value.partial.cost or 0) > Decimal("0.0177")


def test_what_a_stream_had_used_when_it_was_left_is_counted(connect: Connect, server: FakeServer) -> None:
    """Once."""
    client = connect("anthropic/claude-sonnet-4-5", base_url=server.url("anthropic"))
    server.enqueue(Reply("one two three four five six", usage=CLAUDE, stall_after=5))

    with client.stream("Say hi") as stream:
        next(iter(stream))

    assert (8000, 1) == (client.usage.input_tokens, client.usage.answers)


def test_what_a_stream_had_used_when_it_was_cancelled_is_counted(connect: Connect, server: FakeServer) -> None:
    """By ``cancel_all`` as well as by its reader."""
    client = connect("anthropic/claude-sonnet-4-5", base_url=server.url("anthropic"))
    server.enqueue(Reply("one two three four five six", usage=CLAUDE, stall_after=5))
    stream = client.stream("Say hi")
    chunks = iter(stream)
    next(chunks)

    client.cancel_all()
    with pytest.raises((concurrent.futures.CancelledError, asyncio.CancelledError)):
        list(chunks)

    assert (8000, 1) == (client.usage.input_tokens, client.usage.answers)


def test_a_stream_that_is_left_at_its_end_counts_once(connect: Connect, server: FakeServer) -> None:
    """Whoever stops reading when the model says it has finished has had the whole answer."""
    client = connect()
    server.enqueue(Reply("Hi", usage=CHAT))

    with client.stream("Say hi") as stream:
        for chunk in stream:
            if chunk.usage is not None:
                break

    assert (1000, 1) == (client.usage.input_tokens, client.usage.answers)


def test_a_retried_call_counts_what_each_attempt_used(connect: Connect, server: FakeServer) -> None:
    """Attempts that failed before they said anything count for nothing."""
    client = connect()
    server.enqueue(Reply.error(500), Reply("Hi", usage=CHAT))

    reply = client.complete("Say hi")

    assert 2 == len(reply.attempts)
    assert (1, Decimal("0.00018")) == (client.usage.answers, client.usage.estimated_cost)


def test_a_scope_counts_what_is_called_inside(connect: Connect, server: FakeServer) -> None:
    """By any client; scopes nest."""
    one, other = connect(), connect("openai/gpt-4o")
    server.always(Reply("Hi", usage=CHAT))
    one.complete("before")

    with llmkit.track() as outer:
        one.complete("Say hi")
        with llmkit.track() as inner:
            other.stream("Say hi").collect()
        one.complete("Say hi")
    one.complete("after")

    assert (3000, Decimal("0.00336")) == (outer.input_tokens, outer.estimated_cost)
    assert (1000, 100, Decimal("0.003")) == (inner.input_tokens, inner.output_tokens, inner.estimated_cost)
    assert {"openai/gpt-4o"} == inner.by_model.keys()
    assert 4000 == one.usage.input_tokens


def test_a_stream_belongs_to_the_scope_it_began_in(connect: Connect, server: FakeServer) -> None:
    """Wherever it is read."""
    client = connect()
    server.enqueue(Reply("Hi", usage=CHAT))

    with llmkit.track() as began:
        stream = client.stream("Say hi")
    with llmkit.track() as read:
        stream.collect()

    assert (1000, 0) == (began.input_tokens, read.input_tokens)


def test_explaining_tells_what_it_will_cost(connect: Connect, server: FakeServer) -> None:
    """About, and without asking anybody."""
    client = connect()

    bounded = client.explain("word " * 1000, max_tokens=500)
    unbounded = client.explain("Hi")
    unknown = client.explain("Hi", model="gpt-unheard-of")

    assert bounded.estimated_input_tokens == pytest.approx(1000, rel=0.15)
    assert 500 == bounded.estimated_output_tokens
    assert Decimal("0.15") * bounded.estimated_input_tokens + 300 == (bounded.estimated_cost or 0) * 1_000_000
    assert 1000 == unbounded.estimated_output_tokens
    assert unknown.estimated_cost is None
    assert 0 == server.hits


def test_threads_count_together(server: FakeServer) -> None:
    """Nothing is lost; a scope holds for threads that run in a copy of its context."""
    server.always(Reply("Hi", usage=CHAT))
    client = llmkit.Client("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="test")

    with client, llmkit.track() as tracker:
        contexts = [contextvars.copy_context() for _ in range(8)]
        threads = [threading.Thread(target=context.run, args=(ask, client, 5)) for context in contexts]
        strangers = [threading.Thread(target=ask, args=(client, 5)) for _ in range(2)]
        for thread in threads + strangers:
            thread.start()
        for thread in threads + strangers:
            thread.join()

    assert (50, 50_000, Decimal("0.009")) == (client.usage.answers, client.usage.input_tokens, client.usage.estimated_cost)
    assert (40_000, Decimal("0.0072")) == (tracker.input_tokens, tracker.estimated_cost)


def ask(client: Any, times: int) -> None:
    for _ in range(times):
        client.complete("Say hi")


def test_tasks_count_in_the_scope_they_were_made_in(server: FakeServer) -> None:
    """And not in that of another task."""
    from llmkit_async import AsyncClient

    server.always(Reply("Hi", usage=CHAT))

    async def scoped(client: AsyncClient, times: int) -> int:
        with llmkit.track() as tracker:
            await asyncio.gather(*(client.complete("Say hi") for _ in range(times)))
        return tracker.input_tokens

    async def main() -> tuple[list[int], int]:
        async with AsyncClient("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="test") as client:
            with llmkit.track() as tracker:
                counted = await asyncio.gather(scoped(client, 1), scoped(client, 2), scoped(client, 3))
            return counted, tracker.input_tokens

    assert ([1000, 2000, 3000], 6000) == asyncio.run(main())

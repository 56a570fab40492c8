"""Texts as vectors: cut, sent at once, put together; or failed as one."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve

import llmkit
from llmkit import (
    AuthenticationError,
    BudgetExceededError,
    Client,
    ConfigurationError,
    DeadlineExceededError,
    InternalError,
    InvalidRequestError,
    MalformedResponseError,
    RateLimit,
    RateLimitError,
    RateLimitTimeoutError,
    RetryConfig,
    UnsupportedParameterError,
    register_provider,
)
from llmkit.dialects.bedrock_embeddings import BedrockEmbeddings
from llmkit.providers import embedding_providers, find_provider, provider_names, registry
from llmkit.providers.embedders import EMBEDDERS
from llmkit.testing import FakeServer, RecordedRequest, Reply
from llmkit.testing.aws import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from llmkit.testing.wires.openai_chat import vector
from llmkit_async import AsyncClient

Connect = Callable[..., Any]

QUICK = RetryConfig(max_retries=2, base_delay=0.001, max_delay=0.002)


def texts(server: FakeServer) -> list[list[str]]:
    """Return the inputs of each request, in the order of the inputs."""
    return sorted((request.json["input"] for request in server.requests), key=lambda inputs: int(inputs[0].split()[-1]))


def numbered(count: int) -> list[str]:
    return [f"text {number}" for number in range(count)]


# -- one request


def test_a_single_text_has_one_vector(connect: Connect, server: FakeServer) -> None:
    """Of the provider's usual model: the client's own chats."""
    reply = connect().embed("Say hi")

    assert [vector("Say hi", 8)] == reply.vectors
    assert ("openai", "text-embedding-3-small") == (reply.provider, reply.model)
    assert (2, 2) == (reply.usage.input_tokens, reply.usage.total_tokens)
    assert (1, 200, "text-embedding-3-small") == (len(reply.attempts), reply.attempts[0].status, reply.attempts[0].model)
    assert reply.elapsed > 0
    assert {"model": "text-embedding-3-small", "input": ["Say hi"], "encoding_format": "base64"} == server.requests[0].json


def test_what_is_said_is_sent(connect: Connect, server: FakeServer) -> None:
    """Under the client's own defaults for other calls, which are none of this one's."""
    client = connect(temperature=0.5)

    reply = client.embed(
        ("a", "b"), model="openai/text-embedding-3-large", dimensions=3, user="u", extra_body={"x": 1}, extra_headers={"X-A": "1"}
    )

    body = server.requests[0].json
    assert [3, 3] == [len(one) for one in reply.vectors]
    assert ("text-embedding-3-large", 3, "u", 1) == (body["model"], body["dimensions"], body["user"], body["x"])
    assert "1" == server.requests[0].headers["x-a"]
    assert "temperature" not in body


def test_a_client_of_an_embedding_model_needs_no_other(connect: Connect, server: FakeServer) -> None:
    """Its own is the one."""
    connect("openai/text-embedding-3-large").embed("a")

    assert "text-embedding-3-large" == server.requests[0].json["model"]


# -- the wires


AWS: dict[str, Any] = {"options": {"region": "us-east-1"}}
SIGNED: dict[str, Any] = {
    "options": {"region": "us-east-1", "access_key_id": ACCESS_KEY_ID, "secret_access_key": SECRET_ACCESS_KEY},
    "api_key": None,
}
WIRES = [
    pytest.param("openai/gpt-4o", {}, "text-embedding-3-small", True, id="openai"),
    pytest.param("openai/gpt-4o", {"options": {"api": "responses"}}, "text-embedding-3-small", True, id="responses"),
    pytest.param("google/gemini-2.5-flash", {}, "gemini-embedding-001", False, id="google"),
    pytest.param("vertex/gemini-2.5-flash", {}, "gemini-embedding-001", True, id="vertex"),
    pytest.param("vertex/text-embedding-005", {}, "text-embedding-005", True, id="vertex, older"),
    pytest.param("vertex/gemini-embedding-2", {}, "gemini-embedding-2", False, id="vertex, newer"),
    pytest.param("cohere/command-a-03-2025", {}, "embed-v4.0", True, id="cohere"),
    pytest.param("mistral/mistral-small-latest", {}, "mistral-embed", True, id="mistral"),
    pytest.param("voyage/voyage-4", {}, "voyage-4", True, id="voyage"),
    pytest.param("ollama/nomic-embed-text", {}, "nomic-embed-text", True, id="ollama"),
    pytest.param("azure/text-embedding-3-small", {}, "text-embedding-3-small", True, id="azure"),
    pytest.param(
        "azure/text-embedding-3-small", {"options": {"api_version": "2024-10-21"}}, "text-embedding-3-small", True, id="azure, dated"
    ),
    pytest.param("vllm/my-embed", {}, "my-embed", True, id="vllm"),
    pytest.param("nvidia/nv-embed-v2", {}, "nv-embed-v2", True, id="nvidia"),
    pytest.param("custom/bge-m3", {}, "bge-m3", True, id="custom"),
    pytest.param("bedrock/amazon.titan-embed-text-v2:0", AWS, "amazon.titan-embed-text-v2:0", True, id="bedrock, titan"),
    pytest.param("bedrock/us.cohere.embed-v4:0", SIGNED, "us.cohere.embed-v4:0", True, id="bedrock, cohere, signed"),
    pytest.param("bedrock/cohere.embed-english-v3", AWS, "cohere.embed-english-v3", True, id="bedrock, cohere, older"),
]


@pytest.mark.parametrize(("model", "more", "embedding_model", "counts"), WIRES)
def test_every_wire_embeds(connect: Connect, server: FakeServer, model: str, more: Any, embedding_model: str, counts: bool) -> None:
    """Three hundred texts, in their order, over as many requests as it takes."""
    provider = model.partition("/")[0]
    client = connect(model, base_url=server.url(provider), **more)

    reply = client.embed(numbered(300))

    assert [vector(text, 8) for text in numbered(300)] == [pytest.approx(one, abs=1e-7) for one in reply.vectors]
    assert (provider, embedding_model, counts) == (reply.provider, reply.model, reply.usage.reported)
    assert (600 if counts else 0) == reply.usage.input_tokens
    assert len(server.requests) == len(reply.attempts)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("google/gemini-2.5-flash", "RETRIEVAL_QUERY"),
        ("vertex/text-embedding-005", "RETRIEVAL_QUERY"),
        ("cohere/embed-v4.0", "search_query"),
        ("voyage/voyage-4", "query"),
        ("nvidia/nv-embed-v2", "query"),
        ("bedrock/cohere.embed-v4:0", "search_query"),
        ("bedrock/amazon.nova-2-multimodal-embeddings-v1:0", "GENERIC_RETRIEVAL"),
    ],
)
def test_a_purpose_reaches_those_who_make_a_difference(connect: Connect, server: FakeServer, model: str, said: str) -> None:
    """In their own words; and fewer dimensions do as well."""
    client = connect(model, base_url=server.url(model.partition("/")[0]), **(AWS if "bedrock" in model else {}))

    reply = client.embed(["a", "b"], input_type="query", dimensions=4)

    assert said.encode() in server.requests[0].body
    assert 4 == reply.vectors.dimensions


# -- many requests


@pytest.mark.parametrize("at_once", [1, 8, 100])
def test_ten_thousand_texts_stay_in_order(connect: Connect, server: FakeServer, at_once: int) -> None:
    """However their requests overtake each other."""
    inputs = numbered(10_000)

    def late(request: RecordedRequest) -> Reply:
        # Those that came first answer last.
        return Reply(delay=0.02 if "text 0" in request.json["input"] else 0.0)

    server.always(late)

    reply = connect().embed(inputs, max_concurrency=at_once)

    assert 5 == len(server.requests)
    assert [inputs[start : start + 2048] for start in range(0, 10_000, 2048)] == texts(server)
    assert 10_000 == len(reply.vectors)
    assert all(pytest.approx(vector(inputs[number], 8), abs=1e-7) == reply.vectors[number] for number in range(0, 10_000, 617))
    assert 20_000 == reply.usage.input_tokens
    assert 5 == len(reply.attempts)
    assert 4 == reply.vectors.numbers.itemsize


def test_no_more_requests_run_at_once_than_allowed(connect: Connect, server: FakeServer) -> None:
    """And as many as that do."""
    most, lock = 0, threading.Lock()
    client = connect("mistral/mistral-embed", base_url=server.url("mistral"))

    def watch(request: RecordedRequest) -> Reply:
        nonlocal most
        with lock:
            most = max(most, server.open_connections)
        return Reply(delay=0.01)

    server.always(watch)
    client.embed(numbered(640), max_concurrency=3)

    assert 10 == len(server.requests)
    assert 3 == most


def test_long_texts_are_cut_by_their_tokens(connect: Connect, server: FakeServer) -> None:
    """A server that counts them refuses none."""
    long = [f"{'word ' * 3000}{number}" for number in range(200)]

    reply = connect().embed(long)

    assert 200 == len(reply.vectors)
    assert len(server.requests) > 2
    assert {200} == {attempt.status for attempt in reply.attempts}


def test_each_request_is_tried_again_by_itself(connect: Connect, server: FakeServer) -> None:
    """The others are not sent twice."""
    server.enqueue(Reply.error(503))

    reply = connect("mistral/mistral-embed", base_url=server.url("mistral"), retry=QUICK).embed(numbered(192))

    assert 192 == len(reply.vectors)
    assert (4, [503, 200, 200, 200]) == (len(server.requests), sorted((one.status for one in reply.attempts), reverse=True))


def test_one_that_fails_fails_all(connect: Connect, server: FakeServer) -> None:
    """With its own error, at once, and what had not begun is never sent."""

    def fail(request: RecordedRequest) -> Reply:
        return Reply.error(400, message="too spicy") if "text 64" in request.json["input"] else Reply(delay=0.05)

    server.always(fail)
    client = connect("mistral/mistral-embed", base_url=server.url("mistral"), retry=QUICK)

    with pytest.raises(InvalidRequestError, match="too spicy") as caught:
        client.embed(numbered(64 * 20), max_concurrency=2)

    assert 1 == len(caught.value.attempts)
    assert len(server.requests) < 10


def test_what_is_under_way_when_one_fails_is_ended(connect: Connect, server: FakeServer) -> None:
    """Nobody waits for it any more, and it is not tried again."""

    def fail(request: RecordedRequest) -> Reply:
        first = "text 64" in request.json["input"]
        return evolve(Reply.error(400), delay=0.03) if first else evolve(Reply.error(503), delay=0.15)

    server.always(fail)
    client = connect("mistral/mistral-embed", base_url=server.url("mistral"), retry=QUICK)

    with pytest.raises(InvalidRequestError):
        client.embed(numbered(128))
    client.close()
    server.wait_closed()

    assert 2 == server.hits


def test_keys_take_turns(connect: Connect, server: FakeServer) -> None:
    """Every request leases one, and a refused one gives way to another."""
    client = connect("mistral/mistral-embed", base_url=server.url("mistral"), api_keys=["sk-one-000000000", "sk-two-000000000"])
    server.enqueue(Reply.error(401, message="bad key"), key="sk-one-000000000")

    reply = client.embed(numbered(192), max_concurrency=3)

    assert 192 == len(reply.vectors)
    assert {"sk-one-000000000", "sk-two-000000000"} == {request.key for request in server.requests}


class Limited:
    """A server's limit: so many at once, and so many in a second."""

    def __init__(self, burst: float, rate: float) -> None:
        self.lock = threading.Lock()
        self.level = self.burst = burst
        self.rate = rate
        self.at = time.monotonic()

    def __call__(self, request: RecordedRequest) -> Reply:
        with self.lock:
            now = time.monotonic()
            self.level, self.at = min(self.burst, self.level + (now - self.at) * self.rate), now
            if self.level < 1:
                return Reply.error(429, retry_after=0.02)
            self.level -= 1
        return Reply()


def test_a_provider_that_wants_it_slower_fails_nothing(connect: Connect, server: FakeServer) -> None:
    """What is refused after its retries is asked again, later, and all go slower."""
    server.always(Limited(burst=4, rate=150))
    client = connect("mistral/mistral-embed", base_url=server.url("mistral"), retry=RetryConfig(max_retries=1))

    reply = client.embed(numbered(64 * 40), max_concurrency=16)

    server.always(Reply())
    assert 64 * 40 == len(reply.vectors)
    assert client.embed("text 2559").vectors[0] == reply.vectors[2559]


def test_a_provider_that_never_answers_is_not_asked_again(connect: Connect, server: FakeServer) -> None:
    """Beyond the retries of each request."""
    server.always(Reply.error(429, retry_after=0.01))
    client = connect("mistral/mistral-embed", base_url=server.url("mistral"), retry=QUICK)

    with pytest.raises(RateLimitError):
        client.embed(numbered(64 * 4), max_concurrency=1)

    assert 3 == server.hits


def test_one_deadline_holds_for_all(connect: Connect, server: FakeServer) -> None:
    """However many rounds they would take."""
    server.always(Reply(delay=0.06))
    client = connect("mistral/mistral-embed", base_url=server.url("mistral"))
    began = time.monotonic()

    with pytest.raises(DeadlineExceededError):
        client.embed(numbered(64 * 20), deadline=0.15, max_concurrency=1)

    assert time.monotonic() - began < 0.35


def test_an_ambient_deadline_holds_in_all_threads(connect: Connect, server: FakeServer) -> None:
    """It is not the caller's thread that waits for an answer."""
    server.always(Reply(hang=True))
    client = connect("mistral/mistral-embed", base_url=server.url("mistral"))

    with llmkit.deadline(0.1), pytest.raises(DeadlineExceededError):
        client.embed(numbered(200))


def test_vectors_of_different_lengths_are_no_answer(connect: Connect, server: FakeServer) -> None:
    """A server of which one part runs another model."""

    def answer(request: RecordedRequest) -> Reply:
        size = 2 if "text 0" in request.json["input"] else 3
        return Reply(raw={"data": [{"index": n, "embedding": [1.0] * size} for n in range(len(request.json["input"]))]})

    server.always(answer)

    with pytest.raises(MalformedResponseError, match=r"mistral: some vectors have [23] numbers, others [23]"):
        connect("mistral/mistral-embed", base_url=server.url("mistral")).embed(numbered(100))


def test_a_vector_too_few_is_no_answer(connect: Connect, server: FakeServer) -> None:
    """It is tried again like any broken answer, and then refused."""
    server.always(Reply(raw={"data": [{"index": 0, "embedding": [1.0]}]}))

    with pytest.raises(MalformedResponseError, match="1 vectors for 2 inputs"):
        connect(retry=None).embed(["a", "b"])


def test_a_cancelled_task_ends_all_its_requests(server: FakeServer) -> None:
    """And gives their connections and keys back."""
    server.always(Reply(hang=True))

    async def main() -> tuple[int, int]:
        async with AsyncClient("mistral/mistral-embed", base_url=server.url("mistral"), api_key="sk-test-0123456789") as client:
            task = asyncio.ensure_future(client.embed(numbered(64 * 6), max_concurrency=3))
            while server.hits < 3:
                await asyncio.sleep(0.001)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            pool = client._router.endpoint("mistral-embed").pool
            assert pool is not None
            return len(asyncio.all_tasks()), sum(row["leases"] for row in pool.snapshot())

    tasks, load = asyncio.run(main())
    server.wait_closed()

    assert (1, 0) == (tasks, load)
    assert 3 == server.hits


def test_context_travels_to_the_threads(server: FakeServer) -> None:
    """What holds for the caller holds for each request."""
    from contextvars import ContextVar

    seen: list[str] = []
    word = ContextVar("word", default="nobody")
    client = Client(
        "mistral/mistral-embed",
        base_url=server.url("mistral"),
        auth=lambda: seen.append(word.get()) or {"Authorization": "Bearer x"},  # type: ignore[func-returns-value]
    )

    word.set("somebody")
    with client:
        client.embed(numbered(200))

    assert ["somebody"] * 4 == seen


# -- refusals


@pytest.mark.parametrize(
    ("inputs", "more", "word"),
    [
        ([], {}, "inputs is empty"),
        (["a", ""], {}, r"inputs\[1\] is empty, which openai refuses"),
        (["a", None], {}, r"inputs\[1\] is a string, not NoneType"),
        ("a", {"dimensions": -1}, "dimensions"),
        ("a", {"max_concurrency": 0}, "max_concurrency"),
        ("a", {"max_concurrency": True}, "max_concurrency"),
        ("a", {"timeout": -1}, "timeout"),
        ("a", {"deadline": 0}, "deadline"),
    ],
)
def test_what_is_wrong_is_refused_at_the_door(connect: Connect, server: FakeServer, inputs: Any, more: Any, word: str) -> None:
    """By name, and nothing is sent."""
    with pytest.raises(ConfigurationError, match=word):
        connect().embed(inputs, **more)

    assert 0 == server.hits


def test_what_a_provider_does_not_know_is_refused_or_dropped(connect: Connect, server: FakeServer) -> None:
    """Dropped only by a client that was told to."""
    with pytest.raises(UnsupportedParameterError, match="openai does not take input_type"):
        connect().embed("a", input_type="query")
    assert 0 == server.hits

    connect(drop_params=True).embed("a", input_type="query", dimensions=4)

    assert {"model", "input", "encoding_format", "dimensions"} == set(server.requests[0].json)


def test_a_provider_without_embeddings_says_who_has_them(connect: Connect, server: FakeServer) -> None:
    """And which parameter would name them."""
    client = connect("anthropic/claude-sonnet-5", base_url=server.url("anthropic"))

    with pytest.raises(UnsupportedParameterError, match=r"anthropic has no embeddings.*openai, google, vertex, mistral, cohere, voyage"):
        client.embed("a")


def test_a_model_that_chats_is_never_taken(connect: Connect, server: FakeServer) -> None:
    """Where the provider has no usual one, it must be named."""
    client = connect("together/openai/gpt-oss-20b", base_url=server.url("together"))

    with pytest.raises(ConfigurationError, match=r"Which of together's models is to embed.*'openai/gpt-oss-20b' is one that chats"):
        client.embed("a")
    assert "m2-bert" == client.embed("a", model="m2-bert").model


def test_another_provider_may_be_named(server: FakeServer, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its own key and address, as everywhere."""
    monkeypatch.setenv("VOYAGE_API_KEY", "pa-0123456789")
    monkeypatch.setenv("VOYAGE_BASE_URL", server.url("voyage"))
    client = connect("anthropic/claude-sonnet-5", base_url=server.url("anthropic"))

    reply = client.embed("a", model="voyage/voyage-4-lite")

    assert ("voyage", "voyage-4-lite") == (reply.provider, reply.model)
    assert "pa-0123456789" == server.requests[0].key


def test_a_provider_of_embeddings_only_completes_nothing(connect: Connect, server: FakeServer) -> None:
    """It says so by name, and its health is seen by what it does."""
    client = connect("voyage/voyage-4", base_url=server.url("voyage"))

    for call in (client.complete, client.stream, client.explain, client.count_tokens):
        with pytest.raises(UnsupportedParameterError, match=r"voyage has embeddings only: call embed\(\)"):
            call("Hi")
    assert 0 == server.hits
    assert client.check().ok


def test_errors_are_the_providers_own(connect: Connect, server: FakeServer) -> None:
    """In the tree that all calls have."""
    client = connect("voyage/voyage-4", base_url=server.url("voyage"), retry=None)

    server.enqueue(Reply.error(500), Reply.error(401), Reply.error(429, retry_after=7))
    with pytest.raises(InternalError):
        client.embed("a")
    with pytest.raises(AuthenticationError, match="Provided API key is invalid"):
        client.embed("a")
    with pytest.raises(RateLimitError) as limited:
        client.embed("a")

    assert 7 == limited.value.retry_after


def test_a_closed_client_embeds_nothing(connect: Connect) -> None:
    """As it completes nothing."""
    client = connect()
    client.close()

    with pytest.raises(ConfigurationError, match="closed"):
        client.embed("a")


def test_a_registered_provider_embeds_as_openai_does(connect: Connect, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless it has a wire of its own."""
    monkeypatch.setattr(registry, "ROWS", registry.Registry(registry.TABLE))
    register_provider("acme", base_url=server.url("acme"))

    reply = connect("acme/chat", base_url=None).embed("a", model="acme/acme-embed")

    assert ("acme", "acme-embed") == (reply.provider, reply.model)
    assert {"model": "acme-embed", "input": ["a"]} == json.loads(server.requests[0].body)


# -- what it costs


def test_it_costs_what_its_model_costs(connect: Connect, server: FakeServer) -> None:
    """Over all its requests; and it is counted wherever calls are."""
    client = connect("mistral/mistral-embed", base_url=server.url("mistral"))

    with llmkit.track() as tracker:
        reply = client.embed(numbered(100))

    assert Decimal("0.00002") == reply.cost  # 200 tokens at 0.10 dollars a million
    assert (200, reply.cost) == (tracker.input_tokens, tracker.estimated_cost)
    assert 200 == client.usage.by_model["mistral/mistral-embed"].input_tokens


def test_what_nobody_told_has_no_cost(connect: Connect, server: FakeServer) -> None:
    """Usage that is not known is not nothing."""
    reply = connect("google/gemini-2.5-flash", base_url=server.url("google")).embed("a")

    assert reply.cost is None


def test_a_budget_that_is_too_small_sends_nothing(connect: Connect, server: FakeServer) -> None:
    """As for any call."""
    client = connect("mistral/mistral-embed", base_url=server.url("mistral"))

    with llmkit.budget("0.000001"), pytest.raises(BudgetExceededError):
        client.embed(numbered(20))

    assert 0 == server.hits


def test_a_limit_of_tokens_counts_what_is_embedded(connect: Connect, server: FakeServer) -> None:
    """First as it is foreseen, then as it was used; and no request is larger than the limit."""
    client = connect("mistral/mistral-embed", base_url=server.url("mistral"), rate_limit=RateLimit(tokens_per_minute=100))

    client.embed(numbered(40))
    with pytest.raises(RateLimitTimeoutError):
        client.embed(numbered(40), deadline=0.05)

    assert all(len(request.json["input"]) * 2 <= 50 for request in server.requests)
    assert 40 <= sum(len(request.json["input"]) for request in server.requests) < 80


def test_a_call_can_be_ended_from_outside(server: FakeServer) -> None:
    """With all its requests."""
    server.always(Reply(hang=True))
    client = Client("mistral/mistral-embed", base_url=server.url("mistral"), api_key="sk-test-0123456789")
    ended: list[BaseException] = []

    def embed() -> None:
        try:
            client.embed(numbered(64 * 3))
        except BaseException as error:
            ended.append(error)

    with client:
        thread = threading.Thread(target=embed)
        thread.start()
        server.wait_for(lambda server: server.hits == 3)
        client.cancel_all()
        thread.join(2)

    assert [CancelledError] == [type(error) for error in ended]


def test_every_provider_that_is_named_embeds() -> None:
    """And each says with which model."""
    for name in embedding_providers():
        row = find_provider(name)
        assert row.embedding_model
        assert row.choose_embedder is not None
    assert isinstance(EMBEDDERS["bedrock"]({}), BedrockEmbeddings)
    with pytest.raises(ConfigurationError, match="Bedrock embeds where its runtime is"):
        EMBEDDERS["bedrock"]({"api": "chat"})
    assert {"anthropic", "deepseek"}.isdisjoint(name for name in provider_names() if find_provider(name).choose_embedder is not None)

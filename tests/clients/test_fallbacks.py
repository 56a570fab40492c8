"""A call that one endpoint cannot answer goes on to the next, unless it is the call itself that is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from llmkit import (
    AllProvidersFailedError,
    CircuitBreakerConfig,
    CircuitOpenError,
    ConfigurationError,
    ContentFilterError,
    ContextWindowExceededError,
    DeadlineExceededError,
    InvalidRequestError,
    NoAvailableKeyError,
    RateLimitError,
    RetryConfig,
    StreamInterruptedError,
    Target,
    UnsupportedParameterError,
)
from llmkit.testing import FakeServer, Reply

Connect = Callable[..., Any]

QUICK = RetryConfig(max_retries=1, base_delay=0.001, max_delay=0.002)

OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "complete": lambda client: client.complete("Say hi"),
    "stream": lambda client: client.stream("Say hi").collect(),
}


@pytest.fixture
def second() -> Iterator[FakeServer]:
    """Another server, to go on to."""
    with FakeServer() as made:
        yield made


@pytest.fixture
def spare(second: FakeServer) -> Target:
    """A target of another provider, with a key of its own."""
    return Target("anthropic/claude-sonnet-4-5", base_url=second.url("anthropic"), api_key="sk-spare-98765")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_failing_endpoint_is_left_for_the_next(
    connect: Connect, server: FakeServer, second: FakeServer, spare: Target, operation: str
) -> None:
    """The answer is the other provider's, and the ledger tells of both."""
    server.always(Reply.error(500))
    client = connect(fallbacks=[spare], retry=QUICK)

    reply = OPERATIONS[operation](client)

    assert "You said: Say hi" == reply.text
    assert "anthropic" == reply.provider
    assert ["server", "server", None] == [attempt.error for attempt in reply.attempts]
    assert "server at openai/gpt-4o-mini" == reply.attempts[-1].why
    assert [2, 1] == [server.hits, second.hits]


def test_no_key_goes_to_another_provider(connect: Connect, server: FakeServer, second: FakeServer, spare: Target) -> None:
    """Each endpoint sees its own key and no other."""
    server.always(Reply.error(500))
    client = connect(fallbacks=[spare], retry=None, api_key="sk-first-12345")

    client.complete("Say hi")

    assert "sk-first-12345" in str(server.requests[0].headers)
    assert "sk-first-12345" not in str(second.requests[0].headers)
    assert "sk-spare-98765" in str(second.requests[0].headers)


def test_a_list_of_models_is_a_model_with_fallbacks(connect: Connect, server: FakeServer) -> None:
    """The first serves, the rest take over; one of the same provider has the client's key and address."""
    server.enqueue(Reply.error(500))
    client = connect(["openai/gpt-4o-mini", "openai/gpt-4o"], retry=None)

    reply = client.complete("Say hi")

    assert ["gpt-4o-mini", "gpt-4o"] == [request.json["model"] for request in server.requests]
    assert "gpt-4o" == reply.attempts[-1].model


def test_a_wrong_request_goes_nowhere_else(connect: Connect, server: FakeServer, second: FakeServer, spare: Target) -> None:
    """It would be wrong there as well."""
    server.always(Reply.error(400))
    client = connect(fallbacks=[spare], retry=QUICK)

    with pytest.raises(InvalidRequestError):
        client.complete("Say hi")

    assert 0 == second.hits


def test_when_all_fail_each_error_is_told(connect: Connect, server: FakeServer, second: FakeServer, spare: Target) -> None:
    """The last of each endpoint, in order, with one ledger over all."""
    server.always(Reply.error(500))
    second.always(Reply.error(529))
    client = connect(fallbacks=[spare], retry=QUICK)

    with pytest.raises(AllProvidersFailedError) as caught:
        client.complete("Say hi")

    assert ["server", "overloaded"] == [error.kind for error in caught.value.errors]
    assert 4 == len(caught.value.attempts)
    assert caught.value.retryable
    assert "None of 2 endpoints answered" in str(caught.value)


def test_each_of_many_endpoints_has_its_turn(connect: Connect, server: FakeServer) -> None:
    """Eight attempts bound a call, but retries of the first do not use up the turn of the last."""
    server.always(Reply.error(500))
    models = [f"openai/model-{number}" for number in range(5)]
    client = connect(models, retry=RetryConfig(max_retries=3, base_delay=0.001))

    with pytest.raises(AllProvidersFailedError) as caught:
        client.complete("Say hi")

    assert 8 == server.hits
    assert ["model-0", "model-1", "model-2", "model-3", "model-4"] == list(dict.fromkeys(a.model for a in caught.value.attempts))


def test_an_overloaded_endpoint_yields_at_once(connect: Connect, server: FakeServer, second: FakeServer, spare: Target) -> None:
    """Asking it again would add to its load, and there is another."""
    server.always(Reply.error(529))
    client = connect(fallbacks=[spare], retry=RetryConfig(max_retries=3, base_delay=30))

    client.complete("Say hi")

    assert [1, 1] == [server.hits, second.hits]


def test_an_open_breaker_costs_no_attempt(connect: Connect, server: FakeServer, second: FakeServer, spare: Target) -> None:
    """The call goes on without a request to the endpoint that is left alone."""
    server.always(Reply.error(500))
    client = connect(fallbacks=[spare], retry=None, circuit_breaker=CircuitBreakerConfig(failure_threshold=1))
    client.complete("Say hi")

    reply = client.complete("Say hi")

    assert [1, 2] == [server.hits, second.hits]
    assert ["anthropic"] == [attempt.provider for attempt in reply.attempts]
    assert "circuit_open at openai/gpt-4o-mini" == reply.attempts[0].why


def test_when_every_breaker_is_open_that_is_told(connect: Connect, server: FakeServer, second: FakeServer, spare: Target) -> None:
    """With the time after which it is worth trying again."""
    server.always(Reply.error(500))
    second.always(Reply.error(500))
    client = connect(fallbacks=[spare], retry=None, circuit_breaker=CircuitBreakerConfig(failure_threshold=1))
    with pytest.raises(AllProvidersFailedError):
        client.complete("Say hi")

    with pytest.raises(AllProvidersFailedError) as caught:
        client.complete("Say hi")

    assert [CircuitOpenError, CircuitOpenError] == [type(error) for error in caught.value.errors]
    assert 50 < (caught.value.retry_after or 0) <= 66
    assert [1, 1] == [server.hits, second.hits]


def test_a_limit_beyond_the_cap_moves_the_call(connect: Connect, server: FakeServer, second: FakeServer, spare: Target) -> None:
    """An hour is not waited for when somebody else is free."""
    server.always(Reply.error(429, headers={"retry-after": "3600"}))
    client = connect(fallbacks=[spare])

    reply = client.complete("Say hi")

    assert [1, 1] == [server.hits, second.hits]
    assert "rate_limit at openai/gpt-4o-mini" == reply.attempts[-1].why


def test_a_short_limit_is_waited_for(connect: Connect, server: FakeServer, second: FakeServer, spare: Target) -> None:
    """The first endpoint is the one that was asked for."""
    server.enqueue(Reply.error(429, headers={"retry-after-ms": "5"}))
    client = connect(fallbacks=[spare])

    reply = client.complete("Say hi")

    assert "openai" == reply.provider
    assert 0 == second.hits


@pytest.mark.parametrize(("status", "kind"), [(401, "auth"), (402, "quota"), (404, "not_found"), (413, "request_too_large")])
def test_what_is_only_wrong_here_goes_on(
    connect: Connect, server: FakeServer, second: FakeServer, spare: Target, status: int, kind: str
) -> None:
    """A refused key, an empty account, an unknown model: elsewhere it may be otherwise."""
    server.always(Reply.error(status))
    client = connect(fallbacks=[spare])

    reply = client.complete("Say hi")

    assert [kind, None] == [attempt.error for attempt in reply.attempts]
    assert [1, 1] == [server.hits, second.hits]


def test_without_any_key_left_the_call_goes_on(connect: Connect, server: FakeServer, second: FakeServer, spare: Target) -> None:
    """All keys of the pool were refused before this call."""
    server.always(Reply.error(401))
    client = connect(fallbacks=[spare], api_keys=["sk-first-0001", "sk-second-0002"])
    client.complete("Say hi")
    hits = server.hits

    reply = client.complete("Say hi")

    assert hits == server.hits
    assert "no_key at openai/gpt-4o-mini" == reply.attempts[0].why


def test_a_pool_without_keys_and_no_fallback_says_so(connect: Connect, server: FakeServer) -> None:
    """There is nowhere to go, and so no error that speaks of several endpoints."""
    server.always(Reply.error(401))
    client = connect(api_keys=["sk-first-0001", "sk-second-0002"])
    with pytest.raises(Exception, match="401"):
        client.complete("Say hi")

    with pytest.raises(NoAvailableKeyError):
        client.complete("Say hi")


def test_after_the_first_content_there_is_no_other(connect: Connect, server: FakeServer, second: FakeServer, spare: Target) -> None:
    """Half of one model's answer is not continued by another's."""
    server.always(Reply(chunks=["word "] * 20, cut=-1000))
    client = connect(fallbacks=[spare], retry=QUICK)

    with pytest.raises(StreamInterruptedError) as caught:
        client.stream("Say hi").collect()

    assert caught.value.partial is not None
    assert 0 == second.hits


def test_a_filtered_request_moves_only_when_that_is_asked_for(
    connect: Connect, server: FakeServer, second: FakeServer, spare: Target
) -> None:
    """One provider's policy is not to be evaded by accident."""
    server.always(Reply.error(400, code="content_filter", message="The response was filtered"))
    plain = connect(fallbacks=[spare])
    asked = connect(fallbacks=[Target("anthropic/claude-sonnet-4-5", **spare.own, on={"content_filter"})])

    with pytest.raises(ContentFilterError):
        plain.complete("Say hi")
    reply = asked.complete("Say hi")

    assert "anthropic" == reply.provider
    assert 1 == second.hits


def test_what_was_too_long_is_not_sent_to_a_window_of_unknown_size(
    connect: Connect, server: FakeServer, second: FakeServer, spare: Target
) -> None:
    """Unless that is asked for."""
    server.always(Reply.error(400, code="context_length_exceeded", message="maximum context length"))
    unknown = Target("custom/some-model", base_url=second.url("openai"))
    plain = connect(fallbacks=[unknown])
    asked = connect(fallbacks=[Target("custom/some-model", base_url=second.url("openai"), on="context_length")])

    with pytest.raises(ContextWindowExceededError):
        plain.complete("Say hi")
    reply = asked.complete("Say hi")

    assert "custom" == reply.provider


def test_what_was_too_long_goes_to_a_larger_window(connect: Connect, server: FakeServer) -> None:
    """One that the catalogue knows to be larger."""
    server.enqueue(Reply.error(400, code="context_length_exceeded", message="maximum context length"))
    client = connect("openai/gpt-4o-mini", fallbacks=["openai/gpt-4", "openai/gpt-4.1"])

    reply = client.complete("Say hi")

    assert ["gpt-4o-mini", "gpt-4.1"] == [attempt.model for attempt in reply.attempts]


def test_a_fallback_that_cannot_take_the_request_is_passed_over(connect: Connect, server: FakeServer, second: FakeServer) -> None:
    """And says why, if nobody else can; explain() tells it beforehand."""
    server.always(Reply.error(500))
    narrow = Target("anthropic/claude-sonnet-4-5", base_url=second.url("anthropic"), api_key="sk-spare-98765")
    client = connect(fallbacks=[narrow], retry=None)

    with pytest.raises(AllProvidersFailedError) as caught:
        client.complete("Say hi", seed=7)
    explanation = client.explain("Say hi", seed=7)

    assert ["server", "unsupported"] == [error.kind for error in caught.value.errors]
    assert isinstance(caught.value.errors[1], UnsupportedParameterError)
    assert any("cannot take this request" in reason for reason in explanation.reasons)
    assert 0 == second.hits


def test_the_deadline_is_one_over_all_endpoints(connect: Connect, server: FakeServer, second: FakeServer, spare: Target) -> None:
    """The second endpoint has what the first left of it."""
    server.always(Reply.error(500))
    second.always(Reply(delay=5))
    client = connect(fallbacks=[spare], retry=None, deadline=0.15)

    with pytest.raises(DeadlineExceededError) as caught:
        client.complete("Say hi")

    assert ["server", "deadline"] == [attempt.error for attempt in caught.value.attempts]


def test_a_model_named_with_the_call_comes_first(connect: Connect, server: FakeServer, second: FakeServer, spare: Target) -> None:
    """The fallbacks are those of the client."""
    server.always(Reply.error(500))
    client = connect(fallbacks=[spare], retry=None)

    reply = client.complete("Say hi", model="openai/gpt-4o")

    assert ["gpt-4o", "claude-sonnet-4-5"] == [attempt.model for attempt in reply.attempts]


def test_a_fallback_without_a_key_is_refused_at_the_door(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in the middle of an outage."""
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)

    with pytest.raises(ConfigurationError, match="ANTHROPIC_API_KEY"):
        connect(fallbacks=["anthropic/claude-sonnet-4-5"])


@pytest.mark.parametrize("given", [7, [7], {"model": "openai/gpt-4o"}.items, [{"modle": "x"}], [""], b"openai/gpt-4o"])
def test_what_is_no_fallback_is_refused(connect: Connect, given: Any) -> None:
    """By name."""
    with pytest.raises(ConfigurationError, match="fallbacks"):
        connect(fallbacks=given)


def test_a_connection_that_fails_opens_the_breaker_of_the_whole_address(connect: Connect, server: FakeServer) -> None:
    """Whatever model is asked there, nobody is at home."""
    client = connect(retry=None, circuit_breaker=CircuitBreakerConfig(failure_threshold=2))
    server.always(Reply(reset=True))
    for model in ("openai/gpt-4o", "openai/gpt-4.1"):
        with pytest.raises(ConnectionError):
            client.complete("Say hi", model=model)

    with pytest.raises(CircuitOpenError):
        client.complete("Say hi", model="openai/gpt-4o-mini")

    assert 2 == server.hits


def test_refusals_of_one_model_leave_the_others_alone(connect: Connect, server: FakeServer) -> None:
    """A server that answers with an error is there."""
    client = connect(retry=None, circuit_breaker=CircuitBreakerConfig(failure_threshold=1))
    server.enqueue(Reply.error(500))
    with pytest.raises(Exception, match="500"):
        client.complete("Say hi", model="openai/gpt-4o")

    reply = client.complete("Say hi", model="openai/gpt-4o-mini")

    assert "You said: Say hi" == reply.text


def test_the_same_limit_everywhere_is_the_limit_of_all(connect: Connect, server: FakeServer, second: FakeServer) -> None:
    """The error says when the first of them may be asked again."""
    server.always(Reply.error(429, headers={"retry-after": "300"}))
    second.always(Reply.error(429, headers={"retry-after": "200"}))
    client = connect(fallbacks=[Target("custom/m", base_url=second.url("openai"))])

    with pytest.raises(AllProvidersFailedError) as caught:
        client.complete("Say hi")

    assert 200 == caught.value.retry_after
    assert all(isinstance(error, RateLimitError) for error in caught.value.errors)


@pytest.mark.parametrize("own", [{"model": "openai/gpt-4o-mini"}, {"model": "gpt-4o-mini", "provider": "openai"}])
def test_a_misspelt_provider_is_noticed_before_it_is_needed(face: Any, own: dict[str, Any]) -> None:
    """Taken for a model of the client's own provider, it would fail in the first outage."""
    with pytest.raises(ConfigurationError, match=r"openai has no model 'antropic/claude-sonnet-4-5'\. Did you mean 'anthropic/"):
        face.client(**own, api_key="k", fallbacks=["antropic/claude-sonnet-4-5"])


@pytest.mark.parametrize(
    "arguments",
    [
        {"model": "together/openai/gpt-oss-120b", "fallbacks": ["deepseek-ai/DeepSeek-V3"]},
        {"model": "openai/gpt-4o", "fallbacks": ["team/our-finetune"]},
        {"model": "openai/x", "base_url": "http://127.0.0.1:1", "fallbacks": ["mistralai/Mistral-7B"]},
        {"model": "custom/x", "base_url": "http://127.0.0.1:1", "fallbacks": ["mistralai/Mistral-7B"]},
    ],
)
def test_a_maker_before_a_model_is_not_taken_for_a_misspelt_provider(face: Any, arguments: dict[str, Any]) -> None:
    """Where models have such names, or nobody knows which are served, or nothing is near."""
    with face.client(api_key="k", **arguments) as client:
        assert client.explain("Hi", model=arguments["fallbacks"][0]).model == arguments["fallbacks"][0]


def test_a_gateway_in_the_environment_may_have_any_models(face: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its names are its own."""
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")

    with face.client("openai/gpt-4o", api_key="k", fallbacks=["mistralai/Mistral-7B"]) as client:
        assert "mistralai/Mistral-7B" == client.explain("Hi", model="mistralai/Mistral-7B").model

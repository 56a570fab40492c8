"""Clients that are described by a value."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from llmkit import ConfigurationError, InternalError, LLMConfig, RateLimitTimeoutError
from llmkit.testing import FakeServer, Reply

KEY = "sk-canary-0123456789"


@pytest.mark.parametrize("as_dict", [False, True])
def test_a_configuration_makes_a_client(face: Any, server: FakeServer, as_dict: bool) -> None:
    """All that it says is done: the model, the key, the address, the parameters."""
    said: dict[str, Any] = {
        "provider": "openai",
        "model_name": "gpt-4o",
        "api_key": KEY,
        "base_url": server.url("openai"),
        "temperature": 0.5,
        "max_tokens": 7,
        "extra_params": {"seed": 3, "service_tier": "flex"},
        "max_retries": 1,
        "retry_delay": 0.001,
    }
    client = face.made("from_config", said if as_dict else LLMConfig(**said))
    server.enqueue(Reply.error(503), Reply("Fine."))

    answer = client.complete("How are you?")

    sent = server.requests[1]
    assert "Fine." == answer.text
    assert (KEY, "gpt-4o", 0.5, 3, "flex") == (sent.key, *(sent.json[name] for name in ("model", "temperature", "seed", "service_tier")))


def test_no_more_is_retried_than_was_asked_for(face: Any, server: FakeServer) -> None:
    """max_retries is the number of tries after the first."""
    client = face.made("from_config", LLMConfig.openai(KEY, base_url=server.url("openai"), max_retries=0))
    server.always(Reply.error(503))

    with pytest.raises(InternalError):
        client.complete("Hi")
    assert 1 == server.hits


def test_no_more_is_sent_at_once_than_was_said(face: Any, server: FakeServer) -> None:
    """The bucket holds two, and what comes back takes longer than the third call may."""
    config = LLMConfig.openai(KEY, base_url=server.url("openai"), rate_limit_capacity=2, rate_limit_refill_rate=0.001)
    client = face.made("from_config", config)

    client.complete("Hi")
    client.complete("Hi")

    with pytest.raises(RateLimitTimeoutError):
        client.complete("Hi", deadline=5)
    assert 2 == server.hits


def test_a_custom_server_gets_no_credential(face: Any, server: FakeServer) -> None:
    """ "EMPTY" is what is written where there is no key."""
    client = face.made("from_config", LLMConfig.custom(server.url("custom"), "mine"))

    client.complete("Hi")

    assert "authorization" not in server.requests[0].headers


def test_arguments_count_before_the_configuration(face: Any, server: FakeServer) -> None:
    """For what only a program can say, and for tests."""
    client = face.made("from_config", LLMConfig.openai(KEY, temperature=1), base_url=server.url("openai"), temperature=0)

    client.complete("Hi")

    assert 0 == server.requests[0].json["temperature"]


def test_a_key_that_is_a_reference_is_pickled_by_name(face: Any, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Like one of the provider's own variable; the ledger calls it by that name."""
    monkeypatch.setenv("MY_KEY", KEY)
    client = face.made("from_config", {"model": "openai/gpt-4o-mini", "api_key": "${MY_KEY}", "base_url": server.url("openai")})
    answer = client.complete("Hi")

    packed = pickle.dumps(getattr(client, "twin", client))
    monkeypatch.setenv("MY_KEY", "sk-of-the-other-side")
    again = pickle.loads(packed)
    face.run(again.complete("Hi")) if face.name == "async" else again.complete("Hi")
    face.run(again.close()) if face.name == "async" else again.close()

    assert KEY.encode() not in packed
    assert answer.attempts[0].key.startswith("MY_KEY (")
    assert [KEY, "sk-of-the-other-side"] == [request.key for request in server.requests]


def test_several_keys_are_pickled_only_if_all_are_references(face: Any, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """One literal key is enough to refuse."""
    monkeypatch.setenv("MY_KEY", KEY)
    table = {"model": "openai/gpt-4o-mini", "base_url": server.url("openai")}
    both = face.made("from_config", {**table, "api_keys": ["env:MY_KEY", "sk-literal-0123"]})
    one = face.made("from_config", {**table, "api_keys": ["env:MY_KEY"]})

    assert KEY.encode() not in pickle.dumps(getattr(one, "twin", one))
    with pytest.raises(ConfigurationError, match="pickle_keys"):
        pickle.dumps(getattr(both, "twin", both))


def test_a_wrong_name_is_refused(face: Any) -> None:
    """With the nearest one that there is."""
    with pytest.raises(ConfigurationError, match=r"tmeout is not known\. Did you mean 'timeout'"):
        face.made("from_config", {"provider": "openai", "api_key": KEY, "tmeout": 3})

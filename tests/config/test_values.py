"""A client's configuration as a value."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from attrs import evolve, fields
from attrs.exceptions import FrozenInstanceError

from llmkit import ConfigurationError, LLMConfig
from llmkit.config.values import table_of
from llmkit.providers import find_provider

KEY = "sk-canary-0123456789"


def test_the_fields_and_defaults_are_those_of_the_contract() -> None:
    """In its order, since they may be given by position."""
    defaults = {one.name: one.default for one in fields(LLMConfig) if not one.kw_only and one.name != "extra_params"}

    assert {
        "provider": None,
        "model_name": None,
        "api_key": None,
        "api_keys": None,
        "base_url": None,
        "temperature": None,
        "max_tokens": None,
        "top_p": None,
        "frequency_penalty": None,
        "presence_penalty": None,
        "max_retries": 3,
        "retry_delay": 1.0,
        "timeout": 60.0,
        "capabilities": None,
        "rate_limit_capacity": None,
        "rate_limit_refill_rate": None,
    } == defaults
    assert list(defaults) == [one.name for one in fields(LLMConfig) if one.name in defaults]
    assert {} == LLMConfig("openai", "gpt-4o-mini").extra_params


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("provider", ""),
        ("provider", 3),
        ("model_name", ""),
        ("api_key", ""),
        ("api_key", 7),
        ("api_keys", []),
        ("api_keys", ["a", ""]),
        ("api_keys", "sk-one"),
        ("base_url", "llm.example"),
        ("base_url", "https://user:pw@llm.example"),
        ("temperature", -0.1),
        ("temperature", 2.1),
        ("temperature", "hot"),
        ("max_tokens", 0),
        ("max_tokens", 1.5),
        ("top_p", 1.1),
        ("frequency_penalty", 2.5),
        ("presence_penalty", -2.5),
        ("max_retries", -1),
        ("max_retries", True),
        ("retry_delay", -1.0),
        ("retry_delay", float("nan")),
        ("timeout", 0),
        ("timeout", None),
        ("extra_params", ["a"]),
        ("extra_params", {1: 2}),
        ("rate_limit_capacity", 0),
        ("rate_limit_refill_rate", -1),
        ("options", "eu"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(field: str, value: Any) -> None:
    """When the configuration is made, not when it is used."""
    with pytest.raises(ConfigurationError, match=field):
        LLMConfig(**{"provider": "openai", "model_name": "gpt-4o-mini", field: value})


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({}, "provider and model_name are both missing"),
        ({"provider": "openai", "api_key": "a", "api_keys": ["b"]}, "api_key and api_keys"),
        ({"provider": "openai", "rate_limit_capacity": 3}, "go together"),
    ],
)
def test_fields_that_do_not_go_together_are_refused(wrong: dict[str, Any], words: str) -> None:
    """Both are named."""
    with pytest.raises(ConfigurationError, match=words):
        LLMConfig(**wrong)


def test_no_key_is_shown() -> None:
    """Neither one, nor several, nor what may hold one."""
    shown = repr(LLMConfig("openai", "m", api_key=KEY)) + repr(
        LLMConfig("openai", "m", api_keys=[KEY], extra_params={"token": KEY}, options={"token": KEY})
    )

    assert "canary" not in shown


def test_it_is_a_value() -> None:
    """Equal when its fields are, usable as a key of a dict, changed by making another, and pickled."""
    config = LLMConfig("openai", "m", api_key="env:ACME_KEY", extra_params={"top_k": 3})

    assert {config: 1} == {LLMConfig("openai", "m", api_key="env:ACME_KEY", extra_params={"top_k": 3}): 1}
    assert 0.5 == evolve(config, temperature=0.5).temperature
    assert config == pickle.loads(pickle.dumps(config))
    with pytest.raises(FrozenInstanceError):
        config.timeout = 3  # type: ignore[misc]  # that is the point


@pytest.mark.parametrize(
    ("config", "facts"),
    [
        (LLMConfig.openai(KEY), ("openai", find_provider("openai").default_model, KEY, None)),
        (LLMConfig.openai(KEY, model="gpt-4o"), ("openai", "gpt-4o", KEY, None)),
        (LLMConfig.anthropic(KEY, "claude-sonnet-4-5"), ("anthropic", "claude-sonnet-4-5", KEY, None)),
        (LLMConfig.ollama(), ("ollama", "llama3.2", None, None)),
        (LLMConfig.ollama("qwen3:8b", base_url="http://gpu:11434"), ("ollama", "qwen3:8b", None, "http://gpu:11434")),
        (LLMConfig.azure_openai(KEY, "mine", "https://res.openai.azure.com"), ("azure", "mine", KEY, "https://res.openai.azure.com")),
        (LLMConfig.azure_openai(KEY, "mine", "res.openai.azure.com"), ("azure", "mine", KEY, "https://res.openai.azure.com")),
        (LLMConfig.custom("http://localhost:8000", "mine"), ("custom", "mine", "EMPTY", "http://localhost:8000")),
    ],
)
def test_each_kind_of_provider_has_its_own_way_in(config: LLMConfig, facts: tuple[Any, ...]) -> None:
    """With what it needs, in the order in which people say it."""
    assert facts == (config.provider, config.model_name, config.api_key, config.base_url)


def test_the_ways_in_take_the_other_fields_by_name() -> None:
    """And azure its version, beside other options."""
    config = LLMConfig.azure_openai(
        KEY, "mine", "https://res.openai.azure.com", api_version="2024-10-21", options={"api": "chat"}, timeout=5
    )

    assert {"api": "chat", "api_version": "2024-10-21"} == config.options
    assert 5 == config.timeout
    assert 0.3 == LLMConfig.openai(KEY, temperature=0.3).temperature


@pytest.mark.parametrize("wrong", [None, 3, "openai", [("provider", "openai")], {1: 2}])
def test_what_is_no_configuration_is_refused(wrong: Any) -> None:
    """By what it is."""
    with pytest.raises(ConfigurationError, match="an LLMConfig or a dict"):
        table_of(wrong)

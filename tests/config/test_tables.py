"""From a table of names and values to the arguments of a client."""

from __future__ import annotations

import contextlib
import datetime
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit import Client, ConfigurationError, LLMConfig, TokenBucket
from llmkit.config.tables import WORDS, Table
from llmkit.config.values import table_of
from llmkit.secrets import Referenced

KEY = "sk-canary-0123456789"


def of_file(values: dict[str, Any], base: str = "") -> Table:
    return Table(values=values, file="llmkit.toml", path="providers.prod", base=base, everywhere=True)


def refusal(values: dict[str, Any]) -> ConfigurationError:
    """Return what is said of *values* in a file, once a client is to be made of them."""
    with pytest.raises(ConfigurationError) as caught:
        of_file(values).make(Client, {})
    return caught.value


def locals_of_ours(error: BaseException | None) -> Iterator[str]:
    """Yield the locals of llmkit's frames, as crash reporters send them, of *error* and all that it is chained to."""
    while error is not None:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if "/llmkit/" in frame.f_code.co_filename:
                for value in frame.f_locals.values():
                    with contextlib.suppress(AttributeError):  # of what is only half made
                        yield repr(value)
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize(
    ("values", "arguments"),
    [
        ({"type": "openai", "model_name": "m"}, {"provider": "openai", "model": "m"}),
        ({"provider": "openai", "api_base": "https://a.example"}, {"provider": "openai", "base_url": "https://a.example"}),
        ({"model": "openai/m", "max_retries": 1}, {"model": "openai/m", "retry": {"max_retries": 1}}),
        (
            {"model": "openai/m", "max_retries": 0, "retry_delay": 60},
            {"model": "openai/m", "retry": {"max_retries": 0, "base_delay": 60, "max_delay": 60}},
        ),
        ({"model": "openai/m", "retry": False, "circuit_breaker": None}, {"model": "openai/m", "retry": None, "circuit_breaker": None}),
        ({"model": "openai/m", "deadline": False, "seed": None}, {"model": "openai/m", "deadline": None}),
        ({"model": "openai/m", "temperature": 0.5, "system": "Hi."}, {"model": "openai/m", "temperature": 0.5, "system": "Hi."}),
        (
            {"type": "azure", "deployment": "d", "endpoint": "res.openai.azure.com", "api_version": "2024-10-21"},
            {"provider": "azure", "model": "d", "base_url": "https://res.openai.azure.com", "options": {"api_version": "2024-10-21"}},
        ),
        (
            {"type": "azure", "model": "gpt-4o", "azure_deployment": "d", "azure_endpoint": "https://res.openai.azure.com"},
            {"provider": "azure", "model": "gpt-4o", "base_url": "https://res.openai.azure.com", "options": {"deployment": "d"}},
        ),
        (
            {"type": "vertex", "model": "m", "project": "p", "options": {"location": "eu"}},
            {"provider": "vertex", "model": "m", "options": {"location": "eu", "project": "p"}},
        ),
        (
            {"type": "azure", "model": "d", "api_version": datetime.date(2024, 10, 21)},
            {"provider": "azure", "model": "d", "options": {"api_version": "2024-10-21"}},
        ),
        (
            {"model": "openai/m", "extra_params": {"top_p": 0.5, "api": "responses", "service_tier": "flex"}, "extra_body": {"x": 1}},
            {
                "model": "openai/m",
                "top_p": 0.5,
                "options": {"api": "responses"},
                "extra_body": {"service_tier": "flex", "x": 1},
            },
        ),
        ({"type": "custom", "model": "m", "api_key": "EMPTY"}, {"provider": "custom", "model": "m"}),
        ({"type": "openai", "api_key": "EMPTY"}, {"provider": "openai", "api_key": "EMPTY"}),
    ],
)
def test_a_table_becomes_arguments(values: dict[str, Any], arguments: dict[str, Any]) -> None:
    """In the client's own words, whatever the words they were said in."""
    assert arguments == of_file(values).arguments()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"type": "openai", "tmeout": 3}, "llmkit.toml: providers.prod.tmeout is not known. Did you mean 'timeout'?"),
        ({"type": "openai", "apiKey": KEY}, "providers.prod.apiKey is not known. Did you mean 'api_key'?"),
        ({"type": "azure", "api_verison": "v1"}, "api_verison is not known. Did you mean 'api_version'?"),
        ({"type": "openai", "api_version": "v1"}, "providers.prod.api_version is not known."),
        ({"type": "opnai"}, "llmkit.toml: providers.prod: There is no provider 'opnai'. Did you mean 'openai'?"),
        ({"type": 3}, "provider is a provider's name"),
        ({"type": "openai", "provider": "openai"}, "provider says the same as type"),
        ({"type": "openai", "retry": {"max_retires": 3}}, "retry.max_retires is not known. Did you mean 'max_retries'?"),
        ({"type": "openai", "retry": {}, "max_retries": 3}, "max_retries and retry say the same"),
        ({"type": "openai", "rate_limit_capacity": 3}, "rate_limit_capacity and rate_limit_refill_rate go together"),
        ({"type": "openai", "rate_limit_capacity": 3, "rate_limit_refill_rate": 1, "rate_limit": {}}, "rate_limit say the same"),
        ({"type": "openai", "rate_limit_capacity": 0, "rate_limit_refill_rate": 1}, "rate_limit_capacity must be more than 0"),
        ({"type": "openai", "rate_limit": {"rpm": 1}}, "rate_limit has no rpm"),
        ({"type": "openai", "max_retries": "many"}, "max_retries must be a whole number"),
        ({"type": "openai", "retry_delay": -1}, "retry_delay must be at least 0"),
        ({"type": "openai", "timeout": "soon"}, "timeout is a number of seconds"),
        ({"type": "openai", "temperature": 3}, "temperature is a number from 0 to 2"),
        (
            {"type": "openai", "temperature": 1, "extra_params": {"temperature": 1}},
            "temperature is said both by itself and in extra_params",
        ),
        ({"type": "openai", "extra_params": {"timeout": 1}}, "extra_params.timeout is no parameter of a request"),
        ({"type": "openai", "extra_params": 1}, "extra_params is a table"),
        ({"type": "openai", "options": 1}, "options is a table"),
        ({"type": "openai", "api_key": f"{KEY}\n"}, "API key 1"),
        ({"type": "openai", "api_keys": [KEY, KEY]}, "API key 2 is the same"),
        ({"type": "openai", "api_key": "${NOBODY}"}, "providers.prod.api_key: The environment variable NOBODY is not set"),
        ({"type": "openai", "api_keys": [KEY, "env:NOBODY"]}, r"providers.prod.api_keys\[1\]: The environment variable NOBODY"),
        ({"type": "openai", "default_headers": {"X-A": "file:gone"}}, "providers.prod.default_headers.X-A: There is no file"),
        ({"type": "openai"}, "There is no key for openai"),
        ({"model": "whose"}, "cannot be told who serves 'whose'"),
    ],
)
def test_what_is_wrong_is_told_with_file_path_and_cure(values: dict[str, Any], words: str) -> None:
    """And without the key, wherever the error comes from."""
    error = refusal(values)

    assert error.message.startswith("llmkit.toml: ")
    assert error.message.count("llmkit.toml") == 1
    assert words.replace("\\", "") in error.message
    assert "canary" not in str(error) + "".join(locals_of_ours(error))


def test_a_key_in_the_wrong_place_is_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A number that is a key."""
    monkeypatch.setenv("ACME_KEY", KEY)

    error = refusal({"type": "openai", "timeout": "${ACME_KEY}"})

    assert "timeout is a number of seconds" in error.message
    assert "canary" not in str(error) + repr(error)


def test_rates_become_a_bucket() -> None:
    """Of so many requests, filled by so many a second."""
    bucket = of_file({"model": "openai/m", "rate_limit_refill_rate": 2, "rate_limit_capacity": 10}).arguments()["rate_limit"]

    assert isinstance(bucket, TokenBucket)
    assert (10, 2) == (bucket.capacity, bucket.refill_rate)


def test_numbers_may_come_from_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a variable is all there is of them."""
    monkeypatch.setenv("SECONDS", "12.5")
    monkeypatch.setenv("RETRIES", "2")

    arguments = of_file({"model": "openai/m", "timeout": "${SECONDS}", "max_retries": "env:RETRIES"}).arguments()

    assert {"model": "openai/m", "timeout": 12.5, "retry": {"max_retries": 2}} == arguments


def test_references_count_in_every_text_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However deep."""
    monkeypatch.setenv("ACME", "acme")
    (tmp_path / "prompt.txt").write_text("Be ${ACME}.\n")

    arguments = of_file(
        {"model": "openai/${ACME}", "system": "file:prompt.txt", "default_headers": {"X-A": "a ${ACME}"}, "stop": ["${ACME}", "b"]},
        str(tmp_path),
    ).arguments()

    assert {"model": "openai/acme", "system": "Be ${ACME}.", "default_headers": {"X-A": "a acme"}, "stop": ["acme", "b"]} == arguments


def test_only_keys_of_a_programs_own_dict_may_be_references(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its texts are its own: a prompt may be about shells."""
    monkeypatch.setenv("ACME_KEY", KEY)

    arguments = table_of({"model": "openai/m", "api_keys": ["${ACME_KEY}", "b${ACME_KEY}"], "system": "What is ${ACME_KEY}?"}).arguments()

    assert [KEY, "b${ACME_KEY}"] == arguments["api_keys"]
    assert isinstance(arguments["api_keys"][0], Referenced)
    assert "What is ${ACME_KEY}?" == arguments["system"]


def test_a_configuration_says_only_what_differs_from_the_defaults() -> None:
    """The rest is the client's own."""
    arguments = table_of(LLMConfig("openai", "m", max_retries=5, top_p=0.5)).arguments()

    assert {"provider": "openai", "model": "m", "retry": {"max_retries": 5}, "top_p": 0.5} == arguments


def test_a_check_leaves_references_alone() -> None:
    """A file may hold a provider whose variables are set elsewhere only."""
    of_file({"type": "${NOBODY}", "whatever": 3}).check()
    of_file({"type": "openai", "api_key": "${NOBODY}"}).check()
    with pytest.raises(ConfigurationError, match="tmeout"):
        of_file({"type": "openai", "tmeout": 1}).check()


@pytest.mark.parametrize(
    ("values", "literal"),
    [
        ({"api_key": KEY}, True),
        ({"api_keys": ["${A}", KEY]}, True),
        ({"options": {"token": KEY}}, True),
        ({"options": {"passphrase": KEY}}, True),
        ({"default_headers": {"Helicone-Auth-Token": KEY}}, True),
        ({"fallbacks": ["openai/m", {"model": "openai/n", "api_key": KEY}]}, True),
        ({"fallbacks": ["openai/m", {"model": "openai/n", "api_key": "${A}"}]}, False),
        ({"api_key": "${A}"}, False),
        ({"api_key": "env:A"}, False),
        ({"api_key": "file:a"}, False),
        ({"api_key": "EMPTY"}, False),
        ({"options": {"region": "eu"}}, False),
        ({"model": "m", "max_tokens": 3}, False),
    ],
)
def test_it_is_known_whether_a_key_stands_there_as_it_is(values: dict[str, Any], literal: bool) -> None:
    """A reference is none."""
    assert literal == of_file({"model": "openai/m", **values}).has_literal_key


def test_no_table_shows_its_values() -> None:
    """Not by repr."""
    assert "canary" not in repr(of_file({"api_key": KEY}))


@given(
    st.dictionaries(
        st.sampled_from(sorted(WORDS)), st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just({}), max_size=4
    )
)
def test_any_table_gives_arguments_or_a_refusal_with_its_place(values: dict[str, Any]) -> None:
    """Nothing else can come of it."""
    try:
        of_file(values).arguments()
    except ConfigurationError:
        return
    try:
        of_file(values).make(Client, {"model": "openai/m", "provider": None, "api_key": "k", "api_keys": None})
    except ConfigurationError as error:
        assert error.message.startswith("llmkit.toml: providers.prod")

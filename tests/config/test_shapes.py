"""The shapes that a configuration file may have."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit import ConfigurationError
from llmkit.config.shapes import Shelf, shelf_of

KEY = "sk-canary-0123456789"


def shelf(document: Any, profile: str | None = None, strict: bool = True) -> Shelf:
    return shelf_of(document, file="llmkit.toml", base="/etc", profile=profile, strict=strict)


def chosen(document: Any, name: str | None = None, profile: str | None = None) -> dict[str, Any]:
    """Return the arguments that *document* gives under *name*."""
    return shelf(document, profile).choose(name).arguments()


def refusal(document: Any, name: str | None = None, profile: str | None = None) -> str:
    with pytest.raises(ConfigurationError) as caught:
        shelf(document, profile).choose(name)
    assert "canary" not in str(caught.value)
    return caught.value.message


ONE = {"type": "openai", "model": "gpt-4o"}
OPENAI = {"provider": "openai", "model": "gpt-4o"}
TWO = {"providers": {"prod": ONE, "dev": {"type": "ollama", "model": "llama3.2"}}}
DEV = {"provider": "ollama", "model": "llama3.2"}
BY_MODEL = {"openai": {"gpt-4o": {"api_keys": ["env:A"]}, "fast": {"model": "gpt-4o-mini"}}, "ollama": {"llama3.2": {}}}


@pytest.mark.parametrize(
    ("document", "name", "arguments"),
    [
        ({"provider": ONE}, None, OPENAI),
        ({"provider": ONE}, "provider", OPENAI),
        (ONE, None, OPENAI),
        ({"provider": "openai", "model_name": "gpt-4o"}, None, OPENAI),
        ({"model": "openai/gpt-4o"}, None, {"model": "openai/gpt-4o"}),
        (TWO, "prod", OPENAI),
        (TWO, "dev", DEV),
        ({**TWO, "default": "dev"}, None, DEV),
        ({**TWO, "default": "dev"}, "prod", OPENAI),
        ({**TWO, "provider": ONE}, None, OPENAI),
        ({"providers": {"openai": {"model": "gpt-4o"}}}, None, OPENAI),
        ({"providers": {"openai": {"type": "ollama", "model": "llama3.2"}}}, None, DEV),
        ({"providers": {"openai": {"model": "ollama/llama3.2"}}}, None, {"model": "ollama/llama3.2"}),
        (BY_MODEL, "openai/fast", {"provider": "openai", "model": "gpt-4o-mini"}),
        (BY_MODEL, "ollama/llama3.2", DEV),
        (BY_MODEL, "ollama", DEV),
        ({"openai": {"model": "gpt-4o"}, "ollama": {"model": "llama3.2"}}, "ollama", DEV),
        ([ONE, {"name": "dev", **DEV}], "gpt-4o", OPENAI),
        ([ONE, {"name": "dev", **DEV}], "dev", DEV),
        (
            [{"model": "d", "api_type": "azure", "base_url": "https://r.openai.azure.com", "api_version": "2024-10-21"}],
            None,
            {"model": "d", "provider": "azure", "base_url": "https://r.openai.azure.com", "options": {"api_version": "2024-10-21"}},
        ),
        (
            {"model_list": [{"model_name": "gpt-4", "litellm_params": {"model": "azure/d", "api_base": "https://r.openai.azure.com"}}]},
            "gpt-4",
            {"model": "azure/d", "base_url": "https://r.openai.azure.com"},
        ),
        (
            {"model_list": [{"model_name": "a", "litellm_params": {"model": "openai/a", "rpm": 60, "tpm": 9000}}]},
            "a",
            {"model": "openai/a", "rate_limit": {"requests_per_minute": 60, "tokens_per_minute": 9000}},
        ),
    ],
)
def test_each_shape_gives_its_tables(document: Any, name: str | None, arguments: dict[str, Any]) -> None:
    """Whichever it is, a name finds the same."""
    assert arguments == chosen(document, name)


@pytest.mark.parametrize(
    ("document", "name", "words"),
    [
        ({}, None, "there is no provider. Write a table [provider]"),
        ([], None, "there is no provider"),
        (None, None, "there is no provider"),
        ("text", None, "there is no provider"),
        ({"default": "x"}, None, "there is no provider"),
        ({"providers": {}}, None, "providers: here are tables by name"),
        ({"providers": []}, None, "providers: here are tables by name"),
        ({"providers": {"prod": 3}}, None, "providers.prod: here is a table"),
        ({"provider": 3}, None, "provider: here is a table"),
        ({**TWO, "default": 3}, None, "default: here is the name"),
        ({**TWO, "default": "prd"}, None, "has no 'prd'. Did you mean 'prod'? There are prod, dev."),
        (TWO, None, "has several: prod, dev. Name one, as in name='prod'"),
        (TWO, "pord", "has no 'pord'. Did you mean 'prod'?"),
        (BY_MODEL, "openai", "has no 'openai'"),
        (BY_MODEL, None, "has several: openai/gpt-4o, openai/fast, ollama/llama3.2"),
        ({"providers": {"prod": {**ONE, "tmeout": 3}}}, None, "llmkit.toml: providers.prod.tmeout is not known. Did you mean 'timeout'?"),
        ({"providers": {"prod": ONE, "dev": {**ONE, "tmeout": 3}}}, "prod", "providers.dev.tmeout is not known"),
        ({"provider": ONE, "providrs": {}}, None, "llmkit.toml: providrs is not known. Did you mean 'providers'?"),
        ({**ONE, "tmeout": 3}, None, "llmkit.toml: tmeout is not known. Did you mean 'timeout'?"),
        ({**ONE, "providers": {"a": ONE}}, None, "llmkit.toml: providers is not known"),
        ({"provders": {"prod": ONE}}, None, "provders: it is neither a provider nor a heading. Did you mean 'providers'?"),
        ({"opnai": {"gpt-4o": {}}}, None, "opnai: it is neither a provider nor a heading. Did you mean 'openai'?"),
        ({"openai": KEY}, None, "openai: here is a table, or tables by model."),
        ({"openai": {}}, None, "openai: here is a table"),
        ({"openai": {"gpt-4o": {"tmeout": 3}}}, None, "openai.gpt-4o.tmeout is not known"),
        ({"openai": {"gpt-4o": {"type": "azure"}}}, None, "openai.gpt-4o: it stands under 'openai'"),
        ([3], None, "[0]: here is a table"),
        ([{"api_key": KEY}], None, "[0]: it has neither 'name' nor 'model' to be called by."),
        (
            [ONE, ONE],
            None,
            "[1]: it is called 'gpt-4o', as is [0]. Give one of them another name by 'name'; keys of one place go into api_keys.",
        ),
        ([{**ONE, "tags": ["a"]}], None, "[0].tags is not known"),
        ({"model_list": {}}, None, "model_list: here is a list"),
        ({"model_list": [{"model_name": "a", "litellm_params": 3}]}, None, "model_list[0].litellm_params: here is a table"),
        ({"model_list": [], "router_settings": {}}, None, "router_settings is not known. There are model_list."),
        (
            {"model_list": [{"model_name": "a", "litellm_params": {"model": "openai/a", "tmeout": 3}}]},
            None,
            "model_list[0].litellm_params.tmeout is not known",
        ),
        (
            {"model_list": [{"model_name": "a", "litellm_params": {"model": "openai/a"}, "model_info": {}}]},
            None,
            "model_list[0].model_info is not known",
        ),
    ],
)
def test_another_shape_is_refused_with_its_place_and_cure(document: Any, name: str | None, words: str) -> None:
    """Also where the table that is wrong is not the one asked for."""
    message = refusal(document, name)

    assert message.startswith("llmkit.toml")
    assert words in message


# -- profiles


PROFILED = {"provider": {**ONE, "timeout": 60, "retry": {"max_retries": 1, "base_delay": 2}}, "profiles": {"dev": {"timeout": 5}}}


def test_a_profile_is_laid_over_the_rest() -> None:
    """Name by name, tables too."""
    document = {**PROFILED, "profiles": {"dev": {"timeout": 5, "retry": {"max_retries": 0}}, "prod": {"provider": {"model": "gpt-5"}}}}

    assert {**OPENAI, "timeout": 5, "retry": {"max_retries": 0, "base_delay": 2}} == chosen(document, profile="dev")
    assert "gpt-5" == chosen(document, profile="prod")["model"]
    assert 60 == chosen(document)["timeout"]


def test_a_profile_may_have_headings() -> None:
    """It changes named providers, adds some, or names the default."""
    document = {**TWO, "profiles": {"eu": {"default": "dev", "providers": {"prod": {"timeout": 5}, "more": {"model": "openai/m"}}}}}

    assert DEV == chosen(document, profile="eu")
    assert {**OPENAI, "timeout": 5} == chosen(document, "prod", profile="eu")
    assert {"model": "openai/m"} == chosen(document, "more", profile="eu")


def test_a_table_by_itself_may_have_profiles() -> None:
    """And a file nothing else than profiles."""
    assert {**OPENAI, "timeout": 5} == chosen({**ONE, "profiles": {"dev": {"timeout": 5}}}, profile="dev")
    assert OPENAI == chosen({"profiles": {"dev": ONE}}, profile="dev")


@pytest.mark.parametrize(
    ("document", "profile", "words"),
    [
        ({"provider": ONE}, "dev", "has no profiles, and so no 'dev'"),
        (BY_MODEL, "dev", "has no profiles, and so no 'dev'"),
        (PROFILED, "dve", "has no profile 'dve'. Did you mean 'dev'? There are dev."),
        ({"profiles": {"dev": ONE}}, None, "has only profiles: choose one by profile= or LLMKIT_PROFILE. There are dev."),
        ({**PROFILED, "profiles": {"dev": 3}}, "dev", "profiles.dev: here is a table"),
        ({**PROFILED, "profiles": 3}, "dev", "profiles: here are tables by name"),
        ({**PROFILED, "profiles": {"dev": {"tmeout": 3}}}, None, "profiles.dev.provider.tmeout is not known. Did you mean 'timeout'?"),
        ({**PROFILED, "profiles": {"dev": {"provider": {"tmeout": 3}}}}, None, "profiles.dev.provider.tmeout is not known"),
        ({**TWO, "profiles": {"dev": {"providers": {"prod": {"tmeout": 3}}}}}, None, "profiles.dev.providers.prod.tmeout is not known"),
        ({**TWO, "profiles": {"dev": {"providers": {"prod": {}}, "x": 3}}}, None, "profiles.dev.x is not known"),
    ],
)
def test_a_wrong_profile_is_refused(document: Any, profile: str | None, words: str) -> None:
    """Each is checked, whichever is asked for."""
    assert words in refusal(document, profile=profile)


def test_a_file_without_profiles_serves_every_profile_of_the_environment() -> None:
    """Only a profile that was asked for by name has to be there."""
    assert OPENAI == shelf({"provider": ONE}, "prod", strict=False).choose(None).arguments()


scalars = st.none() | st.booleans() | st.integers() | st.sampled_from(["openai", "m", "", "openai/m"])
words = st.sampled_from(
    ["provider", "providers", "profiles", "default", "type", "model", "openai", "model_list", "litellm_params", "name", "x"]
)
documents = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4), max_leaves=12)


@given(documents, st.sampled_from([None, "x", "openai"]))
def test_any_document_is_understood_or_refused_by_its_file(document: Any, profile: str | None) -> None:
    """Nothing else can come of it."""
    try:
        tables = list(shelf(document, profile))
    except ConfigurationError as error:
        assert error.message.startswith("llmkit.toml")
    else:
        assert tables

"""What models can do and cost, and what users know better."""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import Any

import pytest

from llmkit import Client, ConfigurationError, LLMCapabilities, ModelRegistry, Price, Usage, register_provider
from llmkit.catalogue import table
from llmkit.catalogue.facts import facts_of
from llmkit.catalogue.registry import cost_of, maker_of, register_all, registered
from llmkit.models.facts import ModelFacts
from llmkit.providers import find_provider, owner_of


def test_a_known_model_is_known_whole() -> None:
    """Abilities, limits and prices."""
    found = ModelRegistry.get_capabilities("anthropic", "claude-sonnet-4-5")

    assert (
        LLMCapabilities(
            supports_tools=True,
            supports_vision=True,
            supports_json_mode=True,
            supports_reasoning=True,
            max_tokens=64_000,
            context_window=200_000,
        )
        == found
    )
    assert (True, True) == (found.supports_streaming, found.supports_system_message)
    price = ModelRegistry.get_price("anthropic", "claude-sonnet-4-5")
    assert price is not None
    assert (Decimal(3), Decimal(15), Decimal("0.3"), Decimal("3.75"), Decimal(6)) == (
        price.input,
        price.output,
        price.cache_read,
        price.cache_write,
        price.cache_write_1h,
    )
    assert price.batch is not None
    assert Decimal("1.5") == price.batch.input


@pytest.mark.parametrize(
    ("provider", "model", "like"),
    [
        ("anthropic", "claude-sonnet-4-5-20250929", ("anthropic", "claude-sonnet-4-5")),
        ("anthropic", "claude-sonnet-4.5", ("anthropic", "claude-sonnet-4-5")),
        ("google", "models/gemini-2.5-pro", ("google", "gemini-2.5-pro")),
        ("gemini", "gemini-2.5-pro", ("google", "gemini-2.5-pro")),
        ("vertex", "publishers/google/models/gemini-2.5-pro", ("vertex", "gemini-2.5-pro")),
        ("openai-responses", "gpt-4o-mini", ("openai", "gpt-4o-mini")),
        ("openai", "ft:gpt-4o-mini-2024-07-18:acme::1", ("openai", "ft:gpt-4o-mini-2024-07-18")),
        ("fireworks", "accounts/fireworks/models/gpt-oss-120b", ("fireworks", "gpt-oss-120b")),
    ],
)
def test_a_model_is_found_by_any_of_its_names(provider: str, model: str, like: tuple[str, str]) -> None:
    """Aliases, dates, prefixes of the provider."""
    assert ModelRegistry.get_price(*like) == ModelRegistry.get_price(provider, model)
    assert ModelRegistry.get_price(*like) is not None
    assert ModelRegistry.get_capabilities(*like) == ModelRegistry.get_capabilities(provider, model)


def test_not_known_is_not_no() -> None:
    """Of an unknown model nothing is promised, and nothing denied; its price is None."""
    found = ModelRegistry.get_capabilities("vllm", "our-own-model")

    assert LLMCapabilities() == found
    assert (None, None, None) == (found.supports_tools, found.max_tokens, found.context_window)
    assert (True, True) == (found.supports_streaming, found.supports_system_message)
    assert ModelRegistry.get_price("vllm", "our-own-model") is None


def test_a_model_can_what_it_can_wherever_it_is_served() -> None:
    """But how much it takes, and what it costs, is the host's affair."""
    found = ModelRegistry.get_capabilities("custom", "gpt-4o-mini")

    assert (True, True, False) == (found.supports_tools, found.supports_vision, found.supports_reasoning)
    assert found.context_window is None
    assert ModelRegistry.get_price("custom", "gpt-4o-mini") is None


@pytest.mark.parametrize("provider", ["vllm", "ollama", "lmstudio", "llamacpp", "textgen", "fastchat", "tgi", "custom"])
def test_a_server_of_ones_own_has_no_price(provider: str) -> None:
    """What it costs is not paid by the token."""
    assert ModelRegistry.get_price(provider, "gpt-4o-mini") is None


def test_an_unknown_provider_is_named() -> None:
    """With the nearest that there is."""
    with pytest.raises(ConfigurationError, match="Did you mean 'openai'"):
        ModelRegistry.get_capabilities("opnai", "gpt-4o")


def test_what_the_user_knows_counts() -> None:
    """What was not said stays as it was known."""
    before = ModelRegistry.get_capabilities("openai", "gpt-4o-mini")

    ModelRegistry.register("openai", "gpt-4o-mini", price=Price(input="0.10", output="0.40"), supports_vision=False)
    ModelRegistry.register("openai", "gpt-4o-mini", context_window=1000)

    after = ModelRegistry.get_capabilities("openai", "gpt-4o-mini-2024-07-18")
    assert (False, 1000) == (after.supports_vision, after.context_window)
    assert (before.supports_tools, before.max_tokens) == (after.supports_tools, after.max_tokens)
    assert Price(input="0.10", output="0.40") == ModelRegistry.get_price("openai-responses", "gpt-4o-mini")


@pytest.mark.usefixtures("own_registry")
def test_a_model_of_ones_own_gets_a_price() -> None:
    """And calls to it a cost."""
    register_provider("acme-priced", base_url="http://127.0.0.1:9/v1", replace=True)

    ModelRegistry.register("acme-priced", "large", price=Price(input=1, output=2), supports_tools=True)

    assert Decimal("0.000007") == cost_of(find_provider("acme-priced"), Usage(input_tokens=3, output_tokens=2), "large")
    assert ModelRegistry.get_capabilities("acme-priced", "large").supports_tools is True


def test_a_registered_length_is_what_a_wire_says_that_demands_one() -> None:
    """There is one truth about it."""
    ModelRegistry.register("anthropic", "claude-sonnet-4-5", max_tokens=1234)

    body = Client("anthropic/claude-sonnet-4-5", api_key="test").explain("Hi").body

    assert 1234 == body["max_tokens"]
    assert 1234 == ModelRegistry.get_capabilities("anthropic", "claude-sonnet-4-5").max_tokens


def test_registered_rules_are_obeyed() -> None:
    """How a model is to be asked can be said here as well."""
    ModelRegistry.register("openai", "acme/tuned", facts=ModelFacts(refuses={"temperature"}))

    assert {"temperature"} == facts_of("acme/tuned").refuses
    assert facts_of("another-tuned").refuses == frozenset()


@pytest.mark.parametrize(
    "wrong",
    [
        {"price": 3},
        {"facts": {}},
        {"supports_tools": "yes"},
        {"supports_telepathy": True},
        {"max_tokens": 0},
        {"context_window": True},
    ],
)
def test_what_is_wrong_is_refused(wrong: dict[str, Any]) -> None:
    """And nothing of it is kept."""
    with pytest.raises(ConfigurationError):
        ModelRegistry.register("openai", "gpt-4o", **wrong)

    assert {} == ModelRegistry._state.registered
    with pytest.raises(ConfigurationError, match="has a name"):
        ModelRegistry.register("openai", "")


def test_threads_register_and_read_at_once() -> None:
    """Nothing registered is lost, and what was found before does not hide it."""
    start = threading.Barrier(8)

    def work(number: int) -> None:
        start.wait()
        for turn in range(20):
            ModelRegistry.register("openai", f"m{number}-{turn}", price=Price(input=number, output=turn))
            ModelRegistry.get_price("openai", "m0-0")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    prices = [ModelRegistry.get_price("openai", f"m{number}-{turn}") for number in range(8) for turn in range(20)]
    assert [Price(input=number, output=turn) for number in range(8) for turn in range(20)] == prices


def test_only_so_much_is_remembered() -> None:
    """Names of models may come from outside."""
    for number in range(5000):
        ModelRegistry.get_price("vllm", f"model-{number}")

    assert len(ModelRegistry._state.found) <= 4096


@pytest.mark.parametrize(
    ("model", "maker"),
    [
        ("claude-sonnet-4-5", "anthropic"),
        ("text-embedding-3-small", "openai"),
        ("Voyage-3.5", "voyage"),
        ("gpt-oss-20b", None),
        ("llama-3.3-70b-instruct", None),
        ("nobodys-model", None),
    ],
)
def test_a_bare_name_tells_its_maker(model: str, maker: str | None) -> None:
    """Where nobody else serves it."""
    assert maker == maker_of(model)


def test_the_makers_do_not_contradict_the_table() -> None:
    """What the beginning of a name tells is not said twice."""
    assert [] == [name for name in table.index()["makers"] if owner_of(name) is not None]


def test_a_client_finds_the_maker() -> None:
    """Of a name that begins like nobody's."""
    assert "openai/text-embedding-3-small" in repr(Client("text-embedding-3-small", api_key="test"))


def test_the_catalogue_can_be_listed() -> None:
    """With its day."""
    assert "gpt-4o-mini" in ModelRegistry.models("openai-responses")
    assert ModelRegistry.date() == table.index()["date"]


FAMILIES = ("anthropic", "google", "openai", "cohere")


def test_the_rules_of_models_and_the_catalogue_agree() -> None:
    """There is one truth about how much a model writes, and whether it thinks."""
    lengths, thoughts = {}, {}
    for catalogue in FAMILIES:
        for name in table.names(catalogue):
            rules, found = facts_of(name), table.find((catalogue,), name).capabilities
            if None not in (rules.max_output_tokens, found.max_tokens) and rules.max_output_tokens != found.max_tokens:
                lengths[name] = (rules.max_output_tokens, found.max_tokens)
            if None not in (rules.thinking, found.supports_reasoning) and (rules.thinking != "none") != found.supports_reasoning:
                thoughts[name] = (rules.thinking, found.supports_reasoning)

    assert {} == lengths
    assert {} == thoughts


def test_what_another_process_registered_holds_here() -> None:
    """Before what was registered here of the same model, and beside all else."""
    ModelRegistry.register("openai", "of-both", price=Price(input=1, output=1), max_tokens=100)
    told = dict(registered())
    ModelRegistry.register("openai", "of-both", price=Price(input=2, output=2))
    ModelRegistry.register("openai", "of-here", price=Price(input=3, output=3))

    register_all(told)

    prices = [ModelRegistry.get_price("openai", model) for model in ("of-both", "of-here")]
    assert [Decimal(1), Decimal(3)] == [price and price.input for price in prices]
    assert 100 == ModelRegistry.get_capabilities("openai", "of-both").max_tokens

"""Our prices beside those of genai-prices, which are kept by others: what differs is explained here, model by model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timezone
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from llmkit import Usage, price_of
from llmkit.catalogue import table

genai = pytest.importorskip("genai_prices.data", reason="genai-prices needs Python 3.11")

NOON = datetime.fromisoformat(table.index()["date"]).replace(hour=12, tzinfo=timezone.utc)

# Our provider, and theirs.
PAIRS = {
    "anthropic": "anthropic",
    "azure": "azure",
    "baseten": "baseten",
    "bedrock": "aws",
    "cerebras": "cerebras",
    "cloudflare": "cloudflare",
    "cohere": "cohere",
    "databricks": "databricks",
    "deepseek": "deepseek",
    "fireworks": "fireworks",
    "google": "google",
    "groq": "groq",
    "meta": "meta",
    "minimax": "minimax",
    "mistral": "mistral",
    "moonshot": "moonshotai",
    "novita": "novita",
    "openai": "openai",
    "openrouter": "openrouter",
    "ovh": "ovhcloud",
    "perplexity": "perplexity",
    "together": "together",
    "voyage": "voyageai",
    "xai": "x-ai",
    "zhipu": "zai",
}

# Provider and model, as a pattern, and why the two differ.
EXPLAINED = {
    r"bedrock/(?:eu|apac|jp)\.amazon\.nova-.*": "Nova costs more outside of the United States; they have one price for all regions.",
    r"bedrock/us-gov\..*": "GovCloud costs a fifth more; they have one price for all regions.",
    r"bedrock/claude-sonnet-4-5-20250929-v1:0": "A name without its maker is LiteLLM's own, and has the price of the global route.",
    r"bedrock/anthropic\.claude-3-opus-.*": "They do not know that its cache is read at a tenth.",
    r"openai/ft:gpt-4o-.*": "They do not know that a tuned model's cache is read at half the price.",
    r"openai/gpt-4o-search-preview": "They do not know that its cache is read at half the price.",
    r"openai/gpt-(?:.*-)?audio.*": "Part of its output is sound, which costs more, and usage does not tell how much: no price here.",
    r"google/gemini-(?:omni|2\.5-pro-preview-tts).*": "Part of its output is sound or pictures: no price here.",
    r"groq/openai/gpt-oss-safeguard-20b": "A tenth of a cent for a million cached tokens, which they round.",
    r"mistral/.*-latest": "These names have moved on to later models, and their models' caches are read at a tenth; theirs are of before.",
    r"mistral/mistral-medium": "The name means Medium 3.5 by now; theirs is the price of 3.1.",
    r"mistral/(?:mistral-tiny|open-mistral-nemo)": "Retired models, whose last list prices differ.",
    r"novita/deepseek/deepseek-ocr-2": "Reads documents: no price by tokens of text here.",
    r"novita/deepseek/deepseek-v4-pro-0813": "Its cache is read at a tenth; theirs is the price of an introductory discount.",
    r"novita/mindai/macaron-.*": "Theirs is a discount of 45 %, ours the list price.",
    r"novita/mistralai/mistral-nemo": "The host's page says 0.04 and 0.17; theirs has 0.17 for both.",
    r"together/(?:meta-llama/Llama-3\.3-70B-Instruct-Turbo|Qwen/Qwen3\.[78].*)": "The host's list of models is later than its page.",
    r"xai/grok-code-fast(?:-1-0825)?": "The names have moved on to a later model, as the provider's own list says.",
    r"deepseek/deepseek-v3\.2": "The list price; theirs is that of a host.",
}


def differences() -> Iterator[tuple[str, Decimal | None, Decimal | None]]:
    """Yield each model that both know, with what it costs here and there."""
    theirs_by_id = {provider.id: provider for provider in genai.providers}
    for ours, theirs in PAIRS.items():
        for model in table.names(ours):
            found = theirs_by_id[theirs].find_model(model)
            if found is not None and (there := cost_there(found)) is not None:
                yield f"{ours}/{model}", cost_here(ours, model), there


INPUT, OUTPUT, READ = 9_000, 2_000, 3_000


def cost_here(provider: str, model: str) -> Decimal | None:
    entry = table.find((provider,), model)
    price = None if entry.tariff is None else entry.tariff.at(NOON.timestamp())
    # Embeddings give nothing back that is counted.
    output = 0 if entry.capabilities.supports_streaming is False and "embed" in model else OUTPUT
    return price_of(Usage(input_tokens=INPUT, output_tokens=output, cache_read_tokens=READ), price)


def cost_there(model: Any) -> Decimal | None:
    prices = model.get_prices(NOON)
    if prices.input_mtok is None or prices.output_mtok is None:
        return None
    read, plain, written = (base(rate) for rate in (prices.cache_read_mtok, prices.input_mtok, prices.output_mtok))
    assert plain is not None
    assert written is not None
    output = 0 if "embed" in model.id else OUTPUT
    return ((plain if read is None else read) * READ + plain * (INPUT - READ) + written * output) / 1_000_000


def base(rate: Any) -> Decimal | None:
    return getattr(rate, "base", rate)


def test_each_difference_is_explained() -> None:
    """And each explanation explains one."""
    found = {name: (here, there) for name, here, there in differences() if here != there}
    used = {pattern for pattern in EXPLAINED for name in found if re.fullmatch(pattern, name)}

    unexplained = {name: costs for name, costs in found.items() if not any(re.fullmatch(pattern, name) for pattern in EXPLAINED)}

    assert {} == unexplained
    assert set() == EXPLAINED.keys() - used


def test_both_are_of_the_same_day() -> None:
    """The package that the tests install is the one that the data was made from; ``make catalogue`` renews both."""
    pinned = re.search(r"genai-prices == ([\d.]+);", (Path(__file__).parents[2] / "setup.cfg").read_text())

    assert pinned is not None
    assert table.index()["sources"]["genai-prices"] == pinned[1] == version("genai-prices")


def test_most_prices_are_the_same() -> None:
    """Of well over a thousand models."""
    same = [name for name, here, there in differences() if here == there]

    assert len(same) > 1250

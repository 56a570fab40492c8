"""What the table of models inside LiteLLM's wheel says, in the words of our catalogue."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

Row = dict[str, Any]

PATH = "litellm/model_prices_and_context_window_backup.json"
MILLION = 1_000_000
RETIRED = timedelta(days=90)  # after its last day a model is kept for so long: such days are often put off

# Whose rows are whose, and what stands before their models' names there.
PROVIDERS: Mapping[str, str] = {
    "ai21": "ai21",
    "aihubmix": "aihubmix",
    "anthropic": "anthropic",
    "azure": "azure",
    "azure_ai": "azure",
    "baseten": "baseten",
    "bedrock": "bedrock",
    "bedrock_converse": "bedrock",
    "cerebras": "cerebras",
    "cloudflare": "cloudflare",
    "codestral": "mistral",
    "cohere": "cohere",
    "cohere_chat": "cohere",
    "crusoe": "crusoe",
    "dashscope": "dashscope",
    "databricks": "databricks",
    "deepinfra": "deepinfra",
    "deepseek": "deepseek",
    "featherless_ai": "featherless",
    "fireworks_ai": "fireworks",
    "fireworks_ai-embedding-models": "fireworks",
    "friendliai": "friendli",
    "gemini": "google",
    "gmi": "gmi",
    "groq": "groq",
    "heroku": "heroku",
    "hyperbolic": "hyperbolic",
    "inception": "inception",
    "lambda_ai": "lambda",
    "meta": "meta",
    "meta_llama": "llama",
    "minimax": "minimax",
    "mistral": "mistral",
    "moonshot": "moonshot",
    "nebius": "nebius",
    "novita": "novita",
    "openai": "openai",
    "ovhcloud": "ovh",
    "perplexity": "perplexity",
    "sambanova": "sambanova",
    "scaleway": "scaleway",
    "snowflake": "snowflake",
    "tencent": "tencent",
    "together_ai": "together",
    "v0": "v0",
    "vercel_ai_gateway": "vercel",
    "volcengine": "ark",
    "voyage": "voyage",
    "wandb": "wandb",
    "xai": "xai",
    "xiaomi_mimo": "xiaomi",
    "zai": "zhipu",
}
VERTEX = "vertex"  # in their table one provider for each maker

FLAGS: Mapping[str, tuple[str, ...]] = {
    "tools": ("supports_function_calling",),
    "vision": ("supports_vision",),
    "json": ("supports_response_schema", "supports_native_structured_output"),
    "reasoning": ("supports_reasoning",),
    "streaming": ("supports_native_streaming",),
    "system": ("supports_system_messages",),
}
TAKEN_FOR_GRANTED = ("streaming", "system")  # so that only their absence is worth a word

PRICES: Mapping[str, str] = {
    "input": "input_cost_per_token",
    "output": "output_cost_per_token",
    "cache_read": "cache_read_input_token_cost",
    "cache_write": "cache_creation_input_token_cost",
    "cache_write_1h": "cache_creation_input_token_cost_above_1hr",
    "reasoning": "output_cost_per_reasoning_token",
}
OTHER_OUTPUT = ("output_cost_per_audio_token", "output_cost_per_image_token", "output_cost_per_image", "output_cost_per_video_token")
_ABOVE = re.compile(r"input_cost_per_token_above_(\d+)k_tokens")
# Prices of one region, or of throughput bought in advance: "azure/eu/gpt-4o", "bedrock/us-east-1/1-month-commitment/...".
_REGIONAL = re.compile(r"^(?:\*|eu|us|global|global-standard|[a-z]+(?:-gov)?-[a-z]+-\d)/|-commitment/")


def rows(table: Mapping[str, Mapping[str, Any]], today: date) -> Iterator[tuple[str, str, Row]]:
    """Yield provider, model and row of each model that can be talked to, or that embeds."""
    for full_name, entry in table.items():
        owner = str(entry.get("litellm_provider"))
        provider = VERTEX if owner.startswith("vertex_ai") else PROVIDERS.get(owner)
        if provider is None or entry.get("mode") not in ("chat", "responses", "embedding") or _is_gone(entry, today):
            continue
        name = _name(full_name, owner)
        if name is not None:
            yield provider, name, row(entry)


def _is_gone(entry: Mapping[str, Any], today: date) -> bool:
    last = entry.get("deprecation_date")
    try:
        return last is not None and date.fromisoformat(last) + RETIRED < today
    except ValueError:
        return False


def _name(full_name: str, owner: str) -> str | None:
    """Return a model's name at its provider; None where it is none, but the sign of a region or of a contract."""
    prefixes = {owner, "bedrock", "vertex_ai", "fireworks_ai", "gemini", "azure_ai", "azure", "cohere"}
    before, slash, after = full_name.partition("/")
    name = after if slash and before in prefixes else full_name
    if _REGIONAL.search(name):
        return None
    return name.removeprefix("accounts/fireworks/models/").removeprefix("publishers/google/models/")


def row(entry: Mapping[str, Any]) -> Row:
    """Return one model's row."""
    made: Row = {}
    for ours, theirs in (("context", "max_input_tokens"), ("max", "max_output_tokens")):
        number = entry.get(theirs)
        if isinstance(number, (int, Decimal)) and number > 0:
            made[ours] = int(number)
    if entry["mode"] == "embedding":
        made["kind"] = "embedding"
        made.pop("max", None)
    else:
        said = {flag: _said(entry, theirs) for flag, theirs in FLAGS.items()}
        made["yes"] = [flag for flag, value in said.items() if value is True and flag not in TAKEN_FOR_GRANTED]
        made["no"] = [flag for flag, value in said.items() if value is False]
    made["price"] = price(entry)
    return {name: value for name, value in made.items() if value}


def _said(entry: Mapping[str, Any], names: tuple[str, ...]) -> bool | None:
    found = [entry[name] for name in names if isinstance(entry.get(name), bool)]
    return None if not found else any(found)


def price(entry: Mapping[str, Any]) -> Row:
    """Return what a model costs; nothing where it is not known, or is said to be nothing."""
    tiers = entry.get("tiered_pricing")
    if isinstance(tiers, list) and tiers:
        first, *rest = (_flat(tier, "") for tier in tiers)
        above = {str(int(tier["range"][0])): prices for tier, prices in zip(tiers[1:], rest, strict=True)}
        return {**first, "above": above} if "input" in first else {}
    if any(_is_number(entry.get(name)) for name in OTHER_OUTPUT):
        return {}  # of what it writes only a part is text, and usage does not tell how much
    made = _with_tiers(entry, "")
    if not made.get("input") and not made.get("output"):
        return {}  # a zero for what is free, or not charged by tokens, or not known
    batch = _with_tiers(entry, "_batches")
    if batch.get("input") or batch.get("output"):
        made["batch"] = batch
    times = entry.get("off_peak_pricing")
    if isinstance(times, dict):
        cheaper = _flat(times, "")
        made["times"] = [{"days": days, "hours": hours, **cheaper} for days, hours in _windows(times["windows"])]
    return made


def _with_tiers(entry: Mapping[str, Any], ending: str) -> Row:
    made = _flat(entry, ending)
    above = {}
    for name in entry:
        found = _ABOVE.fullmatch(name.removesuffix(ending))
        if found and name.endswith(ending):
            above[str(int(found[1]) * 1000)] = _flat(entry, f"_above_{found[1]}k_tokens{ending}")
    if made and above:
        made["above"] = above
    return made


def _flat(entry: Mapping[str, Any], ending: str) -> Row:
    made = {ours: per_million(entry[theirs + ending]) for ours, theirs in PRICES.items() if _is_number(entry.get(theirs + ending))}
    if made.get("reasoning") == made.get("output"):
        made.pop("reasoning", None)
    # Nothing is the price of what they have no word for.
    return {name: value for name, value in made.items() if value or name in ("input", "output")}


def _is_number(value: object) -> bool:
    return isinstance(value, (int, Decimal)) and not isinstance(value, bool)


def per_million(dollars: int | Decimal) -> Decimal:
    """Return a price for one token as one for a million, without the noise of the binary fractions it went through."""
    return Decimal(f"{Decimal(dollars) * MILLION:.12g}")


def _windows(windows: list[Mapping[str, Any]]) -> Iterator[tuple[str, list[str]]]:
    for window in windows:
        hours = window["hours_utc"]
        spans = [hours] if isinstance(hours, str) else hours
        days = "".join(map(str, window.get("weekdays", range(1, 8))))
        yield days, [re.sub("-00:00$", "-24:00", span) for span in spans]

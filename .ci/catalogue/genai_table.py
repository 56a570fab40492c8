"""What the package genai-prices says, in the words of our catalogue. Only the script and one test import it: it needs Python 3.11."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, time, timezone
from decimal import Decimal
from typing import Any

Row = dict[str, Any]

# Which of its providers are which of ours; a router's hosts are told apart by what stands behind the model's name.
PROVIDERS: Mapping[str, tuple[str, str]] = {
    "anthropic": ("anthropic", ""),
    "aws": ("bedrock", ""),
    "azure": ("azure", ""),
    "baseten": ("baseten", ""),
    "cerebras": ("cerebras", ""),
    "cloudflare": ("cloudflare", ""),
    "cohere": ("cohere", ""),
    "databricks": ("databricks", ""),
    "deepseek": ("deepseek", ""),
    "fireworks": ("fireworks", ""),
    "google": ("google", ""),
    "groq": ("groq", ""),
    "huggingface_cerebras": ("huggingface", ":cerebras"),
    "huggingface_fireworks-ai": ("huggingface", ":fireworks-ai"),
    "huggingface_groq": ("huggingface", ":groq"),
    "huggingface_novita": ("huggingface", ":novita"),
    "huggingface_together": ("huggingface", ":together"),
    "meta": ("meta", ""),
    "minimax": ("minimax", ""),
    "mistral": ("mistral", ""),
    "moonshotai": ("moonshot", ""),
    "novita": ("novita", ""),
    "openai": ("openai", ""),
    "openrouter": ("openrouter", ""),
    "ovhcloud": ("ovh", ""),
    "perplexity": ("perplexity", ""),
    "together": ("together", ""),
    "voyageai": ("voyage", ""),
    "x-ai": ("xai", ""),
    "zai": ("zhipu", ""),
}

PRICES: Mapping[str, str] = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
    "reasoning": "output_reasoning_mtok",
}
OTHER = ("output_audio_mtok", "output_image_mtok", "output_video_mtok", "audio_hours", "input_audio_hours")
BATCH = {"processing": "batch"}


def rows(providers: list[Any], now: datetime) -> Iterator[tuple[str, str, Row]]:
    """Yield provider, model and row of each model with a price for its tokens."""
    for provider in providers:
        if provider.id not in PROVIDERS:
            continue
        ours, ending = PROVIDERS[provider.id]
        for model in provider.models:
            row = row_of(model, now)
            if row:
                # In their table "regional" is the price of what runs where it was asked for.
                yield ours, model.id.removeprefix("regional.") + ending, row


def row_of(model: Any, now: datetime) -> Row:
    """Return a model's row, with the changes of its price that are announced; nothing where tokens are not what is paid for."""
    prices = model.get_prices(now)
    price = price_of(prices)
    if any(getattr(prices, name) is not None for name in OTHER):
        return {}
    if "input" not in price or ("output" not in price and "embed" not in model.id and "voyage" not in model.id):
        return {}
    price = in_batches_too(model, now)
    later = {}
    for condition in model.prices if isinstance(model.prices, list) else ():
        start = getattr(condition.constraint, "start_date", None)
        if start is not None and start > now.date():
            then = datetime.combine(start, time(12), tzinfo=timezone.utc)
            later[start.isoformat()] = in_batches_too(model, then)
    if later:
        price["from"] = later
    row: Row = {"price": price}
    if "output" not in price:
        row["kind"] = "embedding"
    if model.context_window:
        row["context"] = model.context_window
    return row


def in_batches_too(model: Any, now: datetime) -> Row:
    price, batch = price_of(model.get_prices(now)), price_of(model.get_prices(now, BATCH))
    return price if batch == price else {**price, "batch": batch}


def price_of(prices: Any) -> Row:
    made: Row = {}
    above: dict[str, Row] = {}
    for ours, theirs in PRICES.items():
        value = getattr(prices, theirs)
        if value is None:
            continue
        if isinstance(value, Decimal):
            made[ours] = value
            continue
        made[ours] = value.base
        for tier in value.tiers:
            above.setdefault(str(tier.start), {})[ours] = tier.price
    if made.get("reasoning") == made.get("output"):
        made.pop("reasoning", None)
    return {**made, "above": above} if above else made

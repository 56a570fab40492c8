"""
One catalogue out of two tables.

Rule 1: LiteLLM's table knows capabilities and limits, and names models as they are called; its row is the base.
Rule 2: where both name a model and agree on its price, genai-prices completes it; where they do not, the base stays, but for what is known
to be better kept there. What then differs is explained, model by model, in ``tests/catalogue/test_genai_prices.py``.
Rule 3: a row that the rules of names would find anyhow is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from llmkit.catalogue.names import key_of, spellings

Row = dict[str, Any]
Table = dict[str, dict[str, Row]]

NEAR = Decimal("0.001")  # apart: what is sold in units of another kind is rounded by either
# What is paid for there is not text alone, and usage does not tell how much of it is.
OF_OTHER_KINDS = re.compile(r"(?<![a-z])(?:audio|image|live|lyria|moderation|ocr|realtime|transcribe|tts|video|voice)(?![a-z])")
# Open models have no price of their maker, who does not serve them; a router's price comes on top of its models'; a container is none.
OMITTED = re.compile(r"^(?:openai (?:gpt-oss|container)|azure model.router)")
# OVHcloud and Cloudflare: the base has euros for dollars, and prices of before. Databricks: units of its own, rounded. Mistral Large 4: its
# price fell on 2026-10-29. Bedrock: a model without a region in its name runs where it is asked for, which costs a tenth more.
BETTER_THERE = re.compile(
    r"^(?:cloudflare|databricks|ovh|mistral mistral-large-4|bedrock anthropic[.]claude-(?!3)|bedrock openai[.]gpt-[56])"
)
ORDER = ("kind", "context", "max", "yes", "no", "price")
PARTS = ("input", "output", "cache_read", "cache_write", "cache_write_1h", "reasoning", "above", "times", "from", "batch")


def merged(base: Iterable[tuple[str, str, Row]], other: Iterable[tuple[str, str, Row]], find: Callable[[str, str], Row]) -> Table:
    """
    Return provider -> model -> row.

    Args:
        base: Provider, model and row, as LiteLLM's table has them.
        other: The same of genai-prices.
        find: Returns the row that genai-prices has for a provider's model, by its own rules of names; empty where it has none.
    """
    table: Table = {}
    for provider, model, row in base:
        if OMITTED.match(f"{provider} {model}"):
            continue
        mine = table.setdefault(provider, {})
        if model not in mine or len(row) > len(mine[model]):
            known = {} if OF_OTHER_KINDS.search(model) else find(provider, model)
            mine[model] = completed(row, known, theirs_first=bool(BETTER_THERE.match(f"{provider} {model}")))
            if OF_OTHER_KINDS.search(model):
                mine[model].pop("price", None)
    covered = {provider: {key_of(name) for name in models} for provider, models in table.items()}
    for provider, model, row in other:
        if OF_OTHER_KINDS.search(model) or OMITTED.match(f"{provider} {model}"):
            continue
        known = covered.get(provider, set())
        # What the base leaves out of a provider it knows is new, or gone; of what is gone the limits are no longer kept.
        is_new = not known or "context" in row or "kind" in row
        if is_new and not any(key in known for key in spellings(model)):
            table.setdefault(provider, {})[model] = row
    return {provider: without_doubles(models) for provider, models in sorted(table.items()) if models}


def completed(row: Row, more: Row, *, theirs_first: bool = False) -> Row:
    """Return *row* with what *more* adds to it, and with its price if *theirs_first*."""
    if not more:
        return dict(row)
    made = {**more, **row}
    # One counts what may be sent, the other what both sides may say; the window is the latter.
    made["context"] = max(row.get("context", 0), more.get("context", 0)) or None
    mine, theirs = row.get("price"), more["price"]
    if mine is not None and not theirs_first:
        made["price"] = with_more(mine, theirs) if agree(mine, theirs) else mine
    elif theirs_first:
        made["price"] = theirs
    return made


def agree(mine: Row, theirs: Row) -> bool:
    """Whether two prices are one, for input and output of the usual size."""
    return all(_near(mine.get(name, Decimal(0)), theirs.get(name, Decimal(0))) for name in ("input", "output"))


def with_more(mine: Row, theirs: Row) -> Row:
    """Return *mine* with what only *theirs* says, and with its figures where those have fewer digits."""
    made = {**theirs, **mine}
    for name in mine.keys() & theirs.keys():
        said, also = mine[name], theirs[name]
        if isinstance(said, dict) and isinstance(also, dict):
            made[name] = with_more(said, also)
        elif isinstance(said, Decimal) and isinstance(also, Decimal) and _near(said, also):
            made[name] = also
    return {name: made[name] for name in sorted(made, key=_place)}


def _place(name: str) -> tuple[int, str]:
    return (PARTS.index(name), "") if name in PARTS else (len(PARTS), name)


def _near(one: Decimal, other: Decimal) -> bool:
    return abs(one - other) <= NEAR * max(one, other)


def without_doubles(models: Mapping[str, Row]) -> dict[str, Row]:
    """Return *models* without those that are found under another name, and found to be the same."""
    alike: dict[str, str] = {}
    for name in sorted(models, key=lambda name: (len(models[name]), name)):
        alike[key_of(name)] = name  # of two that are compared as one, who says more
    left = {name: models[name] for name in alike.values() if any(models[name].values())}
    for name in sorted(left, key=len, reverse=True):
        row = left.pop(name)
        keys = {key_of(other): other for other in left}
        found = next((keys[key] for key in spellings(name) if key in keys), None)
        if found is None or left[found] != row:
            left[name] = row
    return left


def written(models: Mapping[str, Row]) -> str:
    """Return a provider's models as JSON with a line for each, so that a change of one shows as one."""
    names = sorted(models, key=lambda name: (name.lower(), name))
    lines = [f"{json.dumps(name)}: {_json(_in_order(models[name]))}" for name in names]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _in_order(row: Row) -> Row:
    return {name: " ".join(row[name]) if isinstance(row[name], list) else row[name] for name in ORDER if row.get(name)}


def _json(value: Any) -> str:
    match value:
        case Decimal():
            return format(value.normalize() + 0, "f")
        case dict():
            return "{" + ",".join(f"{json.dumps(key)}:{_json(inner)}" for key, inner in value.items()) + "}"
        case list():
            return "[" + ",".join(map(_json, value)) + "]"
        case _:
            return json.dumps(value)


def makers(
    table: Table, owner_of: Callable[[str], str | None], made_by: Iterable[str], sold_by: Iterable[str]
) -> Iterator[tuple[str, str]]:
    """
    Yield bare names, and whose they are, of models that one maker alone has, and whose names do not begin like its others.

    Args:
        table: The catalogue.
        owner_of: Tells a model's provider by how its name begins.
        made_by: The providers that make what they serve.
        sold_by: Those who sell the makers' own models; what anybody else has too is open, and so nobody's in particular.
    """
    makers = tuple(made_by)
    known = {*makers, *sold_by}
    open_to_all = {name.lower().rpartition("/")[2] for provider in table.keys() - known for name in table[provider]}
    owners: dict[str, set[str]] = {}
    for provider in makers:
        for name in table.get(provider, {}):
            owners.setdefault(name.lower(), set()).add(provider)
    for name, found in sorted(owners.items()):
        if len(found) == 1 and name not in open_to_all and owner_of(name) is None and not any(mark in name for mark in "/:@"):
            yield name, found.pop()

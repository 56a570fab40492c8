"""
The data of the catalogue, read when it is first asked for: ``data/PROVIDER.json``, a line for each model.

A row says, where it is known: ``kind`` (of what does not chat: embedding), ``context`` and ``max`` tokens, what the model can (``yes``) and
cannot (``no``), and its ``price`` in US dollars per million tokens. A price may have a price ``above`` so many input tokens, in
``batch``, at certain ``times`` of the week, and ``from`` a day on. What such a part does not say is as in the price that it is part of.

Rule: the data is made by ``make catalogue``, and never edited.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from attrs import evolve

from llmkit.catalogue.names import key_of, spellings
from llmkit.models.capabilities import LLMCapabilities
from llmkit.models.price import Price

__all__ = ["UNKNOWN", "Entry", "Tariff", "find", "index", "names"]

DATA = Path(__file__).with_name("data")
RATES = ("input", "output", "cache_read", "cache_write", "cache_write_1h", "reasoning")
CAPABILITIES: Mapping[str, str] = {
    "tools": "supports_tools",
    "vision": "supports_vision",
    "streaming": "supports_streaming",
    "json": "supports_json_mode",
    "system": "supports_system_message",
    "reasoning": "supports_reasoning",
}
_EMBEDS = dict.fromkeys(CAPABILITIES.values(), False)


class Hours(NamedTuple):
    """A price that holds at certain times: days of the week as digits from 1, Monday, and spans of minutes of a day, in UTC."""

    days: str
    spans: tuple[tuple[int, int], ...]
    price: Price

    def hold(self, moment: datetime) -> bool:
        minute = moment.hour * 60 + moment.minute
        return str(moment.isoweekday()) in self.days and any(start <= minute < end for start, end in self.spans)


class Tariff(NamedTuple):
    """The prices of one model over time."""

    price: Price
    hours: tuple[Hours, ...] = ()
    changes: tuple[tuple[str, Tariff], ...] = ()  # by the day, as ISO 8601 writes it, from which they hold; the latest first

    def at(self, moment: float) -> Price:
        """Return the price at *moment*, a Unix time."""
        if not self.hours and not self.changes:
            return self.price
        then = datetime.fromtimestamp(moment, timezone.utc)
        day = then.date().isoformat()
        for start, changed in self.changes:
            if day >= start:
                return changed.at(moment)
        return next((hours.price for hours in self.hours if hours.hold(then)), self.price)


class Entry(NamedTuple):
    """What is known of one model at one provider."""

    capabilities: LLMCapabilities = LLMCapabilities()
    tariff: Tariff | None = None


UNKNOWN = Entry()


@cache
def index() -> Mapping[str, Any]:
    """Return the date of the data, its sources, and the ``makers`` of models by their bare names."""
    loaded: dict[str, Any] = json.loads((DATA / "index.json").read_bytes())
    return loaded


def find(catalogues: Iterable[str], model: str) -> Entry:
    """Return what the first of *catalogues* that has *model*, under any of its names, knows of it."""
    for catalogue in catalogues:
        rows = _rows(catalogue)
        for key in spellings(model) if rows else ():
            row = rows.get(key)
            if row is not None:
                return _entry(row)
    return UNKNOWN


def names(catalogue: str) -> list[str]:
    """Return the names of all models in one catalogue."""
    return list(_loaded(catalogue))


@cache
def _rows(catalogue: str) -> Mapping[str, dict[str, Any]]:
    return {key_of(name): row for name, row in _loaded(catalogue).items()}


def _loaded(catalogue: str) -> dict[str, Any]:
    try:
        text = (DATA / f"{catalogue}.json").read_text("utf-8")
    except FileNotFoundError:
        return {}
    loaded: dict[str, Any] = json.loads(text, parse_float=Decimal)
    return loaded


def _entry(row: Mapping[str, Any]) -> Entry:
    said: dict[str, Any] = _EMBEDS.copy() if "kind" in row else {}
    said.update((CAPABILITIES[word], True) for word in row.get("yes", "").split())
    said.update((CAPABILITIES[word], False) for word in row.get("no", "").split())
    capabilities = LLMCapabilities(max_tokens=row.get("max"), context_window=row.get("context"), **said)
    price = row.get("price")
    return Entry(capabilities=capabilities, tariff=None if price is None else _tariff(price))


def _tariff(row: Mapping[str, Any]) -> Tariff:
    price = _price(row)
    hours = (Hours(times["days"], tuple(map(_span, times["hours"])), _rates(times, price)) for times in row.get("times", ()))
    changes = sorted(row.get("from", {}).items(), reverse=True)
    return Tariff(price=price, hours=tuple(hours), changes=tuple((day, _tariff(changed)) for day, changed in changes))


def _price(row: Mapping[str, Any]) -> Price:
    made = _rates(row, Price())
    tiers = tuple((int(above), _rates(tier, made)) for above, tier in row.get("above", {}).items())
    batch = row.get("batch")
    return evolve(made, tiers=tiers, batch=None if batch is None else _price(batch))


def _rates(row: Mapping[str, Any], base: Price) -> Price:
    return evolve(base, tiers=(), batch=None, **{name: row[name] for name in RATES if name in row})


def _span(text: str) -> tuple[int, int]:
    start, end = ([int(number) for number in moment.split(":")] for moment in text.split("-"))
    return start[0] * 60 + start[1], end[0] * 60 + end[1]

"""The script that makes the data out of the packages that keep such facts."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import date, datetime, timezone
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "catalogue"
TODAY = date(2026, 11, 21)


@pytest.fixture(autouse=True)
def _beside_the_script(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """It is no package: its modules stand beside each other."""
    monkeypatch.syspath_prepend(str(SCRIPT))
    yield
    for name in ("litellm_table", "genai_table", "merge"):
        sys.modules.pop(name, None)


@pytest.fixture
def litellm() -> ModuleType:
    return import_module("litellm_table")


@pytest.fixture
def merge() -> ModuleType:
    return import_module("merge")


def entry(**more: Any) -> dict[str, Any]:
    return {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": Decimal("3e-06"), "output_cost_per_token": 0, **more}


def test_prices_are_for_a_million_tokens(litellm: ModuleType) -> None:
    """Without the noise of binary fractions; with tiers, batches and hours."""
    made = litellm.price(
        entry(
            output_cost_per_token=Decimal("9.499999999999999e-07"),
            output_cost_per_reasoning_token=Decimal("9.499999999999999e-07"),
            cache_creation_input_token_cost=0,
            input_cost_per_token_above_200k_tokens=Decimal("6e-06"),
            input_cost_per_token_batches=Decimal("1.5e-06"),
            off_peak_pricing={"input_cost_per_token": Decimal("1e-06"), "windows": [{"hours_utc": "10:00-00:00", "weekdays": [6, 7]}]},
        )
    )

    assert {
        "input": Decimal(3),
        "output": Decimal("0.95"),
        "above": {"200000": {"input": Decimal(6)}},
        "batch": {"input": Decimal("1.5")},
        "times": [{"days": "67", "hours": ["10:00-24:00"], "input": Decimal(1)}],
    } == made


@pytest.mark.parametrize(
    "said",
    [
        {"input_cost_per_token": 0, "output_cost_per_token": 0},
        {"output_cost_per_audio_token": Decimal("1e-05")},
        {"input_cost_per_token": None, "output_cost_per_token": None},
    ],
)
def test_what_is_not_known_gets_no_price(litellm: ModuleType, said: dict[str, Any]) -> None:
    """Zeros stand there for what is free and for what is not known; and of sound usage does not tell how much it is."""
    assert {} == litellm.price(entry(**said))


def test_only_what_is_said_is_known(litellm: ModuleType) -> None:
    """No word is no "no"."""
    made = litellm.row(entry(supports_vision=False, supports_function_calling=True, supports_system_messages=True, max_input_tokens=10))

    assert (["tools"], ["vision"], 10) == (made["yes"], made["no"], made["context"])
    assert "max" not in made


def test_names_are_those_of_the_provider(litellm: ModuleType) -> None:
    """Without the table's own prefixes; regions, contracts and what is gone are left out."""
    table = {
        "gpt-4o": entry(),
        "gpt-2": entry(deprecation_date="2026-01-01"),
        "gpt-3": entry(deprecation_date="2026-11-01"),
        "dall-e": entry(mode="image_generation"),
        "azure/gpt-4o": entry(litellm_provider="azure"),
        "azure/eu/gpt-4o": entry(litellm_provider="azure"),
        "bedrock/us-east-1/1-month-commitment/anthropic.claude-v2": entry(litellm_provider="bedrock"),
        "vertex_ai/claude-opus-5@default": entry(litellm_provider="vertex_ai-anthropic_models"),
        "fireworks_ai/accounts/fireworks/models/glm": entry(litellm_provider="fireworks_ai"),
        "nobody/x": entry(litellm_provider="nobody"),
    }

    found = [(provider, name) for provider, name, _ in litellm.rows(table, TODAY)]

    assert [
        ("openai", "gpt-4o"),
        ("openai", "gpt-3"),
        ("azure", "gpt-4o"),
        ("vertex", "claude-opus-5@default"),
        ("fireworks", "glm"),
    ] == found


def row(price: str, **more: Any) -> dict[str, Any]:
    return {"context": 10, "price": {"input": Decimal(price), "output": Decimal(1)}, **more}


def merged(merge: ModuleType, base: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    table = merge.merged(
        (("acme", name, found) for name, found in base.items()),
        (("acme", name, found) for name, found in other.items()),
        lambda _, model: other.get(model, {}),
    )
    made: dict[str, Any] = table["acme"]
    return made


def test_two_that_agree_complete_each_other(merge: ModuleType) -> None:
    """And where one has rounded, its figures are taken."""
    mine, theirs = row("0.10003", max=5), row("0.1")
    theirs["price"]["cache_read"] = Decimal("0.01")

    made = merged(merge, {"m": mine}, {"m": theirs})["m"]

    assert {"input": Decimal("0.1"), "output": Decimal(1), "cache_read": Decimal("0.01")} == made["price"]
    assert (10, 5) == (made["context"], made["max"])


def test_where_they_differ_the_base_counts(merge: ModuleType) -> None:
    """The test that compares both tells why, for each."""
    made = merged(merge, {"m": row("2")}, {"m": row("3"), "n": row("4")})

    assert [Decimal(2), Decimal(4)] == [made[name]["price"]["input"] for name in ("m", "n")]


def test_a_name_that_is_found_anyhow_is_left_out(merge: ModuleType) -> None:
    """Unless it says something else."""
    models = {"m": row("1"), "m-20260101": row("1"), "m-20250101": row("2"), "other": row("1")}

    assert ["m", "m-20250101", "other"] == sorted(merge.without_doubles(models))


def test_a_model_has_a_line_of_its_own(merge: ModuleType) -> None:
    """With the digits that are needed, and its words in one order."""
    text = merge.written({"b": row("0.10"), "a": {"price": {"input": Decimal("1E+1")}, "yes": ["tools", "json"]}})

    assert text.split("\n") == [
        "{",
        '"a": {"yes":"tools json","price":{"input":10}},',
        '"b": {"context":10,"price":{"input":0.1,"output":1}}',
        "}",
        "",
    ]
    assert ["a", "b"] == list(json.loads(text))


def test_a_bare_name_has_a_maker_where_nobody_else_serves_it(merge: ModuleType) -> None:
    """A seller of the maker's own models is nobody else; who serves open ones is."""
    table = {
        "maker": {"own": {}, "open": {}, "own-prefixed": {}, "path/x": {}},
        "seller": {"own": {}},
        "host": {"maker/Open": {}},
    }

    found = dict(merge.makers(table, lambda name: "maker" if name.startswith("own-") else None, ("maker",), ("seller",)))

    assert {"own": "maker"} == found


def test_prices_to_come_are_read_with_their_day() -> None:
    """And batches with their discount."""
    types = pytest.importorskip("genai_prices.types", reason="genai-prices needs Python 3.11")
    genai_table = import_module("genai_table")

    def price(dollars: str) -> Any:
        return types.ModelPrice(
            input_mtok=Decimal(dollars), output_mtok=types.TieredPrices(base=Decimal(1), tiers=[types.Tier(5, Decimal(2))])
        )

    changed = types.ConditionalPrice(constraint=types.StartDateConstraint(date(2027, 1, 1)), prices=price("4"))
    half = types.PriceVariant(when={"processing": "batch"}, prices=types.ModelPrice(input_mtok=Decimal("0.5")))
    model = types.ModelInfo(
        id="m", match=types.ClauseEquals("m"), prices=[types.ConditionalPrice(prices=price("3")), changed], price_variants=[half]
    )

    made = genai_table.row_of(model, datetime(2026, 11, 21, 12, tzinfo=timezone.utc))["price"]

    assert (Decimal(3), Decimal("0.5"), Decimal(4)) == (made["input"], made["batch"]["input"], made["from"]["2027-01-01"]["input"])
    assert {"5": {"output": Decimal(2)}} == made["above"]

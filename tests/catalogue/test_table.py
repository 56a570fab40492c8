"""The data as it is shipped, and what is read out of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path

import pytest

from llmkit.catalogue import table
from llmkit.catalogue.names import key_of
from llmkit.models.price import Price
from llmkit.providers import provider_names

CATALOGUES = sorted(path.stem for path in table.DATA.glob("*.json") if path.stem != "index")
COMING = {"bedrock", "voyage"}  # known here, and not spoken to yet


def test_the_data_has_its_date_and_its_sources() -> None:
    """So that its age can be told."""
    index = table.index()

    assert date.fromisoformat(index["date"]) >= date(2026, 11, 21)
    assert {"genai-prices", "litellm"} == index["sources"].keys()


def test_each_file_is_of_a_provider() -> None:
    """By the name that the table of providers has for it; and providers whose models are others' name files that are there."""
    assert set() == set(CATALOGUES) - set(provider_names()) - COMING
    assert {"openai", "anthropic", "google", "openrouter", "azure", "mistral", "xai", "deepseek", "groq", "cohere"} < set(CATALOGUES)


@pytest.mark.parametrize("catalogue", CATALOGUES)
def test_every_row_can_be_read(catalogue: str) -> None:
    """Each says something, in known words."""
    for name in table.names(catalogue):
        entry = table.find((catalogue,), name)
        assert entry != table.UNKNOWN, name
        price = entry.tariff.price if entry.tariff is not None else Price(input=0)
        assert price.input is not None or price.output is not None, name
        for above, tier in price.tiers:
            assert above > 0, name
            assert tier.input is not None, name


@pytest.mark.parametrize("catalogue", CATALOGUES)
def test_each_name_means_one_model(catalogue: str) -> None:
    """No two are compared as one."""
    twice = {key: count for key, count in Counter(map(key_of, table.names(catalogue))).items() if count > 1}

    assert {} == twice


@pytest.mark.parametrize("catalogue", CATALOGUES)
def test_a_model_has_a_line(catalogue: str) -> None:
    """So that a change of one shows as a change of one."""
    lines = (table.DATA / f"{catalogue}.json").read_text().splitlines()

    names = [next(iter(json.loads("{" + line.removesuffix(",") + "}"))) for line in lines[1:-1]]

    assert ["{", "}"] == [lines[0], lines[-1]]
    assert table.names(catalogue) == names == sorted(names, key=lambda name: (name.lower(), name))


def test_the_data_is_small() -> None:
    """It is shipped with every wheel."""
    assert sum(path.stat().st_size for path in table.DATA.iterdir()) < 450_000


@pytest.fixture
def a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A data file of one's own."""
    monkeypatch.setattr(table, "DATA", tmp_path)
    table._rows.cache_clear()
    yield tmp_path / "acme.json"
    table._rows.cache_clear()


def moment(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp()


def test_a_part_says_only_what_differs(a_file: Path) -> None:
    """A tier keeps the rest of the price that it is part of."""
    price = {"input": 2, "output": 8, "cache_read": 0.1, "above": {"1000": {"input": 4}}, "batch": {"input": 1}}
    a_file.write_text(json.dumps({"a": {"price": price}}))

    tariff = table.find(("acme",), "a").tariff

    assert tariff is not None
    assert Price(input=4, output=8, cache_read="0.1") == tariff.price.tier(1001)
    assert Price(input=1) == tariff.price.batch


def test_a_price_changes_with_the_hour(a_file: Path) -> None:
    """And with the day of the week, in UTC."""
    night = {"days": "12345", "hours": ["00:00-01:00", "10:00-24:00"], "input": 1}
    weekend = {"days": "67", "hours": ["00:00-24:00"], "input": 1}
    a_file.write_text(json.dumps({"a": {"price": {"input": 2, "output": 8, "times": [night, weekend]}}}))
    tariff = table.find(("acme",), "a").tariff
    assert tariff is not None

    friday_night, friday_noon, friday_morning, sunday = (
        tariff.at(moment(text)).input for text in ("2026-11-20 00:59", "2026-11-20 12:00", "2026-11-20 09:59", "2026-11-22 09:59")
    )

    assert [Decimal(1), Decimal(1), Decimal(2), Decimal(1)] == [friday_night, friday_noon, friday_morning, sunday]


def test_a_price_changes_on_the_day_that_was_announced(a_file: Path) -> None:
    """The latest change that has come counts."""
    a_file.write_text('{"a": {"price": {"input": 1, "from": {"2026-12-01": {"input": 2}, "2027-01-01": {"input": 3}}}}}')
    tariff = table.find(("acme",), "a").tariff
    assert tariff is not None

    prices = [tariff.at(moment(text)).input for text in ("2026-11-30 23:59", "2026-12-01 00:00", "2026-12-31 23:59", "2027-06-01 00:00")]

    assert [Decimal(1), Decimal(2), Decimal(2), Decimal(3)] == prices


def test_a_catalogue_that_is_not_there_knows_nothing(a_file: Path) -> None:
    """Nor is that an error: most servers of one's own have none."""
    assert table.UNKNOWN == table.find(("acme", "nobody"), "a")
    assert [] == table.names("acme")


SCRIPT = """
import sys
opened = []
sys.addaudithook(lambda event, args: event == "open" and str(args[0]).endswith(".json") and opened.append(args[0].rpartition("/")[2]))
import llmkit, llmkit.cli
from llmkit import Client, Usage
client = Client("gpt-4o-mini", api_key="test")
print(len(opened))
client.usage
llmkit.ModelRegistry.get_price("openai", "gpt-4o-mini")
llmkit.ModelRegistry.get_price("openai", "gpt-4o")
print(opened)
"""


def test_nothing_is_read_before_it_is_needed() -> None:
    """And then one file, once."""
    output = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True).stdout

    assert ["0", "['openai.json']"] == output.split("\n")[:2]

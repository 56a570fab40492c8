"""
Renew ``llmkit/catalogue/data`` from the packages that keep such facts: ``make catalogue``.

Their wheels are downloaded and read, and nothing of them is installed; genai-prices is imported from its wheel, with the needs that the
``dev`` extra has brought.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import zipfile
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "llmkit" / "catalogue" / "data"
sys.path.insert(0, str(ROOT))

import genai_table  # noqa: E402 - beside this file
import litellm_table  # noqa: E402
import merge  # noqa: E402

from llmkit.providers.registry import owner_of  # noqa: E402
from llmkit.providers.table import MODEL_PREFIXES  # noqa: E402

PACKAGES = ("genai-prices", "litellm")
MAKERS = (*MODEL_PREFIXES, "voyage", "meta")
SELLERS = ("azure", "bedrock", "vertex", "openrouter", "vercel", "aihubmix", "databricks", "snowflake", "heroku")


def main() -> None:
    now = datetime.now(timezone.utc).replace(hour=12, minute=0, second=0, microsecond=0)
    with tempfile.TemporaryDirectory() as folder:
        wheels = download(Path(folder))
        theirs = json.loads(zipfile.ZipFile(wheels["litellm"]).read(litellm_table.PATH), parse_float=Decimal)
        sys.path.insert(0, str(wheels["genai-prices"]))
        from genai_prices.data import providers

        table = merge.merged(
            litellm_table.rows(theirs, now.date()),
            genai_table.rows(providers, now),
            lambda provider, model: find(providers, provider, model, now),
        )
    versions = {name: wheel.name.split("-")[1] for name, wheel in wheels.items()}
    write(table, {"date": now.date().isoformat(), "sources": versions})
    pin(versions["genai-prices"])


def download(folder: Path) -> dict[str, Path]:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", str(folder), *PACKAGES]
    subprocess.run(command, check=True)
    return {name: next(folder.glob(f"{name.replace('-', '_')}-*.whl")) for name in PACKAGES}


def find(providers: list[Any], provider: str, model: str, now: datetime) -> dict[str, Any]:
    for theirs, (ours, ending) in genai_table.PROVIDERS.items():
        if ours != provider or ending:
            continue
        found = next(row for row in providers if row.id == theirs).find_model(model)
        routed = model.startswith(("us.", "eu.", "us-gov.", "global."))
        # Names with a region go by their own row: to which price there they belong is not told by its rules.
        if found is not None and not (routed and found.id.startswith("regional.")):
            return genai_table.row_of(found, now)
    return {}


def write(table: merge.Table, index: dict[str, Any]) -> None:
    for old in DATA.glob("*.json"):
        old.unlink()
    DATA.mkdir(exist_ok=True)
    for provider, models in table.items():
        (DATA / f"{provider}.json").write_text(merge.written(models))
    index["makers"] = dict(merge.makers(table, owner_of, MAKERS, SELLERS))
    (DATA / "index.json").write_text(json.dumps(index, indent=1) + "\n")
    size = sum(path.stat().st_size for path in DATA.glob("*.json"))
    print(f"{sum(map(len, table.values()))} models of {len(table)} providers, {size // 1024} KiB")


def pin(version: str) -> None:
    """Have the test that compares prices compare with what they were made from."""
    setup = ROOT / "setup.cfg"
    setup.write_text(re.sub(r"genai-prices == [\d.]+", f"genai-prices == {version}", setup.read_text()))


if __name__ == "__main__":
    main()

"""
Run the benchmarks, print one table, and compare it with the baseline.

``python -m benchmarks`` measures; ``--quick`` does so roughly; ``--save`` makes the result the new baseline.
"""

from __future__ import annotations

import argparse
import json
import platform
from importlib.metadata import version
from pathlib import Path

from benchmarks import caching, cases, policies
from benchmarks.measure import Result, server

BASELINE = Path(__file__).with_name("baseline.json")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds: rough figures in a short time")
    parser.add_argument("--save", action="store_true", help="keep this run as the baseline")
    options = parser.parse_args()
    rounds = 3 if options.quick else 9
    with server() as origin:
        base = f"{origin}/openai/v1"
        results = [
            *cases.import_time(rounds),
            *cases.fresh_process(base, rounds),
            *cases.sync_calls(base, rounds),
            *cases.streams(base, rounds),
            *cases.async_calls(base, rounds),
            *cases.streams_async(base, rounds),
            *caching.zipf(base, *((2_000, 400) if options.quick else (10_000, 2_000))),
            *caching.hits(base, rounds),
            *policies.policies(rounds),
        ]
    baseline = json.loads(BASELINE.read_text())["ratios"] if BASELINE.exists() else {}
    print(table(results, baseline))
    if options.save:
        BASELINE.write_text(json.dumps(record(results), indent=2, ensure_ascii=False) + "\n")


def table(results: list[Result], baseline: dict[str, dict[str, float]]) -> str:
    """Return all results in one table: costs, and ratios to the reference, beside those of the baseline."""
    head = f"{'case':<36}{'who':<15}{'cost':>12}{'ratio':>8}{'limit':>7}{'baseline':>10}"
    lines = [surroundings(), "", head, "-" * len(head)]
    for result in results:
        for who, cost in result.costs.items():
            is_ours = who.startswith("llmkit")
            limit = f"{result.limit:.2f}" if is_ours and result.limit is not None else ""
            before = baseline.get(result.name, {}).get(who)
            mark = "" if who != result.reference else "  = 1"
            lines.append(
                f"{result.name if who == next(iter(result.costs)) else '':<36}{who:<15}{cost:>9.1f} {result.unit:<2}"
                f"{mark or f'{result.ratios[who]:.2f}':>8}{limit:>7}{'' if before is None else f'{before:.2f}':>10}"
            )
    return "\n".join(lines)


def surroundings() -> str:
    libraries = ", ".join(f"{name} {version(name)}" for name in ("requests", "urllib3", "aiohttp", "openai"))
    what = "CPU time of the client, of caches the time that passes; medians."
    return f"Python {platform.python_version()} on {platform.machine()}; {libraries}. {what}"


def record(results: list[Result]) -> dict[str, object]:
    return {
        "surroundings": surroundings(),
        "costs": {f"{result.name} [{result.unit}]": {who: round(cost, 2) for who, cost in result.costs.items()} for result in results},
        "ratios": {result.name: {who: round(ratio, 3) for who, ratio in result.ratios.items()} for result in results},
    }


if __name__ == "__main__":
    main()

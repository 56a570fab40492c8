"""
Measuring: cases in turn, several rounds, medians and ratios.

What is measured is CPU time of this process (all its threads), or of a child for what happens once per process: the server runs in a
process of its own, and waiting for it costs nothing. The contestants of one case take turns within a round, so that a machine which
slows down slows them all.
"""

from __future__ import annotations

import contextlib
import gc
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from attrs import frozen

__all__ = ["Result", "compare", "compare_processes", "server"]


@frozen(kw_only=True)
class Result:
    """One case: the median cost of each contestant, and the median of the ratios to the reference, round by round."""

    name: str
    unit: str
    costs: Mapping[str, float]
    ratios: Mapping[str, float]
    reference: str
    limit: float | None = None  # what the ratio of ours should not exceed


def compare(
    name: str, contestants: Mapping[str, Callable[[int], object]], *, reference: str, times: int, rounds: int, limit: float | None = None
) -> Result:
    """Return the CPU time in µs per unit of work of each contestant, a function that does *n* of them."""
    for work in contestants.values():
        work(max(times // 10, 1))
    costs: dict[str, list[float]] = {key: [] for key in contestants}
    for _ in range(rounds):
        for key, work in contestants.items():
            gc.collect()
            before = time.process_time()
            work(times)
            costs[key].append((time.process_time() - before) / times * 1e6)
    return _result(name, "µs", costs, reference, limit)


def compare_processes(name: str, programs: Mapping[str, str], *, reference: str, rounds: int, limit: float | None = None) -> list[Result]:
    """Return CPU time in ms and peak memory in MB of each program, a text, less those of an interpreter that does nothing."""
    times: dict[str, list[float]] = {key: [] for key in programs}
    sizes: dict[str, list[float]] = {key: [] for key in programs}
    for _ in range(rounds):
        bare = _run("pass")
        for key, program in programs.items():
            cpu, peak = _run(program)
            times[key].append((cpu - bare[0]) * 1e3)
            sizes[key].append((peak - bare[1]) / 1024)
    return [
        _result(name, "ms", times, reference, limit),
        _result(f"{name}, memory", "MB", sizes, reference, None),
    ]


# Not getrusage: its peak is inherited from the process that forked, which is this one.
_PEAK = "; import re; print(re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())[1])"


def _run(program: str) -> tuple[float, float]:
    """Return CPU seconds and peak KiB of a fresh interpreter that runs *program*."""
    # With its bytecode cached, as installed packages have it.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    child = subprocess.Popen([sys.executable, "-c", program + _PEAK], stdout=subprocess.PIPE, text=True, env=environment)
    assert child.stdout is not None
    printed = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        msg = f"this program failed: {program}"
        raise RuntimeError(msg)
    return usage.ru_utime + usage.ru_stime, float(printed.split()[-1])


def _result(name: str, unit: str, costs: Mapping[str, Sequence[float]], reference: str, limit: float | None) -> Result:
    base = costs[reference]
    return Result(
        name=name,
        unit=unit,
        costs={key: statistics.median(values) for key, values in costs.items()},
        ratios={key: statistics.median(v / b for v, b in zip(values, base, strict=True) if b > 0) for key, values in costs.items()},
        reference=reference,
        limit=limit,
    )


@contextlib.contextmanager
def server() -> Iterator[str]:
    """Run the fake server in a process of its own and yield its origin."""
    command = [sys.executable, "-m", "llmkit.testing", "--no-record"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        yield child.stdout.readline().strip().split()[-1]
        child.stdin.close()

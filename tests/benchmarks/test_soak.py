"""The long run, shortened: it must go on working, and every promise that can be seen in seconds must hold."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="what a process holds is read from Linux' /proc")


def soaked(*options: str) -> str:
    command = [sys.executable, "-m", "benchmarks.soak", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert 0 == done.returncode, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_nothing_is_lost_in_trouble() -> None:
    """Calls from threads and tasks, whole and streamed, at servers that fail three requests in ten, and then all."""
    told = soaked("--only", "calls", "--calls", "1500")

    assert "crossed" in told
    assert "BROKEN" not in told


def test_everything_comes_back_that_a_cancelled_call_held() -> None:
    """Tasks one by one, threads all at once, at random moments."""
    told = soaked("--only", "cancellations", "--cancellations", "800")

    assert "reservations not back" in told
    assert "BROKEN" not in told

"""The long run, shortened: it must go on working, and every promise that can be seen in seconds must hold."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="what a process holds is read from Linux' /proc")
def test_nothing_is_lost_in_trouble() -> None:
    """Calls from threads and tasks, whole and streamed, at servers that fail three requests in ten, and then all."""
    command = [sys.executable, "-m", "benchmarks.soak", "--calls", "2000"]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)

    assert "BROKEN" not in done.stdout, f"{done.stdout}\n{done.stderr}"
    assert 0 == done.returncode, done.stderr
    assert "lost" in done.stdout

"""What is shipped: a wheel with everything that is needed, and nothing that runs by itself."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy, so that nothing is left behind here."""
    pytest.importorskip("setuptools")
    source = tmp_path_factory.mktemp("source")
    for name in ("setup.py", "setup.cfg", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for package in ("llmkit", "llmkit_async"):
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    built = tmp_path_factory.mktemp("built")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(built), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    return next(built.glob("*.whl"))


def test_the_wheel_holds_every_module(wheel: Path) -> None:
    """Also of packages added tomorrow, and the marks that it is typed."""
    files = [*ROOT.glob("llmkit/**/*"), *ROOT.glob("llmkit_async/**/*")]
    expected = {path.relative_to(ROOT).as_posix() for path in files if path.is_file() and "__pycache__" not in path.parts}

    shipped = set(zipfile.ZipFile(wheel).namelist())

    assert {"llmkit/py.typed", "llmkit_async/py.typed"} < shipped
    assert set() == expected - shipped


def test_the_wheel_runs_nothing_by_itself(wheel: Path) -> None:
    """A .pth file is executed at every start of Python: that is how another SDK's users lost their keys."""
    shipped = zipfile.ZipFile(wheel).namelist()

    assert [] == [name for name in shipped if name.endswith(".pth")]
    assert {"llmkit", "llmkit_async"} == {name.split("/")[0] for name in shipped if ".dist-info/" not in name}


def test_the_core_needs_little(wheel: Path) -> None:
    """Five packages, with lower bounds only; and what Python 3.10 lacks."""
    archive = zipfile.ZipFile(wheel)
    metadata = archive.read(next(name for name in archive.namelist() if name.endswith("METADATA"))).decode()

    needed = [
        line.split(":", 1)[1].strip() for line in metadata.splitlines() if line.startswith("Requires-Dist") and "extra ==" not in line
    ]

    backport = [line for line in needed if line.startswith("tomli")]
    needed = [line for line in needed if line not in backport]

    assert ['tomli>=2; python_version < "3.11"'] == backport
    assert ["attrs", "backoff", "cattrs", "requests", "urllib3"] == sorted(line.split(">")[0].strip() for line in needed)
    assert [] == [line for line in needed if "<" in line or "==" in line]

"""The lock of a checkpoint."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from llmkit.errors import CheckpointError
from llmkit.journal import lock as locks
from llmkit.journal.lock import Lock

HOLDER = """
import sys
from llmkit.journal.lock import Lock
lock = Lock(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


def holder(path: str) -> subprocess.Popen[str]:
    """Return a process that holds the lock at *path*."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert "held\n" == process.stdout.readline()
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_a_second_batch_is_refused_in_the_same_process(tmp_path: Path) -> None:
    """Two threads of one program are two batches as well."""
    path = str(tmp_path / "lock")
    first = Lock(path)

    with pytest.raises(CheckpointError, match=f"Process {os.getpid()} is at work"):
        Lock(path)

    first.release()
    Lock(path).release()
    assert not os.path.exists(path)


def test_another_process_is_refused_and_named(tmp_path: Path) -> None:
    """With its number, to find it."""
    path = str(tmp_path / "lock")
    process = holder(path)
    try:
        with pytest.raises(CheckpointError, match=f"Process {process.pid} is at work") as caught:
            Lock(path)
    finally:
        end(process)

    assert process.pid == caught.value.metadata["owner"]["pid"]


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path: Path) -> None:
    """It left its file, and nothing else."""
    path = str(tmp_path / "lock")
    end(holder(path))
    assert os.path.exists(path)

    lock = Lock(path)

    assert os.getpid() == json.loads(Path(path).read_text())["pid"]
    lock.release()


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="start times are read from /proc")
def test_where_locks_hold_nothing_a_living_owner_is_respected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on some network file systems: what the file says has to do."""
    path = str(tmp_path / "lock")
    monkeypatch.setattr(locks, "_lock", lambda file: True)
    process = holder(path)
    try:
        with pytest.raises(CheckpointError, match=f"Process {process.pid} is at work"):
            Lock(path)
    finally:
        end(process)

    Lock(path).release()


@pytest.mark.parametrize("change", [{"started": -1}, {"host": "elsewhere"}, {"pid": None}])
def test_a_number_that_another_process_has_now_says_nothing(change: dict[str, object], tmp_path: Path) -> None:
    """It began at another time, or is on another machine."""
    path = tmp_path / "lock"
    owner = {"pid": os.getpid(), "started": locks._start_of(os.getpid()), "host": socket.gethostname()}
    path.write_text(json.dumps({**owner, **change}))

    Lock(str(path)).release()


def test_a_torn_lock_file_holds_nothing(tmp_path: Path) -> None:
    """Its owner was killed before it had it."""
    path = tmp_path / "lock"
    path.write_text('{"pid": 12')

    Lock(str(path)).release()


FORKING = """
import os, sys
from llmkit.journal.lock import Lock
lock = Lock(sys.argv[1])
child = os.fork()
if child == 0:
    print(os.getpid(), flush=True)  # by the child: only then is what a fork begins with done
    sys.stdin.read()
    os._exit(0)
os.waitpid(child, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_does_not_hold_the_lock(tmp_path: Path) -> None:
    """Else a worker that outlives its killed parent would keep everybody out."""
    path = str(tmp_path / "lock")
    parent = subprocess.Popen([sys.executable, "-c", FORKING, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    os.kill(child, 0)  # it lives

    Lock(path).release()

    parent.communicate()

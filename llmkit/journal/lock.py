"""
A lock file: only one process, and one call in it, goes on with a checkpoint.

The lock is that of the operating system, which ends with its holder. What the file says (process, start time, host) is for people, and for
file systems whose locks hold nothing: there an owner that is seen to live is respected all the same.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import time
from typing import Any

from llmkit._fork import renewed_in_child
from llmkit.errors import CheckpointError

__all__ = ["Lock"]


class Lock:
    """
    The lock at *path*, held until ``release`` or the end of the process.

    Raises:
        CheckpointError: If another holds it; the message names its process.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = _held_file(path)
        owner = _owner(self._file)
        if _is_alive(owner):
            os.close(self._file)
            raise _refusal(path, owner)
        os.ftruncate(self._file, 0)
        os.lseek(self._file, 0, os.SEEK_SET)
        mine = {"pid": os.getpid(), "started": _start_of(os.getpid()), "host": socket.gethostname(), "at": time.time()}
        os.write(self._file, json.dumps(mine).encode())
        renewed_in_child(self)

    def release(self) -> None:
        """Give the lock back. Idempotent."""
        if self._file < 0:
            return
        with contextlib.suppress(OSError):  # another may have it open, on systems where that keeps a file
            os.unlink(self._path)  # while it is held: who opened it before sees that it is gone
        os.close(self._file)
        self._file = -1

    def renew(self) -> None:
        """A forked child does not hold it: else it would, in place of a parent that was killed."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1


def _held_file(path: str) -> int:
    """Return the file at *path*, open and locked."""
    while True:
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            msg = f"The checkpoint cannot be locked at {path}: {error.strerror}."
            raise CheckpointError(msg) from error
        if not _lock(file):
            owner = _owner(file)
            os.close(file)
            raise _refusal(path, owner)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.stat(path), os.fstat(file)):
                return file
        os.close(file)  # whoever had it was just done with it


if sys.platform == "win32":  # pragma: no cover

    def _lock(file: int) -> bool:
        import msvcrt

        os.lseek(file, 1 << 20, os.SEEK_SET)  # a byte beyond the text, which others may read
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(file, 0, os.SEEK_SET)
        return True

else:

    def _lock(file: int) -> bool:
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True  # a file system without locks: what the file says has to do
        return True


def _owner(file: int) -> dict[str, Any]:
    os.lseek(file, 0, os.SEEK_SET)
    try:
        told = json.loads(os.read(file, 4096) or b"{}")
    except (ValueError, OSError):
        return {}  # torn by a kill, before it was the owner's
    return told if isinstance(told, dict) else {}


def _is_alive(owner: dict[str, Any]) -> bool:
    """Whether *owner* is seen to live: the process has its number, and began when it did."""
    pid, started = owner.get("pid"), owner.get("started")
    return isinstance(pid, int) and started is not None and owner.get("host") == socket.gethostname() and _start_of(pid) == started


def _start_of(pid: int) -> int | None:
    """Return when process *pid* began, in ticks since the machine did; None where that cannot be told."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # Behind the name, which is in brackets and may hold anything, it is the 20th. Source: proc(5), field 22.
            return int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None


def _refusal(path: str, owner: dict[str, Any]) -> CheckpointError:
    who = f"process {owner['pid']}" if "pid" in owner else "another process"
    msg = f"{who[0].upper()}{who[1:]} is at work on this checkpoint: {path} is locked. Wait for it, or end it."
    return CheckpointError(msg, metadata={"owner": owner})

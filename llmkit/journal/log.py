"""
An append-only log: a line of JSON for each record, with a checksum of its own.

Rule 1: a record that was appended as durable is on the disk before ``append`` returns. Those who wait share one ``fsync``.
Rule 2: a last line that is torn, by a kill or a power cut, is cut off when the log is opened: nobody was told that it is there. A whole
        line that is damaged is an error that names it, wherever it is, since somebody may have been told.
Rule 3: when a write fails (a full disk), nothing is written any more, so that what is there stays valid.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from hashlib import sha256
from types import MappingProxyType
from typing import Any

from llmkit.errors import CheckpointError

__all__ = ["Log", "decoded", "encoded", "read_records"]

DIGITS = 16  # of the SHA-256: enough against chance, which is all that it is for
_OPENING = b',"sum":"'
_CLOSING = b'"}\n'
_TAIL = len(_OPENING) + DIGITS + len(_CLOSING)


def encoded(record: Mapping[str, Any], plain: Mapping[str, bytes] = MappingProxyType({})) -> bytes:
    """
    Return *record* as a line, whose last field is the checksum of what is before it. What JSON does not know is told by its ``repr``.

    *plain* has fields more, long texts that JSON would write as they are: to have it look at each of their characters takes longer than
    all the rest.
    """
    parts = [json.dumps(record, separators=(",", ":"), default=repr).encode("ascii")[:-1]]
    for name, text in plain.items():
        parts += [b',"%s":"' % name.encode("ascii"), text, b'"']
    return b"".join((*parts, _OPENING, _sum(*parts), _CLOSING))


def decoded(line: bytes) -> dict[str, Any] | None:
    """Return the record that *line* holds, without its checksum; None if it is not whole."""
    body = memoryview(line)[:-_TAIL]
    if line[-_TAIL:] != b"".join((_OPENING, _sum(body), _CLOSING)):
        return None
    record: dict[str, Any] = json.loads(str(body, "ascii") + "}")
    return record


def _sum(*parts: bytes | memoryview) -> bytes:
    digest = sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:DIGITS].encode("ascii")


def read_records(path: str | os.PathLike[str], first: bytes, of: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """
    Yield the records of the log at *path* with their offsets, and repair its end.

    Args:
        path: The log, which may be empty or not there.
        first: How a log's first line begins: nothing of another file is ever cut off.
        of: What it should be a checkpoint of, for the error.

    Raises:
        CheckpointError: If it is no log, or a line of it is damaged.
    """
    try:
        file = open(path, "rb")  # noqa: SIM115 - closed below
    except FileNotFoundError:
        return
    except OSError as error:
        msg = f"The checkpoint {os.fspath(path)} cannot be read: {error.strerror}."
        raise CheckpointError(msg) from error
    offset = number = 0
    with file:
        for line in file:
            number += 1
            if number == 1 and not line.startswith(first) and not first.startswith(line):
                msg = f"{os.fspath(path)} is no checkpoint of {of}, so it is left as it is."
                raise CheckpointError(msg)
            record = decoded(line)
            if record is None and line.endswith(b"\n"):
                msg = (
                    f"Line {number} of {os.fspath(path)} is damaged: its checksum does not fit. Take the file from a backup, or delete "
                    "that line: what it told is then done once more."
                )
                raise CheckpointError(msg, metadata={"line": number})
            if record is None:
                record = decoded(line + b"\n")
                _repair(path, offset, line if record is not None else b"")
                if record is not None:
                    yield offset, record
                return
            yield offset, record
            offset += len(line)


def _repair(path: str | os.PathLike[str], offset: int, line: bytes) -> None:
    """Let the log end at *offset*, or with *line* there, whose end of line was lost."""
    with open(path, "r+b") as file:
        file.truncate(offset)
        if line:
            file.seek(offset)
            file.write(line + b"\n")
        file.flush()
        os.fsync(file.fileno())


class Log:
    """
    The log at *path*, open for appending from any thread.

    Raises:
        CheckpointError: If it cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o600)
            self.size = os.fstat(self._file).st_size
            sync_directory(self._path)
        except OSError as error:
            msg = f"The checkpoint {self._path} cannot be written: {error.strerror}."
            raise CheckpointError(msg) from error
        self._moved = threading.Condition()
        self._written = 0  # records, since it was opened
        self._synced = 0
        self._is_syncing = False
        self._broken: OSError | None = None

    def append(self, record: Mapping[str, Any], plain: Mapping[str, bytes] = MappingProxyType({}), *, durable: bool = True) -> None:
        """
        Write *record*, and *plain* as ``encoded`` says; if *durable*, return only when it is on the disk.

        Raises:
            CheckpointError: If it cannot be written.
        """
        line = encoded(record, plain)
        with self._moved:
            self._check()
            self._write(line)
            mine = self._written
            while durable and self._synced < mine:
                if self._is_syncing:
                    self._moved.wait()
                    self._check()
                else:
                    self._sync()

    def close(self) -> None:
        """Close the file. Idempotent."""
        with self._moved:
            if self._file >= 0:
                os.close(self._file)
            self._file = -1

    # What follows needs the lock.

    def _check(self) -> None:
        if self._file < 0:
            msg = f"The checkpoint {self._path} was closed."
            raise CheckpointError(msg)
        if self._broken is not None:
            msg = f"The checkpoint {self._path} cannot be written: {self._broken.strerror}."
            raise CheckpointError(msg) from self._broken

    def _write(self, line: bytes) -> None:
        left = memoryview(line)
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except OSError as error:
            self._broken = error
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self.size)  # else the next to open it does so
            self._check()
        self.size += len(line)
        self._written += 1

    def _sync(self) -> None:
        """Have everything written so far on the disk. Others may write meanwhile, and wait for the next."""
        self._is_syncing = True
        upto = self._written
        self._moved.release()
        try:
            os.fsync(self._file)
        except OSError as error:
            # What of it is on the disk nobody can tell, and a second fsync would claim that all is.
            self._broken = error
        finally:
            self._moved.acquire()
            self._is_syncing = False
            self._moved.notify_all()
        self._check()
        self._synced = max(self._synced, upto)


def sync_directory(path: str) -> None:
    """Have the entry of the file *path* on the disk, where directories can be synced."""
    if os.name != "posix":
        return
    directory = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)

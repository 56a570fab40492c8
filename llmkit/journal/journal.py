"""
A checkpoint's files: a log of what is done, and beside it, while somebody is at work, a lock.

Rule 1: a log's first line says what kind of log it is, and in which form: another file is never touched.
Rule 2: it stays open and locked until whatever is under way has written its line, whoever closes it.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

from llmkit.errors import CheckpointError, ConfigurationError
from llmkit.journal.lock import Lock
from llmkit.journal.log import Log, decoded, read_records

__all__ = ["PATIENCE", "Journal", "Resume", "check_place"]

Resume = bool | Literal["anyway"]

PATIENCE = 60.0  # seconds for what is under way when its owner leaves: as long as a call's own ``timeout`` is by default


def check_place(checkpoint: object, resume: object) -> None:
    """Raise ``ConfigurationError`` if *checkpoint* is no path or None, or *resume* not what it must be."""
    if checkpoint is not None and not isinstance(checkpoint, (str, os.PathLike)):
        msg = f"checkpoint is the path of a file, not {type(checkpoint).__name__}."
        raise ConfigurationError(msg)
    if not isinstance(resume, bool) and resume != "anyway":
        shown = repr(resume) if isinstance(resume, (str, int, float)) else type(resume).__name__
        msg = f"resume is True, False or 'anyway', not {shown}."
        raise ConfigurationError(msg)


class Journal:
    """
    The log at *path*, read, repaired, locked and open; it is made where it is not there.

    Args:
        head: Its first line: ``kind``, ``version``, and whatever else it is to say.
        of: What it is a checkpoint of, in errors: "a batch".
        read: Is given each record that is there, with its offset, in order, the first line included.
        resume: If not, the log that is there is moved aside first.
        beside: The endings of files that belong to the log and are moved with it.

    Raises:
        CheckpointError: If it is at work already, is no such log, damaged or cannot be written; and whatever *read* raises.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        head: Mapping[str, Any],
        *,
        of: str,
        read: Callable[[int, dict[str, Any]], None],
        resume: bool = True,
        beside: Sequence[str] = (),
    ) -> None:
        self.path = os.path.abspath(path)
        self._using = 0
        self._is_closing = False
        self._moving = threading.Lock()
        with contextlib.ExitStack() as undo:
            undo.callback(Lock(self.path + ".lock").release)
            if not resume:
                _move_aside(self.path, beside)
            self._load(head, of, read)
            self._log = Log(self.path)
            undo.callback(self._log.close)
            self.is_new = self._log.size == 0
            if self.is_new:
                self.append(head)
            self._reader = undo.enter_context(open(self.path, "rb"))  # as long as this is
            self._opened = undo.pop_all()

    def _load(self, head: Mapping[str, Any], of: str, read: Callable[[int, dict[str, Any]], None]) -> None:
        first = f'{{"kind":"{head["kind"]}","version":'.encode("ascii")
        for offset, record in read_records(self.path, first, of):
            if record["kind"] == head["kind"] and record["version"] != head["version"]:
                msg = (
                    f"{self.path} was written by another version of llmkit, in form {record['version']}; "
                    f"this one reads form {head['version']}."
                )
                raise CheckpointError(msg)
            read(offset, record)

    def append(self, record: Mapping[str, Any], plain: Mapping[str, bytes] = MappingProxyType({}), *, durable: bool = True) -> None:
        """
        Write *record*, with the time, and *plain*, as ``Log.append``: it is on the disk when this returns, if *durable*.

        Raises:
            CheckpointError: If it cannot be written.
        """
        self._log.append({**record, "at": time.time()}, plain, durable=durable)

    def record(self, offset: int) -> dict[str, Any]:
        """Return the record at *offset*. For one thread."""
        self._reader.seek(offset)
        record = decoded(self._reader.readline())
        if record is None:
            msg = f"{self.path} was changed while somebody is at work on it."
            raise CheckpointError(msg)
        return record

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """In this block it stays open, whoever closes it."""
        with self._moving:
            self._using += 1
        try:
            yield
        finally:
            with self._moving:
                self._using -= 1
            self._close_when_due()

    def close(self) -> None:
        """Give everything back, as soon as nobody uses it any more. Idempotent."""
        self._is_closing = True
        self._close_when_due()

    def _close_when_due(self) -> None:
        with self._moving:
            if self._is_closing and self._using == 0:
                self._opened.close()


def _move_aside(path: str, beside: Sequence[str]) -> None:
    """Rename the log at *path*, and what is *beside* it, by the first number that is free."""
    if not os.path.exists(path):
        return
    number = 1
    while os.path.exists(f"{path}.{number}"):
        number += 1
    os.rename(path, f"{path}.{number}")
    for ending in beside:
        with contextlib.suppress(FileNotFoundError):
            os.rename(path + ending, f"{path}.{number}{ending}")

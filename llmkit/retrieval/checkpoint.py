"""
Which documents a load has stored, on the disk, so that the next run need not ask the store.

Rule 1: what was stored is on the disk before it is reported; what was under way when the process died is stored again, which does no harm.
Rule 2: each line has its checksum. A last line that is cut off, by a crash, is cut away; any other damage is an error that names the line.
Rule 3: a checkpoint belongs to one load: one collection and one way to embed. It knows nothing of what is deleted later.
"""

from __future__ import annotations

import json
import os
import threading
import zlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, BinaryIO

from llmkit.errors import ConfigurationError

if TYPE_CHECKING:
    from llmkit.retrieval.records import Document

__all__ = ["Checkpoint"]


class Checkpoint:
    """
    The checkpoint at *path*, which is made where it is not there; its owner's alone.

    Args:
        load: What the load is for. A checkpoint of another is refused.

    Raises:
        ConfigurationError: If it is another load's, damaged, at work in another process, or cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], load: dict[str, Any]) -> None:
        self.path = os.fspath(path)
        self._done: dict[str, str] = {}
        self._lock = threading.Lock()
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            msg = f"checkpoint {self.path} cannot be opened: {error.strerror}."
            raise ConfigurationError(msg) from None
        self._file: BinaryIO = os.fdopen(descriptor, "r+b", buffering=0)
        try:
            self._hold()
            self._read(load)
        except BaseException:
            self._file.close()
            raise

    def __len__(self) -> int:
        return len(self._done)

    def has(self, document: Document) -> bool:
        """Whether *document*, as it is, was stored."""
        return self._done.get(document.id) == document.digest

    def note(self, documents: Iterable[Document]) -> None:
        """Note that *documents* were stored: on the disk when this returns."""
        done = {document.id: document.digest for document in documents}
        with self._lock:
            self._write({"done": done})
            self._done.update(done)

    def close(self) -> None:
        """Give the file back. Idempotent."""
        self._file.close()

    def _hold(self) -> None:
        try:
            import fcntl
        except ImportError:  # Windows: two runs at once are then the user's own care
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            msg = f"checkpoint {self.path} is at work in another process, or another add()."
            raise ConfigurationError(msg) from None

    def _read(self, load: dict[str, Any]) -> None:
        data = self._file.read()
        whole, newline, torn = data.rpartition(b"\n")
        lines = whole.split(b"\n") if newline else []
        if not newline and not _encoded({"load": load}).startswith(torn):
            raise self._damage(1)
        for count, line in enumerate(lines, start=1):
            record = _decoded(line)
            if record is None or ("load" in record) != (count == 1):
                raise self._damage(count)
            if count == 1 and record["load"] != load:
                msg = f"checkpoint {self.path} is of another load, {record['load']}, not {load}. Name another file."
                raise ConfigurationError(msg)
            self._done.update(record.get("done", {}))
        if torn:
            self._file.truncate(len(whole) + len(newline))
        if not lines:
            self._write({"load": load})

    def _damage(self, line: int) -> ConfigurationError:
        return ConfigurationError(f"checkpoint {self.path} is damaged, or none, in line {line}. Delete it, and the store is asked again.")

    def _write(self, record: dict[str, Any]) -> None:
        try:
            self._file.write(_encoded(record))
            os.fsync(self._file.fileno())
        except OSError as error:
            msg = f"checkpoint {self.path} cannot be written: {error.strerror}."
            raise ConfigurationError(msg) from None


def _encoded(record: dict[str, Any]) -> bytes:
    said = json.dumps(record).encode()
    return b"%08x %s\n" % (zlib.crc32(said), said)


def _decoded(line: bytes) -> dict[str, Any] | None:
    checksum, _, said = line.partition(b" ")
    if checksum != b"%08x" % zlib.crc32(said):
        return None
    record: dict[str, Any] = json.loads(said)
    return record

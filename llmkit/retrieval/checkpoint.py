"""
Which documents a load has stored, on the disk, so that the next run need not ask the store.

Rule 1: what was stored is on the disk before it is reported; what was under way when the process died is stored again, which does no harm.
Rule 2: a checkpoint belongs to one load: one collection and one way to embed. It knows nothing of what is deleted later.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from llmkit.errors import CheckpointError
from llmkit.journal.journal import Journal

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from llmkit.retrieval.records import Document

__all__ = ["Checkpoint"]

VERSION = 1


class Checkpoint:
    """
    The checkpoint at *path*, which is made where it is not there; its owner's alone.

    Args:
        load: What the load is for. A checkpoint of another is refused.

    Raises:
        CheckpointError: If it is another load's, damaged, at work already, or cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], load: dict[str, Any]) -> None:
        self.path = os.fspath(path)
        self._load = load
        self._done: dict[str, str] = {}
        head = {"kind": "load", "version": VERSION, "load": load}
        self._journal = Journal(path, head, of="a load", read=self._take)

    def __len__(self) -> int:
        return len(self._done)

    def has(self, document: Document) -> bool:
        """Whether *document*, as it is, was stored."""
        return self._done.get(document.id) == document.digest

    def note(self, documents: Iterable[Document]) -> None:
        """Note that *documents* were stored: on the disk when this returns."""
        done = {document.id: document.digest for document in documents}
        self._journal.append({"kind": "stored", "done": done})
        self._done.update(done)

    def storing(self) -> AbstractContextManager[None]:
        """While something is stored, the file stays open, whoever closes it."""
        return self._journal.in_use()

    def close(self) -> None:
        """Give the file back, as soon as nothing is under way any more. Idempotent."""
        self._journal.close()

    def _take(self, offset: int, record: dict[str, Any]) -> None:
        if record["kind"] == "load" and record["load"] != self._load:
            msg = f"{self.path} is of another load, {record['load']}, not {self._load}. Name another file."
            raise CheckpointError(msg)
        self._done.update(record.get("done", {}))

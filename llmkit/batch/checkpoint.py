"""
What a batch has done, kept so that it can go on after a crash.

Rule 1: a finished item is on the disk before it is reported, is never lost and never asked again. One that was under way when the process
        was killed may be asked, and paid for, twice; in strict mode it is reported instead.
Rule 2: an item is known by its index and its fingerprint: the same prompt twice is two items, and a log of other prompts is refused.
Rule 3: an error that the same request would meet again is an item's result; any other is noted, and asked again.
Rule 4: no credential is in the files: neither keys nor headers are a part of what is logged.
"""

from __future__ import annotations

import json
import os
from array import array
from collections.abc import Sequence
from contextlib import AbstractContextManager
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal

from attrs import frozen

from llmkit.batch.items import BatchItem
from llmkit.batch.records import error_from_dict
from llmkit.errors import CheckpointError, ConfigurationError, LLMKitError
from llmkit.journal.journal import Journal, Resume
from llmkit.journal.log import sync_directory
from llmkit.models.response import CompletionResponse

if TYPE_CHECKING:
    from llmkit.batch.questions import Question, Reader

__all__ = ["Checkpoint", "is_permanent"]

VERSION = 1
MANIFEST = ".manifest"  # behind the path of its log

# What is wrong with the request itself: it would be refused again.
PERMANENT = frozenset({"bad_request", "context_length", "content_filter", "request_too_large", "response_too_large"})

STARTED, FINISHED, FAILED = 1, 2, 3
_CODES = 4


def is_permanent(error: LLMKitError) -> bool:
    """Whether the same request would meet *error* again."""
    return error.kind in PERMANENT


@frozen
class Manifest:
    """What is known of a whole input: how many items it has, and a hash over their ids. None where it was never read to its end."""

    total: int | None = None
    input: str | None = None


class Checkpoint:
    """
    The checkpoint at *path*: a log, and beside it a manifest and, while a batch is at work, a lock.

    Args:
        path: The log; it is made where it is not there.
        resume: Whether to go on with a log that is there; if not, it is moved aside and a new one begun. ``"anyway"`` goes on also
            with one of other input, and takes from it what is the same.
        retry_failed: Whether to ask permanent failures again.
        strict: Whether to report what was under way when an earlier run ended, in place of asking it again.

    Raises:
        CheckpointError: If it is at work already, is no checkpoint, damaged or cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], *, resume: Resume = True, retry_failed: bool = False, strict: bool = False) -> None:
        self._anyway = resume == "anyway"
        self._retry_failed = retry_failed
        self._strict = strict
        self._states = array("q")  # by index: the offset of the item's record and what it says; 0 where there is nothing
        self._submitted: dict[str, dict[str, Any]] = {}
        self._there: dict[int, set[str]] = {}  # by index: the ids of items that are in a batch at a provider
        self._journal = Journal(
            path, {"kind": "run", "version": VERSION}, of="a batch", read=self._take, resume=bool(resume), beside=[MANIFEST]
        )
        self.path = self._journal.path
        try:
            self._manifest = self._read_manifest()
            self._forget_what_was_read()
        except BaseException:
            self._journal.close()
            raise

    # -- what an earlier run has done

    def check_input(self, prompts: Sequence[Any], reader: Reader) -> None:
        """
        Note what the whole input is, before anything is sent.

        Raises:
            CheckpointError: If it is not the one that the log was made from.
        """
        digest = sha256()
        for index, prompt in enumerate(prompts):
            digest.update(identity(reader, index, prompt))
        known = Manifest(len(prompts), digest.hexdigest())
        if self._manifest.input is not None and self._manifest != known and not self._anyway:
            raise self._refusal(
                f"It has {self._manifest.total} items, this has {known.total}" if self._manifest.total != known.total else ""
            )
        if len(self._states) > len(prompts) and not self._anyway:
            raise self._refusal(f"It has at least {len(self._states)} items, this has {len(prompts)}")
        self._note(known)

    def check_index(self, index: int) -> None:
        """Raise ``CheckpointError`` if the input, an iterator, turns out to be longer than the one that the log was made from."""
        if self._manifest.total is not None and index >= self._manifest.total and not self._anyway:
            raise self._refusal(f"It has {self._manifest.total} items, this has more")

    def end_input(self, total: int) -> None:
        """Note that the input, an iterator, had *total* items. Raises ``CheckpointError`` if the log's had more."""
        if max(len(self._states), self._manifest.total or 0) > total and not self._anyway:
            raise self._refusal(f"It has at least {max(len(self._states), self._manifest.total or 0)} items, this has {total}")
        self._note(Manifest(total, self._manifest.input))

    def find(self, question: Question) -> BatchItem | None:
        """
        Return what became of *question* in an earlier run; None if it is to be asked.

        Raises:
            CheckpointError: If the log has another request at its index.
        """
        index = question.index
        state = self._states[index] if index < len(self._states) else 0
        if not state:
            return None
        offset, code = divmod(state, _CODES)
        record = self._journal.record(offset)
        if record["id"] != question.id:
            if self._anyway:
                return None
            raise self._refusal(f"Its item {index} is another")
        if code == STARTED:
            return self._in_doubt(index) if self._strict else None
        if code == FAILED:
            if self._retry_failed:
                return None
            error = error_from_dict(record["error"])
            return BatchItem(index, None, error, error.attempts, restored=True)
        response = _response(record["response"], question)
        return BatchItem(index, response, None, response.attempts, restored=True)

    def _in_doubt(self, index: int) -> BatchItem:
        msg = "This item was under way when an earlier run ended: it may have been answered, and paid for. It was not asked again."
        return BatchItem(index, None, CheckpointError(msg, retryable=True, maybe_billed=True), restored=True)

    # -- what this run does

    def asking(self) -> AbstractContextManager[None]:
        """While something is asked, the log stays open, whoever closes it."""
        return self._journal.in_use()

    def begin(self, question: Question) -> None:
        """Note that *question* is under way: in strict mode, on the disk before it is asked."""
        self._journal.append({"kind": "started", "id": question.id}, durable=self._strict)

    def end(self, question: Question, item: BatchItem, *, durable: bool = True) -> None:
        """Note what became of *question*: on the disk when this returns, if *durable*."""
        record: dict[str, Any] = {"kind": "finished", "id": question.id}
        if item.error is not None:
            record.update(kind="failed", permanent=is_permanent(item.error), error=item.error.to_dict())
        elif item.response is not None:
            record.update(response=item.response.to_dict())
        self._journal.append(record, durable=durable)

    # -- batches at the provider

    def submitted(self) -> dict[str, dict[str, Any]]:
        """Return the batches that were given to a provider and not yet read to their end, by their ids."""
        return dict(self._submitted)

    def check_nothing_given(self) -> None:
        """Raise ``CheckpointError`` if a provider has batches whose items would be asked, and paid for, again."""
        if any("name" in record for record in self._submitted.values()):
            msg = f"{self.path} knows of batches at the provider that were not read yet: go on with mode='provider'."
            raise CheckpointError(msg)

    def check_given(self, question: Question) -> None:
        """Raise ``CheckpointError`` if a provider has another item than *question* at its index, whose answer would never be read."""
        there = self._there.get(question.index)
        if there and question.id not in there and not self._anyway:
            raise self._refusal(f"Its item {question.index} is another")

    def note_batch(self, kind: Literal["submitting", "submitted", "collected"], id: str, **facts: Any) -> None:
        """Note, on the disk when this returns, how far the batch *id* at the provider is."""
        self._journal.append({"kind": kind, "batch": id, **facts})

    # -- the end

    def close(self) -> None:
        """Give everything back, as soon as nothing is under way any more. Idempotent."""
        self._journal.close()

    # -- files

    def _take(self, offset: int, record: dict[str, Any]) -> None:
        """Take note of a record that was there."""
        kind = record["kind"]
        if kind in _CODE_OF:
            code = FAILED if record.get("permanent") else _CODE_OF[kind]
            self._set(_index_of(record["id"]), offset * _CODES + code if code else 0)
        elif kind in ("submitting", "submitted"):
            self._submitted[record["batch"]] = {**self._submitted.get(record["batch"], {}), **record}
        elif kind == "collected":
            self._submitted.pop(record["batch"], None)

    def _forget_what_was_read(self) -> None:
        """Let go of the batches whose items are all known: a run ended before it could note so."""
        for tag, record in list(self._submitted.items()):
            if all(map(self._is_known, record["items"])):
                del self._submitted[tag]
            elif "name" in record:
                for id in record["items"]:
                    self._there.setdefault(_index_of(id), set()).add(id)

    def _is_known(self, id: str) -> bool:
        index = _index_of(id)
        offset, code = divmod(self._states[index] if index < len(self._states) else 0, _CODES)
        return code in (FINISHED, FAILED) and bool(self._journal.record(offset)["id"] == id)

    def _set(self, index: int, state: int) -> None:
        if index >= len(self._states):
            self._states.frombytes(bytes(self._states.itemsize * (index + 1 - len(self._states))))
        self._states[index] = state

    def _refusal(self, why: str) -> CheckpointError:
        told = f" {why}." if why else ""
        msg = (
            f"{self.path} was made from other input.{told} Name another file, or pass resume='anyway' to keep what is the same, "
            "or resume=False to move it aside and begin anew."
        )
        return CheckpointError(msg)

    def _read_manifest(self) -> Manifest:
        if self._journal.is_new:
            return Manifest()  # one that is there is of a log that is not
        try:
            with open(self.path + MANIFEST, "rb") as file:
                told = json.load(file)
            return Manifest(told["total"], told["input"])
        except FileNotFoundError:
            return Manifest()
        except (OSError, ValueError, KeyError, TypeError):
            msg = f"{self.path}{MANIFEST} is damaged. It may be deleted: the log is checked item by item all the same."
            raise CheckpointError(msg) from None

    def _note(self, manifest: Manifest) -> None:
        """Replace the manifest, at once or not at all."""
        if manifest == self._manifest:
            return
        path = self.path + MANIFEST
        data = {"version": VERSION, "total": manifest.total, "input": manifest.input}
        try:
            with open(path + ".new", "w", encoding="ascii") as file:
                json.dump(data, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(path + ".new", path)
            sync_directory(path)
        except OSError as error:
            msg = f"The checkpoint's manifest {path} cannot be written: {error.strerror}."
            raise CheckpointError(msg) from error
        self._manifest = manifest


_CODE_OF = {"started": STARTED, "finished": FINISHED, "failed": 0}  # a failure that is not permanent leaves nothing


def _index_of(id: str) -> int:
    return int(id.partition("-")[0])


def identity(reader: Reader, index: int, prompt: Any) -> bytes:
    """Return what the item says of itself in the hash of the whole input; one that cannot be asked says only that."""
    try:
        return reader.read(index, prompt).id.encode() + b"\n"
    except ConfigurationError:
        return f"{index}-\n".encode()


def _response(data: dict[str, Any], question: Question) -> CompletionResponse:
    """Return the response that was logged; what was asked for as a type is one again."""
    from attrs import evolve

    response = CompletionResponse.from_dict(data)
    shape = question.arguments.get("response_format")
    if shape is None or response.tool_calls:
        return response
    from llmkit.structured import as_response_format, parse

    form = as_response_format(shape)
    return response if form is None else evolve(response, parsed=parse(form, response.text))

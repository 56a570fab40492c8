"""
What an embed has done, kept so that it can go on after a crash.

Rule 1: the vectors of a request are on the disk before its texts count as done, are never lost and never asked for again. A request that
        was under way when the process was killed may be made, and paid for, twice.
Rule 2: a text is known by itself, by how it is embedded, and by which of its equals it is: neither by its request nor by its place, so
        that what is there counts however the rest is cut, and however texts are put before it.
Rule 3: usage, cost and ledger are those of a whole request, and count where one of its vectors does.
Rule 4: neither texts nor credentials are in the file: vectors, and digests.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from array import array
from collections.abc import Callable, Sequence
from decimal import Decimal
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from attrs import asdict

from llmkit.errors import CheckpointError, ConfigurationError
from llmkit.journal.journal import Journal, Resume
from llmkit.models.embedding import EmbeddingResponse, Vectors
from llmkit.models.ledger import Attempt
from llmkit.models.usage import Usage

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from llmkit.models.embedding import EmbeddingRequest

__all__ = ["Checkpoint", "identities"]

VERSION = 1
DIGEST = 16  # bytes of the SHA-256 that name a text: enough against chance among any number of them


class Checkpoint:
    """
    The checkpoint at *path* for the texts of *request*; it is made where it is not there.

    Args:
        to: The provider and model that are asked.
        resume: Whether to go on with what is there; if not, it is moved aside and a new one begun. ``"anyway"`` goes on also with one of
            other texts or parameters, and takes from it what is the same.
        restore: Is given what each request has brought that an earlier run made, and for each of its vectors the place of the text to
            which it belongs now, or None.

    Raises:
        CheckpointError: If it was made from other texts or in another way, is at work already, is no checkpoint of an embed, damaged or
            cannot be written.
        ConfigurationError: If the parameters cannot be written as JSON.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        request: EmbeddingRequest,
        to: str,
        *,
        resume: Resume,
        restore: Callable[[EmbeddingResponse, Sequence[int | None]], None],
    ) -> None:
        how = manner(request, to)
        self._ids = identities(request.inputs, how)
        self._places = {id: place for place, id in enumerate(self._ids)}
        self._restore = restore
        self._source: dict[str, Any] = {}  # what was embedded up to now
        self._holds_some = False
        source = {"to": to, "how": how.hex(), "total": len(self._ids), "input": sha256(b"".join(self._ids)).hexdigest()}
        head = {"kind": "embed", "version": VERSION, **source}
        self._journal = Journal(path, head, of="an embed", read=self._take, resume=bool(resume))
        try:
            if not self._journal.is_new:
                self._change(source, resume)
        except BaseException:
            self._journal.close()
            raise

    def _change(self, source: dict[str, Any], resume: Resume) -> None:
        if self._source == source:
            return
        # One in which nothing is done yet may become another's.
        if self._holds_some and resume != "anyway":
            raise self._refusal(source)
        self._journal.append({"kind": "input", **source})

    def asking(self) -> AbstractContextManager[None]:
        """While something is asked, the log stays open, whoever closes it."""
        return self._journal.in_use()

    def end(self, places: Sequence[int], answer: EmbeddingResponse) -> None:
        """Note *answer*, the vectors of the texts at *places*: on the disk when this returns."""
        numbers = answer.vectors.numbers
        record = {
            "kind": "finished",
            "code": numbers.typecode,
            "dimensions": answer.vectors.dimensions,
            "usage": asdict(answer.usage),
            "cost": None if answer.cost is None else str(answer.cost),
            "model": answer.model,
            "provider": answer.provider,
            "attempts": [attempt.to_dict() for attempt in answer.attempts],
        }
        ids = b"".join([self._ids[place] for place in places])
        self._journal.append(record, {"ids": base64.b64encode(ids), "vectors": base64.b64encode(_ordered(numbers))})

    def close(self) -> None:
        """Give everything back, as soon as nothing is under way any more. Idempotent."""
        self._journal.close()

    def _take(self, offset: int, record: dict[str, Any]) -> None:
        if record["kind"] in ("embed", "input"):
            self._source = {name: record[name] for name in ("to", "how", "total", "input")}
            return
        self._holds_some = True
        ids = base64.b64decode(record["ids"])
        # Each place is taken once: a text that two requests brought, as one was under way at a kill, is the first one's.
        places = [self._places.pop(ids[start : start + DIGEST], None) for start in range(0, len(ids), DIGEST)]
        if places.count(None) == len(places):
            return
        numbers: array[float] = array(record["code"])
        numbers.frombytes(base64.b64decode(record["vectors"]))
        answer = EmbeddingResponse(
            vectors=Vectors(_ordered(numbers), record["dimensions"]),
            usage=Usage(**record["usage"]),
            cost=None if record["cost"] is None else Decimal(record["cost"]),
            model=record["model"],
            provider=record["provider"],
            attempts=tuple(Attempt(**attempt) for attempt in record["attempts"]),
        )
        self._restore(answer, places)

    def _refusal(self, source: dict[str, Any]) -> CheckpointError:
        was = self._source
        told = ""
        if was["to"] != source["to"]:
            told = f" It has vectors of {was['to']}, this asks {source['to']}."
        elif was["how"] != source["how"]:
            told = " Its parameters are others."
        elif was["total"] != source["total"]:
            told = f" It has {was['total']} texts, this has {source['total']}."
        msg = (
            f"{self._journal.path} was made from other input.{told} Name another file, or pass resume='anyway' to keep what is the same, "
            "or resume=False to move it aside and begin anew."
        )
        return CheckpointError(msg)


def manner(request: EmbeddingRequest, to: str) -> bytes:
    """Return a digest of how the texts of *request* are embedded. Raises ``ConfigurationError`` if JSON does not know something in it."""
    said = {
        "to": to,
        "dimensions": request.dimensions,
        "input_type": request.input_type,
        "user": request.user,
        "extra_body": request.extra_body,
        "extra_headers": None if request.extra_headers is None else dict(request.extra_headers),
    }
    try:
        return sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode("ascii")).digest()
    except (TypeError, ValueError) as error:
        msg = f"A checkpoint needs requests that can be written as JSON: {error}."
        raise ConfigurationError(msg) from None


def identities(inputs: Sequence[str], how: bytes) -> list[bytes]:
    """Return what names each of *inputs*, embedded in the manner *how*; the same text twice has two names."""
    start = sha256(how)
    met: dict[str, int] = {}
    names = []
    for text in inputs:
        before = met.get(text, 0)
        met[text] = before + 1
        digest = start.copy()
        digest.update(b"%d:" % before)
        digest.update(text.encode("utf-8", "surrogatepass"))
        names.append(digest.digest()[:DIGEST])
    return names


def _ordered(numbers: array[float]) -> array[float]:
    """Return *numbers* as they are in the file, or from there in memory: the least byte first."""
    if sys.byteorder == "big":  # pragma: no cover
        numbers = numbers[:]
        numbers.byteswap()
    return numbers

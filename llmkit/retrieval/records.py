"""
Documents, as they are given, as a store keeps them, and as they are found again.

Rule 1: whatever is wrong with a document is refused before anything is sent, by its place and name.
Rule 2: a document without an id is known by its content: text and metadata. Adding it again is adding nothing.
Rule 3: what is kept carries a digest of all that it was made from, its model too; where that is the same, there is nothing to do.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from attrs import field, frozen

from llmkit.errors import ConfigurationError
from llmkit.models.usage import Usage

__all__ = ["Added", "Document", "Hit", "Record", "as_documents", "as_ids"]


@frozen(kw_only=True)
class Hit:
    """A document that was found. ``score`` is how near it is: the cosine of the angle, 1.0 for the same direction."""

    id: str
    text: str
    score: float
    metadata: dict[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class Added:
    """
    What came of an ``add``.

    ``ids`` are those of all documents, in their order; ``added`` counts those that were embedded and stored, ``skipped`` those that were
    there already, or stood in the list twice. ``usage`` and ``cost`` (US dollars, None where a price is unknown) are of the embedding.
    """

    ids: tuple[str, ...]
    added: int
    skipped: int
    usage: Usage
    cost: Decimal | None


@frozen(kw_only=True)
class Document:
    """One to be added; ``metadata`` is its canonical JSON."""

    id: str
    text: str
    metadata: str
    digest: str


@frozen(kw_only=True)
class Record:
    """What a store keeps of a document: all of it, with its vector. ``digest`` says what it was made from; a store only returns it."""

    id: str
    text: str
    metadata: dict[str, Any]
    digest: str
    vector: Sequence[float] = field(repr=False)

    @classmethod
    def of(cls, document: Document, vector: Sequence[float]) -> Record:
        return cls(id=document.id, text=document.text, metadata=json.loads(document.metadata), digest=document.digest, vector=vector)


def as_documents(texts: Any, ids: Any, metadata: Any, *, made_by: str) -> list[Document]:
    """
    Return the documents that are given: *texts*, and for each of them an id and a dict, or one dict for all.

    Args:
        made_by: What else decides how they are embedded, such as the model's name.

    Raises:
        ConfigurationError: If there is something wrong with one; it tells with which, and what.
    """
    kept = _listed("documents", texts)
    for index, text in enumerate(kept):
        _check_text(f"documents[{index}]", text)
    facts = _metadata(metadata, len(kept))
    names = [None] * len(kept) if ids is None else as_ids(ids)
    _same_length("ids", names, kept)
    made = [_document(text, facts[index], names[index], made_by) for index, text in enumerate(kept)]
    _refuse_contradictions(made)
    return made


def as_ids(given: Any) -> list[str]:
    """Return *given* as a list of ids. Raises ``ConfigurationError`` if one is no string, or empty."""
    ids = _listed("ids", given)
    for index, one in enumerate(ids):
        _check_text(f"ids[{index}]", one)
    return ids


def _listed(name: str, given: Any) -> list[Any]:
    if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
        msg = f"{name} is a list of strings, not {type(given).__name__}."
        raise ConfigurationError(msg)
    return list(given)


def _check_text(where: str, text: object) -> None:
    if not isinstance(text, str):
        msg = f"{where} is a string, not {type(text).__name__}."
        raise ConfigurationError(msg)
    if not text.strip():
        msg = f"{where} is empty."
        raise ConfigurationError(msg)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        msg = f"{where} has half of a surrogate pair in it, at {error.start}, which no encoding can say."
        raise ConfigurationError(msg) from None


def _same_length(name: str, given: Sequence[Any], texts: Sequence[Any]) -> None:
    if len(given) != len(texts):
        msg = f"{name} has {len(given)} entries for {len(texts)} documents."
        raise ConfigurationError(msg)


def _metadata(given: Any, count: int) -> list[str]:
    if given is None:
        return ["{}"] * count
    if isinstance(given, Mapping):
        return [_canonical(given, "metadata")] * count
    entries = _listed("metadata", given)
    _same_length("metadata", entries, range(count))
    return ["{}" if entry is None else _canonical(entry, f"metadata[{index}]") for index, entry in enumerate(entries)]


def _canonical(entry: Any, where: str) -> str:
    if not isinstance(entry, Mapping):
        msg = f"{where} is a dict, not {type(entry).__name__}."
        raise ConfigurationError(msg)
    for key in entry:
        if not isinstance(key, str):
            msg = f"{where} has the key {key!r}: keys are strings."
            raise ConfigurationError(msg)
    try:
        said = json.dumps(dict(entry), allow_nan=False, sort_keys=True, ensure_ascii=False)
        said.encode()
    except (TypeError, ValueError, RecursionError) as error:
        msg = f"{where} cannot be said in JSON: {error}."
        raise ConfigurationError(msg) from None
    return said


def _document(text: str, metadata: str, name: str | None, made_by: str) -> Document:
    content = hashlib.sha256(json.dumps([text, metadata]).encode())
    digest = hashlib.sha256(f"{made_by}\n{content.hexdigest()}".encode()).hexdigest()[:32]
    return Document(id=name or content.hexdigest()[:32], text=text, metadata=metadata, digest=digest)


def _refuse_contradictions(documents: Iterable[Document]) -> None:
    """They are stored in no order, so that nobody could say which of two would be kept."""
    first: dict[str, tuple[int, str]] = {}
    for index, document in enumerate(documents):
        place, digest = first.setdefault(document.id, (index, document.digest))
        if digest != document.digest:
            msg = f"ids[{index}] is the same as ids[{place}], {document.id!r}, but their documents differ."
            raise ConfigurationError(msg)

"""
Pictures, documents and sounds in the blocks of Converse.

Rule 1: they come as data or from S3; nothing is fetched.
Rule 2: no two documents of a request have one name, and a name has only the characters that are taken there.

Source: AWS, "Amazon Bedrock API reference", ``ImageBlock``, ``DocumentBlock`` and ``AudioBlock``, by botocore 1.44.5; which names are
taken, by the experiments in vercel/ai#20365 and aws-samples/generative-ai-use-cases#1671; read 2026-11-21.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NoReturn

from llmkit.errors import ConfigurationError
from llmkit.models.content import Audio, Document, Image, Media

__all__ = ["DocumentNames", "write_media"]

IMAGES: Mapping[str, str] = {"image/png": "png", "image/jpeg": "jpeg", "image/jpg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
DOCUMENTS: Mapping[str, str] = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}
SOUNDS: Mapping[str, str] = {
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/vnd.wave": "wav",
    "audio/opus": "opus",
    "audio/aac": "aac",
    "audio/x-aac": "x-aac",
    "audio/flac": "flac",
    "audio/x-flac": "flac",
    "audio/mp4": "mp4",
    "audio/m4a": "m4a",
    "audio/x-m4a": "m4a",
    "audio/ogg": "ogg",
    "audio/webm": "webm",
    "audio/pcm": "pcm",
    "audio/l16": "pcm",
    "audio/x-matroska": "mka",
}
_ENDINGS: Mapping[str, str] = {"jpg": "jpeg", "htm": "html", "text": "txt", "markdown": "md"}

LONGEST_NAME = 200  # characters
_UNFIT = re.compile(r"[^a-zA-Z0-9\-()\[\]]+")


class DocumentNames:
    """Names for the documents of one request, each used once: the same documents in the same order always get the same."""

    __slots__ = ("_used",)

    def __init__(self) -> None:
        self._used: set[str] = set()

    def new(self, name: str | None) -> str:
        """Return a name for a document whose file is called *name*."""
        stem = re.sub(r"\.[A-Za-z0-9]{1,8}$", "", name or "")
        fit = _UNFIT.sub(" ", stem).strip()[:LONGEST_NAME].rstrip() or "document"
        found, number = fit, 2
        while found in self._used:
            ending = f" {number}"
            found, number = fit[: LONGEST_NAME - len(ending)].rstrip() + ending, number + 1
        self._used.add(found)
        return found


def write_media(part: Image | Document | Audio, names: DocumentNames, *, owner: str) -> dict[str, Any]:
    """Return *part* as a block. Raises ``ConfigurationError`` if it has no place there."""
    if isinstance(part, Image):
        return {"image": {"format": _format_of(part, IMAGES, "pictures", owner), "source": _source(part, owner)}}
    if isinstance(part, Audio):
        return {"audio": {"format": _format_of(part, SOUNDS, "sounds", owner), "source": _source(part, owner)}}
    wire = {"format": _format_of(part, DOCUMENTS, "documents", owner), "name": names.new(part.name or _file_name(part.url))}
    return {"document": {**wire, "source": _source(part, owner)}}


def _format_of(part: Media, formats: Mapping[str, str], what: str, owner: str) -> str:
    media_type = part.media_type or ""
    if not media_type and part.url is not None:
        if part.url.startswith("data:"):
            media_type = part.url[len("data:") :].partition(",")[0]
        else:
            ending = part.url.rpartition(".")[2].lower()
            ending = _ENDINGS.get(ending, ending)
            if ending in formats.values():
                return ending
    media_type = media_type.partition(";")[0].strip().lower()
    found = formats.get(media_type)
    if found is None and what == "documents" and media_type.startswith("text/"):
        return "txt"
    if found is None:
        known = ", ".join(sorted(set(formats.values())))
        _refuse(owner, f"takes {what} as {known}, not as {media_type or 'what has no media_type'}")
    return found


def _source(part: Media, owner: str) -> dict[str, Any]:
    url = part.url
    if url is None:
        return {"bytes": part.base64()}
    if url.startswith("s3://"):
        return {"s3Location": {"uri": url}}
    if not url.startswith("data:"):
        what = "pictures, documents and sounds as data or from S3, not by URL: use from_path(), data= and media_type=, or s3://"
        _refuse(owner, f"takes {what}")
    _, mark, data = url.partition(";base64,")
    if not mark:
        _refuse(owner, "takes data: URLs in base64 only")
    return {"bytes": data}


def _file_name(url: str | None) -> str | None:
    return url.rpartition("/")[2] if url is not None and url.startswith("s3://") else None


def _refuse(owner: str, what: str) -> NoReturn:
    msg = f"{owner} {what}."
    raise ConfigurationError(msg)

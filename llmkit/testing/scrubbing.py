"""What must not be kept of a request and its answer, and texts without it."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from llmkit.secrets import MASK, masked
from llmkit.transport.base import HttpRequest

__all__ = ["clean", "is_kept", "kept_headers", "masked_url", "secrets_in", "without_telling"]

_KEPT = frozenset({"content-type", "accept", "anthropic-version", "anthropic-beta"})  # of a request's headers
# Of an answer's headers: what says how it travelled, whose account it is, and what nobody should keep.
_DROPPED = re.compile(
    r"content-length|content-encoding|transfer-encoding|connection|set-cookie|.*(?:organization|project|account|cookie).*"
)
_TELLING = re.compile(
    r"key|token|sig|signature|secret|password|credential|auth|api[-_]?key|.*(?:[-_]key|apikey|api[-_]token|access[-_]?token|[-_]secret|"
    r"password|credential|signature|authorization|security[-_]token)",
    re.IGNORECASE,
)
# In a body these words have other meanings too: tokens have texts, and a schema may call a property anything.
_TELLING_IN_BODY = re.compile(
    r"api[-_]?key|(?:access|refresh|bearer|id|session)[-_]?token|(?:client[-_]?)?secret|password|private[-_]?key|authorization",
    re.IGNORECASE,
)
_LONG_ENOUGH = 16  # characters; a shorter word behind a header's unknown name may well be one that is also said in a body


def secrets_in(request: HttpRequest, more: Collection[str] = ()) -> frozenset[str]:
    """Return what must not be kept of *request*, wherever it turns up: what its headers and its address show, and *more*."""
    found = set(more)
    for name, value in request.headers.items():
        words = value.split()
        if not words or name.lower() in _KEPT:
            continue
        if _TELLING.fullmatch(name) or (len(words[-1]) >= _LONG_ENOUGH and name.lower() not in ("user-agent", "accept-encoding")):
            found.add(words[-1])
    for name, value in parse_qsl(urlsplit(request.url).query):
        if _TELLING.fullmatch(name):
            found.add(value)
    return frozenset(found)


def kept_headers(request: HttpRequest) -> dict[str, str]:
    """Return the headers of *request* that are kept."""
    return dict(sorted((name.lower(), value) for name, value in request.headers.items() if name.lower() in _KEPT))


def is_kept(name: str) -> bool:
    """Whether the header *name* of an answer is kept."""
    return _DROPPED.fullmatch(name.lower()) is None


def masked_url(url: str, secrets: Collection[str]) -> str:
    """Return *url* with its parameters in order, and masks for those whose names tell of a secret."""
    parts = urlsplit(url)
    query = sorted((name, MASK if _TELLING.fullmatch(name) else value) for name, value in parse_qsl(parts.query, keep_blank_values=True))
    return masked(urlunsplit(parts._replace(query=urlencode(query, safe="*:/,"))), secrets)


def clean(data: bytes, secrets: Collection[str]) -> bytes:
    """Return *data* with a mask for each of *secrets*."""
    text = data.decode("utf-8", "surrogateescape")
    return masked(text, secrets).encode("utf-8", "surrogateescape")


def without_telling(value: Any) -> Any:
    """Return *value*, of a body, with a mask in place of each text under a name that tells of a secret."""
    if isinstance(value, list):
        return [without_telling(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: MASK if isinstance(item, str) and _TELLING_IN_BODY.fullmatch(name) else without_telling(item) for name, item in value.items()
    }

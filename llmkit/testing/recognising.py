"""Whom a request is for, told from its address, and which key it carries."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from functools import lru_cache
from urllib.parse import unquote, urlsplit

from llmkit.providers import ROWS
from llmkit.testing import wires
from llmkit.testing.aws import access_key_of
from llmkit.testing.replies import RecordedRequest
from llmkit.testing.wires.base import Wire
from llmkit.transport.base import HttpRequest

__all__ = ["key_in", "recognised", "wire_of"]

_KEY_HEADERS = ("x-api-key", "api-key", "x-goog-api-key", "x-litellm-api-key", "x-portkey-api-key")
_OPTION = re.compile(r"\\\{\w+\\\}")
_ANYONE = "custom"


def key_in(headers: Mapping[str, str]) -> str | None:
    """Return the credential that *headers* carry, wherever the provider wants it."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    if scheme.startswith("AWS4-"):
        return access_key_of(headers["authorization"])
    return next((headers[name] for name in _KEY_HEADERS if name in headers), None)


def recognised(request: HttpRequest, number: int) -> RecordedRequest:
    """Return *request*, the *number*-th, as a fake server would have recorded it."""
    parts = urlsplit(request.url)
    headers = {name.lower(): value for name, value in request.headers.items()}
    provider, endpoint = _addressee(f"{parts.scheme}://{parts.netloc}", request.method, parts.path)
    return RecordedRequest(
        method=request.method,
        path=parts.path,
        provider=provider,
        endpoint=endpoint,
        query_string=parts.query,
        headers=headers,
        body=request.body,
        key=key_in(headers),
        connection=number,
        at=time.monotonic(),
    )


def wire_of(request: RecordedRequest) -> Wire:
    """Return the wire in which *request* is answered."""
    return wires.find(request.provider, request.method, request.endpoint).wire


@lru_cache(maxsize=256)
def _addressee(origin: str, method: str, path: str) -> tuple[str, str]:
    """Return whose API is asked, and the path within it: by the address where it is a known one, else by what is asked for there."""
    for pattern, name in _addresses():
        if pattern.match(origin + path) and any(_takes(wire, method, path) for wire in wires.WIRES if wire.speaks_for(name)):
            return name, path
    # Most servers of one's own speak the wire that everyone may speak.
    for endpoint in _suffixes(path):
        for wire in sorted(wires.WIRES, key=lambda wire: wire.providers is not None):
            if _takes(wire, method, endpoint):
                return min(wire.providers, default=_ANYONE) if wire.providers else _ANYONE, endpoint
    return _ANYONE, path


def _takes(wire: Wire, method: str, endpoint: str) -> bool:
    return any(route.method == method and route.path.fullmatch(endpoint) for route in wire.routes)


def _suffixes(path: str) -> Iterator[str]:
    """Yield *path*, and what is left of it without its first segments: a gateway may put its own before a provider's."""
    while path:
        yield path
        slash = path.find("/", 1)
        path = path[slash:] if slash > 0 else ""


@lru_cache(maxsize=1)
def _addresses() -> tuple[tuple[re.Pattern[str], str], ...]:
    rows = [(row.base_url.rstrip("/"), row.name) for row in ROWS if row.base_url is not None]
    # The longest first: two providers may be at one host.
    rows.sort(key=lambda row: -len(row[0]))
    return tuple((re.compile(_OPTION.sub("[^/]+", re.escape(unquote(url)))), name) for url, name in rows)

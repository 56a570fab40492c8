"""The words in which a provider's wire format is described to the fake server."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from attrs import field, frozen

from llmkit.testing.replies import Event, RecordedRequest, Reply
from llmkit.testing.wires.words import OPENAI, Words

__all__ = ["Rendered", "Route", "Wire", "json_bytes", "sse"]


@frozen(kw_only=True)
class Rendered:
    """An answer in the bytes of a wire format, not yet framed as HTTP."""

    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(factory=dict)
    body: tuple[bytes, ...] = ()
    """The pieces in which the body is sent: one per stream event, or a single one."""
    streamed: bool = False


def accept(_request: RecordedRequest) -> Reply | None:
    """Refuse nothing."""
    return None


@frozen(kw_only=True)
class Route:
    """One operation: where it is, what it refuses, how it answers."""

    method: str
    path: re.Pattern[str]
    """Matched in full against the path behind the provider's name."""
    render: Callable[[RecordedRequest, Reply], Rendered]
    check: Callable[[RecordedRequest], Reply | None] = accept
    """The refusal that the provider would send, or None."""


@frozen(kw_only=True)
class Wire:
    """One provider's API, or that of a family of look-alikes."""

    routes: tuple[Route, ...]
    """The first one is the main one: it also shapes scripted replies on paths that no route takes."""
    render_error: Callable[[RecordedRequest, Reply], Rendered]
    """Write an error as this provider does; `Reply.failure` may be None or leave things open."""
    unauthorized: Callable[[RecordedRequest], Reply]
    """The refusal of a missing or unknown key."""
    providers: frozenset[str] | None = None
    """Who speaks it; None: everyone whom no other wire claims."""
    words: Words = OPENAI
    """In which an answer that is given in llmkit's own words is written."""
    bases: Mapping[str, str] = field(factory=dict)
    """The path of the base URL, where a provider's is not ``/v1``."""

    def speaks_for(self, provider: str) -> bool:
        return self.providers is None or provider in self.providers


def json_bytes(data: Any) -> bytes:
    """Return *data* as a JSON body; bytes are one already."""
    return data if isinstance(data, bytes) else _encode(data).encode()


def sse(event: Event) -> bytes:
    """
    Return one server-sent event; text and bytes that end with a newline are sent as they are.

    Source: WHATWG HTML, section 9.2.6.
    """
    data = event if isinstance(event, bytes) else (event if isinstance(event, str) else _encode(event)).encode()
    if data.endswith(b"\n"):
        return data
    return b"".join(b"data: %b\n" % line for line in data.split(b"\n")) + b"\n"


_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode

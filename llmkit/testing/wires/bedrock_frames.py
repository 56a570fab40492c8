"""
Frames of AWS's event streams, written.

Source: Amazon Lex V2 developer guide, "Event stream encoding", and botocore 1.44.5, ``eventstream.py``; read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import pack
from typing import Any
from zlib import crc32

from llmkit.testing.replies import Event
from llmkit.testing.wires.base import json_bytes

__all__ = ["STREAM_TYPE", "event_frame", "frame"]

STREAM_TYPE = "application/vnd.amazon.eventstream"

_STRING = 7  # the type of a header's value


def frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Return one frame with its checksums."""
    head = b"".join(_header(name, value) for name, value in headers.items())
    prelude = pack(">II", len(head) + len(payload) + 16, len(head))
    rest = prelude + pack(">I", crc32(prelude)) + head + payload
    return rest + pack(">I", crc32(rest))


def _header(name: str, value: str) -> bytes:
    key, text = name.encode(), value.encode()
    return pack(">B", len(key)) + key + pack(">BH", _STRING, len(text)) + text


def event_frame(event: Event) -> bytes:
    """Return the frame of *event*: a mapping from its name, or that of an exception, to its payload. Bytes are sent as they are."""
    if isinstance(event, bytes):
        return event
    if isinstance(event, str):
        return event.encode()
    ((name, payload),) = event.items()
    named: dict[str, Any] = {":event-type": name}
    kind = "event"
    if name.endswith("Exception"):
        named, kind = {":exception-type": name}, "exception"
    return frame({**named, ":content-type": "application/json", ":message-type": kind}, json_bytes(payload))

"""
The frames of AWS's binary event stream, written.

Source: Amazon Lex V2 developer guide, "Event stream encoding", read 2026-11-21.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any
from zlib import crc32

from llmkit.testing.wires.base import json_bytes

__all__ = ["event_frame", "frame", "scripted_frame"]

_STRING = 7


def frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Return one frame."""
    head = b"".join(_header(name, value) for name, value in headers.items())
    prelude = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    message = prelude + struct.pack(">I", crc32(prelude)) + head + payload
    return message + struct.pack(">I", crc32(message))


def event_frame(kind: str, payload: bytes, content_type: str = "application/json") -> bytes:
    """Return the frame of an event called *kind*."""
    return frame({":event-type": kind, ":content-type": content_type, ":message-type": "event"}, payload)


def scripted_frame(event: Mapping[str, Any]) -> bytes | None:
    """
    Return the frame that a scripted event writes out, None where it writes none.

    It does where a name begins with a colon: such are the frame's headers, and all others its payload, as
    ``{":message-type": "exception", ":exception-type": "ThrottlingException", "message": "Too many requests"}``.
    """
    headers = {name: str(value) for name, value in event.items() if name.startswith(":")}
    if not headers:
        return None
    return frame(headers, json_bytes({name: value for name, value in event.items() if name not in headers}))


def _header(name: str, value: str) -> bytes:
    data = value.encode()
    return bytes([len(name)]) + name.encode() + bytes([_STRING]) + struct.pack(">H", len(data)) + data

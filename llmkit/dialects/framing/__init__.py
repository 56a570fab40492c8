"""
Framing: bytes of a stream into events, and bytes into JSON, without I/O.

Rule 1: a decoder is fed bytes as they come; how the network cut them changes nothing in what comes out.
Rule 2: everything whole before a fault is handed out before the fault is raised; after it nothing is searched for.
Rule 3: what a peer sends can raise only :exc:`FramingError`, and no error quotes what was sent.
Rule 4: memory and time grow with the bytes received, never faster, and memory is bounded by a limit per event.

Each decoder is a module of its own, which only those who read such a stream load: ``sse``, ``ndjson``, and ``eventstream``
for the binary one of AWS.
"""

from __future__ import annotations

from llmkit.dialects.framing.errors import FramingError
from llmkit.dialects.framing.strict_json import loads

__all__ = ["FramingError", "loads"]

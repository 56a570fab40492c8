"""Doubles for users' own tests: a provider on the loopback interface whose every answer and fault can be scripted."""

from __future__ import annotations

from llmkit.testing.replies import RecordedRequest, Reply
from llmkit.testing.server import FakeServer

__all__ = ["FakeServer", "RecordedRequest", "Reply"]

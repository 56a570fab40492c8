"""
Doubles for users' own tests.

``FakeServer`` is a provider on the loopback interface whose every answer and fault can be scripted; ``MockTransport`` answers without a
socket; ``record`` and ``replay`` keep what a real provider said; and the pytest plugin ``llmkit.testing.plugin`` has the
fixture ``fake_llm``.
"""

from __future__ import annotations

from llmkit.testing.mock import AsyncMockTransport, MockTransport
from llmkit.testing.recording import Recording, Replay, record, replay
from llmkit.testing.replies import RecordedRequest, Reply
from llmkit.testing.server import FakeServer

__all__ = ["AsyncMockTransport", "FakeServer", "MockTransport", "RecordedRequest", "Recording", "Replay", "Reply", "record", "replay"]

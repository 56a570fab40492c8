"""What a client does not do, whatever it is told: fetch, follow, leave its host, or keep a call that is over."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

import pytest

from llmkit import ConfigurationError, Document, Event, Image, LLMKitError, Target, user
from llmkit.testing import FakeServer, Reply
from llmkit.testing.aws import ACCESS_KEY_ID, SECRET_ACCESS_KEY

Connect = Callable[..., Any]

CANARY = "sk-canary-Q7w8E9r0T1y2"


def inside_of(client: Any) -> Any:
    return getattr(client, "twin", client)


@pytest.mark.parametrize("operation", ["complete", "stream"])
def test_a_call_that_cannot_be_sent_is_over(connect: Connect, operation: str) -> None:
    """``cancel_all`` has nothing to end, the hooks hear of the end, and nothing is kept of it."""
    events: list[Event] = []
    client = connect(base_url="http://127.0.0.1:1/v1", proxies={"all": "socks5://127.0.0.1:1"}, hooks=[events.append])

    with pytest.raises(ConfigurationError, match="socks5"):
        client.complete("Say hi") if operation == "complete" else client.stream("Say hi").collect()

    assert 0 == client.cancel_all()
    assert ["call.start", "attempt.start", "attempt.end", "call.end"] == [event.name for event in events]

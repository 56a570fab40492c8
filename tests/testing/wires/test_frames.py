"""Frames as the fake server writes them."""

from __future__ import annotations

import base64

from llmkit.dialects.framing.eventstream import EventStreamDecoder
from llmkit.testing.wires.frames import event_frame, scripted_frame

# As AWS wrote it, recorded.
MESSAGE_START = (
    "AAAAmQAAAFI8UarQCzpldmVudC10eXBlBwAMbWVzc2FnZVN0YXJ0DTpjb250ZW50LXR5cGUHABBhcHBsaWNhdGlvbi9qc29uDTptZXNzYWdlLXR5cGUHAAVldmVudHsicCI6"
    "ImFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6QUIiLCJyb2xlIjoiYXNzaXN0YW50In3SL1jN"
)


def test_an_events_frame_is_that_of_aws() -> None:
    """Byte for byte."""
    payload = b'{"p":"abcdefghijklmnopqrstuvwxyzAB","role":"assistant"}'

    assert base64.b64decode(MESSAGE_START) == event_frame("messageStart", payload)


def test_a_script_may_write_a_frame_out() -> None:
    """Names with a colon are its headers, the others its payload; without such a name it is no frame."""
    made = scripted_frame({":message-type": "exception", ":exception-type": "ThrottlingException", "message": "Zu viel"})

    assert made is not None
    (read,) = EventStreamDecoder().feed(made)
    assert ({":message-type": "exception", ":exception-type": "ThrottlingException"}, b'{"message":"Zu viel"}') == read
    assert scripted_frame({"message": "x"}) is None

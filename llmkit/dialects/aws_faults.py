"""
Errors as services of AWS tell them: in the head of a reply, and in a frame of a stream.

Rule: any field but the HTTP status may be missing, null, empty or of another type; nothing here is indexed unseen.

Source: AWS, "Smithy", protocol ``aws.protocols#restJson1``, section "Operation error serialization", and "Event stream
specification"; botocore 1.44.5, ``parsers.py`` and ``eventstream.py``; read 2026-11-21.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.dialects.base import WireError, request_id
from llmkit.dialects.framing import FramingError, loads
from llmkit.dialects.wire_json import at, beginning, label, word
from llmkit.models.fault import Fault
from llmkit.transport.base import HttpResponse

if TYPE_CHECKING:
    from llmkit.dialects.framing.eventstream import Frame

__all__ = ["exception_in", "protocol_error", "read_fault", "refuse_errors"]

# What the service says of a key that it does not know, or that is another region's: all the same for every key of a pool.
_BAD_KEY = "make sure your api key is valid"


def read_fault(response: HttpResponse) -> Fault:
    """Return what a bad reply says. Its body may be of any shape, or no JSON at all."""
    try:
        body = loads(response.body)
    except FramingError:
        body = None
    return _fault(body, response, response.body.decode("utf-8", "replace"))


def refuse_errors(answer: dict[str, Any], response: HttpResponse) -> None:
    """Raise ``WireError`` if a good reply is an error in truth."""
    output = answer.get("Output")  # a path that no operation has is answered so
    inner = output if isinstance(output, dict) else answer
    if word(inner.get("__type")):
        raise WireError(_fault(inner, response, response.body.decode("utf-8", "replace")))


def _fault(body: Any, response: HttpResponse, text: str) -> Fault:
    named = response.headers.get("x-amzn-errortype") or word(at(body, "__type")) or word(at(body, "code")) or word(at(body, "Code"))
    # "ValidationException:http://…" in a header, "com.amazon.coral.validate#ValidationException" in a body.
    kind = named.partition(":")[0].rpartition("#")[2].strip()
    message = word(at(body, "message")) or word(at(body, "Message"))
    return Fault(
        status=response.status,
        kind="auth" if response.status == 403 and _BAD_KEY in message.lower() else None,
        message=message or kind or beginning(text),
        type=label(kind),
        request_id=request_id(response.headers),
        headers=response.headers,
        error=body if isinstance(body, dict) else {},
        body=text,
    )


def exception_in(frame: Frame, response: HttpResponse) -> WireError | None:
    """Return the error that *frame* is; None if it is an event."""
    headers = frame.headers
    kind = headers.get(":message-type", "event")
    if kind == "event":
        return None
    text = frame.payload.decode("utf-8", "replace")
    try:
        body = loads(frame.payload)
    except FramingError:
        body = None
    named = label(headers.get(":exception-type" if kind == "exception" else ":error-code"))
    message = word(at(body, "message")) or word(at(body, "Message")) or word(headers.get(":error-message"))
    return WireError(
        Fault(
            status=response.status,
            message=message or named or beginning(text),
            type=named,
            request_id=request_id(response.headers),
            headers=response.headers,
            error=body if isinstance(body, dict) else {},
            body=text,
        )
    )


def protocol_error(error: FramingError, response: HttpResponse) -> WireError:
    """Return the error of a stream whose frames are not what they promise, such as by a wrong checksum."""
    return WireError(
        Fault(
            status=response.status,
            kind="protocol",
            message=f"The event stream is broken: {error}.",
            request_id=request_id(response.headers),
            headers=response.headers,
        )
    )

"""
What Gemini's errors say, whether they come as a reply, inside a good one, or in the middle of a stream.

Rule: any field may be missing, null, empty or of another type; nothing here is indexed unseen, and ``read_fault`` never raises.

Source: Google AI for Developers, "Troubleshooting guide"; google/rpc/status.proto and error_details.proto; the package google-genai 3.4.0
and recorded errors of both services; read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmkit.dialects.base import WireError, request_id
from llmkit.dialects.framing import FramingError, loads
from llmkit.dialects.wire_json import at, beginning, label, objects, word
from llmkit.models.fault import Fault
from llmkit.transport.base import HttpResponse

__all__ = ["load", "read_fault", "refuse_error", "table"]


def read_fault(response: HttpResponse) -> Fault:
    """Return what a bad reply says. Its body may be of any shape, or no JSON at all."""
    try:
        body = loads(response.body)
    except FramingError:
        body = None
    return _fault(body, response, response.body.decode("utf-8", "replace"))


def refuse_error(answer: Any, response: HttpResponse, text: str | None = None) -> None:
    """
    Raise ``WireError`` if a good reply, or an event of a stream, is an error in truth.

    Args:
        text: What *answer* was read from, where that is not the body of *response*.
    """
    first = answer[0] if isinstance(answer, list) and answer else answer
    if isinstance(first, dict) and first.get("error"):
        raise WireError(_fault(first, response, response.body.decode("utf-8", "replace") if text is None else text))


def _fault(body: Any, response: HttpResponse, text: str) -> Fault:
    # Where the answer would have been a list of pieces, the error is the only piece.
    holder = body[0] if isinstance(body, list) and body else body
    found = at(holder, "error")
    error = found if isinstance(found, dict) else table(holder)
    message = word(error.get("message")) or word(error.get("error_description")) or word(found)
    status = word(error.get("status"))
    return Fault(
        status=response.status,
        message=message or beginning(text),
        code=_reason(error) or status or label(error.get("code")),
        type=status or None,
        param=_field(error),
        request_id=request_id(response.headers),
        headers=response.headers,
        error=error,
        body=text,
    )


def _reason(error: Mapping[str, Any]) -> str:
    """Return the reason in the ``ErrorInfo`` of *error*: ``API_KEY_INVALID`` says more than ``INVALID_ARGUMENT``."""
    return next((reason for detail in objects(error.get("details")) if (reason := word(detail.get("reason")))), "")


def _field(error: Mapping[str, Any]) -> str | None:
    """Return the field that a ``BadRequest`` among the details of *error* complains of."""
    for detail in objects(error.get("details")):
        for violation in objects(detail.get("fieldViolations")):
            if field := word(violation.get("field")):
                return field
    return None


def load(body: bytes, response: HttpResponse) -> Any:
    """Return the JSON in *body*. Raises ``WireError`` if there is none."""
    if not body.strip():
        raise WireError.malformed("The reply is empty.", response)
    try:
        return loads(body)
    except FramingError as error:
        raise WireError.malformed(f"The reply cannot be read: {error}.", response) from None


def table(value: Any) -> dict[str, Any]:
    """Return *value* where it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}

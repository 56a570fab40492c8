"""
Small words for reading Gemini's JSON, and what its errors say.

Rule: any field may be missing, null, empty or of another type; nothing here is indexed unseen, and ``read_fault`` never raises.

Source: Google AI for Developers, "Troubleshooting guide"; google/rpc/status.proto and error_details.proto; the package google-genai 3.4.0
and recorded errors of both services; read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmkit.dialects.base import WireError, request_id
from llmkit.dialects.framing import FramingError, loads
from llmkit.models.fault import Fault
from llmkit.transport.base import HttpResponse

__all__ = ["count", "load", "read_fault", "refuse_error", "table", "word"]

LINE_LIMIT = 500  # characters of a page that stands where an error should


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
    found = holder.get("error") if isinstance(holder, dict) else None
    error = found if isinstance(found, dict) else table(holder)
    message = word(error.get("message")) or word(error.get("error_description")) or word(found)
    status = word(error.get("status"))
    return Fault(
        status=response.status,
        message=message or _line(text),
        code=_reason(error) or status or _number(error.get("code")),
        type=status or None,
        param=_field(error),
        request_id=request_id(response.headers),
        headers=response.headers,
        error=error,
        body=text,
    )


def _reason(error: Mapping[str, Any]) -> str:
    """Return the reason in the ``ErrorInfo`` of *error*: ``API_KEY_INVALID`` says more than ``INVALID_ARGUMENT``."""
    return next((reason for detail in _details(error) if (reason := word(detail.get("reason")))), "")


def _field(error: Mapping[str, Any]) -> str | None:
    """Return the field that a ``BadRequest`` among the details of *error* complains of."""
    for detail in _details(error):
        for violation in _rows(detail.get("fieldViolations")):
            if field := word(violation.get("field")):
                return field
    return None


def _details(error: Mapping[str, Any]) -> list[dict[str, Any]]:
    return _rows(error.get("details"))


def _rows(value: Any) -> list[dict[str, Any]]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _number(value: Any) -> str | None:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _line(text: str) -> str:
    """Return the beginning of *text* in one line, cut between words: half a key would not be recognised as one."""
    words = text[:4096].split()
    line = " ".join(words if len(text) <= 4096 else words[:-1])
    return line if len(line) <= LINE_LIMIT else line[:LINE_LIMIT].rpartition(" ")[0] + " …"


def load(body: bytes, response: HttpResponse) -> Any:
    """Return the JSON in *body*. Raises ``WireError`` if there is none."""
    if not body.strip():
        raise WireError.malformed("The reply is empty.", response)
    try:
        return loads(body)
    except FramingError as error:
        raise WireError.malformed(f"The reply is not JSON: {error}.", response) from None


def word(value: Any) -> str:
    """Return *value* where it is a text, else an empty one."""
    return value if isinstance(value, str) else ""


def table(value: Any) -> dict[str, Any]:
    """Return *value* where it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def count(value: Any) -> int:
    """Return *value* where it counts something; an int64 may come as a string (proto3's JSON mapping)."""
    if isinstance(value, str) and len(value) < 16 and value.isascii() and value.isdigit():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e15:
        return 0
    return int(value)

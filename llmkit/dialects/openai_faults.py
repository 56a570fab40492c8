"""
Small words for reading JSON from strangers, and what their errors say.

Rule: any field may be missing, null, empty or of another type; nothing here is indexed unseen, and ``read_fault`` never raises.

Source: OpenAI API reference, "Error codes", and recorded errors of some thirty compatible servers; 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmkit.dialects.base import WireError, request_id
from llmkit.dialects.framing import FramingError, loads
from llmkit.dialects.wire_json import at, label, word
from llmkit.models.fault import Fault
from llmkit.transport.base import HttpResponse

__all__ = ["is_text", "load_json", "read_fault", "refuse_errors"]

# Where servers put the sentence for a human reader, the most telling first.
_MESSAGES = ("message", "status_msg", "error_msg", "detail", "title", "text")


def read_fault(response: HttpResponse) -> Fault:
    """Return what a bad reply says. Its body may be of any shape, or no JSON at all."""
    try:
        body = loads(response.body)
    except FramingError:
        body = None
    return _fault(body, response, response.body.decode("utf-8", "replace"))


def refuse_errors(answer: Mapping[str, Any], response: HttpResponse, text: str | None = None, event_type: str = "") -> None:
    """
    Raise ``WireError`` if a good reply, or an event of a stream, is an error in truth.

    Args:
        text: What *answer* was read from, where that is not the body of *response*.
        event_type: What the stream calls the event.
    """
    base = answer.get("base_resp")
    failed = isinstance(base, dict) and base.get("status_code") not in (0, None)
    if answer.get("error") or answer.get("error_code") or answer.get("object") == "error" or event_type == "error" or failed:
        raise WireError(_fault(answer, response, response.body.decode("utf-8", "replace") if text is None else text))


def _fault(body: Any, response: HttpResponse, text: str) -> Fault:
    error = _error_object(body)
    return Fault(
        status=response.status,
        message=_message(error) or _beginning(text),
        code=label(error.get("code")) or label(error.get("error_code")) or label(error.get("status_code")),
        type=label(error.get("type")) or label(error.get("error_type")),
        param=label(error.get("param")),
        request_id=request_id(response.headers) or label(at(body, "request_id")),
        headers=response.headers,
        error=error,
        body=text,
    )


def _error_object(body: Any) -> Mapping[str, Any]:
    """Return the object with the error's facts, wherever this server puts it."""
    if isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, dict):
        return {}
    for key in ("error", "base_resp"):
        inner = body.get(key)
        if isinstance(inner, dict):
            return inner
        if isinstance(inner, str) and inner:
            return {**body, "message": inner}
    errors = body.get("errors")
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):
        return errors[0]
    return body


def _message(error: Mapping[str, Any]) -> str:
    message = next(filter(None, (_sentence(error.get(key)) for key in _MESSAGES)), "")
    # A gateway says "Provider returned error" and keeps what that provider said apart.
    upstream = word(at(error.get("metadata"), "raw"))
    return f"{message}: {_beginning(upstream)}" if message and upstream else message or _beginning(upstream)


def _sentence(value: Any) -> str:
    if isinstance(value, dict):
        value = value.get("detail") or value.get("message")
    if isinstance(value, list):
        return "; ".join(filter(None, (word(at(item, "msg")) for item in value)))
    return word(value)


def _beginning(text: str) -> str:
    """Return *text* in one line of at most 500 characters, cut between words: half a key would not be recognised as one."""
    words = text[:4096].split()
    line = " ".join(words if len(text) <= 4096 else words[:-1])
    return line if len(line) <= 500 else line[:500].rpartition(" ")[0] + " …"


def load_json(body: bytes, response: HttpResponse, kinds: tuple[type, ...] = (dict,)) -> Any:
    if not body.strip():
        raise WireError.malformed("The reply is empty.", response)
    try:
        value = loads(body)
    except FramingError as error:
        raise WireError.malformed(f"The reply cannot be read: {error}.", response) from None
    if not isinstance(value, kinds):
        raise WireError.malformed("The reply is no JSON object.", response)
    return value


def is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""

"""
Small words for reading JSON from strangers, and what their errors say.

Rule: any field may be missing, null, empty or of another type; nothing here is indexed unseen, and ``read_fault`` never raises.

Source: OpenAI API reference, "Error codes", and recorded errors of some thirty compatible servers; 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmkit.dialects.base import WireError
from llmkit.dialects.framing import FramingError, loads
from llmkit.models.fault import Fault
from llmkit.transport.base import HttpResponse

__all__ = ["at", "count", "is_text", "label", "load_json", "read_fault", "refuse_errors", "request_id", "word"]

REQUEST_IDS = ("x-request-id", "request-id", "apim-request-id", "mistral-correlation-id", "x-generation-id", "cf-ray")


def read_fault(response: HttpResponse) -> Fault:
    """Return what a bad reply says. Its body may be of any shape, or no JSON at all."""
    try:
        body = loads(response.body)
    except FramingError:
        body = None
    return _fault(body, response)


def refuse_errors(answer: Mapping[str, Any], response: HttpResponse | None, event_type: str = "") -> None:
    """Raise ``WireError`` if a good reply, or an event of a stream, is an error in truth."""
    base = answer.get("base_resp")
    failed = isinstance(base, dict) and base.get("status_code") not in (0, None)
    if answer.get("error") or answer.get("error_code") or answer.get("object") == "error" or event_type == "error" or failed:
        raise WireError(_fault(answer, response))


def _fault(body: Any, response: HttpResponse | None) -> Fault:
    status = 200 if response is None else response.status
    headers: Mapping[str, str] = {} if response is None else response.headers
    text = str(body) if response is None else response.body.decode("utf-8", "replace")
    error = _error_object(body)
    message = _message(error, body) or text.strip()[:500]
    return Fault(
        status=status,
        message=message,
        code=label(error.get("code", error.get("error_code", error.get("status_code")))),
        type=label(error.get("type") or error.get("error_type")),
        param=label(error.get("param")),
        request_id=request_id(headers) or label(at(body, "request_id")),
        headers=headers,
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


def _message(error: Mapping[str, Any], body: Any) -> str:
    for candidate in (error.get("message"), error.get("status_msg"), error.get("detail"), error.get("title"), error.get("text")):
        if isinstance(candidate, str) and candidate:
            return candidate
        if isinstance(candidate, dict) and isinstance(candidate.get("detail"), (str, list)):
            candidate = candidate["detail"]
        if isinstance(candidate, list):
            found = [word(item.get("msg")) for item in candidate if isinstance(item, dict)]
            if any(found):
                return "; ".join(filter(None, found))
    raw = at(error.get("metadata"), "raw")
    return raw if isinstance(raw, str) else ""


def request_id(headers: Mapping[str, str]) -> str | None:
    """Return the id under which the provider's support finds a request."""
    return next((headers[name] for name in REQUEST_IDS if name in headers), None)


def load_json(body: bytes, response: HttpResponse, kinds: tuple[type, ...] = (dict,)) -> Any:
    if not body.strip():
        raise WireError.malformed("The reply is empty.", response)
    try:
        value = loads(body)
    except FramingError as error:
        raise WireError.malformed(f"The reply is not JSON: {error}.", response) from None
    if not isinstance(value, kinds):
        raise WireError.malformed("The reply is no JSON object.", response)
    return value


def at(holder: Any, key: str) -> Any:
    return holder.get(key) if isinstance(holder, dict) else None


def word(value: Any) -> str:
    return value if isinstance(value, str) else ""


def is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def label(value: Any) -> str | None:
    return str(value) if isinstance(value, (str, int)) and value != "" else None


def count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e15:
        return 0
    return int(value)

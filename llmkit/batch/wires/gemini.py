"""
Gemini's batches: the requests go along, and the results stand in the batch itself.

Rule: requests go along, never as a file. Files are refused now and then for their media type ("Unsupported MIME type: jsonl", an issue of
python-genai, 2025), and what a batch may hold this way is more than enough.

Source: Google AI for Developers, "Batch API" (guide and reference); google/longrunning/operations.proto; google/rpc/code.proto; the package
google-genai 3.4.0; read 2026-11-21.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve, frozen

from llmkit.batch.wires.base import Outcome, State, as_response, get, post, quoted
from llmkit.dialects.base import Place, WireError
from llmkit.dialects.gemini_faults import read_fault
from llmkit.dialects.wire_json import at, object_in, objects, word
from llmkit.models.fault import Fault
from llmkit.transport.base import HttpRequest, HttpResponse

__all__ = ["GeminiBatches"]

_CALL, _BATCH = ":generateContent", ":batchGenerateContent"
_STATE = re.compile("^(?:BATCH|JOB)_STATE_")  # the first are on the wire, the second in the guide

# The status that an error of this number has in a call of its own, and its name. In some batches the number is the status.
_CODES = {
    1: (499, "CANCELLED"),
    2: (500, "UNKNOWN"),
    3: (400, "INVALID_ARGUMENT"),
    4: (504, "DEADLINE_EXCEEDED"),
    5: (404, "NOT_FOUND"),
    6: (409, "ALREADY_EXISTS"),
    7: (403, "PERMISSION_DENIED"),
    8: (429, "RESOURCE_EXHAUSTED"),
    9: (400, "FAILED_PRECONDITION"),
    10: (409, "ABORTED"),
    11: (400, "OUT_OF_RANGE"),
    12: (501, "UNIMPLEMENTED"),
    13: (500, "INTERNAL"),
    14: (503, "UNAVAILABLE"),
    15: (500, "DATA_LOSS"),
    16: (401, "UNAUTHENTICATED"),
}
_CANCELLATION = 499
_CANCELLED = Fault(status=0, kind="conflict", message="The batch was cancelled.", code="CANCELLED")
_MISSING = {
    "CANCELLED": _CANCELLED,
    "EXPIRED": Fault(status=0, kind="timeout", message="The batch expired before this item was answered.", code="EXPIRED"),
}
_LOST = Fault(status=0, kind="malformed", message="The batch ended without a result for this item.")
_ENDED = frozenset({"SUCCEEDED", "PARTIALLY_SUCCEEDED", "FAILED", *_MISSING})


@frozen
class GeminiBatches:
    """The method ``batchGenerateContent`` and its operations, ``batches/…``."""

    # A whole request is to be smaller than 20 MB, which need not be 20 * 1024 * 1024; and something stands around the lines.
    size: int = 19 * 1024 * 1024

    def line(self, custom_id: str, http: HttpRequest, place: Place) -> bytes:
        return b'{"metadata":{"key":%b},"request":%b}' % (quoted(custom_id), http.body)

    def upload(self, lines: Sequence[bytes], place: Place) -> HttpRequest | None:
        return None

    def create(self, lines: Sequence[bytes], file: str | None, place: Place, path: str) -> HttpRequest:
        body = b'{"batch":{"displayName":"llmkit","inputConfig":{"requests":{"requests":[%b]}}}}' % b",".join(lines)
        return post(place, path.removesuffix(_CALL) + _BATCH, body=body)

    def read_id(self, response: HttpResponse) -> str:
        made = _name(object_in(response))
        if made is None:
            raise WireError.malformed("The reply has no name of the batch.", response)
        return made

    def look(self, name: str, place: Place) -> HttpRequest:
        return get(place, "/batches/{}", name)

    def read_state(self, response: HttpResponse) -> State:
        operation = object_in(response)
        name = _name(operation)
        if name is None:
            raise WireError.malformed("The reply tells no state of a batch.", response)
        state = _STATE.sub("", word(at(operation.get("metadata"), "state")))
        # Its results stand in the very reply that tells that it has ended, and are read from another all the same: so does every wire.
        return State(
            ended=operation.get("done") is True or state in _ENDED,
            sources=(name,) if _rows(operation) else (),
            missing=_MISSING.get(state) or _failed(operation.get("error")),
        )

    def fetch(self, source: str, place: Place) -> HttpRequest:
        return get(place, "/batches/{}", source)

    def read_results(self, response: HttpResponse) -> Mapping[str, Outcome]:
        return {word(at(row.get("metadata"), "key")): _outcome(row) for row in _rows(object_in(response))}

    def cancel(self, name: str, place: Place) -> HttpRequest:
        return post(place, "/batches/{}:cancel", name)


def _name(operation: Mapping[str, Any]) -> str | None:
    """Return what a batch is called behind ``batches/``."""
    return word(operation.get("name")).removeprefix("batches/") or None


def _rows(operation: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the results in a batch: the guide reads them from the operation's response, the package from its metadata."""
    for output in (operation.get("response"), at(operation.get("metadata"), "output")):
        found = objects(at(at(output, "inlinedResponses"), "inlinedResponses"))
        if found:
            return found
    return []


def _outcome(row: Mapping[str, Any]) -> Outcome:
    answer = row.get("response")
    if isinstance(answer, dict):
        return Outcome(response=as_response(200, answer))
    error = row.get("error")
    if not isinstance(error, dict):
        return Outcome(fault=_LOST)
    refusal = _refusal(error)
    return Outcome(fault=_CANCELLED) if refusal.status == _CANCELLATION else Outcome(response=refusal)


def _failed(error: Any) -> Fault:
    """Return what befell the items of a batch that is over with *error*, where none stands beside the item itself."""
    if not isinstance(error, dict):
        return _LOST
    refusal = _refusal(error)
    if refusal.status == _CANCELLATION:
        return _CANCELLED
    fault = read_fault(refusal)
    return evolve(fault, message=f"The whole batch failed: {fault.message}")


def _refusal(error: Mapping[str, Any]) -> HttpResponse:
    """Return the reply that *error*, a ``google.rpc.Status``, is in a call of its own."""
    number = error.get("code")
    number = number if isinstance(number, int) and not isinstance(number, bool) else 0
    status, name = _CODES.get(number) or (number if 400 <= number < 600 else 500, "")
    return as_response(status, {"error": {**error, "code": status, "status": word(error.get("status")) or name}})

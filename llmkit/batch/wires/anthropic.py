"""
Anthropic's batches: the requests go along, the results are JSON lines.

Source: Anthropic API reference, "Message Batches", in the version 2023-06-01, read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from llmkit.batch.wires.base import Outcome, State, as_response, get, post, quoted, rows_of
from llmkit.dialects.base import Place, WireError
from llmkit.dialects.wire_json import at, label, object_in, word
from llmkit.models.fault import Fault
from llmkit.transport.base import HttpRequest, HttpResponse

__all__ = ["AnthropicBatches"]

# The status that an error of this type has in a call of its own. Source: Anthropic API reference, "Errors", read 2026-11-21.
_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_FAULTS = {
    "expired": Fault(status=0, kind="timeout", message="The batch expired before this item was answered.", code="expired"),
    "canceled": Fault(status=0, kind="conflict", message="The batch was cancelled.", code="canceled"),
}
_LOST = Fault(status=0, kind="malformed", message="The batch ended without a result for this item.")


@frozen
class AnthropicBatches:
    """The endpoint ``/v1/messages/batches``."""

    size: int = 256 * 1000 * 1000

    def line(self, custom_id: str, http: HttpRequest, place: Place) -> bytes:
        return b'{"custom_id":%b,"params":%b}' % (quoted(custom_id), http.body)

    def upload(self, lines: Sequence[bytes], place: Place) -> HttpRequest | None:
        return None

    def create(self, lines: Sequence[bytes], file: str | None, place: Place, path: str) -> HttpRequest:
        request = post(place, "/v1/messages/batches", body=b'{"requests":[%b]}' % b",".join(lines))
        if place.options.get("beta"):
            request.headers["anthropic-beta"] = place.options["beta"].replace(" ", "")
        return request

    def read_id(self, response: HttpResponse) -> str:
        made = label(at(object_in(response), "id"))
        if made is None:
            raise WireError.malformed("The reply has no id of the batch.", response)
        return made

    def look(self, name: str, place: Place) -> HttpRequest:
        return get(place, "/v1/messages/batches/{}", name)

    def read_state(self, response: HttpResponse) -> State:
        batch = object_in(response)
        status, name = word(batch.get("processing_status")), label(batch.get("id"))
        if not status or name is None:
            raise WireError.malformed("The reply tells no status of the batch.", response)
        # Not its results_url, which could lead the key anywhere.
        return State(ended=status == "ended", sources=(name,), missing=_LOST)

    def fetch(self, source: str, place: Place) -> HttpRequest:
        return get(place, "/v1/messages/batches/{}/results", source)

    def read_results(self, response: HttpResponse) -> Mapping[str, Outcome]:
        return {word(row.get("custom_id")): _outcome(row.get("result")) for row in rows_of(response)}

    def cancel(self, name: str, place: Place) -> HttpRequest:
        return post(place, "/v1/messages/batches/{}/cancel", name)


def _outcome(result: Any) -> Outcome:
    kind = word(at(result, "type"))
    if kind == "succeeded":
        return Outcome(response=as_response(200, at(result, "message")))
    if kind == "errored":
        error = at(result, "error")
        told = at(error, "error") or error
        return Outcome(response=as_response(_STATUSES.get(word(at(told, "type")), 500), {"type": "error", "error": told}))
    return Outcome(fault=_FAULTS.get(kind, _LOST))

"""
OpenAI's batches: a file of requests, a file of answers, a file of errors.

Others have the same: Groq's package types it alike, and Alibaba's guide uses OpenAI's own package. Azure's differ from one page of its
documentation to the next, in the endpoint that a batch names and in whether a file can be used at once.

Source: OpenAI API reference, "Batch" and "Files"; the package groq, ``types.batch_create_params``; Alibaba Cloud Model Studio, "OpenAI
compatible - Batch (file input)"; read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from attrs import frozen

from llmkit.batch.wires.base import Outcome, State, as_response, get, path_of, post, quoted, rows_of
from llmkit.dialects.base import Place, WireError
from llmkit.dialects.wire_json import at, body_of, label, object_in, objects, word
from llmkit.models.fault import Fault
from llmkit.transport.base import HttpRequest, HttpResponse

__all__ = ["OpenAIBatches"]

_MISSING = {
    "expired": Fault(status=0, kind="timeout", message="The batch expired before this item was answered.", code="batch_expired"),
    "cancelled": Fault(status=0, kind="conflict", message="The batch was cancelled.", code="batch_cancelled"),
}
_LOST = Fault(status=0, kind="malformed", message="The batch ended without a result for this item.")
_ENDED = frozenset({"completed", "failed", *_MISSING})


@frozen
class OpenAIBatches:
    """The endpoints ``/files`` and ``/batches``."""

    size: int = 200 * 1000 * 1000

    def line(self, custom_id: str, http: HttpRequest, place: Place) -> bytes:
        return b'{"custom_id":%b,"method":"POST","url":%b,"body":%b}' % (quoted(custom_id), quoted(_seen(path_of(http, place))), http.body)

    def upload(self, lines: Sequence[bytes], place: Place) -> HttpRequest | None:
        content = b"\n".join(lines) + b"\n"
        boundary = "llmkit-" + sha256(content).hexdigest()[:32]  # of 70 characters at most; RFC 2046, section 5.1.1
        parts = (
            b'--%b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
            b'--%b\r\nContent-Disposition: form-data; name="file"; filename="batch.jsonl"\r\nContent-Type: application/jsonl\r\n\r\n'
            b"%b\r\n--%b--\r\n"
        )
        mark = boundary.encode()
        return post(place, "/files", body=parts % (mark, mark, content, mark), kind=f"multipart/form-data; boundary={boundary}")

    def create(self, lines: Sequence[bytes], file: str | None, place: Place, path: str) -> HttpRequest:
        return post(place, "/batches", body=body_of({"input_file_id": file, "endpoint": _seen(path), "completion_window": "24h"}))

    def read_id(self, response: HttpResponse) -> str:
        made = label(at(object_in(response), "id"))
        if made is None:
            raise WireError.malformed("The reply has no id of what was made.", response)
        return made

    def look(self, name: str, place: Place) -> HttpRequest:
        return get(place, "/batches/{}", name)

    def read_state(self, response: HttpResponse) -> State:
        batch = object_in(response)
        status = word(batch.get("status"))
        if not status:
            raise WireError.malformed("The reply tells no status of the batch.", response)
        refused = objects(at(batch.get("errors"), "data"))
        missing = _MISSING.get(status, _LOST)
        if refused:
            first = _refusal(refused[0])
            missing = Fault(status=0, kind="conflict", message=f"The whole batch was refused: {first.message}", code=first.code)
            if not any(error.get("line") for error in refused):
                missing = first
        return State(
            ended=status in _ENDED,
            sources=tuple(file for key in ("output_file_id", "error_file_id") if (file := label(batch.get(key))) is not None),
            missing=missing,
            by_line={error["line"]: _refusal(error) for error in refused if isinstance(error.get("line"), int)},
        )

    def fetch(self, source: str, place: Place) -> HttpRequest:
        return get(place, "/files/{}/content", source)

    def read_results(self, response: HttpResponse) -> Mapping[str, Outcome]:
        return {word(row.get("custom_id")): _outcome(row) for row in rows_of(response)}

    def cancel(self, name: str, place: Place) -> HttpRequest:
        return post(place, "/batches/{}/cancel", name)


def _seen(path: str) -> str:
    """Return *path* as OpenAI itself would see it, whatever proxy is in between."""
    return "/v1" + path


def _refusal(error: Mapping[str, Any]) -> Fault:
    return Fault(
        status=400, message=word(error.get("message")), code=label(error.get("code")), param=label(error.get("param")), error=error
    )


def _outcome(row: Mapping[str, Any]) -> Outcome:
    response = row.get("response")
    status = at(response, "status_code")
    if isinstance(status, int) and not isinstance(status, bool):
        return Outcome(response=as_response(status, at(response, "body"), label(at(response, "request_id"))))
    code = label(at(row.get("error"), "code"))
    if code == _MISSING["expired"].code:
        return Outcome(fault=_MISSING["expired"])
    return Outcome(fault=Fault(status=0, kind="conflict", message=word(at(row.get("error"), "message")), code=code))

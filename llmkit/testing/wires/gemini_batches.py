"""
Batches, as AI Studio has them: one is seen running once, and is done when it is looked at again.

Source: Google AI for Developers, "Batch API" (guide and reference) and "Files API"; google/rpc/code.proto; the package google-genai 3.4.0;
read 2026-11-21.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from attrs import define, evolve, field

from llmkit.testing.replies import RecordedRequest, Reply
from llmkit.testing.wires.base import Rendered, Route, Wire, json_bytes
from llmkit.testing.wires.batch_store import Store
from llmkit.testing.wires.gemini import operation, render_content, render_error, unauthorized, whole, written_out
from llmkit.testing.wires.gemini_checks import camelled, check_generate, check_model, model_of, unknown
from llmkit.testing.wires.gemini_files import FILES, ROUTES, File
from llmkit.testing.wires.gemini_turns import refuse
from llmkit.testing.wires.openai_checks import mapping

__all__ = ["WIRE"]

SIZE = 20 * 1000 * 1000  # bytes of a request with everything in it

_TIME = "2026-11-21T09:00:00Z"
_TYPE = "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch"
_BATCH = re.compile(r"/v1[a-z0-9]*/(batches/[^/:]+)(?::cancel)?")
_LIST = re.compile(r"/v1[a-z0-9]*/batches")

_FIELDS = frozenset({"displayName", "inputConfig", "model", "priority", "webhookConfig"})
# The names of errors by their numbers, as far as a request for content has them.
_CODES = {"INVALID_ARGUMENT": 3, "NOT_FOUND": 5, "PERMISSION_DENIED": 7, "FAILED_PRECONDITION": 9, "INTERNAL": 13, "UNAUTHENTICATED": 16}


@define
class Batch:
    """A batch on its way. ``rows`` are its results, each as it is among those that go along."""

    model: str
    title: str
    key: str | None
    requests: list[Any] | None
    file: str | None
    state: str = "PENDING"
    error: dict[str, Any] | None = None
    rows: list[dict[str, Any]] = field(factory=list)
    responses: str | None = None


_batches: Store[Batch] = Store("batches/fake")


def check_create(request: RecordedRequest) -> Reply | None:
    refusal = check_model(request)
    if refusal is not None:
        return refusal
    if len(request.body) > SIZE:
        return refuse(f"Request payload size exceeds the limit: {SIZE} bytes.")
    try:
        body = request.json
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return refuse("Invalid JSON payload received. Unexpected token.")
    for name in body.keys() - {"batch"}:
        return unknown(name, "")
    batch = camelled(mapping(body.get("batch")))
    for name in batch.keys() - _FIELDS:
        return unknown(name, "batch")
    if not isinstance(batch.get("displayName"), str):
        return refuse("* BatchGenerateContentRequest.batch.display_name: display_name must be specified.\n")
    return _check_source(camelled(mapping(batch.get("inputConfig"))), request.key)


def _check_source(source: dict[str, Any], key: str | None) -> Reply | None:
    if len(source) != 1:
        return refuse("* BatchGenerateContentRequest.batch.input_config: exactly one source must be specified.\n")
    if "fileName" in source:
        file = FILES.find(source["fileName"])
        return (
            None if file is not None and file.key == key else refuse(f"File {source['fileName']} not found.", status=404, word="NOT_FOUND")
        )
    for name in source.keys() - {"requests"}:
        return unknown(name, "batch.input_config")
    given = mapping(source["requests"])
    for name in given.keys() - {"requests"}:
        return unknown(name, "batch.input_config.requests")
    rows = given.get("requests")
    if not isinstance(rows, list) or not rows:
        return refuse("* BatchGenerateContentRequest.batch.input_config.requests.requests: at least one request must be specified.\n")
    return next(filter(None, map(_check_row, range(len(rows)), rows)), None)


def _check_row(number: int, row: Any) -> Reply | None:
    place = f"batch.input_config.requests.requests[{number}]"
    for name in mapping(row).keys() - {"request", "metadata"}:
        return unknown(name, place)
    if not isinstance(mapping(row).get("request"), dict) or not isinstance(mapping(row).get("metadata", {}), dict):
        return refuse(f"Invalid value at '{place}'")
    return None


def render_create(request: RecordedRequest, reply: Reply) -> Rendered:
    batch = camelled(request.json["batch"])
    source = camelled(batch["inputConfig"])
    given = mapping(source.get("requests")).get("requests")
    made = Batch(model_of(request), batch["displayName"], request.key, given, source.get("fileName"))
    name = _batches.add(made)
    return written_out(request, reply) or whole(request, reply, _shown(name, made))


def check_batch(request: RecordedRequest) -> Reply | None:
    name = _name(request)
    batch = _batches.find(name)
    if batch is None or batch.key != request.key:
        return refuse("Requested entity was not found.", status=404, word="NOT_FOUND")
    return None


def render_batch(request: RecordedRequest, reply: Reply) -> Rendered:
    name, batch = _found(request)
    if batch.state == "PENDING":
        batch.state = "RUNNING"
    elif batch.state == "RUNNING":
        _work(request, batch)
    return written_out(request, reply) or whole(request, reply, _shown(name, batch))


def check_cancel(request: RecordedRequest) -> Reply | None:
    return check_batch(request) or (
        refuse("Invalid JSON payload received. Unexpected token.") if request.body.strip() not in (b"", b"{}") else None
    )


def render_cancel(request: RecordedRequest, reply: Reply) -> Rendered:
    _, batch = _found(request)
    if batch.state in ("PENDING", "RUNNING"):
        batch.state, batch.error = "CANCELLED", {"code": 1, "message": "The operation was cancelled."}
    return written_out(request, reply) or whole(request, reply, {})


def render_list(request: RecordedRequest, reply: Reply) -> Rendered:
    own = [_shown(name, batch) for name, batch in _batches.all() if batch.key == request.key]
    return written_out(request, reply) or whole(request, reply, {"operations": own})


def _work(request: RecordedRequest, batch: Batch) -> None:
    """Answer all requests, in the order in which they were given; one that is no request ends the whole batch."""
    try:
        given = list(_given(batch))
    except (ValueError, KeyError, TypeError):
        batch.state, batch.error = "FAILED", {"code": 3, "message": "Failed to parse the input file."}
        return
    batch.rows = [{**({"metadata": tag} if tag else {}), **_answered(request, batch, asked)} for asked, tag in given]
    batch.state = "SUCCEEDED"
    if batch.file is None:
        return
    lines = [json_bytes({**mapping(row.pop("metadata", None)), **row}) + b"\n" for row in batch.rows]
    content = b"".join(lines)
    batch.responses = FILES.add(File(batch.key, "application/jsonl", len(content), content, made_here=True))


def _given(batch: Batch) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield each request, and what stands beside it."""
    if batch.requests is not None:
        for row in batch.requests:
            yield row["request"], row.get("metadata") or {}
        return
    file = FILES.find(batch.file)
    for line in (b"" if file is None else file.content or b"").split(b"\n"):
        if line.strip():
            row = json.loads(line)
            yield row["request"], {"key": row["key"]}


def _answered(request: RecordedRequest, batch: Batch, asked: dict[str, Any]) -> dict[str, Any]:
    endpoint = f"/v1beta/models/{batch.model}:generateContent"
    call = evolve(request, method="POST", endpoint=endpoint, query_string="", body=json.dumps(asked).encode())
    refusal = check_generate(call)
    if refusal is None:
        return {"response": _read(render_content(call, Reply()))}
    error = _read(render_error(call, refusal))["error"]
    # Without details: the package could not read them.
    return {"error": {"code": _CODES[error["status"]], "message": error["message"]}}


def _read(rendered: Rendered) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(b"".join(rendered.body))
    return read


def _shown(name: str, batch: Batch) -> dict[str, Any]:
    over = batch.state not in ("PENDING", "RUNNING")
    about: dict[str, Any] = {
        "@type": _TYPE,
        "name": name,
        "model": f"models/{batch.model}",
        "displayName": batch.title,
        "createTime": _TIME,
        "updateTime": _TIME,
        **({"endTime": _TIME} if over else {}),
        "batchStats": _stats(batch.rows),
        "state": f"BATCH_STATE_{batch.state}",
    }
    if batch.error is not None:
        return {"name": name, "metadata": about, "done": True, "error": batch.error}
    if not over:
        return {"name": name, "metadata": about}
    output = {"responsesFile": batch.responses} if batch.responses else {"inlinedResponses": {"inlinedResponses": batch.rows}}
    response = {"@type": _TYPE.removesuffix("Batch") + "BatchOutput", **output}
    return {"name": name, "metadata": {**about, "output": output}, "done": True, "response": response}


def _stats(rows: Iterable[dict[str, Any]]) -> dict[str, str]:
    good = ["response" in row for row in rows]
    counts = {"requestCount": len(good), "successfulRequestCount": sum(good), "failedRequestCount": len(good) - sum(good)}
    return {name: str(count) for name, count in counts.items() if count}


def _found(request: RecordedRequest) -> tuple[str, Batch]:
    name = _name(request)
    batch = _batches.find(name)
    assert batch is not None  # checked
    return name, batch


def _name(request: RecordedRequest) -> str:
    found = _BATCH.fullmatch(request.endpoint)
    return found[1] if found else ""


WIRE = Wire(
    routes=(
        Route(method="POST", path=operation("batchGenerateContent"), check=check_create, render=render_create),
        Route(method="GET", path=_LIST, render=render_list),
        Route(method="GET", path=re.compile(r"/v1[a-z0-9]*/batches/[^/:]+"), check=check_batch, render=render_batch),
        Route(method="POST", path=re.compile(r"/v1[a-z0-9]*/batches/[^/:]+:cancel"), check=check_cancel, render=render_cancel),
        *ROUTES,
    ),
    render_error=render_error,
    unauthorized=unauthorized,
    providers=frozenset({"google", "gemini"}),
)

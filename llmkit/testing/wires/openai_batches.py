"""
Files and batches, as OpenAI has them: a batch is seen in progress once, and is done when it is looked at again.

Others have the same.

Source: OpenAI API reference, "Batch" and "Files"; Groq API reference, "Batches"; Alibaba Cloud Model Studio, "OpenAI compatible - Batch
(file input)"; read 2026-11-21.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from attrs import define, evolve, field

from llmkit.testing.replies import Failure, RecordedRequest, Reply
from llmkit.testing.wires import openai_chat, openai_responses
from llmkit.testing.wires.base import Rendered, Route, Wire
from llmkit.testing.wires.batch_store import Store
from llmkit.testing.wires.openai_chat import render_error, unauthorized, whole, written_out

__all__ = ["WIRE"]

LINES = 50_000
SIZE = 200 * 1024 * 1024  # bytes

_CREATED = 1_700_000_000
_FILE = re.compile(r".*/files/([^/]+)/content")
_BATCH = re.compile(r".*/batches/([^/]+)(?:/cancel)?")
# The operations that a batch may consist of, each as its own route answers it.
_OPERATIONS = {"/v1/chat/completions": openai_chat.WIRE.routes[0], "/v1/responses": openai_responses.WIRE.routes[0]}

_FIELDS = frozenset({"custom_id", "method", "url", "body"})
_SAID = frozenset({"input_file_id", "endpoint", "completion_window", "metadata", "output_expires_after"})


@define
class Batch:
    """A batch on its way."""

    input: str
    endpoint: str
    metadata: Any
    key: str | None
    status: str = "validating"
    looks: int = 0
    output: str | None = None
    errors: str | None = None
    refused: list[dict[str, Any]] = field(factory=list)
    counts: tuple[int, int, int] = (0, 0, 0)


_files: Store[tuple[str | None, str, bytes]] = Store("file-fake")
_batches: Store[Batch] = Store("batch_fake")


def _refuse(message: str, *, status: int = 400, code: str | None = None, param: str | None = None) -> Reply:
    return Reply(status=status, failure=Failure(type="invalid_request_error", message=message, code=code, param=param))


# Files.


def _form(request: RecordedRequest) -> dict[str, bytes] | None:
    """Return the fields of a multipart form (RFC 7578); None if the body is none."""
    found = re.fullmatch(r'multipart/form-data; *boundary="?([^";]{1,70})"?', request.headers.get("content-type", ""))
    if found is None:
        return None
    mark = b"--" + found[1].encode()
    first, *parts, last = request.body.split(mark)
    if first.strip() or last.strip() != b"--":
        return None
    fields = {}
    for part in parts:
        head, gap, content = part.partition(b"\r\n\r\n")
        name = re.search(rb'name="([^"]+)"', head)
        if not gap or name is None or not content.endswith(b"\r\n"):
            return None
        fields[name[1].decode()] = content[:-2]
    return fields


def check_upload(request: RecordedRequest) -> Reply | None:
    form = _form(request)
    if form is None:
        return _refuse("Could not parse multipart form")
    for name in ("purpose", "file"):
        if name not in form:
            return _refuse(f"'{name}' is a required property", param=name)
    if form["purpose"] != b"batch":
        return _refuse(f"'{form['purpose'].decode()}' is not one of ['batch'] - 'purpose'", param="purpose")
    if len(form["file"]) > SIZE:
        return _refuse("File is too large.", status=413)
    return None


def render_upload(request: RecordedRequest, reply: Reply) -> Rendered:
    form = _form(request) or {}
    content = form.get("file", b"")
    name = _files.add((request.key, "batch", content))
    return written_out(request, reply) or whole(request, reply, _file(name, len(content), "batch"))


def _file(name: str, size: int, purpose: str) -> dict[str, Any]:
    return {
        "id": name,
        "object": "file",
        "bytes": size,
        "created_at": _CREATED,
        "filename": "batch.jsonl",
        "purpose": purpose,
        "status": "processed",
    }


def check_content(request: RecordedRequest) -> Reply | None:
    name = _name(_FILE, request)
    file = _files.find(name)
    if file is None or file[0] != request.key:
        return _refuse(f"No such File object: {name}", status=404, param="id")
    return None


def render_content(request: RecordedRequest, reply: Reply) -> Rendered:
    file = _files.find(_name(_FILE, request))
    rendered = whole(request, reply, b"" if file is None else file[2])
    return written_out(request, reply) or evolve(rendered, content_type="application/octet-stream")


# Batches.


def check_create(request: RecordedRequest) -> Reply | None:
    try:
        body = request.json
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return _refuse("We could not parse the JSON body of your request.")
    unknown = sorted(body.keys() - _SAID)
    if unknown:
        return _refuse(f"Unknown parameter: '{unknown[0]}'.", code="unknown_parameter", param=unknown[0])
    for name in ("input_file_id", "endpoint", "completion_window"):
        if not isinstance(body.get(name), str):
            return _refuse(f"Missing required parameter: '{name}'.", code="missing_required_parameter", param=name)
    if body["completion_window"] != "24h":
        return _refuse("Invalid value: 'completion_window' must be '24h'.", param="completion_window")
    if body["endpoint"] not in _OPERATIONS:
        return _refuse(f"Invalid value: '{body['endpoint']}'.", code="invalid_value", param="endpoint")
    file = _files.find(body["input_file_id"])
    if file is None or file[0] != request.key:
        return _refuse(f"Invalid file object: {body['input_file_id']}", code="invalid_request", param="input_file_id")
    return None


def render_create(request: RecordedRequest, reply: Reply) -> Rendered:
    body = request.json
    batch = Batch(body["input_file_id"], body["endpoint"], body.get("metadata"), request.key)
    name = _batches.add(batch)
    return written_out(request, reply) or whole(request, reply, _shown(name, batch))


def check_batch(request: RecordedRequest) -> Reply | None:
    name = _name(_BATCH, request)
    batch = _batches.find(name)
    if batch is None or batch.key != request.key:
        return _refuse(f"No batch found with id '{name}'.", status=404)
    return None


def render_batch(request: RecordedRequest, reply: Reply) -> Rendered:
    name = _name(_BATCH, request)
    batch = _batches.find(name)
    assert batch is not None  # checked
    batch.looks += 1
    if batch.status == "validating":
        batch.status = "in_progress"
    elif batch.status == "in_progress":
        _work(request, batch)
    return written_out(request, reply) or whole(request, reply, _shown(name, batch))


def render_cancel(request: RecordedRequest, reply: Reply) -> Rendered:
    name = _name(_BATCH, request)
    batch = _batches.find(name)
    assert batch is not None  # checked
    if batch.status in ("validating", "in_progress"):
        batch.status = "cancelled"
    return written_out(request, reply) or whole(request, reply, _shown(name, batch))


def _work(request: RecordedRequest, batch: Batch) -> None:
    """Answer all lines, or refuse the whole file."""
    file = _files.find(batch.input)
    lines = [] if file is None else [line for line in file[2].split(b"\n") if line.strip()]
    batch.refused = list(_mistakes(lines, batch.endpoint))
    if batch.refused:
        batch.status = "failed"
        return
    good: list[bytes] = []
    bad: list[bytes] = []
    for line in lines:
        row = json.loads(line)
        asked = evolve(request, method="POST", endpoint=row["url"], body=json.dumps(row["body"]).encode())
        route = _OPERATIONS[row["url"]]
        refusal = route.check(asked)
        rendered = route.render(asked, Reply()) if refusal is None else render_error(asked, refusal)
        answer = {"status_code": rendered.status, "request_id": rendered.headers["x-request-id"], "body": json.loads(rendered.body[0])}
        out = {"id": f"batch_req_{len(good) + len(bad)}", "custom_id": row["custom_id"], "response": answer, "error": None}
        (good if refusal is None else bad).append(json.dumps(out).encode() + b"\n")
    # In another order than they were asked in: whoever relies on it is to notice.
    batch.output = _files.add((batch.key, "batch_output", b"".join(reversed(good)))) if good else None
    batch.errors = _files.add((batch.key, "batch_output", b"".join(bad))) if bad else None
    batch.counts = (len(lines), len(good), len(bad))
    batch.status = "completed"


def _mistakes(lines: list[bytes], endpoint: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    seen: set[str] = set()

    def add(code: str, message: str, line: int | None) -> None:
        found.append({"code": code, "message": message, "param": None, "line": line})

    if not lines:
        add("empty_file", "The input file is empty.", None)
    if len(lines) > LINES:
        add("too_many_tasks", f"The input file has more than {LINES} lines.", None)
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict) or row.keys() != _FIELDS or not isinstance(row["body"], dict):
            add("invalid_json_line", "This line is not parseable as valid JSON.", number)
        elif not isinstance(row["custom_id"], str) or row["custom_id"] in seen:
            add("duplicate_custom_id", "The custom_id is missing or not unique.", number)
        elif row["method"] != "POST" or row["url"] != endpoint:
            add("invalid_url", "The URL provided for this request does not match the batch endpoint.", number)
        elif row["body"].get("stream"):
            add("invalid_request", "Streaming is not supported in the Batch API.", number)
        else:
            seen.add(row["custom_id"])
    return found


def _shown(name: str, batch: Batch) -> dict[str, Any]:
    total, completed, failed = batch.counts
    refused: Mapping[str, Any] | None = {"object": "list", "data": batch.refused} if batch.refused else None
    return {
        "id": name,
        "object": "batch",
        "endpoint": batch.endpoint,
        "errors": refused,
        "input_file_id": batch.input,
        "completion_window": "24h",
        "status": batch.status,
        "output_file_id": batch.output,
        "error_file_id": batch.errors,
        "created_at": _CREATED,
        "expires_at": _CREATED + 86400,
        "request_counts": {"total": total, "completed": completed, "failed": failed},
        "metadata": batch.metadata,
    }


def _name(pattern: re.Pattern[str], request: RecordedRequest) -> str:
    found = pattern.fullmatch(request.endpoint)
    return found[1] if found else ""


WIRE = Wire(
    routes=(
        Route(method="POST", path=re.compile(r".*/files"), check=check_upload, render=render_upload),
        Route(method="GET", path=_FILE, check=check_content, render=render_content),
        Route(method="POST", path=re.compile(r".*/v1/batches"), check=check_create, render=render_create),
        Route(method="GET", path=re.compile(r".*/v1/batches/([^/]+)"), check=check_batch, render=render_batch),
        Route(method="POST", path=re.compile(r".*/v1/batches/([^/]+)/cancel"), check=check_batch, render=render_cancel),
    ),
    render_error=render_error,
    unauthorized=unauthorized,
    providers=frozenset({"openai", "openai-responses", "groq", "dashscope", "qwen", "alibaba"}),
)

"""
Message Batches, as Anthropic has them: a batch is seen in progress once, and has ended when it is looked at again.

Source: Anthropic API reference, "Message Batches", read 2026-11-21.
"""

from __future__ import annotations

import json
import re
from typing import Any

from attrs import define, evolve

from llmkit.testing.replies import Failure, RecordedRequest, Reply
from llmkit.testing.wires.anthropic import render_error, render_message, unauthorized, whole, written_out
from llmkit.testing.wires.anthropic_checks import check_messages, check_version
from llmkit.testing.wires.base import Rendered, Route, Wire
from llmkit.testing.wires.batch_store import Store

__all__ = ["WIRE"]

REQUESTS = 100_000

_CREATED = "2026-11-21T09:00:00Z"
_EXPIRES = "2026-11-22T09:00:00Z"
_BATCH = re.compile(r".*/v1/messages/batches/([^/]+)(?:/cancel|/results)?")
_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")


@define
class Batch:
    """A batch on its way."""

    requests: list[dict[str, Any]]
    key: str | None
    status: str = "in_progress"
    looks: int = 0
    cancelled: bool = False


_batches: Store[Batch] = Store("msgbatch_fake")


def _refuse(message: str, *, status: int = 400, type: str = "invalid_request_error") -> Reply:
    return Reply(status=status, failure=Failure(type=type, message=message))


def check_create(request: RecordedRequest) -> Reply | None:
    refusal = check_version(request)
    if refusal is not None:
        return refusal
    try:
        body = request.json
    except ValueError:
        body = None
    if not isinstance(body, dict) or body.keys() != {"requests"} or not isinstance(body["requests"], list):
        return _refuse("requests: Field required")
    if not 1 <= len(body["requests"]) <= REQUESTS:
        return _refuse(f"requests: List should have at least 1 item and at most {REQUESTS}")
    seen: set[str] = set()
    for number, row in enumerate(body["requests"]):
        if not isinstance(row, dict) or row.keys() != {"custom_id", "params"} or not isinstance(row["params"], dict):
            return _refuse(f"requests.{number}: Field required")
        if not isinstance(row["custom_id"], str) or not _ID.fullmatch(row["custom_id"]):
            return _refuse(f"requests.{number}.custom_id: String should match pattern '^[a-zA-Z0-9_-]{{1,64}}$'")
        if row["custom_id"] in seen:
            return _refuse(f"requests.{number}.custom_id: duplicate custom_id")
        if "stream" in row["params"]:
            return _refuse(f"requests.{number}.params.stream: Extra inputs are not permitted")
        seen.add(row["custom_id"])
    return None


def render_create(request: RecordedRequest, reply: Reply) -> Rendered:
    batch = Batch(request.json["requests"], request.key)
    name = _batches.add(batch)
    return written_out(reply) or whole(reply, _shown(request, name, batch))


def check_batch(request: RecordedRequest) -> Reply | None:
    refusal = check_version(request)
    if refusal is not None:
        return refusal
    name = _name(request)
    batch = _batches.find(name)
    if batch is None or batch.key != request.key:
        return _refuse(f"Batch {name} not found", status=404, type="not_found_error")
    if request.endpoint.endswith("/results") and batch.status != "ended":
        return _refuse(f"Batch {name} has no available results. It has not ended.", status=400)
    return None


def render_batch(request: RecordedRequest, reply: Reply) -> Rendered:
    name, batch = _found(request)
    batch.looks += 1
    if batch.looks > 1 or batch.cancelled:
        batch.status = "ended"
    return written_out(reply) or whole(reply, _shown(request, name, batch))


def render_cancel(request: RecordedRequest, reply: Reply) -> Rendered:
    name, batch = _found(request)
    if batch.status == "in_progress":
        batch.status, batch.cancelled = "canceling", True
    return written_out(reply) or whole(reply, _shown(request, name, batch))


def render_results(request: RecordedRequest, reply: Reply) -> Rendered:
    _, batch = _found(request)
    # In another order than they were asked in: whoever relies on it is to notice.
    rows = [json.dumps({"custom_id": row["custom_id"], "result": _result(request, batch, row)}) for row in reversed(batch.requests)]
    rendered = whole(reply, "\n".join(rows).encode() + b"\n")
    return written_out(reply) or evolve(rendered, content_type="application/x-jsonl")


def _result(request: RecordedRequest, batch: Batch, row: dict[str, Any]) -> dict[str, Any]:
    if batch.cancelled:
        return {"type": "canceled"}
    asked = evolve(request, method="POST", endpoint="/v1/messages", body=json.dumps(row["params"]).encode())
    refusal = check_messages(asked)
    if refusal is not None:
        return {"type": "errored", "error": json.loads(render_error(asked, refusal).body[0])}
    return {"type": "succeeded", "message": json.loads(render_message(asked, Reply()).body[0])}


def _shown(request: RecordedRequest, name: str, batch: Batch) -> dict[str, Any]:
    ended = batch.status == "ended"
    total = len(batch.requests)
    url = f"http://{request.headers.get('host', '')}/{request.provider}/v1/messages/batches/{name}/results"
    counts = {"processing": 0 if ended else total, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
    if ended:
        for row in batch.requests:
            counts[_result(request, batch, row)["type"]] += 1
    return {
        "id": name,
        "type": "message_batch",
        "processing_status": batch.status,
        "request_counts": counts,
        "created_at": _CREATED,
        "expires_at": _EXPIRES,
        "ended_at": _CREATED if ended else None,
        "archived_at": None,
        "cancel_initiated_at": _CREATED if batch.cancelled else None,
        "results_url": url if ended else None,
    }


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
        Route(method="POST", path=re.compile(r".*/v1/messages/batches"), check=check_create, render=render_create),
        Route(method="GET", path=re.compile(r".*/v1/messages/batches/([^/]+)"), check=check_batch, render=render_batch),
        Route(method="GET", path=re.compile(r".*/v1/messages/batches/([^/]+)/results"), check=check_batch, render=render_results),
        Route(method="POST", path=re.compile(r".*/v1/messages/batches/([^/]+)/cancel"), check=check_batch, render=render_cancel),
    ),
    render_error=render_error,
    unauthorized=unauthorized,
    providers=frozenset({"anthropic"}),
)

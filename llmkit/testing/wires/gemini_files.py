"""
Files, as AI Studio has them: brought in two steps, and only those that it made itself are given out.

Source: Google AI for Developers, "Files API"; the package google-genai 3.4.0; read 2026-11-21.
"""

from __future__ import annotations

import re
from typing import Any

from attrs import evolve, frozen

from llmkit.testing.replies import RecordedRequest, Reply
from llmkit.testing.wires.base import Rendered, Route
from llmkit.testing.wires.batch_store import Store
from llmkit.testing.wires.gemini import whole, written_out
from llmkit.testing.wires.gemini_turns import refuse

__all__ = ["FILES", "ROUTES", "File"]

SIZE = 2 * 1000 * 1000 * 1000  # bytes

_FILE = re.compile(r"(?:/download)?/v1[a-z0-9]*/(files/[^/:]+)(:download)?")
_TIME = "2026-11-21T09:00:00Z"


@frozen
class File:
    """A file; of one that is still to come, what was announced of it."""

    key: str | None
    kind: str
    size: int
    content: bytes | None = None
    made_here: bool = False


FILES: Store[File] = Store("files/fake")
_announced: Store[File] = Store("upload")


def check_upload(request: RecordedRequest) -> Reply | None:
    command = request.headers.get("x-goog-upload-command")
    if command == "start":
        return _check_start(request)
    announced = _announced.find(request.query.get("upload_id"))
    if announced is None:
        return refuse("Upload has already been terminated.", status=404, word="NOT_FOUND")
    if command != "upload, finalize" or request.headers.get("x-goog-upload-offset") != "0":
        return refuse(f"Invalid X-Goog-Upload-Command: {command}")
    if len(request.body) != announced.size:
        return refuse("The size of the data does not match the announced size.")
    return None


def _check_start(request: RecordedRequest) -> Reply | None:
    if request.headers.get("x-goog-upload-protocol") != "resumable":
        return refuse("Invalid X-Goog-Upload-Protocol.")
    size = request.headers.get("x-goog-upload-header-content-length", "")
    if not size.isdecimal() or not 0 < int(size) <= SIZE:
        return refuse("Invalid X-Goog-Upload-Header-Content-Length.")
    kind = request.headers.get("x-goog-upload-header-content-type", "")
    return None if kind else refuse(f"Unsupported MIME type: {kind}")


def render_upload(request: RecordedRequest, reply: Reply) -> Rendered:
    written = written_out(request, reply)
    if written is not None:
        return written
    if request.headers.get("x-goog-upload-command") == "start":
        kind, size = (request.headers[f"x-goog-upload-header-content-{name}"] for name in ("type", "length"))
        ticket = _announced.add(File(request.key, kind, int(size)))
        url = f"http://{request.headers.get('host', '')}{request.path}?upload_id={ticket}&upload_protocol=resumable"
        return _with(whole(request, reply, None), {"x-goog-upload-url": url, "x-goog-upload-status": "active"})
    announced = _announced.find(request.query.get("upload_id"))
    assert announced is not None  # checked
    name = FILES.add(evolve(announced, content=request.body))
    return _with(whole(request, reply, {"file": _shown(name)}), {"x-goog-upload-status": "final"})


def _with(rendered: Rendered, headers: dict[str, str]) -> Rendered:
    return evolve(rendered, headers={**rendered.headers, **headers})


def check_file(request: RecordedRequest) -> Reply | None:
    name, download = _asked(request)
    file = FILES.find(name)
    if file is None or file.key != request.key:
        message = f"You do not have permission to access the File {name.removeprefix('files/')} or it may not exist."
        return refuse(message, status=403, word="PERMISSION_DENIED")
    if download and (not file.made_here or request.query.get("alt") != "media"):
        return refuse("Only generated files can be downloaded.")
    return None


def render_file(request: RecordedRequest, reply: Reply) -> Rendered:
    name, download = _asked(request)
    file = FILES.find(name)
    assert file is not None  # checked
    written = written_out(request, reply)
    if written is not None or not download:
        return written or whole(request, reply, _shown(name))
    return evolve(whole(request, reply, file.content), content_type="application/octet-stream")


def _asked(request: RecordedRequest) -> tuple[str, bool]:
    found = _FILE.fullmatch(request.endpoint)
    return (found[1], found[2] is not None) if found else ("", False)


def _shown(name: str) -> dict[str, Any]:
    file = FILES.find(name)
    assert file is not None  # the caller has it
    uri = f"https://generativelanguage.googleapis.com/v1beta/{name}"
    return {
        "name": name,
        "mimeType": file.kind,
        "sizeBytes": str(file.size),
        "createTime": _TIME,
        "updateTime": _TIME,
        "uri": uri,
        **({"downloadUri": f"{uri}:download?alt=media"} if file.made_here else {}),
        "state": "ACTIVE",
        "source": "GENERATED" if file.made_here else "UPLOADED",
    }


ROUTES = (
    Route(method="POST", path=re.compile(r"/upload/v1[a-z0-9]*/files"), check=check_upload, render=render_upload),
    Route(method="GET", path=_FILE, check=check_file, render=render_file),
)

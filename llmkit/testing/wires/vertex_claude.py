"""
Claude on Vertex AI: the Messages API inside ``rawPredict``, with Google's door in front.

Behind the door a request is one of Anthropic's whose model stands in the path and whose version stands in the body; what is wrong
there is said in Anthropic's form, what is wrong before in Google's.

Source: Google Cloud, "Request predictions with Claude models"; Anthropic, "Claude on Vertex AI", and its package (2.12), ``lib/vertex``;
read 2026-11-21.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from attrs import evolve

from llmkit.testing.replies import RecordedRequest, Reply
from llmkit.testing.wires import anthropic, gemini
from llmkit.testing.wires.anthropic_checks import check_count, check_messages
from llmkit.testing.wires.anthropic_models import refuse
from llmkit.testing.wires.base import Rendered, Route, Wire
from llmkit.testing.wires.gemini_turns import refuse as refuse_at_the_door
from llmkit.testing.wires.openai_checks import mapping, rows
from llmkit.testing.wires.words import ANTHROPIC

__all__ = ["WIRE"]

_MODEL = re.compile(r"/v1[a-z0-9]*/projects/[^/]+/locations/[^/]+/publishers/anthropic/models/([^/:]+):(rawPredict|streamRawPredict)")
_COUNTING = re.compile(r"/v1[a-z0-9]*/projects/[^/]+/locations/[^/]+/publishers/anthropic/models/count-tokens:rawPredict")

# What the body names, and the version of Anthropic's own that it stands for.
_VERSIONS = {"vertex-2023-10-16": "2023-06-01", "2026-10-21": "2026-10-21"}
_AT_THE_DOOR = frozenset({401, 403, 404, 429})


def _named(request: RecordedRequest) -> tuple[str, str]:
    """Return the model and the method that the path names."""
    found = _MODEL.fullmatch(request.endpoint)
    return (found[1], found[2]) if found else ("", "")


def _unwrapped(request: RecordedRequest) -> RecordedRequest:
    """Return *request* as Anthropic itself would have got it."""
    try:
        body = request.json
    except ValueError:
        return request
    if not isinstance(body, dict):
        return request
    version = _VERSIONS.get(str(body.get("anthropic_version")))
    headers = {name: value for name, value in request.headers.items() if name != "anthropic-version"}
    if version is not None:
        headers["anthropic-version"] = version
    inner = {name: value for name, value in body.items() if name != "anthropic_version"}
    if _COUNTING.fullmatch(request.endpoint) is None:
        inner["model"] = _named(request)[0].replace("@", "-")
    return evolve(request, headers=headers, body=json.dumps(inner).encode())


def check_door(request: RecordedRequest) -> Reply | None:
    """Refuse a request without a token, and a model that does not exist (``no-such-model``)."""
    if not request.headers.get("authorization", "").startswith("Bearer "):
        message = (
            "Request is missing required authentication credential. Expected OAuth 2 access token, login cookie or other valid "
            "authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project."
        )
        return refuse_at_the_door(message, status=401, word="UNAUTHENTICATED", reason="CREDENTIALS_MISSING")
    model, _ = _named(request)
    if "no-such-model" not in model:
        return None
    path = request.endpoint.partition("/projects/")[2].rpartition(":")[0]
    message = (
        f"Publisher Model `projects/{path}` was not found or your project does not have access to it. Please ensure you are using a "
        "valid model version."
    )
    return refuse_at_the_door(message, status=404, word="NOT_FOUND")


def _check_envelope(request: RecordedRequest) -> Reply | None:
    """Refuse a body that names the model or no version, or that wants a stream where there is none."""
    try:
        body = request.json
    except ValueError:
        return None  # told by the check behind this one
    if not isinstance(body, dict):
        return None
    if body.get("anthropic_version") is None:
        return refuse("anthropic_version: Field required")
    if body["anthropic_version"] not in _VERSIONS:
        return refuse(f"anthropic_version: Input should be one of {', '.join(_VERSIONS)}")
    if _COUNTING.fullmatch(request.endpoint) is not None:
        return None
    if "model" in body:
        return refuse("model: Extra inputs are not permitted")
    streams = _named(request)[1] == "streamRawPredict"
    return refuse(f"stream: Input should be {str(streams).lower()} here") if bool(body.get("stream")) is not streams else None


def check_messages_here(request: RecordedRequest) -> Reply | None:
    """Return the refusal of a request for a message, or None."""
    return check_door(request) or _check_envelope(request) or _check_links(request) or check_messages(_unwrapped(request))


def check_count_here(request: RecordedRequest) -> Reply | None:
    """Return the refusal of a request to count tokens, or None."""
    return check_door(request) or _check_envelope(request) or check_count(_unwrapped(request))


def _check_links(request: RecordedRequest) -> Reply | None:
    """Refuse pictures and documents that are elsewhere."""
    try:
        body = mapping(request.json)
    except ValueError:
        return None
    for turn, message in enumerate(rows(body.get("messages"))):
        for number, block in enumerate(rows(message.get("content"))):
            if mapping(block.get("source")).get("type") == "url":
                return refuse(f"messages.{turn}.content.{number}.{block.get('type')}.source.base64.data: URL sources are not supported")
    return None


def _inside(render: Callable[[RecordedRequest, Reply], Rendered]) -> Callable[[RecordedRequest, Reply], Rendered]:
    return lambda request, reply: _as_google_sends(render(_unwrapped(request), reply))


def _as_google_sends(rendered: Rendered) -> Rendered:
    headers: Mapping[str, Any] = {name: value for name, value in rendered.headers.items() if not name.startswith("anthropic-")}
    return evolve(rendered, headers={**headers, "vary": "Origin, X-Origin, Referer"})


def render_error(request: RecordedRequest, reply: Reply) -> Rendered:
    """Return an error in the form of whoever refuses: Google at its door, which streams a list, or the model's host behind it."""
    kind = reply.failure.type if reply.failure is not None else None
    at_the_door = reply.status in _AT_THE_DOOR if kind is None else kind.isupper()
    if not at_the_door:
        return _as_google_sends(anthropic.render_error(request, reply))
    rendered = gemini.render_error(request, reply)
    if reply.raw is None and _named(request)[1] == "streamRawPredict" and rendered.body:
        return evolve(rendered, body=(b"[%b]" % b"".join(rendered.body),))
    return rendered


WIRE = Wire(
    routes=(
        Route(method="POST", path=_COUNTING, check=check_count_here, render=_inside(anthropic.render_count)),
        Route(method="POST", path=_MODEL, check=check_messages_here, render=_inside(anthropic.render_message)),
    ),
    render_error=render_error,
    unauthorized=gemini.unauthorized,
    words=ANTHROPIC,
    providers=gemini.VERTEX,
)

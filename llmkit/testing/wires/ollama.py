"""
Ollama's own API: chat, models and embeddings, with streams in lines of JSON.

Its OpenAI-compatible route, on the same host, is the family's.

Source: Ollama, docs/api.md, api/types.go and server/routes.go at fb3076099 (August 2026), read 2026-11-21.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

from attrs import evolve

from llmkit.testing.replies import Event, Failure, RecordedRequest, Reply, ToolUse
from llmkit.testing.wires.base import Rendered, Route, Wire, json_bytes
from llmkit.testing.wires.ollama_checks import CAPABILITIES, check_chat, check_embed, check_show, context_of
from llmkit.testing.wires.openai_answers import Answer, answer, cut_words
from llmkit.testing.wires.openai_chat import vector
from llmkit.testing.wires.openai_checks import mapping, rows
from llmkit.testing.wires.words import OLLAMA

__all__ = ["MODELS", "WIRE"]

MODELS = ("llama3.2:latest", "qwen3:8b", "gpt-oss:20b", "gemma3:4b", "nomic-embed-text:latest")
VERSION = "0.17.4"

_CREATED = "2026-11-21T09:00:00.123456789Z"
_DIMENSIONS = 8

_ERRORS: dict[int, str] = {
    400: "invalid request",
    401: "unauthorized",
    403: "ollama cloud is disabled: remote model details are unavailable",
    404: "model 'x' not found",
    429: "too many requests",
    499: "request cancelled",
    500: "an error was encountered while running the model: unexpected EOF",
    502: "upstream error",
    503: "server busy, please try again.  maximum pending requests exceeded",
}
_FINISH = {"tool_calls": "stop"}  # the one reason that it has no word for


def _whole(reply: Reply, data: Any) -> Rendered:
    """Return a JSON answer; without *data*, one without a body."""
    headers = {} if reply.request_id is None else {"x-request-id": reply.request_id}
    body = () if data is None else (json_bytes(data),)
    return Rendered(status=reply.status, content_type="application/json; charset=utf-8", headers=headers, body=body)


def _streamed(reply: Reply, lines: Iterator[bytes]) -> Rendered:
    headers = {} if reply.request_id is None else {"x-request-id": reply.request_id}
    return Rendered(status=reply.status, content_type="application/x-ndjson", headers=headers, body=tuple(lines), streamed=True)


def line(event: Event) -> bytes:
    """Return one line of a stream; text and bytes that end with a newline are sent as they are."""
    data = event if isinstance(event, bytes) else event.encode() if isinstance(event, str) else json_bytes(event)
    return data if data.endswith(b"\n") else data + b"\n"


def _written_out(reply: Reply) -> Rendered | None:
    """Return what the script wants sent as it is, if anything."""
    if reply.events is not None:
        return _streamed(reply, map(line, reply.events))
    if reply.raw is not None:
        return _whole(reply, reply.raw)
    if reply.status < 200 or reply.status == 204 or 300 <= reply.status < 400:
        return _whole(reply, None)
    return None


# Errors.


def render_error(_request: RecordedRequest, reply: Reply) -> Rendered:
    """Return an error in Ollama's form, which has nothing but a sentence."""
    written = _written_out(reply)
    if written is not None:
        return written
    failure = reply.failure or Failure()
    message = failure.message
    if message is None:
        message = _ERRORS.get(reply.status, _ERRORS[500 if reply.status >= 500 else 400])
    signin = {"signin_url": "https://ollama.com/connect?name=fake&key=fake"} if reply.status == 401 else {}
    return _whole(reply, {"error": message, **signin})


def unauthorized(_request: RecordedRequest) -> Reply:
    """Return the refusal of a missing or unknown key, as ollama.com gives it: a server of one's own asks for none."""
    return Reply(status=401, failure=Failure(message="unauthorized"))


# Chat.


def render_chat(request: RecordedRequest, reply: Reply) -> Rendered:
    """Return an answer, whole or in lines, as the request asks: in lines unless it says otherwise."""
    written = _written_out(reply)
    if written is not None:
        return written
    try:
        body = mapping(request.json)
    except ValueError:
        body = {}
    model = str(body.get("model", ""))
    top = {"model": model if reply.model is None else reply.model, "created_at": _CREATED}
    if not body.get("messages") and not reply.says_something:
        done = {**top, "message": {"role": "assistant", "content": ""}, "done_reason": "load", "done": True}
        return _whole(reply, done)
    said = answer(_in_openai_words(body), evolve(reply, usage=None), model=model)
    last = {**_reason(said), "done": True, **_metrics(said), **(reply.usage or {})}
    if body.get("stream", True):
        return _streamed(reply, _lines(top, said, last))
    return _whole(reply, {**top, "message": _message(said), **last})


def _in_openai_words(body: dict[str, Any]) -> dict[str, Any]:
    """Return what the fake model must know of the request, in the words in which it was taught."""
    options, wanted = mapping(body.get("options")), body.get("format")
    asked: dict[str, Any] = {"messages": rows(body.get("messages")), "stop": options.get("stop")}
    limit = options.get("num_predict")
    if isinstance(limit, int) and limit > 0:
        asked["max_tokens"] = limit
    if isinstance(wanted, dict):
        asked["response_format"] = {"type": "json_schema", "json_schema": {"schema": wanted}}
    elif wanted == "json":
        asked["response_format"] = {"type": "json_object"}
    return asked


def _reason(said: Answer) -> dict[str, Any]:
    return {"done_reason": _FINISH.get(said.finish_reason, said.finish_reason)}


def _metrics(said: Answer) -> dict[str, Any]:
    """Return durations in nanoseconds, and counts; a count of nothing is left out, as Go's encoder does."""
    counts = {"prompt_eval_count": said.usage["prompt_tokens"], "eval_count": said.usage["completion_tokens"]}
    durations = {"total_duration": 182242375, "load_duration": 41295167, "prompt_eval_duration": 24573166, "eval_duration": 115959084}
    return {**durations, **{name: number for name, number in counts.items() if number}}


def _message(said: Answer) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": _text(said)}
    if said.thinking:
        message["thinking"] = said.thinking
    if said.calls:
        message["tool_calls"] = [_call(call) for call in said.calls]
    return message


def _text(said: Answer) -> str:
    # It has no place for a refusal but the text.
    return (said.text or "") + (said.refusal or "")


def _call(call: ToolUse) -> dict[str, Any]:
    # All calls have the index 0, as those of most of its parsers do.
    return {"id": call.id, "function": {"index": 0, "name": call.name, "arguments": _arguments(call)}}


def _arguments(call: ToolUse) -> Any:
    if not isinstance(call.arguments, str):
        return dict(call.arguments)
    try:
        return json.loads(call.arguments)
    except ValueError:
        return call.arguments  # a script that wants to send nonsense may


def _lines(top: dict[str, Any], said: Answer, last: dict[str, Any]) -> Iterator[bytes]:
    def piece(**fields: Any) -> bytes:
        return line({**top, "message": {"role": "assistant", "content": "", **fields}, "done": False})

    for thought in cut_words(said.thinking):
        yield piece(thinking=thought)
    for text in said.pieces or ():
        yield piece(content=text)
    if said.refusal:
        yield piece(content=said.refusal)
    for call in said.calls:
        yield piece(tool_calls=[_call(call)])
    yield line({**top, "message": {"role": "assistant", "content": ""}, **last})


# Models and embeddings.


def render_tags(_request: RecordedRequest, reply: Reply) -> Rendered:
    """Return the list of models."""
    return _written_out(reply) or _whole(reply, {"models": [_row(name) for name in MODELS]})


def _row(name: str) -> dict[str, Any]:
    digest = hashlib.sha256(name.encode()).hexdigest()
    return {"name": name, "model": name, "modified_at": _CREATED, "size": 2019393189, "digest": digest, "details": _details(name)}


def _details(name: str) -> dict[str, Any]:
    family = name.partition(":")[0]
    return {
        "parent_model": "",
        "format": "gguf",
        "family": family,
        "families": [family],
        "parameter_size": "3.2B",
        "quantization_level": "Q4_K_M",
        "context_length": context_of(name),
    }


def render_show(request: RecordedRequest, reply: Reply) -> Rendered:
    """Return what is known of one model."""
    written = _written_out(reply)
    if written is not None:
        return written
    name = str(mapping(request.json).get("model", ""))
    family = name.partition(":")[0]
    info = {"general.architecture": "fake", "fake.context_length": context_of(name), "fake.embedding_length": _DIMENSIONS}
    capabilities = list(CAPABILITIES.get(family, ("completion", "tools", "thinking", "vision")))
    return _whole(reply, {"details": _details(name), "model_info": info, "capabilities": capabilities, "modified_at": _CREATED})


def render_version(_request: RecordedRequest, reply: Reply) -> Rendered:
    """Return the server's version."""
    return _written_out(reply) or _whole(reply, {"version": VERSION})


def render_health(_request: RecordedRequest, reply: Reply) -> Rendered:
    """Return the sentence that says that it runs."""
    written = _written_out(reply)
    return written or Rendered(status=reply.status, content_type="text/plain; charset=utf-8", body=(b"Ollama is running",))


def render_embed(request: RecordedRequest, reply: Reply) -> Rendered:
    """Return a vector of length one for each input, the same for the same input."""
    written = _written_out(reply)
    if written is not None:
        return written
    body = mapping(request.json)
    given = body.get("input") or []
    inputs = [given] if isinstance(given, str) else given
    vectors = [vector(text, body.get("dimensions") or _DIMENSIONS) for text in inputs]
    counted = {"prompt_eval_count": sum(text.count(" ") + 1 for text in inputs)}
    return _whole(reply, {"model": body.get("model"), "embeddings": vectors, "total_duration": 14143917, **counted})


WIRE = Wire(
    routes=(
        Route(method="POST", path=re.compile(r"/api/chat"), check=check_chat, render=render_chat),
        Route(method="POST", path=re.compile(r"/api/embed"), check=check_embed, render=render_embed),
        Route(method="POST", path=re.compile(r"/api/show"), check=check_show, render=render_show),
        Route(method="GET", path=re.compile(r"/api/tags"), render=render_tags),
        Route(method="GET", path=re.compile(r"/api/version"), render=render_version),
        Route(method="GET", path=re.compile(r"/?"), render=render_health),
    ),
    render_error=render_error,
    unauthorized=unauthorized,
    words=OLLAMA,
    providers=frozenset({"ollama"}),
    bases={"ollama": ""},
)

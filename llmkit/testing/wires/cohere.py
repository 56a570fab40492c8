"""
Cohere's API, version 2: chat, embeddings, ranking, models and tokens.

Source: Cohere API reference, its OpenAPI document at e814c8a1, the package cohere 7.3.1, and recorded traffic; read 2026-11-21.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import evolve

from llmkit.testing.replies import Failure, RecordedRequest, Reply, ToolUse
from llmkit.testing.wires.base import Rendered, Route, Wire, json_bytes, sse
from llmkit.testing.wires.cohere_checks import check_chat, check_embed, check_model, check_rerank, check_tokenize
from llmkit.testing.wires.openai_answers import Answer, answer, cut_words
from llmkit.testing.wires.openai_chat import vector
from llmkit.testing.wires.openai_checks import mapping
from llmkit.testing.wires.words import COHERE

__all__ = ["MODELS", "WIRE"]

# Name, operations, length of the window, what else it can do.
MODELS: tuple[tuple[str, tuple[str, ...], int, tuple[str, ...]], ...] = (
    ("command-a-plus-05-2026", ("chat",), 256_000, ("tools", "json_schema", "vision", "reasoning")),
    ("command-a-reasoning-08-2025", ("chat",), 256_000, ("tools", "json_schema", "reasoning")),
    ("command-a-03-2025", ("chat",), 256_000, ("tools", "json_schema")),
    ("command-r7b-12-2024", ("chat",), 128_000, ("tools", "json_schema")),
    ("embed-v4.0", ("embed",), 128_000, ()),
    ("rerank-v4.0-fast", ("rerank",), 32_000, ()),
)

_MODEL = re.compile(r"/v1/models/(.+)")
_DIMENSIONS = 8
_PREAMBLE = 100  # tokens of Cohere's own prompt, which are read but not charged for
_ARGUMENT_PIECE = 12  # characters of a tool call's arguments per stream event
_numbers = itertools.count(1)

_ERRORS: dict[int, str] = {
    400: "invalid request",
    401: "invalid api token",
    402: "Please add or update your payment method at https://dashboard.cohere.com/billing to continue.",
    403: "forbidden",
    404: "model 'x' not found, make sure the correct model ID was used and that you have access to the model.",
    408: "request timeout",
    422: "unprocessable entity",
    429: "You are past the per minute request limit, please wait and try again later.",
    498: "the request contains a deny-listed token",
    499: "request cancelled",
    500: "internal server error, this has been reported to our developers.",
    501: "not implemented",
    503: "service unavailable",
    504: "gateway timeout",
}
_FINISH = {"stop": "COMPLETE", "length": "MAX_TOKENS", "tool_calls": "TOOL_CALL"}


def _headers(reply: Reply) -> dict[str, str]:
    return {"x-debug-trace-id": reply.request_id or f"{next(_numbers):032x}", "num_chars": "10", "num_tokens": "5"}


def _whole(reply: Reply, data: Any) -> Rendered:
    """Return a JSON answer; without *data*, one without a body."""
    return Rendered(status=reply.status, headers=_headers(reply), body=() if data is None else (json_bytes(data),))


def _streamed(reply: Reply, events: Iterator[bytes]) -> Rendered:
    headers = {**_headers(reply), "cache-control": "no-cache"}
    return Rendered(status=reply.status, content_type="text/event-stream", headers=headers, body=tuple(events), streamed=True)


def _written_out(reply: Reply) -> Rendered | None:
    """Return what the script wants sent as it is, if anything."""
    if reply.events is not None:
        return _streamed(reply, map(sse, reply.events))
    if reply.raw is not None:
        return _whole(reply, reply.raw)
    if reply.status < 200 or reply.status == 204 or 300 <= reply.status < 400:
        return _whole(reply, None)
    return None


def _identifier() -> str:
    return f"00000000-0000-4000-8000-{next(_numbers):012d}"


# Errors.


def render_error(_request: RecordedRequest, reply: Reply) -> Rendered:
    """Return an error in Cohere's form: an id and a sentence."""
    written = _written_out(reply)
    if written is not None:
        return written
    message = (reply.failure or Failure()).message
    if message is None:
        message = _ERRORS.get(reply.status, _ERRORS[500 if reply.status >= 500 else 400])
    return _whole(reply, {"id": _identifier(), "message": message})


def unauthorized(request: RecordedRequest) -> Reply:
    """Return the refusal of a missing or unknown key."""
    message = "no api key supplied" if request.key is None else "invalid api token"
    return Reply(status=401, failure=Failure(message=message))


# Chat.


def render_chat(request: RecordedRequest, reply: Reply) -> Rendered:
    """Return an answer, whole or as a stream, as the request asks."""
    written = _written_out(reply)
    if written is not None:
        return written
    body = _body(request)
    said = answer(_in_openai_words(body), evolve(reply, usage=None), model=str(body.get("model", "")))
    answer_id = reply.id if reply.id is not None else _identifier()
    refused = said.refusal is not None and reply.finish_reason is None
    reason = "ERROR_TOXIC" if refused else _FINISH.get(said.finish_reason, said.finish_reason)
    end = {"finish_reason": reason, "usage": {**_usage(said), **(reply.usage or {})}}
    if body.get("stream"):
        return _streamed(reply, _events(answer_id, said, end))
    return _whole(reply, {"id": answer_id, **end, "message": _message(said)})


def _body(request: RecordedRequest) -> dict[str, Any]:
    """Return the decoded body; whatever is none counts as empty, since a script may answer it all the same."""
    try:
        return mapping(request.json)
    except ValueError:
        return {}


def _in_openai_words(body: dict[str, Any]) -> dict[str, Any]:
    """Return what the fake model must know of the request, in the words in which it was taught."""
    wanted = mapping(body.get("response_format"))
    asked = {name: body.get(name) for name in ("messages", "tools", "max_tokens")}
    asked["stop"] = body.get("stop_sequences")
    if body.get("tool_choice") == "REQUIRED":
        asked["tool_choice"] = "required"
    if wanted.get("json_schema"):
        asked["response_format"] = {"type": "json_schema", "json_schema": {"schema": wanted["json_schema"]}}
    elif wanted:
        asked["response_format"] = wanted
    return asked


def _usage(said: Answer) -> dict[str, Any]:
    given, made = said.usage["prompt_tokens"], said.usage["completion_tokens"]
    return {
        "billed_units": {"input_tokens": given, "output_tokens": made},
        "tokens": {"input_tokens": given + _PREAMBLE, "output_tokens": made},
        "cached_tokens": 0,
    }


def _text(said: Answer) -> str:
    # It has no place for a refusal but the text.
    return (said.text or "") + (said.refusal or "")


def _blocks(said: Answer) -> list[dict[str, Any]]:
    thinking = [{"type": "thinking", "thinking": said.thinking}] if said.thinking else []
    # Beside calls the text is the plan.
    text = [] if said.calls or not _text(said) else [{"type": "text", "text": _text(said)}]
    return [*thinking, *text]


def _message(said: Answer) -> dict[str, Any]:
    parts = {
        "content": _blocks(said),
        "tool_plan": _text(said) if said.calls else "",
        "tool_calls": [_call(call) for call in said.calls],
    }
    return {"role": "assistant", **{key: value for key, value in parts.items() if value}}


def _call(call: ToolUse, *, whole: bool = True) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments_text if whole else ""}}


def _event(kind: str, **fields: Any) -> bytes:
    return b"event: %b\n%b" % (kind.encode(), sse({"type": kind, **fields}))


def _of_message(**fields: Any) -> dict[str, Any]:
    return {"message": fields}


def _events(answer_id: str, said: Answer, end: Mapping[str, Any]) -> Iterator[bytes]:
    start = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    yield _event("message-start", id=answer_id, delta=_of_message(**start))
    index = 0
    if said.thinking:
        yield from _content(index, "thinking", cut_words(said.thinking))
        index += 1
    pieces = (*(said.pieces or ()), *([said.refusal] if said.refusal else []))
    if said.calls:
        for piece in pieces:
            yield _event("tool-plan-delta", delta=_of_message(tool_plan=piece))
    elif pieces:
        yield from _content(index, "text", pieces)
    for number, call in enumerate(said.calls):
        yield from _call_events(number, call)
    yield _event("message-end", delta=end)


def _content(index: int, kind: str, pieces: tuple[str, ...]) -> Iterator[bytes]:
    yield _event("content-start", index=index, delta=_of_message(content={"type": kind, kind: ""}))
    for piece in pieces:
        yield _event("content-delta", index=index, delta=_of_message(content={kind: piece}))
    yield _event("content-end", index=index)


def _call_events(number: int, call: ToolUse) -> Iterator[bytes]:
    # An object, whatever the name of the field promises.
    yield _event("tool-call-start", index=number, delta=_of_message(tool_calls=_call(call, whole=False)))
    text = call.arguments_text
    for start in range(0, len(text), _ARGUMENT_PIECE):
        piece = {"function": {"arguments": text[start : start + _ARGUMENT_PIECE]}}
        yield _event("tool-call-delta", index=number, delta=_of_message(tool_calls=piece))
    yield _event("tool-call-end", index=number)


# The rest.


def render_models(request: RecordedRequest, reply: Reply) -> Rendered:
    """Return the list of models, those of one operation where that is asked for."""
    written = _written_out(reply)
    if written is not None:
        return written
    endpoint = request.query.get("endpoint")
    return _whole(reply, {"models": [_row(*model) for model in MODELS if endpoint is None or endpoint in model[1]]})


def check_one_model(request: RecordedRequest) -> Reply | None:
    """Refuse a model that does not exist."""
    return check_model(_named_model(request))


def render_model(request: RecordedRequest, reply: Reply) -> Rendered:
    """Return what is known of one model."""
    name = _named_model(request)
    known = next((model for model in MODELS if model[0] == name), (name, ("chat",), 128_000, ()))
    return _written_out(reply) or _whole(reply, _row(*known))


def _named_model(request: RecordedRequest) -> str:
    named = _MODEL.fullmatch(request.endpoint)
    return named.group(1) if named else ""


def _row(name: str, endpoints: tuple[str, ...], window: int, features: tuple[str, ...]) -> dict[str, Any]:
    return {
        "name": name,
        "is_deprecated": False,
        "endpoints": list(endpoints),
        "finetuned": False,
        "context_length": window,
        "tokenizer_url": None,
        "features": list(features) or None,
        "default_endpoints": [],
    }


def render_embed(request: RecordedRequest, reply: Reply) -> Rendered:
    """Return a vector of length one for each input, the same for the same input."""
    written = _written_out(reply)
    if written is not None:
        return written
    body = _body(request)
    given = body.get("texts") or body.get("images") or body.get("inputs") or []
    vectors = [vector(one, body.get("output_dimension") or _DIMENSIONS) for one in given]
    counted = sum(str(one).count(" ") + 1 for one in given)
    meta = {"api_version": {"version": "2"}, "billed_units": {"input_tokens": counted}}
    texts = {"texts": given} if body.get("texts") else {}
    answered = {"id": _identifier(), "embeddings": {"float": vectors}, **texts, "meta": meta, "response_type": "embeddings_by_type"}
    return _whole(reply, answered)


def render_rerank(request: RecordedRequest, reply: Reply) -> Rendered:
    """Return the documents by how many words of the query they have."""
    written = _written_out(reply)
    if written is not None:
        return written
    body = _body(request)
    words = set(str(body.get("query")).lower().split())
    scores = [(len(words & set(str(text).lower().split())) / max(len(words), 1), index) for index, text in enumerate(body["documents"])]
    best = sorted(scores, key=lambda pair: (-pair[0], pair[1]))[: body.get("top_n")]
    meta = {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}}
    results = [{"index": index, "relevance_score": score} for score, index in best]
    return _whole(reply, {"id": _identifier(), "results": results, "meta": meta})


def render_tokenize(request: RecordedRequest, reply: Reply) -> Rendered:
    """Return the words of a text as its tokens."""
    words = cut_words(str(_body(request).get("text", "")))
    meta = {"api_version": {"version": "1"}}
    return _written_out(reply) or _whole(reply, {"tokens": list(range(len(words))), "token_strings": list(words), "meta": meta})


WIRE = Wire(
    routes=(
        Route(method="POST", path=re.compile(r"/v2/chat"), check=check_chat, render=render_chat),
        Route(method="POST", path=re.compile(r"/v2/embed"), check=check_embed, render=render_embed),
        Route(method="POST", path=re.compile(r"/v2/rerank"), check=check_rerank, render=render_rerank),
        Route(method="POST", path=re.compile(r"/v1/tokenize"), check=check_tokenize, render=render_tokenize),
        Route(method="GET", path=re.compile(r"/v1/models"), render=render_models),
        Route(method="GET", path=_MODEL, check=check_one_model, render=render_model),
    ),
    render_error=render_error,
    unauthorized=unauthorized,
    words=COHERE,
    providers=frozenset({"cohere"}),
    bases={"cohere": ""},
)

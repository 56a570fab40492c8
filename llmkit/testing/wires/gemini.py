"""
Google's Gemini: ``generateContent``, whole and as a stream, with models and counts, as AI Studio and Vertex AI have them.

Source: Google AI for Developers, "Generating content", "Models", "Counting tokens"; Google Cloud, "generateContent";
recorded traffic; read 2026-11-21.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import evolve, frozen

from llmkit.testing.replies import Event, Failure, RecordedRequest, Reply, ToolUse
from llmkit.testing.wires.base import Rendered, Route, Wire, json_bytes
from llmkit.testing.wires.gemini_checks import check_count, check_door, check_generate, check_model, decoded, model_of
from llmkit.testing.wires.gemini_turns import is_late, refuse, sealed
from llmkit.testing.wires.openai_answers import Answer, answer, cut_words
from llmkit.testing.wires.openai_checks import mapping, rows
from llmkit.testing.wires.words import GEMINI

__all__ = ["MODELS", "VERTEX", "WIRE", "operation", "render_error", "text_of", "unauthorized", "whole", "written_out"]

MODELS = ("gemini-2.5-flash", "gemini-2.5-pro", "gemini-3-flash-preview", "gemini-3.8-flash", "gemini-embedding-001")

_INPUT_LIMIT, _OUTPUT_LIMIT = 1048576, 65536
VERTEX = frozenset({"vertex", "vertexai", "google-vertex"})
_THOUGHT = "The user wants an answer."

_numbers = itertools.count(1)

# Status: Google's word for it, the reason in its details, and the sentence, for errors of which the script says no more.
_ERRORS: dict[int, tuple[str, str | None, str]] = {
    400: ("INVALID_ARGUMENT", None, "Request contains an invalid argument."),
    401: ("UNAUTHENTICATED", "ACCESS_TOKEN_EXPIRED", "Request had invalid authentication credentials. Expected OAuth 2 access token."),
    403: ("PERMISSION_DENIED", "SERVICE_DISABLED", "Generative Language API has not been used in project 1 before or it is disabled."),
    404: ("NOT_FOUND", None, "models/x is not found for API version v1beta, or is not supported for generateContent."),
    408: ("DEADLINE_EXCEEDED", None, "Deadline expired before operation could complete."),
    413: ("INVALID_ARGUMENT", None, "Request payload size exceeds the limit: 20971520 bytes."),
    429: ("RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED", "Resource has been exhausted (e.g. check quota)."),
    499: ("CANCELLED", None, "The operation was cancelled."),
    500: (
        "INTERNAL",
        None,
        "An internal error has occurred. Please retry or report in https://developers.generativeai.google/guide/troubleshooting",
    ),
    502: ("UNAVAILABLE", None, "Bad gateway."),
    503: ("UNAVAILABLE", None, "The model is overloaded. Please try again later."),
    504: ("DEADLINE_EXCEEDED", None, "Deadline expired before operation could complete."),
}
_FINISH = {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP", "content_filter": "SAFETY"}


def _headers(request: RecordedRequest, reply: Reply) -> dict[str, str]:
    tier = {} if request.provider in VERTEX else {"x-gemini-service-tier": "standard"}
    return {"vary": "Origin, X-Origin, Referer", **tier, **({} if reply.request_id is None else {"x-request-id": reply.request_id})}


def whole(request: RecordedRequest, reply: Reply, data: Any) -> Rendered:
    """Return a JSON answer; without *data*, one without a body."""
    body = () if data is None else (json_bytes(data),)
    kind = "application/json; charset=UTF-8"
    return Rendered(status=reply.status, content_type=kind, headers=_headers(request, reply), body=body)


def _streamed(request: RecordedRequest, reply: Reply, events: Iterator[bytes], *, kind: str = "text/event-stream") -> Rendered:
    headers = {**_headers(request, reply), "content-disposition": "attachment"}
    return Rendered(status=reply.status, content_type=kind, headers=headers, body=tuple(events), streamed=True)


def event(said: Event) -> bytes:
    """Return one event of a stream; text and bytes that end with a newline are sent as they are."""
    data = said if isinstance(said, bytes) else said.encode() if isinstance(said, str) else json_bytes(said)
    return data if data.endswith(b"\n") else b"data: %b\r\n\r\n" % data


def written_out(request: RecordedRequest, reply: Reply) -> Rendered | None:
    """Return what the script wants sent as it is, if anything."""
    if reply.events is not None:
        return _streamed(request, reply, map(event, reply.events))
    if reply.raw is not None:
        return whole(request, reply, reply.raw)
    if reply.status < 200 or reply.status == 204 or 300 <= reply.status < 400:
        return whole(request, reply, None)
    return None


# Errors.


def render_error(request: RecordedRequest, reply: Reply) -> Rendered:
    """Return an error in Google's form."""
    written = written_out(request, reply)
    if written is not None:
        return written
    failure = reply.failure or Failure()
    word, reason, message = _ERRORS.get(reply.status, _ERRORS[500 if reply.status >= 500 else 400])
    bare = failure.type is None and failure.message is None and failure.code is None
    error: dict[str, Any] = {
        "code": reply.status,
        "message": message if failure.message is None else failure.message,
        # The server's own refusal of a path speaks in another family's words.
        "status": word if failure.type in (None, "invalid_request_error") else failure.type,
    }
    details = list(_details(failure, reason if bare else None, reply))
    if details:
        error["details"] = details
    body: Any = {"error": error}
    if request.endpoint.endswith(":streamGenerateContent") and request.query.get("alt") != "sse":
        body = [body]
    return whole(request, reply, body)


def _details(failure: Failure, reason: str | None, reply: Reply) -> Iterator[dict[str, Any]]:
    reason = reason if failure.code is None else str(failure.code)
    if reason is not None:
        domain = {"domain": "googleapis.com", "metadata": {"service": "generativelanguage.googleapis.com"}}
        yield {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, **domain}
    if failure.param is not None:
        violation = {"field": failure.param, "description": failure.message or ""}
        yield {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]}
    wait = str(reply.headers.get("retry-after") or "")
    if re.fullmatch(r"[0-9.]+", wait):
        yield {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{wait}s"}


def unauthorized(request: RecordedRequest) -> Reply:
    """Return the refusal of a missing or unknown key or token."""
    if "authorization" in request.headers:
        message = (
            "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication "
            "credential. See https://developers.google.com/identity/sign-in/web/devconsole-project."
        )
        return refuse(message, status=401, word="UNAUTHENTICATED", reason="ACCESS_TOKEN_EXPIRED")
    if request.key is None:
        message = (
            "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other form of API "
            "consumer identity to call this API."
        )
        return refuse(message, status=403, word="PERMISSION_DENIED")
    return refuse("API key not valid. Please pass a valid API key.", reason="API_KEY_INVALID")


# Content.


@frozen(kw_only=True)
class _Said:
    """An answer and what stands around it."""

    answer: Answer
    parts: tuple[dict[str, Any], ...]
    """All parts but the text."""
    seal: str | None
    """The seal on the text."""
    reason: str
    usage: Mapping[str, Any]
    top: Mapping[str, Any]

    def piece(self, parts: list[dict[str, Any]], *, last: bool = False) -> dict[str, Any]:
        """Return *parts* as an answer, or as a piece of one."""
        finish = {"finishReason": self.reason} if last else {}
        content = {"parts": parts, "role": "model"} if parts else {}
        return {"candidates": [{"content": content, **finish, "index": 0}], "usageMetadata": self.usage, **self.top}


def _said(request: RecordedRequest, reply: Reply) -> _Said:
    body = decoded(request)
    body = {} if isinstance(body, Reply) else body
    model = model_of(request)
    thinking = mapping(mapping(body.get("generationConfig")).get("thinkingConfig"))
    said = answer(_in_openai_words(body), evolve(reply, usage=None), model=model)
    if thinking.get("includeThoughts") and not reply.says_something:
        said = evolve(said, thinking=_THOUGHT)
    late = is_late(model)
    parts: list[dict[str, Any]] = [{"text": said.thinking, "thought": True}] if said.thinking else []
    scripted = {call.id for call in reply.tool_calls}
    for number, call in enumerate(said.calls):
        own = {"id": call.id} if late or call.id in scripted else {}
        part: dict[str, Any] = {"functionCall": {"name": call.name, "args": _arguments(call), **own}}
        if number == 0 and (late or said.thinking):
            part["thoughtSignature"] = sealed(call.name)
        parts.append(part)
    answer_id = reply.id if reply.id is not None else f"fake{next(_numbers):08d}"
    return _Said(
        answer=said,
        parts=tuple(parts),
        seal=sealed(said.text or "") if said.thinking and not said.calls else None,
        reason=_FINISH.get(said.finish_reason, said.finish_reason),
        usage=_usage(said, reply.usage, request.provider),
        top={"modelVersion": model if reply.model is None else reply.model, "responseId": answer_id},
    )


def _arguments(call: ToolUse) -> Any:
    if not isinstance(call.arguments, str):
        return dict(call.arguments)
    try:
        return json.loads(call.arguments)
    except ValueError:
        return call.arguments  # no object, as a script wants it


def _usage(said: Answer, override: Mapping[str, Any] | None, provider: str) -> dict[str, Any]:
    asked = said.usage["prompt_tokens"]
    thoughts = len(cut_words(said.thinking))
    answered = said.usage["completion_tokens"] - said.usage["completion_tokens_details"]["reasoning_tokens"]
    usage: dict[str, Any] = {"promptTokenCount": asked}
    # A count of nothing is left out, as proto3's JSON mapping has it.
    usage.update({name: count for name, count in (("candidatesTokenCount", answered), ("thoughtsTokenCount", thoughts)) if count})
    usage["promptTokensDetails"] = [{"modality": "TEXT", "tokenCount": asked}]
    usage.update({"trafficType": "ON_DEMAND"} if provider in VERTEX else {"serviceTier": "standard"})
    usage.update(override or {})
    counted = ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "toolUsePromptTokenCount")
    usage.setdefault("totalTokenCount", sum(usage.get(name) or 0 for name in counted))
    return usage


def _in_openai_words(body: dict[str, Any]) -> dict[str, Any]:
    """Return what *body* asks for in the words by which the fake's own answers are made."""
    config = mapping(body.get("generationConfig"))
    words: dict[str, Any] = {
        "messages": [{"role": _role(content), "content": text_of(content)} for content in rows(body.get("contents"))],
        "tools": [{"function": _function(one)} for tool in rows(body.get("tools")) for one in rows(tool.get("functionDeclarations"))],
        "stop": config.get("stopSequences"),
        "max_tokens": config.get("maxOutputTokens"),
    }
    calling = mapping(mapping(body.get("toolConfig")).get("functionCallingConfig"))
    allowed = calling.get("allowedFunctionNames")
    if calling.get("mode") == "ANY":
        words["tool_choice"] = {"function": {"name": allowed[0]}} if allowed else "required"
    schema = config.get("responseJsonSchema") or config.get("responseSchema")
    if schema is not None:
        words["response_format"] = {"type": "json_schema", "json_schema": {"schema": schema}}
    elif config.get("responseMimeType") == "application/json":
        words["response_format"] = {"type": "json_object"}
    return words


def _function(declaration: dict[str, Any]) -> dict[str, Any]:
    return {"name": declaration.get("name"), "parameters": declaration.get("parametersJsonSchema") or declaration.get("parameters")}


def _role(content: dict[str, Any]) -> str:
    if any("functionResponse" in part for part in rows(content.get("parts"))):
        return "tool"
    return "assistant" if content.get("role") == "model" else "user"


def text_of(content: dict[str, Any]) -> str:
    return "".join(str(part["text"]) for part in rows(content.get("parts")) if "text" in part and not part.get("thought"))


def _blocked(request: RecordedRequest, reply: Reply) -> dict[str, Any]:
    """Return the answer to a prompt that is refused: a good one without an answer."""
    feedback = {"blockReason": "PROHIBITED_CONTENT", "blockReasonMessage": reply.refusal}
    usage = {"promptTokenCount": 4, "totalTokenCount": 4, **(reply.usage or {})}
    top = {"modelVersion": reply.model or model_of(request), "responseId": reply.id or f"fake{next(_numbers):08d}"}
    return {"promptFeedback": feedback, "usageMetadata": usage, **top}


def render_content(request: RecordedRequest, reply: Reply) -> Rendered:
    """Return an answer in one piece."""
    written = written_out(request, reply)
    if written is not None:
        return written
    if reply.refusal is not None:
        return whole(request, reply, _blocked(request, reply))
    said = _said(request, reply)
    thoughts = [part for part in said.parts if "text" in part]
    text = [{"text": said.answer.text, **_seal(said)}] if said.answer.text else []
    calls = [part for part in said.parts if "text" not in part]
    return whole(request, reply, said.piece([*thoughts, *text, *calls], last=True))


def _seal(said: _Said) -> dict[str, str]:
    return {} if said.seal is None else {"thoughtSignature": said.seal}


def render_stream(request: RecordedRequest, reply: Reply) -> Rendered:
    """Return an answer in pieces: as events where they are asked for, else as a list that is written bit by bit."""
    written = written_out(request, reply)
    if written is not None:
        return written
    pieces = iter([_blocked(request, reply)]) if reply.refusal is not None else _pieces(_said(request, reply))
    if request.query.get("alt") == "sse":
        return _streamed(request, reply, map(event, pieces))
    return _streamed(request, reply, _listed(pieces), kind="application/json; charset=UTF-8")


def _pieces(said: _Said) -> Iterator[dict[str, Any]]:
    for thought in cut_words(said.answer.thinking):
        yield said.piece([{"text": thought, "thought": True}])
    for text in said.answer.pieces or ():
        yield said.piece([{"text": text}])
    for part in said.parts:
        if "text" not in part:
            yield said.piece([part])
    yield said.piece([{"text": "", **_seal(said)}], last=True)


def _listed(pieces: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    before = b"["
    for piece in pieces:
        yield before + json_bytes(piece)
        before = b"\n,\r\n"
    yield b"\n]"


# Models and counts.


def render_models(request: RecordedRequest, reply: Reply) -> Rendered:
    """Return the list of models."""
    written = written_out(request, reply)
    if written is not None:
        return written
    if request.provider in VERTEX:
        listed = [{"name": f"publishers/google/models/{name}", "versionId": "default", "launchStage": "GA"} for name in MODELS]
        return whole(request, reply, {"publisherModels": listed})
    return whole(request, reply, {"models": [_model_row(name) for name in MODELS]})


def render_model(request: RecordedRequest, reply: Reply) -> Rendered:
    """Return what is known of one model."""
    return written_out(request, reply) or whole(request, reply, _model_row(model_of(request)))


def _model_row(name: str) -> dict[str, Any]:
    methods = ["embedContent", "batchEmbedContents"] if "embedding" in name else ["generateContent", "countTokens", "batchGenerateContent"]
    return {
        "name": f"models/{name}",
        "version": "001",
        "displayName": name.replace("-", " ").title(),
        "inputTokenLimit": _INPUT_LIMIT,
        "outputTokenLimit": _OUTPUT_LIMIT,
        "supportedGenerationMethods": methods,
    }


def render_count(request: RecordedRequest, reply: Reply) -> Rendered:
    """Return how many tokens a request has."""
    written = written_out(request, reply)
    if written is not None:
        return written
    body = decoded(request)
    body = {} if isinstance(body, Reply) else mapping(body.get("generateContentRequest")) or body
    told = [*rows(body.get("contents")), mapping(body.get("systemInstruction"))]
    total = sum(text_of(content).count(" ") + 4 for content in told if content)
    return whole(request, reply, {"totalTokens": total, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": total}]})


def check_get(request: RecordedRequest) -> Reply | None:
    """Refuse a model that does not exist, and a key where a project is asked."""
    return check_door(request) or check_model(request)


_MODEL = r"/v1[a-z0-9]*/(?:projects/[^/]+/locations/[^/]+/)?(?:publishers/google/)?(?:models|tunedModels|endpoints)/[^/:]+"


def operation(name: str) -> re.Pattern[str]:
    return re.compile(f"{_MODEL}:{name}")


WIRE = Wire(
    routes=(
        Route(method="POST", path=operation("generateContent"), check=check_generate, render=render_content),
        Route(method="POST", path=operation("streamGenerateContent"), check=check_generate, render=render_stream),
        Route(method="POST", path=operation("countTokens"), check=check_count, render=render_count),
        Route(method="GET", path=re.compile(r"/v1[a-z0-9]*/(?:publishers/google/)?models"), render=render_models),
        Route(method="GET", path=re.compile(_MODEL), check=check_get, render=render_model),
    ),
    render_error=render_error,
    unauthorized=unauthorized,
    words=GEMINI,
    providers=frozenset({"google", "gemini", *VERTEX}),
    bases={"google": "/v1beta", "gemini": "/v1beta", **dict.fromkeys(sorted(VERTEX), "/v1beta1")},
)

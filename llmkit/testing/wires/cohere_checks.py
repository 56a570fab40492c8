"""
What Cohere refuses, in its own words where they are recorded.

Each check gets the decoded body and returns a refusal or None; the first refusal is the answer.

Source: Cohere API reference, "Chat API (v2)", "Structured outputs" and "Errors", its OpenAPI document at e814c8a1, and recorded
refusals; read 2026-11-21.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from llmkit.testing.replies import Failure, RecordedRequest, Reply
from llmkit.testing.wires.openai_checks import mapping, rows

__all__ = ["check_chat", "check_embed", "check_model", "check_rerank", "check_tokenize", "refuse"]

Check = Callable[[dict[str, Any]], "Reply | None"]

# fmt: off
_PARAMETERS = frozenset(
    [
        "model", "messages", "stream", "tools", "strict_tools", "documents", "citation_options", "response_format", "safety_mode",
        "max_tokens", "stop_sequences", "temperature", "seed", "frequency_penalty", "presence_penalty", "k", "p", "logprobs",
        "tool_choice", "thinking", "priority",
    ]
)
# fmt: on
_RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0, 1),
    "p": (0.01, 0.99),
    "k": (0, 500),
    "frequency_penalty": (0, 1),
    "presence_penalty": (0, 1),
}
_THINKING = re.compile(r"command-a-(?:reasoning|plus)|fake")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PIECES = {"system": {"text"}, "user": {"text", "image_url"}, "assistant": {"text", "thinking"}, "tool": {"text", "document"}}
_UNKNOWN_WORDS = (
    *("allOf", "oneOf", "not", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems"),
    *("minLength", "maxLength", "uniqueItems"),
)
_FORMATS = ("date-time", "uuid", "date", "time")
_MOST_STOPS, _MOST_TEXTS, _MOST_CHARACTERS = 5, 96, 65536
_INPUTS = ("search_document", "search_query", "classification", "clustering", "image")


def refuse(message: str, *, status: int = 400) -> Reply:
    """Return the error of a request that is itself wrong."""
    return Reply(status=status, failure=Failure(message=message))


def check_chat(request: RecordedRequest) -> Reply | None:
    """Return the refusal of a chat request, or None."""
    return _first(request, _CHAT_CHECKS)


def check_embed(request: RecordedRequest) -> Reply | None:
    """Return the refusal of a request for embeddings, or None."""
    return _first(request, (_check_model, _check_embed))


def check_rerank(request: RecordedRequest) -> Reply | None:
    """Return the refusal of a request to rank documents, or None."""
    return _first(request, (_check_model, _check_rerank))


def check_tokenize(request: RecordedRequest) -> Reply | None:
    """Return the refusal of a request for tokens, or None."""
    return _first(request, (_check_model, _check_text))


def check_model(model: str) -> Reply | None:
    """Return the refusal of a model that is named as one that does not exist (``no-such-model``)."""
    if "no-such-model" not in model:
        return None
    message = f"model '{model}' not found, make sure the correct model ID was used and that you have access to the model."
    return refuse(message, status=404)


def _first(request: RecordedRequest, checks: tuple[Check, ...]) -> Reply | None:
    try:
        body = request.json
    except ValueError:
        return refuse("invalid json syntax")
    if not isinstance(body, dict):
        return refuse("invalid type: the request body must be an object")
    return next(filter(None, (check(body) for check in checks)), None)


def _check_known(body: dict[str, Any]) -> Reply | None:
    unknown = next((name for name in body if name not in _PARAMETERS), None)
    return None if unknown is None else refuse(f"unknown field: parameter '{unknown}' is not a valid field", status=422)


def _check_model(body: dict[str, Any]) -> Reply | None:
    model = body.get("model")
    if not isinstance(model, str) or not model:
        return refuse("model is required")
    return check_model(model)


def _check_messages(body: dict[str, Any]) -> Reply | None:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        return refuse("invalid request: all elements in history must have a message.")
    talk = False
    for index, message in enumerate(messages):
        role = mapping(message).get("role")
        if role not in _PIECES:
            return refuse(f"invalid request: message at index {index} has an invalid role")
        if role == "system" and talk:
            return refuse("invalid request: system turn must be the first in the list")
        talk = talk or role != "system"
        refusal = _check_content(message, index)
        if refusal is not None:
            return refusal
    return None


def _check_content(message: dict[str, Any], index: int) -> Reply | None:
    role, content = message["role"], message.get("content")
    where = f"message at index {index} with role {role!r}"
    if not content:
        if role == "assistant" and message.get("tool_calls"):
            return None
        return refuse(f"invalid request: {where} must have non-empty content or tool calls")
    if isinstance(content, str):
        return None
    if not isinstance(content, list):
        return refuse(f"invalid type: content of {where}", status=422)
    for piece in content:
        kind = mapping(piece).get("type")
        if kind not in _PIECES[role]:
            return refuse(f"invalid request: content of {where} has a piece of type {kind!r}")
        if kind in ("text", "thinking") and not piece.get(kind):
            return refuse(f"invalid request: {where} has an empty piece of {kind}")
    return None


def _check_calls(body: dict[str, Any]) -> Reply | None:
    known: set[str] = set()
    answered: set[str] = set()
    for message in body["messages"]:
        for call in rows(message.get("tool_calls")):
            call_id, function = call.get("id"), mapping(call.get("function"))
            if not call_id or not isinstance(call_id, str) or call_id in known:
                return refuse(f"invalid request: tool call id {call_id!r} is empty or not unique")
            if not isinstance(function.get("arguments"), str):
                return refuse("invalid type: tool call arguments must be a string", status=422)
            known.add(call_id)
        if message["role"] == "tool":
            if message.get("tool_call_id") not in known:
                return refuse("invalid request: tool call id not found in previous tool calls")
            if message["tool_call_id"] in answered:
                return refuse(f"invalid request: duplicate tool call id {message['tool_call_id']!r}")
            answered.add(message["tool_call_id"])
    if known - answered:
        return refuse(f"invalid request: tool calls without a result: {', '.join(sorted(known - answered))}")
    return None


def _check_tools(body: dict[str, Any]) -> Reply | None:
    tools = rows(body.get("tools"))
    for tool in tools:
        function = mapping(tool.get("function"))
        name = function.get("name")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            return refuse(f"invalid request: tool name {name!r} must have only letters, digits and underscores, and start with no digit")
        if not isinstance(function.get("parameters"), dict):
            return refuse(f"invalid request: tool {name!r} has no parameters")
        if body.get("strict_tools") and not function["parameters"].get("required"):
            return refuse(f"invalid request: strict tool {name!r} must have at least one required parameter")
    choice = body.get("tool_choice")
    if choice is None:
        return None
    if choice not in ("REQUIRED", "NONE"):
        return refuse(f"invalid type: tool_choice must be one of REQUIRED, NONE, got {choice!r}", status=422)
    return None if tools else refuse("invalid request: tool_choice can only be specified with tools")


def _check_ranges(body: dict[str, Any]) -> Reply | None:
    for name, (least, most) in _RANGES.items():
        value = body.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return refuse(f"invalid type: parameter {name} is of type {type(value).__name__} but should be a number", status=422)
        if not least <= value <= most:
            return refuse(f"invalid request: {name} must be between {least} and {most} inclusive.")
    stops = body.get("stop_sequences")
    if stops is not None and (not isinstance(stops, list) or len(stops) > _MOST_STOPS):
        return refuse(f"invalid request: stop_sequences must have at most {_MOST_STOPS} elements")
    return None


def _check_thinking(body: dict[str, Any]) -> Reply | None:
    thinking = body.get("thinking")
    if thinking is None:
        return None
    if mapping(thinking).get("type") not in ("enabled", "disabled"):
        return refuse("invalid request: thinking type must be one of enabled, disabled")
    if not _THINKING.search(str(body["model"])):
        return refuse(f"invalid request: thinking is not supported for model {body['model']!r}")
    return None


def _check_format(body: dict[str, Any]) -> Reply | None:
    wanted = body.get("response_format")
    if wanted is None:
        return None
    if mapping(wanted).get("type") not in ("text", "json_object"):
        return refuse("invalid request: response_format type must be one of text, json_object")
    if wanted["type"] == "text":
        return None
    if body.get("documents"):
        return refuse("invalid request: response_format is not supported with RAG")
    if body.get("tools"):
        return refuse("invalid request: response_format is not supported with tools")
    schema = wanted.get("json_schema")
    fault = None if schema is None else next(_faults(schema, root=True), None)
    return None if fault is None else refuse(f"invalid request: invalid json_schema: {fault}")


def _faults(schema: Any, *, root: bool = False) -> Iterator[str]:
    """Yield what is wrong with a schema in the eyes of Cohere."""
    if not isinstance(schema, dict):
        return
    kind = schema.get("type")
    if root and kind != "object" and "$ref" not in schema:
        yield "the top level must be an object"
    yield from (f"keyword {word!r} is not supported" for word in _UNKNOWN_WORDS if word in schema)
    if kind == "object" and not schema.get("required"):
        yield "every object must have at least one required field"
    if "format" in schema and schema["format"] not in _FORMATS:
        yield f"format {schema['format']!r} is not supported"
    if any(mark in str(schema.get("pattern", "")) for mark in ("^", "$", "?=", "?!")):
        yield f"pattern {schema['pattern']!r} is not supported"
    for word in ("properties", "$defs"):
        for child in mapping(schema.get(word)).values():
            yield from _faults(child)
    for child in (*rows(schema.get("anyOf")), schema.get("items"), schema.get("additionalProperties")):
        yield from _faults(child)


def _check_documents(body: dict[str, Any]) -> Reply | None:
    documents = body.get("documents")
    if documents is None:
        return None
    if not isinstance(documents, list):
        return refuse("invalid type: documents must be a list", status=422)
    good = (isinstance(one, str) or isinstance(mapping(one).get("data"), (dict, str)) for one in documents)
    return None if all(good) else refuse("invalid request: a document must be a string or have data")


def _check_embed(body: dict[str, Any]) -> Reply | None:
    if body.get("input_type") not in _INPUTS:
        return refuse("invalid request: valid input_type must be provided with the provided model")
    texts, images = body.get("texts"), body.get("images")
    given = texts if texts is not None else images if images is not None else body.get("inputs")
    if not isinstance(given, list) or not given:
        return refuse("invalid request: one of texts, images or inputs must be provided")
    if len(given) > _MOST_TEXTS:
        return refuse(f"invalid request: total number of texts must be at most {_MOST_TEXTS} - received {len(given)}")
    return None


def _check_rerank(body: dict[str, Any]) -> Reply | None:
    if not isinstance(body.get("query"), str) or not isinstance(body.get("documents"), list) or not body["documents"]:
        return refuse("invalid request: query and documents must be provided")
    return None


def _check_text(body: dict[str, Any]) -> Reply | None:
    text = body.get("text")
    if not isinstance(text, str) or not 1 <= len(text) <= _MOST_CHARACTERS:
        return refuse(f"invalid request: text must be between 1 and {_MOST_CHARACTERS} characters")
    return None


_CHAT_CHECKS: tuple[Check, ...] = (
    _check_known,
    _check_model,
    _check_messages,
    _check_calls,
    _check_tools,
    _check_ranges,
    _check_thinking,
    _check_documents,
    _check_format,
)

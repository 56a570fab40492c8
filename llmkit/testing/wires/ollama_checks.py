"""
What Ollama refuses, in its own words.

Its decoder is Go's: unknown fields are passed over, wrong types are not. Each check gets the decoded body and returns a refusal or
None; the first refusal is the answer.

Source: Ollama, server/routes.go and api/types.go at fb3076099 (August 2026), read 2026-11-21.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any

from llmkit.testing.replies import Failure, RecordedRequest, Reply
from llmkit.testing.wires.openai_checks import mapping, rows

__all__ = ["CAPABILITIES", "check_chat", "check_embed", "check_show", "context_of", "refuse"]

Check = Callable[[dict[str, Any]], "Reply | None"]

# What the models of the fake can do; a model that is not here can do everything.
CAPABILITIES: Mapping[str, tuple[str, ...]] = {
    "llama3.2": ("completion", "tools"),
    "qwen3": ("completion", "tools", "thinking"),
    "gpt-oss": ("completion", "tools", "thinking"),
    "gemma3": ("completion", "vision"),
    "nomic-embed-text": ("embedding",),
}
_CONTEXT = {"llama3.2": 131072, "qwen3": 40960, "gpt-oss": 131072, "gemma3": 131072, "nomic-embed-text": 2048}
_UNKNOWN_CONTEXT = 4096
_CHARACTERS_PER_TOKEN = 4

_WHOLE, _REAL, _TEXTS = "integer", "float32", "array"
_OPTIONS = {
    **dict.fromkeys(("num_predict", "top_k", "seed", "num_ctx", "num_keep", "num_batch", "num_gpu", "repeat_last_n"), _WHOLE),
    **dict.fromkeys(("temperature", "top_p", "min_p", "typical_p", "repeat_penalty", "presence_penalty", "frequency_penalty"), _REAL),
    "stop": _TEXTS,
}
_FITTING: Mapping[str, Any] = {_WHOLE: (int, float), _REAL: (int, float), _TEXTS: (list,)}
_KINDS = {"model": str, "messages": list, "stream": bool, "options": dict, "tools": list}
_GO_NAMES = {dict: "object", list: "array", str: "string", bool: "bool", int: "number", float: "number"}
_LEVELS = ("low", "medium", "high", "max")


def refuse(message: str, *, status: int = 400) -> Reply:
    """Return the error of a request that is itself wrong."""
    return Reply(status=status, failure=Failure(message=message))


def context_of(model: str) -> int:
    """Return the length of *model*'s window in tokens."""
    return _CONTEXT.get(_bare(model), _UNKNOWN_CONTEXT)


def check_chat(request: RecordedRequest) -> Reply | None:
    """Return the refusal of a chat request, or None."""
    return _first(request, _CHAT_CHECKS)


def check_embed(request: RecordedRequest) -> Reply | None:
    """Return the refusal of a request for embeddings, or None."""
    return _first(request, (_check_kinds, _check_model, _check_input))


def check_show(request: RecordedRequest) -> Reply | None:
    """Return the refusal of a question about a model, or None."""
    return _first(request, (_check_kinds, _check_model))


def _first(request: RecordedRequest, checks: tuple[Check, ...]) -> Reply | None:
    if not request.body:
        return refuse("missing request body")
    try:
        body = request.json
    except ValueError as error:
        return refuse(f"invalid character: {error}")
    if not isinstance(body, dict):
        return refuse(f"json: cannot unmarshal {_go_name(body)} into Go value of type api.ChatRequest")
    return next(filter(None, (check(body) for check in checks)), None)


def _bare(model: str) -> str:
    return model.rpartition("/")[2].partition(":")[0]


def _lacks(model: str, capability: str) -> bool:
    return capability not in CAPABILITIES.get(_bare(model), (capability,))


def _go_name(value: Any) -> str:
    return _GO_NAMES.get(type(value), "null")


def _mismatch(value: Any, place: str, kind: str) -> Reply:
    return refuse(f"json: cannot unmarshal {_go_name(value)} into Go struct field {place} of type {kind}")


def _check_kinds(body: dict[str, Any]) -> Reply | None:
    for name, kind in _KINDS.items():
        value = body.get(name)
        if value is not None and not isinstance(value, kind):
            return _mismatch(value, f"ChatRequest.{name}", _GO_NAMES[kind])
    return None


def _check_model(body: dict[str, Any]) -> Reply | None:
    model = body.get("model")
    if not model:
        return refuse("model is required")
    if "no-such-model" in model:
        return refuse(f"model '{model}' not found", status=404)
    return None


def _check_messages(body: dict[str, Any]) -> Reply | None:
    for message in body.get("messages") or ():
        if not isinstance(message, dict):
            return _mismatch(message, "ChatRequest.messages", "api.Message")
        for name in ("role", "content", "thinking", "tool_name", "tool_call_id"):
            value = message.get(name)
            if value is not None and not isinstance(value, str):
                return _mismatch(value, f"ChatRequest.messages.{name}", "string")
        if str(message.get("role", "")).lower() not in ("system", "user", "assistant", "tool"):
            return refuse('invalid role: must be one of ["system", "user", "assistant", "tool"]')
        refusal = _check_images(message) or _check_calls(message)
        if refusal is not None:
            return refusal
    return None


def _check_images(message: Mapping[str, Any]) -> Reply | None:
    for image in message.get("images") or ():
        if not isinstance(image, str):
            return _mismatch(image, "ChatRequest.messages.images", "api.ImageData")
        try:
            base64.b64decode(image, validate=True)
        except binascii.Error:
            return refuse("illegal base64 data at input byte 4")
    return None


def _check_calls(message: Mapping[str, Any]) -> Reply | None:
    for call in message.get("tool_calls") or ():
        arguments = mapping(mapping(call).get("function")).get("arguments")
        if arguments is not None and not isinstance(arguments, dict):
            place = "ChatRequest.messages.tool_calls.function.arguments"
            return _mismatch(arguments, place, "api.ToolCallFunctionArguments")
    return None


def _check_tools(body: dict[str, Any]) -> Reply | None:
    for tool in rows(body.get("tools")):
        parameters = mapping(mapping(tool.get("function")).get("parameters"))
        kind = parameters.get("type")
        if kind is not None and not isinstance(kind, str):
            return _mismatch(kind, "ChatRequest.tools.function.parameters.type", "string")
        for child in mapping(parameters.get("properties")).values():
            if not isinstance(child, dict):
                return _mismatch(child, "ChatRequest.tools.function.parameters.properties", "api.ToolProperty")
    return None


def _check_format(body: dict[str, Any]) -> Reply | None:
    wanted = body.get("format")
    if wanted in (None, "", "json") or isinstance(wanted, dict):
        return None
    return refuse(f'invalid format: {wanted!r}; expected "json" or a valid JSON Schema object')


def _check_think(body: dict[str, Any]) -> Reply | None:
    think = body.get("think")
    if think is None or isinstance(think, bool) or think in _LEVELS:
        return None
    levels = ", ".join(f'"{level}"' for level in _LEVELS)
    return refuse(f"invalid think value: {think!r} (must be {levels}, true, or false)")


def _check_options(body: dict[str, Any]) -> Reply | None:
    for name, value in mapping(body.get("options")).items():
        kind = _OPTIONS.get(name)
        if kind is None or value is None:
            continue  # unknown options are only logged
        if isinstance(value, bool) or not isinstance(value, _FITTING[kind]):
            return refuse(f'option "{name}" must be of type {kind}')
        if kind == _TEXTS and not all(isinstance(item, str) for item in value):
            return refuse(f'option "{name}" must be of an array of strings')
    return None


def _check_capabilities(body: dict[str, Any]) -> Reply | None:
    model = str(body["model"])
    wanted = {"chat": "completion", "tools": "tools", "thinking": "thinking"}
    asked = ("chat", *(["tools"] if body.get("tools") else []), *(["thinking"] if body.get("think") else []))
    lacking = next((name for name in asked if _lacks(model, wanted[name])), None)
    return None if lacking is None else refuse(f'"{model}" does not support {lacking}')


def _check_length(body: dict[str, Any]) -> Reply | None:
    if body.get("truncate", True):
        return None  # what is too long is cut in silence
    window = mapping(body.get("options")).get("num_ctx") or context_of(str(body["model"]))
    length = sum(len(str(message.get("content", ""))) for message in rows(body.get("messages"))) // _CHARACTERS_PER_TOKEN
    if length <= window:
        return None
    return refuse(f"the prompt is longer than the context length ({length} > {window}): shorten it or raise num_ctx")


def _check_input(body: dict[str, Any]) -> Reply | None:
    given = body.get("input")
    if given is None or isinstance(given, str) or (isinstance(given, list) and all(isinstance(one, str) for one in given)):
        return None
    return refuse("invalid input type")


_CHAT_CHECKS: tuple[Check, ...] = (
    _check_kinds,
    _check_model,
    _check_messages,
    _check_tools,
    _check_format,
    _check_think,
    _check_options,
    _check_capabilities,
    _check_length,
)

"""
What the Responses API refuses, in its own words.

Each check gets the decoded body and returns a refusal or None; the first refusal is the answer.

Source: OpenAI API reference and recorded error bodies, read 2026-11-21.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

from llmkit.testing.replies import RecordedRequest, Reply
from llmkit.testing.wires.openai_checks import check_model, check_ranges, decoded, mapping, refuse, rows, schemas_unknown, strict_faults

__all__ = ["check_count", "check_responses", "sealed", "wants_seals"]

Check = Callable[[dict[str, Any]], "Reply | None"]

# fmt: off
_PARAMETERS = frozenset(
    [
        "model", "input", "instructions", "max_output_tokens", "tools", "tool_choice", "parallel_tool_calls", "max_tool_calls", "text",
        "reasoning", "include", "previous_response_id", "conversation", "store", "background", "stream", "stream_options", "temperature",
        "top_p", "top_logprobs", "truncation", "metadata", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_options",
        "prompt_cache_retention", "user", "prompt", "context_management", "moderation",
    ]
)
_COUNTED = frozenset(
    [
        "conversation", "input", "instructions", "model", "parallel_tool_calls", "personality", "previous_response_id", "reasoning", "text",
        "tool_choice", "tools", "truncation",
    ]
)
# fmt: on
_KINDS: dict[str, type | tuple[type, ...]] = {
    "input": (str, list),
    "instructions": str,
    "max_output_tokens": int,
    "tools": list,
    "tool_choice": (str, dict),
    "text": dict,
    "reasoning": dict,
    "include": list,
    "stream": bool,
    "store": bool,
}
_ROLES = ("assistant", "system", "developer", "user")
_INPUT = ("input_text", "input_image", "input_file", "input_audio")
_OUTPUT = ("output_text", "refusal")
_ITEMS = ("message", "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output", "reasoning", "item_reference")
_HOSTED = re.compile(r"(?:web_search|file_search|code_interpreter|image_generation|mcp|computer|shell|compaction|tool_search)\w*")
_THOUGHTLESS = re.compile(r"(?:chat)?gpt-[34]|gpt-5-chat")
_SEALS = "reasoning.encrypted_content"


def sealed(text: str) -> str:
    """Return the seal on a thought, by which the fake knows its own."""
    return "gAAAAAB" + hashlib.sha256(f"seal/{text}".encode()).hexdigest()


def wants_seals(body: dict[str, Any]) -> bool:
    return _SEALS in (body.get("include") or ())


def check_responses(request: RecordedRequest) -> Reply | None:
    """Return the refusal of a request, or None."""
    body = decoded(request)
    if isinstance(body, Reply):
        return body
    refusals = (check(body) for check in _CHECKS)
    return _check_model(body) or next(filter(None, refusals), None)


def check_count(request: RecordedRequest) -> Reply | None:
    """Return the refusal of a request to count tokens, or None."""
    body = decoded(request)
    if isinstance(body, Reply):
        return body
    unknown = next((name for name in body if name not in _COUNTED), None)
    if unknown is not None:
        return refuse(f"Unknown parameter: '{unknown}'.", param=unknown, code="unknown_parameter")
    refusals = (check(body) for check in (_check_kinds, _check_input, _check_calls, _check_tools, _check_format))
    return _check_model(body) or next(filter(None, refusals), None)


def _check_model(body: dict[str, Any]) -> Reply | None:
    model = str(body.get("model") or "")
    if "no-such-model" in model:
        # Unlike on the other wire, it is a bad request.
        return refuse(f"The requested model '{model}' does not exist.", param="model", code="model_not_found")
    return check_model(model)


def _check_known(body: dict[str, Any]) -> Reply | None:
    unknown = next((name for name in body if name not in _PARAMETERS), None)
    return None if unknown is None else refuse(f"Unknown parameter: '{unknown}'.", param=unknown, code="unknown_parameter")


def _check_kinds(body: dict[str, Any]) -> Reply | None:
    for name, kinds in _KINDS.items():
        value = body.get(name)
        if value is not None and (not isinstance(value, kinds) or (isinstance(value, bool) and kinds is int)):
            return refuse(f"Invalid type for '{name}': got {type(value).__name__}.", param=name, code="invalid_type")
    return None


def _check_input(body: dict[str, Any]) -> Reply | None:
    given = body.get("input")
    if not given and not body.get("previous_response_id"):
        return refuse("Missing required parameter: 'input'.", param="input", code="missing_required_parameter")
    if not isinstance(given, list):
        return None
    return next(filter(None, map(_check_item, range(len(given)), given)), None)


def _check_item(index: int, item: Any) -> Reply | None:
    place = f"input[{index}]"
    if not isinstance(item, dict):
        return refuse(f"Invalid type for '{place}': expected an object.", param=place, code="invalid_type")
    kind = item.get("type", "message")
    if kind == "message":
        return _check_message(place, item)
    if kind not in _ITEMS and not _HOSTED.fullmatch(str(kind)):
        return _unsupported(f"{place}.type", kind, _ITEMS)
    wanted = {
        "function_call": ("call_id", "name", "arguments"),
        "function_call_output": ("call_id", "output"),
        "reasoning": ("id", "summary"),
    }
    for name in wanted.get(kind, ()):
        if item.get(name) is None:
            path = f"{place}.{name}"
            return refuse(f"Missing required parameter: '{path}'.", param=path, code="missing_required_parameter")
    null = next((name for name, value in item.items() if value is None), None)
    return None if null is None else refuse(f"Invalid type for '{place}.{null}': got null.", param=f"{place}.{null}", code="invalid_type")


def _check_message(place: str, item: dict[str, Any]) -> Reply | None:
    role, content = item.get("role"), item.get("content")
    if role not in _ROLES:
        return _unsupported(f"{place}.role", role, _ROLES)
    unknown = item.keys() - {"type", "role", "content", "id", "status", "phase"}
    if unknown:
        path = f"{place}.{min(unknown)}"
        return refuse(f"Unknown parameter: '{path}'.", param=path, code="unknown_parameter")
    if not isinstance(content, (str, list)):
        return refuse(f"Invalid type for '{place}.content'.", param=f"{place}.content", code="invalid_type")
    allowed = _OUTPUT if role == "assistant" else _INPUT
    for index, part in enumerate(rows(content)):
        if part.get("type") not in allowed:
            return _unsupported(f"{place}.content[{index}].type", part.get("type"), allowed)
    return None


def _unsupported(place: str, value: Any, supported: tuple[str, ...]) -> Reply:
    names = ", ".join(f"'{one}'" for one in supported)
    return refuse(f"Invalid value: '{value}'. Supported values are: {names}.", param=place, code="invalid_value")


def _check_calls(body: dict[str, Any]) -> Reply | None:
    """Demand that each call is answered, and that nothing else is."""
    if body.get("previous_response_id"):
        return None
    waiting: list[str] = []
    for item in rows(body.get("input")):
        if item.get("type") == "function_call":
            waiting.append(str(item["call_id"]))
        elif item.get("type") == "function_call_output":
            if item["call_id"] not in waiting:
                return refuse(f"No tool call found for function call output with call_id {item['call_id']}.", param="input")
            waiting.remove(item["call_id"])
    return refuse(f"No tool output found for function call {waiting[0]}.", param="input") if waiting else None


def _check_thoughts(body: dict[str, Any]) -> Reply | None:
    """Demand that a thought has its seal, or is kept here, and that what it led to comes with it."""
    items = rows(body.get("input"))
    for item, after in zip(items, [*items[1:], {}], strict=False):
        if item.get("type") != "reasoning":
            continue
        name, seal = item["id"], item.get("encrypted_content")
        if seal is None and not body.get("store", True):
            text = f"Item with id '{name}' not found. Items are not persisted when `store` is set to false."
            return refuse(text, param="input", status=404)
        if seal is not None and seal != sealed("".join(str(part.get("text", "")) for part in rows(item["summary"]))):
            text = f"The encrypted content for item {name} could not be verified."
            return refuse(text, code="invalid_encrypted_content")
        if after.get("role") in ("user", "system", "developer") or after.get("type", "message") == "function_call_output" or not after:
            text = f"Item '{name}' of type 'reasoning' was provided without its required following item."
            return refuse(text, param="input")
    return None


def _check_tools(body: dict[str, Any]) -> Reply | None:
    for index, tool in enumerate(rows(body.get("tools"))):
        if tool.get("type") != "function":
            continue
        for name in ("name", "parameters"):
            if name not in tool:
                path = f"tools[{index}].{name}"
                return refuse(f"Missing required parameter: '{path}'.", param=path, code="missing_required_parameter")
        # Strict unless it says otherwise.
        fault = next(strict_faults(tool["parameters"] or {}, ()), None) if tool.get("strict", True) else None
        if fault is not None:
            text = f"Invalid schema for function '{tool['name']}': {fault}"
            return refuse(text, param=f"tools[{index}].parameters", code="invalid_function_parameters")
    if body.get("tool_choice") in (None, "auto", "none") or body.get("tools"):
        return None
    return refuse("Tool choice must be 'auto' or 'none' where no tools are specified.", param="tool_choice")


def _check_format(body: dict[str, Any]) -> Reply | None:
    wanted = mapping(mapping(body.get("text")).get("format"))
    if wanted.get("type") == "json_object" and "json" not in f"{body.get('input')} {body.get('instructions')}".lower():
        text = "Response input messages must contain the word 'json' in some form to use 'text.format' of type 'json_object'."
        return refuse(text, param="input")
    if wanted.get("type") != "json_schema":
        return None
    unknown = schemas_unknown(body.get("model"), "text.format")
    if unknown is not None:
        return unknown
    for name in ("name", "schema"):
        if name not in wanted:
            path = f"text.format.{name}"
            return refuse(f"Missing required parameter: '{path}'.", param=path, code="missing_required_parameter")
    fault = next(strict_faults(wanted["schema"], ()), None) if wanted.get("strict") else None
    if fault is None:
        return None
    return refuse(f"Invalid schema for response_format '{wanted['name']}': {fault}", param="text.format.schema", code="invalid_json_schema")


def _check_seals(body: dict[str, Any]) -> Reply | None:
    if not wants_seals(body) or not _THOUGHTLESS.match(str(body.get("model"))):
        return None
    return refuse("Encrypted content is not supported with this model.", param="include")


_CHECKS: tuple[Check, ...] = (
    _check_known,
    _check_kinds,
    _check_input,
    check_ranges,
    _check_calls,
    _check_thoughts,
    _check_tools,
    _check_format,
    _check_seals,
)

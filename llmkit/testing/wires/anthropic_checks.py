"""
What the Messages API refuses in a request, in its own words.

Each check gets the decoded body and what is known of the model, and returns a refusal or None; the first refusal is the answer.

Source: Anthropic API reference, "Create a Message", "Versioning" and "Structured outputs", and recorded error bodies, read 2026-11-21.
Where a wording was not recorded it is made after those that were.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from llmkit.testing.replies import RecordedRequest, Reply
from llmkit.testing.wires.anthropic_history import blocks_of, check_history
from llmkit.testing.wires.anthropic_models import Model, model_named, refuse
from llmkit.testing.wires.openai_checks import mapping, rows

__all__ = ["check_count", "check_messages", "check_model", "check_version", "schema_faults"]

Check = Callable[[dict[str, Any], Model], "Reply | None"]

VERSIONS = ("2023-06-01", "2026-10-21")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_BREAKPOINTS = 4
_LEAST_BUDGET = 1024
_SAMPLING = ("temperature", "top_p", "top_k")
# fmt: off
_COUNTED = frozenset(
    ["model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control", "speed", "context_management"]
)
_FIELDS = _COUNTED | frozenset(
    [
        "max_tokens", "metadata", "stop_sequences", "stream", "temperature", "top_k", "top_p", "service_tier", "container",
        "inference_geo", "diagnostics", "mcp_servers",
    ]
)
# fmt: on
_TOOL_FIELDS = frozenset(
    [
        *("name", "description", "input_schema", "strict", "cache_control", "type", "eager_input_streaming", "defer_loading"),
        *("input_examples", "allowed_callers"),
    ]
)
_KINDS: dict[str, type | tuple[type, ...]] = {
    "max_tokens": int,
    "messages": list,
    "model": str,
    "system": (str, list),
    "stop_sequences": list,
    "stream": bool,
    "temperature": (int, float),
    "top_p": (int, float),
    "top_k": int,
    "tools": list,
    "tool_choice": dict,
    "thinking": dict,
    "output_config": dict,
    "metadata": dict,
}
_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"})
_UNSUPPORTED = frozenset(
    [
        *("oneOf", "not", "if", "then", "else", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength"),
        *("maxLength", "maxItems", "uniqueItems", "contains", "prefixItems", "minProperties", "maxProperties", "patternProperties"),
        *("propertyNames", "dependentRequired", "dependentSchemas", "unevaluatedProperties", "unevaluatedItems"),
    ]
)


def check_messages(request: RecordedRequest) -> Reply | None:
    """Return the refusal of a request for a message, or None."""
    return _check(request, fields=_FIELDS, required=("model", "max_tokens", "messages"), checks=_CHECKS)


def check_count(request: RecordedRequest) -> Reply | None:
    """Return the refusal of a request to count tokens, or None."""
    return _check(request, fields=_COUNTED, required=("model", "messages"), checks=_COUNT_CHECKS)


def check_version(request: RecordedRequest) -> Reply | None:
    """Return the refusal of a request that names no version of the API."""
    version = request.headers.get("anthropic-version")
    if version is None:
        return refuse("anthropic-version: header is required")
    return None if version in VERSIONS else refuse(f'anthropic-version: "{version}" is not a valid version')


def check_model(name: str) -> Reply | None:
    """Return the refusal of a model that does not exist: one that is called so (``no-such-model``)."""
    return refuse(f"model: {name}", status=404, type="not_found_error") if "no-such-model" in name else None


def _check(request: RecordedRequest, *, fields: frozenset[str], required: tuple[str, ...], checks: tuple[Check, ...]) -> Reply | None:
    try:
        body = request.json
    except ValueError:
        return refuse("The request body is not valid JSON")
    if not isinstance(body, dict):
        return refuse("Input should be a valid dictionary")
    refusal = check_version(request) or _check_fields(body, fields, required) or check_model(body["model"])
    if refusal is not None:
        return refusal
    body = {name: value for name, value in body.items() if value is not None}  # null is as good as nothing
    model = model_named(body["model"])
    if request.headers["anthropic-version"] >= "2026-10-21" and (sampling := [name for name in _SAMPLING if name in body]):
        return refuse(f"{sampling[0]}: Extra inputs are not permitted")
    return next(filter(None, (check(body, model) for check in checks)), None)


def _check_fields(body: dict[str, Any], fields: frozenset[str], required: tuple[str, ...]) -> Reply | None:
    for name in required:
        if body.get(name) is None:
            return refuse(f"{name}: Field required")
    for name in body:
        if name not in fields:
            return refuse(f"{name}: Extra inputs are not permitted")
    for name, kinds in _KINDS.items():
        value = body.get(name)
        if value is not None and (not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool)):
            return refuse(f"{name}: Input should be of another type than {type(value).__name__}")
    return None if body["messages"] else refuse("messages: at least one message is required")


def _check_system(body: dict[str, Any], _: Model) -> Reply | None:
    for index, block in enumerate(blocks_of(body.get("system") or [])):
        if block.get("type") != "text":
            return refuse(
                f"system.{index}: Input tag '{block.get('type')}' found using 'type' does not match any of the expected tags: 'text'"
            )
        if not str(block.get("text", "")).strip():
            return refuse("system: text content blocks must be non-empty")
    return None


def _check_length(body: dict[str, Any], model: Model) -> Reply | None:
    asked = body["max_tokens"]
    if asked < 0:
        return refuse("max_tokens: Input should be greater than or equal to 0")
    if model.max_tokens is None or asked <= model.max_tokens:
        return None
    return refuse(f"max_tokens: {asked} > {model.max_tokens}, which is the maximum allowed number of output tokens for {model.name}")


def _check_sampling(body: dict[str, Any], model: Model) -> Reply | None:
    said = [name for name in _SAMPLING if body.get(name) is not None]
    if said and not model.takes_sampling:
        return refuse(f"`{said[0]}` is not supported for this model.")
    if not 0 <= body.get("temperature", 0) <= 1:
        return refuse("temperature: range: 0..1")
    if not 0 <= body.get("top_p", 0) <= 1:
        return refuse("top_p: range: 0..1")
    if model.is_known and model.version >= (4, 1) and {"temperature", "top_p"} <= set(said):
        return refuse("`temperature` and `top_p` cannot both be specified for this model. Please use only one.")
    if mapping(body.get("thinking")).get("type") == "enabled" and body.get("temperature", 1) != 1:
        return refuse("`temperature` may only be set to 1 when thinking is enabled.")
    return None


def _check_thinking(body: dict[str, Any], model: Model) -> Reply | None:
    thinking = body.get("thinking")
    if thinking is None:
        return None
    kind = thinking.get("type")
    if kind not in model.thinking:
        return refuse(f'"thinking.type.{kind}" is not supported for this model. Supported: {", ".join(model.thinking)}.')
    budget = thinking.get("budget_tokens")
    if budget is not None and not isinstance(budget, int):
        return refuse("thinking.enabled.budget_tokens: Input should be a valid integer")
    if (kind == "enabled") != (budget is not None):
        return refuse(f"thinking.{kind}.budget_tokens: {'Field required' if budget is None else 'Extra inputs are not permitted'}")
    if budget is None:
        return None
    if budget < _LEAST_BUDGET:
        return refuse(f"thinking.enabled.budget_tokens: Input should be greater than or equal to {_LEAST_BUDGET}")
    if budget >= body.get("max_tokens", budget + 1):
        return refuse("`max_tokens` must be greater than `thinking.budget_tokens`.")
    return None


def _check_output(body: dict[str, Any], model: Model) -> Reply | None:
    config = mapping(body.get("output_config"))
    effort = config.get("effort")
    if effort is not None and not model.efforts:
        return refuse("This model does not support the effort parameter.")
    if effort is not None and effort not in model.efforts:
        supported = ", ".join(sorted(model.efforts))
        return refuse(f"This model does not support effort level '{effort}'. Supported levels: {supported}.")
    wanted = config.get("format")
    if wanted is None:
        return None
    if mapping(wanted).get("type") != "json_schema" or not isinstance(wanted.get("schema"), dict):
        return refuse("output_config.format: Input should be a JSON schema format")
    fault = next(schema_faults(wanted["schema"]), None)
    return None if fault is None else refuse(f"output_config.format.schema: {fault}")


def schema_faults(schema: Any) -> Iterator[str]:
    """Yield what a schema that a model is held to may not say."""
    if not isinstance(schema, dict):
        yield "Input should be an object"
        return
    kind = schema.get("type")
    if kind == "object" and schema.get("additionalProperties") is not False:
        yield "For 'object' type, 'additionalProperties' must be explicitly set to false"
    for word in schema:
        if word in _UNSUPPORTED:
            yield f"For '{kind}' type, property '{word}' is not supported"
    if schema.get("minItems", 0) not in (0, 1):
        yield "For 'array' type, 'minItems' values other than 0 or 1 are not supported"
    if str(schema.get("format", "date")) not in _FORMATS:
        yield f"For 'string' type, 'format' value '{schema['format']}' is not supported"
    if "$ref" in schema and schema.keys() - {"$ref", "$defs"}:
        yield "Nothing may stand beside '$ref'"
    if not schema.keys() & {"type", "enum", "const", "anyOf", "allOf", "$ref"}:
        yield "Schema must have a 'type', 'anyOf', 'allOf', 'enum', 'const' or '$ref'"
    for word in ("properties", "$defs"):
        for part in mapping(schema.get(word)).values():
            yield from schema_faults(part)
    for word in ("anyOf", "allOf"):
        parts = schema.get(word, [])
        for part in parts if isinstance(parts, list) else [None]:
            yield from schema_faults(part)
    if "items" in schema:
        yield from schema_faults(schema["items"])


def _check_tools(body: dict[str, Any], model: Model) -> Reply | None:
    tools = rows(body.get("tools"))
    names = [str(tool.get("name", "")) for tool in tools]
    for index, tool in enumerate(tools):
        if tool.get("type") not in (None, "custom"):
            continue  # a tool of the server's
        place = f"tools.{index}.custom"
        extra = next((key for key in tool if key not in _TOOL_FIELDS), None)
        if extra is not None:
            return refuse(f"{place}.{extra}: Extra inputs are not permitted")
        if not _NAME.fullmatch(names[index]):
            return refuse(f"{place}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
        if mapping(tool.get("input_schema")).get("type") != "object":
            return refuse(f"{place}.input_schema.type: Input should be 'object'")
        fault = next(schema_faults(tool["input_schema"]), None) if tool.get("strict") else None
        if fault is not None:
            return refuse(f"{place}.input_schema: {fault}")
    if len(set(names)) < len(names):
        return refuse("tools: Tool names must be unique.")
    choice = body.get("tool_choice")
    return None if choice is None else _check_choice(choice, names, body, model)


def _check_choice(choice: dict[str, Any], names: list[str], body: dict[str, Any], model: Model) -> Reply | None:
    kind = choice.get("type")
    if kind not in ("auto", "any", "none", "tool"):
        return refuse(
            f"tool_choice: Input tag '{kind}' found using 'type' does not match any of the expected tags: 'auto', 'any', 'tool', 'none'"
        )
    if not names:
        return refuse("tool_choice: may only be specified while providing tools")
    if kind == "none" and "disable_parallel_tool_use" in choice:
        return refuse("tool_choice.none.disable_parallel_tool_use: Extra inputs are not permitted")
    if kind == "tool" and choice.get("name") not in names:
        return refuse(f"tool_choice.tool: Tool '{choice.get('name')}' not found in provided tools")
    if kind in ("any", "tool") and not model.can_be_forced:
        return refuse(f"tool_choice: type '{kind}' is not supported for this model")
    if kind in ("any", "tool") and mapping(body.get("thinking")).get("type") == "enabled":
        return refuse("Thinking may not be enabled when tool_choice forces tool use.")
    return None


def _check_breakpoints(body: dict[str, Any], _: Model) -> Reply | None:
    places = [*rows(body.get("tools")), *blocks_of(body.get("system") or [])]
    for message in body["messages"]:
        places += blocks_of(mapping(message).get("content"))
    marked = sum("cache_control" in place for place in [body, *places])
    if marked > _BREAKPOINTS:
        return refuse(f"A maximum of {_BREAKPOINTS} blocks with cache_control may be provided. Found {marked}.")
    return None


def _check_metadata(body: dict[str, Any], _: Model) -> Reply | None:
    extra = next((key for key in mapping(body.get("metadata")) if key != "user_id"), None)
    if extra is not None:
        return refuse(f"metadata.{extra}: Extra inputs are not permitted")
    blank = [stop for stop in body.get("stop_sequences") or () if not isinstance(stop, str) or not stop.strip()]
    return refuse("stop_sequences: each stop sequence must contain non-whitespace") if blank else None


_COUNT_CHECKS: tuple[Check, ...] = (_check_system, check_history, _check_thinking, _check_output, _check_tools, _check_breakpoints)
_CHECKS: tuple[Check, ...] = (_check_length, *_COUNT_CHECKS, _check_sampling, _check_metadata)

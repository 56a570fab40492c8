"""
What the Chat Completions API refuses, in its own words.

Each check gets the decoded body and returns a refusal or None; the first refusal is the answer. Rules of OpenAI's own
service, which its look-alikes do not share, stand apart.

Source: OpenAI API reference and recorded error bodies, read 2026-11-21.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from llmkit.testing.replies import Failure, RecordedRequest, Reply

__all__ = [
    "check_chat",
    "check_embeddings",
    "check_model",
    "check_ranges",
    "decoded",
    "mapping",
    "model_of",
    "refuse",
    "rows",
    "strict_faults",
    "text_of",
]

Check = Callable[[dict[str, Any]], "Reply | None"]

_ROLES = ("system", "assistant", "user", "function", "tool", "developer")
_DEPLOYMENT = re.compile(r"/(?:deployments|engines)/([^/]+)/")
_NO_SCHEMAS = re.compile(r"(?:.*/)?(?:chatgpt-4o|gpt-3\.?5|gpt-4(?:$|-(?!o))|gpt-4o-2024-05-13)")
_NO_MAX_TOKENS = re.compile(r"(?:.*/)?(?:o[134](?:-|$)|gpt-5)")
_WANTS_JSON_WORD = frozenset({"openai", "azure", "azure_openai", "deepseek"})
_OWN_SERVICE = frozenset({"openai", "azure", "azure_openai"})
# fmt: off
_PARAMETERS = frozenset(
    [
        "model", "messages", "max_completion_tokens", "max_tokens", "temperature", "top_p", "presence_penalty",
        "frequency_penalty", "logit_bias", "logprobs", "top_logprobs", "n", "stop", "seed", "reasoning_effort",
        "verbosity", "response_format", "tools", "tool_choice", "parallel_tool_calls", "stream", "stream_options",
        "metadata", "store", "service_tier", "user", "safety_identifier", "prompt_cache_key", "prompt_cache_options",
        "prompt_cache_retention", "web_search_options", "prediction", "modalities", "audio", "moderation",
        "functions", "function_call",
    ]
)
# fmt: on
_RANGES = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
}
_KINDS: dict[str, type | tuple[type, ...]] = {
    "n": int,
    "max_tokens": int,
    "max_completion_tokens": int,
    "top_logprobs": int,
    "stop": (str, list),
    "tools": list,
    "tool_choice": (str, dict),
    "response_format": dict,
    "stream": bool,
    "stream_options": dict,
}
_NOT_JSON = (
    "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library "
    "correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)"
)
_MAX_STOPS = 4
_MAX_INPUTS = 2048
_MAX_INPUT_TOKENS = 300_000


def refuse(message: str, *, param: str | None = None, code: str | None = None, status: int = 400) -> Reply:
    """Return the error of a request that is itself wrong."""
    return Reply(status=status, failure=Failure(type="invalid_request_error", code=code, message=message, param=param))


def text_of(content: Any) -> str:
    """Return the text of a message's content, given as a string or in parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict) and part.get("type") == "text")


def mapping(value: Any) -> dict[str, Any]:
    """Return *value* where it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def rows(value: Any) -> list[dict[str, Any]]:
    """Return the objects in *value* where it is an array, else none."""
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def model_of(request: RecordedRequest, body: dict[str, Any]) -> str:
    """Return the model that is asked: in the body, or as a deployment in the path."""
    if body.get("model"):
        return str(body["model"])
    deployment = _DEPLOYMENT.search(request.endpoint)
    return deployment.group(1) if deployment else ""


def check_chat(request: RecordedRequest) -> Reply | None:
    """Return the refusal of a chat request, or None."""
    body = decoded(request)
    if isinstance(body, Reply):
        return body
    checks = [*_CHAT_CHECKS]
    if request.provider == "openai":
        checks.insert(0, _check_known)
    if request.provider in _OWN_SERVICE:
        checks += [_check_max_tokens, _check_schemas_known, _check_strict_schemas]
    if request.provider in _WANTS_JSON_WORD:
        checks.append(_check_json_word)
    refusals = (check(body) for check in checks)
    return check_model(model_of(request, body)) or next(filter(None, refusals), None)


def check_embeddings(request: RecordedRequest) -> Reply | None:
    """Return the refusal of a request for embeddings, or None."""
    body = decoded(request)
    if isinstance(body, Reply):
        return body
    refusal = check_model(model_of(request, body))
    if refusal is not None:
        return refusal
    given = body.get("input")
    if given is None:
        return refuse("Missing required parameter: 'input'.", param="input", code="missing_required_parameter")
    if not given or not isinstance(given, (str, list)) or "" in (given if isinstance(given, list) else ()):
        return refuse("'$.input' is invalid. Please check the API reference.")
    if isinstance(given[0], (str, list)) and isinstance(given, list) and len(given) > _MAX_INPUTS:
        message = f"Invalid 'input': array too long. Expected an array with maximum length {_MAX_INPUTS}."
        return refuse(message, param="input", code="array_above_max_length")
    tokens = sum(text.count(" ") + 1 for text in given if isinstance(text, str)) if isinstance(given, list) else 0
    if tokens > _MAX_INPUT_TOKENS:
        message = f"Requested {tokens} tokens, max {_MAX_INPUT_TOKENS} tokens per request"
        return refuse(message, code="max_tokens_per_request")
    encoding = body.get("encoding_format")
    if encoding not in (None, "float", "base64"):
        return refuse(f"Invalid value: '{encoding}'. Supported values are: 'float' and 'base64'.", param="encoding_format")
    return None


def check_model(model: str) -> Reply | None:
    """Return the refusal of a model that is missing, or named as one that does not exist (``no-such-model``)."""
    if not model:
        return refuse("you must provide a model parameter")
    if "no-such-model" in model:
        message = f"The model `{model}` does not exist or you do not have access to it."
        return refuse(message, code="model_not_found", status=404)
    return None


def decoded(request: RecordedRequest) -> dict[str, Any] | Reply:
    try:
        body = request.json
    except ValueError:
        return refuse(_NOT_JSON)
    return body if isinstance(body, dict) else refuse(_NOT_JSON)


def _check_known(body: dict[str, Any]) -> Reply | None:
    unknown = next((name for name in body if name not in _PARAMETERS), None)
    return None if unknown is None else refuse(f"Unrecognized request argument supplied: {unknown}")


def _check_messages(body: dict[str, Any]) -> Reply | None:
    messages = body.get("messages")
    if messages is None:
        return refuse("Missing required parameter: 'messages'.", param="messages", code="missing_required_parameter")
    if not isinstance(messages, list):
        return refuse("Invalid type for 'messages': expected an array of objects.", param="messages", code="invalid_type")
    if not messages:
        message = "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead."
        return refuse(message, param="messages", code="empty_array")
    return next(filter(None, map(_check_message, range(len(messages)), messages)), None)


def _check_message(index: int, message: Any) -> Reply | None:
    place = f"messages[{index}]"
    if not isinstance(message, dict):
        return refuse(f"Invalid type for '{place}': expected an object.", param=place, code="invalid_type")
    if message.get("role") not in _ROLES:
        supported = ", ".join(f"'{role}'" for role in _ROLES[:-1])
        text = f"Invalid value: '{message.get('role')}'. Supported values are: {supported}, and '{_ROLES[-1]}'."
        return refuse(text, param=f"{place}.role", code="invalid_value")
    content = message.get("content")
    if content is None and message["role"] == "assistant":
        if any(message.get(name) for name in ("tool_calls", "function_call", "refusal", "audio")):
            return None
    elif isinstance(content, (str, list)):
        return None
    kind = "null" if content is None else type(content).__name__
    return refuse(f"Invalid value for 'content': expected a string, got {kind}.", param=f"messages.[{index}].content")


def _check_tool_turns(body: dict[str, Any]) -> Reply | None:
    """Demand that each tool call is answered, and that nothing else is."""
    waiting: list[str] = []
    for index, message in enumerate(body["messages"]):
        if message["role"] == "tool":
            if message.get("tool_call_id") not in waiting:
                text = "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
                return refuse(f"Invalid parameter: {text}", param=f"messages.[{index}].role")
            waiting.remove(message["tool_call_id"])
            continue
        if waiting:
            return _unanswered(waiting, index)
        waiting = [str(call.get("id")) for call in rows(message.get("tool_calls"))]
    return _unanswered(waiting, len(body["messages"]) - 1) if waiting else None


def _unanswered(waiting: list[str], index: int) -> Reply:
    message = (
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
        f"The following tool_call_ids did not have response messages: {', '.join(waiting)}"
    )
    return refuse(message, param=f"messages.[{index}].role")


def _check_kinds(body: dict[str, Any]) -> Reply | None:
    for name, kinds in _KINDS.items():
        value = body.get(name)
        if value is not None and (not isinstance(value, kinds) or (isinstance(value, bool) and kinds is int)):
            message = f"Invalid type for '{name}': got {type(value).__name__}."
            return refuse(message, param=name, code="invalid_type")
    return None


def check_ranges(body: dict[str, Any]) -> Reply | None:
    for name, (least, most) in _RANGES.items():
        value = body.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            message = f"Invalid type for '{name}': expected a decimal, but got {type(value).__name__} instead."
            return refuse(message, param=name, code="invalid_type")
        if value > most:
            message = f"Invalid '{name}': decimal above maximum value. Expected a value <= {most}, but got {value} instead."
            return refuse(message, param=name, code="decimal_above_max_value")
        if value < least:
            message = f"Invalid '{name}': decimal below minimum value. Expected a value >= {least}, but got {value} instead."
            return refuse(message, param=name, code="decimal_below_min_value")
    return None


def _check_stop(body: dict[str, Any]) -> Reply | None:
    stop = body.get("stop")
    if not isinstance(stop, list) or len(stop) <= _MAX_STOPS:
        return None
    message = (
        f"Invalid 'stop': array too long. Expected an array with maximum length {_MAX_STOPS}, "
        f"but got an array with length {len(stop)} instead."
    )
    return refuse(message, param="stop", code="array_above_max_length")


def _check_stream_options(body: dict[str, Any]) -> Reply | None:
    if body.get("stream_options") is None or body.get("stream"):
        return None
    return refuse("The 'stream_options' parameter is only allowed when 'stream' is enabled.", param="stream_options")


def _check_tool_choice(body: dict[str, Any]) -> Reply | None:
    if body.get("tool_choice") is None or body.get("tools"):
        return None
    message = "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified."
    return refuse(message, param="tool_choice")


def _check_max_tokens(body: dict[str, Any]) -> Reply | None:
    if body.get("max_tokens") is None or not _NO_MAX_TOKENS.match(str(body.get("model", ""))):
        return None
    message = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    return refuse(message, param="max_tokens", code="unsupported_parameter")


def _check_json_word(body: dict[str, Any]) -> Reply | None:
    if mapping(body.get("response_format")).get("type") != "json_object":
        return None
    if any("json" in text_of(message.get("content")).lower() for message in body["messages"]):
        return None
    message = "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
    return refuse(message, param="messages")


def schemas_unknown(model: object, parameter: str) -> Reply | None:
    """Return the refusal of a schema by a model that is older than they are."""
    if not _NO_SCHEMAS.match(str(model)):
        return None
    return refuse(f"Invalid parameter: '{parameter}' of type 'json_schema' is not supported with this model.", param=parameter)


def _check_schemas_known(body: dict[str, Any]) -> Reply | None:
    if mapping(body.get("response_format")).get("type") != "json_schema":
        return None
    return schemas_unknown(body.get("model"), "response_format")


def _check_strict_schemas(body: dict[str, Any]) -> Reply | None:
    spec = mapping(mapping(body.get("response_format")).get("json_schema"))
    if spec.get("strict"):
        fault = next(strict_faults(spec.get("schema") or {}, ()), None)
        if fault is not None:
            name = spec.get("name", "")
            return refuse(f"Invalid schema for response_format '{name}': {fault}", param="response_format")
    for index, tool in enumerate(rows(body.get("tools"))):
        function = mapping(tool.get("function"))
        fault = next(strict_faults(function.get("parameters") or {}, ()), None) if function.get("strict") else None
        if fault is not None:
            message = f"Invalid schema for function '{function.get('name', '')}': {fault}"
            return refuse(message, param=f"tools[{index}].function.parameters", code="invalid_function_parameters")
    return None


def strict_faults(schema: Any, path: tuple[str, ...]) -> Iterator[str]:
    """Yield what a strict schema may not do: leave an object open, or a property optional."""
    if not isinstance(schema, dict):
        return
    context = f"In context={path!r}"
    if not path and schema.get("type") != "object":
        yield f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{schema.get('type')}\"'."
    if schema.get("type") == "object" or "properties" in schema:
        if schema.get("additionalProperties") is not False:
            yield f"{context}, 'additionalProperties' is required to be supplied and to be false."
        required = schema.get("required")
        named = required if isinstance(required, list) else ()
        missing = [name for name in mapping(schema.get("properties")) if name not in named]
        if missing:
            text = "'required' is required to be supplied and to be an array including every key in properties."
            yield f"{context}, {text} Missing '{missing[0]}'."
    for word in ("properties", "$defs", "definitions"):
        for name, part in mapping(schema.get(word)).items():
            yield from strict_faults(part, (*path, word, name))
    for word in ("anyOf", "allOf"):
        for index, part in enumerate(rows(schema.get(word))):
            yield from strict_faults(part, (*path, word, str(index)))
    yield from strict_faults(schema.get("items"), (*path, "items"))


_CHAT_CHECKS: tuple[Check, ...] = (
    _check_messages,
    _check_kinds,
    _check_tool_turns,
    check_ranges,
    _check_stop,
    _check_stream_options,
    _check_tool_choice,
)

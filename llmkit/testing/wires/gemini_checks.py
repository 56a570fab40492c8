"""
What ``generateContent`` refuses of paths, fields and parameters, in its own words; of conversations see ``gemini_turns``.

Each check gets the decoded body and the model's name, and returns a refusal or None; the first refusal is the answer.

Source: Google AI for Developers, "Generating content", "Thought signatures", "Gemini thinking" and "Function calling"; recorded error
bodies; read 2026-11-21.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from llmkit.testing.replies import RecordedRequest, Reply
from llmkit.testing.wires.gemini_turns import DATA, check_contents, check_last, check_seals, check_turns, refuse
from llmkit.testing.wires.openai_checks import mapping, rows

__all__ = ["camelled", "check_count", "check_door", "check_generate", "check_model", "decoded", "model_of", "unknown"]

Check = Callable[[dict[str, Any], str], "Reply | None"]

_PATH = re.compile(r".*?/((?:models|tunedModels|endpoints)/[^/:]+)(?::(\w+))?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}")
_MAX_STOPS = 5
# fmt: off
_TOP = frozenset(
    [
        "contents", "systemInstruction", "tools", "toolConfig", "safetySettings", "generationConfig", "cachedContent", "labels",
        "serviceTier", "store", "continuationToken", "modelArmorConfig", "model",
    ]
)
_CONFIG = frozenset(
    [
        "temperature", "topP", "topK", "seed", "stopSequences", "maxOutputTokens", "presencePenalty", "frequencyPenalty",
        "candidateCount", "responseLogprobs", "logprobs", "responseMimeType", "responseSchema", "responseJsonSchema", "thinkingConfig",
        "responseModalities", "mediaResolution", "speechConfig", "imageConfig", "enableEnhancedCivicAnswers",
    ]
)
_PART = DATA | {"thought", "thoughtSignature", "videoMetadata", "mediaResolution", "partMetadata"}
# fmt: on
_RANGES = {"temperature": (0, 2), "topP": (0, 1), "topK": (1, 1 << 31), "maxOutputTokens": (1, 1 << 31)}
_BUDGETS = (
    ("gemini-2.5-pro", 128, 32768, False),
    ("gemini-2.5-flash-lite", 512, 24576, True),
    ("gemini-2.5-flash", 0, 24576, True),
)
_LEVELS = (
    ("gemini-3-pro", ("low", "high")),
    ("gemini-3.1-pro", ("low", "medium", "high")),
    ("gemini-3.7", ("low", "medium", "high")),
    ("gemini-3.8", ("low", "medium", "high")),
)


def model_of(request: RecordedRequest) -> str:
    """Return the model that the path names, without the word before it."""
    found = _PATH.fullmatch(request.endpoint)
    return found[1].partition("/")[2] if found else ""


def decoded(request: RecordedRequest) -> dict[str, Any] | Reply:
    """Return the body, its names in camel case (both ways of writing are taken), or the refusal of one that is no object."""
    try:
        body = request.json
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return refuse("Invalid JSON payload received. Unexpected token.")
    return _camelled(body, 0)


def camelled(value: dict[str, Any]) -> dict[str, Any]:
    """Return *value* with its own names, and not those in it, in camel case."""
    return {re.sub(r"_([a-z])", lambda found: found[1].upper(), name): item for name, item in value.items()}


def _camelled(value: dict[str, Any], depth: int) -> dict[str, Any]:
    names = camelled(value)
    if depth > 6:
        return names
    # What is the user's own is left as it is: arguments, results, schemas, labels.
    own = ("args", "response", "parameters", "parametersJsonSchema", "responseSchema", "responseJsonSchema", "labels")
    return {name: item if name in own else _camelled_in(item, depth + 1) for name, item in names.items()}


def _camelled_in(value: Any, depth: int) -> Any:
    if isinstance(value, dict):
        return _camelled(value, depth)
    return [_camelled_in(item, depth) for item in value] if isinstance(value, list) else value


def check_generate(request: RecordedRequest) -> Reply | None:
    """Return the refusal of a request for content, or None."""
    refusal = check_door(request) or check_model(request)
    if refusal is not None:
        return refusal
    body = decoded(request)
    if isinstance(body, Reply):
        return body
    model = model_of(request)
    return next(filter(None, (check(body, model) for check in _CHECKS)), None)


def check_count(request: RecordedRequest) -> Reply | None:
    """Return the refusal of a request to count tokens, or None."""
    refusal = check_door(request) or check_model(request)
    if refusal is not None:
        return refusal
    body = decoded(request)
    if isinstance(body, Reply):
        return body
    inner = mapping(body.get("generateContentRequest")) or body
    return check_contents(inner, model_of(request))


def check_door(request: RecordedRequest) -> Reply | None:
    """Demand a token where a project is asked: a key is taken only without one."""
    if "/projects/" not in request.endpoint or "authorization" in request.headers or "x-goog-api-key" not in request.headers:
        return None
    message = (
        "API keys are not supported by this API. Expected OAuth2 access token or other authentication credentials that assert a "
        "principal. See https://cloud.google.com/docs/authentication"
    )
    return refuse(message, status=401, word="UNAUTHENTICATED", reason="CREDENTIALS_MISSING")


def check_model(request: RecordedRequest) -> Reply | None:
    """Return the refusal of a model that does not exist (``no-such-model``)."""
    model = model_of(request)
    if "no-such-model" not in model:
        return None
    message = (
        f"models/{model} is not found for API version v1beta, or is not supported for generateContent. Call ListModels to see the list "
        "of available models and their supported methods."
    )
    return refuse(message, status=404, word="NOT_FOUND")


# -- fields


def unknown(name: str, place: str) -> Reply:
    """Return the refusal of a field that is not known at *place*."""
    at = f" at '{place}'" if place else ""
    return refuse(f'Invalid JSON payload received. Unknown name "{name}"{at}: Cannot find field.', field=place or None)


def _check_known(body: dict[str, Any], _model: str) -> Reply | None:
    for name in body.keys() - _TOP:
        return unknown(name, "")
    for name in mapping(body.get("generationConfig")).keys() - _CONFIG:
        return unknown(name, "generation_config")
    for number, content in enumerate(rows(body.get("contents"))):
        for name in content.keys() - {"role", "parts"}:
            return unknown(name, f"contents[{number}]")
        for index, part in enumerate(rows(content.get("parts"))):
            for name in part.keys() - _PART:
                return unknown(name, f"contents[{number}].parts[{index}]")
    return None


# -- parameters


def _check_ranges(body: dict[str, Any], _model: str) -> Reply | None:
    config = mapping(body.get("generationConfig"))
    for name, (least, most) in _RANGES.items():
        value = config.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most):
            field = re.sub("([A-Z])", lambda found: "_" + found[1].lower(), name)
            return refuse(
                f"* GenerateContentRequest.generation_config.{field}: {field} must be in the range [{least}, {most}].\n", field=field
            )
    if len(config.get("stopSequences") or ()) > _MAX_STOPS:
        return refuse(f"The number of stop sequences must be at most {_MAX_STOPS}.")
    return None


def _check_thinking(body: dict[str, Any], model: str) -> Reply | None:
    config = mapping(mapping(body.get("generationConfig")).get("thinkingConfig"))
    budget, level = config.get("thinkingBudget"), config.get("thinkingLevel")
    if budget is not None and level is not None:
        return refuse("You can only set only one of thinking budget and thinking level.")
    if config and re.match(r"gemini-(?:1|2\.0)", model):
        return refuse("Unable to submit request because thinking is not supported by this model.")
    known = next((row for row in _BUDGETS if model.startswith(row[0])), None)
    if known is not None and level is not None:
        return refuse("Thinking level is not supported for this model.")
    if known is not None and budget is not None:
        return _check_budget(budget, *known[1:])
    levels = next((words for name, words in _LEVELS if model.startswith(name)), ("minimal", "low", "medium", "high", "xhigh"))
    if level is not None and str(level).lower() not in levels:
        return refuse(f"Thinking level {str(level).upper()} is not supported for this model. Please retry with other thinking level.")
    return None


def _check_budget(budget: Any, least: int, most: int, can_stop: bool) -> Reply | None:
    if budget == 0 and not can_stop:
        return refuse("Budget 0 is invalid. This model only works in thinking mode.")
    if budget in (0, -1) or (isinstance(budget, int) and least <= budget <= most):
        return None
    return refuse(f"The thinking budget {budget} is invalid. Please choose a value between {least} and {most}.")


def _check_tools(body: dict[str, Any], model: str) -> Reply | None:
    declared = [one for tool in rows(body.get("tools")) for one in rows(tool.get("functionDeclarations"))]
    for number, one in enumerate(declared):
        place = f"tools[0].function_declarations[{number}]"
        if not _NAME.fullmatch(str(one.get("name", ""))):
            return refuse(
                f"* GenerateContentRequest.{place}.name: Invalid function name. Must start with a letter or an underscore. Must be "
                "alphameric (a-z, A-Z, 0-9), underscores (_), dots (.), colons (:), or dashes (-), with a maximum length of 128.\n"
            )
        if "parameters" in one and "parametersJsonSchema" in one:
            return refuse(f"Only one of parameters and parameters_json_schema can be set for {place}.")
        fault = next(_schema_faults(one.get("parametersJsonSchema"), place), None)
        if fault is not None:
            return refuse(fault)
    names = [one.get("name") for one in declared]
    if len(set(names)) != len(names):
        return refuse("Duplicate function declaration found.")
    calling = mapping(mapping(body.get("toolConfig")).get("functionCallingConfig"))
    allowed = calling.get("allowedFunctionNames")
    if allowed and calling.get("mode") not in ("ANY", "VALIDATED"):
        return refuse("Function calling config is set without function_declarations or with a mode that allows no names.")
    if set(allowed or ()) - set(names):
        return refuse("allowed_function_names should be a subset of the declared functions.")
    config = mapping(body.get("generationConfig"))
    if declared and config.get("responseMimeType") == "application/json" and re.match(r"gemini-[12]", model):
        return refuse("Function calling with a response mime type: 'application/json' is unsupported")
    return None


def _check_format(body: dict[str, Any], _model: str) -> Reply | None:
    config = mapping(body.get("generationConfig"))
    schemas = [name for name in ("responseSchema", "responseJsonSchema") if name in config]
    if len(schemas) > 1:
        return refuse("Only one of response_schema and response_json_schema can be set.")
    if schemas and config.get("responseMimeType") != "application/json":
        return refuse(
            "* GenerateContentRequest.generation_config.response_schema: only allowed with response mime type application/json.\n"
        )
    fault = next(_schema_faults(config.get("responseJsonSchema"), "generation_config.response_json_schema"), None)
    return None if fault is None else refuse(fault)


def _schema_faults(schema: Any, place: str) -> Iterator[str]:
    """Yield what no schema here may hold: something beside a reference, or a choice of something else than strings and numbers."""
    if not isinstance(schema, dict):
        return
    if "$ref" in schema and any(not name.startswith("$") for name in schema):
        yield f"{place}: A schema with $ref may have only other fields that begin with $."
    for word in ("const", "allOf", "exclusiveMinimum", "exclusiveMaximum", "pattern", "not"):
        if word in schema:
            yield f"{place}: {word} is not supported."
    if any(isinstance(value, bool) or not isinstance(value, (str, int, float)) for value in schema.get("enum", ())):
        yield f"{place}.enum: only strings and numbers are allowed."
    for word in ("properties", "$defs"):
        for name, part in mapping(schema.get(word)).items():
            yield from _schema_faults(part, f"{place}.{word}[{name}]")
    for word in ("anyOf", "oneOf", "prefixItems"):
        for part in rows(schema.get(word)):
            yield from _schema_faults(part, f"{place}.{word}")
    yield from _schema_faults(schema.get("items"), f"{place}.items")


def _check_cache(body: dict[str, Any], _model: str) -> Reply | None:
    if not body.get("cachedContent") or not body.keys() & {"systemInstruction", "tools", "toolConfig"}:
        return None
    return refuse(
        "CachedContent can not be used with GenerateContent request setting system_instruction, tools or tool_config.\n\nProposed fix: "
        "move those values to CachedContent from GenerateContent request."
    )


_CHECKS: tuple[Check, ...] = (
    _check_known,
    check_contents,
    check_turns,
    check_seals,
    check_last,
    _check_ranges,
    _check_thinking,
    _check_tools,
    _check_format,
    _check_cache,
)

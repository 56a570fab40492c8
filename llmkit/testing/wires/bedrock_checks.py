"""
What Bedrock's Converse refuses in a request, in its own words.

Source: AWS, "Amazon Bedrock API reference", Converse, by botocore 1.44.5, and refusals as users reported them; read 2026-11-21. Where a
wording was not to be had it is made after those that were.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from llmkit.testing.aws import refuse_signature
from llmkit.testing.replies import RecordedRequest, Reply
from llmkit.testing.wires.anthropic_checks import schema_faults
from llmkit.testing.wires.bedrock_history import blocks_in, check_history, refuse
from llmkit.testing.wires.openai_checks import mapping, rows

__all__ = ["check_access", "check_converse", "check_model", "model_in", "refuse"]

Check = Callable[[dict[str, Any], str], "Reply | None"]

_MODEL = re.compile(r"/model/([^/]+)/[a-z-]+")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_FIELDS = {
    *("messages", "system", "inferenceConfig", "toolConfig", "guardrailConfig", "additionalModelRequestFields", "promptVariables"),
    *("additionalModelResponseFieldPaths", "requestMetadata", "performanceConfig", "serviceTier", "outputConfig"),
}
# What a family takes beside what Converse has words for.
_MORE = {
    "claude": {"thinking", "output_config", "top_k", "anthropic_beta", "metadata"},
    "nova-2": {"inferenceConfig", "reasoningConfig"},
    "nova": {"inferenceConfig"},
    "gpt-oss": {"reasoning_effort"},
    "qwen": {"reasoning_config"},
    "command": {"k"},
}
_CHOICES = {
    "claude": {"auto", "any", "tool"},
    "nova": {"auto", "any", "tool"},
    "mistral": {"auto", "any"},
    "llama": {"auto"},
    "command": set[str](),
    "titan": set[str](),
}
_HELD = re.compile(r"claude-(?:opus|sonnet|haiku)-4-[56](?!\d)|qwen3|gpt-oss|gemma-3|minimax|nvidia")
_CLOSED_ROOTS = ("$schema", "description", "title", "additionalProperties")


def model_in(request: RecordedRequest) -> str:
    """Return the model that the path names."""
    found = _MODEL.fullmatch(request.endpoint)
    return "" if found is None else unquote(found[1])


def check_access(request: RecordedRequest) -> Reply | None:
    """Return the refusal of who shows neither a key nor a good signature."""
    if request.headers.get("authorization", "").lower().startswith("bearer "):
        return None
    return refuse_signature(request, service="bedrock")


def check_model(name: str) -> Reply | None:
    """Return the refusal of a model that does not exist: one that is called so (``no-such-model``)."""
    return refuse("The provided model identifier is invalid.") if "no-such-model" in name else None


def check_converse(request: RecordedRequest) -> Reply | None:
    """Return the refusal of a conversation, or None."""
    model = model_in(request)
    refusal = check_access(request) or check_model(model)
    if refusal is not None:
        return refusal
    try:
        body = request.json
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return refuse("Could not parse the request body as a JSON object.", type="SerializationException")
    body = {name: value for name, value in body.items() if value is not None}
    return next(filter(None, (check(body, model.lower()) for check in _CHECKS)), None)


def _check_fields(body: dict[str, Any], _: str) -> Reply | None:
    extra = next((name for name in body if name not in _FIELDS), None)
    if extra is not None:
        return refuse(f"Malformed input request: #: extraneous key [{extra}] is not permitted, please reformat your input and try again.")
    if not isinstance(body.get("messages"), list) or not body["messages"]:
        return refuse("A conversation must start with a user message. Try again with a conversation that starts with a user message.")
    system = body.get("system", [])
    if not isinstance(system, list) or any(len(mapping(block)) != 1 for block in system):
        return refuse("The value at system is a list of unions: exactly one member of each must be set.")
    if any("text" in block and not str(block["text"]).strip() for block in system):
        return refuse("The text field in the SystemContentBlock object at system.0 is blank. Add text to the text field, and try again.")
    if set().union(*system) - {"text", "cachePoint", "guardContent"}:
        return refuse("A SystemContentBlock object has text, cachePoint or guardContent.")
    return None


def _check_bounds(body: dict[str, Any], _: str) -> Reply | None:
    bounds = mapping(body.get("inferenceConfig"))
    extra = next((name for name in bounds if name not in ("maxTokens", "temperature", "topP", "stopSequences")), None)
    if extra is not None:
        return refuse(f"Malformed input request: #/inferenceConfig: extraneous key [{extra}] is not permitted.")
    if not isinstance(bounds.get("maxTokens", 1), int) or bounds.get("maxTokens", 1) < 1:
        return refuse(
            "Value at 'inferenceConfig.maxTokens' failed to satisfy constraint: Member must have value greater than or equal to 1"
        )
    for name in ("temperature", "topP"):
        if not 0 <= bounds.get(name, 0) <= 1:
            return refuse(f"Value at 'inferenceConfig.{name}' failed to satisfy constraint: Member must have value less than or equal to 1")
    if not all(isinstance(stop, str) and stop for stop in bounds.get("stopSequences", ())):
        return refuse("Value at 'inferenceConfig.stopSequences' failed to satisfy constraint: Member must not be empty")
    return None


def _check_tools(body: dict[str, Any], model: str) -> Reply | None:
    used = any("toolUse" in block or "toolResult" in block for block in blocks_in(body))
    if "toolConfig" not in body:
        return refuse("The toolConfig field must be defined when using toolUse and toolResult content blocks.") if used else None
    config = mapping(body["toolConfig"])
    if set(config) - {"tools", "toolChoice"} or not config.get("tools"):
        return refuse("Value at 'toolConfig.tools' failed to satisfy constraint: Member must have length greater than or equal to 1")
    specs = [mapping(tool.get("toolSpec")) for tool in rows(config["tools"]) if "toolSpec" in tool]
    for index, spec in enumerate(specs):
        refusal = _check_spec(f"toolConfig.tools.{index}.toolSpec", spec, model)
        if refusal is not None:
            return refusal
    names = [spec["name"] for spec in specs]
    if len(set(names)) < len(names):
        return refuse("The tool names in toolConfig.tools must be unique.")
    return _check_choice(config, names, body, model)


def _check_spec(place: str, spec: dict[str, Any], model: str) -> Reply | None:
    if set(spec) - {"name", "description", "inputSchema", "strict"}:
        return refuse(f"Malformed input request: #/{place}: extraneous key is not permitted.")
    if not _NAME.fullmatch(str(spec.get("name", ""))):
        return refuse(f"Value at '{place}.name' failed to satisfy constraint: Member must match [a-zA-Z0-9_-]+, up to 64")
    if not spec.get("description", "x"):
        return refuse(f"Value at '{place}.description' failed to satisfy constraint: Member must have length greater than or equal to 1")
    schema = mapping(spec.get("inputSchema")).get("json")
    if not isinstance(schema, dict) or schema.get("type") != "object":
        return refuse(f"The value at {place}.inputSchema.json.type must be one of the following: object.")
    if "nova" in model and (unknown := [word for word in _CLOSED_ROOTS if word in schema]):
        return refuse(
            f"The passed tool configuration does not comply to the required conventions: {unknown[0]}", type="ValidationException"
        )
    if not spec.get("strict"):
        return None
    if not _HELD.search(model):
        return refuse("This model doesn't support the toolSpec.strict field. Remove toolSpec.strict and try again.")
    fault = next(schema_faults(schema), None)
    return None if fault is None else refuse(f"The model returned the following errors: {place}: {fault}")


def _check_choice(config: dict[str, Any], names: list[str], body: dict[str, Any], model: str) -> Reply | None:
    choice = config.get("toolChoice")
    if choice is None:
        return None
    if not isinstance(choice, dict) or len(choice) != 1 or set(choice) - {"auto", "any", "tool"}:
        return refuse("The value at toolConfig.toolChoice is a union: exactly one of auto, any and tool must be set.")
    (kind,) = choice
    known = next((choices for family, choices in _CHOICES.items() if family in model), {"auto", "any", "tool"})
    if kind not in known:
        what = f"toolConfig.toolChoice.{kind}"
        return refuse(f"This model doesn't support the {what} field. Remove {what} and try again.")
    if kind == "tool" and mapping(choice["tool"]).get("name") not in names:
        return refuse("The tool in toolConfig.toolChoice is not found in toolConfig.tools.")
    thinks = mapping(mapping(body.get("additionalModelRequestFields")).get("thinking")).get("type") == "enabled"
    if kind != "auto" and thinks:
        return refuse("The model returned the following errors: Thinking may not be enabled when tool_choice forces tool use.")
    return None


def _check_more(body: dict[str, Any], model: str) -> Reply | None:
    more = mapping(body.get("additionalModelRequestFields"))
    known = next((names for family, names in _MORE.items() if family in model), None)
    extra = next((name for name in more if known is not None and name not in known), None)
    if extra is not None:
        return refuse(f"Malformed input request: #: extraneous key [{extra}] is not permitted, please reformat your input and try again.")
    budget = mapping(more.get("thinking")).get("budget_tokens")
    bound = mapping(body.get("inferenceConfig")).get("maxTokens")
    if isinstance(budget, int) and isinstance(bound, int) and budget >= bound:
        return refuse("The model returned the following errors: `max_tokens` must be greater than `thinking.budget_tokens`.")
    return None


def _check_output(body: dict[str, Any], model: str) -> Reply | None:
    config = body.get("outputConfig")
    if config is None:
        return None
    if not _HELD.search(model):
        return refuse("This model doesn't support the outputConfig.textFormat field. Remove outputConfig.textFormat and try again.")
    wanted = mapping(mapping(config).get("textFormat"))
    said = mapping(mapping(wanted.get("structure")).get("jsonSchema"))
    if wanted.get("type") != "json_schema" or set(said) - {"schema", "name", "description"} or not isinstance(said.get("schema"), str):
        return refuse("Value at 'outputConfig.textFormat.structure.jsonSchema.schema' must be a JSON string.")
    try:
        schema = json.loads(said["schema"])
    except ValueError:
        return refuse("The schema in outputConfig.textFormat is not valid JSON.")
    fault = next(schema_faults(schema), None)
    return None if fault is None else refuse(f"The model returned the following errors: output_config.format.schema: {fault}")


_CHECKS: tuple[Check, ...] = (_check_fields, check_history, _check_bounds, _check_tools, _check_more, _check_output)

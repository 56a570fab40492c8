"""
JSON Schemas in the words that Gemini knows.

Rule: what it has no word for is told in the node's description; nothing that a schema says is lost without a trace.

Source: Google AI for Developers, "Structured outputs", section "JSON schema support"; google-genai 3.4.0, ``GenerateContentConfig``;
pydantic-ai, ``GoogleJsonSchemaTransformer``; read 2026-11-21.
"""

from __future__ import annotations

import json
from typing import Any

from llmkit.schema.nodes import Schema, mapped, rooted

__all__ = ["gemini_schema"]

KNOWN = frozenset(
    [
        *("$id", "$defs", "$ref", "$anchor", "type", "format", "description", "enum", "minimum", "maximum", "anyOf", "oneOf"),
        *("items", "prefixItems", "minItems", "maxItems", "properties", "additionalProperties", "required", "propertyOrdering"),
    ]
)
# What says nothing of the value: a model does not need it.
SILENT = frozenset(("$schema", "$comment", "title", "discriminator", "definitions", "readOnly", "writeOnly", "deprecated", "xml"))
# What two schemas may both say, and what both say then counts; of two descriptions the outer one does.
_JOINED = frozenset(("properties", "required", "description"))
_TYPE_NAMES = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null", list: "array", dict: "object"}


def gemini_schema(schema: Schema) -> Schema:
    """Return *schema* for ``responseJsonSchema`` or ``parametersJsonSchema``."""
    return _rewritten(rooted(schema))


def _rewritten(original: Schema) -> Schema:
    node = _flattened(original)
    if "definitions" in node:
        node["$defs"] = {**node.pop("definitions"), **node.get("$defs", {})}
    node = mapped(_rewritten, node)
    reference = node.get("$ref")
    if isinstance(reference, str):
        node["$ref"] = reference.replace("#/definitions/", "#/$defs/", 1)
    _name_values(node)
    notes = [f"{key}: {_as_text(node.pop(key))}" for key in list(node) if key not in KNOWN and key not in SILENT]
    if node.get("type") == "string" and "format" in node:
        notes.append(f"format: {node.pop('format')}")
    node = {key: value for key, value in node.items() if key in KNOWN and not (key == "items" and isinstance(value, bool))}
    text = "; ".join(filter(None, [str(node.pop("description", "")), *notes]))
    if "$ref" in node and (text or any(not key.startswith("$") for key in node)):
        # Beside a reference stand only other words with a dollar sign.
        node = {**{key: value for key, value in node.items() if key != "$ref"}, "anyOf": [{"$ref": node["$ref"]}]}
    return {**node, "description": text} if text else node


def _flattened(original: Schema) -> Schema:
    """Return a copy of *original* in which the schemas under ``allOf`` are one with it, if no two say the same word otherwise."""
    node = dict(original)
    parts = node.pop("allOf", ())
    for part in (_flattened(part) for part in parts if isinstance(part, dict)):
        clash = {key for key in part if key in node and node[key] != part[key] and key not in _JOINED}
        if clash or ("$ref" in part and len(parts) > 1):
            return dict(original)  # what is left of it is told in words, like everything that cannot be said
        properties = {**node.get("properties", {}), **part.get("properties", {})}
        required = list(dict.fromkeys([*node.get("required", ()), *part.get("required", ())]))
        node = {**part, **node}
        node.update({key: value for key, value in (("properties", properties), ("required", required)) if value})
    return node


def _name_values(node: Schema) -> None:
    """Put constants and choices into the one word there is for them, which takes strings and numbers only."""
    if "const" in node:
        node["enum"] = [node.pop("const")]
    values = node.get("enum")
    if not isinstance(values, list) or not values:
        return
    kinds = list(dict.fromkeys(_TYPE_NAMES.get(type(value), "object") for value in values))
    node.setdefault("type", kinds[0] if len(kinds) == 1 else kinds)
    plain = [value for value in values if isinstance(value, (str, int, float)) and not isinstance(value, bool)]
    if len(plain) == len(values):
        return
    del node["enum"]
    others = [value for value in values if value not in plain]
    if plain and others == [None] and "anyOf" not in node:
        kinds.remove("null")
        node["anyOf"] = [{"type": kinds[0] if len(kinds) == 1 else kinds, "enum": plain}, {"type": "null"}]
        del node["type"]
    elif values != [None] and sorted(map(repr, values)) != ["False", "True"]:
        node["one of"] = values  # told in words


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

"""
Schemas in the words that Claude can be held to.

Rule: nothing is dropped. What a held schema has no keyword for is told in its description, and a shape that cannot be held at all
(an object with free keys, a recursion) is found by ``is_holdable``, so that it can be asked for in words.

Source: Anthropic's documentation, "Structured outputs", section "JSON Schema limitations", and its package (2.12),
``lib/_parse/_transform.py``; read 2026-11-21.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from llmkit.schema import is_strict_able
from llmkit.schema.nodes import Schema, is_object, mapped, nodes_of, rooted, with_description

__all__ = ["held_schema", "input_schema", "is_holdable"]

FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"})
_SPOKEN = frozenset(
    [
        *("type", "properties", "required", "additionalProperties", "items", "minItems", "enum", "const", "anyOf", "allOf"),
        *("$defs", "$ref", "description", "title", "format"),
    ]
)
_SILENT = frozenset({"$schema", "$id", "$comment", "discriminator"})  # these say nothing of the values


def is_holdable(schema: Schema) -> bool:
    """Return whether *schema* can be said without loss of its point: an object at its root, closed throughout, not recursive."""
    return is_strict_able(schema) and not _is_recursive(schema)


def held_schema(schema: Schema) -> Schema:
    """Return *schema* as the API takes it: objects closed, keywords that it does not know told in the description."""
    return _held(rooted(schema))


def input_schema(schema: Schema) -> Schema:
    """Return *schema*, of a tool's arguments, with the one thing that the API demands of it: that it says ``object`` at its root."""
    if schema.get("type") == "object":
        return schema
    return {**rooted(schema), "type": "object"}


def _held(original: Schema) -> Schema:
    node = mapped(_held, _defined(original))
    notes: list[str] = []
    if "oneOf" in node:
        node["anyOf"] = [*node.get("anyOf", ()), *node.pop("oneOf")]
    if "prefixItems" in node:
        items = node.pop("prefixItems")
        notes.append(f"items in order: {json.dumps(items, ensure_ascii=False)}")
        node["items"] = items[0] if len(items) == 1 else {"anyOf": items}
    if isinstance(node.get("type"), list):
        # Of what is counted out, the types are known.
        node = {key: node[key] for key in node if key != "type"} if "enum" in node or "const" in node else _typed_apart(node)
    if is_object(node):
        node = {**node, "type": "object", "properties": node.get("properties", {}), "additionalProperties": False}
    spoken: Schema = {}
    for key, value in node.items():
        if _is_spoken(key, value):
            spoken[key] = value
        elif key not in _SILENT:
            notes.append(f"{key}: {json.dumps(value, ensure_ascii=False)}")
    text = "; ".join(filter(None, [str(spoken.pop("description", "")), *notes]))
    if "$ref" in spoken and (text or len(spoken) > 1):
        spoken = {"anyOf": [{"$ref": spoken.pop("$ref")}], **spoken}  # nothing may stand beside a reference
    return with_description(spoken, text)


def _defined(node: Schema) -> Schema:
    """Return *node* with its definitions under the name, and its references to the place, that the API knows."""
    node = dict(node)
    if "definitions" in node:
        node["$defs"] = {**node.pop("definitions"), **node.get("$defs", {})}
    reference = node.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/definitions/"):
        node["$ref"] = reference.replace("#/definitions/", "#/$defs/", 1)
    return node


def _typed_apart(node: Schema) -> Schema:
    """Return *node*, which may be of several types, as alternatives of one type each, with the keywords that are about it."""
    kinds = node["type"]
    about = {key for kind in kinds for key in _ABOUT.get(kind, ())}
    branches = [{"type": kind, **{key: node[key] for key in _ABOUT.get(kind, ()) if key in node}} for kind in kinds]
    rest = {key: value for key, value in node.items() if key != "type" and key not in about}
    return {**rest, "anyOf": [_held(branch) for branch in branches]}


_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_ABOUT: Mapping[str, tuple[str, ...]] = {
    "object": ("properties", "required", "additionalProperties", "minProperties", "maxProperties"),
    "array": ("items", "minItems", "maxItems", "uniqueItems", "contains"),
    "string": ("format", "pattern", "minLength", "maxLength"),
    "number": _NUMBERS,
    "integer": _NUMBERS,
}


def _is_spoken(key: str, value: Any) -> bool:
    if key == "format":
        return value in FORMATS
    if key == "minItems":
        return value in (0, 1)
    if key == "enum":
        return all(_is_primitive(one) for one in value)
    return key in _SPOKEN and (key != "const" or _is_primitive(value))


def _is_primitive(value: Any) -> bool:
    return value is None or isinstance(value, (str, int, float))


def _is_recursive(schema: Schema) -> bool:
    """Return whether a definition refers to itself, be it through others, or anything to the root."""
    definitions = {**schema.get("definitions", {}), **schema.get("$defs", {})}
    reached = {name: _references(definition) for name, definition in definitions.items()}
    for name, found in reached.items():
        seen: set[str] = set()
        waiting = [*found]
        while waiting:
            other = waiting.pop()
            if other == name:
                return True
            if other not in seen:
                seen.add(other)
                waiting += reached.get(other, ())
    return "" in _references(schema)


def _references(schema: Schema) -> list[str]:
    """Return the names of the definitions that *schema* refers to; an empty one for any other place in the document."""
    found: list[str] = []
    for node in nodes_of(schema):
        reference = node.get("$ref")
        if isinstance(reference, str):
            head, _, name = reference.rpartition("/")
            found.append(name if head in ("#/$defs", "#/definitions") else "")
    return found

"""
JSON Schemas as values: what a node says, and how to walk from node to node.

Only the keywords named here hold schemas; what looks like one in an ``enum`` or a ``default`` is a value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = [
    "JSON_TYPES",
    "Schema",
    "accepts_null",
    "any_of",
    "copied",
    "is_object",
    "mapped",
    "nodes_of",
    "resolved",
    "rooted",
    "target",
    "with_description",
]

Schema = dict[str, Any]

# Python's type of a decoded value -> what JSON Schema calls it.
JSON_TYPES: Mapping[Any, str] = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}

_HOLD_ONE = frozenset(
    [
        "items",
        "additionalProperties",
        "propertyNames",
        "contains",
        "unevaluatedItems",
        "unevaluatedProperties",
        "not",
        "if",
        "then",
        "else",
    ]
)
_HOLD_A_LIST = frozenset(["anyOf", "oneOf", "allOf", "prefixItems"])
_HOLD_BY_NAME = frozenset(["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"])


def mapped(change: Callable[[Schema], Schema], node: Schema) -> Schema:
    """Return a copy of *node* with each schema directly in it changed."""

    def changed(child: Any) -> Any:
        return change(child) if isinstance(child, dict) else child  # true and false are schemas as well

    copy = dict(node)
    for key, value in node.items():
        if key in _HOLD_ONE:
            copy[key] = changed(value)
        elif key in _HOLD_A_LIST and isinstance(value, list):
            copy[key] = [changed(child) for child in value]
        elif key in _HOLD_BY_NAME and isinstance(value, dict):
            copy[key] = {name: changed(child) for name, child in value.items()}
    return copy


def nodes_of(schema: Schema) -> list[Schema]:
    """Return *schema* and every schema in it."""
    found: list[Schema] = []

    def remember(node: Schema) -> Schema:
        found.append(node)
        return mapped(remember, node)

    remember(schema)
    return found


def copied(value: Any) -> Any:
    """Return a copy of a JSON value that shares nothing with it: mappings become dicts, sequences lists."""
    if isinstance(value, Mapping):
        return {key: copied(item) for key, item in value.items()}
    return [copied(item) for item in value] if isinstance(value, (list, tuple)) else value


def target(node: Schema) -> str:
    """Return the name of the definition in ``$defs`` that *node* refers to, or an empty text."""
    reference = node.get("$ref")
    return reference[len("#/$defs/") :] if isinstance(reference, str) and reference.startswith("#/$defs/") else ""


def resolved(node: Any, root: Schema) -> Schema:
    """Return *node*, or the schema in *root* that its ``$ref`` names; an empty schema where there is none."""
    for _ in range(32):  # a chain of references may be a circle
        if not isinstance(node, dict):
            return {}
        reference = node.get("$ref")
        if not isinstance(reference, str):
            return node
        if not reference.startswith("#"):
            return {}
        node = root
        for step in reference.split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")  # JSON Pointer's escapes: RFC 6901, section 4
            node = node.get(step) if isinstance(node, dict) else None
    return {}


def rooted(schema: Schema) -> Schema:
    """Return *schema* with the definition in place that its root refers to."""
    if "$ref" not in schema:
        return schema
    rest = {key: value for key, value in schema.items() if key != "$ref"}
    return {**resolved(schema, schema), **rest}


def is_object(schema: Schema) -> bool:
    """Return whether *schema* is of an object, and of nothing else."""
    return schema.get("type") == "object" or ("type" not in schema and "properties" in schema)


def accepts_null(node: Schema) -> bool:
    """Return whether null is a value of *node*, references aside."""
    if "enum" in node:
        return None in node["enum"]
    if "const" in node:
        return node["const"] is None
    if "type" in node:
        return "null" in (node["type"] if isinstance(node["type"], list) else [node["type"]])
    branches = [*node.get("anyOf", ()), *node.get("oneOf", ())]
    if not branches:
        return "$ref" not in node
    return any(accepts_null(branch) for branch in branches if isinstance(branch, dict))


def any_of(branches: list[Schema]) -> Schema:
    """Return the schema of what fits at least one of *branches*, in the fewest words."""
    distinct = [branch for index, branch in enumerate(branches) if branch not in branches[:index]]
    if {} in distinct:
        return {}
    return distinct[0] if len(distinct) == 1 else {"anyOf": distinct}


def with_description(node: Schema, text: str) -> Schema:
    """Return *node* described by *text*; an empty text leaves the description it has."""
    return {**node, "description": text} if text else node

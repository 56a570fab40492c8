"""
Schemas as OpenAI's strict mode wants them, and answers as the original schema would have them.

Source: pydantic-ai at 4fda389, profiles/openai.py, OpenAIJsonSchemaTransformer (August 2026).
"""

from __future__ import annotations

import json
import re
from itertools import chain, repeat
from typing import Any

from llmkit.errors import ConfigurationError
from llmkit.schema.nodes import JSON_TYPES, Schema, accepts_null, any_of, is_object, mapped, nodes_of, resolved, rooted, with_description

__all__ = ["drop_nulls", "is_strict_able", "strict_schema"]

_FORMATS = ("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid")
_LOOK_AROUND = r"\(\?<?[=!]"

# Keywords that strict mode does not know. Without these, a schema would say something else ...
_ESSENTIAL = ("patternProperties", "not", "if", "then", "else", "dependentRequired", "dependentSchemas")
# ... and without these nearly the same, so that a description will do.
_FINER_LIMITS = (
    "minLength",
    "maxLength",
    "propertyNames",
    "minProperties",
    "maxProperties",
    "unevaluatedProperties",
    "unevaluatedItems",
    "contains",
    "minContains",
    "maxContains",
    "uniqueItems",
)


def is_strict_able(schema: Schema) -> bool:
    """Return whether strict mode can express *schema*: an object at its root, no free-form object, a type everywhere."""
    root = rooted(schema)
    return is_object(root) and all(_is_speakable(node) for node in nodes_of(root))


def _is_speakable(node: Schema) -> bool:
    if any(key in node for key in _ESSENTIAL) or len(node.get("allOf", ())) > 1 or ("anyOf" in node and "oneOf" in node):
        return False
    if any(not isinstance(child, dict) for key in ("anyOf", "oneOf", "allOf", "prefixItems") for child in node.get(key, ())):
        return False
    reference = node.get("$ref")
    if reference is not None:
        return str(reference).startswith("#")
    kinds = node.get("type", "object" if "properties" in node else ())
    if "object" in kinds and not _is_closed(node):
        return False
    if "array" in kinds and not (node.get("prefixItems") or isinstance(node.get("items"), dict)):
        return False
    return bool(kinds) or any(key in node for key in ("enum", "const", "anyOf", "oneOf", "allOf"))


def _is_closed(node: Schema) -> bool:
    """Return whether the keys of an object are known: strict mode has no others."""
    if node.get("additionalProperties", False) is not False:
        return False
    properties = node.get("properties", {} if "additionalProperties" in node else None)
    return properties is not None and all(isinstance(child, dict) for child in properties.values())


def strict_schema(schema: Schema) -> Schema:
    """
    Return *schema* as strict mode wants it: objects closed, every property required, an optional one nullable.

    Keywords that strict mode does not know are told in the description. ``drop_nulls`` undoes on an answer what this
    does to the schema.

    Raises:
        ConfigurationError: If the root is no object.
    """
    root = rooted(schema)
    if not is_object(root):
        msg = f"A strict schema must be an object at its root, not {json.dumps(root.get('type', sorted(root)))}."
        raise ConfigurationError(msg)
    return _strict(root)


def _strict(original: Schema) -> Schema:
    node = mapped(_strict, original)
    node = _flattened({key: value for key, value in node.items() if key not in ("default", "$schema", "$id")})
    unknown = (*_FINER_LIMITS, *_ESSENTIAL)
    notes = [f"{key}: {json.dumps(node.pop(key), ensure_ascii=False)}" for key in unknown if key in node]
    if isinstance(node.get("format"), str) and node["format"] not in _FORMATS:
        notes.append(f"format: {node.pop('format')}")
    if isinstance(node.get("pattern"), str) and re.search(_LOOK_AROUND, node["pattern"]):
        notes.append(f"pattern: {node.pop('pattern')}")
    if "prefixItems" in node:
        items = node.pop("prefixItems")
        notes.append(f"items in order: {json.dumps(items, ensure_ascii=False)}")
        node["items"] = any_of(items)
    if is_object(node) or "object" in node.get("type", ()):
        node = _closed(node, original)
    text = "; ".join(filter(None, [str(node.pop("description", "")), *notes]))
    if "$ref" in node and (text or len(node) > 1):  # strict mode lets nothing stand beside a reference
        node = {"anyOf": [{"$ref": node.pop("$ref")}], **node}
    return with_description(node, text)


def _flattened(node: Schema) -> Schema:
    """Return *node* with ``oneOf``, ``const`` and a lone ``allOf`` in the words that strict mode has."""
    if "oneOf" in node:
        node["anyOf"] = node.pop("oneOf")
        node.pop("discriminator", None)
    if len(node.get("allOf", ())) == 1:
        (only,) = node.pop("allOf")
        node = {**only, **node}
    if "const" in node:
        node["enum"] = [node.pop("const")]
    if "enum" in node and "type" not in node:
        kinds = list(dict.fromkeys(JSON_TYPES.get(type(value), "object") for value in node["enum"]))
        node["type"] = kinds[0] if len(kinds) == 1 else kinds
    return node


def _closed(node: Schema, original: Schema) -> Schema:
    needed = original.get("required", ())
    properties = {
        name: child if name in needed or accepts_null(child) else _nullable(child) for name, child in node.get("properties", {}).items()
    }
    return {**node, "properties": properties, "required": list(properties), "additionalProperties": False}


def _nullable(node: Schema) -> Schema:
    text = node.get("description", "")
    bare = {key: value for key, value in node.items() if key != "description"}
    branches = bare["anyOf"] if set(bare) == {"anyOf"} else [bare]
    return with_description({"anyOf": [*branches, {"type": "null"}]}, text)


def drop_nulls(value: Any, schema: Schema) -> Any:
    """Return *value* without nulls that say "absent": of properties that *schema* neither requires nor lets be null."""
    return _dropped(value, schema, schema)


def _dropped(value: Any, node: Any, root: Schema) -> Any:
    if not isinstance(value, (dict, list)) or not isinstance(node, dict) or not node:
        return value
    node = _branch(value, node, root)
    if isinstance(value, list):
        nodes = chain(node.get("prefixItems", ()), repeat(node.get("items")))
        return [_dropped(item, child, root) for item, child in zip(value, nodes, strict=False)]
    properties, needed = node.get("properties", {}), node.get("required", ())
    return {
        key: _dropped(item, properties.get(key, node.get("additionalProperties")), root)
        for key, item in value.items()
        if item is not None or key not in properties or key in needed or accepts_null(resolved(properties[key], root))
    }


def _branch(value: dict[str, Any] | list[Any], node: Any, root: Schema) -> Schema:
    """Return the alternative of *node* that *value* seems to answer: in strict mode it has exactly its keys."""
    whole = resolved(node, root)
    alternatives = [child for key in ("anyOf", "oneOf", "allOf") for child in whole.get(key, ())]
    if not alternatives:
        return whole
    branches = [_branch(value, child, root) for child in alternatives]
    if isinstance(value, list):
        return next((branch for branch in branches if branch.get("type") == "array"), Schema())
    objects = [branch for branch in branches if is_object(branch)]
    return max(objects, key=lambda branch: _likeness(value, branch), default=Schema())


def _likeness(value: dict[str, Any], branch: Schema) -> tuple[bool, int]:
    """Return how well *value* answers *branch*, to be compared: its constants first, then its keys."""
    properties: dict[str, Any] = branch.get("properties", {})
    tags = {key: child.get("enum", [child.get("const")]) for key, child in properties.items() if isinstance(child, dict)}
    tags_fit = all(value.get(key) in options for key, options in tags.items() if options != [None])
    return tags_fit, -len(set(value) ^ set(properties))

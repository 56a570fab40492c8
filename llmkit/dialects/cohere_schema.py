"""
JSON Schemas that Cohere can hold a model to.

Rule 1: every object in them has known properties and needs at least one; ``drop_nulls`` undoes on an answer what this does for it.
Rule 2: a limit that Cohere does not know is told in the description. A schema that cannot be said so is said in words, by the caller.

Source: Cohere documentation, "Structured outputs", sections "Parameter types support" and "Unsupported schema features"; read 2026-11-21.
"""

from __future__ import annotations

from typing import Any

from llmkit.dialects.wire_json import written
from llmkit.schema import is_strict_able, strict_schema
from llmkit.schema.nodes import Schema, is_object, mapped, nodes_of

__all__ = ["held_schema"]

_UNKNOWN = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minItems", "maxItems")
_FORMATS = frozenset({"date-time", "uuid", "date", "time"})


def held_schema(schema: Schema) -> Schema | None:
    """Return *schema* in the words that Cohere knows; None where it has none for it."""
    if not is_strict_able(schema):
        return None
    # Strict mode goes the same way: every property is needed, one that was optional may be null.
    strict = strict_schema(schema)
    if any(is_object(node) and not node.get("properties") for node in nodes_of(strict)):
        return None
    return _held(strict)


def _held(original: Schema) -> Schema:
    node = mapped(_held, original)
    notes = [f"{key}: {written(node.pop(key), key)}" for key in _UNKNOWN if key in node]
    if "format" in node and node["format"] not in _FORMATS:
        notes.append(f"format: {node.pop('format')}")
    if _is_unfit(node.get("pattern")):
        notes.append(f"pattern: {node.pop('pattern')}")
    if notes:
        node["description"] = "; ".join(filter(None, [str(node.get("description") or ""), *notes]))
    return node


def _is_unfit(pattern: Any) -> bool:
    # Neither ends nor looking ahead, which stand in most patterns that have them.
    return isinstance(pattern, str) and any(mark in pattern for mark in ("^", "$", "?=", "?!"))

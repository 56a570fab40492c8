"""
Limits on a value beyond its type: read from annotations and validators, told in a schema, held against a value.

A limit is named by JSON Schema's keyword; that of a length is ``minLength`` or ``maxLength`` whatever it is the length of.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from llmkit.schema.nodes import JSON_TYPES, Schema

__all__ = ["constrained", "is_within", "limits_of_notes", "limits_of_validator"]

# The attributes of annotated_types, of what is made like them, and of attrs' length validators.
_ATTRIBUTES: Mapping[str, str] = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "multiple_of": "multipleOf",
    "min_length": "minLength",
    "max_length": "maxLength",
    "pattern": "pattern",
}
_COMPARISONS: Mapping[str, str] = {">=": "minimum", ">": "exclusiveMinimum", "<=": "maximum", "<": "exclusiveMaximum"}
_OF_NUMBERS = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf")
_OF_LENGTHS: Mapping[str, Mapping[str, str]] = {
    "string": {"minLength": "minLength", "maxLength": "maxLength"},
    "array": {"minLength": "minItems", "maxLength": "maxItems"},
    "object": {"minLength": "minProperties", "maxLength": "maxProperties"},
}


def limits_of_notes(notes: Iterable[Any]) -> dict[str, Any]:
    """Return the limits in an ``Annotated``, by attribute: those of annotated_types, and of anything made like them."""
    limits: dict[str, Any] = {}
    for note in notes:
        if isinstance(nested := getattr(note, "metadata", None), (list, tuple)):  # pydantic's Field keeps its bounds there
            limits.update(limits_of_notes(nested))
        for attribute, keyword in _ATTRIBUTES.items():
            bound = getattr(note, attribute, None)
            if bound is not None:
                limits[keyword] = getattr(bound, "pattern", bound)
    return limits


def limits_of_validator(validator: Any) -> dict[str, Any]:
    """Return the limits in an attrs validator, read by attribute, since its classes are private."""
    if validator is None:
        return {}
    limits: dict[str, Any] = {}
    for inner in (*getattr(validator, "_validators", ()), *filter(None, [getattr(validator, "validator", None)])):
        if type(validator).__name__ != "_NotValidator":
            limits.update(limits_of_validator(inner))
    if keyword := _COMPARISONS.get(str(getattr(validator, "compare_op", ""))):
        limits[keyword] = validator.bound
    for attribute in ("min_length", "max_length"):
        if (bound := getattr(validator, attribute, None)) is not None:
            limits[_ATTRIBUTES[attribute]] = bound
    if isinstance(options := getattr(validator, "options", None), (tuple, list, set, frozenset)):
        unordered = isinstance(getattr(validator, "_original_options", options), (set, frozenset))
        limits["enum"] = sorted(options, key=repr) if unordered else list(options)
    # Flags have no place in a JSON Schema; the validator still checks what its pattern says.
    if (pattern := getattr(validator, "pattern", None)) is not None and pattern.flags & ~re.UNICODE == 0:
        limits["pattern"] = _anchored(pattern.pattern, validator.match_func.__name__)
    return limits


def _anchored(pattern: str, how: str) -> str:
    grouped = f"(?:{pattern})" if "|" in pattern else pattern
    return {"fullmatch": f"^{grouped}$", "match": f"^{grouped}"}.get(how, pattern)


def constrained(node: Schema, limits: Mapping[str, Any]) -> Schema:
    """Return *node* with those *limits* that its type knows."""
    if not limits:
        return node
    if "anyOf" in node:
        return {**node, "anyOf": [constrained(branch, limits) for branch in node["anyOf"]]}
    kind = node.get("type")
    said: Schema = {}
    if kind in ("integer", "number"):
        said = {key: _as_number(limits[key]) for key in _OF_NUMBERS if key in limits}
    for limit, keyword in _OF_LENGTHS.get(str(kind), {}).items():
        if limits.get(limit):
            said[keyword] = limits[limit]
    if kind == "string" and "pattern" in limits:
        said["pattern"] = limits["pattern"]
    if options := [option for option in limits.get("enum", ()) if kind == JSON_TYPES.get(type(option))]:
        said["enum"] = [option for option in node.get("enum", options) if option in options]
    return {**node, **said}


def _as_number(bound: Any) -> int | float:
    return bound if isinstance(bound, (int, float)) else float(bound)


def is_within(value: Any, keyword: str, bound: Any) -> bool:
    """Return whether *value* keeps to a limit; one of another kind than the limit is about does, as in JSON Schema."""
    try:
        return _CHECKS[keyword](value, bound)
    except TypeError:
        return True


_CHECKS: Mapping[str, Callable[[Any, Any], bool]] = {
    "minimum": lambda value, bound: bool(value >= bound),
    "exclusiveMinimum": lambda value, bound: bool(value > bound),
    "maximum": lambda value, bound: bool(value <= bound),
    "exclusiveMaximum": lambda value, bound: bool(value < bound),
    "multipleOf": lambda value, bound: abs(value / bound - round(value / bound)) < 1e-9,
    "minLength": lambda value, bound: len(value) >= bound,
    "maxLength": lambda value, bound: len(value) <= bound,
    "pattern": lambda value, bound: re.search(bound, value) is not None,
}

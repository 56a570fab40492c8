"""What a fake model says when it may choose: the least value that a JSON Schema allows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["sample"]

_FORMATS = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "duration": "PT0S",
    "email": "a@example.com",
    "hostname": "example.com",
    "ipv4": "127.0.0.1",
    "ipv6": "::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_PLAIN: dict[str, Any] = {"boolean": False, "null": None}
_DEEP = 6  # levels; from here on an alternative that ends is taken, so that recursive schemas do


def sample(schema: Any, text: str = "") -> Any:
    """
    Return the least value that fits *schema*; free strings are *text*, so that an answer shows which request it is for.

    Understood are types, required properties, items, enumerations, constants, alternatives, local references, formats,
    and lower bounds. Patterns are not.
    """
    return _sample(schema, schema, text, 0)


def _sample(schema: Any, root: Any, text: str, depth: int) -> Any:
    if not isinstance(schema, Mapping):
        return {}
    if "$ref" in schema:
        return _sample(_resolve(schema["$ref"], root), root, text, depth + 1)
    for word in ("const", "default"):
        if word in schema:
            return schema[word]
    if schema.get("enum"):
        return schema["enum"][0]
    alternatives = schema.get("anyOf") or schema.get("oneOf")
    if alternatives:
        return _sample(_choose(alternatives, depth), root, text, depth + 1)
    if schema.get("allOf"):
        return _sample(_merged(schema, root), root, text, depth + 1)
    return _of_type(schema, root, text, depth)


def _of_type(schema: Mapping[str, Any], root: Any, text: str, depth: int) -> Any:
    kind = schema.get("type") or ("object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = "null" if "null" in kind and depth > _DEEP else kind[0]
    if kind == "object":
        properties = schema.get("properties", {})
        names = [name for name in schema.get("required", ()) if name in properties]
        return {name: _sample(properties[name], root, text, depth + 1) for name in names}
    if kind == "array":
        return [_sample(schema.get("items"), root, text, depth + 1)] * schema.get("minItems", 0)
    if kind in ("integer", "number"):
        return _number(schema)
    return _PLAIN[kind] if kind in _PLAIN else _string(schema, text)


def _number(schema: Mapping[str, Any]) -> Any:
    least = schema.get("minimum", schema.get("exclusiveMinimum", min(0, schema.get("maximum", 0))))
    step = schema.get("multipleOf", 1)
    above = schema.get("exclusiveMinimum")
    value = -(-least // step) * step
    return value if above is None or value > above else value + step


def _string(schema: Mapping[str, Any], text: str) -> str:
    value = _FORMATS.get(schema.get("format", ""), text)
    return value.ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength")]


def _choose(alternatives: list[Any], depth: int) -> Any:
    if depth > _DEEP:
        ends = [kind for kind in alternatives if isinstance(kind, Mapping) and isinstance(kind.get("type"), str)]
        plain = [kind for kind in ends if kind["type"] not in ("object", "array")]
        return (plain or alternatives)[0]
    return alternatives[0]


def _merged(schema: Mapping[str, Any], root: Any) -> dict[str, Any]:
    merged: dict[str, Any] = {key: value for key, value in schema.items() if key != "allOf"}
    for part in schema["allOf"]:
        resolved = _resolve(part["$ref"], root) if "$ref" in part else part
        properties = {**merged.get("properties", {}), **resolved.get("properties", {})}
        required = [*merged.get("required", ()), *resolved.get("required", ())]
        merged = {**merged, **resolved, "properties": properties, "required": required}
    return merged if merged["properties"] else {key: merged[key] for key in merged if key != "properties"}


def _resolve(reference: str, root: Any) -> Any:
    """Follow a reference within the same document. Source: RFC 6901, section 4."""
    found = root
    for name in reference.lstrip("#").strip("/").split("/"):
        if name:
            found = found.get(name.replace("~1", "/").replace("~0", "~"), {}) if isinstance(found, Mapping) else {}
    return found

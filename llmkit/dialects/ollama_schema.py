"""
JSON Schemas as Ollama reads them: one way for answers, another for tools.

Rule 1: an answer's schema becomes a grammar of llama.cpp; what that would fail on or misread is said in other words.
Rule 2: a tool's schema is read into a few fields and shown to the model; what those cannot hold is told in the description.
Rule 3: nothing is left out in silence, and what is given is not changed.

Sources: llama.cpp, common/json-schema-to-grammar.cpp at 011c6c3; Ollama, api/types.go at fb3076099 (ToolFunctionParameters,
ToolProperty); read 2026-11-21.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from llmkit.dialects.wire_json import written
from llmkit.schema.nodes import mapped, resolved

__all__ = ["for_grammar", "for_template"]

Schema = dict[str, Any]

# Look-around is passed over by the grammar; an escaped letter (\d, \w) breaks it.
_UNFIT_PATTERN = re.compile(r"\(\?[^:]|\\[A-Za-z0-9]")
_ANYTHING = ["string", "number", "boolean", "object", "array", "null"]
_STRUCTURE = frozenset({"type", "$ref", "anyOf", "oneOf", "allOf", "const", "enum", "properties", "additionalProperties"})
_STRUCTURE_OF_OTHERS = frozenset({"items", "prefixItems", "pattern", "format"})
_ROOT = "root"

_KEPT = ("type", "items", "description", "enum", "anyOf", "properties", "required")
_NOISE = frozenset({"title", "$schema", "$id", "$defs", "definitions", "$comment", "discriminator", "examples"})


def for_grammar(schema: Mapping[str, Any]) -> Schema:
    """Return *schema*, that of an answer, so that the grammar made of it says the same."""
    root = _fit(dict(schema))
    if not _refers_to_root(root):
        return root
    # A reference to the root must have a name.
    definitions: Schema = {**root.pop("definitions", {}), **root.pop("$defs", {}), _ROOT: root}
    return _with_named_root({"$ref": f"#/$defs/{_ROOT}", "$defs": definitions})


def _fit(schema: Schema) -> Schema:
    node = mapped(_fit, schema)
    for key in ("properties", "$defs", "definitions"):
        if isinstance(node.get(key), dict):
            node[key] = {name: _of_boolean(child) for name, child in node[key].items()}
    pattern = node.get("pattern")
    if isinstance(pattern, str) and not (pattern.startswith("^") and pattern.endswith("$") and not _UNFIT_PATTERN.search(pattern)):
        del node["pattern"]
        node["description"] = _told(node, [f"pattern: {pattern}"])
        node.setdefault("type", "string")
    if not (_STRUCTURE | _STRUCTURE_OF_OTHERS) & node.keys():
        # Without any word the grammar would take objects only.
        node["type"] = _ANYTHING
    return node


def _of_boolean(schema: Any) -> Any:
    return {"type": _ANYTHING} if schema is True else schema


def _refers_to_root(node: Any) -> bool:
    if isinstance(node, dict):
        return node.get("$ref") == "#" or any(map(_refers_to_root, node.values()))
    return isinstance(node, list) and any(map(_refers_to_root, node))


def _with_named_root(node: Schema) -> Schema:
    copy = mapped(_with_named_root, node)
    reference = copy.get("$ref")
    if reference == "#":
        copy["$ref"] = f"#/$defs/{_ROOT}"
    elif isinstance(reference, str) and reference.startswith("#/definitions/"):
        copy["$ref"] = reference.replace("#/definitions/", "#/$defs/", 1)
    return copy


def for_template(schema: Mapping[str, Any]) -> Schema:
    """Return *schema*, that of a tool's arguments, in the few words that reach the model."""
    return _shown(schema, dict(schema), frozenset())


def _shown(schema: Any, root: Schema, around: frozenset[str]) -> Schema:
    """Return *schema*, which stands inside what the references *around* it name, with references written out."""
    if not isinstance(schema, Mapping):
        return {}  # true: anything
    node = dict(schema)
    reference = node.pop("$ref", None)
    if isinstance(reference, str):
        target = resolved({"$ref": reference}, root)
        if reference in around:
            # A schema that holds itself is written out once.
            name = reference.rpartition("/")[2].lstrip("#") or "the whole"
            return {"type": target.get("type", "object"), "description": _told(node, [f"of the same form as {name}"])}
        node, around = {**target, **node}, around | {reference}
    node, around = _in_known_words(node, root, around)
    shown: Schema = {key: node[key] for key in _KEPT if key in node}
    notes = [f"{key}: {written(value, key)}" for key, value in node.items() if _must_be_told(key, value)]
    if notes:
        shown["description"] = _told(node, notes)
    if isinstance(shown.get("properties"), Mapping):
        shown["properties"] = {name: _shown(child, root, around) for name, child in shown["properties"].items()}
    if "items" in shown:
        shown["items"] = _shown(shown["items"], root, around)
    if isinstance(shown.get("anyOf"), list):
        shown["anyOf"] = [_shown(child, root, around) for child in shown["anyOf"]]
    return shown


def _in_known_words(node: Schema, root: Schema, around: frozenset[str]) -> tuple[Schema, frozenset[str]]:
    """Return *node* with ``const``, ``oneOf`` and ``allOf`` in words that are read, and what it then stands inside."""
    if "const" in node:
        node["enum"] = [node.pop("const")]
    if "oneOf" in node and "anyOf" not in node:
        node["anyOf"] = node.pop("oneOf")
    while isinstance(node.get("allOf"), list):
        parts = [part for part in node.pop("allOf") if isinstance(part, Mapping) and str(part.get("$ref")) not in around]
        around |= {part["$ref"] for part in parts if isinstance(part.get("$ref"), str)}
        for part in parts:
            node = _joined(node, resolved(dict(part), root))
    return node, around


def _joined(node: Schema, part: Schema) -> Schema:
    """Return what fits both *node* and *part*, as far as they do not contradict each other."""
    both: Schema = {**part, **node}
    for key, united in (
        ("properties", {**part.get("properties", {}), **node.get("properties", {})}),
        ("required", list(dict.fromkeys([*node.get("required", ()), *part.get("required", ())]))),
        ("allOf", [*node.get("allOf", ()), *part.get("allOf", ())]),
    ):
        if united:
            both[key] = united
    return both


def _must_be_told(key: str, value: Any) -> bool:
    # A closed object is what every reader takes an object for.
    return key not in _KEPT and key not in _NOISE and not (key == "additionalProperties" and isinstance(value, bool))


def _told(node: Mapping[str, Any], notes: list[str]) -> str:
    return "; ".join(filter(None, [str(node.get("description") or ""), *notes]))

"""
Rules of single Chat Completions servers that concern a request as a whole: which keywords a schema may have, which roles may follow
which. Pure functions on the wire's own dicts and lists; what they are given is not changed.

Source: errors of the servers named in the rows that ask for these rules, read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["bridged", "with_one_system", "without_keywords"]

# Keywords of JSON Schema whose members are named by the user, and those whose value is data; JSON Schema 2020-12.
_NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_DATA = frozenset({"enum", "const", "default", "examples"})


def without_keywords(schema: Any, omits: frozenset[str]) -> Any:
    """Return *schema* without the keywords *omits*, at any depth."""
    if isinstance(schema, list):
        return [without_keywords(item, omits) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    kept: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _NAMED and isinstance(value, Mapping):
            kept[key] = {name: without_keywords(inner, omits) for name, inner in value.items()}
        elif key in _DATA:
            kept[key] = value
        elif key not in omits or (key == "additionalProperties" and value is not False):
            kept[key] = without_keywords(value, omits)
    return kept


def with_one_system(wire: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return *wire* with all its system messages as one, at the beginning."""
    systems = [turn for turn in wire if turn["role"] == "system"]
    if not systems or (len(systems) == 1 and wire[0] is systems[0]):
        return wire
    contents = [turn["content"] for turn in systems]
    joined: str | list[Any]
    if all(isinstance(content, str) for content in contents):
        joined = "\n\n".join(contents)
    else:
        joined = [piece for content in contents for piece in ([{"type": "text", "text": content}] if isinstance(content, str) else content)]
    return [{"role": "system", "content": joined}, *(turn for turn in wire if turn["role"] != "system")]


def bridged(wire: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return *wire* with a word of the assistant's between a tool's message and a user's."""
    bridged: list[dict[str, Any]] = []
    for turn in wire:
        if turn["role"] == "user" and bridged and bridged[-1]["role"] == "tool":
            bridged.append({"role": "assistant", "content": "OK."})
        bridged.append(turn)
    return bridged

"""JSON Schemas in Gemini's words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit.dialects.gemini_schema import KNOWN, gemini_schema


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string", "const": "a"}, {"type": "string", "enum": ["a"]}),
        ({"const": 3}, {"type": "integer", "enum": [3]}),
        ({"const": None}, {"type": "null"}),
        ({"enum": ["a", "b"]}, {"type": "string", "enum": ["a", "b"]}),
        ({"enum": ["a", 1]}, {"type": ["string", "integer"], "enum": ["a", 1]}),
        ({"type": "boolean", "enum": [True, False]}, {"type": "boolean"}),
        ({"const": True}, {"type": "boolean", "description": "one of: [true]"}),
        ({"enum": ["a", None]}, {"anyOf": [{"type": "string", "enum": ["a"]}, {"type": "null"}]}),
        ({"enum": [[1], "a"]}, {"type": ["array", "string"], "description": 'one of: [[1], "a"]'}),
        ({"type": ["string", "null"]}, {"type": ["string", "null"]}),
        ({"type": "string", "format": "date"}, {"type": "string", "description": "format: date"}),
        ({"type": "string", "pattern": "^a$", "description": "A."}, {"type": "string", "description": "A.; pattern: ^a$"}),
        ({"type": "integer", "exclusiveMinimum": 0}, {"type": "integer", "description": "exclusiveMinimum: 0"}),
        ({"type": "integer", "minimum": 0, "title": "N"}, {"type": "integer", "minimum": 0}),
        ({"type": "array", "items": True, "uniqueItems": True}, {"type": "array", "description": "uniqueItems: true"}),
        ({"oneOf": [{"type": "string"}], "discriminator": {}}, {"oneOf": [{"type": "string"}]}),
        ({"type": "object", "default": {"a": 1}}, {"type": "object", "description": 'default: {"a": 1}'}),
    ],
)
def test_a_node_says_what_it_said(schema: dict[str, Any], expected: dict[str, Any]) -> None:
    """In words that the service knows, or in its description."""
    assert expected == gemini_schema(schema)


def test_parts_of_a_whole_are_one_with_it() -> None:
    """allOf is flattened where its parts agree."""
    schema = {
        "description": "Both.",
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
            {"properties": {"b": {"const": 1}}, "required": ["b"]},
        ],
    }

    expected = {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "integer", "enum": [1]}},
        "required": ["a", "b"],
        "description": "Both.",
    }
    assert expected == gemini_schema(schema)


def test_parts_that_disagree_are_told_in_words() -> None:
    """Rather than one of them being dropped."""
    said = gemini_schema({"allOf": [{"minimum": 1}, {"minimum": 2}]})

    assert {"description"} == said.keys()
    assert "minimum" in said["description"]


def test_a_reference_stands_alone() -> None:
    """Old names of definitions become the one that is known; a description goes around the reference."""
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/definitions/A"}, "b": {"$ref": "#/definitions/A", "description": "The b."}},
        "definitions": {"A": {"type": "string", "maxLength": 3}},
    }

    said = gemini_schema(schema)

    assert {"$ref": "#/$defs/A"} == said["properties"]["a"]
    assert {"anyOf": [{"$ref": "#/$defs/A"}], "description": "The b."} == said["properties"]["b"]
    assert {"A": {"type": "string", "description": "maxLength: 3"}} == said["$defs"]


def test_a_reference_at_the_root_is_resolved() -> None:
    """The root has a type of its own to show."""
    said = gemini_schema({"$ref": "#/$defs/A", "$defs": {"A": {"type": "object", "properties": {"more": {"$ref": "#/$defs/A"}}}}})

    assert ("object", {"more": {"$ref": "#/$defs/A"}}) == (said["type"], said["properties"])


def test_names_of_properties_are_no_keywords() -> None:
    """A field may be called what a schema calls its own things."""
    schema = {"type": "object", "properties": {"title": {"type": "string"}, "const": {"type": "integer"}, "$ref": {"type": "null"}}}

    assert schema == gemini_schema(schema)


def test_the_schema_that_was_given_stays_as_it_was() -> None:
    """It is shared between requests."""
    schema: dict[str, Any] = {"type": "object", "properties": {"a": {"const": 1, "title": "A"}}, "definitions": {}}
    before = json.dumps(schema)

    gemini_schema(schema)

    assert before == json.dumps(schema)


NODES = st.recursive(
    st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["string", "integer", "null", ["string", "null"]]),
            "const": st.sampled_from([1, "a", None, True, [1]]),
            "enum": st.lists(st.sampled_from([1, "a", None, True]), min_size=1, max_size=3),
            "title": st.just("T"),
            "format": st.just("uuid"),
            "multipleOf": st.just(2),
            "description": st.just("D."),
            "$ref": st.just("#/$defs/A"),
        },
    ),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "properties": st.dictionaries(st.sampled_from(["a", "title"]), inner, max_size=2),
            "items": inner | st.booleans(),
            "anyOf": st.lists(inner, min_size=1, max_size=2),
            "allOf": st.lists(inner, min_size=1, max_size=2),
            "not": inner,
            "$defs": st.fixed_dictionaries({"A": inner}),
        },
    ),
    max_leaves=8,
)


def faults(node: Any) -> list[str]:
    """Return what the service would refuse of *node* and what is in it."""
    found = [key for key in node if key not in KNOWN]
    if "$ref" in node:
        found += [key for key in node if not key.startswith("$")]
    found += [str(value) for value in node.get("enum", ()) if isinstance(value, bool) or not isinstance(value, (str, int, float))]
    inner = [*node.get("properties", {}).values(), *node.get("$defs", {}).values(), *node.get("anyOf", ())]
    inner += [node["items"]] if isinstance(node.get("items"), dict) else []
    return found + [fault for child in inner for fault in faults(child)]


@settings(max_examples=200)
@given(NODES)
def test_whatever_comes_in_only_known_words_come_out(schema: dict[str, Any]) -> None:
    """At any depth."""
    assert [] == faults(gemini_schema(schema))

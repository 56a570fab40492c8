"""Schemas in the words that Claude can be held to."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.dialects.anthropic_schema import held_schema, input_schema, is_holdable
from llmkit.testing.wires.anthropic_checks import schema_faults
from llmkit.testing.wires.samples import sample

STRING = {"type": "string"}


def shape(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": sorted(properties)}


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 9}, {"type": "integer", "description": "minimum: 1; maximum: 9"}),
        ({"type": "string", "description": "A name.", "minLength": 2}, {"type": "string", "description": "A name.; minLength: 2"}),
        ({"type": "string", "format": "date"}, {"type": "string", "format": "date"}),
        ({"type": "string", "format": "path"}, {"type": "string", "description": 'format: "path"'}),
        ({"type": "string", "pattern": "^a"}, {"type": "string", "description": 'pattern: "^a"'}),
        ({"type": "string", "default": "é"}, {"type": "string", "description": 'default: "é"'}),
        ({"type": "array", "items": STRING, "minItems": 1}, {"type": "array", "items": STRING, "minItems": 1}),
        ({"type": "array", "items": STRING, "minItems": 2}, {"type": "array", "items": STRING, "description": "minItems: 2"}),
        ({"oneOf": [STRING, {"type": "null"}]}, {"anyOf": [STRING, {"type": "null"}]}),
        ({"type": ["string", "null"], "minLength": 1}, {"anyOf": [{"type": "string", "description": "minLength: 1"}, {"type": "null"}]}),
        ({"type": ["string", "null"], "enum": ["a", None]}, {"enum": ["a", None]}),
        ({"const": 3}, {"const": 3}),
        (
            {"enum": [[1], {"a": 2}], "type": "array", "items": STRING},
            {"type": "array", "items": STRING, "description": 'enum: [[1], {"a": 2}]'},
        ),
        (
            {"type": "array", "prefixItems": [STRING, {"type": "integer"}]},
            {
                "type": "array",
                "items": {"anyOf": [STRING, {"type": "integer"}]},
                "description": 'items in order: [{"type": "string"}, {"type": "integer"}]',
            },
        ),
        (
            {"properties": {"a": STRING}},
            {"type": "object", "properties": {"a": STRING}, "additionalProperties": False},
        ),
    ],
)
def test_each_keyword_is_said_or_told(node: dict[str, Any], expected: dict[str, Any]) -> None:
    """What there is no keyword for is told in the description."""
    assert expected == held_schema(shape(x=node))["properties"]["x"]


def test_objects_are_closed_and_optional_properties_stay_optional() -> None:
    """Unlike in OpenAI's strict mode, where they become nullable."""
    held = held_schema({"$schema": "x", "type": "object", "title": "T", "properties": {"a": STRING, "b": STRING}, "required": ["a"]})

    assert {
        "type": "object",
        "title": "T",
        "properties": {"a": STRING, "b": STRING},
        "required": ["a"],
        "additionalProperties": False,
    } == held


def test_nothing_stands_beside_a_reference() -> None:
    """Definitions move to the place that the API knows."""
    held = held_schema({**shape(a={"$ref": "#/definitions/A", "description": "One."}), "definitions": {"A": shape(b=STRING)}})

    assert {"anyOf": [{"$ref": "#/$defs/A"}], "description": "One."} == held["properties"]["a"]
    assert held["$defs"]["A"]["additionalProperties"] is False
    assert "definitions" not in held


def test_a_root_that_refers_is_replaced_by_what_it_refers_to() -> None:
    """The root must be an object itself."""
    held = held_schema({"$ref": "#/$defs/A", "$defs": {"A": shape(b=STRING)}})

    assert ("object", ["b"]) == (held["type"], held["required"])


def test_the_schema_given_is_not_changed() -> None:
    """It is shared by all calls."""
    given_schema = shape(x={"type": ["integer", "null"], "minimum": 1})
    before = json.dumps(given_schema)

    held_schema(given_schema)

    assert before == json.dumps(given_schema)


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (shape(x=STRING), True),
        (shape(x={"type": "object", "additionalProperties": STRING}), False),
        (shape(x={}), False),
        (shape(x={"not": STRING}), False),
        ({"$ref": "#/$defs/A", "$defs": {"A": shape(a=STRING)}}, True),
        ({**shape(x={"$ref": "#/$defs/A"}), "$defs": {"A": shape(a={"$ref": "#/$defs/A"})}}, False),
        ({**shape(x={"$ref": "#/$defs/A"}), "$defs": {"A": shape(b={"$ref": "#/$defs/B"}), "B": shape(a={"$ref": "#/$defs/A"})}}, False),
        ({**shape(x={"$ref": "#/$defs/A"}), "$defs": {"A": shape(b={"$ref": "#/$defs/B"}), "B": shape(a=STRING)}}, True),
        ({**shape(x={"$ref": "#"})}, False),
        ({"type": "array", "items": STRING}, False),
    ],
)
def test_what_cannot_be_held_is_known(schema: dict[str, Any], expected: bool) -> None:
    """Free keys, recursion, no type: closing such a schema would change what it means."""
    assert expected is is_holdable(schema)


def test_a_tools_schema_says_object_at_its_root() -> None:
    """And stays as it is otherwise."""
    plain = shape(x={"type": "integer", "minimum": 1})

    assert plain is input_schema(plain)
    assert "object" == input_schema({"properties": {}})["type"]
    assert "object" == input_schema({"$ref": "#/$defs/A", "$defs": {"A": {"properties": {}}}})["type"]


NODES = st.recursive(
    st.sampled_from(
        [
            {"type": "integer", "minimum": 0, "multipleOf": 2},
            {"type": ["string", "null"], "maxLength": 4},
            {"type": "string", "format": "uuid"},
            {"type": "string", "format": "path"},
            {"enum": ["a", 1, None]},
            {"const": True},
            {"$ref": "#/$defs/D"},
            {"$ref": "#/$defs/D", "description": "That."},
        ]
    ),
    lambda inner: (
        st.builds(lambda node: {"type": "array", "items": node, "minItems": 1, "uniqueItems": True}, inner)
        | st.builds(lambda one, two: {"oneOf": [one, two]}, inner, inner)
        | st.builds(lambda one, two: {**shape(a=one, b=two), "required": ["a"]}, inner, inner)
    ),
    max_leaves=8,
)


@given(NODES)
def test_the_api_takes_whatever_is_held(node: dict[str, Any]) -> None:
    """Its strict checks find no fault, and a value that fits the held schema is found by it."""
    schema = {**shape(x=node), "$defs": {"D": shape(y={"type": "number", "maximum": 3})}}

    held = held_schema(schema)

    assert [] == list(schema_faults(held))
    jsonschema.validate(sample(held), held)

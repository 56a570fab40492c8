"""Schemas as strict mode wants them, and what that does to answers undone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from llmkit.errors import ConfigurationError
from llmkit.schema import drop_nulls, is_strict_able, strict_schema

GUEST = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0, "description": "In years.", "default": 30}},
    "required": ["name"],
    "additionalProperties": False,
    "description": "Someone who stays.",
}


def test_strict_closes_objects_and_requires_everything() -> None:
    """An optional property becomes one that may be null, with its description kept outside."""
    strict = strict_schema(GUEST)

    assert {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "age": {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}], "description": "In years."},
        },
        "required": ["name", "age"],
        "additionalProperties": False,
        "description": "Someone who stays.",
    } == strict
    Draft202012Validator.check_schema(strict)


def test_strict_leaves_its_argument_alone() -> None:
    """A schema is shared between calls, so a new one is returned."""
    before = json.dumps(GUEST)

    strict_schema(GUEST)

    assert before == json.dumps(GUEST)


@pytest.mark.parametrize(
    ("node", "strict"),
    [
        ({"type": "string", "minLength": 2}, {"type": "string", "description": "minLength: 2"}),
        (
            {"type": "string", "description": "A code.", "maxLength": 3},
            {"type": "string", "description": "A code.; maxLength: 3"},
        ),
        ({"type": "string", "format": "path"}, {"type": "string", "description": "format: path"}),
        ({"type": "string", "format": "date-time"}, {"type": "string", "format": "date-time"}),
        ({"type": "string", "pattern": "(?=a)a"}, {"type": "string", "description": "pattern: (?=a)a"}),
        ({"type": "string", "pattern": "^a$"}, {"type": "string", "pattern": "^a$"}),
        ({"type": "integer", "default": 3}, {"type": "integer"}),
        ({"const": "a"}, {"type": "string", "enum": ["a"]}),
        ({"oneOf": [{"type": "string"}, {"type": "null"}]}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ({"allOf": [{"type": "string"}], "description": "A."}, {"type": "string", "description": "A."}),
        ({"$ref": "#/$defs/A", "description": "An A."}, {"anyOf": [{"$ref": "#/$defs/A"}], "description": "An A."}),
        (
            {"type": "array", "items": {"type": "integer"}, "uniqueItems": True, "minItems": 1},
            {"type": "array", "items": {"type": "integer"}, "minItems": 1, "description": "uniqueItems: true"},
        ),
        (
            {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "items": False},
            {
                "type": "array",
                "items": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
                "description": 'items in order: [{"type": "integer"}, {"type": "string"}]',
            },
        ),
        ({"type": "string", "enum": ["default", "minLength"]}, {"type": "string", "enum": ["default", "minLength"]}),
        ({"enum": ["a", None]}, {"type": ["string", "null"], "enum": ["a", None]}),
        (
            {"type": "object", "patternProperties": {}},
            {"type": "object", "properties": {}, "required": [], "additionalProperties": False, "description": "patternProperties: {}"},
        ),
        ({"oneOf": [{"type": "null"}], "discriminator": {"propertyName": "x"}}, {"anyOf": [{"type": "null"}]}),
    ],
    ids=json.dumps,
)
def test_strict_says_it_in_the_words_it_has(node: dict[str, Any], strict: dict[str, Any]) -> None:
    """Keywords that strict mode does not know are told in the description."""
    schema = {"type": "object", "properties": {"x": node}, "required": ["x"], "$defs": {"A": {"type": "string"}}}

    assert strict == strict_schema(schema)["properties"]["x"]


def test_a_property_may_be_called_like_a_keyword() -> None:
    """Names of properties are not keywords: neither dropped nor followed."""
    schema = {"type": "object", "properties": {"default": {"type": "string"}, "$ref": {"type": "string"}, "minLength": {"type": "string"}}}

    assert ["default", "$ref", "minLength"] == strict_schema(schema)["required"]


def test_strict_puts_an_object_at_a_root_that_refers_to_one() -> None:
    """A root that is only a reference is replaced by what it refers to."""
    schema = {"$ref": "#/$defs/A", "$defs": {"A": {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}}}}

    strict = strict_schema(schema)

    assert "object" == strict["type"]
    assert {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}]} == strict["properties"]["a"]


def test_strict_refuses_a_root_that_is_no_object() -> None:
    """Its caller wraps such a schema first."""
    with pytest.raises(ConfigurationError, match="object at its root"):
        strict_schema({"type": "array", "items": {"type": "string"}})


@pytest.mark.parametrize(
    ("node", "able"),
    [
        ({"type": "string"}, True),
        ({"enum": ["a"]}, True),
        ({"type": "object", "properties": {}}, True),
        ({"type": "object", "additionalProperties": False}, True),
        ({"type": ["string", "null"]}, True),
        ({"$ref": "#"}, True),
        ({}, False),
        ({"description": "anything"}, False),
        ({"type": "object"}, False),
        ({"type": "object", "additionalProperties": True}, False),
        ({"type": "object", "properties": {}, "additionalProperties": {"type": "string"}}, False),
        ({"type": ["object", "null"]}, False),
        ({"type": "object", "properties": {"a": True}}, False),
        ({"type": "object", "properties": {}, "patternProperties": {"a": {"type": "string"}}}, False),
        ({"type": "array"}, False),
        ({"type": "array", "items": {}}, False),
        ({"allOf": [{"type": "string"}, {"minLength": 1}]}, False),
        ({"type": "string", "not": {"const": "a"}}, False),
        ({"$ref": "https://example.org/schema"}, False),
        ({"anyOf": [True, {"type": "null"}]}, False),
    ],
    ids=json.dumps,
)
def test_what_strict_mode_cannot_express_is_known(node: dict[str, Any], able: bool) -> None:
    """Free-form objects, values without a type and conditions are beyond it."""
    assert able is is_strict_able({"type": "object", "properties": {"x": node}})


@pytest.mark.parametrize(
    ("schema", "able"),
    [
        (GUEST, True),
        ({"$ref": "#/$defs/Guest", "$defs": {"Guest": GUEST}}, True),
        ({"type": "array", "items": {"type": "integer"}}, False),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, False),
    ],
)
def test_strict_needs_an_object_at_the_root(schema: dict[str, Any], able: bool) -> None:
    """Lists are not, and mappings have no known keys."""
    assert able is is_strict_able(schema)


OPTIONAL = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": ["integer", "null"]}, "c": {"type": "integer"}},
    "required": ["c"],
}


@pytest.mark.parametrize(
    ("schema", "value", "kept"),
    [
        (OPTIONAL, {"a": None, "b": None, "c": None, "d": None}, {"b": None, "c": None, "d": None}),
        ({"type": "array", "items": OPTIONAL}, [{"a": None}, 3], [{}, 3]),
        ({"type": "array", "prefixItems": [{}, OPTIONAL]}, [{"a": None}, {"a": None}], [{"a": None}, {}]),
        ({"type": "object", "additionalProperties": OPTIONAL}, {"k": {"a": None}}, {"k": {}}),
        ({"anyOf": [{"type": "null"}, OPTIONAL]}, {"a": None}, {}),
        ({"$ref": "#/$defs/O", "$defs": {"O": OPTIONAL}}, {"a": None}, {}),
        ({"$ref": "https://example.org/schema"}, {"a": None}, {"a": None}),
        ({"$ref": "#/$defs/missing/deeper"}, {"a": None}, {"a": None}),
        ({"anyOf": [OPTIONAL, {"type": "array", "items": OPTIONAL}]}, [{"a": None}], [{}]),
        ({"anyOf": [OPTIONAL]}, [{"a": None}], [{"a": None}]),
        ({"properties": {"x": {"const": None}, "y": {"enum": [None]}, "z": {"const": 1}}}, dict.fromkeys("xyz"), {"x": None, "y": None}),
        ({"properties": {"x": {"$ref": "#/$defs/N"}}, "$defs": {"N": {"type": "null"}}}, {"x": None}, {"x": None}),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}, {"a": None}, {"a": None}),
        ({}, {"a": None}, {"a": None}),
    ],
)
def test_nulls_that_say_absent_are_dropped(schema: dict[str, Any], value: Any, kept: Any) -> None:
    """Only where the schema neither requires the property nor lets it be null."""
    assert kept == drop_nulls(value, schema)


def test_nulls_are_dropped_by_the_alternative_that_was_meant() -> None:
    """In a union the tag decides, then the keys."""
    cat = {"type": "object", "properties": {"kind": {"enum": ["cat"]}, "x": {"type": "integer"}}}
    dog = {"type": "object", "properties": {"kind": {"enum": ["dog"]}, "x": {"type": ["integer", "null"]}}}
    schema = {"type": "array", "items": {"anyOf": [cat, dog]}}

    kept = drop_nulls([{"kind": "cat", "x": None}, {"kind": "dog", "x": None}], schema)

    assert [{"kind": "cat"}, {"kind": "dog", "x": None}] == kept

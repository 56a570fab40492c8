"""The least value that a schema allows."""

from __future__ import annotations

from typing import Any

import pytest

from llmkit.testing.wires.samples import sample

TREE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
            "required": ["next"],
        }
    },
}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "object", "properties": {"a": {"type": "boolean"}, "b": {}}, "required": ["a"]}, {"a": False}),
        ({"type": "array", "items": {"type": "integer"}}, []),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [0, 0]),
        ({"type": "integer", "minimum": 3}, 3),
        ({"type": "integer", "exclusiveMinimum": 3}, 4),
        ({"type": "integer", "minimum": 3, "multipleOf": 5}, 5),
        ({"type": "number", "maximum": -2}, -2),
        ({"type": "string"}, "hi"),
        ({"type": "string", "minLength": 4}, "hixx"),
        ({"type": "string", "maxLength": 1}, "h"),
        ({"type": "string", "format": "date"}, "2026-01-01"),
        ({"enum": ["a", "b"]}, "a"),
        ({"const": 7}, 7),
        ({"type": ["null", "string"]}, None),
        ({"oneOf": [{"type": "null"}, {"type": "string"}]}, None),
        ({"allOf": [{"properties": {"a": {"const": 1}}, "required": ["a"]}, {"type": "object"}]}, {"a": 1}),
        ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"const": 1}}}, 1),
        (True, {}),
    ],
)
def test_a_sample_fits_its_schema(schema: Any, expected: Any) -> None:
    """Free strings are the text that is given."""
    assert expected == sample(schema, "hi")


def test_a_recursive_schema_ends() -> None:
    """After some levels the alternative that ends is taken."""
    value = sample(TREE)

    depth = 0
    while value is not None:
        value, depth = value["next"], depth + 1
    assert 1 <= depth <= 10

"""Limits beyond the type: read, told, and held against values."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from annotated_types import Ge, Gt, Interval, Le, Len, Lt, MultipleOf
from attrs import validators

from llmkit.schema.limits import constrained, is_within, limits_of_notes, limits_of_validator


@pytest.mark.parametrize(
    ("notes", "limits"),
    [
        ((), {}),
        (("a text", 3), {}),
        ((Ge(0), Lt(10)), {"minimum": 0, "exclusiveMaximum": 10}),
        ((Gt(0), Le(10)), {"exclusiveMinimum": 0, "maximum": 10}),
        ((Interval(ge=0, lt=10), MultipleOf(2)), {"minimum": 0, "exclusiveMaximum": 10, "multipleOf": 2}),
        ((Len(1, 5),), {"minLength": 1, "maxLength": 5}),
    ],
)
def test_the_notes_of_an_annotation_are_limits(notes: tuple[Any, ...], limits: dict[str, Any]) -> None:
    """Those of annotated_types by their attributes; others say nothing."""
    assert limits == limits_of_notes(notes)


def test_a_pydantic_field_is_read_like_its_notes() -> None:
    """It keeps some bounds in its own notes; a compiled pattern is told as its text."""
    pydantic = pytest.importorskip("pydantic")

    limits = limits_of_notes([pydantic.Field(ge=1, max_length=3), pydantic.Field(pattern=re.compile("a+"))])

    assert {"minimum": 1, "maxLength": 3, "pattern": "a+"} == limits


@pytest.mark.parametrize(
    ("validator", "limits"),
    [
        (None, {}),
        (validators.instance_of(int), {}),
        (validators.ge(1), {"minimum": 1}),
        (validators.gt(1), {"exclusiveMinimum": 1}),
        (validators.le(1), {"maximum": 1}),
        (validators.lt(1), {"exclusiveMaximum": 1}),
        (validators.min_len(1), {"minLength": 1}),
        (validators.max_len(3), {"maxLength": 3}),
        (validators.and_(validators.ge(1), validators.lt(9)), {"minimum": 1, "exclusiveMaximum": 9}),
        (validators.optional(validators.le(5)), {"maximum": 5}),
        (validators.in_(["sea", "street"]), {"enum": ["sea", "street"]}),
        (validators.in_({"sea", "air"}), {"enum": ["air", "sea"]}),
        (validators.matches_re("[A-Z]+"), {"pattern": "^[A-Z]+$"}),
        (validators.matches_re("[A-Z]+|none"), {"pattern": "^(?:[A-Z]+|none)$"}),
        (validators.matches_re("a|b", func=re.match), {"pattern": "^(?:a|b)"}),
        (validators.matches_re("a", func=re.search), {"pattern": "a"}),
        (validators.matches_re("a", re.IGNORECASE), {}),
        (validators.not_(validators.ge(1)), {}),
    ],
    ids=repr,
)
def test_attrs_validators_are_limits(validator: Any, limits: dict[str, Any]) -> None:
    """Of a negated one nothing is told, nor of a pattern with flags, which JSON Schema has not."""
    assert limits == limits_of_validator(validator)


@pytest.mark.parametrize(
    ("node", "limits", "told"),
    [
        ({"type": "integer"}, {}, {}),
        ({"type": "integer"}, {"minimum": 1, "minLength": 2, "pattern": "a"}, {"minimum": 1}),
        ({"type": "number"}, {"minimum": Decimal("0.5"), "multipleOf": 2}, {"minimum": 0.5, "multipleOf": 2}),
        ({"type": "string"}, {"minLength": 1, "maxLength": 5, "pattern": "a"}, {"minLength": 1, "maxLength": 5, "pattern": "a"}),
        ({"type": "string"}, {"minLength": 0}, {}),
        ({"type": "array"}, {"minLength": 1, "maxLength": 5}, {"minItems": 1, "maxItems": 5}),
        ({"type": "object"}, {"minLength": 1, "maxLength": 5}, {"minProperties": 1, "maxProperties": 5}),
        ({"type": "boolean"}, {"minimum": 1, "minLength": 1}, {}),
        ({"type": "string"}, {"enum": ["a", 1]}, {"enum": ["a"]}),
        ({"type": "integer"}, {"enum": ["a"]}, {}),
        ({"type": "string", "enum": ["a", "b"]}, {"enum": ["b", "c"]}, {"enum": ["b"]}),
        ({}, {"minimum": 1}, {}),
    ],
)
def test_a_schema_tells_the_limits_that_its_type_knows(node: dict[str, Any], limits: dict[str, Any], told: dict[str, Any]) -> None:
    """A length is one of items or of properties where that is what there is; a choice is narrowed."""
    assert {**node, **told} == constrained(node, limits)


def test_limits_reach_the_members_of_a_union() -> None:
    """Each takes what it knows."""
    node = {"anyOf": [{"type": "integer"}, {"type": "null"}], "description": "x"}

    assert {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}], "description": "x"} == constrained(node, {"minimum": 0})


@pytest.mark.parametrize(
    ("keyword", "bound", "inside", "outside"),
    [
        ("minimum", 0, 0, -1),
        ("exclusiveMinimum", 0, 1, 0),
        ("maximum", 0, 0, 1),
        ("exclusiveMaximum", 0, -1, 0),
        ("multipleOf", 3, 6, 4),
        ("multipleOf", 0.1, 0.3, 0.35),
        ("minLength", 2, "ab", "a"),
        ("maxLength", 1, [1], [1, 2]),
        ("pattern", "^a", "ab", "ba"),
    ],
)
def test_a_value_is_held_against_a_limit(keyword: str, bound: Any, inside: Any, outside: Any) -> None:
    """As a validator of JSON Schema would, with the tolerance that floats need."""
    assert is_within(inside, keyword, bound)
    assert not is_within(outside, keyword, bound)


@pytest.mark.parametrize(("keyword", "bound"), [("minimum", 0), ("minLength", 1), ("pattern", "a"), ("multipleOf", 2)])
def test_a_limit_says_nothing_of_other_kinds(keyword: str, bound: Any) -> None:
    """What is neither number nor text nor of a length keeps to all of them."""
    assert is_within(None, keyword, bound)

"""Schemas that Cohere can hold a model to."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit.dialects.cohere_schema import held_schema
from llmkit.schema import drop_nulls
from llmkit.testing.replies import RecordedRequest
from llmkit.testing.wires.cohere_checks import check_chat


def record(*optional: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": [name for name in properties if name not in optional]}


def is_taken(schema: dict[str, Any]) -> bool:
    """Return whether Cohere, as far as its fake knows, takes *schema*."""
    wanted = {"type": "json_object", "json_schema": schema}
    body = {"model": "command-a-03-2025", "messages": [{"role": "user", "content": "x"}], "response_format": wanted}
    request = RecordedRequest(method="POST", path="/x", provider="cohere", endpoint="/v2/chat", body=json.dumps(body).encode())
    return check_chat(request) is None


def held(schema: dict[str, Any]) -> dict[str, Any]:
    found = held_schema(schema)
    assert found is not None
    assert is_taken(found)
    return found


def test_what_it_knows_stays() -> None:
    """References, alternatives, choices and formats."""
    schema = record(
        kind={"type": "string", "enum": ["a", "b"]},
        day={"type": "string", "format": "date"},
        code={"type": "string", "pattern": "[A-Z]{2}"},
        who={"anyOf": [{"$ref": "#/$defs/P"}, {"type": "null"}]},
    )
    schema |= {"additionalProperties": False, "$defs": {"P": {**record(n={"type": "integer"}), "additionalProperties": False}}}

    assert schema == held(schema)


def test_limits_are_told() -> None:
    """Those that it does not know, at any depth."""
    found = held(
        record(
            n={"type": "integer", "minimum": 1, "maximum": 5, "description": "How many"},
            s={"type": "string", "maxLength": 3, "pattern": "^a$", "format": "email"},
            many={"type": "array", "items": {"type": "number", "exclusiveMinimum": 0}, "minItems": 2, "uniqueItems": True},
        )
    )["properties"]

    assert {"type": "integer", "description": "How many; minimum: 1; maximum: 5"} == found["n"]
    assert {"type": "string", "description": "maxLength: 3; format: email; pattern: ^a$"} == found["s"]
    assert {"type": "number", "description": "exclusiveMinimum: 0"} == found["many"]["items"]
    assert "uniqueItems: true" in found["many"]["description"]
    assert "minItems: 2" in found["many"]["description"]


def test_every_object_needs_something() -> None:
    """What was optional may be null, and is dropped where it is."""
    schema = record("a", "b", a={"type": "string"}, b={"type": "integer"})

    found = held(schema)

    assert ["a", "b"] == found["required"]
    assert {"b": 1} == drop_nulls({"a": None, "b": 1}, schema)


def test_one_of_and_const_are_said_otherwise() -> None:
    """It has words for the same."""
    found = held(record(x={"oneOf": [{"type": "string"}, {"type": "integer"}]}, y={"const": 5}))["properties"]

    assert [{"type": "string"}, {"type": "integer"}] == found["x"]["anyOf"]
    assert {"enum": [5], "type": "integer"} == found["y"]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "additionalProperties": {"type": "integer"}},
        record(free={"type": "object"}),
        record(empty={"type": "object", "properties": {}, "additionalProperties": False}),
        record(anything={}),
        record(both={"allOf": [record(a={"type": "string"}), record(b={"type": "string"})]}),
        record(n={"not": {"type": "string"}}),
        {"type": "array", "items": {"type": "string"}},
    ],
)
def test_what_it_cannot_say_it_does_not(schema: dict[str, Any]) -> None:
    """The caller says it in words."""
    assert held_schema(schema) is None


SCHEMAS = st.recursive(
    st.one_of(
        st.fixed_dictionaries(
            {"type": st.sampled_from(["string", "integer", "null"])},
            optional={"pattern": st.sampled_from(["^a", "a"]), "minimum": st.integers(), "format": st.sampled_from(["date", "ipv4"])},
        ),
        st.sampled_from([{"const": 1}, {"type": "string", "enum": ["a"]}, {}]),
    ),
    lambda inner: st.one_of(
        st.builds(lambda x, y: record("x", x=x, y=y), inner, inner),
        st.builds(lambda x: {"type": "array", "items": x, "maxItems": 3}, inner),
        st.builds(lambda xs: {"oneOf": xs}, st.lists(inner, min_size=1, max_size=3)),
    ),
    max_leaves=8,
)


@settings(max_examples=200)
@given(SCHEMAS)
def test_what_is_held_is_taken_and_nothing_is_changed(inner: Any) -> None:
    """By the fake, whose rules are those of the documentation."""
    schema = record(inner=inner)
    before = copy.deepcopy(schema)

    found = held_schema(schema)

    assert found is None or is_taken(found)
    assert before == schema

"""Schemas as Ollama reads them."""

from __future__ import annotations

import copy
import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit.dialects.ollama_schema import for_grammar, for_template

ANYTHING = ["string", "number", "boolean", "object", "array", "null"]


def record(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


# -- answers


def test_a_plain_schema_stays_as_it_is() -> None:
    """With all limits that the grammar knows."""
    schema = record(
        n={"type": "integer", "minimum": 1},
        kind={"enum": ["a", "b"]},
        many={"type": "array", "items": {"$ref": "#/$defs/X"}, "minItems": 2},
        either={"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]},
        pair={"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}]},
    )
    schema["$defs"] = {"X": record(s={"type": "string", "pattern": "^(?:a|b)[0-9]{2}$"})}
    schema["additionalProperties"] = False

    assert schema == for_grammar(schema)


@pytest.mark.parametrize("pattern", ["[a-z]+", "^[a-z]+", "^(?=a)b$", r"^\d+$", r"^[\w]+$", "^(?!x).*$"])
def test_a_pattern_that_breaks_the_grammar_is_told(pattern: str) -> None:
    """In the description; the value stays a text."""
    held = for_grammar(record(s={"pattern": pattern, "description": "A code"}))

    assert {"type": "string", "description": f"A code; pattern: {pattern}"} == held["properties"]["s"]


@pytest.mark.parametrize("free", [{}, True, {"description": "whatever"}, {"title": "T", "default": 1}])
def test_what_may_be_anything_is_said_to(free: Any) -> None:
    """Without a type the grammar would take objects only."""
    assert ANYTHING == for_grammar(record(x=free))["properties"]["x"]["type"]


def test_a_reference_to_the_root_gets_a_name() -> None:
    """The grammar follows references below the root only; definitions of either kind stay within reach."""
    leaf, bud, twigs = {"$ref": "#/definitions/Leaf"}, {"$ref": "#/$defs/Bud"}, {"type": "array", "items": {"$ref": "#"}}
    tree = {
        "type": "object",
        "properties": {"leaf": leaf, "bud": bud, "twigs": twigs},
        "definitions": {"Leaf": record(n={"type": "integer"})},
        "$defs": {"Bud": {"type": "object", "properties": {"tree": {"$ref": "#"}}}},
    }

    held = for_grammar(tree)

    assert ("#/$defs/root", {"root", "Leaf", "Bud"}) == (held["$ref"], set(held["$defs"]))
    assert {"$ref": "#/$defs/root"} == held["$defs"]["root"]["properties"]["twigs"]["items"]
    assert {"$ref": "#/$defs/Leaf"} == held["$defs"]["root"]["properties"]["leaf"]
    check = jsonschema.Draft202012Validator(held)
    assert check.is_valid({"twigs": [{"leaf": {"n": 1}}], "bud": {"tree": {"twigs": []}}})
    assert not check.is_valid({"twigs": [{"leaf": {"n": "one"}}]})
    assert not check.is_valid({"bud": {"tree": {"twigs": 1}}})


# -- tools


def test_only_the_words_that_survive_are_sent() -> None:
    """Everything else stands in the description."""
    shown = for_template(
        record(
            city={"type": "string", "minLength": 2, "title": "City"},
            days={"type": "integer", "minimum": 1, "maximum": 7, "description": "How many"},
            unit={"const": "C"},
            place={"oneOf": [{"type": "string"}, {"type": "null"}], "default": None},
        )
        | {"additionalProperties": False, "$schema": "x"}
    )

    assert {"type": "object", "required": ["city", "days", "unit", "place"]} == {k: v for k, v in shown.items() if k != "properties"}
    assert {
        "city": {"type": "string", "description": "minLength: 2"},
        "days": {"type": "integer", "description": "How many; minimum: 1; maximum: 7"},
        "unit": {"enum": ["C"]},
        "place": {"anyOf": [{"type": "string"}, {"type": "null"}], "description": "default: null"},
    } == shown["properties"]


def test_references_are_written_out() -> None:
    """The server does not follow them; what stands beside one is kept."""
    schema = record(at={"$ref": "#/$defs/Point", "description": "Where"}, all={"type": "array", "items": {"$ref": "#/$defs/Point"}})
    schema["$defs"] = {"Point": record(x={"type": "number"})}

    shown = for_template(schema)

    assert "$defs" not in shown
    assert {**record(x={"type": "number"}), "description": "Where"} == shown["properties"]["at"]
    assert record(x={"type": "number"}) == shown["properties"]["all"]["items"]


def test_a_schema_that_holds_itself_is_written_out_once() -> None:
    """And then told by its name."""
    schema = {"$ref": "#/$defs/Node", "$defs": {"Node": record(next={"$ref": "#/$defs/Node"}, up={"$ref": "#"})}}

    shown = for_template(schema)

    assert {"type": "object", "description": "of the same form as Node"} == shown["properties"]["next"]
    assert {"type": "object", "description": "of the same form as Node"} == shown["properties"]["up"]["properties"]["next"]
    assert "of the same form as the whole" in json.dumps(shown["properties"]["up"])


def test_parts_of_all_of_are_one() -> None:
    """Their properties together, all that is required."""
    shown = for_template({"allOf": [record(a={"type": "string"}), {"$ref": "#/$defs/B"}], "$defs": {"B": record(b={"type": "integer"})}})

    assert {"a", "b"} == set(shown["properties"])
    assert {"a", "b"} == set(shown["required"])


def test_an_open_object_is_told() -> None:
    """A dictionary has no properties of its own; a switch says nothing."""
    counts = for_template(record(counts={"type": "object", "additionalProperties": {"type": "integer"}}))["properties"]["counts"]
    open_one = for_template({"type": "object", "additionalProperties": True})

    assert {"type": "object", "description": 'additionalProperties: {"type":"integer"}'} == counts
    assert {"type": "object"} == open_one


def test_true_is_a_schema_without_words() -> None:
    """A bare true would be refused."""
    assert {} == for_template(record(x=True))["properties"]["x"]


SCHEMAS = st.recursive(
    st.one_of(
        st.booleans(),
        st.fixed_dictionaries({"type": st.sampled_from(["string", "integer", "null"])}, optional={"pattern": st.text(max_size=4)}),
        st.sampled_from([{"$ref": "#"}, {"$ref": "#/$defs/A"}, {"$ref": "#/nowhere"}, {"const": 1}, {}]),
    ),
    lambda inner: st.one_of(
        st.builds(lambda x, y: record(x=x, y=y), inner, inner),
        st.builds(lambda x: {"type": "array", "items": x}, inner),
        st.builds(lambda xs: {"anyOf": xs}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda xs: {"allOf": xs}, st.lists(inner, max_size=2)),
    ),
    max_leaves=8,
)


@settings(max_examples=200)
@given(SCHEMAS, SCHEMAS)
def test_any_schema_is_written_and_none_is_changed(inner: Any, other: Any) -> None:
    """Circles and references to nothing included; what comes out can be sent."""
    schema = {**record(x=inner), "$defs": {"A": other}}
    before = copy.deepcopy(schema)

    held, shown = for_grammar(schema), for_template(schema)

    json.dumps([held, shown])
    assert "$ref" not in json.dumps(shown)
    assert '"#"' not in json.dumps(held)
    assert before == schema

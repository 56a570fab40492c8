"""JSON Schemas as values."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest

from llmkit.schema.nodes import accepts_null, any_of, copied, is_object, mapped, nodes_of, resolved, rooted, target, with_description

NULL = {"type": "null"}
TEXT = {"type": "string"}


@pytest.mark.parametrize(
    "node",
    [
        {"items": TEXT},
        {"additionalProperties": TEXT},
        {"not": TEXT},
        {"anyOf": [TEXT]},
        {"prefixItems": [TEXT, True]},
        {"properties": {"items": TEXT}},
        {"$defs": {"a": TEXT}},
    ],
)
def test_the_schemas_in_a_schema_are_found_and_changed(node: dict[str, Any]) -> None:
    """Wherever a keyword holds one, several, or several by name; the original stays as it was."""
    before = copied(node)

    changed = mapped(lambda child: {**child, "title": "x"}, node)

    assert [node, TEXT] == nodes_of(node)
    assert [changed, {**TEXT, "title": "x"}] == nodes_of(changed)
    assert before == node


@pytest.mark.parametrize(
    "node", [{"enum": [TEXT]}, {"default": {"items": TEXT}}, {"const": TEXT}, {"items": False}, {"properties": True}, {"anyOf": "x"}]
)
def test_what_looks_like_a_schema_is_a_value(node: dict[str, Any]) -> None:
    """Only some keywords hold schemas, and only where they are well-formed."""
    assert [node] == nodes_of(node)


def test_every_depth_is_walked() -> None:
    """From the root downwards."""
    inner = {"anyOf": [TEXT, NULL]}

    assert [{"items": inner}, inner, TEXT, NULL] == nodes_of({"items": inner})


def test_a_copy_shares_nothing() -> None:
    """Whatever kind of mapping or sequence came in, dicts and lists come out."""
    given = {"a": [{"b": 1}], "c": ("d",)}

    copy = copied(MappingProxyType(given))

    assert {"a": [{"b": 1}], "c": ["d"]} == copy
    assert copy["a"][0] is not given["a"][0]


@pytest.mark.parametrize(
    ("node", "name"), [({"$ref": "#/$defs/A"}, "A"), ({"$ref": "#"}, ""), ({"$ref": "#/definitions/A"}, ""), ({"$ref": 3}, ""), ({}, "")]
)
def test_a_reference_names_its_definition(node: dict[str, Any], name: str) -> None:
    """Only one under ``$defs``, where this library writes them."""
    assert name == target(node)


@pytest.mark.parametrize(
    ("node", "found"),
    [
        (TEXT, TEXT),
        ({"$ref": "#"}, "root"),
        ({"$ref": "#/$defs/A"}, TEXT),
        ({"$ref": "#/$defs/B"}, TEXT),
        ({"$ref": "#/$defs/a~1b~0c"}, NULL),
        ({"$ref": "#/$defs/missing/deeper"}, {}),
        ({"$ref": "#/$defs/circle"}, {}),
        ({"$ref": "https://example.org/schema"}, {}),
        (True, {}),
        (None, {}),
    ],
)
def test_a_reference_is_followed_as_far_as_it_leads(node: Any, found: Any) -> None:
    """Along chains, with the escapes of JSON Pointer; where it leads nowhere or in a circle, nothing is known."""
    root = {"$defs": {"A": TEXT, "B": {"$ref": "#/$defs/A"}, "a/b~c": NULL, "circle": {"$ref": "#/$defs/circle"}}}

    assert (root if found == "root" else found) == resolved(node, root)


def test_a_root_that_refers_to_a_definition_is_replaced_by_it() -> None:
    """What stands beside the reference is kept; without one, nothing is done."""
    definitions = {"A": TEXT}

    assert {**TEXT, "$defs": definitions, "title": "x"} == rooted({"$ref": "#/$defs/A", "$defs": definitions, "title": "x"})
    assert NULL is rooted(NULL)


@pytest.mark.parametrize(
    ("schema", "is_one"),
    [
        ({"type": "object"}, True),
        ({"properties": {}}, True),
        ({"type": ["object", "null"]}, False),
        ({"type": "array", "properties": {}}, False),
        ({}, False),
    ],
)
def test_an_object_is_one_by_its_type_or_its_properties(schema: dict[str, Any], is_one: bool) -> None:
    """The type counts where there is one."""
    assert is_one is is_object(schema)


@pytest.mark.parametrize(
    ("node", "accepts"),
    [
        (NULL, True),
        (TEXT, False),
        ({"type": ["string", "null"]}, True),
        ({"type": ["string", "integer"]}, False),
        ({"enum": ["a", None]}, True),
        ({"enum": ["a"]}, False),
        ({"const": None}, True),
        ({"const": 1}, False),
        ({"anyOf": [TEXT, NULL]}, True),
        ({"oneOf": [TEXT, NULL]}, True),
        ({"anyOf": [TEXT, True]}, False),
        ({"$ref": "#"}, False),
        ({}, True),
    ],
)
def test_null_is_accepted_where_the_schema_says_so_or_nothing(node: dict[str, Any], accepts: bool) -> None:
    """References are not followed: their reader does that first."""
    assert accepts is accepts_null(node)


@pytest.mark.parametrize(
    ("branches", "schema"),
    [([TEXT, NULL], {"anyOf": [TEXT, NULL]}), ([TEXT, NULL, TEXT], {"anyOf": [TEXT, NULL]}), ([TEXT, TEXT], TEXT), ([TEXT, {}], {})],
)
def test_alternatives_are_told_once(branches: list[dict[str, Any]], schema: dict[str, Any]) -> None:
    """A single one stands for itself, and anything for all."""
    assert schema == any_of(branches)


def test_a_description_replaces_the_one_before() -> None:
    """Unless it is empty."""
    assert {"description": "new"} == with_description({"description": "old"}, "new")
    assert {"description": "old"} == with_description({"description": "old"}, "")

"""Types as schemas, docstrings as descriptions, and schemas as strict mode wants them."""

from __future__ import annotations

import collections.abc
import enum
import json
import re
import sys
from dataclasses import InitVar, dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, NamedTuple, NewType, Optional, Tuple, TypedDict, TypeVar, Union  # noqa: UP035
from uuid import UUID

import attrs
import pytest
import typing_extensions
from annotated_types import Ge, Interval, Len, MultipleOf
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from llmkit.errors import ConfigurationError
from llmkit.schema import drop_nulls, is_strict_able, schema_of, strict_schema
from llmkit.schema.docstrings import parse_docstring
from llmkit.schema.nodes import copied

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
UserId = NewType("UserId", int)


class Color(enum.Enum):
    """What it is painted with."""

    RED = "red"
    BLUE = "blue"


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


@attrs.frozen
class Guest:
    """
    Someone who stays.

    Attributes:
        name: Full name,
            family name last.
        age (int): In years.
    """

    name: str
    age: Annotated[int, Ge(0)] = 30


@dataclass
class Node:
    value: int
    children: list[Node] = field(default_factory=list)


class Movie(TypedDict):
    title: str
    year: typing_extensions.NotRequired[int]


class Extras(TypedDict, total=False):
    note: str
    id: typing_extensions.Required[int]


class Point(NamedTuple):
    x: int
    y: int = 0


@attrs.frozen
class Box(Generic[T]):
    content: T
    spare: list[T]


Number = TypeVar("Number", bound=float)
Either = TypeVar("Either", int, str)


@attrs.frozen
class Choice(Generic[Number, Either]):
    number: Number
    either: Either


@dataclass
class Partial:
    given: int
    seen: InitVar[int]


@dataclass
class Defaults:
    color: Color = Color.RED
    pair: tuple[int, ...] = (1, 2)
    things: Any = None
    odd: Any = object()  # noqa: RUF009
    odd_pair: tuple[Any, ...] = (object(),)
    made: int = field(init=False, default=0)


@attrs.define
class Room:
    number: int = attrs.field(validator=[attrs.validators.ge(1), attrs.validators.lt(100)])
    code: str = attrs.field(validator=attrs.validators.matches_re("[A-Z]+|none"))
    view: str = attrs.field(validator=attrs.validators.in_(["sea", "street"]))
    tags: list[str] = attrs.field(validator=attrs.validators.and_(attrs.validators.min_len(1), attrs.validators.max_len(3)))
    stars: int | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.le(5)))
    _secret: str = attrs.field(default="", metadata={"description": "Never shown."})
    count: int = attrs.field(init=False, default=0)


@dataclass
class Wrongly:
    photo: list[bytes]


@dataclass
class Unknowable:
    thing: Missing  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    ("tp", "schema"),
    [
        (int, {"type": "integer"}),
        (bool, {"type": "boolean"}),
        (float, {"type": "number"}),
        (str, {"type": "string"}),
        (None, {"type": "null"}),
        (Any, {}),
        (UserId, {"type": "integer"}),
        (Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}),
        (Literal[1, "a", None], {"anyOf": [{"type": "integer", "enum": [1]}, {"type": "string", "enum": ["a"]}, {"type": "null"}]}),
        (Literal[True], {"type": "boolean", "enum": [True]}),
        (Literal[Color.RED], {"type": "string", "enum": ["red"]}),
        (Color, {"type": "string", "enum": ["red", "blue"], "description": "What it is painted with."}),
        (Size, {"type": "integer", "enum": [1, 2]}),
        (Optional[int], {"anyOf": [{"type": "integer"}, {"type": "null"}]}),  # noqa: UP045
        (Union[int, str], {"anyOf": [{"type": "integer"}, {"type": "string"}]}),  # noqa: UP007
        (int | None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        (int | Any, {}),
        (list, {"type": "array", "items": {}}),
        (list[list[int]], {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}}),
        (collections.abc.Sequence[str], {"type": "array", "items": {"type": "string"}}),
        (set[int], {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}),
        (frozenset[int], {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}),
        (tuple[int, ...], {"type": "array", "items": {"type": "integer"}}),
        (tuple, {"type": "array", "items": {}}),
        (Tuple, {"type": "array", "items": {}}),  # noqa: UP006
        (
            tuple[int, str],
            {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "items": False, "minItems": 2, "maxItems": 2},
        ),
        (tuple[()], {"type": "array", "items": False, "minItems": 0, "maxItems": 0}),
        (dict, {"type": "object", "additionalProperties": True}),
        (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
        (
            collections.abc.Mapping[Literal["a"], int],
            {"type": "object", "additionalProperties": {"type": "integer"}, "propertyNames": {"type": "string", "enum": ["a"]}},
        ),
        (datetime, {"type": "string", "format": "date-time"}),
        (date, {"type": "string", "format": "date"}),
        (time, {"type": "string", "format": "time"}),
        (UUID, {"type": "string", "format": "uuid"}),
        (Path, {"type": "string", "format": "path"}),
        (Decimal, {"type": "number"}),
        (Annotated[int, "In years."], {"type": "integer", "description": "In years."}),
        (Annotated[int, Interval(ge=0, lt=10), MultipleOf(2)], {"type": "integer", "minimum": 0, "exclusiveMaximum": 10, "multipleOf": 2}),
        (Annotated[str, Len(1, 5)], {"type": "string", "minLength": 1, "maxLength": 5}),
        (Annotated[list[int], Len(1)], {"type": "array", "items": {"type": "integer"}, "minItems": 1}),
        (Annotated[dict[str, int], Len(1)], {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 1}),
        (Annotated[int | None, Ge(0)], {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}]}),
        (Annotated[float, Ge(Decimal("0.5"))], {"type": "number", "minimum": 0.5}),
    ],
    ids=repr,
)
def test_a_type_has_its_schema(tp: Any, schema: dict[str, Any]) -> None:
    """Each known type is said in JSON Schema's own words."""
    result = schema_of(tp)

    assert schema == result
    Draft202012Validator.check_schema(result)


def test_an_attrs_class_is_a_closed_object_with_its_docstring() -> None:
    """The class's prose describes it, its Attributes section its fields; a default makes a field optional and is told."""
    schema = schema_of(Guest)

    assert {
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": "Full name, family name last."},
            "age": {"type": "integer", "minimum": 0, "description": "In years.", "default": 30},
        },
        "required": ["name"],
        "additionalProperties": False,
        "description": "Someone who stays.",
    } == schema


def test_attrs_validators_become_bounds() -> None:
    """What a validator would refuse, the model is told beforehand; a private field goes by its name in the constructor."""
    schema = schema_of(Room)

    assert {
        "number": {"type": "integer", "minimum": 1, "exclusiveMaximum": 100},
        "code": {"type": "string", "pattern": "^(?:[A-Z]+|none)$"},
        "view": {"type": "string", "enum": ["sea", "street"]},
        "tags": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 3},
        "stars": {"anyOf": [{"type": "integer", "maximum": 5}, {"type": "null"}], "default": None},
        "secret": {"type": "string", "default": "", "description": "Never shown."},
    } == schema["properties"]
    assert ["number", "code", "view", "tags"] == schema["required"]


def test_a_negated_validator_gives_no_bound() -> None:
    """not_(ge(1)) must not be told as a minimum of 1."""
    negated = attrs.make_class("Negated", {"n": attrs.field(type=int, validator=attrs.validators.not_(attrs.validators.ge(1)))})

    assert {"type": "integer"} == schema_of(negated)["properties"]["n"]


def test_a_pattern_with_flags_is_left_to_the_validator() -> None:
    """JSON Schema has no flags: a pattern without them would refuse what the validator takes."""
    lenient = attrs.make_class("Lenient", {"s": attrs.field(type=str, validator=attrs.validators.matches_re("a", re.IGNORECASE))})

    assert {"type": "string"} == schema_of(lenient)["properties"]["s"]


def test_generated_docstrings_are_no_descriptions() -> None:
    """What dataclass and NamedTuple write as a docstring says nothing to a model."""
    assert "description" not in schema_of(Node)
    assert "description" not in schema_of(Point)


@pytest.mark.parametrize(("tp", "required"), [(Movie, ["title"]), (Extras, ["id"])])
def test_typed_dicts_know_which_keys_they_need(tp: Any, required: list[str]) -> None:
    """Required and NotRequired count even where annotations are text."""
    assert required == schema_of(tp)["required"]


def test_a_named_tuple_is_an_object() -> None:
    """Names tell a model more than positions."""
    schema = schema_of(Point)

    assert {"x": {"type": "integer"}, "y": {"type": "integer", "default": 0}} == schema["properties"]
    assert ["x"] == schema["required"]


def test_a_generic_class_is_written_with_its_arguments() -> None:
    """Type variables are replaced in fields, nested ones included."""
    schema = schema_of(Box[int])

    assert {"content": {"type": "integer"}, "spare": {"type": "array", "items": {"type": "integer"}}} == schema["properties"]


def test_type_variables_without_arguments_are_what_they_may_be() -> None:
    """The bound, the constraints, or anything."""
    assert {"number": {"type": "number"}, "either": {"anyOf": [{"type": "integer"}, {"type": "string"}]}} == schema_of(Choice)["properties"]
    assert {} == schema_of(Box)["properties"]["content"]


def test_defaults_are_told_where_json_can_say_them() -> None:
    """Enum members by their value, tuples as lists; of others only that they are there. What is not given is not asked for."""
    schema = schema_of(Defaults)

    assert {"color": "red", "pair": [1, 2], "things": None} == {
        name: node["default"] for name, node in schema["properties"].items() if "default" in node
    }
    assert ["color", "pair", "things", "odd", "odd_pair"] == list(schema["properties"])
    assert "required" not in schema


@pytest.mark.parametrize(
    ("default", "told"), [({"a": [1]}, {"default": {"a": [1]}}), ({"a": object()}, {}), ({1: 2}, {}), (float("inf"), {})]
)
def test_an_attrs_default_is_told_where_json_can_say_it(default: Any, told: dict[str, Any]) -> None:
    """Mappings too, if their keys are text; infinity is no JSON."""
    made = attrs.make_class("Made", {"x": attrs.field(type=Any, default=default)})

    assert told == schema_of(made)["properties"]["x"]


def test_pydantic_fields_in_annotations_are_read() -> None:
    """A description and bounds, as in the models themselves."""
    pydantic = pytest.importorskip("pydantic")

    schema = schema_of(Annotated[int, pydantic.Field(ge=1, description="How many.")])

    assert {"type": "integer", "minimum": 1, "description": "How many."} == schema


def test_a_doc_in_annotations_is_read() -> None:
    """PEP 727's Doc is a description as well."""
    assert {"type": "integer", "description": "How many."} == schema_of(Annotated[int, typing_extensions.Doc("How many.")])


def test_an_alias_is_what_it_stands_for() -> None:
    """A type alias made by typing_extensions is read on every Python."""
    Numbers = typing_extensions.TypeAliasType("Numbers", list[int])  # noqa: N806

    assert {"type": "array", "items": {"type": "integer"}} == schema_of(Numbers)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the type statement came with Python 3.12")
def test_an_alias_may_contain_itself() -> None:
    """A recursive alias becomes a definition."""
    names: dict[str, Any] = {}
    exec("type Tree = list[Tree] | int", names)

    schema = schema_of(names["Tree"])

    validator = Draft202012Validator(schema)
    assert validator.is_valid([1, [2, [3]]])
    assert not validator.is_valid([1, ["two"]])


def test_a_recursive_type_refers_to_its_definition() -> None:
    """The root is an object all the same, since most wires want one."""
    schema = schema_of(Node)

    assert "object" == schema["type"]
    assert {"type": "array", "items": {"$ref": "#/$defs/Node"}} == schema["properties"]["children"]
    Draft202012Validator(schema).validate({"value": 1, "children": [{"value": 2}]})
    assert not Draft202012Validator(schema).is_valid({"value": 1, "children": [{"value": "two"}]})


def test_a_class_used_twice_is_defined_once() -> None:
    """One use stands in its place, more become a definition."""
    once = schema_of(list[Guest])
    twice = schema_of(tuple[Guest, Guest])

    assert "$defs" not in once
    assert [{"$ref": "#/$defs/Guest"}] * 2 == twice["prefixItems"]
    assert ["Guest"] == list(twice["$defs"])


def test_two_classes_of_one_name_are_kept_apart() -> None:
    """A definition is named after its class, and numbered if the name is taken."""
    first, second, third = (attrs.make_class("Same", {name: attrs.field(type=int)}) for name in "abc")

    schema = schema_of(tuple[first, first, second, second, third, third])  # type: ignore[valid-type]

    assert {"Same": ["a"], "Same_2": ["b"], "Same_3": ["c"]} == {name: list(node["properties"]) for name, node in schema["$defs"].items()}


@pytest.mark.parametrize(
    ("tp", "words"),
    [
        (bytes, "base64"),
        (Wrongly, r"Wrongly\.photo\[\]"),
        (complex, "complex"),
        (dict[int, str], "keys of a JSON object are text"),
        (object(), "No JSON Schema"),
        (type, "No JSON Schema"),
        (Literal[b"x"], "A choice must be"),
        (enum.Enum("Nothing", []), "without members"),
        (Unknowable, "Missing"),
        (Partial, "Partial.*InitVar"),
    ],
    ids=repr,
)
def test_what_json_cannot_say_is_refused_by_name(tp: Any, words: str) -> None:
    """The error has the type, the path to it, and what to do instead."""
    with pytest.raises(ConfigurationError, match=words):
        schema_of(tp)


def test_pydantic_models_bring_their_own_schema() -> None:
    """At the root it is pydantic's, with definitions used once put in their place; beside others nothing is mixed up."""
    pydantic = pytest.importorskip("pydantic")
    inner = pydantic.create_model("Guest", x=(int, ...))
    outer = pydantic.create_model("Stay", guest=(inner, ...), more=(list[inner], ...))  # type: ignore[valid-type]

    alone = schema_of(outer)
    mixed = schema_of(tuple[Guest, Guest, outer])  # type: ignore[valid-type]

    assert {"$ref": "#/$defs/Guest"} == alone["properties"]["guest"]
    validator = Draft202012Validator(mixed)
    assert validator.is_valid([{"name": "a"}, {"name": "b"}, {"guest": {"x": 1}, "more": []}])
    assert not validator.is_valid([{"name": "a"}, {"name": "b"}, {"guest": {"name": "c"}, "more": []}])


GOOGLE = """
    Find a flight.

    It may take a while.

    Args:
        origin (str, optional): Where it starts:
            a city.
        *rest: The others.

    Returns:
        origin: this is no parameter.
"""
NUMPY = """
    Find a flight.

    It may take a while.

    Parameters
    ----------
    origin : str, optional
        Where it starts:
        a city.
    *rest
        The others.

    Returns
    -------
    origin : str
        This is no parameter.
"""
SPHINX = """
    Find a flight.

    It may take a while.

    :param str origin: Where it starts:
        a city.
    :param rest: The others.
    :type rest: str
    :returns: something

    Told afterwards.
"""


@pytest.mark.parametrize("doc", [GOOGLE, NUMPY, SPHINX], ids=["google", "numpy", "sphinx"])
def test_three_styles_of_docstring_say_the_same(doc: str) -> None:
    """Prose ends at the first section; continued lines belong to their entry; other sections are not read."""
    prose, told = parse_docstring(doc)

    assert "Find a flight.\n\nIt may take a while." == prose
    assert {"origin": "Where it starts: a city.", "rest": "The others."} == told


PIECES = [
    "Args:",
    "Parameters",
    "---",
    "    x: y",
    "    x (int): y",
    "x : int",
    ":param x: y",
    ":returns:",
    "Returns:",
    "\n",
    "\n\n",
    " ",
    ":",
]


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=5)).map("".join))
def test_no_docstring_is_too_strange(doc: str) -> None:
    """Whatever stands there is read: names are words, and what is said of them is not empty."""
    prose, told = parse_docstring(doc)

    assert prose == prose.strip()
    assert all(name.replace("_", "a").isalnum() and text.strip() == text != "" for name, text in told.items())


def test_a_word_alone_on_its_line_is_prose() -> None:
    """Notes is a header only with a colon or underlined."""
    assert ("Take\nNotes\nof it.", {}) == parse_docstring("Take\nNotes\nof it.")


def test_strict_closes_objects_and_requires_everything() -> None:
    """An optional property becomes one that may be null, with its description kept outside."""
    strict = strict_schema(schema_of(Guest))

    assert {
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": "Full name, family name last."},
            "age": {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}], "description": "In years."},
        },
        "required": ["name", "age"],
        "additionalProperties": False,
        "description": "Someone who stays.",
    } == strict


def test_strict_leaves_its_argument_alone() -> None:
    """A schema is shared between calls, so a new one is returned."""
    schema = schema_of(Room)
    before = json.dumps(schema)

    strict_schema(schema)

    assert before == json.dumps(schema)


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


@pytest.mark.parametrize(("tp", "able"), [(Guest, True), (Node, True), (list[int], False), (dict[str, int], False)])
def test_strict_needs_an_object_at_the_root(tp: Any, able: bool) -> None:
    """Lists are not, and mappings have no known keys."""
    assert able is is_strict_able(schema_of(tp))


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


def test_a_copy_shares_nothing() -> None:
    """Whatever kind of mapping or sequence came in, dicts and lists come out."""
    given = {"a": [{"b": 1}], "c": ("d",)}

    copy = copied(MappingProxyType(given))

    assert {"a": [{"b": 1}], "c": ["d"]} == copy
    assert copy["a"][0] is not given["a"][0]


@pytest.mark.parametrize("make", [lambda: schema_of(Guest), lambda: schema_of(Room), lambda: schema_of(Node)])
def test_schema_and_strict_schema_are_valid_schemas(make: Callable[[], dict[str, Any]]) -> None:
    """Both keep to the draft that they name."""
    schema = make()

    Draft202012Validator.check_schema(schema)
    Draft202012Validator.check_schema(strict_schema(schema))

"""Types as schemas."""

from __future__ import annotations

import collections.abc
import enum
import sys
from dataclasses import InitVar, dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, NamedTuple, NewType, Optional, Tuple, TypedDict, TypeVar, Union  # noqa: UP035
from uuid import UUID

import attrs
import pytest
import typing_extensions
from annotated_types import Ge, Interval, Len, MultipleOf
from jsonschema import Draft202012Validator

from llmkit.errors import ConfigurationError
from llmkit.schema import schema_of, strict_schema
from llmkit.schema.describing import as_json

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


class Point(NamedTuple):
    x: int
    y: int = 0


@dataclass
class Unknowable:
    thing: Missing  # type: ignore[name-defined]  # noqa: F821


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
class Partial:
    given: int
    seen: InitVar[int]


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
        (timedelta, {"type": "string", "format": "duration"}),
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


def test_records_of_the_standard_library_are_objects() -> None:
    """Names tell a model more than positions; what dataclass and NamedTuple write as a docstring tells it nothing."""
    assert {
        "type": "object",
        "properties": {"title": {"type": "string"}},
        "required": ["title"],
        "additionalProperties": False,
    } == schema_of(Movie)
    assert {
        "type": "object",
        "properties": {"x": {"type": "integer"}, "y": {"type": "integer", "default": 0}},
        "required": ["x"],
        "additionalProperties": False,
    } == schema_of(Point)
    assert "description" not in schema_of(Node)


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


@pytest.mark.parametrize("value", [None, True, 3, 0.5, "a", [1, ["b"]], {"a": [1]}])
def test_what_json_can_say_is_itself(value: Any) -> None:
    """Scalars, and lists and text-keyed mappings of them."""
    assert value == as_json(value)


@pytest.mark.parametrize(
    "value", [object(), attrs.NOTHING, attrs.Factory(list), float("inf"), float("nan"), [object()], {"a": object()}, {1: 2}, {3}], ids=repr
)
def test_what_json_cannot_say_is_nothing(value: Any) -> None:
    """Not even in part."""
    assert attrs.NOTHING is as_json(value)


def test_pydantic_fields_in_annotations_are_read() -> None:
    """A description and bounds, as in the models themselves."""
    pydantic = pytest.importorskip("pydantic")

    schema = schema_of(Annotated[int, pydantic.Field(ge=1, description="How many.")])

    assert {"type": "integer", "minimum": 1, "description": "How many."} == schema


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
        ([int], "No JSON Schema"),
        (type, "No JSON Schema"),
        (Literal[b"x"], "A choice must be"),
        (enum.Enum("Nothing", []), "without members"),
        (Unknowable, "Missing"),
        ("".join, "No JSON Schema"),
        (list[Annotated[int, ["a"]]], "use a tuple instead of a list"),
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


@pytest.mark.parametrize("make", [lambda: schema_of(Guest), lambda: schema_of(Room), lambda: schema_of(Node)])
def test_schema_and_strict_schema_are_valid_schemas(make: Callable[[], dict[str, Any]]) -> None:
    """Both keep to the draft that they name."""
    schema = make()

    Draft202012Validator.check_schema(schema)
    Draft202012Validator.check_schema(strict_schema(schema))

"""What records are made of."""

from __future__ import annotations

from dataclasses import InitVar, dataclass, field
from typing import Annotated, Any, Generic, NamedTuple, TypedDict, TypeVar

import attrs
import pytest
import typing_extensions

from llmkit.errors import ConfigurationError
from llmkit.schema.describing import schema_of
from llmkit.schema.fields import fields_of

T = TypeVar("T")
U = TypeVar("U")


@attrs.frozen
class Base:
    """
    A base.

    Attributes:
        a: First.
        b: Second.
    """

    a: int


@attrs.frozen
class Derived(Base, Generic[T]):
    """
    What is derived.

    Attributes:
        b: Of this class.
    """

    b: list[T] = attrs.field(factory=list)
    _c: str = attrs.field(default="x", metadata={"description": "Told."}, validator=attrs.validators.max_len(2))
    d: int = attrs.field(default=0, init=False)


@dataclass
class Pair(Generic[T, U]):
    left: T
    right: list[U]


@dataclass
class Numbered(Pair[int, T]):
    """Its variable has the name of another in its base."""

    extra: T | None = None


@dataclass
class Named(Numbered[str]):
    left: bool


@attrs.frozen
class Holding(Generic[T]):
    held: T


@attrs.frozen
class HoldingOne(Holding[int]):
    count: int


class Tagged(typing_extensions.TypedDict, Generic[T]):
    tag: typing_extensions.NotRequired[T]


class TaggedMore(Tagged[int]):
    more: str


@dataclass
class Room:
    """
    A room.

    Attributes:
        number: On the door.
    """

    number: int
    view: Annotated[str, "What is seen."] = field(default="sea", metadata={"description": "Not this."})
    tags: list[str] = field(default_factory=list, metadata={"description": "Or this."})
    seen: int = field(init=False, default=0)


class Movie(TypedDict):
    title: str
    year: typing_extensions.NotRequired[int]


class Extras(TypedDict, total=False):
    note: str
    id: typing_extensions.Required[int]


class Point(NamedTuple):
    """
    A point.

    Attributes:
        x: To the right.
    """

    x: int
    y: int = 0


@dataclass
class Partial:
    given: int
    seen: InitVar[int]


def told(tp: Any) -> list[tuple[str, Any, bool, str]]:
    return [(one.name, one.type, one.required, one.description) for one in fields_of(tp)]


def test_fields_of_an_attrs_class_go_by_the_names_of_its_constructor() -> None:
    """With the arguments of the class, and the nearest docstring that names them; what is not given is not listed."""
    assert [("a", int, True, "First."), ("b", list[int], False, "Of this class."), ("c", str, False, "Told.")] == told(Derived[int])
    assert [{}, {}, {"maxLength": 2}] == [one.limits for one in fields_of(Derived)]


@pytest.mark.parametrize(
    ("tp", "types"),
    [
        (Numbered[str], {"left": int, "right": list[str], "extra": str | None}),
        (Named, {"left": bool, "right": list[str], "extra": str | None}),
        (Numbered, {"left": int, "right": list[T], "extra": T | None}),  # type: ignore[valid-type]
        (HoldingOne, {"held": int, "count": int}),
        (TaggedMore, {"tag": int, "more": str}),
    ],
)
def test_what_a_base_class_holds_is_what_it_was_told_to(tp: Any, types: dict[str, Any]) -> None:
    """Each field has the arguments of the class in which it stands, whatever the variables there are called."""
    assert types == {one.name: one.type for one in fields_of(tp)}


def test_an_attribute_without_annotation_may_be_anything() -> None:
    """Its type, if attrs was told one, counts all the same."""
    made = attrs.make_class("Made", {"a": attrs.field(), "b": attrs.field(type=int)})

    assert [("a", Any, True, ""), ("b", int, True, "")] == told(made)


def test_fields_of_a_dataclass_are_described_from_the_nearest_place() -> None:
    """Annotation before metadata before docstring; a factory is a default too."""
    assert [
        ("number", int, True, "On the door."),
        ("view", Annotated[str, "What is seen."], False, "What is seen."),
        ("tags", list[str], False, "Or this."),
    ] == told(Room)


def test_a_dataclass_of_pydantics_has_its_fields() -> None:
    """What a pydantic Field says of one is read: alias, default, limits, description."""
    pydantic = pytest.importorskip("pydantic")

    @pydantic.dataclasses.dataclass
    class Guest:
        age: int = pydantic.Field(gt=0, description="In years.")
        name: str = pydantic.Field("Ann", alias="fullName")
        tags: list[str] = pydantic.Field(default_factory=list)
        plain: int = 3

    assert [
        ("age", int, True, "In years."),
        ("fullName", str, False, ""),
        ("tags", list[str], False, ""),
        ("plain", int, False, ""),
    ] == told(Guest)
    assert {"type": "integer", "exclusiveMinimum": 0, "description": "In years."} == schema_of(Guest)["properties"]["age"]
    assert {"type": "string", "default": "Ann"} == schema_of(Guest)["properties"]["fullName"]


@pytest.mark.parametrize(
    ("tp", "fields"),
    [(Movie, [("title", str, True), ("year", int, False)]), (Extras, [("note", str, False), ("id", int, True)])],
)
def test_typed_dicts_know_which_keys_they_need(tp: Any, fields: list[Any]) -> None:
    """Required and NotRequired count even where annotations are text."""
    assert fields == [(name, kind, required) for name, kind, required, _ in told(tp)]


def test_a_named_tuple_has_fields() -> None:
    """Its docstring is one like any other; a member without annotation may be anything."""
    assert [("x", int, True, "To the right."), ("y", int, False, "")] == told(Point)


def test_what_a_factory_would_make_is_not_told() -> None:
    """Nor is a library's own sign for "no default"."""
    assert "default" not in schema_of(Derived)["properties"]["b"]
    assert [False, True, False] == ["default" in schema_of(Room)["properties"][name] for name in ("number", "view", "tags")]


def test_what_only_the_constructor_sees_is_refused() -> None:
    """Python 3.10 cannot even read the annotation of an InitVar."""
    with pytest.raises(ConfigurationError, match=r"Partial.*InitVar"):
        fields_of(Partial)


def test_fields_are_listed_once() -> None:
    """Structuring asks for them with each value."""
    assert fields_of(Derived[int]) is fields_of(Derived[int])

"""A JSON value that is still growing, as an instance that grows with it."""

from __future__ import annotations

import dataclasses
import json
from datetime import date
from enum import Enum
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypedDict, TypeVar, Union

import attrs
import pytest

from llmkit.schema.growing import MISSING, GrowingJson
from llmkit.schema.partial import grown
from llmkit.schema.structuring import structure

T = TypeVar("T")


class Color(Enum):
    RED = "red"
    REDDISH = "reddish"


@attrs.frozen
class Address:
    street: str
    number: int


def _at_least_two(instance: Any, attribute: Any, value: str) -> None:
    if len(value) < 2:
        raise ValueError("too short")


@attrs.frozen
class Person:
    name: str = attrs.field(validator=_at_least_two)
    born: date
    address: Address
    tags: list[str] = attrs.field(factory=list)
    _code: int = 7


@dataclasses.dataclass(frozen=True)
class Point:
    x: float
    y: float
    label: str = "here"
    notes: list[str] = dataclasses.field(default_factory=list)


class Movie(TypedDict):
    title: str
    year: int


class Pair(NamedTuple):
    left: str
    right: int
    more: str = "none"


@attrs.frozen
class Cat:
    kind: Literal["cat"]
    lives: int


@attrs.frozen
class Cow:
    kind: Literal["cow"]
    milk: float


@attrs.frozen
class Box(Generic[T]):
    content: T


def so_far(text: str, tp: Any) -> Any:
    reader = GrowingJson()
    reader.feed(text)
    return grown(reader.value, tp)


@pytest.mark.parametrize(
    ("text", "tp", "expected"),
    [
        ("", str, MISSING),
        ('"hal', str, "hal"),
        ('"2020-01-0', date, MISSING),
        ('"2020-01-02"', date, date(2020, 1, 2)),
        ('"red', Color, MISSING),
        ('"red"', Color, Color.RED),
        ('"a', Literal["a", "ab"], MISSING),
        ("[1, 2", list[int], [1]),
        ('["a", "b', list[str], ["a", "b"]),
        ('["2020-01-02", "2020', list[date], [date(2020, 1, 2)]),
        ("[1, 2, 3", tuple[int, ...], (1, 2)),
        ('["a", 1, ', tuple[str, int, str], ("a", 1)),
        ("[1, 1, 2,", set[int], {1, 2}),
        ("[[1], [2],", set[tuple[int, ...]], {(1,), (2,)}),
        ('{"a": 1, "b": 2', dict[str, int], {"a": 1}),
        ('{"red": 1, ', dict[Color, int], {Color.RED: 1}),
        ('{"a": ["b', Any, {"a": ["b"]}),
        ("nul", int | None, MISSING),
        ("null", int | None, None),
        ('"te', int | str, "te"),
        ("[1, ", int | list[int], [1]),
        ('"x', Annotated[str, "described"], "x"),
        ('{"title": "Alie', Movie, {"title": "Alie"}),
        ('{"left": "a', Pair, Pair("a", None)),  # type: ignore[arg-type]
        ('{"x": 1.5, ', Point, Point(1.5, None)),  # type: ignore[arg-type]
        ('{"content": {"street": "Main', Box[Address], Box(Address("Main", None))),  # type: ignore[arg-type]
        ('{"kind": "cow", ', Cat | Cow, Cow("cow", None)),  # type: ignore[arg-type]
        ('{"milk": 2.5, ', Cat | Cow, Cow(None, 2.5)),  # type: ignore[arg-type]
        ('"not a number"', int, MISSING),
    ],
)
def test_what_there_is_of_an_instance(text: str, tp: Any, expected: Any) -> None:
    """Fields that have not come are their defaults, or None."""
    assert expected == so_far(text, tp)


def test_an_instance_grows_field_by_field() -> None:
    """Without the user's checks until all that is required has come."""
    text = '{"name": "A", "born": "2020-01-02", "address": {"street": "Main St", "number": 5}, "tags": ["x", "y"]}'
    cut = text.index('"born"')

    first = so_far(text[:cut], Person)
    second = so_far(text[: text.index('"number"')], Person)
    whole = so_far(text.replace('"A"', '"Ada"'), Person)

    assert ("A", None, None, [], 7) == (first.name, first.born, first.address, first.tags, first._code)
    assert (date(2020, 1, 2), "Main St", None) == (second.born, second.address.street, second.address.number)
    assert structure(json.loads(text.replace('"A"', '"Ada"')), Person) == whole


def test_what_fails_a_check_of_the_users_own_is_shown_all_the_same() -> None:
    """It may still grow into something that passes; the whole tells."""
    text = '{"name": "A", "born": "2020-01-02", "address": {"street": "Main St", "number": 5}}'

    assert "A" == so_far(text, Person).name


def test_a_pydantic_model_grows_too() -> None:
    """Aliases are known, and no beginning is a failure."""
    pydantic = pytest.importorskip("pydantic")
    inner = pydantic.create_model("Inner", words=(list[str], ...))
    model = pydantic.create_model("Model", name=(str, pydantic.Field(alias="fullName")), inner=(inner, ...), age=(int, 3))

    made = so_far('{"fullName": "Ad', model)
    more = so_far('{"fullName": "Ada", "inner": {"words": ["a", "b', model)
    wrong = so_far('{"fullName": {}, "inner": [1], "age": "x"}', model)

    assert ("Ad", None, 3) == (made.name, made.inner, made.age)
    assert ["a", "b"] == more.inner.words
    assert (None, None, 3) == (wrong.name, wrong.inner, wrong.age)


def test_a_dataclass_of_pydantics_grows_too() -> None:
    """Its defaults are what its Fields say."""
    pydantic = pytest.importorskip("pydantic")

    @pydantic.dataclasses.dataclass
    class Guest:
        age: int = pydantic.Field(gt=0)
        name: str = pydantic.Field("Ann", alias="fullName")
        tags: list[str] = pydantic.Field(default_factory=list)
        plain: int = 3

    nothing, begun = so_far("{", Guest), so_far('{"fullName": "Bo', Guest)

    assert [(None, "Ann", [], 3), (None, "Bo", [], 3)] == [(one.age, one.name, one.tags, one.plain) for one in (nothing, begun)]


def test_of_several_pydantic_models_the_likeliest_grows() -> None:
    """By tag and keys, as with other records, and among them."""
    pydantic = pytest.importorskip("pydantic")
    cat = pydantic.create_model("Cat", kind=(Literal["cat"], ...), lives=(int, 9))
    dog = pydantic.create_model("Dog", kind=(Literal["dog"], ...), name=(str, pydantic.Field(alias="dogName")))
    pets = Union[cat, dog, Address]  # noqa: UP007

    found = [so_far(text, pets) for text in ('{"kind": "do', '{"dogName": "Re', '{"kind": "cat"', '{"lives": 9,', '{"street": "')]

    assert [dog, dog, cat, cat, Address] == [type(one) for one in found]


def test_what_was_given_out_does_not_change_any_more() -> None:
    """It is the user's."""
    reader = GrowingJson()
    reader.feed('{"a": [1, ')
    early = grown(reader.value, Any)

    reader.feed("2, 3]}")

    assert {"a": [1]} == early
    assert {"a": [1, 2, 3]} == grown(reader.value, Any)


@pytest.mark.parametrize("tp", [Person, Point, Movie, Pair, Cat | Cow, list[Person], dict[str, Point], Box[Cat]])
def test_no_beginning_is_a_failure(tp: Any) -> None:
    """Whatever is written."""
    texts = [
        '{"name": 5, "born": [], "address": {"street": null, "number": "x"}, "kind": "dog", "x": {}, "fullName": {}, "inner": [1]}',
        '[{"name": "Ada"}, 5, null, "text"]',
        '{"content": {"kind": "cat", "lives": 9}, "title": ["a"], "left": {"a": 1}}',
        "true",
    ]

    for text in texts:
        for end in range(len(text) + 1):
            so_far(text[:end], tp)

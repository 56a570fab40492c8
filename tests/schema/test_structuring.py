"""JSON values as the user's own types."""

from __future__ import annotations

import collections.abc
import dataclasses
import sys
import typing
from datetime import date, datetime
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, TypedDict, TypeVar

import attrs
import pytest
import typing_extensions
from annotated_types import Ge, Gt, Le, Len, Lt, MultipleOf

from llmkit.schema.fields import fields_of
from llmkit.schema.mismatch import Mismatch
from llmkit.schema.structuring import structure, structure_fields

T = TypeVar("T")
Bound = TypeVar("Bound", bound=int)
Either = TypeVar("Either", int, str)
UserId = NewType("UserId", int)


@attrs.frozen
class Guest:
    name: str
    age: int = 30
    _code: str = attrs.field(default="x", validator=attrs.validators.max_len(2))


@attrs.frozen
class Cat:
    kind: Literal["cat"]
    lives: int = 9


@attrs.frozen
class Dog:
    kind: Literal["dog"]
    lives: int | None = 1


@attrs.frozen
class Thin:
    x: int


@attrs.frozen
class Wide:
    x: int
    y: int = 0


@dataclasses.dataclass
class Node:
    value: int
    children: list[Node] = dataclasses.field(default_factory=list)


class Movie(TypedDict):
    title: str
    year: typing_extensions.NotRequired[int]


class Point(NamedTuple):
    x: int
    y: int = 0


@attrs.frozen
class Box(Generic[T]):
    content: T


@attrs.frozen
class Choice(Generic[Bound, Either]):
    bound: Bound
    either: Either


@dataclasses.dataclass
class Grumpy:
    x: int

    def __post_init__(self) -> None:
        raise RuntimeError(*(["not today"] if self.x else []))


@pytest.mark.parametrize(
    ("tp", "value", "result"),
    [
        (int, 3.0, 3),
        (UserId, 3, 3),
        (None, None, None),
        (type(None), None, None),
        (Any, {"a": [1]}, {"a": [1]}),
        (object, "x", "x"),
        (Literal["a"], "a", "a"),
        (Guest, {"name": "Ann", "unknown": 1, "code": "y"}, Guest("Ann", code="y")),
        (Movie, {"title": "a", "year": 1, "unknown": 1}, {"title": "a", "year": 1}),
        (Point, {"x": 1}, Point(1, 0)),
        (Node, {"value": 1, "children": [{"value": 2}]}, Node(1, [Node(2)])),
        (Box[Point], {"content": {"x": 1, "y": 2}}, Box(Point(1, 2))),
        (Box[T], {"content": "x"}, Box("x")),  # type: ignore[valid-type]
        (Choice, {"bound": 1, "either": "x"}, Choice(1, "x")),
        (list, [1, "a"], [1, "a"]),
        (collections.abc.Sequence[int], [1], [1]),
        (collections.abc.Set[int], [1, 1], {1}),
        (frozenset[str], ["a"], frozenset("a")),
        (dict, {"a": 1}, {"a": 1}),
        (collections.abc.Mapping[str, int], {"a": 1.0}, {"a": 1}),
        (tuple[()], [], ()),
        (tuple[int, str], [1, "a"], (1, "a")),
        (tuple[int, ...], [1, 2, 3], (1, 2, 3)),
        (typing.Tuple, [1, "a"], (1, "a")),  # noqa: UP006
        (tuple, [1, "a"], (1, "a")),
        (typing.Optional[Guest], None, None),  # noqa: UP045
        (Guest | None, {"name": "Ann"}, Guest("Ann")),
        (Cat | Dog, {"kind": "dog", "lives": None}, Dog("dog", None)),
        (Cat | Dog, {"kind": "cat"}, Cat("cat")),
        (Thin | Wide, {"x": 1, "y": 2}, Wide(1, 2)),
        (Thin | Wide, {"x": 1, "z": 2}, Thin(1)),
        (list[Thin] | list[Wide], [{"x": 1, "y": 2}], [Wide(1, 2)]),
        (str | int | None, None, None),
        (int | float, 3.0, 3.0),
        (float | int, 3, 3),
        (datetime | str, "2026-01-02T03:04", datetime(2026, 1, 2, 3, 4)),
        (datetime | str, "tomorrow", "tomorrow"),
        (Annotated[int | str, Ge(0)], "x", "x"),
        (Annotated[float, MultipleOf(0.1)], 0.3, 0.3),
    ],
    ids=repr,
)
def test_json_becomes_what_the_annotation_says(tp: Any, value: Any, result: Any) -> None:
    """Unknown keys are passed over, the fitting member of a union is found: by its keys, then by its place."""
    structured = structure(value, tp)

    assert result == structured
    assert type(result) is type(structured)


@pytest.mark.parametrize(
    ("tp", "value", "words"),
    [
        (Guest, {"name": 3}, r"^\$\.name: expected text, got 3$"),
        (Guest, {}, r"^\$\.name: is required, but missing$"),
        (Guest, [], r"^\$: expected an object, got \[\]$"),
        (Guest, {"name": "a", "code": "long"}, r"^\$: Length of '_code' must be <= 2: 4$"),
        (Node, {"value": 1, "children": [{"value": 2}, {"value": "x"}]}, r"^\$\.children\[1\]\.value: expected an integer"),
        (Node, {"value": "x", "children": 3}, r"^\$\.value: expected an integer.*; \$\.children: expected a list"),
        (Movie, {"title": "a", "year": "x"}, r"^\$\.year: expected an integer"),
        (Point, {"y": 1}, r"^\$\.x: is required"),
        (dict[str, int], {"a": "x"}, r"^\$\['a'\]: expected an integer"),
        (dict[str, int], [], "expected an object"),
        (dict[Literal["a"], int], {"b": 1}, r"""^\$\['b'\]: expected one of "a", got "b\""""),
        (tuple[int, str], "ab", "expected a list"),
        (tuple[int, str], [1], r"expected a list of 2, got \[1\]"),
        (tuple[int, str], [1, 2], r"^\$\[1\]: expected text"),
        (list[int], {"0": 1}, "expected a list"),
        (list[str], "abc", "expected a list"),
        (type(None), 0, "expected null"),
        (set[Any], [[1]], r"^\$: .*unhashable"),
        (Choice, {"bound": "x", "either": 0.5}, r"^\$\.bound: expected an integer.*; \$\.either: fits none of"),
        (int | str, 3.5, r"^\$: fits none of: int \(expected an integer, got 3.5\), str \(expected text, got 3.5\)$"),
        (Cat | Dog, {"kind": "cow"}, r"^\$: fits none of: Cat \(\.kind: expected one of .*Dog \(\.kind"),
        (Cat | Dog, {}, r"^\$: fits none of: Cat \(\.kind: is required, but missing\), Dog"),
        (Annotated[int, Ge(0)], -1, "expected minimum 0, got -1"),
        (Annotated[int, Gt(0)], 0, "expected exclusiveMinimum 0"),
        (Annotated[int, Le(0)], 1, "expected maximum 0"),
        (Annotated[int, Lt(0)], 0, "expected exclusiveMaximum 0"),
        (Annotated[int, MultipleOf(3)], 4, "expected multipleOf 3"),
        (Annotated[str, Len(2, 3)], "a", "expected minLength 2"),
        (Annotated[list[int], Len(0, 1)], [1, 2], "expected maxLength 1"),
    ],
    ids=repr,
)
def test_what_does_not_fit_is_told_with_its_path(tp: Any, value: Any, words: str) -> None:
    """Every problem at once; of a union, what each member has against it."""
    with pytest.raises(Mismatch, match=words):
        structure(value, tp)


@pytest.mark.parametrize(("x", "words"), [(1, r"^\$\[0\]: not today$"), (0, r"^\$\[0\]: RuntimeError$")])
def test_what_a_class_has_against_its_arguments_is_a_mismatch(x: int, words: str) -> None:
    """Whatever it raises, and that stays the cause, for whoever looks for a bug."""
    with pytest.raises(Mismatch, match=words) as caught:
        structure([{"x": x}], list[Grumpy])

    assert isinstance(caught.value.__cause__, RuntimeError)


def test_fields_without_a_class_are_closed() -> None:
    """What a function does not know cannot be given to it, as it could to a record within."""
    fields = fields_of(Guest)

    assert {"name": "Ann", "age": 3} == structure_fields({"name": "Ann", "age": 3.0}, fields)
    with pytest.raises(Mismatch, match=r"^\$\.name: is required, but missing; \$\.x: is unknown; known are: name, age, code$"):
        structure_fields({"x": 1}, fields)
    with pytest.raises(Mismatch, match="known are: none"):
        structure_fields({"x": 1}, ())


def test_members_of_a_union_are_tried_in_their_order() -> None:
    """Text first means text."""
    assert "2026-01-02" == structure("2026-01-02", str | date)
    assert date(2026, 1, 2) == structure("2026-01-02", date | str)


def test_an_alias_is_read_as_what_it_stands_for() -> None:
    """With its arguments."""
    several = typing_extensions.TypeAliasType("several", list[T], type_params=(T,))

    assert [1] == structure([1.0], several[int])


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the type statement came with Python 3.12")
def test_an_alias_may_contain_itself() -> None:
    """A recursive alias is read as deep as the value goes."""
    names: dict[str, Any] = {}
    exec("type Tree = list[Tree] | int", names)  # older Pythons could not read it in this file

    assert [1, [2, [3]]] == structure([1, [2, [3]]], names["Tree"])
    with pytest.raises(Mismatch, match="fits none of"):
        structure([1, ["two"]], names["Tree"])


def test_a_pydantic_model_is_read_by_pydantic() -> None:
    """Its own rules hold, in strict models too, and its errors have our paths."""
    pydantic = pytest.importorskip("pydantic")
    stay = pydantic.create_model("Stay", __config__={"strict": True}, day=(date, ...), nights=(int, 1))
    trip = pydantic.create_model("Trip", stays=(list[stay], ...))  # type: ignore[valid-type]

    assert [stay(day=date(2026, 1, 2), nights=2)] == structure([{"day": "2026-01-02", "nights": 2}], list[stay])  # type: ignore[valid-type]
    with pytest.raises(Mismatch, match=r"^\$\[0\]\.stays\[0\]\.day: Field required$"):
        structure([{"stays": [{}]}], list[trip])  # type: ignore[valid-type]


def test_what_a_pydantic_validator_raises_is_a_mismatch() -> None:
    """Pydantic itself passes on what is neither a ValueError nor an AssertionError."""
    pydantic = pytest.importorskip("pydantic")

    def refuse(_: Any) -> Any:
        raise RuntimeError("not today")

    model = pydantic.create_model("Grumpy", x=(Annotated[int, pydantic.AfterValidator(refuse)], ...))

    with pytest.raises(Mismatch, match=r"^\$: not today$"):
        structure({"x": 1}, model)


def test_what_a_dataclass_of_pydantics_refuses_is_told_with_its_path() -> None:
    """In one line each, as of its models."""
    pydantic = pytest.importorskip("pydantic")

    @pydantic.dataclasses.dataclass
    class Guest:
        age: int = pydantic.Field(gt=0)
        name: str = pydantic.Field("Ann", alias="fullName")

    assert Guest(age=1, fullName="Bo") == structure({"age": 1, "fullName": "Bo"}, Guest)
    with pytest.raises(Mismatch, match=r"^\$\[0\]\.age: Input should be greater than 0$"):
        structure([{"age": 0}], list[Guest])

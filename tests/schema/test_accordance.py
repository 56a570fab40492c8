"""A schema made from a type accepts what the type accepts, and refuses what it refuses: any type, any value near one of its own."""

from __future__ import annotations

import dataclasses
import enum
import re
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from types import GenericAlias
from typing import Annotated, Any, Literal, NamedTuple, NewType, Optional, TypedDict, Union
from uuid import UUID

import attrs
import pytest
from annotated_types import Ge, Le, MaxLen, MinLen
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from llmkit import ToolExecutionError
from llmkit.schema.telling import as_plain
from llmkit.tools import Tool, as_tool


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Size(enum.IntEnum):
    S = 1
    L = 3


@attrs.frozen
class Node:
    name: str
    children: list[Node] = attrs.field(factory=list)
    weight: Annotated[float, Ge(0)] = 1.0


@attrs.frozen
class Cat:
    kind: Literal["cat"]
    lives: int


@attrs.frozen
class Dog:
    kind: Literal["dog"]
    name: str


class Movie(TypedDict, total=False):
    title: str
    year: Annotated[int, Ge(1888)]


UserId = NewType("UserId", int)

# What formats demand, in words of the test's own: to a validator they are notes unless it is told. Source: RFC 3339, section 5.6.
FORMATS = FormatChecker(formats=())
_TIME = r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d([.,]\d+)?)?([Zz]|[+-]\d\d(:?\d\d)?)?"
_PATTERNS = {
    "date": r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])",
    "time": _TIME,
    "date-time": rf"\d{{4}}-\d\d-\d\d[Tt ]{_TIME}",
    "duration": r"[+-]?P(?=.)(\d+W)?(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+([.,]\d+)?S)?)?",
    "uuid": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
}
for name, pattern in _PATTERNS.items():
    FORMATS.checks(name)(lambda text, pattern=pattern: not isinstance(text, str) or re.fullmatch(pattern, text) is not None)

# A type, and a strategy for JSON values of it.
Pair = tuple[Any, st.SearchStrategy[Any]]

INTEGERS = st.integers(-1000, 1000)
FLOATS = st.floats(-1000, 1000)
NODES = st.deferred(
    lambda: st.fixed_dictionaries(
        {"name": st.text(max_size=3)}, optional={"children": st.lists(NODES, max_size=2), "weight": st.floats(0, 10)}
    )
)
CATS = st.fixed_dictionaries({"kind": st.just("cat"), "lives": INTEGERS})
DOGS = st.fixed_dictionaries({"kind": st.just("dog"), "name": st.text(max_size=3)})
LEAVES: list[Pair] = [
    (int, INTEGERS),
    (float, FLOATS | INTEGERS),
    (str, st.text(max_size=5)),
    (bool, st.booleans()),
    (None, st.none()),
    (Any, INTEGERS | st.text(max_size=5)),
    (Color, st.sampled_from(["red", "blue"])),
    (Size, st.sampled_from([1, 3])),
    (Literal["a", 1, True, None], st.sampled_from(["a", 1, True, None])),
    (date, st.dates().map(date.isoformat)),
    (time, st.times().map(time.isoformat)),
    (datetime, st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.none() | st.just(timezone.utc)).map(datetime.isoformat)),
    (timedelta, st.timedeltas().map(as_plain)),
    (UUID, st.uuids().map(str)),
    (Path, st.text(st.characters(exclude_characters="\0"), max_size=5)),
    (UserId, INTEGERS),
    (Annotated[int, Ge(0), Le(10), "how many"], st.integers(0, 10)),
    (Annotated[str, MinLen(2), MaxLen(4)], st.text(min_size=2, max_size=4)),
    (Annotated[list[int], MaxLen(2)], st.lists(INTEGERS, max_size=2)),
    (Node, NODES),
    (Movie, st.fixed_dictionaries({}, optional={"title": st.text(max_size=3), "year": st.integers(1888, 2100)})),
    (Union[Cat, Dog], CATS | DOGS),  # noqa: UP007
]


def lists(pair: Pair) -> Pair:
    return GenericAlias(list, (pair[0],)), st.lists(pair[1], max_size=3)


def optional(pair: Pair) -> Pair:
    return Optional[pair[0]], st.none() | pair[1]  # noqa: UP045


def mappings(pair: Pair) -> Pair:
    return GenericAlias(dict, (str, pair[0])), st.dictionaries(st.text(max_size=3), pair[1], max_size=3)


def unions(pairs: list[Pair]) -> Pair:
    return Union[tuple(tp for tp, _ in pairs)], st.one_of(*(values for _, values in pairs))  # noqa: UP007


def fixed(pairs: list[Pair]) -> Pair:
    return GenericAlias(tuple, tuple(tp for tp, _ in pairs)), st.tuples(*(values for _, values in pairs)).map(list)


def named(pairs: list[Pair]) -> dict[str, Pair]:
    return {f"f{index}": pair for index, pair in enumerate(pairs)}


def attrs_classes(pairs: list[Pair]) -> Pair:
    cls = attrs.make_class("Made", {name: attrs.field(type=tp) for name, (tp, _) in named(pairs).items()})
    return cls, st.fixed_dictionaries({name: values for name, (_, values) in named(pairs).items()})


def data_classes(pairs: list[Pair]) -> Pair:
    """The last field has a default."""
    *needed, last = named([*pairs, (int, INTEGERS)]).items()
    fields = [(name, tp) for name, (tp, _) in needed]
    cls = dataclasses.make_dataclass("Made", [*fields, (last[0], int, dataclasses.field(default=1))])
    return cls, st.fixed_dictionaries({name: values for name, (_, values) in needed}, optional={last[0]: INTEGERS})


def named_tuples(pairs: list[Pair]) -> Pair:
    cls = NamedTuple("Made", [(name, tp) for name, (tp, _) in named(pairs).items()])  # type: ignore[misc]
    return cls, st.fixed_dictionaries({name: values for name, (_, values) in named(pairs).items()})


def deeper(pairs: st.SearchStrategy[Pair]) -> st.SearchStrategy[Pair]:
    several = st.lists(pairs, min_size=1, max_size=3)
    return st.one_of(
        *(pairs.map(make) for make in (lists, optional, mappings)),
        *(several.map(make) for make in (unions, fixed, attrs_classes, data_classes, named_tuples)),
    )


PAIRS = st.recursive(st.sampled_from(LEAVES), deeper, max_leaves=6)
# What a value may be changed to: of other kinds, and of its own just outside the limits above.
OTHERS: list[Any] = [
    *(True, 0, -1, 7, 11, 1887, -3.5, 2.0, 10**6),
    *("", "a", "abcde", "red", "2026-11-21", "2026-13-41", "25:00", "not a date"),
    *([], [1], [1, 2, 3], ["a", "b", "c"], {}, {"f0": 1}),
]


def tool_of(tp: Any) -> Tool:
    def made(x): ...  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - its annotation comes with the test

    made.__annotations__ = {"x": tp}
    return as_tool(made)


def changed(value: Any, data: st.DataObject) -> Any:
    """Return *value* with one place in it replaced, left out, or doubled; no null is put in, and no key that nobody knows."""
    places = data.draw(st.integers(0, 3), label="depth")
    if places and isinstance(value, dict) and value:
        key = data.draw(st.sampled_from(sorted(value)), label="key")
        if data.draw(st.booleans(), label="drop"):
            return {name: item for name, item in value.items() if name != key}
        return {**value, key: changed(value[key], data)}
    if places and isinstance(value, list) and value:
        index = data.draw(st.integers(0, len(value) - 1), label="index")
        what = data.draw(st.sampled_from(["drop", "double", "change"]), label="what")
        middle = {"drop": [], "double": [value[index]] * 2, "change": [changed(value[index], data)]}[what]
        return [*value[:index], *middle, *value[index + 1 :]]
    return data.draw(st.sampled_from(OTHERS), label="other")


def is_bound(tool: Tool, arguments: dict[str, Any]) -> bool:
    try:
        tool.bind(arguments)
    except ToolExecutionError as error:
        assert "$.x" in error.message
        return False
    return True


def holds_unknown_keys(value: Any) -> bool:
    """Whether a record may have met an object that is not its own: there, types pass over keys that a closed schema refuses."""
    if isinstance(value, dict):
        return value == {"f0": 1} or any(map(holds_unknown_keys, value.values()))
    return isinstance(value, list) and any(map(holds_unknown_keys, value))


@settings(max_examples=400)
@given(pair=PAIRS, data=st.data())
def test_schema_and_type_accept_and_refuse_the_same(pair: Pair, data: st.DataObject) -> None:
    """Values of the type are taken by both; one with a place of it changed by both, or by neither."""
    tp, values = pair
    tool = tool_of(tp)
    value = data.draw(values, label="value")
    schema = Draft202012Validator(tool.parameters, format_checker=FORMATS)
    Draft202012Validator.check_schema(tool.parameters)

    assert schema.is_valid({"x": value})
    assert is_bound(tool, {"x": value})

    other = changed(value, data)
    accepted = is_bound(tool, {"x": other})

    assert accepted or not schema.is_valid({"x": other})
    if not holds_unknown_keys(other):
        assert schema.is_valid({"x": other}) or not accepted


@settings(max_examples=100)
@given(pair=PAIRS, data=st.data())
def test_what_was_read_is_told_as_the_schema_says(pair: Pair, data: st.DataObject) -> None:
    """A tool that gives back what it was given can be given it again."""
    tp, values = pair
    tool = tool_of(tp)
    bound = tool.bind({"x": data.draw(values)})

    again = as_plain(bound)

    assert Draft202012Validator(tool.parameters, format_checker=FORMATS).is_valid(again)
    assert bound == tool.bind(again)


@pytest.mark.parametrize(("tp", "_"), LEAVES, ids=lambda value: "" if isinstance(value, st.SearchStrategy) else repr(value))
def test_each_type_takes_what_its_schema_takes(tp: Any, _: Any) -> None:
    """Each of those above, and each of the values that others may be changed to: no chance is needed."""
    tool = tool_of(tp)
    schema = Draft202012Validator(tool.parameters, format_checker=FORMATS)

    wrong = [value for value in OTHERS if not holds_unknown_keys(value) and schema.is_valid({"x": value}) != is_bound(tool, {"x": value})]

    assert [] == wrong


def test_arguments_have_no_names_that_the_schema_does_not_know() -> None:
    """At the top, where a mistyped name would be a default taken in silence."""
    tool = tool_of(int)

    assert not is_bound_at_all(tool, {"x": 1, "y": 2})
    assert not Draft202012Validator(tool.parameters).is_valid({"x": 1, "y": 2})


def is_bound_at_all(tool: Tool, arguments: dict[str, Any]) -> bool:
    try:
        tool.bind(arguments)
    except ToolExecutionError:
        return False
    return True


def test_decimals_are_numbers_and_are_read_of_text_as_well() -> None:
    """So that their digits can be kept: the one place where a type takes more than its schema says."""
    tool = tool_of(Decimal)

    assert {"x": Decimal("0.10")} == tool.bind({"x": "0.10"})
    assert Draft202012Validator(tool.parameters).is_valid({"x": 0.1})

"""What an annotation is."""

from __future__ import annotations

import collections
import functools
import sys
from dataclasses import dataclass
from typing import Annotated, Any, Final, Generic, NamedTuple, Tuple, TypedDict, TypeVar  # noqa: UP035

import attrs
import pytest
import typing_extensions

from llmkit.errors import ConfigurationError
from llmkit.schema.annotations import (
    aliased,
    described,
    hints_of_function,
    is_alias,
    is_hashable,
    is_named_tuple,
    is_pydantic,
    is_record,
    is_typed_dict,
    items_of_tuple,
    qualifiers_of,
    resolved_hints,
    substituted,
    unqualified,
)

T = TypeVar("T")


@attrs.frozen
class Box(Generic[T]):
    content: T


@dataclass
class Node:
    children: list[Node]


class Movie(TypedDict):
    title: str


class Film(typing_extensions.TypedDict):
    title: str


class Point(NamedTuple):
    x: int


@pytest.mark.parametrize(
    ("tp", "is_one"),
    [
        (Box, True),
        (Box[int], True),
        (Node, True),
        (Movie, True),
        (Film, True),
        (Point, True),
        (dict, False),
        (tuple[int], False),
        (3, False),
    ],
)
def test_a_record_has_named_fields(tp: Any, is_one: bool) -> None:
    """Classes of attrs, dataclasses, typed dicts and named tuples; parametrised or not."""
    assert is_one is is_record(tp)


def test_records_of_the_standard_library_are_told_apart() -> None:
    """A typed dict is a dict with known keys, those of typing_extensions included; a named tuple a tuple with names."""
    assert [True, True, False] == [is_typed_dict(tp) for tp in (Movie, Film, dict)]
    assert [True, True, False] == [is_named_tuple(tp) for tp in (Point, collections.namedtuple("Pair", "a b"), tuple)]


def test_a_pydantic_model_is_known_without_importing_pydantic() -> None:
    """By the two methods that are needed of it; an instance is no type."""
    pydantic = pytest.importorskip("pydantic")
    model = pydantic.create_model("Model", x=(int, 1))

    assert [True, False, False] == [is_pydantic(tp) for tp in (model, model(), Box)]


def test_an_alias_stands_for_its_value() -> None:
    """With its arguments in the place of its type variables, if it has some."""
    plain = typing_extensions.TypeAliasType("plain", list[int])
    general = typing_extensions.TypeAliasType("general", list[T], type_params=(T,))

    assert [True, True, False] == [is_alias(tp) for tp in (plain, general[int], list[int])]
    assert [list[int], list[str]] == [aliased(tp) for tp in (plain, general[str])]


def test_unhashable_notes_are_noticed() -> None:
    """``collections.abc.Hashable`` would believe what the annotation says of itself."""
    assert is_hashable(Annotated[int, ("a",)])
    assert not is_hashable(Annotated[int, ["a"]])


@pytest.mark.parametrize(
    ("tp", "items"),
    [
        (tuple, ((Any,), True)),
        (Tuple, ((Any,), True)),  # noqa: UP006
        (tuple[int, ...], ((int,), True)),
        (tuple[int, str], ((int, str), False)),
        (tuple[()], ((), False)),
        (Tuple[()], ((), False)),  # noqa: UP006
    ],
)
def test_a_tuple_is_of_one_type_or_of_fixed_ones(tp: Any, items: Any) -> None:
    """A tuple without arguments may hold anything, tuple[()] nothing."""
    assert items == items_of_tuple(tp)


@pytest.mark.parametrize(
    ("hint", "text"),
    [
        (Annotated[int, 3, "How many.", "Or else."], "How many."),
        (Annotated[int, typing_extensions.Doc("How many.")], "How many."),
        (Annotated[int, 3], ""),
        (int, ""),
    ],
)
def test_the_first_text_in_an_annotation_describes_it(hint: Any, text: str) -> None:
    """A text of its own, or that of PEP 727's Doc."""
    assert text == described(hint)


def test_qualifiers_are_told_and_taken_off() -> None:
    """They may stand around each other, and around an ``Annotated``."""
    hint = typing_extensions.Required[typing_extensions.ReadOnly[Annotated[int, "x"]]]

    assert ["Required", "ReadOnly"] == list(qualifiers_of(hint))
    assert Annotated[int, "x"] == unqualified(hint)
    assert [int, int, list[int]] == [unqualified(tp) for tp in (int, Final[int], list[int])]


def test_annotations_are_resolved_with_their_notes() -> None:
    """Those that are text are looked up in their module, and beside the class itself."""

    @dataclass
    class Local:
        note: Annotated[int, "x"]
        inner: Local | None

    assert {"note": Annotated[int, "x"], "inner": Local | None} == resolved_hints(Local)


def test_of_a_function_only_what_is_wanted_is_resolved() -> None:
    """The others need not be importable; what wraps a function has its annotations."""

    def add(first: int, second: Nowhere) -> Annotated[str, "x"]: ...  # type: ignore[name-defined, empty-body]  # noqa: F821

    @functools.wraps(add)
    def wrapping() -> None: ...

    assert {"first": int} == hints_of_function(add, lambda name: name == "first")
    assert {"return": Annotated[str, "x"]} == hints_of_function(wrapping, lambda name: name == "return")
    with pytest.raises(ConfigurationError, match="Nowhere"):
        hints_of_function(add, lambda _: True)


def test_an_annotation_that_cannot_be_resolved_is_told_with_its_class() -> None:
    """And with what is wrong, and with what to do."""

    class Unknowable:
        thing: Missing  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(ConfigurationError, match=r"Unknowable cannot be resolved \(name 'Missing' is not defined\).*importable"):
        resolved_hints(Unknowable)


def test_type_variables_are_replaced_by_the_arguments_of_the_class() -> None:
    """Alone or within another type; where the class has no arguments, they stay."""
    assert [int, list[int], str] == [substituted(Box[int], hint) for hint in (T, list[T], str)]  # type: ignore[valid-type]
    assert [T, list[T]] == [substituted(Box, hint) for hint in (T, list[T])]  # type: ignore[valid-type]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the type statement came with Python 3.12")
def test_the_type_statement_makes_aliases() -> None:
    """As typing_extensions does."""
    names: dict[str, Any] = {}
    exec("type Numbers[X] = list[X]", names)  # older Pythons could not read it in this file

    assert is_alias(names["Numbers"])
    assert list[int] == aliased(names["Numbers"][int])

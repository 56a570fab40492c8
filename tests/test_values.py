"""What our ``frozen`` and ``define`` make is what attrs' own would."""

from __future__ import annotations

import pickle
from typing import Any

import attrs
import pytest
from attrs import field
from hypothesis import given
from hypothesis import strategies as st

from llmkit import values

DECORATORS = [(values.frozen, attrs.frozen), (values.define, attrs.define)]


def twins(ours: Any, theirs: Any, **options: Any) -> tuple[Any, Any]:
    """Return two classes of the same fields, made by *ours* and by *theirs*."""

    def body() -> type:
        class Thing:
            a: Any
            b: Any = field(default=0, repr=False)
            c: Any = field(default=0, eq=False)
            d: Any = field(default=0, hash=False)

        return Thing

    return ours(**options)(body()), theirs(**options)(body())


fields = st.tuples(*[st.integers(0, 1) | st.just("x")] * 4)


@given(one=fields, other=fields)
@pytest.mark.parametrize(("ours", "theirs"), DECORATORS)
def test_two_are_equal_where_attrs_says_so(ours: Any, theirs: Any, one: Any, other: Any) -> None:
    """What is said of a field counts; so does ``!=``."""
    our_class, their_class = twins(ours, theirs)

    assert (their_class(*one) == their_class(*other)) is (our_class(*one) == our_class(*other))
    assert (their_class(*one) != their_class(*other)) is (our_class(*one) != our_class(*other))


@given(one=fields)
@pytest.mark.parametrize(("ours", "theirs"), DECORATORS)
def test_one_shows_itself_as_attrs_would_have_it(ours: Any, theirs: Any, one: Any) -> None:
    """Without what is not to be shown."""
    our_class, their_class = twins(ours, theirs)

    assert repr(their_class(*one)) == repr(our_class(*one))


@given(one=fields, other=fields)
def test_equal_ones_have_one_hash(one: Any, other: Any) -> None:
    """The hash goes by what counts for it, and tells classes apart."""
    ours, _ = twins(*DECORATORS[0])
    stranger, _ = twins(*DECORATORS[0])

    same = one[:2] == other[:2]

    assert same is (hash(ours(*one)) == hash(ours(*other)))
    assert hash(ours(*one)) != hash(stranger(*one))


def test_what_can_change_has_no_hash() -> None:
    """As with attrs; the same of a value that holds such a thing."""
    mutable, _ = twins(*DECORATORS[1])
    holder, _ = twins(*DECORATORS[0])

    with pytest.raises(TypeError, match="unhashable"):
        hash(mutable(1))
    with pytest.raises(TypeError, match="unhashable"):
        hash(holder([]))


@pytest.mark.parametrize(("ours", "theirs"), DECORATORS)
def test_classes_do_not_mix(ours: Any, theirs: Any) -> None:
    """Not even one and its own child are equal."""
    parent, _ = twins(ours, theirs)
    child = ours(type("Child", (parent,), {}))

    assert parent(1) != child(1)
    assert child(1) == child(1)
    assert parent(1).__eq__(child(1)) is NotImplemented


@pytest.mark.parametrize(("ours", "theirs"), DECORATORS)
@pytest.mark.parametrize("options", [{"eq": False}, {"repr": False}, {"eq": False, "repr": False}])
def test_what_is_not_wanted_is_not_made(ours: Any, theirs: Any, options: dict[str, bool]) -> None:
    """A thing without ``==`` is equal to itself alone; one without ``repr`` shows its address."""
    our_class, their_class = twins(ours, theirs, **options)
    one, other = our_class(1), our_class(1)

    assert (their_class(1) == their_class(1)) is (one == other)
    assert ("object at" in repr(their_class(1))) is ("object at" in repr(one))


def test_a_method_of_ones_own_comes_first() -> None:
    """All three of them."""

    @values.frozen
    class Own:
        a: int

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 7

        def __repr__(self) -> str:
            return "own"

    assert Own(1) == Own(2)
    assert (7, "own") == (hash(Own(1)), repr(Own(1)))


def test_what_holds_itself_is_shown() -> None:
    """Once, and not for ever."""

    @values.define
    class Knot:
        end: Any = None

    knot = Knot()
    knot.end = [knot]

    assert f"{Knot.__qualname__.rpartition('>.')[2]}(end=[...])" == repr(knot)


@values.frozen(kw_only=True)
class Empty:
    """A value without fields."""


def test_one_without_fields_is_a_value_too() -> None:
    """It is equal to all its like, and travels in a pickle."""
    assert Empty() == pickle.loads(pickle.dumps(Empty()))
    assert hash(Empty()) == hash(Empty())
    assert "Empty()" == repr(Empty())

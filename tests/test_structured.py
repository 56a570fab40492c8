"""Answers in a shape: what may be asked for, and how an answer is read."""

from __future__ import annotations

import dataclasses
import enum
import json
import subprocess
import sys
from datetime import date, datetime, time, timezone
from decimal import Decimal
from pathlib import Path
from types import GenericAlias
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, TypedDict, TypeVar
from uuid import UUID

import attrs
import pytest
import typing_extensions
from annotated_types import Ge
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from llmkit.errors import ConfigurationError, StructuredOutputError
from llmkit.schema import is_strict_able, schema_of, strict_schema
from llmkit.structured import Growth, ResponseFormat, as_response_format, parse

T = TypeVar("T")
UserId = NewType("UserId", int)


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


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


def asked(value: Any) -> ResponseFormat:
    shape = as_response_format(value)
    assert shape is not None
    return shape


def read(tp: Any, value: Any) -> Any:
    """Return what becomes of *value* when *tp* is asked for and the model answers as the schema says."""
    shape = asked(tp)
    return parse(shape, json.dumps({"value": value} if shape.wrapped else value))


def test_json_is_a_shape_of_its_own() -> None:
    """Any JSON will do, and comes back decoded."""
    shape = asked("json")

    assert ("json", None, None) == (shape.kind, shape.schema, shape.type)
    assert {"a": [1, None]} == parse(shape, '{"a": [1, null]}')


@pytest.mark.parametrize("value", [None, {"type": "text"}])
def test_plain_text_is_no_shape(value: Any) -> None:
    """Nothing is asked for, so nothing is parsed."""
    assert as_response_format(value) is None


def test_a_shape_stays_itself() -> None:
    """What was made once is not made again."""
    shape = asked(Guest)

    assert shape is as_response_format(shape)
    assert shape.schema is asked(Guest).schema


SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


def test_openai_dicts_are_shapes() -> None:
    """Both the nested form of Chat Completions and the flat one of Responses; name, description and strict are kept."""
    facts = {"name": "my-schema", "description": "A.", "strict": True, "schema": SCHEMA}

    nested = as_response_format({"type": "json_schema", "json_schema": facts})
    flat = as_response_format({"type": "json_schema", **facts})

    assert ResponseFormat(kind="schema", schema=SCHEMA, name="my-schema", description="A.", strict=True) == nested == flat
    assert ResponseFormat(kind="json") == as_response_format({"type": "json_object"})


def test_a_json_schema_is_a_shape() -> None:
    """It is copied, named after its title, and its answers come back as decoded JSON."""
    given_schema = {**SCHEMA, "title": "My Schema"}

    shape = asked(given_schema)

    assert ("schema", given_schema, "My_Schema", None) == (shape.kind, shape.schema, shape.name, shape.type)
    assert shape.schema is not given_schema
    assert {"a": 1, "b": 2} == parse(shape, '{"a": 1, "b": 2}')


def test_nulls_of_optional_properties_are_dropped_from_plain_answers() -> None:
    """Strict mode writes null for a property that the caller's schema lets be absent, but not be null."""
    shape = asked({"type": "object", "properties": {"a": {"type": "integer"}}})

    assert {} == parse(shape, '{"a": null}')


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("yaml", "'yaml'"),
        (3, "No JSON Schema can be made of 3"),
        (bytes, "base64"),
        ([int], "'json', a JSON Schema or a type"),
        (Annotated[int, ["a"]], "all parts are hashable"),
        ({"type": "jsonobject"}, "neither a JSON Schema nor"),
        ({"type": {"a": "integer"}}, "neither a JSON Schema nor"),
        ({"a": "integer"}, "neither a JSON Schema nor"),
        ({"type": "json_schema"}, "must have a schema"),
        ({"type": "json_schema", "json_schema": {"name": "a b", "schema": SCHEMA}}, "A name must be"),
        ({"type": "json_object", "schema": SCHEMA}, "no other keys"),
    ],
)
def test_what_is_no_shape_is_refused(value: Any, words: str) -> None:
    """The message shows what was given, and what would do."""
    with pytest.raises(ConfigurationError, match=words):
        as_response_format(value)


@pytest.mark.parametrize(("tp", "name"), [(Guest, "Guest"), (Box[int], "Box"), (list[Guest], "response"), (Movie, "Movie")])
def test_a_shape_is_named_after_its_class(tp: Any, name: str) -> None:
    """Wires want a name; a type without one gets a general one."""
    assert name == asked(tp).name


@pytest.mark.parametrize("title", ["x" * 100, "", "Größe (cm)"])
def test_any_title_becomes_a_name_that_wires_take(title: str) -> None:
    """At most 64 of a-z, A-Z, 0-9, _ and -."""
    name = asked({**SCHEMA, "title": title}).name

    assert 1 <= len(name) <= 64
    assert name.isascii()
    assert name.replace("_", "a").replace("-", "a").isalnum()


def test_a_root_that_is_no_object_is_wrapped_and_unwrapped() -> None:
    """Wires want an object; the caller gets the list."""
    shape = asked(list[int])

    assert {
        "type": "object",
        "properties": {"value": {"type": "array", "items": {"type": "integer"}}},
        "required": ["value"],
        "additionalProperties": False,
    } == shape.schema
    assert [1, 2] == parse(shape, '{"value": [1, 2]}')


def test_an_unwrapped_answer_is_taken_where_its_type_is_known() -> None:
    """A server that does not enforce schemas lets a model write the bare list; for a plain schema nothing could check that."""
    assert [1, 2] == parse(asked(list[int]), "[1, 2]")
    with pytest.raises(StructuredOutputError, match='the key "value"'):
        parse(asked({"type": "array", "items": {}}), "[1, 2]")


def test_references_still_hold_in_a_wrapped_schema() -> None:
    """Definitions stay at the root, and references to the old root follow it."""
    schema = {
        "anyOf": [{"type": "integer"}, {"type": "array", "items": {"$ref": "#"}}, {"$ref": "#/$defs/A"}],
        "$defs": {"A": {"type": "null"}},
    }

    wrapped = asked(schema).schema

    assert wrapped is not None
    validator = Draft202012Validator(wrapped)
    assert validator.is_valid({"value": [1, [2, None]]})
    assert not validator.is_valid({"value": [1, ["two"]]})


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "Ann"}',
        '  \n{"name": "Ann"}\n ',
        '```json\n{"name": "Ann"}\n```',
        '```\n{"name": "Ann"}\n```',
        '\n```JSON {"name": "Ann"}```\n',
        '\ufeff{"name": "Ann"}',
    ],
)
def test_fences_and_white_space_are_passed_over(text: str) -> None:
    """Models write them whatever they are told."""
    assert Guest("Ann") == parse(asked(Guest), text)


@pytest.mark.parametrize(
    "text",
    [
        'Here you are:\n\n```json\n{"name": "Ann"}\n```\n\nAnything else?',
        'Here:\n```\n{"name":\n "Ann"}\n  ```',
        'Not\n```python\nguest\n```\nbut\n```json\n{"name": "Ann"}\n```',
        'I use `name`, and ```x``` for it.\r\n```JSON5 \r\n{"name": "Ann"}\r\n```\r\n',
    ],
)
def test_what_is_said_around_the_only_fence_is_passed_over(text: str) -> None:
    """Models that are asked in words are polite."""
    assert Guest("Ann") == parse(asked(Guest), text)


def test_fences_in_a_text_are_its_own() -> None:
    """In JSON they stand in one line, and the JSON as a whole comes first."""
    text = "Hi:\n```json\n[1]\n```\n"

    assert text == parse(asked(str), json.dumps({"value": text}))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('Either\n```json\n{"name": "Ann"}\n```\nor\n```json\n{"name": "Bob"}\n```', "is not JSON: Expecting value"),
        ('Here:\n```python\n{"name": "Ann"}\n```', "is not JSON: Expecting value"),
        ('Here:\n```json\n{"name": NaN}\n```', "NaN is no JSON value"),
        ('Here:\n```json\n{"name": "Ann"}', "is not JSON: Expecting value"),
        ("", "The answer is empty"),
        (" \n", "The answer is empty"),
        ("I cannot do that.", "is not JSON: Expecting value"),
        ('{"name": "An', "is not JSON"),
        ('{"name": "Ann"} and more', "is not JSON"),
        ('{"name": NaN}', "NaN is no JSON value"),
        ("```", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
    ],
    ids=range(12),
)
def test_what_is_not_json_is_told_with_its_text(text: str, words: str) -> None:
    """The raw answer is kept for whoever wants to look or to repair."""
    with pytest.raises(StructuredOutputError, match=words) as caught:
        parse(asked(Guest), text)

    assert text == caught.value.text
    assert caught.value.parsed is None


@pytest.mark.parametrize(
    ("tp", "value", "words"),
    [
        (Guest, {"name": 3}, r"The answer does not fit Guest: \$\.name: expected text, got 3"),
        (Guest, {"name": "a", "code": "long"}, r"\$: Length of '_code' must be <= 2: 4"),
        (Movie, {"title": "a", "year": "x"}, r"fit Movie: \$\.year: expected an integer"),
        (int, "3", r'fit response_format: \$: expected an integer, got "3"'),
        (list[Guest], [{"name": "a"}, {}], r"\$\[1\]\.name: is required, but missing"),
    ],
    ids=repr,
)
def test_what_does_not_fit_is_told_with_its_path(tp: Any, value: Any, words: str) -> None:
    """Nothing is converted in silence: path and expectation stand in the message, text and JSON on the error."""
    shape = asked(tp)
    answer = {"value": value} if shape.wrapped else value

    with pytest.raises(StructuredOutputError, match=words) as caught:
        parse(shape, json.dumps(answer))

    assert json.dumps(answer) == caught.value.text
    assert answer == caught.value.parsed


@pytest.mark.parametrize(
    ("tp", "value", "result"),
    [
        (Guest, {"name": "Ann", "age": None}, Guest("Ann")),
        (Movie, {"title": "a", "year": None}, {"title": "a"}),
        (Node, {"value": 1, "children": [{"value": 2, "children": None}]}, Node(1, [Node(2)])),
        (Cat | Dog, {"kind": "dog", "lives": None}, Dog("dog", None)),
        (Cat | Dog, {"kind": "cat", "lives": None}, Cat("cat")),
        (Guest | None, None, None),
    ],
    ids=repr,
)
def test_nulls_that_say_absent_take_the_default(tp: Any, value: Any, result: Any) -> None:
    """Strict mode makes a model write every key; where None is a value of the field, it stays."""
    assert result == read(tp, value)


def test_unions_in_another_order_are_not_mixed_up() -> None:
    """Equal unions in another order are another request, although Python takes them for the same key."""
    assert "2026-01-02" == read(str | date, "2026-01-02")
    assert date(2026, 1, 2) == read(date | str, "2026-01-02")


def test_a_pydantic_model_is_a_shape() -> None:
    """Named after it, and read by its own rules: a strict one takes its date from JSON text."""
    pydantic = pytest.importorskip("pydantic")
    stay = pydantic.create_model("Stay", __config__={"strict": True}, day=(date, ...), nights=(int, 1))

    parsed = parse(asked(stay), '{"day": "2026-01-02", "nights": null}')

    assert stay(day=date(2026, 1, 2)) == parsed
    with pytest.raises(StructuredOutputError, match=r"Stay: \$\.day: Field required"):
        parse(asked(stay), "{}")


@pytest.mark.parametrize("depth", [900, 100_000])
def test_an_answer_nested_too_deeply_is_refused(depth: int) -> None:
    """Whether it is found when its text is read or when its type is made, and never as a RecursionError."""
    text = '{"value": 1, "children": [' * depth + "]}" * depth

    with pytest.raises(StructuredOutputError, match="recursion") as caught:
        parse(asked(Node), text)

    assert isinstance(caught.value.original_error, RecursionError)


@pytest.mark.parametrize("tp", [Any, "json"])
def test_an_answer_that_only_goes_deeper_stops_growing(tp: Any) -> None:
    """A model that opens brackets without end fails as a whole, and not on the way."""
    growth = Growth(asked(tp))

    grown = [growth.feed('{"value": ['), *(growth.feed("[" * 100) for _ in range(100))]

    assert grown[0]
    assert not any(grown[-50:])


def test_depth_alone_is_no_fault() -> None:
    """Where any JSON will do, a deep one does."""
    text = '{"a": ' + "[" * 200 + "]" * 200 + "}"

    assert json.loads(text) == parse(asked({"type": "object", "properties": {"a": {}}}), text)


def test_asking_for_a_shape_loads_neither_cattrs_nor_pydantic() -> None:
    """They are loaded when the first value is structured, and pydantic never on behalf of others."""
    code = (
        "import sys, attrs\n"
        "import llmkit.schema\n"
        "print([name for name in ('cattrs', 'pydantic', 'typing_extensions', 'uuid', 'decimal') if name in sys.modules])\n"
        "from llmkit.structured import as_response_format, parse\n"
        "Guest = attrs.make_class('Guest', {'name': attrs.field(type=str)})\n"
        "shape = as_response_format(Guest)\n"
        "print([name for name in ('cattrs', 'pydantic', 'uuid', 'decimal') if name in sys.modules])\n"
        'parse(shape, \'{"name": "x"}\')\n'
        "print([name for name in ('cattrs', 'pydantic') if name in sys.modules])\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert ["[]", "[]", "['cattrs']"] == done.stdout.splitlines()


# Types with their values: each leaf is a type and a strategy for it.
LEAVES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (int, st.integers()),
    (float, st.floats(allow_nan=False, allow_infinity=False)),
    (str, st.text()),
    (bool, st.booleans()),
    (Color, st.sampled_from(Color)),
    (Size, st.sampled_from(Size)),
    (Literal["a", 1, True], st.sampled_from(["a", 1, True])),
    (date, st.dates()),
    (time, st.times()),
    (datetime, st.datetimes(timezones=st.none() | st.just(timezone.utc))),
    (UUID, st.uuids()),
    (Decimal, st.decimals(min_value=-10_000, max_value=10_000, places=3)),
    (Path, st.text(st.characters(exclude_characters="\0")).map(Path)),
    (UserId, st.integers()),
    (Annotated[int, Ge(0), "how many"], st.integers(min_value=0)),
]
Pair = tuple[Any, st.SearchStrategy[Any]]


def lists(pair: Pair) -> Pair:
    return GenericAlias(list, (pair[0],)), st.lists(pair[1], max_size=3)


def optional(pair: Pair) -> Pair:
    return pair[0] | None, st.none() | pair[1]


def mappings(pair: Pair) -> Pair:
    return GenericAlias(dict, (str, pair[0])), st.dictionaries(st.text(), pair[1], max_size=3)


def many(pair: Pair) -> Pair:
    return GenericAlias(tuple, (pair[0], ...)), st.lists(pair[1], max_size=3).map(tuple)


def fixed(pairs: list[Pair]) -> Pair:
    return GenericAlias(tuple, tuple(tp for tp, _ in pairs)), st.tuples(*(values for _, values in pairs))


def names_of(pairs: list[Pair]) -> dict[str, Pair]:
    return {f"f{index}": pair for index, pair in enumerate(pairs)}


def attrs_classes(pairs: list[Pair]) -> Pair:
    cls = attrs.make_class("Made", {name: attrs.field(type=tp) for name, (tp, _) in names_of(pairs).items()})
    return cls, st.builds(cls, **{name: values for name, (_, values) in names_of(pairs).items()})


def data_classes(pairs: list[Pair]) -> Pair:
    """The last field has a default, the value of which is left out of the answer half of the time."""
    named = names_of([*pairs, (int, st.integers(0, 1))])
    fields = [(name, tp) for name, (tp, _) in named.items()]
    *needed, (last, tp) = fields
    cls = dataclasses.make_dataclass("Made", [*needed, (last, tp, dataclasses.field(default=1))])
    return cls, st.builds(cls, **{name: values for name, (_, values) in named.items()})


def typed_dicts(pairs: list[Pair]) -> Pair:
    cls = TypedDict("Made", {name: tp for name, (tp, _) in names_of(pairs).items()})  # type: ignore[misc]
    return cls, st.fixed_dictionaries({name: values for name, (_, values) in names_of(pairs).items()})


def named_tuples(pairs: list[Pair]) -> Pair:
    cls = NamedTuple("Made", [(name, tp) for name, (tp, _) in names_of(pairs).items()])  # type: ignore[misc]
    return cls, st.builds(cls, **{name: values for name, (_, values) in names_of(pairs).items()})


def sets(pair: Pair) -> Pair:
    return GenericAlias(set, (pair[0],)), st.sets(pair[1], max_size=3)


def deeper(pairs: st.SearchStrategy[Pair]) -> st.SearchStrategy[Pair]:
    several = st.lists(pairs, min_size=1, max_size=3)
    single = [pairs.map(make) for make in (lists, optional, mappings, many)]
    records = [several.map(make) for make in (fixed, attrs_classes, data_classes, typed_dicts, named_tuples)]
    return st.one_of(*single, *records)


PAIRS = st.recursive(st.sampled_from(LEAVES) | st.sampled_from(LEAVES[:5]).map(sets), deeper, max_leaves=6)
TYPED = PAIRS.flatmap(lambda pair: st.tuples(st.just(pair[0]), pair[1]))


def as_json(value: Any, *, absent: bool | None = False) -> Any:
    """Return *value* as a model would write it; a default is left out where *absent* is True, and null where it is None."""
    if isinstance(value, enum.Enum):
        return value.value
    if attrs.has(type(value)):
        return {name: as_json(item, absent=absent) for name, item in attrs.asdict(value, recurse=False).items()}
    if dataclasses.is_dataclass(value):
        items = {one.name: (getattr(value, one.name), one.default) for one in dataclasses.fields(value)}
        written = {
            name: None if absent is None and item is default else as_json(item, absent=absent) for name, (item, default) in items.items()
        }
        return {name: item for name, item in written.items() if not (absent and items[name][0] == items[name][1])}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return as_json(value._asdict(), absent=absent)
    if isinstance(value, dict):
        return {key: as_json(item, absent=absent) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [as_json(item, absent=absent) for item in value]
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, (date, time)):
        return value.isoformat()
    return str(value) if isinstance(value, (UUID, Path)) else value


@settings(max_examples=150)
@given(typed=TYPED, absent=st.sampled_from([True, False, None]))
def test_an_answer_comes_back_as_the_value_it_was_made_of(typed: tuple[Any, Any], absent: bool | None) -> None:
    """For any type: the schema accepts the value's JSON, and parsing gives the value, whichever way defaults are left out."""
    tp, value = typed
    shape = asked(tp)
    body = as_json(value, absent=absent)
    answer = {"value": body} if shape.wrapped else body

    assert shape.schema is not None
    Draft202012Validator.check_schema(shape.schema)
    if absent is not None:
        Draft202012Validator(shape.schema).validate(answer)
    assert value == parse(shape, json.dumps(answer))


@settings(max_examples=100)
@given(typed=TYPED)
def test_a_strict_schema_accepts_what_strict_mode_writes(typed: tuple[Any, Any]) -> None:
    """Every key written, defaults as null: the strict schema takes it, and it is read as the value."""
    tp, value = typed
    shape = asked(tp)
    answer = as_json(value, absent=None)
    answer = {"value": answer} if shape.wrapped else answer

    assert shape.schema is not None
    if is_strict_able(shape.schema):
        Draft202012Validator(strict_schema(shape.schema)).validate(answer)
    assert value == parse(shape, json.dumps(answer))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "value", "x", "children", "kind"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=150)
@given(answer=JSON, tp=st.sampled_from([Guest, Node, Movie, Point, Cat | Dog | None, dict[str, Point], list[Guest | int], Color]))
def test_what_is_read_is_what_the_schema_accepts(answer: Any, tp: Any) -> None:
    """Any answer is read, or refused with a ``StructuredOutputError``: what is read, apart from unknown keys, fits the schema."""
    try:
        value = parse(asked(tp), json.dumps(answer))
    except StructuredOutputError:
        return

    Draft202012Validator(schema_of(tp)).validate(written(value))


def written(value: Any) -> Any:
    """Return a value of the types above as JSON, by the names of their constructors."""
    if attrs.has(type(value)):
        return {one.alias: written(getattr(value, one.name)) for one in attrs.fields(type(value))}
    return as_json(value) if not isinstance(value, list) else [written(item) for item in value]

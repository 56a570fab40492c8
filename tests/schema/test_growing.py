"""JSON that is still being written: each beginning of a document is a beginning of its value."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llmkit.schema.growing import MISSING, GrowingJson, Unfinished

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4), max_leaves=12
)


def frozen(value: Any) -> Any:
    return json.loads(json.dumps(value)) if value is not MISSING else value


def is_beginning(part: Any, whole: Any) -> bool:
    """Whether *part* grows into *whole*: a text at its end, containers by further items, and of these only the last is unfinished."""
    if part is MISSING:
        return True
    if isinstance(part, str) and isinstance(whole, str):
        return whole.startswith(part)
    if isinstance(part, list) and isinstance(whole, list):
        return len(part) <= len(whole) and part[:-1] == whole[: len(part)][:-1] and all(map(is_beginning, part, whole))
    if isinstance(part, dict) and isinstance(whole, dict):
        keys = list(part)
        finished = all(part[key] == whole[key] for key in keys[:-1])
        return keys == list(whole)[: len(keys)] and finished and all(is_beginning(part[key], whole[key]) for key in keys)
    return type(part) is type(whole) and part == whole


def read(text: str) -> Any:
    reader = GrowingJson()
    reader.feed(text)
    reader.finish()
    return reader.value


@given(value=JSON, ascii_only=st.booleans(), indent=st.sampled_from([None, 1]))
@example(value="\U0001f600", ascii_only=True, indent=None)
@example(value={"a": "\ud83d"}, ascii_only=True, indent=None)
def test_each_beginning_of_a_document_is_a_beginning_of_its_value(value: Any, ascii_only: bool, indent: int | None) -> None:
    """Character by character, and never less than the step before."""
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    value = json.loads(text)
    reader = GrowingJson()
    before: Any = MISSING

    for character in text:
        reader.feed(character)
        now = frozen(reader.value)
        assert is_beginning(now, value)
        assert is_beginning(before, now)
        before = now
    reader.finish()

    assert not reader.is_broken
    assert reader.is_over
    assert value == reader.value


@given(value=JSON, data=st.data())
def test_it_does_not_matter_how_the_text_was_cut(value: Any, data: st.DataObject) -> None:
    """Whole, or in any pieces."""
    text = json.dumps(value)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    reader = GrowingJson()

    for piece in pieces:
        reader.feed(piece)
    reader.finish()

    assert json.loads(text) == reader.value


@given(text=st.text(alphabet='{}[]",:0123456789.eE+-truefalsn \\u`j'))
def test_what_it_takes_for_whole_is_json(text: str) -> None:
    """Nothing that is refused in the end was whole before; nor does it raise."""
    reader = GrowingJson()

    reader.feed(text)
    reader.finish()

    if reader.is_over and "`" not in text:
        decoder = json.JSONDecoder()
        assert decoder.raw_decode(text.lstrip(" "))[0] == reader.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", MISSING),
        ("  \n", MISSING),
        ("\ufeff {", {}),
        ("`", MISSING),
        ("```js", MISSING),
        ("```json\n[1, 2", [1]),
        ("```\n[1, 2, ", [1, 2]),
        ('{"a', {}),
        ('{"a":', {}),
        ('{"a": "b', {"a": "b"}),
        ('{"a": tru', {}),
        ('{"a": true', {"a": True}),
        ('{"a": -1.', {}),
        ('["\\u00e', [""]),
        ('["\\ud83d', [""]),
        ('["\\ud83dx', ["\ud83dx"]),
        ("[[], {}, [", [[], {}, []]),
        ("12", MISSING),
    ],
)
def test_what_there_is_so_far(text: str, value: Any) -> None:
    """Numbers, words and keys are there when they are whole; texts as far as they go."""
    reader = GrowingJson()

    reader.feed(text)

    assert value is reader.value if value is MISSING else value == reader.value


@pytest.mark.parametrize("text", ["nothing", "{a", '{"a" 1', "[1 2", '["\x01"', '"\\x"', '"\\u12g4"', "01,", "[NaN", "```python\n", "[1,]"])
def test_what_cannot_become_json_ends_the_reading(text: str) -> None:
    """What there was stays."""
    reader = GrowingJson()

    reader.feed(text)
    reader.finish()
    reader.feed("[1]")

    assert reader.is_broken
    assert not reader.is_over


def test_what_stands_behind_the_value_is_passed_over() -> None:
    """Such as the end of a fence."""
    assert [1] == read("```json\n[1]\n```\nThat is all.")


def test_it_says_whether_it_has_grown() -> None:
    """So that nobody looks in vain."""
    reader = GrowingJson()

    assert [True, False, False, True, True, False] == [reader.feed(piece) for piece in ("{", '"a"', ": ", '"', "b", "\\")]


def test_a_text_says_whether_more_of_it_may_come() -> None:
    """Half a date is none."""
    reader = GrowingJson()

    reader.feed('{"a": "whole", "b": "ha')

    assert not isinstance(reader.value["a"], Unfinished)
    assert isinstance(reader.value["b"], Unfinished)
    reader.feed('lf"')
    assert not isinstance(reader.value["b"], Unfinished)

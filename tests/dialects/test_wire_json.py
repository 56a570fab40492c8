"""Small words for JSON from and to strangers."""

from __future__ import annotations

from typing import Any

import pytest

from llmkit.dialects.base import WireError
from llmkit.dialects.wire_json import at, beginning, body_of, count, label, made_up_id, object_in, objects, word, written
from llmkit.errors import ConfigurationError
from llmkit.transport.base import HttpResponse


def test_only_objects_are_looked_into() -> None:
    """Of anything else there is nothing."""
    assert (1, None, None) == (at({"a": 1}, "a"), at({}, "a"), at([1], "a"))


def test_only_strings_are_words() -> None:
    """Anything else is an empty one."""
    assert ("a", "", "") == (word("a"), word(None), word(1))


@pytest.mark.parametrize(
    ("value", "expected"), [("a", "a"), (5, "5"), (0, "0"), ("", None), (True, None), (None, None), (1.5, None), ([], None)]
)
def test_labels_are_texts_and_whole_numbers(value: Any, expected: str | None) -> None:
    """What may serve as a code or an id."""
    assert expected == label(value)


@pytest.mark.parametrize(
    ("value", "expected"), [(5, 5), (13.0, 13), (0, 0), (-1, 0), ("5", 0), (True, 0), (None, 0), (float("inf"), 0), (float("nan"), 0)]
)
def test_counts_are_numbers_that_are_not_negative(value: Any, expected: int) -> None:
    """Floats are cut; nothing else counts."""
    assert expected == count(value)


def test_objects_are_picked_from_arrays() -> None:
    """The others are passed over."""
    assert ([{"a": 1}], [], []) == (objects([{"a": 1}, 1, None]), objects({"a": 1}), objects(None))


@pytest.mark.parametrize(
    ("body", "words"),
    [(b"", "empty"), (b" \n", "empty"), (b"{", "not JSON"), (b"[]", "no JSON object"), (b"1", "no JSON object"), (b"\xff", "not JSON")],
)
def test_a_body_that_is_no_object_is_refused(body: bytes, words: str) -> None:
    """With its status and what it was."""
    with pytest.raises(WireError, match=words) as caught:
        object_in(HttpResponse(status=200, headers={"x-request-id": "r"}, body=body))

    assert ("malformed", "r") == (caught.value.fault.kind, caught.value.fault.request_id)


def test_a_body_that_is_one_is_read() -> None:
    """White space around it is none of it."""
    assert {"a": 1} == object_in(HttpResponse(status=200, body=b' \n{"a": 1}\n'))


def test_the_beginning_of_a_text_is_one_short_line() -> None:
    """Cut between words: half a key would not be recognised as one."""
    assert "a b c" == beginning(" a\n b\tc ")
    assert "word " * 99 + "word …" == beginning("word " * 200)
    assert beginning("x" * 3000 + " y").startswith(" …")
    assert "" == beginning("x" * 5000)


def test_an_id_that_nobody_gave_depends_on_what_is_known() -> None:
    """And on nothing else; what UTF-8 cannot say does no harm."""
    assert made_up_id("t", 0, "f") == made_up_id("t", 0, "f") != made_up_id("t", 1, "f")
    assert 29 == len(made_up_id("\ud800"))


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, b"x"])
def test_what_json_has_no_word_for_is_refused(value: Any) -> None:
    """As a fault of the request, which is named."""
    with pytest.raises(ConfigurationError, match=r"The thing cannot be written as JSON"):
        written(value, "The thing")
    with pytest.raises(ConfigurationError, match=r"The request cannot be written as JSON"):
        body_of({"x": value})


def test_bodies_are_short_utf_8() -> None:
    """A lone surrogate is no UTF-8."""
    assert '{"a":"é"}'.encode() == body_of({"a": "é"})
    assert '["é"]' == written(["é"], "It")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        body_of({"a": "\ud800"})

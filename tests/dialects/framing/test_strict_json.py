from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.dialects.framing import FramingError, loads

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(value=VALUES, escaped=st.booleans())
def test_what_was_written_is_read(value: Any, escaped: bool) -> None:
    """Every value comes back from its bytes and from its text, with characters escaped or not."""
    text = json.dumps(value, ensure_ascii=escaped)

    assert value == loads(text)
    assert value == loads(text.encode())


@given(data=st.binary(max_size=60) | st.text(alphabet='{}[]",:\\u0dD8cC1e-.N \n').map(str.encode))
def test_no_input_raises_anything_else(data: bytes) -> None:
    """Bytes from a peer end in a value that can be encoded, or in the one error."""
    try:
        value = loads(data)
    except FramingError:
        return
    json.dumps(value, ensure_ascii=False).encode()


@pytest.mark.parametrize("before", [b"", b"\n\n\n", b" \t\r\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n "])
@pytest.mark.parametrize("after", [b"", b"\r\n\r\n", b" \t"])
@pytest.mark.parametrize("document", [b'{"a": [1]}', b"[1]", b"null", b'"text"', b"-1"])
def test_white_space_and_a_mark_around_the_document_are_passed_over(before: bytes, document: bytes, after: bytes) -> None:
    """Keep-alive blank lines and a byte order mark do not hide the document."""
    assert json.loads(document) == loads(before + document + after)


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_json_lacks_are_refused(word: str) -> None:
    """The standard library would read them."""
    with pytest.raises(FramingError, match=f"^{word} is not JSON$"):
        loads(f'{{"a": [{word}]}}')


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"":'])
def test_deep_nesting_is_refused(opening: str) -> None:
    """A hundred thousand levels are an error, and no crash."""
    with pytest.raises(FramingError):
        loads(opening * 100_000)


def test_deep_nesting_that_is_closed_is_refused_too() -> None:
    """The error is the depth, also where the grammar is kept."""
    with pytest.raises(FramingError, match="nested too deeply"):
        loads("[" * 100_000 + "]" * 100_000)


def test_an_integer_with_too_many_digits_is_refused() -> None:
    """The interpreter's limit of digits is no foreign error."""
    with pytest.raises(FramingError, match="too many digits"):
        loads('{"a": ' + "9" * 5000 + "}")


def test_a_huge_exponent_is_infinite() -> None:
    """Such a number is JSON; no float can hold it."""
    assert math.inf == loads("1e999")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not JSON: Expecting value (at byte 0)"),
        (b" \n", "not JSON: Expecting value (at byte 2)"),
        (b"\xef\xbb\xbf", "not JSON: Expecting value (at byte 3)"),
        (b"<html>", "not JSON: Expecting value (at byte 0)"),
        (b'{"a":1}{"b":2}', "not JSON: something follows the document (at byte 7)"),
        (b'\n{"a":1}xyz', "not JSON: something follows the document (at byte 8)"),
        ('{"漢":}'.encode(), "not JSON: Expecting value (at byte 7)"),
        (b"{}\x0c", "not JSON: something follows the document (at byte 2)"),
        ("{}\u00a0".encode(), "not JSON: something follows the document (at byte 2)"),
        (b'{"a":"' + b"x" * 20, "not JSON: Unterminated string starting at (at byte 5)"),
        (b"\xff\xfe{\x00}\x00", "not JSON: Expecting value (at byte 0)"),
    ],
)
def test_the_error_says_what_and_where(data: bytes, message: str) -> None:
    """The place is counted in bytes from the start of the document."""
    with pytest.raises(FramingError) as caught:
        loads(data)

    assert message == str(caught.value)


def test_the_error_quotes_nothing() -> None:
    """A model's words do not leak into messages or log lines."""
    with pytest.raises(FramingError) as caught:
        loads('{"text": "my secret')

    assert "secret" not in repr(caught.value)
    assert caught.value.__suppress_context__


def test_bytes_that_are_not_utf8_are_replaced() -> None:
    """A broken character costs that character and not the answer."""
    assert {"a": "x\ufffdy"} == loads(b'{"a": "x\xffy"}')


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'"\ud83d\ude00"', "😀"),
        (r'"\uD83D\uDE00"', "😀"),
        (r'"\ud800"', "\ufffd"),
        (r'"a\udc00b"', "a\ufffdb"),
        (r'"\ud83d\ud83d\ude00"', "\ufffd😀"),
        (r'"\ude00\ud83d"', "\ufffd\ufffd"),
        (r'"\ud83dx\ude00"', "\ufffdx\ufffd"),
        (r'"\ud83d\n"', "\ufffd\n"),
        (r'"\\ud800"', r"\ud800"),
        (r'"\\\ud800"', "\\\ufffd"),
        (r'"\\\\ud800\ud83d\ude00"', r"\\ud800" + "😀"),
        (r'{"\ud800": "\u6f22"}', {"\ufffd": "漢"}),
    ],
)
def test_half_a_surrogate_pair_becomes_a_replacement_character(text: str, value: Any) -> None:
    """Escaped pairs are kept; half of one, which no encoder would take, is replaced."""
    assert value == loads(text)


@given(text=st.text(alphabet=st.one_of(st.characters(), st.characters(categories=["Cs"]), st.just("\\")), max_size=12))
def test_every_decoded_text_can_be_encoded(text: str) -> None:
    """Replacement touches surrogates only, wherever they stand among backslashes and pairs."""
    expected = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    value = loads(json.dumps(text))

    assert expected.replace("\ufffd", "") == value.replace("\ufffd", "")
    value.encode()

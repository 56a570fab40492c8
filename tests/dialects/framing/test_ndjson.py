from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.dialects.framing import FramingError
from llmkit.dialects.framing.ndjson import NDJSONDecoder


def reference(stream: bytes) -> list[str]:
    """Return the lines of *stream*: LF ends them, one CR before it is dropped, white space alone is no line."""
    lines = [line.decode("utf-8", "replace") for line in stream.split(b"\n")]
    return [line[:-1] if line.endswith("\r") else line for line in lines if line.strip(" \t\r") != ""]


def decode(chunks: list[bytes]) -> list[str]:
    """Return the lines of *chunks*, followed by the end of input."""
    decoder = NDJSONDecoder()
    lines = [line for chunk in chunks for line in decoder.feed(chunk)]
    return lines + decoder.finish()


@given(
    stream=st.one_of(
        st.binary(max_size=60),
        st.lists(st.sampled_from([b"{}", b"\n", b"\r\n", b"\r", b" ", b"\t", b"\xe2\x80\xa8", b"\xff", b"x"])).map(b"".join),
    ),
    data=st.data(),
)
def test_any_stream_cut_anyhow_gives_the_same_lines(stream: bytes, data: st.DataObject) -> None:
    """Whatever the bytes and wherever they are cut, the lines are those of the whole."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    edges = [0, *cuts, len(stream)]
    parts = [stream[start:end] for start, end in pairwise(edges)]

    expected = reference(stream)

    assert expected == decode([stream])
    assert expected == decode(parts)
    assert expected == decode([bytes([byte]) for byte in stream])


def test_lines_are_out_as_soon_as_they_end() -> None:
    """A line does not wait for the next one."""
    decoder = NDJSONDecoder()

    assert [] == decoder.feed(b'{"a":')
    assert ['{"a":1}', "{}"] == decoder.feed(b"1}\r\n\n \t\r\n{}\n{")


def test_only_a_line_feed_ends_a_line() -> None:
    """Neither a lone CR nor the separators of Unicode do."""
    line = "a\rb\u2028c\u0085d\x0be"

    assert [line] == NDJSONDecoder().feed(f"{line}\n".encode())


def test_one_carriage_return_belongs_to_the_line_end() -> None:
    """A second one is part of the line."""
    assert ["{}\r"] == NDJSONDecoder().feed(b"{}\r\r\n")


def test_the_last_line_needs_no_line_feed() -> None:
    """The end of input ends it, once."""
    decoder = NDJSONDecoder()
    decoder.feed(b"{}\n[1]\r")

    assert ["[1]"] == decoder.finish()
    assert [] == decoder.finish()


def test_a_line_above_the_limit_is_refused() -> None:
    """The fault names the byte where the line begins."""
    decoder = NDJSONDecoder(max_event=4)
    decoder.feed(b"1234\n")

    with pytest.raises(FramingError, match="longer than 4 bytes") as caught:
        decoder.feed(b"12345\n")

    assert 5 == caught.value.offset


def test_lines_before_a_fault_are_handed_out_first() -> None:
    """What was whole in the same chunk is not lost; the fault comes with the next call."""
    decoder = NDJSONDecoder(max_event=4)

    lines = decoder.feed(b"1234\n12345")

    assert ["1234"] == lines
    with pytest.raises(FramingError):
        decoder.finish()

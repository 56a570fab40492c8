from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.dialects.framing import FramingError
from llmkit.dialects.framing.cutter import Cutter

if TYPE_CHECKING:
    from collections.abc import Callable

SEPARATORS = pytest.mark.parametrize("separator", [b"\n", b"\n\n"], ids=["line", "blank line"])


def outcome(chunks: list[bytes], *, separator: bytes, max_event: int) -> tuple[list[str], FramingError | None]:
    """Return the pieces of *chunks*, and the fault that ended them."""
    cutter = Cutter(separator, max_event=max_event)
    pieces = []
    try:
        for chunk in chunks:
            pieces += cutter.cut(chunk)
        cutter.check()
    except FramingError as exc:
        return pieces, exc
    return pieces, None


def facts(result: tuple[list[str], FramingError | None]) -> tuple[list[str], int | None]:
    """Return what must not depend on the cuts: the pieces without their blank lines, and where the fault is."""
    pieces, fault = result
    return [piece.strip("\n") for piece in pieces if piece.strip("\n")], fault.offset if fault else None


@SEPARATORS
@given(data=st.data(), stream=st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\n\n", b"\xff"]), max_size=24))
def test_cuts_change_neither_pieces_nor_fault(separator: bytes, data: st.DataObject, stream: list[bytes]) -> None:
    """With any limit, any way of cutting gives the same pieces, and the same fault at the same byte."""
    whole = b"".join(stream)
    limit = data.draw(st.integers(1, 6))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    edges = [0, *cuts, len(whole)]
    parts = [whole[start:end] for start, end in pairwise(edges)]

    at_once = facts(outcome([whole], separator=separator, max_event=limit))
    in_parts = facts(outcome(parts, separator=separator, max_event=limit))
    bytewise = facts(outcome([bytes([byte]) for byte in whole], separator=separator, max_event=limit))

    assert at_once == in_parts == bytewise


@SEPARATORS
def test_a_piece_of_exactly_the_limit_passes(separator: bytes) -> None:
    """The limit itself is allowed, and what ends the piece does not count."""
    assert (["abcd"], None) == outcome([b"abcd" + separator], separator=separator, max_event=4)


@SEPARATORS
def test_a_piece_above_the_limit_is_a_fault(separator: bytes) -> None:
    """One byte more than the limit is refused although the piece is whole, and the fault says where it began."""
    pieces, fault = outcome([b"abc" + separator + b"abcde" + separator], separator=separator, max_event=4)

    assert ["abc"] == pieces
    assert fault is not None
    assert ("An event of the stream is longer than 4 bytes", 3 + len(separator)) == (fault.message, fault.offset)


def test_the_place_of_a_fault_is_its_first_byte_and_no_blank_line() -> None:
    """However many blank lines stand before a piece, it begins after them."""
    _, fault = outcome([b"a\n\n\nabcde\n\n"], separator=b"\n\n", max_event=4)

    assert fault is not None
    assert 4 == fault.offset


@SEPARATORS
def test_a_flood_is_a_fault_before_its_end(separator: bytes) -> None:
    """A piece that never ends is refused as soon as it is too long."""
    cutter = Cutter(separator, max_event=4)
    cutter.cut(b"abcd")

    cutter.cut(b"e")

    with pytest.raises(FramingError, match="longer than 4 bytes"):
        cutter.check()


@SEPARATORS
def test_a_fault_is_raised_again_and_again(separator: bytes) -> None:
    """After a fault nothing more is read, and the bytes that made it are let go."""
    cutter = Cutter(separator, max_event=4)
    cutter.cut(b"abcd")
    cutter.cut(b"efgh")

    with pytest.raises(FramingError):
        cutter.cut(b"x" + separator)
    with pytest.raises(FramingError):
        cutter.cut(b"x" + separator)
    assert b"" == cutter.tail


@pytest.mark.parametrize(
    ("separator", "cut"),
    [(b"\n", lambda b: [b]), (b"\n\n", lambda b: [b]), (b"\n\n", lambda b: [b[:4], b[4:]])],
    ids=["line", "blank line", "blank line in halves"],
)
def test_the_tail_is_what_follows_the_last_separator(separator: bytes, cut: Callable[[bytes], list[bytes]]) -> None:
    """What is not ended yet can be seen, and dropped."""
    cutter = Cutter(separator, max_event=99)
    for chunk in cut(b"abc" + separator + b"de"):
        cutter.cut(chunk)
    before = cutter.tail

    cutter.drop_tail()

    assert (b"de", b"") == (before, cutter.tail)

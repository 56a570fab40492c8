from __future__ import annotations

import struct
from itertools import pairwise
from typing import TYPE_CHECKING
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.dialects.framing import FramingError
from llmkit.dialects.framing.eventstream import EventStreamDecoder, Frame

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = {0: "", 1: "", 2: ">b", 3: ">h", 4: ">i", 5: ">q", 6: None, 7: None, 8: ">q", 9: "16s"}


def encode_header(name: str, kind: int, value: object) -> bytes:
    """Return one header as it stands in a frame."""
    raw = name.encode()
    head = bytes([len(raw)]) + raw + bytes([kind])
    if kind in (0, 1):
        return head
    if kind in (6, 7):
        body = value.encode() if isinstance(value, str) else value
        assert isinstance(body, bytes)
        return head + struct.pack(">H", len(body)) + body
    return head + struct.pack(str(KINDS[kind]), value)


def encode_frame(headers: bytes = b"", payload: bytes = b"") -> bytes:
    """Return one frame with right lengths and checksums."""
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    body = prelude + struct.pack(">I", crc32(prelude)) + headers + payload
    return body + struct.pack(">I", crc32(body))


def decode(chunks: list[bytes]) -> tuple[list[Frame], str | None, bytes]:
    """Return the frames of *chunks*, the fault that ended them, and what was left over."""
    decoder = EventStreamDecoder()
    frames = []
    try:
        for chunk in chunks:
            frames += decoder.feed(chunk)
        decoder.finish()
    except FramingError as exc:
        return frames, str(exc), decoder.leftover
    return frames, None, decoder.leftover


def cuttings(stream: bytes) -> Iterator[list[bytes]]:
    """Yield *stream* whole, byte by byte, and in two at every place."""
    yield [stream]
    yield [bytes([byte]) for byte in stream]
    yield from ([stream[:place], stream[place:]] for place in range(len(stream) + 1))


def integers(bits: int) -> st.SearchStrategy[int]:
    return st.integers(-(1 << bits - 1), (1 << bits - 1) - 1)


HEADERS = st.lists(
    st.tuples(
        st.text(max_size=8),
        st.one_of(
            st.just((0, True)),
            st.just((1, False)),
            st.tuples(st.just(2), integers(8)),
            st.tuples(st.just(3), integers(16)),
            st.tuples(st.just(4), integers(32)),
            st.tuples(st.just(5), integers(64)),
            st.tuples(st.just(6), st.binary(max_size=8)),
            st.tuples(st.just(7), st.text(max_size=8)),
            st.tuples(st.just(8), integers(64)),
            st.tuples(st.just(9), st.binary(min_size=16, max_size=16)),
        ),
    ),
    max_size=4,
    unique_by=lambda header: header[0],
)


@given(frames=st.lists(st.tuples(HEADERS, st.binary(max_size=20)), max_size=4), data=st.data())
def test_any_frames_cut_anyhow_come_back(frames: list[tuple[list[tuple[str, tuple[int, object]]], bytes]], data: st.DataObject) -> None:
    """Every type of header and any payload is read, wherever the network cuts."""
    stream = b"".join(
        encode_frame(b"".join(encode_header(name, kind, value) for name, (kind, value) in headers), payload) for headers, payload in frames
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    edges = [0, *cuts, len(stream)]
    parts = [stream[start:end] for start, end in pairwise(edges)]

    expected = ([({name: value for name, (_, value) in headers}, payload) for headers, payload in frames], None, b"")

    assert expected == decode([stream])
    assert expected == decode(parts)
    assert expected == decode([bytes([byte]) for byte in stream])


def test_a_frame_as_aws_writes_it() -> None:
    """A frame written out byte by byte, so that the encoder of these tests is not its own judge."""
    stream = bytes.fromhex(
        "0000003d 00000020 07fd83960c 636f6e74656e742d74797065 07 0010 6170706c69636174696f6e2f6a736f6e7b27666f6f273a27626172277d 8d9c08b1"
    )

    frames = EventStreamDecoder().feed(stream)

    assert [Frame({"content-type": "application/json"}, b"{'foo':'bar'}")] == frames


@pytest.mark.parametrize("place", range(12))
def test_a_flipped_bit_in_the_prelude_is_seen_before_the_frame_is_there(place: int) -> None:
    """A wrong length is never waited for."""
    prelude = bytearray(encode_frame(payload=b"x" * 100)[:12])
    prelude[place] ^= 1

    with pytest.raises(FramingError, match="checksum of a frame's prelude is wrong"):
        EventStreamDecoder().feed(bytes(prelude))


@given(place=st.integers(12, 40), bit=st.integers(0, 7))
def test_a_flipped_bit_after_the_prelude_is_seen(place: int, bit: int) -> None:
    """No header, payload or checksum passes with one bit changed."""
    frame = bytearray(encode_frame(encode_header("a", 7, "b"), b"x" * 20))
    frame[place] ^= 1 << bit

    with pytest.raises(FramingError, match="checksum of a frame is wrong"):
        EventStreamDecoder().feed(bytes(frame))


def test_frames_before_a_fault_are_handed_out_first() -> None:
    """What was whole in the same chunk is not lost, the fault names the frame, and no later frame is searched for."""
    good = encode_frame(payload=b"good")
    bad = good[:-1] + bytes([good[-1] ^ 1])

    for chunks in cuttings(good + bad + good):
        assert ([({}, b"good")], "The checksum of a frame is wrong (at byte 20)", b"") == decode(chunks)


def test_a_fault_is_raised_again() -> None:
    """After a fault every call says so."""
    decoder = EventStreamDecoder()
    good = encode_frame()
    with pytest.raises(FramingError):
        decoder.feed(b"\x00" * 11 + b"\x01")

    with pytest.raises(FramingError):
        decoder.feed(good)
    with pytest.raises(FramingError):
        decoder.finish()


def prelude_of(total: int, headers: int) -> bytes:
    """Return a prelude with a right checksum."""
    lengths = struct.pack(">II", total, headers)
    return lengths + struct.pack(">I", crc32(lengths))


@pytest.mark.parametrize(
    ("total", "headers", "message"),
    [
        (15, 0, "A frame says it has 15 bytes; the smallest has 16"),
        (0, 0, "A frame says it has 0 bytes; the smallest has 16"),
        ((24 << 20) + 1, 0, "A frame says it has 25165825 bytes, more than 25165824"),
        (20, 5, "A frame of 20 bytes says its headers have 5"),
        (1 << 20, (128 << 10) + 1, "A frame of 1048576 bytes says its headers have 131073"),
    ],
)
def test_impossible_lengths_are_refused_from_the_prelude(total: int, headers: int, message: str) -> None:
    """Nothing is buffered for a frame that cannot be right."""
    with pytest.raises(FramingError) as caught:
        EventStreamDecoder().feed(prelude_of(total, headers))

    assert f"{message} (at byte 0)" == str(caught.value)


@pytest.mark.parametrize(("total", "headers"), [(24 << 20, 0), (1 << 20, 128 << 10), (20, 4)])
def test_lengths_at_the_limits_are_waited_for(total: int, headers: int) -> None:
    """The limits themselves are allowed."""
    assert [] == EventStreamDecoder().feed(prelude_of(total, headers))


def test_the_limit_of_a_frame_can_be_set() -> None:
    """A caller that expects small frames may say so."""
    with pytest.raises(FramingError, match="has 21 bytes, more than 20"):
        EventStreamDecoder(max_frame=20).feed(encode_frame(payload=b"12345"))


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        (b"\x01a\x0a", "A header has the unknown type 10"),
        (b"\x05a", "A header goes beyond the headers of its frame"),
        (b"\x01a", "A header goes beyond the headers of its frame"),
        (b"\x01a\x05\x00", "A header goes beyond the headers of its frame"),
        (b"\x01a\x07\x00\x02x", "A header goes beyond the headers of its frame"),
        (b"\x01a\x07\x00\x01\xff", "A header is not UTF-8"),
        (b"\x01\xff\x00", "A header is not UTF-8"),
        (b"\x01a\x00\x01a\x01", "A frame has a header twice"),
    ],
)
def test_unreadable_headers_are_refused(headers: bytes, message: str) -> None:
    """Right checksums do not make headers right, and a header never reaches into the payload."""
    with pytest.raises(FramingError) as caught:
        EventStreamDecoder().feed(encode_frame(headers, b"payload that could be read by mistake"))

    assert f"{message} (at byte 0)" == str(caught.value)


@pytest.mark.parametrize("rest", [1, 4, 11, 12, 15])
def test_a_frame_cut_off_is_left_over(rest: int) -> None:
    """The end of input inside a frame is no fault of the bytes, and can be seen."""
    frame = encode_frame()

    assert ([({}, b"")], None, frame[:rest]) == decode([frame + frame[:rest]])

"""Our reader of AWS's frames beside botocore's own: the same frames, and the same streams refused."""

from __future__ import annotations

import struct
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit.dialects.framing import FramingError
from llmkit.dialects.framing.eventstream import EventStreamDecoder

eventstream = pytest.importorskip("botocore.eventstream")

_SIZES = {2: (">b", 8), 3: (">h", 16), 4: (">i", 32), 5: (">q", 64), 8: (">q", 64)}


@st.composite
def header_values(draw: st.DrawFn) -> bytes:
    kind = draw(st.sampled_from([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]))
    if kind in _SIZES:
        form, bits = _SIZES[kind]
        return bytes([kind]) + struct.pack(form, draw(st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)))
    if kind in (6, 7):
        data = draw(st.binary(max_size=20)) if kind == 6 else draw(st.text(max_size=8)).encode()
        return bytes([kind]) + struct.pack(">H", len(data)) + data
    return bytes([kind]) + (draw(st.binary(min_size=16, max_size=16)) if kind == 9 else b"")


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    names = draw(st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=5), unique=True, max_size=4))
    headers = b"".join(bytes([len(name.encode())]) + name.encode() + draw(header_values()) for name in names)
    payload = draw(st.binary(max_size=60))
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack(">I", crc32(prelude)) + headers + payload
    return message + struct.pack(">I", crc32(message))


def ours(pieces: list[bytes]) -> tuple[list[tuple[dict[str, Any], bytes]], bool]:
    """Return the frames read and whether the stream was refused."""
    decoder, found = EventStreamDecoder(), []
    try:
        for piece in pieces:
            found += [(frame.headers, frame.payload) for frame in decoder.feed(piece)]
        decoder.finish()
    except FramingError:
        return found, True
    return found, False


def theirs(pieces: list[bytes]) -> tuple[list[tuple[dict[str, Any], bytes]], bool]:
    buffer, found = eventstream.EventStreamBuffer(), []
    try:
        for piece in pieces:
            buffer.add_data(piece)
            for event in buffer:
                found.append((event.headers, event.payload))
    except eventstream.ParserError:
        return found, True
    except (UnicodeDecodeError, KeyError, struct.error):  # what it raises for headers it cannot read
        return found, True
    return found, False


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@settings(max_examples=200)
@given(st.lists(frames(), max_size=4), st.integers(1, 90))
def test_good_frames_read_alike(made: list[bytes], size: int) -> None:
    """Headers of every type, however the stream was cut."""
    data = b"".join(made)

    found, refused = ours(cut(data, size))

    assert theirs([data]) == (found, refused)
    assert (len(made), False) == (len(found), refused)


@settings(max_examples=300)
@given(st.lists(frames(), min_size=1, max_size=3), st.data(), st.integers(1, 90))
def test_a_flipped_bit_is_refused_alike(made: list[bytes], data: st.DataObject, size: int) -> None:
    """Both checksums cover every byte; the frames before it are read all the same."""
    stream = bytearray(b"".join(made))
    place = data.draw(st.integers(0, len(stream) - 1))
    stream[place] ^= 1 << data.draw(st.integers(0, 7))

    found, refused = ours(cut(bytes(stream), size))

    assert theirs([bytes(stream)]) == (found, refused)
    assert refused


@settings(max_examples=200)
@given(st.lists(frames(), min_size=1, max_size=3), st.integers(1, 40))
def test_a_stream_that_breaks_off_is_not_refused_but_unfinished(made: list[bytes], missing: int) -> None:
    """Whose last frame is not given out by either."""
    data = b"".join(made)[: -min(missing, 15)]

    assert theirs([data]) == ours([data])
    assert len(made) - 1 == len(ours([data])[0])

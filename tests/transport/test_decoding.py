"""Content codings, taken off however the network cuts them."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.transport.base import TransportError
from llmkit.transport.decoding import STEP, Decoder

TEXT = b"The quick brown fox jumps over the lazy dog. " * 50
NO_LIMIT = sys.maxsize


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "X-GZip": gzip.compress,
    "deflate": zlib.compress,
    "deflate, identity": raw_deflate,
    "gzip, gzip": lambda data: gzip.compress(gzip.compress(data)),
    "deflate,gzip": lambda data: gzip.compress(zlib.compress(data)),
    "identity": bytes,
    " , ": bytes,
}


def decode(coding: str | None, pieces: list[bytes], limit: int = NO_LIMIT) -> bytes:
    decoder = Decoder(coding, limit)
    return b"".join(map(decoder.feed, pieces)) + decoder.finish()


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def kind_of(action: Callable[[], object]) -> str:
    with pytest.raises(TransportError) as caught:
        action()
    return caught.value.kind


@pytest.mark.parametrize("coding", CODINGS)
@given(data=st.binary(max_size=2000) | st.just(TEXT), size=st.integers(1, 3000))
def test_a_coding_comes_off_however_it_is_cut(coding: str, data: bytes, size: int) -> None:
    """What went in comes out, in any pieces."""
    assert data == decode(coding, cut(CODINGS[coding](data), size))


def test_no_coding_costs_nothing() -> None:
    """Bytes pass as the very same object."""
    decoder = Decoder(None, NO_LIMIT)

    assert decoder.feed(TEXT) is TEXT
    assert b"" == decoder.finish()


def test_what_is_complete_comes_out_at_once() -> None:
    """A flushed piece of a stream is not held back for the next."""
    packer = zlib.compressobj(wbits=31)
    decoder = Decoder("gzip", NO_LIMIT)

    out = [decoder.feed(packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH)) for piece in (b"one", b"two")]

    assert [b"one", b"two"] == out


@given(data=st.lists(st.binary(max_size=50), min_size=1, max_size=5), padding=st.integers(0, 5), size=st.integers(1, 100))
def test_a_gzip_body_may_have_several_members(data: list[bytes], padding: int, size: int) -> None:
    """Members follow one another (RFC 1952, 2.2), with zeroes between and behind them."""
    coded = b"".join(gzip.compress(part) + bytes(padding) for part in data)

    assert b"".join(data) == decode("gzip", cut(coded, size))


@pytest.mark.parametrize("size", [1, 1000])
def test_what_follows_a_whole_body_is_passed_over(size: int) -> None:
    """As browsers and gunzip do with trailing rubbish."""
    assert TEXT == decode("gzip", cut(gzip.compress(TEXT) + b"rubbish", size))
    assert TEXT == decode("deflate", cut(zlib.compress(TEXT) + b"rubbish", size))


@pytest.mark.parametrize("coding", [name for name in CODINGS if "gzip" in name.lower() or "deflate" in name])
@given(lost=st.integers(1, 10_000), size=st.integers(1, 100))
def test_a_coded_body_without_its_end_is_truncated(coding: str, lost: int, size: int) -> None:
    """Wherever it is cut, a short body is never taken for a whole one."""
    coded = CODINGS[coding](TEXT)
    short = coded[: max(1, len(coded) - lost)]

    assert "truncated" == kind_of(lambda: decode(coding, cut(short, size)))


def test_a_second_member_without_its_end_is_truncated() -> None:
    """Also where a whole member came before."""
    coded = gzip.compress(b"one") + gzip.compress(b"two")[:-3]

    assert "truncated" == kind_of(lambda: decode("gzip", [coded]))


@pytest.mark.parametrize("coding", CODINGS)
def test_no_body_at_all_is_whole(coding: str) -> None:
    """A reply to HEAD names a coding and has nothing to decode."""
    assert b"" == decode(coding, [])
    assert b"" == decode(coding, [b"", b""])


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, br", "gzip, gzip, gzip", "deflate,gzip,identity,gzip", "chunked"])
def test_a_coding_that_was_not_asked_for_is_refused(coding: str) -> None:
    """Unknown ones, and more than two (CVE-2022-32206)."""
    assert "protocol" == kind_of(lambda: Decoder(coding, NO_LIMIT))


@pytest.mark.parametrize("coding", ["gzip", "deflate", "gzip, gzip"])
@pytest.mark.parametrize("size", [1, 1000])
def test_broken_data_are_a_protocol_error(coding: str, size: int) -> None:
    """They are not delivered as if nobody had coded them; no error of zlib stays chained."""
    decoder = Decoder(coding, NO_LIMIT)

    with pytest.raises(TransportError) as caught:
        [decoder.feed(piece) for piece in cut(b"\xffplain text", size)]

    assert "protocol" == caught.value.kind
    assert caught.value.__context__ is None


def test_a_wrong_checksum_is_a_protocol_error() -> None:
    """The trailer is checked."""
    coded = bytearray(gzip.compress(TEXT))
    coded[-6] ^= 1

    assert "protocol" == kind_of(lambda: decode("gzip", [bytes(coded)]))


@pytest.mark.parametrize("coding", CODINGS)
@given(size=st.integers(1, 3000))
def test_decoded_bytes_are_counted(coding: str, size: int) -> None:
    """The limit itself is allowed, one byte more is not."""
    pieces = cut(CODINGS[coding](TEXT), size)

    assert TEXT == decode(coding, pieces, len(TEXT))
    assert "response_too_large" == kind_of(lambda: decode(coding, pieces, len(TEXT) - 1))


@pytest.mark.parametrize("coding", ["gzip", "deflate", "gzip, gzip", "deflate,gzip"])
def test_a_bomb_is_not_unfolded(monkeypatch: pytest.MonkeyPatch, coding: str) -> None:
    """Of a body of 100 MB in 100 KB no more is decoded than the limit and a step or two, at every stage of the coding."""
    bomb = CODINGS[coding](bytes(100_000_000))
    decoded = 0
    real = zlib.decompressobj

    class Counted:
        def __init__(self, wbits: int) -> None:
            self.real = real(wbits)

        def __getattr__(self, name: str) -> object:
            return getattr(self.real, name)

        def decompress(self, data: bytes, size: int) -> bytes:
            nonlocal decoded
            piece = self.real.decompress(data, size)
            decoded += len(piece)
            return piece

    monkeypatch.setattr(zlib, "decompressobj", Counted)

    assert "response_too_large" == kind_of(lambda: decode(coding, [bomb], 1_000_000))
    assert decoded <= 2 * (1_000_000 + 2 * STEP)


def test_a_bomb_inside_is_not_unfolded() -> None:
    """Nor one that unfolds between two codings, into something that decodes to nothing."""
    endless_name = b"\x1f\x8b\x08\x08\0\0\0\0\0\x03" + b"a" * 10_000_000

    assert "response_too_large" == kind_of(lambda: decode("gzip, gzip", [gzip.compress(endless_name)], 100_000))

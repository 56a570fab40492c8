"""HTTP/1.1 as bytes, without a socket."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.transport.base import TransportError
from llmkit.transport.http1 import (
    HEAD_LIMIT,
    Chunked,
    Framing,
    Head,
    HeadReader,
    Sized,
    UntilClose,
    framing_of,
    parse_head,
    write_head,
)


def failure_of(action: Callable[[], object]) -> TransportError:
    with pytest.raises(TransportError) as caught:
        action()
    return caught.value


def head(status: int = 200, **headers: str) -> Head:
    return Head(status, {name.replace("_", "-"): value for name, value in headers.items()}, True)


def fed(framing: Framing, data: bytes, size: int) -> bytes:
    return b"".join(framing.feed(data[at : at + size]) for at in range(0, len(data), size))


# Writing


def test_a_head_is_written() -> None:
    """Host first, then the length, then the caller's headers, then what is asked for by default."""
    written = write_head("POST", "/v1", "a.com", {"X-Key": "k\xe9"}, 3)

    assert (b"POST /v1 HTTP/1.1\r\nHost: a.com\r\nContent-Length: 3\r\nX-Key: k\xe9\r\nAccept-Encoding: gzip, deflate\r\n\r\n") == written


@pytest.mark.parametrize(("method", "length", "is_told"), [("POST", 0, True), ("GET", 0, False), ("GET", 1, True), ("HEAD", 0, False)])
def test_a_length_is_told_where_there_may_be_a_body(method: str, length: int, is_told: bool) -> None:
    """RFC 9110, 8.6: also when the body of a POST is empty, not for a GET without one."""
    assert is_told == (b"Content-Length" in write_head(method, "/", "a", {}, length))


def test_the_callers_host_and_coding_stand() -> None:
    """They may be signed; what frames the body is the transport's own."""
    headers = {"host": "b.com", "accept-encoding": "identity", "content-length": "99", "Transfer-Encoding": "chunked"}

    written = write_head("POST", "/", "a.com", headers, 1)

    assert b"POST / HTTP/1.1\r\nContent-Length: 1\r\nhost: b.com\r\naccept-encoding: identity\r\n\r\n" == written


@pytest.mark.parametrize("text", ["a\r\nb", "a\nb", "a\rb", "a\0b", "\u2028", "\u20ac"])
@pytest.mark.parametrize("place", ["name", "value", "target", "host", "method"])
def test_nothing_breaks_out_of_its_line(text: str, place: str) -> None:
    """Whatever part it is in, a break or a character that cannot be sent is refused, without being quoted."""
    name, value, target, host, method = (text if place == part else "x" for part in ("name", "value", "target", "host", "method"))

    error = failure_of(lambda: write_head(method, target, host, {name: value}, 0))

    assert ("config", True, None) == (error.kind, error.fatal, error.__context__)


# Reading heads


@pytest.mark.parametrize(
    ("data", "status", "keeps_alive"),
    [
        (b"HTTP/1.1 200 OK\r", 200, True),
        (b"HTTP/1.1 200\r", 200, True),
        (b"HTTP/1.1 404 \r", 404, True),
        (b"HTTP/1.1 200 OK\r\nConnection: Keep-Alive, Close\r", 200, False),
        (b"HTTP/1.0 200 OK\r", 200, False),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r", 200, True),
        (b"HTTP/1.1 299 \xc3\xa9\nA: b", 299, True),
    ],
)
def test_a_status_line_is_read(data: bytes, status: int, keeps_alive: bool) -> None:
    """With or without a reason; versions 1.0 and 1.1 differ in what becomes of the connection."""
    parsed = parse_head(data)

    assert (status, keeps_alive) == (parsed.status, parsed.keeps_alive)


def test_headers_are_read() -> None:
    """Names in lower case, values without the space around them, repeated and folded ones in one."""
    data = b"HTTP/1.1 200 OK\r\nA:1\r\nB : \t2 \t\r\na: 3\r\nC: 4\r\n\t 5 \r\nD:\r\nE: a:b\x85c\r"

    assert {"a": "1, 3", "b": "2", "c": "4 5", "d": "", "e": "a:b\x85c"} == parse_head(data).headers


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\nHTTP/1.1 200 OK",
        b"HTTP/2 200 OK",
        b"HTTP/1.1 20 OK",
        b"HTTP/1.1 099 OK",
        b"HTTP/1.1 2000 OK",
        b"HTTP/1.1  200 OK",
        b"ICY 200 OK",
        b"HTTP/1.1 200 OK\r\nno colon",
        b"HTTP/1.1 200 OK\r\n: no name",
        b"HTTP/1.1 200 OK\r\n folds nothing",
        b"HTTP/1.1 200 OK\r\na: b\rc: d\r\ne: f",
        b"HTTP/1.1 200 OK\r\na: b\0c",
    ],
)
def test_what_is_no_head_is_refused(data: bytes) -> None:
    """It is ``protocol``, and another try may see the right server."""
    error = failure_of(lambda: parse_head(data))

    assert ("protocol", False) == (error.kind, error.fatal)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_head_or_an_error(data: bytes) -> None:
    """Nothing else than a ``TransportError`` comes out."""
    try:
        parsed = parse_head(b"HTTP/1.1 200 OK\r\n" + data)
    except TransportError as error:
        assert "protocol" == error.kind
    else:
        assert all(name and name == name.lower() for name in parsed.headers)


INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"


@given(st.integers(min_value=1, max_value=200), st.sampled_from([b"\r\n", b"\n"]), st.integers(min_value=0, max_value=3))
def test_a_head_is_found_wherever_it_is_cut(size: int, line_end: bytes, interims: int) -> None:
    """Interim replies before it are passed over, and what came behind it is kept."""
    data = (INTERIM * interims + b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n").replace(b"\r\n", line_end) + b"body"
    reader = HeadReader()
    heads: list[Head] = []
    at = 0

    while not heads:
        found = reader.feed(data[at : at + size])
        heads += [found] if found else []
        at += size

    assert (200, {"a": "b"}) == (heads[0].status, heads[0].headers)
    assert b"body" == reader.rest + data[at:]


def test_switching_protocols_is_a_final_reply() -> None:
    """Nobody asks for 101, and nothing of HTTP follows it (RFC 9110, 15.2.2)."""
    found = HeadReader().feed(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")

    assert found is not None
    assert 101 == found.status


@pytest.mark.parametrize("data", [b"S", b"HTTQ", b"\r\nHTTP/1.1 200 OK"])
def test_another_protocol_is_refused_at_its_first_bytes(data: bytes) -> None:
    """It may never send an empty line."""
    error = failure_of(lambda: HeadReader().feed(data))

    assert ("protocol", False) == (error.kind, error.fatal)


@pytest.mark.parametrize("data", [b"X-Flood: 1\r\n" * 9000, b"X-Flood: " + b"1" * HEAD_LIMIT, b"\r\n" + INTERIM * 9000])
@pytest.mark.parametrize("size", [1000, 10_000_000])
def test_a_head_that_does_not_end_is_refused_for_good(data: bytes, size: int) -> None:
    """Neither headers nor interim replies may come for ever."""
    reader = HeadReader()
    data = b"HTTP/1.1 103 Hints\r\n" + data

    def feed_all() -> None:
        for at in range(0, len(data), size):
            reader.feed(data[at : at + size])

    error = failure_of(feed_all)

    assert ("protocol", True) == (error.kind, error.fatal)


# Framing


@pytest.mark.parametrize(
    ("reply", "method", "expected"),
    [
        (head(content_length="5"), "POST", Sized),
        (head(content_length="5, 5"), "POST", Sized),
        (head(transfer_encoding="Chunked"), "POST", Chunked),
        (head(transfer_encoding="chunked", content_length="5"), "POST", Chunked),
        (head(transfer_encoding="identity", content_length="5"), "POST", Sized),
        (head(), "POST", UntilClose),
        (head(content_length="5"), "HEAD", Sized),
        (head(204), "POST", Sized),
        (head(304, content_length="5"), "GET", Sized),
        (head(101), "GET", Sized),
    ],
)
def test_a_body_is_framed(reply: Head, method: str, expected: type) -> None:
    """RFC 9112, 6.3, in its order."""
    assert expected is type(framing_of(reply, method))


@pytest.mark.parametrize(("reply", "method"), [(head(content_length="5"), "HEAD"), (head(204), "GET"), (head(304), "GET")])
def test_some_replies_have_no_body(reply: Head, method: str) -> None:
    """Whatever their headers say."""
    assert framing_of(reply, method).done


@pytest.mark.parametrize("reply", [head(), head(transfer_encoding="chunked", content_length="5")])
def test_a_connection_in_doubt_is_not_kept(reply: Head) -> None:
    """Without a length it ends with the body; with two ways to read it, it is trusted no further."""
    framing_of(reply, "GET")

    assert not reply.keeps_alive


@pytest.mark.parametrize(
    ("reply", "fatal"),
    [
        (head(content_length="5, 6"), True),
        (head(content_length="+5"), False),
        (head(content_length="5_0"), False),
        (head(content_length=""), False),
        (head(content_length="\xb2"), False),
        (head(content_length="9" * 19), False),
        (head(transfer_encoding="gzip, chunked"), False),
    ],
)
def test_a_framing_that_cannot_be_trusted_is_refused(reply: Head, fatal: bool) -> None:
    """Two different lengths are an attack; the rest is somebody's mistake."""
    error = failure_of(lambda: framing_of(reply, "GET"))

    assert ("protocol", fatal) == (error.kind, error.fatal)


@given(body=st.binary(max_size=100), excess=st.binary(max_size=5), size=st.integers(1, 50))
def test_a_sized_body(body: bytes, excess: bytes, size: int) -> None:
    """Its bytes and no more come out, and what is over is noticed."""
    framing = Sized(len(body))

    assert body == fed(framing, body + excess, size)
    assert framing.done
    assert bool(excess) == framing.excess
    framing.end()


def chunked(pieces: list[bytes], extension: bytes, end: bytes, trailer: bytes) -> bytes:
    parts = [b"%X%s%s%s%s" % (len(piece), extension, end, piece, end) for piece in pieces if piece]
    return b"".join(parts) + b"0" + end + trailer + end


@given(
    pieces=st.lists(st.binary(max_size=40), max_size=5),
    extension=st.sampled_from([b"", b";a=b", b" ; a", b"\t"]),
    end=st.sampled_from([b"\r\n", b"\n"]),
    trailer=st.sampled_from([b"", b"A: b\r\n", b"A: b\nC: d\r\n"]),
    excess=st.sampled_from([b"", b"x", b"\r\n"]),
    size=st.integers(1, 60),
)
def test_a_chunked_body(pieces: list[bytes], extension: bytes, end: bytes, trailer: bytes, excess: bytes, size: int) -> None:
    """However it is cut, its bytes come out, and what is over is noticed."""
    framing = Chunked()

    data = chunked(pieces, extension, end, trailer)
    body = fed(framing, data, size)
    done = framing.done
    more = framing.feed(excess) if excess else b""

    assert b"".join(pieces) == body
    assert done
    assert b"" == more
    assert bool(excess) == framing.excess
    framing.end()


@given(pieces=st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=5), lost=st.integers(1, 300), size=st.integers(1, 60))
def test_a_chunked_body_without_its_end_is_truncated(pieces: list[bytes], lost: int, size: int) -> None:
    """Every cut is noticed, also one behind a whole chunk."""
    framing = Chunked()
    data = chunked(pieces, b"", b"\r\n", b"")

    fed(framing, data[: max(0, len(data) - lost)], size)

    assert "truncated" == failure_of(framing.end).kind


@given(data=st.binary(min_size=1, max_size=40))
def test_bytes_of_a_chunk_come_out_before_it_is_whole(data: bytes) -> None:
    """A large chunk is not held back to its end."""
    framing = Chunked()

    assert data == framing.feed(b"ffff\r\n" + data)


@pytest.mark.parametrize(
    "data", [b"x\r\n", b"\r\n", b"-1\r\n", b"+1\r\n", b"0x1\r\n", b"1_0\r\n", b"1" * 16 + b"\r\n", b"1;" + b"a" * 9000, b"1\r\nab\r\n"]
)
@pytest.mark.parametrize("size", [1, 10_000])
def test_what_is_no_chunk_is_refused(data: bytes, size: int) -> None:
    """Bytes that came before the fault are delivered, and the fault is kept for the next question."""
    framing = Chunked()

    with pytest.raises(TransportError) as caught:
        fed(framing, data + b"\r\n", size)
        raise framing.failure or AssertionError

    assert "protocol" == caught.value.kind


def test_a_fault_does_not_swallow_what_came_before_it() -> None:
    """The good bytes of a piece that ends badly come out."""
    framing = Chunked()

    assert b"good" == framing.feed(b"4\r\ngood\r\nevil\r\n")
    assert framing.failure is not None
    assert "protocol" == framing.failure.kind


def test_endless_trailers_are_refused() -> None:
    """They are headers too."""
    framing = Chunked()

    error = failure_of(lambda: fed(framing, b"0\r\n" + b"A: b\r\n" * HEAD_LIMIT, 1000))

    assert ("protocol", True) == (error.kind, error.fatal)


def test_a_body_that_ends_with_its_connection() -> None:
    """It is never done before, and always afterwards."""
    framing = UntilClose()

    assert b"ab" == fed(framing, b"ab", 1)
    assert not framing.done
    framing.end()
    assert framing.done

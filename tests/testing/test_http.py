"""Requests are read whole, however the network cuts them."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit.testing.delivery import Delivery
from llmkit.testing.http import Connection, HttpRequest, ProtocolError, RequestReader
from llmkit.testing.replies import RecordedRequest

SIZED = b"POST /a?b=c HTTP/1.1\r\nHost: x\r\nX-Two: 1\r\nx-two: 2\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"PUT /d HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;note=1\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: 1\r\n\r\n"
PLAIN_CHUNKED = b"PUT /d HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
BARE = b"\r\nGET /e HTTP/1.0\r\n\r\n"


def read_all(reader: RequestReader) -> list[HttpRequest]:
    """Return every request that is complete."""
    found = []
    while (request := reader.read()) is not None:
        found.append(request)
    return found


@settings(max_examples=60)
@given(
    order=st.lists(st.sampled_from([SIZED, CHUNKED, PLAIN_CHUNKED, BARE]), min_size=1, max_size=4),
    cuts=st.lists(st.integers(min_value=1, max_value=90), max_size=12),
)
def test_requests_do_not_depend_on_how_they_are_cut(order: list[bytes], cuts: list[int]) -> None:
    """Fed in pieces or at once, a row of requests is the same row."""
    data = b"".join(order)
    whole, cut = RequestReader(), RequestReader()
    whole.feed(data)
    expected = read_all(whole)

    found, rest = [], data
    for size in [*cuts, len(data)]:
        cut.feed(rest[:size])
        rest = rest[size:]
        found += read_all(cut)

    assert len(order) == len(expected)
    assert expected == found
    assert not cut.pending


def test_requests_are_read_byte_by_byte() -> None:
    """The smallest cuts of all."""
    reader = RequestReader()

    found = []
    for number in SIZED + CHUNKED + PLAIN_CHUNKED:
        reader.feed(bytes([number]))
        found += read_all(reader)

    assert ["/a?b=c", "/d", "/d"] == [request.target for request in found]
    assert [b"hello"] * 3 == [request.body for request in found]


def test_names_are_in_lower_case_and_repeated_fields_are_joined() -> None:
    """As RFC 9110, section 5.3, lets a recipient do."""
    reader = RequestReader()
    reader.feed(SIZED)

    request = reader.read()

    assert request is not None
    assert {"host": "x", "x-two": "1, 2", "content-length": "5"} == request.headers


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nConnection: Close\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", True),
    ],
)
def test_persistence_follows_version_and_header(data: bytes, expected: bool) -> None:
    """HTTP/1.1 keeps a connection by default, 1.0 does not."""
    reader = RequestReader()
    reader.feed(data)

    request = reader.read()

    assert request is not None
    assert expected is request.persistent


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET / SPDY/1\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nspace : 1\r\n\r\n",
        b"GET / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n-5\r\n",
        b"x" * ((1 << 20) + 1),
    ],
)
def test_what_is_no_request_is_refused(data: bytes) -> None:
    """It could only be misread."""
    reader = RequestReader()
    reader.feed(data)

    with pytest.raises(ProtocolError):
        reader.read()


def test_a_client_that_waits_is_told_to_go_on_once() -> None:
    """Only when the head is there and the body is not."""
    reader = RequestReader()
    reader.feed(b"POST / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")

    request = reader.read()

    assert request is None
    assert [True, False] == [reader.must_continue(), reader.must_continue()]


class EagerTransport(asyncio.Transport):
    """Pauses and resumes its protocol within each write, as TLS does when a record goes out at once."""

    def __init__(self, protocol: Connection) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self._protocol = protocol

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Take any."""

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))
        self._protocol.pause_writing()
        self._protocol.resume_writing()


class Numbers:
    """A handler that answers each request with its number, in two writes."""

    def __init__(self) -> None:
        self.count = 0

    def opened(self, connection: Connection) -> int:
        return 1

    def closed(self, connection: Connection) -> None:
        """Nothing to note."""

    def receive(self, request: HttpRequest, connection: int) -> RecordedRequest:
        self.count += 1
        return RecordedRequest(method=request.method, path=request.target, provider="", endpoint="")

    def answer(self, request: RecordedRequest) -> Delivery:
        return Delivery(steps=iter([b"x" * 70_000, b"%d" % self.count]), ending="keep")


def test_a_transport_may_resume_within_a_write() -> None:
    """Nothing is sent twice, left out or out of order."""
    connection = Connection(Numbers())
    transport = EagerTransport(connection)
    connection.connection_made(transport)

    connection.data_received(BARE.lstrip() * 2)

    assert [b"x" * 70_000, b"1", b"x" * 70_000, b"2"] == transport.written

"""How an answer travels: each fault, as it is seen on a raw socket."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from typing import Any

import pytest
from attrs import evolve

from llmkit.testing import FakeServer, Reply

STREAM = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "Say hi"}]}


def test_a_delay_comes_before_the_head(server: FakeServer, client: Any) -> None:
    """Nothing is sent before the delay is over."""
    server.enqueue(Reply("late", delay=0.05))
    begun = time.monotonic()

    client.ask()

    assert "late" == client.text()
    assert time.monotonic() - begun >= 0.05


def test_a_delay_after_the_head_lets_the_head_through(server: FakeServer, client: Any) -> None:
    """The head is there while the body is not."""
    server.enqueue(Reply("late", after_head=0.1))
    begun = time.monotonic()

    client.ask()
    _, headers = client.head()

    assert client.is_silent(0.01)
    assert client.body(headers)
    assert time.monotonic() - begun >= 0.1


def test_stream_events_are_paced(server: FakeServer, client: Any) -> None:
    """Between two events the server waits, and the first one comes at once."""
    server.enqueue(Reply(events=["1", "2"], between=0.1))

    client.ask(STREAM)
    client.head()

    assert b"9\r\ndata: 1\n\n\r\n" == client.read(14)
    assert client.is_silent(0.01)
    assert b"9\r\ndata: 2\n\n\r\n0\r\n\r\n" == client.read(19)


@pytest.mark.parametrize("part", ["head", "body"])
def test_a_dripping_answer_arrives_whole(server: FakeServer, client: Any, part: Any) -> None:
    """Byte by byte, from the head on or in the body only."""
    server.enqueue(Reply(raw={"a": 1}, drip=0.0001, drip_from=part))

    client.ask()

    assert (200, {"a": 1}) == client.response()[::2]


def test_a_body_can_be_cut(server: FakeServer, client: Any) -> None:
    """The promised length stands, the bytes do not come, and the connection ends politely."""
    server.enqueue(Reply(raw=b'{"a": 1}', cut=3))

    client.ask()
    _, headers = client.head()

    assert "8" == headers["content-length"]
    assert "connection" not in headers
    assert b'{"a' == client.rest()


def test_a_negative_cut_counts_from_the_end(server: FakeServer, client: Any) -> None:
    """All but so many bytes are sent."""
    server.enqueue(Reply(raw=b'{"a": 1}', cut=-1))

    client.ask()
    client.head()

    assert b'{"a": 1' == client.rest()


def test_a_cut_stream_lacks_its_terminator(server: FakeServer, client: Any) -> None:
    """The chunk that is cut was announced whole."""
    server.enqueue(Reply(events=["1", "2"], cut=12))

    client.ask(STREAM)
    client.head()

    assert b"9\r\ndata: 1\n\n\r\n9\r\ndat" == client.rest()


def test_a_stream_cut_between_events_still_lacks_its_terminator(server: FakeServer, client: Any) -> None:
    """A clean cut is visible only by the missing last chunk."""
    server.enqueue(Reply(events=["1", "2"], cut=9))

    client.ask(STREAM)
    client.head()

    assert b"9\r\ndata: 1\n\n\r\n" == client.rest()


def test_a_head_can_be_cut(server: FakeServer, client: Any) -> None:
    """The connection ends within the head."""
    server.enqueue(Reply(cut_head=15))

    client.ask()

    assert b"HTTP/1.1 200 OK" == client.rest()


def test_a_reset_comes_in_place_of_an_answer(server: FakeServer, client: Any) -> None:
    """Alone, it means RST and not a byte."""
    server.enqueue(Reply(reset=True))

    client.ask()

    with pytest.raises(ConnectionResetError):
        client.rest()


def test_a_cut_can_be_a_reset(server: FakeServer, client: Any) -> None:
    """What was sent arrives, and then the connection is reset."""
    server.enqueue(Reply(raw=b'{"a": 1}', cut=3, reset=True))

    client.ask()
    client.head()

    assert b'{"a' == client.read(3)
    with pytest.raises(ConnectionResetError):
        client.rest()


def test_garbage_replaces_the_response(server: FakeServer, client: Any) -> None:
    """The bytes are sent as they are, and the connection ends."""
    server.enqueue(Reply(garbage=b"\x00\xffSSH-2.0\r\n"))

    client.ask()

    assert b"\x00\xffSSH-2.0\r\n" == client.rest()


@pytest.mark.parametrize("length", [0, 5, 500])
def test_a_wrong_length_is_declared(server: FakeServer, client: Any, length: int) -> None:
    """The body is sent whole whatever is claimed, and then the connection ends."""
    server.enqueue(Reply(raw=b'{"a": 1}', declared_length=length))

    client.ask()
    _, headers = client.head()

    assert str(length) == headers["content-length"]
    assert b'{"a": 1}' == client.rest()


def test_a_body_can_be_framed_by_the_end_of_the_connection(server: FakeServer, client: Any) -> None:
    """Neither length nor chunks: the end of the connection is the end of the body."""
    server.enqueue(Reply(raw=b'{"a": 1}', framing="close"))

    client.ask()
    _, headers = client.head()

    assert "close" == headers["connection"]
    assert not {"content-length", "transfer-encoding"} & set(headers)
    assert b'{"a": 1}' == client.rest()


def test_json_can_be_chunked_and_a_stream_can_have_a_length(server: FakeServer, client: Any) -> None:
    """Framing does not depend on what is framed."""
    server.enqueue(Reply(raw=b'{"a": 1}', framing="chunked"), Reply(events=["1", "2"], framing="length"))

    client.ask()
    _, chunked = client.head()
    json_body = client.body(chunked)
    client.ask(STREAM)
    _, sized = client.head()

    assert "chunked" == chunked["transfer-encoding"]
    assert b'{"a": 1}' == json_body
    assert "18" == sized["content-length"]
    assert b"data: 1\n\ndata: 2\n\n" == client.body(sized)


def test_a_hanging_request_ends_when_the_client_leaves(server: FakeServer, client: Any) -> None:
    """Nothing comes, and the connection is given up with the client."""
    server.enqueue(Reply(hang=True))

    client.ask()

    assert client.is_silent()
    client.close()
    server.wait_closed()


def test_a_stream_can_stall(server: FakeServer, client: Any) -> None:
    """After so many events there is silence, and the connection stays."""
    server.enqueue(Reply(events=["1", "2", "3"], stall_after=2))

    client.ask(STREAM)
    client.head()

    assert b"9\r\ndata: 1\n\n\r\n9\r\ndata: 2\n\n\r\n" == client.read(28)
    assert client.is_silent()


def test_a_stream_can_stall_before_its_end(server: FakeServer, client: Any) -> None:
    """All events come, but the body is never finished."""
    server.enqueue(Reply(events=["1"], stall_after=9))

    client.ask(STREAM)
    client.head()

    assert b"9\r\ndata: 1\n\n\r\n" == client.read(14)
    assert client.is_silent()


def test_an_answer_can_close_the_connection(server: FakeServer, client: Any) -> None:
    """It says so, and does so."""
    server.enqueue(Reply(raw=b"{}", close=True))

    client.ask()
    _, headers = client.head()

    assert "close" == headers["connection"]
    assert b"{}" == client.rest()


def test_the_next_request_on_a_kept_connection_can_be_dropped(server: FakeServer, client: Any) -> None:
    """The connection looks alive until it is used, and the dropped request is not counted."""
    server.enqueue(Reply("first", close_idle=True))

    client.ask()
    first = client.text()
    assert client.is_silent(0.01)
    client.ask()

    assert "first" == first
    assert b"" == client.rest()
    assert 1 == server.hits


def test_the_next_request_can_be_dropped_with_a_reset(server: FakeServer, client: Any) -> None:
    """The answer before it is whole."""
    server.enqueue(Reply("first", close_idle=True, reset=True))

    client.ask()
    assert "first" == client.text()
    client.ask()

    with pytest.raises(ConnectionResetError):
        client.rest()


@pytest.mark.parametrize(("coding", "decode"), [("gzip", gzip.decompress), ("deflate", zlib.decompress)])
def test_a_body_can_be_compressed(server: FakeServer, client: Any, coding: Any, decode: Any) -> None:
    """The declared length is that of what is sent."""
    server.enqueue(Reply("packed", content_encoding=coding))

    client.ask()
    _, headers = client.head()

    assert coding == headers["content-encoding"]
    assert "packed" == json.loads(decode(client.body(headers)))["choices"][0]["message"]["content"]


def test_a_compressed_stream_can_be_read_event_by_event(server: FakeServer, client: Any) -> None:
    """What has arrived decodes before the rest is there."""
    server.enqueue(Reply(events=["1", "2"], content_encoding="gzip", stall_after=1))
    decoder = zlib.decompressobj(wbits=31)

    client.ask(STREAM)
    client.head()
    size = int(client.read(4).strip(), 16)

    assert b"data: 1\n\n" == decoder.decompress(client.read(size))


def test_a_gzip_trailer_can_be_missing_while_http_is_intact(server: FakeServer, client: Any) -> None:
    """The length is right, the data is all there, and the checksum is not."""
    server.enqueue(Reply(raw=b'{"a": 1}', content_encoding="gzip", truncate_gzip=True))
    decoder = zlib.decompressobj(wbits=31)

    client.ask()
    _, headers = client.head()

    assert b'{"a": 1}' == decoder.decompress(client.body(headers))
    assert not decoder.eof


def test_headers_can_be_added_replaced_and_removed(server: FakeServer, client: Any) -> None:
    """A scripted header wins, and None takes the usual one away."""
    server.enqueue(Reply(headers={"X-A": "1", "X-Request-Id": None}, content_type="text/html"))

    client.ask()
    _, headers, _ = client.response()

    assert "1" == headers["x-a"]
    assert "text/html" == headers["content-type"]
    assert "x-request-id" not in headers


def test_an_interim_response_precedes_the_answer(server: FakeServer, client: Any) -> None:
    """A status below 200 uses up one scripted reply, and the next answers the same request."""
    server.enqueue(Reply(status=103, headers={"link": "</a>"}), Reply("final"))

    client.ask()
    interim = client.head()

    assert (103, "</a>") == (interim[0], interim[1]["link"])
    assert "final" == client.text()
    assert 1 == server.hits


def test_a_redirect_has_a_location_and_no_body(server: FakeServer, client: Any) -> None:
    """It is made of status and headers."""
    server.enqueue(Reply(status=307, headers={"location": "https://example.com/"}))

    client.ask()
    status, headers = client.head()

    assert (307, "https://example.com/", "0") == (status, headers["location"], headers["content-length"])


def test_an_answer_without_content_has_no_framing(server: FakeServer, client: Any) -> None:
    """After 204 the connection goes on."""
    server.enqueue(Reply(status=204))

    client.ask()
    status, headers = client.head()
    client.ask()

    assert 204 == status
    assert not {"content-length", "transfer-encoding"} & set(headers)
    assert "You said: Say hi" == client.text()


def test_faults_combine_with_errors(server: FakeServer, client: Any) -> None:
    """An error body is cut like any other."""
    server.enqueue(evolve(Reply.error(503), cut=9))

    client.ask()
    status, _ = client.head()

    assert 503 == status
    assert b'{"error":' == client.rest()


def test_a_long_answer_waits_for_a_slow_reader(server: FakeServer, client: Any) -> None:
    """More than the sockets hold, and a stall at its end that must not come before it."""
    events = [b"x" * 100_000] * 200
    server.enqueue(Reply(events=events, stall_after=200), Reply("next"))

    client.ask(STREAM)
    client.head()

    assert 200 == sum(client.read(len(b"186a8\r\ndata: \n\n\r\n") + 100_000).count(b"data: ") for _ in events)
    assert client.is_silent()


def test_a_long_answer_is_whole_before_the_connection_ends(server: FakeServer, client: Any) -> None:
    """The end waits until the last byte was sent."""
    body = b"x" * 20_000_000
    server.enqueue(Reply(raw=body, close=True))

    client.ask()
    client.head()

    assert body == client.rest()

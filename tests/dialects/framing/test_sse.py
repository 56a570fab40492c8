from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llmkit.dialects.framing import FramingError
from llmkit.dialects.framing.sse import SSEDecoder

if TYPE_CHECKING:
    from collections.abc import Iterator

Event = tuple[str, str]


def reference(stream: bytes) -> list[Event]:
    """
    Return the events of *stream*, read character by character as the standard words it.

    Source: HTML Living Standard, sections 9.2.5 and 9.2.6.
    """
    text = stream.decode("utf-8", "replace").removeprefix("\ufeff")
    events: list[Event] = []
    data, name, line = "", "", ""
    position = 0
    while position < len(text):
        char = text[position]
        position += 1
        if char not in "\r\n":
            line += char
            continue
        if char == "\r" and text[position : position + 1] == "\n":
            position += 1
        if line == "":
            if data != "":
                events.append((name or "message", data[:-1]))
            data, name = "", ""
        elif not line.startswith(":"):
            field, value = line, ""
            if ":" in line:
                field, value = line[: line.index(":")], line[line.index(":") + 1 :]
                if value.startswith(" "):
                    value = value[1:]
            if field == "data":
                data += value + "\n"
            if field == "event":
                name = value
        line = ""
    return events


def decode(chunks: list[bytes], *, strict: bool = True) -> list[Event]:
    """Return the events of *chunks*, followed by the end of input."""
    decoder = SSEDecoder()
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return [(event.type, event.data) for event in events + decoder.finish(strict=strict)]


def cuttings(stream: bytes) -> Iterator[list[bytes]]:
    """Yield *stream* whole, byte by byte, and in two at every place."""
    yield [stream]
    yield [bytes([byte]) for byte in stream]
    yield from ([stream[:place], stream[place:]] for place in range(len(stream) + 1))


WORDS = [
    *(b"data", b"event", b"id", b"retry", b"Data", b":", b": ", b" ", b"x", b"{}", b"\x00"),
    *(b"\n", b"\n\n", b"\r", b"\r\n", b"\r\n\r\n", b"data: ", b"data: y\n\n", b"event: e\n"),
    *(
        b"\xef\xbb\xbf",
        b"\xef",
        b"\xbb",
        b"\xe6\xbc\xa2",
        b"\xf0\x9f",
        b"\xff",
        b"\xe2\x80\xa8",
        b"\xc2\x85",
        b"\x0b\x0c\x1c",
    ),
]
STREAMS = st.one_of(st.binary(max_size=60), st.lists(st.sampled_from(WORDS), max_size=30).map(b"".join))


@given(stream=STREAMS, data=st.data())
def test_any_stream_cut_anyhow_gives_the_events_of_the_standard(stream: bytes, data: st.DataObject) -> None:
    """Whatever the bytes and wherever they are cut, the events are those of a literal reading of the standard."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    edges = [0, *cuts, len(stream)]
    parts = [stream[start:end] for start, end in pairwise(edges)]

    expected = reference(stream)

    assert expected == decode([stream])
    assert expected == decode(parts)
    assert expected == decode([bytes([byte]) for byte in stream])


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        pytest.param(b"data: a\n\n", [("message", "a")], id="one line"),
        pytest.param(b"data:a\n\n", [("message", "a")], id="no space"),
        pytest.param(b"data:  a\n\n", [("message", " a")], id="only one space is dropped"),
        pytest.param(b"event:  e\ndata:  a\ndata:  b\n\n", [(" e", " a\n b")], id="only one space in each line"),
        pytest.param(b"data:\ta\n\n", [("message", "\ta")], id="a tab is kept"),
        pytest.param(b"data: a:b\n\n", [("message", "a:b")], id="colon in the value"),
        pytest.param(b"data\n\n", [("message", "")], id="field without colon"),
        pytest.param(b"data: {\ndata: }\n\n", [("message", "{\n}")], id="data lines are joined"),
        pytest.param(b"event: e\ndata: a\n\ndata: b\n\n", [("e", "a"), ("message", "b")], id="a name serves once"),
        pytest.param(b"event: e\n\ndata: b\n\n", [("message", "b")], id="a name without data is forgotten"),
        pytest.param(b"event: e\nevent: f\ndata: a\n\n", [("f", "a")], id="the last name counts"),
        pytest.param(b": ping\n\n:\n\ndata: a\n\n", [("message", "a")], id="comments"),
        pytest.param(b"id: 1\nretry: 5\nData: b\n data: c\ndata: a\n\n", [("message", "a")], id="other fields"),
        pytest.param(b"id: \x00\ndata: a\x00b\n\n", [("message", "a\x00b")], id="NUL"),
        pytest.param(b"data: a\r\n\r\ndata: b\r\n\r\n", [("message", "a"), ("message", "b")], id="CRLF"),
        pytest.param(b"data: a\r\rdata: b\r\r", [("message", "a"), ("message", "b")], id="CR"),
        pytest.param(b"data: a\r\ndata: b\r\n\r\n", [("message", "a\nb")], id="a CRLF is one line end"),
        pytest.param(b"data: a\r\n\rdata: b\n\r\n", [("message", "a"), ("message", "b")], id="mixed line ends"),
        pytest.param(b"\n\n\ndata: a\n\n\n\n\n", [("message", "a")], id="many blank lines"),
        pytest.param(b"\xef\xbb\xbfdata: a\n\n", [("message", "a")], id="byte order mark"),
        pytest.param(b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n", [], id="only one byte order mark"),
        pytest.param(b"data: \xef\xbb\xbfa\n\n", [("message", "\ufeffa")], id="the mark inside data is kept"),
        pytest.param(b"\xefdata: a\n\ndata: b\n\n", [("message", "b")], id="not a byte order mark"),
        pytest.param("data: 漢🚀\n\n".encode(), [("message", "漢🚀")], id="characters of several bytes"),
        pytest.param(b"data: a\xffb\n\ndata: c\n\n", [("message", "a\ufffdb"), ("message", "c")], id="not UTF-8"),
        pytest.param(
            "data: a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg\n\n".encode(),
            [("message", "a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg")],
            id="other line separators",
        ),
    ],
)
def test_events(stream: bytes, events: list[Event]) -> None:
    """Each rule of the format, with the stream cut at every place."""
    for chunks in cuttings(stream):
        assert events == decode(chunks)


@pytest.mark.parametrize("last", [b"data: a\r\r", b"data: a\n\r", b"data: a\r\n\r"])
def test_an_event_is_out_as_soon_as_its_blank_line_has_begun(last: bytes) -> None:
    """A CR ends the blank line: the event does not wait for the LF that may follow."""
    assert [("message", "a")] == SSEDecoder().feed(last)


def test_empty_chunks_change_nothing() -> None:
    """Nothing between a CR and its LF leaves them one line end."""
    assert [("message", "a\nb")] == decode([b"", b"data: a\r", b"", b"\n", b"", b"data: b\r\n\r", b"", b"\n", b""])


@pytest.mark.parametrize("size", [1 << 10, 1 << 16, 1 << 22])
def test_a_giant_line_comes_whole(size: int) -> None:
    """A line of two megabytes is one event, in pieces of any size."""
    stream = b"data: " + b"x" * (2 << 20) + b"\n\n"

    events = decode([stream[start : start + size] for start in range(0, len(stream), size)])

    assert [("message", "x" * (2 << 20))] == events


def test_an_event_above_the_limit_is_refused() -> None:
    """The limit counts the whole event, and names the byte where it begins."""
    decoder = SSEDecoder(max_event=8)
    decoder.feed(b"data: ok\n\n")

    with pytest.raises(FramingError, match="longer than 8 bytes") as caught:
        decoder.feed(b"data: a\ndata: b\n\n")

    assert 10 == caught.value.offset


def test_a_flood_without_blank_line_is_refused() -> None:
    """Short lines without end are no way around the limit."""
    decoder = SSEDecoder(max_event=1 << 10)

    for _ in range(1 << 7):
        decoder.feed(b"data: x\n")

    with pytest.raises(FramingError, match="longer than 1024 bytes"):
        decoder.feed(b"data: x\n")


def test_events_before_a_fault_are_handed_out_first() -> None:
    """What was whole in the same chunk is not lost; the fault comes with the next call, whichever it is."""
    decoder = SSEDecoder(max_event=8)

    events = decoder.feed(b"data: a\n\ndata: too long\n\ndata: b\n\n")

    assert [("message", "a")] == events
    with pytest.raises(FramingError):
        decoder.finish()
    with pytest.raises(FramingError):
        decoder.feed(b"data: c\n\n")


def test_comments_before_a_fault_do_not_hide_it() -> None:
    """Where no event stands before the fault, it is raised at once."""
    decoder = SSEDecoder(max_event=8)

    with pytest.raises(FramingError):
        decoder.feed(b": ping\n\ndata: too long\n\n")


@pytest.mark.parametrize(
    ("tail", "event"),
    [
        (b'data: {"a": 1}', ("message", '{"a": 1}')),
        (b'data: {"a": 1}\n', ("message", '{"a": 1}')),
        (b'data: {"a": 1}\r', ("message", '{"a": 1}')),
        (b"data: [1,\ndata: 2]", ("message", "[1,\n2]")),
        (b"data: [DONE]", ("message", "[DONE]")),
        (b"data:[DONE]\n", ("message", "[DONE]")),
        (b"event: error\ndata: {}", ("error", "{}")),
        (b"data: {}\nevent: err", ("message", "{}")),
    ],
)
def test_a_last_event_that_is_whole_needs_no_blank_line(tail: bytes, event: Event) -> None:
    """Servers that forget the last blank line do not lose their last event."""
    for chunks in cuttings(b"data: a\n\n" + tail):
        assert [("message", "a"), event] == decode(chunks, strict=False)


@pytest.mark.parametrize(
    "tail",
    [
        b'data: {"a": {"b": 1}',
        b'data: {"a": 1}\ndata: {"b',
        b"data: [DON",
        b"data: 12",
        b'data: "text"\n',
        b"data: plain text\n",
        b"event: err",
        b"dat",
        b": ping",
        b'data: {"a": "\xe6\xbc',
    ],
)
def test_a_last_event_that_may_be_cut_is_left_over(tail: bytes) -> None:
    """What could be the beginning of something longer is no event, and the caller sees that it was there."""
    for chunks in cuttings(b"data: a\n\n" + tail):
        decoder = SSEDecoder()
        events = [event for chunk in chunks for event in decoder.feed(chunk)]

        events += decoder.finish()

        assert [("message", "a")] == events
        assert tail.strip(b"\n") == decoder.leftover


def test_the_standard_discards_a_last_event_without_blank_line() -> None:
    """Strictly read, even a whole event needs its blank line; it is then left over."""
    decoder = SSEDecoder()
    decoder.feed(b"data: {}")

    assert [] == decoder.finish(strict=True)
    assert b"data: {}" == decoder.leftover


@pytest.mark.parametrize("stream", [b"", b"\n", b"\r\n", b"data: {}\n\n", b"data: {}\n\n\n", b"data: {}", b"data: {}\r\n\r\n\r\n"])
def test_a_stream_that_ends_where_it_should_leaves_nothing_over(stream: bytes) -> None:
    """Blank lines, and a last event that was taken, are no leftover."""
    for chunks in cuttings(stream):
        decoder = SSEDecoder()
        for chunk in chunks:
            decoder.feed(chunk)

        decoder.finish()

        assert b"" == decoder.leftover


def test_a_cut_byte_order_mark_is_left_over() -> None:
    """Bytes that are held back while they may become a byte order mark are not forgotten."""
    decoder = SSEDecoder()
    decoder.feed(b"\xef\xbb")

    assert [] == decoder.finish()
    assert b"\xef\xbb" == decoder.leftover


@given(stream=STREAMS)
@example(stream=b'data: {"a": 1}\n\n[1]')
def test_the_lenient_end_adds_at_most_one_event(stream: bytes) -> None:
    """What the standard gives always comes first and unchanged."""
    strict, lenient = decode([stream]), decode([stream], strict=False)

    assert strict == lenient[: len(strict)]
    assert len(lenient) <= len(strict) + 1

"""
HTTP/1.1 as a client writes and reads it, without I/O.

Rule 1: what does not follow RFC 9112 is refused; what the RFC lets a recipient pass over (a bare line feed, a folded line, an interim
        reply) is passed over.
Rule 2: a body says by its framing where it ends. One that ends earlier is ``truncated``, never short.
Rule 3: bytes come out as they come in, wherever the network cuts; nothing is held back until a chunk or a body is whole.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

from llmkit.transport.base import TransportError
from llmkit.transport.decoding import Decoder

__all__ = [
    "HEAD_LIMIT",
    "Chunked",
    "Framing",
    "Head",
    "HeadReader",
    "Sized",
    "UntilClose",
    "framing_of",
    "parse_head",
    "write_head",
]

HEAD_LIMIT = 64 * 1024  # bytes of status line and headers, and of a chunked body's trailers
_LINE_LIMIT = 8 * 1024  # bytes of a chunk's size line with its extensions
_HEAD_END = re.compile(rb"\n\r?\n")

_STATUS_LINE = re.compile(r"HTTP/1\.([01]) ([1-9][0-9]{2})(?: .*)?")
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?", re.DOTALL)
_PLAIN_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})\r\n")

# What the transport itself says about the body. (Host is the caller's where it gives one: it may be signed.)
_FRAMING_HEADERS = frozenset({"content-length", "transfer-encoding"})
_METHODS_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


def write_head(method: str, target: str, host: str, headers: Mapping[str, str], length: int) -> bytes:
    """
    Return the head of a request with a body of *length* bytes.

    Raises:
        TransportError: ``config`` for a header that would not stay one header.
    """
    lines = [f"{method} {target} HTTP/1.1"]
    if length or method in _METHODS_WITH_BODY:
        lines.append(f"Content-Length: {length}")
    needs_host = needs_coding = True
    for name, value in headers.items():
        lower = name.lower()
        if lower in _FRAMING_HEADERS:
            continue
        if lower == "host":
            needs_host = False
        elif lower == "accept-encoding":
            needs_coding = False
        lines.append(f"{name}: {value}")
    if needs_host:
        lines.insert(1, f"Host: {host}")
    if needs_coding:
        lines.append(f"Accept-Encoding: {Decoder.accepts}")
    lines.append("\r\n")
    head = "\r\n".join(lines)
    ends = len(lines)
    if head.count("\n") == ends == head.count("\r") and "\0" not in head:
        try:
            return head.encode("latin-1")
        except UnicodeError:  # it holds the text that it complains of, with all keys
            pass
    del head, lines, headers
    msg = "a header holds a line break or a character that HTTP cannot carry"
    raise TransportError("config", msg, fatal=True)


class Head:
    """Status line and headers of a reply; ``headers`` has lower-case names, repeated ones joined with a comma."""

    __slots__ = ("headers", "keeps_alive", "status")

    def __init__(self, status: int, headers: dict[str, str], keeps_alive: bool) -> None:
        self.status = status
        self.headers = headers
        self.keeps_alive = keeps_alive


def parse_head(data: bytes) -> Head:
    """
    Return the head written in *data*, which ends before the empty line.

    Raises:
        TransportError: ``protocol``.
    """
    text = data.decode("latin-1").replace("\r\n", "\n")
    first, *lines = text.rstrip("\r").split("\n")
    match = _STATUS_LINE.fullmatch(first)
    if match is None:
        raise _not_http("it does not begin with a status line")
    if "\r" in text[:-1] or "\0" in text:
        raise _not_http("a stray control character in its headers")
    headers = _parse_headers(lines)
    tokens = headers.get("connection", "").lower()
    # RFC 9112, 9.3: version 1.1 keeps the connection unless told otherwise, 1.0 the other way round.
    keeps_alive = "close" not in tokens if match[1] == "1" else "keep-alive" in tokens
    return Head(int(match[2]), headers, keeps_alive)


def _parse_headers(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    name = ""
    for line in lines:
        if line[:1] in (" ", "\t"):
            # RFC 9112, 5.2: a folded line continues the value before it.
            if not name:
                raise _not_http("a folded line that continues nothing")
            headers[name] = f"{headers[name]} {line.strip()}"
            continue
        name, colon, value = line.partition(":")
        name = name.rstrip().lower()
        if not colon or not name:
            raise _not_http("a header without a name or a colon")
        value = value.strip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


class HeadReader:
    """Finds the head of the final reply in what comes; ``rest`` is what came behind it."""

    __slots__ = ("_data", "_passed", "_scanned")

    def __init__(self) -> None:
        self._data = bytearray()
        self._passed = 0  # bytes of interim replies
        self._scanned = 0

    def feed(self, data: bytes) -> Head | None:
        """
        Return the head once it is whole.

        Raises:
            TransportError: ``protocol``; fatal for a head, or interim replies before it, without an end.
        """
        self._data += data
        while True:
            # Whoever speaks another protocol is not waited for until it has sent an empty line.
            if not self._data.startswith(b"HTTP/"[: len(self._data)]):
                raise _not_http("it does not begin with a status line")
            end = _HEAD_END.search(self._data, max(0, self._scanned - 2))
            self._scanned = len(self._data) if end is None else end.end()
            if self._passed + self._scanned > HEAD_LIMIT:
                raise _flood()
            if end is None:
                return None
            head = parse_head(bytes(self._data[: end.start()]))
            del self._data[: end.end()]
            # RFC 9110, 15.2: any number of interim replies may come first. (101 is final, and nobody asks for it.)
            if head.status >= 200 or head.status == 101:
                return head
            self._passed += self._scanned
            self._scanned = 0

    @property
    def rest(self) -> bytes:
        return bytes(self._data)


class Framing(Protocol):
    """
    Where a body ends.

    ``done`` says that it is whole; ``excess`` that more came than belongs to it, so that the connection is in disorder;
    ``failure`` that what followed the last bytes it gave is no body.
    """

    done: bool
    excess: bool
    failure: TransportError | None

    def feed(self, data: bytes) -> bytes:
        """Return the bytes of the body that are in *data*."""
        ...

    def end(self) -> None:
        """Say that the connection was closed. Raises ``TransportError`` unless that ends the body."""
        ...


class Sized:
    """A body of *length* bytes."""

    __slots__ = ("done", "excess", "failure", "left")

    def __init__(self, length: int) -> None:
        self.failure: TransportError | None = None
        self.left = length
        self.done = length == 0
        self.excess = False

    def feed(self, data: bytes) -> bytes:
        size = len(data)
        if size > self.left:
            self.excess = True
            data = data[: self.left]
            size = self.left
        self.left -= size
        self.done = self.left == 0
        return data

    def end(self) -> None:
        if not self.done:
            msg = f"the connection was closed with {self.left} bytes of the body to come"
            raise TransportError("truncated", msg)


class UntilClose:
    """A body without a length: it ends with the connection, and nobody can say whether all of it came."""

    __slots__ = ("done", "excess", "failure")

    def __init__(self) -> None:
        self.failure: TransportError | None = None
        self.done = False
        self.excess = False

    def feed(self, data: bytes) -> bytes:
        return data

    def end(self) -> None:
        self.done = True


class Chunked:
    """A body in chunks, each behind its size (RFC 9112, 7.1)."""

    __slots__ = ("_awaits", "_left", "_pending", "_trailers", "done", "excess", "failure")

    def __init__(self) -> None:
        self.failure: TransportError | None = None
        self.done = False
        self.excess = False
        self._left = 0  # bytes of the current chunk that are to come
        self._pending = b""  # a line that has begun
        self._awaits = "size"  # the line that comes next: "size", "break" (behind a chunk) or "trailer"
        self._trailers = 0  # bytes

    def feed(self, data: bytes) -> bytes:
        if self._pending:
            data, self._pending = self._pending + data, b""
        pieces: list[bytes] = []
        try:
            self._feed(data, pieces)
        except TransportError as error:
            if not pieces:
                raise
            self.failure = TransportError(*error.args)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _feed(self, data: bytes, pieces: list[bytes]) -> None:
        at, size = self._feed_plain(data, pieces) if self._awaits == "size" else 0, len(data)
        while at < size and not self.done:
            if self._left:
                piece = data[at : at + self._left]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                continue
            end = data.find(b"\n", at)
            if end < 0:
                self._keep(data[at:])
                return
            self._take_line(data[at:end])
            at = end + 1
        self.excess = self.done and at < size

    def _feed_plain(self, data: bytes, pieces: list[bytes]) -> int:
        """Take whole chunks without extensions, which nearly all are, at half the cost; return where they end."""
        at = 0
        while match := _PLAIN_SIZE.match(data, at):
            begin = match.end()
            end = begin + int(match[1], 16)
            if end == begin or not data.startswith(b"\r\n", end):
                break
            pieces.append(data[begin:end])
            at = end + 2
        return at

    def end(self) -> None:
        if not self.done:
            msg = "the connection was closed before the last chunk of the body"
            raise TransportError("truncated", msg)

    def _keep(self, line: bytes) -> None:
        if self._awaits == "break" and line != b"\r":
            raise _not_http("a chunk longer than its size")
        if len(line) > _LINE_LIMIT:
            raise _not_http("an endless line between its chunks")
        self._pending = line

    def _take_line(self, line: bytes) -> None:
        if line.endswith(b"\r"):
            line = line[:-1]
        if self._awaits == "trailer":
            self._take_trailer(line)
            return
        if self._awaits == "break":
            if line:
                raise _not_http("a chunk longer than its size")
            self._awaits = "size"
            return
        match = _CHUNK_SIZE.fullmatch(line) if len(line) <= _LINE_LIMIT else None
        if match is None:
            raise _not_http("a chunk without a size")
        self._left = int(match[1], 16)
        self._awaits = "break" if self._left else "trailer"

    def _take_trailer(self, line: bytes) -> None:
        self._trailers += len(line)
        if self._trailers > HEAD_LIMIT:
            raise _flood()
        self.done = not line


def framing_of(head: Head, method: str) -> Framing:
    """
    Return how the body of the reply to *method* is framed (RFC 9112, 6.3).

    Raises:
        TransportError: ``protocol``; fatal for two lengths that differ, which is how requests are smuggled.
    """
    if method == "HEAD" or head.status in (204, 304) or head.status < 200:
        return Sized(0)
    coding = head.headers.get("transfer-encoding", "").strip().lower()
    length = head.headers.get("content-length")
    if coding and coding != "identity":
        if coding != "chunked":
            raise _not_http("a transfer coding that nobody asked for")
        if length is not None:
            head.keeps_alive = False  # both at once: the RFC reads the chunks and trusts the connection no further
        return Chunked()
    if length is None:
        head.keeps_alive = False
        return UntilClose()
    return Sized(_length(length))


def _length(value: str) -> int:
    # RFC 9110, 8.6: the same length said twice is one length.
    lengths = {part.strip() for part in value.split(",")}
    if len(lengths) > 1:
        msg = "the reply says two different lengths of its body"
        raise TransportError("protocol", msg, fatal=True)
    length = lengths.pop()
    if not (length.isascii() and length.isdigit() and len(length) <= 18):
        raise _not_http("a length that is no number")
    return int(length)


def _flood() -> TransportError:
    """Return the error for a head that does not end."""
    return TransportError("protocol", f"the reply has more than {HEAD_LIMIT} bytes of headers", fatal=True)


def _not_http(reason: str) -> TransportError:
    return TransportError("protocol", f"the reply is not HTTP/1.1: {reason}")

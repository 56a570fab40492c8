"""
What passes between a client and a network: one request out, one response in.

Rule 1: a transport makes exactly one attempt. It never retries, never follows a redirect, keeps no cookies and adds no credential.
Rule 2: it raises nothing but ``TransportError`` (and lets cancellation and interrupts pass), and no exception of the library below
        stays chained to it: those hold the request with its headers.
Rule 3: it decides nothing: which time is allowed comes in with ``Timeout``, what a status means is somebody else's business.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Literal, Protocol

from attrs import field

from llmkit.cancelling import Cut
from llmkit.secrets import Headers
from llmkit.values import define, frozen

__all__ = [
    "BODY_LIMIT",
    "ERROR_BODY_LIMIT",
    "AsyncByteStream",
    "AsyncTransport",
    "ByteStream",
    "HttpRequest",
    "HttpResponse",
    "Timeout",
    "Transport",
    "TransportError",
    "TransportErrorKind",
]

BODY_LIMIT = 64 * 1024 * 1024  # bytes of a decoded answer; more is refused, not stored
ERROR_BODY_LIMIT = 64 * 1024  # bytes read of an error reply; the rest is left

TransportErrorKind = Literal[
    "connect",  # refused, unreachable, or no descriptor left here
    "connect_timeout",
    "dns",
    "tls",  # certificate, host name or version: never worth a second try
    "proxy",
    "connection_lost",  # reset or closed before the first byte of a response
    "read_timeout",  # no byte in time
    "expired",  # the time of ``Timeout.total`` or ``expire_in`` is over
    "protocol",  # not HTTP
    "truncated",  # shorter than it said it would be
    "response_too_large",
    "config",  # the transport was closed, or what it was given cannot work
]


class TransportError(Exception):
    """
    No whole answer came.

    ``kind`` says how; ``fatal`` that the same request can only fail again; ``reused`` that it happened on a connection which had
    served before, ahead of any byte of this response, so that the request may go out once more on a new one (RFC 9110, section
    9.3.1: servers close idle connections without notice); ``local`` that the fault is this machine's own (no descriptor, no
    memory, no port). ``connect`` and ``first_byte`` are seconds, where it came that far.
    """

    def __init__(
        self,
        kind: TransportErrorKind,
        message: str,
        fatal: bool = False,
        reused: bool = False,
        local: bool = False,
        connect: float | None = None,
        first_byte: float | None = None,
    ) -> None:
        super().__init__(kind, message, fatal, reused, local, connect, first_byte)
        self.kind: TransportErrorKind = kind
        self.message = message
        self.fatal = fatal
        self.reused = reused
        self.local = local
        self.connect = connect
        self.first_byte = first_byte

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


@frozen(kw_only=True)
class Timeout:
    """
    Seconds allowed: to connect, for the longest silence while reading, and in all; None is no bound.

    A blocking transport arms ``cut`` with what ends the exchange at once, as if its time in all were over; a coroutine is cancelled.
    """

    connect: float | None = 5.0
    read: float | None = 60.0
    total: float | None = None
    cut: Cut | None = field(default=None, repr=False, eq=False)


@define(kw_only=True)
class HttpRequest:
    """
    One request, ready to be sent. ``headers`` shows no credential in its ``repr``.

    ``body_limit`` is how many bytes the answer may have, where that is more than ``BODY_LIMIT``.
    """

    method: str
    url: str
    headers: Headers = field(factory=Headers)
    body: bytes = field(default=b"", repr=False)
    body_limit: int | None = None


class ByteStream(Protocol):
    """
    The body of a response, read as it arrives.

    Iterating raises ``TransportError``: ``truncated`` when the body ends before its framing says so, ``read_timeout`` after
    ``Timeout.read`` seconds without a byte, ``expired`` when the time set by ``expire_in`` is over.
    """

    def __iter__(self) -> Iterator[bytes]: ...

    def expire_in(self, seconds: float | None) -> None:
        """Allow *seconds* from now for whatever is read next, in all; None lifts the bound. Costs next to nothing."""
        ...

    def drain(self) -> None:
        """Read what is left of a finished answer (64 KiB and 0.1 s at most), so that the connection can serve again; then close."""
        ...

    def close(self) -> None:
        """Give the connection back if the body was read to its end, else close it. Idempotent, never raises."""
        ...


class AsyncByteStream(Protocol):
    """The twin of ``ByteStream``: ``async for``, and ``drain`` and ``close`` are awaited."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    def expire_in(self, seconds: float | None) -> None: ...

    async def drain(self) -> None: ...

    async def close(self) -> None: ...

    def abort(self) -> None:
        """Close the connection at once, without waiting: for finalisers, which cannot await."""
        ...


@define(kw_only=True)
class HttpResponse:
    """
    One response. ``headers`` has lower-case names; repeated ones are joined with ``", "``.

    ``body`` is the whole decoded body, unless a stream was asked for and the status is 2xx: then it is empty and ``stream`` (in the
    twin ``astream``) is to be read. ``connect`` is None where a kept connection served. All times are seconds.
    """

    status: int
    headers: Mapping[str, str] = field(factory=dict)
    body: bytes = field(default=b"", repr=False)
    stream: ByteStream | None = field(default=None, repr=False)
    astream: AsyncByteStream | None = field(default=None, repr=False)
    connect: float | None = None
    first_byte: float | None = None

    def discard(self) -> None:
        """Close what is still open of it, at once; a whole response has nothing open."""
        if self.stream is not None:
            self.stream.close()
        if self.astream is not None:
            self.astream.abort()


class Transport(Protocol):
    """Sends one request. Safe for any number of threads."""

    def send(self, request: HttpRequest, *, timeout: Timeout, stream: bool = False) -> HttpResponse:
        """
        Return the response to *request*.

        A body is read whole (decoded, at most ``BODY_LIMIT``, or the request's own limit), except that of a 2xx reply when *stream* is
        true. The body of any other reply is read up to ``ERROR_BODY_LIMIT`` and for a short time only, and what was got is returned: a
        400 stays a 400.

        Raises:
            TransportError: Whatever went wrong.
        """
        ...

    def close(self) -> None:
        """Close every idle connection; calls in flight end by themselves. Idempotent."""
        ...


class AsyncTransport(Protocol):
    """The twin of ``Transport``."""

    async def send(self, request: HttpRequest, *, timeout: Timeout, stream: bool = False) -> HttpResponse: ...

    async def close(self) -> None: ...

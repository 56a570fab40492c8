"""
Exchanges recorded from a network, and played back without one.

``record("cassette.json")`` and ``replay("cassette.json")`` are given to a client as ``transport=``, or hold for all clients that are made
inside of ``with``, in both twins alike.

Rule 1: recording changes nothing: the client's own transport, with its own settings, does the work.
Rule 2: the file is written when an exchange is over, whole and in one step, so that a test that fails leaves what it had.
"""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

from attrs import evolve

from llmkit.errors import ConfigurationError
from llmkit.testing.cassette import Cassette, Exchanged, asked_of, response_of
from llmkit.testing.pieces import AsyncPieces, Pieces
from llmkit.testing.scrubbing import secrets_in
from llmkit.transport.base import (
    AsyncByteStream,
    AsyncTransport,
    ByteStream,
    HttpRequest,
    HttpResponse,
    Timeout,
    Transport,
    TransportError,
)
from llmkit.transport.standing_in import standing_in

__all__ = ["Recording", "Replay", "record", "replay"]


def record(path: str | os.PathLike[str], *, secrets: Iterable[str] = ()) -> Recording:
    """
    Return what records the exchanges of the clients that it is given to, or that are made inside of it, to the file at *path*.

    An older file is replaced when the first exchange is over. Credentials are not kept: not in headers, addresses or bodies.

    Args:
        path: Of a JSON file.
        secrets: Further texts that must not be kept.
    """
    return Recording(path, secrets)


def replay(path: str | os.PathLike[str]) -> Replay:
    """
    Return what answers the clients that it is given to, or that are made inside of it, out of the file at *path*.

    No key is needed, and nothing is sent. Method, address and body tell which recorded answer is meant; equal requests get theirs in
    the order of recording. One that is not there raises ``ConfigurationError``, which names the differences from the nearest.

    Raises:
        ConfigurationError: If there is no such file, or it is no cassette.
    """
    return Replay(path)


class _Block:
    """Something that stands in for the transports of clients made inside of ``with``."""

    _standing: AbstractContextManager[None] | None = None

    def _enter(self) -> None:
        if self._standing is not None:
            msg = f"{self!r} is in use by a with statement already."
            raise ConfigurationError(msg)
        self._standing = standing_in(self)
        self._standing.__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        standing, self._standing = self._standing, None
        assert standing is not None  # entered
        standing.__exit__(kind, error, trace)


class Recording(_Block):
    """What ``record()`` returns: see there."""

    def __init__(self, path: str | os.PathLike[str], secrets: Iterable[str] = ()) -> None:
        self.path = Path(path)
        self._secrets = frozenset({secrets} if isinstance(secrets, str) else secrets)
        self._cassette = Cassette()
        self._lock = threading.Lock()
        try:
            # Now: when the first answer is there it was paid for.
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = f"The cassette {str(self.path)!r} cannot be written: {error.strerror}: {error.filename!r}."
            raise ConfigurationError(msg) from error

    def make(self, own: Callable[[], Transport]) -> Transport:
        """Return the transport of a client, which records what passes through its *own*."""
        return _Recorder(own(), self)

    def amake(self, own: Callable[[], AsyncTransport]) -> AsyncTransport:
        """Return the transport of an ``AsyncClient``, which records what passes through its *own*."""
        return _AsyncRecorder(own(), self)

    def keep(
        self,
        request: HttpRequest,
        response: HttpResponse | None,
        *,
        pieces: list[bytes] | None = None,
        error: TransportError | None = None,
    ) -> None:
        """Write down that *response*, or *error*, or *pieces* and perhaps *error*, came back to *request*."""
        secrets = secrets_in(request, self._secrets)
        exchanged = Exchanged(
            asked=asked_of(request, secrets),
            status=None if response is None else response.status,
            headers={} if response is None else response.headers,
            body=None if response is None or pieces is not None else response.body,
            pieces=pieces,
            error=None if error is None else _facts(error),
        )
        with self._lock:
            self._cassette.add(exchanged, secrets)
            self._save()

    def _save(self) -> None:
        draft = self.path.with_name(f"{self.path.name}.{os.getpid()}.tmp")
        draft.write_text(self._cassette.dumps(), encoding="utf-8")
        draft.replace(self.path)

    def __enter__(self) -> Recording:
        self._enter()
        return self

    def __repr__(self) -> str:
        return f"<record to {str(self.path)!r}, {len(self._cassette.exchanges)} exchanges>"


class Replay(_Block):
    """What ``replay()`` returns: see there."""

    needs_key = False

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        try:
            text = self.path.read_text(encoding="utf-8")
        except OSError as error:
            msg = f"The cassette {str(self.path)!r} cannot be read: {error.strerror}. Make it with record({str(path)!r})."
            raise ConfigurationError(msg) from error
        self._cassette = Cassette.loads(text, str(self.path))

    @property
    def unused(self) -> int:
        """How many exchanges of the cassette were not asked for."""
        return self._cassette.unused

    def make(self, own: Callable[[], Transport]) -> Transport:
        """Return the transport of a client."""
        return _Player(self)

    def amake(self, own: Callable[[], AsyncTransport]) -> AsyncTransport:
        """Return the transport of an ``AsyncClient``."""
        return _AsyncPlayer(self)

    def take(self, request: HttpRequest) -> Exchanged:
        """Return what came back to *request*, and use it up. Raises ``TransportError``."""
        asked = asked_of(request, secrets_in(request))
        with self._lock:
            return self._cassette.take(asked)

    def __enter__(self) -> Replay:
        self._enter()
        return self

    def __repr__(self) -> str:
        return f"<replay of {str(self.path)!r}, {self.unused} exchanges left>"


def _facts(error: TransportError) -> dict[str, object]:
    facts: dict[str, object] = {"kind": error.kind, "message": error.message}
    return facts | {name: True for name in ("fatal", "local") if getattr(error, name)}


# What stands behind the last piece of a stream that its reader left: the recording does not know how it went on.
_LEFT = TransportError("config", "The recording of this stream ends here, where its reader left it: record it again.")


class _Recorder:
    """A transport around another."""

    def __init__(self, inner: Transport, recording: Recording) -> None:
        self._inner = inner
        self._recording = recording

    def send(self, request: HttpRequest, *, timeout: Timeout, stream: bool = False) -> HttpResponse:
        try:
            response = self._inner.send(request, timeout=timeout, stream=stream)
        except TransportError as error:
            self._recording.keep(request, None, error=error)
            raise
        if response.stream is None:
            self._recording.keep(request, response)
            return response
        return evolve(response, stream=_RecordedStream(response.stream, request, response, self._recording))

    def close(self) -> None:
        self._inner.close()


class _AsyncRecorder:
    """The twin of ``_Recorder``."""

    def __init__(self, inner: AsyncTransport, recording: Recording) -> None:
        self._inner = inner
        self._recording = recording

    async def send(self, request: HttpRequest, *, timeout: Timeout, stream: bool = False) -> HttpResponse:
        try:
            response = await self._inner.send(request, timeout=timeout, stream=stream)
        except TransportError as error:
            self._recording.keep(request, None, error=error)
            raise
        if response.astream is None:
            self._recording.keep(request, response)
            return response
        return evolve(response, astream=_AsyncRecordedStream(response.astream, request, response, self._recording))

    async def close(self) -> None:
        await self._inner.close()


class _Notes:
    """What was read of a stream, until it is over: then it is written down, once."""

    def __init__(self, request: HttpRequest, response: HttpResponse, recording: Recording) -> None:
        self._request = request
        self._response = response
        self._recording = recording
        self._is_over = False
        self.pieces: list[bytes] = []

    def over(self, error: TransportError | None = None) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._recording.keep(self._request, self._response, pieces=self.pieces, error=error)


class _RecordedStream:
    def __init__(self, inner: ByteStream, request: HttpRequest, response: HttpResponse, recording: Recording) -> None:
        self._inner = inner
        self._notes = _Notes(request, response, recording)

    def __iter__(self) -> Iterator[bytes]:
        try:
            for piece in self._inner:
                self._notes.pieces.append(piece)
                yield piece
        except TransportError as error:
            self._notes.over(error)
            raise
        self._notes.over()

    def expire_in(self, seconds: float | None) -> None:
        self._inner.expire_in(seconds)

    def drain(self) -> None:
        self._notes.over()  # the reader has all that it needs
        self._inner.drain()

    def close(self) -> None:
        self._notes.over(_LEFT)
        self._inner.close()


class _AsyncRecordedStream:
    def __init__(self, inner: AsyncByteStream, request: HttpRequest, response: HttpResponse, recording: Recording) -> None:
        self._inner = inner
        self._notes = _Notes(request, response, recording)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._inner:
                self._notes.pieces.append(piece)
                yield piece
        except TransportError as error:
            self._notes.over(error)
            raise
        self._notes.over()

    def expire_in(self, seconds: float | None) -> None:
        self._inner.expire_in(seconds)

    async def drain(self) -> None:
        self._notes.over()  # the reader has all that it needs
        await self._inner.drain()

    async def close(self) -> None:
        self._notes.over(_LEFT)
        await self._inner.close()

    def abort(self) -> None:
        self._notes.over(_LEFT)
        self._inner.abort()


class _Player:
    """A transport that answers out of a cassette."""

    def __init__(self, source: Replay) -> None:
        self._source = source

    def send(self, request: HttpRequest, *, timeout: Timeout, stream: bool = False) -> HttpResponse:
        found = self._source.take(request)
        response = response_of(found)
        return response if found.pieces is None else evolve(response, stream=Pieces(found.pieces, found.failure()))

    def close(self) -> None:
        """Do nothing: there is nothing open."""


class _AsyncPlayer:
    """The twin of ``_Player``."""

    def __init__(self, source: Replay) -> None:
        self._source = source

    async def send(self, request: HttpRequest, *, timeout: Timeout, stream: bool = False) -> HttpResponse:
        found = self._source.take(request)
        response = response_of(found) if found.pieces is None else None
        return response or HttpResponse(
            status=found.status or 200,
            headers=dict(found.headers),
            astream=AsyncPieces(found.pieces or (), found.failure()),
            first_byte=0.0,
        )

    async def close(self) -> None:
        """Do nothing: there is nothing open."""

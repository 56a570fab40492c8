"""
How a local provider is asked: in a thread of its own, which is waited for as long as there is time.

Rule 1: what the provider raises is put in the words of a transport or of a wire (``told``), or is a bug and raised as it is.
Rule 2: whoever stops waiting leaves the thread to end by itself: Python has no means to end it.
"""

from __future__ import annotations

import contextvars
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from llmkit.dialects.base import WireError
from llmkit.errors import LLMKitError
from llmkit.models.fault import Fault
from llmkit.models.request import CompletionRequest
from llmkit.models.response import CompletionResponse
from llmkit.providers.local_wire import END, LocalDecoder, LocalRequest, LocalResponse, Piece, answer_of, as_piece
from llmkit.resilience.deadline import deadline
from llmkit.transport.base import HttpRequest, HttpResponse, Timeout, TransportError

if TYPE_CHECKING:
    from llmkit.providers.local import LocalProvider

__all__ = ["LocalTransport", "Pump", "completed", "in_thread", "request_of", "told"]

AHEAD = 16  # chunks that a stream may be ahead of its reader


def request_of(http: HttpRequest) -> CompletionRequest:
    """Return the request that *http* hands on."""
    assert isinstance(http, LocalRequest)  # no other is encoded for a local provider
    return http.request


def told(error: BaseException) -> BaseException:
    """Return *error*, which a provider raised, as the policies understand it; a bug as it is."""
    if isinstance(error, LLMKitError):
        return WireError(Fault(status=0, kind=error.kind, message=error.message, raised=error))
    if not isinstance(error, OSError):
        return error
    text = str(error) or type(error).__name__
    if isinstance(error, TimeoutError):
        return TransportError("read_timeout", text)
    if isinstance(error, ConnectionError) and not isinstance(error, ConnectionRefusedError):
        return TransportError("connection_lost", text)
    # A file that is not there is not there the next time either.
    return TransportError("connect", text, fatal=isinstance(error, (FileNotFoundError, PermissionError, NotADirectoryError)))


def expired() -> TransportError:
    return TransportError("expired", "the time for this call is over")


def completed(local: LocalProvider, request: CompletionRequest) -> CompletionResponse:
    """Return the answer to *request*, put together from a stream where there is nothing else."""
    if local.implements("complete") or not local.implements("stream"):
        return answer_of(local.complete(request), request)
    decoder = LocalDecoder(model=request.model)
    for chunk in local.stream(request):
        decoder.feed(as_piece(chunk))
    decoder.feed(END)
    return decoder.response()


def in_thread(work: Callable[[], Any], done: Callable[[Any, BaseException | None], None], *, name: str) -> None:
    """Do *work* in a thread that has this one's context, and tell *done* what it returned or raised."""

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - handed over to whoever waits for it
            failure = error
        done(result, failure)

    threading.Thread(target=contextvars.copy_context().run, args=(run,), name=name, daemon=True).start()


class LocalTransport:
    """Asks *local*, whatever the address says."""

    def __init__(self, local: LocalProvider) -> None:
        self._local = local

    def send(self, request: HttpRequest, *, timeout: Timeout, stream: bool = False) -> HttpResponse:
        asked, local = request_of(request), self._local
        if stream and local.implements("stream"):
            return HttpResponse(status=200, stream=_LocalStream(Pump(lambda: local.stream(asked)), timeout))
        return LocalResponse(status=200, answer=_answered(lambda: completed(local, asked), timeout))

    def close(self) -> None:
        """Do nothing: there is nothing open."""


def _answered(work: Callable[[], CompletionResponse], timeout: Timeout) -> CompletionResponse:
    over = threading.Event()
    outcome: list[tuple[Any, BaseException | None]] = []

    def done(result: Any, failure: BaseException | None) -> None:
        outcome.append((result, failure))
        over.set()

    in_thread(bounded(work, timeout.total), done, name="llmkit-local")
    if timeout.cut is not None:
        timeout.cut.arm(over.set)
    over.wait(timeout.total)
    if not outcome:
        raise expired()
    result, failure = outcome[0]
    if failure is not None:
        raise told(failure)
    answer: CompletionResponse = result
    return answer


def bounded(work: Callable[[], Any], seconds: float | None) -> Callable[[], Any]:
    """Return *work*, done under an ambient deadline: calls that it makes itself are over in time."""
    if seconds is None or seconds <= 0:
        return work

    def working() -> Any:
        with deadline(seconds):
            return work()

    return working


class Pump:
    """
    A stream that runs in a thread of its own, a few chunks ahead of its reader.

    ``on_change`` is called from that thread whenever ``take`` has something new to say.
    """

    def __init__(self, produce: Callable[[], Iterable[Any]], on_change: Callable[[], object] = lambda: None) -> None:
        self._produce = produce
        self._on_change = on_change
        self._changed = threading.Condition()
        self._pieces: deque[Piece] = deque()
        self._is_over = False
        self._is_left = False
        self._failure: BaseException | None = None
        in_thread(self._run, self._end, name="llmkit-local-stream")

    def _run(self) -> None:
        chunks = iter(self._produce())
        try:
            for chunk in chunks:
                if not self._put(as_piece(chunk)):
                    return
            self._put(END)
        finally:
            close = getattr(chunks, "close", None)
            if close is not None:
                close()

    def _put(self, piece: Piece) -> bool:
        """Hand *piece* over when there is room for it, and return whether more is wanted."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_left or len(self._pieces) < AHEAD)
            self._pieces.append(piece)
            self._changed.notify_all()
            wanted = not self._is_left
        self._on_change()
        return wanted

    def _end(self, _: None, failure: BaseException | None) -> None:
        with self._changed:
            self._is_over, self._failure = True, failure
            self._changed.notify_all()
        self._on_change()

    @property
    def has_news(self) -> bool:
        return bool(self._pieces) or self._is_over or self._is_left

    def take(self) -> Piece | None:
        """Return the next piece, None at the end; ask only where there is news. Raises what the provider raised."""
        with self._changed:
            if self._pieces:
                self._changed.notify_all()
                return self._pieces.popleft()
        if not self._is_over:
            raise expired()
        if self._failure is not None:
            raise told(self._failure)
        return None

    def wait(self, seconds: float | None) -> None:
        """Wait for news, for *seconds* at most."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.has_news, seconds):
                raise expired()

    def leave(self) -> None:
        """Let the stream end at its next chunk. Idempotent."""
        with self._changed:
            self._is_left = True
            self._changed.notify_all()
        self._on_change()


class _LocalStream:
    """A ``ByteStream`` whose pieces are chunks."""

    def __init__(self, pump: Pump, timeout: Timeout) -> None:
        self._pump = pump
        self._seconds = timeout.total
        if timeout.cut is not None:
            timeout.cut.arm(pump.leave)

    def __iter__(self) -> Iterator[bytes]:
        while True:
            self._pump.wait(self._seconds)
            piece = self._pump.take()
            if piece is None:
                return
            yield piece

    def expire_in(self, seconds: float | None) -> None:
        self._seconds = seconds

    def drain(self) -> None:
        self.close()

    def close(self) -> None:
        self._pump.leave()

"""
Transports that answer out of a script, without a socket: the wire of the provider that is asked shapes each reply.

Rule 1: a script speaks of meaning, as a ``Reply`` does; how the answer travels is not its business. For that there is ``FakeServer``.
Rule 2: a request that the provider would refuse is refused, and takes nothing out of the script.
Rule 3: a script that has come to its end is an error, and not the last reply again.
"""

from __future__ import annotations

import inspect
import json
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeGuard

from attrs import evolve, fields

from llmkit.errors import ConfigurationError
from llmkit.models.response import CompletionResponse, FinishReason
from llmkit.testing.answering import answer
from llmkit.testing.pieces import AsyncPieces, Pieces
from llmkit.testing.recognising import recognised, wire_of
from llmkit.testing.replies import RecordedRequest, Reply
from llmkit.testing.wires.base import Rendered
from llmkit.testing.wires.words import Words
from llmkit.transport.base import AsyncTransport, HttpRequest, HttpResponse, Timeout, Transport, TransportError

__all__ = ["AsyncMockTransport", "MockTransport", "Scripted"]

Answer: TypeAlias = str | Reply | CompletionResponse | HttpResponse | Mapping[str, Any] | list[Any] | int | float | None
Said: TypeAlias = Answer | BaseException | type[BaseException]
Scripted: TypeAlias = Said | Callable[[RecordedRequest], Said | Awaitable[Said]]
"""One entry of a script; what each kind says is told with ``MockTransport``."""

# How a reply travels: what only a server can do.
_TRAVEL = frozenset(
    {
        *("delay", "after_head", "between", "drip", "drip_from", "cut", "cut_head", "reset", "garbage", "declared_length", "framing"),
        *("hang", "stall_after", "close", "close_idle", "content_encoding", "truncate_gzip"),
    }
)
_PLAIN = Reply()


class _Script:
    """What a mock is to say, and what it was asked: the half of both twins that waits for nothing."""

    def __init__(self, replies: Sequence[Scripted] | Scripted, strict: bool) -> None:
        self.strict = strict
        self.requests: list[RecordedRequest] = []
        self._lock = threading.Lock()
        # A list is a script; whatever else is given alone is said again and again.
        entries = replies if isinstance(replies, (list, tuple)) else None
        self._queue: deque[Any] = deque(_checked(entry) for entry in entries or ())
        self._always = _checked(replies) if entries is None else None
        self._in_turn = entries is not None
        self._count = len(self._queue)

    @property
    def unused(self) -> int:
        return len(self._queue)

    def note(self, http: HttpRequest) -> RecordedRequest:
        with self._lock:
            request = recognised(http, len(self.requests) + 1)
            self.requests.append(request)
        return request

    def refusal(self, request: RecordedRequest) -> HttpResponse | None:
        """Return how the provider would refuse *request*; None where it would not."""
        if not self.strict:
            return None
        taken = False

        def take(_: RecordedRequest) -> Reply:
            nonlocal taken
            taken = True
            return _PLAIN

        rendered, reply = answer(request, take, strict=True)
        # Who asks is not asked: no key is needed here.
        return None if taken or reply.status in (401, 403) else _response(rendered, reply)

    def take(self, request: RecordedRequest) -> Any:
        """Return what comes next."""
        if not self._in_turn:
            return self._always
        with self._lock:
            if self._queue:
                return self._queue.popleft()
        many = f"{self._count} {'reply' if self._count == 1 else 'replies'}"
        message = f"the script of {many} is at its end, and {request.method} {request.path} is request {len(self.requests)}"
        raise TransportError("config", f"MockTransport: {message}.")

    def response(self, said: Any, request: RecordedRequest, stream: bool) -> HttpResponse:
        """Return *said* in the words of the wire that *request* is in, or raise it."""
        if isinstance(said, BaseException) or (isinstance(said, type) and issubclass(said, BaseException)):
            raise _raised(said)
        if isinstance(said, HttpResponse):
            return evolve(said, stream=Pieces([said.body]) if stream and 200 <= said.status < 300 else None)
        reply = _reply_of(said, wire_of(request).words)
        rendered, reply = answer(request, lambda _: reply, strict=False)
        return _response(rendered, reply, stream)


class MockTransport:
    """
    A transport that answers out of a script: ``Client(transport=MockTransport(["Hi", {"name": "Paris"}, Reply.error(503)]))``.

    It needs no key, and no model either. It can be given to both clients; ``requests`` holds all that it was asked.

    Args:
        replies: A list, whose entries answer one request each: text, a ``Reply``, a ``CompletionResponse``, a dict or list (the
            answer's JSON), an ``HttpResponse`` (sent as it is), an exception (raised: ``TransportError``, or those of the standard
            library that mean the same), or a function that makes one of these from the ``RecordedRequest``. Anything of that kind by
            itself answers every request; None, the default, is the provider's own good answer.
        strict: Whether a request that the provider would refuse is refused, and takes nothing out of the script.

    Raises:
        ConfigurationError: If a reply is none of these, or a ``Reply`` with faults that only a server can have.
    """

    needs_key = False
    default_model = "openai/gpt-4o-mini"

    def __init__(self, replies: Sequence[Scripted] | Scripted = None, *, strict: bool = True) -> None:
        self._script = _Script(replies, strict)

    @property
    def requests(self) -> list[RecordedRequest]:
        """All requests, those that were refused too, in order."""
        return list(self._script.requests)

    @property
    def unused(self) -> int:
        """How many entries of the script were not asked for."""
        return self._script.unused

    def send(self, request: HttpRequest, *, timeout: Timeout, stream: bool = False) -> HttpResponse:
        """Return what the script says. Raises ``TransportError`` where it says so, or is at its end."""
        asked = self._script.note(request)
        refusal = self._script.refusal(asked)
        if refusal is not None:
            return refusal
        said = self._script.take(asked)
        made: Any = said(asked) if _is_function(said) else said
        if inspect.isawaitable(made):
            msg = "A coroutine function answers an AsyncMockTransport only."
            raise TypeError(msg)
        return self._script.response(_checked(made), asked, stream)

    def close(self) -> None:
        """Do nothing: there is nothing open."""

    def make(self, own: Callable[[], Transport]) -> Transport:
        """Return itself, for a client."""
        return self

    def amake(self, own: Callable[[], AsyncTransport]) -> AsyncTransport:
        """Return its twin with the same script, for an ``AsyncClient``."""
        twin = AsyncMockTransport.__new__(AsyncMockTransport)
        twin._script = self._script
        return twin

    def __repr__(self) -> str:
        return f"<{type(self).__name__}, {len(self._script.requests)} requests, {self.unused} replies left>"


class AsyncMockTransport:
    """The twin of ``MockTransport``, in whose script coroutine functions may stand too."""

    needs_key = False
    default_model = "openai/gpt-4o-mini"

    def __init__(self, replies: Sequence[Scripted] | Scripted = None, *, strict: bool = True) -> None:
        self._script = _Script(replies, strict)

    @property
    def requests(self) -> list[RecordedRequest]:
        """All requests, those that were refused too, in order."""
        return list(self._script.requests)

    @property
    def unused(self) -> int:
        """How many entries of the script were not asked for."""
        return self._script.unused

    async def send(self, request: HttpRequest, *, timeout: Timeout, stream: bool = False) -> HttpResponse:
        """Return what the script says. Raises ``TransportError`` where it says so, or is at its end."""
        asked = self._script.note(request)
        refusal = self._script.refusal(asked)
        if refusal is not None:
            return refusal
        said = self._script.take(asked)
        made: Any = said(asked) if _is_function(said) else said
        if inspect.isawaitable(made):
            made = await made
        response = self._script.response(_checked(made), asked, stream)
        if isinstance(response.stream, Pieces):
            response = evolve(response, stream=None, astream=AsyncPieces(list(response.stream)))
        return response

    async def close(self) -> None:
        """Do nothing: there is nothing open."""

    def make(self, own: Callable[[], Transport]) -> Transport:
        """Return its twin with the same script, for a ``Client``."""
        twin = MockTransport.__new__(MockTransport)
        twin._script = self._script
        return twin

    def amake(self, own: Callable[[], AsyncTransport]) -> AsyncTransport:
        """Return itself, for an ``AsyncClient``."""
        return self

    def __repr__(self) -> str:
        return f"<{type(self).__name__}, {len(self._script.requests)} requests, {self.unused} replies left>"


def _is_function(said: object) -> TypeGuard[Callable[[RecordedRequest], Any]]:
    return callable(said) and not isinstance(said, type)


def _checked(said: Any) -> Any:
    """Return *said* if a script can say it."""
    if isinstance(said, Reply):
        faults = sorted(one.name for one in fields(Reply) if one.name in _TRAVEL and getattr(said, one.name) != getattr(_PLAIN, one.name))
        if faults or said.status < 200:
            what = ", ".join(faults) or f"the status {said.status}"
            msg = f"A MockTransport has no network, on which a Reply could have {what}: script a TransportError, or use FakeServer."
            raise ConfigurationError(msg)
        return said
    known = (str, int, float, CompletionResponse, HttpResponse, BaseException, Mapping, list)
    if said is None or isinstance(said, known) or _is_function(said) or (isinstance(said, type) and issubclass(said, BaseException)):
        return said
    msg = (
        "A MockTransport says text, JSON, a Reply, a CompletionResponse, an HttpResponse, an exception, or what a function makes, "
        f"not {type(said).__name__}."
    )
    raise ConfigurationError(msg)


def _raised(said: BaseException | type[BaseException]) -> BaseException:
    """Return what a transport raises for *said*: an error of the network in its own words, and anything else as it is."""
    error = said() if isinstance(said, type) else said
    if isinstance(error, TransportError) or not isinstance(error, OSError):
        return error
    text = str(error) or type(error).__name__
    if isinstance(error, TimeoutError):
        return TransportError("read_timeout", text)
    return TransportError("connect" if isinstance(error, ConnectionRefusedError) else "connection_lost", text)


def _reply_of(said: Answer, words: Words) -> Reply:
    if said is None:
        return _PLAIN
    if isinstance(said, Reply):
        return said
    if isinstance(said, str):
        return Reply(said)
    if isinstance(said, CompletionResponse):
        return _reply_of_answer(said, words)
    return Reply(json.dumps(said, ensure_ascii=False))


def _reply_of_answer(said: CompletionResponse, words: Words) -> Reply:
    reason = said.finish_reason
    refused = reason is FinishReason.REFUSAL
    usual = refused or reason in (FinishReason.STOP, FinishReason.TOOL_CALLS, FinishReason.UNKNOWN)
    return Reply(
        None if refused else said.text or (None if said.tool_calls else ""),
        refusal=said.text if refused else None,
        thinking=said.thinking or None,
        tool_calls=said.tool_calls,
        finish_reason=said.raw_finish_reason or (None if usual else words.reasons.get(reason.value, reason.value)),
        usage=words.usage(said.usage) if said.usage.reported else None,
        model=said.model or None,
        id=said.id,
        request_id=said.request_id,
    )


def _response(rendered: Rendered, reply: Reply, stream: bool = False) -> HttpResponse:
    """Return *rendered* as a transport gives it."""
    headers: dict[str, str | None] = {"content-type": reply.content_type or rendered.content_type, **rendered.headers}
    headers.update({name.lower(): value for name, value in reply.headers.items()})
    told = {name: value for name, value in headers.items() if value is not None}
    if stream and 200 <= rendered.status < 300:
        return HttpResponse(status=rendered.status, headers=told, stream=Pieces(rendered.body), first_byte=0.0)
    return HttpResponse(status=rendered.status, headers=told, body=b"".join(rendered.body), first_byte=0.0)

"""
What a fake server is told to say, and what it was asked.

Rule 1: a reply speaks of meaning (text, tool calls, an error); the wire of the provider that is asked shapes it.
Rule 2: a reply in which nothing is said (``Reply()``, ``Reply(delay=0.1)``) stands for the provider's own good answer.
Rule 3: the faults of the transport combine with every reply, and with each other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, Literal, Protocol
from urllib.parse import parse_qsl

from attrs import field, frozen, validators

from llmkit.errors import ConfigurationError

__all__ = ["Event", "Failure", "RecordedRequest", "Reply", "Script", "ToolUse"]

Event = Mapping[str, Any] | str | bytes
"""The payload of one stream event: JSON, or text as it is."""


class CallLike(Protocol):
    """Any object that looks like a tool call."""

    @property
    def id(self) -> str | None: ...

    @property
    def name(self) -> str: ...

    @property
    def arguments(self) -> Mapping[str, Any] | str: ...


@frozen(kw_only=True)
class ToolUse:
    """A tool that the model calls; without an id the wire makes one, and arguments given as text are sent unchecked."""

    name: str
    arguments: Mapping[str, Any] | str = field(factory=dict)
    id: str | None = None

    @property
    def arguments_text(self) -> str:
        """The arguments as JSON text."""
        return self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments)


@frozen(kw_only=True)
class Failure:
    """An error in the provider's own words; what is None is filled in by the wire after the status."""

    code: str | int | None = None
    type: str | None = None
    message: str | None = None
    param: str | None = None


def as_tool_uses(calls: Iterable[tuple[str, Mapping[str, Any] | str] | CallLike]) -> tuple[ToolUse, ...]:
    return tuple(
        ToolUse(name=call[0], arguments=call[1])
        if isinstance(call, tuple)
        else ToolUse(id=call.id, name=call.name, arguments=call.arguments)
        for call in calls
    )


def as_pieces(chunks: Iterable[str] | None) -> tuple[str, ...] | None:
    return None if chunks is None else tuple(chunks)


def as_events(events: Iterable[Event] | None) -> tuple[Event, ...] | None:
    return None if events is None else tuple(events)


_seconds = validators.ge(0.0)
_count = validators.optional(validators.ge(0))


@frozen
class Reply:
    """
    One scripted answer of a `FakeServer`.

    What is said:

    Args:
        text: The model's text. With neither text, chunks, thinking, tool calls nor refusal, the provider's good
            answer is given: an echo, a tool call or JSON, as the request asks.
        chunks: How the text is cut in a stream; by default into words. Without *text*, they are the text.
        pieces: How many text events the provider's own answer is to have; a model named ``fake-stream-1000`` sets
            the number too, and comes first.
        thinking: The model's visible thoughts.
        tool_calls: Pairs of name and arguments, or objects with ``id``, ``name`` and ``arguments``.
        finish_reason: In the wire's own word; by default what fits the rest.
        refusal: The text of a refusal, where the wire has a place for one.
        usage: Merged over the counted usage, in the wire's own words.
        model, id, request_id: In place of the asked model and of counted identifiers.
        raw: Sent as the JSON body as it is: anything that JSON can say, or bytes.
        events: Sent in place of generated stream events. Each is the payload of one event; text or bytes that end with
            a newline are sent verbatim, so that comments and event names can be written out.
        status: The HTTP status. From 400 on the provider's error body is sent. Below 200 it is an interim response,
            and the next scripted reply answers the same request.
        failure: What the error body says; see `Reply.error`.
        headers: Added to, or in place of, the usual ones; None removes one.

    How it travels (all times in seconds):

    Args:
        delay: Waits before the head. *after_head*: between the head and the first byte of the body.
            *between*: between stream events. *drip*: after each single byte, from the head on or (default) in the body.
        cut: Closes after that many bytes of the body, before any framing; negative counts from the end.
        cut_head: Closes after that many bytes of the head.
        reset: Wherever this reply ends the connection, it is reset (RST) rather than closed (FIN). When nothing else
            ends it, the reset comes in place of the answer. As in life, of a long body what the client's side has not
            taken in by then is lost.
        garbage: Sent in place of an HTTP response; then the connection is closed.
        declared_length: The ``Content-Length`` that is claimed; the connection is closed after the body.
        framing: How the body ends; by default chunked for streams and by length otherwise.
        hang: Sends nothing until the client leaves.
        stall_after: Falls silent after that many stream events (a body that is no stream counts as one).
        close: Says ``Connection: close`` and closes.
        close_idle: Answers and keeps the connection, but drops the next request on it unanswered.
        content_encoding: Compresses the body. *truncate_gzip*: leaves out the trailer, while HTTP's framing is intact.
        content_type: In place of the usual one.
    """

    text: str | None = None
    chunks: tuple[str, ...] | None = field(default=None, kw_only=True, converter=as_pieces)
    pieces: int | None = field(default=None, kw_only=True, validator=validators.optional(validators.ge(1)))
    thinking: str | None = field(default=None, kw_only=True)
    tool_calls: tuple[ToolUse, ...] = field(default=(), kw_only=True, converter=as_tool_uses)
    finish_reason: str | None = field(default=None, kw_only=True)
    refusal: str | None = field(default=None, kw_only=True)
    usage: Mapping[str, Any] | None = field(default=None, kw_only=True)
    model: str | None = field(default=None, kw_only=True)
    id: str | None = field(default=None, kw_only=True)
    request_id: str | None = field(default=None, kw_only=True)
    raw: Any = field(default=None, kw_only=True)
    events: tuple[Event, ...] | None = field(default=None, kw_only=True, converter=as_events)
    status: int = field(default=200, kw_only=True, validator=[validators.ge(100), validators.le(999)])
    failure: Failure | None = field(default=None, kw_only=True)
    headers: Mapping[str, str | None] = field(factory=dict, kw_only=True)

    delay: float = field(default=0.0, kw_only=True, converter=float, validator=_seconds)
    after_head: float = field(default=0.0, kw_only=True, converter=float, validator=_seconds)
    between: float = field(default=0.0, kw_only=True, converter=float, validator=_seconds)
    drip: float = field(default=0.0, kw_only=True, converter=float, validator=_seconds)
    drip_from: Literal["head", "body"] = field(default="body", kw_only=True, validator=validators.in_(("head", "body")))
    cut: int | None = field(default=None, kw_only=True)
    cut_head: int | None = field(default=None, kw_only=True, validator=_count)
    reset: bool = field(default=False, kw_only=True)
    garbage: bytes | None = field(default=None, kw_only=True)
    declared_length: int | None = field(default=None, kw_only=True, validator=_count)
    framing: Literal["length", "chunked", "close"] | None = field(
        default=None, kw_only=True, validator=validators.in_(("length", "chunked", "close", None))
    )
    hang: bool = field(default=False, kw_only=True)
    stall_after: int | None = field(default=None, kw_only=True, validator=_count)
    close: bool = field(default=False, kw_only=True)
    close_idle: bool = field(default=False, kw_only=True)
    content_encoding: Literal["gzip", "deflate"] | None = field(
        default=None, kw_only=True, validator=validators.in_(("gzip", "deflate", None))
    )
    truncate_gzip: bool = field(default=False, kw_only=True)
    content_type: str | None = field(default=None, kw_only=True)

    @truncate_gzip.validator
    def _check_truncate_gzip(self, _attribute: object, value: bool) -> None:
        if value and self.content_encoding != "gzip":
            msg = "truncate_gzip=True needs content_encoding='gzip'."
            raise ValueError(msg)

    @classmethod
    def error(
        cls,
        status: int,
        *,
        code: str | int | None = None,
        type: str | None = None,
        message: str | None = None,
        param: str | None = None,
        retry_after: float | str | None = None,
        headers: Mapping[str, str | None] | None = None,
        body: Any = None,
    ) -> Reply:
        """
        Return an answer that refuses, in the error body of the provider that is asked.

        Args:
            status: The HTTP status; code, type and message that are not given follow from it.
            retry_after: The ``Retry-After`` header: seconds, or text as it is.
            body: Sent in place of the provider's error body: anything that JSON can say, or bytes.

        Add a fault with ``attrs.evolve(Reply.error(503), delay=0.1)``.
        """
        hint = {} if retry_after is None else {"retry-after": str(retry_after)}
        failure = Failure(code=code, type=type, message=message, param=param)
        return cls(status=status, failure=failure, headers={**hint, **(headers or {})}, raw=body)

    @property
    def says_something(self) -> bool:
        """Whether the answer is written out here; otherwise the wire gives its own."""
        return bool(self.text is not None or self.chunks is not None or self.thinking or self.tool_calls or self.refusal is not None)

    @property
    def fails(self) -> bool:
        """Whether the answer is an error body."""
        return self.failure is not None or self.status >= 400


@frozen(kw_only=True)
class RecordedRequest:
    """A request as it arrived."""

    method: str
    path: str
    """The whole path, without the query."""
    provider: str
    """The first segment of the path."""
    endpoint: str
    """The path behind the provider's name."""
    query_string: str = ""
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    """Names in lower case; a repeated header is joined with a comma."""
    body: bytes = field(default=b"", repr=False)
    key: str | None = field(default=None, repr=False)
    """The credential received."""
    connection: int = 0
    """The number of the connection, counted from 1 in the order of acceptance."""
    at: float = 0.0
    """When the request was complete, on ``time.monotonic()``."""
    version: str = "HTTP/1.1"
    persistent: bool = True
    """Whether the client means to send more on the connection."""

    @cached_property
    def json(self) -> Any:
        """
        The body, decoded.

        Raises:
            ValueError: If the body is not JSON.
        """
        return json.loads(self.body)

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the query; of a repeated one, the last."""
        return dict(parse_qsl(self.query_string, keep_blank_values=True))


Script = Reply | Callable[[RecordedRequest], Reply | str]
"""A reply, or what makes one, or its text, from the request."""


def as_script(given: object) -> Script:
    """Return *given*, an entry of a server's script. Raises ``ConfigurationError`` if it is neither text nor a reply nor makes one."""
    if isinstance(given, str):
        return Reply(given)
    if isinstance(given, Reply) or (callable(given) and not isinstance(given, type)):
        return given
    msg = f"A reply is a Reply, text, or a function that makes a Reply of the request, not {given!r}."
    raise ConfigurationError(msg)

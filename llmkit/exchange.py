"""
One attempt at one endpoint, without I/O.

A client does::

    with call.attempt() as exchange:
        exchange.read(transport.send(exchange.http, timeout=exchange.timeout))
    return exchange.result()

and for a stream ``open`` and ``take`` in place of ``read``. Whatever happens inside the ``with`` is told to the policies exactly once:
the breaker's permit and the key's lease are back when it is left, also by cancellation, ``KeyboardInterrupt`` or garbage collection.
A failure is held back by the ``with`` and raised by ``result()``, outside of any handler, so that no library's exception hangs on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from attrs import evolve

from llmkit.cancelling import cancelled
from llmkit.dialects.base import WireError
from llmkit.errors import ConfigurationError
from llmkit.failing import Failure
from llmkit.holdings import Holdings, Outcome
from llmkit.models.ledger import Attempt
from llmkit.models.response import CompletionResponse
from llmkit.resilience.classify import classify, is_expired, rule_for
from llmkit.resilience.hints import retry_after
from llmkit.secrets import Headers, clean
from llmkit.transport.base import AsyncByteStream, ByteStream, HttpRequest, HttpResponse, Timeout, TransportError

if TYPE_CHECKING:
    from llmkit.call import Call
    from llmkit.dialects.base import StreamDecoder
    from llmkit.models.chunk import CompletionChunk
    from llmkit.models.fault import Fault
    from llmkit.providers.local import LocalProvider
    from llmkit.resilience.tickets import Admission

__all__ = ["Exchange"]

Answer = TypeVar("Answer")
Way = TypeVar("Way")

CONNECT_TIMEOUT = 5.0  # seconds for DNS, TCP and TLS together; what the official openai package allows


class Exchange(Generic[Answer]):
    """One attempt. See the module's docstring for its use."""

    def __init__(self, call: Call[Answer], http: HttpRequest) -> None:
        self.call = call
        self.http = http
        self.ready: list[CompletionChunk] = []  # chunks not given out yet
        self.begun = False  # whether content has come
        self.ended = False  # whether the stream has all it needs
        self.stream: ByteStream | None = None
        self.astream: AsyncByteStream | None = None
        self.pieces: Any = None  # the one iterator over the stream's bytes
        self._answer: Answer | None = None
        self._raised: BaseException | None = None
        self._holdings = Holdings(call)
        self._response: HttpResponse | None = None
        self._decoder: StreamDecoder | None = None
        self._held: WireError | None = None  # until the chunks before it are given out
        self._settled = False
        self._started = 0.0
        self._at = 0.0
        self._asked = 0.0  # when bytes were last asked for
        self._silence = 0.0  # seconds waited since the last content
        self._shown: float | None = None  # when the first content came
        self._bound = "deadline"  # what it means when the time allowed to the transport is over
        self._reached: tuple[float | None, float | None] = None, None  # connect and first byte, where no reply came

    # -- the beginning

    def begin(self, ticket: Admission | None = None) -> None:
        """
        Take what the attempt needs, and put the credential on the request. *ticket* is the limiter's.

        Raises:
            CircuitOpenError: If the endpoint is left alone.
            NoAvailableKeyError: If no key can be used now.
            Held: If the key's limit, by what the provider said, is nearly used up.
            BudgetExceededError: If less is left than it may cost.
        """
        credential = self._holdings.take(self.http, ticket)
        if credential:
            if self._holdings.key is None:
                self.call.credentials |= Headers(credential).credentials()
            headers = self.http.headers.copy()
            headers.update(credential)
            self.http = HttpRequest(
                method=self.http.method, url=self.http.url, headers=headers, body=self.http.body, body_limit=self.http.body_limit
            )
        self._started = self.call.clock()
        self._at = time.time()

    @property
    def timeout(self) -> Timeout:
        """What the transport may take for this attempt."""
        call = self.call
        total = None if call.deadline is None else call.deadline.remaining()
        return Timeout(connect=min(CONNECT_TIMEOUT, call.timeout), read=call.timeout, total=total, cut=call.cut)

    def via(self, own: Way, local: Callable[[LocalProvider], Way]) -> Way:
        """Return what the request goes through: the client's *own* transport, or that which *local* makes for a provider in Python."""
        provider = self.call.endpoint.provider
        return own if provider.local is None else local(provider.local)

    # -- while it lasts

    def read(self, response: HttpResponse) -> None:
        """Take in the whole response."""
        self._arrived(response)
        self._succeed(self.call.job.decode(response))

    def open(self, response: HttpResponse) -> None:
        """Take in the head of a response whose body is streamed."""
        self._arrived(response)
        request = self.call.job.request
        assert request is not None  # only completions are streamed
        self._decoder = self.call.endpoint.dialect.decoder(response, request)
        self.stream, self.astream = response.stream, response.astream
        if self.stream is not None:
            self.pieces = iter(self.stream)
        elif self.astream is not None:
            self.pieces = self.astream.__aiter__()
        else:
            # A transport that does not stream has read the body already.
            self.ready.extend(self.take(response.body))
            if self._held is None:
                self.ready.extend(self.take(None))

    def take(self, data: bytes | None) -> list[CompletionChunk]:
        """Return the chunks that *data* brings; None says that no more bytes come."""
        decoder = self._decoder
        assert decoder is not None  # opened first
        if self.ended:
            return []
        try:
            chunks = decoder.finish() if data is None else decoder.feed(data)
        except WireError as error:
            if not error.chunks:
                raise
            # What came before the error in the same bytes is the consumer's first.
            chunks, self._held = error.chunks, error
        for chunk in chunks:
            if chunk.text or chunk.thinking or chunk.tool_call is not None:
                if not self.begun:
                    self.begun = True
                    self._shown = self.call.clock()
                self._silence = 0.0
                break
        else:
            # Pings and empty events are bytes, but no sign that the answer goes on.
            self._silence += self.call.clock() - self._asked
        if self._held is None and (data is None or decoder.ended):
            self.ended = True
            self._succeed(decoder.response())  # type: ignore[arg-type]  # a streaming job's answer is a CompletionResponse
        return chunks

    def patience(self) -> float:
        """
        Return for how many seconds the next bytes may be waited for. Time that the consumer takes counts for nothing.

        Raises:
            WireError: If the last bytes had an error behind what they brought.
        """
        if self._held is not None:
            raise self._held
        call = self.call
        self._asked = call.clock()
        left = call.idle_timeout - self._silence
        self._bound = "idle_timeout"
        if call.deadline is not None and (call.deadline_to_end or not self.begun) and call.deadline.remaining() <= left:
            left = call.deadline.remaining()
            self._bound = "deadline"
        return max(left, 0.0)

    def _arrived(self, response: HttpResponse) -> None:
        self._response = response
        is_good = 200 <= response.status < 300
        self._holdings.replied(response, refused=not is_good)
        if not is_good:
            raise WireError(self.call.endpoint.dialect.fault(response))

    # -- the end

    def __enter__(self) -> Exchange[Answer]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        if error is None:
            return False  # read to its end, or a stream that was opened and goes on
        if isinstance(error, TransportError) and self._is_complete_all_the_same():
            return True
        if self._response is not None:
            self._response.discard()
        if isinstance(error, TransportError) and self.call.cut.is_made:
            self._leave()
            self._raised = self.call.ended(self._cancelled())
            return True
        if isinstance(error, WireError):
            return self._fail(self._failure_of_fault(error.fault))
        if isinstance(error, TransportError):
            return self._fail(self._failure_of_transport(error))
        # Not the endpoint's doing: a cancel, an interrupt, a stream left early, a bug, an answer that is not what was asked for.
        self._leave()
        self.call.ended(error)
        return False

    def _cancelled(self) -> BaseException:
        """Return the native exception of what was cancelled."""
        if self.astream is not None:
            from asyncio import CancelledError

            return CancelledError()
        return cancelled()

    def check(self) -> None:
        """Raise what the attempt came to, if it failed."""
        raised, self._raised = self._raised, None
        if raised is not None:
            raise raised

    def result(self) -> Answer:
        """Return the answer, or raise what the attempt came to, or what is wrong with the answer."""
        self.check()
        assert self._answer is not None  # read, or streamed to its end
        return self.call.finished(self._answer)

    def _is_complete_all_the_same(self) -> bool:
        """Whether the connection broke only after the answer's proof of completeness had come."""
        if self._decoder is None or self.ended:
            return self.ended
        try:
            chunks = self.take(None)
        except WireError:
            return False
        self.ready.extend(chunks)
        if self._held is not None:
            return False  # what had come is the consumer's all the same
        if self._response is not None:
            self._response.discard()
        return True

    def _succeed(self, answer: Answer) -> None:
        self._answer = answer
        # Now, and not when it is asked for: it may be refused as not what was wanted, or the stream left at its last chunk.
        self.call.charge(answer)
        self._settle("success", answer)
        self.call.succeeded()

    def _leave(self) -> None:
        """End what somebody does not want any more. A stream that brought content before has shown that the endpoint works."""
        self._charge(self._partial())
        self._settle("success" if self.begun else "neutral", error="cancelled")

    def _fail(self, failure: Failure) -> bool:
        self._charge(failure.partial)
        self._settle(failure.rule.breaker, failure.partial, failure)
        self._raised = self.call.judge(failure)
        return True

    def _charge(self, partial: CompletionResponse | None) -> None:
        """Count what an attempt used that came to no answer, as far as the server had said it."""
        if partial is not None and not self._settled and partial.usage.reported:
            self.call.charge(partial)

    def _settle(self, outcome: Outcome, answer: object = None, failure: Failure | None = None, error: str | None = None) -> None:
        """Tell the policies and the ledger how it ended, and with what *answer*, or part of one; only the first word counts."""
        if self._settled:
            return
        self._settled = True
        self._holdings.give_back(outcome, failure, answer=answer, response=self._response, latency=self._latency(outcome))
        if failure is None or not failure.stale:
            self.call.note(self._entry(failure.kind if failure is not None else error, failure))

    def _latency(self, outcome: Outcome) -> float | None:
        """Return the seconds to the first content, or to a whole answer; None where there is neither."""
        if self._shown is not None:
            return self._shown - self._started
        return self.call.clock() - self._started if outcome == "success" else None

    def _entry(self, error: str | None, failure: Failure | None) -> Attempt:
        call, endpoint, response = self.call, self.call.endpoint, self._response
        connect, first_byte = (response.connect, response.first_byte) if response is not None else self._reached
        return Attempt(
            number=len(call.attempts) + 1,
            provider=endpoint.provider.name,
            model=endpoint.model,
            endpoint=endpoint.origin,
            key=self._holdings.key,
            status=response.status if response is not None else None,
            request_id=self._request_id(failure),
            error=error,
            wait=call.wait,
            why=call.why,
            at=self._at,
            connect=connect,
            first_byte=first_byte,
            elapsed=call.clock() - self._started,
        )

    def _request_id(self, failure: Failure | None) -> str | None:
        if failure is not None and failure.fault is not None and failure.fault.request_id is not None:
            return clean(failure.fault.request_id, self.call.secrets(), limit=200)
        answer = self._answer if failure is None else failure.partial
        return answer.request_id if isinstance(answer, CompletionResponse) else None

    # -- failures

    def _failure_of_fault(self, fault: Fault) -> Failure:
        kind = fault.kind or classify(fault)
        hint = None if fault.raised is None else fault.raised.retry_after
        if fault.status >= 300:
            hint = retry_after(fault.headers, fault.error, fault.message, now=time.time())
        return Failure(
            kind=kind,
            message=fault.message,
            rule=rule_for(kind, fault),
            fault=fault,
            hint=hint,
            begun=self.begun,
            concession=self.call.concession(fault) if not self.begun else None,
            renewed=(fault.status == 401 or is_expired(fault)) and not self.begun and self._renews(),
            partial=self._partial(),
        )

    def _renews(self) -> bool:
        renewable = self.call.endpoint.renewable
        return renewable is not None and self.call.first("token") and renewable.refused(self.http.headers)

    def _failure_of_transport(self, error: TransportError) -> Failure:
        call = self.call
        kind: str = error.kind
        if kind == "config":
            self._settle("neutral", error="config")
            raise call.ended(ConfigurationError(error.message, endpoint=call.endpoint.origin)) from None
        if kind == "expired":
            kind = self._bound
        self._reached = (error.connect, error.first_byte)
        rule = rule_for(kind, fatal=error.fatal, local=error.local)
        stale = error.reused and call.first("stale")
        if stale:
            rule = rule._replace(breaker="neutral")
        return Failure(kind=kind, message=error.message, rule=rule, begun=self.begun, stale=stale, partial=self._partial())

    def _partial(self) -> CompletionResponse | None:
        if self._decoder is None:
            return None
        return evolve(self._decoder.response(), provider=self.call.endpoint.provider.name)

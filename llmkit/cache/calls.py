"""
One call and a cache: what is looked up, what is kept, who waits for whom.

Rule 1: kept is what was asked of the endpoint that answered it, whole and as it should be: never an error, a part, a refusal, or an answer
        that another endpoint gave in its place, as a fallback or in a race.
Rule 2: whoever is to ask looks once more first, if anybody here has asked meanwhile: it may have been this, and have been kept.
Rule 3: a stream neither leads nor waits. It goes at its reader's pace, and who holds one may well ask the same question beside it.
Rule 4: nothing here waits; ``find``, ``again`` and ``keep`` may read and write, and an event loop has them done in a thread where the
        call ``blocks``.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from attrs import evolve

from llmkit.cache.key import Keys
from llmkit.cache.payload import dump, is_keepable, load
from llmkit.errors import AllProvidersFailedError, LLMKitError, StructuredOutputError
from llmkit.models.chunk import CompletionChunk, ToolCallDelta
from llmkit.models.content import Text, Thinking, ToolCall
from llmkit.models.response import CompletionResponse
from llmkit.resilience.classify import rule_for

if TYPE_CHECKING:
    from llmkit.cache.base import ResponseCache
    from llmkit.cache.flight import Seat
    from llmkit.call import Call

__all__ = ["CachedCall", "Caching"]

logger = logging.getLogger("llmkit.cache")

# Beyond what the circuit breaker counts: it counts neither itself nor the clock.
_NO_ANSWER = frozenset({"circuit_open", "deadline"})


class Caching:
    """What a client has for its cached calls."""

    def __init__(self, cache: ResponseCache) -> None:
        self.cache = cache
        self._keys: Keys | None = None

    def key_of(self, call: Call[CompletionResponse]) -> str | None:
        """Return the key of *call*, None where the cache cannot be used."""
        secret = self.cache.secret()
        if secret is None:
            return None
        keys = self._keys
        if keys is None or keys.secret is not secret:
            keys = self._keys = Keys(secret)
        return keys.key_of(call)


class CachedCall:
    """The dealings of one call with a cache."""

    __slots__ = ("_caching", "_endpoint", "_ends", "_key", "_stale", "cache", "call")

    def __init__(self, call: Call[CompletionResponse], caching: Caching) -> None:
        self.call = call
        self.cache = caching.cache
        self._caching = caching
        self._endpoint = call.endpoint
        self._key: str | None = None
        self._ends = 0  # of flights, before this call looked
        self._stale: bytes | None = None  # what will do where the endpoint is down

    @property
    def blocks(self) -> bool:
        """Whether ``find``, ``again`` and ``keep`` may wait for a disk, a network, or a credential that tells whose it is."""
        return self.cache.blocking or self.call.lacks_token

    def answer(self, send: Callable[[Call[CompletionResponse]], CompletionResponse]) -> CompletionResponse:
        """Return what the cache holds, else what another call has just asked for, else what *send* brings. (Its twin is in the twin.)"""
        found = self.find()
        if found is not None:
            return found
        woken = threading.Event()

        def wake() -> bool:
            woken.set()
            return True

        # Whoever this thread would wait for might be a task of the loop that it would stop.
        with self.boarded(None if _runs_a_loop() else wake) as seat:
            if seat.role == "waits":
                self.ends_by(woken.set)
                woken.wait(self.patience())
            found = self.again(seat)
            if found is not None:
                return found
            try:
                answer = send(self.call)
            except LLMKitError as error:
                found = self.rescue(error, seat)
                if found is None:
                    raise
                return found
            self.keep(answer, seat)
            return answer

    @staticmethod
    def replay(answer: CompletionResponse) -> Iterator[CompletionChunk]:
        """Yield *answer* as a stream would have brought it, in as few chunks as it has parts."""
        calls = 0
        for part in answer.message.content:
            if isinstance(part, Text) and part.text:
                yield CompletionChunk(text=part.text)
            elif isinstance(part, Thinking) and part.text:
                yield CompletionChunk(thinking=part.text)
            elif isinstance(part, ToolCall):
                text = part.text if part.text is not None else json.dumps(dict(part.arguments), ensure_ascii=False)
                yield CompletionChunk(tool_call=ToolCallDelta(calls, part.id, part.name, text))
                calls += 1
        yield CompletionChunk(finish_reason=answer.finish_reason, usage=answer.usage)

    def find(self) -> CompletionResponse | None:
        """Return the answer that is kept for this question, if there is one."""
        self._key = self._caching.key_of(self.call)
        self._ends = self.cache.flights.ends
        found = self._look()
        if found is None and self.call.job.request is not None and self.call.job.request.stream:
            self.cache.count_miss()  # it asks at once
        return self._told(found)

    @contextmanager
    def boarded(self, wake: Callable[[], bool] | None) -> Iterator[Seat]:
        """Lend a place among those who ask the same; without *wake* it does not wait for others."""
        # A cache that cannot be used has nothing to share, and the question no key: it is asked by each for itself.
        key = self._key if self._key is not None else f"lone {id(self)}"
        try:
            with self.cache.flights.board(key, wake) as seat:
                yield seat
        except BaseException as error:
            self.call.abandon(error)
            raise

    def ends_by(self, end: Callable[[], object]) -> None:
        """Take note that the call waits for another: *end* ends that, from whatever thread."""
        self.call.active.add(self.call)
        self.call.cut.arm(end)

    def again(self, seat: Seat) -> CompletionResponse | None:
        """Return what *seat* was served, or what has been kept meanwhile; None if this call is to ask."""
        if seat.role == "served" and seat.payload is not None:
            found = self._read(seat.payload)
        else:
            has_others = seat.role == "leads" and self.cache.flights.ends != self._ends
            found = self._look() if has_others else None
        if found is None and seat.role != "waits":  # else its time is over, and nothing will be sent
            self.cache.count_miss()
        return self._told(found)

    def keep(self, answer: CompletionResponse, seat: Seat | None = None) -> None:
        """Keep *answer*, which this call has brought, and give it to those who wait for *seat*; else let them go."""
        payload = self._dumped(answer)
        if payload is not None and self._key is not None:
            self.cache.put(self._key, payload)
        if seat is None:
            return
        if payload is None:
            seat.disband()
        else:
            seat.land(payload)

    def rescue(self, error: LLMKitError, seat: Seat | None = None) -> CompletionResponse | None:
        """Return an answer past its time in place of *error*, where that is asked for and the endpoint is down."""
        if self._stale is None or not _is_down(error):
            return None
        answer = self._read(self._stale, stale=True)
        if answer is not None:
            logger.warning("%s failed with %s; an answer past its time was given", self._endpoint.label, error.kind)
            if seat is not None:
                seat.land(self._stale)
        return answer

    def patience(self) -> float | None:
        """Return for how many seconds this call may wait for another; None for ever."""
        deadline = self.call.deadline
        return None if deadline is None else deadline.remaining()

    def _look(self) -> CompletionResponse | None:
        if self._key is None:
            return None
        kept = self.cache.get(self._key)
        if kept is None:
            return None
        if kept.stale:
            self._stale = kept.payload
            return None
        return self._read(kept.payload)

    def _read(self, payload: bytes, *, stale: bool = False) -> CompletionResponse | None:
        """Return the answer in *payload*; None where it holds none, or none that the caller's own type takes."""
        call = self.call
        try:
            answer, paid = load(payload, elapsed=call.clock() - call.started)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, it is no answer
            self.cache.complain(f"holds something else than an answer: {type(error).__name__}")
            if self._key is not None:
                self.cache.delete(self._key)
            return None
        shape = call.job.request.response_format if call.job.request is not None else None
        if shape is not None and not answer.tool_calls:
            from llmkit.structured import parse

            try:
                answer = evolve(answer, parsed=parse(shape, answer.text))
            except StructuredOutputError:
                return None
        self.cache.count_hit(answer.usage, paid, stale=stale)
        return answer

    def _told(self, answer: CompletionResponse | None) -> CompletionResponse | None:
        """Return *answer*; if there is one, the call is over, and whoever watches it is told."""
        if answer is not None:
            self.call.active.discard(self.call)
            if self.call.hooks:
                self.call.tell("call.end", response=answer)
        return answer

    def _is_of_its_endpoint(self, answer: CompletionResponse) -> bool:
        """Whether *answer* came from where this question was to go, and for the account that was to ask it."""
        endpoint = self._endpoint
        if self.call.endpoint is not endpoint:
            return False
        # The winner of a race is another call: its ledger tells where it was.
        labels = {row["label"] for row in endpoint.pool.snapshot()} if endpoint.pool is not None else {None}
        here = (endpoint.provider.name, endpoint.model, endpoint.origin)
        served = [each for each in answer.attempts if each.error is None]
        return all((each.provider, each.model, each.endpoint) == here and each.key in labels for each in served)

    def _dumped(self, answer: CompletionResponse) -> bytes | None:
        if not is_keepable(answer) or not self._is_of_its_endpoint(answer):
            return None
        try:
            return dump(answer)
        except (TypeError, ValueError, RecursionError) as error:
            self.cache.complain(f"cannot keep an answer that is no JSON: {type(error).__name__}")
            return None


def _is_down(error: LLMKitError) -> bool:
    """Whether *error* says that there was nobody to answer, rather than what is wrong with the question or the account."""
    if isinstance(error, AllProvidersFailedError):
        return any(_is_down(each) for each in error.errors)
    return error.kind in _NO_ANSWER or rule_for(error.kind).breaker == "failure"


def _runs_a_loop() -> bool:
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None

"""
How many calls of one piece of work keep their pace: what is refused for a while is asked again, later and more slowly, since the next
would meet the same.

Rule 1: what was never sent (the client's own limit is full, all keys rest, a breaker is open) looks again a moment later, by itself.
Rule 2: a provider that says that it is too much holds up all of them. Then they go one after the other: somewhat slower than answers had
        come, and with each answer a little faster, quickly up to where it was too much, slowly beyond that.
Rule 3: there is an end to it, sooner for those whose calls wait for less. What comes when nothing has been answered for ``PATIENCE`` times
        as long as a call waits for its retries, or one item has met ``ROUNDS`` times, is that item's error; and an endpoint that has not
        answered once is not waited for.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

from llmkit.cancelling import cancelled
from llmkit.errors import AllProvidersFailedError, LLMKitError
from llmkit.resilience.deadline import current_deadline

if TYPE_CHECKING:
    from llmkit.models.ledger import Attempt
    from llmkit.resilience.retry import RetryConfig

__all__ = ["GLANCE", "PATIENCE", "ROUNDS", "Tempo", "Turn"]

logger = logging.getLogger("llmkit.pacing")

PATIENCE = 30  # by default that makes three and a half minutes, longer than a breaker is open or a limit by the minute lasts
ROUNDS = 10
GLANCE = 0.25  # seconds until to look again, where that costs nothing
HOLD = 1.0  # seconds for which all are held up, where the provider does not say for how long

SLOWER = 0.7  # of the answers in a second that there were: botocore's adaptive mode, too, takes 0.7
QUICKLY, SLOWLY = 1.02, 1.002  # by how much an answer makes it faster, below and above what was too much
FIRST_GAP = 0.05  # seconds between two, where it was too much before there was an answer
LEAST_GAP = 0.001  # seconds below which there is no pace to keep


class Answered(Protocol):
    """An answer."""

    @property
    def attempts(self) -> tuple[Attempt, ...]: ...


Answer = TypeVar("Answer", bound=Answered)


class Tempo:
    """
    That of one piece of work, whose calls are tried again by *retry*. Safe to share between threads and tasks.

    *one_deadline*: the calls have it together, so that one for which the client's own limit leaves no time will not have it later.
    """

    def __init__(self, retry: RetryConfig | None, *, one_deadline: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self._longest_hint = 0.0 if retry is None else retry.retry_after_cap
        self._patience = 0.0 if retry is None else PATIENCE * retry.longest_wait
        self._hold = HOLD if retry is None else min(HOLD, retry.base_delay)
        self._queues = not one_deadline
        self._clock = clock
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._gap = 0.0  # seconds between two that are asked
        self._known_gap = 0.0  # that of the answers there had been when it was last too much
        self._next = -math.inf  # when the next may be asked
        self._held_until = -math.inf
        self._cut_at = clock()  # when it was last slowed down
        self._answers = 0  # since then
        self._has_answered = False
        self._in_vain_since: float | None = None  # when it was refused first, with no answer since

    def turn(self) -> Turn:
        """Return the turn of the next item."""
        return Turn(self)

    def leave(self) -> None:
        """Let nobody wait for its turn any more. Idempotent."""
        self._over.set()

    def asked(self, ask: Callable[[], Answer]) -> Answer:
        """
        Return what *ask* returns when it is its turn, asked again as long as that makes sense. Blocks.

        Raises:
            CancelledError: If the work was left before it was its turn.
            BaseException: What *ask* raises in the end.
        """
        turn = self.turn()
        while True:
            while wait := turn.wait():
                if self._over.wait(min(wait, GLANCE)):
                    raise cancelled()
            try:
                answer = ask()
            except LLMKitError as error:
                if not turn.again(error):
                    raise
            else:
                turn.answered(answer)
                return answer

    async def aasked(self, ask: Callable[[], Awaitable[Answer]], pause: Callable[[float], Awaitable[object]]) -> Answer:
        """The same for the twin; *pause* waits for seconds, and is cancelled when the work is left."""
        turn = self.turn()
        while True:
            while wait := turn.wait():
                await pause(min(wait, GLANCE))
            try:
                answer = await ask()
            except LLMKitError as error:
                if not turn.again(error):
                    raise
            else:
                turn.answered(answer)
                return answer

    # What follows is for turns.

    def _place(self, place: float) -> float:
        """Return when it is the turn of one that has *place*: a later one, if all have been held up since it got that."""
        if self._gap == 0.0:
            return max(place, self._held_until)
        with self._lock:
            if place != -math.inf and place >= self._held_until:
                return place
            place = max(self._clock(), self._next, self._held_until)
            self._next = place + self._gap
            return place

    def _answered(self, answer: Answered, began: float) -> None:
        now = self._clock()
        self._has_answered = True
        self._in_vain_since = None
        with self._lock:
            self._answers += 1
            if self._gap:
                self._gap /= QUICKLY if self._gap > self._known_gap else SLOWLY
                if self._gap < LEAST_GAP:
                    self._gap = 0.0
        if len(answer.attempts) > 1 and any(attempt.error == "rate_limit" for attempt in answer.attempts):
            self._slow_down(began, now)

    def _slow_down(self, began: float, now: float, hold: float = 0.0) -> None:
        with self._lock:
            if hold:
                self._held_until = max(self._held_until, now + hold)
            if began < self._cut_at:
                return  # it was under way when that was done
            if self._answers and now > self._cut_at:
                self._known_gap = (now - self._cut_at) / self._answers
                self._gap = max(self._gap, self._known_gap / SLOWER)
            else:
                self._gap = self._known_gap = min(2 * self._gap, HOLD) or FIRST_GAP
            self._cut_at, self._answers = now, 0
            self._next = max(now, self._held_until)
            gap = self._gap
        logger.warning("the provider wants fewer requests: it goes on in %.1f s, with %.3g a second", hold, 1 / gap)

    def _delay(self, error: LLMKitError) -> float | None:
        """Return the seconds until one that met *error* may be asked again; None if it is not to be."""
        if isinstance(error, AllProvidersFailedError):
            delays = [delay for each in error.errors if (delay := self._delay(each)) is not None]
            return min(delays, default=None)
        kind, wait = error.kind, error.retry_after
        if kind == "limiter" and error.retryable and self._queues:
            return GLANCE if wait is None else min(wait, GLANCE)
        if not self._has_answered or not self._patience:
            return None
        if kind == "rate_limit" and (wait or 0.0) <= self._longest_hint:
            delay = wait or self._hold
        elif wait is not None and (kind == "circuit_open" or (kind == "no_key" and wait <= self._patience)):
            delay = min(wait, GLANCE)  # a breaker that is being probed may close at any moment
        else:
            return None
        now = self._clock()
        if self._in_vain_since is None:
            self._in_vain_since = now
        return delay if now - self._in_vain_since < self._patience else None


class Turn:
    """That of one item: asked how long to wait for it, told how it ended."""

    __slots__ = ("_at", "_began", "_rounds", "_tempo")

    def __init__(self, tempo: Tempo) -> None:
        self._tempo = tempo
        self._rounds = 0  # in which it was refused
        self._at = -math.inf
        self._began = -math.inf

    def wait(self) -> float:
        """Return the seconds after which to look again; 0.0 if it is to be asked now."""
        tempo = self._tempo
        if tempo._gap == 0.0 and self._at == tempo._held_until == -math.inf:
            self._began = tempo._clock()
            return 0.0
        self._at = tempo._place(self._at)
        now = tempo._clock()
        if self._at <= now:
            self._began = now
            return 0.0
        return self._at - now

    def answered(self, answer: Answered) -> None:
        """It was answered."""
        self._tempo._answered(answer, self._began)

    def again(self, error: LLMKitError) -> bool:
        """It met *error*; return whether it is to be asked again, when ``wait`` says so."""
        tempo = self._tempo
        delay = tempo._delay(error)
        deadline = current_deadline()
        if delay is None or (deadline is not None and not deadline.allows(delay)):
            return False
        now = tempo._clock()
        if _is_too_much(error):
            self._rounds += 1
            if self._rounds == ROUNDS:
                return False
            tempo._slow_down(self._began, now, delay)
            self._at = -math.inf
        else:
            self._at = now + delay
        return True


def _is_too_much(error: LLMKitError) -> bool:
    if isinstance(error, AllProvidersFailedError):
        return all(_is_too_much(each) for each in error.errors)
    return error.kind == "rate_limit"

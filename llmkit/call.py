"""
One call, from the user's request to its end: what is asked, where it may go, how long it may take, what was tried.

Rule 1: every decision after a failure is made here, in ``judge``, and nowhere else.
Rule 2: nothing here sleeps, reads a socket, or knows whether it is awaited.
Rule 3: a call is at one endpoint at a time; it goes on to the next when it is done with one, and never comes back.
"""

from __future__ import annotations

import itertools
import logging
import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from attrs import define, evolve, field, frozen

from llmkit.cancelling import Cancellable, Cut, cancelled
from llmkit.errors import CircuitOpenError, ConfigurationError, LLMKitError, NoAvailableKeyError, RateLimitTimeoutError, SharedStateError
from llmkit.exchange import Exchange
from llmkit.failing import Failure, all_failed, error_of, too_late
from llmkit.holdings import Held
from llmkit.hooks import Hooks
from llmkit.models.ledger import Attempt
from llmkit.models.request import CompletionRequest
from llmkit.resilience.backing import Again
from llmkit.resilience.budget import Budget, Reservation, reserve
from llmkit.resilience.deadline import Deadline
from llmkit.resilience.retry import RetryConfig

if TYPE_CHECKING:
    from llmkit.cache.calls import Caching
    from llmkit.dialects.base import Place
    from llmkit.endpoints import Endpoint
    from llmkit.events import EventName
    from llmkit.mending import Mending
    from llmkit.metering import Tracker
    from llmkit.models.fault import Fault
    from llmkit.models.usage import Usage
    from llmkit.resilience.hedge import HedgePolicy
    from llmkit.resilience.tickets import Admission
    from llmkit.structured import Growth
    from llmkit.transport.base import HttpRequest, HttpResponse

__all__ = ["Call", "Job", "Other"]

logger = logging.getLogger("llmkit.call")
# A library is silent unless its user sets logging up.
logging.getLogger("llmkit").addHandler(logging.NullHandler())

MAX_ATTEMPTS = 8  # in one call over all keys and endpoints, unless more retries were asked for: a bound on what its parts multiply to

USUAL_ANSWER = 512  # tokens that an answer is foreseen to have, where no max_tokens is said; what it did have corrects it

BYTES_PER_TOKEN = 4  # of a request's JSON, roughly
LONG_BODY = 200_000  # bytes

Answer = TypeVar("Answer")

_numbers = itertools.count(1)


@frozen(kw_only=True, eq=False, repr=False)
class Job(Generic[Answer]):
    """What is to be done at an endpoint: how its request is written and its reply is read."""

    encode: Callable[[Place], HttpRequest]
    decode: Callable[[HttpResponse], Answer]
    finish: Callable[[Answer, Call[Any]], Answer]  # puts the call's own facts on an answer
    charge: Callable[[Any, Call[Any]], None] | None = None  # counts what an answer, or a part of one, used and cost
    foresee: Callable[[Endpoint], Usage] | None = None  # what it will use, about; None where nothing is charged
    request: CompletionRequest | None = None


@frozen(kw_only=True, eq=False, repr=False)
class Other(Generic[Answer]):
    """
    Another endpoint where the same may be asked.

    ``job`` makes what is to be done there, and raises ``LLMKitError`` if it cannot be done there; ``on`` are kinds of failure after
    which it is asked beside those that say so themselves.
    """

    endpoint: Endpoint
    job: Callable[[], Job[Answer]]
    on: frozenset[str] = frozenset()

    def takes(self, kind: str, allowed: bool, before: Endpoint) -> bool:
        """Whether it is asked after a failure of *kind* at *before*; *allowed*: whether that kind moves a call by itself."""
        if kind in self.on:
            return True
        if kind != "context_length":
            return allowed
        # What was too long there is too long here, unless this window is known to be the larger.
        return (self.endpoint.context_window or 0) > (before.context_window or float("inf"))


@define(kw_only=True, eq=False, repr=False)
class Call(Generic[Answer]):
    """
    The state of one call.

    ``others`` are the endpoints to go on to, in order. ``deadline`` covers everything, a stream only to its first content unless
    ``deadline_to_end``. ``timeout`` and ``idle_timeout`` are seconds. ``clock`` is monotonic, ``chance`` gives numbers from 0 to 1.
    ``active`` is where those calls are noted that ``cancel_all`` would end.
    """

    job: Job[Answer]
    endpoint: Endpoint
    policy: RetryConfig | None
    deadline: Deadline | None
    others: list[Other[Answer]] = field(factory=list)
    deadline_to_end: bool = False
    timeout: float = 60.0
    idle_timeout: float = 300.0
    hedging: HedgePolicy | None = None
    hedge_after: float | None = None  # seconds
    rival_to: int | None = None  # the number of the call that it races with: to those who watch the two are one
    hooks: Hooks = field(factory=Hooks)
    active: set[Cancellable] = field(factory=set)
    trackers: tuple[Tracker, ...] = ()  # that count what it uses
    budgets: tuple[Budget, ...] = ()  # that bound what it may cost
    caching: Caching | None = None  # the client's, where this call may use it
    reserving: Callable[..., Reservation] = reserve  # how something is set aside in them
    mending: Mending | None = None  # how an answer that does not fit is asked for once more
    clock: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random
    number: int = field(init=False)
    started: float = field(init=False)
    attempts: list[Attempt] = field(factory=list, init=False)
    cut: Cut = field(factory=Cut, init=False)
    refused_keys: frozenset[str] = field(default=frozenset(), init=False)
    credentials: frozenset[str] = field(default=frozenset(), init=False)  # sent by an ``auth=`` of the user's
    last: LLMKitError | None = field(default=None, init=False)  # the last real failure at this endpoint
    given_up: list[LLMKitError] = field(factory=list, init=False)  # why, for each endpoint that the call is done with
    racing: bool = field(default=False, init=False)  # as long as it is, how it ends is not the end of the call
    wait: float = field(default=0.0, init=False)  # before the next attempt, and why
    why: str | None = field(default=None, init=False)
    _http: HttpRequest | None = field(default=None, init=False)
    _left_out: frozenset[str] = field(default=frozenset(), init=False)  # of the request, since the server was found not to take it
    _failures: int = field(default=0, init=False)  # at this endpoint, that count against max_retries
    _once: frozenset[str] = field(default=frozenset(), init=False)  # what has had its one second chance
    _spent: int | None = field(default=None, init=False)  # of the retry quota, by the last retry
    _ticket: Admission | None = field(default=None, init=False)  # of the limiter, until an attempt has it
    _queued: float = field(default=0.0, init=False)
    _foreseen: int | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.started = self.clock()
        self.number = next(_numbers) if self.rival_to is None else self.rival_to
        if self.hooks and self.rival_to is None:
            self.tell("call.start")

    def tell(self, name: EventName, **facts: Any) -> None:
        """Tell the hooks what happened. Ask whether there are any first."""
        from llmkit.events import Event

        endpoint = self.endpoint
        self.hooks.tell(
            Event(name=name, call=self.number, provider=endpoint.provider.name, model=endpoint.model, endpoint=endpoint.origin, **facts)
        )

    # -- cancelling

    def rival(self) -> Call[Answer] | None:
        """Return the same call once more, to race with this one: at the next endpoint where there is one. None if it has no leave."""
        if self.hedging is None or not self.hedging.may_send():
            return None
        endpoint, job, others = self.endpoint, self.job, list(self.others)
        if others and others[0].endpoint.is_let_through:
            endpoint, job = others[0].endpoint, others[0].job()
            del others[0]
        if self.hooks:
            self.tell("hedge", wait=self.hedge_after, why=f"at {endpoint.label}")
        rival = evolve(self, endpoint=endpoint, job=job, others=others, hedge_after=None, rival_to=self.number)
        rival.started, rival.racing = self.started, True
        rival.wait, rival.why = self.hedge_after or 0.0, "hedge: the first had not begun to answer"
        return rival

    def decided(self, result: object = None, error: BaseException | None = None) -> None:
        """Take note how the race ended: with this one's *result*, or, as nobody won, with *error*."""
        self.racing = False
        # Of a stream that was opened the end is still to come.
        if self.hooks and not isinstance(result, Exchange):
            self.tell("call.end", response=result, error=error)

    @staticmethod
    def discard(result: object) -> None:
        """Close what a race left over: the answer of the one that lost."""
        if isinstance(result, Exchange):
            lost = GeneratorExit()
            result.__exit__(GeneratorExit, lost, None)

    def cancel(self) -> None:
        """End the call from another thread, whatever it is doing."""
        self.cut.now()

    # -- before an attempt

    @property
    def blocks(self) -> bool:
        """Whether ``attempt`` may wait for a network: an event loop has it done in a thread. What follows an attempt never does."""
        return self.endpoint.board is not None

    @property
    def lacks_token(self) -> bool:
        """Whether the credential has to be fetched over the network first: an event loop has ``fetch_token`` done in a thread."""
        renewable = self.endpoint.renewable
        return renewable is not None and not renewable.is_fresh

    def fetch_token(self) -> None:
        """Fetch the credential. Blocks."""
        if self.endpoint.renewable is not None:
            self.endpoint.renewable.fetch()

    def attempt(self) -> Exchange[Answer]:
        """
        Return the next attempt, begun: its key is leased and its breaker's permit held.

        Raises:
            Again: If a key comes back soon enough to be waited for, or another endpoint is asked instead.
            LLMKitError: If there is to be no further attempt.
        """
        if self.cut.is_made:
            raise self.ended(cancelled())
        if self.deadline is not None and self.deadline.passed:
            raise self.ended(too_late(self))
        exchange = Exchange(self, self._encoded())
        self.active.add(self)
        try:
            self.endpoint.look()
            self._queue()
            exchange.begin(self._ticket)
            self._ticket = None
        except RateLimitTimeoutError as refusal:
            refusal.endpoint = self.endpoint.origin
            error: LLMKitError = self.last or refusal
        except CircuitOpenError as refusal:
            error = self._refused_by_breaker(refusal)
        except NoAvailableKeyError as refusal:
            error = self._without_key(refusal)
        except Held as held:
            raise self._again(self.wait + held.wait, "the provider's limit is nearly used up", pause=held.wait) from None
        except Again:
            raise
        except SharedStateError as refusal:
            refusal.attempts, refusal.original_error = tuple(self.attempts), self.last
            raise self.ended(refusal) from None
        except BaseException as other:
            self.ended(other)
            raise
        else:
            if self.hooks:
                self.tell("attempt.start")
            return exchange
        raise self._elsewhere(error.kind, error, allowed=True) or self.ended(self._summed_up(error))

    def _queue(self) -> None:
        """Take a ticket of the endpoint's limiter, and wait until it is granted. An endpoint that is left alone is not queued for."""
        limiter = self.endpoint.limiter
        if limiter is None or not self.endpoint.is_let_through:
            return
        left = None if self.deadline is None else self.deadline.remaining()
        ticket = self._ticket
        if ticket is None:
            ticket = self._ticket = limiter.enter(self.foreseen_tokens if self.endpoint.counts_tokens else 0, left)
            self._queued = self.clock()
        elif ticket.claim():
            self.wait, self.why = self.wait + self.clock() - self._queued, self.why or "the client's own limit"
        if not ticket.granted:
            raise Again(left, cut=self.cut, turn=ticket)

    def is_held(self, wait: float) -> bool:
        """Whether a wait of so many seconds is better than to be refused: where it does not fit, the provider has its say."""
        return self.policy is not None and self._fits(wait)

    @property
    def rough_tokens(self) -> float:
        """The same as ``foreseen_tokens`` from the mere length of the request: where a guess will do, at no cost."""
        if self.job.foresee is None:
            return 0.0
        length = len(self._encoded().body)
        if self.job.request is None:
            return length / BYTES_PER_TOKEN  # texts to embed, of which nothing comes back that counts
        if length > LONG_BODY:
            return self.foreseen_tokens  # pictures, perhaps, whose bytes say nothing
        asked = self.job.request.max_tokens
        return length / BYTES_PER_TOKEN + (USUAL_ANSWER if asked is None else asked)

    @property
    def foreseen_tokens(self) -> int:
        """About how many tokens an attempt will use: those of the request, and those that the answer may have."""
        if self._foreseen is None:
            self._foreseen = self.job.foresee(self.endpoint).total_tokens if self.job.foresee is not None else 0
        return self._foreseen

    def reserve(self) -> Reservation | None:
        """
        Set aside what the next attempt may cost, in every budget there is.

        Raises:
            BudgetExceededError: If there is not so much left.
            ConfigurationError: If nobody knows what it may cost.
        """
        if not self.budgets or self.job.foresee is None:
            return None
        endpoint = self.endpoint
        try:
            return self.reserving(endpoint.cost(self.job.foresee(endpoint)), self.budgets, what=endpoint.label)
        except LLMKitError as refusal:
            refusal.endpoint, refusal.attempts, refusal.original_error = endpoint.origin, tuple(self.attempts), self.last
            raise

    def _encoded(self) -> HttpRequest:
        # Written once: each attempt sends the same bytes, so that a provider's idempotency and our cache can rely on it.
        if self._http is None:
            place = self.endpoint.place
            self._left_out = place.refused
            self._http = self.job.encode(place)
            self.endpoint.finish_headers(self._http)
        return self._http

    def _refused_by_breaker(self, refusal: CircuitOpenError) -> LLMKitError:
        if self.last is not None:
            self.last.circuit_open = True
            return self.last
        refusal.endpoint = self.endpoint.origin
        return refusal

    def _without_key(self, refusal: NoAvailableKeyError) -> LLMKitError:
        """Wait for the first key to come back where that is worth it; else say what the last real failure was."""
        wait = refusal.retry_after
        if wait is not None and self.policy is not None and self._fits(wait):
            raise self._again(self.wait + wait, "every key was resting", pause=wait) from None
        if self.last is not None:
            return self.last
        refusal.endpoint = self.endpoint.origin
        return refusal

    def _fits(self, wait: float) -> bool:
        cap = self.policy.retry_after_cap if self.policy is not None else 0.0
        return wait <= cap and (self.deadline is None or self.deadline.allows(wait))

    # -- after an attempt

    def note(self, attempt: Attempt) -> None:
        """Enter *attempt* in the ledger."""
        self.attempts.append(attempt)
        self.wait, self.why = 0.0, None
        if self.hooks:
            self.tell("attempt.end", attempt=attempt)

    def charge(self, answer: Any) -> None:
        """Count what *answer*, or what there is of one, used and cost."""
        if self.job.charge is not None:
            self.job.charge(answer, self)

    def succeeded(self) -> None:
        """Take note that the call has its answer."""
        if self.endpoint.quota is not None:
            self.endpoint.quota.earn(self._spent)

    def finished(self, answer: Answer) -> Answer:
        """Return *answer* with the call's own facts on it, or raise what is wrong with it."""
        try:
            done = self.job.finish(answer, self)
        except LLMKitError as error:
            raise self.ended(error) from None
        self.active.discard(self)
        if self.hooks and not self.racing:
            self.tell("call.end", response=done)
        return done

    def ended(self, error: Any) -> Any:
        """Return *error*, with which the call ends, once the hooks know of it."""
        self._leave_queue()
        self.active.discard(self)
        if self.hooks and not self.racing:
            self.tell("call.end", error=error)
        return error

    def _leave_queue(self) -> None:
        ticket, self._ticket = self._ticket, None
        if ticket is not None:
            ticket.cancel()

    def abandon(self, error: BaseException) -> None:
        """Take note that the call is given up between two attempts, by *error*."""
        if self in self.active or self._ticket is not None:
            self.ended(error)

    def first(self, what: str) -> bool:
        """Whether *what* happens for the first time in this call; it then has had its one second chance."""
        if what in self._once:
            return False
        self._once |= {what}
        return True

    def concession(self, fault: Fault) -> str | None:
        """Return what to leave out from now on, since the server does not take it and the user did not ask for it."""
        if self.job.request is None:
            return None
        found = self.endpoint.dialect.concession(fault, self.job.request)
        # By what this request said, not by what is known of the server by now: another call may have found it out meanwhile.
        return found if found not in self._left_out else None

    def judge(self, failure: Failure) -> BaseException:
        """Return what is to be raised after *failure*: ``Again``, or the error that ends the call."""
        if failure.concession is not None:
            self.endpoint.refuses(failure.concession)
            self._http = None
            return self._again(0.0, f"the server does not take {failure.concession}")
        if failure.stale:
            # The connection had been closed while it lay idle: the server never saw this request.
            return self._again(0.0, "the kept connection was gone")
        error = self.last = error_of(self, failure)
        if failure.renewed:
            return self._again(0.0, "the token was refused, and another can be had")
        order = self._order(failure, error)
        if order is not None:
            logger.warning(
                "%s failed with %s; attempt %d follows in %.2f s", self.endpoint.label, failure.kind, len(self.attempts) + 1, order.wait
            )
            return order
        if failure.begun:
            return self.ended(error)  # type: ignore[no-any-return]  # what had come may not be followed by another model's text
        elsewhere = self._elsewhere(failure.kind, error, allowed=failure.rule.fallback)
        return elsewhere or self.ended(self._summed_up(error))

    def _order(self, failure: Failure, error: LLMKitError) -> Again | None:
        """Return the order to try again here, or None with the reason noted on *error*."""
        policy = self.policy
        if policy is None or policy.max_retries == 0 or failure.begun:
            return None
        # Each of the others is to have its turn.
        if len(self.attempts) >= max(MAX_ATTEMPTS, policy.max_retries + 1) - len(self.others):
            return None
        if failure.rule.key != "none" and self._has_another_key():
            return self._again(0.0, f"{failure.kind}: another key")
        if failure.rule.yields and self.others:
            return None
        if failure.rule.again == "no" or (failure.rule.again == "once" and not self.first(failure.kind)):
            wait_for_key = self._rest_of_another_key() if failure.rule.key != "none" else None
            return self._again(wait_for_key, f"{failure.kind}: another key") if wait_for_key is not None else None
        if failure.timed_out and not policy.retry_timeouts:
            return None
        self._failures += 1
        if self._failures > policy.max_retries:
            return None
        wait = policy.wait(self._failures, error.retry_after, self.chance)
        if self.deadline is not None and not self.deadline.allows(wait):
            wait = error.retry_after or wait  # without the jitter that was added to it
        if (error.retry_after or 0.0) > policy.retry_after_cap or not (self.deadline is None or self.deadline.allows(wait)):
            return None
        if not self.endpoint.is_let_through:
            error.circuit_open = True
            return None
        return self._paid(failure, error, wait)

    def _paid(self, failure: Failure, error: LLMKitError, wait: float) -> Again | None:
        """Pay for a retry out of the endpoint's quota, so that an outage is not multiplied."""
        if self.endpoint.quota is not None:
            self._spent = self.endpoint.quota.spend(failure.timed_out)
            if self._spent is None:
                error.retry_quota_exhausted = True
                return None
        return self._again(wait, failure.kind)

    def _again(self, wait: float, why: str, *, pause: float | None = None) -> Again:
        self.wait, self.why = wait, why
        if self.hooks:
            self.tell("retry", wait=wait, why=why)
        return Again(wait if pause is None else pause, cut=self.cut)

    def _has_another_key(self) -> bool:
        pool = self.endpoint.pool
        return pool is not None and len(pool) > 1 and pool.next_label(self.endpoint.model, self.refused_keys) is not None

    def _rest_of_another_key(self) -> float | None:
        """Return the seconds until a key comes back that was not refused in this call, if that is worth waiting for."""
        if self.endpoint.pool is None:
            return None
        waits = [
            float(row["retry_after"])
            for row in self.endpoint.pool.snapshot()
            if row["label"] not in self.refused_keys and row["retry_after"] is not None and self.endpoint.model not in row["denied_models"]
        ]
        return min(waits) if waits and self._fits(min(waits)) else None

    # -- from one endpoint to the next

    def _elsewhere(self, kind: str, error: LLMKitError, *, allowed: bool) -> Again | None:
        """
        Return the order to go on at the next endpoint that takes over after a failure of *kind*, or None where none does.

        *error* is why this one is given up; *allowed* whether such a failure moves a call by itself.
        """
        here = self.endpoint
        reasons = [error]
        while self.others:
            other = self.others.pop(0)
            if not other.takes(kind, allowed, here):
                continue
            try:
                job = other.job()
            except LLMKitError as refusal:
                refusal.endpoint = refusal.endpoint or other.endpoint.origin
                reasons.append(refusal)
                continue
            self.given_up += reasons
            self._move(other.endpoint, job)
            why = f"{kind} at {here.label}"
            logger.warning("%s failed with %s; going on at %s", here.label, kind, self.endpoint.label)
            self.wait, self.why = 0.0, why
            if self.hooks:
                self.tell("fallback", why=why)
            return Again(0.0, cut=self.cut)
        if len(reasons) > 1:
            self.given_up += reasons
        return None

    def _move(self, endpoint: Endpoint, job: Job[Answer]) -> None:
        self._leave_queue()
        self._foreseen = None
        self.endpoint, self.job = endpoint, job
        self.refused_keys = frozenset()
        self.last = None
        self._http = None
        self._failures = 0
        self._once = frozenset()
        self._spent = None

    def _summed_up(self, error: LLMKitError) -> LLMKitError:
        """Return *error*, or where the call had been elsewhere before, the error that tells of all."""
        if not self.given_up or error.kind == "deadline":
            return error
        return all_failed(self, self.given_up if error in self.given_up else [*self.given_up, error])

    # -- the answer as it grows

    def growth(self) -> Growth:
        """Return what makes instances of the answer while it grows. Raises ``ConfigurationError`` if no shape was asked for."""
        from llmkit.structured import Growth

        if self.job.request is None or self.job.request.response_format is None:
            msg = "partial() gives instances of response_format, and none was asked for."
            raise ConfigurationError(msg)
        return Growth(self.job.request.response_format)

    # -- what no text may show

    def secrets(self) -> tuple[str, ...]:
        """Return what no text may show: the keys, and what an ``auth=`` of the user's has sent."""
        return (*self.endpoint.secrets(), *self.credentials)

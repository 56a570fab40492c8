"""
One call, from the user's request to its end: what is asked, where it may go, how long it may take, what was tried.

Rule 1: every decision after a failure is made here, in ``judge``, and nowhere else.
Rule 2: nothing here sleeps, reads a socket, or knows whether it is awaited.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from attrs import define, field, frozen

from llmkit.errors import (
    CircuitOpenError,
    DeadlineExceededError,
    LLMKitError,
    NoAvailableKeyError,
    StreamInterruptedError,
    error_class,
)
from llmkit.exchange import Exchange
from llmkit.models.ledger import Attempt
from llmkit.models.request import CompletionRequest
from llmkit.resilience.backing import Again
from llmkit.resilience.deadline import Deadline
from llmkit.resilience.retry import RetryConfig
from llmkit.secrets import clean

if TYPE_CHECKING:
    from llmkit.dialects.base import Place
    from llmkit.endpoints import Endpoint
    from llmkit.exchange import Failure
    from llmkit.models.fault import Fault
    from llmkit.transport.base import HttpRequest, HttpResponse

__all__ = ["Call", "Job"]

logger = logging.getLogger("llmkit.call")
# A library is silent unless its user sets logging up.
logging.getLogger("llmkit").addHandler(logging.NullHandler())

MAX_ATTEMPTS = 8  # in one call over all keys and endpoints, unless more retries were asked for: a bound on what its parts multiply to

Answer = TypeVar("Answer")


@frozen(kw_only=True, eq=False, repr=False)
class Job(Generic[Answer]):
    """What is to be done at an endpoint: how its request is written and its reply is read."""

    encode: Callable[[Place], HttpRequest]
    decode: Callable[[HttpResponse], Answer]
    finish: Callable[[Answer, Call[Any]], Answer]  # puts the call's own facts on an answer
    request: CompletionRequest | None = None


@define(kw_only=True, eq=False, repr=False)
class Call(Generic[Answer]):
    """
    The state of one call.

    ``deadline`` covers everything, a stream only to its first content unless ``deadline_to_end``. ``timeout`` and ``idle_timeout``
    are seconds. ``clock`` is monotonic, ``chance`` gives numbers from 0 to 1.
    """

    job: Job[Answer]
    endpoint: Endpoint
    policy: RetryConfig | None
    deadline: Deadline | None
    deadline_to_end: bool = False
    timeout: float = 60.0
    idle_timeout: float = 300.0
    clock: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random
    started: float = field(init=False)
    attempts: list[Attempt] = field(factory=list, init=False)
    refused_keys: frozenset[str] = field(default=frozenset(), init=False)
    credentials: frozenset[str] = field(default=frozenset(), init=False)  # sent by an ``auth=`` of the user's
    _http: HttpRequest | None = field(default=None, init=False)
    _left_out: frozenset[str] = field(default=frozenset(), init=False)  # of the request, since the server was found not to take it
    _failures: int = field(default=0, init=False)  # that count against max_retries
    _once: frozenset[str] = field(default=frozenset(), init=False)  # what has had its one second chance
    _spent: int | None = field(default=None, init=False)  # of the retry quota, by the last retry
    _last: LLMKitError | None = field(default=None, init=False)
    wait: float = field(default=0.0, init=False)  # before the next attempt, and why
    why: str | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.started = self.clock()

    # -- before an attempt

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
            Again: If a key comes back soon enough to be waited for.
            LLMKitError: If there is to be no further attempt.
        """
        if self.deadline is not None and self.deadline.passed:
            raise self._too_late()
        exchange = Exchange(call=self, http=self._encoded())
        try:
            exchange.begin()
        except CircuitOpenError as refusal:
            error: LLMKitError = self._refused_by_breaker(refusal)
        except NoAvailableKeyError as refusal:
            error = self._without_key(refusal)
        else:
            return exchange
        raise error

    def _encoded(self) -> HttpRequest:
        # Written once: each attempt sends the same bytes, so that a provider's idempotency and our cache can rely on it.
        if self._http is None:
            place = self.endpoint.place
            self._left_out = place.refused
            self._http = self.job.encode(place)
            self.endpoint.finish_headers(self._http)
        return self._http

    def _refused_by_breaker(self, refusal: CircuitOpenError) -> LLMKitError:
        if self._last is not None:
            self._last.circuit_open = True
            return self._last
        refusal.endpoint = self.endpoint.origin
        return refusal

    def _without_key(self, refusal: NoAvailableKeyError) -> LLMKitError:
        """Wait for the first key to come back where that is worth it; else say what the last real failure was."""
        wait = refusal.retry_after
        if wait is not None and self.policy is not None and self._fits(wait):
            self.wait, self.why = self.wait + wait, "every key was resting"
            raise Again(wait) from None
        if self._last is not None:
            return self._last
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

    def succeeded(self) -> None:
        """Take note that the call has its answer."""
        if self.endpoint.quota is not None:
            self.endpoint.quota.earn(self._spent)

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

    def judge(self, failure: Failure) -> Exception:
        """Return what is to be raised after *failure*: ``Again``, or the error that ends the call."""
        if failure.concession is not None:
            self.endpoint.refuses(failure.concession)
            self._http = None
            return self._again(0.0, f"the server does not take {failure.concession}")
        if failure.stale:
            # The connection had been closed while it lay idle: the server never saw this request.
            return self._again(0.0, "the kept connection was gone")
        error = self._last = self.error_of(failure)
        if failure.renewed:
            return self._again(0.0, "the token was refused, and another can be had")
        order = self._order(failure, error)
        if order is None:
            return error
        logger.warning(
            "%s failed with %s; attempt %d follows in %.2f s", self.endpoint.label, failure.kind, len(self.attempts) + 1, order.wait
        )
        return order

    def _order(self, failure: Failure, error: LLMKitError) -> Again | None:
        """Return the order to try again, or None with the reason noted on *error*."""
        policy = self.policy
        if policy is None or policy.max_retries == 0 or failure.begun:
            return None
        if len(self.attempts) >= max(MAX_ATTEMPTS, policy.max_retries + 1):
            return None
        if failure.rule.key != "none" and self._has_another_key():
            return self._again(0.0, f"{failure.kind}: another key")
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
        if self.endpoint.breaker is not None and not self.endpoint.breaker.allows():
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

    def _again(self, wait: float, why: str) -> Again:
        self.wait, self.why = wait, why
        return Again(wait)

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

    # -- errors

    def secrets(self) -> tuple[str, ...]:
        """Return what no text may show: the keys, and what an ``auth=`` of the user's has sent."""
        return (*self.endpoint.secrets(), *self.credentials)

    def error_of(self, failure: Failure) -> LLMKitError:
        """Return *failure* as the error that a user sees; what came from outside is masked."""
        if failure.kind == "deadline":
            return self._too_late(failure)
        secrets = self.secrets()
        fault = failure.fault
        text = clean(failure.message, secrets, limit=1024)
        facts: dict[str, Any] = {
            "kind": failure.kind,
            "endpoint": self.endpoint.origin,
            "attempts": self.attempts,
            "retry_after": failure.hint,
            "maybe_billed": failure.rule.billed,
            "original_error": text,
        }
        cls = error_class(failure.kind)
        if failure.partial is not None and failure.kind in ("truncated", "connection_lost"):
            cls = StreamInterruptedError
        if fault is not None:
            facts.update(
                status_code=fault.status if fault.status else None,
                code=_short(fault.code, secrets),
                type=_short(fault.type, secrets),
                param=_short(fault.param, secrets),
                request_id=_short(fault.request_id, secrets),
                body=clean(fault.body, secrets) if fault.body else None,
            )
        if cls is StreamInterruptedError or (failure.begun and failure.partial is not None):
            facts["partial"] = failure.partial
        return _made(cls, self._headline(failure, text), facts, provider=self.endpoint.provider.name, model=self.endpoint.model)

    def _headline(self, failure: Failure, text: str) -> str:
        name = self.endpoint.provider.name
        fault = failure.fault
        if fault is None or fault.kind in ("malformed", "truncated"):
            return f"{name}: {text}" if text else f"{name}: {failure.kind}"
        word = clean(fault.code or fault.type or failure.kind, self.secrets(), limit=80)
        return f"{name} refused with {word}: {text}" if text else f"{name} refused with {word}"

    def _too_late(self, failure: Failure | None = None) -> DeadlineExceededError:
        spent = self.clock() - self.started
        cause = self._last
        after = f"; the last failure was: {cause.message}" if cause is not None else ""
        return DeadlineExceededError(
            f"{self.endpoint.provider.name}: the deadline passed after {spent:.2f} s{after}",
            partial=failure.partial if failure is not None else None,
            endpoint=self.endpoint.origin,
            attempts=self.attempts,
            original_error=cause,
            maybe_billed=failure is not None,
        )


def _short(word: str | None, secrets: tuple[str, ...]) -> str | None:
    return None if word is None else clean(word, secrets, limit=200)


def _made(cls: type[Any], message: str, facts: dict[str, Any], *, provider: str, model: str) -> LLMKitError:
    partial = facts.pop("partial", None)
    if cls is StreamInterruptedError:
        facts["partial"] = partial
    error: LLMKitError = cls(message, provider=provider, model=model, **facts)
    if partial is not None and cls is not StreamInterruptedError:
        error.partial = partial  # type: ignore[attr-defined]  # any error inside a stream carries what had come
    return error

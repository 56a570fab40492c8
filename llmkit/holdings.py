"""
What an attempt holds that is others' too: permits of the breakers, a key, a ticket of the limiter, money set aside, a place among what
the provider lets through.

Rule: all of it is given back, once, however the attempt ends, and whoever gave it is told how.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from llmkit.resilience.learned import standings

if TYPE_CHECKING:
    from llmkit.call import Call
    from llmkit.failing import Failure
    from llmkit.models.usage import Usage
    from llmkit.resilience.breaker import Permit
    from llmkit.resilience.budget import Reservation
    from llmkit.resilience.keys import Lease
    from llmkit.resilience.learned import Pace
    from llmkit.resilience.tickets import Admission
    from llmkit.transport.base import HttpRequest, HttpResponse

__all__ = ["Held", "Holdings", "Outcome"]

Outcome = Literal["success", "failure", "neutral"]

LIMITED: tuple[Literal["requests", "tokens"], ...] = ("requests", "tokens")
UNSENT = frozenset({"connect", "connect_timeout", "dns", "tls", "proxy"})  # before a byte of the request was on its way
UNREACHED = frozenset({"connect", "connect_timeout", "dns", "tls", "connection_lost"})  # that say something of all models at an address


class Held(Exception):
    """Not an error: the key has hardly anything left, by what the provider said, for ``wait`` seconds."""

    def __init__(self, wait: float) -> None:
        super().__init__(wait)
        self.wait = wait


class Holdings:
    """What one attempt of *call* holds."""

    __slots__ = ("_call", "_is_sent", "_lease", "_pace", "_permit", "_reservation", "_site_permit", "_ticket")

    def __init__(self, call: Call[Any]) -> None:
        self._call = call
        self._permit: Permit | None = None
        self._site_permit: Permit | None = None  # of the breaker that all models at the address share
        self._lease: Lease | None = None
        self._pace: Pace | None = None  # that is told how this ends
        self._reservation: Reservation | None = None  # of the budgets
        self._ticket: Admission | None = None
        self._is_sent = False

    @property
    def key(self) -> str | None:
        """The label of the key."""
        return None if self._lease is None else self._lease.label

    def take(self, http: HttpRequest, ticket: Admission | None) -> Mapping[str, str]:
        """
        Take what *http* needs at the call's endpoint, and return the headers of its credential. *ticket* is the limiter's.

        Raises:
            CircuitOpenError: If the endpoint is left alone.
            NoAvailableKeyError: If no key can be used now.
            Held: If the key's limit is nearly used up.
            BudgetExceededError: If less is left than this may cost.
        """
        call, endpoint = self._call, self._call.endpoint
        if endpoint.breaker is not None:
            self._permit = endpoint.breaker.acquire()
        try:
            if endpoint.site_breaker is not None:
                self._site_permit = endpoint.site_breaker.acquire()
            if endpoint.pool is not None:
                self._lease = endpoint.pool.acquire(endpoint.model, exclude=call.refused_keys)
            self._keep_pace()
            credential = endpoint.auth.headers(http, self._lease.key if self._lease is not None else None)
            self._reservation = call.reserve()
        except BaseException:
            self._give_back("neutral")
            raise
        if endpoint.traffic is not None:
            endpoint.traffic.begin()
        self._ticket = ticket
        self._is_sent = True
        return credential

    def _keep_pace(self) -> None:
        """Hold back where the provider has said that hardly anything is left for this key. Raises ``Held``."""
        call = self._call
        pace = call.endpoint.pace(self._lease.label if self._lease is not None else "")
        wait = pace.delay(call.rough_tokens)
        if wait > 0.0 and call.is_held(wait):
            raise Held(wait)
        if wait == 0.0:
            self._pace = pace

    def replied(self, response: HttpResponse, *, refused: bool) -> None:
        """The head of a reply is there: what it says of limits is told now, since at the end of a stream it is long out of date."""
        pace, self._pace = self._pace, None
        if pace is not None:
            pace.learn(response.headers, time.time(), self._call.rough_tokens, refused=refused)

    # -- giving back

    def give_back(
        self, outcome: Outcome, failure: Failure | None, *, answer: object, response: HttpResponse | None, latency: float | None
    ) -> None:
        """
        Give everything back.

        Args:
            outcome: What it says of the endpoint.
            failure: What went wrong, if anything did.
            answer: What came of it, or the part that did.
            response: The reply, where there was one.
            latency: Seconds to the first content, where there was any.
        """
        if self._lease is not None and failure is not None:
            self._mark_key(failure, self._lease)
        if self._ticket is not None:
            self._return_ticket(self._ticket, failure, answer)
        if self._reservation is not None:
            self._settle_reservation(self._reservation, failure, answer)
        self._give_back(outcome, None if failure is None else failure.kind, was_there=response is not None, latency=latency)

    def _give_back(self, outcome: Outcome, kind: str | None = None, *, was_there: bool = False, latency: float | None = None) -> None:
        if self._permit is not None:
            getattr(self._permit, outcome)()
        if self._site_permit is not None:
            # Whatever was answered, somebody was there to answer it.
            there = was_there or outcome == "success"
            of_site: Outcome = "success" if there else outcome if kind in UNREACHED else "neutral"
            getattr(self._site_permit, of_site)()
        if self._is_sent and self._call.endpoint.traffic is not None:
            self._call.endpoint.traffic.end(latency)
        pace, self._pace = self._pace, None
        if pace is not None:
            tell = pace.lost if self._is_sent else pace.unsent
            tell(self._call.rough_tokens)
        if self._lease is not None:
            if outcome == "success":
                self._lease.good(self._call.endpoint.model)
            self._lease.release()

    def _mark_key(self, failure: Failure, lease: Lease) -> None:
        action = failure.rule.key
        if action == "none":
            return
        pool = self._call.endpoint.pool
        # The only key there is stays in use: nothing could take its place, and whether it works again only asking can tell.
        lone = pool is not None and len(pool) == 1
        if action == "cool":
            if failure.hint is not None or not lone:
                lease.cool(failure.hint)
            return
        self._call.refused_keys |= {lease.label}
        if lone:
            return
        if action == "eject_model":
            lease.forbid(self._call.endpoint.model)
        else:
            lease.eject("auth" if action == "eject_auth" else "quota")

    def _return_ticket(self, ticket: Admission, failure: Failure | None, answer: object) -> None:
        if failure is not None and failure.kind in UNSENT:
            ticket.cancel()
            return
        ticket.sent()
        usage: Usage | None = getattr(answer, "usage", None)  # some answers are mere lists
        used = 0 if usage is None else usage.total_tokens
        refused = failure is not None and failure.fault is not None and 400 <= failure.fault.status < 500
        ticket.settle(used if used or refused else None)
        if failure is not None and failure.kind == "rate_limit":
            self._drain_limiter(failure)

    def _drain_limiter(self, failure: Failure) -> None:
        """The provider counts more than we do: where it says that nothing is left, nothing is left here."""
        limiter, fault = self._call.endpoint.limiter, failure.fault
        if limiter is None or fault is None:
            return
        told = {standing.dimension: standing for standing in standings(fault.headers, now=time.time())}
        for dimension in LIMITED:
            standing = told.get(dimension)
            if standing is not None and standing.remaining == 0:
                limiter.drained(dimension, failure.hint or standing.reset_in or 0.0)

    def _settle_reservation(self, reservation: Reservation, failure: Failure | None, answer: object) -> None:
        """Count what the attempt cost; one that came to nothing costs what it may be charged for, as told or as it was foreseen."""
        if failure is not None and not failure.begun and (failure.stale or not failure.rule.billed):
            reservation.release()
        else:
            reservation.settle(getattr(answer, "cost", None))

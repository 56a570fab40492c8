"""What a provider's batch has for an item, read as the answer of a call, or as the error that the call would have met."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llmkit.batch.items import BatchItem
from llmkit.dialects.base import WireError
from llmkit.errors import LLMKitError
from llmkit.failing import Failure, error_of
from llmkit.models.ledger import Attempt
from llmkit.resilience.classify import classify, rule_for

if TYPE_CHECKING:
    from llmkit.batch.wires.base import Outcome
    from llmkit.call import Call
    from llmkit.models.fault import Fault
    from llmkit.models.response import CompletionResponse
    from llmkit.resilience.budget import Reservation
    from llmkit.transport.base import HttpResponse

__all__ = ["item_of"]


def item_of(
    index: int, call: Call[CompletionResponse], outcome: Outcome | None, missing: Fault, reservation: Reservation | None
) -> BatchItem:
    """Return the item at *index*: what *call* has got from its batch, or *missing* where that has nothing for it."""
    try:
        answer = _answer(call, outcome, missing)
    except LLMKitError as error:
        if reservation is not None:
            reservation.release()  # what failed in a batch is not charged
        return BatchItem(index, None, error, error.attempts)
    call.charge(answer)
    if reservation is not None:
        reservation.settle(answer.cost)
    try:
        response = call.finished(answer)
    except LLMKitError as error:
        # An answer that does not fit is no answer, but paid for.
        return BatchItem(index, None, error, error.attempts)
    return BatchItem(index, response, None, response.attempts)


def _answer(call: Call[CompletionResponse], outcome: Outcome | None, missing: Fault) -> CompletionResponse:
    response = None if outcome is None else outcome.response
    try:
        answer = call.job.decode(_good(call, outcome, missing))
    except WireError as error:
        fault = error.fault
        kind = fault.kind or classify(fault)
        call.note(_attempt(call, response, kind))
        failure = Failure(kind=kind, message=fault.message, rule=rule_for(kind, fault), fault=fault)
        raise call.ended(error_of(call, failure)) from None
    call.note(_attempt(call, response, None))
    return answer


def _good(call: Call[CompletionResponse], outcome: Outcome | None, missing: Fault) -> HttpResponse:
    """Return the good reply that a batch has for *call*. Raises ``WireError`` if it has none."""
    if outcome is None or outcome.response is None:
        raise WireError(missing if outcome is None or outcome.fault is None else outcome.fault)
    if not 200 <= outcome.response.status < 300:
        raise WireError(call.endpoint.dialect.fault(outcome.response))
    return outcome.response


def _attempt(call: Call[Any], response: HttpResponse | None, error: str | None) -> Attempt:
    endpoint = call.endpoint
    headers: Mapping[str, str] = {} if response is None else response.headers
    return Attempt(
        number=1,
        provider=endpoint.provider.name,
        model=endpoint.model,
        endpoint=endpoint.origin,
        status=None if response is None else response.status,
        request_id=headers.get("x-request-id"),
        error=error,
        at=time.time(),
        why="in a batch at the provider",
    )

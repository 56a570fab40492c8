"""What went wrong in an attempt, and the error that its user sees: what came from outside is masked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen

from llmkit.errors import AllProvidersFailedError, DeadlineExceededError, LLMKitError, StreamInterruptedError, error_class
from llmkit.secrets import clean

if TYPE_CHECKING:
    from llmkit.call import Call
    from llmkit.models.fault import Fault
    from llmkit.models.response import CompletionResponse
    from llmkit.resilience.classify import Rule

__all__ = ["Failure", "all_failed", "error_of", "too_late"]

TIMED_OUT = frozenset({"connect_timeout", "read_timeout", "idle_timeout", "timeout"})


@frozen(kw_only=True, eq=False, repr=False)
class Failure:
    """
    What went wrong in an attempt, classed.

    ``begun``: content had already been given out, ``partial`` holds it. ``stale``: a kept connection turned out to be gone.
    ``concession``: what to leave out, since the server does not take it. ``hint``: seconds to wait, where the server said so.
    ``renewed``: the token was refused, and another can be had.
    """

    kind: str
    message: str
    rule: Rule
    fault: Fault | None = None
    hint: float | None = None
    begun: bool = False
    stale: bool = False
    concession: str | None = None
    renewed: bool = False
    partial: CompletionResponse | None = None

    @property
    def timed_out(self) -> bool:
        return self.kind in TIMED_OUT


def error_of(call: Call[Any], failure: Failure) -> LLMKitError:
    """Return *failure* of an attempt of *call* as an error."""
    if failure.kind == "deadline":
        return too_late(call, failure)
    secrets = call.secrets()
    fault = failure.fault
    if fault is not None and fault.raised is not None:
        return _noted(fault.raised, call, failure)
    text = clean(failure.message, secrets, limit=1024)
    facts: dict[str, Any] = {
        "kind": failure.kind,
        "endpoint": call.endpoint.origin,
        "attempts": call.attempts,
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
    return _made(cls, _headline(call, failure, text), facts, provider=call.endpoint.provider.name, model=call.endpoint.model)


def _noted(error: LLMKitError, call: Call[Any], failure: Failure) -> LLMKitError:
    """Return *error*, which a provider in Python raised, with the facts of the call."""
    error.attempts = tuple(call.attempts)
    error.endpoint = error.endpoint or call.endpoint.origin
    if failure.begun:
        error.partial = failure.partial  # type: ignore[attr-defined]  # any error inside a stream carries what had come
    return error


def too_late(call: Call[Any], failure: Failure | None = None) -> DeadlineExceededError:
    """Return the error of a deadline that passed; its cause is the last real failure."""
    spent = call.clock() - call.started
    cause = call.last or (call.given_up[-1] if call.given_up else None)
    after = f"; the last failure was: {cause.message}" if cause is not None else ""
    return DeadlineExceededError(
        f"{call.endpoint.provider.name}: the deadline passed after {spent:.2f} s{after}",
        partial=failure.partial if failure is not None else None,
        endpoint=call.endpoint.origin,
        attempts=call.attempts,
        original_error=cause,
        maybe_billed=failure is not None,
    )


def all_failed(call: Call[Any], errors: Sequence[LLMKitError]) -> AllProvidersFailedError:
    """Return the error of a call that was given up at one endpoint after the other, for *errors*, the last of each."""
    said = "; ".join(error.message for error in errors)
    waits = [error.retry_after for error in errors if error.retry_after is not None]
    return AllProvidersFailedError(
        f"None of {len(errors)} endpoints answered: {said}",
        errors,
        kind=errors[-1].kind,
        retryable=any(error.retryable for error in errors),
        attempts=call.attempts,
        retry_after=min(waits) if waits else None,
        maybe_billed=any(error.maybe_billed for error in errors),
        original_error=errors[-1],
    )


def _headline(call: Call[Any], failure: Failure, text: str) -> str:
    name = call.endpoint.provider.name
    fault = failure.fault
    if fault is None or fault.kind in ("malformed", "truncated", "protocol"):
        return f"{name}: {text}" if text else f"{name}: {failure.kind}"
    word = clean(fault.code or fault.type or failure.kind, call.secrets(), limit=80)
    what = "failed" if fault.status >= 500 else "refused"
    return f"{name} {what} with {word}: {text}" if text else f"{name} {what} with {word}"


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

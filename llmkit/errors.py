"""
The tree of errors, each with the facts a decision needs.

LLMKitError
├── ConfigurationError · UnsupportedParameterError · BudgetExceededError · DeadlineExceededError
├── CircuitOpenError · RateLimitTimeoutError · NoAvailableKeyError · AllProvidersFailedError · SharedStateError
├── StructuredOutputError · ToolExecutionError · ToolLoopLimitError · RetrieverError
├── BatchError · CheckpointError
└── ProviderError
    ├── AuthenticationError · PermissionDeniedError · ModelNotFoundError
    ├── InvalidRequestError ── ContextWindowExceededError · ContentFilterError
    ├── RateLimitError ── QuotaExceededError
    ├── NetworkError ── RequestTimeoutError · StreamInterruptedError
    ├── InternalError ── OverloadedError
    └── MalformedResponseError

Rule 1: decide on attributes (``kind``, ``retryable``, ``status_code``, ``code``, ``retry_after``), never on the text.
Rule 2: time-outs are also ``TimeoutError``, connection errors ``ConnectionError``, bad configuration ``ValueError``, so that handlers
        which know nothing of llmkit work.
Rule 3: no text here holds a key: what comes from outside is cleaned before it comes in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llmkit.kinds import KINDS, ErrorCategory

if TYPE_CHECKING:
    from llmkit.loop.results import RunResult
    from llmkit.models.ledger import Attempt
    from llmkit.models.response import CompletionResponse

__all__ = [
    "KINDS",
    "AllProvidersFailedError",
    "AuthenticationError",
    "BatchError",
    "BudgetExceededError",
    "CheckpointError",
    "CircuitOpenError",
    "ConfigurationError",
    "ContentFilterError",
    "ContextWindowExceededError",
    "DeadlineExceededError",
    "ErrorCategory",
    "InternalError",
    "InvalidRequestError",
    "LLMKitError",
    "MalformedResponseError",
    "ModelNotFoundError",
    "NetworkError",
    "NoAvailableKeyError",
    "OverloadedError",
    "PermissionDeniedError",
    "ProviderError",
    "QuotaExceededError",
    "RateLimitError",
    "RateLimitTimeoutError",
    "RequestTimeoutError",
    "RetrieverError",
    "SharedStateError",
    "StreamInterruptedError",
    "StructuredOutputError",
    "ToolExecutionError",
    "ToolLoopLimitError",
    "UnsupportedParameterError",
    "error_class",
]


class LLMKitError(Exception):
    """
    Anything that llmkit raises.

    ``message`` says what happened; ``kind`` and ``category`` class it; ``retryable`` whether the same request may succeed later;
    ``metadata`` holds whatever else is known, of a work in many parts how many were ``done``, of what ``total``, and whether they are
    ``kept``; ``original_error`` the cause, masked; ``attempts`` the ledger of the call; ``endpoint``
    scheme, host and port; ``retry_after`` seconds, where they are known; ``maybe_billed`` that the provider may charge for it all the
    same; ``circuit_open`` and ``retry_quota_exhausted`` why no further attempt was made; ``run`` what a run of several steps had come to
    when it ended with this error: its transcript, its steps, what it used and cost.
    """

    default_kind = "unknown"

    def __init__(
        self,
        message: str = "",
        category: ErrorCategory | str | None = None,
        retryable: bool | None = None,
        metadata: Mapping[str, Any] | None = None,
        original_error: BaseException | str | None = None,
        *,
        kind: str | None = None,
        endpoint: str | None = None,
        attempts: Sequence[Attempt] = (),
        retry_after: float | None = None,
        maybe_billed: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind or self.default_kind
        known = KINDS.get(self.kind, KINDS["unknown"])
        self.category = known.category if category is None else ErrorCategory(category)
        self.retryable = known.retryable if retryable is None else retryable
        self.metadata = dict(metadata or {})
        self.original_error = original_error
        self.endpoint = endpoint
        self.attempts = tuple(attempts)
        self.retry_after = retry_after
        self.maybe_billed = maybe_billed
        self.circuit_open = False
        self.retry_quota_exhausted = False
        self.run: RunResult | None = None

    @property
    def advice(self) -> str:
        """What to do about it, in a sentence."""
        known = KINDS.get(self.kind)
        if known is None:
            return ""
        wait = "a while" if self.retry_after is None else f"{self.retry_after:.3g} s (error.retry_after)"
        return known.advice.replace("{wait}", wait)

    def __str__(self) -> str:
        return "\n".join(line for line in (self._headline(), self._history(), self._so_far(), self.advice) if line)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._headline()!r})"

    def _headline(self) -> str:
        return self.message if self.endpoint is None else f"{self.message} [{self.endpoint}]"

    def _history(self) -> str:
        """Return the ledger in one line: a long one is cut in its middle."""
        if not self.attempts:
            return ""
        several = len({(attempt.provider, attempt.endpoint) for attempt in self.attempts}) > 1
        tries = [f"{attempt.provider}: {attempt.brief()}" if several else attempt.brief() for attempt in self.attempts]
        if len(tries) > 6:
            tries[3:-3] = ["…"]
        note = ""
        if self.circuit_open:
            note = " No further attempt: the circuit breaker opened."
        elif self.retry_quota_exhausted:
            note = " No further attempt: the retry quota of this endpoint is spent."
        count = len(self.attempts)
        return f"{count} attempt{'s' if count != 1 else ''}: {'; '.join(tries)}.{note}"

    def _so_far(self) -> str:
        """Return what there is of a work in many parts that this error has ended."""
        done, total = self.metadata.get("done"), self.metadata.get("total")
        if not done:
            return ""
        if self.metadata.get("kept"):
            return f"{done} of {total} are done and kept: the same call goes on from there."
        return f"{done} of {total} were done, and are lost: checkpoint= would have kept them."

    def to_dict(self) -> dict[str, Any]:
        """Return the error's facts as plain JSON-able values, without a key in them."""
        return {
            "type": type(self).__name__,
            "message": self.message,
            "kind": self.kind,
            "category": self.category.value,
            "retryable": self.retryable,
            "metadata": dict(self.metadata),
            "original_error": None if self.original_error is None else str(self.original_error),
            "endpoint": self.endpoint,
            "retry_after": self.retry_after,
            "maybe_billed": self.maybe_billed,
            "circuit_open": self.circuit_open,
            "retry_quota_exhausted": self.retry_quota_exhausted,
            "attempts": [attempt.to_dict() for attempt in self.attempts],
        }

    def __reduce__(self) -> tuple[Any, ...]:
        # Built without __init__, whose parameters differ between classes; the facts travel as the instance's own dict.
        return _restore, (type(self), self.args), self.__dict__


def _restore(cls: type[LLMKitError], args: tuple[Any, ...]) -> LLMKitError:
    error = cls.__new__(cls, *args)
    error.args = args
    return error


class ConfigurationError(LLMKitError, ValueError):
    """What was asked for cannot be done as it stands; nothing was sent."""

    default_kind = "config"


class UnsupportedParameterError(LLMKitError, ValueError):
    """The provider cannot honour a parameter; nothing was sent. ``parameter`` and ``provider`` name the two."""

    default_kind = "unsupported"

    def __init__(self, message: str = "", parameter: str = "", provider: str = "", **facts: Any) -> None:
        super().__init__(message, **facts)
        self.parameter = parameter
        self.provider = provider

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "parameter": self.parameter, "provider": self.provider}


class BudgetExceededError(LLMKitError):
    """The budget is spent; nothing was sent."""

    default_kind = "budget"


class DeadlineExceededError(LLMKitError, TimeoutError):
    """The call's deadline passed. ``original_error`` is the last real failure, ``partial`` what a stream had brought."""

    default_kind = "deadline"

    def __init__(self, message: str = "", partial: CompletionResponse | None = None, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.partial = partial


class CircuitOpenError(LLMKitError):
    """The endpoint failed too often and is left alone; ``retry_after`` seconds remain. Nothing was sent."""

    default_kind = "circuit_open"

    def __init__(self, message: str = "", retry_after: float | None = None, **facts: Any) -> None:
        super().__init__(message, retry_after=retry_after, **facts)


class RateLimitTimeoutError(LLMKitError, TimeoutError):
    """The client's own limit would have held the call back for too long."""

    default_kind = "limiter"


class NoAvailableKeyError(LLMKitError):
    """No key of the pool can be used now; ``reasons`` tells why by label. ``retry_after`` is None if none will come back."""

    default_kind = "no_key"

    def __init__(self, message: str = "", reasons: Mapping[str, str] | None = None, retry_after: float | None = None, **facts: Any) -> None:
        super().__init__(message, retry_after=retry_after, **facts)
        self.reasons = dict(reasons or {})

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "reasons": dict(self.reasons)}


class AllProvidersFailedError(LLMKitError):
    """Every endpoint failed; ``errors`` holds the last error of each, in order."""

    def __init__(self, message: str = "", errors: Sequence[LLMKitError] = (), **facts: Any) -> None:
        super().__init__(message, **facts)
        self.errors = tuple(errors)

    def __str__(self) -> str:
        if not self.errors:
            return super().__str__()
        # Each with its own advice: that of the last would be taken for that of all.
        told = [" ".join(part for part in (error._headline(), error.advice) if part) for error in self.errors]
        return "\n".join([f"None of {len(told)} endpoints answered:", *(f"- {line}" for line in told), *filter(None, [self._history()])])

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "errors": [error.to_dict() for error in self.errors]}


class SharedStateError(LLMKitError):
    """What this client shares with others cannot be asked, and it was told to fail then; nothing was sent."""

    default_kind = "shared"


class StructuredOutputError(LLMKitError):
    """
    The answer does not fit the type or schema asked for.

    ``text`` is the answer, ``parsed`` its JSON where it was JSON. ``response`` is the whole of it, with what it used and cost, repairs
    included.
    """

    default_kind = "structured_output"

    def __init__(self, message: str = "", text: str = "", parsed: Any = None, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.text = text
        self.parsed = parsed
        self.response: CompletionResponse | None = None


class ToolExecutionError(LLMKitError):
    """A tool failed. ``tool`` is its name, ``arguments`` what it was called with."""

    default_kind = "tool"

    def __init__(self, message: str = "", tool: str = "", arguments: Any = None, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.tool = tool
        self.arguments = arguments


class ToolLoopLimitError(LLMKitError):
    """The model would have gone on calling tools after the last step allowed; ``run`` holds all that there was up to then."""

    default_kind = "tool_loop"


class BatchError(LLMKitError):
    """
    Some items of a batch failed; ``errors`` holds the error of each by its index.

    Also what ends a batch whose executor lost a process or took no more: then ``errors`` holds those that it was asking.
    """

    default_kind = "batch"

    def __init__(self, message: str = "", errors: Mapping[int, LLMKitError] | None = None, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.errors = dict(errors or {})

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "errors": {str(index): error.to_dict() for index, error in self.errors.items()}}


class CheckpointError(LLMKitError):
    """A checkpoint is another's, damaged, at work already, or cannot be written. It is as it was."""

    default_kind = "checkpoint"


class RetrieverError(LLMKitError):
    """
    A vector store refused, failed, or could not be reached.

    ``kind`` is the word that the same failure of a provider would have; ``collection`` is the store's; ``original_error`` what the
    store said, masked.
    """

    default_kind = "store"

    def __init__(self, message: str = "", collection: str | None = None, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.collection = collection

    @property
    def advice(self) -> str:
        return _ADVICE_OF_STORES.get(self.kind, super().advice)

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "collection": self.collection}


# Where the kind's own advice speaks of models and their providers.
_ADVICE_OF_STORES: Mapping[str, str] = {
    "connect": "Check that the store's address is right and that a server listens there.",
    "connect_timeout": "Check the store's address, and the network between here and there.",
    "read_timeout": "Give the store more time (timeout=), or send it less at once (batch_size=).",
    "timeout": "Give the store more time (timeout=), or send it less at once (batch_size=).",
    "rate_limit": "Lower max_concurrency=, or wait for error.retry_after seconds.",
    "permission": "Ask for access to this collection, or use another key.",
    "not_found": "Check the collection's name, and that nobody deleted it meanwhile.",
    "bad_request": "Change what was asked; error.original_error is what the store said.",
    "request_too_large": "Send less at once: batch_size=.",
    "malformed": "What answered is no such store, or one of another version; check its address.",
    "server": "The fault is the store's; see its log, and try again later.",
    "overloaded": "The store is overloaded; lower max_concurrency=, or try again later.",
}


class ProviderError(LLMKitError):
    """
    The provider refused, failed, or could not be reached.

    ``status_code`` is None where no reply came; ``code`` and ``type`` are the provider's own words; ``body`` is what it said
    (masked, at most 4 KiB), ``request_id`` what its support asks for.
    """

    def __init__(
        self,
        message: str = "",
        provider: str | None = None,
        model: str | None = None,
        status_code: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        body: str | None = None,
        retry_after: float | None = None,
        type: str | None = None,
        param: str | None = None,
        **facts: Any,
    ) -> None:
        super().__init__(message, retry_after=retry_after, **facts)
        self.provider = provider
        self.model = model
        self.status_code = status_code
        self.code = code
        self.request_id = request_id
        self.body = body
        self.type = type
        self.param = param

    def _headline(self) -> str:
        status = "" if self.status_code is None else f" ({self.status_code})"
        where = ", ".join(part for part in (self.endpoint, self.model, self.request_id) if part)
        return f"{self.message}{status}" + (f" [{where}]" if where else "")

    def to_dict(self) -> dict[str, Any]:
        return {
            **super().to_dict(),
            "provider": self.provider,
            "model": self.model,
            "status_code": self.status_code,
            "code": self.code,
            "error_type": self.type,
            "param": self.param,
            "request_id": self.request_id,
            "body": self.body,
        }


class AuthenticationError(ProviderError):
    """The key was refused."""

    default_kind = "auth"


class PermissionDeniedError(ProviderError):
    """The key is good, but not for this model, region or use."""

    default_kind = "permission"


class ModelNotFoundError(ProviderError):
    """There is no such model, or not for this key."""

    default_kind = "not_found"


class InvalidRequestError(ProviderError):
    """The request itself is wrong."""

    default_kind = "bad_request"


class ContextWindowExceededError(InvalidRequestError):
    """Messages and answer together are longer than the model's window."""

    default_kind = "context_length"


class ContentFilterError(InvalidRequestError):
    """The provider's content policy refused the request."""

    default_kind = "content_filter"


class RateLimitError(ProviderError):
    """Too many requests or tokens for now."""

    default_kind = "rate_limit"


class QuotaExceededError(RateLimitError):
    """The account is out of credit or over its limit; trying again does not help."""

    default_kind = "quota"


class NetworkError(ProviderError, ConnectionError):
    """No answer came: the connection failed, broke, or spoke nonsense."""

    default_kind = "connection_lost"


class RequestTimeoutError(NetworkError, TimeoutError):
    """Nothing came in time."""

    default_kind = "read_timeout"


class StreamInterruptedError(NetworkError):
    """A stream ended before its proof of completeness. ``partial`` holds everything received; it is not an answer."""

    default_kind = "truncated"

    def __init__(self, message: str = "", partial: CompletionResponse | None = None, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.partial = partial


class InternalError(ProviderError):
    """The fault is on the provider's side."""

    default_kind = "server"


class OverloadedError(InternalError):
    """The provider has more to do than it can."""

    default_kind = "overloaded"


class MalformedResponseError(ProviderError):
    """The reply was not what this API promises: empty, cut, not JSON, or of another shape."""

    default_kind = "malformed"


_CLASSES: Mapping[str, type[ProviderError]] = {
    "connect_timeout": RequestTimeoutError,
    "read_timeout": RequestTimeoutError,
    "idle_timeout": RequestTimeoutError,
    "timeout": RequestTimeoutError,
    "protocol": MalformedResponseError,
    "truncated": MalformedResponseError,
    "malformed": MalformedResponseError,
    "response_too_large": MalformedResponseError,
    "rate_limit": RateLimitError,
    "quota": QuotaExceededError,
    "auth": AuthenticationError,
    "permission": PermissionDeniedError,
    "not_found": ModelNotFoundError,
    "bad_request": InvalidRequestError,
    "request_too_large": InvalidRequestError,
    "context_length": ContextWindowExceededError,
    "content_filter": ContentFilterError,
    "server": InternalError,
    "conflict": InternalError,
    "overloaded": OverloadedError,
}


def error_class(kind: str) -> type[ProviderError]:
    """Return the class of a provider's failure of *kind*: what is not a reply of its own is a ``NetworkError``."""
    return _CLASSES.get(kind, NetworkError)

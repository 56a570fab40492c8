"""
``with_retry``: functions of the user's own, tried again by the rules of a client.

Rule 1: tried again is what may pass by itself: an ``LLMKitError`` that is ``retryable``, a lost connection, a time-out, and what
        ``retry_on`` adds.
Rule 2: never tried again is what is no ``Exception`` (Ctrl-C, a cancelled task), a cancelled call, and, unless it is named itself, what
        only a mistake in the program raises.
Rule 3: no wait begins that the deadline would cut; the error is then raised at once, as it is.
"""

from __future__ import annotations

import functools
import inspect
import logging
import math
import random
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, overload

from attrs import fields

from llmkit.errors import ConfigurationError, LLMKitError
from llmkit.resilience.backing import Again, abacked_off, backed_off
from llmkit.resilience.deadline import current_deadline
from llmkit.resilience.retry import RetryConfig
from llmkit.spelling import refuse_unknown

if TYPE_CHECKING:
    RetryOn = type[Exception] | Iterable[type[Exception]] | Callable[[Exception], object]

__all__ = ["with_retry"]

logger = logging.getLogger("llmkit.retry")

Function = TypeVar("Function", bound=Callable[..., Any])

_FIELDS = (*(one.name for one in fields(RetryConfig)), "initial_delay_ms", "max_delay_ms", "backoff_multiplier")

# What a mistake in the program raises: trying again only hides it for a while.
_MISTAKES = (
    *(AssertionError, AttributeError, ImportError, MemoryError, NameError),
    *(NotImplementedError, RecursionError, SyntaxError, TypeError),
)


@overload
def with_retry(function: Function, /) -> Function: ...


@overload
def with_retry(
    *, retry: RetryConfig | Mapping[str, Any] = ..., retry_on: RetryOn = ..., **config: Any
) -> Callable[[Function], Function]: ...


def with_retry(
    function: Callable[..., Any] | None = None,
    /,
    *,
    retry: RetryConfig | Mapping[str, Any] | None = None,
    retry_on: RetryOn = (),
    **config: Any,
) -> Any:
    """
    Decorate a function, sync or async, so that it is tried again when it fails with what may pass by itself.

    ``@with_retry``, or ``@with_retry(max_retries=5, retry_on=KeyError)``. What the error says in ``retry_after`` is waited for, an
    ambient ``llmkit.deadline()`` is kept to, and when all is in vain the last error is raised as it is.

    Args:
        function: What is decorated; left out where arguments are given.
        retry: A ``RetryConfig``, or a dict of its fields.
        retry_on: What is tried again beside lost connections, time-outs and retryable errors of llmkit's: an exception class, several,
            or a function that is asked about the error.
        config: Fields of a ``RetryConfig`` by their names, in place of *retry*.

    Raises:
        ConfigurationError: If an argument is wrong, or *function* is a generator: what it yielded before it failed would come twice.
    """
    policy = _policy(retry, config)
    retries = _condition(retry_on)
    if function is not None:
        return _decorated(function, policy, retries)
    return lambda function: _decorated(function, policy, retries)


def _policy(retry: RetryConfig | Mapping[str, Any] | None, config: Mapping[str, Any]) -> RetryConfig:
    if isinstance(retry, RetryConfig) and not config:
        return retry
    if retry is not None and (config or not isinstance(retry, Mapping)):
        msg = "with_retry takes retry=RetryConfig(...), or the fields of one by their names."
        raise ConfigurationError(msg)
    given = config if retry is None else retry
    refuse_unknown(given, _FIELDS, path="with_retry")
    return RetryConfig.from_ms(**given)


def _condition(retry_on: Any) -> Callable[[Exception], bool]:
    """Return what says of an error whether ``retry_on`` means it."""
    if not isinstance(retry_on, (type, Iterable)) and callable(retry_on):
        return lambda error: bool(retry_on(error))
    classes = (retry_on,) if isinstance(retry_on, type) else tuple(retry_on) if isinstance(retry_on, Iterable) else (retry_on,)
    for each in classes:
        if not isinstance(each, type) or not issubclass(each, Exception):
            msg = f"retry_on= is an exception class (an Exception, not {each!r}), several of them, or a function."
            raise ConfigurationError(msg)
    named = tuple(each for each in classes if issubclass(each, _MISTAKES))
    return lambda error: isinstance(error, classes) and (not isinstance(error, _MISTAKES) or isinstance(error, named))


class _Work:
    """One call of a decorated function: what has failed so far."""

    def __init__(self, name: str, policy: RetryConfig, retries: Callable[[Exception], bool], call: Callable[[], Any]) -> None:
        self.call = call
        self._name = name
        self._policy = policy
        self._retries = retries
        self._failures = 0

    def order(self, error: Exception) -> Again | None:
        """Return the order to try again after *error*, or None where it is to be raised."""
        policy = self._policy
        if not self._passes(error):
            return None
        self._failures += 1
        hint = _hint(error)
        if self._failures > policy.max_retries or (hint or 0.0) > policy.retry_after_cap:
            return None
        wait = policy.wait(self._failures, hint, random.random)
        deadline = current_deadline()
        if deadline is not None and not deadline.allows(wait):
            wait = hint or wait  # without the jitter that was added to it
            if not deadline.allows(wait):
                return None
        logger.warning("%s failed with %s; attempt %d follows in %.2f s", self._name, type(error).__name__, self._failures + 1, wait)
        return Again(wait)

    def abandon(self, error: BaseException) -> None:
        """Nothing is held between two attempts."""

    def _passes(self, error: Exception) -> bool:
        if _is_cancelled(error):
            return False
        if self._retries(error):
            return True
        if _is_timeout(error) and not self._policy.retry_timeouts:
            return False
        if isinstance(error, LLMKitError):
            return error.retryable
        return isinstance(error, ConnectionError) or _is_timeout(error)


def _hint(error: Exception) -> float | None:
    """Return the seconds that *error* asks for, whoever's error it is."""
    hint = getattr(error, "retry_after", None)
    if isinstance(hint, bool) or not isinstance(hint, (int, float)) or not 0 <= hint < math.inf:
        return None
    return float(hint)


def _is_timeout(error: Exception) -> bool:
    # Before Python 3.11 asyncio and concurrent.futures had classes of their own.
    return isinstance(error, (TimeoutError, *_classes("TimeoutError")))


def _is_cancelled(error: Exception) -> bool:
    # Of concurrent.futures: that of asyncio is no Exception.
    return isinstance(error, _classes("CancelledError"))


def _classes(name: str) -> tuple[type[BaseException], ...]:
    """Return the classes of that name in the modules that are loaded: who has not loaded one cannot raise its errors."""
    return tuple(getattr(sys.modules[module], name) for module in ("asyncio", "concurrent.futures") if module in sys.modules)


def _decorated(function: Any, policy: RetryConfig, retries: Callable[[Exception], bool]) -> Any:
    if not callable(function):
        msg = f"with_retry decorates a function, not {type(function).__name__}; a RetryConfig is given as retry=."
        raise ConfigurationError(msg)
    name = str(getattr(function, "__qualname__", None) or type(function).__qualname__)
    kinds = (function, getattr(function, "__call__", None))  # noqa: B004 - an object's own method says what it is
    if any(inspect.isgeneratorfunction(kind) or inspect.isasyncgenfunction(kind) for kind in kinds):
        raise _refused(name, "is a generator: what it had yielded would come twice. Retry inside it, or what it calls")
    if any(inspect.iscoroutinefunction(kind) for kind in kinds):
        return _adecorated(function, name, policy, retries)

    @functools.wraps(function, updated=())
    def retrying(*args: Any, **kwargs: Any) -> Any:
        return _send(None, _Work(name, policy, retries, lambda: function(*args, **kwargs)))

    return retrying


def _adecorated(function: Callable[..., Awaitable[Any]], name: str, policy: RetryConfig, retries: Callable[[Exception], bool]) -> Any:
    @functools.wraps(function, updated=())
    async def retrying(*args: Any, **kwargs: Any) -> Any:
        return await _asend(None, _Work(name, policy, retries, lambda: function(*args, **kwargs)))

    return retrying


@backed_off
def _send(_: None, work: _Work) -> Any:
    try:
        result = work.call()
    except Exception as error:
        order = work.order(error)
        if order is None:
            raise
    else:
        if inspect.iscoroutine(result):
            result.close()
            raise _refused(work._name, "returned a coroutine, which nobody has awaited yet. Decorate the async function itself")
        if inspect.isgenerator(result) or inspect.isasyncgen(result):
            raise _refused(work._name, "returned a generator, which has not begun yet. Retry inside it, or what it calls")
        return result
    raise order


@abacked_off
async def _asend(_: None, work: _Work) -> Any:
    try:
        return await work.call()
    except Exception as error:
        order = work.order(error)
        if order is None:
            raise
    raise order


def _refused(name: str, why: str) -> ConfigurationError:
    return ConfigurationError(f"with_retry cannot try {name} again: it {why}.")

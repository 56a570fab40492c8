"""The tree of errors."""

from __future__ import annotations

import copy
import json
import pickle
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from llmkit import errors
from llmkit.errors import KINDS, AllProvidersFailedError, ErrorCategory, LLMKitError, NetworkError, ProviderError, error_class
from llmkit.models.content import assistant
from llmkit.models.ledger import Attempt
from llmkit.models.response import CompletionResponse

# As the public contract draws it, with SharedStateError, RetrieverError, BatchError and CheckpointError added.
TREE = """
LLMKitError
  ConfigurationError UnsupportedParameterError BudgetExceededError DeadlineExceededError
  CircuitOpenError RateLimitTimeoutError NoAvailableKeyError AllProvidersFailedError SharedStateError
  StructuredOutputError ToolExecutionError ToolLoopLimitError RetrieverError
  BatchError CheckpointError
  ProviderError
    AuthenticationError PermissionDeniedError ModelNotFoundError
    InvalidRequestError
      ContextWindowExceededError ContentFilterError
    RateLimitError
      QuotaExceededError
    NetworkError
      RequestTimeoutError StreamInterruptedError
    InternalError
      OverloadedError
    MalformedResponseError
"""

# What each kind of failure is to a caller.
CLASSES = {
    "connect dns tls proxy connection_lost redirect": "NetworkError",
    "connect_timeout read_timeout idle_timeout timeout": "RequestTimeoutError",
    "protocol malformed truncated response_too_large": "MalformedResponseError",
    "rate_limit": "RateLimitError",
    "quota": "QuotaExceededError",
    "auth": "AuthenticationError",
    "permission": "PermissionDeniedError",
    "not_found": "ModelNotFoundError",
    "bad_request request_too_large": "InvalidRequestError",
    "context_length": "ContextWindowExceededError",
    "content_filter": "ContentFilterError",
    "server conflict": "InternalError",
    "overloaded": "OverloadedError",
}
OWN = {
    "deadline": "DeadlineExceededError",
    "circuit_open": "CircuitOpenError",
    "no_key": "NoAvailableKeyError",
    "limiter": "RateLimitTimeoutError",
    "config": "ConfigurationError",
    "unsupported": "UnsupportedParameterError",
    "budget": "BudgetExceededError",
    "structured_output": "StructuredOutputError",
    "tool": "ToolExecutionError",
    "tool_loop": "ToolLoopLimitError",
    "batch": "BatchError",
    "checkpoint": "CheckpointError",
    "shared": "SharedStateError",
    "store": "RetrieverError",
    "unknown": "LLMKitError",
}
# Their messages say themselves what to do, each time in other words.
SAY_IT_THEMSELVES = {"checkpoint", "config", "unsupported", "unknown"}


def tree(cls: type[LLMKitError] = LLMKitError) -> Iterator[type[LLMKitError]]:
    yield cls
    for child in cls.__subclasses__():
        if child.__module__ == "llmkit.errors":
            yield from tree(child)


def filled(cls: type[LLMKitError]) -> LLMKitError:
    """Return an error of *cls* with every fact that it can have."""
    attempt = Attempt(number=1, provider="openai", model="m", endpoint="https://h", status=503, error="server", elapsed=0.5)
    facts: dict[str, Any] = {
        "metadata": {"a": [1]},
        "original_error": ValueError("cause"),
        "endpoint": "https://h",
        "attempts": [attempt],
        "retry_after": 2.5,
        "maybe_billed": True,
    }
    partial = CompletionResponse(message=assistant("Once"))
    own: dict[str, Any] = {
        "UnsupportedParameterError": {"parameter": "top_k", "provider": "openai"},
        "DeadlineExceededError": {"partial": partial},
        "StreamInterruptedError": {"partial": partial},
        "NoAvailableKeyError": {"reasons": {"key 1": "auth"}},
        "AllProvidersFailedError": {"errors": [ProviderError("one"), LLMKitError("two")]},
        "StructuredOutputError": {"text": "{", "parsed": {"a": 1}},
        "ToolExecutionError": {"tool": "look", "arguments": {"n": 1}},
    }
    if issubclass(cls, ProviderError):
        facts.update(provider="openai", model="m", status_code=503, code="c", request_id="req_7", body="b", type="t", param="p")
    error = cls("It failed.", **facts, **own.get(cls.__name__, {}))
    error.circuit_open = error.retry_quota_exhausted = True
    return error


def facts_of(error: BaseException) -> Any:
    """Return everything about *error* that can be compared: exceptions themselves compare by identity."""
    values = {
        key: [facts_of(item) for item in value]
        if isinstance(value, tuple) and value and isinstance(value[0], BaseException)
        else facts_of(value)
        if isinstance(value, BaseException)
        else value
        for key, value in vars(error).items()
    }
    return type(error), error.args, values


def test_the_tree_is_that_of_the_contract() -> None:
    """Users write these names into their handlers."""
    wanted: set[tuple[str, str]] = set()
    above: list[str] = []
    for line in TREE.strip().splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        above = above[:depth]
        wanted |= {(name, above[-1] if above else "Exception") for name in line.split()}
        above.append(line.split()[-1])

    assert wanted == {(cls.__name__, cls.__bases__[0].__name__) for cls in tree()}
    assert {name for name, _ in wanted} <= set(errors.__all__)
    drawn = set(re.findall(r"\w+Error\b", (errors.__doc__ or "").split("\n\n")[1]))
    assert {name for name, _ in wanted} == drawn


def test_handlers_that_know_nothing_of_llmkit_work() -> None:
    """Time-outs, broken connections and bad configuration are also Python's own."""
    timeouts = {cls.__name__ for cls in tree() if issubclass(cls, TimeoutError)}
    connections = {cls.__name__ for cls in tree() if issubclass(cls, ConnectionError)}
    values = {cls.__name__ for cls in tree() if issubclass(cls, ValueError)}

    assert {"RequestTimeoutError", "DeadlineExceededError", "RateLimitTimeoutError"} == timeouts
    assert {"NetworkError", "RequestTimeoutError", "StreamInterruptedError"} == connections
    assert {"ConfigurationError", "UnsupportedParameterError"} == values


def test_categories_are_those_of_the_contract() -> None:
    """They compare, print and format as their words."""
    words = "network_error timeout_error rate_limit_error temporary_error authentication_error permission_error validation_error"

    assert [*words.split(), "not_found_error", "internal_error", "unknown_error"] == [category.value for category in ErrorCategory]
    assert "network_error" == ErrorCategory.NETWORK_ERROR == f"{ErrorCategory.NETWORK_ERROR}"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_class_category_and_advice(kind: str) -> None:
    """Nobody is left alone with a word."""
    known = {**{word: name for words, name in CLASSES.items() for word in words.split()}, **OWN}
    cls = getattr(errors, known[kind])

    error = cls("It failed.", kind=kind)

    assert (kind, KINDS[kind].category, KINDS[kind].retryable) == (error.kind, error.category, error.retryable)
    assert (kind in SAY_IT_THEMSELVES) == (error.advice == "")
    assert error.advice == "" or error.advice.endswith(".")
    assert kind in OWN or cls is error_class(kind)


def test_a_kind_that_is_not_known_is_of_the_network() -> None:
    """And says nothing that is not known of it."""
    error = error_class("astonishing")("It failed.", kind="astonishing")

    assert (NetworkError, "unknown_error", "", False) == (type(error), error.category, error.advice, error.retryable)


@pytest.mark.parametrize("cls", list(tree()), ids=lambda cls: cls.__name__)
def test_a_class_has_its_kind(cls: type[LLMKitError]) -> None:
    """Without anything said, category and retryable are those of the kind that the class stands for."""
    error = cls("It failed.")

    assert (KINDS[cls.default_kind].category, KINDS[cls.default_kind].retryable) == (error.category, error.retryable)
    assert "It failed." == error.message == str(error).splitlines()[0]


def test_what_was_said_goes_before_what_is_known() -> None:
    """Category, retryable and kind may be given, in the order of the contract."""
    error = LLMKitError("m", "timeout_error", True, {"a": 1}, ValueError("x"))

    assert (ErrorCategory.TIMEOUT_ERROR, True, {"a": 1}, "x") == (
        error.category,
        error.retryable,
        error.metadata,
        str(error.original_error),
    )
    with pytest.raises(ValueError, match="nonsense"):
        LLMKitError("m", "nonsense")


COPIES: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{f"pickle{n}": lambda error, n=n: pickle.loads(pickle.dumps(error, n)) for n in range(pickle.HIGHEST_PROTOCOL + 1)},
}


@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("cls", list(tree()), ids=lambda cls: cls.__name__)
def test_a_copy_has_every_fact(cls: type[LLMKitError], way: str) -> None:
    """Errors travel between processes, and arrive whole."""
    error = filled(cls)

    made = COPIES[way](error)

    assert facts_of(error) == facts_of(made)
    assert (str(error), repr(error), error.to_dict()) == (str(made), repr(made), made.to_dict())


@pytest.mark.parametrize("cls", list(tree()), ids=lambda cls: cls.__name__)
def test_an_error_is_plain_json(cls: type[LLMKitError]) -> None:
    """With everything that a log wants of it."""
    found = json.loads(json.dumps(filled(cls).to_dict()))

    assert (cls.__name__, "It failed.", cls.default_kind, 2.5, True) == tuple(
        found[name] for name in ("type", "message", "kind", "retry_after", "maybe_billed")
    )
    assert ("cause", 503, True) == (found["original_error"], found["attempts"][0]["status"], found["circuit_open"])
    if issubclass(cls, ProviderError):
        assert ("openai", "m", 503, "c", "t", "p", "req_7", "b") == tuple(
            found[name] for name in ("provider", "model", "status_code", "code", "error_type", "param", "request_id", "body")
        )


def test_own_facts_are_in_the_dict() -> None:
    """Which parameter, which keys, which errors."""
    unsupported, keys, failed = (
        filled(cls).to_dict() for cls in (errors.UnsupportedParameterError, errors.NoAvailableKeyError, AllProvidersFailedError)
    )

    assert ("top_k", "openai", {"key 1": "auth"}) == (unsupported["parameter"], unsupported["provider"], keys["reasons"])
    assert ["one", "two"] == [error["message"] for error in failed["errors"]]


def test_an_error_says_what_happened_where_how_often_and_what_to_do() -> None:
    """In three lines that a human reads."""
    error = errors.OverloadedError("Too busy.", status_code=503, endpoint="https://h", model="m", request_id="req_7")
    error.attempts = tuple(
        Attempt(number=n, provider="openai", model="m", endpoint="https://h", status=503, error="overloaded", elapsed=0.25, wait=n - 1.0)
        for n in (1, 2)
    )

    assert [
        "Too busy. (503) [https://h, m, req_7]",
        "2 attempts: 503 overloaded after 0.25 s; waited 1.00 s, 503 overloaded after 0.25 s.",
        "The provider is overloaded; try again later, or add a fallback.",
    ] == str(error).splitlines()


def test_a_long_history_is_cut_in_its_middle() -> None:
    """Its first and last tries tell the most."""
    error = errors.InternalError("x")
    error.attempts = tuple(Attempt(number=n, provider="p", model="m", endpoint="e", status=500 + n) for n in range(8))
    error.retry_quota_exhausted = True

    line = str(error).splitlines()[1]

    assert ("8 attempts: 500 ok", 7, True) == (line[:18], line.count(";") + 1, "…; 505" in line)
    assert line.endswith("No further attempt: the retry quota of this endpoint is spent.")


def test_one_attempt_is_not_many() -> None:
    """And an open circuit is told."""
    error = errors.InternalError("x", attempts=[Attempt(number=1, provider="p", model="m", endpoint="e")])
    error.circuit_open = True

    assert "1 attempt: ok after 0.00 s. No further attempt: the circuit breaker opened." == str(error).splitlines()[1]


def test_an_error_that_wraps_others_is_short() -> None:
    """Its repr is its headline."""
    assert "ProviderError('x (503) [https://h]')" == repr(ProviderError("x", status_code=503, endpoint="https://h"))
    assert "LLMKitError('x [https://h]')" == repr(LLMKitError("x", endpoint="https://h"))


def test_facts_are_the_errors_own() -> None:
    """What its maker changes later is not in it."""
    metadata, attempts = {"a": 1}, [Attempt(number=1, provider="p", model="m", endpoint="e")]
    error = LLMKitError("x", metadata=metadata, attempts=attempts)

    metadata["a"] = 2
    attempts.clear()

    assert ({"a": 1}, 1) == (error.metadata, len(error.attempts))


@pytest.mark.parametrize(
    ("kind", "wait", "words"),
    [
        ("rate_limit", 120.0, "Wait for 120 s (error.retry_after), add keys"),
        ("rate_limit", None, "Wait for a while, add keys"),
        ("circuit_open", 42.5, "wait for 42.5 s (error.retry_after)"),
        ("no_key", 3.0, "wait for 3 s (error.retry_after)"),
    ],
)
def test_the_advice_says_how_long_to_wait(kind: str, wait: float | None, words: str) -> None:
    """In seconds where they are known."""
    error = LLMKitError("Busy.", kind=kind, retry_after=wait)

    assert words in error.advice
    assert "{" not in error.advice


def test_no_advice_has_an_open_place() -> None:
    """Whatever the kind."""
    assert [] == [kind for kind in KINDS if "{" in LLMKitError("x", kind=kind).advice]


def test_each_endpoint_has_its_own_line_and_advice() -> None:
    """That of the last would be taken for that of all; and the ledger says who was asked."""
    first = errors.InternalError("openai failed", status_code=500, endpoint="https://a.example.com")
    second = errors.AuthenticationError("anthropic refused", status_code=401, endpoint="https://b.example.com")
    attempts = [
        Attempt(number=1, provider="openai", model="m", endpoint="https://a.example.com", status=500, error="server"),
        Attempt(number=2, provider="anthropic", model="n", endpoint="https://b.example.com", status=401, error="auth"),
    ]

    lines = str(AllProvidersFailedError("None of 2", [first, second], attempts=attempts)).splitlines()

    assert "None of 2 endpoints answered:" == lines[0]
    assert lines[1].startswith("- openai failed (500) [https://a.example.com]")
    assert "The fault is the provider's" in lines[1]
    assert "Check the key" in lines[2]
    assert "openai: 500 server" in lines[3]
    assert "anthropic: 401 auth" in lines[3]
    assert 4 == len(lines)


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        ({}, ""),
        ({"done": 0, "total": 9, "kept": True}, ""),
        ({"done": 3, "total": 9, "kept": True}, "3 of 9 are done and kept: the same call goes on from there."),
        ({"done": 3, "total": 9, "kept": False}, "3 of 9 were done, and are lost: checkpoint= would have kept them."),
    ],
)
def test_an_error_tells_how_far_a_work_in_many_parts_was(metadata: dict[str, Any], told: str) -> None:
    """And whether that is lost."""
    error = LLMKitError("No.", metadata=metadata)

    assert ["No.", *filter(None, [told])] == str(error).splitlines()

"""Errors, written with ``to_dict``, read again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmkit import errors
from llmkit.errors import LLMKitError, ProviderError
from llmkit.models.ledger import Attempt

__all__ = ["error_from_dict"]

_FACTS = ("message", "category", "retryable", "metadata", "original_error", "kind", "endpoint", "retry_after", "maybe_billed")
_PROVIDER_FACTS = ("provider", "model", "status_code", "code", "request_id", "body", "param")


def error_from_dict(data: Mapping[str, Any]) -> LLMKitError:
    """
    Return the error of which ``to_dict`` made *data*: of the same class, where this version has it.

    What a class has beside the facts of ``LLMKitError`` and ``ProviderError`` stays behind.
    """
    cls = getattr(errors, data["type"], LLMKitError)
    facts = {name: data[name] for name in _FACTS}
    facts["attempts"] = [Attempt(**attempt) for attempt in data["attempts"]]
    if issubclass(cls, ProviderError):
        facts.update({name: data[name] for name in _PROVIDER_FACTS}, type=data["error_type"])
    error: LLMKitError = cls(**facts)
    error.circuit_open = data["circuit_open"]
    error.retry_quota_exhausted = data["retry_quota_exhausted"]
    return error

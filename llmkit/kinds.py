"""
The words for what can go wrong: coarse categories, and finer kinds with what each means to the one who gets it.

The kinds are read by the errors, by the policies and by the tests; there is no other list of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

__all__ = ["KINDS", "ErrorCategory", "Kind"]


class ErrorCategory(str, Enum):
    """The coarse word for what went wrong; ``LLMKitError.kind`` is the finer one."""

    NETWORK_ERROR = "network_error"
    TIMEOUT_ERROR = "timeout_error"
    RATE_LIMIT_ERROR = "rate_limit_error"
    TEMPORARY_ERROR = "temporary_error"
    AUTHENTICATION_ERROR = "authentication_error"
    PERMISSION_ERROR = "permission_error"
    VALIDATION_ERROR = "validation_error"
    NOT_FOUND_ERROR = "not_found_error"
    INTERNAL_ERROR = "internal_error"
    UNKNOWN_ERROR = "unknown_error"

    def __str__(self) -> str:
        return self.value


class Kind(NamedTuple):
    """What a kind of failure means to the one who gets it."""

    category: ErrorCategory
    retryable: bool  # whether the same request may succeed later without being changed
    advice: str  # {wait} stands for how long to wait


_C = ErrorCategory

KINDS: Mapping[str, Kind] = {
    "connect": Kind(_C.NETWORK_ERROR, True, "Check that the host and port are right and that a server listens there."),
    "connect_timeout": Kind(_C.TIMEOUT_ERROR, True, "Check the network and any proxy between here and the host."),
    "dns": Kind(_C.NETWORK_ERROR, True, "Check the spelling of base_url and this machine's name resolution."),
    "tls": Kind(_C.NETWORK_ERROR, False, "Pass the right CA as verify='ca.pem', or set SSL_CERT_FILE; it is never switched off by itself."),
    "proxy": Kind(_C.NETWORK_ERROR, False, "Check the proxies= argument or the HTTP_PROXY and HTTPS_PROXY variables."),
    "connection_lost": Kind(_C.NETWORK_ERROR, True, "The server or something between closed the connection; try again."),
    "read_timeout": Kind(_C.TIMEOUT_ERROR, True, "Raise timeout= if the model needs longer to begin, or stream the answer."),
    "idle_timeout": Kind(_C.TIMEOUT_ERROR, True, "Raise idle_timeout= if the model thinks longer between two pieces of its answer."),
    "timeout": Kind(_C.TIMEOUT_ERROR, True, "The server gave up waiting; try again, or ask for a shorter answer."),
    "deadline": Kind(_C.TIMEOUT_ERROR, True, "Raise deadline= or ask for less."),
    "protocol": Kind(_C.NETWORK_ERROR, True, "What answered does not speak HTTP as it should; check base_url and any proxy."),
    "truncated": Kind(_C.NETWORK_ERROR, True, "The answer ended before it was complete; what was received is kept on the error."),
    "malformed": Kind(_C.INTERNAL_ERROR, True, "The answer was not what this API promises; check base_url, and see error.body."),
    "response_too_large": Kind(_C.VALIDATION_ERROR, False, "Ask for a shorter answer."),
    "rate_limit": Kind(_C.RATE_LIMIT_ERROR, True, "Wait for {wait}, add keys, or send less."),
    "quota": Kind(_C.RATE_LIMIT_ERROR, False, "The account is out of credit or over its limit: see its billing page; waiting is no help."),
    "auth": Kind(_C.AUTHENTICATION_ERROR, False, "Check the key: that it is whole, not revoked, and meant for this host."),
    "permission": Kind(_C.PERMISSION_ERROR, False, "Ask for access to this model, or use another key, region or model."),
    "not_found": Kind(_C.NOT_FOUND_ERROR, False, "Check the model's name and base_url; client.models() lists what this key can use."),
    "bad_request": Kind(_C.VALIDATION_ERROR, False, "Change the request; client.explain(...) shows what is sent."),
    "context_length": Kind(_C.VALIDATION_ERROR, False, "Shorten the messages, lower max_tokens, or use a model with a larger window."),
    "content_filter": Kind(_C.VALIDATION_ERROR, False, "The provider's content policy refused it; rephrase, or use another model."),
    "request_too_large": Kind(_C.VALIDATION_ERROR, False, "Send less at once."),
    "conflict": Kind(_C.TEMPORARY_ERROR, True, "Try again."),
    "server": Kind(_C.INTERNAL_ERROR, True, "The fault is the provider's; try again later, or add a fallback."),
    "overloaded": Kind(_C.TEMPORARY_ERROR, True, "The provider is overloaded; try again later, or add a fallback."),
    "redirect": Kind(_C.NETWORK_ERROR, False, "Redirects are not followed, as they would carry the key away: set base_url anew."),
    "circuit_open": Kind(_C.TEMPORARY_ERROR, True, "It failed too often and is left alone: wait for {wait}, or add a fallback."),
    "no_key": Kind(_C.TEMPORARY_ERROR, True, "Every key rests or was refused: wait for {wait}, or add a key."),
    "limiter": Kind(_C.RATE_LIMIT_ERROR, True, "Raise rate_limit= or the deadline, or send less."),
    "shared": Kind(_C.TEMPORARY_ERROR, True, "Check the Redis of shared=; on_loss='local' would go on without it."),
    "config": Kind(_C.VALIDATION_ERROR, False, ""),
    "unsupported": Kind(_C.VALIDATION_ERROR, False, ""),
    "budget": Kind(_C.VALIDATION_ERROR, False, "Raise the budget or wait for a new one."),
    "structured_output": Kind(_C.VALIDATION_ERROR, True, "error.text holds what the model wrote."),
    "tool": Kind(_C.INTERNAL_ERROR, False, "error.original_error is what the tool raised; error.arguments what it was called with."),
    "tool_loop": Kind(_C.INTERNAL_ERROR, False, "Raise max_steps, or tell the model when to stop."),
    "batch": Kind(_C.UNKNOWN_ERROR, False, "error.errors has the error of each item that failed, by its index."),
    "checkpoint": Kind(_C.VALIDATION_ERROR, False, ""),
    "store": Kind(_C.INTERNAL_ERROR, False, "error.original_error is what the vector store said."),
    "unknown": Kind(_C.UNKNOWN_ERROR, False, ""),
}

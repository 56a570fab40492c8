"""
What makes two calls the same question.

Rule 1: everything that is sent counts, as it is sent: the method, the address, the headers, the body byte for byte. Nothing is listed by
        name, so that a parameter which is added tomorrow cannot be forgotten; 1, 1.0 and true are three things, and so are two orders
        of a schema's properties, which a model follows.
Rule 2: what is left out is named here: ``IGNORED``, headers that say nothing of the answer.
Rule 3: a stream asks the same question as a whole answer: both have the key of the latter. What a server was found not to take is left
        in, as nobody had asked for it.
Rule 4: who asks counts. It is the keys of a pool, in whatever order; what an ``Auth`` says of itself; else what it sends.
Rule 5: all of it goes through HMAC-SHA-256 with the secret of the cache: a key tells nothing of keys, prompts or accounts.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from attrs import evolve

from llmkit.auth.base import AccountAuth, NoAuth

if TYPE_CHECKING:
    from llmkit.call import Call
    from llmkit.endpoints import Endpoint
    from llmkit.models.response import CompletionResponse
    from llmkit.transport.base import HttpRequest

__all__ = ["IGNORED", "Keys"]

VERSION = 1  # of the keys and of what is kept under them: another version finds nothing of this one's

# How a message travels, what traces it, and what makes one delivery of it differ from the next.
IGNORED = frozenset(
    {
        *("accept", "accept-encoding", "connection", "content-length", "host", "user-agent"),
        *("traceparent", "tracestate", "baggage", "b3", "sentry-trace", "uber-trace-id"),
        *("x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags"),
        *("x-amzn-trace-id", "x-cloud-trace-context", "x-trace-id"),
        *("request-id", "x-request-id", "x-client-request-id", "x-correlation-id"),
        *("idempotency-key", "x-idempotency-key"),
    }
)


class Keys:
    """The keys of one client's calls in one cache, whose secret is *secret*. Safe to share between threads and tasks."""

    def __init__(self, secret: bytes) -> None:
        self.secret = secret
        self._begun: dict[Endpoint, tuple[tuple[str, ...], hmac.HMAC]] = {}
        self._nonces: dict[Endpoint, str] = {}

    def key_of(self, call: Call[CompletionResponse]) -> str:
        """
        Return the key of *call*, in hex.

        Raises:
            ConfigurationError: If its request cannot be said in the provider's format.
        """
        http = _question(call)
        made = self._of_endpoint(call.endpoint, http).copy()
        # As in HTTP itself: no line of a head can hold a line break, and the first empty one ends it.
        head = [f"{lower}:{value}" for name, value in http.headers.items() if (lower := name.lower()) not in IGNORED]
        head.sort()
        made.update("\n".join([http.method, http.url, *head, "", ""]).encode())
        made.update(http.body)
        return made.hexdigest()

    def _of_endpoint(self, endpoint: Endpoint, http: HttpRequest) -> hmac.HMAC:
        """Return the beginning of all keys at *endpoint*."""
        account = self._account(endpoint, http)
        found = self._begun.get(endpoint)
        if found is not None and found[0] == account:
            return found[1]
        said = [VERSION, endpoint.provider.name, endpoint.dialect.name, endpoint.model, account]
        made = hmac.new(self.secret, json.dumps(said).encode(), hashlib.sha256)
        self._begun[endpoint] = account, made
        return made

    def _account(self, endpoint: Endpoint, http: HttpRequest) -> tuple[str, ...]:
        if endpoint.pool is not None:
            return ("keys", *sorted(endpoint.pool.secrets()))
        auth = endpoint.auth
        if isinstance(auth, NoAuth):
            return ()
        if isinstance(auth, AccountAuth) and (account := auth.account()) is not None:
            return ("account", account)
        if endpoint.renewable is not None:
            # One credential, renewed now and then, that cannot say whose it is: what it brings in is for itself alone.
            return ("nonce", self._nonces.setdefault(endpoint, os.urandom(16).hex()))
        return ("headers", *_flat(auth.headers(http, None)))


def _question(call: Call[CompletionResponse]) -> HttpRequest:
    """Return what is asked, whole and as if nothing were known of the server."""
    endpoint, request = call.endpoint, call.job.request
    assert request is not None  # only completions are kept
    place = evolve(endpoint.place, refused=frozenset()) if endpoint.place.refused else endpoint.place
    http = endpoint.dialect.encode(evolve(request, stream=False) if request.stream else request, place)
    endpoint.finish_headers(http)
    return http


def _flat(headers: Mapping[str, str]) -> list[str]:
    return [word for pair in sorted(headers.items()) for word in pair]

"""
Access tokens that go along as a bearer: those that are given, and those that are fetched, kept and renewed.

Rule 1: a token is fetched once for all threads: one fetches, the others wait for what it gets, a failure too; or they go on with the old
        one while that is good.
Rule 2: a token is renewed some minutes before it expires; if none is to be had then, the old one serves as long as it can.
Rule 3: a token that was refused is not sent again. Whether another attempt is worth it is decided elsewhere.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from copy import copy
from typing import Any, Protocol

from attrs import field

from llmkit._fork import renewed_in_child
from llmkit.errors import ConfigurationError, LLMKitError
from llmkit.secrets import Headers, Secret
from llmkit.transport.base import HttpRequest
from llmkit.values import frozen

__all__ = ["GivenToken", "Grant", "RenewedToken", "TokenSource", "bearer", "fit_token", "sent_token"]

logger = logging.getLogger("llmkit.auth")

LAST_SECONDS = 30.0  # of a token's life, in which it is not sent any more: it might expire on the way (anthropic 2.12 allows the same)
PATIENCE = 30.0  # seconds until a renewal that brought nothing new is tried again, as azure-identity 1.27 has it


class GivenToken:
    """
    A token that the user gives: as a string, or by a function that is called for each attempt.

    Args:
        token: The token, or the function.
        whose: Whose token it is, for errors: ``"Google's"``.

    Raises:
        ConfigurationError: If it is neither.
    """

    header = "Authorization"
    needs_key = False
    is_fresh = True  # nothing has to be fetched before ``headers``

    def __init__(self, token: str | Callable[[], str], whose: str) -> None:
        given: Any = token
        self._whose = whose
        if not isinstance(given, str) and not callable(given):
            msg = f"The option 'token' is an access token or a function that returns one, not {type(given).__name__}."
            raise ConfigurationError(msg)
        self._give: Callable[[], str] | None = given if callable(given) else None
        self._token = None if callable(given) else Secret(fit_token(given, whose))

    def headers(self, request: HttpRequest, key: Secret | None) -> Mapping[str, str]:
        """Return the header with the token."""
        return bearer(self.account())

    def account(self) -> str:
        """Return the token: a function may give those of many accounts."""
        if self._give is not None:
            return fit_token(self._give(), self._whose)
        assert self._token is not None  # there is either a function or a token
        return self._token.reveal()

    def fetch(self) -> None:
        """Do nothing: the token is at hand, or the user's function gets it."""

    def refused(self, headers: Mapping[str, str]) -> bool:
        """Return whether a token other than the refused one in *headers* can be had: from a function."""
        return self._give is not None

    def __repr__(self) -> str:
        return "GivenToken(***)"


@frozen(kw_only=True)
class Grant:
    """
    A token, and for how long it is good.

    Args:
        token: The token.
        expires: When it expires, in seconds since 1970.
        margin: How many seconds before that another is asked for.
    """

    token: str = field(repr=False)
    expires: float
    margin: float

    def is_due(self, now: float) -> bool:
        """Whether another is to be asked for."""
        return now >= self.expires - self.margin

    def is_spent(self, now: float) -> bool:
        """Whether it may not be sent any more."""
        return now >= self.expires - min(LAST_SECONDS, self.margin)


class TokenSource(Protocol):
    """Where tokens come from."""

    @property
    def name(self) -> str:
        """Whose tokens they are, for logs."""
        ...

    @property
    def account(self) -> str | None:
        """What tells those whose tokens they are from all others; None if that cannot be told."""
        ...

    def get(self, *, anew: bool) -> Grant:
        """
        Return a token; with *anew*, one that was not given out before, since that was refused. Blocks.

        Raises:
            ConfigurationError: If something is missing for it.
            AuthenticationError: If no token is given for what was shown.
            NetworkError: If it could not be asked for.
        """
        ...


class RenewedToken:
    """The tokens of a source. Safe for any number of threads."""

    header = "Authorization"
    needs_key = False

    def __init__(self, source: TokenSource, *, clock: Callable[[], float] = time.time) -> None:
        self._source = source
        self._clock = clock
        self._grant: Grant | None = None
        self._refused: str | None = None  # a token that the service took for spent
        self._not_before = 0.0  # when to ask again, after a renewal that brought nothing new
        self._answers = 0  # how often the source was asked, and gave a token or failed
        self._failure: LLMKitError | None = None  # of the last time
        self._lock = threading.Lock()
        renewed_in_child(self)

    def renew(self) -> None:
        """Forget, in a forked child, a lock that another thread of the parent may hold."""
        self._lock = threading.Lock()

    @property
    def is_fresh(self) -> bool:
        """Whether ``headers`` returns at once; else it waits for the network."""
        grant, now = self._grant, self._clock()
        return grant is not None and self._serves(grant, now) and (now < self._not_before or not grant.is_due(now))

    def _serves(self, grant: Grant, now: float) -> bool:
        return grant.token != self._refused and not grant.is_spent(now)

    def headers(self, request: HttpRequest, key: Secret | None) -> Mapping[str, str]:
        """Return the header with the token. Raises as ``TokenSource.get``."""
        self.fetch()
        grant = self._grant
        assert grant is not None  # fetched
        return bearer(grant.token)

    def account(self) -> str | None:
        """Return what tells whose tokens they are; None if that cannot be told."""
        return self._source.account

    def fetch(self) -> None:
        """Get a token if the one at hand has had its time, or there is none. Raises as ``TokenSource.get``."""
        if self.is_fresh:
            return
        grant, answers = self._grant, self._answers
        serves = grant is not None and self._serves(grant, self._clock())
        if not self._lock.acquire(blocking=not serves):
            return  # another thread is at it
        try:
            if self._answers == answers and not self.is_fresh:  # else another thread was first
                self._renew()
            failure = self._failure
        finally:
            self._lock.release()
        if failure is not None and not serves:
            raise copy(failure)  # each thread's traceback is its own

    def _renew(self) -> None:
        old = self._grant
        self._failure = None
        try:
            self._grant = self._source.get(anew=old is not None and old.token == self._refused)
            self._refused = None
        except LLMKitError as error:
            self._failure = error.with_traceback(None)
        self._answers += 1
        now = self._clock()
        self._not_before = now + PATIENCE
        if self._failure is not None and old is not None and self._serves(old, now):
            left = old.expires - now
            logger.warning("%s gave no new token; the one at hand is good for %d s: %s", self._source.name, left, self._failure.message)

    def refused(self, headers: Mapping[str, str]) -> bool:
        """Take note that the token in *headers* was refused; the next attempt is made with another."""
        token = sent_token(headers)
        grant = self._grant
        # By now another thread may have fetched a new one, which is none the worse for it.
        if token and grant is not None and grant.token == token:
            self._refused = token
        return True

    def __repr__(self) -> str:
        return f"RenewedToken({self._source.name})"


def fit_token(token: object, whose: str) -> str:
    """
    Return *token*.

    Raises:
        ConfigurationError: If it cannot stand in a header.
    """
    if not isinstance(token, str) or not Secret(token).is_fit():
        msg = f"{whose} access token is a text of visible ASCII characters; what was given is none."
        raise ConfigurationError(msg)
    return token


def bearer(token: str) -> Headers:
    """Return the header that carries *token*."""
    return Headers({"Authorization": f"Bearer {token}"})


def sent_token(headers: Mapping[str, str]) -> str:
    """Return the token that a request with *headers* carried; an empty string where there is none."""
    sent = next((value for name, value in headers.items() if name.lower() == "authorization"), "")
    return sent.removeprefix("Bearer ")

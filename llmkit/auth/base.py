"""How a credential gets onto a request. What is more than one header has a file of its own beside this one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias, runtime_checkable

from llmkit.errors import ConfigurationError
from llmkit.secrets import Headers, Secret
from llmkit.transport.base import HttpRequest
from llmkit.values import frozen

__all__ = ["AccountAuth", "Auth", "AuthArgument", "HeaderAuth", "NoAuth", "RenewableAuth", "as_auth"]

AuthArgument: TypeAlias = str | Callable[[], Mapping[str, str]] | bool | None


@runtime_checkable
class Auth(Protocol):
    """Signs one attempt. Called anew for each: a token may have expired since the last."""

    @property
    def needs_key(self) -> bool:
        """Whether a key must be leased for it."""
        ...

    def headers(self, request: HttpRequest, key: Secret | None) -> Mapping[str, str]:
        """Return the headers that carry the credential for *request*."""
        ...


@runtime_checkable
class RenewableAuth(Auth, Protocol):
    """An ``Auth`` whose credential is fetched from somewhere, and can be had anew."""

    @property
    def is_fresh(self) -> bool:
        """Whether ``headers`` returns at once; else it waits for the network."""
        ...

    def fetch(self) -> None:
        """Get what ``headers`` needs. Blocks; an event loop has it done in a thread."""
        ...

    def refused(self, headers: Mapping[str, str]) -> bool:
        """Take note that the credential in *headers* was refused (401), and return whether another can be had."""
        ...


@runtime_checkable
class AccountAuth(Auth, Protocol):
    """An ``Auth`` that can say whose it is, for as long as its credential is renewed."""

    def account(self) -> str | None:
        """Return what tells this account from all others; None if it cannot be told. It may be a secret, and stays in the process."""
        ...


@frozen
class HeaderAuth:
    """A key in one header, behind a prefix."""

    header: str = "Authorization"
    prefix: str = "Bearer "
    needs_key: bool = True

    def headers(self, request: HttpRequest, key: Secret | None) -> Mapping[str, str]:
        return {} if key is None else Headers({self.header: self.prefix + key.reveal()})


@frozen
class NoAuth:
    """No credential at all."""

    needs_key: bool = False

    def headers(self, request: HttpRequest, key: Secret | None) -> Mapping[str, str]:
        return {}


def as_auth(value: AuthArgument) -> Auth | None:
    """
    Return the way to send the credential that a user asked for by *value*; None where the provider's own will do.

    Raises:
        ConfigurationError: If it is none.
    """
    if value is None:
        return None
    if value is False:
        return NoAuth()
    if isinstance(value, str):
        if not value.isascii() or not value.replace("-", "").replace("_", "").isalnum():
            msg = f"auth= as a string is the name of a header, not {value!r}."
            raise ConfigurationError(msg)
        return HeaderAuth(value, "Bearer " if value.lower() == "authorization" else "")
    if callable(value):
        from llmkit.auth.function import CallableAuth

        return CallableAuth(value)
    msg = "auth= is a header's name, a callable that returns headers, or False."
    raise ConfigurationError(msg)

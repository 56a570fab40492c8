"""
Tokens of Microsoft Entra ID, which azure-identity gets: for a client with a secret, or with Azure's usual credentials.

Its usual credentials are, in this order and among others: a service principal of the environment (secret or certificate), the
identity of a workload (a federated token, whose file is read again and again), the machine's own (App Service, IMDS), and whoever is
logged in to the Azure CLI. What is left to us is to keep a token for all threads, and to get another in time.

Rule 1: ``azure-identity`` is imported when the first token is needed, not before.
Rule 2: what goes wrong here is told in words of our own; no exception of the library stays chained to it, as those hold requests.
Rule 3: a token that was refused is asked for with new credentials, since the old ones keep it.

Source: azure-identity 1.27, and Microsoft Learn, "Credential chains in the Azure Identity library for Python"; read 2026-11-21.
"""

from __future__ import annotations

import time
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

from attrs import field

from llmkit.auth.tokens import Grant, fit_token
from llmkit.errors import AuthenticationError, ConfigurationError, LLMKitError, NetworkError
from llmkit.secrets import Secret, clean
from llmkit.transport.settings import TransportSettings
from llmkit.values import define

__all__ = ["SCOPE", "EntraSource", "is_installed"]

SCOPE = "https://cognitiveservices.azure.com/.default"
MARGIN = 240.0  # seconds before it expires that a token is renewed: a minute after azure-identity stops to give the one it keeps
FETCH_TIME = 10.0  # seconds for one request of a client's; azure-core would allow 300


def is_installed() -> bool:
    """Whether azure-identity is there to be imported."""
    try:
        return find_spec("azure.identity") is not None
    except ModuleNotFoundError:
        return False


@define(kw_only=True, eq=False)
class EntraSource:
    """
    A source of tokens.

    Args:
        tenant_id: The tenant's id; the environment's unless given, as are the next two.
        client_id: The client's id, or that of a managed identity or of a workload's.
        client_secret: The client's secret. With it, nothing but the client is tried.
        scope: What the tokens are for.
        authority: The host that gives them, where it is not the public cloud's.
        transport: How connections are made.
    """

    name: str = field(default="Entra ID", init=False)
    tenant_id: str | None = None
    client_id: str | None = None
    client_secret: Secret | None = None
    scope: str = SCOPE
    authority: str | None = None
    transport: TransportSettings = field(factory=TransportSettings, repr=False)
    _credential: Any = field(default=None, init=False, repr=False)

    @property
    def account(self) -> str | None:
        """The client, where it has a secret; else only azure-identity knows who asks."""
        return None if self.client_secret is None else f"{self.client_id} {self.tenant_id} {self.authority}"

    def get(self, *, anew: bool) -> Grant:
        """Return a token. Raises as ``TokenSource.get``."""
        if anew:
            self._forget()
        failure: LLMKitError
        try:
            if self._credential is None:
                self._credential = self._made()
            found = self._credential.get_token(self.scope)
        except ImportError:
            failure = ConfigurationError("Entra ID's tokens need azure-identity: pip install 'llmkit[azure]', or pass a key as api_key=.")
        except Exception as error:  # noqa: BLE001 - azure-identity raises ValueError, its own, msal's and those of its transports
            failure = self._failure_of(error)
        else:
            life = max(found.expires_on - time.time(), 0.0)
            return Grant(token=fit_token(found.token, "Entra ID's"), expires=float(found.expires_on), margin=min(MARGIN, life / 2))
        raise failure

    def _made(self) -> Any:
        from azure.identity import ClientSecretCredential, DefaultAzureCredential

        options: dict[str, Any] = {}
        if self.authority:
            # Whoever names an authority vouches for it; the public cloud would be asked whether it knows it.
            options |= {"authority": self.authority, "disable_instance_discovery": True}
        if self.transport.verify is not True:
            options["connection_verify"] = self.transport.verify
        if self.transport.proxies is not None:
            options["proxies"] = dict(self.transport.proxies)
        if self.client_secret is not None:
            options |= {"connection_timeout": FETCH_TIME, "read_timeout": FETCH_TIME, "retry_total": 2}
            return ClientSecretCredential(self.tenant_id or "", self.client_id or "", self.client_secret.reveal(), **options)
        if self.client_id:
            options["managed_identity_client_id"] = self.client_id
        if self.tenant_id:
            options["workload_identity_tenant_id"] = self.tenant_id
        return DefaultAzureCredential(**options)

    def _forget(self) -> None:
        credential, self._credential = self._credential, None
        if credential is not None:
            with suppress(Exception):
                credential.close()

    def _failure_of(self, error: Exception) -> LLMKitError:
        from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ServiceRequestError, ServiceResponseError

        secrets = () if self.client_secret is None else (self.client_secret.reveal(),)
        instead = "" if self.client_secret is not None else " (a key, given as api_key=, would do as well)"
        text = clean(f"Entra ID gave no access token{instead}: {error}", secrets, limit=1000)
        status = getattr(error, "status_code", None)
        busy = isinstance(status, int) and (status == 429 or status >= 500)
        # A connection that failed inside msal comes as a refusal, with its cause behind it.
        lost = any(isinstance(one, (ServiceRequestError, ServiceResponseError)) for one in (error, error.__cause__))
        if lost or busy:
            return NetworkError(text, kind="connect")
        if isinstance(error, (ClientAuthenticationError, HttpResponseError)):
            return AuthenticationError(text, status_code=status)
        return ConfigurationError(text)

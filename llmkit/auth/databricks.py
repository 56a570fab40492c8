"""
Tokens of a Databricks workspace for a service principal (OAuth, machine to machine).

Source: Databricks, "Authorize service principal access with OAuth"; databricks-sdk 0.156; read 2026-11-21.
"""

from __future__ import annotations

from llmkit.auth.oauth import ClientCredentials
from llmkit.auth.tokens import RenewedToken
from llmkit.secrets import Secret
from llmkit.transport.settings import TransportSettings

__all__ = ["databricks_tokens"]

MARGIN = 300.0  # seconds before it expires that a token is renewed; the SDK renews in the background from 20 minutes on


def databricks_tokens(host: str, client_id: str, client_secret: Secret, transport: TransportSettings) -> RenewedToken:
    """
    Return the tokens of the service principal *client_id* in the workspace at *host*, a URL.

    Raises:
        ConfigurationError: If *host* is no URL, or would get the secret over plain http.
    """
    source = ClientCredentials(
        name="Databricks",
        url=f"{host}/oidc/v1/token",
        client_id=client_id,
        client_secret=client_secret,
        scope="all-apis",
        margin=MARGIN,
        transport=transport,
    )
    return RenewedToken(source)

"""
How one shows who one is, where there are several ways: by a key, by a token that is given, by one that is fetched.

Rule 1: what the user says counts before what the environment holds, and two things said that exclude each other are an error.
Rule 2: what is secret leaves the options here: dialects, addresses and reprs see the rest.

Sources: openai-python 3.54, ``lib/azure.py``; azure-identity 1.27; anthropic 2.12, ``_client.py``; databricks-sdk 0.156;
snowflake-connector-python 5.2; read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Iterable

from llmkit.auth.base import Auth
from llmkit.errors import ConfigurationError
from llmkit.providers.means import Means
from llmkit.secrets import Secret

__all__ = ["anthropic_access", "azure_access", "databricks_access", "snowflake_access"]

_CLIENT = ("tenant_id", "client_id", "client_secret")


def _exclude(means: Means, provider: str, names: Iterable[str]) -> None:
    """Refuse a key beside options *names*, which stand for another way."""
    said = sorted(means.of(names))
    if means.keyed and said:
        msg = f"{provider} takes a key or the option {said[0]!r}, not both."
        raise ConfigurationError(msg)


def anthropic_access(means: Means) -> tuple[dict[str, str], Auth | None]:
    """Return how one shows who one is to Anthropic: a key of the environment counts before its token."""
    _exclude(means, "Anthropic", ["token"])
    said, token = means.without("token"), means.options.get("token")
    if token is None or (not means.of(["token"]) and (means.keyed or means.key_at_hand)):
        return said, None
    from llmkit.auth.tokens import GivenToken

    return said, GivenToken(token, "Anthropic's")


def azure_access(means: Means) -> tuple[dict[str, str], Auth | None]:
    """
    Return how one shows who one is to Azure: a key or a token or a client that is given; then a token of the environment, a key of the
    environment, and Azure's usual credentials, where azure-identity is installed.

    Raises:
        ConfigurationError: If two ways are given, or a client without its id or its tenant.
    """
    _exclude(means, "Azure", ["token", *_CLIENT])
    said, token = means.without("token", *_CLIENT, "scope", "authority"), means.options.get("token")
    client = means.of(_CLIENT)
    if client and means.of(["token"]):
        msg = f"Azure takes the option 'token' or {min(client)!r}, not both."
        raise ConfigurationError(msg)
    if means.keyed:
        return said, None
    if token is not None and not client:
        from llmkit.auth.tokens import GivenToken

        return said, GivenToken(token, "Entra ID's")
    from llmkit.auth.entra import is_installed

    if client or (not means.key_at_hand and is_installed()):
        return said, _of_entra(means, client)
    return said, None


def _of_entra(means: Means, client: frozenset[str]) -> Auth:
    from llmkit.auth.entra import SCOPE, EntraSource
    from llmkit.auth.tokens import RenewedToken

    options = means.options
    # A client of the environment is one of several that azure-identity looks for, in an order of its own.
    secret = options.get("client_secret") if client else None
    lacking = [name for name in _CLIENT if not options.get(name)]
    if secret and lacking:
        variables = ", ".join(f"AZURE_{name.upper()}" for name in lacking)
        msg = f"Azure needs a client's secret, id and tenant together: pass options={{{lacking[0]!r}: ...}}, or set {variables}."
        raise ConfigurationError(msg)
    source = EntraSource(
        tenant_id=options.get("tenant_id"),
        client_id=options.get("client_id"),
        client_secret=Secret(secret) if secret else None,
        scope=options.get("scope") or SCOPE,
        authority=options.get("authority"),
        transport=means.transport,
    )
    return RenewedToken(source)


def databricks_access(means: Means) -> tuple[dict[str, str], Auth | None]:
    """
    Return how one shows who one is to Databricks: what is given, then a personal token of the environment, then its service principal.

    Raises:
        ConfigurationError: If a key and a client are given, or a client without its secret, its id or the workspace.
    """
    names = ("client_id", "client_secret")
    _exclude(means, "Databricks", names)
    said = means.without(*names)
    client_id, secret = (means.options.get(name) for name in names)
    if means.keyed or (means.key_at_hand and not means.of(names)) or not (client_id or secret):
        return said, None
    lacking = [name for name in (*names, "host") if not means.options.get(name)]
    if lacking:
        variables = ", ".join(f"DATABRICKS_{name.upper()}" for name in lacking)
        msg = f"Databricks needs {', '.join(lacking)} for a service principal: pass options={{{lacking[0]!r}: ...}}, or set {variables}."
        raise ConfigurationError(msg)
    from llmkit.auth.databricks import databricks_tokens

    assert client_id is not None
    assert secret is not None
    host = str(means.options["host"]).strip().rstrip("/")
    url = host if host.startswith(("https://", "http://")) else f"https://{host}"
    return said, databricks_tokens(url, client_id, Secret(secret), means.transport)


def snowflake_access(means: Means) -> tuple[dict[str, str], Auth | None]:
    """
    Return how one shows who one is to Snowflake: what is given, then a token of the environment, then its key pair.

    Raises:
        ConfigurationError: If a key and a key pair are given, or a key pair without the account or the user.
    """
    places = ("private_key", "private_key_path")
    _exclude(means, "Snowflake", places)
    said = means.without("user", "passphrase", *places)
    # A key pair that is given keeps one of the environment out.
    at_hand = means.of(places) or frozenset(name for name in places if means.options.get(name))
    if means.keyed or not at_hand or (means.key_at_hand and not means.of(places)):
        return said, None
    lacking = [name for name in ("account", "user") if not means.options.get(name)]
    if lacking:
        variables = ", ".join(f"SNOWFLAKE_{name.upper()}" for name in lacking)
        msg = f"Snowflake needs {' and '.join(lacking)} for a key pair: pass options={{{lacking[0]!r}: ...}}, or set {variables}."
        raise ConfigurationError(msg)
    from llmkit.auth.snowflake import TOKEN_TYPE, KeyPair
    from llmkit.auth.tokens import RenewedToken

    pair = KeyPair(
        account=str(means.options["account"]),
        user=str(means.options["user"]),
        passphrase=means.options.get("passphrase"),
        **{name: means.options[name] for name in at_hand},
    )
    return {**said, "token_type": TOKEN_TYPE}, RenewedToken(pair)

"""What people write for a host or an account, and what then stands in an address."""

from __future__ import annotations

import re

from llmkit.errors import ConfigurationError

__all__ = ["account_label", "host", "ollama_host"]

_ACCOUNT = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")
_PORT = re.compile(r":(\d*)$")
OLLAMA_PORT = 11434


def host(value: str) -> str:
    """Return *value*, a host with or without a scheme, without its last slash. ``https://`` goes without saying."""
    return value.strip().rstrip("/").removeprefix("https://")


def account_label(value: str) -> str:
    """
    Return the part of a host name that stands for the Snowflake account *value*, which may be a whole URL or host.

    Raises:
        ConfigurationError: If it is no account identifier.

    Source: Snowflake documentation, "Account identifiers", read 2026-11-21: underscores become hyphens in host names.
    """
    label = host(value).removesuffix(".snowflakecomputing.com").replace("_", "-")
    if _ACCOUNT.fullmatch(label) is None:
        msg = f"The account is an identifier such as 'myorg-account1', not {value!r}."
        raise ConfigurationError(msg)
    return label


def ollama_host(value: str) -> str:
    """
    Return *value*, in any form that ``OLLAMA_HOST`` may have, as a URL.

    Without a scheme the port is 11434 unless said; an address to listen on (0.0.0.0) is this machine.

    Source: Ollama, envconfig/config.go, read 2026-11-21.
    """
    text = value.strip().strip("'\"")
    scheme, mark, rest = text.rpartition("://")
    address, slash, path = rest.partition("/")
    split = _PORT.search(address)
    name, port = (address[: split.start()], split[1]) if split else (address, "")
    if name in ("", "0.0.0.0", "[::]"):  # noqa: S104 - read, not bound
        name = "127.0.0.1"
    if not mark:
        scheme, port = "http", port or str(OLLAMA_PORT)
    return f"{scheme}://{name}{':' if port else ''}{port}{slash}{path}"

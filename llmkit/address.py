"""
Base URLs: what users give, and where requests end up.

Source: RFC 3986 for the parts of a URL; RFC 6761, section 6.3, and RFC 1122, section 3.2.1.3, for what is loopback.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from llmkit.errors import ConfigurationError

__all__ = ["check_base_url", "is_loopback", "normalised", "origin_of"]

# A user may paste the URL of one operation; the base is what stands before it. Behind a version only, "models" is one: some hosts
# have their base there.
_OPERATIONS = ("/chat/completions", "/completions", "/responses", "/embeddings")

# Control characters, white space, and a backslash.
_UNFIT = frozenset(map(chr, (*range(0x21), *range(0x7F, 0xA1), 0x2028, 0x2029))) | {"\\"}


def check_base_url(url: object) -> SplitResult:
    """
    Return the parts of *url*.

    Raises:
        ConfigurationError: If it is no http(s) URL, or has user info, a query, a fragment, dot segments, a backslash or a control
            character: each has been used to send a key somewhere else.
    """
    if not isinstance(url, str) or not url:
        msg = f"base_url is a URL such as 'https://api.example.com/v1', not {url!r}."
        raise ConfigurationError(msg)
    if not _UNFIT.isdisjoint(url):
        msg = "base_url has a space, a backslash or a control character in it."
        raise ConfigurationError(msg)
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        msg = f"base_url is no URL: {error}."
        raise ConfigurationError(msg) from None
    if parts.scheme not in ("http", "https") or not host:
        msg = f"base_url begins with http:// or https:// and a host, as 'http://localhost:8000' does{_shown(url, parts)}."
        raise ConfigurationError(msg)
    if parts.username is not None or parts.password is not None:
        msg = "base_url has a user name or password in it; credentials go into api_key= or auth=."
        raise ConfigurationError(msg)
    if parts.query or parts.fragment or "?" in url or "#" in url:
        msg = "base_url has a query or a fragment; give the part before it."
        raise ConfigurationError(msg)
    if any(segment in (".", "..") for segment in parts.path.lower().replace("%2e", ".").split("/")):
        msg = "base_url has '.' or '..' in its path."
        raise ConfigurationError(msg)
    return parts


def _shown(url: str, parts: SplitResult) -> str:
    # Never the user info, which may be a password, nor what is no URL at all and may be a key in the wrong place.
    return f", and not with {parts.scheme}://{parts.hostname or ''}" if "://" in url and parts.scheme else ""


def normalised(url: str, *, default_path: str = "") -> str:
    """
    Return *url* as a base: no slash at its end, no operation behind it, and *default_path* where it has no path at all.

    ``http://localhost:8000``, ``http://localhost:8000/v1/`` and ``http://localhost:8000/v1/chat/completions`` are one base.
    """
    parts = check_base_url(url)
    path = _without_operation(parts.path.rstrip("/")).rstrip("/")
    return f"{origin_of(url)}{path or default_path}"


def _without_operation(path: str) -> str:
    for operation in _OPERATIONS:
        if path.endswith(operation):
            return path.removesuffix(operation)
    shorter = path.removesuffix("/models")
    return shorter if re.search("/v[1-9]$", shorter) else path


def origin_of(url: str) -> str:
    """Return scheme, host and port of *url*, the host in lower case, the port only where it is not the scheme's own."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    port = "" if parts.port in (None, usual) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def is_loopback(url: str) -> bool:
    """Whether *url* stays on this machine."""
    host = (urlsplit(url).hostname or "").removesuffix(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback

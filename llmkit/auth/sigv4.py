"""
AWS's Signature Version 4.

Rule: what is signed is what is sent: the host, the path byte for byte, the query, the body, the headers, and the time.

Source: AWS, "Signature Version 4 signing process" and "Create a signed AWS API request"; botocore 1.44.5, ``auth.py``; read 2026-11-21.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

from attrs import field

from llmkit.address import origin_of
from llmkit.errors import ConfigurationError
from llmkit.secrets import Headers, Secret
from llmkit.values import frozen

__all__ = ["ALGORITHM", "AwsCredentials", "sign", "signature"]

ALGORITHM = "AWS4-HMAC-SHA256"

# Headers that are signing's own, and those that a client, a proxy or the network may change on the way; botocore leaves these out too.
_UNSIGNED = frozenset(
    {
        *("authorization", "host", "x-amz-date", "x-amz-security-token"),
        *(
            "accept-encoding",
            "baggage",
            "connection",
            "content-length",
            "expect",
            "keep-alive",
            "proxy-authenticate",
            "proxy-authorization",
        ),
        *("te", "traceparent", "tracestate", "trailer", "transfer-encoding", "upgrade", "user-agent", "x-amzn-trace-id"),
    }
)


def _as_secret(value: str | Secret) -> Secret:
    return value if isinstance(value, Secret) else Secret(value)


def _as_secret_or_none(value: str | Secret | None) -> Secret | None:
    return _as_secret(value) if value else None


@frozen(kw_only=True)
class AwsCredentials:
    """
    An access key, with the session token that temporary ones have.

    Raises:
        ConfigurationError: If one of them could not stand in a header, such as one with a line break behind it.
    """

    access_key_id: str = field(repr=False)
    secret_access_key: Secret = field(converter=_as_secret)
    session_token: Secret | None = field(default=None, converter=_as_secret_or_none)

    def __attrs_post_init__(self) -> None:
        for name, value in (
            ("access_key_id", Secret(self.access_key_id)),
            ("secret_access_key", self.secret_access_key),
            ("session_token", self.session_token),
        ):
            if value is not None and not value.is_fit():
                msg = f"AWS's {name} is a text of visible ASCII characters; what was given is none."
                raise ConfigurationError(msg)


def sign(
    method: str, url: str, headers: Mapping[str, str], body: bytes, *, service: str, region: str, credentials: AwsCredentials, at: float
) -> Headers:
    """
    Return the headers that sign a request: ``Host``, ``X-Amz-Date``, ``Authorization``, with temporary credentials their token.

    Args:
        url: As it is sent; its path is signed byte for byte.
        headers: What is sent beside; all are signed but those that may change on the way.
        service: The name that signs, which may differ from the host's: ``bedrock``, ``sagemaker``.
        at: The time, in seconds since 1970.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at))
    made = Headers({"Host": _host(url, headers), "X-Amz-Date": stamp})
    if credentials.session_token is not None:
        made["X-Amz-Security-Token"] = credentials.session_token.reveal()
    signed: dict[str, str] = {}
    for name, value in headers.items():
        lower = name.lower()
        if lower not in _UNSIGNED:
            signed[lower] = f"{signed[lower]},{value}" if lower in signed else value
    signed.update((name.lower(), value) for name, value in made.items())
    parts = urlsplit(url)
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    proof = signature(
        credentials.secret_access_key,
        method=method,
        path=parts.path,
        query=parts.query,
        headers=signed,
        body=body,
        stamp=stamp,
        scope=scope,
    )
    whose = f"Credential={credentials.access_key_id}/{scope}"
    made["Authorization"] = f"{ALGORITHM} {whose}, SignedHeaders={';'.join(sorted(signed))}, Signature={proof}"
    return made


def signature(
    secret: Secret, *, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes, stamp: str, scope: str
) -> str:
    """
    Return the signature of a request, in hex.

    Args:
        path: As it stands on the wire. (It is percent-encoded once more for signing, by every service but S3.)
        headers: Those that are signed, with lower-case names.
        stamp: ``YYYYMMDDTHHMMSSZ``.
        scope: ``YYYYMMDD/region/service/aws4_request``.
    """
    names = sorted(headers)
    canonical = "\n".join(
        (
            method.upper(),
            quote(_plain(path), safe="/~"),
            "&".join("=".join(pair) for pair in sorted(_pair(item) for item in query.split("&"))) if query else "",
            *(f"{name}:{' '.join(headers[name].split())}" for name in names),
            "",
            ";".join(names),
            hashlib.sha256(body).hexdigest(),
        )
    )
    to_sign = "\n".join((ALGORITHM, stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    key = b"AWS4" + secret.reveal().encode()
    for word in (*scope.split("/"), to_sign):
        key = hmac.digest(key, word.encode(), "sha256")
    return key.hex()


def _host(url: str, headers: Mapping[str, str]) -> str:
    said = next((value for name, value in headers.items() if name.lower() == "host"), None)
    return said or origin_of(url).partition("://")[2]


def _plain(path: str) -> str:
    """Return *path* without empty, ``.`` and ``..`` segments (RFC 3986, section 5.2.4)."""
    if "//" not in path and "/." not in path and path.startswith("/"):
        return path
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    return "/" + "/".join(kept) + ("/" if kept and path.endswith("/") else "")


def _pair(item: str) -> tuple[str, str]:
    name, _, value = item.partition("=")
    return name, value

"""
AWS: Signature Version 4, and the credentials it is made with.

Rule 1: a request is signed as it is sent, for one attempt: its host, its path byte for byte, its body, its headers, and the time.
Rule 2: credentials come from what was given, else the environment, else botocore's chain, which is imported only then.
Rule 3: credentials that expire are fetched once for all threads, minutes before their time; who has others in hand does not wait.
Rule 4: what goes wrong here is told in words of our own; no exception of botocore stays chained to it, as those hold requests.

Source: AWS, "Signature Version 4 signing process" and "Create a signed AWS API request"; botocore 1.44.5, ``auth.py`` and
``credentials.py``; read 2026-11-21.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from attrs import field, frozen

from llmkit._fork import renewed_in_child
from llmkit.address import origin_of
from llmkit.errors import AuthenticationError, ConfigurationError, LLMKitError, NetworkError
from llmkit.secrets import Headers, Secret, clean
from llmkit.transport.base import HttpRequest

__all__ = ["ALGORITHM", "AwsAuth", "AwsCredentials", "profile_region", "sign", "signature"]

ALGORITHM = "AWS4-HMAC-SHA256"

ADVISORY = 15 * 60  # seconds before their end from which credentials are renewed where that works; botocore's own figure
MANDATORY = 10 * 60  # seconds before their end from which they are no longer used; botocore's own figure
PAUSE = 60.0  # seconds until a renewal is tried again that failed while the old credentials are still good

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


# -- the signature


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


# -- the credentials


class AwsAuth:
    """
    Signs each attempt for one service in one region.

    Args:
        service: The name that signs: ``bedrock``, ``sagemaker``.
        region: The region that serves, ``us-east-1``.
        profile: A profile of AWS's configuration files; the environment's keys then count for nothing.
        credentials: Those to sign with, or an object of botocore's that has them (``boto3.Session().get_credentials()``); those of
            the environment, or of botocore's chain, unless given.
        clock: Gives the time in seconds since 1970.

    Safe for any number of threads.
    """

    needs_key = False

    def __init__(
        self, service: str, region: str, *, profile: str | None = None, credentials: Any = None, clock: Callable[[], float] = time.time
    ) -> None:
        if credentials is not None and not isinstance(credentials, AwsCredentials) and not hasattr(credentials, "get_frozen_credentials"):
            msg = f"credentials are AwsCredentials, or such as botocore makes, not {type(credentials).__name__}."
            raise ConfigurationError(msg)
        self._service = service
        self._region = region
        self._profile = profile
        self._given = credentials
        self._clock = clock
        self._source: Any = None  # of botocore's, where the credentials at hand came from it
        self._frozen: AwsCredentials | None = credentials if isinstance(credentials, AwsCredentials) else None
        self._ask_again = 0.0
        self._lock = threading.Lock()
        renewed_in_child(self)

    def renew(self) -> None:
        """Forget, in a forked child, a lock that another thread of the parent may hold."""
        self._lock = threading.Lock()

    @property
    def is_fresh(self) -> bool:
        """Whether ``headers`` returns at once; else it reads files or waits for the network."""
        if self._frozen is None:
            return False
        return not self._is_due(ADVISORY) or (self._clock() < self._ask_again and not self._is_due(MANDATORY))

    def headers(self, request: HttpRequest, key: Secret | None) -> Mapping[str, str]:
        """
        Return the headers that sign *request*, now.

        Raises:
            ConfigurationError: If there are no credentials, or botocore is needed for them and not installed.
            AuthenticationError: If AWS gives none, such as for a role that may not be assumed.
            NetworkError: If it could not be asked.
        """
        self.fetch()
        credentials = self._frozen
        while credentials is None:  # another thread's were refused between those two lines
            self.fetch()
            credentials = self._frozen
        return sign(
            request.method,
            request.url,
            request.headers,
            request.body,
            service=self._service,
            region=self._region,
            credentials=credentials,
            at=self._clock(),
        )

    def fetch(self) -> None:
        """Get credentials if there are none at hand, or those are near their end. Raises as ``headers``."""
        if self.is_fresh:
            return
        must_wait = self._frozen is None or self._is_due(MANDATORY)
        if not self._lock.acquire(blocking=must_wait):
            return  # another thread is at it, and those at hand are good for minutes
        try:
            if not self.is_fresh:
                self._fetch()
        finally:
            self._lock.release()

    def refused(self, headers: Mapping[str, str]) -> bool:
        """Take note that the credentials in *headers* have expired, and return whether others can be had."""
        if isinstance(self._given, AwsCredentials):
            return False
        sent = {name.lower(): value for name, value in headers.items()}
        credentials = self._frozen
        # By now another thread may have fetched new ones, which are none the worse for it.
        if credentials is not None and _carries(sent, credentials):
            with self._lock:
                if self._frozen is credentials:
                    self._frozen = self._source = None
        return True

    def _is_due(self, margin: int) -> bool:
        needed = getattr(self._source, "refresh_needed", None)
        return needed is not None and bool(needed(margin))

    def _fetch(self) -> None:
        if self._source is None and self._given is None and self._profile is None:
            found = _of_environment()
            if found is not None:
                self._frozen = found
                return
        self._source, self._frozen = _frozen_of(self._source or self._given, self._profile)
        if self._is_due(ADVISORY):
            self._ask_again = self._clock() + PAUSE  # botocore could not renew them, or they do not live longer

    def __repr__(self) -> str:
        return f"AwsAuth({self._service!r}, {self._region!r})"


def _carries(headers: Mapping[str, str], credentials: AwsCredentials) -> bool:
    token = credentials.session_token.reveal() if credentials.session_token is not None else None
    is_same = f"Credential={credentials.access_key_id}/" in headers.get("authorization", "")
    return is_same and headers.get("x-amz-security-token") == token


def _of_environment() -> AwsCredentials | None:
    key, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    if not key and not secret:
        return None
    if not key or not secret:
        there, missing = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")[:: 1 if key else -1]
        msg = f"{there} is set, but {missing} is not."
        raise ConfigurationError(msg)
    return AwsCredentials(access_key_id=key, secret_access_key=secret, session_token=os.environ.get("AWS_SESSION_TOKEN"))


# -- botocore


def profile_region(profile: str | None) -> str | None:
    """
    Return the region that AWS's configuration files give *profile*, or the one in force; None where botocore is missing.

    Raises:
        ConfigurationError: If there is no such profile, or the files cannot be read.
    """
    try:
        from botocore.exceptions import BotoCoreError
        from botocore.session import Session
    except ImportError:
        return None
    try:
        found = Session(profile=profile).get_config_variable("region")
    except BotoCoreError as error:
        text = clean(str(error), limit=300)
    else:
        return str(found) if found else None
    msg = f"AWS's configuration cannot be used: {text}"
    raise ConfigurationError(msg)


def _frozen_of(source: Any, profile: str | None) -> tuple[Any, AwsCredentials]:
    """Return *source*, found where it is None, with the credentials it gives now."""
    failure: LLMKitError | None = None
    frozen: Any = None
    try:
        source = source if source is not None else _chain(profile)
        frozen = source.get_frozen_credentials() if source is not None else None
    except ConfigurationError:
        raise
    except Exception as error:  # noqa: BLE001 - botocore's own are many, and a program that gives credentials may bring any other
        failure = _translated(error)
    if failure is not None:
        raise failure
    if frozen is None or not frozen.access_key:
        msg = (
            "AWS's credentials were not found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, run 'aws configure' or "
            "'aws sso login', or pass options={'access_key_id': ..., 'secret_access_key': ...}."
        )
        raise ConfigurationError(msg)
    return source, AwsCredentials(access_key_id=frozen.access_key, secret_access_key=frozen.secret_key, session_token=frozen.token)


def _chain(profile: str | None) -> Any:
    try:
        from botocore.session import Session
    except ImportError:
        msg = (
            "AWS's credentials are not in the environment, and to look elsewhere botocore is needed: pip install 'llmkit[bedrock]', or "
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        )
        raise ConfigurationError(msg) from None
    return Session(profile=profile).get_credentials()


def _translated(error: Exception) -> LLMKitError:
    from botocore import exceptions

    text = clean(f"AWS gave no credentials: {error}", limit=500)
    if isinstance(
        error,
        (exceptions.ProfileNotFound, exceptions.PartialCredentialsError, exceptions.ConfigNotFound, exceptions.ConfigParseError),
    ):
        return ConfigurationError(text)
    if isinstance(error, (exceptions.HTTPClientError, exceptions.ConnectionError)):
        return NetworkError(text, kind="connect")
    if isinstance(error, (exceptions.BotoCoreError, exceptions.ClientError, RuntimeError)):
        return AuthenticationError(text)
    return AuthenticationError(f"AWS gave no credentials ({type(error).__name__}).")

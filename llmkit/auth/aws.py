"""
AWS's credentials, and what signs each attempt with them.

Rule 1: each attempt is signed anew, as it is sent.
Rule 2: credentials come from what was given, else the environment, else botocore's chain, which is imported only then.
Rule 3: credentials that expire are fetched once for all threads, minutes before their time; who has others in hand does not wait.
Rule 4: what goes wrong here is told in words of our own; no exception of botocore stays chained to it, as those hold requests.

Source: AWS, "AWS SDKs and Tools Reference Guide", and botocore 1.44.5, ``credentials.py``; read 2026-11-21.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from attrs import field

from llmkit._fork import renewed_in_child
from llmkit.auth.sigv4 import AwsCredentials, sign
from llmkit.errors import AuthenticationError, ConfigurationError, LLMKitError, NetworkError
from llmkit.secrets import Secret, clean
from llmkit.transport.base import HttpRequest
from llmkit.values import frozen

__all__ = ["AwsAuth", "AwsCredentials", "profile_region", "sign"]

ADVISORY = 15 * 60  # seconds before their end from which credentials are renewed where that works; botocore's own figure
MANDATORY = 10 * 60  # seconds before their end from which they are no longer used; botocore's own figure
PAUSE = 60.0  # seconds until a renewal is tried again that failed while the old credentials are still good


@frozen
class _AtHand:
    """Credentials with what they came from, and when that is to be asked for others."""

    source: Any = field(repr=False)  # of botocore's; None for those that cannot be renewed
    credentials: AwsCredentials
    margin: int = field(default=MANDATORY, kw_only=True)  # seconds before their end from which they are no longer used
    ask_again: float = field(default=0.0, kw_only=True)  # not before, as long as they are good

    def is_fresh(self, clock: Callable[[], float]) -> bool:
        return not self.is_due(ADVISORY) or (clock() < self.ask_again and self.is_good())

    def is_good(self) -> bool:
        return not self.is_due(self.margin)

    def is_due(self, margin: int) -> bool:
        needed = getattr(self.source, "refresh_needed", None)
        return needed is not None and bool(needed(margin))


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
        self._at_hand = _AtHand(None, credentials) if isinstance(credentials, AwsCredentials) else None
        self._lock = threading.Lock()
        renewed_in_child(self)

    def renew(self) -> None:
        """Forget, in a forked child, a lock that another thread of the parent may hold."""
        self._lock = threading.Lock()

    @property
    def is_fresh(self) -> bool:
        """Whether ``headers`` returns at once; else it reads files or waits for the network."""
        held = self._at_hand
        return held is not None and held.is_fresh(self._clock)

    def account(self) -> str | None:
        """The access key, where it lasts; those of a session are others every hour, and say nothing of whose they are."""
        held = self._at_hand
        return None if held is None or held.credentials.session_token is not None else held.credentials.access_key_id

    def headers(self, request: HttpRequest, key: Secret | None) -> Mapping[str, str]:
        """
        Return the headers that sign *request*, now.

        Raises:
            ConfigurationError: If there are no credentials, or botocore is needed for them and not installed.
            AuthenticationError: If AWS gives none, such as for a role that may not be assumed.
            NetworkError: If it could not be asked.
        """
        return sign(
            request.method,
            request.url,
            request.headers,
            request.body,
            service=self._service,
            region=self._region,
            credentials=self._ready(),
            at=self._clock(),
        )

    def fetch(self) -> None:
        """Get credentials if there are none at hand, or those are near their end. Raises as ``headers``."""
        self._ready()

    def refused(self, headers: Mapping[str, str]) -> bool:
        """Take note that the credentials in *headers* have expired, and return whether others can be had. Waits for nobody."""
        if isinstance(self._given, AwsCredentials):
            return False
        held = self._at_hand
        sent = {name.lower(): value for name, value in headers.items()}
        # By now another thread may have fetched new ones, which are none the worse for it.
        if held is not None and _carries(sent, held.credentials) and self._at_hand is held:
            self._at_hand = None
        return True

    def _ready(self) -> AwsCredentials:
        held = self._at_hand
        if held is not None and held.is_fresh(self._clock):
            return held.credentials
        if not self._lock.acquire(blocking=held is None or not held.is_good()):
            assert held is not None  # else it would have waited
            return held.credentials  # another thread is at it, and these are good for minutes
        try:
            held = self._at_hand
            if held is None or not held.is_fresh(self._clock):
                held = self._at_hand = self._fetched(None if held is None else held.source)
            return held.credentials
        finally:
            self._lock.release()

    def _fetched(self, source: Any) -> _AtHand:
        if source is None and self._given is None and self._profile is None:
            found = _of_environment()
            if found is not None:
                return _AtHand(None, found)
        source, credentials = _frozen_of(source or self._given, self._profile)
        held = _AtHand(source, credentials)
        if held.is_due(ADVISORY):
            # botocore could not renew them yet, or they do not live longer: then they are good to their end.
            margin = 0 if held.is_due(MANDATORY) else MANDATORY
            held = _AtHand(source, credentials, margin=margin, ask_again=self._clock() + PAUSE)
        return held

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

"""
Google's access tokens: one that is given, a function that gives one, or those of Google's usual credentials.

Rule 1: ``google-auth`` is imported when the first token is needed, not before.
Rule 2: a token is fetched once for all threads: one fetches, the others wait for it.
Rule 3: what goes wrong here is told in words of our own; no exception of the library stays chained to it, as those hold requests.

Source: google-auth 2.62, and its user guide; Google Cloud, "Application Default Credentials"; read 2026-11-21.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from llmkit._fork import renewed_in_child
from llmkit.errors import AuthenticationError, ConfigurationError, NetworkError
from llmkit.secrets import Headers, Secret, clean
from llmkit.transport.base import HttpRequest

__all__ = ["SCOPE", "GoogleCredentials", "GoogleToken"]

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
FETCH_TIME = 10.0  # seconds for one request for a token; google-auth would allow 120


class GoogleToken:
    """
    A token that the user gives: as a string, or by a function that is called for each attempt.

    Raises:
        ConfigurationError: If it is neither.
    """

    needs_key = False
    is_fresh = True  # nothing has to be fetched before ``headers``

    def __init__(self, token: str | Callable[[], str]) -> None:
        given: Any = token
        if not isinstance(given, str) and not callable(given):
            msg = f"The option 'token' is an access token or a function that returns one, not {type(given).__name__}."
            raise ConfigurationError(msg)
        self._give: Callable[[], str] | None = given if callable(given) else None
        self._token = None if callable(given) else _fit(given)

    def headers(self, request: HttpRequest, key: Secret | None) -> Mapping[str, str]:
        """Return the header with the token."""
        token = self._token if self._give is None else _fit(self._give())
        assert token is not None  # there is either a function or a token
        return _bearer(token)

    def fetch(self) -> None:
        """Do nothing: the token is at hand, or the user's function gets it."""

    def refused(self, headers: Mapping[str, str]) -> bool:
        """Return whether a token other than the refused one in *headers* can be had: from a function."""
        return self._give is not None

    def __repr__(self) -> str:
        return "GoogleToken(***)"


class GoogleCredentials:
    """
    Google's usual credentials: those of ``GOOGLE_APPLICATION_CREDENTIALS``, of gcloud, or of the machine this runs on.

    A token is renewed some minutes before it expires, and when it was refused. Safe for any number of threads.

    Args:
        credentials: Credentials of google-auth; found as its ``default()`` finds them unless given.
    """

    needs_key = False

    def __init__(self, credentials: Any = None) -> None:
        self._credentials = credentials
        self._project: str | None = None
        self._refused: str | None = None  # a token that the service took for spent
        self._lock = threading.Lock()
        renewed_in_child(self)

    def renew(self) -> None:
        """Forget, in a forked child, a lock that another thread of the parent may hold."""
        self._lock = threading.Lock()

    @property
    def project(self) -> str | None:
        """
        The project that the credentials are of, where they say so.

        Raises:
            ConfigurationError: If there are no credentials.
        """
        with self._lock:
            self._found()
        return self._project

    @property
    def is_fresh(self) -> bool:
        """Whether ``headers`` returns at once; else it waits for the network."""
        credentials = self._credentials
        return credentials is not None and bool(credentials.valid) and credentials.token != self._refused

    def headers(self, request: HttpRequest, key: Secret | None) -> Mapping[str, str]:
        """
        Return the header with the token, and the one that names who pays, where the credentials do.

        Raises:
            ConfigurationError: If there are no credentials, or google-auth is not installed.
            AuthenticationError: If Google gives no token for them.
            NetworkError: If it could not be asked.
        """
        self.fetch()
        credentials = self._credentials
        headers = _bearer(_fit(credentials.token))
        payer = getattr(credentials, "quota_project_id", None)
        if payer:
            headers["x-goog-user-project"] = str(payer)
        return headers

    def fetch(self) -> None:
        """Get a token if the one at hand has had its time, or there is none. Raises as ``headers``."""
        if self.is_fresh:
            return
        with self._lock:
            credentials = self._found()
            if not self.is_fresh:  # else another thread was first
                _refresh(credentials)
                self._refused = None

    def refused(self, headers: Mapping[str, str]) -> bool:
        """Take note that the token in *headers* was refused; the next attempt is made with another."""
        sent = next((value for name, value in headers.items() if name.lower() == "authorization"), "")
        token = sent.removeprefix("Bearer ")
        credentials = self._credentials
        # By now another thread may have fetched a new one, which is none the worse for it.
        if token and credentials is not None and credentials.token == token:
            self._refused = token
        return True

    def _found(self) -> Any:
        if self._credentials is None:
            self._credentials, self._project = _default_credentials()
        return self._credentials

    def __repr__(self) -> str:
        return "GoogleCredentials(***)"


def _default_credentials() -> tuple[Any, str | None]:
    try:
        import google.auth
        from google.auth.exceptions import GoogleAuthError
    except ImportError:
        msg = "Google's credentials need google-auth: pip install 'llmkit[vertex]', or pass options={'token': ...}."
        raise ConfigurationError(msg) from None
    try:
        credentials, project = google.auth.default(scopes=[SCOPE])
    except GoogleAuthError as error:
        found = clean(str(error), limit=300)
    else:
        return credentials, project
    msg = (
        "Google's credentials were not found: set GOOGLE_APPLICATION_CREDENTIALS, run 'gcloud auth application-default login', "
        f"or pass options={{'token': ...}} or an express key as api_key=. google-auth says: {found}"
    )
    raise ConfigurationError(msg)


def _refresh(credentials: Any) -> None:
    from google.auth.exceptions import GoogleAuthError, TransportError
    from google.auth.transport.requests import Request

    try:
        credentials.refresh(partial(Request(), timeout=FETCH_TIME))
    except GoogleAuthError as error:
        text = clean(f"Google gave no access token: {error}", limit=500)
        lost = isinstance(error, TransportError) or bool(getattr(error, "retryable", False))
    else:
        return
    if lost:
        raise NetworkError(text, kind="connect")
    raise AuthenticationError(text)


def _fit(token: object) -> str:
    if not isinstance(token, str) or not Secret(token).is_fit():
        msg = "Google's access token is a text of visible ASCII characters; what was given is none."
        raise ConfigurationError(msg)
    return token


def _bearer(token: str) -> Headers:
    return Headers({"Authorization": f"Bearer {token}"})

"""
The access tokens of Google's usual credentials.

Rule 1: ``google-auth`` is imported when the first token is needed, not before.
Rule 2: a token is fetched once for all threads: one fetches, the others wait for it.
Rule 3: what goes wrong here is told in words of our own; no exception of the library stays chained to it, as those hold requests.

Source: google-auth 2.62, and its user guide; Google Cloud, "Application Default Credentials"; read 2026-11-21.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import partial
from typing import Any

from llmkit._fork import renewed_in_child
from llmkit.auth.tokens import bearer, fit_token, sent_token
from llmkit.errors import AuthenticationError, ConfigurationError, NetworkError
from llmkit.secrets import Secret, clean
from llmkit.transport.base import HttpRequest

__all__ = ["SCOPE", "GoogleCredentials"]

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
FETCH_TIME = 10.0  # seconds for one request for a token; google-auth would allow 120


class GoogleCredentials:
    """
    Google's usual credentials: those of ``GOOGLE_APPLICATION_CREDENTIALS``, of gcloud, or of the machine this runs on.

    A token is renewed some minutes before it expires, and when it was refused. Safe for any number of threads.

    Args:
        credentials: Credentials of google-auth; found as its ``default()`` finds them unless given.
    """

    header = "Authorization"
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
        headers = bearer(fit_token(credentials.token, "Google's"))
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
        token = sent_token(headers)
        credentials = self._credentials
        # By now another thread may have fetched a new one, which is none the worse for it.
        if token and credentials is not None and credentials.token == token:
            self._refused = token
        return True

    def account(self) -> str | None:
        """
        Return the service account, or what else the credentials name as theirs; None where they say nothing. May read files.

        Raises:
            ConfigurationError: If there are no credentials.
        """
        with self._lock:
            credentials = self._found()
        # On Google's machines the service account is "default" until the first token is there.
        for name in ("service_account_email", "refresh_token"):
            found = getattr(credentials, name, None)
            if isinstance(found, str) and found not in ("", "default"):
                return found
        return None

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

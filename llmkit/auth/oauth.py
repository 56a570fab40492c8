"""
OAuth's client credentials: an id and a secret in exchange for a token that lives for an hour or so.

Rule 1: neither the secret nor a token is in any text, frame or exception that leaves this file.
Rule 2: what may pass is tried again, a few times; a refusal is final.

Source: RFC 6749, sections 2.3.1, 4.4, 5.1 and 5.2; read 2026-11-21.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from llmkit.address import check_base_url, is_loopback
from llmkit.auth.tokens import Grant
from llmkit.errors import AuthenticationError, ConfigurationError, LLMKitError, NetworkError
from llmkit.resilience.hints import retry_after
from llmkit.secrets import Headers, Secret, clean
from llmkit.transport.base import HttpRequest, HttpResponse, Timeout, TransportError
from llmkit.transport.settings import TransportSettings

__all__ = ["ClientCredentials"]

TRIES = 3
FETCH_TIME = 10.0  # seconds for one request for a token
LONGEST_WAIT = 5.0  # seconds between two tries
LIFE = 600.0  # seconds that a token is taken to live where the server does not say


class ClientCredentials:
    """
    A source of tokens, which are asked for with a client's id and secret in the ``Authorization`` header.

    Args:
        name: Whose tokens they are.
        url: The token endpoint.
        client_id: The client's id.
        client_secret: Its secret.
        scope: What the token is to be good for.
        margin: How many seconds before it expires another is asked for, at most half its life.
        transport: How connections are made.

    Raises:
        ConfigurationError: If *url* is none, or would get the secret over plain http.
    """

    def __init__(
        self,
        *,
        name: str,
        url: str,
        client_id: str,
        client_secret: Secret,
        scope: str,
        margin: float,
        transport: TransportSettings,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        check_base_url(url)
        if url.startswith("http:") and not is_loopback(url):
            msg = f"{name} would get the client's secret over plain http. Use https."
            raise ConfigurationError(msg)
        self.name = name
        self._url = url
        self._client_id = client_id
        self._secret = client_secret
        self._scope = scope
        self._margin = margin
        self._transport = transport
        self._sleep = sleep

    @property
    def account(self) -> str:
        """The client."""
        return f"{self._client_id} {self._url}"

    def get(self, *, anew: bool) -> Grant:
        """Return a token. (The server gives another each time, so that *anew* says nothing new.) Raises as ``TokenSource.get``."""
        found: Grant | LLMKitError
        for number in range(1, TRIES + 1):
            asked = time.time()
            found, wait = self._ask(asked)
            if isinstance(found, Grant):
                return found
            if wait is None or number == TRIES:
                break
            self._sleep(min(wait or 0.25 * 2**number, LONGEST_WAIT))
        assert not isinstance(found, Grant)
        raise found

    def _ask(self, now: float) -> tuple[Grant | LLMKitError, float | None]:
        """Return a token, or what went wrong and in how many seconds it may be tried again: 0 for "soon", None for never."""
        from llmkit.transport.requests import RequestsTransport

        transport = RequestsTransport(self._transport)
        try:
            response = transport.send(self._request(), timeout=Timeout(read=FETCH_TIME, total=FETCH_TIME))
        except TransportError as error:
            text, fatal = error.message, error.fatal
        else:
            return self._read(response, now)
        finally:
            transport.close()
        return NetworkError(self._told(f"could not be asked for a token: {text}"), kind="connect"), None if fatal else 0.0

    def _request(self) -> HttpRequest:
        headers = {
            "Authorization": "Basic " + base64.b64encode(f"{self._client_id}:{self._secret.reveal()}".encode()).decode("ascii"),
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        form = urlencode({"grant_type": "client_credentials", "scope": self._scope})
        return HttpRequest(method="POST", url=self._url, headers=Headers(headers), body=form.encode("ascii"))

    def _read(self, response: HttpResponse, now: float) -> tuple[Grant | LLMKitError, float | None]:
        try:
            found = json.loads(response.body)
        except ValueError:
            found = None
        answer: Mapping[str, Any] = found if isinstance(found, dict) else {}
        if 200 <= response.status < 300:
            token, life = answer.get("access_token"), _seconds(answer.get("expires_in"))
            if isinstance(token, str) and Secret(token).is_fit():
                return Grant(token=token, expires=now + life, margin=min(self._margin, life / 2)), None
            return AuthenticationError(f"{self.name} gave no token: its answer has none in it."), None
        said = self._told(f"gave no token ({response.status}): {_reason(answer, response)}")
        if response.status in (408, 429) or response.status >= 500:
            hint = retry_after(response.headers, {}, "", now=now)
            return NetworkError(said, kind="connect", retry_after=hint), hint or 0.0
        return AuthenticationError(said, status_code=response.status), None

    def _told(self, text: str) -> str:
        return clean(f"{self.name} {text}", (self._secret.reveal(),), limit=500)


def _seconds(life: Any) -> float:
    """Return for how long a token lives; some servers write the number as text."""
    try:
        return max(float(life), 0.0)
    except (TypeError, ValueError):
        return LIFE


def _reason(answer: Mapping[str, Any], response: HttpResponse) -> str:
    # The second pair is that of Okta, which speaks for some.
    words = (answer.get("error") or answer.get("errorCode"), answer.get("error_description") or answer.get("errorSummary"))
    said = ": ".join(str(word) for word in words if word)
    return said or response.body[:200].decode("utf-8", "replace") or "nothing is said"

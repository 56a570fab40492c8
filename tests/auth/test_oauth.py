"""A client's id and secret in exchange for a token, against an endpoint on loopback."""

from __future__ import annotations

import base64
import logging
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from llmkit.auth.oauth import LIFE, LONGEST_WAIT, ClientCredentials
from llmkit.errors import AuthenticationError, ConfigurationError, LLMKitError, NetworkError
from llmkit.secrets import Secret
from llmkit.transport.settings import TransportSettings

SECRET = "canary/of+the=client"
FORMS = ("canary", SECRET, quote(SECRET, safe=""), base64.b64encode(f"c:{SECRET}".encode()).decode())


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def credentials(issuer: Any, waits: list[float]) -> Callable[..., ClientCredentials]:
    """Return a maker of clients of the endpoint."""

    def make(**kwargs: Any) -> ClientCredentials:
        settings = {
            "name": "The cloud",
            "url": f"{issuer.url}/oidc/v1/token",
            "client_id": "c",
            "client_secret": Secret(SECRET),
            "scope": "all-apis",
            "margin": 300.0,
            "transport": TransportSettings(),
            **kwargs,
        }
        return ClientCredentials(**settings, sleep=waits.append)

    return make


def failure(source: ClientCredentials) -> LLMKitError:
    try:
        source.get(anew=False)
    except LLMKitError as error:
        return error
    pytest.fail("nothing was raised")


def told(error: BaseException) -> str:
    frames = traceback.TracebackException.from_exception(error, capture_locals=True)
    return f"{error} {error!r} {vars(error)} {''.join(frames.format())}"


def test_a_token_is_asked_for(credentials: Callable[..., ClientCredentials], issuer: Any) -> None:
    """Id and secret in the header, grant and scope in the form."""
    before = time.time()

    grant = credentials().get(anew=False)

    (asked,) = issuer.asked
    assert "canary-token-1" == grant.token
    assert ("POST", "/oidc/v1/token") == (asked.method, asked.path)
    assert "Basic " + base64.b64encode(f"c:{SECRET}".encode()).decode() == asked.headers["authorization"]
    assert {"grant_type": "client_credentials", "scope": "all-apis"} == asked.form
    assert "application/x-www-form-urlencoded" == asked.headers["content-type"]
    assert before + 3600 <= grant.expires <= time.time() + 3600
    assert 300 == grant.margin


@pytest.mark.parametrize(
    ("answer", "life"),
    [({"expires_in": 100}, 100), ({"expires_in": "100"}, 100), ({}, LIFE), ({"expires_in": None}, LIFE), ({"expires_in": "soon"}, LIFE)],
)
def test_a_token_lives_as_long_as_it_is_said(
    credentials: Callable[..., ClientCredentials], issuer: Any, answer: dict[str, Any], life: float
) -> None:
    """As a number, as text, or not at all; half a short life is left for its renewal."""
    issuer.script.append((200, {}, {"access_token": "t", **answer}))
    before = time.time()

    grant = credentials().get(anew=False)

    assert before + life <= grant.expires <= time.time() + life
    assert min(300.0, life / 2) == grant.margin


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, {"error": "invalid_client", "error_description": f"Bad secret {SECRET}"}, "invalid_client: Bad secret ***"),
        (400, {"errorCode": "E1", "errorSummary": "Not so"}, "E1: Not so"),
        (403, b"<html>no</html>", "<html>no</html>"),
        (404, b"", "nothing is said"),
        (400, ["no object"], "no object"),
        (307, {}, "307"),
    ],
)
def test_a_refusal_is_final(
    credentials: Callable[..., ClientCredentials], issuer: Any, status: int, body: Any, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    """In the server's words, without the secret."""
    caplog.set_level(logging.DEBUG)
    issuer.script.append((status, {"location": "/elsewhere"}, body))

    error = failure(credentials())

    assert isinstance(error, AuthenticationError)
    assert words in str(error)
    assert status == error.status_code
    assert 1 == len(issuer.asked)
    assert [] == [form for form in FORMS if form in told(error) + caplog.text]


@pytest.mark.parametrize("answer", [{}, {"access_token": 7}, {"access_token": ""}, {"access_token": "canary\r\nX: y"}, [], b"canary"])
def test_an_answer_without_a_token_is_an_error(credentials: Callable[..., ClientCredentials], issuer: Any, answer: Any) -> None:
    """Nor is one taken that would break its header; what came instead is not shown."""
    issuer.script.append((200, {}, answer))

    error = failure(credentials())

    assert isinstance(error, AuthenticationError)
    assert "canary" not in told(error)


def test_what_may_pass_is_tried_again(credentials: Callable[..., ClientCredentials], issuer: Any, waits: list[float]) -> None:
    """After what the server asks for, up to a bound, or a little."""
    issuer.script += [(429, {"retry-after": "2"}, {}), (503, {}, {})]

    grant = credentials().get(anew=False)

    assert "canary-token-3" == grant.token
    assert [2.0, 1.0] == waits


def test_a_server_that_stays_busy_is_a_network_error(
    credentials: Callable[..., ClientCredentials], issuer: Any, waits: list[float]
) -> None:
    """Which may pass; nobody waits for minutes."""
    issuer.script += [(503, {"retry-after": "600"}, {"error": f"busy {SECRET}"})] * 3

    error = failure(credentials())

    assert isinstance(error, NetworkError)
    assert error.retryable
    assert 600 == error.retry_after
    assert [LONGEST_WAIT] * 2 == waits
    assert [] == [form for form in FORMS if form in told(error)]


def test_a_server_that_is_gone_is_a_network_error(credentials: Callable[..., ClientCredentials], waits: list[float]) -> None:
    """No exception of a library hangs on it."""
    error = failure(credentials(url="http://127.0.0.1:9/token"))

    assert isinstance(error, NetworkError)
    assert (None, None) == (error.__cause__, error.__context__)
    assert [0.5, 1.0] == waits
    assert [] == [form for form in FORMS if form in told(error)]


def test_certificates_are_checked(credentials: Callable[..., ClientCredentials], tls_issuer: Any, waits: list[float]) -> None:
    """Against the authorities of the client's settings; one that is not known is not tried again."""
    url = f"{tls_issuer.url}/token"

    good = credentials(url=url, transport=TransportSettings(verify=tls_issuer.authorities)).get(anew=False)
    error = failure(credentials(url=url))

    assert "canary-token-1" == good.token
    assert isinstance(error, NetworkError)
    assert [] == waits


@pytest.mark.parametrize("url", ["http://cloud.example/token", "ftp://cloud.example", "nonsense", "https://user:pass@cloud.example/"])
def test_a_secret_is_not_sent_in_the_clear(credentials: Callable[..., ClientCredentials], url: str) -> None:
    """Nor anywhere that is no address."""
    with pytest.raises(ConfigurationError):
        credentials(url=url)


def test_importing_it_imports_no_transport() -> None:
    """Only those who need a token pay for it."""
    script = "import sys, llmkit.auth.databricks; print({'requests', 'urllib3', 'http.client'} & set(sys.modules))"
    root = str(Path(__file__).parents[2])

    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=root).stdout

    assert "set()" == output.strip()


def test_no_secret_shows_itself(credentials: Callable[..., ClientCredentials]) -> None:
    """Neither in a repr, nor in what hangs on it."""
    source = credentials()
    grant = source.get(anew=False)

    assert "canary" not in f"{source!r} {vars(source)!r} {grant!r} {source._request()!r}"

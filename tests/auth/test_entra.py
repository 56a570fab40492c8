"""Tokens of Entra ID, which azure-identity gets from endpoints on loopback: over TLS where it insists on it."""

from __future__ import annotations

import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import pytest

from llmkit.auth import entra
from llmkit.auth.entra import SCOPE, EntraSource
from llmkit.auth.tokens import RenewedToken
from llmkit.errors import AuthenticationError, ConfigurationError, LLMKitError, NetworkError
from llmkit.secrets import Secret
from llmkit.transport.base import HttpRequest
from llmkit.transport.settings import TransportSettings

pytest.importorskip("azure.identity")

REQUEST = HttpRequest(method="POST", url="https://res.openai.azure.com/openai/v1/x")
VARIABLES = ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE", "IDENTITY_ENDPOINT")
SECRET = "canary/of+the=client"


@pytest.fixture(autouse=True)
def _no_azure_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def authority(tls_issuer: Any) -> Any:
    """An Entra ID: a token endpoint, and the page that tells where it is."""
    base = f"{tls_issuer.url}/my-tenant"
    tls_issuer.others["/openid-configuration"] = {
        "token_endpoint": f"{base}/oauth2/v2.0/token",
        "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
        "issuer": f"{base}/v2.0",
    }
    tls_issuer.answer = lambda number: {
        "access_token": f"canary-token-{number}",
        "expires_in": 3599,
        "ext_expires_in": 3599,
        "token_type": "Bearer",
    }
    return tls_issuer


def source(authority: Any, **kwargs: Any) -> EntraSource:
    settings = {"tenant_id": "my-tenant", "client_id": "my-client", "client_secret": Secret(SECRET), **kwargs}
    return EntraSource(authority=authority.url, transport=TransportSettings(verify=authority.authorities), **settings)


def bearer(auth: Any) -> str:
    return str(auth.headers(REQUEST, None)["Authorization"])


# -- a client with a secret


def test_a_client_gets_a_token(authority: Any) -> None:
    """Once: the second request is made with the same one."""
    auth = RenewedToken(source(authority))

    first, second = bearer(auth), bearer(auth)

    assert "Bearer canary-token-1" == first == second
    (asked,) = authority.asked
    assert "/my-tenant/oauth2/v2.0/token" == asked.path
    expected = {"grant_type": "client_credentials", "client_id": "my-client", "client_secret": SECRET}
    assert expected == {name: asked.form[name] for name in expected}
    assert SCOPE in asked.form["scope"].split()


def test_the_token_is_for_what_was_said(authority: Any) -> None:
    """Claude on Foundry, for one, is another service."""
    bearer(RenewedToken(source(authority, scope="https://ai.azure.com/.default")))

    assert "https://ai.azure.com/.default" in authority.asked[0].form["scope"].split()


def test_a_refused_token_is_replaced(authority: Any) -> None:
    """Though azure-identity has it still, and would give it again."""
    auth = RenewedToken(source(authority))
    old = auth.headers(REQUEST, None)

    auth.refused(old)

    assert "Bearer canary-token-2" == bearer(auth) == bearer(auth)
    assert 2 == len(authority.asked)


@pytest.mark.parametrize(("life", "asked"), [(3599, 1), (270, 1), (200, 2)])
def test_a_token_is_renewed_when_azure_identity_renews_it(life: int, asked: int, authority: Any) -> None:
    """A minute after, so that it gives another; it is not asked too often for one that lives for minutes only."""
    authority.answer = lambda number: {"access_token": f"canary-token-{number}", "expires_in": 3599, "token_type": "Bearer"}
    clock = [time.time()]
    auth = RenewedToken(source(authority), clock=lambda: clock[0])
    bearer(auth)
    clock[0] += 3599 - life

    fresh = auth.is_fresh

    assert (asked == 1) == fresh


def test_a_secret_that_is_refused_is_an_authentication_error(authority: Any) -> None:
    """In Entra's words, without the secret, and no request hangs on it."""
    said = {"error": "invalid_client", "error_description": f"AADSTS7000215: Invalid client secret {SECRET}.", "error_codes": [7000215]}
    authority.script.append((401, {}, said))
    auth = RenewedToken(source(authority))

    error = failure(auth)

    assert isinstance(error, AuthenticationError)
    assert "AADSTS7000215" in str(error)
    assert error.__cause__ is None
    assert error.__context__ is None
    assert not any(word in told(error) for word in ("canary", SECRET))


def failure(auth: Any) -> LLMKitError:
    with pytest.raises(LLMKitError) as raised:
        auth.fetch()
    return raised.value


def told(error: BaseException) -> str:
    frames = traceback.TracebackException.from_exception(error, capture_locals=True)
    return f"{error} {error!r} {vars(error)} {''.join(frames.format())}"


def test_an_entra_that_is_gone_is_a_network_error(authority: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be back soon. (azure-core's own retries do not sleep here.)"""
    from azure.core.pipeline.transport import RequestsTransport

    monkeypatch.setattr(RequestsTransport, "sleep", lambda self, duration: None)
    authority.url = "https://localhost:9"

    error = failure(RenewedToken(source(authority)))

    assert isinstance(error, NetworkError)
    assert error.retryable
    assert error.__context__ is None


def test_an_impossible_client_is_a_configuration_error(authority: Any) -> None:
    """A tenant's id has no slash."""
    error = failure(RenewedToken(source(authority, tenant_id="a/b")))

    assert isinstance(error, ConfigurationError)


def test_certificates_are_checked(authority: Any) -> None:
    """Against the authorities of the client's settings."""
    strange = EntraSource(tenant_id="my-tenant", client_id="c", client_secret=Secret("s"), authority=authority.url)

    with pytest.MonkeyPatch.context() as patch:
        from azure.core.pipeline.transport import RequestsTransport

        patch.setattr(RequestsTransport, "sleep", lambda self, duration: None)
        error = failure(RenewedToken(strange))

    assert isinstance(error, NetworkError)
    assert [] == authority.asked


# -- the usual credentials


def test_a_client_of_the_environment_is_found(authority: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """By azure-identity itself."""
    for name, value in {"AZURE_TENANT_ID": "my-tenant", "AZURE_CLIENT_ID": "my-client", "AZURE_CLIENT_SECRET": SECRET}.items():
        monkeypatch.setenv(name, value)

    token = bearer(RenewedToken(source(authority, tenant_id=None, client_id=None, client_secret=None)))

    assert "Bearer canary-token-1" == token
    assert SECRET == authority.asked[0].form["client_secret"]


def test_a_workloads_token_is_read_again_for_each_of_ours(authority: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It rotates: a renewal after a refusal shows the new one."""
    path = tmp_path / "federated"
    path.write_text("canary-assertion-1")
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(path))
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", authority.url)
    monkeypatch.setenv("AZURE_TENANT_ID", "my-tenant")
    auth = RenewedToken(source(authority, client_secret=None))

    old = auth.headers(REQUEST, None)
    path.write_text("canary-assertion-2")
    auth.refused(old)
    bearer(auth)

    assert ["canary-assertion-1", "canary-assertion-2"] == [asked.form["client_assertion"] for asked in authority.asked]
    assert "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" == authority.asked[0].form["client_assertion_type"]


def test_an_app_service_has_an_identity(issuer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its place and what opens it are in the environment; the scope is a resource there."""
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{issuer.url}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "canary-header")
    issuer.answer = lambda number: machines(number)

    token = bearer(RenewedToken(EntraSource(client_id="my-identity")))

    (asked,) = issuer.asked
    assert "Bearer canary-token-1" == token
    assert ("GET", "/msi/token", "canary-header") == (asked.method, asked.path, asked.headers["x-identity-header"])
    assert ("https://cognitiveservices.azure.com", "my-identity") == (asked.query["resource"], asked.query["client_id"])


def machines(number: int) -> dict[str, Any]:
    """Return a token as machines give it: its numbers are texts."""
    return {
        "access_token": f"canary-token-{number}",
        "expires_in": "3599",
        "expires_on": str(int(time.time()) + 3599),
        "resource": "https://cognitiveservices.azure.com",
        "token_type": "Bearer",
    }


def test_a_machine_has_an_identity(issuer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """From its metadata service."""
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", issuer.url)
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential")
    issuer.answer = lambda number: machines(number)

    token = bearer(RenewedToken(EntraSource()))

    assert token.startswith("Bearer canary-token-")
    assert ("/metadata/identity/oauth2/token", "true") == (issuer.asked[-1].path, issuer.asked[-1].headers["metadata"].lower())


def test_without_credentials_it_is_said_what_was_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """In azure-identity's words."""
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")

    error = failure(RenewedToken(EntraSource()))

    assert isinstance(error, AuthenticationError)
    assert "api_key=" in str(error)
    assert "EnvironmentCredential" in str(error)
    assert error.__context__ is None


# -- the library


def test_without_azure_identity_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the name of the extra."""
    monkeypatch.setitem(sys.modules, "azure.identity", None)

    error = failure(RenewedToken(EntraSource()))

    assert isinstance(error, ConfigurationError)
    assert "llmkit[azure]" in str(error)
    assert error.__context__ is None


def test_it_is_known_whether_azure_identity_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without importing it."""
    assert entra.is_installed()
    monkeypatch.setattr(sys, "path", [])
    for name in [name for name in sys.modules if name == "azure" or name.startswith("azure.")]:
        monkeypatch.delitem(sys.modules, name)

    assert not entra.is_installed()


def test_importing_it_imports_nothing_of_azures() -> None:
    """Only those who need a token pay for the library."""
    script = "import sys, llmkit.auth.entra; print(any(name.startswith(('azure', 'msal')) for name in sys.modules))"
    root = str(Path(__file__).parents[2])

    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=root).stdout

    assert "False" == output.strip()


def test_no_secret_shows_itself(authority: Any) -> None:
    """Neither in a repr, nor in what hangs on it."""
    made = source(authority)
    auth = RenewedToken(made)
    headers = auth.headers(REQUEST, None)

    shown = f"{made!r} {auth!r} {headers!r} {vars(auth)!r} {made._credential!r}"

    assert "canary" not in shown

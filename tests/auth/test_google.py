"""Google's access tokens, which google-auth gets from a token endpoint on loopback."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from llmkit.auth.google import SCOPE, GoogleCredentials
from llmkit.errors import AuthenticationError, ConfigurationError, NetworkError
from llmkit.transport.base import HttpRequest

google_auth = pytest.importorskip("google.auth")

REQUEST = HttpRequest(method="POST", url="https://aiplatform.googleapis.com/v1beta1/x")


class Endpoint:
    """A token endpoint that numbers its tokens, or says what a test wants it to say."""

    def __init__(self) -> None:
        self.forms: list[dict[str, str]] = []
        self.status = 200
        self.reply: dict[str, Any] = {}
        self.life = 3599
        self.gate = threading.Event()
        self.gate.set()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
                endpoint.forms.append({name: values[0] for name, values in form.items()})
                endpoint.gate.wait(5)
                answer = {"access_token": f"ya29.token-{len(endpoint.forms)}", "expires_in": endpoint.life, "token_type": "Bearer"}
                self._answer(endpoint.reply or answer)

            def do_GET(self) -> None:
                endpoint.forms.append({"path": self.path, "flavor": self.headers.get("metadata-flavor", "")})
                about = {"email": "vm@my-project.iam.gserviceaccount.com", "scopes": [SCOPE], "aliases": ["default"]}
                token = {"access_token": "ya29.machine", "expires_in": 1800, "token_type": "Bearer"}
                self._answer(token if "/token" in self.path else about)

            def _answer(self, data: dict[str, Any]) -> None:
                body = json.dumps(data).encode()
                self.send_response(endpoint.status)
                self.send_header("content-type", "application/json")
                self.send_header("metadata-flavor", "Google")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/token"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.gate.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    made = Endpoint()
    yield made
    made.close()


@pytest.fixture(scope="module")
def private_key() -> str:
    """A key of a service account; making one takes a tenth of a second."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


@pytest.fixture
def account(endpoint: Endpoint, private_key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that makes a service account's file the usual credentials."""

    def make(**rest: str) -> None:
        data = {
            "type": "service_account",
            "project_id": "my-project",
            "private_key_id": "k1",
            "private_key": private_key,
            "client_email": "llm@my-project.iam.gserviceaccount.com",
            "token_uri": endpoint.url,
            **rest,
        }
        path = tmp_path / "account.json"
        path.write_text(json.dumps(data))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))

    return make


def sent(auth: Any) -> dict[str, str]:
    return dict(auth.headers(REQUEST, None))


def expire(auth: Any, seconds: float) -> None:
    """Let the token at hand expire in *seconds*."""
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    auth._credentials.expiry = now + datetime.timedelta(seconds=seconds)


def test_a_service_account_gets_a_token(account: Callable[..., None], endpoint: Endpoint) -> None:
    """Once: the second request is made with the same one."""
    account()
    auth = GoogleCredentials()

    first, second = sent(auth), sent(auth)

    assert {"Authorization": "Bearer ya29.token-1"} == first == second
    assert 1 == len(endpoint.forms)
    assert "urn:ietf:params:oauth:grant-type:jwt-bearer" == endpoint.forms[0]["grant_type"]
    assert "my-project" == auth.project


def test_the_token_is_for_the_cloud_platform(account: Callable[..., None], endpoint: Endpoint) -> None:
    """The scope is in what the account signs."""
    import base64

    account()

    sent(GoogleCredentials())

    claims = endpoint.forms[0]["assertion"].split(".")[1]
    assert SCOPE == json.loads(base64.urlsafe_b64decode(claims + "=="))["scope"]


def test_a_users_credentials_name_who_pays(endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The quota project goes along as a header."""
    from google.oauth2.credentials import Credentials

    credentials = Credentials(None, refresh_token="r", token_uri=endpoint.url, client_id="c", client_secret="s", quota_project_id="payer")

    headers = sent(GoogleCredentials(credentials))

    assert {"Authorization": "Bearer ya29.token-1", "x-goog-user-project": "payer"} == headers
    assert "refresh_token" == endpoint.forms[0]["grant_type"]


@pytest.mark.parametrize(("seconds", "asked"), [(3000, 1), (200, 2), (-5, 2)])
def test_a_token_is_renewed_before_it_expires(seconds: float, asked: int, account: Callable[..., None], endpoint: Endpoint) -> None:
    """Some minutes before, so that it does not expire on the way."""
    account()
    auth = GoogleCredentials()
    sent(auth)
    expire(auth, seconds)

    headers = sent(auth)

    assert asked == len(endpoint.forms)
    assert f"Bearer ya29.token-{asked}" == headers["Authorization"]


def test_a_refused_token_is_replaced(account: Callable[..., None], endpoint: Endpoint) -> None:
    """Once, however many attempts were made with it."""
    account()
    auth = GoogleCredentials()
    old = sent(auth)

    told = [auth.refused(old) for _ in range(3)]
    new = sent(auth)
    late = auth.refused(old)

    assert [True] * 3 == told
    assert late
    assert "Bearer ya29.token-2" == new["Authorization"] == sent(auth)["Authorization"]
    assert 2 == len(endpoint.forms)


def test_a_token_is_fetched_once_for_all_threads(account: Callable[..., None], endpoint: Endpoint) -> None:
    """One fetches, the others wait for it."""
    account()
    auth = GoogleCredentials()
    endpoint.gate.clear()
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(sent(auth)["Authorization"])) for _ in range(8)]

    for thread in threads:
        thread.start()
    endpoint.gate.set()
    for thread in threads:
        thread.join(5)

    assert ["Bearer ya29.token-1"] * 8 == found
    assert 1 == len(endpoint.forms)


def test_whether_the_network_is_waited_for_can_be_asked(account: Callable[..., None], endpoint: Endpoint) -> None:
    """So that an event loop can have the token fetched elsewhere."""
    account()
    auth = GoogleCredentials()

    before = auth.is_fresh
    auth.fetch()

    assert (False, True) == (before, auth.is_fresh)
    auth.refused(sent(auth))
    assert not auth.is_fresh


def test_a_revoked_account_is_an_authentication_error(account: Callable[..., None], endpoint: Endpoint) -> None:
    """In Google's words; no request hangs on it."""
    account()
    endpoint.status, endpoint.reply = 400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}

    with pytest.raises(AuthenticationError, match=r"invalid_grant: Invalid JWT Signature\.") as raised:
        sent(GoogleCredentials())

    assert not raised.value.retryable
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None


def test_a_token_endpoint_that_is_gone_is_a_network_error(account: Callable[..., None]) -> None:
    """It may be back soon."""
    account(token_uri="http://127.0.0.1:9/token")

    with pytest.raises(NetworkError) as raised:
        sent(GoogleCredentials())

    assert raised.value.retryable
    assert raised.value.__context__ is None


def test_without_credentials_it_is_said_how_to_give_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the words of those who can."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nowhere.json"))

    with pytest.raises(ConfigurationError, match="gcloud auth application-default login") as raised:
        sent(GoogleCredentials())

    assert raised.value.__context__ is None


def test_without_google_auth_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the name of the extra."""
    monkeypatch.setitem(sys.modules, "google.auth", None)

    with pytest.raises(ConfigurationError, match=r"llmkit\[vertex\]"):
        sent(GoogleCredentials())


def test_a_machine_of_googles_has_credentials_of_its_own(endpoint: Endpoint) -> None:
    """From its metadata server, whose place google-auth reads when it is imported: hence a process."""
    script = (
        "import google.auth.compute_engine as gce\n"
        "from llmkit.auth.google import GoogleCredentials\n"
        "print(GoogleCredentials(gce.Credentials()).headers(None, None)['Authorization'])"
    )
    host = endpoint.url.split("/")[2]

    output = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={"GCE_METADATA_HOST": host, "PATH": "", "PYTHONPATH": str(Path(__file__).parents[2])},
    ).stdout

    assert "Bearer ya29.machine" == output.strip()
    assert "Google" == endpoint.forms[0]["flavor"]


def test_no_token_shows_itself(account: Callable[..., None]) -> None:
    """Neither in a repr, nor in that of the headers."""
    account()
    auth = GoogleCredentials()
    headers = auth.headers(REQUEST, None)

    shown = f"{auth!r} {headers!r}"

    assert "ya29" not in shown


def test_importing_it_imports_nothing_of_googles() -> None:
    """Only those who need a token pay for the library."""
    script = "import sys, llmkit.auth.google; print(any(name.startswith('google') for name in sys.modules))"
    root = str(Path(__file__).parents[2])

    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=root).stdout

    assert "False" == output.strip()

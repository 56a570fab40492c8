"""AWS's signature against known answers and against botocore's own, and the credentials it is made with."""

from __future__ import annotations

import calendar
import datetime
import json
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmkit.auth.aws import AwsAuth, AwsCredentials, profile_region
from llmkit.auth.base import RenewableAuth
from llmkit.errors import AuthenticationError, ConfigurationError, NetworkError
from llmkit.secrets import Headers, Secret
from llmkit.transport.base import HttpRequest

botocore_session = pytest.importorskip("botocore.session")

KEY, SECRET, TOKEN = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "AQoDYXdzEPT//////////wEXAMPLE"
STAMP = "20260115T120000Z"
AT = float(calendar.timegm(time.strptime(STAMP, "%Y%m%dT%H%M%SZ")))
BODY = b'{"messages":[{"role":"user","content":[{"text":"hello"}]}],"inferenceConfig":{"maxTokens":100}}'
BEDROCK = "https://bedrock-runtime.us-east-1.amazonaws.com/model/"
SAGEMAKER = "https://runtime.sagemaker.us-east-1.amazonaws.com/endpoints/my-endpoint/invocations"
REQUEST = HttpRequest(method="POST", url=SAGEMAKER, headers=Headers({"Content-Type": "application/json"}), body=b"{}")


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials, files or machine of AWS's but those a test brings."""
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "PROFILE", "REGION", "DEFAULT_REGION"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


def keys(access_key_id: str = KEY, secret_access_key: str = SECRET, session_token: str | None = None) -> AwsCredentials:
    return AwsCredentials(access_key_id=access_key_id, secret_access_key=secret_access_key, session_token=session_token)


# -- given credentials


def test_given_credentials_are_at_hand() -> None:
    """Nothing is fetched; there are no others, so their refusal is final."""
    auth = AwsAuth("sagemaker", "us-east-1", credentials=keys(), clock=lambda: AT)

    headers = auth.headers(REQUEST, None)

    assert auth.is_fresh
    assert not auth.refused(headers)
    assert "Credential=AKIDEXAMPLE/20260115/us-east-1/sagemaker/aws4_request" in headers["Authorization"]


def test_a_lasting_key_says_whose_it_is() -> None:
    """A session's is another every hour; before anything is known, nothing is."""
    lasting = AwsCredentials(access_key_id="AKIDEXAMPLE", secret_access_key="secret-0123")
    session = AwsCredentials(access_key_id="ASIDEXAMPLE", secret_access_key="secret-0123", session_token="token-0123")

    assert "AKIDEXAMPLE" == AwsAuth("bedrock", "us-east-1", credentials=lasting).account()
    assert AwsAuth("bedrock", "us-east-1", credentials=session).account() is None
    assert AwsAuth("bedrock", "us-east-1").account() is None


def test_each_attempt_is_signed_anew() -> None:
    """A signature is good for minutes only."""
    times = iter([AT, AT + 3600])
    auth = AwsAuth("sagemaker", "us-east-1", credentials=keys(), clock=lambda: next(times))

    dates = [auth.headers(REQUEST, None)["X-Amz-Date"] for _ in range(2)]

    assert ["20260115T120000Z", "20260115T130000Z"] == dates


@pytest.mark.parametrize(
    "bad",
    [
        {"access_key_id": "AKID\n"},
        {"secret_access_key": "canary-secret \n"},
        {"session_token": "canary token"},
        {"access_key_id": ""},
        {"secret_access_key": "canary-é"},
    ],
    ids=str,
)
def test_a_key_that_would_break_its_header_is_refused(bad: dict[str, str]) -> None:
    """Such as one that was read with its line's end; without quoting it."""
    with pytest.raises(ConfigurationError, match=next(iter(bad))) as raised:
        keys(**bad)

    assert "canary" not in str(raised.value)


def test_what_is_no_credentials_is_refused() -> None:
    """By its type."""
    with pytest.raises(ConfigurationError, match="tuple"):
        AwsAuth("sagemaker", "us-east-1", credentials=("a", "b"))


# -- the environment and botocore's chain


def sent(auth: AwsAuth) -> tuple[str, str | None]:
    """Return the access key and the session token that a request goes out with."""
    headers = auth.headers(REQUEST, None)
    return headers["Authorization"].partition("Credential=")[2].partition("/")[0], headers.get("X-Amz-Security-Token")


def environment(monkeypatch: pytest.MonkeyPatch, *values: str) -> None:
    for name, value in zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"), values, strict=False):
        monkeypatch.setenv(name, value)


def test_the_environment_needs_no_botocore(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its keys are read by us; after a refusal they are read again, as somebody may have set others."""
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    environment(monkeypatch, "AKIDENV", "secret", "token-1")
    auth = AwsAuth("sagemaker", "us-east-1")

    first = sent(auth)
    headers = auth.headers(REQUEST, None)
    environment(monkeypatch, "AKIDENV", "secret", "token-2")
    told = auth.refused(headers)

    assert ("AKIDENV", "token-1") == first
    assert told
    assert ("AKIDENV", "token-2") == sent(auth)


def test_half_a_key_in_the_environment_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than to look on for others."""
    environment(monkeypatch, "AKIDENV")

    with pytest.raises(ConfigurationError, match="AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not"):
        sent(AwsAuth("sagemaker", "us-east-1"))


def files(tmp_path: Path, credentials: str = "", config: str = "") -> None:
    (tmp_path / "credentials").write_text(credentials)
    (tmp_path / "config").write_text(config)


def test_a_profile_comes_from_the_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The environment's keys count for nothing where a profile is named, and first where none is."""
    files(tmp_path, "[work]\naws_access_key_id = AKIDWORK\naws_secret_access_key = s\n", "[profile work]\nregion = eu-west-3\n")
    environment(monkeypatch, "AKIDENV", "secret")

    named = sent(AwsAuth("sagemaker", "us-east-1", profile="work"))
    unnamed = sent(AwsAuth("sagemaker", "us-east-1"))

    assert ("AKIDWORK", None) == named
    assert ("AKIDENV", None) == unnamed
    assert "eu-west-3" == profile_region("work")
    assert profile_region(None) is None


def test_a_profile_in_force_gives_its_region(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As ``AWS_PROFILE`` says."""
    files(tmp_path, config="[profile work]\nregion = eu-west-3\n")
    monkeypatch.setenv("AWS_PROFILE", "work")

    assert "eu-west-3" == profile_region(None)


@pytest.mark.parametrize("ask", [profile_region, lambda name: sent(AwsAuth("sagemaker", "us-east-1", profile=name))])
def test_a_profile_that_is_not_there_is_said(ask: Callable[[str], Any]) -> None:
    """By its name."""
    with pytest.raises(ConfigurationError, match="nobody") as raised:
        ask("nobody")

    assert raised.value.__context__ is None


def test_without_credentials_it_is_said_how_to_give_some() -> None:
    """In the words of those who can."""
    with pytest.raises(ConfigurationError, match="aws sso login") as raised:
        sent(AwsAuth("sagemaker", "us-east-1"))

    assert raised.value.__context__ is None


def test_without_botocore_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the name of the extra."""
    monkeypatch.setitem(sys.modules, "botocore.session", None)

    with pytest.raises(ConfigurationError, match=r"llmkit\[bedrock\]"):
        sent(AwsAuth("sagemaker", "us-east-1"))
    assert profile_region("work") is None


def process(tmp_path: Path, answer: str) -> None:
    """Let a program of the user's give the credentials."""
    files(tmp_path, config=f"[default]\ncredential_process = {sys.executable} {tmp_path / 'give.py'}\n")
    (tmp_path / "give.py").write_text(answer)


def test_a_program_may_give_them(tmp_path: Path) -> None:
    """As the configuration says; a refusal has it asked again."""
    end = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)).isoformat()
    process(
        tmp_path,
        f"import json, pathlib\npath = pathlib.Path({str(tmp_path / 'count')!r})\npath.open('a').write('x')\n"
        "number = len(path.read_text())\n"
        f"print(json.dumps(dict(Version=1, AccessKeyId=f'ASIA{{number}}', SecretAccessKey='s', SessionToken='t', Expiration={end!r})))\n",
    )
    auth = AwsAuth("sagemaker", "us-east-1")

    first, again = sent(auth), sent(auth)
    headers = auth.headers(REQUEST, None)
    told = [auth.refused(headers) for _ in range(2)]
    second = sent(auth)
    late = auth.refused(headers)

    assert ("ASIA1", "t") == first == again
    assert [True, True] == told
    assert late
    assert ("ASIA2", "t") == second == sent(auth)


def test_a_program_that_fails_is_an_authentication_error(tmp_path: Path) -> None:
    """In the words of AWS's own library; nothing of it hangs on the error."""
    process(tmp_path, "import sys\nsys.exit('your session is over')\n")

    with pytest.raises(AuthenticationError, match="your session is over") as raised:
        sent(AwsAuth("sagemaker", "us-east-1"))

    assert raised.value.__context__ is None
    assert not raised.value.retryable


def test_what_a_strange_object_raises_is_not_quoted() -> None:
    """It may hold anything."""

    class Strange:
        def get_frozen_credentials(self) -> Any:
            raise KeyError("canary-secret")

    with pytest.raises(AuthenticationError, match="KeyError") as raised:
        sent(AwsAuth("sagemaker", "us-east-1", credentials=Strange()))

    assert "canary" not in str(raised.value)
    assert raised.value.__context__ is None


# -- renewal


class Chain:
    """Credentials of botocore's that expire, given by a function that numbers them."""

    def __init__(self, life: float = 3600.0) -> None:
        from botocore.credentials import DeferredRefreshableCredentials

        self.asked = 0
        self.life = life
        self.failure: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.now = datetime.datetime.now(datetime.timezone.utc)
        self.credentials = DeferredRefreshableCredentials(self._give, "test", time_fetcher=lambda: self.now)

    def _give(self) -> dict[str, str]:
        self.asked += 1
        self.gate.wait(5)
        if self.failure is not None:
            raise self.failure
        end = self.now + datetime.timedelta(seconds=self.life)
        return {"access_key": f"ASIA{self.asked}", "secret_key": "s", "token": f"t{self.asked}", "expiry_time": end.isoformat()}

    def wait(self, seconds: float) -> None:
        self.now += datetime.timedelta(seconds=seconds)

    def auth(self) -> AwsAuth:
        return AwsAuth("sagemaker", "us-east-1", credentials=self.credentials, clock=lambda: self.now.timestamp())


def test_sixteen_threads_fetch_once() -> None:
    """One fetches, the others wait for it."""
    chain = Chain()
    auth = chain.auth()
    chain.gate.clear()
    found: list[tuple[str, str | None]] = []
    threads = [threading.Thread(target=lambda: found.append(sent(auth))) for _ in range(16)]

    for thread in threads:
        thread.start()
    chain.gate.set()
    for thread in threads:
        thread.join(5)

    assert [("ASIA1", "t1")] * 16 == found
    assert 1 == chain.asked


@pytest.mark.parametrize(("seconds", "asked"), [(2600, 1), (2800, 2), (3100, 2), (4000, 2)])
def test_credentials_are_renewed_before_their_end(seconds: float, asked: int) -> None:
    """A quarter of an hour before, as botocore has it."""
    chain = Chain()
    auth = chain.auth()
    sent(auth)

    chain.wait(seconds)

    assert (asked == 1) is auth.is_fresh
    assert f"ASIA{asked}" == sent(auth)[0]
    assert asked == chain.asked


def test_sixteen_threads_renew_once_and_do_not_wait() -> None:
    """As long as those at hand are good: one thread renews them, the others go on."""
    chain = Chain()
    auth = chain.auth()
    sent(auth)
    chain.wait(2800)
    chain.gate.clear()
    renewing = threading.Thread(target=lambda: sent(auth))
    renewing.start()
    while chain.asked < 2:
        time.sleep(0.001)

    others = [sent(auth) for _ in range(15)]
    chain.gate.set()
    renewing.join(5)

    assert [("ASIA1", "t1")] * 15 == others
    assert ("ASIA2", "t2") == sent(auth)
    assert 2 == chain.asked


def test_a_renewal_that_fails_early_is_tried_again_in_a_minute() -> None:
    """The old ones serve until ten minutes before their end; then it is an error."""
    from botocore.exceptions import ConnectTimeoutError

    chain = Chain()
    auth = chain.auth()
    sent(auth)
    chain.wait(2800)
    chain.failure = ConnectTimeoutError(endpoint_url="http://169.254.169.254")

    early = [sent(auth)[0] for _ in range(3)]
    asked_early = chain.asked
    chain.wait(61)
    later = sent(auth)[0]
    asked_later = chain.asked
    chain.wait(300)

    assert (["ASIA1"] * 3, 2) == (early, asked_early)
    assert ("ASIA1", 3) == (later, asked_later)
    with pytest.raises(NetworkError) as raised:
        sent(auth)
    assert raised.value.retryable
    assert raised.value.__context__ is None


def test_credentials_that_live_for_minutes_serve_for_a_minute_at_least() -> None:
    """They are never far from their end, and would else be fetched for each request."""
    chain = Chain(life=300)
    auth = chain.auth()

    early = [sent(auth)[0] for _ in range(3)]
    fresh = auth.is_fresh
    chain.wait(61)
    later = sent(auth)[0]

    assert (["ASIA1"] * 3, True, "ASIA2", 2) == (early, fresh, later, chain.asked)


def test_a_refusal_waits_for_nobody() -> None:
    """An event loop tells of it, while a thread may be fetching."""
    chain = Chain()
    auth = chain.auth()
    headers = auth.headers(REQUEST, None)
    chain.wait(2800)
    chain.gate.clear()
    renewing = threading.Thread(target=lambda: sent(auth))
    renewing.start()
    while chain.asked < 2:
        time.sleep(0.001)

    told = auth.refused(headers)
    chain.gate.set()
    renewing.join(5)

    assert told
    assert ("ASIA2", "t2") == sent(auth)


def test_refused_credentials_of_an_object_are_asked_for_again() -> None:
    """It may have others by now."""
    chain = Chain()
    auth = chain.auth()
    headers = auth.headers(REQUEST, None)

    told = auth.refused(headers)
    fresh = auth.is_fresh

    assert (True, False) == (told, fresh)
    assert ("ASIA1", "t1") == sent(auth)


def test_a_role_that_may_not_be_assumed_is_an_authentication_error() -> None:
    """In AWS's words."""
    from botocore.exceptions import ClientError

    chain = Chain()
    chain.failure = ClientError({"Error": {"Code": "AccessDenied", "Message": "not authorized to perform: sts:AssumeRole"}}, "AssumeRole")

    with pytest.raises(AuthenticationError, match="sts:AssumeRole") as raised:
        sent(chain.auth())

    assert raised.value.__context__ is None


# -- secrets


def test_no_secret_shows_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """In no repr of anything on the way."""
    credentials = keys("AKIDCANARY", "canary-secret", "canary-token")
    auth = AwsAuth("sagemaker", "us-east-1", credentials=credentials)
    headers = auth.headers(REQUEST, None)

    shown = f"{credentials!r} {auth!r} {headers!r} {auth.__dict__!r}"

    assert "canary" not in shown.lower()
    assert headers["Authorization"].rpartition("=")[2] not in shown


@pytest.mark.parametrize("thing", [keys(), AwsAuth("sagemaker", "us-east-1", credentials=keys())], ids=["credentials", "auth"])
def test_no_secret_is_pickled(thing: object) -> None:
    """It would lie in a file or a queue."""
    with pytest.raises(TypeError):
        pickle.dumps(thing)


def test_it_is_one_of_those_that_can_be_renewed() -> None:
    """So that an event loop has it fetched in a thread."""
    assert isinstance(AwsAuth("sagemaker", "us-east-1"), RenewableAuth)
    assert Secret("x") == AwsCredentials(access_key_id="a", secret_access_key=Secret("x")).secret_access_key


def test_importing_it_imports_nothing_of_botocores() -> None:
    """Only those who need the chain pay for the library."""
    script = (
        "import sys, json, llmkit.auth.aws as aws\n"
        "auth = aws.AwsAuth('s', 'r', credentials=aws.AwsCredentials(access_key_id='a', secret_access_key='b'))\n"
        "print(json.dumps(sorted(name for name in sys.modules if name.startswith('boto'))))"
    )
    root = str(Path(__file__).parents[2])

    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=root).stdout

    assert [] == json.loads(output)

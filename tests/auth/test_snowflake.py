"""Tokens signed with a key pair, compared with those of Snowflake's own connector."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

import pytest

from llmkit.auth.snowflake import LIFE, MARGIN, KeyPair, account_claim
from llmkit.auth.tokens import RenewedToken
from llmkit.errors import ConfigurationError
from llmkit.transport.base import HttpRequest

pytest.importorskip("cryptography")

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

REQUEST = HttpRequest(method="POST", url="https://x")
PKCS8 = serialization.PrivateFormat.PKCS8
PASSPHRASE = "canary-passphrase"


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    """Making one takes a tenth of a second."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(serialization.Encoding.PEM, PKCS8, serialization.NoEncryption()).decode()


@pytest.fixture(scope="module")
def der(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.DER, PKCS8, serialization.NoEncryption())


@pytest.fixture(scope="module")
def encrypted(key: rsa.RSAPrivateKey) -> str:
    how = serialization.BestAvailableEncryption(PASSPHRASE.encode())
    return key.private_bytes(serialization.Encoding.PEM, PKCS8, how).decode()


def pair(**kwargs: Any) -> KeyPair:
    return KeyPair(**{"account": "myorg-account1", "user": "llm.user", **kwargs})


def opened(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    head, claims, _ = (base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in token.split("."))
    return json.loads(head), json.loads(claims)


@pytest.mark.parametrize(
    ("account", "claim"),
    [
        ("myorg-account1", "MYORG-ACCOUNT1"),
        ("MyOrg-my_account", "MYORG-MY_ACCOUNT"),
        ("xy12345", "XY12345"),
        ("xy12345.eu-central-1.aws", "XY12345"),
        ("xy12345.eu-central-1.privatelink", "XY12345"),
        ("xy12345-abc.global", "XY12345"),
        ("xy12345.global", "XY12345"),
        ("https://myorg-account1.snowflakecomputing.com/", "MYORG-ACCOUNT1"),
        ("xy12345.us-east-1.snowflakecomputing.com", "XY12345"),
    ],
)
def test_an_account_stands_in_a_token_without_its_region(account: str, claim: str) -> None:
    """And in upper case; the hyphen of an organisation's account stays."""
    assert claim == account_claim(account)


def test_a_token_says_who_signed_it(key: rsa.RSAPrivateKey, pem: str) -> None:
    """Its issuer is named with the fingerprint of the public key, and the signature is that key's."""
    token = pair(private_key=pem, clock=lambda: 1_000_000.5).get(anew=False).token

    head, claims = opened(token)
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    fingerprint = base64.b64encode(hashlib.sha256(public).digest()).decode()
    signing, _, signature = token.rpartition(".")
    key.public_key().verify(base64.urlsafe_b64decode(signature + "=="), signing.encode(), padding.PKCS1v15(), hashes.SHA256())
    assert {"alg": "RS256", "typ": "JWT"} == head
    subject = "MYORG-ACCOUNT1.LLM.USER"
    assert {"iss": f"{subject}.SHA256:{fingerprint}", "sub": subject, "iat": 1_000_000, "exp": 1_003_540} == claims
    assert "=" not in token


@pytest.mark.parametrize("account", ["my_org-my_account", "xy12345.eu-central-1.aws", "MyOrg-Account"])
def test_a_token_is_that_of_the_connector(account: str, der: bytes, issuer: Any) -> None:
    """
    Asked for over real HTTP, it sends one with the same header and the same names.

    Not so for ``xy12345-abc.global``, of which 5.2 leaves what stands before the period, 3.x and the documentation before the hyphen.
    """
    connector = pytest.importorskip("snowflake.connector", "5")
    issuer.script.append((200, {}, {"success": False, "code": "390144", "message": "JWT token is invalid.", "data": {}}))
    seen: list[str] = []
    issuer.seen = seen.append

    with warnings.catch_warnings(), pytest.raises(connector.errors.DatabaseError):
        warnings.simplefilter("ignore")
        connector.connect(
            account=account,
            user="llm.User",
            private_key=der,
            authenticator="SNOWFLAKE_JWT",
            protocol="http",
            host="127.0.0.1",
            port=issuer.port,
            login_timeout=5,
        )

    theirs = opened(json.loads(seen[0])["data"]["TOKEN"])
    ours = opened(pair(account=account, user="llm.User", private_key=der).get(anew=False).token)
    assert theirs[0] == ours[0]
    assert {name: theirs[1][name] for name in ("iss", "sub")} == {name: ours[1][name] for name in ("iss", "sub")}
    assert theirs[1].keys() == ours[1].keys()
    assert all(type(theirs[1][name]) is type(ours[1][name]) for name in theirs[1])


@pytest.mark.parametrize("form", ["pem", "one line", "bytes", "der", "base64", "object", "encrypted"])
def test_a_key_may_have_any_of_its_forms(form: str, key: rsa.RSAPrivateKey, pem: str, der: bytes, encrypted: str) -> None:
    """All of them are the same key."""
    forms: dict[str, Any] = {
        "pem": pem,
        "one line": pem.replace("\n", "\\n"),
        "bytes": pem.encode(),
        "der": der,
        "base64": base64.b64encode(der).decode(),
        "object": key,
        "encrypted": encrypted,
    }

    token = pair(private_key=forms[form], passphrase=PASSPHRASE if form == "encrypted" else None, clock=lambda: 1e6).get(anew=False).token

    assert pair(private_key=key, clock=lambda: 1e6).get(anew=False).token == token


def test_a_file_is_read_again_for_each_token(pem: str, tmp_path: Path) -> None:
    """So that a key that is rotated is found."""
    path = tmp_path / "rsa_key.p8"
    path.write_text(pem)
    auth = RenewedToken(pair(private_key_path=path))

    first = auth.headers(REQUEST, None)
    path.unlink()
    second = auth.headers(REQUEST, None)
    auth.refused(first)

    assert first == second
    with pytest.raises(ConfigurationError, match=r"rsa_key\.p8: No such file"):
        auth.headers(REQUEST, None)


@pytest.mark.parametrize(("seconds", "anew"), [(0, False), (LIFE - MARGIN - 1, False), (LIFE - MARGIN, True), (LIFE, True)])
def test_a_token_is_signed_anew_before_it_expires(seconds: float, anew: bool, key: rsa.RSAPrivateKey) -> None:
    """The server takes none for longer than an hour."""
    clock = [1e6]
    auth = RenewedToken(pair(private_key=key, clock=lambda: clock[0]), clock=lambda: clock[0])
    first = auth.headers(REQUEST, None)
    clock[0] += seconds

    second = auth.headers(REQUEST, None)

    assert anew == (first != second)
    assert LIFE < 3600


def failure(source: KeyPair) -> ConfigurationError:
    try:
        source.get(anew=False)
    except ConfigurationError as error:
        return error
    pytest.fail("nothing was raised")


@pytest.mark.parametrize(
    ("held", "passphrase", "words"),
    [
        ("encrypted", None, "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE"),
        ("encrypted", "canary-wrong", "the passphrase is wrong"),
        ("pem", PASSPHRASE, "not encrypted"),
        ("broken", None, "no key in PEM or DER"),
        ("nonsense", None, "no key in PEM or DER"),
        ("curve", None, "not an RSA key"),
        ("public", None, "no key in PEM or DER"),
    ],
)
def test_a_key_that_cannot_be_used_is_named_and_not_shown(held: str, passphrase: str | None, words: str, pem: str, encrypted: str) -> None:
    """Neither it nor its passphrase, in no frame of the error either."""
    curve = ec.generate_private_key(ec.SECP256R1())
    forms = {
        "encrypted": encrypted,
        "pem": pem,
        "broken": pem[:200] + "canary" + pem[200:],
        "nonsense": "canary canary",
        "curve": curve.private_bytes(serialization.Encoding.PEM, PKCS8, serialization.NoEncryption()).decode(),
        "public": curve.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode(),
    }

    error = failure(pair(private_key=forms[held], passphrase=passphrase))

    frames = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    told = f"{error} {error!r} {vars(error)} {frames}"
    assert words in str(error)
    assert (None, None) == (error.__cause__, error.__context__)
    assert not any(word in told for word in ("canary", forms[held][-80:-40] or "canary", "MII"))


@pytest.mark.parametrize("given", [{}, {"private_key": "k", "private_key_path": "p"}, {"private_key": 7}])
def test_a_key_comes_from_one_place(given: dict[str, Any]) -> None:
    """When the client is made."""
    with pytest.raises(ConfigurationError, match="private_key"):
        pair(**given)


def test_without_cryptography_it_is_said_how_to_get_it(pem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the name of the extra."""
    for name in [name for name in sys.modules if name.startswith("cryptography")]:
        monkeypatch.setitem(sys.modules, name, None)

    error = failure(pair(private_key=pem))

    assert "llmkit[snowflake]" in str(error)
    assert error.__context__ is None


def test_importing_it_imports_no_cryptography() -> None:
    """Only those who sign pay for the library."""
    script = "import sys, llmkit.auth.snowflake; print('cryptography' in sys.modules)"
    root = str(Path(__file__).parents[2])

    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=root).stdout

    assert "False" == output.strip()


def test_no_secret_shows_itself(pem: str) -> None:
    """Neither the key, nor its passphrase, nor a token, in a repr."""
    source = pair(private_key=pem, passphrase=PASSPHRASE)
    grant = pair(private_key=pem).get(anew=False)

    shown = f"{source!r} {vars(source)!r} {grant!r}"

    assert grant.token not in shown
    assert not any(word in shown for word in ("canary", pem[60:100], "BEGIN"))


def test_a_token_is_good_now(pem: str) -> None:
    """By the clock of this machine."""
    before = int(time.time())

    claims = opened(pair(private_key=pem).get(anew=False).token)[1]

    assert before <= claims["iat"] <= time.time()
    assert LIFE == claims["exp"] - claims["iat"]

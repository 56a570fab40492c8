"""The fake server's view of signatures: botocore's are good, and one thing changed makes them bad."""

from __future__ import annotations

import calendar
import time
from typing import Any
from urllib.parse import urlsplit

import pytest
from attrs import evolve

from llmkit.auth.aws import AwsCredentials, sign
from llmkit.testing.aws import ACCESS_KEY_ID, SECRET_ACCESS_KEY, access_key_of, refuse_signature, secret_of
from llmkit.testing.replies import RecordedRequest

URL = "http://127.0.0.1:8123/sagemaker/endpoints/e%3A1%2F2/invocations?b=2&a=%20"
AT = 1_790_000_000.0


def received(key: str = ACCESS_KEY_ID, secret: str | None = None, token: str | None = None, **other: Any) -> RecordedRequest:
    """Return a request as it arrives, signed by us."""
    headers = {"Content-Type": "application/json", "X-Amzn-Trace": "a  b"}
    credentials = AwsCredentials(access_key_id=key, secret_access_key=secret or secret_of(key), session_token=token)
    terms: dict[str, Any] = {"service": "sagemaker", "region": "us-east-1", "credentials": credentials, "at": AT, **other}
    made = sign("POST", URL, headers, b"{}", **terms)
    return arrived({**headers, **made})


def arrived(headers: dict[str, str]) -> RecordedRequest:
    parts = urlsplit(URL)
    lower = {name.lower(): value for name, value in headers.items()}
    return RecordedRequest(
        method="POST", path=parts.path, provider="sagemaker", endpoint="", query_string=parts.query, headers=lower, body=b"{}"
    )


def refusal(request: RecordedRequest, now: float = AT) -> tuple[str, str] | None:
    reply = refuse_signature(request, service="sagemaker", now=lambda: now)
    if reply is None:
        return None
    assert 403 == reply.status
    assert reply.failure is not None
    return str(reply.failure.type), str(reply.failure.message)


@pytest.mark.parametrize(("key", "token"), [(ACCESS_KEY_ID, None), ("AKIDOTHER", None), ("ASIATEMPORARY", "token")])
def test_a_good_signature_is_taken(key: str, token: str | None) -> None:
    """Of any key there is, with the token of those that are temporary."""
    assert refusal(received(key, token=token)) is None


def test_botocores_signature_is_taken() -> None:
    """It is the reference."""
    auth = pytest.importorskip("botocore.auth")
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    request = AWSRequest("POST", URL, headers={"Content-Type": "application/json"}, data=b"{}")
    auth.SigV4Auth(Credentials(ACCESS_KEY_ID, SECRET_ACCESS_KEY), "sagemaker", "us-east-1").add_auth(request)

    now = calendar.timegm(time.strptime(request.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ"))
    assert refusal(arrived({**request.headers, "Host": "127.0.0.1:8123"}), now) is None


@pytest.mark.parametrize(
    "change",
    [
        {"method": "PUT"},
        {"path": "/sagemaker/endpoints/e:1%2F2/invocations"},
        {"path": "/sagemaker/endpoints/e%3A1/2/invocations"},
        {"query_string": "a=%20&b=3"},
        {"body": b"{} "},
    ],
    ids=str,
)
def test_whatever_is_changed_on_the_way_shows(change: dict[str, Any]) -> None:
    """The method, a path that was decoded, the query, the body."""
    found = refusal(evolve(received(), **change))

    assert found is not None
    assert "InvalidSignatureException" == found[0]


@pytest.mark.parametrize("name", ["host", "content-type", "x-amzn-trace"])
def test_a_signed_header_that_is_changed_shows(name: str) -> None:
    """One that is gone does too."""
    good = received()
    others = {key: value for key, value in good.headers.items() if key != name}

    assert refusal(evolve(good, headers={**others, name: "x"})) is not None
    assert refusal(evolve(good, headers=others)) is not None


@pytest.mark.parametrize(
    ("request_", "kind", "message"),
    [
        (arrived({}), "MissingAuthenticationTokenException", "Missing"),
        (arrived({"Authorization": "AWS4-HMAC-SHA256 nonsense"}), "IncompleteSignatureException", "requires"),
        (evolve(received(), headers={**received().headers, "x-amz-date": "20269999T000000Z"}), "IncompleteSignatureException", "date"),
        (received("UNKNOWN", "s"), "UnrecognizedClientException", "invalid"),
        (received("ASIATEMPORARY"), "UnrecognizedClientException", "invalid"),
        (received("AKIDOTHER", token="token"), "UnrecognizedClientException", "invalid"),
        (received(secret="wrong"), "InvalidSignatureException", "does not match"),
        (received(service="bedrock"), "InvalidSignatureException", "correct service: 'sagemaker'"),
        (received(at=AT - 301), "InvalidSignatureException", "expired"),
        (received(at=AT + 301), "InvalidSignatureException", "expired"),
        (received("ASIATEMPORARY", token="expired-1"), "ExpiredTokenException", "expired"),
        (evolve(received(), headers={**received().headers, "x-amz-extra": "1"}), "InvalidSignatureException", "x-amz-"),
    ],
)
def test_each_refusal_has_its_name(request_: RecordedRequest, kind: str, message: str) -> None:
    """As AWS tells them apart."""
    found = refusal(request_)

    assert found is not None
    assert kind == found[0]
    assert message in found[1]


def test_the_key_is_read_from_the_signature() -> None:
    """For scripts that ask who it is."""
    assert "AKIDOTHER" == access_key_of(received("AKIDOTHER").headers["authorization"])
    assert access_key_of("Bearer x") is None

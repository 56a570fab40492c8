"""What Snowflake's door says to tokens."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest

from llmkit.testing import wires
from llmkit.testing.replies import RecordedRequest
from llmkit.testing.wires.snowflake import check_token

HEAD = {"alg": "RS256", "typ": "JWT"}
SUBJECT = "MYORG-ACCOUNT1.LLM"
ISSUER = f"{SUBJECT}.SHA256:{'A' * 43}="


def claims(**other: Any) -> dict[str, Any]:
    now = int(time.time())
    return {"iss": ISSUER, "sub": SUBJECT, "iat": now, "exp": now + 3540, **other}


def part(data: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(data).encode()).rstrip(b"=").decode()


def request(token: str, kind: str | None = "KEYPAIR_JWT") -> RecordedRequest:
    headers = {"authorization": f"Bearer {token}", **({} if kind is None else {"x-snowflake-authorization-token-type": kind})}
    endpoint = "/api/v2/cortex/v1/chat/completions"
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Hi"}]}).encode()
    return RecordedRequest(method="POST", path="/snowflake" + endpoint, provider="snowflake", endpoint=endpoint, headers=headers, body=body)


def signed(said: Any, head: Any = None) -> str:
    return f"{part(head or HEAD)}.{part(said)}.c2ln"


def test_a_good_token_is_taken() -> None:
    """Through the route too."""
    good = request(signed(claims()))

    route = wires.find("snowflake", "POST", good.endpoint).route

    assert route is not None
    assert route.check(good) is None is check_token(good)
    assert "/api/v2/cortex/v1" == wires.base_path("snowflake")


@pytest.mark.parametrize("kind", ["PROGRAMMATIC_ACCESS_TOKEN", "OAUTH", None])
def test_another_token_is_not_read(kind: str | None) -> None:
    """Only a key pair's says who it is of."""
    assert check_token(request("pat", kind)) is None


def test_another_kind_of_token_is_refused() -> None:
    """There are three."""
    assert check_token(request("pat", "PAT")) is not None


@pytest.mark.parametrize(
    ("token", "word"),
    [
        ("pat", "not a signed JWT"),
        ("a.b.c", "not a signed JWT"),
        (signed([]), "not a signed JWT"),
        (signed(claims())[:-4], "not a signed JWT"),
        (signed(claims()) + "=", "padded"),
        (signed(claims(), {"alg": "HS256", "typ": "JWT"}), "RS256"),
        (signed(claims(aud="x")), "other claims"),
        (signed({"sub": SUBJECT}), "other claims"),
        (signed(claims(sub="myorg-account1.llm")), "sub is not"),
        (signed(claims(sub="XY12345.EU.LLM", iss=ISSUER)), "iss is not"),
        (signed(claims(iss=SUBJECT)), "iss is not"),
        (signed(claims(iss=ISSUER.rstrip("="))), "iss is not"),
        (signed(claims(iat=time.time() + 0.5)), "whole seconds"),
        (signed(claims(iat=int(time.time()) + 86400, exp=int(time.time()) + 86460)), "in the future"),
        (signed(claims(exp=int(time.time()) + 86400)), "more than an hour"),
        (signed(claims(iat=1, exp=2)), "expired"),
    ],
)
def test_a_bad_token_is_refused(token: str, word: str) -> None:
    """With Snowflake's code for it, and what is wrong."""
    refusal = check_token(request(token))

    assert refusal is not None
    assert refusal.failure is not None
    assert (401, "390144") == (refusal.status, refusal.failure.code)
    assert word in str(refusal.failure.message)

"""
Snowflake's Cortex: the Chat Completions wire, behind a door that reads tokens.

A token of a key pair is checked in all but its signature: whose key it is, the fake cannot know.

Source: Snowflake documentation, "Authenticating to the server" of the SQL API and "Key-pair authentication troubleshooting", read
2026-11-21.
"""

from __future__ import annotations

import base64
import json
import re
import time
import uuid
from collections.abc import Iterator
from typing import Any

from llmkit.testing.replies import Failure, RecordedRequest, Reply
from llmkit.testing.wires import openai_chat
from llmkit.testing.wires.base import Route, Wire
from llmkit.testing.wires.openai_checks import check_chat

__all__ = ["WIRE", "check_token"]

_TYPES = ("KEYPAIR_JWT", "OAUTH", "PROGRAMMATIC_ACCESS_TOKEN")
_SUBJECT = re.compile(r"[A-Z0-9_-]+\.[^a-z]+")  # the account without a period, and both in upper case
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}=")
_LONGEST = 3600  # seconds
_SKEW = 60  # seconds that two clocks may differ


def check_token(request: RecordedRequest) -> Reply | None:
    """Return the refusal of a token that is not what its header says, or None."""
    kind = request.headers.get("x-snowflake-authorization-token-type")
    if kind is None:
        return None  # the server looks for itself
    if kind not in _TYPES:
        return _refused(f"Invalid token type {kind}.", "390303")
    if kind != "KEYPAIR_JWT":
        return None
    wrong = next(_faults(request.headers.get("authorization", "").removeprefix("Bearer ")), None)
    # The server does not say what is wrong; a fake that does spares an afternoon.
    return None if wrong is None else _refused(f"JWT token is invalid. [{uuid.UUID(int=0)}] ({wrong})", "390144")


def _refused(message: str, code: str) -> Reply:
    return Reply(status=401, failure=Failure(type="error", message=message, code=code))


def _faults(token: str) -> Iterator[str]:
    parts = token.split(".")
    try:
        head, claims = (json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in parts[:2])
    except ValueError:
        head = claims = None
    if len(parts) != 3 or not parts[2] or not isinstance(head, dict) or not isinstance(claims, dict):
        yield "not a signed JWT"
        return
    if "=" in token:
        yield "padded base64"
    if head != {"alg": "RS256", "typ": "JWT"}:
        yield "the header is not that of RS256"
    if claims.keys() != {"iss", "sub", "iat", "exp"}:
        yield "other claims than iss, sub, iat and exp"
        return
    yield from _wrong_names(str(claims["iss"]), str(claims["sub"]))
    yield from _wrong_times(claims["iat"], claims["exp"])


def _wrong_names(issuer: str, subject: str) -> Iterator[str]:
    if _SUBJECT.fullmatch(subject) is None:
        yield "sub is not ACCOUNT.USER"
    if not issuer.startswith(f"{subject}.") or _FINGERPRINT.fullmatch(issuer[len(subject) + 1 :]) is None:
        yield "iss is not sub with the fingerprint of a key"


def _wrong_times(issued: Any, expires: Any) -> Iterator[str]:
    if type(issued) is not int or type(expires) is not int:
        yield "iat and exp are whole seconds"
        return
    now = time.time()
    if issued > now + _SKEW:
        yield "issued in the future"
    if expires - issued > _LONGEST or now > expires + _SKEW:
        yield "expired, or valid for more than an hour"


def check_chat_here(request: RecordedRequest) -> Reply | None:
    """Return the refusal of a request for a completion, or None."""
    return check_token(request) or check_chat(request)


WIRE = Wire(
    routes=(Route(method="POST", path=re.compile(r".*/chat/completions"), check=check_chat_here, render=openai_chat.render_chat),),
    render_error=openai_chat.render_error,
    unauthorized=openai_chat.unauthorized,
    providers=frozenset({"snowflake"}),
    bases={"snowflake": "/api/v2/cortex/v1"},
)

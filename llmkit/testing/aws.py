"""
AWS's way to know who asks: a request is signed, and the signature is made once more here, from what arrived.

Rule: the access key ``AKIDEXAMPLE`` has the secret of AWS's documentation; any other that begins with AKID or ASIA has `secret_of` it.
Those that begin with ASIA are temporary and go with a session token; a token that begins with ``expired`` has had its time.

Source: AWS, "Signature Version 4 signing process", and its errors as recorded; read 2026-11-21.
"""

from __future__ import annotations

import calendar
import hmac
import re
import time
from collections.abc import Callable

from llmkit.auth.sigv4 import ALGORITHM, signature
from llmkit.secrets import Secret
from llmkit.testing.replies import Failure, RecordedRequest, Reply

__all__ = ["ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "access_key_of", "refuse_signature", "secret_of"]

ACCESS_KEY_ID = "AKIDEXAMPLE"
SECRET_ACCESS_KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

SKEW = 300  # seconds by which a signature's time may differ from the service's

_AUTHORIZATION = re.compile(
    rf"{ALGORITHM} Credential=(?P<key>[^/,\s]+)/(?P<scope>[^,\s]+),"
    r"\s*SignedHeaders=(?P<names>[^,\s]+),\s*Signature=(?P<proof>[0-9a-f]{64})"
)
_KEY = re.compile(r"(?:AKID|ASIA)\w+")

_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. "
    "Consult the service documentation for details."
)


def secret_of(access_key_id: str) -> str:
    """Return the secret of an access key that this server knows."""
    return SECRET_ACCESS_KEY if access_key_id == ACCESS_KEY_ID else f"secret/of+{access_key_id}"


def access_key_of(authorization: str) -> str | None:
    """Return whose signature the header *authorization* holds."""
    found = _AUTHORIZATION.fullmatch(authorization)
    return None if found is None else found["key"]


def refuse_signature(request: RecordedRequest, *, service: str, now: Callable[[], float] = time.time) -> Reply | None:
    """
    Return AWS's refusal of a request that is not signed as it must be, or None.

    Args:
        service: The name that signs.
        now: Gives the service's time, in seconds since 1970.
    """
    authorization = request.headers.get("authorization", "")
    if not authorization:
        return _refusal("MissingAuthenticationTokenException", "Missing Authentication Token")
    found = _AUTHORIZATION.fullmatch(authorization)
    stamp = request.headers.get("x-amz-date", "")
    scope = [] if found is None else found["scope"].split("/")
    at = _seconds(stamp)
    if found is None or len(scope) != 4 or at is None:
        return _refusal("IncompleteSignatureException", "Authorization header requires 'Credential', 'SignedHeaders', 'Signature', a date.")
    names = found["names"].split(";")
    token = request.headers.get("x-amz-security-token", "")
    if _KEY.fullmatch(found["key"]) is None or found["key"].startswith("ASIA") != bool(token):
        return _refusal("UnrecognizedClientException", "The security token included in the request is invalid.")
    if scope[2:] != [service, "aws4_request"]:
        return _refusal("InvalidSignatureException", f"Credential should be scoped to correct service: '{service}'.")
    if "host" not in names or names != sorted(names) or any(name not in names for name in request.headers if name.startswith("x-amz-")):
        return _refusal("InvalidSignatureException", "'Host' and every 'x-amz-' header must be a 'SignedHeader' in the AWS Authorization.")
    if abs(at - now()) > SKEW or not stamp.startswith(scope[0]):
        return _refusal("InvalidSignatureException", f"Signature expired: {stamp} is not within 5 min. of the service's time.")
    proof = signature(
        Secret(secret_of(found["key"])),
        method=request.method,
        path=request.path,
        query=request.query_string,
        headers={name: request.headers.get(name, "") for name in names},
        body=request.body,
        stamp=stamp,
        scope=found["scope"],
    )
    if not hmac.compare_digest(proof, found["proof"]):
        return _refusal("InvalidSignatureException", _MISMATCH)
    if token.startswith("expired"):
        return _refusal("ExpiredTokenException", "The security token included in the request is expired")
    return None


def _seconds(stamp: str) -> int | None:
    try:
        return calendar.timegm(time.strptime(stamp, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        return None


def _refusal(type: str, message: str) -> Reply:
    return Reply(status=403, failure=Failure(type=type, message=message))

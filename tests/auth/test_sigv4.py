"""AWS's signature against known answers, and against botocore's own."""

from __future__ import annotations

import calendar
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.auth.sigv4 import AwsCredentials, sign

pytest.importorskip("botocore")

KEY, SECRET, TOKEN = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "AQoDYXdzEPT//////////wEXAMPLE"
STAMP = "20260115T120000Z"
AT = float(calendar.timegm(time.strptime(STAMP, "%Y%m%dT%H%M%SZ")))
BODY = b'{"messages":[{"role":"user","content":[{"text":"hello"}]}],"inferenceConfig":{"maxTokens":100}}'
BEDROCK = "https://bedrock-runtime.us-east-1.amazonaws.com/model/"
SAGEMAKER = "https://runtime.sagemaker.us-east-1.amazonaws.com/endpoints/my-endpoint/invocations"


def keys(session_token: str | None = None) -> AwsCredentials:
    return AwsCredentials(access_key_id=KEY, secret_access_key=SECRET, session_token=session_token)


_V1 = "us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"
_V2 = "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fmi1dadi0g15f/converse-stream"
_V3 = "us.anthropic.claude-sonnet-4-5-20250929-v1:0/converse"


@pytest.mark.parametrize(
    ("url", "body", "service", "token", "proof"),
    [
        (BEDROCK + _V1, BODY, "bedrock", None, "fcffa9dcd7877b54f56cfa87530581b0c96a9bc531d51c8695303a9434a9fdcb"),
        (BEDROCK + _V2, BODY, "bedrock", None, "30c220170f3173c9310b43367f60df5fd97166458519ff9aa1a1204592862389"),
        (BEDROCK + _V3, BODY, "bedrock", None, "180da5017d59f88cacf6285695c9c497aaa66dd5c9404f23dec70ebbab0ce6ff"),
        (BEDROCK + _V1, BODY, "bedrock", TOKEN, "3298b087deb30db31427899a02ef8b8d92e7e7d6702264a2f85cc85e371e36d8"),
        (SAGEMAKER, b'{"inputs":"hello"}', "sagemaker", None, "c76856a8fec95e535858d06fcd4e7b2180fd2fa11a044b06217c6b6b8740c840"),
    ],
    ids=["a colon encoded", "an ARN", "a colon as it is", "a session token", "another service"],
)
def test_a_signature_is_the_known_answer(url: str, body: bytes, service: str, token: str | None, proof: str) -> None:
    """Computed by botocore, and once more by hand."""
    headers = {"Content-Type": "application/json"}

    made = sign("POST", url, headers, body, service=service, region="us-east-1", credentials=keys(session_token=token), at=AT)

    names = "content-type;host;x-amz-date" + (";x-amz-security-token" if token else "")
    credential = f"AKIDEXAMPLE/20260115/us-east-1/{service}/aws4_request"
    assert f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={proof}" == made["Authorization"]
    assert STAMP == made["X-Amz-Date"]
    assert token == made.get("X-Amz-Security-Token")


_SEGMENT = st.text(st.sampled_from("aZ09-_.~:@!$&'()*+,;=é漢"), max_size=6) | st.sampled_from(["%3A", "%2F", "%2f%25", ".", "..", ""])
_QUERY = st.lists(st.tuples(st.text("abA%20é~", max_size=3), st.none() | st.text("xyz%2F+", max_size=3)), max_size=4)
_NAMES = st.from_regex(r"X-[A-Za-z]{1,6}(-[a-z]{1,3})?", fullmatch=True)
_VALUES = st.text(st.sampled_from("ab \t,;=\"'é"), max_size=12)


@given(
    method=st.sampled_from(["GET", "POST", "PUT"]),
    scheme_host=st.sampled_from(
        ["https://a.example", "http://127.0.0.1:8123", "https://H.Example:443", "http://[::1]:80", "http://[::1]:81"]
    ),
    path=st.lists(_SEGMENT, max_size=5),
    query=_QUERY,
    headers=st.dictionaries(_NAMES, _VALUES, max_size=4),
    more=st.sampled_from([{}, {"User-Agent": "llmkit/1"}, {"Expect": "100-continue", "Content-Type": "text/plain"}]),
    body=st.binary(max_size=40),
    token=st.none() | st.text("abc/+=", min_size=1),
    names=st.tuples(st.sampled_from(["bedrock", "sagemaker"]), st.sampled_from(["us-east-1", "cn-north-1"])),
    at=st.integers(0, 4_000_000_000),
)
def test_a_signature_is_that_of_botocore(
    method: str,
    scheme_host: str,
    path: list[str],
    query: list[tuple[str, str | None]],
    headers: dict[str, str],
    more: dict[str, str],
    body: bytes,
    token: str | None,
    names: tuple[str, str],
    at: int,
) -> None:
    """Whatever the path, the query, the headers, the body and the host."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    tail = "&".join(name if value is None else f"{name}={value}" for name, value in query)
    url = f"{scheme_host}/{'/'.join(path)}" + (f"?{tail}" if tail else "")
    service, region = names
    theirs = AWSRequest(method, url, headers={**headers, **more}, data=body)
    auth = SigV4Auth(Credentials(KEY, SECRET, token), service, region)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at))
    theirs.context["timestamp"] = stamp
    auth._modify_request_before_signing(theirs)
    if "X-Amz-Date" in theirs.headers:
        theirs.headers.replace_header("X-Amz-Date", stamp)
    canonical = auth.canonical_request(theirs)
    auth._inject_signature_to_request(theirs, auth.signature(auth.string_to_sign(theirs, canonical), theirs))

    ours = sign(method, url, {**headers, **more}, body, service=service, region=region, credentials=keys(session_token=token), at=float(at))

    assert theirs.headers["Authorization"] == ours["Authorization"]
    assert stamp == ours["X-Amz-Date"]


def test_a_signature_is_that_of_botocores_own_call() -> None:
    """Of its public method, which takes the time from the clock."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    theirs = AWSRequest("POST", BEDROCK + _V2, headers={"Content-Type": "application/json", "X-Amzn-Trace": "a  b"}, data=BODY)
    SigV4Auth(Credentials(KEY, SECRET, TOKEN), "bedrock", "us-east-1").add_auth(theirs)
    at = float(calendar.timegm(time.strptime(theirs.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ")))

    ours = sign(
        "POST",
        BEDROCK + _V2,
        {"Content-Type": "application/json", "X-Amzn-Trace": "a  b"},
        BODY,
        service="bedrock",
        region="us-east-1",
        credentials=keys(session_token=TOKEN),
        at=at,
    )

    assert theirs.headers["Authorization"] == ours["Authorization"]


def test_the_host_that_is_signed_is_sent() -> None:
    """In lower case, with its port unless it is the scheme's own."""
    hosts = [
        sign("GET", url, {}, b"", service="bedrock", region="us-east-1", credentials=keys(), at=AT)["Host"]
        for url in ("https://API.example/x", "https://api.example:443/x", "http://api.example:8080/x")
    ]

    assert ["api.example", "api.example", "api.example:8080"] == hosts


def test_a_host_that_is_given_is_signed() -> None:
    """Such as that of a service behind a tunnel on this machine."""
    made = sign("GET", "http://127.0.0.1:9/", {"host": "a.example"}, b"", service="s", region="r", credentials=keys(), at=AT)

    assert "a.example" == made["Host"]

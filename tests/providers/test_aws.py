"""Where AWS's services are, which region counts, and what shows who one is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmkit import Client
from llmkit.auth.aws import AwsAuth, AwsCredentials
from llmkit.errors import ConfigurationError
from llmkit.providers import find_provider
from llmkit.providers.aws import aws_access, aws_host, region_of_arn
from llmkit.providers.means import Means
from llmkit.secrets import Secret
from llmkit.transport.base import HttpRequest

KEYS = {"access_key_id": "AKIDCANARY", "secret_access_key": "canary-secret", "session_token": "canary-token"}
REGION = {"region": "us-east-1"}
signed = aws_access("sagemaker", takes_key=False)
keyed = aws_access("bedrock", takes_key=True)


def means(options: dict[str, Any], *, keyed: bool, key_at_hand: bool) -> Means:
    return Means(options=options, given=frozenset(options), keyed=keyed, key_at_hand=key_at_hand)


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No files or machine of AWS's but those a test brings."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("us-east-1", "runtime.sagemaker.us-east-1.amazonaws.com"),
        ("us-gov-west-1", "runtime.sagemaker.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "runtime.sagemaker.cn-north-1.amazonaws.com.cn"),
        ("eusc-de-east-1", "runtime.sagemaker.eusc-de-east-1.amazonaws.eu"),
        ("us-iso-east-1", "runtime.sagemaker.us-iso-east-1.c2s.ic.gov"),
        ("us-isob-east-1", "runtime.sagemaker.us-isob-east-1.sc2s.sgov.gov"),
        ("eu-isoe-west-1", "runtime.sagemaker.eu-isoe-west-1.cloud.adc-e.uk"),
        ("us-isof-south-1", "runtime.sagemaker.us-isof-south-1.csp.hci.ic.gov"),
    ],
)
def test_each_region_has_its_host(region: str, host: str) -> None:
    """As botocore has it."""
    botocore_session = pytest.importorskip("botocore.session")
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
    theirs = botocore_session.Session().create_client("sagemaker-runtime", region_name=region, **keys)

    assert f"https://{host}" == theirs.meta.endpoint_url
    assert host == aws_host("runtime.sagemaker")(region)
    assert f"https://{host}" == find_provider("sagemaker").base(None, {"region": region})


@pytest.mark.parametrize("region", ["us-east-1.evil.example", "", "us_east_1", "US-EAST-1", "us-east-1/", "a@b-1", "us-east-1\n"])
def test_a_region_cannot_move_the_request(region: str) -> None:
    """Wherever it comes from."""
    with pytest.raises(ConfigurationError, match="region"):
        aws_host("runtime.sagemaker")(region)
    with pytest.raises(ConfigurationError, match="region"):
        signed(means({"region": region}, keyed=False, key_at_hand=False))


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("arn:aws:bedrock:eu-west-3:123456789012:application-inference-profile/x", {"arn_region": "eu-west-3"}),
        ("arn:aws-us-gov:bedrock:us-gov-west-1:123456789012:provisioned-model/x", {"arn_region": "us-gov-west-1"}),
        ("arn:aws:bedrock:::foundation-model/x", {}),
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", {}),
    ],
)
def test_an_arn_says_its_region(model: str, said: dict[str, str]) -> None:
    """Another name says none."""
    assert said == region_of_arn(model)


def region_in_force(options: dict[str, Any]) -> str:
    return signed(means(options, keyed=False, key_at_hand=False))[0]["region"]


def test_the_region_is_looked_for_in_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is given or in the environment, then the profile's, then that of an ARN."""
    pytest.importorskip("botocore")
    arn = {"arn_region": "eu-west-3"}

    from_arn = region_in_force(arn)
    (tmp_path / "config").write_text("[default]\nregion = sa-east-1\n[profile work]\nregion = ap-south-1\n")
    from_files = region_in_force(arn)
    from_profile = region_in_force({**arn, "profile": "work"})
    given = region_in_force({**arn, "profile": "work", "region": "us-west-2"})

    assert ("eu-west-3", "sa-east-1", "ap-south-1", "us-west-2") == (from_arn, from_files, from_profile, given)


@pytest.mark.parametrize(("names", "region"), [(("AWS_REGION", "AWS_DEFAULT_REGION"), "us-east-1"), (("AWS_DEFAULT_REGION",), "us-east-1")])
def test_the_environment_gives_a_region(monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...], region: str) -> None:
    """``AWS_REGION`` before ``AWS_DEFAULT_REGION``, and an option before both."""
    for name, value in zip(names, ("us-east-1", "us-east-2"), strict=False):
        monkeypatch.setenv(name, value)

    found = Client("sagemaker/x", options=KEYS).explain("Hi").url
    given = Client("sagemaker/x", options={**KEYS, "region": "eu-west-1"}).explain("Hi").url

    assert f"https://runtime.sagemaker.{region}.amazonaws.com/endpoints/x/invocations" == found
    assert "https://runtime.sagemaker.eu-west-1.amazonaws.com/endpoints/x/invocations" == given


def test_an_arn_leads_to_its_region() -> None:
    """For this model only: the client's other models are elsewhere."""
    client = Client("sagemaker/arn:aws:sagemaker:eu-west-1:123456789012:endpoint/x", options=KEYS)

    here = client.explain("Hi").url
    there = client.explain("Hi", model="arn:aws:sagemaker:eu-west-3:123456789012:endpoint/y").url

    assert "https://runtime.sagemaker.eu-west-1.amazonaws.com/endpoints/x/invocations" == here
    assert "https://runtime.sagemaker.eu-west-3.amazonaws.com/endpoints/y/invocations" == there


def test_without_a_region_it_is_said_how_to_give_one() -> None:
    """It is never guessed."""
    with pytest.raises(ConfigurationError, match="AWS_DEFAULT_REGION"):
        Client("sagemaker/x", options=KEYS)


@pytest.mark.parametrize(
    ("options", "is_keyed", "at_hand", "kind"),
    [
        ({}, True, False, None),
        ({}, False, True, None),
        ({"profile": "work"}, False, True, None),
        (KEYS, False, True, AwsAuth),
        ({}, False, False, AwsAuth),
    ],
)
def test_what_is_said_counts_before_what_is_found(options: dict[str, Any], is_keyed: bool, at_hand: bool, kind: Any) -> None:
    """A key or credentials, a key of the environment, then AWS's usual credentials."""
    said, auth = keyed(means({**REGION, **options}, keyed=is_keyed, key_at_hand=at_hand))

    assert (type(None) if kind is None else kind) is type(auth)
    assert set() == {"access_key_id", "secret_access_key", "session_token", "credentials"} & set(said)


@pytest.mark.parametrize(
    ("options", "is_keyed", "message"),
    [
        (KEYS, True, "both given"),
        ({"access_key_id": "AKIDCANARY"}, False, "belong together"),
        ({"session_token": "canary-token"}, False, "belong together"),
        ({**KEYS, "credentials": object()}, False, "one or the others"),
        ({"credentials": object()}, False, "such as botocore makes"),
    ],
)
def test_contradictions_are_refused(options: dict[str, Any], is_keyed: bool, message: str) -> None:
    """It would be a guess who pays; and nothing of it is quoted."""
    with pytest.raises(ConfigurationError, match=message) as raised:
        keyed(means({**REGION, **options}, keyed=is_keyed, key_at_hand=False))

    assert "canary" not in str(raised.value).lower()


def test_a_service_that_takes_no_key_says_so() -> None:
    """Rather than to leave it out."""
    with pytest.raises(ConfigurationError, match="takes no API keys"):
        Client("sagemaker/x", api_key="k", options=REGION)


def test_credentials_of_botocores_are_taken_as_they_are() -> None:
    """With whatever renews them."""
    credentials = pytest.importorskip("botocore.credentials").Credentials("AKIDBOTO", "s")

    _, auth = signed(means({**REGION, "credentials": credentials}, keyed=False, key_at_hand=False))

    assert auth is not None
    headers = auth.headers(HttpRequest(method="POST", url="https://a.example/x"), None)
    assert "Credential=AKIDBOTO/" in headers["Authorization"]


def test_credentials_given_as_options_sign() -> None:
    """They are the auth's, and no option any more."""
    said, auth = signed(means({**REGION, **KEYS, "profile": "work", "target_model": "m"}, keyed=False, key_at_hand=False))

    assert {**REGION, "profile": "work", "target_model": "m"} == said
    assert isinstance(auth, AwsAuth)
    expected = AwsCredentials(access_key_id="AKIDCANARY", secret_access_key="canary-secret", session_token=Secret("canary-token"))
    assert auth._at_hand is not None
    assert expected == auth._at_hand.credentials

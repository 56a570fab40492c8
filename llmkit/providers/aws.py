"""
Where AWS's services are, and how one shows who one is there.

Source: AWS, "AWS SDKs and Tools Reference Guide", and botocore 1.44.5, ``partitions.json`` and ``endpoints.json``; read 2026-11-21.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from llmkit.auth.base import Auth
from llmkit.errors import ConfigurationError
from llmkit.providers.means import Access, Means
from llmkit.providers.provider import Option

__all__ = ["aws_access", "aws_host", "aws_options", "region_of_arn"]

# As text: compiled when a first region is looked at, since most programs have none.
REGION = r"[a-z]{2,4}(?:-[a-z]+)+-\d+"
ARN = rf"arn:aws[a-z-]*:[a-z-]+:({REGION}):"

# What stands behind a region in a host's name, by how the region's name begins.
SUFFIXES = {
    "cn-": "amazonaws.com.cn",
    "eusc-": "amazonaws.eu",
    "us-iso-": "c2s.ic.gov",
    "us-isob-": "sc2s.sgov.gov",
    "eu-isoe-": "cloud.adc-e.uk",
    "us-isof-": "csp.hci.ic.gov",
}

# What the options are called that say who one is. None of them goes on to a dialect.
_CREDENTIALS = ("access_key_id", "secret_access_key", "session_token", "credentials")


def aws_host(service: str) -> Callable[[str], str]:
    """Return a function that gives the host of *service*, such as ``bedrock-runtime``, in a region."""

    def host(region: str) -> str:
        suffix = next((suffix for start, suffix in SUFFIXES.items() if region.startswith(start)), "amazonaws.com")
        return f"{service}.{_fit(region)}.{suffix}"

    return host


def aws_options(service: str) -> dict[str, Option]:
    """Return the options of a provider whose base URL has ``{region}`` for the host of *service*."""
    meaning = "an AWS region, such as us-east-1"
    return {
        "region": Option(env=("AWS_REGION", "AWS_DEFAULT_REGION"), meaning=meaning, read=aws_host(service)),
        "profile": Option(meaning="a profile of AWS's configuration files", personal=True),
        "access_key_id": Option(meaning="an access key, in place of AWS's usual credentials", personal=True),
        "secret_access_key": Option(meaning="the secret of that access key", personal=True),
        "session_token": Option(meaning="the session token of a temporary access key", personal=True),
        "credentials": Option(meaning="an object with credentials, such as boto3.Session().get_credentials()", personal=True),
    }


def region_of_arn(model: str) -> dict[str, str]:
    """Return the option that an ARN in place of a model's name says: the region it is in, where none is given."""
    found = re.match(ARN, model)
    return {} if found is None else {"arn_region": found[1]}


def aws_access(service: str, *, takes_key: bool) -> Access:
    """
    Return how one shows who one is to the service that signs as *service*.

    What is said counts before what is found: a key (where the service takes one) or credentials as options, then a key of the
    environment, then AWS's usual credentials.
    """

    def access(means: Means) -> tuple[dict[str, str], Auth | None]:
        said = means.without(*_CREDENTIALS, "arn_region")
        said["region"] = _region(means.options)
        credentials = _given(means.options)
        if means.keyed and not takes_key:
            msg = (
                "This service of AWS's takes no API keys: requests are signed. Pass options={'access_key_id': ..., "
                "'secret_access_key': ...}."
            )
            raise ConfigurationError(msg)
        if means.keyed and credentials is not None:
            msg = "A key and AWS credentials were both given; it would be a guess which of them pays."
            raise ConfigurationError(msg)
        if takes_key and (means.keyed or (means.key_at_hand and credentials is None)):
            return said, None
        from llmkit.auth.aws import AwsAuth

        return said, AwsAuth(service, said["region"], profile=said.get("profile"), credentials=credentials)

    return access


def _given(options: Mapping[str, Any]) -> Any:
    """Return the credentials that the options hold, or None."""
    key, secret = options.get("access_key_id"), options.get("secret_access_key")
    if "credentials" in options:
        if key or secret:
            msg = "The option 'credentials' stands for 'access_key_id' and 'secret_access_key'; give one or the others."
            raise ConfigurationError(msg)
        return options["credentials"]
    if not key and not secret and not options.get("session_token"):
        return None
    if not key or not secret:
        msg = "The options 'access_key_id' and 'secret_access_key' belong together; one is missing."
        raise ConfigurationError(msg)
    from llmkit.auth.aws import AwsCredentials

    return AwsCredentials(access_key_id=str(key), secret_access_key=str(secret), session_token=options.get("session_token"))


def _region(options: Mapping[str, Any]) -> str:
    from llmkit.auth.aws import profile_region

    region = options.get("region") or profile_region(options.get("profile")) or options.get("arn_region")
    if region:
        return _fit(str(region))
    msg = (
        "AWS needs a region: pass options={'region': 'us-east-1'}, or set AWS_REGION or AWS_DEFAULT_REGION. (That of a profile in AWS's "
        "configuration files is found where botocore is installed: pip install 'llmkit[bedrock]'.)"
    )
    raise ConfigurationError(msg)


def _fit(region: str) -> str:
    if re.fullmatch(REGION, region) is None:
        msg = f"The region is one such as 'us-east-1' or 'eu-central-1', not {region!r}."
        raise ConfigurationError(msg)
    return region

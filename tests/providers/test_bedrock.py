"""Bedrock's row: its wires, its hosts, and what shows who one is."""

from __future__ import annotations

from typing import Any

import pytest

from llmkit.auth.aws import AwsAuth
from llmkit.dialects.anthropic import AnthropicMessages
from llmkit.dialects.base import Place
from llmkit.dialects.bedrock import BedrockConverse
from llmkit.dialects.openai_chat import OpenAIChat
from llmkit.errors import ConfigurationError
from llmkit.models.request import make_request
from llmkit.providers import find_provider
from llmkit.providers.bedrock import bedrock_access, bedrock_dialect
from llmkit.providers.means import Means

ROW = find_provider("bedrock")


def access(options: dict[str, Any], *, keyed: bool = False, key_at_hand: bool = False) -> Any:
    """Return what is in force where *options* were given."""
    return bedrock_access(Means(options=options, given=frozenset(options), keyed=keyed, key_at_hand=key_at_hand))


@pytest.mark.parametrize(
    ("options", "host"),
    [
        ({"region": "us-east-1"}, "bedrock-runtime.us-east-1.amazonaws.com"),
        ({"region": "cn-north-1"}, "bedrock-runtime.cn-north-1.amazonaws.com.cn"),
        ({"region": "us-east-1", "api": "invoke"}, "bedrock-runtime.us-east-1.amazonaws.com"),
        ({"region": "us-east-1", "api": "chat"}, "bedrock-mantle.us-east-1.api.aws"),
        ({"region": "us-west-2", "api": "responses"}, "bedrock-mantle.us-west-2.api.aws"),
        ({"region": "us-east-1", "host": "bedrock-runtime-fips.us-east-1.amazonaws.com"}, "bedrock-runtime-fips.us-east-1.amazonaws.com"),
    ],
)
def test_each_wire_has_its_host(options: dict[str, str], host: str) -> None:
    """In the region, unless another is said."""
    said, auth = access(options, keyed=True)

    assert auth is None
    assert f"https://{host}" == ROW.base(None, said)


@pytest.mark.parametrize(
    ("api", "cls", "path"),
    [
        ("converse", BedrockConverse, "/model/a%3Ab%2Fc/converse"),
        ("invoke", AnthropicMessages, "/model/a%3Ab%2Fc/invoke"),
        ("chat", OpenAIChat, "/v1/chat/completions"),
        ("responses", None, "/v1/responses"),
    ],
)
def test_the_option_api_chooses_the_wire(api: str, cls: type | None, path: str) -> None:
    """And with it the path."""
    dialect = bedrock_dialect({"api": api})

    request = dialect.encode(make_request("Hi", model="a:b/c"), Place(base_url="https://h", options={}))

    assert cls is None or isinstance(dialect, cls)
    assert f"https://h{path}" == request.url


def test_no_other_wire_is_there() -> None:
    """It is refused by name."""
    with pytest.raises(ConfigurationError, match="one of converse, invoke, chat, responses, not 'native'"):
        bedrock_dialect({"api": "native"})


def test_wires_do_not_share_their_thoughts() -> None:
    """What one has sealed another does not take."""
    owners = [getattr(bedrock_dialect({"api": api}), "owner", None) for api in ("converse", "invoke", "chat", "responses")]

    assert ["bedrock", "bedrock-invoke", "bedrock-chat", "bedrock-responses"] == owners


KEYS = {"access_key_id": "AKIDEXAMPLE", "secret_access_key": "s"}


@pytest.mark.parametrize(
    ("options", "keyed", "key_at_hand", "signs"),
    [
        ({}, True, False, False),
        ({}, False, True, False),
        (KEYS, False, True, True),
        ({}, False, False, True),
        ({"profile": "p"}, False, False, True),
    ],
)
def test_a_key_wins_over_a_signature(options: dict[str, Any], keyed: bool, key_at_hand: bool, signs: bool) -> None:
    """Unless credentials were said; no key is signed with."""
    said, auth = access({"region": "us-east-1", **options}, keyed=keyed, key_at_hand=key_at_hand)

    assert signs == isinstance(auth, AwsAuth)
    assert not set(KEYS) & set(said)


@pytest.mark.parametrize(("api", "service"), [("converse", "bedrock"), ("invoke", "bedrock"), ("chat", "bedrock-mantle")])
def test_each_host_has_its_name_for_signing(api: str, service: str) -> None:
    """It is not always the host's."""
    _, auth = access({"region": "us-east-1", "api": api, **KEYS})

    assert f"AwsAuth('{service}', 'us-east-1')" == repr(auth)


@pytest.mark.parametrize("pasted", ["", "/", "/model/x%3A0/converse", "/model/x/invoke-with-response-stream"])
def test_a_pasted_url_is_cut_to_its_base(pasted: str) -> None:
    """Behind which the wire has its own paths."""
    assert "https://vpce-1.bedrock-runtime.us-east-1.vpce.amazonaws.com" == ROW.base(
        f"https://vpce-1.bedrock-runtime.us-east-1.vpce.amazonaws.com{pasted}", {}
    )

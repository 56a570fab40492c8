"""Whom a request is for, told from its address."""

from __future__ import annotations

import pytest

from llmkit.secrets import Headers
from llmkit.testing.recognising import recognised, wire_of
from llmkit.testing.wires import anthropic, cohere, openai_chat
from llmkit.transport.base import HttpRequest


def recorded(url: str, method: str = "POST") -> tuple[str, str]:
    found = recognised(HttpRequest(method=method, url=url), 1)
    return found.provider, found.endpoint


@pytest.mark.parametrize(
    ("url", "provider"),
    [
        ("https://api.openai.com/v1/chat/completions", "openai"),
        ("https://api.groq.com/openai/v1/chat/completions", "groq"),
        ("https://bedrock-runtime.eu-west-1.amazonaws.com/model/m/converse", "bedrock"),
        ("http://localhost:9999/v1/chat/completions", "custom"),
        ("https://gateway.example/v1/messages", "anthropic"),
    ],
)
def test_a_provider_is_known_by_its_address_or_by_what_is_asked_there(url: str, provider: str) -> None:
    """A region may stand in the address."""
    assert provider == recorded(url)[0]


def test_what_a_gateway_puts_in_front_is_passed_over() -> None:
    """The path behind it is the provider's."""
    assert ("cohere", "/v2/chat") == recorded("https://gateway.example/team/a/v2/chat")


def test_a_path_that_nobody_has_is_everyones() -> None:
    """Its answer is the refusal of the common wire."""
    assert ("custom", "/nowhere") == recorded("https://gateway.example/nowhere")


def test_the_wire_follows() -> None:
    """By provider, not only by path: two of them list models at the same one."""
    wires = [
        wire_of(recognised(HttpRequest(method="GET", url=url), 1))
        for url in ("https://api.anthropic.com/v1/models", "https://api.cohere.com/v1/models", "https://api.openai.com/v1/models")
    ]

    assert [anthropic.WIRE, cohere.WIRE, openai_chat.WIRE] == wires


def test_the_request_is_as_a_server_would_have_recorded_it() -> None:
    """Headers in lower case, the query apart, the key found."""
    request = HttpRequest(method="POST", url="https://x.example/v1/messages?beta=true", headers=Headers({"X-Api-Key": "sk-1"}), body=b"{}")

    found = recognised(request, 3)

    assert ("sk-1", {"beta": "true"}, {}, 3) == (found.key, found.query, found.json, found.connection)
    assert "sk-1" == found.headers["x-api-key"]

"""What a client does not do, whatever it is told: fetch, follow, leave its host, or keep a call that is over."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

import pytest

from llmkit import ConfigurationError, Document, Event, Image, LLMKitError, Target, user
from llmkit.testing import FakeServer, Reply
from llmkit.testing.aws import ACCESS_KEY_ID, SECRET_ACCESS_KEY

Connect = Callable[..., Any]

CANARY = "sk-canary-Q7w8E9r0T1y2"


def inside_of(client: Any) -> Any:
    return getattr(client, "twin", client)


@pytest.mark.parametrize("operation", ["complete", "stream"])
def test_a_call_that_cannot_be_sent_is_over(connect: Connect, operation: str) -> None:
    """``cancel_all`` has nothing to end, the hooks hear of the end, and nothing is kept of it."""
    events: list[Event] = []
    client = connect(base_url="http://127.0.0.1:1/v1", proxies={"all": "socks5://127.0.0.1:1"}, hooks=[events.append])

    with pytest.raises(ConfigurationError, match="socks5"):
        client.complete("Say hi") if operation == "complete" else client.stream("Say hi").collect()

    assert 0 == client.cancel_all()
    assert ["call.start", "attempt.start", "attempt.end", "call.end"] == [event.name for event in events]


# Addresses that somebody else has given.


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "127.1", "[::1]", "[::ffff:127.0.0.1]"])
def test_an_untrusted_address_leads_to_no_host_inside(face: Any, server: FakeServer, host: str) -> None:
    """However it is written; nothing is connected, and nothing tried again."""
    port = server.origin.rpartition(":")[2]
    with (
        face.client("custom/m", base_url=f"http://{host}:{port}/v1", untrusted_base_url=True, trust_env=False) as client,
        pytest.raises(ConfigurationError, match=r"public internet|cannot be sent"),
    ):
        client.complete("Say hi")

    assert 0 == server.connections


@pytest.mark.parametrize("inside", ["127.0.0.1", "169.254.169.254", "10.1.2.3"])
def test_a_name_is_checked_by_the_address_that_is_connected_to(face: Any, monkeypatch: pytest.MonkeyPatch, inside: str) -> None:
    """A name may lead to one address when it is looked at and to another when it is used."""
    answers = iter([[inside]] * 9)

    def resolve(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in next(answers)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    client = face.client("custom/m", base_url="http://rebound.example.com:9/v1", untrusted_base_url=True, trust_env=False)

    with client, pytest.raises(ConfigurationError, match=inside.replace(".", r"\.")):
        client.complete("Say hi")


def test_where_addresses_are_trusted_anything_goes(connect: Connect, server: FakeServer) -> None:
    """It is asked for, not assumed: one's own servers are inside."""
    assert "You said: Say hi" == connect(untrusted_base_url=False).complete("Say hi").text


def test_an_untrusted_address_is_not_asked_of_a_proxy(face: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks names up by itself, where nobody can see to what they lead."""
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    client = face.client("custom/m", base_url="https://gateway.example.com/v1", untrusted_base_url=True)

    with client, pytest.raises(ConfigurationError, match="proxy"):
        client.complete("Say hi")


def test_a_transport_of_ones_own_keeps_to_nothing_of_ours(face: Any) -> None:
    """Said at the door, rather than taken and ignored."""
    with pytest.raises(ConfigurationError, match="untrusted_base_url"):
        face.client("custom/m", base_url="https://x.example.com/v1", untrusted_base_url=True, transport=face.double(None))


# What a request may say.


@pytest.mark.parametrize("header", ["Host", "Content-Length", "Transfer-Encoding", "Authorization", "Connection", "Bad Name", "x:y", "ä"])
@pytest.mark.parametrize("way", ["extra_headers", "default_headers"])
def test_headers_that_are_not_the_users_to_set(connect: Connect, server: FakeServer, way: str, header: str) -> None:
    """They would frame the request otherwise, send it elsewhere, or replace the key."""
    with pytest.raises(ConfigurationError, match=way):
        if way == "extra_headers":
            connect().complete("Say hi", extra_headers={header: "x"})
        else:
            connect(default_headers={header: "x"})

    assert 0 == server.hits


@pytest.mark.parametrize("value", ["a\r\nx-evil: 1", "a\nb", "a\x00b", "ä"])
def test_headers_that_would_break_out_of_their_line(connect: Connect, server: FakeServer, value: str) -> None:
    """The value is not quoted: it may be half a secret."""
    with pytest.raises(ConfigurationError, match="x-tag") as caught:
        connect().complete("Say hi", extra_headers={"x-tag": value})

    assert value not in str(caught.value)
    assert 0 == server.hits


PLACES = [
    ("google/{model}", "google", {}),
    ("vertex/{model}", "vertex", {}),
    ("azure/{model}", "azure", {}),
    ("bedrock/{model}", "bedrock", {"options": {"region": "us-east-1"}}),
    (
        "sagemaker/{model}",
        "sagemaker",
        {"api_key": None, "options": {"region": "us-east-1", "access_key_id": ACCESS_KEY_ID, "secret_access_key": SECRET_ACCESS_KEY}},
    ),
]


@pytest.mark.parametrize("model", ["../../admin", "x/../../y", "m?key=1", "m#f", "m%2e%2e%2fy", "m\\..\\y"])
@pytest.mark.parametrize(("name", "provider", "settings"), PLACES, ids=[place[1] for place in PLACES])
def test_a_models_name_is_one_part_of_a_path(
    connect: Connect, server: FakeServer, name: str, provider: str, settings: dict[str, Any], model: str
) -> None:
    """Whatever it is: it reaches no other operation, and adds no parameter."""
    plain = connect(name.format(model="m"), base_url=server.url(provider), retry=None, **settings)
    hostile = connect(name.format(model=model), base_url=server.url(provider), retry=None, **settings)

    for client in (plain, hostile):
        try:
            client.complete("Say hi")
        except LLMKitError:
            continue  # the server knows no such model, or it was refused here

    first, *others = server.requests
    for other in others:
        assert first.path.count("/") == other.path.count("/")
        assert first.query_string == other.query_string
        assert ".." not in other.path.split("/")


@pytest.mark.parametrize("part", [lambda url: Image(url=url), lambda url: Document(url=url, name="x.pdf")])
def test_an_address_in_a_message_is_not_fetched(connect: Connect, server: FakeServer, part: Callable[[str], Any]) -> None:
    """It is the provider's to fetch, or nobody's: a message may come from anybody."""
    with FakeServer() as elsewhere:
        for model in ("openai/gpt-4o", "anthropic/claude-sonnet-4-5", "google/gemini-2.5-flash"):
            client = connect(model, base_url=server.url(model.partition("/")[0]), retry=None)
            try:
                client.complete([user("What is it?", part(f"{elsewhere.origin}/cat.png"))])
            except LLMKitError:
                continue

        assert 0 == elsewhere.connections


# What an error may show.


@pytest.mark.parametrize("nasty", ["\x1b[2J\x1b]0;owned\x07", "\u202egpj.exe", "\u2066x\u2069", "a\x9bb", "a\rb", "\u2028x"])
def test_a_providers_text_drives_no_terminal(connect: Connect, server: FakeServer, nasty: str) -> None:
    """Controls, and the marks that turn the direction of writing, are shown as what they are."""
    server.always(Reply.error(400, message=f"Bad {nasty} thing", code=f"c{nasty}", headers={}))

    with pytest.raises(LLMKitError) as caught:
        connect().complete("Say hi")

    shown = str(caught.value) + repr(caught.value) + json.dumps(caught.value.to_dict(), ensure_ascii=False)
    assert [] == [character for character in shown if not character.isprintable() and character != "\n"]
    assert "thing" in shown


KEYED = [
    ("openai/gpt-4o-mini", "openai", {}),
    ("openai-responses/gpt-5", "openai-responses", {}),
    ("anthropic/claude-sonnet-4-5", "anthropic", {}),
    ("google/gemini-2.5-flash", "google", {}),
    ("azure/gpt-4o", "azure", {}),
    ("bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0", "bedrock", {"options": {"region": "us-east-1"}}),
    ("cohere/command-a-03-2025", "cohere", {}),
    ("ollama/qwen3", "ollama", {}),
]


@pytest.mark.parametrize(("model", "provider", "settings"), KEYED, ids=[each[1] for each in KEYED])
def test_hooks_caches_and_fallbacks_show_no_key(
    connect: Connect, server: FakeServer, tmp_path: Any, model: str, provider: str, settings: dict[str, Any]
) -> None:
    """Neither what hooks are told, nor what a cache keeps on its disk, nor the error of all endpoints together."""
    events: list[Event] = []
    path = tmp_path / "cache.db"
    with FakeServer() as second:
        client = connect(
            model,
            base_url=server.url(provider),
            api_key=CANARY,
            retry=None,
            cache=str(path),
            hooks=[events.append],
            fallbacks=[Target("openai/gpt-4o", base_url=second.url("openai"), api_key=f"{CANARY}-2")],
            **settings,
        )
        client.complete("Say hi")
        server.always(Reply.error(500, message=f"Key {CANARY} is unwell"))
        second.always(Reply.error(401, message=f"Key {CANARY}-2 is refused", headers={"x-request-id": f"{CANARY}-2"}))
        with pytest.raises(LLMKitError) as caught:
            client.complete("Say no")

    client.close()
    error = caught.value
    assert CANARY in str([request.headers for request in server.requests])
    shown = [repr(events), *(str(event.error) for event in events), str(error), repr(error), json.dumps(error.to_dict())]
    assert [] == [text for text in shown if CANARY in text]
    kept = [each.read_bytes() for each in tmp_path.iterdir()]
    assert kept
    assert [] == [data for data in kept if CANARY.encode() in data]

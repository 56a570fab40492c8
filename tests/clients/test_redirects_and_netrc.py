"""What HTTP libraries do by themselves, and a client of ours does not: each of these has carried a key away, or replaced it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llmkit import NetworkError, RetryConfig
from llmkit.testing import FakeServer, Reply

Connect = Callable[..., Any]

KEY = "sk-canary-0123456789"
QUICK = RetryConfig(max_retries=2, base_delay=0.001, max_delay=0.002)

OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "complete": lambda client: client.complete("Say hi"),
    "stream": lambda client: client.stream("Say hi").collect(),
    "models": lambda client: client.models(),
}


@pytest.fixture
def elsewhere() -> Iterator[FakeServer]:
    """Another host."""
    with FakeServer() as other:
        yield other


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(connect: Connect, server: FakeServer, elsewhere: FakeServer, operation: str, status: int) -> None:
    """Neither key nor prompt goes to the other host; the error says what happened."""
    server.always(Reply(status=status, headers={"location": f"{elsewhere.url('openai')}/chat/completions"}))

    with pytest.raises(NetworkError, match="base_url") as caught:
        OPERATIONS[operation](connect(api_key=KEY, retry=QUICK))

    assert "redirect" == caught.value.kind
    assert status == caught.value.status_code
    assert not caught.value.retryable
    assert 1 == server.hits
    assert 0 == elsewhere.connections


def test_a_redirect_within_the_host_is_not_followed_either(connect: Connect, server: FakeServer) -> None:
    """A request has one address."""
    server.enqueue(Reply(status=307, headers={"location": "/openai/v1/chat/completions"}))

    with pytest.raises(NetworkError):
        connect(api_key=KEY, retry=QUICK).complete("Say hi")

    assert 1 == server.hits


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("header", ["Authorization", "X-Api-Key"])
def test_a_netrc_does_not_replace_the_key(
    connect: Connect, server: FakeServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, operation: str, header: str
) -> None:
    """A line for the host in ``~/.netrc``, or in the file that NETRC names, is none of ours."""
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login intruder password canary\ndefault login intruder password canary\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))

    OPERATIONS[operation](connect(api_key=KEY, auth=header))

    headers = server.requests[0].headers
    assert KEY in headers[header.lower()]
    assert "Basic" not in str(dict(headers))


def test_without_a_key_there_is_no_credential(
    connect: Connect, server: FakeServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nor one from ``~/.netrc``."""
    (tmp_path / ".netrc").write_text("default login intruder password canary\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))

    connect(auth=False).complete("Say hi")

    assert "authorization" not in server.requests[0].headers


@pytest.mark.parametrize("operation", OPERATIONS)
def test_cookies_are_not_kept(connect: Connect, server: FakeServer, operation: str) -> None:
    """They would tie one call to another."""
    server.enqueue(Reply(headers={"set-cookie": "session=canary; Path=/"}), Reply.error(503, headers={"set-cookie": "b=canary; Path=/"}))
    client = connect(retry=QUICK)

    OPERATIONS[operation](client)
    OPERATIONS[operation](client)

    assert 3 == server.hits
    assert not [request for request in server.requests if "cookie" in request.headers]


def test_the_key_travels_in_its_header_only(connect: Connect, server: FakeServer) -> None:
    """Never in the address, which gets logged by everybody."""
    connect(api_key=KEY).complete("Say hi")

    (request,) = server.requests
    assert KEY not in request.path + request.query_string
    assert KEY.encode() not in request.body
    assert [f"Bearer {KEY}"] == [value for value in request.headers.values() if KEY in value]


def test_a_user_name_in_a_redirect_is_not_shown(connect: Connect, server: FakeServer) -> None:
    """What the address says stays out of the error."""
    server.enqueue(Reply(status=307, headers={"location": f"http://user:{KEY}@127.0.0.1:1/"}))

    with pytest.raises(NetworkError) as caught:
        connect(api_key=KEY, retry=QUICK).complete("Say hi")

    assert KEY not in str(caught.value) + repr(caught.value.to_dict())

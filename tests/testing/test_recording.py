"""Exchanges recorded from a network, and played back without one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmkit import Client, ConfigurationError, InternalError, StreamInterruptedError
from llmkit.testing import FakeServer, Reply, record, replay
from llmkit_async import AsyncClient

CANARY = "sk-canary-0123456789abcdef"


class Sync:
    """Makes calls as a program would."""

    def complete(self, text: str, **arguments: Any) -> Any:
        with Client(**arguments) as client:
            return client.complete(text)

    def stream(self, text: str, **arguments: Any) -> list[str]:
        with Client(**arguments) as client:
            return [chunk.text for chunk in client.stream(text)]


class Twin:
    """The same, on a loop."""

    def complete(self, text: str, **arguments: Any) -> Any:
        async def ask() -> Any:
            async with AsyncClient(**arguments) as client:
                return await client.complete(text)

        return asyncio.run(ask())

    def stream(self, text: str, **arguments: Any) -> list[str]:
        async def ask() -> list[str]:
            async with AsyncClient(**arguments) as client:
                return [chunk.text async for chunk in client.stream(text)]

        return asyncio.run(ask())


@pytest.fixture(params=[Sync, Twin], ids=["sync", "async"])
def face(request: pytest.FixtureRequest) -> Any:
    return request.param()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cassette.json"


@pytest.fixture
def where(server: FakeServer) -> dict[str, Any]:
    """What a client of the fake server is made of."""
    return {"model": "openai/gpt-4o-mini", "base_url": server.url("openai"), "retry": None}


def test_what_was_recorded_is_replayed_without_a_network_or_a_key(face: Any, path: Path, where: dict[str, Any], server: FakeServer) -> None:
    """Given to the client as its transport."""
    server.enqueue(Reply("first"), Reply("second"))
    recording = record(path)
    said = [face.complete(text, api_key=CANARY, transport=recording, **where).text for text in ("one", "two")]
    server.close()

    source = replay(path)
    again = [face.complete(text, transport=source, **where) for text in ("two", "one")]

    assert ["first", "second"] == said
    assert ["second", "first"] == [reply.text for reply in again]
    assert again[0].usage.reported
    assert 0 == source.unused


def test_a_block_holds_for_the_clients_made_inside(face: Any, path: Path, where: dict[str, Any], server: FakeServer) -> None:
    """Programs under test make their clients themselves."""
    with record(path):
        face.complete("Hi", api_key=CANARY, **where)
    server.close()

    with replay(path) as source:
        reply = face.complete("Hi", **where)

    assert "You said: Hi" == reply.text
    assert 0 == source.unused
    with pytest.raises(ConfigurationError, match="no key"):
        face.complete("Hi", **where)


def test_a_stream_is_kept_in_its_pieces(face: Any, path: Path, where: dict[str, Any], server: FakeServer) -> None:
    """Chunk by chunk, also where a character was cut in two."""
    server.enqueue(Reply("Zwölf Boxkämpfer jagen Viktor", between=0.001))
    with record(path):
        live = face.stream("Hi", api_key=CANARY, **where)
    server.close()

    with replay(path):
        played = face.stream("Hi", **where)

    (row,) = json.loads(path.read_text())["exchanges"]
    assert live == played
    assert len(row["response"]["pieces"]) > 1


def test_a_stream_that_broke_off_breaks_off_again(face: Any, path: Path, where: dict[str, Any], server: FakeServer) -> None:
    """The error behind the last piece is recorded as well."""
    server.enqueue(Reply("some words that will be cut", cut=500))
    with record(path), pytest.raises(StreamInterruptedError) as live:
        face.stream("Hi", api_key=CANARY, **where)
    server.close()

    with replay(path), pytest.raises(StreamInterruptedError) as played:
        face.stream("Hi", **where)

    assert live.value.partial.text == played.value.partial.text


def test_a_refusal_is_replayed_as_one(face: Any, path: Path, where: dict[str, Any], server: FakeServer) -> None:
    """Status, headers and body."""
    server.enqueue(Reply.error(500, message="broken", retry_after=3))
    with record(path), pytest.raises(InternalError):
        face.complete("Hi", api_key=CANARY, **where)

    with replay(path), pytest.raises(InternalError, match="broken") as caught:
        face.complete("Hi", **where)

    assert 3 == caught.value.retry_after


def test_a_failed_connection_is_replayed_as_one(face: Any, path: Path, where: dict[str, Any], server: FakeServer) -> None:
    """No answer is an outcome too."""
    server.close()
    with record(path), pytest.raises(ConnectionError):
        face.complete("Hi", api_key=CANARY, **where)

    with replay(path), pytest.raises(ConnectionError) as caught:
        face.complete("Hi", **where)

    assert "connect" == caught.value.kind  # type: ignore[attr-defined]


@pytest.mark.parametrize("model", ["openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5", "google/gemini-2.5-flash"])
def test_no_key_is_on_the_cassette(face: Any, path: Path, server: FakeServer, model: str) -> None:
    """Not in a header, an address or a body; not where the provider quotes it, whole or streamed."""
    provider = model.partition("/")[0]
    where: dict[str, Any] = {"model": model, "base_url": server.url(provider), "retry": None, "api_key": CANARY}
    quoting = f"Your key is {CANARY}, is it not?"
    server.enqueue(Reply.error(401, message=quoting), Reply(quoting), Reply(chunks=["Your ", CANARY, "!"]))
    headers = {"X-Session": CANARY[::-1]}

    with record(path, secrets=["hunter2-canary"]), pytest.raises(Exception, match="refused"):
        face.complete("Hi", default_headers=headers, **where)
    with record(path, secrets=["hunter2-canary"]):
        face.complete(f"My key is {CANARY}, and hunter2-canary", default_headers=headers, **where)
        face.stream("Hi", default_headers=headers, **where)

    text = path.read_text()
    assert "***" in text
    for secret in (CANARY, CANARY[::-1], "hunter2-canary", "Bearer", CANARY[9:]):
        assert secret not in text


def test_a_request_that_is_not_there_is_told_from_the_nearest(face: Any, path: Path, where: dict[str, Any]) -> None:
    """The error names what differs, and is not retried."""
    with record(path):
        face.complete("Hello", api_key=CANARY, temperature=0.5, **where)

    with replay(path), pytest.raises(ConfigurationError) as caught:
        face.complete("Goodbye", top_p=0.25, **where)

    text = str(caught.value)
    assert '$.messages[0].content is "Hello", not "Goodbye"' in text
    assert "$.temperature is 0.5, and now missing" in text
    assert "$.top_p is missing, and now 0.25" in text


def test_equal_requests_are_answered_in_turn_and_each_once(path: Path, where: dict[str, Any], server: FakeServer) -> None:
    """A cassette that began again would hide a call too many."""
    server.enqueue(Reply("first"), Reply("second"))
    with record(path), Client(api_key=CANARY, **where) as client:
        client.complete("Hi")
        client.complete("Hi")

    with replay(path), Client(**where) as client:
        texts = [client.complete("Hi").text for _ in range(2)]
        with pytest.raises(ConfigurationError, match="2 times, and it was asked for once more"):
            client.complete("Hi")

    assert ["first", "second"] == texts


def test_a_stream_that_was_left_cannot_be_read_further(path: Path, where: dict[str, Any], server: FakeServer) -> None:
    """Nobody knows how it went on."""
    server.enqueue(Reply("one two three four five", between=0.005))
    with record(path), Client(api_key=CANARY, **where) as client, client.stream("Hi") as stream:
        next(stream)

    with replay(path), Client(**where) as client, pytest.raises(ConfigurationError, match="left it"):
        client.stream("Hi").collect()


@pytest.mark.parametrize(
    ("text", "word"),
    [(None, "cannot be read"), ("{", "no cassette"), ("[]", "no cassette"), ('{"format": "x", "version": 1, "exchanges": []}', "'x'")],
)
def test_a_file_that_is_no_cassette_is_refused_by_name(path: Path, text: str | None, word: str) -> None:
    """Before anything is asked."""
    if text is not None:
        path.write_text(text)

    with pytest.raises(ConfigurationError, match=word) as caught:
        replay(path)

    assert "cassette.json" in str(caught.value)


def test_the_folder_of_a_cassette_is_made(tmp_path: Path) -> None:
    """Before the first answer, which would be paid for and lost."""
    record(tmp_path / "cassettes" / "mine" / "talk.json")

    assert (tmp_path / "cassettes" / "mine").is_dir()


def test_a_folder_that_cannot_be_made_is_told_at_once(tmp_path: Path) -> None:
    """A file stands in its place."""
    (tmp_path / "cassettes").write_text("")

    with pytest.raises(ConfigurationError, match=r"cassette .*talk\.json' cannot be written"):
        record(tmp_path / "cassettes" / "talk.json")


def test_a_block_is_entered_once(path: Path) -> None:
    """A second time would hide who stands in for whom."""
    recording = record(path)

    with recording, pytest.raises(ConfigurationError, match="already"):
        recording.__enter__()


def test_a_client_that_was_given_a_transport_keeps_it(path: Path, where: dict[str, Any], server: FakeServer) -> None:
    """What is said counts before what surrounds it."""
    with record(path):
        Client(api_key=CANARY, **where).complete("Hi")

    with replay(path) as source:
        inner: Callable[..., Any] = record(path.with_name("other.json")).make
        client = Client(api_key=CANARY, transport=Forward(inner), **where)
        client.complete("Something else")

    assert 1 == source.unused
    assert path.with_name("other.json").exists()


class Forward:
    """A transport of the user's own."""

    def __init__(self, make: Callable[..., Any]) -> None:
        from llmkit.transport.requests import RequestsTransport
        from llmkit.transport.settings import TransportSettings

        self.inner = make(lambda: RequestsTransport(TransportSettings()))

    def send(self, *args: Any, **kwargs: Any) -> Any:
        return self.inner.send(*args, **kwargs)

    def close(self) -> None:
        self.inner.close()

"""Asking a local server for its models, within a bounded time."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from llmkit import probe
from llmkit.probe import chat_model_at

LONG = 20.0  # seconds that no test takes, unless the answer is not waited for at all
SHORT = 0.05  # seconds


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Return a starter of servers whose bytes are the test's; each is told when the test is over."""
    over = threading.Event()
    listeners: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def start(talk: Callable[[socket.socket, threading.Event], None]) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def answer() -> None:
            try:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    talk(connection, over)
            except OSError:
                return

        threads.append(threading.Thread(target=answer, daemon=True))
        threads[-1].start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    over.set()
    for listener in listeners:
        listener.close()
    for thread in threads:
        thread.join(2)


def listing(*models: Any) -> Callable[[socket.socket, threading.Event], None]:
    return saying(json.dumps({"models": models}).encode())


def saying(body: bytes, status: str = "200 OK") -> Callable[[socket.socket, threading.Event], None]:
    def talk(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    return talk


@pytest.mark.parametrize(
    ("models", "first"),
    [
        ([{"name": "llama3.2:1b"}, {"name": "qwen3:8b"}], "llama3.2:1b"),
        ([{"name": "nomic-embed-text"}, {"name": "qwen3:8b"}], "qwen3:8b"),
        ([{"name": "all-minilm", "details": {"family": "bert"}}, {"name": "qwen3:8b", "details": {"family": "qwen3"}}], "qwen3:8b"),
        ([{"name": "e", "capabilities": ["embedding"]}, {"name": "c", "capabilities": ["completion", "tools"]}], "c"),
        ([{"name": "embedder", "capabilities": ["completion"]}], "embedder"),
        ([{"name": "big", "remote_host": "https://ollama.com"}, {"name": "small"}], "small"),
        ([{"name": "big", "remote_host": "https://ollama.com"}], "big"),
        ([{"name": "nomic-embed-text"}], None),
        ([{"model": "x"}, 3, {"name": 4}, {"name": "c", "details": 3, "capabilities": None}], "c"),
        ([], None),
    ],
)
def test_the_first_model_that_chats_is_chosen(serve: Callable[..., str], models: list[Any], first: str | None) -> None:
    """By what the server says that it can do, else by its family and name; what runs there comes first."""
    assert first == chat_model_at(serve(listing(*models)), seconds=LONG)


@pytest.mark.parametrize(
    "talk",
    [
        saying(b"[]"),
        saying(b'{"models": 3}'),
        saying(b"no JSON"),
        saying(b"{}", "404 Not Found"),
        saying(b'{"models": [{"name": "m"}]}', "500 Oops"),
        lambda connection, over: connection.sendall(b"SSH-2.0-OpenSSH\r\n"),
        lambda connection, over: None,
    ],
)
def test_what_is_no_ollama_is_nothing(serve: Callable[..., str], talk: Any) -> None:
    """Somebody else may listen there."""
    assert chat_model_at(serve(talk), seconds=LONG) is None


def test_nobody_there_is_nothing() -> None:
    """At once."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    assert chat_model_at(f"http://127.0.0.1:{port}", seconds=LONG) is None


def drips_headers(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while not over.wait(SHORT / 10):
        connection.sendall(b"X: y\r\n")


def drips_a_body(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while not over.wait(SHORT / 10):
        connection.sendall(b" ")


def says_nothing(connection: socket.socket, over: threading.Event) -> None:
    over.wait()


@pytest.mark.parametrize("talk", [drips_headers, drips_a_body, says_nothing])
def test_a_server_that_never_ends_is_left(serve: Callable[..., str], talk: Any) -> None:
    """Each of its bytes comes in time; it would hold the probe until the test is over. The thread that asked ends too."""
    assert chat_model_at(serve(talk), seconds=SHORT) is None
    for thread in threading.enumerate():
        if thread.name == "llmkit-probe":
            thread.join(2)
    assert "llmkit-probe" not in [thread.name for thread in threading.enumerate()]


def test_a_name_that_is_looked_up_for_ever_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time-out of a socket covers that."""
    over = threading.Event()

    def look_up(*args: Any, **kwargs: Any) -> Any:
        over.wait()
        raise OSError

    monkeypatch.setattr(socket, "getaddrinfo", look_up)

    assert chat_model_at("http://gpu.example:11434", seconds=SHORT) is None
    over.set()


def test_the_bound_is_the_one_that_is_documented() -> None:
    """300 ms."""
    assert 0.3 == probe.PROBE_TIME

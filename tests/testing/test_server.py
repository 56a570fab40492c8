"""The life, the script and the record of a fake server."""

from __future__ import annotations

import gc
import os
import socket
import ssl
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
import trustme

from llmkit import ConfigurationError
from llmkit.testing import FakeServer, Reply


def ask(server: FakeServer, text: str = "Say hi", *, key: str | None = None, session: Any = requests) -> Any:
    """Send one chat request, and return the decoded answer."""
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}]}
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return session.post(f"{server.url('openai')}/chat/completions", json=body, headers=headers, timeout=5).json()


def said(answer: Any) -> str:
    return str(answer["choices"][0]["message"]["content"])


# Life.


def test_importing_the_package_loads_no_asyncio() -> None:
    """Users who only import it pay for nothing else."""
    code = "import sys, llmkit.testing; print([name for name in ('asyncio', 'ssl', 'requests') if name in sys.modules])"

    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert "[]\n" == output


def test_a_closed_server_refuses_connections_at_its_old_address() -> None:
    """The address outlives the server, so that a dead provider can be called."""
    with FakeServer() as server:
        pass

    with pytest.raises(requests.ConnectionError):
        ask(server)


def test_closing_again_does_nothing() -> None:
    """Also before the first start."""
    server = FakeServer()

    server.close()
    server.start().close()
    server.close()

    assert "0 of 0 connections open" in repr(server)


def test_a_server_comes_back_at_the_same_address() -> None:
    """As a provider does after an outage."""
    server = FakeServer()
    with server:
        before = server.origin

    with server:
        answer = ask(server)

    assert before == server.origin
    assert "You said: Say hi" == said(answer)


def test_a_server_starts_once(server: FakeServer) -> None:
    """A second start would leak the first."""
    with pytest.raises(RuntimeError, match="runs already"):
        server.start()


def test_a_port_that_is_taken_is_an_error(server: FakeServer) -> None:
    """The error reaches the thread that starts, which can then try another."""
    second = FakeServer(port=int(server.origin.rpartition(":")[2]))

    with pytest.raises(OSError, match="in use"):
        second.start()


def test_closing_ends_open_connections(connect: Any) -> None:
    """Even those that hang."""
    server = FakeServer().start()
    client = connect(server)
    server.enqueue(Reply(hang=True))
    client.ask()
    server.wait_for(lambda s: s.hits)

    server.close()

    assert b"" == client.rest()
    assert 0 == server.open_connections


def test_https_is_served_with_the_given_certificate(tmp_path: Any) -> None:
    """A cut arrives over TLS too."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    session = requests.Session()
    # Otherwise a CA bundle named by the environment would come first.
    session.trust_env = False
    session.verify = str(tmp_path / "ca.pem")

    with FakeServer(tls=context) as server:
        server.enqueue(Reply("secret"), Reply("x", cut=5), Reply("x", reset=True))
        answer = ask(server, session=session)
        with pytest.raises(requests.RequestException):
            ask(server, session=session)
        with pytest.raises(requests.ConnectionError):
            ask(server, session=session)

    assert server.origin.startswith("https://127.0.0.1:")
    assert "secret" == said(answer)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_holds_nothing_open(server: FakeServer, client: Any) -> None:
    """The parent's FIN reaches the client while the child lives, and the child's close() ends nothing."""
    client.ask()
    client.response()
    server.enqueue(Reply("last", close=True))
    told, tell = os.pipe()

    child = os.fork()
    if child == 0:
        server.close()
        os.read(told, 1)
        os._exit(0 if 1 == server.hits else 1)
    client.ask()
    _, headers = client.head()
    client.body(headers)
    end = client.rest()
    os.write(tell, b"x")
    _, status = os.waitpid(child, 0)
    os.close(told)
    os.close(tell)

    assert b"" == end
    assert 0 == os.waitstatus_to_exitcode(status)


# Where it is.


@pytest.mark.parametrize(("provider", "path"), [("openai", "/openai/v1"), ("azure", "/azure"), ("acme-2", "/acme-2/v1")])
def test_each_provider_has_a_base_url(server: FakeServer, provider: str, path: str) -> None:
    """The first segment names the provider, whoever that is."""
    assert server.origin + path == server.url(provider)


def test_a_server_has_no_address_before_it_runs() -> None:
    """Unless it was given one."""
    with pytest.raises(RuntimeError, match=r"use it in a with statement, or call start\(\)"):
        FakeServer().url("openai")
    assert "http://127.0.0.1:8080/openai/v1" == FakeServer(port=8080).url("openai")


def test_a_name_that_is_no_segment_is_refused(server: FakeServer) -> None:
    """Rather than leading elsewhere."""
    with pytest.raises(ValueError, match="provider's name"):
        server.url("a/b")


# Script.


def test_replies_are_used_once_and_in_order(server: FakeServer) -> None:
    """And then good answers are given again."""
    server.enqueue(Reply("one"), lambda request: Reply(f"two for {request.provider}"))

    answers = [said(ask(server)) for _ in range(3)]

    assert ["one", "two for openai", "You said: Say hi"] == answers


def test_text_is_a_reply(server: FakeServer) -> None:
    """By itself, from a function, and for ever."""
    server.enqueue("one", lambda request: f"two for {request.provider}")
    server.always("three")

    answers = [said(ask(server)) for _ in range(3)]

    assert ["one", "two for openai", "three"] == answers


@pytest.mark.parametrize("wrong", [None, 5, {"text": "Hi"}, [Reply("Hi")], TimeoutError])
def test_what_is_no_reply_is_refused_before_it_is_asked_for(server: FakeServer, wrong: Any) -> None:
    """And nothing of the same script is kept."""
    with pytest.raises(ConfigurationError, match="A reply is a Reply, text, or a function"):
        server.enqueue("Hi", wrong)

    assert 0 == server.unused


def test_a_reply_can_wait_for_a_key(server: FakeServer) -> None:
    """Others pass it by."""
    server.enqueue(Reply("for a"), key="sk-a")
    server.enqueue(Reply("for all"))

    answers = [said(ask(server, key=key)) for key in ("sk-b", "sk-a", "sk-a")]

    assert ["for all", "for a", "You said: Say hi"] == answers


def test_a_standing_reply_answers_what_the_queue_does_not(server: FakeServer) -> None:
    """Until it is taken back."""
    server.always(Reply("always"))
    server.enqueue(Reply("once"))

    answers = [said(ask(server)) for _ in range(3)]
    server.always(None)

    assert ["once", "always", "always"] == answers
    assert "You said: Say hi" == said(ask(server))


def test_a_refused_request_uses_up_no_reply(server: FakeServer) -> None:
    """A script cannot make a provider accept what it would refuse."""
    server.enqueue(Reply("good"))

    refused = requests.post(f"{server.url('openai')}/chat/completions", json={"model": "m"}, timeout=5)

    assert 400 == refused.status_code
    assert 1 == server.unused
    assert "good" == said(ask(server))


def test_a_lenient_server_answers_what_is_scripted() -> None:
    """Unscripted requests are judged all the same."""
    with FakeServer(strict=False) as server:
        server.enqueue(Reply("fine"))

        scripted = requests.post(f"{server.url('openai')}/chat/completions", data=b"?", timeout=5)
        plain = requests.post(f"{server.url('openai')}/chat/completions", data=b"?", timeout=5)

    assert "fine" == said(scripted.json())
    assert 400 == plain.status_code


def test_a_script_answers_on_unknown_paths(server: FakeServer) -> None:
    """So that a wire of one's own can be played."""
    server.enqueue(Reply(raw={"mine": 1}))

    scripted = requests.get(f"{server.url('acme')}/mine", timeout=5)
    plain = requests.get(f"{server.url('acme')}/mine", timeout=5)

    assert (200, {"mine": 1}) == (scripted.status_code, scripted.json())
    assert 404 == plain.status_code


def test_a_failing_script_is_an_answer_that_says_so(server: FakeServer, caplog: Any) -> None:
    """The mistake reaches the test, and the server lives on."""
    server.enqueue(lambda request: Reply(str(request.json["nothing"])))

    answer = ask(server)

    assert "KeyError: 'nothing'" == answer["error"]["message"]
    assert "No answer could be made" in caplog.text
    assert "You said: Say hi" == said(ask(server))


def test_keys_are_checked_before_the_script() -> None:
    """A missing key, an unknown key and a good one; the refusal shows only the ends of a key."""
    with FakeServer(keys=["sk-good"]) as server:
        server.always(Reply("in"))

        missing, unknown, good = ask(server), ask(server, key="sk-0123456789abcd"), ask(server, key="sk-good")

    assert "You didn't provide an API key." in missing["error"]["message"]
    assert "invalid_api_key" == unknown["error"]["code"]
    assert "sk-0****abcd" in unknown["error"]["message"]
    assert "in" == said(good)


# Record.


def test_a_request_is_recorded_as_it_came(server: FakeServer) -> None:
    """With its key, wherever the provider wants it."""
    requests.post(f"{server.origin}/acme/v9/chat?a=1&b=", json={"x": 1}, headers={"X-Api-Key": "k-1"}, timeout=5)

    (recorded,) = server.requests

    assert ("POST", "/acme/v9/chat", "acme", "/v9/chat") == (
        recorded.method,
        recorded.path,
        recorded.provider,
        recorded.endpoint,
    )
    assert {"a": "1", "b": ""} == recorded.query
    assert {"x": 1} == recorded.json
    assert b'{"x": 1}' == recorded.body
    assert "application/json" == recorded.headers["content-type"]
    assert "k-1" == recorded.key
    assert 1 == recorded.connection
    assert "k-1" not in repr(recorded)


@pytest.mark.parametrize(
    ("header", "value"),
    [("authorization", "Bearer k"), ("x-api-key", "k"), ("api-key", "k"), ("x-goog-api-key", "k")],
)
def test_a_key_is_found_in_each_place(server: FakeServer, header: str, value: str) -> None:
    """Every provider's own header."""
    requests.get(f"{server.url('openai')}/models", headers={header: value}, timeout=5)

    assert "k" == server.requests[0].key


def test_connections_are_told_apart(server: FakeServer) -> None:
    """A reused connection keeps its number."""
    with requests.Session() as session:
        ask(server, session=session)
        ask(server, session=session)
    ask(server)
    server.wait_closed()

    assert [1, 1, 2] == [request.connection for request in server.requests]
    assert (3, 2, 0) == (server.hits, server.connections, server.open_connections)


def test_waiting_in_vain_is_an_error(server: FakeServer) -> None:
    """It tells what the server has seen."""
    with pytest.raises(TimeoutError, match="0 requests"):
        server.wait_for(lambda s: s.hits == 1, timeout=0.01)


def test_reset_forgets_script_and_record(server: FakeServer) -> None:
    """The server is as good as new."""
    server.always(Reply("always"))
    server.enqueue(Reply("one"), Reply("two"))
    server.enqueue(Reply("three"), key="k")
    ask(server)

    server.reset()

    assert ([], 0, 0, 0) == (server.requests, server.hits, server.connections, server.unused)
    assert "You said: Say hi" == said(ask(server, key="k"))


def test_recording_can_be_off() -> None:
    """Requests are counted, and not kept."""
    with FakeServer(record=False) as server:
        ask(server)

    assert (1, []) == (server.hits, server.requests)


# HTTP.


def test_pipelined_requests_are_answered_in_order(server: FakeServer, client: Any) -> None:
    """Also when the first takes its time and all arrive at once."""
    server.enqueue(Reply("one", delay=0.01), Reply("two", drip=0.00001), Reply("three"))

    for _ in range(3):
        client.ask()

    assert ["one", "two", "three"] == [client.text() for _ in range(3)]
    assert 1 == server.connections


def test_a_deep_pipeline_is_answered(server: FakeServer, client: Any) -> None:
    """The depth of the row is not the depth of the stack."""
    body = b"POST /a/v1/chat/completions HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}"

    client.send(body * 2000)

    assert [400] * 2000 == [client.response()[0] for _ in range(2000)]


def test_a_chunked_request_is_read(server: FakeServer) -> None:
    """As clients send a body whose length they do not know."""
    parts = [b'{"model":"m","messages":[{"role":"us', b'er","content":"in parts"}]}']

    answer = requests.post(f"{server.url('openai')}/chat/completions", data=iter(parts), timeout=5).json()

    assert "You said: in parts" == said(answer)


def test_a_client_that_expects_it_is_told_to_continue(server: FakeServer, client: Any) -> None:
    """The body follows the interim response."""
    client.send(b"POST /a/v1/embeddings HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")

    assert (100, {}) == client.head()
    client.send(b"{}")
    assert 400 == client.response()[0]


def test_an_old_client_gets_a_stream_without_chunks(server: FakeServer, client: Any) -> None:
    """HTTP/1.0 knows none, so the end of the connection is the end of the body."""
    server.enqueue(Reply(events=["1"]))
    body = b'{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}]}'

    client.send(b"POST /a/v1/chat/completions HTTP/1.0\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
    _, headers = client.head()

    assert "transfer-encoding" not in headers
    assert b"data: 1\n\n" == client.rest()


def test_what_is_no_http_is_refused(server: FakeServer, client: Any) -> None:
    """The connection cannot be used any further."""
    client.send(b"\x16\x03\x01 hello\r\n\r\n")

    assert client.rest().startswith(b"HTTP/1.1 400 ")
    assert 0 == server.hits


def test_many_threads_get_their_own_answers(server: FakeServer) -> None:
    """No answer is crossed, and every request and every scripted reply counts once."""
    start = threading.Barrier(16)
    scripted = {f"scripted {number}" for number in range(40)}
    session = requests.Session()
    session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=16))

    def work(worker: int) -> list[tuple[str, str]]:
        start.wait(5)
        texts = [f"{worker}-{number}" for number in range(10)]
        for number in range(worker * 5, worker * 5 + 5) if worker < 8 else ():
            server.enqueue(Reply(f"scripted {number}"))
        return [(text, said(ask(server, text, session=session))) for text in texts]

    with ThreadPoolExecutor(16) as pool:
        answers = [pair for pairs in pool.map(work, range(16)) for pair in pairs]

    echoes = [(text, answer) for text, answer in answers if answer not in scripted]
    assert scripted == {answer for _, answer in answers} & scripted
    assert 160 - 40 == len(echoes)
    assert all(f"You said: {text}" == answer for text, answer in echoes)
    assert 160 == server.hits == len(server.requests)


def test_a_server_that_closes_while_somebody_connects_leaves_no_socket_open() -> None:
    """What was accepted in its last moment is closed with the rest; a socket left over would be a warning, and so an error here."""
    for _ in range(40):
        server = FakeServer().start()
        callers = [socket.create_connection(("127.0.0.1", int(server.origin.rpartition(":")[2]))) for _ in range(3)]
        server.close()
        for caller in callers:
            caller.close()

    gc.collect()
    assert 0 == server.open_connections

"""A key is sent to its provider and shown nowhere else."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import pickle
import signal
import ssl
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
import trustme

from llmkit import (
    APIKeyPool,
    CircuitBreakerConfig,
    ConfigurationError,
    LLMKitError,
    RetryConfig,
    StructuredOutputError,
    TransportError,
)
from llmkit.testing import FakeServer, Reply

Connect = Callable[..., Any]

KEY = "sk-canary/Q7w8+E9r0=T1y2"
FORMS = (KEY, quote(KEY, safe=""), base64.b64encode(KEY.encode()).decode().rstrip("="), base64.b64encode(b"user:" + KEY.encode()).decode())
QUICK = RetryConfig(max_retries=1, base_delay=0.001, max_delay=0.002)

ECHO = " and ".join(FORMS)
ECHOING = {"x-request-id": KEY, "x-echo": KEY}


def chained(error: BaseException | None) -> Iterator[BaseException]:
    """Yield *error* and everything that hangs on it, shown or not."""
    pending, seen = [error], set()
    while pending:
        one = pending.pop()
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        pending += [one.__cause__, one.__context__, getattr(one, "original_error", None)]


def told(error: BaseException) -> str:
    """Return all that can be got out of *error*: texts, facts, and the frames with their locals, as crash reporters send them."""
    texts: list[str] = []
    for one in chained(error):
        frames = traceback.TracebackException.from_exception(one, capture_locals=True)
        texts += [str(one), repr(one), repr(one.args), repr(vars(one)), *frames.format()]
        if isinstance(one, LLMKitError):
            texts += [json.dumps(one.to_dict(), default=str), repr(one.attempts), one.advice]
        texts.append(repr(pickle.dumps(one)))
    return "\n".join(texts)


def provoke(work: Callable[[Any], Any], client: Any) -> BaseException:
    """Return what *work* raises. (A frame of its own: that of the test holds the key by right.)"""
    try:
        work(client)
    except BaseException as error:
        return error
    pytest.fail("nothing was raised")


def shows(text: str) -> list[str]:
    """Return the forms of the key that are in *text*."""
    return [form for form in (*FORMS, "canary") if form in text]


def complete(client: Any) -> Any:
    return client.complete("Say hi")


def stream(client: Any) -> Any:
    return client.stream("Say hi").collect()


def models(client: Any) -> Any:
    return client.models()


def piece(text: str) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}}]}


FAULTS = [
    pytest.param(Reply.error(status, message=f"Bad key {ECHO}", code=f"code-{KEY}", type=KEY, param=KEY, headers=ECHOING), id=f"{status}")
    for status in (400, 401, 403, 404, 409, 429, 500, 503)
] + [
    pytest.param(Reply.error(500, body=f"<html>{ECHO}</html>".encode()), id="html-refusal"),
    pytest.param(Reply.error(500, body={"error": ECHO, KEY: [KEY]}), id="odd-refusal"),
    pytest.param(Reply(raw=f"<html>{ECHO}</html>".encode(), headers=ECHOING), id="html"),
    pytest.param(Reply(raw={"error": {"message": ECHO, "code": KEY}}, headers=ECHOING), id="error-in-200"),
    pytest.param(Reply(raw=b""), id="empty"),
    pytest.param(Reply(reset=True), id="reset"),
    pytest.param(Reply("Hi", cut=12), id="cut"),
    pytest.param(Reply("Hi", cut_head=30), id="cut-head"),
    pytest.param(Reply(hang=True), id="silence"),
    pytest.param(Reply(garbage=f"HTTP/9.9 {KEY}\r\n{KEY}\r\n\r\n".encode()), id="not-http"),
    pytest.param(Reply(headers={"transfer-encoding": KEY}), id="bad-framing"),
    pytest.param(Reply(status=307, headers={"location": f"http://user:{KEY}@127.0.0.1:1/{KEY}"}), id="redirect"),
    pytest.param(Reply(events=[piece("Hi"), {"error": {"message": ECHO, "code": KEY}}]), id="error-in-stream"),
    pytest.param(Reply(events=[piece("Hi"), f'{{"{KEY}": '], between=0.01), id="unreadable-event"),
    pytest.param(Reply(events=[piece("Hi")]), id="cut-stream"),
]  # fmt: skip


@pytest.mark.parametrize("work", [complete, stream, models])
@pytest.mark.parametrize("reply", FAULTS)
def test_no_failure_shows_the_key(
    face: Any, connect: Connect, server: FakeServer, caplog: pytest.LogCaptureFixture, reply: Reply, work: Callable[[Any], Any]
) -> None:
    """Not in its text, its facts, its ledger, its frames, its pickle, in anything chained to it, or in any library's log."""
    caplog.set_level(logging.DEBUG)
    if face.name == "async":
        face.loop.set_debug(True)
    server.always(reply)
    client = connect(api_key=KEY, retry=QUICK, timeout=0.05 if reply.hang else 5)

    error = provoke(work, client)

    assert isinstance(error, LLMKitError)
    assert [] == shows(told(error))
    assert [] == shows(caplog.text)
    assert KEY in str(server.requests[0].headers)
    again = pickle.loads(pickle.dumps(error))
    assert (type(error), str(error), error.to_dict()) == (type(again), str(again), again.to_dict())


def closed(client: Any) -> Any:
    client.close()
    return client.complete("Say hi")


def refused_parameter(client: Any) -> Any:
    return client.complete("Say hi", top_k=3)


def bad_parameter(client: Any) -> Any:
    return client.complete("Say hi", temperature="hot")


def too_late(client: Any) -> Any:
    return client.complete("Say hi", deadline=0.05)


def interrupted(client: Any) -> Any:
    for _ in client.stream("Say hi"):
        raise KeyboardInterrupt
    return None


@pytest.mark.parametrize("work", [closed, refused_parameter, bad_parameter, too_late, interrupted])
def test_no_refusal_of_ours_shows_the_key(
    connect: Connect, server: FakeServer, caplog: pytest.LogCaptureFixture, work: Callable[[Any], Any]
) -> None:
    """Whoever is to blame."""
    caplog.set_level(logging.DEBUG)
    if work is too_late:
        server.always(Reply(hang=True))

    error = provoke(work, connect(api_key=KEY, retry=QUICK))

    assert [] == shows(told(error))
    assert [] == shows(caplog.text)


def given_up(client: Any, server: FakeServer) -> BaseException:
    """Return what comes through when a call is given up while it waits for its answer."""
    if hasattr(client, "twin"):

        async def cancelled() -> None:
            task = asyncio.ensure_future(client.twin.complete("Say hi"))
            await asyncio.to_thread(server.wait_for, lambda server: server.hits == 1)
            task.cancel()
            await task

        return provoke(lambda client: client.face.run(cancelled()), client)

    def interrupt() -> None:
        server.wait_for(lambda server: server.hits == 1)
        time.sleep(0.02)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    error = provoke(complete, client)
    thread.join()
    return error


def test_a_call_that_is_given_up_shows_no_key(connect: Connect, server: FakeServer) -> None:
    """What comes through is not ours, but the frames are."""
    server.always(Reply(hang=True))

    error = given_up(connect(api_key=KEY, retry=QUICK), server)

    assert isinstance(error, (KeyboardInterrupt, asyncio.CancelledError))
    assert [] == shows(told(error))


def test_nobody_to_talk_to_shows_no_key(connect: Connect, server: FakeServer, caplog: pytest.LogCaptureFixture) -> None:
    """A certificate is not trusted, a proxy with a password is not there, the connection is refused."""
    caplog.set_level(logging.DEBUG)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    proxy = f"http://user:{quote(KEY, safe='')}@127.0.0.1:1"
    with FakeServer(tls=context) as untrusted:
        errors = [provoke(complete, connect(api_key=KEY, retry=QUICK, base_url=untrusted.url("openai")))]
    errors.append(provoke(complete, connect(api_key=KEY, retry=QUICK, proxies={"http": proxy})))
    client = connect(api_key=KEY, retry=QUICK)
    server.close()
    errors.append(provoke(complete, client))

    assert ["tls", "connect", "connect"] == [error.kind for error in errors]  # type: ignore[attr-defined]
    for error in errors:
        assert isinstance(error, LLMKitError)
        assert [] == shows(told(error))
    assert [] == shows(caplog.text)


def test_a_transport_that_quotes_the_request_is_masked(face: Any, connect: Connect) -> None:
    """Its texts are as foreign as a server's."""
    transport = face.double(TransportError("protocol", f"sent Authorization: Bearer {KEY}"))

    error = provoke(complete, connect(api_key=KEY, transport=transport, retry=QUICK))

    assert "***" in str(error)
    assert [] == shows(str(error) + repr(error) + repr(vars(error)))


def test_keys_that_rest_are_named_by_their_labels(connect: Connect, server: FakeServer) -> None:
    """A label holds a fingerprint, and no part of the key."""
    server.always(Reply.error(401))
    client = connect(api_keys=[KEY, f"{KEY}-2"], retry=QUICK)
    provoke(complete, client)

    error = provoke(complete, client)

    assert "no_key" == error.kind  # type: ignore[attr-defined]
    assert [] == shows(told(error))
    assert KEY[-4:] not in str(error)


def test_an_open_breaker_shows_no_key(connect: Connect, server: FakeServer) -> None:
    """Nor does the error that opened it."""
    server.always(Reply.error(503, message=KEY))
    client = connect(api_key=KEY, retry=QUICK, circuit_breaker=CircuitBreakerConfig(failure_threshold=1))

    assert [] == shows(told(provoke(complete, client)) + told(provoke(complete, client)))


def typed(client: Any) -> Any:
    return client.complete("Say hi", response_format={"type": "object", "properties": {}})


def test_an_answer_of_the_wrong_shape_shows_no_key(connect: Connect, server: FakeServer) -> None:
    """It holds the answer, and the answer only."""
    server.enqueue(Reply("no JSON"))

    error = provoke(typed, connect(api_key=KEY))

    assert isinstance(error, StructuredOutputError)
    assert [] == shows(told(error))


@pytest.mark.parametrize("work", [complete, stream, models])
def test_a_success_shows_no_key(
    face: Any, connect: Connect, caplog: pytest.LogCaptureFixture, server: FakeServer, work: Callable[[Any], Any]
) -> None:
    """Neither the answer with its ledger, nor the client and what it is made of, nor any library's log."""
    caplog.set_level(logging.DEBUG)
    if face.name == "async":
        face.loop.set_debug(True)
    client = connect(api_key=KEY, default_headers={"X-Team-Token": KEY})

    answer = work(client)

    inside = getattr(client, "twin", client)
    router = inside._router
    shown = [answer, inside, vars(inside), router, vars(router), router.settings, router.default, vars(router.default.pool)]
    shown += [client.check(), client.explain("Say hi"), str(client.explain("Say hi")), client.breaker(), router.default.place]
    assert [] == shows("\n".join(map(repr, shown)))
    assert [] == shows(caplog.text)
    assert [] == shows(repr(pickle.dumps(answer)))
    if work is complete:
        assert [] == shows(json.dumps(answer.to_dict(), default=str))


def token() -> dict[str, str]:
    return {"Authorization": f"Bearer {KEY}"}


@pytest.mark.parametrize("work", [complete, stream])
def test_a_token_of_the_users_own_is_no_less_a_secret(
    connect: Connect, server: FakeServer, caplog: pytest.LogCaptureFixture, work: Callable[[Any], Any]
) -> None:
    """What an ``auth=`` returns is masked as a key is."""
    caplog.set_level(logging.DEBUG)
    server.always(Reply.error(401, message=ECHO, headers=ECHOING))

    error = provoke(work, connect(auth=token, retry=QUICK))

    assert f"Bearer {KEY}" == server.requests[0].headers["authorization"]
    assert [] == shows(told(error))
    assert [] == shows(caplog.text)


def inside_of(client: Any) -> Any:
    return getattr(client, "twin", client)


def test_a_key_of_the_environment_is_pickled_by_name(
    face: Any, connect: Connect, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other side reads its own; and the client works there."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    client = face.client("openai/gpt-4o-mini", base_url=server.url("openai"), temperature=0.5)
    client.complete("Say hi")

    packed = pickle.dumps(inside_of(client))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-other-side")
    again = pickle.loads(packed)
    answer = face.run(again.complete("Say more")) if face.name == "async" else again.complete("Say more")
    face.run(again.close()) if face.name == "async" else again.close()

    assert [] == shows(repr(packed))
    assert "You said: Say more" == answer.text
    assert [KEY, "sk-of-the-other-side"] == [request.key for request in server.requests]
    assert 0.5 == server.requests[1].json["temperature"]


PROXY = {"https": "http://user:canary-password@localhost:1"}


@pytest.mark.parametrize(
    "keys", [{"api_key": KEY}, {"api_keys": [KEY]}, {"api_keys": APIKeyPool([KEY])}, {"auth": False, "proxies": PROXY}]
)
def test_a_literal_key_is_not_pickled(connect: Connect, keys: dict[str, Any]) -> None:
    """Pickles end up in queues and caches."""
    client = inside_of(connect(**keys))

    with pytest.raises(ConfigurationError, match="pickle_keys") as caught:
        pickle.dumps(client)

    assert [] == shows(str(caught.value))
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("keys", [{"api_key": KEY}, {"api_keys": [KEY]}])
def test_a_literal_key_is_pickled_when_asked_for(face: Any, connect: Connect, server: FakeServer, keys: dict[str, Any]) -> None:
    """pickle_keys=True."""
    client = inside_of(connect(**keys, pickle_keys=True))

    again = pickle.loads(pickle.dumps(client))
    answer = face.run(again.complete("Say hi")) if face.name == "async" else again.complete("Say hi")
    face.run(again.close()) if face.name == "async" else again.close()

    assert "You said: Say hi" == answer.text
    assert KEY == server.requests[0].key


@pytest.mark.parametrize("key", [f"{KEY}\n", f" {KEY}", f"{KEY}ä", f"{KEY}\x00"])
def test_a_key_that_cannot_be_sent_is_not_quoted(face: Any, key: str) -> None:
    """It is refused when the client is made."""
    with pytest.raises(ConfigurationError) as caught:
        face.client("openai/gpt-4o-mini", api_key=key)

    assert [] == shows(str(caught.value) + repr(caught.value) + repr(vars(caught.value)))


def test_plain_http_is_for_this_machine(face: Any, connect: Connect) -> None:
    """Elsewhere a key would be read by everybody on the way, unless that is said to be all right."""
    with pytest.raises(ConfigurationError, match="plain http"):
        connect(base_url="http://llm.example.com/v1")

    connect(base_url="http://llm.example.com/v1", allow_insecure=True)
    connect(base_url="http://[::1]:8000/v1")
    connect(base_url="http://localhost:8000/v1")

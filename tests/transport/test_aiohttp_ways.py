"""The ways of the async transport to a server: TLS with authorities of one's own, and proxies."""

from __future__ import annotations

import asyncio
import base64
import gc
import os
import socket
import ssl
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import trustme

from llmkit.secrets import Headers
from llmkit.transport.base import HttpRequest, HttpResponse, Timeout, TransportError
from llmkit.transport.settings import TransportSettings
from llmkit_async.transport import AiohttpTransport

CANARY = "sk-canary-0123456789"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
QUICK = Timeout(connect=1.0, read=2.0, total=5.0)
HEADERS = Headers({"Authorization": f"Bearer {CANARY}"})

Server = Any


@pytest.fixture(autouse=True)
def silence_python_3_10() -> Iterator[None]:
    """asyncio's TLS of Python 3.10 takes a transport for unclosed when the peer has closed it."""
    yield
    if sys.version_info < (3, 11):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


def send(url: str, *, times: int = 1, **settings: Any) -> HttpResponse:
    """Return the last of the responses to *times* requests."""

    async def work() -> HttpResponse:
        transport = AiohttpTransport(TransportSettings(**{"trust_env": False, **settings}))
        try:
            for _ in range(times):
                response = await transport.send(HttpRequest(method="POST", url=url, headers=HEADERS, body=b"x"), timeout=QUICK)
            return response
        finally:
            await transport.close()

    return asyncio.run(work())


def failure(url: str, **settings: Any) -> TransportError:
    with pytest.raises(TransportError) as caught:
        send(url, **settings)
    error = caught.value
    assert error.__cause__ is None
    assert error.__context__ is None
    assert CANARY not in repr(error)
    return error


def tunnel(peer: Any) -> None:
    """A proxy that connects once, to wherever it is asked."""
    request = peer.read_request()
    host, _, port = request.split(b" ")[1].decode().rpartition(":")
    with socket.create_connection((host, int(port))) as far:
        peer.sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        back = threading.Thread(target=carry, args=(far, peer.sock), daemon=True)
        back.start()
        carry(peer.sock, far)
        back.join(2)


def carry(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:  # one side is gone, and with it the reason to carry
        return


# TLS


def test_a_trusted_authority_is_enough(raw_server: Any, server_tls: ssl.SSLContext, ca_file: str) -> None:
    """A certificate of one's own authority is accepted, by address and by name, and the connection is kept."""
    server = raw_server([[OK, ..., OK]], tls=server_tls)

    assert b"ok" == send(f"{server.url}/", times=2, verify=ca_file).body
    assert 1 == server.connections
    assert b"ok" == send(f"https://localhost:{server.port}/", verify=ca_file).body


def test_a_body_may_end_with_a_tls_connection(raw_server: Any, server_tls: ssl.SSLContext, ca_file: str) -> None:
    """A body without a length, over TLS."""
    server = raw_server([[b"HTTP/1.1 200 OK\r\n\r\nab", 0.01, b"cd"]], tls=server_tls)

    assert b"abcd" == send(f"{server.url}/", verify=ca_file).body


def test_an_unknown_authority_is_refused_for_good(raw_server: Any, server_tls: ssl.SSLContext) -> None:
    """Nobody vouches for it: fatal, and no byte of the request is sent."""
    server = raw_server([[OK]], tls=server_tls)

    error = failure(f"{server.url}/")

    assert ("tls", True) == (error.kind, error.fatal)
    assert [] == server.received


def test_a_certificate_for_another_name_is_refused(raw_server: Any, authority: trustme.CA, ca_file: str) -> None:
    """A trusted authority vouches for its own names only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("other.example").configure_cert(context)
    server = raw_server([[OK]], tls=context)

    error = failure(f"{server.url}/", verify=ca_file)

    assert ("tls", True) == (error.kind, error.fatal)


def test_plain_http_behind_an_https_url_is_a_tls_error(raw_server: Any) -> None:
    """A server that answers in the clear is misconfigured, not busy."""

    def answer(peer: Any) -> None:
        peer.sock.recv(1000)
        peer.sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    server = raw_server([answer])

    error = failure(f"https://127.0.0.1:{server.port}/")

    assert ("tls", True) == (error.kind, error.fatal)


@pytest.mark.parametrize("is_reset", [False, True])
def test_a_handshake_that_breaks_off_is_worth_another_try(raw_server: Any, is_reset: bool) -> None:
    """A server that closes before TLS is agreed on was overloaded or restarted."""

    def leave(peer: Any) -> None:
        peer.sock.recv(1000)
        if is_reset:
            peer.reset()

    server = raw_server([leave])

    error = failure(f"https://127.0.0.1:{server.port}/")

    assert ("connect", False) == (error.kind, error.fatal)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_missing_client_certificate_is_refused_for_good(
    raw_server: Any, authority: trustme.CA, ca_file: str, version: ssl.TLSVersion
) -> None:
    """With TLS 1.3 the server says so after the handshake, in place of an answer."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = context.maximum_version = version

    def refuse(peer: Any) -> None:
        with context.wrap_socket(peer.sock, server_side=True, do_handshake_on_connect=False) as tls:
            with pytest.raises(ssl.SSLError):
                tls.do_handshake()
            # What is left unread would make a reset of the end, which could overtake the alert.
            while os.read(tls.fileno(), 65536):
                pass

    server = raw_server([refuse])

    error = failure(f"https://127.0.0.1:{server.port}/", verify=ca_file)

    assert ("tls", True) == (error.kind, error.fatal)


def test_a_client_certificate_is_shown(raw_server: Any, authority: trustme.CA, ca_file: str, tmp_path: Any) -> None:
    """``cert`` names a file with the certificate and its key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    own = tmp_path / "own.pem"
    authority.issue_cert("me@example.com").private_key_and_cert_chain_pem.write_to_path(str(own))
    server = raw_server([[OK]], tls=context)

    assert b"ok" == send(f"{server.url}/", verify=ca_file, cert=str(own)).body


def test_a_time_that_is_over_ends_a_tls_connection(raw_server: Any, server_tls: ssl.SSLContext, ca_file: str) -> None:
    """A peer that never says goodbye does not keep the socket."""
    server = raw_server([["hold"]], tls=server_tls)

    async def work() -> TransportError:
        transport = AiohttpTransport(TransportSettings(trust_env=False, verify=ca_file))
        with pytest.raises(TransportError) as caught:
            await transport.send(HttpRequest(method="GET", url=f"{server.url}/"), timeout=Timeout(total=0.15))
        assert await asyncio.to_thread(server.closed_by_client.acquire, timeout=2)
        await transport.close()
        return caught.value

    assert "expired" == asyncio.run(work()).kind


# Proxies


def test_plain_requests_go_to_the_proxy_whole(raw_server: Any) -> None:
    """The proxy gets the whole URL as it is, and its password, which the server never sees."""
    proxy = raw_server([[OK, ..., OK]])

    response = send("http://host.invalid/a%3Ab?c=d", times=2, proxies={"http": f"http://me:s%20t@127.0.0.1:{proxy.port}"})

    assert b"ok" == response.body
    assert 1 == proxy.connections
    for request in proxy.received:
        assert request.startswith(b"POST http://host.invalid/a%3Ab?c=d HTTP/1.1\r\n")
        assert b"Basic " + base64.b64encode(b"me:s t") in request
        assert f"Bearer {CANARY}".encode() in request


def test_tls_goes_through_a_tunnel(raw_server: Any, server_tls: ssl.SSLContext, ca_file: str) -> None:
    """The proxy sees CONNECT with its password, and nothing of the request; the tunnel is kept."""
    server = raw_server([[OK, ..., OK]], tls=server_tls)
    proxy = raw_server([tunnel])

    response = send(f"{server.url}/", times=2, verify=ca_file, proxies={"https": f"http://me:secret@127.0.0.1:{proxy.port}"})

    assert b"ok" == response.body
    (request,) = proxy.received
    assert request.startswith(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n" % server.port)
    assert b"Basic " + base64.b64encode(b"me:secret") in request
    assert CANARY.encode() not in request
    assert b"proxy-authorization" not in server.received[0].lower()


def test_the_way_to_the_proxy_is_checked_as_well(raw_server: Any, server_tls: ssl.SSLContext, ca_file: str) -> None:
    """A proxy behind https has a certificate, which the same authorities vouch for, or not."""
    proxy = raw_server([[OK]], tls=server_tls)

    assert b"ok" == send("http://host.invalid/", verify=ca_file, proxies={"http": proxy.url}).body
    assert "tls" == failure("http://host.invalid/", proxies={"http": proxy.url}).kind


@pytest.mark.parametrize(("status", "is_fatal"), [(b"407 Proxy Authentication Required", True), (b"403 No", True), (b"502 Later", False)])
def test_a_proxy_that_refuses_the_tunnel(raw_server: Any, status: bytes, is_fatal: bool) -> None:
    """407 and 403 are its last word, 5xx is a bad moment; its password is not told."""
    proxy = raw_server([[b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n"]])

    error = failure("https://host.invalid/", proxies={"https": f"http://me:{CANARY}@127.0.0.1:{proxy.port}"})

    assert ("proxy", is_fatal) == (error.kind, error.fatal)


def test_a_proxy_that_is_not_there() -> None:
    """Like any other refused connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    error = failure("https://host.invalid/", proxies={"https": f"http://me:{CANARY}@127.0.0.1:{port}"})

    assert ("connect", False) == (error.kind, error.fatal)


def test_a_proxy_that_hangs_up_is_no_connection(raw_server: Any) -> None:
    """Nothing of the request was sent, so that it may go out again."""
    proxy = raw_server([[]])

    error = failure("https://host.invalid/", proxies={"https": f"http://me:{CANARY}@127.0.0.1:{proxy.port}"})

    assert ("connect", False, False) == (error.kind, error.fatal, error.reused)


def test_a_proxy_that_says_nothing_is_bounded(raw_server: Any) -> None:
    """The time to connect covers the tunnel."""
    proxy = raw_server([["hold"]])

    async def work() -> str:
        transport = AiohttpTransport(TransportSettings(trust_env=False, proxies={"https": proxy.url}))
        request = HttpRequest(method="GET", url="https://host.invalid/")
        with pytest.raises(TransportError) as caught:
            await transport.send(request, timeout=Timeout(connect=0.05))
        await transport.close()
        return caught.value.kind

    assert "connect_timeout" == asyncio.run(work())
    assert proxy.closed_by_client.acquire(timeout=2)


def test_the_environment_is_asked_only_when_trusted(raw_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """``trust_env=False`` reaches this twin, too."""
    server, proxy = raw_server([[OK]]), raw_server([[OK]])
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)

    send(f"{server.url}/", trust_env=False)
    assert (1, 0) == (server.connections, proxy.connections)
    send(f"{server.url}/", trust_env=True)
    assert (1, 1) == (server.connections, proxy.connections)

"""The sync transport over TLS and through proxies, on loopback."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import threading
import traceback
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import trustme

from llmkit.secrets import Headers
from llmkit.transport.base import HttpRequest, HttpResponse, Timeout, TransportError
from llmkit.transport.requests import RequestsTransport
from llmkit.transport.settings import TransportSettings

CANARY = "sk-canary-0123456789"
PASSWORD = "proxy-canary-987654"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
QUICK = Timeout(connect=2.0, read=2.0, total=5.0)

ENVIRONMENT = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this machine's environment says about proxies and authorities is out of the way."""
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def send(settings: TransportSettings, url: str, timeout: Timeout = QUICK, *, times: int = 1) -> HttpResponse:
    transport = RequestsTransport(settings)
    try:
        for _ in range(times):
            headers = Headers({"Authorization": f"Bearer {CANARY}"})
            response = transport.send(HttpRequest(method="POST", url=f"{url}/v1", headers=headers, body=b"{}"), timeout=timeout)
        return response
    finally:
        transport.close()


def failure_of(action: Callable[[], object]) -> TransportError:
    """Return the error that *action* raises, once it is proven that nothing in it shows a key or a password."""
    with pytest.raises(TransportError) as caught:
        action()
    error = caught.value
    assert error.__cause__ is None
    assert error.__context__ is None
    secrets = (CANARY, PASSWORD, base64.b64encode(f"user:{PASSWORD}".encode()).decode())
    shown = [f"{error} {error!r}"]
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if "tests" not in frame.f_code.co_filename:
            shown.append(repr(frame.f_locals))
    assert not [secret for secret in secrets if any(secret in text for text in shown)]
    return error


# TLS


def test_a_ca_file_is_trusted(raw_server: Any, server_tls: ssl.SSLContext, ca_file: str) -> None:
    """``verify=path`` trusts what the file holds; the second call goes over the kept connection."""
    server = raw_server([[OK, ..., OK]], server_tls)

    response = send(TransportSettings(verify=ca_file), server.url, times=2)

    assert b"ok" == response.body
    assert 1 == server.connections


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
@pytest.mark.parametrize("trust_env", [True, False])
def test_authorities_of_the_environment(
    raw_server: Any, server_tls: ssl.SSLContext, ca_file: str, monkeypatch: pytest.MonkeyPatch, name: str, trust_env: bool
) -> None:
    """They are trusted unless ``trust_env`` is off."""
    monkeypatch.setenv(name, ca_file)
    server = raw_server([[OK]], server_tls)
    settings = TransportSettings(trust_env=trust_env)

    if trust_env:
        assert b"ok" == send(settings, server.url).body
    else:
        assert "tls" == failure_of(lambda: send(settings, server.url)).kind


def test_an_unknown_authority_is_fatal(raw_server: Any, server_tls: ssl.SSLContext) -> None:
    """A certificate that cannot be checked is never worth a second try, and the reason is told."""
    server = raw_server([[OK]], server_tls)

    error = failure_of(lambda: send(TransportSettings(trust_env=False), server.url))

    assert ("tls", True) == (error.kind, error.fatal)
    assert "certificate" in error.message
    assert [] == server.received


def test_another_host_name_is_fatal(raw_server: Any, authority: trustme.CA, ca_file: str) -> None:
    """A good certificate of somebody else is none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("example.com").configure_cert(context)
    server = raw_server([[OK]], context)

    error = failure_of(lambda: send(TransportSettings(verify=ca_file), server.url))

    assert ("tls", True) == (error.kind, error.fatal)


def test_nothing_is_checked_on_demand(raw_server: Any, server_tls: ssl.SSLContext) -> None:
    """``verify=False`` trusts anybody, and one warning says so, however many calls there are."""
    server = raw_server([[OK, ..., OK]], server_tls)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        response = send(TransportSettings(verify=False), server.url, times=2)

    assert b"ok" == response.body
    assert ["verify=False" in str(warning.message) for warning in caught] == [True]


@pytest.mark.parametrize("form", ["one file", "two files", "none"])
def test_a_client_certificate(raw_server: Any, authority: trustme.CA, ca_file: str, tmp_path: Any, form: str) -> None:
    """A server that asks for a certificate gets it; without one its refusal, which TLS 1.3 tells late, is a fatal ``tls``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    server = raw_server([[OK]], context)
    mine = authority.issue_cert("client@example.com")
    chain, key, both = (str(tmp_path / name) for name in ("chain.pem", "key.pem", "both.pem"))
    mine.cert_chain_pems[0].write_to_path(chain)
    mine.private_key_pem.write_to_path(key)
    mine.private_key_and_cert_chain_pem.write_to_path(both)
    cert: Any = {"one file": both, "two files": (chain, key), "none": None}[form]
    settings = TransportSettings(verify=ca_file, cert=cert)

    if cert is not None:
        assert b"ok" == send(settings, server.url).body
    else:
        error = failure_of(lambda: send(settings, server.url))
        assert (error.kind, error.fatal) in {("tls", True), ("connection_lost", False)}


def test_an_old_version_is_fatal(raw_server: Any, ca_file: str, authority: trustme.CA) -> None:
    """A server that speaks nothing newer than TLS 1.1 is not spoken to."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    server = raw_server([[OK]], context)

    error = failure_of(lambda: send(TransportSettings(verify=ca_file), server.url))

    assert ("tls", True) == (error.kind, error.fatal)


def test_a_plain_server_behind_an_https_url_is_fatal(raw_server: Any) -> None:
    """What answers in clear text is not TLS."""
    server = raw_server([lambda peer: peer.sock.sendall(OK) or peer.hold()])

    error = failure_of(lambda: send(TransportSettings(trust_env=False), server.url.replace("http:", "https:")))

    assert ("tls", True) == (error.kind, error.fatal)


@pytest.mark.parametrize("is_reset", [False, True])
def test_a_handshake_that_is_cut_is_worth_another_try(raw_server: Any, is_reset: bool) -> None:
    """A connection that ends in the handshake says nothing about certificates."""

    def cut(peer: Any) -> None:
        peer.sock.recv(10)
        if is_reset:
            peer.reset()

    server = raw_server([cut])

    error = failure_of(lambda: send(TransportSettings(trust_env=False), server.url.replace("http:", "https:")))

    assert ("connect", False) == (error.kind, error.fatal)


def drip_handshake(peer: Any) -> None:
    """Begin a TLS record that never ends."""
    peer.sock.sendall(b"\x16\x03\x03\x40\x00")
    while not peer.server.stopped.wait(0.01):
        peer.sock.sendall(b"\x02")


@pytest.mark.parametrize("entry", [drip_handshake, lambda peer: peer.hold()])
@pytest.mark.parametrize(
    ("timeout", "kind"), [(Timeout(connect=0.08, total=5.0), "connect_timeout"), (Timeout(connect=5.0, total=0.08), "expired")]
)
def test_a_handshake_is_bounded(raw_server: Any, entry: Any, timeout: Timeout, kind: str) -> None:
    """A server that is silent or drips in the handshake is left when the time to connect, or in all, is over."""
    server = raw_server([entry])

    error = failure_of(lambda: send(TransportSettings(trust_env=False), server.url.replace("http:", "https:"), timeout))

    assert kind == error.kind
    assert error.connect is None


def test_the_total_time_holds_inside_tls(raw_server: Any, server_tls: ssl.SSLContext, ca_file: str) -> None:
    """Cutting an encrypted connection is not taken for its end."""
    server = raw_server([[b"HTTP/1.1 200 OK\r\n\r\n", *[b"x", 0.01] * 50]], server_tls)

    error = failure_of(lambda: send(TransportSettings(verify=ca_file), server.url, Timeout(read=2, total=0.1)))

    assert "expired" == error.kind


def test_a_body_cut_inside_tls_is_truncated(raw_server: Any, server_tls: ssl.SSLContext, ca_file: str) -> None:
    """The connection's end, without TLS's own goodbye, does not end a body."""
    server = raw_server([[b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"]], server_tls)

    error = failure_of(lambda: send(TransportSettings(verify=ca_file), server.url))

    assert "truncated" == error.kind


# Proxies


def pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for sock in (source, target):
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def tunnel(peer: Any) -> None:
    """Serve one CONNECT."""
    host, _, port = peer.read_request().split()[1].rpartition(b":")
    with socket.create_connection((host.decode(), int(port))) as upstream:
        peer.sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        back = threading.Thread(target=pump, args=(upstream, peer.sock), daemon=True)
        back.start()
        pump(peer.sock, upstream)
        back.join(2)


def with_password(url: str) -> str:
    return url.replace("://", f"://user:{PASSWORD}@")


def test_an_http_target_is_asked_of_the_proxy(raw_server: Any) -> None:
    """The proxy gets the whole URL, the target's Host and the password of its own URL."""
    proxy = raw_server([[OK, ..., OK]])
    settings = TransportSettings(proxies={"http": with_password(proxy.url)})

    response = send(settings, "http://target.example:8080", times=2)

    assert b"ok" == response.body
    assert 1 == proxy.connections
    lines = proxy.received[1].split(b"\r\n")
    assert b"POST http://target.example:8080/v1 HTTP/1.1" == lines[0]
    assert b"Host: target.example:8080" in lines
    assert b"Proxy-Authorization: Basic " + base64.b64encode(f"user:{PASSWORD}".encode()) in lines


@pytest.mark.parametrize("is_tls_proxy", [False, True])
def test_an_https_target_is_reached_through_a_tunnel(raw_server: Any, server_tls: ssl.SSLContext, ca_file: str, is_tls_proxy: bool) -> None:
    """The proxy gets the password and sees no request; the connection through it is kept."""
    server = raw_server([[OK, ..., OK]], server_tls)
    proxy = raw_server([tunnel], server_tls if is_tls_proxy else None)
    settings = TransportSettings(verify=ca_file, proxies={"https": with_password(proxy.url)})

    response = send(settings, server.url, times=2)

    assert b"ok" == response.body
    assert (1, 1) == (proxy.connections, server.connections)
    assert proxy.received[0].startswith(b"CONNECT 127.0.0.1:%d HTTP/1." % server.port)
    assert b"Proxy-Authorization: Basic " in proxy.received[0]
    assert b"proxy-authorization" not in server.received[0].lower()
    assert CANARY.encode() in server.received[0]


def test_the_certificate_behind_a_tunnel_is_checked(raw_server: Any, server_tls: ssl.SSLContext) -> None:
    """A proxy cannot stand in for the target."""
    server = raw_server([[OK]], server_tls)
    proxy = raw_server([tunnel])

    error = failure_of(lambda: send(TransportSettings(proxies={"all": proxy.url}), server.url))

    assert ("tls", True) == (error.kind, error.fatal)
    assert [] == server.received


@pytest.mark.parametrize(("status", "fatal"), [(407, True), (403, True), (502, False), (503, False)])
def test_a_proxy_that_refuses_the_tunnel(raw_server: Any, status: int, fatal: bool) -> None:
    """Its refusal is ``proxy``: for good when it is about us, for now when it is about its own trouble."""
    proxy = raw_server([[b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status]])
    settings = TransportSettings(proxies={"https": with_password(proxy.url)})

    error = failure_of(lambda: send(settings, "https://127.0.0.1:9"))

    assert ("proxy", fatal) == (error.kind, error.fatal)
    assert str(status) in error.message


def test_a_proxy_that_is_not_there(raw_server: Any) -> None:
    """Nobody listens where the proxy should: ``connect``."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    settings = TransportSettings(proxies={"all": with_password(f"http://127.0.0.1:{port}")})

    for url in ("http://127.0.0.1:9", "https://127.0.0.1:9"):
        assert "connect" == failure_of(lambda url=url: send(settings, url)).kind


@pytest.mark.parametrize("entry", [["hold"], [b"HTTP/1.1 200 OK\r\n", *[b"X: y\r\n", 0.01] * 100]])
def test_a_tunnel_is_bounded(raw_server: Any, entry: Any) -> None:
    """A proxy that is silent or drips before the tunnel stands is left when the time to connect is over."""
    proxy = raw_server([entry])
    settings = TransportSettings(proxies={"https": proxy.url})

    error = failure_of(lambda: send(settings, "https://127.0.0.1:9", Timeout(connect=0.08, total=5.0)))

    assert "connect_timeout" == error.kind


def test_a_proxy_of_the_environment(raw_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is used, except where ``no_proxy`` or ``trust_env=False`` says otherwise."""
    proxy = raw_server([[OK]])
    server = raw_server([[OK]])
    monkeypatch.setenv("http_proxy", proxy.url)

    send(TransportSettings(), server.url)
    send(TransportSettings(trust_env=False), server.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    send(TransportSettings(), server.url)

    assert (1, 2) == (len(proxy.received), len(server.received))


def test_a_socks_proxy_is_refused(raw_server: Any) -> None:
    """It is named as what is not supported; requests would ask for a package that is not there."""
    settings = TransportSettings(proxies={"all": f"socks5h://user:{PASSWORD}@127.0.0.1:1080"})

    error = failure_of(lambda: send(settings, "https://127.0.0.1:9"))

    assert ("config", True) == (error.kind, error.fatal)
    assert "socks5h" in error.message

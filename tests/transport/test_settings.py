"""Which proxy, which authorities and which socket options both transports use."""

from __future__ import annotations

import copy
import os
import pickle
import socket
import ssl
import threading
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import trustme

from llmkit.transport.base import TransportError
from llmkit.transport.settings import SOCKET_OPTIONS, TransportSettings

PASSWORD = "proxy-canary-987654"
NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "request_method")
AUTHORITIES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this machine's environment says is out of the way."""
    for name in (*NAMES, *AUTHORITIES):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def config_error(action: Callable[[], object]) -> TransportError:
    with pytest.raises(TransportError) as caught:
        action()
    assert ("config", True) == (caught.value.kind, caught.value.fatal)
    assert caught.value.__context__ is None
    assert PASSWORD not in f"{caught.value!r} {caught.value}"
    return caught.value


# Proxies


@pytest.mark.parametrize(
    ("proxies", "expected"),
    [
        ({}, None),
        ({"http": "http://p:1"}, None),
        ({"https": "http://p:1"}, "http://p:1"),
        ({"all": "http://p:1"}, "http://p:1"),
        ({"all": "http://p:1", "https": "http://q:2"}, "http://q:2"),
        ({"https": "http://p:1", "https://api.example.com": "http://q:2"}, "http://q:2"),
        ({"all://api.example.com": "http://p:1"}, "http://p:1"),
        ({"all://other.example.com": "http://p:1"}, None),
        ({"all": "http://p:1", "https": ""}, None),
        ({"https": "p:1"}, "http://p:1"),
    ],
)
def test_explicit_proxies_are_chosen_as_in_requests(proxies: dict[str, str], expected: str | None) -> None:
    """The most particular key wins, an empty value means none, and a missing scheme is http."""
    settings = TransportSettings(proxies=proxies)

    assert expected == settings.proxy_for("https://api.example.com/v1/chat")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"https_proxy": "http://p:1"}, "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1", "https_proxy": "http://q:2"}, "http://q:2"),
        ({"ALL_PROXY": "http://p:1"}, "http://p:1"),
        ({"HTTP_PROXY": "http://p:1"}, None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "example.com"}, None),
        ({"HTTPS_PROXY": "http://p:1", "no_proxy": "*"}, None),
    ],
)
def test_proxies_of_the_environment(monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], expected: str | None) -> None:
    """They are read in both cases, the lower one first; ``no_proxy`` exempts."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    assert expected == TransportSettings().proxy_for("https://api.example.com/v1")
    assert TransportSettings(trust_env=False).proxy_for("https://api.example.com/v1") is None


def test_a_cgi_script_does_not_believe_http_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """There the upper-case name is a request header's (CVE-2016-1000110)."""
    monkeypatch.setenv("HTTP_PROXY", "http://p:1")
    monkeypatch.setenv("REQUEST_METHOD", "GET")

    assert TransportSettings().proxy_for("http://api.example.com/") is None


@pytest.mark.parametrize(
    ("no_proxy", "url", "is_exempt"),
    [
        ("example.com", "http://example.com/", True),
        ("example.com", "http://api.example.com/", True),
        (".example.com", "http://api.example.com/", True),
        (".example.com", "http://example.com/", False),
        ("other.com, EXAMPLE.com ", "http://Example.COM/", True),
        ("example.com:8080", "http://example.com:8080/", True),
        ("example.com:8080", "http://example.com/", False),
        ("localhost,127.0.0.1", "http://127.0.0.1:80/", True),
        ("localhost", "http://127.0.0.1/", False),
        ("10.0.0.0/8", "http://10.1.2.3/", True),
        ("10.0.0.0/8", "http://11.1.2.3/", False),
        ("10.1.2.3:81", "http://10.1.2.3:81/", True),
        ("fd00::/8", "http://[fd12::1]/", True),
        ("::1", "http://[::1]:8080/", True),
        ("[::1]", "http://[::1]:8080/", True),
        ("", "http://example.com/", False),
    ],
)
def test_hosts_that_are_exempt(monkeypatch: pytest.MonkeyPatch, no_proxy: str, url: str, is_exempt: bool) -> None:
    """``no_proxy`` lists ends of names, with or without port, addresses and networks."""
    monkeypatch.setenv("http_proxy", "http://p:1")
    monkeypatch.setenv("no_proxy", no_proxy)

    assert is_exempt == (TransportSettings().proxy_for(url) is None)


def test_explicit_proxies_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also over its ``no_proxy``; where they are silent, the environment speaks, within the explicit ``no_proxy``."""
    monkeypatch.setenv("https_proxy", "http://env:1")
    monkeypatch.setenv("http_proxy", "http://env:1")
    monkeypatch.setenv("no_proxy", "b.com")
    settings = TransportSettings(proxies={"https": "http://own:1", "no_proxy": "a.com"})

    found = [settings.proxy_for(url) for url in ("https://b.com/", "http://b.com/", "http://a.com/")]

    assert ["http://own:1", "http://env:1", None] == found


def test_the_environment_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One object gives one answer for its life, for origins it meets later too; a new object reads anew."""
    monkeypatch.setenv("http_proxy", "http://p:1")
    settings = TransportSettings()
    settings.proxy_for("http://first.com/")

    monkeypatch.setenv("http_proxy", "http://q:2")

    assert ["http://p:1", "http://p:1"] == [settings.proxy_for(f"http://{name}.com/") for name in ("first", "second")]
    assert "http://q:2" == TransportSettings().proxy_for("http://first.com/")


@pytest.mark.parametrize(
    ("proxy", "told"),
    [
        (f"socks5://user:{PASSWORD}@p:1", "socks5"),
        (f"SOCKS4a://user:{PASSWORD}@p:1", "socks4a"),
        (f"ftp://user:{PASSWORD}@p:1", "ftp"),
        (f"http://user:{PASSWORD}@", "host name"),
        (f"http://user:{PASSWORD}@p:99999", "port"),
        (f"user:{PASSWORD}@p:0", "port"),
    ],
)
def test_a_proxy_that_cannot_work_is_refused(proxy: str, told: str) -> None:
    """The error says why, and shows nothing of the password."""
    settings = TransportSettings(proxies={"all": proxy})

    assert told in config_error(lambda: settings.proxy_for("https://a.com/")).message


@pytest.mark.parametrize("proxy", [f"http://user:{PASSWORD}@p:1", f"user:{PASSWORD}@p:1"])
def test_a_password_is_not_shown(proxy: str) -> None:
    """Neither the settings nor the proxy they give show it; whoever connects finds it, decoded."""
    settings = TransportSettings(proxies={"https": proxy})

    found = settings.proxy_for("https://a.com/")

    assert found is not None
    assert PASSWORD not in f"{settings!r} {settings} {found!r}"
    assert (f"user:{PASSWORD}", "http://p:1") == (found.userinfo, found.without_userinfo)


@pytest.mark.parametrize(("proxy", "expected"), [("http://p", None), ("http://me@p", "me:"), ("http://a%40b:c%3A@p", "a@b:c:")])
def test_user_and_password_are_decoded(proxy: str, expected: str | None) -> None:
    """They stand percent-encoded in a URL."""
    found = TransportSettings(proxies={"all": proxy}).proxy_for("https://a.com/")

    assert found is not None
    assert expected == found.userinfo


@pytest.mark.parametrize("url", ["http://[::1", "http://a:b/"])
def test_a_url_that_is_none(url: str) -> None:
    """No ValueError comes out."""
    config_error(lambda: TransportSettings().proxy_for(url))


# Trust


def handshake(context: ssl.SSLContext, server: ssl.SSLContext) -> str | None:
    """Return the version agreed on between *context* and *server* in memory, or None where the certificate is not trusted."""
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            server.wrap_socket(theirs, server_side=True).close()
        except OSError:
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with context.wrap_socket(ours, server_hostname="localhost") as sock:
            return sock.version()
    except ssl.SSLCertVerificationError:
        return None
    finally:
        ours.close()
        thread.join(2)


@pytest.mark.parametrize("name", ["verify", "verify folder", *AUTHORITIES])
def test_authorities_are_found(
    monkeypatch: pytest.MonkeyPatch, server_tls: ssl.SSLContext, authority: trustme.CA, ca_file: str, tmp_path: Any, name: str
) -> None:
    """As a file or a hashed folder, named by ``verify`` or by the environment."""
    folder = tmp_path / "hashed"
    folder.mkdir()
    der = ssl.PEM_cert_to_DER_cert(authority.cert_pem.bytes().decode())
    assert der
    (folder / f"{subject_hash(ca_file)}.0").write_bytes(authority.cert_pem.bytes())
    settings = {"verify": TransportSettings(verify=ca_file), "verify folder": TransportSettings(verify=str(folder))}.get(name)
    if settings is None:
        monkeypatch.setenv(name, f"{tmp_path}{os.pathsep}{folder}" if name == "SSL_CERT_DIR" else ca_file)
        settings = TransportSettings()

    assert handshake(settings.ssl_context(), server_tls) in ("TLSv1.2", "TLSv1.3")


def subject_hash(ca_file: str) -> str:
    """Return what ``openssl rehash`` would name the file: the SHA-1 of the canonical subject, first four bytes, little endian."""
    import hashlib

    from cryptography import x509

    with open(ca_file, "rb") as file:
        name = x509.load_pem_x509_certificate(file.read()).subject
    encoded = b""
    for part in name.rdns:
        attribute = next(iter(part))
        value = " ".join(str(attribute.value).lower().split()).encode()
        oid = {"2.5.4.10": b"\x55\x04\x0a", "2.5.4.11": b"\x55\x04\x0b", "2.5.4.3": b"\x55\x04\x03"}[attribute.oid.dotted_string]
        inner = tlv(0x06, oid) + tlv(0x0C, value)
        encoded += tlv(0x31, tlv(0x30, inner))
    return f"{int.from_bytes(hashlib.sha1(encoded).digest()[:4], 'little'):08x}"


def tlv(tag: int, data: bytes) -> bytes:
    assert len(data) < 128
    return bytes([tag, len(data)]) + data


def test_certifi_is_the_default(server_tls: ssl.SSLContext) -> None:
    """Without further word the public authorities are trusted and a private one is not."""
    context = TransportSettings().ssl_context()

    assert context.cert_store_stats()["x509_ca"] > 50
    assert handshake(context, server_tls) is None


def test_the_first_bundle_of_the_environment_counts(monkeypatch: pytest.MonkeyPatch, ca_file: str) -> None:
    """``REQUESTS_CA_BUNDLE`` replaces all others, as in requests; an empty one is none."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "")
    monkeypatch.setenv("CURL_CA_BUNDLE", ca_file)
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such/file")

    assert 1 == TransportSettings().ssl_context().cert_store_stats()["x509_ca"]


def test_a_context_checks_and_speaks_nothing_old() -> None:
    """Host names and certificates are checked, TLS 1.2 is the least."""
    context = TransportSettings(trust_env=False).ssl_context()

    assert context.check_hostname
    assert ssl.CERT_REQUIRED == context.verify_mode
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_a_context_is_made_once() -> None:
    """Loading the authorities takes longer than a handshake."""
    settings = TransportSettings(trust_env=False)

    assert settings.ssl_context() is settings.ssl_context()


def test_not_checking_is_said_aloud(server_tls: ssl.SSLContext) -> None:
    """``verify=False`` warns once per settings object and accepts any certificate."""
    settings = TransportSettings(verify=False)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        settings.ssl_context()
        context = settings.ssl_context()

    assert 1 == len(caught)
    assert handshake(context, server_tls) is not None


@pytest.mark.parametrize("name", ["verify", *AUTHORITIES])
def test_missing_authorities_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Any, name: str) -> None:
    """The error says which path is missing and who named it; nothing falls back to other authorities."""
    path = str(tmp_path / "missing.pem")
    if name == "verify":
        settings = TransportSettings(verify=path)
    else:
        monkeypatch.setenv(name, path)
        settings = TransportSettings()

    error = config_error(settings.ssl_context)

    assert path in error.message
    assert name in error.message


def test_authorities_that_are_none(tmp_path: Any) -> None:
    """A file without a certificate is named too."""
    path = tmp_path / "empty.pem"
    path.write_text("nothing")

    assert str(path) in config_error(TransportSettings(verify=str(path)).ssl_context).message


@pytest.mark.parametrize("fault", ["missing", "nothing", "locked"])
def test_a_client_certificate_that_cannot_be_loaded(authority: trustme.CA, tmp_path: Any, fault: str) -> None:
    """It is named; a locked key does not ask for its password at the terminal."""
    from cryptography.hazmat.primitives import serialization

    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    issued = authority.issue_cert("me@example.com")
    issued.cert_chain_pems[0].write_to_path(str(chain))
    if fault == "nothing":
        key.write_text("nothing")
    elif fault == "locked":
        private = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
        encryption = serialization.BestAvailableEncryption(b"secret")
        key.write_bytes(private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption))

    error = config_error(TransportSettings(trust_env=False, cert=(str(chain), str(key))).ssl_context)

    assert str(key) in error.message


# The object


def test_settings_are_values() -> None:
    """They compare and hash by their fields, also when one was used and the other not, and survive copying and pickling."""
    used = TransportSettings(proxies={"all": "http://p:1"}, trust_env=False)
    used.ssl_context()
    used.proxy_for("https://a.com/")

    others = [TransportSettings(proxies={"all": "http://p:1"}, trust_env=False), copy.deepcopy(used), pickle.loads(pickle.dumps(used))]

    assert [used] * 3 == others
    assert {hash(used)} == {hash(other) for other in others}
    assert ["http://p:1"] * 3 == [other.proxy_for("https://a.com/") for other in others]
    assert used.ssl_context() is not others[2].ssl_context()


def test_the_socket_options_can_be_set() -> None:
    """Every option is one this platform takes; a silent connection is probed after a minute."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        for option in SOCKET_OPTIONS:
            sock.setsockopt(*option)

        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        if hasattr(socket, "TCP_KEEPIDLE"):
            assert 60 == sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)

"""What errors of the system mean."""

from __future__ import annotations

import errno
import socket
import ssl

import pytest

from llmkit.transport.faults import connect_failure, dns_failure, is_peer_gone, read_failure


def os_error(number: int) -> OSError:
    return OSError(number, "text")


def tls_error(kind: type[ssl.SSLError], reason: str) -> ssl.SSLError:
    error = kind(1, reason)
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "fatal", "local"),
    [
        (socket.gaierror(socket.EAI_NONAME, "unknown"), True, False),
        (socket.gaierror(socket.EAI_AGAIN, "later"), False, False),
        (socket.gaierror(socket.EAI_FAIL, "failed"), False, False),
        (socket.gaierror(socket.EAI_MEMORY, "memory"), False, True),
        (UnicodeError("label too long"), True, False),
    ],
)
def test_names(error: OSError | UnicodeError, fatal: bool, local: bool) -> None:
    """A name that nobody knows is told apart from nobody to ask, and from trouble here."""
    failure = dns_failure("host.example", error)

    assert ("dns", fatal, local) == (failure.kind, failure.fatal, failure.local)
    assert "host.example" in failure.message


@pytest.mark.parametrize(
    ("error", "kind", "fatal", "local"),
    [
        (os_error(errno.ECONNREFUSED), "connect", False, False),
        (os_error(errno.ENETUNREACH), "connect", False, False),
        (os_error(errno.ECONNRESET), "connect", False, False),
        (os_error(errno.EMFILE), "connect", False, True),
        (os_error(errno.ENOMEM), "connect", False, True),
        (os_error(errno.EADDRNOTAVAIL), "connect", False, True),
        (os_error(errno.ETIMEDOUT), "connect_timeout", False, False),
        (TimeoutError("timed out"), "connect_timeout", False, False),
        (ssl.SSLCertVerificationError(1, "certificate verify failed"), "tls", True, False),
        (tls_error(ssl.SSLError, "WRONG_VERSION_NUMBER"), "tls", True, False),
        (tls_error(ssl.SSLEOFError, "UNEXPECTED_EOF"), "connect", False, False),
        (tls_error(ssl.SSLZeroReturnError, "closed"), "connect", False, False),
        (OSError("Tunnel connection failed: 407 Proxy Authentication Required"), "proxy", True, False),
        (OSError("Tunnel connection failed: 503 Busy"), "proxy", False, False),
        (ValueError("odd"), "connect", False, False),
    ],
)
def test_connections_that_did_not_come_about(error: Exception, kind: str, fatal: bool, local: bool) -> None:
    """One row of the table each."""
    failure = connect_failure("host:443", error)

    assert (kind, fatal, local) == (failure.kind, failure.fatal, failure.local)
    assert "host:443" in failure.message


@pytest.mark.parametrize(
    ("error", "kinds"),
    [
        (os_error(errno.ECONNRESET), ("connection_lost", "truncated")),
        (os_error(errno.ETIMEDOUT), ("connection_lost", "truncated")),
        (TimeoutError("timed out"), ("read_timeout", "read_timeout")),
        (tls_error(ssl.SSLEOFError, "UNEXPECTED_EOF"), ("connection_lost", "truncated")),
        (tls_error(ssl.SSLError, "SSLV3_ALERT_BAD_RECORD_MAC"), ("tls", "truncated")),
    ],
)
def test_exchanges_that_broke(error: OSError, kinds: tuple[str, str]) -> None:
    """Before the first byte nothing was answered; behind it, something was cut."""
    before = read_failure("host", error, begun=False, reused=False)
    behind = read_failure("host", error, begun=True, reused=True)

    assert kinds == (before.kind, behind.kind)
    assert not before.reused
    assert not behind.reused


def test_a_kept_connection_that_broke_is_told_apart() -> None:
    """Also one that TLS ended: on a kept connection no certificate is refused any more."""
    for error in (os_error(errno.ECONNRESET), tls_error(ssl.SSLError, "ALERT")):
        failure = read_failure("host", error, begun=False, reused=True)

        assert ("connection_lost", True) == (failure.kind, failure.reused)


def test_a_silent_kept_connection_is_not_taken_for_a_dead_one() -> None:
    """A server that thinks for too long has got the request."""
    assert not read_failure("host", TimeoutError("timed out"), begun=False, reused=True).reused


@pytest.mark.parametrize(
    ("error", "is_gone"),
    [
        (BrokenPipeError(errno.EPIPE, ""), True),
        (os_error(errno.ECONNRESET), True),
        (tls_error(ssl.SSLEOFError, ""), True),
        (TimeoutError("timed out"), False),
        (os_error(errno.ENOMEM), False),
    ],
)
def test_peers_that_read_no_more(error: OSError, is_gone: bool) -> None:
    """They may have answered before they went."""
    assert is_gone == is_peer_gone(error)

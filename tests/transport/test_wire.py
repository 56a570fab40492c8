"""Opening sockets and sending, below the transport."""

from __future__ import annotations

import errno
import math
import socket
import time
from typing import Any

import pytest

from llmkit.transport import wire
from llmkit.transport.base import Timeout, TransportError
from llmkit.transport.settings import SOCKET_OPTIONS
from llmkit.transport.wire import Exchange, open_socket, send_request

LOOPBACK = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 0))


def addresses(*ports: int) -> Any:
    return lambda *_: [(*LOOPBACK[:4], ("127.0.0.1", port)) for port in ports]


@pytest.fixture
def listener() -> Any:
    """A socket that listens on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def closed_port() -> int:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def test_a_socket_has_its_options(listener: Any) -> None:
    """They are set before it connects; what is left of the time bounds what comes next."""
    with open_socket("127.0.0.1", listener.getsockname()[1], time.monotonic() + 5, SOCKET_OPTIONS) as sock:
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        left = sock.gettimeout()
        assert left is not None
        assert 0 < left <= 5


def test_a_socket_without_a_bound(listener: Any) -> None:
    """Infinity is no time-out."""
    with open_socket("127.0.0.1", listener.getsockname()[1], math.inf, ()) as sock:
        assert sock.gettimeout() is None


def test_the_next_address_is_tried(listener: Any, closed_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with a dead and a living address is alive."""
    monkeypatch.setattr(socket, "getaddrinfo", addresses(closed_port, listener.getsockname()[1]))

    with open_socket("host", 80, time.monotonic() + 5, ()) as sock:
        assert listener.getsockname() == sock.getpeername()


def test_a_silent_address_does_not_take_all_the_time(listener: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each address gets its share, so that the living one behind it is still tried."""
    shares = []
    real = wire._connect

    def connect(sock: socket.socket, address: Any, seconds: float | None, options: Any) -> socket.socket:
        shares.append(seconds)
        if len(shares) == 1:
            sock.close()
            raise TimeoutError("timed out")
        return real(sock, address, seconds, options)

    monkeypatch.setattr(socket, "getaddrinfo", addresses(1, listener.getsockname()[1]))
    monkeypatch.setattr(wire, "_connect", connect)

    open_socket("host", 80, time.monotonic() + 4, ()).close()

    assert shares[0] <= 2
    assert 2 < shares[1] <= 4


def test_the_last_fault_is_told(closed_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """When no address answers, the error is that of the last; no other stays chained."""
    monkeypatch.setattr(socket, "getaddrinfo", addresses(closed_port, closed_port))

    with pytest.raises(TransportError) as caught:
        open_socket("host", 80, time.monotonic() + 5, ())

    assert ("connect", None) == (caught.value.kind, caught.value.__context__)


@pytest.mark.parametrize(("late", "found"), [(True, 1), (False, 0)])
def test_no_time_and_no_address(monkeypatch: pytest.MonkeyPatch, late: bool, found: int) -> None:
    """A resolver that took all the time, or found nothing, leaves nothing to try."""
    monkeypatch.setattr(socket, "getaddrinfo", addresses(*[1] * found))

    with pytest.raises(TransportError) as caught:
        open_socket("host", 80, time.monotonic() + (-1 if late else 5), ())

    assert "connect_timeout" == caught.value.kind


@pytest.mark.parametrize(
    ("error", "fatal"), [(socket.gaierror(socket.EAI_NONAME, "unknown"), True), (socket.gaierror(socket.EAI_AGAIN, "later"), False)]
)
def test_a_name_that_leads_nowhere(monkeypatch: pytest.MonkeyPatch, error: OSError, fatal: bool) -> None:
    """The resolver's word is kept."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fail)

    with pytest.raises(TransportError) as caught:
        open_socket("host", 80, math.inf, ())

    assert ("dns", fatal, None) == (caught.value.kind, caught.value.fatal, caught.value.__context__)


def test_a_name_that_is_none() -> None:
    """A label of more than 63 characters cannot be asked for."""
    with pytest.raises(TransportError) as caught:
        open_socket("a" * 64 + ".com", 80, math.inf, ())

    assert ("dns", True) == (caught.value.kind, caught.value.fatal)


def test_no_descriptor_is_this_machines_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says nothing about the peer."""

    def fail(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(socket, "getaddrinfo", addresses(1))
    monkeypatch.setattr(socket, "socket", fail)

    with pytest.raises(TransportError) as caught:
        open_socket("host", 80, math.inf, ())

    assert ("connect", True) == (caught.value.kind, caught.value.local)


def test_a_peer_that_does_not_take_the_request() -> None:
    """Sending is bounded by the same silence as reading, and the error does not hold the head."""
    ours, theirs = socket.socketpair()
    ours.settimeout(0.02)
    exchange = Exchange(method="POST", host="host", timeout=Timeout(), stream=False)

    with ours, theirs, pytest.raises(TransportError) as caught:
        send_request(ours, b"head", b"x" * 10_000_000, exchange)

    assert ("read_timeout", None) == (caught.value.kind, caught.value.__context__)

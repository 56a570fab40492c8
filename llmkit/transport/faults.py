"""
What an error of the operating system or of TLS says about a connection.

Rule 1: the answer is a new ``TransportError`` whose text names the peer and the fault; the error itself is let go, since its frames
        may hold what was sent.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl

from llmkit.transport.base import TransportError, TransportErrorKind

__all__ = ["connect_failure", "dns_failure", "is_peer_gone", "read_failure"]

# Faults of this machine: no descriptor, no memory, no port left.
_LOCAL = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL, errno.EAGAIN})
_GONE = frozenset({errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED, errno.ESHUTDOWN, errno.ENOTCONN, errno.EPROTOTYPE})

_UNKNOWN_NAME = frozenset(
    getattr(socket, name) for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY", "EAI_FAMILY") if hasattr(socket, name)
)
_LOCAL_DNS = frozenset(getattr(socket, name) for name in ("EAI_MEMORY", "EAI_SYSTEM") if hasattr(socket, name))

# http.client says it in words only.
_TUNNEL_REFUSED = r"Tunnel connection failed: (\d{3})"


def dns_failure(host: str, error: OSError | UnicodeError) -> TransportError:
    """Return what the failure of ``getaddrinfo`` means: fatal where the name is not known, not where nobody could be asked."""
    if isinstance(error, UnicodeError):
        return TransportError("dns", f"{host[:100]!r} is not a host name", fatal=True)
    fatal = error.errno in _UNKNOWN_NAME
    return TransportError("dns", f"{host}: {error.strerror or error}", fatal=fatal, local=error.errno in _LOCAL_DNS)


def connect_failure(peer: str, error: Exception) -> TransportError:
    """Return what it means that no connection to *peer* came about."""
    refused = re.search(_TUNNEL_REFUSED, str(error))
    if refused is not None:
        # 5xx is the proxy's bad moment; 407, 403 and the like is its last word.
        return TransportError("proxy", f"the proxy {peer} answered {refused[1]} to CONNECT", fatal=refused[1] < "500")
    if isinstance(error, ssl.SSLError) and not isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)):
        return TransportError("tls", f"{peer}: {_tls_reason(error)}", fatal=True)
    if isinstance(error, TimeoutError):
        return TransportError("connect_timeout", f"{peer} did not answer in time")
    if isinstance(error, OSError):
        # asyncio has a text of its own, which says less than the system's.
        reason = os.strerror(error.errno) if error.errno else error.strerror or error
        return TransportError("connect", f"{peer}: {reason}", local=error.errno in _LOCAL)
    return TransportError("connect", f"{peer}: no connection came about ({type(error).__name__})")


def read_failure(peer: str, error: OSError, *, begun: bool, reused: bool) -> TransportError:
    """
    Return what an error means that ended the exchange with *peer*.

    Args:
        begun: A byte of the response has come.
        reused: The connection had served before.
    """
    # The system gives up on a peer whose keep-alive probes stay unanswered with a time-out that has a number; a socket's own has none.
    if isinstance(error, TimeoutError) and error.errno != errno.ETIMEDOUT:
        return TransportError("read_timeout", f"{peer} sent nothing in the time allowed")
    reason = error.strerror or type(error).__name__
    if isinstance(error, ssl.SSLError):
        reason = _tls_reason(error)
        if not begun and not reused and "ALERT" in reason.upper():
            # In TLS 1.3 a server refuses the client's certificate after the handshake.
            return TransportError("tls", f"{peer}: {reason}", fatal=True)
    kind: TransportErrorKind = "truncated" if begun else "connection_lost"
    return TransportError(kind, f"{peer}: {reason}", reused=reused and not begun)


def is_peer_gone(error: OSError) -> bool:
    """Whether the peer reads no more; it may have answered before."""
    return error.errno in _GONE or isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError))


def _tls_reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate cannot be trusted: {getattr(error, 'verify_message', '') or error}"
    return f"TLS failed: {error.reason or error.strerror or type(error).__name__}"

"""
What both transports are told: whom to trust, which proxy to take, how many connections to hold.

Rule 1: the twins decide nothing of this themselves, so that they cannot decide differently.
Rule 2: the environment is read once per settings object, when it is first asked for.
Rule 3: whoever only holds settings pays for no TLS and no ``urllib.request``: they are imported where they are used.
"""

from __future__ import annotations

import os
import socket
import sys
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, unquote, urlsplit

from attrs import field

from llmkit.transport.base import TransportError
from llmkit.values import frozen

if TYPE_CHECKING:
    import ipaddress
    import ssl

__all__ = ["SOCKET_OPTIONS", "ProxyUrl", "TransportSettings"]

# Routers and load balancers forget silent connections after 60 to 350 s without telling anybody; while a model thinks,
# nothing but these probes passes. A peer that is gone is noticed after 60 + 4 x 30 s.
_KEEPALIVE = {
    "TCP_KEEPIDLE": 60,  # seconds of silence before the first probe
    "TCP_KEEPALIVE": 60,  # the same on macOS
    "TCP_KEEPINTVL": 30,  # seconds between probes
    "TCP_KEEPCNT": 4,  # probes without an answer before the connection counts as lost
}

SOCKET_OPTIONS: tuple[tuple[int, int, int], ...] = (
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *((socket.IPPROTO_TCP, getattr(socket, name), n) for name, n in _KEEPALIVE.items() if hasattr(socket, name)),
)

_HAS_SYSTEM_PROXIES = sys.platform in ("darwin", "win32")
_CA_FILES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")  # a file or a directory; the first that is set


class ProxyUrl(str):
    """The URL of a proxy, which may hold a password. Its ``repr`` shows no user and no password."""

    __slots__ = ()

    @property
    def userinfo(self) -> str | None:
        """``user:password`` as it goes, in base64, into ``Proxy-Authorization``."""
        parts = urlsplit(self)
        if parts.username is None:
            return None
        return f"{unquote(parts.username)}:{unquote(parts.password or '')}"

    @property
    def without_userinfo(self) -> str:
        scheme, colon, rest = self.rpartition("://")
        return f"{scheme}{colon}{rest.rpartition('@')[2]}"

    def __repr__(self) -> str:
        return f"ProxyUrl({self.without_userinfo!r})"


class _Proxies(dict[str, ProxyUrl]):
    """Proxies by scheme or origin; ``repr`` shows no password."""

    __slots__ = ()

    def __init__(self, proxies: Mapping[str, str | None]) -> None:
        super().__init__({key: ProxyUrl(url or "") for key, url in proxies.items()})

    def __reduce__(self) -> tuple[type[_Proxies], tuple[dict[str, str]]]:
        return _Proxies, ({key: str(url) for key, url in self.items()},)


class _Memory(dict[Any, Any]):
    """
    What was found out once: the proxy of each origin, and under its name the TLS context and the environment's proxies.

    It stays behind when its owner is copied or pickled: a TLS context can be neither.
    """

    __slots__ = ()

    def __reduce__(self) -> tuple[type[_Memory], tuple[()]]:
        return _Memory, ()


def _as_proxies(proxies: Mapping[str, str] | None) -> Mapping[str, str] | None:
    return None if proxies is None else _Proxies(proxies)


@frozen(kw_only=True)
class TransportSettings:
    """
    How connections are made.

    Args:
        verify: True to check certificates against the environment's or certifi's authorities, a CA file or directory
            (hashed as ``openssl rehash`` does) to check against that, False not to check.
        cert: The client's certificate: one file with certificate and key, or the two files.
        proxies: Proxy URLs by ``http``, ``https``, ``all``, ``https://host`` or ``all://host``; an empty one means
            none, and ``no_proxy`` lists what the environment's proxies are not used for.
        trust_env: Whether proxies and authorities are also looked for in the environment.
        max_connections: The most connections to one origin.
        public_only: Whether nothing is sent but to addresses of the public internet. A proxy is then refused, since it looks names up
            where nobody here can see it.
    """

    verify: bool | str = True
    cert: str | tuple[str, str] | None = None
    proxies: Mapping[str, str] | None = field(default=None, converter=_as_proxies, hash=False)
    trust_env: bool = True
    max_connections: int = 100
    public_only: bool = False
    _memory: _Memory = field(factory=_Memory, init=False, repr=False, eq=False)

    def proxy_for(self, url: str) -> ProxyUrl | None:
        """
        Return the proxy through which *url* is reached, or None.

        Explicit proxies win; then ``http_proxy``, ``https_proxy``, ``all_proxy`` and ``no_proxy`` in lower or upper
        case, as in requests (where there are none, macOS and Windows give their system's).

        Raises:
            TransportError: ``config`` for a proxy that is not reached over http or https, or a URL that is none.
        """
        # The origin: everything up to the first slash behind "https://".
        origin = url[: url.find("/", 8)] if "/" in url[8:] else url
        if origin not in self._memory:
            self._memory[origin] = self._permitted(self._find_proxy(_split(origin)))
        found: ProxyUrl | None = self._memory[origin]
        return found

    def ssl_context(self) -> ssl.SSLContext:
        """
        Return the one TLS context of these settings: TLS 1.2 at least.

        Raises:
            TransportError: ``config`` for a file that is missing or holds no certificate, with its path.
        """
        context: ssl.SSLContext | None = self._memory.get("context")
        if context is None:
            # Two threads may both make one; all use the one that was first.
            context = self._memory.setdefault("context", self._make_context())
        return context

    def _permitted(self, proxy: ProxyUrl | None) -> ProxyUrl | None:
        if proxy is None or not self.public_only:
            return proxy
        msg = "untrusted_base_url=True cannot be kept to through a proxy, which looks names up by itself; trust_env=False passes it over"
        raise TransportError("config", msg, fatal=True)

    def _find_proxy(self, url: SplitResult) -> ProxyUrl | None:
        from urllib.request import getproxies, proxy_bypass

        own = _Proxies(self.proxies or {})
        explicit = _select(own, url)
        if explicit is not None:
            return _checked_proxy(explicit)
        if not self.trust_env or not url.hostname:
            return None
        environment: _Proxies | None = self._memory.get("environment")
        if environment is None:
            environment = self._memory.setdefault("environment", _Proxies(getproxies()))
        no_proxy = own.get("no_proxy") or environment.get("no") or ""
        if _is_exempt(url, no_proxy) or (_HAS_SYSTEM_PROXIES and not no_proxy and proxy_bypass(url.hostname)):
            return None
        found = _select(environment, url)
        return None if found is None else _checked_proxy(found)

    def _make_context(self) -> ssl.SSLContext:
        import ssl

        if self.verify is False:
            msg = "Certificates are not checked (verify=False): anybody on the way can read the keys."
            warnings.warn(msg, stacklevel=4)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        else:
            context = self._verifying_context()
        context.minimum_version = max(context.minimum_version, ssl.TLSVersion.TLSv1_2)
        context.set_alpn_protocols(["http/1.1"])
        if self.cert is not None:
            _load_cert(context, self.cert)
        return context

    def _verifying_context(self) -> ssl.SSLContext:
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        for name, path in self._authorities():
            _load_authorities(context, name, path)
        return context

    def _authorities(self) -> Iterator[tuple[str, str]]:
        """Yield what to trust: who named the path, and the path."""
        if isinstance(self.verify, str):
            yield "verify", self.verify
            return
        environ: Mapping[str, str] = os.environ if self.trust_env else {}
        for name in _CA_FILES:
            if environ.get(name):
                yield name, environ[name]
                return
        file, folders = environ.get("SSL_CERT_FILE"), environ.get("SSL_CERT_DIR")
        if file:
            yield "SSL_CERT_FILE", file
        for folder in (folders or "").split(os.pathsep):
            if folder:
                yield "SSL_CERT_DIR", folder
        if not file and not folders:
            import certifi

            yield "certifi", certifi.where()


def _split(origin: str) -> SplitResult:
    try:
        parts = urlsplit(origin)
        is_fit = parts.port is None or parts.port > 0
    except ValueError:
        is_fit = False
    if not is_fit:
        msg = "the URL has a bad host name or port"
        raise TransportError("config", msg, fatal=True)
    return parts


def _select(proxies: Mapping[str, ProxyUrl], url: SplitResult) -> ProxyUrl | None:
    for key in (f"{url.scheme}://{url.hostname}", url.scheme, f"all://{url.hostname}", "all"):
        if key in proxies:
            return proxies[key]
    return None


def _checked_proxy(proxy: ProxyUrl) -> ProxyUrl | None:
    if not proxy:
        return None
    url = proxy if "://" in proxy else ProxyUrl(f"http://{proxy}")
    scheme = url.partition("://")[0].lower()
    if scheme.startswith("socks"):
        msg = f"a {scheme} proxy is not supported; http and https proxies are"
    elif scheme not in ("http", "https"):
        msg = f"a proxy is reached over http or https, not over {scheme!r}"
    elif not _has_host_and_port(url):
        msg = "the URL of the proxy lacks a host name or has a bad port"
    else:
        return url
    raise TransportError("config", msg, fatal=True)


def _has_host_and_port(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def _is_exempt(url: SplitResult, no_proxy: str) -> bool:
    """Whether *no_proxy* names the host: a name or its end, with or without port, an address, a network, ``*``."""
    host = url.hostname or ""
    entries = [entry for entry in no_proxy.replace(" ", "").lower().split(",") if entry]
    if "*" in entries:
        return True
    address = _address(host)
    if address is not None:
        return any(_covers(entry, address, url.port) for entry in entries)
    host_and_port = f"{host}:{url.port}" if url.port else host
    # As in requests, an entry is the end of a name: "example.com" also exempts "an-example.com".
    return any(host.endswith(entry) or host_and_port.endswith(entry) for entry in entries)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    import ipaddress

    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _covers(entry: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int | None) -> bool:
    if entry in (f"{address}:{port}", f"[{address}]", f"[{address}]:{port}"):
        return True
    import ipaddress

    try:
        return address in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False


def _load_authorities(context: ssl.SSLContext, name: str, path: str) -> None:
    if not os.path.exists(path):
        msg = f"the certificate authorities that {name} names are not there: {path}"
        raise TransportError("config", msg, fatal=True)
    if os.path.isdir(path):
        context.load_verify_locations(capath=path)
        return
    reason = None
    try:
        context.load_verify_locations(cafile=path)
    except OSError as error:  # also an SSLError
        reason = error.strerror or str(error)
    if reason is not None:
        msg = f"the certificate authorities that {name} names cannot be loaded: {path} ({reason})"
        raise TransportError("config", msg, fatal=True)


def _load_cert(context: ssl.SSLContext, cert: str | tuple[str, str]) -> None:
    files = (cert,) if isinstance(cert, str) else cert
    for path in files:
        if not os.path.isfile(path):
            msg = f"the client certificate is not there: {path}"
            raise TransportError("config", msg, fatal=True)
    reason = None
    try:
        # Without a password of ours, OpenSSL would ask for one at the terminal and wait.
        context.load_cert_chain(files[0], files[-1], password=b"")
    except (OSError, ValueError) as error:
        reason = str(error)
    if reason is not None:
        msg = f"the client certificate cannot be loaded: {', '.join(files)} ({reason})"
        raise TransportError("config", msg, fatal=True)

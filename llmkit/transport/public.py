"""
Which addresses are of the public internet: the only ones that a name may lead to which somebody else has given.

Source: the IANA special-purpose address registries for IPv4 and IPv6 (RFC 6890), as ``ipaddress`` has them; RFC 6052 for NAT64.
"""

from __future__ import annotations

from llmkit.transport.base import TransportError

__all__ = ["check_public"]


def check_public(host: str, address: str) -> None:
    """
    Refuse *address*, one that *host* leads to, if it is loopback, private, link-local or otherwise not of the public internet.

    It is to be called with the very address that is connected to: between two look-ups a name may lead elsewhere.

    Raises:
        TransportError: ``config``; it names both.
    """
    if not _is_public(address):
        msg = f"{host} leads to {address}, which is not of the public internet: untrusted_base_url=True lets nothing be sent there"
        raise TransportError("config", msg, fatal=True)


def _is_public(text: str) -> bool:
    import ipaddress

    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        # Of a network of one's own (RFC 8215), which older versions of ipaddress do not know.
        is_local = address.is_site_local or address in ipaddress.ip_network("64:ff9b:1::/48")
        if is_local or address.teredo is not None:
            return False
        # Ways to write an IPv4 address: what counts is where the packets end up.
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return _is_public(str(inner))
    return address.is_global and not address.is_multicast

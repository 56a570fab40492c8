"""Which addresses are of the public internet, and that nothing is sent to others when that was asked for."""

from __future__ import annotations

import pytest

from llmkit.transport.base import TransportError
from llmkit.transport.public import check_public


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.215.14", "2606:4700::1111", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_a_public_address_is_let_through(address: str) -> None:
    """However it is written."""
    check_public("api.example.com", address)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.9.10", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254"),
        *("100.64.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "239.1.2.3", "240.0.0.1", "255.255.255.255"),
        *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "2001:db8::1"),
        *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:a00:1::"),
        *("2001:0:7f00:1::", "64:ff9b:1::1", "nonsense", ""),
    ],
)  # fmt: skip
def test_another_address_is_refused(address: str) -> None:
    """Loopback, private, link-local with the clouds' metadata, and every way to write them in IPv6."""
    with pytest.raises(TransportError, match="not of the public internet") as caught:
        check_public("gateway.example.com", address)

    assert ("config", True) == (caught.value.kind, caught.value.fatal)

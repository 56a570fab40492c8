"""What stands in for a client's own transport."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from llmkit import Client, ConfigurationError
from llmkit.testing import MockTransport
from llmkit.transport.base import HttpRequest, HttpResponse, Timeout, Transport, TransportError
from llmkit.transport.standing_in import atransport_for, current_stand_in, needs_key, standing_in, transport_for


class Plain:
    """A transport that counts how often it was closed."""

    closed = 0

    def send(self, request: HttpRequest, *, timeout: Timeout, stream: bool = False) -> HttpResponse:
        raise TransportError("connect", "nowhere")

    def close(self) -> None:
        self.closed += 1


class Maker:
    """Makes a transport for each client."""

    def __init__(self) -> None:
        self.made: list[Plain] = []

    def make(self, own: Callable[[], Transport]) -> Transport:
        self.made.append(Plain())
        return self.made[-1]

    def amake(self, own: Callable[[], Any]) -> Any:
        return own()


def test_a_client_closes_what_was_made_for_it_and_not_what_it_was_given() -> None:
    """A transport may serve several clients."""
    given, maker = Plain(), Maker()

    for transport in (given, maker):
        Client("openai/gpt-4o-mini", api_key="sk-0123456789", transport=transport).close()

    assert 0 == given.closed
    assert [1] == [made.closed for made in maker.made]


def test_a_transport_is_itself_and_nothing_is_ones_own() -> None:
    """In both twins."""
    plain, own = Plain(), Plain()

    assert plain is transport_for(plain, lambda: own)
    assert own is transport_for(None, lambda: own)
    assert own is atransport_for(Maker(), lambda: own)  # type: ignore[arg-type, return-value]


def test_what_holds_for_a_block_ends_with_it() -> None:
    """Blocks may be nested; the inner one counts."""
    outer, inner = Plain(), Plain()

    with standing_in(outer):
        with standing_in(inner):
            assert inner is current_stand_in()
        assert outer is current_stand_in()

    assert current_stand_in() is None


def test_a_key_is_needed_unless_it_is_said_otherwise() -> None:
    """A transport of one's own reaches a network as any other."""
    with pytest.raises(ConfigurationError, match="no key"):
        Client("openai/gpt-4o-mini", transport=Plain())

    assert needs_key(None)
    assert not needs_key(MockTransport())


def test_an_address_that_is_somebody_elses_may_be_recorded_and_mocked() -> None:
    """What is recorded goes through the client's own transport, and a mock sends nothing; another transport may do anything."""
    Client("openai/gpt-4o-mini", untrusted_base_url=True, transport=MockTransport())

    with pytest.raises(ConfigurationError, match="nobody would"):
        Client("openai/gpt-4o-mini", api_key="sk-0123456789", untrusted_base_url=True, transport=Plain())

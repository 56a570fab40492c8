from __future__ import annotations

from typing import Any

import pytest

from llmkit import ConfigurationError, Shared
from llmkit.shared.address import shared_of


@pytest.mark.parametrize(
    "url", ["redis://localhost", "redis://localhost:6380/3", "rediss://u:p@cache.example:6380/0", "unix:///run/redis.sock"]
)
def test_an_address_is_taken(url: str) -> None:
    """In each of the forms that redis itself knows."""
    shared = shared_of(url)

    assert shared is not None
    assert url == shared.url
    assert "local" == shared.on_loss


@pytest.mark.parametrize(
    "given",
    [
        "localhost:6379",
        "http://localhost:6379",
        "redis://",
        "redis://localhost:notaport",
        "redis://localhost:0",
        "redis://[::1",
        "unix://",
        6379,
        b"redis://localhost",
        True,
    ],
)
def test_what_is_no_address_is_refused_by_name(given: Any) -> None:
    """At the door; the error shows the form, and not what was given."""
    with pytest.raises(ConfigurationError, match=r"^shared is the address of a Redis, such as redis://host:6379/0"):
        shared_of(given)


def test_options_may_stand_in_the_address() -> None:
    """Ours are taken out of it, redis's own are left."""
    shared = shared_of("redis://localhost/1?on_loss=fail&timeout=0.1&processes=4&namespace=team&socket_keepalive=True")

    assert Shared("redis://localhost/1?socket_keepalive=True", on_loss="fail", timeout=0.1, processes=4, namespace="team") == shared


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("redis://h?on_loss=ignore", "on_loss"),
        ("redis://h?timeout=soon", "timeout"),
        ("redis://h?timeout=0", "timeout"),
        ("redis://h?timeout=60", "timeout"),
        ("redis://h?processes=0", "processes"),
        ("redis://h?processes=many", "processes"),
        ("redis://h?namespace=", "namespace"),
        ("redis://h?namespace=%7Bx%7D", "namespace"),
    ],
)
def test_an_option_out_of_range_is_refused_by_name(given: str, named: str) -> None:
    """At the door."""
    with pytest.raises(ConfigurationError, match=named):
        shared_of(given)


@pytest.mark.parametrize("url", ["redis://user:canary@h:1/2", "redis://:can%61ry@h:1/2", "redis://h:1/2?password=canary"])
def test_a_password_is_not_shown(url: str) -> None:
    """Wherever it stands."""
    shared = shared_of(url)

    assert shared is not None
    assert "redis://h:1/2" == shared.where
    assert "canary" not in repr(shared)
    assert "can%61ry" not in repr(shared)
    assert "canary" in shared.secrets


def test_a_wrong_address_with_a_password_is_refused_without_it() -> None:
    """The error is read by strangers."""
    with pytest.raises(ConfigurationError) as caught:
        shared_of("rdis://user:canary@h:1/2")

    assert "canary" not in str(caught.value)

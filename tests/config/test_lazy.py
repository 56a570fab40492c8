"""Clients that are made when they are first asked for."""

from __future__ import annotations

import threading

import pytest

from llmkit import ConfigurationError
from llmkit.config.lazy import LazyClients
from llmkit.config.tables import Table

ONE, TWO = Table(values={"model": "openai/a"}), Table(values={"model": "openai/b"})


class Maker:
    """Makes numbers, and remembers for whom."""

    def __init__(self) -> None:
        self.asked: list[Table] = []

    def __call__(self, table: Table) -> int:
        self.asked.append(table)
        return len(self.asked)


def test_nothing_is_made_before_it_is_asked_for() -> None:
    """Nor by looking at the names; and then once."""
    make = Maker()
    clients = LazyClients({"one": ONE, "two": TWO}, make)

    assert ["one", "two"] == list(clients)
    assert 2 == len(clients)
    assert "one" in clients
    assert "three" not in clients
    assert [] == make.asked
    assert [1, 1, 2] == [clients["two"], clients["two"], clients["one"]]
    assert [TWO, ONE] == make.asked


def test_tables_may_stand_by_provider_and_model() -> None:
    """Each level is a mapping, and the same one each time."""
    clients = LazyClients({"openai": {"one": ONE, "two": TWO}}, Maker())

    assert clients["openai"] is clients["openai"]
    assert 1 == clients["openai"]["two"]
    assert clients.get("ollama") is None


def test_a_name_that_is_not_there_is_a_key_error_with_the_nearest() -> None:
    """As of any mapping."""
    clients = LazyClients({"prod": ONE}, Maker())

    with pytest.raises(KeyError, match=r"There is no 'prd'\. Did you mean 'prod'"):
        clients["prd"]


def test_what_cannot_be_made_is_tried_again() -> None:
    """A variable may have been set meanwhile."""
    tries = iter([ConfigurationError("no key"), None])

    def make(table: Table) -> str:
        error = next(tries)
        if error is not None:
            raise error
        return "made"

    clients = LazyClients({"one": ONE}, make)

    with pytest.raises(ConfigurationError):
        clients["one"]
    assert "made" == clients["one"]


def test_threads_get_the_same_client() -> None:
    """It is made once."""
    make = Maker()
    clients = LazyClients({"one": ONE}, make)
    gate, got = threading.Barrier(8), []

    def ask() -> None:
        gate.wait()
        got.append(clients["one"])

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [1] * 8 == got
    assert 1 == len(make.asked)


def test_shutting_gives_what_was_made_and_makes_no_more() -> None:
    """On both levels."""
    clients = LazyClients({"openai": {"one": ONE, "two": TWO}, "other": TWO}, Maker())
    of_openai = clients["openai"]
    of_openai["one"]

    assert [1] == clients.shut()
    assert [1] == clients.shut()
    assert 1 == of_openai["one"]
    with pytest.raises(ConfigurationError, match="closed"):
        of_openai["two"]
    with pytest.raises(ConfigurationError, match="closed"):
        clients["other"]


def test_a_forked_child_is_not_held_up() -> None:
    """By a lock that another thread held at the moment of the fork."""
    clients = LazyClients({"one": ONE}, Maker())
    clients._lock.acquire()

    clients.renew()

    assert 1 == clients["one"]


def test_only_names_are_shown() -> None:
    """No key."""
    assert "LazyClients(one)" == repr(LazyClients({"one": Table(values={"api_key": "sk-canary"})}, Maker()))

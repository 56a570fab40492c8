from __future__ import annotations

import gc
import os
import socket
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from llmkit import ConfigurationError, Shared, SharedStateError
from llmkit.shared import store as module
from llmkit.shared.scripts import Script
from llmkit.shared.store import Lost, Store

ADD = Script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
LIST = Script("return redis.call('RPUSH', KEYS[1], ARGV[1])")

Until = Callable[..., None]


def test_a_script_decides(stores: Any) -> None:
    """And what it says is returned."""
    store = stores()

    assert [2, 5] == [store.decide(ADD, ["x"], [2]), store.decide(ADD, ["x"], [3])]


def test_flushed_scripts_are_sent_again(stores: Any, redis_server: Any) -> None:
    """A decision and a note both notice that Redis does not know them any more."""
    store = stores()
    store.decide(ADD, ["x"], [1])
    redis_server.ask("SCRIPT", "FLUSH")

    store.note(ADD, ["x"], [1])
    store.flush()
    redis_server.ask("SCRIPT", "FLUSH")

    assert 3 == store.decide(ADD, ["x"], [1])


def test_what_was_noted_is_written_before_the_next_decision(stores: Any) -> None:
    """In order: a process always knows what it did itself."""
    store = stores()

    for number in range(500):
        store.note(LIST, ["x"], [number])

    assert 501 == store.decide(LIST, ["x"], ["last"])
    assert [str(number).encode() for number in range(500)] == stores.server.ask("LRANGE", "x", 0, -2)


def test_a_lost_redis_is_found_again(stores: Any, redis_server: Any, until: Until) -> None:
    """By itself, and by one thread; until then nobody waits for it."""
    store = stores()
    store.decide(ADD, ["x"], [1])
    redis_server.stop()
    for _ in range(3):
        with pytest.raises(Lost):
            store.decide(ADD, ["x"], [1])

    redis_server.start()
    until(lambda: not store.is_lost)

    assert 1 == store.decide(ADD, ["x"], [1])


def test_a_lost_redis_is_asked_by_one_thread_alone(stores: Any, until: Until) -> None:
    """A crowd would make it worse."""
    store = stores()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store._client.connection_pool.connection_kwargs["port"] = silent.getsockname()[1]
        silent.settimeout(0.01)
        errors: list[Exception] = []

        def ask() -> None:
            try:
                store.decide(ADD, ["x"], [1])
            except Lost as error:
                errors.append(error)

        threads = [threading.Thread(target=ask) for _ in range(30)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(5)

        connections = 0
        with pytest.raises(TimeoutError):
            while True:
                silent.accept()[0].close()
                connections += 1

    assert 30 == len(errors)
    assert connections <= 5


def test_a_silent_redis_costs_a_bounded_time(stores: Any) -> None:
    """Once: after that it is known to be lost."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = Store(Shared(f"redis://127.0.0.1:{silent.getsockname()[1]}", timeout=0.05))
        started = time.monotonic()
        for _ in range(20):
            with pytest.raises(Lost):
                store.decide(ADD, ["x"], [1])

        assert time.monotonic() - started < 0.5


def test_a_redis_that_refuses_to_write_is_lost(stores: Any, redis_server: Any, until: Until) -> None:
    """What has no memory left, or is a replica, shares nothing; and that passes."""
    store = stores()
    store.decide(ADD, ["x"], [1])
    redis_server.ask("CONFIG", "SET", "maxmemory", "1")
    with pytest.raises(Lost):
        store.decide(ADD, ["x"], [1])

    redis_server.ask("CONFIG", "SET", "maxmemory", "0")
    until(lambda: not store.is_lost)

    assert 2 == store.decide(ADD, ["x"], [1])


def test_a_connection_that_was_closed_meanwhile_is_no_loss(stores: Any, redis_server: Any) -> None:
    """Redis and what stands between close those that lie idle."""
    store = stores()
    store.decide(ADD, ["x"], [1])
    redis_server.ask("CLIENT", "KILL", "TYPE", "normal")

    assert 2 == store.decide(ADD, ["x"], [1])
    assert not store.is_lost


def test_a_loss_may_be_an_error(stores: Any, redis_server: Any) -> None:
    """It says where Redis was, what to do and when to come again."""
    store = stores(on_loss="fail")
    redis_server.stop()

    with pytest.raises(SharedStateError) as caught:
        store.decide(ADD, ["x"], [1])

    assert f"redis://127.0.0.1:{redis_server.port}/0" in str(caught.value)
    assert caught.value.retryable
    assert caught.value.retry_after


def test_a_password_is_in_no_log_and_no_error(stores: Any, redis_server: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Redis was asked with a wrong one, and said so."""
    redis_server.ask("CONFIG", "SET", "requirepass", "right")
    store = Store(Shared(f"redis://:canary-wrong@127.0.0.1:{redis_server.port}/0", on_loss="fail"))

    with pytest.raises(SharedStateError) as caught:
        store.decide(ADD, ["x"], [1])

    assert "AuthenticationError" in caplog.text
    assert "canary" not in caplog.text + str(caught.value) + repr(store) + str(caught.value.to_dict())


def test_what_cannot_be_noted_is_told_to_its_writer(stores: Any, redis_server: Any) -> None:
    """Both what was waiting when Redis was lost and what comes after that."""
    store = stores()
    store.decide(ADD, ["x"], [1])
    redis_server.stop()
    dropped: list[int] = []

    store.note(ADD, ["x"], [1], dropped=lambda: dropped.append(1))
    store.flush()
    store.note(ADD, ["x"], [1], dropped=lambda: dropped.append(2))

    assert [1, 2] == dropped


def test_no_more_wait_to_be_written_than_fit(stores: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A slow Redis must not fill the memory; that something was dropped is said once."""
    monkeypatch.setattr(module, "MOST_NOTES", 10)
    store = stores()
    monkeypatch.setattr(store, "_start", lambda: None)
    dropped: list[int] = []

    for number in range(15):
        store.note(ADD, ["x"], [1], dropped=lambda number=number: dropped.append(number))

    assert [10, 11, 12, 13, 14] == dropped
    assert 1 == caplog.text.count("is too slow")


def test_processes_are_counted(stores: Any) -> None:
    """All that gave a sign of life; and never fewer than were said to be there."""
    first, second, third = stores(), stores(), stores(processes=7)

    for store in (first, second, third):
        store.decide(ADD, ["x"], [1])

    assert [1, 2, 7] == [store.processes for store in (first, second, third)]


def test_a_store_that_nobody_uses_ends(stores: Any, until: Until) -> None:
    """Its thread and its connections with it."""
    store = Store(Shared(stores.server.url))
    store.decide(ADD, ["x"], [1])
    thread = store._thread
    assert thread is not None
    gone = weakref.ref(store)

    del store
    gc.collect()

    until(lambda: not thread.is_alive())
    assert gone() is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_is_a_process_of_its_own(stores: Any, redis_server: Any) -> None:
    """With another name, another connection and another thread."""
    store = stores()
    store.decide(ADD, ["x"], [1])
    read, write = os.pipe()

    child = os.fork()
    if child == 0:
        try:
            found = store.decide(ADD, ["x"], [1])
            store.note(ADD, ["x"], [1])
            store.flush()
            os.write(write, f"{found} {store.processes} {store.process}".encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    found, count, name = os.read(read, 1000).decode().split()
    os.close(read)
    os.close(write)

    assert ("2", "2") == (found, count)
    assert name != store.process
    assert 4 == store.decide(ADD, ["x"], [1])


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that brings it."""
    monkeypatch.setitem(sys.modules, "redis", None)

    with pytest.raises(ConfigurationError, match=r"pip install 'llmkit\[redis\]'"):
        Store(Shared("redis://localhost"))


@pytest.mark.parametrize("option", ["on_los=fail", "db=x", "ssl_nonsense=1"])
def test_an_unknown_option_is_refused_by_name(option: str) -> None:
    """At the door, before anything is connected."""
    pytest.importorskip("redis")

    with pytest.raises(ConfigurationError, match="an option that redis does not take"):
        Store(Shared(f"redis://localhost/0?{option}"))

"""The thread that shuts sockets down when their time is over."""

from __future__ import annotations

import gc
import math
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from llmkit.transport import watchdog
from llmkit.transport.watchdog import watch

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Two connected sockets; reading waits two seconds at most."""
    ours, theirs = socket.socketpair()
    ours.settimeout(2)
    theirs.settimeout(2)
    yield ours, theirs
    ours.close()
    theirs.close()


def soon(seconds: float = 0.02) -> float:
    return time.monotonic() + seconds


def test_a_read_ends_when_the_time_is_over(pair: Pair) -> None:
    """It ends like a connection that the peer closed; only ``fired`` tells."""
    watching = watch(pair[0], soon())

    assert b"" == pair[0].recv(1)
    assert watching.fired
    assert watching.stop()


def test_a_time_that_is_over_already_fires(pair: Pair) -> None:
    """A watch may begin late."""
    watch(pair[0], soon(-1))

    assert b"" == pair[0].recv(1)


def test_a_stopped_watch_leaves_its_socket_alone(pair: Pair) -> None:
    """Stopping twice is allowed and says the same."""
    watching = watch(pair[0], soon())
    stopped = [watching.stop(), watching.stop()]
    later = watch(pair[1], soon(0.04))

    assert [False, False] == stopped
    assert b"" == pair[0].recv(1)
    assert (False, True) == (watching.fired, later.fired)


def test_the_earliest_fires_first(pair: Pair) -> None:
    """A later watch does not hide an earlier one that comes after it."""
    late, early = pair
    watching = watch(late, soon(60))
    watch(early, soon())

    assert b"" == early.recv(1)
    assert not watching.stop()


def test_an_end_can_be_moved_both_ways(pair: Pair) -> None:
    """Later while the thread sleeps towards the old time, then earlier than it would wake."""
    watching = watch(pair[0], soon(0.01))
    watching.move(soon(60))
    time.sleep(0.02)
    assert not watching.fired

    watching.move(soon(0.01))

    assert b"" == pair[0].recv(1)


def test_a_watch_can_pause(pair: Pair) -> None:
    """``until`` may also be set freely; infinity is a pause, out of which ``move`` leads."""
    watching = watch(pair[0], soon(0.01))
    watching.until = math.inf
    time.sleep(0.02)
    assert not watching.fired

    watching.move(soon(0.01))

    assert b"" == pair[0].recv(1)


def test_many_watches_fire(pair: Pair) -> None:
    """All that are due, in whatever order they came, and none of the others."""
    pairs = [socket.socketpair() for _ in range(50)]
    watches = [watch(ours, soon(60 if number % 2 else 0.01 + number % 7 / 500)) for number, (ours, _) in enumerate(pairs)]

    for number, (ours, theirs) in enumerate(pairs):
        ours.settimeout(2)
        if number % 2 == 0:
            assert b"" == ours.recv(1)
        assert (number % 2 == 0) == watches[number].stop()
        ours.close()
        theirs.close()


def test_a_closed_socket_does_no_harm(pair: Pair) -> None:
    """The thread goes on when a watched socket is gone."""
    gone, other = socket.socketpair()
    watching = watch(gone, soon(0.005))
    gone.close()
    other.close()

    watch(pair[0], soon(0.01))

    assert b"" == pair[0].recv(1)
    assert watching.fired


def test_nothing_is_kept_of_what_is_over(pair: Pair) -> None:
    """However many watches there were, the thread holds the living ones only, and it is one thread."""
    gc.collect()
    before = len(watchdog._dog.watches)
    for _ in range(10_000):
        watch(pair[0], soon(60)).stop()

    assert before == len(watchdog._dog.watches)
    assert 1 == sum(thread.name == "llmkit-watchdog" for thread in threading.enumerate())


def test_a_watch_that_ends_in_time_wakes_nobody(pair: Pair) -> None:
    """Once the thread waits for some time, watches that end later do not touch it."""
    anchor = watch(pair[0], soon(30))
    deadline = soon(2)
    while watchdog._dog.wakes_at != anchor.until and time.monotonic() < deadline:
        time.sleep(0.001)
    wakes = []
    real = watchdog._dog.wake
    watchdog._dog.wake = lambda: wakes.append(1) or real()  # type: ignore[method-assign, func-returns-value]

    try:
        for _ in range(100):
            watch(pair[1], soon(60)).stop()
        watch(pair[1], soon(20)).stop()
    finally:
        del watchdog._dog.wake
        anchor.stop()

    assert [1] == wakes


def test_threads_may_come_and_go(pair: Pair) -> None:
    """Watches added, moved and stopped from many threads while the thread scans: none is missed, none fires early."""
    wrong: list[str] = []

    def work() -> None:
        ours, theirs = socket.socketpair()
        ours.settimeout(2)
        for _ in range(200):
            watching = watch(ours, soon(5))
            watching.move(soon(6))
            if watching.stop():
                wrong.append("fired early")
        watching = watch(ours, soon(5))
        watching.move(soon(0.01))
        try:
            ours.recv(1)
        except TimeoutError:
            wrong.append("missed")
        ours.close()
        theirs.close()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert [] == wrong


def test_the_interpreter_can_end() -> None:
    """Importing starts no thread, and neither the thread nor a living watch keeps the process."""
    program = """
import socket, threading, time
from llmkit.transport import watchdog
assert threading.active_count() == 1
ours, theirs = socket.socketpair()
kept = watchdog.watch(ours, time.monotonic() + 600)
assert threading.active_count() == 2
"""

    assert 0 == subprocess.run([sys.executable, "-c", program], timeout=10, check=False).returncode


def test_without_a_new_thread_the_call_goes_on(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the interpreter ends no thread can start: the watch then never fires, and nothing is raised."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    dog = watchdog._Watchdog()
    monkeypatch.setattr(watchdog, "_dog", dog)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        first = watch(pair[0], soon(60))
    watch(pair[1], soon(0.01))

    assert b"" == pair[1].recv(1)
    assert not first.stop()

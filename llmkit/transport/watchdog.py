"""
An end to blocking reads: sockets are shut down when their time is over.

A socket's own time-out bounds each silence, so that a peer which drips a byte now and then is never late. Here one thread per
process, started when first needed, waits for the earliest of all deadlines.

Rule 1: a watch that ends in time costs about a microsecond and wakes nobody.
Rule 2: whoever is watched asks ``fired`` before it believes what it read: a socket that was shut down looks like one whose peer has
        finished.
Rule 3: what is held is the watches that are alive, however many calls there were.
"""

from __future__ import annotations

import contextlib
import math
import socket
import threading
import time

from llmkit._fork import renewed_in_child

__all__ = ["NO_WATCH", "Watch", "watch"]

_NAP = 3600.0  # seconds; waits are cut at this, since a lock cannot wait for ever and a day
_now = time.monotonic


class Watch:
    """
    The time that one socket has.

    ``until`` is read on the clock ``time.monotonic``; ``math.inf`` pauses the watch. ``fired`` says that the socket was shut down.
    """

    __slots__ = ("_sock", "fired", "until")

    def __init__(self, sock: socket.socket | None, until: float) -> None:
        self._sock = sock
        self.until = until
        self.fired = False

    def move(self, until: float) -> None:
        """Set another end."""
        self.until = until
        if until < _dog.wakes_at:
            _dog.wake()

    def stop(self) -> bool:
        """End the watch and return whether it had fired. Afterwards the socket is left alone. Idempotent."""
        # Under the lock, so that the socket cannot be closed, and its number given to another file, while it is shut down.
        with _dog.lock:
            _dog.watches.discard(self)
        return self.fired

    def end(self) -> None:
        """Let its time be over now; of a watch that was stopped, the socket is left alone."""
        with _dog.lock:
            if self in _dog.watches:
                _dog.watches.discard(self)
                self.fire()

    def fire(self) -> None:
        self.fired = True
        self.cut()

    def cut(self) -> None:
        """Shut the socket down: a read that waits for it, in whatever thread, ends."""
        if self._sock is None:
            return
        # Unbound: an ``SSLSocket`` would forget its TLS state and let its reader go on in clear text.
        with contextlib.suppress(OSError):  # closed already
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)


class _Watchdog:
    """The thread and what it knows. Watches come and go without its lock where they can."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        # Reentrant: the collector may run anywhere, also with the lock held, and finalise a stream that stops its watch.
        self.lock = threading.RLock()
        self._changed = threading.Condition(self.lock)
        self.watches: set[Watch] = set()
        self.wakes_at = math.inf
        self._is_running = False

    def wake(self) -> None:
        with self.lock:
            if self._is_running:
                self._changed.notify()
                return
            # While the interpreter ends there are no new threads; the sockets' own time-outs still hold.
            with contextlib.suppress(RuntimeError):
                threading.Thread(target=self._run, name="llmkit-watchdog", daemon=True).start()
                self._is_running = True

    def _run(self) -> None:
        with self.lock:
            while True:
                # Who comes while we look around, and may be overlooked, finds that it must wake us.
                self.wakes_at = math.inf
                earliest = self._fire_all_over(_now())
                self.wakes_at = earliest
                self._changed.wait(max(0.0, min(earliest - _now(), _NAP)))

    def _fire_all_over(self, now: float) -> float:
        """Fire the watches whose time is over and return the earliest end of the others."""
        earliest = math.inf
        for watch in list(self.watches):
            until = watch.until
            if until <= now:
                self.watches.discard(watch)
                watch.fire()
            elif until < earliest:
                earliest = until
        return earliest


_dog = renewed_in_child(_Watchdog())
NO_WATCH = Watch(None, math.inf)  # of those who have no socket yet: it never fires


def watch(sock: socket.socket, until: float) -> Watch:
    """Shut *sock* down at *until* on the clock ``time.monotonic``, unless the returned watch is moved or stopped before."""
    new = Watch(sock, until)
    _dog.watches.add(new)
    if until < _dog.wakes_at:
        _dog.wake()
    return new

"""
The Redis that processes share: asked within bounds, and left alone while it is lost.

Rule 1: a decision is one script, on the server's clock. Nobody waits for it longer than to connect and to hear, once each.
Rule 2: what is only to be noted is written by one thread, in order, and never waited for; but whoever decides waits, within the
        same bound, until what this process had noted before is written.
Rule 3: after one failure Redis is lost, and nobody asks it but that thread, once a second, until it answers again.
Rule 4: at most ``MOST_NOTES`` are waiting to be written; what comes on top of them, and what waits when Redis is lost, is dropped,
        unless its writer keeps it himself.
Rule 5: noting never blocks. It may be the garbage collector that does it, in the midst of anything.
"""

from __future__ import annotations

import atexit
import logging
import queue
import random
import threading
import time
import weakref
from collections import deque
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Protocol

from llmkit._fork import renewed_in_child
from llmkit.errors import ConfigurationError, SharedStateError
from llmkit.secrets import clean
from llmkit.shared.scripts import COUNT_PROCESSES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmkit.shared.address import Shared
    from llmkit.shared.scripts import Script

__all__ = ["Lost", "Store"]

logger = logging.getLogger("llmkit.shared")

BEAT = 2.0  # seconds between two signs of life: for so long may a process not know of another, and take too large a share
LIFE = 15.0  # seconds after the last sign of life for which a process counts
PROBE = 0.5  # seconds between two looks whether a lost Redis is back, and as long again by chance
MOST_NOTES = 10_000
AT_ONCE = 200  # notes in one go
LAST_WORDS = 1.0  # seconds that the end of a client or of the process waits for what is still to be written

Value = str | int | float


class Lost(Exception):
    """Redis cannot be asked now: the process goes on by itself."""


class Renewing(Protocol):
    """Something whose entries in Redis end unless they are renewed."""

    def beat(self) -> None:
        """Note what is to be renewed. Called by the store's thread, and when Redis has come back."""


class Note:
    """Something to be written. ``dropped`` is called when it will not be."""

    __slots__ = ("done", "dropped", "keys", "script", "values")

    def __init__(self, script: Script, keys: Sequence[str], values: Sequence[Value], dropped: Callable[[], object] | None) -> None:
        self.script = script
        self.keys = keys
        self.values = values
        self.dropped = dropped
        self.done = False


class Store:
    """
    One Redis, for all clients of this process that share it under one namespace.

    Raises:
        ConfigurationError: If the package ``redis`` is missing, or does not know an option of the address.
    """

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self.where = shared.where
        self.is_lost = False
        self.processes = shared.processes  # that share it, as far as is known
        self._client: Any = _client_of(shared)
        self._failures = _failures()
        self._renewing: weakref.WeakSet[Renewing] = weakref.WeakSet()
        self._begin()
        renewed_in_child(self)

    def _begin(self) -> None:
        self.process = token_hex(8)
        self._lock = threading.RLock()
        self._has_counted = False
        self._overflows = False
        self._notes: deque[Note] = deque()
        self._written = threading.Condition()
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._next_beat = 0.0
        self._next_probe = 0.0

    def renew(self) -> None:
        """Begin anew in a forked child: connections, thread and notes are the parent's."""
        self._client = _client_of(self.shared)
        self.is_lost = False
        self._begin()

    def name(self, place: str, *parts: str) -> str:
        """Return the name of an entry; those of one *place* lie on one node of a cluster."""
        return ":".join((self.shared.namespace, f"{{{place}}}", *parts))

    def identity(self) -> str:
        """Return a name that nothing else has, in whatever process."""
        return f"{self.process}{token_hex(6)}"

    def keep(self, renewing: Renewing) -> None:
        """Have *renewing* called with every sign of life."""
        with self._lock:
            self._renewing.add(renewing)

    def decide(self, script: Script, keys: Sequence[str], values: Sequence[Value]) -> Any:
        """
        Return what *script* says. Blocks.

        Raises:
            Lost: If Redis cannot be asked, and the process is to go on by itself.
            SharedStateError: If it is not.
        """
        if not self._has_counted:
            self._introduce()
        if self._notes:
            self._await_notes()
        if not self.is_lost:
            try:
                return self._run(script, keys, values)
            except self._failures as error:
                self._lose(error)
        raise self._lost()

    def note(self, script: Script, keys: Sequence[str], values: Sequence[Value], *, dropped: Callable[[], object] | None = None) -> None:
        """Have *script* run soon. Never blocks, and nothing is heard of it; *dropped* is called if it will not run."""
        overflows = len(self._notes) >= MOST_NOTES
        if overflows and not self._overflows:
            logger.warning("the Redis at %s is too slow: some of what should be shared is dropped", self.where)
        self._overflows = overflows
        if self.is_lost or overflows:
            if dropped is not None:
                dropped()
            return
        self._notes.append(Note(script, keys, values, dropped))
        self._start()
        self._bell.put(None)

    def flush(self, timeout: float = LAST_WORDS) -> None:
        """Wait until what was noted is written, *timeout* seconds at most."""
        self._await_notes(timeout)

    def __repr__(self) -> str:
        return f"Store({self.where!r}{', lost' if self.is_lost else ''})"

    # -- asking

    def _run(self, script: Script, keys: Sequence[str], values: Sequence[Value]) -> Any:
        from redis.exceptions import NoScriptError

        try:
            return self._client.evalsha(script.digest, len(keys), *keys, *values)
        except NoScriptError:
            # It was restarted, or its scripts were flushed.
            return self._client.eval(script.text, len(keys), *keys, *values)

    def _introduce(self) -> None:
        """Count the processes before the first decision. One thread does so, the others wait for it."""
        with self._lock:
            if self._has_counted or self.is_lost:
                return
            self._start()
            try:
                self._count()
            except self._failures as error:
                self._lose(error)
            else:
                self._has_counted = True

    def _count(self) -> None:
        found = int(self._run(COUNT_PROCESSES, [self.name("processes")], [self.process, LIFE]))
        self.processes = max(found, self.shared.processes)
        self._next_beat = time.monotonic() + BEAT

    def _await_notes(self, timeout: float | None = None) -> None:
        try:
            last = self._notes[-1]
        except IndexError:
            return
        with self._written:
            self._written.wait_for(lambda: last.done, self.shared.timeout if timeout is None else timeout)

    # -- losing it, and finding it again

    def _lost(self) -> Exception:
        if self.shared.on_loss == "local":
            return Lost()
        msg = f"The Redis at {self.where}, which this client shares its limits through, cannot be reached."
        return SharedStateError(msg, retry_after=PROBE)

    def _lose(self, error: BaseException) -> None:
        with self._lock:
            if self.is_lost:
                return
            self.is_lost = True
            self._next_probe = time.monotonic() + _pause()
        what = "each process keeps to its share" if self.shared.on_loss == "local" else "calls are refused"
        text = clean(f"{type(error).__name__}: {error}", self.shared.secrets, limit=300)
        logger.warning("the Redis at %s is lost, and until it is back %s: %s", self.where, what, text)
        self._start()
        self._bell.put(None)

    def _look_again(self) -> None:
        """Ask a lost Redis whether it is back. Only the thread does so."""
        try:
            self._count()
        except self._failures:
            self._next_probe = time.monotonic() + _pause()
            return
        self.is_lost = False
        self._has_counted = True
        logger.warning("the Redis at %s is back", self.where)
        self._renew_all()

    # -- the thread

    def _start(self) -> None:
        if self._thread is not None:
            return
        thread = threading.Thread(target=_work, args=(weakref.ref(self), self._bell), name="llmkit-shared", daemon=True)
        self._thread = thread
        weakref.finalize(self, _end, self._client, self._bell)
        _stores.add(self)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is ending
            logger.debug("no thread can be started any more")

    def turn(self) -> float:
        """Do what is to be done, and return the seconds until there may be more. For the thread alone."""
        if self._notes:
            self._write()
        now = time.monotonic()
        if self.is_lost:
            if now >= self._next_probe:
                self._look_again()
                now = time.monotonic()
        elif now >= self._next_beat and self._has_counted:
            self._beat()
        return max(0.0, (self._next_probe if self.is_lost else self._next_beat) - now) if self._has_counted or self.is_lost else BEAT

    def _beat(self) -> None:
        try:
            self._count()
        except self._failures as error:
            self._lose(error)
            return
        self._renew_all()

    def _renew_all(self) -> None:
        with self._lock:
            renewing = list(self._renewing)
        for each in renewing:
            each.beat()

    def _write(self) -> None:
        batch = [self._notes[place] for place in range(min(len(self._notes), AT_ONCE))]
        written = False
        if not self.is_lost:
            try:
                self._run_all(batch)
                written = True
            except self._failures as error:
                self._lose(error)
        for note in batch:
            self._notes.popleft()
            note.done = True
            if not written and note.dropped is not None:
                note.dropped()
        with self._written:
            self._written.notify_all()
        if self._notes:
            self._bell.put(None)

    def _run_all(self, batch: Sequence[Note]) -> None:
        from redis.exceptions import NoScriptError

        pipe = self._client.pipeline(transaction=False)
        for note in batch:
            pipe.evalsha(note.script.digest, len(note.keys), *note.keys, *note.values)
        for note, answer in zip(batch, pipe.execute(raise_on_error=False), strict=True):
            if isinstance(answer, NoScriptError):
                self._run(note.script, note.keys, note.values)
            elif isinstance(answer, Exception):
                raise answer


def _work(reference: weakref.ref[Store], bell: queue.SimpleQueue[None]) -> None:
    pause = 0.0
    while True:
        try:
            bell.get(timeout=pause)
            while not bell.empty():
                bell.get_nowait()
        except queue.Empty:
            pass
        store = reference()
        if store is None or store._bell is not bell:
            return
        try:
            pause = store.turn()
        except Exception:
            logger.exception("what is shared through %s could not be written", store.where)
            pause = PROBE
        del store


def _end(client: Any, bell: queue.SimpleQueue[None]) -> None:
    bell.put(None)
    client.close()


def _pause() -> float:
    return PROBE * (1 + random.random())  # noqa: S311 - no secret


def _failures() -> tuple[type[Exception], ...]:
    from redis.exceptions import RedisError

    # Its ConnectionError and TimeoutError are not the builtins of these names.
    return (RedisError, OSError)


def _client_of(shared: Shared) -> Any:
    """Return the client, which connects when it is first used."""
    try:
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ModuleNotFoundError:
        msg = "shared= needs the package redis: pip install 'llmkit[redis]'."
        raise ConfigurationError(msg) from None
    try:
        client = Redis.from_url(
            shared.url,
            socket_timeout=shared.timeout,
            socket_connect_timeout=shared.timeout,
            # Nothing below us tries again: what is lost has a policy.
            retry=Retry(NoBackoff(), 0),
        )
        pool = client.connection_pool
        pool.connection_class(**pool.connection_kwargs)  # connects to nothing; an option that it does not know shows here
    except (TypeError, ValueError) as error:
        text = clean(str(error), shared.secrets, limit=200)
        msg = f"The address given as shared= has an option that redis does not take: {text}"
        raise ConfigurationError(msg) from None
    return client


_stores: weakref.WeakSet[Store] = weakref.WeakSet()


@atexit.register
def _flush_all() -> None:
    """Write what is still to be written: what is settled last would else count as it was foreseen."""
    for store in list(_stores):
        store.flush()

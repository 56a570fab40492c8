"""
A cache on the disk, for all processes of one machine: SQLite, with a checksum on each row.

Rule 1: whoever is killed in the middle of writing leaves neither a half answer nor a lock: SQLite's log takes care of the one, the kernel
        of the other.
Rule 2: nobody waits for another's lock for longer than ``PATIENCE``.
Rule 3: the file is its owner's alone, whatever the umask, and so are the directories made for it. It appears whole: it is made under
        another name beside it and linked, so that no two processes make it at once.
Rule 4: a damaged file, or one that is no database, is put aside (it is never removed) and another is made; another program's database
        is left as it is, and so is what a symbolic link points to.
Rule 5: a hit writes nothing. Which entries were used is told to the file with the next write, or after ``USES_HELD`` hits.
Rule 6: no connection crosses a fork: it is closed before, with nobody inside, and opened anew on both sides when it is needed.

Source: SQLite, "Write-Ahead Logging", "How To Corrupt An SQLite Database File", read 2026-11-22.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from llmkit._fork import paused_at_fork
from llmkit.cache.base import CacheFault, ResponseCache
from llmkit.errors import ConfigurationError
from llmkit.resilience.checks import whole

__all__ = ["SqliteCache"]

MAX_SIZE = 100_000
MAX_BYTES = 256 * 1024 * 1024
PATIENCE = 0.25  # seconds that a lock of another process is waited for; then it is a miss
USES_HELD = 256  # hits that the file has not been told of; a process that is killed forgets them
APPLICATION = 0x6C6C6D6B  # "llmk" in the file's header: it is ours

_SCHEMA = """
PRAGMA journal_mode = WAL;
BEGIN;
CREATE TABLE about (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE answers (
    key TEXT PRIMARY KEY, payload BLOB NOT NULL, checksum BLOB NOT NULL, created REAL NOT NULL, used REAL NOT NULL
);
CREATE INDEX by_use ON answers (used);
CREATE TABLE totals (entries INTEGER NOT NULL, bytes INTEGER NOT NULL);
INSERT INTO totals VALUES (0, 0);
CREATE TRIGGER counted_in AFTER INSERT ON answers BEGIN
    UPDATE totals SET entries = entries + 1, bytes = bytes + length(NEW.payload);
END;
CREATE TRIGGER counted_out AFTER DELETE ON answers BEGIN
    UPDATE totals SET entries = entries - 1, bytes = bytes - length(OLD.payload);
END;
"""

# Of a parent whose fork gave no warning: to close one here would take the parent's locks away.
_left_alone: list[sqlite3.Connection] = []


class SqliteCache(ResponseCache):
    """
    Answers in a file.

    Args:
        path: The file; it is made, with its directories, when it is first needed.
        max_size: Answers kept at most; those used longest ago give way.
        ttl: Seconds that an answer is good for; None for ever.
        max_bytes: Their size at most, without SQLite's own; one that is larger alone is not kept.
        stale_if_error: Seconds beyond ``ttl`` in which an answer is still given where the endpoint is down.
        clock: Gives the time, in seconds since 1970.

    Raises:
        ConfigurationError: If a number is not what it must be, or *path* is no file's name.
    """

    blocking = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        max_size: int = MAX_SIZE,
        ttl: float | None = None,
        *,
        max_bytes: int = MAX_BYTES,
        stale_if_error: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        # First of all: what fails below leaves an object that is finalised like any other.
        self._db: sqlite3.Connection | None = None
        self._lock = threading.RLock()
        whole("max_size", max_size, least=1)
        whole("max_bytes", max_bytes, least=1)
        name: Any = os.fspath(path)
        if not isinstance(name, str) or not name.strip() or name.startswith(":") or "\0" in name:
            msg = f"A cache's path is the name of a file, not {path!r}; in memory it is LLMCache."
            raise ConfigurationError(msg)
        self.path = Path(os.path.abspath(os.path.expanduser(name)))
        self.max_size = max_size
        self.max_bytes = max_bytes
        self._clock = clock
        self._inode: tuple[int, int] | None = None
        self._file_secret: bytes | None = None
        self._uses: dict[str, float] = {}  # since the file was last told
        self._untold = 0
        self._last_use = 0.0
        self._is_paused = False
        super().__init__(ttl=ttl, stale_if_error=stale_if_error)
        paused_at_fork(self)

    # -- entries

    def _load(self, key: str) -> tuple[bytes, float] | None:
        with self._open() as db:
            row = db.execute("SELECT payload, checksum, created FROM answers WHERE key = ?", (key,)).fetchone()
            if row is None:
                return None
            payload, checksum, created = row
            if not isinstance(payload, bytes) or checksum != _checksum(key, payload, created):
                self._remove(db, key)
                msg = "an entry does not match its checksum"
                raise CacheFault(msg)
            self._uses[key] = self._now_used()
            self._untold += 1
            if self._untold >= USES_HELD:
                with _transaction(db):
                    self._tell_uses(db)
        return payload, self._clock() - created

    def _save(self, key: str, payload: bytes) -> None:
        created = self._clock()
        row = (key, payload, _checksum(key, payload, created), created, self._now_used())
        with self._open() as db, _transaction(db):
            self._tell_uses(db)
            # Not INSERT OR REPLACE: what it replaces is gone without the trigger that counts.
            db.execute("DELETE FROM answers WHERE key = ?", (key,))
            if len(payload) > self.max_bytes:
                return
            db.execute("INSERT INTO answers VALUES (?, ?, ?, ?, ?)", row)
            self._make_room(db)

    def _make_room(self, db: sqlite3.Connection) -> None:
        while True:
            entries, size = db.execute("SELECT entries, bytes FROM totals").fetchone()
            over = entries - self.max_size
            if over <= 0 and size <= self.max_bytes:
                return
            db.execute("DELETE FROM answers WHERE key IN (SELECT key FROM answers ORDER BY used LIMIT ?)", (max(over, 1),))

    def _drop(self, key: str) -> None:
        with self._open() as db:
            self._remove(db, key)

    def _remove(self, db: sqlite3.Connection, key: str) -> None:
        self._uses.pop(key, None)
        with _transaction(db):
            db.execute("DELETE FROM answers WHERE key = ?", (key,))

    def _drop_all(self) -> None:
        with self._open() as db, _transaction(db):
            self._uses.clear()
            db.execute("DELETE FROM answers WHERE true")  # with a condition, or the triggers are passed over

    def _secret(self) -> bytes:
        if self._file_secret is None:
            with self._open():
                pass
        assert self._file_secret is not None  # read when the file was opened
        return self._file_secret

    def _holds(self) -> tuple[int | None, int | None]:
        with self._open() as db:
            entries, size = db.execute("SELECT entries, bytes FROM totals").fetchone()
        return entries, size

    def _now_used(self) -> float:
        # Never twice the same, though a clock may stand still or go back: it is the order that counts.
        self._last_use = max(time.time(), self._last_use + 1e-6)
        return self._last_use

    def _tell_uses(self, db: sqlite3.Connection) -> None:
        uses, self._uses, self._untold = self._uses, {}, 0
        db.executemany("UPDATE answers SET used = ? WHERE key = ? AND used < ?", [(at, key, at) for key, at in uses.items()])

    # -- the file

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection to this thread; what goes wrong is a ``CacheFault``, and a damaged file is put aside."""
        with self._lock:
            try:
                if self._db is None:
                    self._connect()
                assert self._db is not None  # just made
                yield self._db
            except sqlite3.OperationalError as error:  # locked, full, read-only
                raise CacheFault(str(error)) from None
            except sqlite3.DatabaseError as error:
                # The very class: its subclasses tell of what we do, it itself of what the file is.
                if type(error) is sqlite3.DatabaseError:
                    self._put_aside()
                raise CacheFault(str(error)) from None
            except (sqlite3.Error, OSError, ValueError, TypeError) as error:
                raise CacheFault(str(error)) from None

    def _connect(self) -> None:
        self._make_file()
        found = os.lstat(self.path)
        if not stat.S_ISREG(found.st_mode):
            msg = f"{self.path.name} is not a regular file"
            raise CacheFault(msg)
        self._inode = found.st_dev, found.st_ino
        # By its name only: to open and close the file would take the locks of another connection of this process away.
        if found.st_mode & 0o077 and hasattr(os, "geteuid") and found.st_uid == os.geteuid():
            os.chmod(self.path, 0o600)
        db = sqlite3.connect(f"{self.path.as_uri()}?mode=rw", uri=True, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
        try:
            _check_ours(db, self.path.name)
            # The log is not flushed at each write: a machine that loses its power may lose the last answers, and nothing else.
            db.execute("PRAGMA synchronous = NORMAL")
            (self._file_secret,) = db.execute("SELECT value FROM about WHERE name = 'secret'").fetchone()
        except BaseException:
            db.close()
            raise
        self._db = db

    def _make_file(self) -> None:
        """Make an empty cache, unless there is something."""
        try:
            if os.lstat(self.path).st_size:
                return
        except FileNotFoundError:
            _make_private(self.path.parent)
        draft = self.path.with_name(f"{self.path.name}.{secrets.token_hex(8)}")
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0), 0o600))
        try:
            os.chmod(draft, 0o600)
            db = sqlite3.connect(draft, isolation_level=None)
            try:
                db.executescript(f"PRAGMA application_id = {APPLICATION}; {_SCHEMA}")
                db.execute("INSERT INTO about VALUES ('secret', ?)", (secrets.token_bytes(32),))
                db.execute("COMMIT")
            finally:
                db.close()
            _publish(draft, self.path)
        finally:
            draft.unlink(missing_ok=True)

    def _put_aside(self) -> None:
        """Move a damaged file out of the way, unless another process has done so already."""
        db, self._db = self._db, None
        with contextlib.suppress(OSError):
            found = os.lstat(self.path)
            if (found.st_dev, found.st_ino) != self._inode:
                # To close what was moved would remove the log of what took its place, which goes by its name.
                if db is not None:
                    _left_alone.append(db)
                return
        if db is not None:
            with contextlib.suppress(sqlite3.Error):
                db.close()
        with contextlib.suppress(OSError):
            os.replace(self.path, f"{self.path}.damaged")
        for end in ("-wal", "-shm"):
            with contextlib.suppress(OSError):
                os.unlink(f"{self.path}{end}")

    # -- the end

    def close(self) -> None:
        """Close the file; the next use opens it again. Idempotent."""
        with self._lock:
            db, self._db = self._db, None
            if db is None:
                return
            with contextlib.suppress(sqlite3.Error):
                try:
                    if self._uses:
                        with _transaction(db):
                            self._tell_uses(db)
                finally:
                    db.close()

    def pause(self) -> None:
        """Close the file before a fork, when no thread is at it."""
        self._is_paused = self._lock.acquire(timeout=1.0)
        if self._is_paused:
            self.close()

    def resume(self) -> None:
        """Let the threads of the parent go on."""
        if self._is_paused:
            self._is_paused = False
            self._lock.release()

    def renew(self) -> None:
        """Begin anew in a forked child."""
        super().renew()
        if self._db is not None:
            _left_alone.append(self._db)
        self._db = None
        self._lock = threading.RLock()
        self._is_paused = False
        self._uses, self._untold = {}, 0

    def __del__(self) -> None:
        self.close()

    def _configuration(self) -> dict[str, Any]:
        return {**super()._configuration(), "path": str(self.path), "max_size": self.max_size, "max_bytes": self.max_bytes}

    def __repr__(self) -> str:
        return f"SqliteCache({str(self.path)!r})"


def _check_ours(db: sqlite3.Connection, name: str) -> None:
    (application,) = db.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION:
        msg = f"{name} is a database, but not a cache of llmkit"
        raise CacheFault(msg)


@contextlib.contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    # The lock to write is taken at once: to ask for it after reading may fail without waiting.
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _checksum(key: str, payload: bytes, created: float) -> bytes:
    return hashlib.sha256(b"%s %r %s" % (key.encode(), created, payload)).digest()[:16]


def _make_private(directory: Path) -> None:
    """Make *directory*, and those above it, for their owner alone. One that is there is left as it is."""
    if directory.exists():
        return
    _make_private(directory.parent)
    with contextlib.suppress(FileExistsError):
        directory.mkdir(0o700)
        directory.chmod(0o700)  # the umask may have taken something away


def _publish(draft: Path, path: Path) -> None:
    """Give *draft* the name *path*, unless somebody else was first; an empty file there is nobody's."""
    try:
        os.link(draft, path)
    except FileExistsError:
        if not os.lstat(path).st_size:
            os.replace(draft, path)
    except OSError:  # no links here
        os.replace(draft, path)

"""The cache on the disk: kept, bounded, damaged, killed, forked."""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import sqlite3
import stat
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit import ConfigurationError
from llmkit.cache.base import Kept
from llmkit.cache.sqlite import PATIENCE, USES_HELD, SqliteCache

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

Make = Callable[..., SqliteCache]


class Clock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where there is nothing yet."""
    return tmp_path / "answers.db"


@pytest.fixture
def make(path: Path) -> Iterator[Make]:
    """Return a maker of caches in one file, which closes them in the end."""
    made: list[SqliteCache] = []

    def cache(**kwargs: Any) -> SqliteCache:
        made.append(SqliteCache(path, **kwargs))
        return made[-1]

    yield cache
    for each in made:
        each.close()


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# -- entries


def test_what_is_put_is_got_by_the_next_process_too(make: Make) -> None:
    """Bytes are bytes."""
    cache = make()
    cache.put("a", b"answer \x00 \xff")
    cache.close()

    assert Kept(b"answer \x00 \xff") == make().get("a") == cache.get("a")
    assert cache.get("b") is None


def test_one_secret_is_as_old_as_the_file(make: Make) -> None:
    """All that share the file have it."""
    first = make()

    assert first.secret() == make().secret()
    assert 32 == len(first.secret() or b"")


def test_two_caches_see_what_the_other_does(make: Make) -> None:
    """At once."""
    first, second = make(), make()
    first.put("a", b"1")
    first.put("a", b"2")
    second.put("b", b"3")

    assert [Kept(b"2"), Kept(b"3")] == [second.get("a"), first.get("b")]
    assert (2, 2) == (first.stats().entries, first.stats().bytes)


def test_the_one_used_longest_ago_gives_way(make: Make) -> None:
    """To be read is to be used, though the file is told of it later."""
    cache = make(max_size=2)
    cache.put("a", b"1")
    cache.put("b", b"2")
    cache.get("a")

    cache.put("c", b"3")

    assert [True, False, True] == [cache.get(key) is not None for key in "abc"]


def test_uses_are_told_to_the_file_in_time(make: Make) -> None:
    """After so many hits, and when it is closed: others have to know."""
    cache, other = make(max_size=2), make(max_size=2)
    cache.put("a", b"1")
    cache.put("b", b"2")

    for _ in range(USES_HELD):
        cache.get("a")
    other.put("c", b"3")
    cache.get("a")
    cache.close()
    other.put("d", b"4")

    assert [True, False, False, True] == [other.get(key) is not None for key in "abcd"]


def test_bytes_are_bounded_too(make: Make) -> None:
    """One that is too large alone is not kept, nor is what it would replace."""
    cache = make(max_bytes=10)
    cache.put("a", b"12345")
    cache.put("b", b"12345")

    cache.put("c", b"123456")
    cache.put("c", b"12345678901")

    assert [False, False, False] == [cache.get(key) is not None for key in "abc"]
    assert (0, 0) == (cache.stats().entries, cache.stats().bytes)


def test_ages_are_told_by_the_wall_clock(make: Make) -> None:
    """Across processes; past its time it is stale where that is wanted, and what comes from the future is expired."""
    clock = Clock()
    make(clock=clock).put("a", b"1")
    later = make(ttl=10, stale_if_error=5, clock=clock)

    found = []
    for seconds in (9.5, 1, 4.5):
        clock.now += seconds
        found.append(later.get("a"))
    later.put("b", b"2")
    clock.now -= 1

    assert [Kept(b"1"), Kept(b"1", stale=True), None] == found
    assert later.get("b") is None
    assert 0 == later.stats().entries


def test_it_is_cleared(make: Make) -> None:
    """And counts from nothing."""
    cache = make()
    for key in "abc":
        cache.put(key, b"1")

    cache.delete("a")
    assert 2 == cache.stats().entries
    cache.clear()

    assert (0, 0) == (cache.stats().entries, cache.stats().bytes)
    assert cache.get("b") is None


@settings(max_examples=30)
@given(
    steps=st.lists(st.tuples(st.sampled_from(["put", "get", "delete", "reopen"]), st.sampled_from("abcde"), st.integers(0, 6))),
    max_size=st.integers(1, 4),
    max_bytes=st.integers(1, 12),
)
def test_it_keeps_what_a_model_keeps(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, int]], max_size: int, max_bytes: int
) -> None:
    """Any order of steps, against a list in the order of use."""
    cache = SqliteCache(tmp_path_factory.mktemp("model") / "answers.db", max_size, max_bytes=max_bytes)
    model: list[tuple[str, bytes]] = []

    for step, key, size in steps:
        found = next((entry for entry in model if entry[0] == key), None)
        if step == "reopen":
            cache.close()
            continue
        if found is not None:
            model.remove(found)
        if step == "put":
            payload = key.encode() * size
            cache.put(key, payload)
            model += [(key, payload)] if size <= max_bytes else []
            while len(model) > max_size or sum(len(entry[1]) for entry in model) > max_bytes:
                del model[0]
        elif step == "get":
            assert (None if found is None else Kept(found[1])) == cache.get(key)
            model += [] if found is None else [found]
        else:
            cache.delete(key)
        stats = cache.stats()
        assert (len(model), sum(len(entry[1]) for entry in model)) == (stats.entries, stats.bytes)
    cache.close()


def test_threads_share_one_cache(make: Make) -> None:
    """Each finds what it put."""
    cache = make()
    failures: list[int] = []

    def work(number: int) -> None:
        for step in range(20):
            cache.put(f"{number}-{step}", b"%d" % step)
            if cache.get(f"{number}-{step}") != Kept(b"%d" % step):
                failures.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert [] == failures
    assert 160 == cache.stats().entries


# -- the file


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777])
def test_only_its_owner_can_read_it(tmp_path: Path, umask: int) -> None:
    """Whatever the umask: the file, SQLite's own beside it, and the directories that were made for it."""
    path = tmp_path / "one" / "two" / "answers.db"
    cache = SqliteCache(path)
    before = os.umask(umask)
    try:
        cache.put("a", b"1")
    finally:
        os.umask(before)

    assert Kept(b"1") == cache.get("a")
    assert [0o700, 0o700] == [mode_of(directory) for directory in (path.parent, path.parent.parent)]
    assert {0o600} == {mode_of(file) for file in path.parent.iterdir()}
    cache.close()
    assert ["answers.db"] == os.listdir(path.parent)


def test_a_directory_that_is_there_is_left_as_it_is(make: Make, path: Path) -> None:
    """It is not ours; a file of ours that others can read no longer is."""
    path.parent.chmod(0o755)
    make().put("a", b"1")
    make().close()
    path.chmod(0o644)

    assert make().get("a") is not None
    assert 0o755 == mode_of(path.parent)
    assert 0o600 == mode_of(path)


def test_a_symbolic_link_is_not_followed(make: Make, path: Path, tmp_path: Path) -> None:
    """What it points to is somebody else's."""
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    path.symlink_to(target)
    cache = make()

    cache.put("a", b"1")

    assert b"precious" == target.read_bytes()
    assert cache.get("a") is None


def test_another_programs_database_is_left_alone(make: Make, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It was a wrong path; said once."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE precious (value)")
        db.commit()
    before = path.read_bytes()
    cache = make()

    cache.put("a", b"1")

    assert cache.get("a") is None
    assert before == path.read_bytes()
    assert ["WARNING"] == [record.levelname for record in caplog.records]
    assert "not a cache of llmkit" in caplog.text


@pytest.mark.parametrize("there", ["", "a directory", "a file in the way"])
def test_where_there_is_no_room_for_it_it_keeps_nothing(tmp_path: Path, there: str, caplog: pytest.LogCaptureFixture) -> None:
    """One warning, and misses. An empty file is room."""
    path = tmp_path / "answers.db"
    if there == "a directory":
        path.mkdir()
    elif there:
        path.write_text("x")
        path /= "deeper.db"
    else:
        path.touch()
    cache = SqliteCache(path)

    for _ in range(3):
        cache.put("a", b"1")

    assert (Kept(b"1") if not there else None) == cache.get("a")
    assert (0 if not there else 1) == len(caplog.records)
    cache.close()


@pytest.mark.parametrize("wrong", ["", " ", ":memory:", "a\0b", b"bytes"])
def test_what_is_no_path_is_refused(wrong: Any) -> None:
    """In memory is another cache's business."""
    with pytest.raises(ConfigurationError, match="path"):
        SqliteCache(wrong)


def test_a_tilde_is_home_and_a_path_stays_where_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Also when the program goes elsewhere."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    home, relative = SqliteCache("~/a.db"), SqliteCache("b.db")
    monkeypatch.chdir("/")

    assert [tmp_path / "a.db", tmp_path / "b.db"] == [home.path, relative.path]


# -- damage


def damaged(path: Path, where: str) -> None:
    data = bytearray(path.read_bytes())
    if where == "header":
        data[:100] = b"\xff" * 100
    elif where == "all":
        data[:] = b"no database at all, but some text\n" * 200
    elif where == "tree":
        data[4096:] = bytes(len(data) - 4096)
    elif where == "short":
        del data[len(data) // 2 :]
    path.write_bytes(data)


@pytest.mark.parametrize("where", ["header", "all", "tree", "short"])
def test_a_damaged_file_is_put_aside_and_made_anew(make: Make, path: Path, where: str, caplog: pytest.LogCaptureFixture) -> None:
    """A miss, a warning, and then it works again; nothing is destroyed."""
    cache = make()
    for number in range(200):
        cache.put(f"{number}", b"x" * 500)
    cache.close()
    damaged(path, where)
    broken = path.read_bytes()

    with caplog.at_level(logging.WARNING, "llmkit"):
        answers = [cache.get(f"{number}") for number in range(200)]
        cache.put("new", b"1")
        cache.put("new", b"1")

    assert not any(answer is not None and answer.payload != b"x" * 500 for answer in answers)
    assert Kept(b"1") == cache.get("new") == make().get("new")
    assert 1 == len(caplog.records)
    assert broken[:4096] == (path.parent / "answers.db.damaged").read_bytes()[:4096]
    assert 0o600 == mode_of(path)


def test_a_row_that_was_changed_is_no_answer(make: Make, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its checksum tells; it is dropped, with one warning, and can be put again."""
    cache = make()
    for key in "ab":
        cache.put(key, b"right")
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE answers SET payload = 'wrong' WHERE key = 'a'")
        db.execute("UPDATE answers SET created = created + 1 WHERE key = 'b'")
        db.commit()

    assert [None, None] == [cache.get(key) for key in "ab"]
    cache.put("a", b"right")
    assert Kept(b"right") == cache.get("a")
    assert ["WARNING"] == [record.levelname for record in caplog.records]


def test_who_comes_late_to_a_damaged_file_takes_the_new_one(make: Make, path: Path) -> None:
    """And does not put that aside as well."""
    first, second = make(), make()
    for number in range(50):
        first.put(f"{number}", b"x" * 500)
    second.get("1")
    inode = path.stat().st_ino
    os.replace(path, path.with_name("gone"))
    first._put_aside()
    third = make()
    third.put("a", b"1")

    second._put_aside()

    assert path.stat().st_ino != inode
    assert Kept(b"1") == second.get("a")


# -- locks


def test_nobody_waits_long_for_anothers_lock(make: Make, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A write is given up in time; reading goes on all the while."""
    cache = make()
    cache.put("a", b"1")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        began = time.monotonic()

        cache.put("b", b"2")

        spent = time.monotonic() - began
        assert Kept(b"1") == cache.get("a")
        db.execute("ROLLBACK")

    assert PATIENCE * 0.9 < spent < PATIENCE + 1.0
    assert cache.get("b") is None
    assert ["WARNING"] == [record.levelname for record in caplog.records]


def test_an_interrupt_leaves_no_transaction_open(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the middle of a write: it is undone, and the lock is given back."""
    cache, other = make(), make()
    cache.put("a", b"1")

    def interrupted(db: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cache, "_make_room", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cache.put("a", b"2")

    other.put("b", b"3")
    assert [Kept(b"1"), Kept(b"3")] == [other.get("a"), other.get("b")]


WRITER = """
import os, random, signal, sys, time
from llmkit.cache.sqlite import SqliteCache

def write(path, number):
    cache = SqliteCache(path, max_size=40)
    step = 0
    while True:
        step += 1
        cache.put(f"{step % 60}", b"%d " % (step % 60) * random.randint(1, 3000))

path, rounds = sys.argv[1], int(sys.argv[2])
for number in range(rounds):
    child = os.fork()
    if child == 0:
        try:
            write(path, number)
        finally:
            os._exit(1)
    time.sleep(random.uniform(0.004, 0.03))
    os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status), status
"""


@needs_fork
def test_writers_that_are_killed_leave_neither_half_an_answer_nor_a_lock(make: Make, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Fifty of them, each with SIGKILL in the middle of writing, while this process reads and writes the same file."""
    cache = make(max_size=40)
    killer = subprocess.Popen([sys.executable, "-c", WRITER, str(path), "50"], cwd=Path(__file__).parents[2])
    reads = hits = 0

    while killer.poll() is None:
        for number in range(60):
            found = cache.get(f"{number}")
            reads += 1
            if found is not None:
                hits += 1
                assert not found.payload.replace(b"%d " % number, b"")
        cache.put("own", b"own")

    assert 0 == killer.returncode
    assert 0 < hits < reads
    cache.put("last", b"1")
    assert Kept(b"1") == cache.get("last") == make().get("last")
    assert "checksum" not in caplog.text
    assert "malformed" not in caplog.text
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert [("ok",)] == db.execute("PRAGMA integrity_check").fetchall()
        counted = db.execute("SELECT entries, bytes FROM totals").fetchone()
        assert counted == db.execute("SELECT COUNT(*), SUM(LENGTH(payload)) FROM answers").fetchone()


def test_many_may_make_the_file_at_once(path: Path) -> None:
    """One makes it; the others find it whole, and all write."""
    program = (
        "import sys; from llmkit.cache.sqlite import SqliteCache; sys.stdin.read(1);"
        "cache = SqliteCache(sys.argv[1]); cache.put(sys.argv[2], b'1'); print(cache.get(sys.argv[2]) is not None, cache.secret().hex())"
    )
    command = [sys.executable, "-c", program, str(path)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": Path(__file__).parents[2]}
    children = [subprocess.Popen([*command, f"{number}"], **pipes) for number in range(6)]

    printed = {child.communicate("x")[0] for child in children}

    assert 1 == len(printed)
    assert printed.pop().startswith("True ")
    cache = SqliteCache(path)
    assert 6 == cache.stats().entries
    cache.close()


# -- forks and pickles


@needs_fork
def test_no_connection_crosses_a_fork(make: Make) -> None:
    """Parent and child go on, each with its own, though threads of the parent are at it."""
    cache = make()
    cache.put("a", b"1")
    stop = threading.Event()

    def busy() -> None:
        while not stop.is_set():
            cache.put("busy", b"x" * 1000)
            cache.get("busy")

    threads = [threading.Thread(target=busy) for _ in range(3)]
    for thread in threads:
        thread.start()
    statuses = []
    for number in range(5):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # "this process is multi-threaded", which is the point
            child = os.fork()
        if child == 0:
            for _ in range(20):  # on a busy machine the parent's threads may be at the file for longer than it is waited for
                cache.put(f"child-{number}", b"2")
                if cache.get("a") == Kept(b"1") and cache.get(f"child-{number}") == Kept(b"2"):
                    os._exit(0)
            os._exit(1)
        statuses.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    stop.set()
    for thread in threads:
        thread.join(5)

    assert [0] * 5 == statuses
    assert [Kept(b"2")] * 5 == [cache.get(f"child-{number}") for number in range(5)]


def test_a_fork_without_warning_leaves_the_parents_connection_alone(make: Make) -> None:
    """Some servers fork below Python: the child makes a connection of its own, and closes nothing."""
    cache = make()
    cache.put("a", b"1")
    inherited = cache._db
    assert inherited is not None

    cache.renew()

    assert Kept(b"1") == cache.get("a")
    assert inherited is not cache._db
    assert inherited.execute("SELECT 1").fetchone()
    inherited.close()


def test_a_pickle_holds_the_path_and_the_bounds(make: Make, path: Path) -> None:
    """The other side has the same file."""
    cache = make(max_size=7, ttl=3, max_bytes=99, stale_if_error=2)
    cache.put("a", b"canary")

    data = pickle.dumps(cache)
    copy = pickle.loads(data)

    assert b"canary" not in data
    assert (path, 7, 3, 99, 2, Kept(b"canary")) == (
        copy.path, copy.max_size, copy.ttl, copy.max_bytes, copy.stale_if_error, copy.get("a")
    )  # fmt: skip
    copy.close()


def test_a_cache_that_is_dropped_closes_its_file(make: Make, path: Path) -> None:
    """SQLite then clears away what it has beside it."""
    cache = SqliteCache(path)
    cache.put("a", b"1")
    assert 1 < len(os.listdir(path.parent))

    del cache

    assert ["answers.db"] == os.listdir(path.parent)

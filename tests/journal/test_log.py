"""The append-only log: what was written is there, whatever happened to its end."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmkit.errors import CheckpointError
from llmkit.journal import log as logs
from llmkit.journal.log import Log, decoded, encoded, read_records

FIRST = b'{"kind":"run"'
HEAD = {"kind": "run", "version": 1}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
records = st.dictionaries(st.text().filter(lambda name: name != "sum"), json_values, max_size=4)
in_a_temporary_directory = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def written(path: Path, entries: list[dict[str, Any]]) -> bytes:
    """Return the bytes of a log with *entries*, which is then at *path*."""
    data = b"".join(encoded(entry) for entry in [HEAD, *entries])
    path.write_bytes(data)
    return data


def read(path: Path) -> list[dict[str, Any]]:
    return [{name: value for name, value in record.items() if name != "sum"} for _, record in read_records(path, FIRST, "a batch")]


@given(record=records)
def test_a_line_holds_its_record(record: dict[str, Any]) -> None:
    """Whatever text is in it: line ends, U+2028, half of a surrogate pair."""
    line = encoded(record)

    assert record == decoded(line)
    assert 1 == line.count(b"\n")
    assert line.isascii()


@given(record=records.map(lambda record: {"kind": "x", **record}), text=st.text("abcXYZ0189+/=", min_size=1))
def test_a_plain_field_is_a_field_like_any_other(record: dict[str, Any], text: str) -> None:
    """Only written faster."""
    line = encoded(record, {"plain": text.encode()})

    assert {**record, "plain": text} == decoded(line)
    assert encoded({**{name: value for name, value in record.items() if name != "plain"}, "plain": text}) == line or "plain" in record


@given(record=records, place=st.integers(min_value=0), bit=st.integers(0, 7))
def test_a_flipped_bit_is_found(record: dict[str, Any], place: int, bit: int) -> None:
    """Wherever it is."""
    line = bytearray(encoded(record))
    line[place % len(line)] ^= 1 << bit

    assert decoded(bytes(line)) is None


@given(entries=st.lists(records, max_size=5), cut=st.integers(min_value=0))
@in_a_temporary_directory
def test_a_torn_end_is_cut_off(entries: list[dict[str, Any]], cut: int, tmp_path: Path) -> None:
    """At whatever byte the writer was killed: what was whole stays, and the next record is appended to it."""
    path = tmp_path / "log"
    whole = written(path, entries)
    path.write_bytes(whole[: cut % (len(whole) + 1)])
    lines = whole.splitlines(keepends=True)
    torn = path.read_bytes()
    kept = torn.count(b"\n") + any(torn.endswith(line[:-1]) and torn.count(b"\n") == number for number, line in enumerate(lines))

    found = read(path)

    assert [HEAD, *entries][:kept] == found
    assert b"".join(lines[:kept]) == path.read_bytes()


@given(entries=st.lists(records, min_size=1, max_size=5), place=st.integers(min_value=0), bit=st.integers(0, 7))
@in_a_temporary_directory
def test_damage_before_the_end_is_an_error_that_names_the_line(entries: list[dict[str, Any]], place: int, bit: int, tmp_path: Path) -> None:
    """And nothing is cut off: the file is as it was."""
    path = tmp_path / "log"
    data = bytearray(written(path, entries))
    start = data.index(b"\n") + 1
    place = start + place % (len(data) - start - 1)  # not the last byte: without it the line is torn, not damaged
    data[place] ^= 1 << bit
    if data[place] == 0x0A or data[place] ^ (1 << bit) == 0x0A:
        return  # it made one line of two, or two of one
    path.write_bytes(data)
    number = data[:place].count(b"\n") + 1

    with pytest.raises(CheckpointError, match=f"^Line {number} of .* is damaged") as caught:
        read(path)

    assert number == caught.value.metadata["line"]
    assert bytes(data) == path.read_bytes()


@pytest.mark.parametrize("content", [b"hello", b"hello\n", b'{"messages": []}\n{"messages": []}\n', b"\x00" * 100])
def test_another_file_is_left_as_it_is(content: bytes, tmp_path: Path) -> None:
    """A file of prompts, named by mistake, is not cut to nothing."""
    path = tmp_path / "prompts.jsonl"
    path.write_bytes(content)

    with pytest.raises(CheckpointError, match="is no checkpoint"):
        read(path)

    assert content == path.read_bytes()


def test_zeros_after_a_power_cut_are_a_torn_end(tmp_path: Path) -> None:
    """What some file systems leave where data had not arrived."""
    path = tmp_path / "log"
    whole = written(path, [{"id": "0"}])
    path.write_bytes(whole + b"\x00" * 4096)

    assert [HEAD, {"id": "0"}] == read(path)
    assert whole == path.read_bytes()


def test_threads_share_their_fsyncs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one is under way the others write, and the next is for all of them."""
    syncs = []
    first, go = threading.Event(), threading.Event()
    log = Log(tmp_path / "log")

    def fsync(file: int) -> None:
        syncs.append(file)
        first.set()
        assert go.wait(5)

    monkeypatch.setattr(logs.os, "fsync", fsync)
    threads = [threading.Thread(target=log.append, args=({"id": number},)) for number in range(8)]
    for thread in threads:
        thread.start()
    assert first.wait(5)
    while (tmp_path / "log").read_bytes().count(b"\n") < 8:
        pass

    go.set()
    for thread in threads:
        thread.join()

    assert 2 == len(syncs)


def test_a_record_is_on_the_disk_before_append_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is not durable is written at once, but not waited for."""
    seen: list[bytes] = []
    log = Log(tmp_path / "log")
    monkeypatch.setattr(logs.os, "fsync", lambda file: seen.append((tmp_path / "log").read_bytes()))

    log.append({"id": 1}, durable=False)
    log.append({"id": 2})

    assert [encoded({"id": 1}) + encoded({"id": 2})] == seen


@pytest.mark.parametrize("function", ["write", "fsync"])
def test_after_a_failed_write_nothing_is_written_any_more(function: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk: what is there stays valid, and nobody is told that more is there."""
    log = Log(tmp_path / "log")
    log.append(HEAD)

    def full(*arguments: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(logs.os, function, full)
        with pytest.raises(CheckpointError, match="No space left"):
            log.append({"id": 1})

    with pytest.raises(CheckpointError, match="No space left"):
        log.append({"id": 2})
    assert HEAD == read(tmp_path / "log")[0]


def test_half_a_write_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills in the middle of a line leaves no half line."""
    log = Log(tmp_path / "log")
    log.append(HEAD)
    real: Callable[[int, Any], int] = os.write
    calls: list[int] = []

    def fills(file: int, data: Any) -> int:
        calls.append(1)
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, data[:5])

    monkeypatch.setattr(logs.os, "write", fills)

    with pytest.raises(CheckpointError):
        log.append({"id": 1})

    assert encoded(HEAD) == (tmp_path / "log").read_bytes()


def test_a_log_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    """With its path."""
    with pytest.raises(CheckpointError, match="missing/log cannot be written: No such file"):
        Log(tmp_path / "missing" / "log")

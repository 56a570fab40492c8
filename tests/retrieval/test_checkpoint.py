"""What a load remembers on the disk."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from llmkit import CheckpointError
from llmkit.journal.log import decoded
from llmkit.retrieval.checkpoint import Checkpoint
from llmkit.retrieval.records import Document, as_documents

LOAD: dict[str, Any] = {"collection": "pets", "model": None, "dimensions": None}


def documents(*texts: str) -> list[Document]:
    return as_documents(texts, None, None, made_by="m")


def written(path: Path, *texts: str) -> bytes:
    """Note each of *texts* in a line of its own, and return the file."""
    checkpoint = Checkpoint(path, LOAD)
    for text in texts:
        checkpoint.note(documents(text))
    checkpoint.close()
    return path.read_bytes()


def test_what_was_noted_is_known_by_the_next(tmp_path: Path) -> None:
    """As it was: another document of the same id is not done."""
    written(tmp_path / "run", "a", "b")

    checkpoint = Checkpoint(tmp_path / "run", LOAD)

    changed = as_documents(["b"], [documents("a")[0].id], None, made_by="m")[0]
    assert [True, True, False, False] == [checkpoint.has(one) for one in [*documents("a", "b", "c"), changed]]
    assert 2 == len(checkpoint)
    checkpoint.close()
    checkpoint.close()


def test_it_is_its_owners_alone(tmp_path: Path) -> None:
    """Whatever the umask."""
    before = os.umask(0)
    try:
        written(tmp_path / "run", "a")
    finally:
        os.umask(before)

    assert 0o600 == stat.S_IMODE((tmp_path / "run").stat().st_mode)


def test_a_torn_last_line_is_healed(tmp_path: Path) -> None:
    """Wherever a crash has cut it, what stood before it is known, and what comes after it is read."""
    path = tmp_path / "run"
    data = written(path, "a", "b")
    second_line_ends = len(data) - len(data.splitlines(keepends=True)[-1])

    for cut in range(second_line_ends, len(data) - 1):
        path.write_bytes(data[:cut])
        checkpoint = Checkpoint(path, LOAD)
        assert [True, False] == [checkpoint.has(one) for one in documents("a", "b")]
        checkpoint.note(documents("c"))
        checkpoint.close()
        again = Checkpoint(path, LOAD)
        assert [True, False, True] == [again.has(one) for one in documents("a", "b", "c")]
        again.close()


def test_a_torn_first_line_is_a_beginning(tmp_path: Path) -> None:
    """Nothing was done by then."""
    data = written(tmp_path / "run")
    (tmp_path / "run").write_bytes(data[:5])

    assert ["load"] == [(decoded(line) or {})["kind"] for line in written(tmp_path / "run").splitlines(keepends=True)]


@pytest.mark.parametrize("line", [1, 2, 3])
def test_any_other_damage_is_told_by_its_line(tmp_path: Path, line: int) -> None:
    """Nothing is passed over."""
    lines = written(tmp_path / "run", "a", "b").splitlines(keepends=True)
    lines[line - 1] = lines[line - 1].replace(b'"', b"'", 1)
    (tmp_path / "run").write_bytes(b"".join(lines))

    with pytest.raises(CheckpointError, match=f"Line {line} of .* is damaged" if line > 1 else "is no checkpoint of a load"):
        Checkpoint(tmp_path / "run", LOAD)


@pytest.mark.parametrize("data", [b"hello\n", b"\n", b"\xff\xfe\n", b"a letter without an end", b"\0" * 9])
def test_another_file_is_left_alone(tmp_path: Path, data: bytes) -> None:
    """It is no checkpoint, and is not made one."""
    (tmp_path / "run").write_bytes(data)

    with pytest.raises(CheckpointError, match="is no checkpoint of a load"):
        Checkpoint(tmp_path / "run", LOAD)

    assert data == (tmp_path / "run").read_bytes()


def test_two_files_put_together_are_one(tmp_path: Path) -> None:
    """Where they are of the same load."""
    first, second = written(tmp_path / "a", "a"), written(tmp_path / "b", "b")
    (tmp_path / "run").write_bytes(first + second)

    checkpoint = Checkpoint(tmp_path / "run", LOAD)

    assert [True, True, False] == [checkpoint.has(one) for one in documents("a", "b", "c")]
    checkpoint.close()


def test_one_of_another_load_is_refused(tmp_path: Path) -> None:
    """It tells both."""
    written(tmp_path / "run", "a")

    with pytest.raises(CheckpointError, match=r"of another load, .*'pets'.*, not .*'cars'"):
        Checkpoint(tmp_path / "run", {**LOAD, "collection": "cars"})


def test_one_at_work_is_refused(tmp_path: Path) -> None:
    """Two would write over each other; after the first it is free."""
    first = Checkpoint(tmp_path / "run", LOAD)

    with pytest.raises(CheckpointError, match="is at work"):
        Checkpoint(tmp_path / "run", LOAD)
    first.close()

    Checkpoint(tmp_path / "run", LOAD).close()


def test_one_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """With its path and why."""
    with pytest.raises(CheckpointError, match=r"cannot be locked at .*nowhere/run.lock: No such file"):
        Checkpoint(tmp_path / "nowhere" / "run", LOAD)


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known as done that is not on the disk."""
    checkpoint = Checkpoint(tmp_path / "run", LOAD)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(CheckpointError, match="cannot be written: No space left"):
        checkpoint.note(documents("a"))
    assert not checkpoint.has(documents("a")[0])
    checkpoint.close()

"""Log and lock together: opened, gone on with, moved aside, given back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from llmkit.errors import CheckpointError, ConfigurationError
from llmkit.journal.journal import Journal, check_place
from llmkit.journal.log import encoded

HEAD = {"kind": "load", "version": 1, "of": "pets"}


def opened(path: Path, **how: Any) -> tuple[Journal, list[dict[str, Any]]]:
    """Return the journal at *path*, and the records that it has read."""
    found: list[dict[str, Any]] = []
    return Journal(path, HEAD, of="a load", read=lambda offset, record: found.append(record), **how), found


def test_what_is_written_is_read_by_the_next(tmp_path: Path) -> None:
    """The first line says what it is, and when each was written stands in it."""
    journal, found = opened(tmp_path / "log")
    assert ([], True) == (found, journal.is_new)
    journal.append({"kind": "done", "id": 7})
    journal.close()

    again, found = opened(tmp_path / "log")

    assert [HEAD, {"kind": "done", "id": 7}] == [
        {name: value for name, value in record.items() if name not in ("at", "sum")} for record in found
    ]
    assert all(record["at"] > 0 for record in found)
    assert not again.is_new
    again.close()


def test_a_record_is_found_by_its_offset(tmp_path: Path) -> None:
    """Without reading those before it."""
    offsets: list[int] = []
    journal, _ = opened(tmp_path / "log")
    journal.append({"kind": "done", "id": 7})
    journal.close()
    journal = Journal(tmp_path / "log", HEAD, of="a load", read=lambda offset, record: offsets.append(offset))

    assert 7 == journal.record(offsets[1])["id"]
    with pytest.raises(CheckpointError, match="was changed"):
        journal.record(offsets[1] + 1)
    journal.close()


def test_another_kind_of_checkpoint_is_left_alone(tmp_path: Path) -> None:
    """Also one of ours."""
    path = tmp_path / "log"
    path.write_bytes(encoded({"kind": "run", "version": 1}))

    with pytest.raises(CheckpointError, match="is no checkpoint of a load"):
        opened(path)

    assert encoded({"kind": "run", "version": 1}) == path.read_bytes()
    assert ["log"] == os.listdir(tmp_path)


def test_another_form_is_refused(tmp_path: Path) -> None:
    """A later version may write what this one cannot read."""
    (tmp_path / "log").write_bytes(encoded({"kind": "load", "version": 2}))

    with pytest.raises(CheckpointError, match="in form 2; this one reads form 1"):
        opened(tmp_path / "log")


def test_a_new_beginning_moves_the_old_aside(tmp_path: Path) -> None:
    """With what lies beside it, and over nothing that was moved before."""
    for name in ("log", "log.manifest", "log.1"):
        (tmp_path / name).write_text(name)

    journal, found = opened(tmp_path / "log", resume=False, beside=[".manifest", ".other"])

    assert ([], True) == (found, journal.is_new)
    assert {"log.1": "log.1", "log.2": "log", "log.2.manifest": "log.manifest"} == {
        name: (tmp_path / name).read_text() for name in ("log.1", "log.2", "log.2.manifest")
    }
    journal.close()


def test_it_is_locked_while_it_is_open(tmp_path: Path) -> None:
    """And free when it is closed, or was never opened."""
    journal, _ = opened(tmp_path / "log")
    with pytest.raises(CheckpointError, match="is at work on this checkpoint"):
        opened(tmp_path / "log")
    journal.close()
    journal.close()

    with pytest.raises(ZeroDivisionError):
        Journal(tmp_path / "log", HEAD, of="a load", read=lambda offset, record: 1 // 0)

    opened(tmp_path / "log")[0].close()
    assert ["log"] == os.listdir(tmp_path)


def test_it_stays_open_for_who_still_writes(tmp_path: Path) -> None:
    """However often it is closed meanwhile."""
    journal, _ = opened(tmp_path / "log")

    with journal.in_use():
        journal.close()
        journal.append({"kind": "done"})
        with pytest.raises(CheckpointError, match="is at work"):
            opened(tmp_path / "log")

    with pytest.raises(CheckpointError, match="was closed"):
        journal.append({"kind": "done"})
    opened(tmp_path / "log")[0].close()


@pytest.mark.parametrize(
    ("checkpoint", "resume", "told"),
    [
        (7, True, "checkpoint is the path of a file, not int"),
        (None, "yes", "resume is True, False or 'anyway', not 'yes'"),
        ("log", 1, "resume is True, False or 'anyway', not 1"),
        ("log", None, "resume is True, False or 'anyway', not NoneType"),
    ],
)
def test_what_is_no_place_is_refused_by_name(checkpoint: Any, resume: Any, told: str) -> None:
    """Before anything is opened."""
    with pytest.raises(ConfigurationError) as caught:
        check_place(checkpoint, resume)

    assert told in str(caught.value)


@pytest.mark.parametrize("place", [(None, True), ("log", False), (Path("log"), "anyway")])
def test_a_place_is_a_path_or_none(place: tuple[Any, Any]) -> None:
    """Whatever is to become of what is there."""
    check_place(*place)

"""Small files of text, and what only looks like one."""

from __future__ import annotations

import os
import traceback
from pathlib import Path

import pytest

from llmkit.config.reading import read_page
from llmkit.errors import ConfigurationError


def test_a_file_is_read(tmp_path: Path) -> None:
    """Without the mark that some editors put in front."""
    path = tmp_path / "a.json"
    path.write_bytes(b"\xef\xbb\xbf{}")

    assert "{}" == read_page(str(path), limit=100).text


def test_a_link_is_followed(tmp_path: Path) -> None:
    """Secrets are mounted so; the rights are those of what it leads to."""
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("x")
    target.chmod(0o600)
    link.symlink_to(target)

    page = read_page(str(link), limit=100)

    assert ("x", False) == (page.text, page.exposed)


@pytest.mark.parametrize(("mode", "exposed"), [(0o600, False), (0o640, True), (0o604, True), (0o400, False)])
def test_it_is_told_whether_others_may_read_it(tmp_path: Path, mode: int, exposed: bool) -> None:
    """The group, or everybody."""
    path = tmp_path / "a"
    path.write_text("x")
    path.chmod(mode)

    assert exposed == read_page(str(path), limit=100).exposed


def test_a_file_that_is_not_there_is_told_with_the_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path starts where the process was started, which is the usual surprise."""
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ConfigurationError, match=f"There is no file gone.toml in {tmp_path}"):
        read_page("gone.toml", limit=100)


def test_a_directory_is_refused(tmp_path: Path) -> None:
    """By name."""
    with pytest.raises(ConfigurationError, match="no regular file"):
        read_page(str(tmp_path), limit=100)


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    """It would be waited for until somebody writes."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    with pytest.raises(ConfigurationError, match="no regular file"):
        read_page(str(pipe), limit=100)


def test_a_device_is_refused() -> None:
    """It never ends."""
    with pytest.raises(ConfigurationError, match="no regular file"):
        read_page("/dev/zero", limit=100)


def test_a_circle_of_links_is_refused(tmp_path: Path) -> None:
    """By what the system says of it."""
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")

    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_page(str(tmp_path / "a"), limit=100)


def test_a_path_that_is_none_is_refused() -> None:
    """With a null character in it."""
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_page("a\0b", limit=100)


def test_the_limit_is_exact(tmp_path: Path) -> None:
    """The last byte counts."""
    path = tmp_path / "a"
    path.write_text("x" * 100)

    assert 100 == len(read_page(str(path), limit=100).text)
    with pytest.raises(ConfigurationError, match="larger than 99 bytes"):
        read_page(str(path), limit=99)


def test_what_is_no_utf_8_is_refused_without_being_quoted(tmp_path: Path) -> None:
    """The codec's own error carries the whole file."""
    path = tmp_path / "a"
    path.write_bytes(b"sk-canary-0123456789\xff")

    with pytest.raises(ConfigurationError, match="byte 20") as caught:
        read_page(str(path), limit=100)

    told = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert caught.value.__context__ is None
    assert "read_page" in told
    assert "canary" not in told
